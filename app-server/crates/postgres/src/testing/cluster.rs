//! A PostgreSQL of its own, with a database for each test.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::binaries;
use super::guarded::GuardedProgram;
use crate::address::DbAddress;
use crate::connection::Link;
use crate::schema;

/// `$1` is the folder of the programs. The socket lies in the folder, and no port is taken. Nothing is synced: a test loses
/// nothing.
const LIFE: &str = r#"
# $2 to $5, for a cluster with TLS, are a port of this machine, the certificate of the database, its key, and the certificate
# of those who vouch for clients.
"$1/initdb" -D data -U skein -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; exit 1; }
programs=$1
tls=
if [ -n "$2" ]; then
  umask 077
  printf %s "$3" >data/server.crt
  printf %s "$4" >data/server.key
  printf %s "$5" >data/clients.crt
  printf '%s\n' 'local all all trust' 'hostssl all certified 127.0.0.1/32 cert' 'hostssl all all 127.0.0.1/32 scram-sha-256' \
    >data/pg_hba.conf
  tls="-c listen_addresses=127.0.0.1 -c port=$2 -c ssl=on -c ssl_ca_file=clients.crt"
fi
# The folder of the data that serves; the socket lies beside it.
now=data
begin_in() {
  "$programs/pg_ctl" -D "$1" -w -t 60 -l log -o "-k '$PWD/${1%data}' -c listen_addresses='' -c fsync=off -c full_page_writes=off \
    -c shared_buffers=16MB -c max_connections=200 -c autovacuum=off $tls $2" start >/dev/null 2>&1 || { cat log; exit 1; }
}
end_in() { "$programs/pg_ctl" -D "$1" -m immediate stop >/dev/null 2>&1; }
begin() { begin_in "$now"; }
end() { end_in "$now"; }
stand_by() {
  mkdir next
  "$programs/pg_basebackup" -D next/data -h "$PWD" -U skein -R -c fast --no-sync >log 2>&1 || { cat log; exit 1; }
  begin_in next/data
}
promote() {
  end
  now=next/data
  "$programs/pg_ctl" -D "$now" -w promote >/dev/null 2>&1 || { cat log; exit 1; }
}
# It waits for no standby, as one that nobody has told of its successor.
old_comes() { begin_in data "-c synchronous_standby_names=''"; }
old_goes() { end_in data; }
begin
until_the_end
end_in data
[ ! -d next ] || end_in next/data
"#;

/// The database that each test's database is a copy of.
const TEMPLATE: &str = "skein_template";

/// The port in the name of a socket, where no port is taken.
const NO_PORT: u16 = 5432;
/// Ports that the system gives to no connection by itself (ip_local_port_range), so that a free one stays free.
const PORTS: Range<u16> = 20_000..32_000;
/// Ports that a process of tests tries before it comes to those of the next process.
const PORTS_OF_PROCESS: u16 = 12;

/// The certificates of a database with TLS, as PEM.
#[derive(Debug)]
pub struct TestCertificates {
    /// The certificate of the database.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The certificate of those who vouch for clients.
    pub clients: String,
}

/// A PostgreSQL of this process.
pub struct TestCluster {
    program: GuardedProgram,
    port: u16,
    made: AtomicU32,
    /// Whether the standby has taken over.
    is_promoted: AtomicBool,
    template: tokio::sync::OnceCell<()>,
}

/// An empty cluster of Skein in a database of its own.
pub struct TestDatabase {
    /// Its address.
    pub address: DbAddress,
    /// Its name.
    pub name: String,
}

