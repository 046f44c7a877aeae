//! One level of the two-dimensional CDF 9/7 ("bior4.4") wavelet transform by lifting, on contiguous planes.
//!
//! A signal is split into even (`low`) and odd (`high`) samples; four lifting steps, each adding a multiple of two
//! neighbours of the other half, and one scaling per half give the filters of WaLLoC (low-pass gain sqrt 2 at zero
//! frequency, centre of the high-pass negative). Lifting after Daubechies and Sweldens, "Factoring wavelet transforms
//! into lifting steps" (1998). Every step is an elementary matrix, so the inverse and the adjoint of both directions are
//! the same loops with other coefficients: a [`Plan`].

use super::simd::vectorized;
use rayon::prelude::*;

/// Lifting coefficients of the 9/7 filters, in the order of the analysis.
const LIFT: [f32; 4] = [-1.586_134_3, -0.052_980_12, 0.882_911_1, 0.443_506_85];
/// Scale of the low half, sqrt(2) / 1.230174105; the high half has minus its inverse.
const SCALE: f32 = 1.149_604_4;
/// Pairs of rows loaded beyond a band: the results depend on two, and the rule for the ends of a transposed step spoils
/// one more.
const HALO: usize = 3;
/// Pairs of rows handled at a time, so that the working set stays in the second-level cache.
const BAND: usize = 32;

/// How a signal continues beyond its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Boundary {
    /// Whole-sample symmetric extension, as in JPEG 2000: the sample at the edge is not repeated. Perfect reconstruction
    /// for every even length.
    Symmetric,
    /// The signal repeats: WaLLoC's "periodization". Below 10 samples it follows WaLLoC's reference, which drops what
    /// would wrap twice and is then not invertible.
    Periodic,
}

/// Which linear map a kernel applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// Image to bands.
    Analysis,
    /// Bands to image; the inverse of `Analysis`.
    Synthesis,
    /// Bands to image; the transpose of `Analysis`.
    AnalysisAdjoint,
    /// Image to bands; the transpose of `Synthesis`.
    SynthesisAdjoint,
}

impl Map {
    /// Whether the map takes an image to bands.
    pub fn splits(self) -> bool {
        matches!(self, Map::Analysis | Map::SynthesisAdjoint)
    }

    /// The transposed map.
    pub fn transposed(self) -> Map {
        match self {
            Map::Analysis => Map::AnalysisAdjoint,
            Map::AnalysisAdjoint => Map::Analysis,
            Map::Synthesis => Map::SynthesisAdjoint,
            Map::SynthesisAdjoint => Map::Synthesis,
        }
    }
}

/// What happens at the ends of a lifting step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Symmetric,
    Transposed,
    Periodic,
}

/// The half that a lifting step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Low,
    High,
}

/// Lifting steps in order, what happens at the ends, and the scales of both halves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    steps: [(Half, f32); 4],
    edge: Edge,
    low: f32,
    high: f32,
}

impl Plan {
    fn new(map: Map, boundary: Boundary) -> Self {
        use Half::{High, Low};
        let [a, b, c, d] = LIFT;
        let steps = match map {
            Map::Analysis => [(High, a), (Low, b), (High, c), (Low, d)],
            Map::Synthesis => [(Low, -d), (High, -c), (Low, -b), (High, -a)],
            Map::AnalysisAdjoint => [(High, d), (Low, c), (High, b), (Low, a)],
            Map::SynthesisAdjoint => [(Low, -a), (High, -b), (Low, -c), (High, -d)],
        };
        let (low, high) = scales(map);
        let edge = match (boundary, map) {
            (Boundary::Periodic, _) => Edge::Periodic,
            (Boundary::Symmetric, Map::Analysis | Map::Synthesis) => Edge::Symmetric,
            (Boundary::Symmetric, _) => Edge::Transposed,
        };
        Plan {
            steps,
            edge,
            low,
            high,
        }
    }
}

/// The coefficients of the analysis steps, for implementations by other means: even numbered steps change the odd
/// samples.
pub(crate) fn lifting_coefficients() -> [f32; 4] {
    LIFT
}

/// Scales of the low and the high half.
pub(crate) fn scales(map: Map) -> (f32, f32) {
    match map {
        Map::Analysis | Map::AnalysisAdjoint => (SCALE, -1.0 / SCALE),
        Map::Synthesis | Map::SynthesisAdjoint => (1.0 / SCALE, -SCALE),
    }
}

