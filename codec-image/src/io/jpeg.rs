//! What the JPEG decoder of the `image` crate does not tell: it turns CMYK into RGB and fills what
//! is missing at the end of a file with gray. Both would be silent changes.

use super::Format;
use crate::error::Error;

const XMP_NAME: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Longest XMP packet that one segment holds.
pub(super) const MAX_XMP: usize = 65_533 - XMP_NAME.len();
/// Longest EXIF data that one segment holds.
pub(super) const MAX_EXIF: usize = 65_533 - 6;
/// Longest ICC profile that the encoder can split over segments.
pub(super) const MAX_ICC: usize = (65_533 - 14) * 255;

/// Walks the segments up to the end-of-image marker.
///
/// # Errors
/// [`Error::Truncated`] if there is no such marker, [`Error::Unsupported`] for CMYK and for other
/// depths than 8 bits.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut at = 2;
    loop {
        at = next_marker(bytes, at).ok_or_else(truncated)?;
        let marker = bytes.get(at + 1).copied().ok_or_else(truncated)?;
        at += 2;
        match marker {
            0xd9 => return Ok(()),
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .ok_or_else(truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let segment = bytes
            .get(at + 2..at + length.max(2))
            .ok_or_else(truncated)?;
        // Start of frame; C4, C8 and CC are other things.
        if matches!(marker, 0xc0..=0xcf)
            && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
            && let (Some(&depth), Some(&channels)) = (segment.first(), segment.get(5))
        {
            check_frame(depth, channels)?;
        }
        at += length.max(2);
    }
}

fn check_frame(depth: u8, channels: u8) -> Result<(), Error> {
    let (what, advice) = if channels == 4 {
        ("cmyk colour".to_owned(), "convert it to rgb first")
    } else if depth != 8 {
        (
            format!("{depth} bits a sample"),
            "convert it to 8 bits first",
        )
    } else {
        return Ok(());
    };
    Err(Error::Unsupported {
        format: Format::Jpeg.name(),
        what,
        advice,
    })
}

/// Position of the next marker at or after `at`: 0xff with a byte that is neither stuffing nor a
/// fill byte.
fn next_marker(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let found = rest
        .windows(2)
        .position(|pair| matches!(pair, [0xff, 1..=0xfe]))?;
    Some(at + found)
}

fn truncated() -> Error {
    Error::Truncated {
        format: Format::Jpeg.name(),
        reason: "no end-of-image marker".into(),
    }
}

/// Inserts an XMP segment after the JFIF segment that our encoder writes first.
pub(super) fn insert_xmp(file: &mut Vec<u8>, xmp: &[u8]) {
    let jfif = match file.get(2..6) {
        Some([0xff, 0xe0, high, low]) => 2 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    let mut segment = vec![0xff, 0xe1];
    let length = (2 + XMP_NAME.len() + xmp.len()) as u16;
    segment.extend_from_slice(&length.to_be_bytes());
    segment.extend_from_slice(XMP_NAME);
    segment.extend_from_slice(xmp);
    let at = (2 + jfif).min(file.len());
    file.splice(at..at, segment);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_would_be_changed_are_refused() {
        for (depth, channels) in [(8, 4), (12, 3), (12, 1)] {
            let file = [
                &[0xff, 0xd8, 0xff, 0xc0, 0, 8, depth, 0, 1, 0, 1, channels][..],
                &[0xff, 0xd9],
            ]
            .concat();
            assert!(matches!(check(&file), Err(Error::Unsupported { .. })));
        }
        assert!(check(&[0xff, 0xd8, 0xff, 0xff, 0xd9]).is_ok());
        assert!(check(&[0xff, 0xd8, 0xff]).unwrap_err().is_truncated());
        assert!(
            check(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xe1, 0])
                .unwrap_err()
                .is_truncated()
        );
    }
}
