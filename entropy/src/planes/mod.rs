//! Lossless coding of several planes of integers that belong together, as the channels of a latent do.
//!
//! Planes are coded one after the other, in rows. A value is predicted from its neighbours and from the planes before, by
//! linear regression that learns as it goes ([`regression`]); a second regression predicts the size of the error. What is
//! left is cut into binary decisions, whose probabilities come from counters in several contexts ([`mixing`]). Encoder and
//! decoder learn the same from what they have in common, and nothing but integers takes part, so nothing has to be sent along
//! and a stream means the same on every machine.
//!
//! The stream is one of a single lane (see the crate's documentation) of decisions with intervals of 16 bits, a 1 first.

mod contexts;
mod mixing;
mod regression;

use std::num::NonZeroU32;

use constriction::stream::model::{DecoderModel, EntropyModel};

use crate::decoder::decode;
use crate::encoder::encode;
use crate::error::{Error, Result};
use crate::frame::{self, INITIAL, Words};
use crate::interval::Interval;
use contexts::{Field, PlaneModel};

/// Largest `limit`.
const LIMIT_MAX: i32 = (1 << 15) - 1;
/// Most values in one stream.
const VALUES_MAX: usize = 1 << 28;

/// Where decisions go to or come from.
trait Decisions {
    /// Codes a decision that is 1 with probability `probability / 2^16`. A decoder ignores `bit` and gives its own.
    fn decide(&mut self, bit: bool, probability: u32) -> Result<bool>;
}

/// Interval of a decision.
fn interval(bit: bool, probability: u32) -> Interval {
    if bit {
        Interval {
            start: 0,
            width: probability,
        }
    } else {
        Interval {
            start: probability,
            width: (1 << mixing::PRECISION) - probability,
        }
    }
}

/// Records decisions: the model runs forwards, the coder backwards.
#[derive(Default)]
struct Recorder {
    /// Probability of 1, and the bit in the highest place.
    decisions: Vec<u32>,
}

const BIT: u32 = 1 << 31;

impl Decisions for Recorder {
    fn decide(&mut self, bit: bool, probability: u32) -> Result<bool> {
        self.decisions.push(probability | if bit { BIT } else { 0 });
        Ok(bit)
    }
}

impl Recorder {
    fn finish(self) -> Result<Vec<u8>> {
        let mut state = INITIAL;
        let mut words = Vec::new();
        for &decision in self.decisions.iter().rev() {
            let interval = interval(decision & BIT != 0, decision & !BIT);
            encode::<16>(&mut state, &mut words, interval)?;
        }
        let states = [state];
        let none = self.decisions.is_empty();
        Ok(frame::write(if none { &[] } else { &states }, &words))
    }
}

/// Reads decisions from a stream.
struct Reader<'a> {
    state: u64,
    words: Words<'a>,
}

impl Decisions for Reader<'_> {
    fn decide(&mut self, _bit: bool, probability: u32) -> Result<bool> {
        let decided = decode::<16, _>(&mut self.state, &mut self.words, Binary(probability));
        decided.map_err(|_| Error::Truncated)
    }
}

/// A decision as constriction's decoder sees it.
struct Binary(u32);

impl EntropyModel<16> for Binary {
    type Symbol = bool;
    type Probability = u32;
}

impl DecoderModel<16> for Binary {
    fn quantile_function(&self, quantile: u32) -> (bool, u32, NonZeroU32) {
        let bit = quantile < self.0;
        let Interval { start, width } = interval(bit, self.0);
        (
            bit,
            start,
            NonZeroU32::new(width).unwrap_or(NonZeroU32::MIN),
        )
    }
}

/// Number of values of a shape.
fn count([planes, height, width]: [usize; 3], limit: i32) -> Result<usize> {
    let values = planes
        .checked_mul(height)
        .and_then(|n| n.checked_mul(width))
        .unwrap_or(usize::MAX);
    if values > VALUES_MAX {
        return Err(Error::TooManySymbols {
            count: values,
            limit: VALUES_MAX,
        });
    }
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Error::PlaneLimit {
            limit,
            max: LIMIT_MAX,
        });
    }
    Ok(values)
}

/// Runs the model over all planes. A decoder has no `values`; it gets them.
fn run(
    values: &[i32],
    [planes, height, width]: [usize; 3],
    limit: i32,
    decisions: &mut impl Decisions,
) -> Result<Vec<i32>> {
    let mut field = Field::new(height, width);
    let mut values = values.iter();
    for plane in 0..planes {
        let mut model = PlaneModel::new(plane, limit, &mut field);
        for y in 0..height {
            for x in 0..width {
                model.code(y, x, values.next().copied().unwrap_or(0), decisions)?;
            }
        }
    }
    Ok(field.into_values())
}

/// Encodes planes of integers, `[planes, height, width]` row-major, all in `-limit..=limit`. The shape and the limit are not
/// in the stream.
///
/// # Errors
/// [`Error::LengthMismatch`] if there are more or fewer values than the shape says, [`Error::TooManySymbols`] above 2^28,
/// [`Error::PlaneLimit`] unless `limit` is within 1..=32767, [`Error::OutsidePlaneLimit`] for a value beyond it,
/// [`Error::OutOfMemory`].
pub fn encode_planes(values: &[i32], shape: [usize; 3], limit: i32) -> Result<Vec<u8>> {
    let expected = count(shape, limit)?;
    if values.len() != expected {
        return Err(Error::LengthMismatch {
            symbols: values.len(),
            indexes: expected,
        });
    }
    let range = -limit..=limit;
    if let Some((position, &value)) = values.iter().enumerate().find(|(_, v)| !range.contains(v)) {
        return Err(Error::OutsidePlaneLimit {
            position,
            value,
            limit,
        });
    }
    let mut recorder = Recorder::default();
    run(values, shape, limit, &mut recorder)?;
    recorder.finish()
}

/// Decodes what [`encode_planes`] made of planes of this shape and limit.
///
/// # Errors
/// [`Error::TooManySymbols`], [`Error::PlaneLimit`] and [`Error::OutOfMemory`] as there; [`Error::InvalidPlaneValue`] and
/// what [`Decoder`](crate::Decoder) reports for damaged streams.
pub fn decode_planes(bytes: &[u8], shape: [usize; 3], limit: i32) -> Result<Vec<i32>> {
    let count = count(shape, limit)?;
    let (lanes, [state, ..], words) = frame::read(bytes)?;
    match lanes {
        1 => {}
        0 if count == 0 => return Ok(Vec::new()),
        0 => return Err(Error::Truncated),
        _ => return Err(Error::InvalidLanes { found: lanes as u8 }),
    }
    let mut reader = Reader { state, words };
    let values = run(&[], shape, limit, &mut reader)?;
    frame::check_end(&[reader.state], reader.words)?;
    Ok(values)
}

#[cfg(test)]
mod tests;
