//! Learned perceptual image patch similarity (Zhang et al., "The unreasonable effectiveness of deep features as a
//! perceptual metric", CVPR 2018), version 0.1 of its authors' package.

use super::backbone::{Backbone, Maps, Network, Pooling, read, unusable};
use super::check_sizes;
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};
use burn_flex::{Flex, FlexDevice};
use codec_core::weights::{Loader, Tensors};
use image::RgbImage;
use std::path::Path;

/// The package's scaling layer works on pictures in -1..=1; these are its shift and scale for pictures in 0..=1.
const MEAN: [f32; 3] = [
    (1.0 - 0.030) / 2.0,
    (1.0 - 0.088) / 2.0,
    (1.0 - 0.188) / 2.0,
];
const SCALE: [f32; 3] = [0.458 / 2.0, 0.448 / 2.0, 0.450 / 2.0];
/// Added to the length of a feature vector before it divides.
const EPSILON: f32 = 1e-10;

/// LPIPS with the weights of a network and of its linear heads.
pub struct Lpips {
    backbone: Backbone,
    /// Weights of the channels of each tap.
    heads: Vec<Vec<f32>>,
}

impl Lpips {
    /// Reads torchvision's `alexnet` or `vgg16` weights and the heads `lin0.model.1.weight` to `lin4.model.1.weight` of the
    /// package `lpips` (its `weights/v0.1/alex.pth` or `vgg.pth`), as safetensors or files of `torch.save`. Which network
    /// it is is seen from the weights.
    ///
    /// # Errors
    /// [`EvalError::Unusable`] for files that cannot be read, with layers missing or of another network.
    pub fn load(backbone: &Path, heads: &Path) -> Result<Self, EvalError> {
        let network = read(backbone)?;
        let linear = read(heads)?;
        let backbone = Backbone::new(&network, Pooling::Max, MEAN, SCALE)
            .map_err(unusable(backbone.display()))?;
        Self::with_heads(backbone, &linear).map_err(unusable(heads.display()))
    }

    /// The same from tensors in memory.
    ///
    /// # Errors
    /// [`EvalError::Unusable`].
    pub fn new(backbone: &Tensors, heads: &Tensors) -> Result<Self, EvalError> {
        let backbone = Backbone::new(backbone, Pooling::Max, MEAN, SCALE)
            .map_err(unusable("backbone of lpips"))?;
        Self::with_heads(backbone, heads).map_err(unusable("heads of lpips"))
    }

    fn with_heads(backbone: Backbone, tensors: &Tensors) -> Result<Self, codec_core::Error> {
        let loader: Loader<'_, Flex> = Loader::new(tensors, &FlexDevice);
        let head = |(i, channels): (usize, usize)| {
            let name = format!("lin{i}.model.1.weight");
            let tensor = loader.host(&name, &[1, channels, 1, 1]);
            tensor
                .and_then(|tensor| tensor.as_floats())
                .map(<[f32]>::to_vec)
        };
        let taps = backbone.network.channels().into_iter().enumerate();
        let heads: Vec<_> = taps.map(head).collect();
        loader.finish()?;
        let heads: Option<Vec<Vec<f32>>> = heads.into_iter().collect();
        let heads =
            heads.ok_or_else(|| codec_core::Error::malformed("heads are no real numbers"))?;
        Ok(Self { backbone, heads })
    }

    /// Its network.
    pub fn network(&self) -> Network {
        self.backbone.network
    }

    /// Key of the network's distance.
    fn key(&self) -> &'static str {
        match self.backbone.network {
            Network::Alex => "lpips-alex",
            Network::Vgg => "lpips-vgg",
        }
    }

    /// Distance of two 8-bit RGB pictures, 0 for equal ones: `sum over taps of mean over positions of
    /// w . (f(a) / |f(a)| - f(b) / |f(b)|)^2` (equation 1 of the paper).
    ///
    /// # Errors
    /// [`EvalError::SizeMismatch`]; [`EvalError::PictureTooSmall`] for sides below 31 (AlexNet) or 16 (VGG-16).
    pub fn distance(&self, a: &RgbImage, b: &RgbImage) -> Result<f64, EvalError> {
        check_sizes(a, b)?;
        Ok(self.between(&self.features(a)?, &self.features(b)?))
    }

    /// Features of unit length.
    fn features(&self, picture: &RgbImage) -> Result<Vec<Maps>, EvalError> {
        let mut taps = self.backbone.features(picture, self.key())?;
        taps.iter_mut().for_each(normalize);
        Ok(taps)
    }

    fn between(&self, a: &[Maps], b: &[Maps]) -> f64 {
        let mut distance = 0.0;
        for (head, (a, b)) in self.heads.iter().zip(a.iter().zip(b)) {
            let mut sum = 0.0;
            for (&weight, (a, b)) in head.iter().zip(a.channels().zip(b.channels())) {
                let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
                sum += f64::from(weight) * squares.sum::<f64>();
            }
            distance += sum / a.area as f64;
        }
        distance
    }
}

