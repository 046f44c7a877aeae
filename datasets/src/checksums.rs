//! Lists of SHA-256 checksums.

use crate::DatasetError;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes of a list.
const MAX_LIST: u64 = 1 << 30;

/// A SHA-256 digest.
pub(crate) type Sha = [u8; 32];

/// What a list says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) sha256: Sha,
    pub(crate) bytes: Option<u64>,
}

/// Checksums of files, from a CSV file with the columns `path` and `sha256` (and perhaps `bytes`), or from a list as
/// `sha256sum` writes it. Paths are relative to the list.
#[derive(Debug)]
pub struct Checksums {
    pub(crate) files: BTreeMap<PathBuf, Expected>,
}

impl Checksums {
    /// Reads a list; which of the two it is follows from its name.
    ///
    /// # Errors
    /// I/O errors, and [`DatasetError::Manifest`] with the line that makes no sense.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(MAX_LIST + 1).read_to_string(&mut text))
            .map_err(DatasetError::io(path))?;
        if read as u64 > MAX_LIST {
            return Err(DatasetError::Limit {
                what: format!("size of {}", path.display()),
                actual: read as u64,
                limit: MAX_LIST,
            });
        }
        let csv = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let rows = if csv {
            read_csv(&text)
        } else {
            read_sums(&text)
        };
        let rows = rows.map_err(|(line, reason)| DatasetError::Manifest {
            path: path.to_path_buf(),
            line,
            reason,
        })?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(DatasetError::io(folder))?;
        let files = rows
            .into_iter()
            .map(|(name, expected)| (folder.join(name), expected))
            .collect();
        Ok(Self { files })
    }

    /// Number of files that are listed.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

type Rows = Result<Vec<(String, Expected)>, (usize, String)>;

fn read_csv(text: &str) -> Rows {
    let mut records = Records {
        rest: text,
        line: 1,
    };
    let headers = match records.next() {
        Some(record) => record?.1,
        None => Vec::new(),
    };
    let column = |name: &str| headers.iter().position(|header| header == name);
    let (Some(path), Some(sha256)) = (column("path"), column("sha256")) else {
        return Err((1, "expected the columns path and sha256".to_owned()));
    };
    let bytes = column("bytes");
    let mut rows = Vec::new();
    for record in records {
        let (line, record) = record?;
        if record.len() != headers.len() {
            let (found, expected) = (record.len(), headers.len());
            return Err((line, format!("{found} columns (expected {expected})")));
        }
        let field = |at: usize| record.get(at).map_or("", String::as_str);
        let bytes = match bytes.map(field).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| (line, format!("invalid number of bytes {text}")))?,
            ),
        };
        let sha256 = parse_hex(field(sha256)).ok_or_else(|| (line, bad_digest(field(sha256))))?;
        rows.push((field(path).to_owned(), Expected { sha256, bytes }));
    }
    Ok(rows)
}

/// The records of a CSV file (RFC 4180), each with its first line. A crate would do as well, but the one there is turns
/// on features of `serde` that make every build of the workspace start over.
struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = Result<(usize, Vec<String>), (usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_start_matches(['\r', '\n']);
        let blank = self.rest.len() - rest.len();
        let newlines = |text: &str| text.bytes().filter(|&b| b == b'\n').count();
        self.line += newlines(self.rest.get(..blank).unwrap_or_default());
        self.rest = rest;
        if self.rest.is_empty() {
            return None;
        }
        let first = self.line;
        let mut fields = vec![String::new()];
        let (mut quoted, mut used) = (false, self.rest.len());
        let mut characters = self.rest.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            self.line += usize::from(c == '\n');
            let Some(field) = fields.last_mut() else {
                break;
            };
            match c {
                '"' if quoted && characters.next_if(|&(_, next)| next == '"').is_some() => {
                    field.push('"');
                }
                '"' if quoted => quoted = false,
                '"' if field.is_empty() => quoted = true,
                ',' if !quoted => fields.push(String::new()),
                '\n' if !quoted => {
                    used = at + 1;
                    break;
                }
                '\r' if !quoted => {}
                c => field.push(c),
            }
        }
        if quoted {
            self.rest = "";
            return Some(Err((first, "a quoted field is not closed".to_owned())));
        }
        self.rest = self.rest.get(used..).unwrap_or_default();
        Some(Ok((first, fields)))
    }
}

fn read_sums(text: &str) -> Rows {
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (digest, name) = line.split_once(' ').unwrap_or((line, ""));
        // A second blank means text, a star binary; the two are the same here.
        let name = name.strip_prefix([' ', '*']).unwrap_or(name);
        let sha256 = parse_hex(digest).ok_or_else(|| (number + 1, bad_digest(digest)))?;
        if name.is_empty() {
            return Err((number + 1, "expected a digest and a file name".to_owned()));
        }
        let expected = Expected {
            sha256,
            bytes: None,
        };
        rows.push((name.strip_prefix("./").unwrap_or(name).to_owned(), expected));
    }
    Ok(rows)
}

fn bad_digest(text: &str) -> String {
    format!(
        "invalid digest {} (expected 64 hexadecimal digits)",
        text.chars().take(80).collect::<String>()
    )
}

fn parse_hex(text: &str) -> Option<Sha> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Hexadecimal digits of a digest.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digest of bytes in memory.
pub(crate) fn digest(bytes: &[u8]) -> Sha {
    Sha256::digest(bytes).into()
}

/// Digest and size of a file, read in pieces.
pub(crate) fn digest_file(path: &Path) -> std::io::Result<(Sha, u64)> {
    let mut file = std::fs::File::open(path)?;
    let mut state = Sha256::new();
    let (mut buffer, mut total) = (vec![0; 1 << 16], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((state.finalize().into(), total));
        }
        total += read as u64;
        state.update(buffer.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn both_forms_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let expected = Expected {
            sha256: digest(b"abc"),
            bytes: Some(3),
        };
        std::fs::write(
            root.join("M.csv"),
            format!("bytes,path,note,sha256\n3,\"d/a, b.png\",\"x \"\"y\"\"\",{ABC}\n"),
        )
        .unwrap();
        let list = Checksums::read(&root.join("M.csv")).unwrap();
        assert_eq!(list.files.get(&root.join("d/a, b.png")), Some(&expected));
        let sums = format!("{ABC}  ./a b\n{ABC} *c\n\n# note\n");
        std::fs::write(root.join("SHA256SUMS"), sums).unwrap();
        let list = Checksums::read(&root.join("SHA256SUMS")).unwrap();
        assert_eq!(list.len(), 2);
        assert!(
            list.files.contains_key(&root.join("a b")) && list.files.contains_key(&root.join("c"))
        );
        assert_eq!(hex(&expected.sha256), ABC);
    }

    #[test]
    fn nonsense_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, line) in [
            ("a.csv", "path,md5\nx,y\n".to_owned(), 1),
            ("b.csv", format!("path,sha256\na,{ABC}\nb,12\n"), 3),
            ("c.csv", format!("path,sha256,bytes\na,{ABC},-1\n"), 2),
            ("d.csv", format!("path,sha256\na,{ABC}\n\"b,{ABC}\n"), 3),
            ("e.csv", format!("path,sha256\na,{ABC},\n"), 2),
            ("SUMS", format!("{ABC}  a\n{ABC}\n"), 2),
            ("SUMS2", "zz  a\n".to_owned(), 1),
            ("SUMS3", format!("é{}  a\n", &ABC[2..]), 1),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            match Checksums::read(&path) {
                Err(DatasetError::Manifest { line: found, .. }) => {
                    assert_eq!(found, line, "{name}")
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
