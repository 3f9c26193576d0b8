//! Finds the programs of PostgreSQL, and its pooler.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The oldest version that the store works with.
const OLDEST: u32 = 15;

/// The programs that a test cluster needs.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// The folder with the programs: `$SKEIN_PG_BIN`, a folder of the PATH, or the newest of Debian's.
pub(super) fn of_postgresql() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("SKEIN_PG_BIN") {
        let named = PathBuf::from(named);
        return if is_whole(&named) {
            Ok(named)
        } else {
            Err(format!("SKEIN_PG_BIN is {}, where not all of {PROGRAMS:?} are", named.display()))
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain(of_debian()).find(|folder| is_whole(folder));
    found.ok_or_else(|| {
        format!(
            "PostgreSQL {OLDEST} or later is needed for this test, and is not here; install it with: sudo apt-get install \
             --no-install-recommends postgresql-{OLDEST}, or name its folder of programs in SKEIN_PG_BIN"
        )
    })
}

/// The pooler: in a folder of the PATH, or in Debian's folder of servers.
pub(super) fn of_pgbouncer() -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file());
    found.ok_or_else(|| {
        "pgbouncer is needed for this test, and is not here; install it with: sudo apt-get install \
         --no-install-recommends pgbouncer"
            .to_owned()
    })
}

fn is_whole(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

/// Debian's folders, the newest version first.
fn of_debian() -> impl Iterator<Item = PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(version, _)| *version >= OLDEST)
        .collect();
    found.sort_unstable();
    found.into_iter().rev().map(|(_, folder)| folder)
}
