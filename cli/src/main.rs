//! `codec`, the command line: arguments in, library calls, exit status out.
#![deny(unsafe_code)]
#![recursion_limit = "256"]

mod allocator;
mod args;
mod batch;
mod commands;
mod console;
mod exit;
mod interrupt;
mod media;
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

fn main() -> ExitCode {
    allocator::keep_memory();
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
