//! Names, units and directions of metrics.

use crate::Kind;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// How values are averaged over by [`crate::bd_rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As they are; negated where less is better.
    Linear,
    /// `-10 log10(1 - value)`, for similarities that crowd below 1.
    Similarity,
}

/// A metric: what rows and curves call it, and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Field name in reports.
    pub key: String,
    /// Name with unit for tables and axes.
    pub label: String,
    /// Which way is better.
    pub better: Better,
    /// For averages between curves.
    pub scale: Scale,
}

/// Key, label, direction, scale, medium of what is built in.
const KNOWN: &[(&str, &str, Better, Scale, Kind)] = {
    use Better::{Higher, Lower};
    use Kind::{Audio, Image};
    use Scale::{Linear, Similarity};
    &[
        ("psnr-rgb", "PSNR (dB)", Higher, Linear, Image),
        (
            "psnr-ycbcr",
            "PSNR, YCbCr 6:1:1 (dB)",
            Higher,
            Linear,
            Image,
        ),
        ("psnr-y", "PSNR, luma (dB)", Higher, Linear, Image),
        ("ms-ssim-rgb", "MS-SSIM", Higher, Similarity, Image),
        ("ssimulacra2", "SSIMULACRA2", Higher, Linear, Image),
        ("butteraugli", "Butteraugli (max)", Lower, Linear, Image),
        (
            "butteraugli-3norm",
            "Butteraugli (3-norm)",
            Lower,
            Linear,
            Image,
        ),
        ("lpips-alex", "LPIPS (AlexNet)", Lower, Linear, Image),
        ("lpips-vgg", "LPIPS (VGG)", Lower, Linear, Image),
        ("dists", "DISTS", Lower, Linear, Image),
        ("pesq-wb", "PESQ, wideband (MOS-LQO)", Higher, Linear, Audio),
        (
            "pesq-nb",
            "PESQ, narrowband (MOS-LQO)",
            Higher,
            Linear,
            Audio,
        ),
        ("stoi", "STOI", Higher, Linear, Audio),
        ("estoi", "ESTOI", Higher, Linear, Audio),
        ("si-sdr", "SI-SDR (dB)", Higher, Linear, Audio),
        (
            "stft-distance",
            "multi-resolution STFT distance",
            Lower,
            Linear,
            Audio,
        ),
        ("mel-distance", "log-mel distance", Lower, Linear, Audio),
    ]
};

impl Metric {
    /// The metric that reports call `key`; one that is not built in counts as better when higher, but for error rates.
    pub fn of_key(key: &str) -> Self {
        let known = KNOWN.iter().find(|known| known.0 == key);
        let errors = key.starts_with("task.wer") || key.starts_with("task.cer");
        let other = if errors {
            Better::Lower
        } else {
            Better::Higher
        };
        let (label, better, scale) = known.map_or((key, other, Scale::Linear), |k| (k.1, k.2, k.3));
        Self {
            key: key.to_owned(),
            label: label.to_owned(),
            better,
            scale,
        }
    }

    /// A metric of one's own, averaged as it is.
    pub fn new(key: impl Into<String>, label: impl Into<String>, better: Better) -> Self {
        Self {
            key: key.into(),
            label: label.into(),
            better,
            scale: Scale::Linear,
        }
    }

    /// Keys of all built-in metrics of pictures or of sound.
    pub fn known(kind: Kind) -> impl Iterator<Item = &'static str> {
        KNOWN
            .iter()
            .filter(move |known| known.4 == kind)
            .map(|known| known.0)
    }

    /// PSNR in RGB.
    pub fn psnr() -> Self {
        Self::of_key("psnr-rgb")
    }

    /// MS-SSIM in RGB.
    pub fn ms_ssim() -> Self {
        Self::of_key("ms-ssim-rgb")
    }

    /// A value on the scale that differences between curves are averaged on: higher is better, steps are even.
    pub fn scaled(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Similarity => -10.0 * (1.0 - value).log10(),
        };
        match self.better {
            Better::Higher => value,
            Better::Lower => -value,
        }
    }

    /// Name with the unit of [`Self::scaled`].
    pub fn scaled_label(&self) -> String {
        match self.scale {
            Scale::Linear => self.label.clone(),
            Scale::Similarity => format!("{} (dB)", self.label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown() {
        let keys: std::collections::BTreeSet<&str> = KNOWN.iter().map(|k| k.0).collect();
        assert_eq!(keys.len(), KNOWN.len());
        assert_eq!(Metric::of_key("dists").scaled(0.25), -0.25);
        assert!((Metric::ms_ssim().scaled(0.99) - 20.0).abs() < 1e-9);
        assert_eq!(Metric::ms_ssim().scaled_label(), "MS-SSIM (dB)");
        let own = Metric::of_key("task.top1");
        assert_eq!(
            (own.label.as_str(), own.better),
            ("task.top1", Better::Higher)
        );
        assert!(Metric::known(Kind::Audio).any(|key| key == "stoi"));
    }
}