/// The two samples of the other half, with their weights, that a step adds to sample `i` of `m`.
#[inline(always)]
fn neighbours(half: Half, edge: Edge, i: usize, m: usize) -> [(usize, f32); 2] {
    let (first, last) = (i == 0, i + 1 == m);
    match (half, edge) {
        (Half::High, Edge::Symmetric) => [(i, 1.0), (if last { i } else { i + 1 }, 1.0)],
        (Half::High, Edge::Periodic) => [(i, 1.0), (if last { 0 } else { i + 1 }, 1.0)],
        (Half::High, Edge::Transposed) => [
            (i, if first { 2.0 } else { 1.0 }),
            if last { (i, 0.0) } else { (i + 1, 1.0) },
        ],
        (Half::Low, Edge::Symmetric) => [(if first { 0 } else { i - 1 }, 1.0), (i, 1.0)],
        (Half::Low, Edge::Periodic) => [(if first { m - 1 } else { i - 1 }, 1.0), (i, 1.0)],
        (Half::Low, Edge::Transposed) => [
            if first { (0, 0.0) } else { (i - 1, 1.0) },
            (i, if last { 2.0 } else { 1.0 }),
        ],
    }
}

/// One step along a row: both halves have `m` samples.
#[inline(always)]
fn step_row(half: Half, c: f32, edge: Edge, target: &mut [f32], source: &[f32]) {
    let m = target.len();
    let ends = [0, m - 1];
    for &i in if m == 1 { &ends[..1] } else { &ends[..] } {
        let [(a, wa), (b, wb)] = neighbours(half, edge, i, m);
        target[i] += c * (wa * source[a] + wb * source[b]);
    }
    if m > 2 {
        let from = if half == Half::High { 1 } else { 0 };
        let inner = &mut target[1..m - 1];
        let n = inner.len();
        let (a, b) = (&source[from..from + n], &source[from + 1..from + 1 + n]);
        for ((t, a), b) in inner.iter_mut().zip(a).zip(b) {
            *t += c * (a + b);
        }
    }
}

/// The four steps along a row.
#[inline(always)]
fn lift_row(plan: &Plan, low: &mut [f32], high: &mut [f32]) {
    for (half, c) in plan.steps {
        match half {
            Half::High => step_row(half, c, plan.edge, high, low),
            Half::Low => step_row(half, c, plan.edge, low, high),
        }
    }
}

/// The four steps down the columns; `low` and `high` hold rows of `width` samples.
#[inline(always)]
fn lift_columns(plan: &Plan, width: usize, low: &mut [f32], high: &mut [f32]) {
    for (half, c) in plan.steps {
        let (target, source) = match half {
            Half::High => (&mut *high, &*low),
            Half::Low => (&mut *low, &*high),
        };
        let m = target.len() / width;
        for (i, row) in target.chunks_exact_mut(width).enumerate() {
            let [(a, wa), (b, wb)] = neighbours(half, plan.edge, i, m);
            let a = &source[a * width..(a + 1) * width];
            let b = &source[b * width..(b + 1) * width];
            for ((t, a), b) in row.iter_mut().zip(a).zip(b) {
                *t += c * (wa * a + wb * b);
            }
        }
    }
}

/// Rows of a band with its surroundings.
struct Span {
    /// First pair of rows wanted, counted from the first pair loaded.
    skip: usize,
    /// Pairs of rows to load, as indices into the plane.
    pairs: Vec<usize>,
}

fn span(start: usize, count: usize, total: usize, edge: Edge) -> Span {
    if edge == Edge::Periodic {
        let first = start + (total - 1) * HALO;
        let pairs = (first..first + count + 2 * HALO)
            .map(|i| i % total)
            .collect();
        return Span { skip: HALO, pairs };
    }
    // The ends of the plane keep their rule; at other ends of the span the wrong rows stay within the halo.
    let first = start.saturating_sub(HALO);
    let end = (start + count + HALO).min(total);
    Span {
        skip: start - first,
        pairs: (first..end).collect(),
    }
}

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Scratch {
    fn resize(&mut self, n: usize) -> (&mut [f32], &mut [f32]) {
        self.low.resize(n, 0.0);
        self.high.resize(n, 0.0);
        (&mut self.low[..n], &mut self.high[..n])
    }
}

#[inline(always)]
fn deinterleave(row: &[f32], even: &mut [f32], odd: &mut [f32]) {
    for ((pair, e), o) in row.chunks_exact(2).zip(even).zip(odd) {
        *e = pair[0];
        *o = pair[1];
    }
}

