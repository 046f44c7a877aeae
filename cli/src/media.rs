//! Pictures and sounds as inputs: what a file is, its first bytes say, not its name.

use std::fs::File;
use std::io::{Cursor, Read, stdin};
use std::path::Path;

use anyhow::Context;
use codec::sound::{SoundReader, is_sound};
use codec::{Header, Limits, TokenFormat};

use crate::plan::Source;

/// Bytes that tell pictures from sounds, and hold any header of ours.
const HEAD: u64 = 256;

/// An input whose kind is known.
pub enum Input {
    /// Something else than sound: the bytes of a picture, or of something unknown.
    Picture(Vec<u8>),
    /// A sound that is read as it is needed.
    Sound(Box<SoundReader>),
}

/// Opens an input.
///
/// # Errors
/// I/O errors, limits, and files of sound that are damaged.
pub fn open(source: &Source, limits: &Limits) -> anyhow::Result<Input> {
    let mut head = Vec::new();
    match source {
        Source::Stdin => {
            let mut input = stdin();
            read(&mut input, HEAD, &mut head).context("cannot read stdin")?;
            if is_sound(&head) {
                let whole = Cursor::new(head).chain(input);
                return Ok(Input::Sound(Box::new(SoundReader::from_pipe(
                    whole, limits,
                )?)));
            }
            let most = limits.max_file_bytes.saturating_add(1);
            read(&mut input, most, &mut head).context("cannot read stdin")?;
        }
        Source::File(path) => {
            let mut file = File::open(path).context("cannot open")?;
            read(&mut file, HEAD, &mut head).context("cannot read")?;
            if is_sound(&head) {
                let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let reader = if is_file {
                    SoundReader::from_file(File::open(path).context("cannot open")?, limits)
                } else {
                    SoundReader::from_pipe(Cursor::new(head).chain(file), limits)
                };
                return Ok(Input::Sound(Box::new(reader?)));
            }
            let most = limits.max_file_bytes.saturating_add(1);
            read(&mut file, most, &mut head).context("cannot read")?;
        }
    }
    limits.check_file(head.len() as u64)?;
    Ok(Input::Picture(head))
}

fn read(input: &mut impl Read, most: u64, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    input.take(most).read_to_end(bytes)
}

/// Whether one of our files holds sound.
pub fn holds_sound(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|mut file| read(&mut file, HEAD, &mut head));
    read.is_ok() && codec::header(&head).is_ok_and(|header: Header| header.audio().is_ok())
}

/// Whether a file of codes is of sound.
pub fn codes_of_sound(path: &Path) -> bool {
    let tokens = std::fs::read(path).map(|bytes| TokenFormat::read(&bytes));
    matches!(tokens, Ok(Ok(tokens)) if matches!(tokens.media, codec::Media::Audio { .. }))
}

/// Seconds of sound for people: `3.20 s`, `12 min 05 s`.
pub fn length(seconds: f64) -> String {
    crate::console::time(std::time::Duration::from_secs_f64(seconds.max(0.0)))
}

/// How many times faster than it plays something was done.
pub fn real_time(seconds: f64, elapsed: std::time::Duration) -> f64 {
    seconds / elapsed.as_secs_f64().max(1e-9)
}
