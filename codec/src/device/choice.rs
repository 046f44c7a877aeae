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
