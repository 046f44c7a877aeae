//! Values outside a table's support.
//!
//! After a table's escape symbol comes how far the value lies outside, folded to one unsigned number `raw`: even numbers
//! lie above the support, odd ones below. With `m = raw + 1` and `n` the position of its highest bit, four uniform bits
//! carry `min(n, 15)`, five more carry `n - 15` if that was 15, and `n` bits carry the rest of `m`, low ones first, in
//! groups of at most 16. That is an Exp-Golomb code with a fixed-length prefix: 4 bits for the next value outside,
//! 2 bits more for each quadrupling.

use crate::interval::{Interval, Uniform};

/// Largest `n`: `raw` stays below 2^34 for any value and any support.
const MAX_BITS: u32 = 33;
const LONG: u32 = 15;

/// Folds a value outside of `[offset, offset + count)`.
pub(crate) fn fold(symbol: i32, offset: i32, count: u32) -> u64 {
    let distance = i64::from(symbol) - i64::from(offset);
    if distance < 0 {
        distance.unsigned_abs() * 2 - 1
    } else {
        (distance as u64).saturating_sub(u64::from(count)) * 2
    }
}

/// Inverse of [`fold`]; `None` if the value does not fit.
pub(crate) fn unfold(raw: u64, offset: i32, count: u32) -> Option<i32> {
    let half = i64::try_from(raw >> 1).ok()?;
    let distance = if raw & 1 == 1 {
        -half - 1
    } else {
        half + i64::from(count)
    };
    i32::try_from(i64::from(offset) + distance).ok()
}

/// What `raw` costs, in bits, the escape symbol itself not counted.
pub(crate) fn cost(raw: u64) -> u32 {
    let n = (raw + 1).ilog2();
    n + if n < LONG { 4 } else { 9 }
}

/// The intervals of `raw` in coding order.
pub(crate) fn intervals(raw: u64) -> impl DoubleEndedIterator<Item = Interval> {
    let m = raw + 1;
    let n = m.ilog2();
    let prefix = Uniform(4).interval(n.min(LONG));
    let long = (n >= LONG).then(|| Uniform(5).interval(n - LONG));
    let groups = (0..n.div_ceil(16)).map(move |g| {
        let bits = (n - 16 * g).min(16);
        Uniform(bits).interval(((m >> (16 * g)) & ((1 << bits) - 1)) as u32)
    });
    std::iter::once(prefix).chain(long).chain(groups)
}

/// Reads a value back through `read`, which decodes uniform bits. `Ok(None)`: no encoder writes this.
pub(crate) fn read<E>(mut read: impl FnMut(Uniform) -> Result<u32, E>) -> Result<Option<u64>, E> {
    let mut n = read(Uniform(4))?;
    if n == LONG {
        n += read(Uniform(5))?;
    }
    if n > MAX_BITS {
        return Ok(None);
    }
    let mut m = 1u64 << n;
    for g in 0..n.div_ceil(16) {
        let bits = (n - 16 * g).min(16);
        m |= u64::from(read(Uniform(bits))?) << (16 * g);
    }
    Ok(Some(m - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_invertible() {
        for offset in [i32::MIN, -3, 0, 7, i32::MAX - 4] {
            for symbol in [
                i32::MIN,
                i32::MIN + 1,
                -4,
                -1,
                0,
                1,
                5,
                12,
                i32::MAX - 1,
                i32::MAX,
            ] {
                let distance = i64::from(symbol) - i64::from(offset);
                if !(0..5).contains(&distance) {
                    let raw = fold(symbol, offset, 5);
                    assert!(raw < 1 << 34);
                    assert_eq!(unfold(raw, offset, 5), Some(symbol));
                }
            }
        }
        assert_eq!(unfold(u64::MAX, 0, 1), None);
        assert_eq!(unfold(1 << 33, 0, 1), None);
    }

    #[test]
    fn intervals_read_back_at_their_cost() {
        for raw in (0..70_000).chain([(1 << 33) - 1, 1 << 33, (1 << 34) - 2]) {
            let mut items = intervals(raw);
            let mut bits = 0;
            let back = read(|u: Uniform| {
                let item = items.next().ok_or(())?;
                assert_eq!(item.width, 1 << (16 - u.0));
                bits += u.0;
                Ok::<_, ()>(item.start >> (16 - u.0))
            });
            assert_eq!(back, Ok(Some(raw)));
            assert_eq!(bits, cost(raw));
            assert_eq!(items.next(), None);
        }
    }
}
