//! Hyperparameters.

use codec_core::Error;
use codec_core::layers::Companding;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Channels that a normalization takes together; widths are multiples of it.
pub(super) const GROUPS: usize = 32;
/// Largest number of channels anywhere.
const WIDTH_MAX: usize = 1 << 14;
/// Most levels of the transform: sides then are multiples of 256.
const LEVELS_MAX: usize = 8;

/// Hyperparameters, under the authors' names in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallocConfig {
    /// Channels of a picture.
    pub channels: usize,
    /// Levels of the wavelet packet transform.
    #[serde(rename = "J")]
    pub levels: usize,
    /// Width of the full encoder; the lightweight one has none.
    #[serde(rename = "Ne")]
    pub encoder_width: Option<usize>,
    /// Width of the decoder.
    #[serde(rename = "Nd")]
    pub decoder_width: usize,
    /// Channels of the latents.
    pub latent_dim: usize,
    /// Bits of an integer of the latents.
    pub latent_bits: u32,
    /// Whether the encoder is a single 1x1 convolution.
    pub lightweight_encode: bool,
}

impl Default for WallocConfig {
    /// `RGB_16x` of the authors with a decoder of width 64, which a CPU can train.
    fn default() -> Self {
        Self {
            channels: 3,
            levels: 3,
            encoder_width: None,
            decoder_width: 64,
            latent_dim: 12,
            latent_bits: 8,
            lightweight_encode: true,
        }
    }
}

impl WallocConfig {
    /// Multiply-accumulates per pixel of encoder and decoder networks, without the attention, whose cost depends on the size.
    pub fn macs(&self) -> [f64; 2] {
        let network = |[input, width, output]: [usize; 3], blocks: usize| {
            9 * width * (input + output) + blocks * 18 * width * width + 4 * width * width
        };
        let packets = self.packets();
        let encode = match self.encoder_width.filter(|_| !self.lightweight_encode) {
            Some(width) => network([packets, width, self.latent_dim], 4),
            None => packets * self.latent_dim,
        };
        let decode = network([self.latent_dim, self.decoder_width, packets], 5);
        let area = (self.alignment() * self.alignment()) as f64;
        [encode, decode].map(|macs| macs as f64 / area)
    }

    /// Channels of wavelet packets, `channels * 4^J`.
    pub fn packets(&self) -> usize {
        self.channels << (2 * self.levels)
    }

    /// What the sides of padded pictures are multiples of, `2^J`.
    pub fn alignment(&self) -> usize {
        1 << self.levels
    }

    /// Shortest side for which the transform can be inverted: ten samples at the last level, as long as its filters.
    pub fn side_min(&self) -> usize {
        match self.levels {
            0 => 1,
            levels => 10 << (levels - 1),
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::bad_parameter(format!(
                "walloc: invalid {name} {value} (expected {least}..={most})"
            )))
        };
        within("J", self.levels, 0, LEVELS_MAX)?;
        within("channels", self.channels, 1, WIDTH_MAX >> (2 * self.levels))?;
        within("latent_dim", self.latent_dim, 1, WIDTH_MAX)?;
        let mut widths = vec![("Nd", self.decoder_width)];
        if !self.lightweight_encode {
            widths.push(("Ne", self.encoder_width.unwrap_or(0)));
        }
        for (name, width) in widths {
            within(name, width, GROUPS, WIDTH_MAX)?;
            if !width.is_multiple_of(GROUPS) {
                return Err(Error::bad_parameter(format!(
                    "walloc: invalid {name} {width} (expected a multiple of {GROUPS})"
                )));
            }
        }
        Companding::new(self.latent_bits).map(|_| ())
    }

    /// Hyperparameters of a checkpoint. Everything but the bits of the latents follows from shapes; channels and levels do
    /// unless the number of channels is a multiple of 4.
    ///
    /// # Errors
    /// [`Error::Malformed`] if `given` and shapes contradict each other or something is told by neither,
    /// [`Error::BadParameter`] for values that no model has.
    pub fn of(tensors: &Tensors, given: Option<&Value>) -> Result<Self, Error> {
        let given = Given(given);
        let side = |name: &str, axis: usize| {
            let shape = tensors.shape(name)?;
            shape.get(axis).copied()
        };
        let decoder_width = given.agree("Nd", side("decoder.1.conv_in.weight", 0))?;
        let latent_dim = given.agree("latent_dim", side("decoder.1.conv_in.weight", 1))?;
        let packets = side("decoder.1.conv_out.weight", 0)
            .or_else(|| side("encoder.0.weight", 1))
            .or_else(|| side("encoder.0.conv_in.weight", 1));
        let (channels, levels) = channels_and_levels(
            given.number("channels")?,
            given.number("J")?,
            packets.filter(|&n| n > 0),
        )?;
        let lightweight = match (
            tensors.contains("encoder.0.weight"),
            tensors.contains("encoder.0.conv_in.weight"),
        ) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
        let lightweight = match (lightweight, given.truth("lightweight_encode")?) {
            (Some(found), Some(given)) if found != given => {
                return Err(Error::malformed(format!(
                    "walloc: lightweight_encode is {given}, the tensors are those of the other encoder"
                )));
            }
            (found, given) => found
                .or(given)
                .ok_or_else(|| untold("lightweight_encode"))?,
        };
        let encoder_width = if lightweight {
            None
        } else {
            Some(given.agree("Ne", side("encoder.0.conv_in.weight", 0))?)
        };
        let bits = given
            .number("latent_bits")?
            .ok_or_else(|| untold("latent_bits"))?;
        let config = Self {
            channels,
            levels,
            encoder_width,
            decoder_width,
            latent_dim,
            latent_bits: u32::try_from(bits).unwrap_or(u32::MAX),
            lightweight_encode: lightweight,
        };
        config.check()?;
        Ok(config)
    }
}

