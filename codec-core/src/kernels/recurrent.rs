//! Long short-term memory (Hochreiter and Schmidhuber 1997) on slices.

use rayon::prelude::*;

use super::fresh::zeros;
use super::math::{sigmoid, tanh};
use super::matmul::{Matrix, matmul};
use super::simd::vectorized;

/// Fewest and most positions whose inputs one task projects; each brings the weights into order anew.
const POSITIONS: [usize; 2] = [64, 256];
/// Weights that a task reads for one step; below that, waking another thread costs more than it saves.
const WEIGHTS: usize = 1 << 17;
/// Sums of a product that run side by side.
const LANES: usize = 16;

/// Sizes of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LstmShape {
    pub batch: usize,
    pub time: usize,
    pub inputs: usize,
    pub units: usize,
}

/// Weights of a layer; gates are the input's, the forget gate, the cell's and the output's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LstmWeights<'a> {
    /// `[4 units, inputs]`.
    pub input: &'a [f32],
    /// `[4 units, units]`.
    pub recurrent: &'a [f32],
    /// `[4 units]`.
    pub bias: &'a [f32],
}

/// One layer over all positions of `x` `[batch, time, inputs]` from a state of zeros, `[batch, time, units]`.
///
/// Every sum has a fixed order, so that the number of threads does not change a bit.
pub(crate) fn lstm(s: &LstmShape, x: &[f32], weights: LstmWeights<'_>) -> Vec<f32> {
    let (units, gates) = (s.units, 4 * s.units);
    assert_eq!(
        x.len(),
        s.batch * s.time * s.inputs,
        "input of another shape"
    );
    assert_eq!(weights.input.len(), gates * s.inputs, "input weights");
    assert_eq!(weights.recurrent.len(), gates * units, "recurrent weights");
    assert_eq!(weights.bias.len(), gates, "bias");
    let mut out = zeros(s.batch * s.time * units);
    if out.is_empty() {
        return out;
    }
    let projected = project(s, x, weights);
    let sequences = out.chunks_mut(s.time * units);
    let sequences = sequences.zip(projected.chunks(s.time * gates));
    // In the pool, where a step costs no wait for a thread to take it up.
    rayon::scope(|_| {
        for (out, projected) in sequences {
            run(units, projected, weights.recurrent, out);
        }
    });
    out
}

/// The part of all gates that comes from the input, `[batch * time, 4 units]`.
fn project(s: &LstmShape, x: &[f32], weights: LstmWeights<'_>) -> Vec<f32> {
    let gates = 4 * s.units;
    let mut out = zeros(s.batch * s.time * gates);
    let input = Matrix::row_major(weights.input, s.inputs).transposed();
    let share = (s.batch * s.time).div_ceil(4).next_multiple_of(16);
    let positions = share.clamp(POSITIONS[0], POSITIONS[1]);
    out.par_chunks_mut(positions * gates)
        .enumerate()
        .for_each(|(block, out)| {
            let count = out.len() / gates;
            for row in out.chunks_exact_mut(gates) {
                row.copy_from_slice(weights.bias);
            }
            let x = x.get(block * positions * s.inputs..).unwrap_or_default();
            let x = Matrix::row_major(x, s.inputs);
            matmul([count, s.inputs, gates], x, input, out, true);
        });
    out
}

/// Some of the units, and what their thread keeps from step to step.
struct Part<'a> {
    /// Number of the first unit.
    first: usize,
    cell: &'a mut [f32],
    /// Sums of the four gates of a unit, and room for the next ones.
    gates: Vec<[f32; 4]>,
}