#[inline(always)]
fn scaled_copy(to: &mut [f32], from: &[f32], scale: f32) {
    for (t, f) in to.iter_mut().zip(from) {
        *t = f * scale;
    }
}

/// Image to bands for one band of rows of one plane; `start` is the first row of the four results.
#[inline(always)]
fn split_band(
    plan: &Plan,
    plane: &[f32],
    width: usize,
    start: usize,
    out: [&mut [f32]; 4],
    scratch: &mut Scratch,
) {
    let half = width / 2;
    let pairs_total = plane.len() / (2 * width);
    let Span { skip, pairs } = span(start, out[0].len() / half, pairs_total, plan.edge);
    let (low, high) = scratch.resize(pairs.len() * width);
    for (k, &pair) in pairs.iter().enumerate() {
        let (even, odd) = plane[2 * pair * width..][..2 * width].split_at(width);
        for (row, to) in [(even, &mut *low), (odd, &mut *high)] {
            let (s, d) = to[k * width..][..width].split_at_mut(half);
            deinterleave(row, s, d);
            lift_row(plan, s, d);
        }
    }
    lift_columns(plan, width, low, high);
    let (ll, lh, hh) = (
        plan.low * plan.low,
        plan.low * plan.high,
        plan.high * plan.high,
    );
    let [o0, o1, o2, o3] = out;
    let rows = o0.chunks_exact_mut(half).zip(o1.chunks_exact_mut(half));
    let rows = rows
        .zip(o2.chunks_exact_mut(half))
        .zip(o3.chunks_exact_mut(half));
    for (k, (((o0, o1), o2), o3)) in rows.enumerate() {
        let (s, d) = low[(skip + k) * width..][..width].split_at(half);
        scaled_copy(o0, s, ll);
        scaled_copy(o2, d, lh);
        let (s, d) = high[(skip + k) * width..][..width].split_at(half);
        scaled_copy(o1, s, lh);
        scaled_copy(o3, d, hh);
    }
}

/// Bands to image for one band of rows; `start` is the first pair of rows of the result.
#[inline(always)]
fn merge_band(
    plan: &Plan,
    bands: &[f32],
    width: usize,
    start: usize,
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let half = width / 2;
    let quarter = bands.len() / 4;
    let Span { skip, pairs } = span(start, out.len() / (2 * width), quarter / half, plan.edge);
    let (low, high) = scratch.resize(pairs.len() * width);
    let (ll, lh, hh) = (
        plan.low * plan.low,
        plan.low * plan.high,
        plan.high * plan.high,
    );
    for (k, &i) in pairs.iter().enumerate() {
        let band = |f: usize| &bands[f * quarter + i * half..][..half];
        let (s, d) = low[k * width..][..width].split_at_mut(half);
        scaled_copy(s, band(0), ll);
        scaled_copy(d, band(2), lh);
        let (s, d) = high[k * width..][..width].split_at_mut(half);
        scaled_copy(s, band(1), lh);
        scaled_copy(d, band(3), hh);
    }
    lift_columns(plan, width, low, high);
    for (k, rows) in out.chunks_exact_mut(2 * width).enumerate() {
        let (even, odd) = rows.split_at_mut(width);
        for (row, from) in [(even, &mut *low), (odd, &mut *high)] {
            let (s, d) = from[(skip + k) * width..][..width].split_at_mut(half);
            lift_row(plan, s, d);
            for ((pair, s), d) in row.chunks_exact_mut(2).zip(&*s).zip(&*d) {
                pair[0] = *s;
                pair[1] = *d;
            }
        }
    }
}

