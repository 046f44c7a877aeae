//! The layers, and the padding that gives every frame its samples.

use burn::tensor::{Int, Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::{Activation, Border, CodecBackend, ResidualUnit};
use codec_core::layers::{
    Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig, GroupNorm, Lstm,
};
use codec_core::weights::Loader;

use super::{Norm, SeanetConfig};
use crate::models::ragged::Ragged;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// The layers of an encoder or decoder with the numbers that they have in the authors' sequence.
#[derive(Debug)]
pub struct Sequence<B: CodecBackend> {
    /// Layers in order.
    pub layers: Vec<(usize, SequenceLayer<B>)>,
}

/// One layer.
#[derive(Debug)]
pub enum SequenceLayer<B: CodecBackend> {
    /// Convolution.
    Conv(PaddedConv<B>),
    /// Transposed convolution.
    Transposed(TrimmedConv<B>),
    /// Residual block.
    Residual(Box<Residual<B>>),
    /// Exponential linear unit.
    Elu,
    /// Memory, whose input is added to its output.
    Memory(Lstm<B>),
}

impl<B: CodecBackend> Sequence<B> {
    /// The encoder of a checkpoint: `[n, channels, t]` to `[n, dimension, ceil(t / hop)]`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for borders that are not known.
    pub fn encoder(config: &SeanetConfig, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let mut plan = Plan::new(config, loader)?;
        plan.conv([config.channels, config.n_filters], config.kernel_size, 1);
        for (stage, &ratio) in config.ratios.iter().rev().enumerate() {
            let width = config.width(stage);
            plan.blocks(width);
            plan.elu();
            plan.conv([width, config.width(stage + 1)], 2 * ratio, ratio);
        }
        let width = config.width(config.ratios.len());
        plan.memory(width);
        plan.elu();
        plan.conv([width, config.dimension], config.last_kernel_size, 1);
        Ok(Self {
            layers: plan.layers,
        })
    }

    /// The decoder of a checkpoint: `[n, dimension, l]` to `[n, channels, hop l]`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for borders that are not known.
    pub fn decoder(config: &SeanetConfig, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let mut plan = Plan::new(config, loader)?;
        let stages = config.ratios.len();
        let width = config.width(stages);
        plan.conv([config.dimension, width], config.kernel_size, 1);
        plan.memory(width);
        for (stage, &ratio) in config.ratios.iter().enumerate() {
            let widths = [stages - stage, stages - stage - 1].map(|left| config.width(left));
            plan.elu();
            plan.transposed(widths, ratio);
            plan.blocks(widths[1]);
        }
        plan.elu();
        plan.conv(
            [config.n_filters, config.channels],
            config.last_kernel_size,
            1,
        );
        Ok(Self {
            layers: plan.layers,
        })
    }

    /// Runs all layers.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.forward_ragged(Ragged::whole(x)).x
    }

    /// The same with items of different lengths, each as if alone.
    pub(crate) fn forward_ragged(&self, x: Ragged<B>) -> Ragged<B> {
        let mut layers = self.layers.iter().map(|(_, layer)| layer).peekable();
        let mut x = x;
        while let Some(layer) = layers.next() {
            // What follows a layer costs least where the layer writes.
            let after = match layers.next_if(|next| matches!(next, SequenceLayer::Elu)) {
                Some(_) => Activation::Elu,
                None => Activation::None,
            };
            x = layer.forward_then(x, after);
        }
        x
    }
}

impl<B: CodecBackend> SequenceLayer<B> {
    /// `[n, c, t]` with t at least 1, to what the layer makes of it.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.forward_then(Ragged::whole(x), Activation::None).x
    }

    /// The same and an activation.
    fn forward_then(&self, x: Ragged<B>, activation: Activation) -> Ragged<B> {
        match self {
            Self::Conv(layer) => layer.forward_ragged(x, activation),
            Self::Transposed(layer) => x.each(|x| layer.forward(x, activation)),
            Self::Residual(layer) => layer.forward_ragged(x, activation),
            Self::Elu => x.map(|x| activate(B::elu(x), activation)),
            // Memory looks back only, so that nothing behind an item's end gets into it.
            Self::Memory(layer) => x.map(|x| {
                let remembered = layer.forward(x.clone().swap_dims(1, 2));
                activate(x + remembered.swap_dims(1, 2), activation)
            }),
        }
    }
}

/// Layers as they are added one after the other.
struct Plan<'c, 'l, B: CodecBackend> {
    config: &'c SeanetConfig,
    border: Border,
    loader: &'c Loader<'l, B>,
    layers: Vec<(usize, SequenceLayer<B>)>,
}

impl<'c, 'l, B: CodecBackend> Plan<'c, 'l, B> {
    fn new(config: &'c SeanetConfig, loader: &'c Loader<'l, B>) -> Result<Self, Error> {
        Ok(Self {
            config,
            border: config.border()?,
            loader,
            layers: Vec::new(),
        })
    }

