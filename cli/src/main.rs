//! `codec`, the command line: arguments in, library calls, exit status out.
#![forbid(unsafe_code)]
#![recursion_limit = "256"]

mod args;
mod batch;
mod commands;
mod console;
mod exit;
mod interrupt;
mod output;
mod plan;
mod progress;
mod rates;
mod version;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::console::Console;
use crate::exit::Status;

/// Networks allocate and free buffers of many megabytes all the time; the system's allocator hands them back to the
/// kernel and faults every page in again, which doubles the time of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe behind `codec --help` is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    interrupt::install();
    let console = Console::new(&cli.global);
    console.start_logging(cli.global.verbose);
    let status = commands::run(cli.command, &console).unwrap_or_else(|error| {
        let status = Status::of(&error);
        if status != Status::Done {
            console.error(None, &error);
        }
        status
    });
    ExitCode::from(status.code())
}
