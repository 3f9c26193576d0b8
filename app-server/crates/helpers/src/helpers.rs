//! The helpers of one server: the host that makes their processes, and the pool of instances that threads lease.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skein_protocol::extension::HelperDetail;
use skein_protocol::helper::McpServerStatus;
use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;

use crate::pool::{HelperPool, PoolCounts};
use crate::process::host::{HostOptions, ProcessHost};
use crate::process::table::ProcessTable;
use crate::set::HelperSet;
use crate::set::lookup::{self, Lookups};
use crate::spec::HelperSpec;
use crate::supervisor::{HelperEvent, Starter};

mod caller;

pub use caller::Caller;

/// All helpers of one server.
#[derive(Debug)]
pub struct Helpers {
    host: Arc<ProcessHost>,
    pub(super) pool: Arc<HelperPool>,
    /// Lookups at helpers that belong to no thread.
    lookups: Lookups,
}

impl Helpers {
    /// Starts the host, and a pool without instances. See [`ProcessHost::start`].
    ///
    /// # Errors
    /// Those of [`ProcessHost::start`].
    pub fn start(options: HostOptions) -> io::Result<Arc<Self>> {
        let host = ProcessHost::start(options)?;
        let starter = Box::new(Arc::clone(&host));
        Ok(Self::over(host, starter))
    }

    /// The same, with doubles in the place of supervisors and processes.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_doubles(
        options: HostOptions,
        doubles: mpsc::Sender<crate::pool::double::Double>,
    ) -> io::Result<Arc<Self>> {
        Ok(Self::over(ProcessHost::start(options)?, Box::new(doubles)))
    }

    fn over(host: Arc<ProcessHost>, starter: Box<dyn Starter>) -> Arc<Self> {
        let pool = HelperPool::new(&host, starter);
        Arc::new(Self { host, pool, lookups: Lookups::default() })
    }

    /// The host that starts and stops their processes.
    pub fn host(&self) -> &Arc<ProcessHost> {
        &self.host
    }

    /// Starts all helpers of `specs` for a thread, in parallel, and waits for none; what lives already is shared or taken up
    /// again. `cwd` is the thread's working directory.
    #[must_use]
    pub fn of_thread(
        &self,
        thread: ThreadId,
        specs: Vec<HelperSpec>,
        cwd: PathBuf,
        events: mpsc::Sender<HelperEvent>,
    ) -> HelperSet {
        HelperSet::start(&self.pool, thread, specs, cwd, events)
    }

    /// Helpers that no thread holds, for one answer: their starts are not announced, and their questions are refused. They end when
    /// the set is dropped, except those with other holders or with a `linger`.
    #[must_use]
    pub fn for_an_answer(&self, specs: Vec<HelperSpec>, cwd: &Path) -> HelperSet {
        lookup::for_an_answer(&self.pool, specs, cwd)
    }

    /// The tools and resources of these helpers, each after its start, even a failed one. Waits for a start as long as its startup
    /// timeout says, and never longer than `crate::policy::HELPER_STARTUP_TIMEOUT`; not at all once the server stops.
    pub async fn offered(&self, specs: Vec<HelperSpec>, cwd: &Path) -> Arc<[McpServerStatus]> {
        self.lookups.offered(&self.pool, specs, cwd).await
    }

    /// The helpers that `thread` uses, or all, each once, with its processes as `table` has found them. Waits for nothing.
    pub fn details(&self, thread: Option<ThreadId>, table: &ProcessTable) -> Vec<HelperDetail> {
        self.pool.details(thread, table)
    }

    /// How many helpers no thread uses. Waits for nothing.
    pub fn idle(&self) -> PoolCounts {
        self.pool.counts()
    }

    /// Starts helpers again that are given up or wait for their next start, where threads use them. Waits for none.
    pub fn revive(&self) {
        self.pool.revive();
    }

    /// Until the server stops.
    pub async fn closing(&self) {
        self.pool.closing().await;
    }

    /// Kills the helpers that are kept for who comes back.
    pub fn kill_lingering(&self) {
        self.pool.kill_lingering();
    }

    /// Ends the helpers that are kept for who comes back, and keeps none from now on. Returns when no helper is left: those
    /// that threads use end with their threads.
    pub async fn close(&self) {
        self.host.close();
        self.pool.close().await;
    }
}
