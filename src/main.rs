//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == "worker") {
        // Before anything else is set up: a worker wants none of it.
        return zhenbei::media::worker_main(args);
    }
    ExitCode::from(2)
}
