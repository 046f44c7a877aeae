//! One file per command. To add one: a file here, a variant in [`Command`], a line in [`run`].

mod ahead;
pub mod bench;
mod bench_train;
pub mod codebook;
pub mod completions;
#[cfg(feature = "distributed")]
pub mod coordinator;
pub mod datasets;
pub mod decode;
pub mod detokenize;
pub mod encode;
pub mod eval;
pub mod info;
pub mod models;
#[cfg(feature = "distributed")]
pub mod replicas;
mod sound;
pub mod tokenize;
pub mod train;

use std::path::Path;

use anyhow::Context;
use codec::training::WEIGHTS;

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
        Command::Tokenize(args) => tokenize::run(&args, console),
        Command::Detokenize(args) => detokenize::run(&args, console),
        Command::Codebook(command) => codebook::run(&command, console),
        Command::Bench(args) => bench::run(&args, console),
        Command::Train(args) => train::run(&args, console),
        #[cfg(feature = "distributed")]
        Command::TrainCoordinator(args) => coordinator::run(&args, console),
        Command::Eval(args) => eval::run(&args, console),
        Command::Datasets(command) => datasets::run(&command, console),
        Command::Models(command) => models::run(&command, console),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Reads a weights file, if one is named. The folder of a training run stands for the weights in it.
fn read_weights(path: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    let read = |path: &Path| {
        let path = if path.is_dir() {
            path.join(WEIGHTS)
        } else {
            path.to_path_buf()
        };
        std::fs::read(&path).with_context(|| format!("cannot read weights {}", path.display()))
    };
    path.map(read).transpose()
}

/// The built-in model for what there is, by name.
const DEFAULT: &str = "default";

/// What `-m` and `--weights` come to: the name of a built-in model, or weights. `-m` also takes a weights file, the folder
/// of a training run, or `default`, which is as if it were left out.
fn model_and_weights<'a>(
    model: Option<&'a str>,
    weights: Option<&Path>,
) -> anyhow::Result<(Option<&'a str>, Option<Vec<u8>>)> {
    let model = model.filter(|model| *model != DEFAULT);
    match model.map(Path::new) {
        Some(path)
            if weights.is_none()
                && path.exists()
                && codec::models::built_in()
                    .iter()
                    .all(|known| Path::new(known.name) != path) =>
        {
            Ok((None, read_weights(Some(path))?))
        }
        _ => Ok((model, read_weights(weights)?)),
    }
}
