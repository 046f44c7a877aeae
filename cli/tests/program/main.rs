//! The program as its users meet it: files, names, pipes, messages, exit statuses.
//!
//! All of this runs on the CPU, and nearly all with a tiny model of random weights (`codec_tests::model`), so little here is
//! about compression.

mod damage;
mod datasets;
mod eval;
mod models;
mod names;
mod rates;
mod round_trip;
mod sound;
mod statuses;
mod tokens;

use codec_tests::program::Sandbox;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_codec"))
}
