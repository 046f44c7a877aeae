//! Cumulative counts that can be changed and searched in logarithmic time.

/// A Fenwick tree over the counts of an alphabet.
#[derive(Debug, Clone)]
pub(crate) struct Fenwick {
    /// `sums[i]` holds the counts of the `lowest_bit(i + 1)` symbols that end with `i`.
    sums: Vec<u32>,
    counts: Vec<u32>,
    total: u32,
}

impl Fenwick {
    /// A count of 1 for each of `size` symbols.
    pub(crate) fn new(size: usize) -> Self {
        let mut tree = Self {
            sums: Vec::new(),
            counts: vec![1; size],
            total: 0,
        };
        tree.rebuild();
        tree
    }

    /// Sum of all counts.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// Count of a symbol (0 outside the alphabet).
    pub(crate) fn count(&self, symbol: usize) -> u32 {
        self.counts.get(symbol).copied().unwrap_or(0)
    }

    /// Sum of the counts before a symbol.
    pub(crate) fn before(&self, symbol: usize) -> u32 {
        let mut sum = 0;
        let mut end = symbol;
        while end > 0 {
            sum += self.sums.get(end - 1).copied().unwrap_or(0);
            end &= end - 1;
        }
        sum
    }

    /// The symbol that holds `target` (below the total), and the sum before it.
    pub(crate) fn find(&self, target: u32) -> (usize, u32) {
        let mut before = 0;
        let mut symbol = 0;
        let mut step = self.sums.len().checked_ilog2().map_or(0, |bits| 1 << bits);
        while step > 0 {
            if let Some(&sum) = self.sums.get(symbol + step - 1)
                && before + sum <= target
            {
                symbol += step;
                before += sum;
            }
            step >>= 1;
        }
        (symbol, before)
    }

    /// Adds to the count of a symbol.
    pub(crate) fn add(&mut self, symbol: usize, amount: u32) {
        let Some(count) = self.counts.get_mut(symbol) else {
            return;
        };
        *count += amount;
        self.total += amount;
        let mut at = symbol;
        while let Some(sum) = self.sums.get_mut(at) {
            *sum += amount;
            at |= at + 1;
        }
    }

    /// Halves all counts, rounding up.
    pub(crate) fn halve(&mut self) {
        self.counts
            .iter_mut()
            .for_each(|count| *count = count.div_ceil(2));
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.total = self.counts.iter().sum();
        self.sums.clone_from(&self.counts);
        for at in 0..self.sums.len() {
            let sum = self.sums.get(at).copied().unwrap_or(0);
            if let Some(parent) = self.sums.get_mut(at | (at + 1)) {
                *parent += sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_plain_sums() {
        for size in [1, 2, 3, 7, 8, 9, 100] {
            let mut tree = Fenwick::new(size);
            for round in 0..200 {
                tree.add(round * 7 % size, round as u32 % 5);
                if round % 50 == 49 {
                    tree.halve();
                }
                let mut before = 0;
                for symbol in 0..size {
                    assert_eq!(tree.before(symbol), before);
                    for target in before..before + tree.count(symbol) {
                        assert_eq!(tree.find(target), (symbol, before));
                    }
                    before += tree.count(symbol);
                }
                assert_eq!(tree.total(), before);
            }
        }
    }
}
