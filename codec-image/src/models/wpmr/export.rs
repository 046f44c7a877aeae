//! From a trained model to weights that code.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::layers::{Conv, IntConvParams, QuantConv};
use codec_entropy::{Pmf, TableSet, gaussian_tables};

use super::config::{HYPER_MAX, WpmrConfig};
use super::model::Wpmr;
use super::quality::{StepTable, level_positions};
use super::transform::Linear;
use super::weights::{FloatParams, WeightParts, Weights};

fn floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>, Error> {
    tensor
        .into_data()
        .convert::<f32>()
        .into_vec()
        .map_err(|e| Error::BadParameter(format!("unreadable parameters: {e:?}")))
}

/// Builds probability tables, rounds the integer layers and serializes everything.
///
/// The tables are built here, once, and travel with the weights; coding never evaluates a distribution.
///
/// # Errors
/// [`Error::BadParameter`] for parameters that are not finite or do not fit integers.
pub fn export<B: Backend>(
    model: &Wpmr<B>,
    config: &WpmrConfig,
    name: &str,
    recipe: &str,
) -> Result<Vec<u8>, Error> {
    let mut collected = Collected::default();
    collected.linear("analysis.linear", &model.analysis.linear)?;
    collected.conv("analysis.input", &model.analysis.input)?;
    collected.conv("analysis.hidden", &model.analysis.hidden)?;
    collected.conv("analysis.output", &model.analysis.output)?;
    collected.linear("synthesis.linear", &model.synthesis.linear)?;
    collected.conv("synthesis.input", &model.synthesis.input)?;
    collected.conv("synthesis.output", &model.synthesis.output)?;
    for (i, block) in model.synthesis.blocks.iter().enumerate() {
        collected.conv(&format!("synthesis.blocks.{i}.spatial"), &block.spatial)?;
        collected.conv(&format!("synthesis.blocks.{i}.mix"), &block.mix)?;
    }
    for (part, refine) in [
        ("analysis", &model.analysis.refine),
        ("synthesis", &model.synthesis.refine),
    ] {
        collected.conv(&format!("{part}.refine.input"), &refine.input)?;
        collected.conv(&format!("{part}.refine.hidden"), &refine.hidden)?;
        collected.conv(&format!("{part}.refine.output"), &refine.output)?;
        for (i, block) in refine.blocks.iter().enumerate() {
            let name = format!("{part}.refine.blocks.{i}");
            collected.conv(&format!("{name}.spatial"), &block.spatial)?;
            collected.conv(&format!("{name}.mix"), &block.mix)?;
        }
    }
    let entropy = &model.entropy;
    collected.conv("hyper_analysis.input", &entropy.analysis.input)?;
    collected.conv("hyper_analysis.hidden", &entropy.analysis.hidden)?;
    collected.conv("hyper_analysis.output", &entropy.analysis.output)?;
    collected.integer("hyper_synthesis.input", &entropy.synthesis.input)?;
    collected.integer("hyper_synthesis.expand", &entropy.synthesis.expand)?;
    collected.integer("hyper_synthesis.output", &entropy.synthesis.output)?;
    for (i, pass) in entropy.passes.iter().enumerate() {
        if let Some(entry) = &pass.entry {
            collected.integer(&format!("passes.{i}.entry"), entry)?;
        }
        collected.integer(&format!("passes.{i}.spatial"), &pass.spatial)?;
        collected.integer(&format!("passes.{i}.hidden"), &pass.hidden)?;
        collected.integer(&format!("passes.{i}.mean"), &pass.mean)?;
        collected.integer(&format!("passes.{i}.scale"), &pass.scale)?;
        if let Some(neighbours) = &pass.neighbours {
            collected.integer(&format!("passes.{i}.signed"), &neighbours.signed)?;
            collected.integer(&format!("passes.{i}.magnitude"), &neighbours.magnitude)?;
        }
    }

    let table = |e: codec_entropy::Error| Error::BadParameter(format!("probability tables: {e}"));
    let masses = entropy.prior.masses(HYPER_MAX)?;
    let pmfs: Vec<Pmf<'_>> = masses
        .iter()
        .map(|mass| Pmf {
            offset: -HYPER_MAX,
            mass,
        })
        .collect();
    let steps = floats(model.steps.forward(config, &level_positions()))?;
    Weights::write(&WeightParts {
        name: name.to_owned(),
        config: config.clone(),
        floats: collected.floats,
        integers: collected.integers,
        latent_tables: gaussian_tables().map_err(table)?,
        hyper_tables: TableSet::from_pmfs(&pmfs).map_err(table)?,
        steps: StepTable::new(steps)
            .ok_or_else(|| Error::BadParameter("quantization steps are not finite".into()))?,
        recipe: recipe.to_owned(),
    })
}

#[derive(Default)]
struct Collected {
    floats: BTreeMap<String, FloatParams>,
    integers: BTreeMap<String, IntConvParams>,
}

impl Collected {
    fn float<B: Backend>(
        &mut self,
        name: &str,
        weight: Tensor<B, 4>,
        bias: Tensor<B, 1>,
    ) -> Result<(), Error> {
        let [output, input, kernel, _] = weight.dims();
        let params = FloatParams {
            shape: [output, input, kernel],
            weight: floats(weight)?,
            bias: floats(bias)?,
        };
        self.floats.insert(name.to_owned(), params);
        Ok(())
    }

    fn conv<B: Backend>(&mut self, name: &str, layer: &Conv<B>) -> Result<(), Error> {
        self.float(name, layer.weight.val(), layer.bias.val())
    }

    fn linear<B: Backend>(&mut self, name: &str, layer: &Linear<B>) -> Result<(), Error> {
        self.float(name, layer.matrix(), layer.bias())
    }

    fn integer<B: Backend>(&mut self, name: &str, layer: &QuantConv<B>) -> Result<(), Error> {
        self.integers.insert(name.to_owned(), layer.export()?);
        Ok(())
    }
}
