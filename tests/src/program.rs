//! Running the program in a folder of its own.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use codec::io::Format;
use codec::{Limits, Picture};
use serde_json::Value;

use crate::model;

/// A temporary folder in which the program runs.
#[derive(Debug)]
pub struct Sandbox {
    program: PathBuf,
    folder: tempfile::TempDir,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Run {
    /// The exit status.
    pub status: i32,
    /// The standard output.
    pub stdout: Vec<u8>,
    /// The standard error output.
    pub stderr: String,
}

impl Run {
    fn new(output: Output) -> Self {
        Self {
            status: output.status.code().expect("the program was not killed"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }

    /// Checks the status; panics never happen, whatever it is.
    #[track_caller]
    pub fn ends_in(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The JSON documents of the standard output, one a line.
    pub fn json(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.stdout).expect("JSON is UTF-8");
        let parse = |line| serde_json::from_str(line).expect("every line is a JSON document");
        text.lines().map(parse).collect()
    }
}

impl Sandbox {
    /// An empty folder; `program` is `env!("CARGO_BIN_EXE_codec")`. The tiny model lies in it as `tiny.safetensors`.
    pub fn new(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sandbox = Self {
            program: program.into(),
            folder,
        };
        sandbox.put("tiny.safetensors", model::tiny());
        sandbox
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Whether there is something at a path.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Writes a file, and the folders that it lies in.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let parent = path.parent().expect("the folder");
        std::fs::create_dir_all(parent).expect("can be created");
        std::fs::write(path, bytes).expect("can be written");
    }

    /// Writes a picture in the format of its name.
    pub fn put_picture(&self, name: &str, picture: &Picture) {
        let extension = Path::new(name).extension().and_then(OsStr::to_str);
        let format = extension
            .and_then(Format::from_extension)
            .expect("a format");
        self.put(
            name,
            &codec::io::write(picture, format).expect("can be written"),
        );
    }

    /// Reads a file.
    #[track_caller]
    pub fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Reads a picture.
    #[track_caller]
    pub fn get_picture(&self, name: &str) -> Picture {
        codec::io::read(&self.get(name), &Limits::default()).expect("a picture")
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).expect("can be removed");
    }

    /// All names in the folder itself, sorted, without the weights.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("can be listed");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.into_string().expect("UTF-8"))
            .filter(|name| name != "tiny.safetensors")
            .collect();
        names.sort();
        names
    }

    /// A command in the folder, on the CPU, without settings from the environment.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .current_dir(self.folder.path());
        for name in ["CODEC_THREADS", "CODEC_LOG"] {
            command.env_remove(name);
        }
        command
            .env("CODEC_MODELS_DIR", self.path("models"))
            .env("CODEC_DEVICE", "cpu")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command line.
    pub fn run(&self, line: &str) -> Run {
        Run::new(self.command(line).output().expect("the program starts"))
    }

    /// Runs a command line with the tiny model.
    pub fn tiny(&self, line: &str) -> Run {
        self.run(&format!("{line} --weights tiny.safetensors"))
    }

    /// Runs a command line with the tiny model and an input.
    pub fn pipe(&self, line: &str, input: &[u8]) -> Run {
        self.feed(&format!("{line} --weights tiny.safetensors"), input)
    }

    /// Runs a command line with an input.
    pub fn feed(&self, line: &str, input: &[u8]) -> Run {
        let mut command = self.command(line);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            // The program may end before it has read everything.
            scope.spawn(move || drop(stdin.write_all(input)));
            Run::new(child.wait_with_output().expect("the program ends"))
        })
    }
}
