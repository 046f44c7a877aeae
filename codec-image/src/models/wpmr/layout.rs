//! Fixed index maps: which latent stands where, and which pass codes it.

use super::config::{BANDS, LATENTS, PASS_LATENTS, PASSES};

/// Colour channels of the lowest band; they get one wavelet level more.
pub const LOW: usize = 3;
/// Latents of the lowest band at 1/16: four sub-bands of three colours.
pub const LOW_LATENTS: usize = 4 * LOW;
/// Entries of a step table: one for each low latent, one for each other channel at 1/8.
pub const STEPS: usize = LOW_LATENTS + BANDS - LOW;

/// Orthonormal opponent colours, rows Y, U, V over R, G, B. Keeps squared error.
pub const OPPONENT: [[f32; 3]; 3] = [
    [0.577_350_26, 0.577_350_26, 0.577_350_26],
    [
        std::f32::consts::FRAC_1_SQRT_2,
        0.0,
        -std::f32::consts::FRAC_1_SQRT_2,
    ],
    [0.408_248_3, -0.816_496_6, 0.408_248_3],
];

/// Frequency of a packet band along one axis: the position of the band whose filters, from the first level to the last,
/// are the given low/high choices. High-pass filtering and decimation mirrors the spectrum, hence the Gray code.
fn frequency(choices: [usize; 3]) -> usize {
    let mut gray = 0;
    let mut position = 0;
    for high in choices {
        gray ^= high;
        position = 2 * position + gray;
    }
    position
}

/// Bands of a three-level packet in order of frequency: `order[rank]` is the band number `16 f1 + 4 f2 + f3` of the
/// wavelet's own order.
pub fn band_order() -> Vec<usize> {
    let mut bands: Vec<(usize, usize, usize)> = (0..64)
        .map(|band| {
            let f = [band / 16, band / 4 % 4, band % 4];
            // Band f of a level: bit 1 is the width filter, bit 0 the height filter.
            let x = frequency(f.map(|f| f >> 1));
            let y = frequency(f.map(|f| f & 1));
            (x * x + y * y, x, band)
        })
        .collect();
    bands.sort_unstable();
    bands.into_iter().map(|(_, _, band)| band).collect()
}

/// The linear transform that a model starts from: wavelet channels (`colour * 64 + band`) to opponent colours in order of
/// frequency (`rank * 3 + colour`), as a `[192, 192]` row-major matrix. Orthonormal: its transpose is its inverse.
pub fn initial_transform() -> Vec<f32> {
    let mut matrix = vec![0.0; BANDS * BANDS];
    for (rank, band) in band_order().into_iter().enumerate() {
        for (out_colour, row) in OPPONENT.iter().enumerate() {
            for (colour, &value) in row.iter().enumerate() {
                if let Some(cell) =
                    matrix.get_mut((rank * 3 + out_colour) * BANDS + colour * 64 + band)
                {
                    *cell = value;
                }
            }
        }
    }
    matrix
}

/// Step-table entry of each of the 768 latents in folded order.
pub fn step_index() -> Vec<usize> {
    let rest = BANDS - LOW;
    (0..LATENTS)
        .map(|i| {
            if i < LOW_LATENTS {
                i
            } else {
                LOW_LATENTS + (i - LOW_LATENTS) % rest
            }
        })
        .collect()
}

/// Step-table entry of each of the 192 channels at 1/8 (for the lowest band, that of its low-low latent).
pub fn step_index_eighth() -> Vec<usize> {
    (0..BANDS)
        .map(|i| {
            if i < LOW {
                4 * i
            } else {
                LOW_LATENTS + i - LOW
            }
        })
        .collect()
}

/// Folded latents of each pass, `PASS_LATENTS` of them.
///
/// The four sub-bands of the lowest band come one a pass. Elsewhere pass `p` takes, of channel `i` of the 1/8 grid, one
/// position of each 2x2 block: the sequence (0,0), (1,1), (0,1), (1,0), exclusive-or `i mod 4`, so that every pass sees
/// neighbours in space and in other channels (quadtree partition).
pub fn pass_latents(pass: usize) -> Vec<usize> {
    const SEQUENCE: [usize; PASSES] = [0, 3, 1, 2];
    let start = SEQUENCE[pass % PASSES];
    let rest = BANDS - LOW;
    let mut latents: Vec<usize> = (0..LOW).map(|colour| 4 * colour + pass % PASSES).collect();
    latents.extend((0..rest).map(|j| LOW_LATENTS + (start ^ ((j + LOW) % 4)) * rest + j));
    debug_assert_eq!(latents.len(), PASS_LATENTS);
    latents
}

/// Where each folded latent stands in the passes laid end to end: the inverse of all [`pass_latents`].
pub fn folded_from_passes() -> Vec<usize> {
    let mut inverse = vec![0; LATENTS];
    for (position, latent) in (0..PASSES).flat_map(pass_latents).enumerate() {
        if let Some(slot) = inverse.get_mut(latent) {
            *slot = position;
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_partition_the_latents() {
        let mut all: Vec<usize> = (0..PASSES).flat_map(pass_latents).collect();
        all.sort_unstable();
        assert_eq!(all, (0..LATENTS).collect::<Vec<_>>());
        let inverse = folded_from_passes();
        for (position, latent) in (0..PASSES).flat_map(pass_latents).enumerate() {
            assert_eq!(inverse[latent], position);
        }
    }

    #[test]
    fn bands_run_from_low_to_high() {
        let order = band_order();
        assert_eq!(order[0], 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..64).collect::<Vec<_>>());
        // low, low, high along the width is the second band; high, low, low is the last.
        assert_eq!(frequency([0, 0, 1]), 1);
        assert_eq!(frequency([1, 0, 0]), 7);
    }

    #[test]
    fn initial_transform_is_orthonormal() {
        let m = initial_transform();
        for i in 0..BANDS {
            for j in 0..BANDS {
                let dot: f32 = (0..BANDS)
                    .map(|k| m[i * BANDS + k] * m[j * BANDS + k])
                    .sum();
                assert!((dot - f32::from(u8::from(i == j))).abs() < 1e-5);
            }
        }
    }
}
