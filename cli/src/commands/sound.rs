//! What `encode`, `decode`, `tokenize` and `detokenize` do with sound.

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use codec::sound::{
    Decoder, Depth, EncodeOptions, FileFormat, Sound, SoundReader, WavHeader, sample_bytes, write,
};
use codec::{Alphabet, AudioCodec, Header, Limits, Part, SectionId, StreamReader, Tokens};
use serde_json::{Value, json};

use crate::batch::Outcome;
use crate::console::{size, time, write_stdout};
use crate::exit::Failure;
use crate::media::{length, real_time};
use crate::output::{Pending, Target};
use crate::plan::Job;

/// Bytes that are read from a pipe at once.
const PIECE: usize = 1 << 16;

/// What is told of every sound: its length, and how fast it went.
fn outcome(
    seconds: f64,
    rate: u32,
    channels: usize,
    detail: String,
    elapsed: Duration,
    mut fields: Value,
) -> Outcome {
    let speed = real_time(seconds, elapsed);
    let line = format!(
        "{}  {rate} Hz  {channels} ch  {detail}  {}  {speed:.1}x",
        length(seconds),
        time(elapsed)
    );
    if let Value::Object(fields) = &mut fields {
        let own = json!({
            "media": "audio",
            "rate": rate,
            "channels": channels,
            "duration": seconds,
            "seconds": elapsed.as_secs_f64(),
            "real_time_factor": speed,
        });
        if let Value::Object(own) = own {
            fields.extend(own);
        }
    }
    Outcome { line, json: fields }
}

/// Encodes a sound as it is read; to stdout as it is encoded.
pub fn encode(
    codec: &AudioCodec,
    mut reader: SoundReader,
    options: &EncodeOptions,
    verify: bool,
    job: &Job,
    force: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let info = reader.info().clone();
    let channels = usize::from(info.channels);
    let mut encoder = codec.encoder(info.rate, channels, info.depth, &info.tags, options)?;
    let streams = job.target == Target::Stdout && !verify;
    let (mut bytes, mut written, mut samples) = (Vec::new(), 0, 0);
    let total = info.samples.unwrap_or(0) as usize;
    let mut put = |piece: Vec<u8>| -> anyhow::Result<()> {
        written += piece.len() as u64;
        if streams {
            return write_stdout(&piece);
        }
        bytes.extend(piece);
        Ok(())
    };
    while let Some(block) = reader.next_block()? {
        let slices: Vec<&[f32]> = block.iter().map(Vec::as_slice).collect();
        samples += slices.first().map_or(0, |s| s.len());
        put(encoder.push(&slices)?)?;
        progress(samples, total.max(samples));
    }
    let encoded = encoder.flush()?;
    put(encoded.bytes)?;
    let elapsed = started.elapsed();
    if verify {
        let decoded = codec.decode(&bytes, &open_limits(), &mut |_, _| ())?;
        if decoded.samples() != samples || decoded.channels.len() != channels {
            let what = format!("{} of {samples} samples came back", decoded.samples());
            return Err(Failure::Verify(what).into());
        }
    }
    if !streams {
        job.target.write(&bytes, force)?;
    }
    let seconds = samples as f64 / f64::from(info.rate);
    let kilobits = 8e-3 * written as f64 / seconds.max(1e-9);
    let detail = format!(
        "{kilobits:.2} kbps  {}{}",
        size(written),
        if verify { "  verified" } else { "" }
    );
    let fields = json!({
        "bytes": written,
        "samples": samples,
        "kbps": kilobits,
        "step": encoded.step,
        "model": codec.id().name,
        "digest": codec.id().digest.to_string(),
        "verified": verify,
    });
    Ok(outcome(
        seconds, info.rate, channels, detail, elapsed, fields,
    ))
}

/// What lies in our own hands is not limited.
fn open_limits() -> Limits {
    Limits {
        max_samples: u64::MAX,
        max_channels: u16::MAX,
        max_file_bytes: u64::MAX,
        ..Limits::default()
    }
}

/// How a sound is written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Format of the file.
    pub format: FileFormat,
    /// Format of its samples.
    pub depth: Depth,
    /// Whether title and the like are left out.
    pub drop_tags: bool,
    /// Whether outputs that exist are overwritten.
    pub force: bool,
}

/// Decodes a whole file.
pub fn decode(
    codec: &AudioCodec,
    bytes: &[u8],
    limits: &Limits,
    written: Written,
    job: &Job,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let mut sound = codec.decode(bytes, limits, progress)?;
    if written.drop_tags {
        sound.tags.clear();
    }
    let fields = json!({ "input_bytes": bytes.len() });
    put(&sound, codec, written, job, started, fields)
}

/// Writes a sound.
fn put(
    sound: &Sound,
    codec: &AudioCodec,
    written: Written,
    job: &Job,
    started: Instant,
    mut fields: Value,
) -> anyhow::Result<Outcome> {
    if !sound.tags.is_empty() && written.format == FileFormat::Wav {
        let name = crate::console::shown(job.target.path());
        tracing::warn!("{name}: wav files are written without tags");
    }
    let bytes = write(sound, written.format, written.depth)?;
    job.target.write(&bytes, written.force)?;
    if let (Value::Object(fields), Value::Object(own)) = (
        &mut fields,
        json!({
            "bytes": bytes.len(),
            "samples": sound.samples(),
            "model": codec.id().name,
            "digest": codec.id().digest.to_string(),
        }),
    ) {
        fields.extend(own);
    }
    let detail = size(bytes.len() as u64);
    let channels = sound.channels.len();
    let elapsed = started.elapsed();
    Ok(outcome(
        sound.seconds(),
        sound.rate,
        channels,
        detail,
        elapsed,
        fields,
    ))
}

