//! Deep image structure and texture similarity (Ding, Ma, Wang and Simoncelli, "Image quality assessment: unifying
//! structure and texture similarity", TPAMI 2020).

use super::backbone::{Backbone, Maps, Network, Pooling, read, unusable};
use super::check_sizes;
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};
use burn_flex::{Flex, FlexDevice};
use codec_core::weights::{Loader, Tensors};
use image::RgbImage;
use std::path::Path;

/// Mean and deviation of ImageNet in 0..=1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const SCALE: [f32; 3] = [0.229, 0.224, 0.225];
/// `c1` and `c2` of equations 6 and 7.
const C1: f64 = 1e-6;
const C2: f64 = 1e-6;

/// DISTS with the weights of VGG-16 and of its channels.
pub struct Dists {
    backbone: Backbone,
    /// Weights of the texture and of the structure term, channel by channel: the picture's three first, then those of the
    /// taps. All sum up to 1.
    alpha: Vec<f64>,
    beta: Vec<f64>,
}

impl Dists {
    /// Reads torchvision's `vgg16` weights and `alpha` and `beta` of the authors' `weights.pt`, as safetensors or files of
    /// `torch.save`.
    ///
    /// # Errors
    /// [`EvalError::Unusable`] for files that cannot be read, with layers missing or of another network.
    pub fn load(backbone: &Path, weights: &Path) -> Result<Self, EvalError> {
        let network = read(backbone)?;
        let channels = read(weights)?;
        let backbone = vgg(&network).map_err(unusable(backbone.display()))?;
        Self::with_weights(backbone, &channels).map_err(unusable(weights.display()))
    }

    /// The same from tensors in memory.
    ///
    /// # Errors
    /// [`EvalError::Unusable`].
    pub fn new(backbone: &Tensors, weights: &Tensors) -> Result<Self, EvalError> {
        let backbone = vgg(backbone).map_err(unusable("backbone of dists"))?;
        Self::with_weights(backbone, weights).map_err(unusable("weights of dists"))
    }

    fn with_weights(backbone: Backbone, tensors: &Tensors) -> Result<Self, codec_core::Error> {
        let channels = 3 + backbone.network.channels().iter().sum::<usize>();
        let loader: Loader<'_, Flex> = Loader::new(tensors, &FlexDevice);
        let take = |name: &str| -> Option<Vec<f64>> {
            let values = loader.host(name, &[1, channels, 1, 1])?.as_floats()?;
            Some(values.iter().map(|&v| f64::from(v)).collect())
        };
        let weights = (take("alpha"), take("beta"));
        loader.finish()?;
        let (Some(mut alpha), Some(mut beta)) = weights else {
            return Err(codec_core::Error::malformed("weights are no real numbers"));
        };
        let sum: f64 = alpha.iter().chain(&beta).sum();
        if !sum.is_finite() || sum == 0.0 {
            return Err(codec_core::Error::malformed(format!(
                "alpha and beta sum up to {sum}"
            )));
        }
        alpha.iter_mut().chain(&mut beta).for_each(|v| *v /= sum);
        Ok(Self {
            backbone,
            alpha,
            beta,
        })
    }

    /// Distance of two 8-bit RGB pictures at their own size, 0 for equal ones: one minus the weighted sum of similarities of
    /// means and of covariances of all feature maps (equations 6 to 8 of the paper).
    ///
    /// The authors' script makes the shorter side 256 first; figures of codecs are mostly given without that.
    ///
    /// # Errors
    /// [`EvalError::SizeMismatch`]; [`EvalError::PictureTooSmall`] for sides below 16.
    pub fn distance(&self, a: &RgbImage, b: &RgbImage) -> Result<f64, EvalError> {
        check_sizes(a, b)?;
        Ok(self.between(&self.features(a)?, &self.features(b)?))
    }

    /// The picture itself and its features.
    fn features(&self, picture: &RgbImage) -> Result<Vec<Maps>, EvalError> {
        let mut taps = vec![Maps::of(picture)];
        taps.extend(self.backbone.features(picture, "dists")?);
        Ok(taps)
    }