/// One level on every plane: `height` x `width` samples on the image side, four bands of half the size, one after the
/// other, on the other side (band 0: low, 1: low along the width and high along the height, 2: the reverse, 3: high).
///
/// `input` and `output` hold the same whole number of planes; both sides are even and at least 2 (checked by the
/// callers). The result does not depend on the number of threads.
pub(crate) fn level(
    map: Map,
    boundary: Boundary,
    input: &[f32],
    output: &mut [f32],
    height: usize,
    width: usize,
) {
    let size = height * width;
    debug_assert!(
        size > 0
            && height.is_multiple_of(2)
            && width.is_multiple_of(2)
            && input.len() == output.len()
    );
    if boundary == Boundary::Periodic && height.min(width) < super::wavelet_short::SHORT {
        return super::wavelet_short::level(map, input, output, height, width);
    }
    let plan = Plan::new(map, boundary);
    let half = width / 2;
    let quarter = size / 4;
    input
        .par_chunks_exact(size)
        .zip(output.par_chunks_exact_mut(size))
        .for_each(|(x, y)| {
            if map.splits() {
                let (y01, y23) = y.split_at_mut(2 * quarter);
                let ((y0, y1), (y2, y3)) = (y01.split_at_mut(quarter), y23.split_at_mut(quarter));
                let n = BAND * half;
                y0.par_chunks_mut(n)
                    .zip(y1.par_chunks_mut(n))
                    .zip(y2.par_chunks_mut(n))
                    .zip(y3.par_chunks_mut(n))
                    .enumerate()
                    .for_each_init(Scratch::default, |scratch, (i, (((y0, y1), y2), y3))| {
                        vectorized(
                            #[inline(always)]
                            || split_band(&plan, x, width, i * BAND, [y0, y1, y2, y3], scratch),
                        );
                    });
            } else {
                y.par_chunks_mut(BAND * 2 * width)
                    .enumerate()
                    .for_each_init(Scratch::default, |scratch, (i, y)| {
                        vectorized(
                            #[inline(always)]
                            || merge_band(&plan, x, width, i * BAND, y, scratch),
                        );
                    });
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect()
    }

    fn run(map: Map, boundary: Boundary, x: &[f32], h: usize, w: usize) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        level(map, boundary, x, &mut y, h, w);
        y
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    }

    const SIZES: [(usize, usize); 10] = [
        (2, 2),
        (2, 8),
        (4, 2),
        (4, 6),
        (10, 12),
        (14, 10),
        (64, 66),
        (130, 16),
        (258, 34),
        (12, 300),
    ];

    #[test]
    fn inverts() {
        for (h, w) in SIZES {
            for boundary in [Boundary::Symmetric, Boundary::Periodic] {
                if boundary == Boundary::Periodic && h.min(w) < 10 {
                    continue;
                }
                let x = noise(3 * h * w, 1);
                let y = run(
                    Map::Synthesis,
                    boundary,
                    &run(Map::Analysis, boundary, &x, h, w),
                    h,
                    w,
                );
                let error = x
                    .iter()
                    .zip(&y)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(error < 2e-6, "{h}x{w} {boundary:?}: {error}");
            }
        }
    }

    #[test]
    fn adjoint_is_the_transpose() {
        for (h, w) in SIZES {
            for boundary in [Boundary::Symmetric, Boundary::Periodic] {
                for map in [Map::Analysis, Map::Synthesis] {
                    let (x, y) = (noise(2 * h * w, 2), noise(2 * h * w, 3));
                    let left = dot(&run(map, boundary, &x, h, w), &y);
                    let right = dot(&x, &run(map.transposed(), boundary, &y, h, w));
                    assert!(
                        (left - right).abs() < 1e-6 * (h * w) as f64 + 1e-6,
                        "{h}x{w} {boundary:?} {map:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nearly_orthonormal() {
        let x = noise(4 * 128 * 128, 4);
        let y = run(Map::Analysis, Boundary::Symmetric, &x, 128, 128);
        let ratio = dot(&y, &y) / dot(&x, &x);
        assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
    }

    #[test]
    fn constant_images_have_no_high_bands() {
        let (h, w) = (40, 70);
        let y = run(Map::Analysis, Boundary::Symmetric, &vec![0.5; h * w], h, w);
        assert!(y[..h * w / 4].iter().all(|v| (v - 1.0).abs() < 1e-6));
        assert!(y[h * w / 4..].iter().all(|v| v.abs() < 1e-6));
    }

    #[test]
    fn same_bits_with_any_thread_count() {
        let x = noise(3 * 200 * 120, 5);
        let run_with = |n| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(n)
                .build()
                .unwrap();
            pool.install(|| run(Map::Analysis, Boundary::Symmetric, &x, 200, 120))
        };
        assert_eq!(run_with(1), run_with(3));
    }

    #[test]
    fn matches_the_filters() {
        // The sparse form is built from the filter taps of the specification.
        for (h, w) in [(10, 12), (64, 22), (140, 16)] {
            for map in [
                Map::Analysis,
                Map::Synthesis,
                Map::AnalysisAdjoint,
                Map::SynthesisAdjoint,
            ] {
                let x = noise(2 * h * w, 6);
                let mut want = vec![0.0; x.len()];
                crate::kernels::wavelet_short::level(map, &x, &mut want, h, w);
                let got = run(map, Boundary::Periodic, &x, h, w);
                let error = want
                    .iter()
                    .zip(&got)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(error < 2e-6, "{h}x{w} {map:?}: {error}");
            }
        }
    }
}
