//! Lossless coding of the 8-bit alpha plane (`docs/bitstream.md`, "Alpha payload").
//!
//! Alpha planes are synthetic: large flat areas and soft edges. Lossless WebP codes them well, its
//! Rust encoder and decoder are in the tree already for WebP files, and they need no weights. A
//! constant plane is one value, and noise is stored as it is.

use std::io::Cursor;

use codec_core::{Error, Limits};

const CONSTANT: u8 = 0;
const WEBP: u8 = 1;
const RAW: u8 = 2;
/// Longest side of a cell: the limit of the WebP file format.
const CELL: u32 = 16_383;
/// A WebP file with one lossless chunk begins with RIFF, size, WEBP, VP8L, size.
const WEBP_PREFIX: usize = 20;

/// Codes `plane` (`height * width` values, rows from the top).
///
/// # Errors
/// [`Error::BadParameter`] if the length does not fit the size.
pub fn encode(plane: &[u8], width: u32, height: u32) -> Result<Vec<u8>, Error> {
    let count = u64::from(width) * u64::from(height);
    let Some((first, rest)) = plane.split_first().filter(|_| plane.len() as u64 == count) else {
        return Err(Error::bad_parameter(format!(
            "{} alpha values for {width}x{height} pixels",
            plane.len()
        )));
    };
    if rest.iter().all(|value| value == first) {
        return Ok(vec![CONSTANT, *first]);
    }
    let mut out = vec![WEBP];
    let mut cell = Vec::new();
    for (x, y, cell_width, cell_height) in cells(width, height) {
        cell.clear();
        for row in rows(plane, width, y, cell_height) {
            let row = row.get(x as usize..(x + cell_width) as usize);
            cell.extend_from_slice(row.unwrap_or_default());
        }
        let coded = encode_cell(&cell, cell_width, cell_height)?;
        put_varint(&mut out, coded.len());
        out.extend_from_slice(&coded);
    }
    if out.len() > plane.len() {
        out.clear();
        out.push(RAW);
        out.extend_from_slice(plane);
    }
    Ok(out)
}

/// The plane that [`encode`] was given; `height * width` values.
///
/// # Errors
/// [`Error::LimitExceeded`] for a size above `limits`, [`Error::Truncated`] or
/// [`Error::Malformed`] for data that are not those of a plane of this size.
pub fn decode(data: &[u8], width: u32, height: u32, limits: &Limits) -> Result<Vec<u8>, Error> {
    limits.check_picture(width, height)?;
    let count = u64::from(width) * u64::from(height);
    let Some((method, data)) = data.split_first() else {
        return Err(Error::Truncated {
            needed: 1,
            available: 0,
        });
    };
    match *method {
        CONSTANT => {
            exact(data, 1)?;
            filled(count, data.first().copied().unwrap_or_default())
        }
        RAW => {
            exact(data, count)?;
            Ok(data.to_vec())
        }
        WEBP => decode_cells(data, width, height),
        other => Err(Error::unsupported(format!("alpha coding method {other}"))),
    }
}

fn decode_cells(mut data: &[u8], width: u32, height: u32) -> Result<Vec<u8>, Error> {
    // All cells must be present before the plane is allocated.
    let mut coded = Vec::new();
    for cell in cells(width, height) {
        let (bytes, rest) = take_cell(data)?;
        check_cell_size(bytes, cell.2, cell.3)?;
        coded.push((cell, bytes));
        data = rest;
    }
    exact(data, 0)?;
    let mut plane = filled(u64::from(width) * u64::from(height), 0)?;
    for ((x, y, cell_width, cell_height), bytes) in coded {
        let cell = decode_cell(bytes, cell_width, cell_height)?;
        let start = y as usize * width as usize;
        let targets = plane
            .get_mut(start..)
            .unwrap_or_default()
            .chunks_exact_mut(width as usize);
        for (target, source) in targets.zip(cell.chunks_exact(cell_width as usize)) {
            let target = target.get_mut(x as usize..(x + cell_width) as usize);
            target.unwrap_or_default().copy_from_slice(source);
        }
    }
    Ok(plane)
}

