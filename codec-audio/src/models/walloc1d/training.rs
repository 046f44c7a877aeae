//! Training from nothing or from weights, and the way back to a weights file.
//!
//! The integers of a latent are far larger than what networks are started and stepped for, so a network in training works in
//! units of the wavelet packets: the quantizer's scale stands between the networks and the quantizer, and is multiplied into
//! the first and divided out of the second where weights are written.

use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::{Companding, Rounding, plane_bits};
use codec_core::weights::{HostTensor, Loader, Start, Tensors};

use super::Walloc1d;
use super::codec::Coder;
use super::config::Walloc1dConfig;
use super::network::Network;
use crate::models::family::Model;

/// A wavelet packet of this size, in a signal of -0.5..0.5, lies one standard deviation of the quantizer from 0 at first.
const RANGE: f64 = 4.0;
/// Share of a stereo model's latents that the sum of its channels has at first, in quarters; the difference has the rest.
const SUM_QUARTERS: usize = 3;
/// Logarithm of what activations between the blocks divide their bend by at first: they begin almost straight.
const STRAIGHT: f32 = 8.0;

/// What [`Fresh::forward`] gives, with gradients.
#[derive(Debug, Clone)]
pub struct TrainingPass<B: CodecBackend> {
    /// Reconstruction, not clamped, `[n, c, t]` in -1..1.
    pub reconstruction: Tensor<B, 3>,
    /// Estimated thousand bits a second of each recording, `[n]`.
    pub rate: Tensor<B, 1>,
}

/// A configuration with initial parameters.
#[derive(Debug, Clone)]
pub struct Fresh {
    config: Walloc1dConfig,
    quantizer: Companding,
    tensors: Tensors,
    start: Start,
}

