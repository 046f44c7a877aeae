//! NumPy's array files, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use crate::Error;
use crate::weights::{HostTensor, Values};

const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// The array begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// Longest header that is read.
const HEADER_MAX: usize = 1 << 16;
/// Most dimensions.
const RANK_MAX: usize = 32;

/// Element types that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// `uint16`.
    U16,
    /// `uint32`.
    U32,
    /// `int8`.
    I8,
    /// `int16`.
    I16,
    /// `int32`.
    I32,
}

/// Whether these bytes begin as an array file.
pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Writes integers in row-major order; those that do not fit the element type are cut to it.
pub fn write(shape: &[usize], values: &[i64], element: Element) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    // A tuple of one element keeps its comma.
    let comma = if shape.len() == 1 { "," } else { "" };
    let descr = match element {
        Element::U16 => "<u2",
        Element::U32 => "<u4",
        Element::I8 => "|i1",
        Element::I16 => "<i2",
        Element::I32 => "<i4",
    };
    let mut header = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sides.join(", ")
    );
    let before = MAGIC.len() + 4;
    let padded = (before + header.len() + 1).next_multiple_of(ALIGNMENT);
    header.extend(std::iter::repeat_n(' ', padded - before - header.len() - 1));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.into_bytes());
    // Two's complement: the low bytes are those of the shorter type, with a sign or without.
    let size = match element {
        Element::I8 => 1,
        Element::U16 | Element::I16 => 2,
        Element::U32 | Element::I32 => 4,
    };
    bytes.extend(
        values
            .iter()
            .flat_map(|v| v.to_le_bytes().into_iter().take(size)),
    );
    bytes
}

/// Reads an array of numbers, and returns what follows it in the file.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Truncated`], and [`Error::Unsupported`] for element types and orders that arrays of
/// numbers from little-endian machines do not have.
pub fn read(bytes: &[u8]) -> Result<(HostTensor, &[u8]), Error> {
    let truncated = |needed: usize| Error::Truncated {
        needed: needed as u64,
        available: bytes.len() as u64,
    };
    let rest = bytes
        .strip_prefix(&MAGIC)
        .ok_or_else(|| Error::malformed("not an npy file"))?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(truncated(8))?;
    let (length, rest) = match version {
        [1, _] => {
            let (length, rest) = rest.split_first_chunk().ok_or(truncated(10))?;
            (u16::from_le_bytes(*length) as usize, rest)
        }
        [2 | 3, _] => {
            let (length, rest) = rest.split_first_chunk().ok_or(truncated(12))?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        [found, _] => return Err(Error::unsupported(format!("npy version {found}"))),
    };
    if length > HEADER_MAX {
        return Err(Error::malformed(format!("npy header of {length} bytes")));
    }
    let start = bytes.len() - rest.len();
    let (header, rest) = rest
        .split_at_checked(length)
        .ok_or(truncated(start + length))?;
    let header = std::str::from_utf8(header).map_err(|_| Error::malformed("npy header"))?;
    let Header { descr, shape } = Header::parse(header)?;
    let size = match descr {
        "|b1" | "|u1" | "|i1" => 1,
        "<u2" | "<i2" | "<f2" => 2,
        "<u4" | "<i4" | "<f4" => 4,
        "<u8" | "<i8" | "<f8" => 8,
        other => return Err(Error::unsupported(format!("npy elements '{other}'"))),
    };
    let length = shape
        .iter()
        .try_fold(size, |n: usize, &side| n.checked_mul(side))
        .ok_or_else(|| Error::malformed(format!("npy array of shape {shape:?}")))?;
    let start = bytes.len() - rest.len();
    let (data, rest) = rest
        .split_at_checked(length)
        .ok_or(truncated(start.saturating_add(length)))?;
    let values = match descr {
        "|b1" | "|u1" => integers(data, |[v]: [u8; 1]| v.into()),
        "|i1" => integers(data, |v| i8::from_le_bytes(v).into()),
        "<u2" => integers(data, |v| u16::from_le_bytes(v).into()),
        "<i2" => integers(data, |v| i16::from_le_bytes(v).into()),
        "<u4" => integers(data, |v| u32::from_le_bytes(v).into()),
        "<i4" => integers(data, |v| i32::from_le_bytes(v).into()),
        "<u8" | "<i8" => integers(data, i64::from_le_bytes),
        "<f2" => floats(data, |v| half::f16::from_le_bytes(v).to_f32()),
        "<f4" => floats(data, f32::from_le_bytes),
        _ => floats(data, |v| f64::from_le_bytes(v) as f32),
    };
    Ok((HostTensor::new(shape, values)?, rest))
}

fn integers<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> i64) -> Values {
    Values::Integers(data.as_chunks::<N>().0.iter().map(|&v| of(v)).collect())
}

