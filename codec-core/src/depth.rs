//! How the samples of a recording are stored.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Sample format of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Depth {
    /// Integers of 8 bits.
    Int8,
    /// Integers of 16 bits.
    #[default]
    Int16,
    /// Integers of 24 bits.
    Int24,
    /// Integers of 32 bits.
    Int32,
    /// Floats of 32 bits, full scale at -1 and 1.
    Float,
}

impl Depth {
    /// All of them, with their names, in the order of their codes in files.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Int8, "8"),
        (Self::Int16, "16"),
        (Self::Int24, "24"),
        (Self::Int32, "32"),
        (Self::Float, "f32"),
    ];

    /// Bits a sample.
    pub const fn bits(self) -> u16 {
        match self {
            Self::Int8 => 8,
            Self::Int16 => 16,
            Self::Int24 => 24,
            Self::Int32 | Self::Float => 32,
        }
    }

    /// The integer of a sample, full scale at -1 and 1: the nearest one, of two the even one, no dither. `None` for floats.
    pub fn integer(self, sample: f32) -> Option<i32> {
        if self == Self::Float {
            return None;
        }
        let scale = 2f64.powi(i32::from(self.bits()) - 1);
        let value = (f64::from(sample) * scale).round_ties_even();
        Some(value.clamp(-scale, scale - 1.0) as i32)
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(depth, _)| depth == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Depth {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(depth, _)| *depth).ok_or_else(|| {
            Error::bad_parameter(format!(
                "unknown bit depth '{text}' (expected 8, 16, 24, 32 or f32)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for (depth, name) in Depth::ALL {
            assert_eq!(
                (depth.to_string(), name.parse::<Depth>().unwrap()),
                (name.into(), depth)
            );
        }
        assert!("12".parse::<Depth>().is_err());
    }

    #[test]
    fn samples_are_rounded_and_clipped() {
        for (depth, sample, integer) in [
            (Depth::Int16, 1.0, 32767),
            (Depth::Int16, -1.5, -32768),
            (Depth::Int16, 0.5 / 32768.0, 0),
            (Depth::Int16, 1.5 / 32768.0, 2),
            (Depth::Int8, -0.5, -64),
            (Depth::Int24, 0.5, 1 << 22),
            (Depth::Int32, 2.0, i32::MAX),
            (Depth::Int32, -1.0, i32::MIN),
        ] {
            assert_eq!(depth.integer(sample), Some(integer), "{depth} {sample}");
        }
        assert_eq!(Depth::Float.integer(0.5), None);
    }
}
