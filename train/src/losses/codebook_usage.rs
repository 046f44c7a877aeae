//! Health of a codebook: how many of its codes are in use.

use std::collections::VecDeque;

use super::LossError;

/// Largest codebook.
const LARGEST: usize = 1 << 24;

/// How a codebook is used, over a window of the latest batches.
#[derive(Debug, Clone)]
pub struct CodebookUsage {
    counts: Vec<u64>,
    batches: VecDeque<Vec<u32>>,
    window: usize,
}

/// A look at [`CodebookUsage`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodebookHealth {
    /// Exponential of the entropy of the codes' frequencies, 1 to the size of the codebook; 0 before the first batch.
    pub perplexity: f64,
    /// Share of the codes that were used at least once, 0 to 1.
    pub utilization: f64,
    /// Number of codes that were not used.
    pub dead: usize,
}

impl CodebookHealth {
    /// Of a codebook whose codes occurred so often.
    pub fn of(counts: &[u64]) -> Self {
        let total = counts.iter().map(|&count| count as f64).sum::<f64>();
        let mut entropy = 0.0;
        let mut used = 0;
        for &count in counts.iter().filter(|&&count| count > 0) {
            let p = count as f64 / total;
            entropy -= p * p.ln();
            used += 1;
        }
        Self {
            perplexity: if used == 0 { 0.0 } else { entropy.exp() },
            utilization: used as f64 / counts.len().max(1) as f64,
            dead: counts.len() - used,
        }
    }
}

impl CodebookUsage {
    /// For a codebook of `size` codes, over the latest `window` batches.
    ///
    /// # Errors
    /// [`LossError::Parameter`] if size or window is 0 or the size above 2^24.
    pub fn new(size: usize, window: usize) -> Result<Self, LossError> {
        if !(1..=LARGEST).contains(&size) || window == 0 {
            return Err(bad(format!(
                "{size} codes over {window} batches (expected 1..={LARGEST} and at least 1)"
            )));
        }
        Ok(Self {
            counts: vec![0; size],
            batches: VecDeque::new(),
            window,
        })
    }

    /// Takes in the codes of a batch; the oldest batch beyond the window goes.
    ///
    /// # Errors
    /// [`LossError::Parameter`] for an index outside of the codebook; nothing is taken in then.
    pub fn update(&mut self, indices: &[i64]) -> Result<(), LossError> {
        let size = self.counts.len();
        let batch: Vec<u32> = indices
            .iter()
            .map(|&index| {
                u32::try_from(index)
                    .ok()
                    .filter(|&i| (i as usize) < size)
                    .ok_or_else(|| bad(format!("code {index} of a codebook of {size}")))
            })
            .collect::<Result<_, _>>()?;
        self.count(&batch, 1);
        self.batches.push_back(batch);
        if self.batches.len() > self.window
            && let Some(old) = self.batches.pop_front()
        {
            self.count(&old, -1);
        }
        Ok(())
    }

    fn count(&mut self, batch: &[u32], by: i64) {
        for &index in batch {
            if let Some(count) = self.counts.get_mut(index as usize) {
                *count = count.saturating_add_signed(by);
            }
        }
    }

    /// Perplexity, utilization and dead codes over the window.
    pub fn health(&self) -> CodebookHealth {
        CodebookHealth::of(&self.counts)
    }

    /// Indices of the codes that were not used over the window, for instance to replace them.
    pub fn dead(&self) -> Vec<usize> {
        let unused = |(index, &count): (usize, &u64)| (count == 0).then_some(index);
        self.counts.iter().enumerate().filter_map(unused).collect()
    }
}

fn bad(reason: String) -> LossError {
    LossError::Parameter {
        term: "codebook usage".into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_moves() {
        let mut usage = CodebookUsage::new(4, 2).unwrap();
        assert_eq!(
            usage.health(),
            CodebookHealth {
                perplexity: 0.0,
                utilization: 0.0,
                dead: 4
            }
        );
        usage.update(&[3, 3, 3]).unwrap();
        assert!((usage.health().perplexity - 1.0).abs() < 1e-12);
        usage.update(&[0, 1]).unwrap();
        assert_eq!(usage.dead(), [2]);
        assert_eq!(usage.health().utilization, 0.75);
        // The first batch leaves: codes 0, 1, 2, 2 remain.
        usage.update(&[2, 2]).unwrap();
        let health = usage.health();
        let entropy = 2.0 * 0.25 * 4f64.ln() + 0.5 * 2f64.ln();
        assert!((health.perplexity - entropy.exp()).abs() < 1e-12);
        assert_eq!((health.dead, usage.dead()), (1, vec![3]));
    }

    #[test]
    fn wrong_indices_change_nothing() {
        let mut usage = CodebookUsage::new(4, 2).unwrap();
        for wrong in [4, -1, i64::MAX] {
            let error = usage.update(&[0, wrong]).unwrap_err();
            assert!(error.to_string().contains(&format!("code {wrong} of")));
        }
        assert_eq!(usage.health().dead, 4);
        assert!(CodebookUsage::new(0, 1).is_err());
        assert!(CodebookUsage::new(usize::MAX, 1).is_err());
    }
}
