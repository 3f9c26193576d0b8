//! A PostgreSQL of its own, with a database for each test.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::binaries;
use super::guarded::GuardedProgram;
use crate::connection::Link;
use crate::schema;

/// `$1` is the folder of the programs. The socket lies in the folder, and no port is taken. Nothing is synced: a test loses
/// nothing.
const LIFE: &str = r#"
"$1/initdb" -D data -U skein -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; exit 1; }
programs=$1
begin() {
  "$programs/pg_ctl" -D data -w -t 60 -l log -o "-k '$PWD' -c listen_addresses='' -c fsync=off -c full_page_writes=off \
    -c shared_buffers=16MB -c max_connections=200 -c autovacuum=off" start >/dev/null 2>&1 || { cat log; exit 1; }
}
end() { "$programs/pg_ctl" -D data -m immediate stop >/dev/null 2>&1; }
begin
until_the_end
end
"#;

/// The database that each test's database is a copy of.
const TEMPLATE: &str = "skein_template";

/// A PostgreSQL of this process.
pub struct TestCluster {
    program: GuardedProgram,
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

impl TestDatabase {
    /// Its address, as a server takes it.
    pub fn url(&self) -> String {
        let socket = self.config.get_hosts().iter().find_map(|host| match host {
            Host::Unix(folder) => Some(folder.display().to_string()),
            Host::Tcp(_) => None,
        });
        format!("postgres://skein@/{}?host={}", self.name, socket.unwrap_or_default())
    }
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
        let programs = binaries::of_postgresql().unwrap_or_else(|error| panic!("{error}"));
        let program = GuardedProgram::start(LIFE, &[programs.as_os_str()]);
        Self { program, made: AtomicU32::new(0), template: tokio::sync::OnceCell::new() }
    }

    /// Ends the database as if it was killed.
    ///
    /// # Panics
    /// If its shell is gone.
    pub fn stop(&self) {
        self.program.call("end");
    }

    /// Starts it again, with everything that was committed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&self) {
        self.program.call("begin");
    }

    /// The address of a database of this cluster.
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.program.folder()).user("skein").dbname(database);
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
