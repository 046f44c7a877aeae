//! Hyperparameters of VQGAN, from the shapes of its tensors and what came with the checkpoint.

use codec_core::Error;
use codec_core::index_context::ContextConfig;
use codec_core::index_restorer::RestorerConfig;
use codec_core::layers::quantizer::{LossWeights, Projection, QuantizerConfig, levels};
use codec_core::weights::{HostTensor, Tensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Groups of every normalization: all widths are multiples of it.
pub(super) const GROUPS: usize = 32;
/// Most channels of a layer, and most of the sizes of a codebook's rows.
pub(super) const WIDTH_MAX: usize = 1 << 14;
/// Most codes.
pub(super) const CODES_MAX: usize = 1 << 22;
/// Most levels; the factor on the size is below 2^12.
const LEVELS_MAX: usize = 12;
/// Resolution of all released models.
const RESOLUTION: usize = 256;

/// How latents become codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nearest row of the codebook (`VectorQuantizer2`).
    Straight,
    /// Largest logit (`GumbelQuantize`).
    Gumbel,
    /// Nearest row of a projected codebook (VQGAN-LC).
    Projected,
    /// Nearest row of a linearly mapped codebook (SimVQ).
    Sim,
    /// Levels in every dimension (FSQ).
    Finite,
}

/// Encoder and decoder, under the names of the authors' `ddconfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Whether the encoder has twice the latent channels.
    pub double_z: bool,
    /// Latent channels.
    pub z_channels: usize,
    /// Side of the training pictures in pixels: where attention is follows from it.
    pub resolution: usize,
    /// Channels of pictures.
    pub in_channels: usize,
    /// Channels of decoded pictures.
    pub out_ch: usize,
    /// Channels at full resolution.
    pub ch: usize,
    /// Channels of each level, in multiples of `ch`.
    pub ch_mult: Vec<usize>,
    /// Residual blocks a level of the encoder; the decoder has one more.
    pub num_res_blocks: usize,
    /// Sides, at the training resolution, of the levels with attention.
    pub attn_resolutions: Vec<usize>,
}

impl NetworkConfig {
    /// Pixels for one code, along each axis.
    pub fn factor(&self) -> usize {
        1 << self.ch_mult.len().saturating_sub(1)
    }

    /// Channels of a level.
    pub fn width(&self, level: usize) -> usize {
        self.ch * self.ch_mult.get(level).copied().unwrap_or(1)
    }

    /// Whether a level has attention.
    pub fn attends(&self, level: usize) -> bool {
        self.attn_resolutions
            .contains(&(self.resolution >> level.min(LEVELS_MAX)))
    }

    /// Channels that the encoder returns.
    pub fn encoded(&self) -> usize {
        self.z_channels * if self.double_z { 2 } else { 1 }
    }
}

/// Hyperparameters, under the names of the authors' configuration files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VqganConfig {
    /// Kind of quantizer.
    pub quantizer: Kind,
    /// Codes.
    pub n_embed: usize,
    /// Width of a code's row.
    pub embed_dim: usize,
    /// Width of the stored rows of a projected codebook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codebook_dim: Option<usize>,
    /// Maps of a projected codebook: 0, 1 or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_cblinear: Option<usize>,
    /// Units between two maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cb_hidden: Option<usize>,
    /// -1 for a codebook that started at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning_codebook: Option<i64>,
    /// Levels of each dimension of a finite scalar quantizer; codes are their combinations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<usize>,
    /// Encoder and decoder.
    pub ddconfig: NetworkConfig,
    /// Sizes of smaller codebooks in the file, falling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<usize>,
    /// Context model for the codes, if the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
    /// Transformer that restores lost codes, if the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorer: Option<RestorerConfig>,
}

