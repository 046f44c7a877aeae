//! Learned perceptual distance (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric",
//! CVPR 2018), version 0.1 of the authors' package `lpips`.
//!
//! No weights come with this crate. The backbone is what torchvision publishes for ImageNet classification
//! (`alexnet-owt-7be5be79.pth`, `vgg16-397923af.pth`, `squeezenet1_1-b8a52dc0.pth`), the heads are
//! `lpips/weights/v0.1/{alex,vgg,squeeze}.pth` of the Python package. Both may also be safetensors with the same keys.

mod backbone;
mod weights;

pub use backbone::{Backbone, Features};
pub use weights::WeightsFile;

use std::path::Path;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::backend::CodecBackend;

use super::LossError;

/// Mean and spread of ImageNet's channels for values in -1..1, as in the package.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];
/// Added to the norm of a feature vector.
const EPSILON: f64 = 1e-10;
/// Squared norms below have no slope: the square root has none at 0.
const SMALLEST: f64 = 1e-20;

/// The perceptual distance with its weights, which never change.
#[derive(Debug, Clone)]
pub struct Lpips<B: Backend> {
    features: Features<B>,
    /// Weight of each channel of each layer, `[c]`.
    heads: Vec<Tensor<B, 1>>,
}

impl<B: CodecBackend> Lpips<B> {
    /// Loads a backbone (torchvision's keys, `features.0.weight`, ...) and its heads (`lin0.model.1.weight`, ...).
    ///
    /// # Errors
    /// [`LossError::Weights`], [`LossError::MissingKeys`], [`LossError::WeightShape`].
    pub fn load(
        backbone: Backbone,
        weights: &Path,
        heads: &Path,
        device: &B::Device,
    ) -> Result<Self, LossError> {
        let features = Features::load(backbone, &WeightsFile::open(weights)?, device)?;
        let file = WeightsFile::open(heads)?;
        let channels = backbone.channels();
        let wanted: Vec<(String, Vec<usize>)> = channels
            .iter()
            .enumerate()
            .map(|(i, &c)| (format!("lin{i}.model.1.weight"), vec![1, c, 1, 1]))
            .collect();
        let heads = file
            .take(&wanted)?
            .into_iter()
            .zip(channels)
            .map(|(values, &c)| Tensor::from_data(TensorData::new(values, [c]), device))
            .collect();
        Ok(Self { features, heads })
    }

    /// Distance of each pair of pictures, 0 for equal ones.
    ///
    /// # Shapes
    /// - both: `[n, 3, h, w]`, values in 0..1
    /// - result: `[n]`
    ///
    /// # Errors
    /// [`LossError::Shape`]; [`LossError::TooSmall`] for pictures that the backbone shrinks to nothing.
    pub fn forward(
        &self,
        output: Tensor<B, 4>,
        target: Tensor<B, 4>,
    ) -> Result<Tensor<B, 1>, LossError> {
        let [n, c, h, w] = target.dims();
        if output.dims() != target.dims() || c != 3 {
            return Err(LossError::Shape {
                term: "lpips".into(),
                output: output.dims().to_vec(),
                target: target.dims().to_vec(),
                expected: "two of [n, 3, h, w]",
            });
        }
        let smallest = self.features.backbone().min_side();
        if h.min(w) < smallest {
            return Err(LossError::TooSmall {
                term: "lpips".into(),
                what: "shorter side",
                found: h.min(w),
                smallest,
            });
        }
        // One pass over each: joined they would make the target's activations wait for a gradient.
        let a = self.features.forward(normalized(output));
        let b = self.features.forward(normalized(target));
        let mut total = Tensor::zeros([n], &self.device());
        for ((a, b), head) in a.into_iter().zip(b).zip(&self.heads) {
            let [_, c, h, w] = a.dims();
            let distance = (unit(a) - unit(b)).square() * head.clone().reshape([1, c, 1, 1]);
            total = total
                + distance
                    .reshape([n, c * h * w])
                    .sum_dim(1)
                    .reshape([n])
                    .div_scalar((h * w) as f64);
        }
        Ok(total)
    }