/// One sequence. Units are divided among the threads once, so that each reads the same weights in every step.
fn run(units: usize, projected: &[f32], recurrent: &[f32], out: &mut [f32]) {
    let parts = (4 * units * units / WEIGHTS).clamp(1, rayon::current_num_threads());
    let block = units.div_ceil(parts);
    let mut cell = vec![0.0; units];
    let mut parts: Vec<Part<'_>> = cell
        .chunks_mut(block)
        .enumerate()
        .map(|(number, cell)| Part {
            first: number * block,
            gates: vec![[0.0; 4]; cell.len()],
            cell,
        })
        .collect();
    let start = vec![0.0; units];
    let mut before: &[f32] = &start;
    let steps = out.chunks_mut(units).zip(projected.chunks(4 * units));
    for (number, (out, projected)) in steps.enumerate() {
        let step = |(part, out): (&mut Part<'_>, &mut [f32])| {
            vectorized(
                #[inline(always)]
                || {
                    sum_gates(part, recurrent, before, number % 2 == 1);
                    advance(part, projected, out);
                },
            );
        };
        if parts.len() == 1 {
            parts.iter_mut().zip(out.chunks_mut(block)).for_each(step);
        } else {
            parts
                .par_iter_mut()
                .zip(out.par_chunks_mut(block))
                .for_each(step);
        }
        before = out;
    }
}

/// The part of the gates that comes from the state `before`. Every other step goes through the units from the last to the
/// first, and so begins with the weights that are still in the cache.
#[inline(always)]
fn sum_gates(part: &mut Part<'_>, recurrent: &[f32], before: &[f32], backward: bool) {
    let (units, count) = (before.len(), part.gates.len());
    for step in 0..count {
        let at = if backward { count - 1 - step } else { step };
        let unit = part.first + at;
        let row = |gate: usize| &recurrent[(gate * units + unit) * units..][..units];
        part.gates[at] = products([row(0), row(1), row(2), row(3)], before);
    }
}

/// One step of some units, whose state becomes `out`.
#[inline(always)]
fn advance(part: &mut Part<'_>, projected: &[f32], out: &mut [f32]) {
    let units = projected.len() / 4;
    let gate = |gate: usize| &projected[gate * units + part.first..][..out.len()];
    let inputs = gate(0).iter().zip(gate(1)).zip(gate(2)).zip(gate(3));
    let states = part.cell.iter_mut().zip(out).zip(&part.gates);
    for (((cell, out), sums), (((input, forget), candidate), output)) in states.zip(inputs) {
        let kept = sigmoid(forget + sums[1]) * *cell;
        *cell = kept + sigmoid(input + sums[0]) * tanh(candidate + sums[2]);
        *out = sigmoid(output + sums[3]) * tanh(*cell);
    }
}

/// Products of four rows with the same vector.
#[inline(always)]
fn products(rows: [&[f32]; 4], vector: &[f32]) -> [f32; 4] {
    let (blocks, rest) = vector.as_chunks::<LANES>();
    let [a, b, c, d] = rows.map(|row| row.as_chunks::<LANES>());
    // Four variables and not an array of them, which the compiler keeps in memory and sums value by value.
    let (mut sum_a, mut sum_b) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (mut sum_c, mut sum_d) = ([0.0f32; LANES], [0.0f32; LANES]);
    for ((((v, a), b), c), d) in blocks.iter().zip(a.0).zip(b.0).zip(c.0).zip(d.0) {
        for lane in 0..LANES {
            sum_a[lane] += a[lane] * v[lane];
            sum_b[lane] += b[lane] * v[lane];
            sum_c[lane] += c[lane] * v[lane];
            sum_d[lane] += d[lane] * v[lane];
        }
    }
    let whole = |lanes: [f32; LANES], tail: &[f32]| {
        let tail: f32 = tail.iter().zip(rest).map(|(w, v)| w * v).sum();
        total(lanes) + tail
    };
    [
        whole(sum_a, a.1),
        whole(sum_b, b.1),
        whole(sum_c, c.1),
        whole(sum_d, d.1),
    ]
}

/// Sum of all lanes, halves upon halves.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut count = LANES / 2;
    while count > 0 {
        for lane in 0..count {
            lanes[lane] += lanes[lane + count];
        }
        count /= 2;
    }
    lanes[0]
}