impl VqganConfig {
    /// The quantizer's part.
    pub fn quantizer_config(&self) -> QuantizerConfig {
        let (codes, width) = (self.n_embed, self.embed_dim);
        match self.quantizer {
            Kind::Straight => QuantizerConfig::Plain { codes, width },
            Kind::Gumbel => QuantizerConfig::Gumbel {
                codes,
                input: self.ddconfig.z_channels,
                width,
            },
            Kind::Projected => QuantizerConfig::Projected {
                codes,
                stored: self.codebook_dim.unwrap_or(width),
                width,
                projection: maps(self.use_cblinear.unwrap_or(0), self.cb_hidden),
                unit: is_unit(width, self.tuning_codebook),
            },
            Kind::Sim => QuantizerConfig::Sim { codes, width },
            Kind::Finite => QuantizerConfig::Finite { codes, width },
        }
    }

    /// Multiply-accumulates of convolutions for a pixel: of encoding and decoding, without attention and search.
    pub fn macs(&self) -> [f64; 2] {
        let d = &self.ddconfig;
        let last = d.ch_mult.len().saturating_sub(1);
        let conv = |input: usize, output: usize, taps: usize| (input * output * taps) as f64;
        let block = |input: usize, output: usize| {
            let shortcut = if input == output {
                0.0
            } else {
                conv(input, output, 1)
            };
            conv(input, output, 9) + conv(output, output, 9) + shortcut
        };
        let blocks = |before: usize, width: usize, count: usize| {
            let others = count.saturating_sub(1) as f64;
            block(before, width) + others * block(width, width)
        };
        let pixels = |level: usize| 0.25f64.powi(level as i32);
        let (deepest, middle) = (d.width(last), 2.0 * block(d.width(last), d.width(last)));
        let mut encode = conv(d.in_channels, d.ch, 9);
        let mut decode = conv(d.width(0), d.out_ch, 9);
        for level in 0..d.ch_mult.len() {
            let width = d.width(level);
            let before = level.checked_sub(1).map_or(d.ch, |above| d.width(above));
            encode += pixels(level) * blocks(before, width, d.num_res_blocks);
            let deeper = d.width((level + 1).min(last));
            decode += pixels(level) * blocks(deeper, width, d.num_res_blocks + 1);
            if level < last {
                encode += pixels(level + 1) * conv(width, width, 9);
            }
            if level > 0 {
                decode += pixels(level - 1) * conv(width, width, 9);
            }
        }
        let ends = |first: usize, second: usize| conv(first, second, 9) + middle;
        encode += pixels(last) * (ends(deepest, d.encoded()) + conv(d.encoded(), self.latent(), 1));
        decode +=
            pixels(last) * (ends(d.z_channels, deepest) + conv(self.embed_dim, d.z_channels, 1));
        [encode, decode]
    }

    /// Channels that the quantizer gets.
    pub fn latent(&self) -> usize {
        match self.quantizer {
            Kind::Gumbel => self.ddconfig.z_channels,
            Kind::Straight | Kind::Projected | Kind::Sim | Kind::Finite => self.embed_dim,
        }
    }

    /// Weights of the quantizer's loss in the authors' training.
    pub fn loss(&self) -> LossWeights {
        match self.quantizer {
            Kind::Projected => LossWeights::on_codebook(0.33),
            Kind::Sim => LossWeights::on_commitment(0.25),
            Kind::Finite => LossWeights::none(),
            Kind::Straight | Kind::Gumbel => LossWeights::on_codebook(0.25),
        }
    }

    /// Hyperparameters of tensors under normalized names; what is given must agree.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tensors that are no VQGAN, [`Error::BadParameter`] if the given configuration contradicts
    /// them.
    pub fn new(tensors: &Tensors, given: Option<&Value>) -> Result<Self, Error> {
        let given = Given::new(given)?;
        let mut config = Self::quantizer(tensors, &given)?;
        config.ddconfig = network(tensors, &given)?;
        config.clusters = clusters(tensors, &config)?;
        let latent = shape(tensors, "quant_conv.weight")?.first().copied();
        let expected = config.latent();
        if latent != Some(expected) {
            return Err(Error::malformed(format!(
                "quant_conv.weight has {latent:?} outputs (expected {expected})"
            )));
        }
        given.check(&config)?;
        config.context = given.context;
        if let Some(context) = &config.context {
            context.check()?;
            agree(
                "codes of the context model",
                Some(context.codes.as_slice()),
                &[config.n_embed],
            )?;
        }
        config.restorer = given.restorer;
        if let Some(restorer) = &config.restorer {
            restorer.check()?;
            let sizes = [restorer.codes, restorer.row];
            let expected = [config.n_embed, config.embed_dim];
            agree("codes and rows of the restorer", Some(sizes), expected)?;
        }
        Ok(config)
    }

