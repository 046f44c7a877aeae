//! Hyperparameters.

use codec_core::Error;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::coder::Format;
use crate::models::given::{Given, HOP_MAX, WIDTH_MAX, at_most, codebooks, shape};

/// Hyperparameters of Descript Audio Codec, under the names of the authors' arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DacConfig {
    /// Channels of the encoder at the full rate.
    pub encoder_dim: usize,
    /// Strides of the encoder.
    pub encoder_rates: Vec<usize>,
    /// Width of the features.
    pub latent_dim: usize,
    /// Channels of the decoder at the frame rate.
    pub decoder_dim: usize,
    /// Strides of the decoder.
    pub decoder_rates: Vec<usize>,
    /// Codebooks.
    pub n_codebooks: usize,
    /// Codes of a codebook.
    pub codebook_size: usize,
    /// Width of a code's row.
    pub codebook_dim: usize,
    /// Share of the items of a training batch that use fewer codebooks.
    pub quantizer_dropout: f64,
    /// Samples a second.
    pub sample_rate: usize,
}

impl DacConfig {
    /// Hyperparameters of tensors; what is given must agree with their shapes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tensors that are no Descript Audio Codec, [`Error::BadParameter`] if the given configuration
    /// contradicts them.
    pub fn new(tensors: &Tensors, given: Option<&Value>) -> Result<Self, Error> {
        // The authors' files have the arguments below their metadata.
        let given = Given(given).within("metadata").within("kwargs");
        let stages = |part: &str, rest: &str, first: usize| {
            let there = |stage: &usize| tensors.contains(&format!("{part}.{stage}.{rest}"));
            (first..64).take_while(there).count()
        };
        let rates = |part: &str, rest: &str| -> Result<Vec<usize>, Error> {
            let count = stages(part, rest, 1);
            let kernel = |stage: usize| {
                let [_, _, taps] = shape(tensors, &format!("{part}.{stage}.{rest}"))?;
                Ok(taps / 2)
            };
            (1..=count).map(kernel).collect()
        };
        let encoder_rates = rates("encoder.block", "block.4.weight")?;
        let decoder_rates = rates("decoder.model", "block.1.weight")?;
        let [encoder_dim, _, _] = shape(tensors, "encoder.block.0.weight")?;
        let last = format!("encoder.block.{}.weight", encoder_rates.len() + 2);
        let [latent_dim, _, _] = shape(tensors, &last)?;
        let [decoder_dim, _, _] = shape(tensors, "decoder.model.0.weight")?;
        let part = "quantizer.quantizers";
        let [n_codebooks, codebook_size, codebook_dim] =
            codebooks(tensors, part, "codebook.weight")?;
        let config = Self {
            encoder_dim,
            encoder_rates,
            latent_dim,
            decoder_dim,
            decoder_rates,
            n_codebooks,
            codebook_size,
            codebook_dim,
            quantizer_dropout: given.real("quantizer_dropout").unwrap_or(0.5),
            sample_rate: given.positive("sample_rate", 44_100, 1 << 24)?,
        };
        config.check()?;
        for (name, found) in [
            ("encoder_dim", encoder_dim),
            ("latent_dim", latent_dim),
            ("decoder_dim", decoder_dim),
            ("n_codebooks", n_codebooks),
            ("codebook_size", codebook_size),
            ("codebook_dim", codebook_dim),
        ] {
            given.agree(name, found)?;
        }
        given.agree_all("encoder_rates", &config.encoder_rates)?;
        given.agree_all("decoder_rates", &config.decoder_rates)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        for (what, value, most) in [
            ("channels of the encoder", self.encoder_dim, WIDTH_MAX),
            ("width of the features", self.latent_dim, WIDTH_MAX),
            ("channels of the decoder", self.decoder_dim, WIDTH_MAX),
            ("stages of the encoder", self.encoder_rates.len(), 16),
            ("stages of the decoder", self.decoder_rates.len(), 16),
        ] {
            at_most(what, value, most)?;
        }
        let widest = self.encoder_width(self.encoder_rates.len());
        at_most("channels at the frame rate", widest, WIDTH_MAX)?;
        let narrowest = self.decoder_width(self.decoder_rates.len());
        at_most("channels at the full rate", narrowest, WIDTH_MAX)?;
        let hop = |rates: &[usize]| {
            let product = rates.iter().try_fold(1usize, |n, &r| n.checked_mul(r));
            product.unwrap_or(usize::MAX)
        };
        at_most("hop", hop(&self.encoder_rates), HOP_MAX)?;
        if hop(&self.encoder_rates) != hop(&self.decoder_rates) {
            return Err(Error::malformed(format!(
                "strides {:?} and {:?} have different products",
                self.encoder_rates, self.decoder_rates
            )));
        }
        Ok(())
    }

    /// Samples for one frame of codes.
    pub fn hop(&self) -> usize {
        self.encoder_rates.iter().product()
    }

    /// Channels after so many stages of the encoder.
    pub(super) fn encoder_width(&self, stage: usize) -> usize {
        self.encoder_dim << stage.min(16)
    }

    /// Channels after so many stages of the decoder.
    pub(super) fn decoder_width(&self, stage: usize) -> usize {
        self.decoder_dim >> stage.min(16)
    }

    /// What coders say of the model. Training drops codebooks at random, so that every number of them is a rate.
    pub(super) fn format(&self) -> Format {
        Format {
            rate: self.sample_rate as u32,
            channels: 1,
            hop: self.hop() as u32,
            codebooks: vec![self.codebook_size as u32; self.n_codebooks],
            steps: (1..=self.n_codebooks as u16).collect(),
        }
    }
}
