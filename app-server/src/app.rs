//! The parts for the server, the router and the handlers: the context of threads, and the parts above threads.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use skein_base::clock::WallMs;
use skein_config::access::{AdmittedConnections, Credentials, Refusals};
use skein_postgres::standing::NodePlace;
use skein_store::home::STDIO;
use tokio::time::Instant;
use uuid::Uuid;

use crate::links::Links;
use crate::repair::StartupRepair;
use crate::search::ThreadSearch;
use crate::thread::Context;

/// The server's addresses, once it listens.
#[derive(Debug, Default)]
pub(crate) struct ServedAt {
    /// The addresses as clients write them, those of ports first; none on standard streams.
    pub(crate) addresses: OnceLock<Vec<String>>,
    /// The control socket; none on a file system without sockets.
    pub(crate) control: OnceLock<PathBuf>,
}

impl ServedAt {
    /// The addresses; none on standard streams.
    pub(crate) fn addresses(&self) -> &[String] {
        self.addresses.get().map_or(&[], Vec::as_slice)
    }

    /// The first address as a URL, which is `stdio://` on standard streams.
    pub(crate) fn address(&self) -> String {
        self.addresses().first().cloned().unwrap_or_else(|| STDIO.to_owned())
    }

    /// The path of the control socket; empty without one.
    pub(crate) fn control_socket(&self) -> String {
        self.control.get().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// The running server's parts, created once by `server.rs`. Dereferences to the context.
pub(crate) struct App {
    /// The parts that threads need.
    pub(crate) context: Arc<Context>,
    pub(crate) search: Arc<ThreadSearch>,
    /// The sessions, tokens and tickets of the home.
    pub(crate) credentials: Arc<Credentials>,
    /// The progress of the repair.
    pub(crate) repair: Arc<StartupRepair>,
    /// The place in its cluster; none where threads are files.
    pub(crate) cluster: Option<NodePlace>,
    /// The links to the other servers of its cluster; none for a server alone.
    pub(crate) links: Option<Arc<Links>>,
    /// The id of this server start.
    pub(crate) start_id: Uuid,
    /// When the server started.
    pub(crate) started: WallMs,
    /// The origin of the rounds in which connections check their clients.
    pub(crate) rounds_since: Instant,
    pub(crate) served_at: ServedAt,
    /// The requests and connections that did not get in.
    pub(crate) refusals: Arc<Refusals>,
    /// The rights of the open connections.
    pub(crate) admitted: Arc<AdmittedConnections>,
}

impl Deref for App {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("start_id", &self.start_id).finish_non_exhaustive()
    }
}