    /// Kind and sizes of the codebook; the rest is filled in later.
    fn quantizer(tensors: &Tensors, given: &Given) -> Result<Self, Error> {
        let (quantizer, name) = kind(tensors)?;
        let &[codes, stored] = shape(tensors, name)? else {
            return Err(Error::malformed(format!("{name} is no matrix")));
        };
        let mut config = Self {
            quantizer,
            n_embed: codes,
            embed_dim: stored,
            codebook_dim: None,
            use_cblinear: None,
            cb_hidden: None,
            tuning_codebook: None,
            levels: Vec::new(),
            ddconfig: NetworkConfig {
                double_z: false,
                z_channels: 0,
                resolution: RESOLUTION,
                in_channels: 0,
                out_ch: 0,
                ch: 0,
                ch_mult: Vec::new(),
                num_res_blocks: 0,
                attn_resolutions: Vec::new(),
            },
            clusters: Vec::new(),
            context: None,
            restorer: None,
        };
        if quantizer == Kind::Finite {
            let rows = tensors.get(name).and_then(HostTensor::as_floats);
            let levels = rows.and_then(|rows| levels(rows, stored));
            config.levels = levels.ok_or_else(|| {
                Error::malformed(format!("{name} is not all combinations of levels"))
            })?;
        }
        if quantizer == Kind::Projected {
            let (projection, width) = projection(tensors, stored)?;
            config.embed_dim = width;
            config.codebook_dim = Some(stored);
            config.tuning_codebook = given.tuning_codebook;
            let (use_cblinear, cb_hidden) = hidden(projection);
            (config.use_cblinear, config.cb_hidden) = (Some(use_cblinear), cb_hidden);
        }
        if config.n_embed == 0 || stored == 0 || config.embed_dim == 0 {
            return Err(Error::malformed(format!("{name} is empty")));
        }
        at_most("codes", config.n_embed, CODES_MAX)?;
        at_most("code width", stored, WIDTH_MAX)?;
        at_most("code width", config.embed_dim, WIDTH_MAX)?;
        Ok(config)
    }
}

/// VQGAN-LC searches directions where the codebook is made of CLIP features as they are, 768 wide, unless the codebook
/// started at random.
pub(super) fn is_unit(width: usize, tuning_codebook: Option<i64>) -> bool {
    width == 768 && tuning_codebook != Some(-1)
}

/// `use_cblinear` and the units between two maps.
pub(super) fn hidden(projection: Projection) -> (usize, Option<usize>) {
    match projection {
        Projection::None => (0, None),
        Projection::Linear => (1, None),
        Projection::Hidden(hidden) => (2, Some(hidden)),
    }
}

/// The inverse of [`hidden`].
pub(super) fn maps(use_cblinear: usize, cb_hidden: Option<usize>) -> Projection {
    match (use_cblinear, cb_hidden) {
        (1, _) => Projection::Linear,
        (2, Some(hidden)) => Projection::Hidden(hidden),
        _ => Projection::None,
    }
}

/// Kind of quantizer and name of its rows.
pub(super) fn kind(tensors: &Tensors) -> Result<(Kind, &'static str), Error> {
    let has = |name: &str| tensors.contains(name);
    let sim = has("quantize.embedding_proj.weight");
    [
        (Kind::Projected, "tok_embeddings.weight", true),
        (Kind::Gumbel, "quantize.embed.weight", true),
        (Kind::Finite, "quantize.grid", true),
        (Kind::Sim, "quantize.embedding.weight", sim),
        (Kind::Straight, "quantize.embedding.weight", !sim),
    ]
    .into_iter()
    .find(|(_, name, fits)| *fits && has(name))
    .map(|(kind, name, _)| (kind, name))
    .ok_or_else(|| Error::malformed("no codebook among the tensors"))
}

