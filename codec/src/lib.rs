//! Learned image and audio codecs behind one plain interface, on CPU, wgpu and CUDA.
//!
//! This is the one crate that names backends: it instantiates every model family for each of them once and hides them
//! behind [`Device`], [`Codec`] for pictures and [`AudioCodec`] for sound, without generics.
//!
//! ```no_run
//! use codec::{Codec, Device, DeviceChoice, EncodeOptions, Limits, Quality, RateGoal};
//!
//! let device = Device::open(DeviceChoice::Auto)?;
//! let codec = Codec::open(None, None, &device)?;
//! let picture = codec::io::read(&std::fs::read("photo.png")?, &Limits::default())?;
//! let goal = RateGoal::Quality(Quality::new(50.0)?);
//! let file = codec.encode(&picture, goal, &EncodeOptions::default(), &mut |_, _| ())?;
//! std::fs::write("photo.ncx", &file.bytes)?;
//!
//! let bytes = std::fs::read("photo.ncx")?;
//! let decoded = Codec::for_file(&codec::header(&bytes)?, None, &device)?
//!     .decode(&bytes, &Limits::default(), &mut |_, _| ())?;
//! assert_eq!(decoded.picture.width, picture.width);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! `wgpu` and `cuda`, both on by default, build these backends in; each adds minutes to a build. Nothing links to a
//! driver: both are looked for at run time, and a missing one is a typed error.
#![recursion_limit = "256"]
#![deny(missing_docs, unsafe_code)]

mod audio;
mod backends;
pub mod codebook;
mod codec;
pub mod datasets;
mod device;
#[cfg(feature = "distributed")]
pub mod distributed;
mod info;
mod model;
pub mod models;
mod open;
mod store;
mod threads;
pub mod training;

pub use codec_core::container::{
    AudioInfo, Color, Container, EXTENSION, Header, ImageInfo, MAGIC, Media as MediaInfo, ModelId,
    Part, Profile, SectionId, StreamReader,
};
pub use codec_core::container::{VERSION as FORMAT_VERSION, is_container};
pub use codec_core::digest::Digest;
pub use codec_core::error::{Error, ErrorKind};
pub use codec_core::limits::Limits;
pub use codec_image::coder::{Quality, Rates, Stages};
pub use codec_image::error::Error as PictureError;
pub use codec_image::file::{EncodeOptions, Encoding, Keep, RateGoal, TILE_SIZES, Tile};
pub use codec_image::io;
pub use codec_image::picture::{Metadata, Picture};
pub use codec_image::tokens::{
    Alphabet, Format as TokenFormat, Layout, Media, NAMES as TOKEN_FORMATS, Tokens,
};

/// Sound: files in and out, and choices of its encoder.
pub mod sound {
    pub use codec_audio::coder::Format;
    pub use codec_audio::file::{
        Chunk, DEFAULT_CHUNK_SECONDS, Decoder, EncodeOptions, Encoded, Encoder, PASS_SECONDS, Rate,
        Stereo,
    };
    pub use codec_audio::io::{
        Depth, FileFormat, Sound, SoundInfo, SoundReader, Tags, WavHeader, is_sound, read,
        sample_bytes, write,
    };
    /// Name of the built-in model of music, stereo at 44.1 kHz.
    pub use codec_audio::pretrained::MUSIC;
    pub use codec_audio::tokens::TokenStream;
}

/// What only the tests of this crate use.
#[doc(hidden)]
pub mod internals {
    pub use crate::backends::{audio_coder, trace};
    pub use crate::device::guard::{depth, guard};
    pub use crate::model::AnyModel;
    pub use codec_core::weights;
    pub use codec_image::models::ImageModel;

    /// Adapters of wgpu.
    #[cfg(feature = "wgpu")]
    pub mod wgpu {
        pub use crate::device::wgpu::{Adapter, in_order};
        pub use wgpu::DeviceType;
    }
}

pub use crate::audio::AudioCodec;
pub use crate::codec::{Codec, Decoded};
pub use crate::device::{BACKENDS, Device, DeviceChoice};
pub use crate::info::{Info, ModelInfo, SectionInfo, WeightsPlace, header, info};
pub use crate::threads::set_threads;
