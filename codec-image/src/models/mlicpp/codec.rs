//! Tiles to bytes and back.
//!
//! A payload is that of `models::payload`: hyperlatents in order c, h, w with a table a channel, then
//! latents slice by slice, anchors before the other cells, each group in order c, h, w of its half of the plane, with the
//! tables that their scales select.

use std::time::Instant;

use burn::backend::Autodiff;
use burn::tensor::backend::BackendTypes;
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::bits;

use super::family::Mlicpp;
use super::model::Network;
use super::slice::{Group, Halves, Observer, halves};
use crate::coder::{
    DecodedTile, EncodedTile, ImageCoder, Quality, Rates, RgbTile, Stages, TileOptions,
};
use crate::models::annealing::Schedule;
use crate::models::family::Model;
use crate::models::grid::Grid;
use crate::models::host;
use crate::models::payload::{Reader, Writer};

/// Pixels that take about 4 GB at the published widths.
const COMFORTABLE_PIXELS: u64 = 1 << 20;

/// A model on a device.
pub struct Coder<B: CodecBackend> {
    pub(super) model: Model<Mlicpp>,
    pub(super) network: Network<B>,
    pub(super) device: B::Device,
}

/// Latents of pictures as they are coded.
pub(super) struct Coded<B: CodecBackend> {
    /// Symbols in coding order.
    pub symbols: Vec<i32>,
    /// Standard deviations that choose their tables.
    pub scales: Vec<f32>,
    /// Likelihoods of the symbols.
    pub likelihoods: Vec<f32>,
    /// What the synthesis sees, `[n, M, h, w]`.
    pub decoded: Tensor<B, 4>,
}

/// What the latents of the group of this number, in coding order, differ from their means.
pub(super) fn residual<B: CodecBackend>(
    [anchors, others]: &Halves<B>,
    number: usize,
    group: &Group<B>,
) -> Tensor<B, 4> {
    let [_, channels, _, _] = group.means.dims();
    let half = if number.is_multiple_of(2) {
        anchors
    } else {
        others
    };
    let values = half.clone().narrow(1, number / 2 * channels, channels);
    values - group.means.clone()
}

impl<B: CodecBackend> Network<B> {
    /// Quantizes latents `[n, M, h, w]` against the contexts that grow with them.
    pub(super) fn encode(
        &self,
        y: &Tensor<B, 4>,
        features: Tensor<B, 4>,
        observer: Option<Observer<'_, B>>,
    ) -> Result<Coded<B>, Error> {
        let y: Halves<B> = halves(y)?;
        let mut groups = Vec::new();
        let mut code = |group: &Group<B>| {
            let symbols = residual(&y, groups.len(), group).round();
            groups.push((symbols.clone(), group.scales.clone()));
            Ok(symbols)
        };
        let decoded = self.code_latents(features, &mut code, observer)?;
        let (symbols, scales): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
        let scales = host(Tensor::cat(scales, 0))?;
        let symbols = host(Tensor::cat(symbols, 0))?;
        // Integers beyond this have no exact float, and what is not a number has no symbol.
        if !symbols.iter().all(|v| v.abs() < (1 << 24) as f32) {
            return Err(Error::malformed(
                "weights: latents of this picture that are not numbers",
            ));
        }
        let pairs = symbols.iter().zip(&scales);
        Ok(Coded {
            likelihoods: pairs
                .map(|(&v, &scale)| self.gaussian.likelihood(v, scale))
                .collect(),
            symbols: symbols.into_iter().map(|v| v as i32).collect(),
            scales,
            decoded,
        })
    }

    /// Latents of symbols that `next` reads, given their scales.
    pub(super) fn decode(
        &self,
        features: Tensor<B, 4>,
        mut next: impl FnMut(&[f32], &mut [i32]) -> Result<(), Error>,
    ) -> Result<Tensor<B, 4>, Error> {
        let device = features.device();
        let mut code = |group: &Group<B>| {
            let shape = group.scales.dims();
            let scales = host(group.scales.clone())?;
            let mut symbols = vec![0; scales.len()];
            next(&scales, &mut symbols)?;
            let symbols: Vec<f32> = symbols.into_iter().map(|v| v as f32).collect();
            Ok(Tensor::from_data(TensorData::new(symbols, shape), &device))
        };
        self.code_latents(features, &mut code, None)
    }
}

impl<B: CodecBackend> Coder<B> {
    /// Puts a model on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn new(model: &Model<Mlicpp>, device: &B::Device) -> Result<Self, Error> {
        Ok(Self {
            model: model.clone(),
            network: model.network(device)?,
            device: device.clone(),
        })
    }

    /// Features of hyperlatents' symbols.
    fn features(&self, symbols: &[i32], grid: Grid) -> Result<Tensor<B, 4>, Error> {
        let z = self.network.bottleneck.dequantize(symbols, grid.area());
        let z = grid.tensor(z, self.model.config.width, &self.device);
        self.network.hyper_synthesis.forward(z)
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
        let grid = Grid::of(tile.width, tile.height)?;
        let (network, bottleneck) = (&self.network, &self.network.bottleneck);
        let y = network.analysis.forward(grid.pixels(tile, &self.device)?);
        let z = host(network.hyper_analysis.forward(y.clone()))?;
        stages.transform = clock.elapsed();

        let clock = Instant::now();
        let area = grid.hyper().area();
        let z_symbols = bottleneck.quantize(&z, area);
        let features = self.features(&z_symbols, grid.hyper())?;
        let y = match Schedule::of(options.effort) {
            Some(schedule) => self.refined(tile, grid, y, &features, schedule)?,
            None => y,
        };
        let coded = network.encode(&y, features, None)?;
        let z_hat = bottleneck.dequantize(&z_symbols, area);
        let estimate = bits(&bottleneck.likelihoods(&z_hat, area)) + bits(&coded.likelihoods);
        stages.context = clock.elapsed();

        let clock = Instant::now();
        let group = grid.area() / 2 * self.model.config.slice_channels();
        let mut payload = Writer::default();
        payload.channels(&z_symbols, area, bottleneck)?;
        payload.scaled(&coded.symbols, &coded.scales, group, &network.gaussian)?;
        let bytes = payload.finish()?;
        stages.entropy = clock.elapsed();
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
        let start = Instant::now();
        let grid = Grid::of(width, height)?;
        let (network, bottleneck) = (&self.network, &self.network.bottleneck);
        let mut payload = Reader::new(bytes)?;
        let z = payload.channels(grid.hyper().area(), bottleneck)?;
        let features = self.features(&z, grid.hyper())?;
        let y = network.decode(features, |scales, symbols| {
            let clock = Instant::now();
            let indexes = payload.scaled(scales, symbols, &network.gaussian)?;
            payload.checked(&indexes, symbols);
            stages.entropy += clock.elapsed();
            Ok(())
        })?;
        payload.finish()?;
        stages.context = start.elapsed().saturating_sub(stages.entropy);

        grid.decoded(|| network.synthesis.forward(y), [width, height], stages)
    }
}