/// Corner and size of every cell in raster order.
fn cells(width: u32, height: u32) -> impl Iterator<Item = (u32, u32, u32, u32)> {
    let starts = |length: u32| (0..length).step_by(CELL as usize);
    starts(height).flat_map(move |y| {
        starts(width).map(move |x| (x, y, CELL.min(width - x), CELL.min(height - y)))
    })
}

fn rows(plane: &[u8], width: u32, y: u32, count: u32) -> impl Iterator<Item = &[u8]> {
    plane
        .chunks_exact(width as usize)
        .skip(y as usize)
        .take(count as usize)
}

fn encode_cell(cell: &[u8], width: u32, height: u32) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    image_webp::WebPEncoder::new(&mut file)
        .encode(cell, width, height, image_webp::ColorType::L8)
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
    // Without metadata the encoder writes nothing but the lossless chunk, with its length in it.
    let length = file
        .get(WEBP_PREFIX - 4..WEBP_PREFIX)
        .and_then(|bytes| bytes.try_into().ok());
    let length = length.map(|bytes| u32::from_le_bytes(bytes) as usize);
    length
        .filter(|_| file.get(12..16) == Some(b"VP8L"))
        .and_then(|length| file.get(WEBP_PREFIX..WEBP_PREFIX + length))
        .map(<[u8]>::to_vec)
        .ok_or_else(|| Error::unsupported("webp encoder with another layout"))
}

/// Compares the size in a VP8L header with the one that is expected, before anything is allocated.
fn check_cell_size(bytes: &[u8], width: u32, height: u32) -> Result<(), Error> {
    let Some(header) = bytes.first_chunk::<5>() else {
        return Err(Error::malformed("alpha cell without a header"));
    };
    let [signature, bits @ ..] = *header;
    let bits = u32::from_le_bytes(bits);
    let size = ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1);
    if signature != 0x2f || bits >> 28 != 0 || size != (width, height) {
        return Err(Error::malformed(format!(
            "alpha cell of {}x{} values (expected {width}x{height})",
            size.0, size.1
        )));
    }
    Ok(())
}

fn decode_cell(bytes: &[u8], width: u32, height: u32) -> Result<Vec<u8>, Error> {
    let bad = |error: image_webp::DecodingError| Error::malformed(format!("alpha: {error}"));
    let padded = bytes.len().next_multiple_of(2);
    let too_long = || Error::malformed("alpha cell is longer than 4 GiB");
    let riff = u32::try_from(padded + 12).map_err(|_| too_long())?;
    let mut file = Vec::with_capacity(padded + WEBP_PREFIX);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&riff.to_le_bytes());
    file.extend_from_slice(b"WEBPVP8L");
    file.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    file.extend_from_slice(bytes);
    file.resize(padded + WEBP_PREFIX, 0);
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).map_err(bad)?;
    if decoder.dimensions() != (width, height) || decoder.has_alpha() || decoder.is_animated() {
        return Err(Error::malformed("alpha cell of an unexpected shape"));
    }
    let mut rgb = filled(u64::from(width) * u64::from(height) * 3, 0)?;
    decoder.read_image(&mut rgb).map_err(bad)?;
    Ok(rgb
        .chunks_exact(3)
        .filter_map(|pixel| pixel.get(1).copied())
        .collect())
}

fn filled(count: u64, value: u8) -> Result<Vec<u8>, Error> {
    let out_of_memory = || Error::Io(std::io::ErrorKind::OutOfMemory.into());
    let count = usize::try_from(count).map_err(|_| out_of_memory())?;
    let mut plane = Vec::new();
    plane
        .try_reserve_exact(count)
        .map_err(|_| out_of_memory())?;
    plane.resize(count, value);
    Ok(plane)
}

