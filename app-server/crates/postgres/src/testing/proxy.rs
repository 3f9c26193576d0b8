//! A proxy in front of the database of a test, which cuts connections at chosen moments.

use std::path::{Path, PathBuf};

use skein_base::tasks::Tasks;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::TestDatabase;
use crate::address::DbAddress;

/// The next deed of the proxy, at any connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyCut {
    /// It passes them on.
    Nothing,
    /// It closes the connection before a statement reaches the database.
    Statements,
    /// It closes the connection once the database answers; the statement has been carried out by then.
    Answers,
    /// It keeps the connections, and passes nothing on.
    Stalled,
}

/// The state of a proxy.
#[derive(Debug)]
struct ProxyState {
    cut: ProxyCut,
    /// The socket of the database.
    to: PathBuf,
}

/// The proxy. It ends when it is dropped.
pub struct CuttingProxy {
    folder: TempDir,
    /// Its drop ends the proxy.
    state: watch::Sender<ProxyState>,
}

/// The name of a socket of PostgreSQL, in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

impl CuttingProxy {
    /// Starts a proxy in front of a database.
    ///
    /// # Panics
    /// If the system gives no socket.
    pub fn start(tasks: &Tasks, at: &TestDatabase) -> Self {
        let Some(Host::Unix(database)) = at.address.config.get_hosts().first() else {
            panic!("it has a socket")
        };
        let to = database.join(SOCKET);
        let folder = tempfile::Builder::new().prefix("skein-px-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("{error}"));
        let listener = UnixListener::bind(folder.path().join(SOCKET));
        let listener = listener.unwrap_or_else(|error| panic!("{error}"));
        let (state, states) = watch::channel(ProxyState { cut: ProxyCut::Nothing, to });
        drop(tasks.spawn("proxy", accept(tasks.clone(), listener, states)));
        Self { folder, state }
    }

    /// The address of the database through the proxy.
    pub fn address(&self, at: &TestDatabase) -> DbAddress {
        let mut config = Config::new();
        config.host_path(self.folder.path()).user("skein").dbname(&at.name);
        DbAddress::without_tls(config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a proxy in front of a database, with tasks of its own.
    ///
    /// # Panics
    /// If the system gives no socket.
    pub fn alone(at: &TestDatabase) -> Self {
        Self::start(&Tasks::new(), at)
    }

    /// The address of the database through the proxy, as a server takes it.
    pub fn url(&self, at: &TestDatabase) -> String {
        format!("postgres://skein@/{}?host={}", at.name, self.folder.path().display())
    }

    /// Does this from here on.
    pub fn set(&self, cut: ProxyCut) {
        self.state.send_modify(|state| state.cut = cut);
    }

    /// Leads to the database with a socket in this folder, and closes the connections to the one before.
    pub fn lead_to(&self, folder: &Path) {
        self.state.send_modify(|state| state.to = folder.join(SOCKET));
    }
}

async fn accept(tasks: Tasks, listener: UnixListener, mut state: watch::Receiver<ProxyState>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until_dropped(&mut state) => return,
        };
        let Ok((client, _)) = accepted else { return };
        let database = state.borrow().to.clone();
        // The database may be away; the next connection may be made.
        let Ok(server) = UnixStream::connect(&database).await else { continue };
        let mut state = state.clone();
        let both = async move {
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // The first that ends closes both.
            tokio::select! {
                () = pass(from_client, to_server, state.clone(), ProxyCut::Statements) => {}
                () = pass(from_server, to_client, state.clone(), ProxyCut::Answers) => {}
                // Also at the end of the proxy.
                _ = state.wait_for(|state| state.to != database) => {}
            }
        };
        drop(tasks.spawn("proxy/connection", both));
    }
}

async fn until_dropped(state: &mut watch::Receiver<ProxyState>) {
    while state.changed().await.is_ok() {}
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<ProxyState>,
    at: ProxyCut,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut bytes).await {
        // The end of the proxy ends the wait, too.
        let moves = state.wait_for(|state| state.cut != ProxyCut::Stalled).await;
        let Ok(is_cut) = moves.map(|state| state.cut == at) else { return };
        let Some(some) = bytes.get(..count).filter(|some| !some.is_empty() && !is_cut) else { return };
        if to.write_all(some).await.is_err() {
            return;
        }
    }
}
