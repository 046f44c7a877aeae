//! ONNX models, run by `rten`: in Rust alone, for inputs of any size.

use super::TaskError;
use rten::{Dimension, Model, ModelOptions, NodeId, Value, ValueType};
use rten_tensor::AsView;
use rten_tensor::Layout as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Most values of an input or output.
const LIMIT: usize = 1 << 28;

/// Numbers with a shape.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensor {
    /// Name in the model; empty for inputs.
    pub name: String,
    /// Sizes, the slowest first.
    pub shape: Vec<usize>,
    /// Values in order.
    pub data: Vec<f32>,
    /// Whether the model gave whole numbers.
    pub whole: bool,
}

impl Tensor {
    /// `None` unless there are as many values as the shape says.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Option<Self> {
        let count = shape
            .iter()
            .try_fold(1usize, |n, &side| n.checked_mul(side));
        (count == Some(data.len())).then(|| Self {
            shape,
            data,
            ..Self::default()
        })
    }

    /// Sizes without those that are 1.
    pub fn squeezed(&self) -> Vec<usize> {
        self.shape.iter().copied().filter(|&n| n != 1).collect()
    }

    /// An error that says what shape was expected.
    pub fn unexpected(&self, expected: impl ToString) -> TaskError {
        TaskError::Output {
            name: self.name.clone(),
            shape: self.shape.clone(),
            expected: expected.to_string(),
        }
    }

    /// The same, where every value is a number.
    ///
    /// # Errors
    /// [`TaskError::NotFinite`].
    pub fn finite(self) -> Result<Self, TaskError> {
        if self.data.iter().all(|value| value.is_finite()) {
            return Ok(self);
        }
        Err(TaskError::NotFinite { name: self.name })
    }
}

/// Where the channels of pictures stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Batch, channels, rows, columns.
    Nchw,
    /// Batch, rows, columns, channels.
    Nhwc,
}

/// A model with one input.
#[derive(Debug)]
pub struct Onnx {
    model: Model,
    input: NodeId,
    name: String,
    /// `None` within for sizes that may be any.
    shape: Option<Vec<Option<usize>>>,
    outputs: Vec<(NodeId, String)>,
}

impl Onnx {
    /// Loads a model. `input` names the input where there are several (the others must have values of their own).
    ///
    /// # Errors
    /// A file that is no model, or one with operators that are not known, or with other inputs.
    pub fn load(path: &Path, input: Option<&str>) -> Result<Self, TaskError> {
        std::fs::File::open(path).map_err(TaskError::access(path))?;
        let fail = |node: Option<&str>, reason: String| TaskError::Load {
            path: path.to_path_buf(),
            node: node.map(str::to_owned),
            reason,
        };
        let load = |optimise| {
            let load = || {
                let mut options = ModelOptions::with_all_ops();
                options.enable_optimization(optimise).load_file(path)
            };
            catch_unwind(AssertUnwindSafe(load))
                .map_err(|_| fail(None, "the loader gave up".into()))?
                .map_err(|error| fail(error.node(), chain(&error)))
        };
        // Optimising loses the names of outputs that are constant or merely passed on.
        let plain = load(false)?;
        let names = |ids: &[NodeId]| -> Vec<String> {
            let name = |&id| plain.node_info(id)?.name().map(str::to_owned);
            ids.iter().map(|id| name(id).unwrap_or_default()).collect()
        };
        let (input_names, output_names) = (names(plain.input_ids()), names(plain.output_ids()));
        drop(plain);
        let model = load(true)?;
        let named = |ids: &[NodeId], names: Vec<String>| -> Vec<(NodeId, String)> {
            ids.iter().copied().zip(names).collect()
        };
        let inputs = named(model.input_ids(), input_names);
        let outputs = named(model.output_ids(), output_names);
        let found = match (input, inputs.as_slice()) {
            (None, [one]) => Some(one),
            (None, _) => None,
            (Some(name), all) => all.iter().find(|(_, known)| known == name),
        };
        let Some((id, name)) = found.cloned() else {
            return Err(no_node("input", input.unwrap_or_default(), &inputs));
        };
        if outputs.is_empty() {
            return Err(no_node("output", "", &outputs));
        }
        let info = model.node_info(id);
        let dtype = info.as_ref().and_then(rten::NodeInfo::dtype);
        if dtype.is_some_and(|dtype| dtype != ValueType::Tensor(rten::DataType::Float)) {
            return Err(TaskError::Input {
                name,
                expected: dtype.map(|dtype| format!("{dtype}")).unwrap_or_default(),
                given: "floating-point numbers".into(),
            });
        }
        let shape = info.and_then(|info| info.shape()).map(|shape| {
            let size = |side| match side {
                Dimension::Fixed(size) => Some(size),
                Dimension::Symbolic(_) => None,
            };
            shape.into_iter().map(size).collect()
        });
        Ok(Self {
            input: id,
            name,
            shape,
            outputs,
            model,
        })
    }

