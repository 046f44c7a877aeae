//! Files that come piece by piece, as through a pipe.

use super::section::{Section, SectionId, SectionRef};
use super::wire::Reader;
use super::{Header, Media, audio, check_id, check_size};
use crate::error::Error;
use crate::limits::{Limits, at_most};

/// A part of a file whose check value was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What a file begins with.
    Header(Header),
    /// A section; known, or optional.
    Section(Section),
}

/// Takes a file apart as it comes. It keeps no more than the section that is coming.
#[derive(Debug)]
pub struct StreamReader {
    limits: Limits,
    bytes: Vec<u8>,
    /// Bytes of `bytes` that were taken.
    at: usize,
    header: Option<Header>,
    sections: usize,
    chunks: u64,
    metadata: u64,
    /// Tags came.
    tags: bool,
    /// The end of the recording came.
    ended: bool,
    /// The last section came.
    closed: bool,
}

impl StreamReader {
    /// At the start of a file.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            bytes: Vec::new(),
            at: 0,
            header: None,
            sections: 0,
            chunks: 0,
            metadata: 0,
            tags: false,
            ended: false,
            closed: false,
        }
    }

    /// Takes more bytes; [`StreamReader::next_part`] gives what has become whole.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next part, or nothing as long as it is not whole.
    ///
    /// # Errors
    /// As [`super::Container::parse`]; [`Error::Unsupported`] for pictures, whose sections belong together.
    pub fn next_part(&mut self) -> Result<Option<Part>, Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if self.closed {
            if rest.is_empty() {
                return Ok(None);
            }
            return Err(Error::malformed("bytes after the last section"));
        }
        let Some(header) = &self.header else {
            let Some((header, length)) = waiting(Header::parse_prefix(rest), &self.limits)? else {
                return Ok(None);
            };
            check_size(&header, &self.limits)?;
            header.audio()?;
            self.at += length;
            self.header = Some(header.clone());
            return Ok(Some(Part::Header(header)));
        };
        let mut reader = Reader::new(rest, 0);
        let taken = SectionRef::take(&mut reader, self.sections);
        let Some((section, last)) = waiting(taken, &self.limits)? else {
            return Ok(None);
        };
        let id = section.id;
        check_id(id)?;
        if !id.is_required() {
            self.metadata = self.metadata.saturating_add(section.data.len() as u64);
            self.limits.check_metadata(self.metadata)?;
        }
        match (id, &header.media) {
            (SectionId::AUDIO_CHUNK | SectionId::AUDIO_END, _) if self.ended => {
                return Err(Error::malformed("a chunk after the last one"));
            }
            (SectionId::AUDIO_CHUNK, _) => self.chunks += 1,
            (SectionId::AUDIO_END, Media::Audio(info)) => {
                audio::check_chunks(info, self.chunks + 1, section.data, &self.limits)?;
                self.ended = true;
            }
            (SectionId::TAGS, _) if self.tags => {
                return Err(Error::malformed("tags twice"));
            }
            (SectionId::TAGS, _) => self.tags = true,
            (id, _) if id.is_known() => {
                return Err(Error::malformed(format!("section '{id}' in a recording")));
            }
            _ => {}
        }
        if last && !self.ended {
            return Err(Error::malformed("a recording without its last chunk"));
        }
        let section = Section {
            id,
            data: section.data.to_vec(),
        };
        self.at += reader.position();
        self.sections += 1;
        self.closed = last;
        Ok(Some(Part::Section(section)))
    }

    /// Says whether the file may end here.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn finish(&self) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let available = self.bytes.len() as u64;
        Err(Error::Truncated {
            needed: available + 1,
            available,
        })
    }
}

/// Nothing where bytes are missing, unless they would be too many.
fn waiting<T>(result: Result<T, Error>, limits: &Limits) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Truncated { needed, .. }) => {
            at_most("section size in bytes", limits.max_file_bytes, needed)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
