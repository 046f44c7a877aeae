//! `codec train-coordinator`: where the machines of a run over several find each other.

use clap::Args;

use crate::console::Console;
use crate::exit::Status;

/// Run the meeting point of a training run over several machines.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec train-coordinator
  codec train-coordinator --port 29300 &

It runs until it is interrupted or terminated. Start one for every run, on a machine that all nodes reach.")]
pub struct CoordinatorArgs {
    /// Port to listen on
    #[arg(long, value_name = "N", default_value_t = 29300)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
}

/// Runs the command.
///
/// # Errors
/// When the port cannot be had.
pub fn run(args: &CoordinatorArgs, console: &Console) -> anyhow::Result<Status> {
    console.say(&format!("coordinator on port {}", args.port));
    codec::distributed::coordinate(args.port)?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn options_parse() {
        let Command::TrainCoordinator(args) =
            parse("train-coordinator --port 4000").unwrap().command
        else {
            panic!()
        };
        assert_eq!(args.port, 4000);
        assert!(parse("train-coordinator --port 0").is_err());
    }
}
