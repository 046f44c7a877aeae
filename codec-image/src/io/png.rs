//! The chunks of a PNG file that the `image` crate does not hand out.

use super::Format;
use crate::error::Error;

const SIGNATURE: usize = 8;
const IHDR_CHUNK: usize = 25;
const XMP_KEYWORD: &[u8] = b"XML:com.adobe.xmp";

/// What a look at the chunks tells.
#[derive(Debug, Default)]
pub(super) struct Chunks<'a> {
    /// Size in pixels.
    pub size: (u32, u32),
    /// EXIF data, wherever they stand: after the pixels the decoder would not see them.
    pub exif: Option<&'a [u8]>,
}

/// Walks the chunks.
///
/// # Errors
/// [`Error::Truncated`] if the file ends before its last chunk, [`Error::Unsupported`] for
/// animations and for colour that is described by code points only.
pub(super) fn check(bytes: &[u8]) -> Result<Chunks<'_>, Error> {
    let unsupported = |what: String, advice| Error::Unsupported {
        format: Format::Png.name(),
        what,
        advice,
    };
    let mut found = Chunks::default();
    let mut coded_color = false;
    let mut profile = false;
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    loop {
        let (kind, data, after) = chunk(rest).ok_or_else(|| Error::Truncated {
            format: Format::Png.name(),
            reason: "no end chunk".into(),
        })?;
        match &kind {
            b"IHDR" => {
                if let [w0, w1, w2, w3, h0, h1, h2, h3, ..] = *data {
                    let size = [[w0, w1, w2, w3], [h0, h1, h2, h3]].map(u32::from_be_bytes);
                    found.size = size.into();
                }
            }
            b"acTL" => {
                let frames = data
                    .first_chunk()
                    .map_or(0, |count| u32::from_be_bytes(*count));
                if frames > 1 {
                    return Err(unsupported(
                        format!("{frames} animation frames"),
                        "extract one frame first",
                    ));
                }
            }
            // Primaries and transfer of BT.709 and sRGB are what everybody assumes anyway.
            b"cICP" => coded_color = !matches!(data, [1, 1 | 13, ..]),
            b"iCCP" => profile = true,
            b"eXIf" => found.exif = Some(data),
            b"IEND" => break,
            _ => {}
        }
        rest = after;
    }
    if coded_color && !profile {
        return Err(unsupported(
            "a cicp colour space".into(),
            "convert it to srgb or embed an icc profile first",
        ));
    }
    Ok(found)
}

/// Type and data of the first chunk, and what follows it.
fn chunk(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (data, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (_check, rest) = rest.split_first_chunk::<4>()?;
    Some((*kind, data, rest))
}

/// Inserts an XMP packet as an international text chunk after the header chunk.
pub(super) fn insert_xmp(file: &mut Vec<u8>, xmp: &[u8]) {
    let mut body = b"iTXt".to_vec();
    body.extend_from_slice(XMP_KEYWORD);
    // End of keyword, not compressed, method 0, no language, no translated keyword.
    body.extend_from_slice(&[0; 5]);
    body.extend_from_slice(xmp);
    let mut chunk = ((body.len() - 4) as u32).to_be_bytes().to_vec();
    chunk.extend_from_slice(&body);
    chunk.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    let at = (SIGNATURE + IHDR_CHUNK).min(file.len());
    file.splice(at..at, chunk);
}
