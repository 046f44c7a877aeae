//! What is known about a value before it is decoded, and how it is cut into decisions.

use super::Decisions;
use super::mixing::{Counter, Decision, Mixer, Model};
use super::regression::Regression;
use crate::error::{Error, Result};

/// Fraction bits of predictions and errors.
const DIGITS: u32 = 4;
/// Planes before this one that take part.
const PLANES: usize = 12;
/// Neighbours in the own plane, and a constant.
const OWN: usize = 7;
/// Input that stands for 1.
const CONSTANT: i32 = 16;

/// Levels of the expected size of an error: three an octave.
const LEVELS: usize = 64;
/// Decisions of one value that have counters of their own: quotient, sign, remainder.
const QUOTIENTS: usize = 20;
const SIGN: usize = QUOTIENTS;
const REMAINDER: usize = QUOTIENTS + 1;
const DECISIONS: usize = REMAINDER + 7;

const CONTEXTS: usize = 6;
/// Number of contexts of each kind, see [`Known::contexts`].
const SIZES: [usize; CONTEXTS] = [
    LEVELS * 3,
    LEVELS / 2 * 8,
    LEVELS,
    LEVELS / 3 * 32 + 32,
    LEVELS / 3 * 25 + 25,
    LEVELS / 3 * 35 + 35,
];

/// Values that are known, and the errors of their predictions.
pub(super) struct Field {
    height: usize,
    width: usize,
    values: Vec<i32>,
    /// In units of 1/16.
    errors: Vec<i32>,
    model: Model<CONTEXTS>,
}

impl Field {
    pub(super) fn new(height: usize, width: usize) -> Self {
        let contexts: usize = SIZES.iter().sum();
        Self {
            height,
            width,
            values: Vec::new(),
            errors: Vec::new(),
            model: Model {
                counters: vec![Counter::NEW; contexts * DECISIONS],
                mixers: [
                    Mixer::new(DECISIONS * 8, 20_000),
                    Mixer::new(LEVELS * 3, 20_000),
                ],
            },
        }
    }

    pub(super) fn into_values(self) -> Vec<i32> {
        self.values
    }

    /// Takes up a decoded value. Memory grows with what was decoded, not with the size that somebody claims.
    fn push(&mut self, value: i32, error: i32) -> Result<()> {
        let count = self.values.len() + 1;
        for (list, item) in [(&mut self.values, value), (&mut self.errors, error)] {
            let reserved = list.try_reserve(1);
            reserved.map_err(|_| Error::OutOfMemory { count })?;
            list.push(item);
        }
        Ok(())
    }

    /// Neighbours of the position that is coded next: W, N, NW, NE, WW, NN. What lies outside is the nearest that is known.
    fn neighbours(&self, source: &[i32], start: usize, y: usize, x: usize) -> [i32; OWN - 1] {
        let at = |dy: usize, left: usize, right: usize| -> Option<i32> {
            let y = y.checked_sub(dy)?;
            let x = x.checked_sub(left)? + right;
            if x >= self.width {
                return None;
            }
            source.get(start + y * self.width + x).copied()
        };
        let (west, north) = (at(0, 1, 0), at(1, 0, 0));
        let w = west.or(north).unwrap_or(0);
        let n = north.or(west).unwrap_or(0);
        [
            w,
            n,
            at(1, 1, 0).unwrap_or(if north.is_some() { n } else { w }),
            at(1, 0, 1).unwrap_or(n),
            at(0, 2, 0).unwrap_or(w),
            at(2, 0, 0).unwrap_or(n),
        ]
    }

    /// A value of a whole plane: the centre, the sum of W and N, the sum of E and S.
    fn surroundings(&self, source: &[i32], start: usize, y: usize, x: usize) -> [i32; 3] {
        let at = |y: usize, x: usize| {
            let index = start + y.min(self.height - 1) * self.width + x.min(self.width - 1);
            source.get(index).copied().unwrap_or(0)
        };
        [
            at(y, x),
            at(y, x.saturating_sub(1)) + at(y.saturating_sub(1), x),
            at(y, x + 1) + at(y + 1, x),
        ]
    }
}

/// The model of one plane.
pub(super) struct PlaneModel<'a> {
    plane: usize,
    limit: i32,
    field: &'a mut Field,
    value: Regression,
    scale: Regression,
    inputs: Vec<i32>,
    sizes: Vec<i32>,
}

