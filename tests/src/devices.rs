//! The devices that tests may use.

use codec::{Device, DeviceChoice};

/// The CPU, the reference.
pub fn cpu() -> Device {
    Device::open(DeviceChoice::Cpu).expect("the CPU is always there")
}

/// The CPU, and one device of each GPU backend that is there: where the parity of published models is checked.
pub fn one_of_each() -> Vec<Device> {
    let mut devices = vec![cpu()];
    devices.extend(open(&[WGPU, CUDA]));
    devices
}

/// All GPU devices of this machine, the software driver of CI among them. A missing one is printed, or fails the test if
/// `CODEC_TEST_WGPU=1` or `CODEC_TEST_CUDA=1` ask for it.
pub fn gpus() -> Vec<Device> {
    open(&[WGPU, WGPU_UNFUSED, CUDA])
}

const WGPU: (DeviceChoice, &str) = (DeviceChoice::Wgpu(0), "CODEC_TEST_WGPU");
const WGPU_UNFUSED: (DeviceChoice, &str) = (DeviceChoice::WgpuUnfused(0), "CODEC_TEST_WGPU");
const CUDA: (DeviceChoice, &str) = (DeviceChoice::Cuda(0), "CODEC_TEST_CUDA");

fn open(wanted: &[(DeviceChoice, &str)]) -> Vec<Device> {
    let open = |&(choice, variable): &(DeviceChoice, &str)| match Device::open(choice) {
        Ok(device) => {
            println!("{choice}: {}", device.name());
            Some(device)
        }
        Err(error) if std::env::var_os(variable).is_some_and(|value| value == "1") => {
            panic!("{variable}=1, but {error}")
        }
        Err(error) => {
            println!("{choice}: skipped: {error}");
            None
        }
    };
    wanted.iter().filter_map(open).collect()
}
