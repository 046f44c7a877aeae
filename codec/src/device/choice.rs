//! The device as the user names it.

use std::fmt;
use std::str::FromStr;

use codec_core::error::Error;

/// What `--device` takes: `auto`, `cpu`, `wgpu`, `wgpu:1`, `cuda`, `cuda:1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceChoice {
    /// The best device that is built in and present: CUDA, then a hardware adapter of wgpu, then the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A wgpu adapter (Vulkan, Metal, DirectX 12); discrete GPUs come first, software adapters last.
    Wgpu(usize),
    /// A CUDA device.
    Cuda(usize),
    /// The same as [`Wgpu`](Self::Wgpu) without operator fusion; for tests, spelled `wgpu-unfused`.
    #[doc(hidden)]
    WgpuUnfused(usize),
}

impl DeviceChoice {
    /// The spelling that [`FromStr`] accepts, for help texts.
    pub const SYNTAX: &'static str = "auto|cpu|wgpu[:N]|cuda[:N]";
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::BadParameter(format!(
                "invalid device {text:?} (expected {})",
                Self::SYNTAX
            ))
        };
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| bad())?)),
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("wgpu", index) => Ok(Self::Wgpu(index.unwrap_or(0))),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("wgpu-unfused", index) => Ok(Self::WgpuUnfused(index.unwrap_or(0))),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::WgpuUnfused(index) => write!(f, "wgpu-unfused:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_written_back() {
        for (text, choice, shown) in [
            ("auto", DeviceChoice::Auto, "auto"),
            ("cpu", DeviceChoice::Cpu, "cpu"),
            ("wgpu", DeviceChoice::Wgpu(0), "wgpu:0"),
            ("wgpu:2", DeviceChoice::Wgpu(2), "wgpu:2"),
            ("cuda", DeviceChoice::Cuda(0), "cuda:0"),
            ("cuda:11", DeviceChoice::Cuda(11), "cuda:11"),
            (
                "wgpu-unfused",
                DeviceChoice::WgpuUnfused(0),
                "wgpu-unfused:0",
            ),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), shown);
            assert_eq!(shown.parse::<DeviceChoice>().unwrap(), choice);
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_expected_spelling() {
        for text in [
            "", "gpu", "CPU", "cpu:0", "auto:1", "wgpu:", "cuda:-1", "cuda:1:2", "wgpu:x",
        ] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(
                error.contains("auto|cpu|wgpu[:N]|cuda[:N]"),
                "{text}: {error}"
            );
        }
    }
}
