//! The float networks of a weights file on a device.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::layers::Conv;

use super::entropy::HyperAnalysis;
use super::transform::{Analysis, Linear, Refine, Residual, Synthesis};
use super::weights::{FloatParams, Weights};

/// Makes networks of weights.
pub(super) struct Parts<'a, B: Backend> {
    /// The weights.
    pub weights: &'a Weights,
    /// Where the networks run.
    pub device: &'a B::Device,
}

impl<B: Backend> Parts<'_, B> {
    /// Analysis transform.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights, as with all parts.
    pub fn analysis(&self) -> Result<Analysis<B>, Error> {
        let blocks = self.weights.config().analysis_refine_blocks;
        Ok(Analysis {
            linear: self.linear("analysis.linear")?,
            input: self.conv("analysis.input")?,
            hidden: self.conv("analysis.hidden")?,
            output: self.conv("analysis.output")?,
            refine: self.refine("analysis", blocks)?,
        })
    }

    /// Encoder side of the hyperprior.
    pub fn hyper_analysis(&self) -> Result<HyperAnalysis<B>, Error> {
        Ok(HyperAnalysis {
            input: self.conv("hyper_analysis.input")?,
            hidden: self.conv("hyper_analysis.hidden")?,
            output: self.conv("hyper_analysis.output")?,
        })
    }

    /// Synthesis transform.
    pub fn synthesis(&self) -> Result<Synthesis<B>, Error> {
        let config = self.weights.config();
        Ok(Synthesis {
            linear: self.linear("synthesis.linear")?,
            input: self.conv("synthesis.input")?,
            blocks: self.residuals("synthesis", config.synthesis_blocks)?,
            output: self.conv("synthesis.output")?,
            refine: self.refine("synthesis", config.synthesis_refine_blocks)?,
        })
    }

    fn conv(&self, name: &str) -> Result<Conv<B>, Error> {
        let params = self.weights.float(name)?;
        Ok(Conv::same(self.kernel(params), self.bias(params)))
    }

    fn linear(&self, name: &str) -> Result<Linear<B>, Error> {
        let params = self.weights.float(name)?;
        Ok(Linear::fixed(self.kernel(params), self.bias(params)))
    }

    fn residuals(&self, part: &str, count: usize) -> Result<Vec<Residual<B>>, Error> {
        (0..count)
            .map(|i| {
                Ok(Residual {
                    spatial: self.conv(&format!("{part}.blocks.{i}.spatial"))?,
                    mix: self.conv(&format!("{part}.blocks.{i}.mix"))?,
                })
            })
            .collect()
    }

    fn refine(&self, part: &str, blocks: usize) -> Result<Refine<B>, Error> {
        Ok(Refine {
            input: self.conv(&format!("{part}.refine.input"))?,
            hidden: self.conv(&format!("{part}.refine.hidden"))?,
            blocks: self.residuals(&format!("{part}.refine"), blocks)?,
            output: self.conv(&format!("{part}.refine.output"))?,
        })
    }

    fn kernel(&self, params: &FloatParams) -> Tensor<B, 4> {
        let [output, input, side] = params.shape;
        let data = TensorData::new(params.weight.clone(), [output, input, side, side]);
        Tensor::from_data(data, self.device)
    }

    fn bias(&self, params: &FloatParams) -> Tensor<B, 1> {
        let data = TensorData::new(params.bias.clone(), [params.bias.len()]);
        Tensor::from_data(data, self.device)
    }
}
