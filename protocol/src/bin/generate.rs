//! Writes the generated files from the tables; `--check` only compares, and fails if one is stale. Run from the root
//! of the repository (`scripts/generate`).

use std::{fs, path::Path, process::ExitCode};

use skein_protocol::export;

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("generate: {other:?} is not known; it takes nothing, or --check");
            return ExitCode::FAILURE;
        }
    };
    let mut result = ExitCode::SUCCESS;
    for (path, content) in export::files() {
        if let Err(reason) = bring_up_to_date(Path::new(path), &content, check) {
            eprintln!("{path}: {reason}");
            result = ExitCode::FAILURE;
        }
    }
    result
}

/// Writes `content` to the file at `path`, or only compares it.
fn bring_up_to_date(path: &Path, content: &str, check: bool) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    if check {
        return Err("stale; run scripts/generate and commit the result".to_owned());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make its folder: {error}"))?;
    }
    fs::write(path, content).map_err(|error| format!("cannot write: {error}"))
}
