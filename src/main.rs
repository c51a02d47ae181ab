//! The program's entry: flags in, exit status out. Everything else is in the library.

use std::process::ExitCode;

use camera_capture::cli;

fn main() -> ExitCode {
    cli::run(cli::args::Args::from_process())
}