    fn device(&self) -> B::Device {
        self.heads.first().map(Tensor::device).unwrap_or_default()
    }
}

/// From 0..1 to what the backbones were trained on.
fn normalized<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let device = x.device();
    let constant = |values: [f32; 3]| {
        Tensor::<B, 4>::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), &device)
    };
    // ((2 x - 1) - shift) / scale
    let slope = SCALE.map(|s| 2.0 / s);
    let mut offset = [0.0; 3];
    for ((offset, shift), scale) in offset.iter_mut().zip(SHIFT).zip(SCALE) {
        *offset = -(1.0 + shift) / scale;
    }
    x * constant(slope) + constant(offset)
}

/// Feature vectors scaled to length 1 at each place.
fn unit<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let norm = x
        .clone()
        .square()
        .sum_dim(1)
        .clamp_min(SMALLEST)
        .sqrt()
        .add_scalar(EPSILON);
    x / norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, gradient_error, noise, tensor};
    use crate::losses::reference::reference_values;
    use safetensors::tensor::{Dtype, View, serialize_to_file};
    use std::borrow::Cow;
    use std::path::PathBuf;

    struct Raw(Vec<usize>, Vec<u8>);

    impl View for Raw {
        fn dtype(&self) -> Dtype {
            Dtype::F32
        }
        fn shape(&self) -> &[usize] {
            &self.0
        }
        fn data(&self) -> Cow<'_, [u8]> {
            Cow::Borrowed(&self.1)
        }
        fn data_len(&self) -> usize {
            self.1.len()
        }
    }

    /// Weights by the formula of `tests/data/reference.py`.
    fn backbone_tensors(backbone: Backbone) -> Vec<(String, Raw)> {
        backbone
            .keys()
            .into_iter()
            .enumerate()
            .map(|(i, (key, shape))| {
                let count: usize = shape.iter().product();
                let bound = match shape.as_slice() {
                    [output, ..] if shape.len() == 4 => {
                        (6.0 / (count / output) as f64).sqrt() as f32
                    }
                    _ => 0.05,
                };
                let values = noise(count, 1000 + i as u32, -bound, bound);
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (key, Raw(shape, bytes))
            })
            .collect()
    }

    fn head_tensors(backbone: Backbone) -> Vec<(String, Raw)> {
        let heads = backbone.channels().iter().enumerate();
        heads
            .map(|(i, &c)| {
                let values = noise(c, 2000 + i as u32, 0.0, 1.0);
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (
                    format!("lin{i}.model.1.weight"),
                    Raw(vec![1, c, 1, 1], bytes),
                )
            })
            .collect()
    }

    fn write(folder: &Path, name: &str, tensors: Vec<(String, Raw)>) -> PathBuf {
        let path = folder.join(name);
        serialize_to_file(tensors, None, &path).unwrap();
        path
    }

    fn heads_of_alexnet() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/losses-heads.pth")
    }

    fn lpips(backbone: Backbone) -> Lpips<Back> {
        let folder = tempfile::tempdir().unwrap();
        let weights = write(
            folder.path(),
            "backbone.safetensors",
            backbone_tensors(backbone),
        );
        let heads = match backbone {
            Backbone::Alexnet => heads_of_alexnet(),
            _ => write(folder.path(), "heads.safetensors", head_tensors(backbone)),
        };
        Lpips::load(backbone, &weights, &heads, &Default::default()).unwrap()
    }

    fn compare(backbone: Backbone, name: &str) {
        let lpips = lpips(backbone);
        let shape = [2, 3, 67, 70];
        let count = 3 * 67 * 70;
        let a = noise(2 * count, 51, 0.0, 1.0);
        let mut b = noise(2 * count, 52, 0.0, 1.0);
        for (b, a) in b.iter_mut().zip(&a).skip(count) {
            *b = a * 0.9 + *b * 0.1;
        }
        let b = tensor(shape, &b).require_grad();
        let value = lpips.forward(b.clone(), tensor(shape, &a)).unwrap();
        let values: Vec<f32> = value.clone().into_data().into_vec().unwrap();
        let gradient: Vec<f32> = b
            .grad(&value.sum().backward())
            .unwrap()
            .into_data()
            .into_vec()
            .unwrap();
        let absolute: f64 = gradient.iter().map(|g| f64::from(g.abs())).sum();
        let sum: f64 = gradient.iter().map(|g| f64::from(*g)).sum();
        let expected = reference_values(&["lpips", name]);
        close(f64::from(values[0]), expected[0], 1e-4);
        close(f64::from(values[1]), expected[1], 1e-4);
        close(absolute, expected[2], 2e-3);
        // The signs of the gradient mostly cancel in this sum.
        assert!(
            (sum - expected[3]).abs() < 2e-3 * absolute,
            "{sum} {expected:?}"
        );
    }

    #[test]
    fn alexnet_equals_the_package() {
        compare(Backbone::Alexnet, "alex");
    }

    #[test]
    fn vgg16_equals_the_package() {
        compare(Backbone::Vgg16, "vgg");
    }

    #[test]
    fn squeezenet_equals_the_package() {
        compare(Backbone::Squeezenet, "squeeze");
    }

    #[test]
    fn gradients() {
        let lpips = lpips(Backbone::Squeezenet);
        let target = noise(3 * 289, 61, 0.0, 1.0);
        let shape = [1, 3, 17, 17];
        let error = gradient_error(shape, &noise(3 * 289, 62, 0.0, 1.0), |x| {
            lpips.forward(x, tensor(shape, &target)).unwrap()
        });
        assert!(error < 8e-2, "{error}");
    }

    /// Equal pictures and dead features: 0, with a finite gradient.
    #[test]
    fn equal_pictures() {
        let lpips = lpips(Backbone::Squeezenet);
        let x = tensor([1, 3, 17, 17], &[0.0; 867]).require_grad();
        let value = lpips
            .forward(x.clone(), tensor([1, 3, 17, 17], &[0.0; 867]))
            .unwrap();
        assert_eq!(value.clone().into_scalar(), 0.0);
        let gradient: Vec<f32> = x
            .grad(&value.backward())
            .unwrap()
            .into_data()
            .into_vec()
            .unwrap();
        assert!(gradient.iter().all(|g| *g == 0.0));
    }

    #[test]
    fn typed_errors() {
        let folder = tempfile::tempdir().unwrap();
        let device = Default::default();
        let load = |weights: &Path| {
            Lpips::<Back>::load(Backbone::Alexnet, weights, &heads_of_alexnet(), &device)
                .unwrap_err()
        };
        let error = load(&heads_of_alexnet());
        let LossError::MissingKeys { keys, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(keys.len(), 10);
        assert!(
            error
                .to_string()
                .contains("features.0.weight, features.0.bias")
        );

        let mut tensors = backbone_tensors(Backbone::Alexnet);
        tensors[1].1 = Raw(vec![63], vec![0; 4 * 63]);
        let error = load(&write(folder.path(), "shape.safetensors", tensors));
        assert!(
            error
                .to_string()
                .ends_with("`features.0.bias` has shape [63], expected [64]"),
            "{error}"
        );

        for (name, bytes) in [
            ("garbage.pth", &b"PK\x03\x04 no archive"[..]),
            ("empty.safetensors", &[][..]),
            ("short.safetensors", &[255; 12][..]),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = load(&path);
            assert!(
                matches!(error, LossError::Weights { .. }),
                "{name}: {error}"
            );
        }
        let missing = load(&folder.path().join("missing.pth"));
        assert!(matches!(missing, LossError::Weights { .. }), "{missing}");
    }

    #[test]
    fn small_pictures() {
        let lpips = lpips(Backbone::Squeezenet);
        let x = tensor([1, 3, 16, 40], &[0.5; 3 * 640]);
        let error = lpips.forward(x.clone(), x).unwrap_err();
        assert_eq!(
            error.to_string(),
            "loss `lpips`: shorter side is 16, but at least 17 is needed"
        );
    }
}
