//! Tiles to bytes and back.
//!
//! A payload is the check value of `models::check`, then one stream: hyperlatents in order c, h, w with a table a channel, then
//! latents slice by slice, anchors before the other cells, each group in order c, h, w of its half of the plane, with the
//! tables that their scales select.

use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::bits;
use codec_entropy::{Decoder, Encoder};

use super::config::MlicppConfig;
use super::family::Mlicpp;
use super::model::Network;
use super::slice::{Group, Halves, Observer, halves};
use crate::coder::{
    DecodedTile, EncodedTile, ImageCoder, Quality, Rates, RgbTile, Stages, TileOptions,
};
use crate::models::check::Check;
use crate::models::family::Model;
use crate::models::grid::Grid;
use crate::models::host;

/// A model on a device.
pub struct Coder<B: CodecBackend> {
    config: MlicppConfig,
    network: Network<B>,
    device: B::Device,
}

/// Latents of pictures as they are coded.
pub(super) struct Coded<B: CodecBackend> {
    /// Symbols in coding order.
    pub symbols: Vec<i32>,
    /// Tables of the symbols.
    pub indexes: Vec<u8>,
    /// Likelihoods of the symbols.
    pub likelihoods: Vec<f32>,
    /// What the synthesis sees, `[n, M, h, w]`.
    pub decoded: Tensor<B, 4>,
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
            let count: usize = groups.len();
            let (slice, parity) = (count / 2, count % 2);
            let [_, channels, _, _] = group.means.dims();
            let half = y.iter().nth(parity).cloned();
            let half = half.unwrap_or_else(|| group.means.clone());
            let values = half.narrow(1, slice * channels, channels);
            let symbols = (values - group.means.clone()).round();
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
        let indexes = scales.iter().map(|&scale| self.gaussian.index(scale));
        let pairs = symbols.iter().zip(&scales);
        Ok(Coded {
            indexes: indexes.collect(),
            likelihoods: pairs
                .map(|(&v, &scale)| self.gaussian.likelihood(v, scale))
                .collect(),
            symbols: symbols.into_iter().map(|v| v as i32).collect(),
            decoded,
        })
    }

    /// Latents of symbols that `next` reads, given their tables.
    pub(super) fn decode(
        &self,
        features: Tensor<B, 4>,
        mut next: impl FnMut(&[u8], &mut [i32]) -> Result<(), Error>,
    ) -> Result<Tensor<B, 4>, Error> {
        let device = features.device();
        let mut code = |group: &Group<B>| {
            let shape = group.scales.dims();
            let scales = host(group.scales.clone())?;
            let indexes: Vec<u8> = scales.iter().map(|&s| self.gaussian.index(s)).collect();
            let mut symbols = vec![0; indexes.len()];
            next(&indexes, &mut symbols)?;
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
            config: model.config.clone(),
            network: model.network(device)?,
            device: device.clone(),
        })
    }

    /// Features of hyperlatents' symbols.
    fn features(&self, symbols: &[i32], grid: Grid) -> Result<Tensor<B, 4>, Error> {
        let z = self.network.bottleneck.dequantize(symbols, grid.area());
        let z = grid.tensor(z, self.config.width, &self.device);
        self.network.hyper_synthesis.forward(z)
    }
}

impl<B: CodecBackend> ImageCoder for Coder<B> {
    fn rates(&self) -> Rates {
        Rates::Fixed
    }

    fn encode_tile(&self, tile: RgbTile<'_>, _options: TileOptions) -> Result<EncodedTile, Error> {
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
        let coded = network.encode(&y, features, None)?;
        let z_hat = bottleneck.dequantize(&z_symbols, area);
        let estimate = bits(&bottleneck.likelihoods(&z_hat, area)) + bits(&coded.likelihoods);
        stages.context = clock.elapsed();

        let clock = Instant::now();
        let (mut encoder, mut check) = (Encoder::new(), Check::new());
        check.symbols(&z_symbols);
        let group = grid.area() / 2 * self.config.slice_channels();
        let groups = coded.symbols.chunks(group).zip(coded.indexes.chunks(group));
        for (symbols, indexes) in groups {
            check.tables(indexes);
            check.symbols(symbols);
        }
        encoder
            .push(&z_symbols, &bottleneck.indexes(area), bottleneck.tables())
            .and_then(|()| encoder.push(&coded.symbols, &coded.indexes, network.gaussian.tables()))
            .map_err(Check::drift)?;
        let bytes = check.seal(&encoder.finish().map_err(Check::drift)?);
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
        let (expected, stream) = Check::open(bytes)?;
        let mut decoder = Decoder::new(stream).map_err(Check::drift)?;
        let mut check = Check::new();
        let area = grid.hyper().area();
        let mut z = vec![0; self.config.width * area];
        decoder
            .decode(&bottleneck.indexes(area), bottleneck.tables(), &mut z)
            .map_err(Check::drift)?;
        check.symbols(&z);
        let features = self.features(&z, grid.hyper())?;
        let y = network.decode(features, |indexes, symbols| {
            let clock = Instant::now();
            decoder
                .decode(indexes, network.gaussian.tables(), symbols)
                .map_err(Check::drift)?;
            check.tables(indexes);
            check.symbols(symbols);
            stages.entropy += clock.elapsed();
            Ok(())
        })?;
        decoder.finish().map_err(Check::drift)?;
        check.verify(expected)?;
        stages.context = start.elapsed().saturating_sub(stages.entropy);

        let clock = Instant::now();
        let pixels = network.synthesis.forward(y)?;
        let samples = grid.samples(pixels, [width, height])?;
        stages.transform = clock.elapsed();
        Ok(DecodedTile { samples, stages })
    }
}
