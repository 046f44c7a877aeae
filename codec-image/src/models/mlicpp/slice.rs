//! The entropy model of one slice: anchors first, then the other cells of the checkerboard (section 3.2 of the paper).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend, Parity};
use codec_core::layers::{Conv, ConvConfig};
use codec_core::weights::Loader;

use super::config::{MlicppConfig, Variant};
use super::global::{InterContext, IntraContext};
use super::local::LocalContext;

/// Anchors, then the other cells.
pub(super) type Halves<B> = [Tensor<B, 4>; 2];

/// Both halves of a plane.
pub(super) fn halves<B: CodecBackend>(x: &Tensor<B, 4>) -> Result<Halves<B>, Error> {
    let odd = B::take_cells(x.clone(), Parity::Odd)?;
    Ok([odd, B::take_cells(x.clone(), Parity::Even)?])
}

/// Shown every intermediate, at all cells.
pub(super) type Observer<'a, B> = &'a mut dyn FnMut(String, Tensor<B, 4>);

/// Intermediates on the way to an observer, if there is one; they are not computed otherwise.
pub(super) struct Show<'a, B: Backend> {
    observer: Option<Observer<'a, B>>,
    slice: usize,
}

impl<'a, B: Backend> Show<'a, B> {
    pub(super) fn new(observer: Option<Observer<'a, B>>) -> Self {
        Self { observer, slice: 0 }
    }

    pub(super) fn slice(&mut self, index: usize) {
        self.slice = index;
    }

    fn see(
        &mut self,
        name: &str,
        x: impl FnOnce() -> Result<Tensor<B, 4>, Error>,
    ) -> Result<(), Error> {
        if let Some(observer) = &mut self.observer {
            observer(format!("slice{}.{name}", self.slice), x()?);
        }
        Ok(())
    }
}

/// One half of a slice: how its cells are distributed.
pub(super) struct Group<B: Backend> {
    /// Standard deviations before their lower bound, `[n, c, h, w / 2]`.
    pub scales: Tensor<B, 4>,
    /// Means, the same.
    pub means: Tensor<B, 4>,
}

impl<B: Backend> Group<B> {
    /// First half scales, second half means.
    fn new(parameters: Tensor<B, 4>) -> Self {
        let half = parameters.dims()[1] / 2;
        Self {
            scales: parameters.clone().narrow(1, 0, half),
            means: parameters.narrow(1, half, half),
        }
    }
}

/// Gives the symbols of the next group, `[n, c, h, w / 2]` like its parameters.
pub(super) type Code<'a, B> = &'a mut dyn FnMut(&Group<B>) -> Result<Tensor<B, 4>, Error>;

/// All that is known before a slice.
pub(super) struct Known<B: Backend> {
    /// The hyperprior's features, `[n, 2M, h, w]`.
    pub features: Tensor<B, 4>,
    /// The same by halves.
    pub halves: Halves<B>,
    /// Slices so far.
    pub decoded: Vec<Tensor<B, 4>>,
    /// What guides the global context within a slice, by halves: the last of them, for the first one the features.
    pub guide: Halves<B>,
}

/// Convolutions of one kernel size with GELU between them.
#[derive(Module, Debug)]
struct ConvStack<B: Backend> {
    layers: Vec<Conv<B>>,
}

impl<B: CodecBackend> ConvStack<B> {
    /// Layers `0`, `2`, `4` … from `input` channels through the hidden widths to `output`.
    fn load(
        input: usize,
        hidden: &[usize],
        output: usize,
        kernel: usize,
        loader: &Loader<'_, B>,
    ) -> Self {
        let mut before = input;
        let widths = hidden.iter().chain([&output]).enumerate();
        let layers = widths.map(|(index, &width)| {
            let channels = [std::mem::replace(&mut before, width), width];
            ConvConfig::new(channels, kernel).load(&loader.at(2 * index))
        });
        Self {
            layers: layers.collect(),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let layers = self.layers.iter().enumerate();
        layers.fold(x, |h, (index, layer)| {
            let h = if index == 0 { h } else { B::gelu_exact(h) };
            layer.forward(h, Activation::None)
        })
    }
}

/// What the slices before say of a slice.
#[derive(Module, Debug)]
struct Previous<B: Backend> {
    inter: InterContext<B>,
    channel: ConvStack<B>,
}

/// Entropy model of one slice.
#[derive(Module, Debug)]
pub(super) struct Slice<B: Backend> {
    previous: Option<Previous<B>>,
    /// The first slice of MLIC++ has none.
    intra: Option<IntraContext<B>>,
    local: LocalContext<B>,
    anchor_parameters: ConvStack<B>,
    other_parameters: ConvStack<B>,
    anchor_prediction: ConvStack<B>,
    other_prediction: ConvStack<B>,
}

impl<B: CodecBackend> Slice<B> {
    pub(super) fn load(config: &MlicppConfig, index: usize, loader: &Loader<'_, B>) -> Self {
        let (m, c) = (config.latents, config.slice_channels());
        let at = |part: &str| loader.at(part).at(index);
        let parameters = |part: &str, contexts: usize| {
            let loader = at(part).at("fusion");
            let input = 2 * m + contexts * c;
            ConvStack::load(input, &config.entropy_hidden, 2 * c, 1, &loader)
        };
        let prediction = |part: &str| {
            let input = m + (index + 1) * c;
            let spread = input - c;
            let hidden = match config.variant {
                Variant::New => config.lrp_hidden.clone(),
                Variant::Old => [spread / 4, spread / 2, 3 * spread / 4]
                    .map(|less| input - less)
                    .into(),
            };
            ConvStack::load(input, &hidden, c, 3, &at(part).at("lrp_transform"))
        };
        let first = index == 0;
        let previous = (!first).then(|| {
            let channel = at("channel_context").at("fushion");
            Previous {
                inter: InterContext::load(config, index, &at("global_inter_context")),
                channel: ConvStack::load(index * c, &config.channel_hidden, 4 * c, 3, &channel),
            }
        });
        let intra = (!first || config.first_slice_context).then(|| {
            let guide = if first { 2 * m } else { c };
            IntraContext::load(config, guide, &at("global_intra_context"))
        });
        // Slices that each context is as wide as.
        let before = if first { 0 } else { 6 };
        let within = if intra.is_some() { 4 } else { 2 };
        Self {
            previous,
            intra,
            local: LocalContext::load(config, &at("local_context")),
            anchor_parameters: parameters("entropy_parameters_anchor", before),
            other_parameters: parameters("entropy_parameters_nonanchor", before + within),
            anchor_prediction: prediction("lrp_anchor"),
            other_prediction: prediction("lrp_nonanchor"),
        }
    }

