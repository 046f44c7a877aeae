//! The autoregressive context model of `mbt2018` (Minnen et al. 2018, section 3): parameters of each latent from the latents
//! above and to the left of it, and from the hyperprior.
//!
//! It runs one position after the other, on the host whatever the network's backend: each of the sums below is taken in one
//! fixed order, so encoder and decoder agree to the bit once their hyperpriors do.

use burn::tensor::backend::Backend;
use codec_core::weights::{HostTensor, Loader};

use super::config::HyperpriorConfig;

/// Side of the masked kernel.
const KERNEL: usize = 5;
/// Positions that it sees, in raster order before its centre.
const SEEN: usize = KERNEL * KERNEL / 2;
/// Slope of the hidden layers below 0.
const SLOPE: f32 = 0.01;
/// Rows that are computed together.
const LANES: usize = 8;

/// `y = W x + b` with `W` in blocks of [`LANES`] rows, so that the compiler makes vectors of them.
#[derive(Debug)]
struct Matrix {
    blocks: Vec<[f32; LANES]>,
    bias: Vec<f32>,
    inputs: usize,
}

impl Matrix {
    /// `weight(row, column)`.
    fn new(
        outputs: usize,
        inputs: usize,
        bias: Vec<f32>,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let mut blocks = Vec::with_capacity(outputs.div_ceil(LANES) * inputs);
        for first in (0..outputs).step_by(LANES) {
            for column in 0..inputs {
                blocks.push(std::array::from_fn(|lane| {
                    let row = first + lane;
                    if row < outputs {
                        weight(row, column)
                    } else {
                        0.0
                    }
                }));
            }
        }
        Self {
            blocks,
            bias,
            inputs,
        }
    }

    /// Adds `W x + b` of the columns from `start` on to `out`, which begins as the bias.
    fn apply(&self, x: &[f32], out: &mut Vec<f32>) {
        out.clear();
        for (block, bias) in self
            .blocks
            .chunks(self.inputs.max(1))
            .zip(self.bias.chunks(LANES))
        {
            let mut sums = [0f32; LANES];
            for (weights, &x) in block.iter().zip(x) {
                for (sum, &weight) in sums.iter_mut().zip(weights) {
                    *sum += weight * x;
                }
            }
            out.extend(sums.iter().zip(bias).map(|(sum, bias)| sum + bias));
        }
    }
}

/// The masked convolution and the three layers that join it with the hyperprior.
#[derive(Debug)]
pub(super) struct Context {
    latents: usize,
    masked: Matrix,
    layers: [Matrix; 3],
}

/// Scale and mean of every latent of one position.
pub(super) struct Position<'a> {
    /// Standard deviations, `[M]`.
    pub scales: &'a [f32],
    /// Means, `[M]`.
    pub means: &'a [f32],
}

impl Context {
    /// The tensors `context_prediction` and `entropy_parameters`.
    pub fn load<B: Backend>(config: &HyperpriorConfig, loader: &Loader<'_, B>) -> Self {
        let m = config.latents;
        let floats = |loader: &Loader<'_, B>, name: &str, shape: &[usize]| {
            let tensor = loader.host(name, shape).and_then(HostTensor::as_floats);
            tensor.map_or_else(|| vec![0.0; shape.iter().product()], <[f32]>::to_vec)
        };
        let scope = loader.at("context_prediction");
        scope.known("mask");
        let kernel = floats(&scope, "weight", &[2 * m, m, KERNEL, KERNEL]);
        let bias = floats(&scope, "bias", &[2 * m]);
        // Columns are positions in raster order, and channels within them.
        let masked = Matrix::new(2 * m, SEEN * m, bias, |row, column| {
            let (tap, channel) = (column / m, column % m);
            let index = (row * m + channel) * KERNEL * KERNEL + tap;
            kernel.get(index).copied().unwrap_or_default()
        });
        let widths = [4 * m, 10 * m / 3, 8 * m / 3, 2 * m];
        let layer = |index: usize| {
            let (inputs, outputs) = match widths.get(index..index + 2) {
                Some(&[inputs, outputs]) => (inputs, outputs),
                _ => (0, 0),
            };
            let scope = loader.at("entropy_parameters").at(2 * index);
            let weight = floats(&scope, "weight", &[outputs, inputs, 1, 1]);
            let bias = floats(&scope, "bias", &[outputs]);
            Matrix::new(outputs, inputs, bias, |row, column| {
                weight
                    .get(row * inputs + column)
                    .copied()
                    .unwrap_or_default()
            })
        };
        Self {
            latents: m,
            masked,
            layers: [layer(0), layer(1), layer(2)],
        }
    }

    /// Goes through the positions of one picture in raster order. `code` is given what is known of a position's latents, and
    /// fills in their values.
    ///
    /// `hyper` is `[2M, h, w]`; the result is `[M, h, w]`.
    pub fn run<E>(
        &self,
        hyper: &[f32],
        [height, width]: [usize; 2],
        mut code: impl FnMut(usize, Position<'_>, &mut [f32]) -> Result<(), E>,
    ) -> Result<Vec<f32>, E> {
        let (m, area) = (self.latents, height * width);
        let margin = KERNEL / 2;
        let stride = width + 2 * margin;
        // Decoded latents with their channels together and a border of zeros.
        let mut decoded = vec![0f32; (height + margin) * stride * m];
        let mut seen = vec![0f32; SEEN * m];
        let (mut input, mut hidden, mut output) = (Vec::new(), Vec::new(), Vec::new());
        let mut values = vec![0f32; m];
        let mut result = vec![0f32; m * area];
        for position in 0..area {
            let (y, x) = (position / width, position % width);
            for (row, taps) in seen.chunks_mut(KERNEL * m).enumerate() {
                let start = ((y + row) * stride + x) * m;
                if let Some(source) = decoded.get(start..start + taps.len()) {
                    taps.copy_from_slice(source);
                }
            }
            self.masked.apply(&seen, &mut hidden);
            // The hyperprior's features come first.
            input.clear();
            input.extend(hyper.iter().skip(position).step_by(area.max(1)));
            input.extend_from_slice(&hidden);
            let [first, second, last] = &self.layers;
            first.apply(&input, &mut hidden);
            leak(&mut hidden);
            second.apply(&hidden, &mut input);
            leak(&mut input);
            last.apply(&input, &mut output);
            let (scales, means) = output.split_at(m.min(output.len()));
            code(position, Position { scales, means }, &mut values)?;
            let start = ((y + margin) * stride + x + margin) * m;
            if let Some(slot) = decoded.get_mut(start..start + m) {
                slot.copy_from_slice(&values);
            }
            for (plane, &value) in result.chunks_mut(area.max(1)).zip(&values) {
                if let Some(slot) = plane.get_mut(position) {
                    *slot = value;
                }
            }
        }
        Ok(result)
    }
}

fn leak(values: &mut [f32]) {
    for value in values {
        if *value < 0.0 {
            *value *= SLOPE;
        }
    }
}