/// What is known before a value.
struct Known {
    /// Prediction in units of 1/16.
    prediction: i32,
    /// Level of the expected error.
    level: usize,
    /// Errors W, N, then those of the two planes before at this place.
    errors: [i32; 4],
    /// Expected size of the error.
    size: i32,
    limit: i32,
}

/// Three levels an octave.
fn level(size: i32) -> usize {
    let size = size.max(1) as u32;
    let octave = size.ilog2();
    let rest = ((size << 8) >> octave) & 255;
    let third = u32::from(rest >= 67) + u32::from(rest >= 150);
    ((3 * octave + third) as usize).min(LEVELS - 1)
}

/// Error in units of its expected size: 0 small, 1 and 2 larger ones, below and above.
fn sized(error: i32, size: i32, steps: i32) -> i32 {
    let size = i64::from(size.max(1));
    let ratio = 2 * i64::from(error) / size;
    let magnitude = match ratio.abs() {
        0 => 0,
        1..=2 => 1,
        3..=4 => 2,
        _ => 3,
    };
    magnitude.min(steps) * ratio.signum() as i32
}

impl Known {
    /// Contexts of the counters, for a value that is mirrored by `flip`.
    fn contexts(&self, flip: i32, part: usize) -> [usize; CONTEXTS] {
        let level = self.level;
        let [w, n, before, second] = self.errors.map(|e| e * flip);
        let near = (w.abs() + n.abs()) / 2;
        let ratio = i64::from(near) * 4 / i64::from(self.size.max(1));
        let near = match ratio {
            0 => 0,
            1 => 1,
            2 => 2,
            3 => 3,
            4..=5 => 4,
            6..=7 => 5,
            8..=12 => 6,
            _ => 7,
        };
        let step = |error: i32, steps: i32| (sized(error, self.size, steps) + steps) as usize;
        let place = i64::from(self.prediction * flip) * 16 / i64::from(self.limit << DIGITS);
        let place = (place.clamp(-16, 15) + 16) as usize;
        let coarse = level / 3;
        let own = [
            level * 3 + part,
            level / 2 * 8 + near,
            level,
            coarse * 32 + place,
            coarse * 25 + step(w, 2) * 5 + step(n, 2),
            coarse * 35 + step(before, 3) * 5 + step(second, 2),
        ];
        let mut base = 0;
        let mut slots = [0; CONTEXTS];
        for ((slot, own), size) in slots.iter_mut().zip(own).zip(SIZES) {
            *slot = (base + own) * DECISIONS;
            base += size;
        }
        slots
    }
}

impl<'a> PlaneModel<'a> {
    pub(super) fn new(plane: usize, limit: i32, field: &'a mut Field) -> Self {
        let before = plane.min(PLANES);
        let weights = |own: [i64; OWN], others: usize| {
            let mut weights: Vec<i64> = own.map(|w| (w << 16) / 16).to_vec();
            weights.resize(OWN + others * before, 0);
            weights
        };
        // The third context starts afresh with each plane.
        let first: usize = SIZES.iter().take(2).sum();
        let own = field.model.counters.iter_mut().skip(first * DECISIONS);
        own.take(LEVELS * DECISIONS)
            .for_each(|counter| *counter = Counter::NEW);
        Self {
            plane,
            limit,
            value: Regression::new(weights([9, 9, -4, 2, 0, 0, 0], 3)),
            scale: Regression::new(weights([4, 4, 2, 3, 1, 1, 1], 2)),
            inputs: Vec::new(),
            sizes: Vec::new(),
            field,
        }
    }

    fn known(&mut self, y: usize, x: usize) -> Known {
        let field = &*self.field;
        let area = field.height * field.width;
        let start = self.plane * area;
        self.inputs.clear();
        self.sizes.clear();
        let own = field.neighbours(&field.values, start, y, x);
        let errors = field.neighbours(&field.errors, start, y, x);
        self.inputs.extend(own);
        self.inputs.push(CONSTANT);
        self.sizes.extend(errors.map(i32::abs));
        self.sizes.push(CONSTANT);
        let first = self.plane.saturating_sub(PLANES);
        let mut last = [0; 2];
        for plane in (first..self.plane).rev() {
            let values = field.surroundings(&field.values, plane * area, y, x);
            let [centre, before, behind] = field.surroundings(&field.errors, plane * area, y, x);
            self.inputs.extend(values);
            self.sizes
                .extend([centre.abs(), before.abs() + behind.abs()]);
            match self.plane - plane {
                1 => last[0] = centre,
                2 => last[1] = centre,
                _ => {}
            }
        }
        let bound = i64::from(self.limit) << DIGITS;
        let prediction = self.value.predict(&self.inputs, DIGITS);
        let size = self.scale.predict(&self.sizes, 0).clamp(1, bound) as i32;
        Known {
            prediction: prediction.clamp(-bound, bound) as i32,
            level: level(size),
            errors: [errors[0], errors[1], last[0], last[1]],
            size,
            limit: self.limit,
        }
    }

