//! Trained parameters under the authors' names.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::weights::{HostTensor, Tensors};

use super::model::Network;

/// Parts of paths in [`Network`] and what the authors call them, in the order in which they are replaced.
const NAMES: [(&str, &str); 13] = [
    ("projection.", "encoder.0."),
    ("encoder.conv", "encoder.0.conv"),
    ("encoder.before.", "encoder.0.down_blocks.0.resnets."),
    ("encoder.middle.", "encoder.0.mid_block.resnets."),
    ("encoder.attention.", "encoder.0.mid_block.attentions.0."),
    ("decoder.", "decoder.1."),
    ("decoder.1.middle.", "decoder.1.mid_block.resnets."),
    ("decoder.1.attention.", "decoder.1.mid_block.attentions.0."),
    ("decoder.1.after.", "decoder.1.up_blocks.0.resnets."),
    (".attentions.0.norm.", ".attentions.0.group_norm."),
    (".attentions.0.out.", ".attentions.0.to_out.0."),
    (".scale", ".weight"),
    (".offset", ".bias"),
];

/// The authors' name of a parameter, which is known here by its path in [`Network`].
pub fn published_name(path: &str) -> String {
    let mut name = path.to_owned();
    for (ours, theirs) in NAMES {
        if ours.starts_with('.') || name.starts_with(ours) {
            name = name.replacen(ours, theirs, 1);
        }
    }
    for projection in ["q", "k", "v"] {
        let ours = format!(".attentions.0.{projection}.");
        name = name.replace(&ours, &format!(".attentions.0.to_{projection}."));
    }
    name
}

/// All parameters of a network, as a checkpoint of the authors has them.
///
/// # Errors
/// Device errors.
pub fn export<B: CodecBackend>(network: &Network<B>) -> Result<Tensors, Error> {
    let mut collected = Collected {
        path: Vec::new(),
        tensors: Ok(Tensors::new()),
    };
    network.visit(&mut collected);
    collected.tensors
}

struct Collected {
    path: Vec<String>,
    tensors: Result<Tensors, Error>,
}

impl<B: CodecBackend> ModuleVisitor<B> for Collected {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let name = published_name(&self.path.join("."));
        let Ok(tensors) = &mut self.tensors else {
            return;
        };
        let tensor = HostTensor::from_device(param.val());
        // Projections of the attention are linear layers there, 1x1 convolutions here.
        let linear = name.contains(".to_") && D == 4;
        let tensor = tensor.and_then(
            |tensor| match (linear, tensor.shape(), tensor.as_floats()) {
                (true, [output, input, 1, 1], Some(values)) => {
                    HostTensor::floats(&[*output, *input], values.to_vec())
                }
                _ => Ok(tensor),
            },
        );
        match tensor {
            Ok(tensor) => tensors.insert(name, tensor),
            Err(error) => self.tensors = Err(error),
        }
    }
}