fn untold(name: &str) -> Error {
    Error::malformed(format!(
        "walloc: neither the configuration nor the tensors tell {name}"
    ))
}

/// The authors' configuration, or none.
struct Given<'a>(Option<&'a Value>);

impl Given<'_> {
    /// A value that is there and not null.
    fn value(&self, name: &str) -> Option<&Value> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        // Some writers make reals of everything.
        let whole = value.as_u64().or_else(|| {
            value
                .as_f64()
                .filter(|v| v.fract() == 0.0)
                .map(|v| v as u64)
        });
        whole
            .and_then(|v| usize::try_from(v).ok())
            .map(Some)
            .ok_or_else(|| Error::malformed(format!("walloc: {name} is {value}")))
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let truth = value.as_bool().map(Some);
        truth.ok_or_else(|| Error::malformed(format!("walloc: {name} is {value}")))
    }

    /// The value that tensors or configuration tell; both must tell the same.
    fn agree(&self, name: &str, found: Option<usize>) -> Result<usize, Error> {
        match (found, self.number(name)?) {
            (Some(found), Some(given)) if found != given => Err(Error::malformed(format!(
                "walloc: {name} is {given}, the tensors have {found}"
            ))),
            (found, given) => found.or(given).ok_or_else(|| untold(name)),
        }
    }
}

/// Channels and levels with `channels * 4^levels == packets`.
fn channels_and_levels(
    channels: Option<usize>,
    levels: Option<usize>,
    packets: Option<usize>,
) -> Result<(usize, usize), Error> {
    let (channels, levels) = match (channels, levels, packets) {
        (Some(channels), Some(levels), _) => (channels, levels),
        (_, _, None) => return Err(untold("channels and J")),
        (None, Some(levels), Some(packets)) => {
            let divisor = 1usize.checked_shl(2 * levels.min(LEVELS_MAX) as u32);
            (packets / divisor.unwrap_or(1), levels)
        }
        (Some(channels), None, Some(packets)) => {
            let ratio = (packets / channels.max(1)).max(1);
            (channels, ratio.ilog2() as usize / 2)
        }
        (None, None, Some(packets)) => {
            let levels = packets.trailing_zeros() as usize / 2;
            (packets >> (2 * levels), levels)
        }
    };
    let product = 4usize
        .checked_pow(u32::try_from(levels).unwrap_or(u32::MAX))
        .and_then(|factor| factor.checked_mul(channels));
    match packets {
        Some(packets) if product != Some(packets) => Err(Error::malformed(format!(
            "walloc: {channels} channels and J = {levels} do not make the {packets} packets of the tensors"
        ))),
        _ => Ok((channels, levels)),
    }
}

#[cfg(test)]
mod tests {
    use codec_core::weights::HostTensor;
    use serde_json::json;

    use super::*;

    fn tensors(full: bool) -> Tensors {
        let mut tensors = Tensors::new();
        let mut add = |name: &str, shape: &[usize]| {
            let zeros = vec![0.0; shape.iter().product()];
            tensors.insert(name, HostTensor::floats(shape, zeros).unwrap());
        };
        if full {
            add("encoder.0.conv_in.weight", &[32, 48, 3, 3]);
        } else {
            add("encoder.0.weight", &[5, 48, 1, 1]);
        }
        add("decoder.1.conv_in.weight", &[64, 5, 3, 3]);
        add("decoder.1.conv_out.weight", &[48, 64, 3, 3]);
        tensors
    }

    #[test]
    fn shapes_tell_what_is_not_given() {
        let bits = json!({"latent_bits": 8.0, "max_lr": 1e-4, "Ne": null});
        let config = WallocConfig::of(&tensors(false), Some(&bits)).unwrap();
        assert_eq!((config.channels, config.levels), (3, 2));
        assert_eq!((config.decoder_width, config.latent_dim), (64, 5));
        assert_eq!(config.encoder_width, None);
        assert_eq!((config.packets(), config.side_min()), (48, 20));
        let config = WallocConfig::of(&tensors(true), Some(&bits)).unwrap();
        assert_eq!(config.encoder_width, Some(32));
        let given = json!({"latent_bits": 4, "channels": 12});
        let config = WallocConfig::of(&tensors(true), Some(&given)).unwrap();
        assert_eq!((config.channels, config.levels), (12, 1));
    }

    #[test]
    fn contradictions_are_errors() {
        for given in [
            json!({}),
            json!({"latent_bits": 1}),
            json!({"latent_bits": "8"}),
            json!({"latent_bits": 8, "Nd": 32}),
            json!({"latent_bits": 8, "J": 3}),
            json!({"latent_bits": 8, "J": 1_000_000}),
            json!({"latent_bits": 8, "channels": 0}),
            json!({"latent_bits": 8, "channels": 3, "J": 40}),
            json!({"latent_bits": 8, "lightweight_encode": false}),
            json!({"latent_bits": 8, "latent_dim": 6}),
        ] {
            assert!(
                WallocConfig::of(&tensors(false), Some(&given)).is_err(),
                "{given}"
            );
        }
        assert!(WallocConfig::of(&tensors(false), None).is_err());
        let bits = json!({"latent_bits": 8});
        assert!(WallocConfig::of(&Tensors::new(), Some(&bits)).is_err());
    }
}
