//! `codec models`: built-in models, and those that the user imports from published checkpoints.

mod export;
mod import;
mod list;
mod show;
mod verify;

use clap::Subcommand;

use crate::console::Console;
use crate::exit::Status;

/// Commands about models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the models that are built in or imported
    List(list::ListArgs),
    /// Make a model of an author's checkpoint
    Import(import::ImportArgs),
    /// Show hyperparameters and tensors of a model
    Show(show::ShowArgs),
    /// Check that models are whole
    Verify(verify::VerifyArgs),
    /// Write a model's tensors under its authors' names
    Export(export::ExportArgs),
    /// Print where the weights of a model are
    Path(show::PathArgs),
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(command: &ModelsCommand, console: &Console) -> anyhow::Result<Status> {
    match command {
        ModelsCommand::List(args) => list::run(args),
        ModelsCommand::Import(args) => import::run(args, console),
        ModelsCommand::Show(args) => show::run(args),
        ModelsCommand::Verify(args) => verify::run(args, console),
        ModelsCommand::Export(args) => export::run(args),
        ModelsCommand::Path(args) => show::path(args),
    }
}

/// Weights of a model that is imported, or of a weights file.
pub(super) fn weights(model: &str) -> anyhow::Result<Vec<u8>> {
    let path = std::path::Path::new(model);
    if path.is_file() {
        return Ok(super::read_weights(Some(path))?.unwrap_or_default());
    }
    let stored = codec::models::ModelStore::user()?.get(model)?;
    stored.ok_or_else(|| {
        codec::Error::UnknownModel {
            name: model.to_owned(),
        }
        .into()
    })
}
