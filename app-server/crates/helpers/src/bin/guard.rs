//! The guard as a program of its own, for the tests of this crate. The server starts itself as the guard.

use std::process::ExitCode;

use skein_helpers::guard;

fn main() -> ExitCode {
    guard::run_if_asked().unwrap_or(ExitCode::FAILURE)
}