    /// The loader of the next layer.
    fn next(&self) -> Loader<'l, B> {
        self.loader.at(self.layers.len())
    }

    fn push(&mut self, layer: SequenceLayer<B>) {
        self.layers.push((self.layers.len(), layer));
    }

    fn padded(&self, conv: Conv1dConfig, loader: &Loader<'_, B>) -> PaddedConv<B> {
        PaddedConv {
            norm: norm(self.config, conv.channels[1], &loader.at("conv.norm")),
            conv: conv.load(&loader.at("conv.conv")),
            causal: self.config.causal,
            border: self.border,
        }
    }

    fn conv(&mut self, channels: [usize; 2], kernel: usize, stride: usize) {
        let conv = Conv1dConfig::new(channels, kernel).with_stride(stride);
        let layer = self.padded(conv, &self.next());
        self.push(SequenceLayer::Conv(layer));
    }

    fn transposed(&mut self, channels: [usize; 2], ratio: usize) {
        let loader = self.next();
        let conv = ConvTranspose1dConfig::new(channels, 2 * ratio, ratio);
        let layer = TrimmedConv {
            norm: norm(self.config, channels[1], &loader.at("convtr.norm")),
            conv: conv.load(&loader.at("convtr.convtr")),
            share: if self.config.causal {
                self.config.trim_right_ratio
            } else {
                0.5
            },
            causal: self.config.causal,
        };
        self.push(SequenceLayer::Transposed(layer));
    }

    fn blocks(&mut self, width: usize) {
        for block in 0..self.config.n_residual_layers {
            let (loader, inside) = (self.next(), width / self.config.compress.max(1));
            let first = Conv1dConfig::new([width, inside], self.config.residual_kernel_size)
                .with_dilation(self.config.dilation(block));
            let second = Conv1dConfig::new([inside, width], 1);
            let shortcut = Conv1dConfig::new([width, width], 1);
            let layer = Residual {
                first: self.padded(first, &loader.at("block.1")),
                second: self.padded(second, &loader.at("block.3")),
                shortcut: (!self.config.true_skip)
                    .then(|| self.padded(shortcut, &loader.at("shortcut"))),
            };
            self.push(SequenceLayer::Residual(Box::new(layer)));
        }
    }

    fn elu(&mut self) {
        self.push(SequenceLayer::Elu);
    }

    fn memory(&mut self, width: usize) {
        if self.config.lstm > 0 {
            let layer = Lstm::load(width, self.config.lstm, &self.next().at("lstm"));
            self.push(SequenceLayer::Memory(layer));
        }
    }
}

fn norm<B: CodecBackend>(
    config: &SeanetConfig,
    channels: usize,
    loader: &Loader<'_, B>,
) -> Option<GroupNorm<B>> {
    (config.norm == Norm::TimeGroupNorm).then(|| GroupNorm::load(channels, 1, EPSILON, loader))
}

fn normalized<B: CodecBackend>(norm: &GroupNorm<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    let [n, c, t] = x.dims();
    norm.forward(x.reshape([n, c, 1, t])).reshape([n, c, t])
}

/// Convolution with as many outputs as the signal has strides, begun ones included.
#[derive(Debug)]
pub struct PaddedConv<B: CodecBackend> {
    conv: Conv1d<B>,
    norm: Option<GroupNorm<B>>,
    causal: bool,
    border: Border,
}

impl<B: CodecBackend> PaddedConv<B> {
    /// Samples before and after a signal of `time` samples.
    fn sides(&self, time: usize) -> [usize; 2] {
        let (span, stride) = (self.conv.span(), self.conv.stride);
        let total = span.saturating_sub(stride);
        // What completes the last stride.
        let extra = time.next_multiple_of(stride) - time;
        let right = if self.causal { 0 } else { total / 2 };
        [total - right, right + extra]
    }

    /// Whether a signal has too few samples to be mirrored at its ends.
    fn is_too_short(&self, time: usize) -> bool {
        let [before, after] = self.sides(time);
        self.border == Border::Reflect && before.max(after) >= time.max(1)
    }

