//! Files of tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Alphabet, Layout, Media, Tokens};
use crate::npy;
use crate::weights::{HostTensor, Tensors};
use crate::{Digest, Error};

/// Values of the field `format`, of codes and of latents.
const CODES: &str = "codec-tokens/1";
const LATENTS: &str = "codec-latents/1";
/// Longest description.
const DESCRIPTION_MAX: usize = 1 << 16;
/// Name of the description in a safetensors file.
const DESCRIPTION: &str = "tokens";

/// Formats by their names, which are extensions as well.
pub const NAMES: [&str; 3] = ["npy", "safetensors", "jsonl"];

/// Formats of a file of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// An array for `numpy.load`: codes as `uint16` or, if there are more, `uint32`, latents as the smallest of `int8`, `int16`
    /// and `int32`. A line of JSON follows, which NumPy does not look at.
    #[default]
    Npy,
    /// A tensor `codes` or `latents` of 64-bit integers, for `safetensors.torch.load_file`.
    Safetensors,
    /// One JSON object on one line, `codes` or `latents` in a flat list.
    Jsonl,
}

/// What a file says besides the integers.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    format: String,
    model: String,
    digest: String,
    #[serde(flatten)]
    media: Media,
    /// Of codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    codebook_size: Option<u32>,
    /// Largest magnitude of latents.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    /// That of [`Tokens::shape`], whatever the layout.
    shape: Vec<usize>,
    layout: Layout,
}

/// A line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    description: Description,
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latents: Option<Vec<i64>>,
}

impl Format {
    /// Writes tokens.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the format does not allow it.
    pub fn write(self, tokens: &Tokens, layout: Layout) -> Result<Vec<u8>, Error> {
        let array = layout.arrange(tokens)?;
        let alphabet = tokens.alphabet();
        let (format, codebook_size, limit) = match alphabet {
            Alphabet::Codes { size } => (CODES, Some(size), None),
            Alphabet::Latents { limit } => (LATENTS, None, Some(limit)),
        };
        let description = Description {
            format: format.to_owned(),
            model: tokens.model.clone(),
            digest: tokens.digest.to_string(),
            media: tokens.media,
            codebook_size,
            limit,
            shape: tokens.shape().to_vec(),
            layout,
        };
        let shape = layout.shape(tokens.shape())?;
        match self {
            Self::Npy => {
                let element = alphabet.element(layout == Layout::Delay);
                let mut bytes = npy::write(&shape, &array, element);
                bytes.extend(json(&description)?);
                Ok(bytes)
            }
            Self::Safetensors => {
                let mut tensors = Tensors::new();
                tensors.insert(alphabet.array(), HostTensor::integers(&shape, array)?);
                let text = String::from_utf8_lossy(&json(&description)?)
                    .trim_end()
                    .to_owned();
                tensors.to_safetensors(&BTreeMap::from([(DESCRIPTION.to_owned(), text)]))
            }
            Self::Jsonl => {
                let (codes, latents) = match alphabet {
                    Alphabet::Codes { .. } => (Some(array), None),
                    Alphabet::Latents { .. } => (None, Some(array)),
                };
                json(&Line {
                    description,
                    codes,
                    latents,
                })
            }
        }
    }

