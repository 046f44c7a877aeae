//! Sounds from files, block by block.

use std::io::{Cursor, ErrorKind, Read};

use codec_core::{Depth, Error, Limits};
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE,
};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::{MetadataOptions, RawValue, StandardTag, Tag};

use super::format::{FileFormat, is_sound};
use super::resample::check_rate;
use super::sound::{Sound, Tags};

/// Lengths of WAV data from here on stand for a length that was not known when the header was written.
const OPEN_LENGTH: u64 = 0x7fff_0000;
/// Formats that say exactly how long they are.
const EXACT: [&str; 4] = ["wave", "aiff", "flac", "caf"];

/// What the head of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundInfo {
    /// Short name of the file's format, for instance `wave` or `ogg`.
    pub format: &'static str,
    /// Samples a second of a channel, Hz.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// How the samples are stored; 16 bits for formats with loss.
    pub depth: Depth,
    /// Samples of a channel, as far as the file tells.
    pub samples: Option<u64>,
    /// What the file says of itself, pictures left out.
    pub tags: Tags,
}

/// Decodes a file block by block; memory does not grow with its length.
pub struct SoundReader {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    info: SoundInfo,
    limits: Limits,
    /// The first block, which told rate and channels.
    first: Option<Vec<Vec<f32>>>,
    given: u64,
    /// The length, where the file has to keep it.
    exact: Option<u64>,
    ended: bool,
}

impl std::fmt::Debug for SoundReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoundReader")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// Reads a whole file.
///
/// # Errors
/// As [`SoundReader`].
pub fn read(bytes: Vec<u8>, limits: &Limits) -> Result<Sound, Error> {
    limits.check_file(bytes.len() as u64)?;
    SoundReader::from_bytes(bytes, limits)?.read_all()
}

impl SoundReader {
    /// Opens a file in memory.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other files and for codecs that are not known, [`Error::Malformed`] for damage,
    /// [`Error::LimitExceeded`] for more channels or samples than `limits` allow.
    pub fn from_bytes(bytes: Vec<u8>, limits: &Limits) -> Result<Self, Error> {
        if !is_sound(&bytes) {
            return Err(unknown());
        }
        Self::open(Box::new(Cursor::new(bytes)), limits)
    }

    /// Opens a file on disk.
    ///
    /// # Errors
    /// As [`SoundReader::from_bytes`], and [`Error::Io`].
    pub fn from_file(mut file: std::fs::File, limits: &Limits) -> Result<Self, Error> {
        use std::io::Seek;
        if !file.is_seekable() {
            return Self::from_pipe(file, limits);
        }
        let mut head = Vec::new();
        (&mut file).take(16).read_to_end(&mut head)?;
        if !is_sound(&head) {
            return Err(unknown());
        }
        file.rewind()?;
        Self::open(Box::new(file), limits)
    }

    /// Opens what comes through a pipe.
    ///
    /// # Errors
    /// As [`SoundReader::from_bytes`], and [`Error::Io`].
    pub fn from_pipe(
        mut source: impl Read + Send + Sync + 'static,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut head = Vec::new();
        (&mut source).take(16).read_to_end(&mut head)?;
        if !is_sound(&head) {
            return Err(unknown());
        }
        let whole = Cursor::new(head).chain(source);
        Self::open(Box::new(ReadOnlySource::new(whole)), limits)
    }

