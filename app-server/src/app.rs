//! The parts for the server, the router and the handlers: the context of threads, and the parts above threads.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use skein_base::clock::WallMs;
use skein_store::home::STDIO;
use tokio::time::Instant;
use uuid::Uuid;

use crate::repair::Repair;
use crate::search::ThreadSearch;
use crate::thread::Context;

/// Where clients come in, once they can.
#[derive(Debug, Default)]
pub(crate) struct ServedAt {
    /// The address of the websocket; none for a server on standard streams.
    pub(crate) address: OnceLock<SocketAddr>,
    /// The control socket; none where the file system has no sockets.
    pub(crate) control: OnceLock<PathBuf>,
}

impl ServedAt {
    /// The address as a URL, which is `stdio://` on standard streams.
    #[must_use]
    pub(crate) fn address(&self) -> String {
        self.address.get().map_or_else(|| STDIO.to_owned(), |address| format!("ws://{address}"))
    }

    /// The path of the control socket; empty where there is none.
    #[must_use]
    pub(crate) fn control_socket(&self) -> String {
        self.control.get().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// The running server's parts. Made once, by `server.rs`; those of the context are read as its own.
pub(crate) struct App {
    /// The parts that threads need.
    pub(crate) context: Arc<Context>,
    /// Looks for texts in threads.
    pub(crate) search: Arc<ThreadSearch>,
    /// How far the mending of what an earlier end of the server left open is.
    pub(crate) repair: Arc<Repair>,
    /// This start of the server.
    pub(crate) start_id: Uuid,
    /// When the server started.
    pub(crate) started: WallMs,
    /// The moment from which the rounds count in which connections look after their clients.
    pub(crate) rounds_since: Instant,
    /// Where it is served.
    pub(crate) served_at: ServedAt,
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
