//! The authors' way to keep latents: an 8-bit picture for a lossless picture codec (section 8 of our notes on the format,
//! `to_bytes` and `concatenate_channels` of their code).

use codec_core::Error;

use super::latents::Latents;

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
/// [`Error::Unsupported`] for another number of channels or more than 8 bits, [`Error::BadParameter`] for values that do not
/// fit shape and limit.
pub fn pack(latents: &Latents) -> Result<Packed, Error> {
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
    latents.check()?;
    let offset = latents.limit.saturating_add(1);
    if offset > 128 {
        return Err(Error::unsupported(format!(
            "packing of latents up to {} (a sample holds up to 127)",
            latents.limit
        )));
    }
    let width = side * w;
    let mut samples = vec![0u8; latents.values.len()];
    let planes = latents.values.chunks((h * w).max(1));
    for (channel, plane) in planes.enumerate() {
        let (color, tile) = (channel / (side * side), channel % (side * side));
        let (top, left) = (tile / side * h, tile % side * w);
        for (i, &value) in plane.iter().enumerate() {
            let position = ((top + i / w) * width + left + i % w) * colors + color;
            if let Some(slot) = samples.get_mut(position) {
                *slot = (value + offset) as u8;
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
        let latents = |shape, limit, values| Latents {
            shape,
            limit,
            values,
        };
        let packed = pack(&latents([12, 1, 2], 31, (0..24).collect())).unwrap();
        assert_eq!((packed.colors, packed.height, packed.width), (3, 2, 4));
        // Row 0, column 3 of colour 2 is the second sample of channel 9.
        assert_eq!(packed.samples[3 * 3 + 2], 19 + 32);
        let packed = pack(&latents([4, 1, 1], 1, vec![-1, -1, 0, 1])).unwrap();
        assert_eq!((packed.colors, packed.samples), (1, vec![1, 1, 2, 3]));
        assert!(pack(&latents([4, 1, 1], 1, vec![-2, 0, 0, 0])).is_err());
        assert!(pack(&latents([4, 1, 1], 255, vec![0; 4])).is_err());
        assert!(pack(&latents([5, 1, 1], 127, vec![0; 5])).is_err());
        assert!(pack(&latents([4, 1, 1], 127, vec![0; 3])).is_err());
    }
}
