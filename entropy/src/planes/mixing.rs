//! Probabilities of binary decisions: adaptive counters in several contexts, mixed in the logistic domain (Mahoney, "Adaptive
//! weighing of context models for lossless data compression", 2005). Everything is integers.

use std::sync::LazyLock;

/// Bits of a probability.
pub(super) const PRECISION: u32 = 16;
/// Least probability of either outcome, in units of `2^-16`.
const LEAST: i32 = 24;
/// Logits are in units of 1/256 and stay below this in magnitude.
const LOGIT_MAX: i32 = 2047;
/// `65536 / (1 + exp(-x))` for x = -8, -7.5, .. 8, so that every machine has the same.
const LOGISTIC: [i32; 33] = [
    22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24742, 32768,
    40794, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438,
    65476, 65500, 65514,
];

/// Logits of probabilities in steps of 1/4096.
static LOGITS: LazyLock<Vec<i16>> = LazyLock::new(|| {
    let mut logits = Vec::with_capacity(4096);
    let mut logit = -LOGIT_MAX;
    for step in 0..4096 {
        while logit < LOGIT_MAX && logistic(logit) < step * 16 + 8 {
            logit += 1;
        }
        logits.push(logit as i16);
    }
    logits
});

/// Probability of a logit, in units of `2^-16`.
fn logistic(logit: i32) -> i32 {
    let x = logit.clamp(-LOGIT_MAX, LOGIT_MAX) + 2048;
    let (index, part) = ((x >> 7) as usize, x & 127);
    match LOGISTIC.get(index..index + 2) {
        Some([low, high]) => (low * (128 - part) + high * part + 64) >> 7,
        _ => 1 << 15,
    }
}

/// How often a decision was 1 in one context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    probability: u16,
    count: u8,
}

/// A counter's share of the difference is `1 / (count + 1.5)` down to `1 / (COUNT_MAX + 1.5)`.
const COUNT_MAX: u8 = 120;

impl Counter {
    pub(super) const NEW: Self = Self {
        probability: 1 << 15,
        count: 0,
    };

    /// The logit, drawn to 0 while it rests on little.
    fn logit(self) -> i32 {
        let logit = LOGITS.get(usize::from(self.probability >> 4)).copied();
        let count = i32::from(self.count);
        i32::from(logit.unwrap_or(0)) * count / (count + 1)
    }

    fn learn(&mut self, bit: bool) {
        let target = if bit { 65535 } else { 0 };
        let difference = target - i32::from(self.probability);
        let step = 2 * difference / (2 * i32::from(self.count) + 3);
        self.probability = (i32::from(self.probability) + step).clamp(0, 65535) as u16;
        self.count = (self.count + 1).min(COUNT_MAX);
    }
}

/// Weighs the logits of `INPUTS` counters; which weights are used is chosen by a context of its own.
#[derive(Debug, Clone)]
pub(super) struct Mixer<const INPUTS: usize> {
    weights: Vec<[i32; INPUTS]>,
}

impl<const INPUTS: usize> Mixer<INPUTS> {
    /// All weights alike, in units of `2^-16`.
    pub(super) fn new(contexts: usize, weight: i32) -> Self {
        Self {
            weights: vec![[weight; INPUTS]; contexts],
        }
    }

    fn logit(&self, context: usize, logits: &[i32; INPUTS]) -> i32 {
        let Some(weights) = self.weights.get(context) else {
            return 0;
        };
        let pairs = weights.iter().zip(logits);
        let sum: i64 = pairs.map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
        (sum >> 16).clamp(-i64::from(LOGIT_MAX), i64::from(LOGIT_MAX)) as i32
    }

    fn learn(&mut self, context: usize, logits: &[i32; INPUTS], error: i32) {
        for (weight, &x) in self
            .weights
            .get_mut(context)
            .into_iter()
            .flatten()
            .zip(logits)
        {
            let step = (x * error + (1 << (RATE - 1))) >> RATE;
            *weight = (*weight + step).clamp(-(1 << 20), 1 << 20);
        }
    }
}

/// Learning rate of the mixers: errors are in units of `2^-16`, logits in 1/256.
const RATE: u32 = 14;

/// Counters of one decision and the mixers that weigh them.
#[derive(Debug)]
pub(super) struct Decision<const INPUTS: usize> {
    pub slots: [usize; INPUTS],
    pub mixers: [usize; 2],
}

/// Models binary decisions.
#[derive(Debug, Clone)]
pub(super) struct Model<const INPUTS: usize> {
    pub counters: Vec<Counter>,
    pub mixers: [Mixer<INPUTS>; 2],
}

impl<const INPUTS: usize> Model<INPUTS> {
    /// Probability of 1 in units of `2^-16`, never 0 or 1, and what [`Model::learn`] needs.
    pub(super) fn probability(&self, decision: &Decision<INPUTS>) -> (u32, Mixed<INPUTS>) {
        let logits = decision.slots.map(|slot| {
            let counter = self.counters.get(slot).copied();
            counter.unwrap_or(Counter::NEW).logit()
        });
        let [a, b] = &self.mixers;
        let [first, second] = decision.mixers;
        let own = [a.logit(first, &logits), b.logit(second, &logits)];
        let together = (own[0] + own[1]) >> 1;
        let probability = logistic(together).clamp(LEAST, (1 << PRECISION) - LEAST);
        (probability as u32, Mixed { logits, own })
    }

    /// Learns what the decision was.
    pub(super) fn learn(&mut self, decision: &Decision<INPUTS>, mixed: &Mixed<INPUTS>, bit: bool) {
        let target = i32::from(bit) << PRECISION;
        for ((mixer, &context), &own) in
            self.mixers.iter_mut().zip(&decision.mixers).zip(&mixed.own)
        {
            mixer.learn(context, &mixed.logits, target - logistic(own));
        }
        for &slot in &decision.slots {
            if let Some(counter) = self.counters.get_mut(slot) {
                counter.learn(bit);
            }
        }
    }
}

/// What a probability was made of.
#[derive(Debug)]
pub(super) struct Mixed<const INPUTS: usize> {
    logits: [i32; INPUTS],
    own: [i32; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_invert_the_logistic_function() {
        for logit in (-1400..1400).step_by(37) {
            let probability = logistic(logit);
            let back = i32::from(LOGITS[(probability >> 4) as usize]);
            let slope = i64::from(probability) * i64::from(65536 - probability) / (65536 * 256);
            // A step of the table is 16 units.
            let tolerance = 2 + 16 / slope.max(1) as i32;
            assert!((back - logit).abs() <= tolerance, "{logit} {back}");
        }
        assert!((1..4096).all(|i| LOGITS[i] >= LOGITS[i - 1]));
    }

    #[test]
    fn a_constant_decision_becomes_cheap() {
        let mut model = Model::<2> {
            counters: vec![Counter::NEW; 2],
            mixers: [Mixer::new(1, 1 << 15), Mixer::new(1, 1 << 15)],
        };
        let decision = Decision {
            slots: [0, 1],
            mixers: [0, 0],
        };
        for _ in 0..200 {
            let (_, mixed) = model.probability(&decision);
            model.learn(&decision, &mixed, true);
        }
        let (probability, _) = model.probability(&decision);
        assert!(probability > 65000, "{probability}");
    }
}
