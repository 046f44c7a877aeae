//! Long short-term memory (Hochreiter and Schmidhuber 1997).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::backend::{CodecBackend, LstmParams};
use crate::weights::Loader;

/// One layer.
#[derive(Module, Debug)]
struct Layer<B: Backend> {
    input: Param<Tensor<B, 2>>,
    recurrent: Param<Tensor<B, 2>>,
    input_bias: Param<Tensor<B, 1>>,
    recurrent_bias: Param<Tensor<B, 1>>,
}

/// Layers of one width, one after the other, forward in time.
#[derive(Module, Debug)]
pub struct Lstm<B: Backend> {
    layers: Vec<Layer<B>>,
}

impl<B: CodecBackend> Lstm<B> {
    /// The layers of a checkpoint under PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, ...
    pub fn load(width: usize, layers: usize, loader: &Loader<'_, B>) -> Self {
        let layer = |number: usize| Layer {
            input: loader.param(&format!("weight_ih_l{number}"), [4 * width, width]),
            recurrent: loader.param(&format!("weight_hh_l{number}"), [4 * width, width]),
            input_bias: loader.param(&format!("bias_ih_l{number}"), [4 * width]),
            recurrent_bias: loader.param(&format!("bias_hh_l{number}"), [4 * width]),
        };
        Self {
            layers: (0..layers).map(layer).collect(),
        }
    }

    /// From a state of zeros.
    ///
    /// # Shapes
    /// `[n, t, width]` to the same; t at least 1
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.layers.iter().fold(x, |x, layer| {
            let params = LstmParams {
                input: layer.input.val(),
                recurrent: layer.recurrent.val(),
                bias: layer.input_bias.val() + layer.recurrent_bias.val(),
            };
            B::lstm(x, params)
        })
    }
}