    /// Shape of the input, where the model says so; `None` within stands for any size.
    pub fn shape(&self) -> Option<&[Option<usize>]> {
        self.shape.as_deref()
    }

    /// Where the channels of pictures stand, as seen from sizes of 1 or 3; `None` for an input that is no picture.
    pub fn layout(&self) -> Option<Layout> {
        let channels = |side: &Option<usize>| matches!(side, Some(1 | 3));
        match self.shape() {
            None => Some(Layout::Nchw),
            Some([_, c, _, last]) if !channels(c) && channels(last) => Some(Layout::Nhwc),
            Some([_, _, _, _]) => Some(Layout::Nchw),
            Some(_) => None,
        }
    }

    /// An error that says that the input is of another kind.
    pub fn refuse(&self, given: impl ToString) -> TaskError {
        let expected = self.shape().map_or_else(
            || "of unknown shape".to_owned(),
            |shape| {
                let side = |side: &Option<usize>| side.map_or("?".into(), |size| size.to_string());
                let sides: Vec<String> = shape.iter().map(side).collect();
                format!("[{}]", sides.join(", "))
            },
        );
        TaskError::Input {
            name: self.name.clone(),
            expected,
            given: given.to_string(),
        }
    }

    /// Number of the output with a name.
    ///
    /// # Errors
    /// A name that no output has.
    pub fn output(&self, name: &str) -> Result<usize, TaskError> {
        let found = self.outputs.iter().position(|(_, known)| known == name);
        found.ok_or_else(|| no_node("output", name, &self.outputs))
    }

    /// Runs the model and gives all outputs.
    ///
    /// # Errors
    /// A shape that the model does not take; an operator that fails; outputs that are no numbers.
    pub fn run(&self, input: Tensor) -> Result<Vec<Tensor>, TaskError> {
        if input.data.len() > LIMIT {
            return Err(TaskError::TooLarge {
                what: "model input",
                actual: input.data.len(),
                limit: LIMIT,
            });
        }
        let matches = self.shape().is_none_or(|shape| {
            let fits = |(side, size): (&Option<usize>, &usize)| side.is_none_or(|s| s == *size);
            shape.len() == input.shape.len() && shape.iter().zip(&input.shape).all(fits)
        });
        if !matches || input.data.is_empty() {
            return Err(self.refuse(format!("{:?}", input.shape)));
        }
        let fail = |node, reason| TaskError::Run { node, reason };
        let value = Value::from_shape(&input.shape, input.data)
            .map_err(|error| fail(None, error.to_string()))?;
        let ids: Vec<NodeId> = self.outputs.iter().map(|(id, _)| *id).collect();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            self.model.run(vec![(self.input, value.into())], &ids, None)
        }));
        let values = ran
            .map_err(|_| fail(None, "an operator gave up".into()))?
            .map_err(|error| {
                let path: Vec<&str> = error.node_path().into_iter().flatten().collect();
                let node = (!path.is_empty()).then(|| path.join("/"));
                fail(node, chain(&error))
            })?;
        let names = self.outputs.iter().map(|(_, name)| name.clone());
        values
            .into_iter()
            .zip(names)
            .map(|(v, n)| read(v, n))
            .collect()
    }
}

