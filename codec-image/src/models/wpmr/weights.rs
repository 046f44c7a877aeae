//! Weights of a trained model, free of any backend, and their file format (safetensors).

use std::collections::{BTreeMap, HashMap};

use codec_core::layers::IntConvParams;
use codec_core::{Digest, Error};
use codec_entropy::TableSet;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::config::{QUALITY_LEVELS, WpmrConfig};
use super::layout::STEPS;
use super::network::{float_layers, integer_layers};
use super::quality::StepTable;

/// Value of the metadata entry `format`.
const FORMAT: &str = "codec-weights/1";
/// Family name in the metadata.
const FAMILY: &str = "wpmr";
/// Largest width that a file may ask for.
const MAX_WIDTH: usize = 2_048;
/// Inputs of integer layers lie within this magnitude.
const INPUT_MAX: i32 = 255;

/// A float layer's parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatParams {
    /// Output channels, input channels, kernel side.
    pub shape: [usize; 3],
    /// Kernel, row-major.
    pub weight: Vec<f32>,
    /// Bias.
    pub bias: Vec<f32>,
}

/// Everything that a model needs to encode and decode.
#[derive(Debug, Clone)]
pub struct Weights {
    name: String,
    config: WpmrConfig,
    digest: Digest,
    floats: BTreeMap<String, FloatParams>,
    integers: BTreeMap<String, IntConvParams>,
    latent_tables: TableSet,
    hyper_tables: TableSet,
    steps: StepTable,
}

/// What [`Weights::write`] stores.
#[derive(Debug, Clone)]
pub struct WeightParts {
    /// Name of the model, `family/variant`.
    pub name: String,
    /// Hyperparameters.
    pub config: WpmrConfig,
    /// Float layers by name.
    pub floats: BTreeMap<String, FloatParams>,
    /// Integer layers by name.
    pub integers: BTreeMap<String, IntConvParams>,
    /// Tables of the latents, one a scale.
    pub latent_tables: TableSet,
    /// Tables of the hyperlatents, one a channel.
    pub hyper_tables: TableSet,
    /// Quantization steps.
    pub steps: StepTable,
    /// Recipe that trained them (TOML).
    pub recipe: String,
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("weights: {what}"))
}