    /// Codes the value at a position: takes up the given one, or the one that a decoder finds.
    pub(super) fn code(
        &mut self,
        y: usize,
        x: usize,
        value: i32,
        decisions: &mut impl Decisions,
    ) -> Result<()> {
        let known = self.known(y, x);
        let nearest = (known.prediction + (1 << (DIGITS - 1))) >> DIGITS;
        let offset = known.prediction - (nearest << DIGITS);
        // Mirrored so that the prediction never lies below the nearest integer.
        let flip = if offset < 0 { -1 } else { 1 };
        let part = match offset.abs() {
            0..=2 => 0,
            3..=5 => 1,
            _ => 2,
        };
        let mut residual = Residual {
            contexts: known.contexts(flip, part),
            mixers: [known.level.min(23) / 3 * DECISIONS, known.level * 3 + part],
            model: &mut self.field.model,
            decisions,
        };
        let shift = (known.size >> DIGITS).max(1).ilog2();
        let residual = residual.code((value - nearest) * flip, shift)?;
        let value = nearest.saturating_add(residual.saturating_mul(flip));
        if !(-self.limit..=self.limit).contains(&value) {
            return Err(Error::InvalidPlaneValue {
                position: self.field.values.len(),
                limit: self.limit,
            });
        }
        let error = (value << DIGITS) - known.prediction;
        self.value.learn(&self.inputs, value);
        self.scale.learn(&self.sizes, error.abs());
        self.field.push(value, error)
    }
}

/// One value without what could be predicted.
struct Residual<'a, D> {
    contexts: [usize; CONTEXTS],
    mixers: [usize; 2],
    model: &'a mut Model<CONTEXTS>,
    decisions: &'a mut D,
}

impl<D: Decisions> Residual<'_, D> {
    fn decide(&mut self, bit: bool, kind: usize) -> Result<bool> {
        let decision = Decision {
            slots: self.contexts.map(|context| context + kind),
            mixers: [self.mixers[0] + kind, self.mixers[1]],
        };
        let (probability, mixed) = self.model.probability(&decision);
        let bit = self.decisions.decide(bit, probability)?;
        self.model.learn(&decision, &mixed, bit);
        Ok(bit)
    }

    fn even(&mut self, bit: bool) -> Result<bool> {
        self.decisions.decide(bit, 1 << 15)
    }

    /// Quotient of the magnitude in unary, the remainder of `shift` bits, the sign.
    fn code(&mut self, residual: i32, shift: u32) -> Result<i32> {
        let magnitude = residual.unsigned_abs();
        let wanted = magnitude >> shift;
        let mut quotient = 0;
        while (quotient as usize) < QUOTIENTS
            && self.decide(wanted > quotient, quotient as usize)?
        {
            quotient += 1;
        }
        if quotient as usize == QUOTIENTS {
            quotient += self.code_rest(wanted.saturating_sub(quotient))?;
        }
        let mut decoded = quotient;
        for place in (0..shift).rev() {
            let bit = magnitude >> place & 1 == 1;
            // Small values are more likely; that shows in the two highest places.
            let bit = match shift - 1 - place {
                0 => self.decide(bit, REMAINDER + quotient.min(3) as usize)?,
                1 => self.decide(bit, REMAINDER + 4 + quotient.min(2) as usize)?,
                _ => self.even(bit)?,
            };
            decoded = decoded << 1 | u32::from(bit);
        }
        let decoded = i32::try_from(decoded).unwrap_or(i32::MAX);
        if decoded == 0 {
            return Ok(0);
        }
        let negative = self.decide(residual < 0, SIGN)?;
        Ok(if negative { -decoded } else { decoded })
    }

    /// What goes beyond the unary part: the number of its bits, then these.
    fn code_rest(&mut self, rest: u32) -> Result<u32> {
        let rest = rest + 1;
        let length = rest.ilog2();
        let mut decoded = 0;
        while decoded < 17 && self.even(length > decoded)? {
            decoded += 1;
        }
        let mut value = 1u32;
        for place in (0..decoded).rev() {
            let bit = rest >> place & 1 == 1;
            value = value << 1 | u32::from(self.even(bit)?);
        }
        Ok(value - 1)
    }
}
