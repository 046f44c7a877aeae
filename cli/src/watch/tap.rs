//! Where log messages of the libraries go: to stderr, or to whoever has taken the terminal over.

use std::io::{self, Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines kept while nobody fetches them.
const KEPT: usize = 1000;

/// Messages held back since [`hold`]; `None` while they go to stderr.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on messages are held back for [`take`].
pub fn hold() {
    held().get_or_insert_default();
}

/// Messages since the last call.
pub fn take() -> Vec<String> {
    held().as_mut().map(std::mem::take).unwrap_or_default()
}

/// From now on messages go to stderr again; gives those that nobody has fetched.
pub fn release() -> Vec<String> {
    held().take().unwrap_or_default()
}

/// A writer for messages; each call of `write` is one message.
#[derive(Debug)]
pub struct Tap;

/// Makes a [`Tap`], as the subscriber wants it.
pub fn writer() -> Tap {
    Tap
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = held();
        let Some(lines) = held.as_mut() else {
            return stderr().write(bytes);
        };
        let text = String::from_utf8_lossy(bytes);
        let room = KEPT.saturating_sub(lines.len());
        lines.extend(text.lines().take(room).map(str::to_owned));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_held_back_until_fetched() {
        hold();
        writer().write_all(b"one\ntwo\n").unwrap();
        assert_eq!(take(), ["one", "two"]);
        writer().write_all(b"three\n").unwrap();
        assert_eq!(release(), ["three"]);
        assert_eq!(take(), Vec::<String>::new());
    }
}
