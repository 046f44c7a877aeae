//! Running command-line tools.

use crate::EvalError;
use image::{ImageFormat, RgbImage};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A program and the Debian package that holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) package: &'static str,
}

impl Tool {
    /// Runs the program with `input` on standard input and returns its standard output; fails on a bad exit status.
    pub(super) fn run<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        input: &[u8],
    ) -> Result<Vec<u8>, EvalError> {
        let output = self.output(args, input)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let message = text
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no message")
            .to_string();
        Err(EvalError::Tool {
            tool: self.name,
            status: output.status.to_string(),
            message,
        })
    }

    /// First line that the program prints with `flag`, on either stream: tools differ in where they put it, and some
    /// give a bad status with it.
    pub(super) fn first_line(&self, flag: &str) -> Result<String, EvalError> {
        let output = self.output(&[flag], &[])?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .next()
            .unwrap_or("unknown")
            .trim()
            .to_string())
    }

    fn output<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Result<Output, EvalError> {
        let mut child = Command::new(self.name)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| self.failure(source))?;
        let pipe = child.stdin.take();
        std::thread::scope(|scope| {
            // Written from a second thread: a tool may fill its output pipe before it has read all of its input. A tool
            // that stops reading early says why by its status, so a failed write is no error of its own.
            scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(input)));
            child.wait_with_output()
        })
        .map_err(|source| self.failure(source))
    }

    fn failure(&self, source: std::io::Error) -> EvalError {
        if source.kind() == std::io::ErrorKind::NotFound {
            EvalError::MissingTool {
                tool: self.name,
                package: self.package,
            }
        } else {
            EvalError::Io {
                path: PathBuf::from(self.name),
                source,
            }
        }
    }
}

/// A folder for a tool that works on files.
pub(super) fn tempdir() -> Result<tempfile::TempDir, EvalError> {
    tempfile::tempdir().map_err(|source| EvalError::Io {
        path: PathBuf::from("temporary folder"),
        source,
    })
}

/// Reads what a tool wrote.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, EvalError> {
    std::fs::read(path).map_err(|source| EvalError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Writes what a tool reads.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    std::fs::write(path, bytes).map_err(|source| EvalError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// The picture as a binary PPM file.
pub(super) fn to_ppm(picture: &RgbImage) -> Vec<u8> {
    let header = format!("P6\n{} {}\n255\n", picture.width(), picture.height());
    [header.as_bytes(), picture.as_raw()].concat()
}

/// Reads a picture that a tool wrote.
pub(super) fn parse(bytes: &[u8], format: ImageFormat) -> Result<RgbImage, EvalError> {
    let picture = image::load_from_memory_with_format(bytes, format);
    Ok(picture
        .map_err(|source| EvalError::Picture {
            path: PathBuf::new(),
            source,
        })?
        .into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_names_its_package() {
        let tool = Tool {
            name: "no-such-tool-anywhere",
            package: "some-package",
        };
        let error = tool.run(&["-x"], &[]).unwrap_err();
        assert!(error.is_missing_tool());
        assert_eq!(
            error.to_string(),
            "`no-such-tool-anywhere` is not installed (Debian package `some-package`)"
        );
    }

    #[test]
    fn large_input_and_output_do_not_block() {
        let cat = Tool {
            name: "cat",
            package: "coreutils",
        };
        let data = vec![7u8; 1 << 20];
        assert_eq!(cat.run::<&str>(&[], &data).unwrap(), data);
        let fail = Tool {
            name: "false",
            package: "coreutils",
        };
        assert!(matches!(
            fail.run::<&str>(&[], &data),
            Err(EvalError::Tool { .. })
        ));
    }

    #[test]
    fn ppm_comes_back() {
        let picture = RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, y as u8, 200]));
        assert_eq!(parse(&to_ppm(&picture), ImageFormat::Pnm).unwrap(), picture);
        assert!(parse(b"P6\n3 2\n255\nxx", ImageFormat::Pnm).is_err());
    }
}
