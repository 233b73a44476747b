//! Parses the command line, runs one command, turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use zhenbei::cmd::{Cli, dispatch};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dispatch(Cli::parse())
}
