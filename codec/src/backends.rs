//! The only place where model families meet backends.

use codec_audio::coder::AudioCoder;
use codec_audio::models::AudioModel;
use codec_core::error::Error;
use codec_core::weights::Tensors;
use codec_image::coder::ImageCoder;
use codec_image::models::ImageModel;

use crate::device::{Device, Kind};
use crate::model::AnyModel;

/// Evaluates `$work` with `$backend` as the backend of a device and `$on` as the device in its terms; a GPU's under the guard.
macro_rules! on_backend {
    ($device:expr, $backend:ident, $on:ident, $work:expr) => {
        match &$device.kind {
            Kind::Cpu => {
                type $backend = burn::backend::Flex;
                let $on = &burn::backend::flex::FlexDevice;
                $work
            }
            #[cfg(feature = "wgpu")]
            Kind::Wgpu {
                device: $on,
                fused: true,
            } => {
                type $backend = burn::backend::Wgpu;
                gpu::guarded($device, || $work)
            }
            #[cfg(feature = "wgpu")]
            Kind::Wgpu {
                device: $on,
                fused: false,
            } => {
                type $backend = gpu::UnfusedWgpu;
                gpu::guarded($device, || $work)
            }
            #[cfg(feature = "cuda")]
            Kind::Cuda(index) => {
                type $backend = burn::backend::Cuda;
                let $on = &burn::backend::cuda::CudaDevice::new(*index);
                gpu::guarded($device, || $work)
            }
        }
    };
}

/// Puts a model of pictures on a device.
///
/// # Errors
/// Those of the model, and [`Error::Device`] when the device fails.
pub(crate) fn image_coder(
    model: &ImageModel,
    device: &Device,
) -> Result<Box<dyn ImageCoder>, Error> {
    let coder = on_backend!(device, B, on, model.coder::<B>(on))?;
    Ok(match device.kind {
        Kind::Cpu => coder,
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        _ => gpu::GuardedImage::wrap(device, coder),
    })
}

/// Puts a model of sound on a device.
///
/// # Errors
/// Those of the model, and [`Error::Device`] when the device fails.
pub fn audio_coder(model: &AudioModel, device: &Device) -> Result<Box<dyn AudioCoder>, Error> {
    let coder = on_backend!(device, B, on, model.coder::<B>(on))?;
    Ok(match device.kind {
        Kind::Cpu => coder,
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        _ => gpu::GuardedAudio::wrap(device, coder),
    })
}

