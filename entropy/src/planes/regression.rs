//! Linear prediction that learns while coding: least squares in integers.

/// Fraction bits of weights.
const FRACTION: u32 = 16;
/// Largest magnitude of a weight.
const WEIGHT_MAX: i128 = 8 << FRACTION;
/// Samples that the weights at the start count for.
const PRIOR: i64 = 12;
/// Sums are halved after so many samples, so that they stay within 64 bits and old samples fade.
const MEMORY: u32 = 1 << 11;
/// Samples between two solutions once there are many.
const INTERVAL: u32 = 16;
/// Passes over the weights in a solution, which starts from the one before.
const SWEEPS: usize = 2;

/// Weights that minimize the squared error over the samples so far.
///
/// Sums of products are exact, and the normal equations are solved by Gauss-Seidel iteration in fixed point: every machine
/// finds the same weights.
#[derive(Debug, Clone)]
pub(super) struct Regression {
    /// Sums of products of inputs, one row an input; only the lower triangle is kept up to date.
    products: Vec<i64>,
    /// Sums of products of inputs and target.
    targets: Vec<i64>,
    start: Vec<i64>,
    weights: Vec<i64>,
    count: u32,
}

impl Regression {
    /// Weights at the start are `start / 2^16`.
    pub(super) fn new(start: Vec<i64>) -> Self {
        let inputs = start.len();
        Self {
            products: vec![0; inputs * inputs],
            targets: vec![0; inputs],
            weights: start.clone(),
            start,
            count: 0,
        }
    }

    /// Prediction in units of `2^-digits` of the target's.
    pub(super) fn predict(&self, inputs: &[i32], digits: u32) -> i64 {
        let pairs = self.weights.iter().zip(inputs);
        let sum = pairs.fold(0i64, |sum, (&w, &x)| {
            sum.wrapping_add(w.wrapping_mul(i64::from(x)))
        });
        let shift = FRACTION - digits;
        (sum + (1 << (shift - 1))) >> shift
    }

    /// Learns a sample.
    pub(super) fn learn(&mut self, inputs: &[i32], target: i32) {
        let rows = self.products.chunks_exact_mut(inputs.len().max(1));
        for (i, ((row, sum), &x)) in rows.zip(&mut self.targets).zip(inputs).enumerate() {
            let x = i64::from(x);
            *sum += x * i64::from(target);
            for (product, &y) in row.iter_mut().zip(inputs).take(i + 1) {
                *product += x * i64::from(y);
            }
        }
        self.count += 1;
        if self.count.is_multiple_of(INTERVAL)
            || (self.count < INTERVAL && self.count.is_multiple_of(4))
        {
            self.solve();
        }
        if self.count == MEMORY {
            self.count /= 2;
            for sum in self.products.iter_mut().chain(&mut self.targets) {
                *sum /= 2;
            }
        }
    }

    fn solve(&mut self) {
        let inputs = self.weights.len();
        for _ in 0..SWEEPS {
            for i in 0..inputs {
                let at = |row: usize, column: usize| {
                    let index = row * inputs + column;
                    self.products.get(index).copied().unwrap_or(0)
                };
                let lower = self.weights.iter().enumerate().take(i);
                let upper = self.weights.iter().enumerate().skip(i + 1);
                let others = lower
                    .map(|(j, &w)| i128::from(at(i, j)) * i128::from(w))
                    .sum::<i128>()
                    + upper
                        .map(|(j, &w)| i128::from(at(j, i)) * i128::from(w))
                        .sum::<i128>();
                let energy = at(i, i);
                let pull = i128::from(1 + PRIOR * (energy / (i64::from(self.count) + 1)));
                let start = self.start.get(i).copied().unwrap_or(0);
                let target = self.targets.get(i).copied().unwrap_or(0);
                let sum = (i128::from(target) << FRACTION) + pull * i128::from(start) - others;
                let weight = (sum / (i128::from(energy) + pull)).clamp(-WEIGHT_MAX, WEIGHT_MAX);
                if let Some(slot) = self.weights.get_mut(i) {
                    *slot = weight as i64;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_law_is_learnt() {
        let mut regression = Regression::new(vec![0, 0, 0]);
        let mut state = 1u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as i32 - 128
        };
        for _ in 0..4000 {
            let (x, y) = (draw(), draw());
            regression.learn(&[x, y, 16], (3 * x - 2 * y) / 4 + 20);
        }
        let predicted = regression.predict(&[100, 40, 16], 4);
        assert!((predicted - 16 * 75).abs() < 24, "{predicted}");
    }
}
