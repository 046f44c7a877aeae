//! What people see: result lines, errors, colour, numbers with units.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::args::{ColorWhen, Global};
use crate::exit::Failure;
use crate::watch::tap;

/// How to talk to the person at the terminal.
#[derive(Debug, Clone)]
pub struct Console {
    color: bool,
    /// Colour of what goes to stdout.
    color_out: bool,
    quiet: bool,
    verbose: bool,
    progress: bool,
}

impl Console {
    /// Settings from the options and the terminal.
    pub fn new(global: &Global) -> Self {
        let terminal = stderr().is_terminal();
        let wanted = |terminal: bool| match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        Self {
            color: wanted(terminal),
            color_out: wanted(stdout().is_terminal()),
            quiet: global.quiet,
            verbose: global.verbose > 0,
            progress: terminal && !global.no_progress && !global.quiet,
        }
    }

    /// Whether `-v` was given.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Sends log messages of the libraries to stderr. `-v` wins over `CODEC_LOG`, which names a level.
    pub fn start_logging(&self, verbose: u8) {
        let from_environment = || {
            std::env::var("CODEC_LOG")
                .ok()
                .and_then(|level| level.parse().ok())
        };
        let level = match verbose {
            _ if self.quiet => LevelFilter::ERROR,
            0 => from_environment().unwrap_or(LevelFilter::WARN),
            1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(tap::writer)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        // Fails only when a subscriber is there already, in which case that one does.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }

    /// Whether a progress bar may be drawn.
    pub fn shows_progress(&self) -> bool {
        self.progress
    }

    /// A line about a result on stderr; silent with `--quiet`.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// `codec: PATH: reason` on stderr, with all causes.
    pub fn error(&self, path: Option<&dyn Display>, error: &anyhow::Error) {
        let name = self.paint("1;31", "codec:");
        let _ = match path {
            Some(path) => writeln!(stderr(), "{name} {path}: {error:#}"),
            None => writeln!(stderr(), "{name} {error:#}"),
        };
    }

    /// Dims a part of a line on stderr.
    pub fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Emphasizes a part of a line on stderr.
    pub fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Emphasizes a part of a line on stdout.
    pub fn bold_out(&self, text: &str) -> String {
        if self.color_out {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Writes text to stdout.
///
/// # Errors
/// [`Failure::ClosedPipe`] when the reader has gone, I/O errors.
pub fn print(text: &str) -> anyhow::Result<()> {
    write_stdout(text.as_bytes())
}

/// Writes a JSON document on one line of stdout.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(&format!("{value}\n"))
}

/// Writes bytes to stdout.
///
/// # Errors
/// As [`print`].
pub fn write_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                Failure::ClosedPipe.into()
            } else {
                anyhow::Error::new(error).context("cannot write to stdout")
            }
        })
}

/// A path for people, `-` for the standard streams.
pub fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "-".to_owned(), |path| path.display().to_string())
}

/// A number of bytes in decimal units: `812 B`, `20.2 kB`, `1.35 MB`.
pub fn size(bytes: u64) -> String {
    let value = bytes as f64;
    if bytes < 1000 {
        format!("{bytes} B")
    } else if value < 999_950.0 {
        format!("{:.1} kB", value / 1e3)
    } else if value < 999_995_000.0 {
        format!("{:.2} MB", value / 1e6)
    } else {
        format!("{:.2} GB", value / 1e9)
    }
}

/// A time: `61 ms`, `1.32 s`, `2 min 05 s`.
pub fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if ms < 59_995.0 {
        format!("{:.2} s", ms / 1e3)
    } else {
        let seconds = (ms / 1e3).round() as u64;
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (20_239, "20.2 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.00 MB"),
            (1_350_000, "1.35 MB"),
            (2_000_000_000, "2.00 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_fit_their_unit() {
        for (us, text) in [
            (400, "0.4 ms"),
            (61_200, "61 ms"),
            (999_400, "999 ms"),
            (1_320_000, "1.32 s"),
            (59_995_001, "1 min 00 s"),
            (125_000_000, "2 min 05 s"),
        ] {
            assert_eq!(time(Duration::from_micros(us)), text);
        }
    }
}
