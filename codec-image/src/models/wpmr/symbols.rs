//! Latents to symbols and back, in integers.
//!
//! Means and decoded latents are integers of `digits` binary digits after the point: 4 or 8, see
//! [`super::WpmrConfig::mean_fraction`].

use codec_entropy::TableSet;

use super::transform::compand_integer;

/// Largest magnitude of a symbol that an encoder writes.
const SYMBOL_MAX: f32 = 32_767.0;
/// Largest magnitude of a decoded latent's integer: exact in `f32`, whatever a stream says.
const LATENT_MAX: i32 = 1 << 23;

/// What a unit of squared error in a latent counts against bits when symbols are chosen.
///
/// At the rate-distortion optimum it would be `step^2 lambda / 3` = 6.3 (`step^2 = 0.85^2 * 26 / lambda`, see
/// [`super::quality::base_step`]) if each symbol stood alone. But a symbol that is spared also misleads the contexts of
/// later ones; 3.5 times as much was best on the validation pictures, and flat around it (3 to 4).
pub const ERROR_BITS: f32 = 3.5 * 0.7225 * 26.0 / 3.0;

/// A quantized latent: `2^digits symbol + mean`.
pub fn latent(symbol: i32, mean: i32, digits: u32) -> i32 {
    symbol
        .saturating_mul(1 << digits)
        .saturating_add(mean)
        .clamp(-LATENT_MAX, LATENT_MAX)
}

/// Nearest symbol of a latent.
pub fn nearest(latent: f32, mean: i32, digits: u32) -> i32 {
    round(residual(latent, mean, digits))
}

/// A latent less its mean.
pub fn residual(latent: f32, mean: i32, digits: u32) -> f32 {
    latent - mean as f32 / (1u32 << digits) as f32
}

fn round(v: f32) -> i32 {
    (v + 0.5).floor().clamp(-SYMBOL_MAX, SYMBOL_MAX) as i32
}

/// The nearest symbol of a latent less its mean or the one next to it towards zero, whichever costs less in bits plus error.
pub fn optimized_residual(v: f32, scale: u8, error_bits: f32, tables: &TableSet) -> i32 {
    let symbol = round(v);
    if symbol == 0 {
        return 0;
    }
    let cost = |s: i32| {
        let e = v - s as f32;
        e * e * error_bits + tables.bits(usize::from(scale), s)
    };
    let lower = symbol - symbol.signum();
    if cost(lower) < cost(symbol) {
        lower
    } else {
        symbol
    }
}

/// Curvature of the cost in a symbol, in bits. Alone it would be 6.3, the error of a unit (see [`ERROR_BITS`]); with as many
/// symbols moving at once as in [`descended`], 9 was the best of 6, 9, 10, 12 and 15 on
/// two crops of 320x320 of validation pictures at two qualities.
const CURVATURE: f32 = 9.0;
/// Share of the symbols that may move in one round: all at once would overshoot.
const MOVING: f32 = 0.3;

/// A decoded latent's symbol, or one next to it if that costs less: `slope` is what a unit more of the latent costs in
/// bits, apart from its own rate. `place` and `round` draw who may move.
pub fn descended(
    symbol: i32,
    scale: u8,
    slope: f32,
    (place, round): (usize, usize),
    tables: &TableSet,
) -> i32 {
    let mixed = (place as u64)
        .wrapping_add((round as u64) << 40)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let draw = (mixed >> 40) as f32 / (1u64 << 24) as f32;
    let limit = SYMBOL_MAX as i32;
    if draw >= MOVING || !(1 - limit..limit).contains(&symbol) {
        return symbol;
    }
    let here = tables.bits(usize::from(scale), symbol);
    let change = |step: i32| {
        let bits = tables.bits(usize::from(scale), symbol + step) - here;
        bits + slope * step as f32 + CURVATURE
    };
    let (down, up) = (change(-1), change(1));
    match (down < up, down.min(up) < 0.0) {
        (_, false) => symbol,
        (true, true) => symbol - 1,
        (false, true) => symbol + 1,
    }
}

/// Decoded latents of a pass, ready for the context networks and for synthesis.
#[derive(Debug, Default)]
pub struct PassLatents {
    /// Companded, for the networks of later passes.
    pub context: Vec<f32>,
    /// In symbols, for synthesis.
    pub values: Vec<f32>,
}

/// Joins symbols and means.
pub fn reconstruct(symbols: &[i32], means: &[i32], digits: u32) -> PassLatents {
    let latents = || {
        let pairs = symbols.iter().zip(means);
        pairs.map(|(&s, &m)| latent(s, m, digits))
    };
    let unit = (1u32 << digits) as f32;
    PassLatents {
        context: latents()
            .map(|v| compand_integer(v, digits) as f32)
            .collect(),
        values: latents().map(|v| v as f32 / unit).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_symbols_saturate() {
        for symbol in [i32::MIN, i32::MAX, 0, 1] {
            for (mean, digits) in [(-8191, 4), (0, 4), (8191, 4), (131_056, 8)] {
                assert!(latent(symbol, mean, digits).abs() <= LATENT_MAX);
            }
        }
    }

    #[test]
    fn descent_goes_down_and_only_where_it_may() {
        let tables = codec_entropy::gaussian_tables().expect("tables");
        let move_of = |slope: f32, place| descended(0, 20, slope, (place, 3), &tables);
        let moved = (0..1000).filter(|&p| move_of(-1e4, p) == 1).count();
        assert!((200..400).contains(&moved), "{moved}");
        for place in 0..1000 {
            assert_eq!(move_of(0.0, place), 0, "a flat cost moves nothing");
            assert_eq!(move_of(1e4, place), -move_of(-1e4, place));
            let edge = i32::from(i16::MAX);
            assert_eq!(descended(edge, 63, -1e9, (place, 0), &tables), edge);
        }
    }

    #[test]
    fn optimization_never_raises_magnitude() {
        let tables = codec_entropy::gaussian_tables().expect("tables");
        for i in -400..400 {
            let y = i as f32 / 37.0;
            for scale in [0u8, 10, 20, 40] {
                let v = residual(y, 3, 4);
                let (a, b) = (
                    nearest(y, 3, 4),
                    optimized_residual(v, scale, ERROR_BITS, &tables),
                );
                assert!(b.abs() <= a.abs() && (a - b).abs() <= 1);
            }
        }
    }
}