fn exact(data: &[u8], expected: u64) -> Result<(), Error> {
    let available = data.len() as u64;
    match available.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(Error::Truncated {
            needed: expected,
            available,
        }),
        std::cmp::Ordering::Greater => Err(Error::malformed(format!(
            "{} bytes after the alpha plane",
            available - expected
        ))),
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Splits a length and that many bytes off `data`.
fn take_cell(data: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let available = data.len() as u64;
    let mut length = 0u64;
    for (index, byte) in data.iter().enumerate().take(5) {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                return Err(Error::malformed(
                    "alpha cell length is not in its shortest form",
                ));
            }
            let start = index + 1;
            let needed = length + start as u64;
            let rest = data.get(start..).unwrap_or_default();
            return usize::try_from(length)
                .ok()
                .and_then(|length| rest.split_at_checked(length))
                .ok_or(Error::Truncated { needed, available });
        }
    }
    match available {
        0..5 => Err(Error::Truncated {
            needed: available + 1,
            available,
        }),
        _ => Err(Error::malformed("alpha cell length is above 32 bits")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(plane: &[u8], width: u32, height: u32) -> usize {
        let coded = encode(plane, width, height).unwrap();
        assert!(decode(&coded, width, height, &Limits::default()).unwrap() == plane);
        coded.len()
    }

    #[test]
    fn constant_planes_cost_two_bytes() {
        assert_eq!(round_trip(&[255; 640 * 480], 640, 480), 2);
        assert_eq!(round_trip(&[3], 1, 1), 2);
    }

    #[test]
    fn a_soft_disc_is_small_and_noise_does_not_grow() {
        let disc: Vec<u8> = (0..256 * 256)
            .map(|i| {
                let (x, y) = ((i % 256) as f32 - 128.0, (i / 256) as f32 - 128.0);
                ((100.0 - x.hypot(y)) * 64.0).clamp(0.0, 255.0) as u8
            })
            .collect();
        let size = round_trip(&disc, 256, 256);
        assert!(size < 5000, "{size} bytes");
        let noise: Vec<u8> = (0..4096u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        assert!(round_trip(&noise, 64, 64) <= 4097);
    }

    #[test]
    fn planes_larger_than_webp_allows_are_cut_in_cells() {
        for (width, height) in [(40_000, 3), (3, 40_000)] {
            let plane: Vec<u8> = (0..120_000u32).map(|i| (i / 700) as u8).collect();
            assert!(round_trip(&plane, width, height) < 10_000);
        }
        assert_eq!(cells(16_384, 1).count(), 2);
    }

    #[test]
    fn damage_ends_in_a_typed_error() {
        let plane: Vec<u8> = (0..1200).map(|i| (i / 50) as u8).collect();
        let coded = encode(&plane, 40, 30).unwrap();
        assert_eq!(coded.first(), Some(&WEBP));
        let limits = Limits::default();
        for length in 0..coded.len() {
            assert!(
                decode(&coded[..length], 40, 30, &limits).is_err(),
                "{length}"
            );
        }
        for at in 0..coded.len() {
            let mut damaged = coded.clone();
            damaged[at] ^= 0x41;
            let _ = decode(&damaged, 40, 30, &limits);
        }
        // Another size than the data have, one above the limits, bytes at the end.
        assert!(matches!(
            decode(&coded, 30, 40, &limits),
            Err(Error::Malformed(_))
        ));
        let tight = Limits {
            max_pixels: 1199,
            ..limits
        };
        assert!(matches!(
            decode(&coded, 40, 30, &tight),
            Err(Error::LimitExceeded { .. })
        ));
        for longer in [&coded[..], &[CONSTANT, 1], &[RAW, 1]] {
            let longer = [longer, &[0]].concat();
            let (width, height) = if longer.len() < 4 { (1, 1) } else { (40, 30) };
            assert!(matches!(
                decode(&longer, width, height, &limits),
                Err(Error::Malformed(_))
            ));
        }
        assert!(matches!(
            decode(&[9], 1, 1, &limits),
            Err(Error::Unsupported(_))
        ));
        assert!(encode(&plane, 40, 31).is_err());
        assert!(encode(&[], 0, 0).is_err());
    }

    proptest! {
        #[test]
        fn any_small_plane_comes_back(width in 1u32..20, values in prop::collection::vec(any::<u8>(), 20..200), levels in 1u8..=255) {
            let height = values.len() as u32 / width;
            let plane: Vec<u8> = values.iter().take((width * height) as usize).map(|v| v % levels).collect();
            let coded = encode(&plane, width, height).unwrap();
            prop_assert_eq!(decode(&coded, width, height, &Limits::default()).unwrap(), plane);
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&data, 5, 7, &Limits::default());
            let headed = [&[WEBP, 99, 0x2f, 4, 0x80, 1, 0][..], &data].concat();
            let _ = decode(&headed, 5, 7, &Limits::default());
        }
    }
}