fn floats<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> f32) -> Values {
    Values::Floats(data.as_chunks::<N>().0.iter().map(|&v| of(v)).collect())
}

/// The dictionary before the array.
struct Header<'a> {
    descr: &'a str,
    shape: Vec<usize>,
}

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Result<Self, Error> {
        let bad = |what: &str| Error::malformed(format!("npy header: no {what}"));
        let value = |key: &str| -> Option<&'a str> {
            let after = text.split_once(&format!("'{key}'"))?.1;
            Some(after.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = value("descr")
            .and_then(|v| v.strip_prefix('\'')?.split_once('\''))
            .ok_or_else(|| bad("descr"))?
            .0;
        let order = value("fortran_order").ok_or_else(|| bad("fortran_order"))?;
        if !order.starts_with("False") {
            return Err(Error::unsupported("npy arrays in column-major order"));
        }
        let sides = value("shape")
            .and_then(|v| v.strip_prefix('(')?.split_once(')'))
            .ok_or_else(|| bad("shape"))?
            .0;
        let shape: Vec<usize> = sides
            .split(',')
            .map(str::trim)
            .filter(|side| !side.is_empty())
            .map(|side| side.parse().map_err(|_| bad("shape")))
            .collect::<Result<_, _>>()?;
        if shape.len() > RANK_MAX {
            return Err(bad("shape of a usual number of dimensions"));
        }
        Ok(Self { descr, shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_with_what_follows() {
        for shape in [&[][..], &[1], &[2, 3], &[1, 1, 6]] {
            let count = shape.iter().product::<usize>();
            for (element, size, scale) in [
                (Element::U16, 2, 1000),
                (Element::U32, 4, 100_000_000),
                (Element::I8, 1, -20),
                (Element::I16, 2, -1000),
                (Element::I32, 4, -100_000_000),
            ] {
                let values: Vec<i64> = (0..count as i64).map(|v| v * scale).collect();
                let mut bytes = write(shape, &values, element);
                assert_eq!((bytes.len() - count * size) % ALIGNMENT, 0);
                bytes.extend(b"rest");
                let (array, rest) = read(&bytes).unwrap();
                assert_eq!(array.shape(), shape);
                assert_eq!(array.as_integers().unwrap(), values);
                assert_eq!(rest, b"rest");
            }
        }
    }

    /// What `numpy.save` writes for `numpy.array([[1.5], [-2.0]], dtype="float32")`.
    #[test]
    fn numpys_own_header_is_read() {
        let mut bytes =
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }"
                .to_vec();
        bytes.resize(127, b' ');
        bytes.push(b'\n');
        bytes.extend(1.5f32.to_le_bytes());
        bytes.extend((-2f32).to_le_bytes());
        let (array, rest) = read(&bytes).unwrap();
        assert_eq!(array.shape(), [2, 1]);
        assert_eq!(array.as_floats().unwrap(), [1.5, -2.0]);
        assert!(rest.is_empty());
    }

    #[test]
    fn damage_is_refused() {
        let bytes = write(&[2, 3], &[9; 6], Element::U16);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        let with = |from: &str, to: &str| {
            let text = String::from_utf8_lossy(&bytes[10..]).replacen(from, to, 1);
            let mut changed = bytes[..10].to_vec();
            changed.extend(text.bytes());
            read(&changed).unwrap_err().to_string()
        };
        assert!(with("False", "True ").contains("column-major"));
        assert!(with("<u2", ">u2").contains("elements"));
        assert!(with("<u2", "|O ").contains("elements"));
        assert!(with("(2, 3)", "(-2,3)").contains("shape"));
        let huge = "(99999999999,99999999999), }";
        let text = format!("{{'descr': '<u2', 'fortran_order': False, 'shape': {huge}\n");
        let mut changed = b"\x93NUMPY\x01\x00".to_vec();
        changed.extend((text.len() as u16).to_le_bytes());
        changed.extend(text.bytes());
        assert!(read(&changed).is_err());
    }
}