impl TestDatabase {
    /// Its address, as a server takes it.
    pub fn url(&self) -> String {
        let socket = self.address.config.get_hosts().iter().find_map(|host| match host {
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
        let programs = Self::programs();
        Self::of(GuardedProgram::start(LIFE, &[programs.as_os_str()]), NO_PORT)
    }

    /// A cluster for one test, which serves a port of this machine with TLS only: by password, or, to the role
    /// `certified`, by certificate.
    ///
    /// # Panics
    /// As [`TestCluster::shared`].
    pub fn with_tls(certificates: &TestCertificates) -> Self {
        let programs = Self::programs();
        let port = free_port();
        let TestCertificates { certificate, key, clients } = certificates;
        let text = port.to_string();
        let args =
            [programs.as_os_str(), text.as_ref(), certificate.as_ref(), key.as_ref(), clients.as_ref()];
        Self::of(GuardedProgram::start(LIFE, &args), port)
    }

    fn of(program: GuardedProgram, port: u16) -> Self {
        let (made, is_promoted) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { program, port, made, is_promoted, template: tokio::sync::OnceCell::new() }
    }

    /// The folder of PostgreSQL's programs.
    ///
    /// # Panics
    /// If PostgreSQL is not here. The message says what to do.
    pub fn programs() -> std::path::PathBuf {
        let folder = binaries::of_postgresql().unwrap_or_else(|error| panic!("{error}"));
        // Where these are links, more programs are beside their targets.
        let target = std::fs::canonicalize(folder.join("initdb")).ok();
        target.and_then(|program| Some(program.parent()?.to_owned())).unwrap_or(folder)
    }

    /// The port with TLS.
    pub fn port(&self) -> u16 {
        self.port
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

    /// Starts a standby, which confirms each commit from here on.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn stand_by(&self) {
        self.program.call("stand_by");
        self.run("postgres", "alter system set synchronous_standby_names = '*'").await;
        self.run("postgres", "select pg_reload_conf()").await;
    }

    /// Ends the primary as if it was killed, and makes its standby the primary.
    ///
    /// # Panics
    /// If there is no standby.
    pub fn promote(&self) {
        self.program.call("promote");
        self.is_promoted.store(true, Relaxed);
    }

    /// Starts the old primary again, beside the one that has replaced it.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_old_primary(&self) {
        self.program.call("old_comes");
    }

    /// Ends the old primary.
    ///
    /// # Panics
    /// If its shell is gone.
    pub fn stop_old_primary(&self) {
        self.program.call("old_goes");
    }

    /// The folder with the socket of the primary.
    pub fn socket(&self) -> PathBuf {
        let folder = self.program.folder();
        if self.is_promoted.load(Relaxed) { folder.join("next") } else { folder.to_owned() }
    }

    /// The folder with the socket of the first primary.
    pub fn first_socket(&self) -> PathBuf {
        self.program.folder().to_owned()
    }

    /// The address of a database of this cluster.
    pub fn address(&self, database: &str) -> DbAddress {
        let mut config = Config::new();
        config.host_path(self.socket()).port(self.port).user("skein").dbname(database);
        DbAddress::without_tls(config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs statements as the owner of the cluster.
    ///
    /// # Panics
    /// If the database refuses them.
    pub async fn run(&self, database: &str, sql: &str) {
        let mut link =
            Link::connect(&self.address(database)).await.unwrap_or_else(|error| panic!("{error:?}"));
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
                let made = schema::init(&self.address(TEMPLATE)).await;
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
        TestDatabase { address: self.address(&name), name }
    }
}

/// A port that nobody listens at. Tests beside this one, in this process and in others, are given others.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let shares = u32::from(PORTS.end.saturating_sub(PORTS.start) / PORTS_OF_PROCESS);
    let share = u16::try_from(std::process::id() % shares).unwrap_or_default();
    let begin = PORTS.start.saturating_add(share.saturating_mul(PORTS_OF_PROCESS));
    let given = std::iter::repeat_with(|| begin.saturating_add(NEXT.fetch_add(1, Relaxed)));
    let mut free = given
        .take_while(|port| PORTS.contains(port))
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().unwrap_or_else(|| panic!("no port from {begin} on is free"))
}

/// Waits until a statement of another connection to the same database waits for a row.
#[cfg(test)]
pub(crate) async fn until_a_statement_waits(link: &mut Link) {
    let sql =
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while link.read(sql, &[]).await.unwrap_or_else(|error| panic!("{error:?}")).is_empty() {
        // A transaction sees the activity of its first look until it clears it.
        link.read("select pg_stat_clear_snapshot()", &[]).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
}
