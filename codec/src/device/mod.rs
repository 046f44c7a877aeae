//! Choosing a device, probing it before use, and guarding every call on it.

mod choice;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg_attr(
    not(any(feature = "wgpu", feature = "cuda")),
    allow(dead_code, reason = "only GPU backends panic")
)]
pub(crate) mod guard;
#[cfg(feature = "wgpu")]
pub(crate) mod wgpu;

pub use choice::DeviceChoice;
use codec_core::error::Error;

/// A device that was probed and can be used.
#[derive(Debug, Clone)]
pub struct Device {
    pub(crate) kind: Kind,
    choice: DeviceChoice,
    name: String,
    reason: String,
}

/// The backend behind a [`Device`].
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Cpu,
    #[cfg(feature = "wgpu")]
    Wgpu {
        device: burn::backend::wgpu::WgpuDevice,
        fused: bool,
    },
    #[cfg(feature = "cuda")]
    Cuda(usize),
}

/// The backends that this build contains, best first.
pub const BACKENDS: &[&str] = &[
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "wgpu")]
    "wgpu",
    "cpu",
];

impl Device {
    /// Finds, probes and opens a device.
    ///
    /// [`DeviceChoice::Auto`] never fails: it takes the CPU when nothing better works, and [`reason`](Self::reason)
    /// tells why. A software adapter of wgpu is slower than the CPU backend and is therefore never chosen by `Auto`.
    ///
    /// # Errors
    /// [`Error::Device`] if the device is not built in, or its driver, headers or the device itself are missing.
    pub fn open(choice: DeviceChoice) -> Result<Self, Error> {
        match choice {
            DeviceChoice::Auto => Ok(Self::auto()),
            DeviceChoice::Cpu => Ok(Self::cpu("asked for")),
            DeviceChoice::Wgpu(index) => Self::wgpu(index, true),
            DeviceChoice::WgpuUnfused(index) => Self::wgpu(index, false),
            DeviceChoice::Cuda(index) => Self::cuda(index),
        }
    }

    /// The CPU, which is always there.
    fn cpu(reason: &str) -> Self {
        let name = format!("cpu ({} threads)", rayon::current_num_threads());
        Self {
            kind: Kind::Cpu,
            choice: DeviceChoice::Cpu,
            name,
            reason: reason.to_owned(),
        }
    }

    fn auto() -> Self {
        let mut reasons = Vec::new();
        match Self::cuda(0) {
            Ok(device) => {
                return Self {
                    reason: "first choice of auto".to_owned(),
                    ..device
                };
            }
            Err(error) => reasons.push(error.to_string()),
        }
        match Self::hardware_wgpu() {
            Ok(device) => {
                return Self {
                    reason: reasons.join("; "),
                    ..device
                };
            }
            Err(error) => reasons.push(error.to_string()),
        }
        Self::cpu(&reasons.join("; "))
    }

    #[cfg(feature = "cuda")]
    fn cuda(index: usize) -> Result<Self, Error> {
        let name = cuda::probe(index)?;
        let choice = DeviceChoice::Cuda(index);
        Ok(Self {
            kind: Kind::Cuda(index),
            choice,
            name,
            reason: "asked for".to_owned(),
        })
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda(index: usize) -> Result<Self, Error> {
        Err(failed(
            DeviceChoice::Cuda(index),
            "this program was built without cuda",
        ))
    }

    #[cfg(feature = "wgpu")]
    fn wgpu(index: usize, fused: bool) -> Result<Self, Error> {
        let adapter = wgpu::probe(index)?;
        Ok(Self::from_adapter(adapter, fused))
    }

    #[cfg(feature = "wgpu")]
    fn hardware_wgpu() -> Result<Self, Error> {
        let adapter = wgpu::probe_hardware()?;
        Ok(Self::from_adapter(adapter, true))
    }

    #[cfg(feature = "wgpu")]
    fn from_adapter(adapter: wgpu::Adapter, fused: bool) -> Self {
        let choice = if fused {
            DeviceChoice::Wgpu(adapter.index)
        } else {
            DeviceChoice::WgpuUnfused(adapter.index)
        };
        let kind = Kind::Wgpu {
            device: adapter.device,
            fused,
        };
        Self {
            kind,
            choice,
            name: format!("{choice} ({})", adapter.name),
            reason: "asked for".to_owned(),
        }
    }

    #[cfg(not(feature = "wgpu"))]
    fn wgpu(index: usize, _fused: bool) -> Result<Self, Error> {
        Err(failed(
            DeviceChoice::Wgpu(index),
            "this program was built without wgpu",
        ))
    }

    #[cfg(not(feature = "wgpu"))]
    fn hardware_wgpu() -> Result<Self, Error> {
        Self::wgpu(0, true)
    }

    /// The concrete device that was opened, never [`DeviceChoice::Auto`].
    pub fn choice(&self) -> DeviceChoice {
        self.choice
    }

    /// Whether this is the CPU, the reference that all other devices are tested against.
    pub fn is_cpu(&self) -> bool {
        matches!(self.kind, Kind::Cpu)
    }

    /// The device with what is known of its hardware, for people: `cpu (2 threads)`, `cuda:0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why this device was taken; after a fall back to the CPU the reasons against the others.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A device that cannot be used, and why.
fn failed(choice: DeviceChoice, reason: impl Into<String>) -> Error {
    Error::Device {
        device: choice.to_string(),
        reason: reason.into(),
    }
}
