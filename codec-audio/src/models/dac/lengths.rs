//! How lengths change from layer to layer, how far layers see, and what follows for coding in chunks.

use super::{DacConfig, Ends};
use crate::coder::Reach;

/// Dilations of the three residual units of a stage.
pub(super) const DILATIONS: [usize; 3] = [1, 3, 9];
/// Taps of a residual unit, and of the first and last convolution.
pub(super) const TAPS: usize = 7;
/// Taps of the encoder's last convolution.
pub(super) const LAST_TAPS: usize = 3;

/// One convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layer {
    kernel: i64,
    stride: i64,
    dilation: i64,
    transposed: bool,
}

impl Layer {
    fn conv(kernel: usize, dilation: usize) -> Self {
        Self {
            kernel: kernel as i64,
            stride: 1,
            dilation: dilation as i64,
            transposed: false,
        }
    }

    fn resampling(rate: usize, transposed: bool) -> Self {
        Self {
            kernel: 2 * rate as i64,
            stride: rate as i64,
            dilation: 1,
            transposed,
        }
    }

    /// From the first tap to the last.
    fn span(&self) -> i64 {
        self.dilation * (self.kernel - 1)
    }

    /// Zeros on either side, or what is cut off there.
    fn padding(&self) -> i64 {
        match self.stride {
            1 => self.span() / 2,
            stride => (stride + 1).div_euclid(2),
        }
    }

    /// Outputs of so many inputs, without zeros.
    fn forward(&self, length: i64) -> i64 {
        if self.transposed {
            (length - 1) * self.stride + self.span() + 1
        } else {
            (length - self.span() - 1).div_euclid(self.stride) + 1
        }
    }

    /// Inputs that give so many outputs, without zeros.
    fn backward(&self, length: i64) -> i64 {
        if self.transposed {
            ceil_div(length - self.span() - 1, self.stride) + 1
        } else {
            (length - 1) * self.stride + self.span() + 1
        }
    }

    /// The inputs that some outputs see, of a signal with zeros around it.
    fn seen(&self, [first, last]: [i64; 2]) -> [i64; 2] {
        let padding = self.padding();
        if self.transposed {
            [
                ceil_div(first + padding - self.span(), self.stride),
                (last + padding).div_euclid(self.stride),
            ]
        } else {
            [
                first * self.stride - padding,
                last * self.stride - padding + self.span(),
            ]
        }
    }
}

fn ceil_div(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

impl DacConfig {
    fn encoder_layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::conv(TAPS, 1)];
        for &rate in &self.encoder_rates {
            layers.extend(DILATIONS.map(|dilation| Layer::conv(TAPS, dilation)));
            layers.push(Layer::resampling(rate, false));
        }
        layers.push(Layer::conv(LAST_TAPS, 1));
        layers
    }

    fn decoder_layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::conv(TAPS, 1)];
        for &rate in &self.decoder_rates {
            layers.push(Layer::resampling(rate, true));
            layers.extend(DILATIONS.map(|dilation| Layer::conv(TAPS, dilation)));
        }
        layers.push(Layer::conv(TAPS, 1));
        layers
    }

    fn layers(&self) -> Vec<Layer> {
        [self.encoder_layers(), self.decoder_layers()].concat()
    }

    /// What codes and samples depend on.
    pub(super) fn reach(&self) -> Reach {
        let see = |layers: Vec<Layer>, outputs: [i64; 2]| {
            let layers = layers.iter().rev();
            layers.fold(outputs, |range, layer| layer.seen(range))
        };
        let hop = self.hop() as i64;
        let samples = see(self.encoder_layers(), [0, 0]);
        let frames = see(self.decoder_layers(), [0, hop - 1]);
        let count = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        Reach::Limited {
            before: count(-samples[0]),
            after: count(samples[1] - (hop - 1)),
            frames_before: count(-frames[0]),
            frames_after: count(frames[1]),
        }
    }

    /// Samples that come out of `samples` samples where no layer sees anything beyond its signal; not positive if they are too
    /// few.
    pub fn unpadded_length(&self, samples: usize) -> i64 {
        let layers = self.layers();
        layers
            .iter()
            .fold(samples as i64, |n, layer| layer.forward(n))
    }

    /// Zeros that the authors put on either side of a recording that they code in chunks, so that the samples that come out lie
    /// in the middle of what went in.
    pub fn delay(&self) -> i64 {
        let out = self.unpadded_length(0);
        let layers = self.layers();
        let layers = layers.iter().rev();
        let into = layers.fold(out, |n, layer| layer.backward(n));
        (into - out).div_euclid(2)
    }

    /// Frames of `samples` samples, and samples of `frames` frames; none if they are too few.
    pub(super) fn frames(&self, samples: usize, ends: Ends) -> Option<usize> {
        match ends {
            Ends::Zeros => (samples > 0).then(|| samples.div_ceil(self.hop())),
            Ends::Lost => positive(&self.encoder_layers(), samples),
        }
    }

    /// Whether so many frames are enough for samples to come out.
    pub(super) fn decodes(&self, frames: usize, ends: Ends) -> bool {
        match ends {
            Ends::Zeros => frames > 0,
            Ends::Lost => positive(&self.decoder_layers(), frames).is_some(),
        }
    }
}

/// Outputs of layers without zeros, unless one of them has none.
fn positive(layers: &[Layer], length: usize) -> Option<usize> {
    let length = layers.iter().try_fold(length as i64, |n, layer| {
        let n = layer.forward(n);
        (n > 0).then_some(n)
    });
    length?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_layers() {
        let conv = Layer::conv(7, 3);
        assert_eq!(conv.seen([0, 0]), [-9, 9]);
        assert_eq!((conv.forward(20), conv.backward(2)), (2, 20));
        let down = Layer::resampling(5, false);
        assert_eq!(down.seen([1, 1]), [2, 11]);
        assert_eq!(down.forward(14), 1);
        let up = Layer::resampling(4, true);
        // Output 0 is place 2 of the uncut one, which inputs -1 and 0 reach.
        assert_eq!(up.seen([0, 0]), [-1, 0]);
        assert_eq!(up.seen([2, 5]), [0, 1]);
        assert_eq!((up.forward(3), up.backward(16)), (16, 3));
    }
}