/// Projection of rows of `stored` values, and the width that it gives.
pub(super) fn projection(tensors: &Tensors, stored: usize) -> Result<(Projection, usize), Error> {
    let outputs = |name: &str| -> Result<Option<usize>, Error> {
        match tensors.shape(name) {
            None => Ok(None),
            Some(&[outputs, _]) => {
                at_most("code width", outputs, WIDTH_MAX)?;
                Ok(Some(outputs))
            }
            Some(_) => Err(Error::malformed(format!("{name} is no matrix"))),
        }
    };
    let hidden = outputs("codebook_projection.0.weight")?;
    let last = outputs("codebook_projection.2.weight")?;
    Ok(
        match (outputs("codebook_projection.weight")?, hidden, last) {
            (Some(width), _, _) => (Projection::Linear, width),
            (None, Some(hidden), Some(width)) => (Projection::Hidden(hidden), width),
            _ => (Projection::None, stored),
        },
    )
}

fn network(tensors: &Tensors, given: &Given) -> Result<NetworkConfig, Error> {
    let conv = |name: &str| -> Result<[usize; 2], Error> {
        match shape(tensors, name)? {
            &[outputs, inputs, _, _] => {
                at_most("channels", outputs, WIDTH_MAX)?;
                at_most("channels", inputs, WIDTH_MAX)?;
                Ok([outputs, inputs])
            }
            _ => Err(Error::malformed(format!("{name} is no convolution"))),
        }
    };
    let [ch, in_channels] = conv("encoder.conv_in.weight")?;
    let [out_ch, _] = conv("decoder.conv_out.weight")?;
    let [_, z_channels] = conv("decoder.conv_in.weight")?;
    let [encoded, _] = conv("encoder.conv_out.weight")?;
    let block =
        |level: usize, block: usize| format!("encoder.down.{level}.block.{block}.conv1.weight");
    let levels = (0..)
        .take_while(|&level| tensors.contains(&block(level, 0)))
        .count();
    let blocks = (0..)
        .take_while(|&b| tensors.contains(&block(0, b)))
        .count();
    at_most("levels", levels, LEVELS_MAX)?;
    let mut ch_mult = Vec::with_capacity(levels);
    for level in 0..levels {
        let [width, _] = conv(&block(level, 0))?;
        if ch == 0 || width == 0 || width % ch != 0 || width % GROUPS != 0 || ch % GROUPS != 0 {
            return Err(Error::malformed(format!(
                "level {level} has {width} channels of {ch} (expected multiples, of {GROUPS} as well)"
            )));
        }
        ch_mult.push(width / ch);
    }
    let latents = encoded == z_channels || encoded == 2 * z_channels;
    if levels == 0 || z_channels == 0 || !latents || in_channels != 3 || out_ch != 3 {
        return Err(Error::malformed(format!(
            "{levels} levels, {encoded} and {z_channels} latent channels, {in_channels} and {out_ch} channels of pictures"
        )));
    }
    let ddconfig = given.ddconfig.as_ref();
    let resolution = ddconfig.and_then(|d| d.resolution).unwrap_or(RESOLUTION);
    let attends =
        |level: &usize| tensors.contains(&format!("encoder.down.{level}.attn.0.norm.weight"));
    let stated = ddconfig
        .filter(|d| d.resolution.is_some())
        .and_then(|d| d.attn_resolutions.clone());
    let config = NetworkConfig {
        double_z: encoded != z_channels,
        z_channels,
        resolution,
        in_channels,
        out_ch,
        ch,
        ch_mult,
        num_res_blocks: blocks,
        attn_resolutions: stated.unwrap_or_else(|| {
            (0..levels)
                .filter(attends)
                .map(|level| resolution >> level)
                .collect()
        }),
    };
    for level in 0..levels {
        if config.attends(level) != attends(&level) {
            return Err(Error::bad_parameter(format!(
                "attention at {:?} of {resolution} pixels does not agree with the tensors of level {level}",
                config.attn_resolutions
            )));
        }
    }
    Ok(config)
}