/// Runs a model over the inputs of a parity fixture.
///
/// # Errors
/// Those of the model, and [`Error::Device`] when the device fails.
pub fn trace(model: &AnyModel, inputs: &Tensors, device: &Device) -> Result<Tensors, Error> {
    match model {
        AnyModel::Image(model) => on_backend!(device, B, on, model.trace::<B>(inputs, on)),
        AnyModel::Audio(model) => on_backend!(device, B, on, model.trace::<B>(inputs, on)),
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu {
    use codec_audio::coder::{
        AudioCoder, AudioLatents, AudioTokenizer, ChunkCoder, Codes, Format, Reach,
    };
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

    /// Runs `work` on a GPU under the guard.
    pub(super) fn guarded<T>(
        device: &Device,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        guard(&device.choice().to_string(), work)
    }

    /// A coder of pictures whose every call is guarded.
    pub(super) struct GuardedImage {
        device: String,
        coder: Box<dyn ImageCoder>,
    }

    impl GuardedImage {
        pub(super) fn wrap(device: &Device, coder: Box<dyn ImageCoder>) -> Box<dyn ImageCoder> {
            let device = device.choice().to_string();
            Box::new(Self { device, coder })
        }

        fn inner(&self) -> Result<&dyn ImageTokenizer, Error> {
            self.coder.tokenizer().ok_or_else(no_tokens)
        }
    }

    fn no_tokens() -> Error {
        Error::unsupported("tokens of a model without them")
    }

    impl ImageCoder for GuardedImage {
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

    impl ImageTokenizer for GuardedImage {
        fn tokenize(&self, picture: RgbTile<'_>) -> Result<Tokens, Error> {
            guard(&self.device, || self.inner()?.tokenize(picture))
        }

        fn detokenize(&self, tokens: &Tokens) -> Result<Vec<u8>, Error> {
            guard(&self.device, || self.inner()?.detokenize(tokens))
        }
    }

    /// A coder of sound whose every call is guarded.
    pub(super) struct GuardedAudio {
        device: String,
        coder: Box<dyn AudioCoder>,
    }

    impl GuardedAudio {
        pub(super) fn wrap(device: &Device, coder: Box<dyn AudioCoder>) -> Box<dyn AudioCoder> {
            let device = device.choice().to_string();
            Box::new(Self { device, coder })
        }

        fn inner(&self) -> Result<&dyn AudioTokenizer, Error> {
            self.coder.tokenizer().ok_or_else(no_tokens)
        }
    }

    impl AudioCoder for GuardedAudio {
        fn format(&self) -> &Format {
            self.coder.format()
        }

        fn reach(&self) -> Reach {
            self.coder.reach()
        }

        fn encode_chunk(&self, channels: &[&[f32]], step: usize) -> Result<Vec<u8>, Error> {
            guard(&self.device, || self.coder.encode_chunk(channels, step))
        }

        fn decode_chunk(
            &self,
            bytes: &[u8],
            frames: usize,
            step: usize,
        ) -> Result<Vec<Vec<f32>>, Error> {
            guard(&self.device, || {
                self.coder.decode_chunk(bytes, frames, step)
            })
        }

        fn tokenizer(&self) -> Option<&dyn AudioTokenizer> {
            self.coder.tokenizer().map(|_| self as &dyn AudioTokenizer)
        }

        fn latents(&self) -> Option<&dyn AudioLatents> {
            self.coder.latents().map(|_| self as &dyn AudioLatents)
        }

        fn parts(&self) -> Option<&dyn ChunkCoder> {
            self.coder.parts().map(|_| self as &dyn ChunkCoder)
        }
    }

    impl GuardedAudio {
        fn chunks(&self) -> Result<&dyn ChunkCoder, Error> {
            let alone = || Error::unsupported("chunks of a model that keeps its codes");
            self.coder.parts().ok_or_else(alone)
        }
    }

    impl ChunkCoder for GuardedAudio {
        fn analyze(&self, channels: &[&[f32]], step: usize) -> Result<Codes, Error> {
            guard(&self.device, || self.chunks()?.analyze(channels, step))
        }

        fn synthesize(&self, codes: &Codes, step: usize) -> Result<Vec<Vec<f32>>, Error> {
            guard(&self.device, || self.chunks()?.synthesize(codes, step))
        }

        fn pack(&self, codes: &Codes, step: usize) -> Result<Vec<u8>, Error> {
            self.chunks()?.pack(codes, step)
        }

        fn unpack(&self, bytes: &[u8], frames: usize, step: usize) -> Result<Codes, Error> {
            self.chunks()?.unpack(bytes, frames, step)
        }
    }

    impl AudioTokenizer for GuardedAudio {
        fn format(&self) -> &Format {
            self.coder.format()
        }

        fn reach(&self) -> Reach {
            self.coder.reach()
        }

        fn tokenize(&self, channels: &[&[f32]], codebooks: usize) -> Result<Codes, Error> {
            guard(&self.device, || self.inner()?.tokenize(channels, codebooks))
        }

        fn tokenize_batch(
            &self,
            batch: &[Vec<&[f32]>],
            codebooks: usize,
        ) -> Result<Vec<Codes>, Error> {
            guard(&self.device, || {
                self.inner()?.tokenize_batch(batch, codebooks)
            })
        }

        fn detokenize(&self, codes: &Codes) -> Result<Vec<Vec<f32>>, Error> {
            guard(&self.device, || self.inner()?.detokenize(codes))
        }
    }
    impl GuardedAudio {
        fn own_latents(&self) -> Result<&dyn AudioLatents, Error> {
            self.coder.latents().ok_or_else(no_tokens)
        }
    }

    impl AudioLatents for GuardedAudio {
        fn format(&self) -> &Format {
            self.coder.format()
        }

        fn limit(&self) -> u32 {
            self.coder.latents().map_or(0, AudioLatents::limit)
        }

        fn shape(&self, frames: usize) -> [usize; 2] {
            let latents = self.coder.latents();
            latents.map_or([0; 2], |latents| latents.shape(frames))
        }

        fn analyze(&self, channels: &[&[f32]]) -> Result<Vec<i32>, Error> {
            guard(&self.device, || self.own_latents()?.analyze(channels))
        }

        fn synthesize(&self, latents: &[i32], frames: usize) -> Result<Vec<Vec<f32>>, Error> {
            guard(&self.device, || {
                self.own_latents()?.synthesize(latents, frames)
            })
        }
    }
}