/// Where a stream of samples goes.
enum Sink {
    Stdout,
    File(Pending),
}

impl Sink {
    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Stdout => write_stdout(bytes),
            Self::File(pending) => Ok(pending.file().write_all(bytes)?),
        }
    }
}

/// Decodes a file as it comes to WAV, on stdout with a header of no length. `head` was read already, `total` is the length
/// of the input in bytes where it is known. Memory is bounded by the chunk.
#[allow(clippy::too_many_arguments)]
pub fn decode_stream(
    codec: &AudioCodec,
    header: &Header,
    head: &[u8],
    mut input: impl Read,
    limits: &Limits,
    written: Written,
    job: &Job,
    (total, progress): (u64, &mut dyn FnMut(usize, usize)),
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let info = *header.audio()?;
    let mut decoder: Decoder<'_> = codec.decoder(header, limits)?;
    let mut reader = StreamReader::new(limits);
    let channels = usize::from(info.channels);
    let mut sink = match job.target.path() {
        Some(path) => Sink::File(Pending::create(path, written.force)?),
        None => Sink::Stdout,
    };
    sink.put(&WavHeader::endless(info.rate, channels, written.depth)?)?;
    let (mut samples, mut read, mut bytes) = (0, head.len(), 0);
    let mut piece = vec![0; PIECE];
    reader.push(head);
    loop {
        while let Some(part) = reader.next_part()? {
            let Part::Section(section) = part else {
                continue;
            };
            if section.id == SectionId::TAGS && !written.drop_tags {
                let name = crate::console::shown(job.target.path());
                tracing::warn!("{name}: wav files are written without tags");
            }
            let decoded = decoder.section(&section)?;
            samples += decoded.first().map_or(0, Vec::len);
            let piece = sample_bytes(&decoded, written.depth);
            bytes += piece.len() as u64;
            sink.put(&piece)?;
            progress(read, usize::try_from(total).unwrap_or(usize::MAX).max(read));
        }
        let count = input.read(&mut piece)?;
        if count == 0 {
            break;
        }
        read += count;
        reader.push(piece.get(..count).unwrap_or_default());
    }
    reader.finish()?;
    if let Sink::File(mut pending) = sink {
        let header = WavHeader::of(info.rate, channels, written.depth, bytes)?;
        let file = pending.file();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
        bytes += header.len() as u64;
        pending.finish()?;
    }
    let seconds = samples as f64 / f64::from(info.rate);
    let detail = size(if job.target.path().is_some() {
        bytes
    } else {
        read as u64
    });
    let elapsed = started.elapsed();
    let fields = json!({
        "input_bytes": read,
        "bytes": bytes,
        "samples": samples,
        "model": codec.id().name,
        "digest": codec.id().digest.to_string(),
    });
    Ok(outcome(
        seconds, info.rate, channels, detail, elapsed, fields,
    ))
}

/// What is told of a sound that became tokens.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// Its length.
    pub seconds: f64,
    rate: u32,
    channels: usize,
}

impl Heard {
    /// Of a sound in memory.
    pub fn of(sound: &Sound) -> Self {
        Self {
            seconds: sound.seconds(),
            rate: sound.rate,
            channels: sound.channels.len(),
        }
    }
}

/// Tokens of a sound as it is read.
pub fn tokenize(
    codec: &AudioCodec,
    mut reader: SoundReader,
    codebooks: Option<usize>,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<(Tokens, Heard)> {
    let info = reader.info().clone();
    let channels = usize::from(info.channels);
    let mut stream = codec.tokenize_stream(info.rate, channels, codebooks)?;
    let (mut samples, total) = (0, info.samples.unwrap_or(0) as usize);
    while let Some(block) = reader.next_block()? {
        let slices: Vec<&[f32]> = block.iter().map(Vec::as_slice).collect();
        samples += slices.first().map_or(0, |s| s.len());
        stream.push(&slices)?;
        progress(samples, total.max(samples));
    }
    let heard = Heard {
        seconds: samples as f64 / f64::from(info.rate),
        rate: info.rate,
        channels,
    };
    Ok((stream.finish()?, heard))
}

/// The result of [`tokenize`], written as `bytes` bytes.
pub fn tokenized(
    tokens: &Tokens,
    heard: &Heard,
    bytes: usize,
    elapsed: Duration,
    fields: Value,
) -> Outcome {
    let count: usize = tokens.shape().iter().product();
    let what = match tokens.alphabet() {
        Alphabet::Codes { .. } => "codes".to_owned(),
        latents => latents.to_string(),
    };
    let detail = format!("{count} {what}  {}", size(bytes as u64));
    outcome(
        heard.seconds,
        heard.rate,
        heard.channels,
        detail,
        elapsed,
        fields,
    )
}

/// The sound of codes.
pub fn detokenize(
    codec: &AudioCodec,
    tokens: &Tokens,
    limits: &Limits,
    written: Written,
    job: &Job,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let sound = codec.detokenize(tokens, limits)?;
    put(&sound, codec, written, job, started, json!({}))
}
