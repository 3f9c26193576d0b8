//! A PostgreSQL that ends with the process that started it, also if that one is killed.
//!
//! A shell holds the database's life: it makes the cluster, says `ready`, and reads its input, which is a pipe from this
//! process. At the end of the pipe it stops the database and removes the folder. The socket lies in that folder, and no
//! port is taken. PostgreSQL refuses root, so root's tests run it as `nobody`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use nix::unistd::{Uid, User, chown};
use tokio_postgres::Config;

use super::binaries;
use crate::connection::Link;
use crate::schema;

/// `$1` is the folder of the programs, `$2` the cluster's own folder. Nothing is synced: a test loses nothing.
const LIFE: &str = r#"
set -e
trap '' INT HUP
cd "$2"
"$1/initdb" -D data -U skein -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; exit 1; }
"$1/pg_ctl" -D data -w -t 60 -l log -o "-k '$2' -c listen_addresses='' -c fsync=off -c full_page_writes=off \
  -c shared_buffers=16MB -c max_connections=200 -c autovacuum=off" start >/dev/null 2>&1 || { cat log; exit 1; }
echo ready
cat >/dev/null
"$1/pg_ctl" -D data -m immediate stop >/dev/null 2>&1
cd /
rm -rf "$2"
"#;

/// The database that each test's database is a copy of.
const TEMPLATE: &str = "skein_template";

/// A PostgreSQL of this process.
pub struct TestCluster {
    host: String,
    _input: ChildStdin,
    _shell: Child,
    made: AtomicU32,
    template: tokio::sync::OnceCell<()>,
}

/// An empty cluster of Skein in a database of its own.
pub struct TestDatabase {
    /// Its address.
    pub config: Config,
    /// Its name.
    pub name: String,
}

impl TestCluster {
    /// The cluster that all tests of this process share.
    ///
    /// # Panics
    /// If PostgreSQL is not here, or does not start. The message says what to do.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<TestCluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A cluster for one test, whose settings it may change.
    ///
    /// # Panics
    /// As [`TestCluster::shared`].
    pub fn start() -> Self {
        match Self::try_start() {
            Ok(cluster) => cluster,
            Err(error) => panic!("{error}"),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the database of tests, which ends with this process")]
    fn try_start() -> Result<Self, String> {
        let programs = binaries::find()?;
        let folder =
            tempfile::Builder::new().prefix("skein-pg-").tempdir().map_err(|error| error.to_string())?;
        let user = unprivileged(folder.path())?;
        // From here on the shell removes it.
        let folder = folder.keep();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(LIFE).arg("skein-pg").arg(&programs).arg(&folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        if let Some(user) = user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let mut shell = command.spawn().map_err(|error| format!("/bin/sh does not start: {error}"))?;
        let (input, output) = (shell.stdin.take(), shell.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err("the shell has no pipes".to_owned());
        };
        let mut output = BufReader::new(output);
        let mut first = String::new();
        output.read_line(&mut first).map_err(|error| error.to_string())?;
        if first.trim() != "ready" {
            output.read_to_string(&mut first).map_err(|error| error.to_string())?;
            return Err(format!("PostgreSQL does not start: {first}"));
        }
        let host = folder.to_string_lossy().into_owned();
        let template = tokio::sync::OnceCell::new();
        Ok(Self { host, _input: input, _shell: shell, made: AtomicU32::new(0), template })
    }

    /// The address of a database of this cluster.
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.host).user("skein").dbname(database);
        config
    }

    /// Runs statements as the owner of the cluster.
    ///
    /// # Panics
    /// If the database refuses them.
    pub async fn run(&self, database: &str, sql: &str) {
        let mut link =
            Link::connect(&self.config(database)).await.unwrap_or_else(|error| panic!("{error:?}"));
        link.batch(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// A database of its own with an empty cluster of Skein.
    ///
    /// # Panics
    /// If the database refuses to make it.
    pub async fn database(&self) -> TestDatabase {
        self.template
            .get_or_init(|| async {
                self.run("postgres", &format!("create database {TEMPLATE}")).await;
                let made = schema::init(&self.config(TEMPLATE)).await;
                made.map(drop).unwrap_or_else(|error| panic!("{error}"));
            })
            .await;
        self.copy_of(TEMPLATE).await
    }

    /// A database of its own without tables.
    ///
    /// # Panics
    /// If the database refuses to make it.
    pub async fn empty_database(&self) -> TestDatabase {
        self.copy_of("template0").await
    }

    async fn copy_of(&self, template: &str) -> TestDatabase {
        let name = format!("test_{}", self.made.fetch_add(1, Relaxed));
        // A copy of the files is quicker than the log, since nothing is synced.
        self.run("postgres", &format!("create database {name} template {template} strategy file_copy")).await;
        TestDatabase { config: self.config(&name), name }
    }
}

/// The user that runs the database, if this process may not, and the folder for it.
fn unprivileged(folder: &Path) -> Result<Option<User>, String> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name("nobody").ok().flatten();
    let user = user.ok_or("PostgreSQL refuses root, and there is no user nobody to run it as")?;
    chown(folder, Some(user.uid), Some(user.gid)).map_err(|error| error.to_string())?;
    Ok(Some(user))
}
