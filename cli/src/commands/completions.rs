//! `codec completions`: scripts that complete options in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::console::write_stdout;
use crate::exit::Status;

const EXAMPLES: &str = "\
Examples:
  codec completions bash > ~/.local/share/bash-completion/completions/codec
  codec completions zsh > ~/.zfunc/_codec
  codec completions fish > ~/.config/fish/completions/codec.fish";

/// Options of `codec completions`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// Shell to write a script for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// A closed pipe.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<Status> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "codec", &mut script);
    write_stdout(&script)?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn shells_parse() {
        let Command::Completions(args) = parse("completions fish").unwrap().command else {
            panic!()
        };
        assert_eq!(args.shell, Shell::Fish);
        assert!(parse("completions cmd").is_err());
    }
}
