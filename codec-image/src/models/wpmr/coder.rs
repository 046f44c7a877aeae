//! A model with trained weights on a backend, and its decoder. The encoder is in `encoder.rs`.

use std::time::Instant;

use burn::backend::Autodiff;
use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::IntConv;
use codec_entropy::Decoder;

use super::config::{ALIGNMENT, BANDS, HYPER_MAX, LATENTS, PASS_LATENTS, PASSES};
use super::entropy::{HyperAnalysis, PassLayers, SCALE_MAX};
use super::layout::{pass_latents, step_index, step_index_eighth};
use super::model::{join, wavelet_inverse};
use super::parts::Parts;
use super::quality::{base_step, quality_plane};
use super::symbols::{PassLatents, reconstruct};
use super::transform::{Analysis, Synthesis};
use super::weights::Weights;
use crate::coder::{DecodedTile, EncodedTile, ImageCoder, Quality, RgbTile, Stages, TileOptions};
use crate::models::host;
use crate::planes::{Border, interleave, planes};

/// Hyperlatents enter the integer network times this: 16 (integers stand for sixteenths) times
/// [`super::entropy::HYPER_GAIN`].
const HYPER_INTEGER_GAIN: i32 = 4;

struct HyperSynthesis<B: Backend> {
    input: IntConv<B>,
    expand: IntConv<B>,
    output: IntConv<B>,
}

/// A model on a device.
pub struct Coder<B: Backend> {
    pub(super) weights: Weights,
    pub(super) device: B::Device,
    pub(super) analysis: Analysis<B>,
    pub(super) hyper_analysis: HyperAnalysis<B>,
    synthesis: Synthesis<B>,
    hyper_synthesis: HyperSynthesis<B>,
    passes: Vec<PassLayers<IntConv<B>>>,
}

/// Everything that depends on the quality alone.
pub(super) struct Scaling<B: Backend> {
    pub t: f32,
    pub steps: Tensor<B, 4>,
    pub eighth: Tensor<B, 4>,
    pub base: Tensor<B, 4>,
}

/// Parameters of a pass on the host.
pub(super) struct PassIntegers {
    pub means: Vec<i32>,
    pub scales: Vec<u8>,
}

impl<B: CodecBackend> Coder<B> {
    /// Puts weights on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn new(weights: &Weights, device: &B::Device) -> Result<Self, Error> {
        let parts = Parts { weights, device };
        let integer =
            |name: &str| -> Result<IntConv<B>, Error> { Ok(weights.integer(name)?.init(device)) };
        let passes = (0..PASSES).map(|pass| PassLayers::load(pass, integer));
        let passes = passes.collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            device: device.clone(),
            analysis: parts.analysis()?,
            hyper_analysis: parts.hyper_analysis()?,
            synthesis: parts.synthesis()?,
            hyper_synthesis: HyperSynthesis {
                input: integer("hyper_synthesis.input")?,
                expand: integer("hyper_synthesis.expand")?,
                output: integer("hyper_synthesis.output")?,
            },
            passes,
            weights: weights.clone(),
        })
    }

    pub(super) fn tensor(&self, values: Vec<f32>, shape: [usize; 4]) -> Tensor<B, 4> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    pub(super) fn scaling(&self, quality: Quality) -> Scaling<B> {
        let t = quality.unit();
        let table = self.weights.steps().at(t);
        let pick = |index: Vec<usize>| -> Tensor<B, 4> {
            let values: Vec<f32> = index
                .iter()
                .map(|&i| table.get(i).copied().unwrap_or(1.0))
                .collect();
            let count = values.len();
            self.tensor(values, [1, count, 1, 1])
        };
        Scaling {
            t,
            steps: pick(step_index()),
            eighth: pick(step_index_eighth()),
            base: self.tensor(
                vec![base_step(self.weights.config(), t) as f32; BANDS],
                [1, BANDS, 1, 1],
            ),
        }
    }

    /// Features of hyperlatents, all in integers.
    pub(super) fn features(&self, z: &[i32], grid: Grid, t: f32) -> Result<Tensor<B, 4>, Error> {
        let channels = self.weights.config().hyper_latents;
        let mut input: Vec<f32> = z
            .iter()
            .map(|&v| (v.clamp(-HYPER_MAX, HYPER_MAX) * HYPER_INTEGER_GAIN) as f32)
            .collect();
        input.resize(input.len() + grid.hyper_area(), quality_plane(t) as f32);
        let h = self.tensor(input, [1, channels + 1, grid.height / 2, grid.width / 2]);
        let h = self.hyper_synthesis.input.forward(h);
        let h = self.hyper_synthesis.expand.forward(h);
        Ok(self.hyper_synthesis.output.forward(B::depth_to_space2(h)?))
    }

    fn parameters(
        &self,
        pass: &PassLayers<IntConv<B>>,
        features: &Tensor<B, 4>,
        seen: Option<&Tensor<B, 4>>,
    ) -> Result<PassIntegers, Error> {
        let parameters =
            pass.parameters(features.clone(), seen, |layer, x| Ok(layer.forward(x)))?;
        let means = host(parameters.mean)?;
        let scales = host(parameters.scale)?;
        Ok(PassIntegers {
            means: means.into_iter().map(|v| v as i32).collect(),
            scales: scales
                .into_iter()
                .map(|v| v.clamp(0.0, SCALE_MAX as f32) as u8)
                .collect(),
        })
    }

    /// The part that encoder and decoder share: runs the passes, asks `code` for the symbols of each.
    pub(super) fn run_passes(
        &self,
        features: &Tensor<B, 4>,
        grid: Grid,
        mut code: impl FnMut(usize, &PassIntegers) -> Result<Vec<i32>, Error>,
    ) -> Result<Vec<PassLatents>, Error> {
        let digits = self.weights.config().mean_fraction();
        let mut seen: Option<Tensor<B, 4>> = None;
        let mut decoded = Vec::with_capacity(PASSES);
        for (index, pass) in self.passes.iter().enumerate() {
            let integers = self.parameters(pass, features, seen.as_ref())?;
            let symbols = code(index, &integers)?;
            let mut latents = reconstruct(&symbols, &integers.means, digits);
            if index + 1 < PASSES {
                let context = std::mem::take(&mut latents.context);
                let context = self.tensor(context, [1, PASS_LATENTS, grid.height, grid.width]);
                seen = Some(join(seen, context));
            }
            decoded.push(latents);
        }
        Ok(decoded)
    }
}

