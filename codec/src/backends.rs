//! The only place where model families meet backends.

use codec_core::error::Error;
use codec_core::weights::Tensors;
use codec_image::coder::ImageCoder;
use codec_image::models::ImageModel;

use crate::device::{Device, Kind};

/// Puts a model on a device.
///
/// # Errors
/// Those of the model, and [`Error::Device`] when the device fails.
pub(crate) fn coder(model: &ImageModel, device: &Device) -> Result<Box<dyn ImageCoder>, Error> {
    match &device.kind {
        Kind::Cpu => {
            let flex = burn::backend::flex::FlexDevice;
            model.coder::<burn::backend::Flex>(&flex)
        }
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter,
            fused: true,
        } => gpu::open(device, || model.coder::<burn::backend::Wgpu>(adapter)),
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter,
            fused: false,
        } => gpu::open(device, || model.coder::<gpu::UnfusedWgpu>(adapter)),
        #[cfg(feature = "cuda")]
        Kind::Cuda(index) => {
            let cuda = burn::backend::cuda::CudaDevice::new(*index);
            gpu::open(device, || model.coder::<burn::backend::Cuda>(&cuda))
        }
    }
}

/// Runs a model over the inputs of a parity fixture.
///
/// # Errors
/// Those of the model, and [`Error::Device`] when the device fails.
pub fn trace(model: &ImageModel, inputs: &Tensors, device: &Device) -> Result<Tensors, Error> {
    match &device.kind {
        Kind::Cpu => model.trace::<burn::backend::Flex>(inputs, &burn::backend::flex::FlexDevice),
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter,
            fused: true,
        } => guarded(device, || {
            model.trace::<burn::backend::Wgpu>(inputs, adapter)
        }),
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter,
            fused: false,
        } => guarded(device, || model.trace::<gpu::UnfusedWgpu>(inputs, adapter)),
        #[cfg(feature = "cuda")]
        Kind::Cuda(index) => {
            let cuda = burn::backend::cuda::CudaDevice::new(*index);
            guarded(device, || model.trace::<burn::backend::Cuda>(inputs, &cuda))
        }
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn guarded<T>(device: &Device, run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    crate::device::guard::guard(&device.choice().to_string(), run)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu {
    use codec_core::error::Error;
    use codec_image::coder::{
        DecodedTile, EncodedTile, ImageCoder, Quality, Rates, RgbTile, TileOptions,
    };
    use codec_image::tokens::{ImageTokenizer, Tokens};

    use crate::device::Device;
    use crate::device::guard::guard;

    /// The wgpu backend without operator fusion.
    #[cfg(feature = "wgpu")]
    pub(super) type UnfusedWgpu =
        burn::backend::wgpu::CubeBackend<burn::backend::wgpu::WgpuRuntime, f32, i32, u32>;

    /// A coder whose every call is guarded.
    struct Guarded {
        device: String,
        coder: Box<dyn ImageCoder>,
    }

    /// Opens a coder on a GPU under the guard.
    pub(super) fn open(
        device: &Device,
        new: impl FnOnce() -> Result<Box<dyn ImageCoder>, Error>,
    ) -> Result<Box<dyn ImageCoder>, Error> {
        let device = device.choice().to_string();
        let coder = guard(&device, new)?;
        Ok(Box::new(Guarded { device, coder }))
    }

    impl ImageCoder for Guarded {
        fn rates(&self) -> Rates {
            self.coder.rates()
        }

        fn comfortable_pixels(&self) -> u64 {
            self.coder.comfortable_pixels()
        }

        fn tokenizer(&self) -> Option<&dyn ImageTokenizer> {
            self.coder.tokenizer().map(|_| self as &dyn ImageTokenizer)
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

    impl Guarded {
        fn inner(&self) -> Result<&dyn ImageTokenizer, Error> {
            self.coder
                .tokenizer()
                .ok_or_else(|| Error::unsupported("tokens of a model without them"))
        }
    }

    impl ImageTokenizer for Guarded {
        fn tokenize(&self, picture: RgbTile<'_>) -> Result<Tokens, Error> {
            guard(&self.device, || self.inner()?.tokenize(picture))
        }

        fn detokenize(&self, tokens: &Tokens) -> Result<Vec<u8>, Error> {
            guard(&self.device, || self.inner()?.detokenize(tokens))
        }
    }
}
