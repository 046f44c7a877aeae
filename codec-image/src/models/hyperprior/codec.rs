//! Tiles to bytes and back.
//!
//! A payload is that of `models::payload`: hyperlatents in order c, h, w with a table a channel, then latents with the tables
//! that their scales select, in the same order or, with a context model, h, w, c. With a factorized prior there are only
//! latents, with a table a channel.

use std::time::Instant;

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::BackendTypes;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::bits;

use super::family::Hyperprior;
use super::model::Network;
use crate::coder::{
    DecodedTile, EncodedTile, ImageCoder, Quality, Rates, RgbTile, Stages, TileOptions,
};
use crate::models::annealing::Schedule;
use crate::models::family::Model;
use crate::models::grid::Grid;
use crate::models::host;
use crate::models::payload::{Reader, Writer};

/// Pixels that take about 4 GB at the published widths.
const COMFORTABLE_PIXELS: u64 = 1 << 22;

/// A model on a device.
pub struct Coder<B: CodecBackend> {
    pub(super) model: Model<Hyperprior>,
    pub(super) network: Network<B>,
    pub(super) device: B::Device,
}

impl<B: CodecBackend> Coder<B> {
    /// Puts a model on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn new(model: &Model<Hyperprior>, device: &B::Device) -> Result<Self, Error> {
        Ok(Self {
            model: model.clone(),
            network: model.network(device)?,
            device: device.clone(),
        })
    }

    fn tensor(&self, values: Vec<f32>, channels: usize, grid: Grid) -> Tensor<B, 4> {
        grid.tensor(values, channels, &self.device)
    }
}

impl<B> ImageCoder for Coder<B>
where
    B: CodecBackend,
    Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
{
    fn comfortable_pixels(&self) -> u64 {
        COMFORTABLE_PIXELS
    }

    fn rates(&self) -> Rates {
        Rates::Fixed
    }

    fn encode_tile(&self, tile: RgbTile<'_>, options: TileOptions) -> Result<EncodedTile, Error> {
        let mut stages = Stages::default();
        let clock = Instant::now();
        let schedule = Schedule::of(options.effort);
        let grid = Grid::of(tile.width, tile.height)?;
        let latents = self.network.analysis(grid.pixels(tile, &self.device)?);
        let y = host(latents.clone())?;
        stages.transform = clock.elapsed();

        let bottleneck = &self.network.bottleneck;
        let mut payload = Writer::default();
        let mut estimate = 0.0;
        let clock = Instant::now();
        if let Some(hyper) = &self.network.hyper {
            let z = host(hyper.analysis(latents.clone()))?;
            let area = grid.area() / 16;
            let symbols = bottleneck.quantize(&z, area);
            let z = bottleneck.dequantize(&symbols, area);
            payload.channels(&symbols, area, bottleneck)?;
            estimate += bits(&bottleneck.likelihoods(&z, area));
            let hyper_grid = grid.hyper();
            let z = self.tensor(z, self.model.config.width, hyper_grid);
            let parameters = hyper.parameters(z)?;
            let size = [grid.height, grid.width];
            let mut coded = hyper.quantize(&y, &parameters, size)?;
            if let Some(schedule) = schedule {
                let known = Some(&coded.parameters);
                let better = self.refined(tile, grid, latents, known, schedule)?;
                coded = hyper.quantize(&better, &parameters, size)?;
            }
            estimate += bits(&coded.likelihoods);
            stages.context = clock.elapsed();
            let clock = Instant::now();
            let count = coded.symbols.len();
            payload.scaled(&coded.symbols, &coded.scales, count, &hyper.gaussian)?;
            stages.entropy = clock.elapsed();
        } else {
            let y = match schedule {
                Some(schedule) => self.refined(tile, grid, latents, None, schedule)?,
                None => y,
            };
            let symbols = bottleneck.quantize(&y, grid.area());
            payload.channels(&symbols, grid.area(), bottleneck)?;
            let y = bottleneck.dequantize(&symbols, grid.area());
            estimate += bits(&bottleneck.likelihoods(&y, grid.area()));
            stages.entropy = clock.elapsed();
        }
        let clock = Instant::now();
        let bytes = payload.finish()?;
        stages.entropy += clock.elapsed();
        Ok(EncodedTile {
            bytes,
            estimate: Some(estimate),
            stages,
        })
    }

    fn decode_tile(
        &self,
        bytes: &[u8],
        width: usize,
        height: usize,
        _quality: Quality,
    ) -> Result<DecodedTile, Error> {
        let mut stages = Stages::default();
        let clock = Instant::now();
        let grid = Grid::of(width, height)?;
        let bottleneck = &self.network.bottleneck;
        let mut payload = Reader::new(bytes)?;
        let y = if let Some(hyper) = &self.network.hyper {
            let area = grid.hyper().area();
            let z = bottleneck.dequantize(&payload.channels(area, bottleneck)?, area);
            let z = self.tensor(z, self.model.config.width, grid.hyper());
            let parameters = hyper.parameters(z)?;
            stages.context = clock.elapsed();
            let clock = Instant::now();
            let size = [grid.height, grid.width];
            let y = hyper.decode(&mut payload, &parameters, size)?;
            stages.entropy = clock.elapsed();
            y
        } else {
            let symbols = payload.channels(grid.area(), bottleneck)?;
            stages.entropy = clock.elapsed();
            bottleneck.dequantize(&symbols, grid.area())
        };
        payload.finish()?;
        let y = self.tensor(y, self.model.config.latents, grid);
        grid.decoded(|| Ok(self.network.synthesis(y)), [width, height], stages)
    }
}
