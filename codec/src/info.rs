//! What a file says of itself, without weights; and the models that are built in.

use codec_core::container::{
    AudioInfo, Container, Header, ImageInfo, SectionId, VERSION, take_tags,
};
use codec_core::digest::Digest;
use codec_core::error::Error;
use codec_core::limits::Limits;
use codec_image::pretrained;

use crate::store::ModelStore;

/// One section of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionInfo {
    /// What it holds, for instance `image tile`.
    pub name: String,
    /// Length of its data in bytes.
    pub bytes: usize,
}

/// What a file says of itself. All its check values were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Format version.
    pub version: u8,
    /// Model, weights, quality, size.
    pub header: Header,
    /// Samples of a channel of a recording, 0 for pictures.
    pub samples: u64,
    /// Names and values that a recording carries.
    pub tags: Vec<(String, String)>,
    /// Length of the header in bytes.
    pub header_bytes: usize,
    /// Length of the whole file in bytes.
    pub file_bytes: usize,
    /// Sections in the order of the file.
    pub sections: Vec<SectionInfo>,
}

impl Info {
    /// The picture's description, if the file holds one.
    pub fn image(&self) -> Option<&ImageInfo> {
        self.header.image().ok()
    }

    /// The recording's description, if the file holds one.
    pub fn audio(&self) -> Option<&AudioInfo> {
        self.header.audio().ok()
    }

    /// Bits of the whole file per pixel of a picture.
    pub fn bits_per_pixel(&self) -> Option<f64> {
        let image = self.image()?;
        let pixels = f64::from(image.width) * f64::from(image.height);
        Some(8.0 * self.file_bytes as f64 / pixels)
    }

    /// Seconds of a recording.
    pub fn seconds(&self) -> Option<f64> {
        Some(self.samples as f64 / f64::from(self.audio()?.rate))
    }

    /// Thousand bits of the whole file per second of a recording that is not empty.
    pub fn kilobits_per_second(&self) -> Option<f64> {
        let seconds = self.seconds().filter(|&seconds| seconds > 0.0)?;
        Some(8e-3 * self.file_bytes as f64 / seconds)
    }

    /// Sum of the data of all sections with this name.
    pub fn section_bytes(&self, name: &str) -> usize {
        self.sections
            .iter()
            .filter(|section| section.name == name)
            .map(|section| section.bytes)
            .sum()
    }

    /// Where the weights are that the file needs.
    pub fn weights(&self) -> WeightsPlace {
        let header = &self.header;
        if pretrained::get(&header.model).is_some_and(|w| Digest::of(w) == header.digest) {
            return WeightsPlace::BuiltIn;
        }
        let stored = ModelStore::user().and_then(|store| store.get(&header.model));
        if stored.is_ok_and(|w| w.is_some_and(|w| Digest::of(&w) == header.digest)) {
            return WeightsPlace::Imported;
        }
        WeightsPlace::Unknown
    }
}

/// Where weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsPlace {
    /// In this build.
    BuiltIn,
    /// In the user's [`ModelStore`].
    Imported,
    /// Neither, or only others of that name.
    Unknown,
}

/// Reads a file's header from its first bytes.
///
/// # Errors
/// Those of [`Header::parse_prefix`].
pub fn header(bytes: &[u8]) -> Result<Header, Error> {
    Ok(Header::parse_prefix(bytes)?.0)
}

/// Reads a whole file without decoding it, and verifies its check values. Media of any size are described, since
/// nothing is allocated for them.
///
/// # Errors
/// Those of [`Container::parse`].
pub fn info(bytes: &[u8]) -> Result<Info, Error> {
    let limits = Limits {
        max_width: u32::MAX,
        max_height: u32::MAX,
        max_pixels: u64::MAX,
        max_samples: u64::MAX,
        max_channels: u16::MAX,
        max_metadata_bytes: u64::MAX,
        ..Limits::default()
    };
    let container = Container::parse(bytes, &limits)?;
    let sections = container.sections().iter();
    Ok(Info {
        version: VERSION,
        samples: container.samples(),
        tags: container
            .get(SectionId::TAGS)
            .map(take_tags)
            .transpose()?
            .unwrap_or_default(),
        header: container.header().clone(),
        header_bytes: container.header_bytes(),
        file_bytes: bytes.len(),
        sections: sections
            .map(|section| SectionInfo {
                name: section.id.to_string(),
                bytes: section.data.len(),
            })
            .collect(),
    })
}

/// A model that is built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Name as `--model` takes it.
    pub name: &'static str,
    /// Digest of its weights.
    pub digest: Digest,
    /// Size of its weights in bytes.
    pub bytes: usize,
    /// Whether it is taken when no model is named.
    pub is_default: bool,
}

/// The models that are built in.
pub fn built_in() -> Vec<ModelInfo> {
    pretrained::names()
        .filter_map(|name| {
            let weights = pretrained::get(name)?;
            Some(ModelInfo {
                name,
                digest: Digest::of(weights),
                bytes: weights.len(),
                is_default: name == pretrained::DEFAULT,
            })
        })
        .collect()
}
