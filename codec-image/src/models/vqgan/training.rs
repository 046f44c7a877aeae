//! Training from nothing: initial parameters, and the way back to a checkpoint.

use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::quantizer::{combinations, grid};
use codec_core::weights::{HostTensor, Loader, Start, Tensors};

use super::config::{GROUPS, NetworkConfig, WIDTH_MAX};
use super::network::Autoencoder;
use super::{Kind, VqganConfig};

/// A configuration with initial parameters.
#[derive(Debug, Clone)]
pub struct Fresh {
    config: VqganConfig,
    start: Start,
    tensors: Tensors,
}

impl Fresh {
    /// Draws the parameters.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for widths that no network has, [`Error::Unsupported`] for the quantizers that are trained in
    /// another way.
    pub fn new(config: &VqganConfig, seed: u64) -> Result<Self, Error> {
        let mut config = config.clone();
        if config.quantizer == Kind::Finite {
            let codes = combinations(&config.levels, WIDTH_MAX);
            let codes = codes.ok_or_else(|| {
                Error::bad_parameter(format!(
                    "levels {:?} (expected up to {WIDTH_MAX} combinations)",
                    config.levels
                ))
            })?;
            (config.n_embed, config.embed_dim) = (codes, config.levels.len());
        }
        check(&config)?;
        let start = Start::new(seed, |loader| Autoencoder::load(&config, loader))?;
        let mut tensors = start.tensors().clone();
        if config.quantizer == Kind::Finite {
            let sizes = [config.n_embed, config.embed_dim];
            tensors.insert(
                "quantize.grid",
                HostTensor::floats(&sizes, grid(&config.levels))?,
            );
        }
        Ok(Self {
            config,
            start,
            tensors,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &VqganConfig {
        &self.config
    }

    /// The networks with their initial parameters.
    pub fn init<B: CodecBackend>(&self, device: &B::Device) -> Autoencoder<B> {
        Autoencoder::load(&self.config, &Loader::new(&self.tensors, device))
    }

    /// Parameters under their authors' names.
    ///
    /// # Errors
    /// Device errors.
    pub fn export<B: CodecBackend>(&self, network: &Autoencoder<B>) -> Result<Tensors, Error> {
        self.start.collect(network)
    }
}

/// Whether such a network can be made and trained.
fn check(config: &VqganConfig) -> Result<(), Error> {
    let NetworkConfig {
        double_z,
        z_channels,
        in_channels,
        out_ch,
        ch,
        ch_mult,
        num_res_blocks,
        ..
    } = &config.ddconfig;
    let bad = |what: String| Err(Error::bad_parameter(what));
    if !matches!(config.quantizer, Kind::Straight | Kind::Sim | Kind::Finite) {
        return Err(Error::unsupported(format!(
            "training with quantizer {:?} (trained are: straight, sim, finite)",
            config.quantizer
        )));
    }
    if *double_z || *in_channels != 3 || *out_ch != 3 {
        return bad(format!(
            "double_z {double_z}, in_channels {in_channels}, out_ch {out_ch} (expected false, 3, 3)"
        ));
    }
    let widths = ch_mult.iter().map(|factor| ch.saturating_mul(*factor));
    let fits = |width: usize| (GROUPS..=WIDTH_MAX).contains(&width) && width.is_multiple_of(GROUPS);
    if !(1..=8).contains(&ch_mult.len()) || !fits(*ch) || !widths.into_iter().all(fits) {
        return bad(format!(
            "ch {ch}, ch_mult {ch_mult:?} (expected 1 to 8 levels with widths that are multiples of {GROUPS})"
        ));
    }
    let sizes = [
        *z_channels,
        config.embed_dim,
        config.n_embed,
        *num_res_blocks,
    ];
    if sizes.contains(&0) || sizes.iter().any(|&size| size > WIDTH_MAX) {
        return bad(format!(
            "z_channels {z_channels}, embed_dim {}, n_embed {}, num_res_blocks {num_res_blocks} (expected 1..={WIDTH_MAX})",
            config.embed_dim, config.n_embed
        ));
    }
    if !config.clusters.is_empty() || config.context.is_some() || config.restorer.is_some() {
        return bad("clusters, context models and restorers are made of a trained codebook".into());
    }
    Ok(())
}