/// Divides the vector at every position by its length.
fn normalize(maps: &mut Maps) {
    let mut lengths = vec![0.0f32; maps.area];
    for channel in maps.channels() {
        for (length, value) in lengths.iter_mut().zip(channel) {
            *length += value * value;
        }
    }
    lengths.iter_mut().for_each(|l| *l = l.sqrt() + EPSILON);
    for channel in maps.values.chunks_exact_mut(maps.area.max(1)) {
        for (value, length) in channel.iter_mut().zip(&lengths) {
            *value /= length;
        }
    }
}

impl Measure<RgbImage> for Lpips {
    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::of_key(self.key())]
    }

    fn reference<'a>(
        &'a self,
        _: &str,
        original: &'a RgbImage,
    ) -> Result<Box<dyn Reference<RgbImage> + 'a>, EvalError> {
        let features = match self.features(original) {
            Ok(features) => Some(features),
            Err(EvalError::PictureTooSmall { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Box::new(Prepared {
            lpips: self,
            original,
            features,
        }))
    }
}

/// An original with its features; `None` for one that is too small.
struct Prepared<'a> {
    lpips: &'a Lpips,
    original: &'a RgbImage,
    features: Option<Vec<Maps>>,
}

impl Reference<RgbImage> for Prepared<'_> {
    fn measure(&self, decoded: &RgbImage) -> Result<Outcome, EvalError> {
        check_sizes(self.original, decoded)?;
        let Some(features) = &self.features else {
            return Ok(Outcome::default());
        };
        let value = self.lpips.between(features, &self.lpips.features(decoded)?);
        Ok(Outcome::value(self.lpips.key(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::backbone::tests::{random, random_network};
    use super::*;
    use crate::test_images::pair;

    /// Heads of random weights in 0..0.2; seeds follow those of the backbone.
    fn random_heads(network: Network) -> Tensors {
        let mut tensors = Tensors::new();
        for (i, channels) in network.channels().into_iter().enumerate() {
            let head = random(100 + i as u64, &[1, channels, 1, 1], 0.1, 0.1);
            tensors.insert(format!("lin{i}.model.1.weight"), head);
        }
        tensors
    }

    /// Values of the package lpips 0.1.4 (torch 2.15.0 on the CPU, in f64) with the same random weights, by `data/reference_images.py`.
    /// Features are sums of up to 4608 products in f32: 1e-5 of the value.
    #[test]
    fn equals_the_package() {
        for (network, width, height, amplitude, expected) in [
            (Network::Alex, 96, 64, 10, 0.007301483057349037),
            (Network::Alex, 77, 83, 60, 0.09252873012395495),
            (Network::Vgg, 64, 48, 10, 0.00852014996586758),
            (Network::Vgg, 49, 51, 60, 0.09143514579394009),
        ] {
            let lpips = Lpips::new(&random_network(network), &random_heads(network)).unwrap();
            let (a, b) = pair(width, height, amplitude);
            let value = lpips.distance(&a, &b).unwrap();
            assert!(
                (value - expected).abs() < 1e-5 * expected,
                "{network:?}: {value} against {expected}"
            );
            let outcome = lpips.reference("a", &a).unwrap().measure(&b).unwrap();
            assert_eq!(outcome, Outcome::value(lpips.key(), value));
            assert_eq!(lpips.distance(&a, &a).unwrap(), 0.0);
        }
    }

    #[test]
    fn files_are_read_and_faults_named() {
        let dir = tempfile::tempdir().unwrap();
        let save = |name: &str, tensors: &Tensors| {
            let path = dir.path().join(name);
            std::fs::write(&path, tensors.to_safetensors(&[].into()).unwrap()).unwrap();
            path
        };
        let backbone = save("alex.safetensors", &random_network(Network::Alex));
        let heads = save("heads.safetensors", &random_heads(Network::Alex));
        let wrong = save("wrong.safetensors", &random_heads(Network::Vgg));
        let lpips = Lpips::load(&backbone, &heads).unwrap();
        assert_eq!(lpips.network(), Network::Alex);
        assert_eq!(lpips.metrics()[0].key, "lpips-alex");
        for (backbone, heads, names) in [
            (&backbone, &wrong, "lin1.model.1.weight"),
            (&heads, &heads, "neither"),
            (&dir.path().join("none"), &heads, "none"),
        ] {
            let error = Lpips::load(backbone, heads).err().unwrap();
            assert!(error.to_string().contains(names), "{error}");
        }
        let small = RgbImage::new(30, 40);
        let reference = lpips.reference("a", &small).unwrap();
        assert_eq!(reference.measure(&small).unwrap(), Outcome::default());
        assert!(reference.measure(&RgbImage::new(40, 40)).is_err());
    }
}
