//! Probing wgpu adapters without waking Burn's panics.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use burn::backend::Wgpu;
use burn::backend::wgpu::WgpuDevice;
use burn::backend::wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use burn::tensor::Tensor;
use codec_core::error::Error;
use wgpu::DeviceType;

use super::guard::guard;
use super::{DeviceChoice, failed};

/// One adapter in our order: discrete, integrated, virtual, then software.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Position in that order, the `N` of `wgpu:N`.
    pub index: usize,
    /// What Burn calls it.
    pub device: WgpuDevice,
    /// Name by its driver.
    pub name: String,
}

impl Adapter {
    /// Whether it is a GPU.
    pub fn is_hardware(&self) -> bool {
        !matches!(self.device, WgpuDevice::Cpu)
    }
}

/// Checks that adapter `index` can run kernels.
///
/// # Errors
/// [`Error::Device`] with what is missing.
pub(super) fn probe(index: usize) -> Result<Adapter, Error> {
    let mut adapters = adapters()?;
    if index >= adapters.len() {
        let present = adapters
            .iter()
            .map(|adapter| adapter.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let present = if present.is_empty() {
            "none; is a Vulkan driver installed?"
        } else {
            &present
        };
        return Err(failed(
            DeviceChoice::Wgpu(index),
            format!("no such adapter (present: {present})"),
        ));
    }
    check(adapters.swap_remove(index))
}

/// The first adapter that is a GPU and works.
///
/// # Errors
/// [`Error::Device`] if there is none.
pub(super) fn probe_hardware() -> Result<Adapter, Error> {
    let adapters = adapters()?;
    let seen = adapters.len();
    match adapters.into_iter().find(Adapter::is_hardware) {
        Some(adapter) => check(adapter),
        None if seen > 0 => Err(failed(
            DeviceChoice::Wgpu(0),
            "only a software adapter was found",
        )),
        None => Err(failed(
            DeviceChoice::Wgpu(0),
            "no adapter was found (is a Vulkan driver installed?)",
        )),
    }
}

/// All adapters of the graphics interface that Burn will use. Asking does not panic, other than opening a device.
fn adapters() -> Result<Vec<Adapter>, Error> {
    guard("wgpu", || {
        let backend = AutoGraphicsApi::backend();
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        // On every native platform the answer is there at once.
        let mut answer = pin!(instance.enumerate_adapters(backend.into()));
        let Poll::Ready(found) = answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        else {
            return Err(failed(
                DeviceChoice::Wgpu(0),
                "the adapters could not be listed",
            ));
        };
        let infos = found.iter().map(|adapter| adapter.get_info());
        Ok(in_order(infos.map(|info| (info.device_type, info.name))))
    })
}

/// Sorts adapters and numbers them the way Burn does: by position among those of the same type.
pub fn in_order(found: impl Iterator<Item = (DeviceType, String)>) -> Vec<Adapter> {
    let (mut discrete, mut integrated, mut virtual_, mut software) =
        (vec![], vec![], vec![], vec![]);
    for (kind, name) in found {
        match kind {
            DeviceType::DiscreteGpu => {
                discrete.push((WgpuDevice::DiscreteGpu(discrete.len()), name))
            }
            DeviceType::IntegratedGpu => {
                integrated.push((WgpuDevice::IntegratedGpu(integrated.len()), name))
            }
            DeviceType::VirtualGpu => virtual_.push((WgpuDevice::VirtualGpu(virtual_.len()), name)),
            // Burn can name only the first software adapter.
            DeviceType::Cpu if software.is_empty() => software.push((WgpuDevice::Cpu, name)),
            // Adapters of an unknown type cannot be named either.
            DeviceType::Cpu | DeviceType::Other => {}
        }
    }
    let all = discrete
        .into_iter()
        .chain(integrated)
        .chain(virtual_)
        .chain(software);
    all.enumerate()
        .map(|(index, (device, name))| Adapter {
            index,
            device,
            name,
        })
        .collect()
}

/// Runs one small kernel.
fn check(adapter: Adapter) -> Result<Adapter, Error> {
    let choice = DeviceChoice::Wgpu(adapter.index);
    let sum = guard(&choice.to_string(), || {
        Ok((Tensor::<Wgpu, 1>::ones([8], &adapter.device) + 1.0)
            .sum()
            .into_scalar())
    })?;
    if sum != 16.0 {
        return Err(failed(
            choice,
            format!("{} computes wrong results", adapter.name),
        ));
    }
    Ok(adapter)
}