    fn open(source: Box<dyn MediaSource>, limits: &Limits) -> Result<Self, Error> {
        let stream = MediaSourceStream::new(source, Default::default());
        let mut format = symphonia::default::get_probe()
            .probe(
                &Hint::new(),
                stream,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
            .map_err(fault)?;
        let tags = tags(format.as_mut());
        let track = format
            .default_track(TrackType::Audio)
            .ok_or_else(|| Error::unsupported("a file without a sound track"))?;
        let parameters = track
            .codec_params
            .as_ref()
            .and_then(|params| params.audio())
            .ok_or_else(|| Error::unsupported("a sound track of an unknown codec"))?;
        let mut options = AudioDecoderOptions::default();
        options.verify = true;
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &options)
            .map_err(fault)?;
        let name = format.format_info().short_name;
        let floats = [
            CODEC_ID_PCM_F32LE,
            CODEC_ID_PCM_F32BE,
            CODEC_ID_PCM_F64LE,
            CODEC_ID_PCM_F64BE,
        ];
        let bits = parameters.bits_per_sample;
        let depth = match bits.or(parameters.bits_per_coded_sample) {
            _ if !EXACT.contains(&name) => Depth::Int16,
            _ if floats.contains(&parameters.codec) => Depth::Float,
            Some(0..=8) => Depth::Int8,
            Some(17..=24) => Depth::Int24,
            Some(25..) => Depth::Int32,
            _ => Depth::Int16,
        };
        let claimed = parameters
            .channels
            .as_ref()
            .map(|channels| channels.count())
            .zip(parameters.sample_rate);
        let mut reader = Self {
            track: track.id,
            info: SoundInfo {
                format: name,
                rate: 0,
                channels: 0,
                depth,
                samples: track.num_frames,
                tags,
            },
            exact: track.num_frames.filter(|_| EXACT.contains(&name)),
            limits: *limits,
            first: None,
            given: 0,
            ended: false,
            format,
            decoder,
        };
        reader.start(claimed)?;
        Ok(reader)
    }

    /// Finds rate and channels: from the first block, since some heads do not tell, or from the head if nothing follows.
    fn start(&mut self, claimed: Option<(usize, u32)>) -> Result<(), Error> {
        if let Some((channels, rate)) = claimed {
            self.layout(channels, rate)?;
        }
        let samples = self.info.samples.unwrap_or(0);
        let frame = u64::from(self.info.channels) * u64::from(self.info.depth.bits() / 8);
        if self.info.format == "wave" && samples.saturating_mul(frame) >= OPEN_LENGTH {
            (self.info.samples, self.exact) = (None, None);
        }
        if let Some(exact) = self.exact.filter(|_| claimed.is_some()) {
            self.limits.check_sound(self.info.channels, exact)?;
        }
        self.first = self.decode()?;
        if self.info.channels == 0 {
            return Err(Error::malformed("sound: neither rate nor samples"));
        }
        Ok(())
    }

    fn layout(&mut self, channels: usize, rate: u32) -> Result<(), Error> {
        check_rate(rate).map_err(|e| Error::malformed(format!("sound: {e}")))?;
        let channels = u16::try_from(channels).unwrap_or(u16::MAX);
        self.limits.check_sound(channels, 0)?;
        (self.info.channels, self.info.rate) = (channels, rate);
        Ok(())
    }

    /// What the head of the file says.
    pub fn info(&self) -> &SoundInfo {
        &self.info
    }

    /// The next samples of every channel, or nothing at the end of the file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for damage, for samples that are not finite, and where a file ends earlier than it says;
    /// [`Error::LimitExceeded`].
    pub fn next_block(&mut self) -> Result<Option<Vec<Vec<f32>>>, Error> {
        match self.first.take() {
            Some(block) => Ok(Some(block)),
            None => self.decode(),
        }
    }

    /// All samples that are left.
    ///
    /// # Errors
    /// As [`SoundReader::next_block`].
    pub fn read_all(mut self) -> Result<Sound, Error> {
        let mut channels = vec![Vec::new(); self.info.channels.into()];
        while let Some(block) = self.next_block()? {
            for (channel, block) in channels.iter_mut().zip(block) {
                channel.extend(block);
            }
        }
        Ok(Sound {
            rate: self.info.rate,
            channels,
            depth: self.info.depth,
            tags: self.info.tags,
        })
    }