    /// Reads tokens in any of the formats, recognized by their first bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Truncated`], [`Error::Unsupported`] for another version. Memory is taken in proportion
    /// to the bytes given.
    pub fn read(bytes: &[u8]) -> Result<Tokens, Error> {
        if npy::is_npy(bytes) {
            let (array, rest) = npy::read(bytes)?;
            let rest = rest.trim_ascii();
            if rest.is_empty() {
                return Err(Error::malformed(
                    "tokens: no description after the array (a plain npy file does not say which model made it)",
                ));
            }
            return parse(rest)?.restore(integers(&array)?);
        }
        if bytes.trim_ascii_start().starts_with(b"{") {
            let line: Line = serde_json::from_slice(bytes).map_err(malformed)?;
            let array = match line.description.alphabet()? {
                Alphabet::Codes { .. } => line.codes,
                Alphabet::Latents { .. } => line.latents,
            };
            let array = array.ok_or_else(|| Error::malformed("tokens: no array"))?;
            return line.description.restore(&array);
        }
        let (tensors, metadata) = Tensors::from_safetensors(bytes)?;
        let text = crate::weights::metadata_entry(&metadata, DESCRIPTION)
            .ok_or_else(|| Error::malformed("tokens: no description in the metadata"))?;
        let description = parse(text.as_bytes())?;
        let name = description.alphabet()?.array();
        let array = tensors
            .get(name)
            .ok_or_else(|| Error::malformed(format!("tokens: no tensor '{name}'")))?;
        description.restore(integers(array)?)
    }
}

impl Description {
    fn alphabet(&self) -> Result<Alphabet, Error> {
        let lacks = |name: &str| Error::malformed(format!("tokens: no field '{name}'"));
        match self.format.as_str() {
            CODES => {
                let size = self.codebook_size.ok_or_else(|| lacks("codebook_size"))?;
                Ok(Alphabet::Codes { size })
            }
            LATENTS => {
                let limit = self.limit.ok_or_else(|| lacks("limit"))?;
                Ok(Alphabet::Latents { limit })
            }
            other => Err(Error::unsupported(format!("tokens of format '{other}'"))),
        }
    }

    fn restore(self, array: &[i64]) -> Result<Tokens, Error> {
        let alphabet = self.alphabet()?;
        let digest: Digest = self.digest.parse()?;
        let mut integers = self.layout.restore(array, &self.shape)?;
        let (shape, model, media) = (self.shape, self.model, self.media);
        match alphabet {
            Alphabet::Codes { size } => {
                let gap = alphabet.gap();
                let lost: Vec<bool> = integers.iter().map(|&code| code == gap).collect();
                for (code, lost) in integers.iter_mut().zip(&lost) {
                    if *lost {
                        *code = 0;
                    }
                }
                let codes = narrow(integers)?;
                Tokens::new(codes, shape, size, model, digest, media)?.with_lost(lost)
            }
            Alphabet::Latents { limit } => {
                let latents = narrow(integers)?;
                Tokens::of_latents(latents, shape, limit, model, digest, media)
            }
        }
    }
}

/// Integers of another type, if all of them fit.
fn narrow<T: TryFrom<i64>>(integers: Vec<i64>) -> Result<Vec<T>, Error> {
    let convert = |value: i64| {
        T::try_from(value).map_err(|_| Error::malformed(format!("tokens: a value of {value}")))
    };
    integers.into_iter().map(convert).collect()
}

fn parse(text: &[u8]) -> Result<Description, Error> {
    if text.len() > DESCRIPTION_MAX {
        return Err(Error::malformed(format!(
            "tokens: description of {} bytes",
            text.len()
        )));
    }
    serde_json::from_slice(text).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> Error {
    Error::malformed(format!("tokens: {error}"))
}

/// One line with its end.
fn json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(value)
        .map_err(|error| Error::bad_parameter(format!("tokens: {error}")))?;
    line.push(b'\n');
    Ok(line)
}

fn integers(array: &HostTensor) -> Result<&[i64], Error> {
    let integers = array.as_integers();
    integers.ok_or_else(|| Error::malformed("tokens: an array of real numbers"))
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Npy => "npy",
            Self::Safetensors => "safetensors",
            Self::Jsonl => "jsonl",
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "npy" => Ok(Self::Npy),
            "safetensors" => Ok(Self::Safetensors),
            "jsonl" => Ok(Self::Jsonl),
            _ => Err(Error::bad_parameter(format!(
                "unknown format '{text}' (expected npy, safetensors or jsonl)"
            ))),
        }
    }
}