/// Sizes of the smaller codebooks `codebook.N` that the file has.
fn clusters(tensors: &Tensors, config: &VqganConfig) -> Result<Vec<usize>, Error> {
    let mut sizes = Vec::new();
    for (name, tensor) in tensors.iter() {
        let Some(size) = name.strip_prefix("codebook.") else {
            continue;
        };
        let size: usize = size
            .parse()
            .map_err(|_| Error::malformed(format!("no size in '{name}'")))?;
        if tensor.shape() != [size, config.embed_dim] || !(1..config.n_embed).contains(&size) {
            return Err(Error::malformed(format!(
                "{name} has shape {:?} beside {} codes of {} values",
                tensor.shape(),
                config.n_embed,
                config.embed_dim
            )));
        }
        sizes.push(size);
    }
    if !sizes.is_empty() && config.quantizer == Kind::Gumbel {
        return Err(Error::unsupported(
            "smaller codebooks of a Gumbel quantizer",
        ));
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    Ok(sizes)
}

fn shape<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a [usize], Error> {
    tensors
        .shape(name)
        .ok_or_else(|| Error::malformed(format!("{name} is missing")))
}

pub(super) fn at_most(what: &'static str, actual: usize, limit: usize) -> Result<(), Error> {
    if actual > limit {
        return Err(Error::LimitExceeded {
            what,
            limit: limit as u64,
            actual: actual as u64,
        });
    }
    Ok(())
}

/// What a configuration file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    quantizer: Option<Kind>,
    n_embed: Option<usize>,
    n_vision_words: Option<usize>,
    embed_dim: Option<usize>,
    codebook_dim: Option<usize>,
    use_cblinear: Option<usize>,
    tuning_codebook: Option<i64>,
    ddconfig: Option<GivenNetwork>,
    context: Option<ContextConfig>,
    restorer: Option<RestorerConfig>,
}

/// What its `ddconfig` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GivenNetwork {
    double_z: Option<bool>,
    z_channels: Option<usize>,
    resolution: Option<usize>,
    in_channels: Option<usize>,
    out_ch: Option<usize>,
    ch: Option<usize>,
    ch_mult: Option<Vec<usize>>,
    num_res_blocks: Option<usize>,
    attn_resolutions: Option<Vec<usize>>,
}

impl Given {
    /// The configuration itself, or that of a lightning file below `model.params` or `model.init_args`.
    fn new(given: Option<&Value>) -> Result<Self, Error> {
        let Some(given) = given else {
            return Ok(Self::default());
        };
        let inner = ["params", "init_args"]
            .into_iter()
            .find_map(|key| given.get("model")?.get(key))
            .unwrap_or(given);
        Self::deserialize(inner).map_err(|e| Error::bad_parameter(format!("configuration: {e}")))
    }

    fn check(&self, config: &VqganConfig) -> Result<(), Error> {
        agree("quantizer", self.quantizer, config.quantizer)?;
        agree(
            "n_embed",
            self.n_embed.or(self.n_vision_words),
            config.n_embed,
        )?;
        agree("embed_dim", self.embed_dim, config.embed_dim)?;
        if config.quantizer == Kind::Projected {
            agree(
                "codebook_dim",
                self.codebook_dim.map(Some),
                config.codebook_dim,
            )?;
            agree(
                "use_cblinear",
                self.use_cblinear.map(Some),
                config.use_cblinear,
            )?;
        }
        let Some(given) = &self.ddconfig else {
            return Ok(());
        };
        let network = &config.ddconfig;
        agree("double_z", given.double_z, network.double_z)?;
        agree("z_channels", given.z_channels, network.z_channels)?;
        agree("in_channels", given.in_channels, network.in_channels)?;
        agree("out_ch", given.out_ch, network.out_ch)?;
        agree("ch", given.ch, network.ch)?;
        agree("ch_mult", given.ch_mult.clone(), network.ch_mult.clone())?;
        agree(
            "num_res_blocks",
            given.num_res_blocks,
            network.num_res_blocks,
        )
    }
}

pub(super) fn agree<T: PartialEq + std::fmt::Debug>(
    name: &str,
    given: Option<T>,
    found: T,
) -> Result<(), Error> {
    match given {
        Some(given) if given != found => Err(Error::bad_parameter(format!(
            "configuration: {name} is {given:?}, the tensors say {found:?}"
        ))),
        _ => Ok(()),
    }
}
