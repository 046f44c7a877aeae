//! `codec models verify`.

use clap::Args;
use codec::models::{ModelStore, verify};

use crate::console::{Console, print};
use crate::exit::Status;

/// Options of `codec models verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Imported models or weights files; all imported ones if left out
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
}

/// Runs the command: builds every model, and goes on after one that is broken.
///
/// # Errors
/// An unreadable store, a closed pipe.
pub fn run(args: &VerifyArgs, console: &Console) -> anyhow::Result<Status> {
    let names = if args.models.is_empty() {
        let stored = ModelStore::user()?.list()?;
        stored.into_iter().map(|model| model.name).collect()
    } else {
        args.models.clone()
    };
    let mut status = Status::Done;
    for model in &names {
        match super::weights(model).and_then(|bytes| Ok(verify(&bytes)?)) {
            Ok((name, digest)) => print(&format!("{name}: whole, digest {digest}\n"))?,
            Err(error) => {
                console.error(Some(model), &error);
                status = if names.len() == 1 {
                    Status::of(&error)
                } else {
                    Status::Failed
                };
            }
        }
    }
    Ok(status)
}
