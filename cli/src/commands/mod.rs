//! One file per command. To add one: a file here, a variant in [`Command`], a line in [`run`].

pub mod bench;
mod bench_train;
pub mod completions;
pub mod decode;
pub mod encode;
pub mod eval;
pub mod info;
pub mod models;
pub mod train;

use std::path::Path;

use anyhow::Context;

use crate::args::Command;
use crate::console::Console;
use crate::exit::Status;

/// Runs a command.
///
/// # Errors
/// Whatever stopped the command as a whole; failures of single files in a batch are reported on the way.
pub fn run(command: Command, console: &Console) -> anyhow::Result<Status> {
    match command {
        Command::Encode(args) => encode::run(&args, console),
        Command::Decode(args) => decode::run(&args, console),
        Command::Info(args) => info::run(&args, console),
        Command::Bench(args) => bench::run(&args, console),
        Command::Train(args) => train::run(&args, console),
        Command::Eval(args) => eval::run(&args, console),
        Command::Models(command) => models::run(&command),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Reads a weights file, if one is named.
fn read_weights(path: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read weights {}", path.display()))
    };
    path.map(read).transpose()
}