    /// The slice's decoded cells by halves. Networks run for the cells that need them, except for what is shown.
    pub(super) fn code(
        &self,
        known: &Known<B>,
        code: Code<'_, B>,
        show: &mut Show<'_, B>,
    ) -> Result<Halves<B>, Error> {
        // What is known at all cells, and by halves.
        let mut all = vec![known.features.clone()];
        let [mut odd, mut even] = known.halves.clone().map(|half| vec![half]);
        if let Some(previous) = &self.previous {
            let seen = Tensor::cat(known.decoded.clone(), 1);
            let inter = previous.inter.forward(seen.clone());
            let channel = previous.channel.forward(seen);
            show.see("global_inter_ctx", || Ok(inter.clone()))?;
            show.see("channel_ctx", || Ok(channel.clone()))?;
            let both = Tensor::cat(vec![inter, channel], 1);
            let [odd_half, even_half] = halves(&both)?;
            all.insert(0, both);
            odd.insert(0, odd_half);
            even.insert(0, even_half);
        }

        show.see("params_anchor", || {
            Ok(self.anchor_parameters.forward(Tensor::cat(all.clone(), 1)))
        })?;
        let anchor_group = Group::new(self.anchor_parameters.forward(Tensor::cat(odd, 1)));
        let anchors = code(&anchor_group)? + anchor_group.means.clone();
        let plane = B::put_cells(anchors.clone(), Parity::Odd)?;
        let residual = self.predict(&self.anchor_prediction, known, plane);
        show.see("lrp_anchor", || Ok(squash(residual.clone())))?;
        let anchors = anchors + squash(B::take_cells(residual, Parity::Odd)?);
        let plane = B::put_cells(anchors.clone(), Parity::Odd)?;
        show.see("anchor_hat", || Ok(plane.clone()))?;

        let local = self.local.forward(plane.clone(), Parity::Even)?;
        let mut contexts = vec![local.clone()];
        let mut intra_at_all = None;
        if let Some(intra) = &self.intra {
            let intra = intra.forward(known.guide.clone(), plane.clone())?;
            show.see("global_intra_ctx", || Ok(intra.clone()))?;
            contexts.push(B::take_cells(intra.clone(), Parity::Even)?);
            intra_at_all = Some(intra);
        }
        contexts.extend(even);
        let local_at_all = || {
            let odd = self.local.forward(plane.clone(), Parity::Odd)?;
            Ok(B::join_cells(odd, local.clone())?)
        };
        show.see("local_ctx", local_at_all)?;
        show.see("params_nonanchor", || {
            let contexts = [local_at_all()?].into_iter();
            let contexts = contexts.chain(intra_at_all).chain(all);
            let contexts = Tensor::cat(contexts.collect(), 1);
            Ok(self.other_parameters.forward(contexts))
        })?;
        let group = Group::new(self.other_parameters.forward(Tensor::cat(contexts, 1)));
        let others = code(&group)? + group.means.clone();
        show.see("scales", || {
            Ok(B::join_cells(anchor_group.scales, group.scales)?)
        })?;
        show.see("means", || {
            Ok(B::join_cells(anchor_group.means, group.means)?)
        })?;
        let plane = B::join_cells(anchors.clone(), others.clone())?;
        let residual = self.predict(&self.other_prediction, known, plane);
        show.see("lrp_nonanchor", || Ok(squash(residual.clone())))?;
        let others = others + squash(B::take_cells(residual, Parity::Even)?);
        Ok([anchors, others])
    }

    /// Residual prediction before its squashing, from means, slices before and this slice as far as it is known.
    fn predict(
        &self,
        network: &ConvStack<B>,
        known: &Known<B>,
        slice: Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        let latents = known.features.dims()[1] / 2;
        let means = known.features.clone().narrow(1, latents, latents);
        let before = known.decoded.iter().cloned();
        let input = [means].into_iter().chain(before).chain([slice]);
        network.forward(Tensor::cat(input.collect(), 1))
    }
}

/// Residuals are at most half a symbol.
fn squash<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    x.tanh().mul_scalar(0.5)
}
