//! The `skein` program: arguments to configuration to exit code.

#![warn(clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

use skein_app_server::telemetry::FlushAtEnd;
use skein_helpers::guard;

fn main() -> ExitCode {
    // First of all: a guard must be small and have one thread.
    if let Some(code) = guard::run_if_asked() {
        return code;
    }
    let _flush = FlushAtEnd;
    if cli::codex::is_called() {
        return cli::code(cli::codex::parse().run());
    }
    cli::run(cli::parse())
}
