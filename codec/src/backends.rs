//! The only place where model families meet backends.

use codec_core::error::Error;
use codec_image::coder::ImageCoder;
use codec_image::models::wpmr::{Coder, Weights};

use crate::device::{Device, Kind};

/// Puts a model on a device.
///
/// # Errors
/// Those of the model, and [`Error::Device`] when the device fails.
pub(crate) fn coder(weights: &Weights, device: &Device) -> Result<Box<dyn ImageCoder>, Error> {
    match &device.kind {
        Kind::Cpu => {
            let flex = burn::backend::flex::FlexDevice;
            Ok(Box::new(Coder::<burn::backend::Flex>::new(weights, &flex)?))
        }
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter,
            fused: true,
        } => gpu::open(device, || {
            Coder::<burn::backend::Wgpu>::new(weights, adapter)
        }),
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter,
            fused: false,
        } => gpu::open(device, || Coder::<gpu::UnfusedWgpu>::new(weights, adapter)),
        #[cfg(feature = "cuda")]
        Kind::Cuda(index) => {
            let cuda = burn::backend::cuda::CudaDevice::new(*index);
            gpu::open(device, || Coder::<burn::backend::Cuda>::new(weights, &cuda))
        }
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu {
    use codec_core::error::Error;
    use codec_image::coder::{
        DecodedTile, EncodedTile, ImageCoder, Quality, Rates, RgbTile, TileOptions,
    };

    use crate::device::Device;
    use crate::device::guard::guard;

    /// The wgpu backend without operator fusion.
    #[cfg(feature = "wgpu")]
    pub(super) type UnfusedWgpu =
        burn::backend::wgpu::CubeBackend<burn::backend::wgpu::WgpuRuntime, f32, i32, u32>;

    /// A coder whose every call is guarded.
    struct Guarded<C> {
        device: String,
        coder: C,
    }

    /// Opens a coder on a GPU under the guard.
    pub(super) fn open<C: ImageCoder + 'static>(
        device: &Device,
        new: impl FnOnce() -> Result<C, Error>,
    ) -> Result<Box<dyn ImageCoder>, Error> {
        let device = device.choice().to_string();
        let coder = guard(&device, new)?;
        Ok(Box::new(Guarded { device, coder }))
    }

    impl<C: ImageCoder> ImageCoder for Guarded<C> {
        fn rates(&self) -> Rates {
            self.coder.rates()
        }

        fn encode_tile(
            &self,
            tile: RgbTile<'_>,
            options: TileOptions,
        ) -> Result<EncodedTile, Error> {
            guard(&self.device, || self.coder.encode_tile(tile, options))
        }

        fn decode_tile(
            &self,
            bytes: &[u8],
            width: usize,
            height: usize,
            quality: Quality,
        ) -> Result<DecodedTile, Error> {
            guard(&self.device, || {
                self.coder.decode_tile(bytes, width, height, quality)
            })
        }
    }
}
