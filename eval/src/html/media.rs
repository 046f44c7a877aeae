//! Samples as data for the page: what is small goes into its JSON, pictures and sounds into elements of their own, which
//! are not decoded before they are looked at.

use super::data::{Num, numbers};
use super::{SampleMedia, SampleSet, Version, picture, sound, spectrogram, text};
use crate::{EvalError, Extent, Kind, Medium, Sound};
use serde::Serialize;
use std::collections::BTreeMap;

/// Files inside the page.
#[derive(Default)]
pub(super) struct Store {
    html: String,
    count: usize,
}

/// Where a file stands in the page.
#[derive(Serialize)]
pub(super) struct Stored {
    id: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    size: usize,
}

impl Store {
    fn put(&mut self, kind: &'static str, bytes: &[u8]) -> Stored {
        let id = self.count;
        self.count += 1;
        // Base64 has no letter that means something in HTML.
        let coded = text::base64(bytes);
        self.html.push_str(&format!(
            "<script type=\"text/plain\" id=\"media-{id}\">{coded}</script>\n"
        ));
        Stored {
            id,
            kind,
            size: bytes.len(),
        }
    }

    pub(super) fn into_html(self) -> String {
        self.html
    }
}

#[derive(Serialize)]
pub(super) struct SetData {
    name: String,
    goal: String,
    kind: Kind,
    /// Pixels of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<(u32, u32)>,
    /// Axes of the spectrograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    axes: Option<Axes>,
    versions: Vec<VersionData>,
}

impl SetData {
    /// Keys of all values.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.versions
            .iter()
            .flat_map(|version| version.values.keys())
    }
}

#[derive(Serialize)]
struct Axes {
    seconds: f64,
    hertz: f64,
    /// Level of the brightest colour and of the darkest, in decibels against a full sine.
    top: f32,
    bottom: f32,
}

#[derive(Serialize)]
struct VersionData {
    codec: String,
    setting: String,
    bytes: Option<u64>,
    rate: Option<Num>,
    values: BTreeMap<String, Num>,
    media: Stored,
    #[serde(skip_serializing_if = "Option::is_none")]
    spectrogram: Option<Stored>,
}

pub(super) fn samples(sets: &[SampleSet], store: &mut Store) -> Result<Vec<SetData>, EvalError> {
    sets.iter().map(|set| sample(set, store)).collect()
}

fn sample(set: &SampleSet, store: &mut Store) -> Result<SetData, EvalError> {
    let refuse = |reason: &str| EvalError::Unusable {
        what: format!("sample '{}'", set.name),
        reason: reason.to_owned(),
    };
    let first = set.versions.first();
    let first = first.ok_or_else(|| refuse("it has no versions"))?;
    let kind = first.media.kind();
    if set.versions.iter().any(|v| v.media.kind() != kind) {
        return Err(refuse("pictures and sounds do not mix"));
    }
    let mut data = SetData {
        name: set.name.clone(),
        goal: set.goal.clone(),
        kind,
        size: None,
        axes: None,
        versions: Vec::new(),
    };
    match &first.media {
        SampleMedia::Picture(picture) => {
            let size = picture.dimensions();
            if size.0 == 0 || size.1 == 0 {
                return Err(refuse("the picture is empty"));
            }
            data.size = Some(size);
            for version in &set.versions {
                let SampleMedia::Picture(picture) = &version.media else {
                    continue; // refused above
                };
                if picture.dimensions() != size {
                    return Err(EvalError::SizeMismatch {
                        first: size,
                        second: picture.dimensions(),
                    });
                }
                let (kind, bytes) = picture::encode(picture)?;
                data.versions
                    .push(version_data(version, store.put(kind, &bytes), None));
            }
        }
        SampleMedia::Sound(_) => sounds(set, store, &mut data)?,
    }
    Ok(data)
}

fn sounds(set: &SampleSet, store: &mut Store, data: &mut SetData) -> Result<(), EvalError> {
    let sounds: Vec<(&Version, &Sound)> = set
        .versions
        .iter()
        .filter_map(|version| match &version.media {
            SampleMedia::Sound(sound) => Some((version, sound)),
            SampleMedia::Picture(_) => None,
        })
        .collect();
    let mut files = Vec::new();
    for (_, sound) in &sounds {
        files.push(sound::wav(&format!("sample '{}'", set.name), sound)?);
    }
    // Codecs may change the rate or add a few samples: all versions get the axes that the largest needs.
    let largest =
        |of: &dyn Fn(&Sound) -> f64| sounds.iter().map(|(_, s)| of(s)).fold(0.0, f64::max);
    let seconds = largest(&|s| s.samples() as f64 / f64::from(s.sample_rate));
    let hertz = largest(&|s| f64::from(s.sample_rate) / 2.0);
    let levels: Result<Vec<_>, EvalError> = sounds
        .iter()
        .map(|(_, sound)| spectrogram::levels(sound, seconds, hertz))
        .collect();
    let levels = levels?;
    let top = spectrogram::top(&levels);
    data.axes = Some(Axes {
        seconds,
        hertz,
        top,
        bottom: top - spectrogram::RANGE,
    });
    let size = (spectrogram::COLUMNS as u32, spectrogram::ROWS as u32);
    for (((version, _), file), levels) in sounds.iter().zip(files).zip(levels) {
        let image = picture::encode_grey(&levels.pixels(top), size)?;
        let media = store.put("audio/wav", &file);
        let image = store.put("image/png", &image);
        data.versions
            .push(version_data(version, media, Some(image)));
    }
    Ok(())
}

fn version_data(version: &Version, media: Stored, spectrogram: Option<Stored>) -> VersionData {
    let extent = match &version.media {
        SampleMedia::Picture(picture) => picture.extent(),
        SampleMedia::Sound(sound) => sound.extent(),
    };
    VersionData {
        codec: version.codec.clone(),
        setting: version.setting.clone(),
        bytes: version.bytes,
        rate: rate(version, extent),
        values: numbers(&version.values),
        media,
        spectrogram,
    }
}

/// The rate that is told, or else that of the bytes.
fn rate(version: &Version, extent: Extent) -> Option<Num> {
    let of_bytes = || version.bytes.map(|bytes| extent.rate(bytes));
    version.rate.or_else(of_bytes).map(Num)
}