    /// Decodes packets until one has samples.
    fn decode(&mut self) -> Result<Option<Vec<Vec<f32>>>, Error> {
        while !self.ended {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track => continue,
                Ok(Some(packet)) => packet,
                Ok(None) => return self.end(),
                Err(Fault::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => {
                    return self.end();
                }
                Err(error) => return Err(fault(error)),
            };
            let decoded = self.decoder.decode(&packet).map_err(fault)?;
            let (frames, planes) = (decoded.frames(), decoded.num_planes());
            let rate = decoded.spec().rate();
            if frames == 0 {
                continue;
            }
            let mut block: Vec<Vec<f32>> = Vec::new();
            decoded.copy_to_vecs_planar(&mut block);
            if self.info.channels == 0 {
                self.layout(planes, rate)?;
            }
            if planes != usize::from(self.info.channels) || rate != self.info.rate {
                return Err(Error::unsupported(
                    "a sound whose rate or channels change on the way",
                ));
            }
            if block.iter().flatten().any(|v| !v.is_finite()) {
                return Err(Error::malformed("sound: a sample is not finite"));
            }
            self.given += frames as u64;
            self.limits.check_sound(self.info.channels, self.given)?;
            return Ok(Some(block));
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Vec<Vec<f32>>>, Error> {
        self.ended = true;
        if let Some(exact) = self.exact.filter(|&exact| self.given < exact) {
            return Err(Error::malformed(format!(
                "{} sound: it ends after {} of {exact} samples",
                self.info.format, self.given
            )));
        }
        if self.decoder.finalize().verify_ok == Some(false) {
            return Err(Error::malformed(format!(
                "{} sound: its checksum is wrong",
                self.info.format
            )));
        }
        Ok(None)
    }
}

fn unknown() -> Error {
    let known = FileFormat::READ.join(", ");
    Error::unsupported(format!("not a sound in a known format (reads {known})"))
}

fn fault(error: Fault) -> Error {
    match error {
        Fault::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::malformed("sound: it ends early")
        }
        // What symphonia's parsers find comes without a number of the system: codes that are none, sizes beyond memory.
        Fault::IoError(e)
            if e.raw_os_error().is_none()
                && matches!(e.kind(), ErrorKind::Other | ErrorKind::OutOfMemory) =>
        {
            Error::malformed(format!("sound: {e}"))
        }
        Fault::IoError(e) => Error::Io(e),
        Fault::Unsupported(what) => Error::unsupported(format!("sound: {what}")),
        error => Error::malformed(format!("sound: {error}")),
    }
}

/// Text that the file carries, with the names that players know.
fn tags(format: &mut dyn FormatReader) -> Tags {
    let mut metadata = format.metadata();
    let Some(revision) = metadata.skip_to_latest() else {
        return Tags::new();
    };
    let per_track = revision.per_track.iter().flat_map(|t| &t.metadata.tags);
    let all = revision.media.tags.iter().chain(per_track);
    let text = |tag: &Tag| match &tag.raw.value {
        RawValue::Binary(_) | RawValue::Flag => None,
        value => Some((name(tag), value.to_string())),
    };
    all.filter_map(text).collect()
}

fn name(tag: &Tag) -> String {
    let known = match &tag.std {
        Some(StandardTag::TrackTitle(_)) => "title",
        Some(StandardTag::Artist(_)) => "artist",
        Some(StandardTag::Album(_)) => "album",
        Some(StandardTag::AlbumArtist(_)) => "albumartist",
        Some(StandardTag::Composer(_)) => "composer",
        Some(StandardTag::Genre(_)) => "genre",
        Some(StandardTag::Comment(_)) => "comment",
        Some(StandardTag::Copyright(_)) => "copyright",
        Some(StandardTag::TrackNumber(_)) => "tracknumber",
        Some(StandardTag::ReleaseDate(_) | StandardTag::RecordingDate(_)) => "date",
        _ => return tag.raw.key.to_lowercase(),
    };
    known.to_owned()
}
