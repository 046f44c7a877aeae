//! Programs that read text from files.

use super::TaskError;
use super::network::Subject;
use crate::EvalError;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Stands for the file in a command.
const INPUT: &str = "{input}";
/// Most bytes of text.
const LIMIT: usize = 1 << 20;

/// A command that prints the text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reader {
    program: String,
    arguments: Vec<String>,
}

impl Reader {
    /// Takes a command apart at spaces; parts with spaces stand in quotes. No shell looks at it. The file takes the place
    /// of `{input}`, or comes last. The program must exist.
    pub(super) fn parse(command: &str) -> Result<Self, TaskError> {
        let fail = |program: &str, reason: &str| TaskError::Command {
            program: program.to_owned(),
            reason: reason.to_owned(),
        };
        let mut parts = split(command).ok_or_else(|| fail(command, "a quote does not end"))?;
        if parts.is_empty() {
            return Err(fail("", "the command is empty"));
        }
        let program = parts.remove(0);
        let exists = if program.contains('/') {
            Path::new(&program).is_file()
        } else {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).any(|folder| {
                let path = folder.join(&program);
                path.is_file() || path.with_extension("exe").is_file()
            })
        };
        if !exists {
            return Err(fail(&program, "there is no such program"));
        }
        if !parts.iter().any(|part| part.contains(INPUT)) {
            parts.push(INPUT.into());
        }
        Ok(Self {
            program,
            arguments: parts,
        })
    }

    /// `tesseract` for a language.
    ///
    /// # Errors
    /// [`EvalError::MissingTool`].
    pub(super) fn tesseract(language: Option<&str>) -> Result<Self, EvalError> {
        let language = language.unwrap_or("eng");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '/');
        if language.is_empty() || !language.chars().all(plain) {
            return Err(TaskError::BadSetting {
                name: "language",
                value: language.to_owned(),
                expected: "a name such as eng, or several with + between them",
            }
            .into());
        }
        let command = format!("tesseract {INPUT} stdout -l {language}");
        let reader = Self::parse(&command).map_err(|_| EvalError::MissingTool {
            tool: "tesseract",
            package: "tesseract-ocr",
        })?;
        Ok(reader)
    }

    /// The text of a picture or sound.
    pub(super) fn text<M: Subject>(&self, subject: &M) -> Result<String, TaskError> {
        let fail = |reason: String| TaskError::Command {
            program: self.program.clone(),
            reason,
        };
        let folder =
            tempfile::tempdir().map_err(TaskError::access(Path::new("temporary folder")))?;
        let path = folder.path().join(format!("input.{}", M::ENDING));
        subject.write(&path)?;
        let path = path.to_string_lossy();
        let output = Command::new(&self.program)
            .args(self.arguments.iter().map(|part| part.replace(INPUT, &path)))
            // Files are already read in parallel.
            .env("OMP_THREAD_LIMIT", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| fail(error.to_string()))?;
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        if !status.success() {
            let text = String::from_utf8_lossy(&stderr);
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            return Err(fail(format!("{status}: {}", last.unwrap_or("no message"))));
        }
        if stdout.len() > LIMIT {
            return Err(TaskError::TooLarge {
                what: "text of a command",
                actual: stdout.len(),
                limit: LIMIT,
            });
        }
        String::from_utf8(stdout).map_err(|_| fail("it printed no UTF-8 text".into()))
    }
}

/// Parts of a command line; `None` where a quote does not end.
fn split(command: &str) -> Option<Vec<String>> {
    let (mut parts, mut part, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => part.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                part.get_or_insert_default();
            }
            None if c.is_whitespace() => parts.extend(part.take()),
            None => part.get_or_insert_default().push(c),
        }
    }
    parts.extend(part);
    quote.is_none().then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sound;

    #[test]
    fn parts_of_commands() {
        assert_eq!(
            split("a  'b c' --d=\"e 'f'\" ''").unwrap(),
            ["a", "b c", "--d=e 'f'", ""]
        );
        assert_eq!(split("a 'b"), None);
        assert_eq!(Reader::parse("cat").unwrap().arguments, ["{input}"]);
        for bad in ["", "no-such-program-anywhere {input}", "cat 'x"] {
            assert!(matches!(Reader::parse(bad), Err(TaskError::Command { .. })));
        }
        assert!(Reader::tesseract(Some("eng;x")).is_err());
    }

    #[test]
    fn text_and_failures() {
        let sound = Sound {
            sample_rate: 8000,
            channels: vec![vec![0.0; 10]],
        };
        let run = |command| Reader::parse(command).unwrap().text(&sound);
        assert_eq!(run("sh -c 'wc -c < \"$0\"' {input}").unwrap().trim(), "64");
        let failed = run("sh -c 'echo oh >&2; exit 3'").unwrap_err().to_string();
        assert!(failed.contains("oh") && failed.contains('3'), "{failed}");
        assert!(run("sh -c 'printf \"\\377\"'").is_err());
        assert!(run("sh -c 'head -c 2000000 /dev/zero'").is_err());
    }
}
