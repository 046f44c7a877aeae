//! Looks for further pages in a TIFF file: the decoder reads the first one only.

use super::Format;
use crate::error::Error;

/// # Errors
/// [`Error::Unsupported`] if a second directory holds a picture of its own rather than a reduced
/// copy.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    if has_second_page(bytes) == Some(true) {
        return Err(Error::Unsupported {
            format: Format::Tiff.name(),
            what: "several pages".into(),
            advice: "extract one page first",
        });
    }
    Ok(())
}

/// `None` if the directories cannot be followed, which is the decoder's to report.
fn has_second_page(bytes: &[u8]) -> Option<bool> {
    let file = File {
        bytes,
        little: bytes.starts_with(b"II"),
        big: false,
    };
    let big = match file.number(2, 2)? {
        42 => false,
        43 => true,
        _ => return None,
    };
    let file = File { big, ..file };
    let first = if big {
        file.number(8, 8)?
    } else {
        file.number(4, 4)?
    };
    let (_, second) = file.directory(first)?;
    if second == 0 {
        return Some(false);
    }
    let (reduced, _) = file.directory(second)?;
    Some(!reduced)
}

struct File<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

impl File<'_> {
    fn number(&self, at: u64, size: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.little {
            bytes.iter().rev().fold(0, join)
        } else {
            bytes.iter().fold(0, join)
        })
    }

    /// Whether the directory at `at` holds a reduced copy, and where the next directory is.
    fn directory(&self, at: u64) -> Option<(bool, u64)> {
        let (count_size, entry, offset) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(at, count_size)?;
        let entries = at.checked_add(count_size as u64)?;
        let mut reduced = false;
        // Tags are sorted: NewSubfileType (254) is among the first.
        for index in 0..count.min(8) {
            let entry = entries.checked_add(index * entry)?;
            if self.number(entry, 2)? == 254 {
                let value = entry.checked_add(if self.big { 12 } else { 8 })?;
                reduced = self.number(value, 4)? & 1 == 1;
            }
        }
        let next = entries.checked_add(count.checked_mul(entry)?)?;
        Some((reduced, self.number(next, offset)?))
    }
}
