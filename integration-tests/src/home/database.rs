//! The database of a test's server, where the whole suite runs against PostgreSQL (`scripts/test --store postgres`).

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tokio::process::Command;
use uuid::Uuid;

/// The folder of the database's socket.
const FOLDER: &str = "SKEIN_TEST_DATABASE";
/// The folder of its programs.
const PROGRAMS: &str = "SKEIN_TEST_DATABASE_BIN";
/// The database with an empty cluster of Skein.
const TEMPLATE: &str = "skein_template";

/// A database with an empty cluster.
#[derive(Debug)]
pub(super) struct HomeDatabase {
    folder: PathBuf,
    programs: PathBuf,
    name: String,
}

impl HomeDatabase {
    /// Makes one. `None` where the suite runs with files.
    ///
    /// # Errors
    /// Fails if PostgreSQL refuses.
    pub(super) async fn make() -> anyhow::Result<Option<Self>> {
        let (Some(folder), Some(programs)) = (env::var_os(FOLDER), env::var_os(PROGRAMS)) else {
            return Ok(None);
        };
        let name = format!("test_{}", Uuid::now_v7().simple());
        let database = Self { folder: folder.into(), programs: programs.into(), name };
        database.run("createdb", &["-T", TEMPLATE, "--strategy=file_copy"]).await?;
        Ok(Some(database))
    }

    /// Its address for a server, whose role may only read and write rows.
    pub(super) fn url(&self) -> String {
        format!("postgres://rows@/{}?host={}", self.name, self.folder.display())
    }

    /// The folder of its socket.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes it: each takes as much of the disk as an empty cluster.
    ///
    /// # Errors
    /// Fails if PostgreSQL refuses.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        self.run("dropdb", &["--force"]).await
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-h").arg(&self.folder).args(["-U", "skein"]).args(arguments).arg(&self.name);
        let done = command.output().await.context(program.to_owned())?;
        ensure!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}
