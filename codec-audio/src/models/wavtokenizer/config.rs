//! Hyperparameters.

use codec_core::Error;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CODEBOOK, ENCODER};
use crate::coder::Format;
use crate::models::given::{CODES_MAX, Given, HOP_MAX, WIDTH_MAX, agree, at_most, count, shape};
use crate::models::seanet::SeanetConfig;

/// Groups of the normalizations.
pub(super) const GROUPS: usize = 32;
/// Longest frame of the Fourier transform; its matrix has the square of that.
const FRAME_MAX: usize = 1 << 13;

/// Hyperparameters of WavTokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WavtokenizerConfig {
    /// Samples a second.
    pub sample_rate: usize,
    /// The encoder.
    pub encoder: SeanetConfig,
    /// Codes.
    pub bins: usize,
    /// The decoder before its head.
    pub backbone: BackboneConfig,
    /// The head.
    pub head: HeadConfig,
}

/// The decoder before its head, under the names of the authors' configuration files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackboneConfig {
    /// Width of the features.
    pub input_channels: usize,
    /// Channels.
    pub dim: usize,
    /// Channels inside of a block.
    pub intermediate_dim: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Conditions that the normalizations know; none if they have no condition.
    pub adanorm_num_embeddings: Option<usize>,
}

/// The head, under the names of the authors' configuration files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadConfig {
    /// Channels of the decoder.
    pub dim: usize,
    /// Samples of a frame of the Fourier transform.
    pub n_fft: usize,
    /// Samples from frame to frame.
    pub hop_length: usize,
    /// What is cut off at the ends: `same`, what the first frame has beyond a hop, or `center`, half a frame.
    pub padding: String,
}

impl WavtokenizerConfig {
    /// Hyperparameters of tensors; what is given, in the authors' form or in this one, must agree with their shapes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tensors that are no WavTokenizer, [`Error::BadParameter`] if the given configuration contradicts
    /// them, [`Error::Unsupported`] for a `padding` that is not known.
    pub fn new(tensors: &Tensors, given: Option<&Value>) -> Result<Self, Error> {
        let given = Given(given).within("model").within("init_args");
        let part = |name: &str| given.at(name).within("init_args");
        let encoder = SeanetConfig::new(tensors, ENCODER, part("encoder"), false)?;
        part("feature_extractor").agree_all("dowmsamples", &encoder.ratios)?;
        let [bins, width] = shape(tensors, &format!("{CODEBOOK}.embed"))?;
        at_most("codes", bins, CODES_MAX)?;
        if width != encoder.dimension {
            return Err(Error::malformed(format!(
                "codes have {width} values, features {}",
                encoder.dimension
            )));
        }
        part("feature_extractor").agree("vq_bins", bins)?;
        part("quantizer").agree("bins", bins)?;
        agree("bins", given.size("bins"), bins)?;
        let backbone = BackboneConfig::new(tensors, part("backbone"))?;
        if backbone.input_channels != width {
            return Err(Error::malformed(format!(
                "the decoder takes {} channels, codes have {width} values",
                backbone.input_channels
            )));
        }
        let head = HeadConfig::new(tensors, part("head"), encoder.hop())?;
        Ok(Self {
            sample_rate: given.positive("sample_rate", 24_000, 1 << 24)?,
            encoder,
            bins,
            backbone,
            head,
        })
    }

    /// What coders say of the model.
    pub(super) fn format(&self) -> Format {
        Format {
            rate: self.sample_rate as u32,
            channels: self.encoder.channels as u16,
            hop: self.encoder.hop() as u32,
            codebooks: vec![self.bins as u32],
            steps: vec![1],
        }
    }
}

impl BackboneConfig {
    fn new(tensors: &Tensors, given: Given<'_>) -> Result<Self, Error> {
        let [dim, input_channels, _] = shape(tensors, "backbone.embed.weight")?;
        let num_layers = count(tensors, "backbone.convnext", "gamma");
        let conditions = match tensors.contains("backbone.norm.scale.weight") {
            true => Some(shape::<2>(tensors, "backbone.norm.scale.weight")?[0]),
            false => None,
        };
        at_most("channels of the decoder", dim, WIDTH_MAX)?;
        at_most("width of the features", input_channels, WIDTH_MAX)?;
        at_most("blocks", num_layers, 255)?;
        at_most("conditions", conditions.unwrap_or(1), 1 << 16)?;
        if !dim.is_multiple_of(GROUPS) {
            return Err(Error::malformed(format!(
                "{dim} channels of the decoder (expected a multiple of {GROUPS})"
            )));
        }
        let [intermediate_dim, _] = shape(tensors, "backbone.convnext.0.pwconv1.weight")?;
        at_most("channels of a block", intermediate_dim, WIDTH_MAX)?;
        for (name, found) in [
            ("input_channels", input_channels),
            ("dim", dim),
            ("intermediate_dim", intermediate_dim),
            ("num_layers", num_layers),
        ] {
            given.agree(name, found)?;
        }
        if given.0.is_some() {
            let given = given.size("adanorm_num_embeddings");
            agree("adanorm_num_embeddings", Some(given), conditions)?;
        }
        Ok(Self {
            input_channels,
            dim,
            intermediate_dim,
            num_layers,
            adanorm_num_embeddings: conditions,
        })
    }
}

impl HeadConfig {
    fn new(tensors: &Tensors, given: Given<'_>, hop: usize) -> Result<Self, Error> {
        let [values, dim] = shape(tensors, "head.out.weight")?;
        let n_fft = values.saturating_sub(2);
        at_most("samples of a frame", n_fft, FRAME_MAX)?;
        at_most("samples from frame to frame", hop, HOP_MAX.min(n_fft))?;
        given.agree("n_fft", n_fft)?;
        given.agree("dim", dim)?;
        given.agree("hop_length", hop)?;
        let padding = given.text("padding").unwrap_or("same");
        if !n_fft.is_multiple_of(2) || !(n_fft - hop).is_multiple_of(2) {
            return Err(Error::unsupported(format!(
                "frames of {n_fft} samples, {hop} apart (expected even numbers)"
            )));
        }
        if padding != "same" && padding != "center" {
            return Err(Error::unsupported(format!(
                "padding '{padding}' of the head (expected same or center)"
            )));
        }
        Ok(Self {
            dim,
            n_fft,
            hop_length: hop,
            padding: padding.to_owned(),
        })
    }

    /// Samples that are cut off at either end.
    pub(super) fn cut(&self) -> usize {
        match self.padding.as_str() {
            "center" => self.n_fft / 2,
            _ => (self.n_fft - self.hop_length) / 2,
        }
    }
}
