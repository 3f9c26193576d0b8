//! The `skein` program: arguments to configuration to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("skein {}: nothing is served yet", env!("CARGO_PKG_VERSION"));
    ExitCode::from(2)
}
