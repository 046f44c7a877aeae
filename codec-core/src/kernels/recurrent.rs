//! Long short-term memory (Hochreiter and Schmidhuber 1997) on slices.

use rayon::prelude::*;

use super::fresh::zeros;
use super::math::{sigmoid, tanh};
use super::matmul::{Matrix, matmul};
use super::simd::vectorized;

/// Positions whose inputs one task projects.
const POSITIONS: usize = 64;
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
    for (out, projected) in sequences.zip(projected.chunks(s.time * gates)) {
        run(units, projected, weights.recurrent, out);
    }
    out
}

/// The part of all gates that comes from the input, `[batch * time, 4 units]`.
fn project(s: &LstmShape, x: &[f32], weights: LstmWeights<'_>) -> Vec<f32> {
    let gates = 4 * s.units;
    let mut out = zeros(s.batch * s.time * gates);
    let input = Matrix::row_major(weights.input, s.inputs).transposed();
    out.par_chunks_mut(POSITIONS * gates)
        .enumerate()
        .for_each(|(block, out)| {
            let count = out.len() / gates;
            for row in out.chunks_exact_mut(gates) {
                row.copy_from_slice(weights.bias);
            }
            let x = x.get(block * POSITIONS * s.inputs..).unwrap_or_default();
            let x = Matrix::row_major(x, s.inputs);
            matmul([count, s.inputs, gates], x, input, out, true);
        });
    out
}

/// Units of a task, with what they remember.
struct Part<'a> {
    /// Number of the first unit.
    first: usize,
    cell: &'a mut [f32],
}

fn run(units: usize, projected: &[f32], recurrent: &[f32], out: &mut [f32]) {
    let mut cell = vec![0.0; units];
    let block = (WEIGHTS / (4 * units)).clamp(1, units);
    let mut parts: Vec<Part<'_>> = cell
        .chunks_mut(block)
        .enumerate()
        .map(|(number, cell)| Part {
            first: number * block,
            cell,
        })
        .collect();
    let start = vec![0.0; units];
    let mut before: &[f32] = &start;
    for (out, projected) in out.chunks_mut(units).zip(projected.chunks(4 * units)) {
        let step = |(part, out): (&mut Part<'_>, &mut [f32])| {
            vectorized(
                #[inline(always)]
                || advance(part, projected, recurrent, before, out),
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

/// One step of some units: `before` is the state of all of them, `out` becomes that of `part`.
#[inline(always)]
fn advance(
    part: &mut Part<'_>,
    projected: &[f32],
    recurrent: &[f32],
    before: &[f32],
    out: &mut [f32],
) {
    let units = before.len();
    for (at, (cell, out)) in part.cell.iter_mut().zip(out).enumerate() {
        let unit = part.first + at;
        let row = |gate: usize| &recurrent[(gate * units + unit) * units..][..units];
        let sums = products([row(0), row(1), row(2), row(3)], before);
        let gate = |gate: usize| projected[gate * units + unit] + sums[gate];
        *cell = sigmoid(gate(1)) * *cell + sigmoid(gate(0)) * tanh(gate(2));
        *out = sigmoid(gate(3)) * tanh(*cell);
    }
}

/// Products of four rows with the same vector.
#[inline(always)]
fn products(rows: [&[f32]; 4], vector: &[f32]) -> [f32; 4] {
    let mut lanes = [[0.0f32; LANES]; 4];
    let (blocks, rest) = vector.as_chunks::<LANES>();
    let split = rows.map(|row| row.as_chunks::<LANES>());
    for (at, block) in blocks.iter().enumerate() {
        for (lanes, (row, _)) in lanes.iter_mut().zip(&split) {
            let Some(row) = row.get(at) else { continue };
            for ((lane, w), v) in lanes.iter_mut().zip(row).zip(block) {
                *lane += w * v;
            }
        }
    }
    let mut sums = [0.0; 4];
    for ((sum, lanes), (_, row)) in sums.iter_mut().zip(&lanes).zip(&split) {
        let tail: f32 = row.iter().zip(rest).map(|(w, v)| w * v).sum();
        *sum = lanes.iter().sum::<f32>() + tail;
    }
    sums
}