/// Size of the latent grid at 1/16.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub width: usize,
    pub height: usize,
}

impl Grid {
    pub(super) fn of(width: usize, height: usize) -> Result<Self, Error> {
        let fits = |side: usize| (1..=1 << 24).contains(&side);
        if !fits(width) || !fits(height) {
            return Err(Error::BadParameter(format!(
                "invalid tile size {width}x{height} (expected 1x1 or more)"
            )));
        }
        let side = |side: usize| side.div_ceil(ALIGNMENT) * (ALIGNMENT / 16);
        Ok(Self {
            width: side(width),
            height: side(height),
        })
    }

    pub(super) fn area(self) -> usize {
        self.width * self.height
    }

    pub(super) fn hyper_area(self) -> usize {
        self.area() / 4
    }
}

/// Table of each hyperlatent: its channel.
pub(super) fn hyper_indexes(channels: usize, area: usize) -> Vec<u16> {
    (0..channels)
        .flat_map(|c| std::iter::repeat_n(c as u16, area))
        .collect()
}

pub(super) fn coding(e: codec_entropy::Error) -> Error {
    Error::Malformed(format!("tile payload: {e}"))
}

/// The tile's planes, the last column and row repeated up to the aligned size.
pub(super) fn padded(tile: RgbTile<'_>, grid: Grid) -> Vec<f32> {
    planes(tile, grid.width * 16, grid.height * 16, Border::Edge)
}

impl<B: CodecBackend> Coder<B> {
    /// Decoded latents of all passes on the host, `[768, h, w]`.
    pub(super) fn decoded(&self, decoded: &[PassLatents], grid: Grid) -> Vec<f32> {
        let area = grid.area();
        let mut latents = vec![0f32; LATENTS * area];
        for (pass, decoded) in decoded.iter().enumerate() {
            for (latent, plane) in pass_latents(pass)
                .into_iter()
                .zip(decoded.values.chunks(area))
            {
                if let Some(slot) = latents.get_mut(latent * area..(latent + 1) * area) {
                    slot.copy_from_slice(plane);
                }
            }
        }
        latents
    }

    /// Samples of decoded latents.
    pub(super) fn synthesize(
        &self,
        decoded: &[PassLatents],
        grid: Grid,
        scaling: Scaling<B>,
        width: usize,
        height: usize,
    ) -> Result<Vec<u8>, Error> {
        let latents = self.decoded(decoded, grid);
        let latents = self.tensor(latents, [1, LATENTS, grid.height, grid.width]);
        let coefficients =
            self.synthesis
                .forward(latents, scaling.steps, scaling.base, &[scaling.t])?;
        let pixels = host(wavelet_inverse(coefficients)?)?;
        Ok(interleave(
            &pixels,
            [grid.width * 16, grid.area() * 256],
            [0, 0],
            [width, height],
        ))
    }
}

impl<B> ImageCoder for Coder<B>
where
    B: CodecBackend,
    Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
{
    fn encode_tile(&self, tile: RgbTile<'_>, options: TileOptions) -> Result<EncodedTile, Error> {
        self.encode(tile, options)
    }

    fn decode_tile(
        &self,
        bytes: &[u8],
        width: usize,
        height: usize,
        quality: Quality,
    ) -> Result<DecodedTile, Error> {
        let grid = Grid::of(width, height)?;
        let mut stages = Stages::default();
        let start = Instant::now();
        let scaling = self.scaling(quality);
        let channels = self.weights.config().hyper_latents;
        let mut decoder = Decoder::new(bytes).map_err(coding)?;
        let mut z = vec![0i32; channels * grid.hyper_area()];
        decoder
            .decode(
                &hyper_indexes(channels, grid.hyper_area()),
                self.weights.hyper_tables(),
                &mut z,
            )
            .map_err(coding)?;
        let features = self.features(&z, grid, scaling.t)?;
        let tables = self.weights.latent_tables();
        let decoded = self.run_passes(&features, grid, |_, integers| {
            let clock = Instant::now();
            let mut symbols = vec![0i32; integers.scales.len()];
            decoder
                .decode(&integers.scales, tables, &mut symbols)
                .map_err(coding)?;
            stages.entropy += clock.elapsed();
            Ok(symbols)
        })?;
        decoder.finish().map_err(coding)?;
        stages.context = start.elapsed().saturating_sub(stages.entropy);

        let clock = Instant::now();
        let samples = self.synthesize(&decoded, grid, scaling, width, height)?;
        stages.transform = clock.elapsed();
        Ok(DecodedTile { samples, stages })
    }
}
