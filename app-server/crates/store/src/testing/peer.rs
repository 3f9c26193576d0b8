//! Rollouts of the real peer, Codex 0.169.0 (`scripts/import-proof --fixtures`), without machine paths and with long
//! texts cut.

use std::path::Path;
use std::{fs, io};

/// Path in the peer's home, and content.
pub const FILES: &[(&str, &str)] = &[
    (
        "archived_sessions/rollout-2026-11-20T15-48-23-01a1f9a5-01d0-7ff0-bb2b-1c847714ca3b.jsonl",
        include_str!(
            "peer/archived_sessions/rollout-2026-11-20T15-48-23-01a1f9a5-01d0-7ff0-bb2b-1c847714ca3b.jsonl"
        ),
    ),
    ("session_index.jsonl", include_str!("peer/session_index.jsonl")),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-20-01a1f9a4-f790-7202-b781-7c170e66903c.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-20-01a1f9a4-f790-7202-b781-7c170e66903c.jsonl"
        ),
    ),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-20-01a1f9a4-f928-7e70-ba37-371aab1fed25.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-20-01a1f9a4-f928-7e70-ba37-371aab1fed25.jsonl"
        ),
    ),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-21-01a1f9a4-fc9f-7201-b86f-53ed82a0a312.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-21-01a1f9a4-fc9f-7201-b86f-53ed82a0a312.jsonl"
        ),
    ),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-22-01a1f9a4-fff6-7e90-a2ea-74f54a873b59.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-22-01a1f9a4-fff6-7e90-a2ea-74f54a873b59.jsonl"
        ),
    ),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-23-01a1f9a5-0294-7340-99b2-753f2a9defa3.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-23-01a1f9a5-0294-7340-99b2-753f2a9defa3.jsonl"
        ),
    ),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-23-01a1f9a5-0294-7340-99b2-753f2a9defa3_01a1f9a5-03cf-7ea2-a6e5-729101367eb8.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-23-01a1f9a5-0294-7340-99b2-753f2a9defa3_01a1f9a5-03cf-7ea2-a6e5-729101367eb8.jsonl"
        ),
    ),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-23-01a1f9a5-04cc-7c43-9c4f-ecec889b254a.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-23-01a1f9a5-04cc-7c43-9c4f-ecec889b254a.jsonl"
        ),
    ),
    (
        "sessions/2026/11/20/rollout-2026-11-20T15-48-24-01a1f9a5-059e-76a3-b0bd-82ccb99028c3.jsonl",
        include_str!(
            "peer/sessions/2026/11/20/rollout-2026-11-20T15-48-24-01a1f9a5-059e-76a3-b0bd-82ccb99028c3.jsonl"
        ),
    ),
];

/// Writes the files in the peer's layout.
///
/// # Errors
/// If a folder or a file cannot be written.
pub fn lay(home: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        let path = home.join(path);
        fs::create_dir_all(path.parent().unwrap_or(home))?;
        fs::write(path, text)?;
    }
    Ok(())
}