impl Weights {
    /// Parses a weights file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything that is not a complete, valid model of this family.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let entry = |key: &str| {
            metadata
                .get(key)
                .ok_or_else(|| malformed(format!("no metadata entry '{key}'")))
        };
        if entry("format")? != FORMAT || entry("family")? != FAMILY {
            return Err(malformed("not a weights file of family wpmr"));
        }
        let config = read_config(entry("config")?)?;
        check_config(&config)?;
        let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
        let tensor = |name: &str| {
            file.tensor(name)
                .map_err(|e| malformed(format!("{name}: {e}")))
        };

        let mut floats = BTreeMap::new();
        for layer in float_layers(&config) {
            let [output, input, kernel] = layer.shape;
            let weight = read_floats(
                &tensor(&format!("{}.weight", layer.name))?,
                output * input * kernel * kernel,
            )?;
            let bias = read_floats(&tensor(&format!("{}.bias", layer.name))?, output)?;
            floats.insert(
                layer.name,
                FloatParams {
                    shape: layer.shape,
                    weight,
                    bias,
                },
            );
        }
        let mut integers = BTreeMap::new();
        for layer in integer_layers(&config) {
            let part = |suffix: &str| tensor(&format!("{}.{suffix}", layer.name));
            let params = IntConvParams {
                shape: layer.shape,
                depthwise: layer.depthwise,
                weight: if layer.fine {
                    read_bytes(&part("weight")?, Dtype::I16)?
                        .chunks_exact(2)
                        .filter_map(|c| c.try_into().ok().map(i16::from_le_bytes))
                        .collect()
                } else {
                    read_bytes(&part("weight")?, Dtype::I8)?
                        .iter()
                        .map(|&b| i16::from(i8::from_le_bytes([b])))
                        .collect()
                },
                bias: read_bytes(&part("bias")?, Dtype::I32)?
                    .chunks_exact(4)
                    .filter_map(|c| c.try_into().ok().map(i32::from_le_bytes))
                    .collect(),
                weight_fraction: read_bytes(&part("fraction")?, Dtype::U8)?.to_vec(),
                range: layer.range,
            };
            params.validate(INPUT_MAX)?;
            integers.insert(layer.name, params);
        }
        let tables = |name: &str| {
            TableSet::from_bytes(read_bytes(&tensor(name)?, Dtype::U8)?)
                .map_err(|e| malformed(format!("{name}: {e}")))
        };
        let (latent_tables, hyper_tables) = (tables("tables.latent")?, tables("tables.hyper")?);
        if latent_tables.len() != codec_entropy::SCALES
            || hyper_tables.len() != config.hyper_latents
        {
            return Err(malformed("wrong number of probability tables"));
        }
        let steps = StepTable::new(read_floats(&tensor("steps")?, QUALITY_LEVELS * STEPS)?)
            .ok_or_else(|| malformed("invalid quantization steps"))?;
        Ok(Self {
            name: entry("name")?.clone(),
            config,
            digest: Digest::of(bytes),
            floats,
            integers,
            latent_tables,
            hyper_tables,
            steps,
        })
    }

    /// Serializes a model: float layers in 16 bits (the linear maps in 32), integer layers in 8.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when a layer is missing.
    pub fn write(parts: &WeightParts) -> Result<Vec<u8>, Error> {
        let missing = |name: &str| Error::BadParameter(format!("layer {name} is missing"));
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for layer in float_layers(&parts.config) {
            let params = parts
                .floats
                .get(&layer.name)
                .ok_or_else(|| missing(&layer.name))?;
            let [output, input, kernel] = layer.shape;
            let mut push = |suffix: &str, shape: Vec<usize>, values: &[f32]| {
                let (dtype, data) = if layer.full_precision {
                    (
                        Dtype::F32,
                        values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                    )
                } else {
                    (
                        Dtype::F16,
                        values
                            .iter()
                            .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
                            .collect(),
                    )
                };
                tensors.push((format!("{}.{suffix}", layer.name), dtype, shape, data));
            };
            push(
                "weight",
                vec![output, input, kernel, kernel],
                &params.weight,
            );
            push("bias", vec![output], &params.bias);
        }
        for layer in integer_layers(&parts.config) {
            let params = parts
                .integers
                .get(&layer.name)
                .ok_or_else(|| missing(&layer.name))?;
            let [output, input, kernel] = layer.shape;
            let weights = params.weight.iter();
            let (dtype, weight): (_, Vec<u8>) = if layer.fine {
                (Dtype::I16, weights.flat_map(|w| w.to_le_bytes()).collect())
            } else {
                (Dtype::I8, weights.map(|w| w.to_le_bytes()[0]).collect())
            };
            let bias = params.bias.iter().flat_map(|b| b.to_le_bytes()).collect();
            tensors.push((
                format!("{}.weight", layer.name),
                dtype,
                vec![output, input, kernel, kernel],
                weight,
            ));
            tensors.push((
                format!("{}.bias", layer.name),
                Dtype::I32,
                vec![output],
                bias,
            ));
            tensors.push((
                format!("{}.fraction", layer.name),
                Dtype::U8,
                vec![output],
                params.weight_fraction.clone(),
            ));
        }
        for (name, set) in [
            ("tables.latent", &parts.latent_tables),
            ("tables.hyper", &parts.hyper_tables),
        ] {
            let bytes = set.to_bytes();
            tensors.push((name.into(), Dtype::U8, vec![bytes.len()], bytes));
        }
        let steps = parts
            .steps
            .values()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        tensors.push((
            "steps".into(),
            Dtype::F32,
            vec![QUALITY_LEVELS, STEPS],
            steps,
        ));

        let bad = |e: &dyn std::fmt::Display| Error::BadParameter(format!("weights: {e}"));
        let config = serde_json::to_string(&parts.config).map_err(|e| bad(&e))?;
        let metadata: HashMap<String, String> = [
            ("format", FORMAT.to_owned()),
            ("family", FAMILY.to_owned()),
            ("name", parts.name.clone()),
            ("config", config),
            ("recipe", parts.recipe.clone()),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into();
        let mut views = Vec::with_capacity(tensors.len());
        for (name, dtype, shape, data) in &tensors {
            views.push((
                name.clone(),
                TensorView::new(*dtype, shape.clone(), data).map_err(|e| bad(&e))?,
            ));
        }
        let file = safetensors::serialize(views, Some(metadata)).map_err(|e| bad(&e))?;
        sorted_header(&file).ok_or_else(|| bad(&"the header cannot be sorted"))
    }

    /// Name of the model, `family/variant`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hyperparameters.
    pub fn config(&self) -> &WpmrConfig {
        &self.config
    }

    /// Digest of the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// A float layer.
    pub(crate) fn float(&self, name: &str) -> Result<&FloatParams, Error> {
        self.floats
            .get(name)
            .ok_or_else(|| malformed(format!("no layer {name}")))
    }

    /// An integer layer.
    pub(crate) fn integer(&self, name: &str) -> Result<&IntConvParams, Error> {
        self.integers
            .get(name)
            .ok_or_else(|| malformed(format!("no layer {name}")))
    }

    /// Tables of the latents.
    pub fn latent_tables(&self) -> &TableSet {
        &self.latent_tables
    }

    /// Tables of the hyperlatents.
    pub fn hyper_tables(&self) -> &TableSet {
        &self.hyper_tables
    }

    /// Quantization steps.
    pub fn steps(&self) -> &StepTable {
        &self.steps
    }
}

