//! The authors' way to keep latents: an 8-bit picture for a lossless picture codec (section 8 of our notes on the format,
//! `to_bytes` and `concatenate_channels` of their code).

use codec_core::Error;

use super::model::{Latents, product};

/// Latents tiled into a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Colours: 3 or 1.
    pub colors: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height * width * colors` samples, interleaved.
    pub samples: Vec<u8>,
}

/// Tiles latents of up to 8 bits into a picture of three colours if their channels are three times a square, else of one
/// colour if they are a square: channel `c n^2 + i n + j` goes to colour c, tile row i, tile column j.
///
/// # Errors
/// [`Error::Unsupported`] for another number of channels, [`Error::BadParameter`] for values beyond 8 bits or that do not fit
/// the shape.
pub fn pack(latents: &Latents, bits: u32) -> Result<Packed, Error> {
    let [channels, h, w] = latents.shape;
    let (colors, side) = [3, 1]
        .into_iter()
        .filter(|colors| channels.is_multiple_of(*colors))
        .find_map(|colors| {
            let side = (channels / colors).isqrt();
            (side > 0 && side * side * colors == channels).then_some((colors, side))
        })
        .ok_or_else(|| {
            Error::unsupported(format!(
                "packing of {channels} channels (neither a square nor three times one)"
            ))
        })?;
    if !(1..=8).contains(&bits) || product(&latents.shape) != Some(latents.values.len()) {
        return Err(Error::bad_parameter(format!(
            "packing of latents {:?} with {} values of {bits} bits",
            latents.shape,
            latents.values.len()
        )));
    }
    let offset = 1i32 << (bits - 1);
    let width = side * w;
    let mut samples = vec![0u8; latents.values.len()];
    let planes = latents.values.chunks((h * w).max(1));
    for (channel, plane) in planes.enumerate() {
        let (color, tile) = (channel / (side * side), channel % (side * side));
        let (top, left) = (tile / side * h, tile % side * w);
        for (i, &value) in plane.iter().enumerate() {
            let sample = u8::try_from(value.saturating_add(offset)).ok();
            let sample = sample.filter(|&v| i32::from(v) < 2 * offset);
            let position = ((top + i / w) * width + left + i % w) * colors + color;
            match (samples.get_mut(position), sample) {
                (Some(slot), Some(sample)) => *slot = sample,
                _ => {
                    return Err(Error::bad_parameter(format!(
                        "a latent of {value} (expected {bits} bits)"
                    )));
                }
            }
        }
    }
    Ok(Packed {
        colors,
        height: side * h,
        width,
        samples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_go_to_colours_and_tiles() {
        let latents = Latents {
            shape: [12, 1, 2],
            values: (0..24).collect(),
        };
        let packed = pack(&latents, 6).unwrap();
        assert_eq!((packed.colors, packed.height, packed.width), (3, 2, 4));
        // Row 0, column 3 of colour 2 is the second sample of channel 9.
        assert_eq!(packed.samples[3 * 3 + 2], 19 + 32);
        let gray = Latents {
            shape: [4, 1, 1],
            values: vec![-2, -1, 0, 1],
        };
        let packed = pack(&gray, 2).unwrap();
        assert_eq!((packed.colors, packed.samples), (1, vec![0, 1, 2, 3]));
        assert!(pack(&latents, 5).is_err() && pack(&latents, 9).is_err());
        let odd = Latents {
            shape: [5, 1, 1],
            values: vec![0; 5],
        };
        assert!(pack(&odd, 8).is_err());
    }
}
