//! Formats of sound files by name and by content.

use codec_core::Error;

/// A format that sounds are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileFormat {
    /// RIFF WAVE.
    #[default]
    Wav,
    /// FLAC.
    Flac,
}

impl FileFormat {
    /// Extensions of names, the first of a format being the usual one.
    pub const EXTENSIONS: [(&'static str, Self); 3] = [
        ("wav", Self::Wav),
        ("wave", Self::Wav),
        ("flac", Self::Flac),
    ];
    /// Extensions of what can be read.
    pub const READ: &'static [&'static str] = &[
        "wav", "wave", "flac", "ogg", "oga", "mp3", "mp2", "aac", "m4a", "mp4", "aiff", "aif",
        "aifc", "caf", "mka", "webm",
    ];

    /// The format of an extension, without its dot, in any case.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for formats that are not written.
    pub fn from_extension(extension: &str) -> Result<Self, Error> {
        let found = Self::EXTENSIONS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(extension));
        found.map(|(_, format)| *format).ok_or_else(|| {
            Error::unsupported(format!(
                "sounds in format {extension:?} (written are wav, flac)"
            ))
        })
    }
}

/// Whether a file begins like a sound. A name has no say in it.
pub fn is_sound(bytes: &[u8]) -> bool {
    let at = |offset: usize, magic: &[u8]| {
        bytes
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    let form = |outer: &[u8], inner: &[&[u8]]| at(0, outer) && inner.iter().any(|i| at(8, i));
    // A frame of MPEG audio or ADTS: eleven or more set bits, then no reserved version or layer.
    let mpeg = match bytes {
        [0xff, second, third, ..] => {
            let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
            let adts = second & 0xf6 == 0xf0 && third >> 2 & 15 < 13;
            let frame = second >> 5 == 7 && version != 1 && layer != 0;
            adts || frame && third >> 4 != 15 && third >> 2 & 3 != 3
        }
        _ => false,
    };
    form(b"RIFF", &[b"WAVE"])
        || form(b"FORM", &[b"AIFF", b"AIFC"])
        || [&b"fLaC"[..], b"OggS", b"ID3", b"caff", b"\x1a\x45\xdf\xa3"]
            .iter()
            .any(|magic| at(0, magic))
        || at(4, b"ftyp")
        || mpeg
}