/// An output as floats.
fn read(value: Value, name: String) -> Result<Tensor, TaskError> {
    let too_large = |actual| TaskError::TooLarge {
        what: "model output",
        actual,
        limit: LIMIT,
    };
    let (shape, data, whole) = match value {
        Value::FloatTensor(t) if t.len() <= LIMIT => (t.shape().to_vec(), t.to_vec(), false),
        Value::Int32Tensor(t) if t.len() <= LIMIT => {
            let data = t.iter().map(|&v| v as f32).collect();
            (t.shape().to_vec(), data, true)
        }
        Value::UInt8Tensor(t) if t.len() <= LIMIT => {
            let data = t.iter().map(|&v| f32::from(v)).collect();
            (t.shape().to_vec(), data, true)
        }
        Value::Int8Tensor(t) if t.len() <= LIMIT => {
            let data = t.iter().map(|&v| f32::from(v)).collect();
            (t.shape().to_vec(), data, true)
        }
        Value::FloatTensor(t) => return Err(too_large(t.len())),
        Value::Int32Tensor(t) => return Err(too_large(t.len())),
        Value::UInt8Tensor(t) => return Err(too_large(t.len())),
        Value::Int8Tensor(t) => return Err(too_large(t.len())),
        _ => {
            return Err(TaskError::Output {
                name,
                shape: Vec::new(),
                expected: "a tensor of numbers".into(),
            });
        }
    };
    Ok(Tensor {
        name,
        shape,
        data,
        whole,
    })
}

fn no_node(what: &'static str, name: &str, known: &[(NodeId, String)]) -> TaskError {
    let names: Vec<String> = known.iter().map(|(_, name)| format!("`{name}`")).collect();
    TaskError::NoNode {
        what,
        name: name.to_owned(),
        known: if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        },
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::tests::{model, path};

    #[test]
    fn models_and_their_faults() {
        let colour = model("colour.onnx");
        assert_eq!(colour.shape().unwrap(), [Some(1), Some(3), None, None]);
        assert_eq!(colour.layout(), Some(Layout::Nchw));
        assert_eq!(model("colour_nhwc.onnx").layout(), Some(Layout::Nhwc));
        assert_eq!(model("loudness.onnx").layout(), None);
        let input = Tensor::new(vec![1, 3, 1, 2], vec![1.0, 3.0, 0.0, 1.0, 5.0, 5.0]).unwrap();
        let output = colour.run(input).unwrap().pop().unwrap();
        assert_eq!(
            (output.name.as_str(), output.shape.as_slice()),
            ("y", [1, 3].as_slice())
        );
        assert_eq!(output.data, [2.0, 0.5, 5.0]);
        assert_eq!(Tensor::new(vec![2, 2], vec![0.0]), None);
        let wrong = Tensor::new(vec![1, 4, 1, 1], vec![0.0; 4]).unwrap();
        let text = colour.run(wrong).unwrap_err().to_string();
        assert_eq!(
            text,
            "the input `x` of the model is [1, 3, ?, ?], and cannot take [1, 4, 1, 1]"
        );
        assert!(
            colour
                .run(Tensor::new(vec![1, 3, 0, 0], Vec::new()).unwrap())
                .is_err()
        );

        let text = Onnx::load(&path("two_inputs.onnx"), None)
            .unwrap_err()
            .to_string();
        assert!(text.contains("`x`, `z`"), "{text}");
        assert!(matches!(
            Onnx::load(&path("colour.onnx"), Some("image")),
            Err(TaskError::NoNode { what: "input", .. })
        ));
        assert!(matches!(
            Onnx::load(&path("whole_input.onnx"), None),
            Err(TaskError::Input { .. })
        ));
        let text = Onnx::load(&path("unknown_op.onnx"), None)
            .unwrap_err()
            .to_string();
        assert!(text.contains("Clairvoyance"), "{text}");
        assert!(matches!(
            Onnx::load(&path("none.onnx"), None),
            Err(TaskError::Access { .. })
        ));
        let fails = model("fails.onnx");
        let error = fails.run(Tensor::new(vec![1, 3, 1, 1], vec![0.0; 3]).unwrap());
        let text = error.unwrap_err().to_string();
        assert!(text.contains("reshape_0"), "{text}");
    }

    #[test]
    fn torn_models_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(path("boxes.onnx")).unwrap();
        let torn = dir.path().join("torn.onnx");
        let mut failed = 0;
        for i in 0..bytes.len() {
            std::fs::write(&torn, &bytes[..i]).unwrap();
            let mut flipped = bytes.clone();
            flipped[i] ^= 0x55;
            for bytes in [&bytes[..i], &flipped] {
                std::fs::write(&torn, bytes).unwrap();
                let loaded = Onnx::load(&torn, None);
                let input = Tensor::new(vec![1, 3, 2, 2], vec![0.5; 12]).unwrap();
                failed += usize::from(loaded.and_then(|model| model.run(input)).is_err());
            }
        }
        assert!(failed > bytes.len() / 2, "{failed} of {}", 2 * bytes.len());
    }
}