    fn between(&self, a: &[Maps], b: &[Maps]) -> f64 {
        let a = a.iter().flat_map(Maps::channels);
        let b = b.iter().flat_map(Maps::channels);
        let weights = self.alpha.iter().zip(&self.beta);
        let terms = weights.zip(a.zip(b)).map(|((alpha, beta), (a, b))| {
            let (texture, structure) = similarity(a, b);
            alpha * texture + beta * structure
        });
        1.0 - terms.sum::<f64>()
    }
}

/// VGG-16 with the pooling of DISTS.
fn vgg(tensors: &Tensors) -> Result<Backbone, codec_core::Error> {
    let backbone = Backbone::new(tensors, Pooling::Hann, MEAN, SCALE)?;
    if backbone.network == Network::Vgg {
        Ok(backbone)
    } else {
        Err(codec_core::Error::malformed("DISTS needs VGG-16"))
    }
}

/// Similarity of the means and of the covariance of two maps.
fn similarity(a: &[f32], b: &[f32]) -> (f64, f64) {
    let count = a.len() as f64;
    let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut squares, mut products) = (0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a) - mean_a, f64::from(b) - mean_b);
        squares += a * a + b * b;
        products += a * b;
    }
    let texture = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
    let structure = (2.0 * products / count + C2) / (squares / count + C2);
    (texture, structure)
}

impl Measure<RgbImage> for Dists {
    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::of_key("dists")]
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
            dists: self,
            original,
            features,
        }))
    }
}

/// An original with its features; `None` for one that is too small.
struct Prepared<'a> {
    dists: &'a Dists,
    original: &'a RgbImage,
    features: Option<Vec<Maps>>,
}

impl Reference<RgbImage> for Prepared<'_> {
    fn measure(&self, decoded: &RgbImage) -> Result<Outcome, EvalError> {
        check_sizes(self.original, decoded)?;
        let Some(features) = &self.features else {
            return Ok(Outcome::default());
        };
        let value = self.dists.between(features, &self.dists.features(decoded)?);
        Ok(Outcome::value("dists", value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::backbone::tests::{random, random_network};
    use super::*;
    use crate::test_images::pair;

    fn weights() -> Tensors {
        let mut tensors = Tensors::new();
        tensors.insert("alpha", random(200, &[1, 1475, 1, 1], 0.1, 0.1));
        tensors.insert("beta", random(201, &[1, 1475, 1, 1], 0.1, 0.1));
        tensors
    }

    /// Values of the authors' program (torch 2.15.0 on the CPU, in f64) with the same random weights, by
    /// `data/reference_images.py`. Features are sums of up to 4608 products in f32: 1e-5 of the value.
    #[test]
    fn equals_the_authors() {
        let dists = Dists::new(&random_network(Network::Vgg), &weights()).unwrap();
        for (width, height, amplitude, expected) in [
            (64, 48, 10, 0.0056296020391852775),
            (49, 51, 60, 0.14872569616459763),
        ] {
            let (a, b) = pair(width, height, amplitude);
            let value = dists.distance(&a, &b).unwrap();
            assert!(
                (value - expected).abs() < 1e-5 * expected,
                "{value} against {expected}"
            );
            let outcome = dists.reference("a", &a).unwrap().measure(&b).unwrap();
            assert_eq!(outcome, Outcome::value("dists", value));
            assert!(dists.distance(&a, &a).unwrap().abs() < 1e-12);
        }
        let small = RgbImage::new(15, 40);
        let reference = dists.reference("a", &small).unwrap();
        assert_eq!(reference.measure(&small).unwrap(), Outcome::default());
    }

    #[test]
    fn other_weights_are_refused() {
        let alex = Dists::new(&random_network(Network::Alex), &weights());
        assert!(alex.err().unwrap().to_string().contains("VGG-16"));
        let mut incomplete = weights();
        incomplete.remove("beta");
        let error = Dists::new(&random_network(Network::Vgg), &incomplete).err();
        assert!(error.unwrap().to_string().contains("beta"));
    }
}