    /// Weights and bias, without the taps of a convolution that has one.
    fn pointwise(&self) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let weight = self.conv.weight.val();
        let [output, input, taps] = weight.dims();
        (weight.reshape([output, input * taps]), self.conv.bias.val())
    }

    /// `[n, in, t]` to `[n, out, ceil(t / stride)]`.
    fn forward(&self, x: Tensor<B, 3>, activation: Activation) -> Tensor<B, 3> {
        let time = x.dims()[2];
        let out = if self.is_too_short(time) {
            self.convolved(self.extended(x), [0, 0], Border::Zeros, activation)
        } else {
            self.convolved(x, self.sides(time), self.border, activation)
        };
        self.ended(out, activation)
    }

    /// The same with items of different lengths.
    fn forward_ragged(&self, x: Ragged<B>, activation: Activation) -> Ragged<B> {
        if x.is_even() {
            return x.map(|x| self.forward(x, activation));
        }
        let out = x.each(|x| self.extended(x)).resized(
            |time| self.conv.outputs(time, [0, 0]).unwrap_or(0),
            |x| self.convolved(x, [0, 0], Border::Zeros, activation),
        );
        match self.norm {
            None => out,
            Some(_) => out.each(|x| self.ended(x, activation)),
        }
    }

    /// The convolution, with the activation if nothing stands between them.
    fn convolved(
        &self,
        x: Tensor<B, 3>,
        sides: [usize; 2],
        border: Border,
        activation: Activation,
    ) -> Tensor<B, 3> {
        let after = match self.norm {
            Some(_) => Activation::None,
            None => activation,
        };
        self.conv.forward(x, sides, border, after)
    }

    /// What is left to do after [`PaddedConv::convolved`].
    fn ended(&self, x: Tensor<B, 3>, activation: Activation) -> Tensor<B, 3> {
        match &self.norm {
            None => x,
            Some(norm) => activate(normalized(norm, x), activation),
        }
    }

    /// A signal with what lies around it.
    fn extended(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let sides = self.sides(x.dims()[2]);
        match self.border {
            _ if sides == [0, 0] => x,
            Border::Reflect => reflected(x, sides),
            border => B::extend(x, sides, border),
        }
    }
}

/// The signal mirrored at its ends. One that is too short for that gets zeros at its end first, as many as it takes, and the
/// result loses so many samples again.
fn reflected<B: CodecBackend>(x: Tensor<B, 3>, sides: [usize; 2]) -> Tensor<B, 3> {
    let time = x.dims()[2];
    let least = sides[0].max(sides[1]) + 1;
    if time >= least {
        return B::extend(x, sides, Border::Reflect);
    }
    // Places in the signal with its zeros. In one step: fusion (Burn 0.21) loses values of a mirrored extension of zeros.
    let places = (0..sides[0] + time + sides[1]).map(|at| {
        let (at, last) = (at as i64 - sides[0] as i64, least as i64 - 1);
        let mirrored = at.abs();
        last - (last - mirrored).abs()
    });
    let places: Vec<i64> = places.collect();
    let there: Vec<f32> = places
        .iter()
        .map(|&at| f32::from(u8::from(at < time as i64)))
        .collect();
    let count = places.len();
    let places = places.into_iter().map(|at| at.min(time as i64 - 1));
    let places = TensorData::new(places.collect::<Vec<_>>(), [count]);
    let there = TensorData::new(there, [1, 1, count]);
    let device = x.device();
    let chosen = x.select(2, Tensor::<B, 1, Int>::from_data(places, &device));
    chosen * Tensor::from_data(there, &device)
}

fn activate<B: CodecBackend>(x: Tensor<B, 3>, activation: Activation) -> Tensor<B, 3> {
    match activation {
        Activation::Elu => B::elu(x),
        other => codec_core::backend::plain::activate(x, other),
    }
}

/// Transposed convolution with `stride` outputs for each input.
#[derive(Debug)]
pub struct TrimmedConv<B: CodecBackend> {
    conv: ConvTranspose1d<B>,
    norm: Option<GroupNorm<B>>,
    /// Share of the excess that is cut off at the end.
    share: f64,
    causal: bool,
}

impl<B: CodecBackend> TrimmedConv<B> {
    fn cut(&self) -> [usize; 2] {
        let total = self.conv.overlap();
        let right = if self.causal {
            ((total as f64 * self.share).ceil() as usize).min(total)
        } else {
            total / 2
        };
        [total - right, right]
    }

    /// `[n, in, t]` to `[n, out, stride t]`. The normalization sees what is cut off afterwards, too.
    fn forward(&self, x: Tensor<B, 3>, activation: Activation) -> Tensor<B, 3> {
        let cut = self.cut();
        let Some(norm) = &self.norm else {
            return self.conv.forward(x, cut, activation);
        };
        let whole = normalized(norm, self.conv.forward(x, [0, 0], Activation::None));
        let kept = whole.dims()[2] - cut[0] - cut[1];
        activate(whole.narrow(2, cut[0], kept), activation)
    }
}

/// `shortcut(x) + second(elu(first(elu(x))))`.
#[derive(Debug)]
pub struct Residual<B: CodecBackend> {
    first: PaddedConv<B>,
    second: PaddedConv<B>,
    shortcut: Option<PaddedConv<B>>,
}

