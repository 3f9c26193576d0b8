//! Finds our programs, under cargo and under Bazel alike, and runs `skein` on a home.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, ensure};
use tokio::process::Command;

/// Variable with the path of [`earlier_skein`].
const EARLIER: &str = "SKEIN_EARLIER";

/// Path of the server's program.
///
/// # Errors
/// Fails if the program is not built. The error says how to build it.
pub fn skein() -> anyhow::Result<PathBuf> {
    program("skein", "SKEIN_BIN")
}

/// Path of the stand-in for the version before: a build with the feature `earlier`, which `scripts/cluster-chaos --earlier` makes.
///
/// # Errors
/// Fails if the program is not built.
pub fn earlier_skein() -> anyhow::Result<PathBuf> {
    program("skein-earlier", EARLIER)
}

/// Whether a test run has [`earlier_skein`].
pub fn has_earlier_skein() -> bool {
    std::env::var_os(EARLIER).is_some()
}

/// Runs a command of `skein` on this home, and waits for its exit.
///
/// # Errors
/// Fails if the program is not built, or does not start.
pub async fn run_skein(
    home: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> anyhow::Result<Output> {
    let mut command = Command::new(skein()?);
    Ok(command.args(arguments).arg("--home").arg(home).kill_on_drop(true).output().await?)
}

/// Path of the scriptable helper.
///
/// # Errors
/// Fails if the program is not built. The error says how to build it.
pub fn mcp_helper() -> anyhow::Result<PathBuf> {
    program("mcp-helper", "SKEIN_MCP_HELPER")
}

/// Path of the history benchmark.
///
/// # Errors
/// Fails if the program is not built. The error says how to build it.
pub fn bench_store() -> anyhow::Result<PathBuf> {
    program("bench-store", "SKEIN_BENCH_STORE")
}

/// Path of the program in `variable`. Bazel sets the variable to a path below the test's working folder; a
/// user may set it to another build. Without the variable, cargo's program beside the running program, or one
/// folder above a test.
fn program(name: &str, variable: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        return path.canonicalize().with_context(|| format!("{variable} names {}", path.display()));
    }
    let mut folder = std::env::current_exe().context("where is the running program?")?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    ensure!(path.is_file(), "{} is not built: run `cargo build --workspace`", path.display());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn the_error_for_a_missing_program_says_how_to_build_it() {
        let error = program("no-such-program", "SKEIN_NO_SUCH_PROGRAM").unwrap_err().to_string();
        assert!(error.contains("no-such-program is not built: run `cargo build --workspace`"), "{error}");
    }
}
