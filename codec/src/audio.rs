//! A model of sound on a device.

use codec_audio::coder::{AudioCoder, Format, Reach};
use codec_audio::file::{self, Decoder, EncodeOptions, Encoded, Encoder, kilobits};
use codec_audio::io::{Depth, Sound, Tags};
use codec_audio::models::AudioModel;
use codec_audio::pretrained;
use codec_audio::tokens::{self, TokenStream};
use codec_core::container::{Container, Header, ModelId};
use codec_core::error::Error;
use codec_core::limits::Limits;
use codec_core::tokens::Tokens;

use crate::device::Device;
use crate::{backends, open};

/// A model of sound with its weights on a device; what [`Codec`](crate::Codec) is for pictures.
pub struct AudioCodec {
    id: ModelId,
    coder: Box<dyn AudioCoder>,
}

impl std::fmt::Debug for AudioCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioCodec")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl AudioCodec {
    /// Opens a model: `model` by name (that of speech if `None`), with the weights that are built in, those of the user's
    /// [`ModelStore`](crate::models::ModelStore), or those of a weights file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::BadParameter`] if `weights` are not of `model`, or for a model
    /// of pictures, those of reading weights, and [`Error::Device`].
    pub fn open(
        model: Option<&str>,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        let found = open::named(model, weights, pretrained::DEFAULT)?;
        Self::new(found.into_audio()?, device)
    }

    /// Opens the model that a file asks for, with the weights that are here or those of a weights file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::WeightsMismatch`] if the weights are not those that the file was made with,
    /// those of reading weights, and [`Error::Device`].
    pub fn for_file(
        header: &Header,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        let found = open::exact(&header.model, header.digest, weights)?;
        Self::new(found.into_audio()?, device)
    }

    /// Opens the model that made `tokens`, with the weights as in [`AudioCodec::for_file`].
    ///
    /// # Errors
    /// As [`AudioCodec::for_file`].
    pub fn for_tokens(
        tokens: &Tokens,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        let found = open::exact(&tokens.model, tokens.digest, weights)?;
        Self::new(found.into_audio()?, device)
    }

    fn new(model: AudioModel, device: &Device) -> Result<Self, Error> {
        Ok(Self {
            id: ModelId {
                name: model.name().to_owned(),
                digest: model.digest(),
                profile: model.profile(),
            },
            coder: backends::audio_coder(&model, device)?,
        })
    }

    /// Model and weights.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// Rate, channels, codebooks and rate steps of the model.
    pub fn format(&self) -> &Format {
        self.coder.format()
    }

    /// Whether the model takes recordings as they come. One that does not needs a recording as a whole, or chunks that stand
    /// alone.
    pub fn streams(&self) -> bool {
        self.coder.parts().is_some() && self.coder.reach() != Reach::Whole
    }

    /// Thousand bits a second of the codes of so many channels at a rate step, before entropy coding.
    pub fn kilobits(&self, step: usize, channels: usize) -> Option<f64> {
        kilobits(self.coder.format(), step, channels)
    }

    /// Encodes a recording. `progress` is told samples done and samples in all.
    ///
    /// # Errors
    /// As [`codec_audio::file::encode`].
    pub fn encode(
        &self,
        sound: &Sound,
        options: &EncodeOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Encoded, Error> {
        file::encode(self.coder.as_ref(), &self.id, sound, options, progress)
    }

    /// Encodes a recording as it comes, of this rate in Hz.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn encoder(
        &self,
        rate: u32,
        channels: usize,
        depth: Depth,
        tags: &Tags,
        options: &EncodeOptions,
    ) -> Result<Encoder<'_>, Error> {
        let coder = self.coder.as_ref();
        Encoder::new(coder, &self.id, rate, channels, depth, tags, options)
    }

    /// Decodes a whole file. `progress` is told chunks done and chunks in all.
    ///
    /// # Errors
    /// Those of [`Container::parse`] and [`codec_audio::file::decode`]; [`Error::UnknownModel`] or
    /// [`Error::WeightsMismatch`] if the file needs another model.
    pub fn decode(
        &self,
        bytes: &[u8],
        limits: &Limits,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Sound, Error> {
        let container = Container::parse(bytes, limits)?;
        let header = container.header();
        open::check(&header.model, header.digest, &self.id)?;
        file::decode(self.coder.as_ref(), &container, limits, progress)
    }

    /// Decodes a file as it comes; [`codec_core::container::StreamReader`] takes it apart.
    ///
    /// # Errors
    /// As [`AudioCodec::decode`].
    pub fn decoder(&self, header: &Header, limits: &Limits) -> Result<Decoder<'_>, Error> {
        open::check(&header.model, header.digest, &self.id)?;
        Decoder::new(self.coder.as_ref(), header, limits)
    }

    /// Codes of a recording by the first `codebooks` codebooks, all of them if `None`, for models with codebooks; latents of
    /// one, for models with those.
    ///
    /// # Errors
    /// As [`TokenStream`].
    pub fn tokenize(&self, sound: &Sound, codebooks: Option<usize>) -> Result<Tokens, Error> {
        tokens::tokenize(self.coder.as_ref(), &self.id, sound, codebooks)
    }

    /// The same of a recording as it comes, of this rate in Hz; memory does not grow with its length, but for that of the codes.
    /// A model that does not stream ([`AudioCodec::streams`]) keeps the recording all the same.
    ///
    /// # Errors
    /// As [`TokenStream::new`].
    pub fn tokenize_stream(
        &self,
        rate: u32,
        channels: usize,
        codebooks: Option<usize>,
    ) -> Result<TokenStream<'_>, Error> {
        TokenStream::new(self.coder.as_ref(), &self.id, rate, channels, codebooks)
    }

    /// The same of several recordings, those of each as [`AudioCodec::tokenize`] gives them, in batches of `seconds` seconds at
    /// most with what pads the shorter ones. On the CPU they go side by side, each as if alone; on a GPU, whose sums may run in
    /// another order where a batch is larger, a code that lies almost between two may be the other one.
    pub fn tokenize_batch(
        &self,
        sounds: &[&Sound],
        codebooks: Option<usize>,
        seconds: f64,
    ) -> Vec<Result<Tokens, Error>> {
        tokens::tokenize_batch(self.coder.as_ref(), &self.id, sounds, codebooks, seconds)
    }

    /// The recording of codes or latents.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] or [`Error::WeightsMismatch`] for tokens of another model, and those of
    /// [`tokens::detokenize`].
    pub fn detokenize(&self, tokens: &Tokens, limits: &Limits) -> Result<Sound, Error> {
        open::check(&tokens.model, tokens.digest, &self.id)?;
        tokens::detokenize(self.coder.as_ref(), tokens, limits)
    }
}