/// Hyperparameters of a file; those that came later stand for what there was before them where they are missing.
fn read_config(text: &str) -> Result<WpmrConfig, Error> {
    let mut config: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(malformed)?;
    for later in ["analysis_refine_blocks", "synthesis_refine_blocks"] {
        config.entry(later).or_insert(0.into());
    }
    config.entry("fine_means").or_insert(false.into());
    serde_json::from_value(config.into()).map_err(malformed)
}

/// The same file with its header in alphabetical order: the metadata come from a hash map, and the same model must give
/// the same bytes, since their digest names it.
fn sorted_header(file: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (header, data) = rest.split_at_checked(length)?;
    let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    if let Some(metadata) = entries.get_mut("__metadata__") {
        let sorted: BTreeMap<String, String> = serde_json::from_value(metadata.take()).ok()?;
        *metadata = serde_json::to_value(sorted).ok()?;
    }
    let mut header = serde_json::to_vec(&entries).ok()?;
    // Data start at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut sorted = Vec::with_capacity(8 + header.len() + data.len());
    sorted.extend_from_slice(&(header.len() as u64).to_le_bytes());
    sorted.extend_from_slice(&header);
    sorted.extend_from_slice(data);
    Some(sorted)
}

fn check_config(config: &WpmrConfig) -> Result<(), Error> {
    let widths = [
        config.analysis_width,
        config.analysis_refine_width,
        config.synthesis_refine_width,
        config.synthesis_width,
        config.hyper_analysis_width,
        config.hyper_latents,
        config.hyper_width,
        config.entry_width,
        config.context_width,
    ];
    let lambdas = [config.lambda_min, config.lambda_max];
    if widths.iter().any(|w| !(1..=MAX_WIDTH).contains(w))
        || [
            config.synthesis_blocks,
            config.analysis_refine_blocks,
            config.synthesis_refine_blocks,
        ]
        .iter()
        .any(|blocks| *blocks > 64)
        || lambdas.iter().any(|l| !(l.is_finite() && *l > 0.0))
    {
        return Err(malformed("hyperparameters out of range"));
    }
    Ok(())
}

fn read_bytes<'a>(view: &TensorView<'a>, dtype: Dtype) -> Result<&'a [u8], Error> {
    if view.dtype() != dtype {
        return Err(malformed(format!(
            "expected {dtype:?}, found {:?}",
            view.dtype()
        )));
    }
    Ok(view.data())
}

fn read_floats(view: &TensorView<'_>, count: usize) -> Result<Vec<f32>, Error> {
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data
            .chunks_exact(4)
            .filter_map(|c| c.try_into().ok().map(f32::from_le_bytes))
            .collect(),
        Dtype::F16 => data
            .chunks_exact(2)
            .filter_map(|c| c.try_into().ok().map(half::f16::from_le_bytes))
            .map(f32::from)
            .collect(),
        other => return Err(malformed(format!("expected floats, found {other:?}"))),
    };
    if values.len() != count || values.iter().any(|v| !v.is_finite()) {
        return Err(malformed(format!(
            "expected {count} finite values, found {}",
            values.len()
        )));
    }
    Ok(values)
}