impl Fresh {
    /// Draws the parameters. The model begins as a linear codec that sends the lowest bands: of two channels, of their sum and
    /// of their difference. What bends the signal starts with a weight of 0 or near to it.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for sizes that no model has.
    pub fn new(config: &Walloc1dConfig, seed: u64) -> Result<Self, Error> {
        config.check()?;
        let quantizer = Companding::new(config.latent_bits)?;
        let start = Start::new(seed, |loader| Network::load(config, quantizer, loader))?;
        let mut tensors = start.tensors().clone();
        let shapes: Vec<(String, Vec<usize>)> = tensors
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec()))
            .collect();
        let projection = Projection::of(config);
        for (name, shape) in &shapes {
            if let Some(values) = initial(name, shape, &projection) {
                tensors.insert(name.clone(), HostTensor::floats(shape, values)?);
            }
        }
        Ok(Self {
            config: config.clone(),
            quantizer,
            tensors,
            start,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Walloc1dConfig {
        &self.config
    }

    /// What stands between networks in training and the quantizer.
    fn unit(&self) -> f64 {
        self.quantizer.scale() / RANGE
    }

    /// The networks with their initial parameters.
    pub fn init<B: CodecBackend>(&self, device: &B::Device) -> Network<B> {
        self.load(&Loader::new(&self.tensors, device))
    }

    fn load<B: CodecBackend>(&self, loader: &Loader<'_, B>) -> Network<B> {
        Network::load(&self.config, self.quantizer, loader).in_units_of(self.unit())
    }

    /// The networks of a weights file, in the units of training.
    ///
    /// # Errors
    /// [`Error::Malformed`] for weights of other sizes.
    pub fn adopt<B: CodecBackend>(
        &self,
        model: &Model<Walloc1d>,
        device: &B::Device,
    ) -> Result<Network<B>, Error> {
        let tensors = self.scaled(&model.tensors, 1.0 / self.unit())?;
        let loader = Loader::new(&tensors, device);
        let network = self.load(&loader);
        loader.finish()?;
        Ok(network)
    }

    /// The pass of training (section 4 of the paper).
    ///
    /// # Shapes
    /// Recordings in -1..1, `[n, c, t]` with t a multiple of the hop.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for other lengths.
    pub fn forward<B: CodecBackend>(
        &self,
        network: &Network<B>,
        x: Tensor<B, 3>,
        rounding: Rounding,
    ) -> Result<TrainingPass<B>, Error> {
        let [n, _, samples] = x.dims();
        let packets = network.analysis(x.div_scalar(2.0))?;
        let z = self.quantizer.compress(network.encode(packets));
        let [_, rows, length] = z.dims();
        let bits = plane_bits(z.clone().reshape([n, rows, 1, length]));
        let seconds = samples as f64 / self.config.sample_rate as f64;
        let z = self.quantizer.approximate(z, rounding);
        let packets = network.decode(self.quantizer.expand(z));
        let y = network.filter(network.synthesis(packets)?);
        Ok(TrainingPass {
            reconstruction: y.mul_scalar(2.0),
            rate: bits.div_scalar(1000.0 * seconds),
        })
    }

    /// The codec of networks as they are.
    ///
    /// # Errors
    /// Those of [`Coder::of`].
    pub fn coder<B: CodecBackend>(
        &self,
        network: Network<B>,
        device: &B::Device,
    ) -> Result<Coder<B>, Error> {
        Coder::of(network, &self.config, device)
    }

    /// Parameters under the authors' names, rounded to 16 bits.
    ///
    /// # Errors
    /// Device errors.
    pub fn export<B: CodecBackend>(&self, network: &Network<B>) -> Result<Tensors, Error> {
        self.scaled(&self.start.collect(network)?, self.unit())?
            .halved()
    }

    /// Tensors with the ends that face the quantizer in other units: the encoder's times `factor`, the decoder's divided by it.
    fn scaled(&self, tensors: &Tensors, factor: f64) -> Result<Tensors, Error> {
        let mut scaled = Tensors::new();
        let last = if self.config.lightweight_encode {
            "encoder.0."
        } else {
            "encoder.0.conv2."
        };
        for (name, tensor) in tensors.iter() {
            let factor = match name {
                "decoder.1.conv1.weight" => 1.0 / factor,
                _ if name.starts_with(last) => factor,
                _ => 1.0,
            };
            let values = tensor.as_floats().unwrap_or_default().iter();
            let values = values.map(|&v| (f64::from(v) * factor) as f32).collect();
            scaled.insert(name, HostTensor::floats(tensor.shape(), values)?);
        }
        Ok(scaled)
    }
}

/// The first encoder: for each latent, the packets that it is made of with their weights. Its transpose is the first decoder.
struct Projection(Vec<Vec<(usize, f32)>>);

impl Projection {
    fn of(config: &Walloc1dConfig) -> Self {
        let bands = config.hop();
        // Bands lie in the order of the filters that they passed, in which every other one is reflected: a Gray code.
        let lowest = |count: usize| (0..count.min(bands)).map(|k| k ^ (k >> 1));
        let dim = config.latent_dim;
        let rows = match config.channels {
            2 => {
                let weight = std::f32::consts::FRAC_1_SQRT_2;
                let sum = (dim * SUM_QUARTERS / 4).max(1).min(bands);
                let sums = lowest(sum).map(|k| vec![(k, weight), (bands + k, weight)]);
                let rest = lowest(dim - sum);
                let differences = rest.map(|k| vec![(k, weight), (bands + k, -weight)]);
                sums.chain(differences).collect()
            }
            channels => {
                let each = dim.div_ceil(channels.max(1));
                let all = (0..channels)
                    .flat_map(|c| lowest(each).map(move |k| vec![(c * bands + k, 1.0)]));
                all.take(dim).collect()
            }
        };
        Self(rows)
    }
}

/// Initial values of a tensor where they are not random.
fn initial(name: &str, shape: &[usize], projection: &Projection) -> Option<Vec<f32>> {
    let count = shape.iter().product();
    // Inside of a residual unit, activations start with one bend for a change of one, and the unit adds nothing.
    let unit = name.contains(".res_unit");
    match name.rsplit('.').next() {
        Some("alpha") => return Some(vec![0.0; count]),
        Some("beta") if unit => return Some(vec![0.0; count]),
        Some("beta") => return Some(vec![STRAIGHT; count]),
        Some("weight") if unit && name.ends_with("conv2.weight") => return Some(vec![0.0; count]),
        Some("weight") if !unit => {}
        _ => return None,
    }
    let &[rows, columns, taps] = shape else {
        return None;
    };
    let middle = taps / 2;
    let mut values = vec![0.0; count];
    let mut set = |row: usize, column: usize, tap: usize, value: f32| {
        if row < rows && column < columns {
            let at = (row * columns + column) * taps + tap;
            if let Some(slot) = values.get_mut(at) {
                *slot = value;
            }
        }
    };
    let latents = projection.0.iter().enumerate();
    let packets = latents.flat_map(|(i, row)| row.iter().map(move |&(packet, w)| (i, packet, w)));
    match name {
        "encoder.0.weight" | "encoder.0.conv1.weight" => {
            packets.for_each(|(latent, packet, w)| set(latent, packet, middle, w));
        }
        "decoder.1.conv2.weight" => {
            packets.for_each(|(latent, packet, w)| set(packet, latent, middle, w));
        }
        // The encoder makes a signal longer by a frame at either end: it, or one of its two blocks, adds the one before. The
        // decoder takes them back.
        _ => {
            let tap = match name {
                "encoder.0.block.0.conv1.weight" | "decoder.1.block.1.conv_t1.weight" => 1,
                "encoder.0.block.1.conv1.weight" | "decoder.1.block.0.conv_t1.weight" => 0,
                "post.weight" => middle,
                _ if name.ends_with("conv1.weight") || name.ends_with("conv2.weight") => middle,
                _ => return None,
            };
            (0..rows.min(columns)).for_each(|i| set(i, i, tap, 1.0));
        }
    }
    Some(values)
}
