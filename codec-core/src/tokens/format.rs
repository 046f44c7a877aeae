//! Files of tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Layout, Media, Tokens};
use crate::npy::{self, Element};
use crate::weights::{HostTensor, Tensors};
use crate::{Digest, Error};

/// Value of the field `format`.
const VERSION: &str = "codec-tokens/1";
/// Longest description.
const DESCRIPTION_MAX: usize = 1 << 16;
/// Name of the tensor and of the JSON field with the codes.
const CODES: &str = "codes";
/// Name of the description in a safetensors file.
const DESCRIPTION: &str = "tokens";

/// Formats by their names, which are extensions as well.
pub const NAMES: [&str; 3] = ["npy", "safetensors", "jsonl"];

/// Formats of a file of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// An array for `numpy.load`, of `uint16` or, for more codes, `uint32`; a line of JSON follows, which NumPy does not
    /// look at.
    #[default]
    Npy,
    /// A tensor `codes` of 64-bit integers, for `safetensors.torch.load_file`.
    Safetensors,
    /// One JSON object on one line, the codes in a flat list.
    Jsonl,
}

/// What a file says besides the codes.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    format: String,
    model: String,
    digest: String,
    #[serde(flatten)]
    media: Media,
    codebook_size: u32,
    /// That of [`Tokens::shape`], whatever the layout.
    shape: Vec<usize>,
    layout: Layout,
}

/// A line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    description: Description,
    codes: Vec<u32>,
}

impl Format {
    /// Writes tokens.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the format does not allow it.
    pub fn write(self, tokens: &Tokens, layout: Layout) -> Result<Vec<u8>, Error> {
        let array = layout.arrange(tokens)?;
        let description = Description {
            format: VERSION.to_owned(),
            model: tokens.model.clone(),
            digest: tokens.digest.to_string(),
            media: tokens.media,
            codebook_size: tokens.codebook_size(),
            shape: tokens.shape().to_vec(),
            layout,
        };
        let shape = layout.shape(tokens.shape())?;
        match self {
            Self::Npy => {
                // The delayed layout has the number of codes as a value, too.
                let element = if tokens.codebook_size() <= u16::MAX.into() {
                    Element::U16
                } else {
                    Element::U32
                };
                let mut bytes = npy::write(&shape, &array, element);
                bytes.extend(json(&description)?);
                Ok(bytes)
            }
            Self::Safetensors => {
                let codes = array.iter().map(|&code| code.into()).collect();
                let mut tensors = Tensors::new();
                tensors.insert(CODES, HostTensor::integers(&shape, codes)?);
                let text = String::from_utf8_lossy(&json(&description)?)
                    .trim_end()
                    .to_owned();
                tensors.to_safetensors(&BTreeMap::from([(DESCRIPTION.to_owned(), text)]))
            }
            Self::Jsonl => json(&Line {
                description,
                codes: array,
            }),
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
            return parse(rest)?.restore(&codes(&array)?);
        }
        if bytes.trim_ascii_start().starts_with(b"{") {
            let line: Line = serde_json::from_slice(bytes).map_err(malformed)?;
            return line.description.restore(&line.codes);
        }
        let (tensors, metadata) = Tensors::from_safetensors(bytes)?;
        let text = crate::weights::metadata_entry(&metadata, DESCRIPTION)
            .ok_or_else(|| Error::malformed("tokens: no description in the metadata"))?;
        let array = tensors
            .get(CODES)
            .ok_or_else(|| Error::malformed("tokens: no tensor 'codes'"))?;
        parse(text.as_bytes())?.restore(&codes(array)?)
    }
}

impl Description {
    fn restore(self, array: &[u32]) -> Result<Tokens, Error> {
        let codes = self.layout.restore(array, &self.shape)?;
        let digest: Digest = self.digest.parse()?;
        Tokens::new(
            codes,
            self.shape,
            self.codebook_size,
            self.model,
            digest,
            self.media,
        )
        .and_then(|tokens| match self.format.as_str() {
            VERSION => Ok(tokens),
            other => Err(Error::unsupported(format!("tokens of format '{other}'"))),
        })
    }
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

fn codes(array: &HostTensor) -> Result<Vec<u32>, Error> {
    let bad = || Error::malformed("tokens: codes are no whole numbers from 0");
    let values = array.as_integers().ok_or_else(bad)?;
    values
        .iter()
        .map(|&value| u32::try_from(value).map_err(|_| bad()))
        .collect()
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