impl<B: CodecBackend> Residual<B> {
    fn forward(&self, x: Tensor<B, 3>, activation: Activation) -> Tensor<B, 3> {
        let time = x.dims()[2];
        let parts = [
            Some(&self.first),
            Some(&self.second),
            self.shortcut.as_ref(),
        ];
        let normalized = parts.iter().flatten().any(|part| part.norm.is_some());
        if !normalized && !self.first.is_too_short(time) {
            let first = &self.first.conv;
            let unit = ResidualUnit {
                first: (first.weight.val(), first.bias.val()),
                walk: first.walk(self.first.sides(time)),
                border: self.first.border,
                second: self.second.pointwise(),
                shortcut: self.shortcut.as_ref().map(PaddedConv::pointwise),
                inside: Activation::Elu,
                activation,
            };
            return B::residual_unit(x, unit);
        }
        let inside = self.first.forward(B::elu(x.clone()), Activation::Elu);
        let inside = self.second.forward(inside, Activation::None);
        let own = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, Activation::None),
            None => x,
        };
        activate(own + inside, activation)
    }

    /// The same with items of different lengths.
    fn forward_ragged(&self, x: Ragged<B>, activation: Activation) -> Ragged<B> {
        if x.is_even() {
            return x.map(|x| self.forward(x, activation));
        }
        let inside = self
            .first
            .forward_ragged(x.clone().map(B::elu), Activation::Elu);
        let inside = self.second.forward_ragged(inside, Activation::None);
        let own = match &self.shortcut {
            Some(shortcut) => shortcut.forward_ragged(x, Activation::None),
            None => x,
        };
        (own + inside).map(|x| activate(x, activation))
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};
    use codec_core::weights::Tensors;

    use super::*;

    fn conv(kernel: usize, stride: usize, causal: bool) -> PaddedConv<Flex> {
        let loader = Tensors::new();
        let loader = Loader::new(&loader, &FlexDevice);
        PaddedConv {
            conv: Conv1dConfig::new([1, 1], kernel)
                .with_stride(stride)
                .load(&loader),
            norm: None,
            causal,
            border: Border::Reflect,
        }
    }

    #[test]
    fn the_larger_half_is_on_the_left() {
        // Stride 5, ten taps: five samples around, one and a half frames.
        assert_eq!(conv(10, 5, false).sides(10), [3, 2]);
        assert_eq!(conv(10, 5, false).sides(11), [3, 6]);
        assert_eq!(conv(10, 5, true).sides(11), [5, 4]);
        assert_eq!(conv(7, 1, false).sides(1), [3, 3]);
        assert_eq!(conv(1, 1, true).sides(9), [0, 0]);
    }

    #[test]
    fn every_length_gives_its_frames() {
        for causal in [false, true] {
            for (kernel, stride) in [(10, 5), (4, 2), (7, 1), (16, 8)] {
                for time in [1usize, 2, 3, 4, 7, 16, 17, 40] {
                    let x = Tensor::<Flex, 3>::ones([1, 1, time], &FlexDevice);
                    let y = conv(kernel, stride, causal).forward(x, Activation::None);
                    assert_eq!(
                        y.dims()[2],
                        time.div_ceil(stride),
                        "{kernel}/{stride} {time}"
                    );
                }
            }
        }
    }

    #[test]
    fn short_signals_are_mirrored_with_zeros() {
        let x = Tensor::<Flex, 3>::from_floats([[[1.0, 2.0]]], &FlexDevice);
        let y = reflected(x, [3, 1]);
        let y: Vec<f32> = y.into_data().into_vec().unwrap();
        // 1 2 0 0 mirrored by 3 and 1 is 0 0 2 1 2 0 0 0; the last two go again.
        assert_eq!(y, [0.0, 0.0, 2.0, 1.0, 2.0, 0.0]);
    }

    /// As the authors do it: zeros at the end, the mirror, and as many samples less.
    #[test]
    fn short_signals_get_zeros_before_they_are_mirrored() {
        let values = [3.0, -1.0, 4.0, 2.0, 7.0, 5.0, -6.0, 8.0];
        for time in 1..=8 {
            for sides in [[0, 0], [6, 0], [3, 3], [2, 5], [1, 0], [0, 4]] {
                let least = sides[0].max(sides[1]) + 1;
                let mut zeros = values[..time].to_vec();
                zeros.resize(time.max(least), 0.0);
                let last = zeros.len() - 1;
                let mirrored = (0..sides[0] + time + sides[1]).map(|at| {
                    let at = at.abs_diff(sides[0]);
                    zeros[last - at.abs_diff(last)]
                });
                let wanted: Vec<f32> = mirrored.collect();
                let x = TensorData::new(values[..time].to_vec(), [1, 1, time]);
                let x = Tensor::<Flex, 3>::from_data(x, &Default::default());
                let found: Vec<f32> = reflected(x, sides).into_data().into_vec().unwrap();
                assert_eq!(found, wanted, "{time} {sides:?}");
            }
        }
    }
}
