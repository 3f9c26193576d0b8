//! Helpers without a thread: what those of the settings offer. A helper that runs for a thread is looked at there; the others are
//! started for the answer and end with it. Requests that come meanwhile share one look.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared, join_all};
use skein_protocol::helper::McpServerStatus;
use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;

use super::pool::Pool;
use super::{HelperSet, HelperSpec, ProcessHost};
use crate::policy;

type Statuses = Arc<[McpServerStatus]>;
type Look = BoxFuture<'static, Statuses>;

/// The look that is under way, and what it looks at.
#[derive(Default)]
pub struct Lookups(Mutex<Option<(Vec<HelperSpec>, WeakShared<Look>)>>);

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}

impl HelperSet {
    /// Helpers that no thread holds, for one answer: nobody hears of their starts, and what they ask is refused. They end when this
    /// is dropped, but for what others hold or is kept for others.
    #[must_use]
    pub fn for_an_answer(host: &Arc<ProcessHost>, mut specs: Vec<HelperSpec>, cwd: &Path) -> Self {
        for spec in &mut specs {
            if Pool::up(host, spec).is_none() {
                spec.linger = std::time::Duration::ZERO;
            }
        }
        let (events, _nobody_hears) = mpsc::channel(policy::HELPER_EVENTS);
        let nobody = ThreadId::new(host.options.clock.new_id());
        Self::start(host, nobody, specs, cwd.to_owned(), events)
    }
}

impl ProcessHost {
    /// What these helpers offer, each as it is after its start, however that went. Waits for a start as long as its startup
    /// timeout says, and never longer than [`policy::HELPER_STARTUP_TIMEOUT`]; not at all once the server stops.
    pub async fn offered(self: &Arc<Self>, specs: Vec<HelperSpec>, cwd: &Path) -> Statuses {
        let look = {
            let mut under_way = self.lookups.0.lock().unwrap_or_else(PoisonError::into_inner);
            let same = under_way.as_ref().filter(|(of, _)| *of == specs);
            match same.and_then(|(_, look)| look.upgrade()) {
                Some(look) => look,
                None => {
                    let look = look(Arc::clone(self), specs.clone(), cwd.into()).boxed().shared();
                    *under_way = look.downgrade().map(|look| (specs, look));
                    look
                }
            }
        };
        look.await
    }
}

async fn look(host: Arc<ProcessHost>, specs: Vec<HelperSpec>, cwd: Arc<Path>) -> Statuses {
    let up: Vec<_> = specs.iter().map(|spec| Pool::up(&host, spec)).collect();
    let down = specs.iter().zip(&up).filter(|(_, up)| up.is_none()).map(|(spec, _)| spec.clone());
    let set = HelperSet::for_an_answer(&host, down.collect(), &cwd);
    let looked = specs.into_iter().zip(up).map(async |(spec, up)| match up {
        Some(status) => Some(status),
        None => set.offered(&spec.name).await,
    });
    let looked = tokio::select! {
        biased;
        () = host.pool.closing() => Vec::new(),
        looked = join_all(looked) => looked,
    };
    looked.into_iter().flatten().collect()
}
