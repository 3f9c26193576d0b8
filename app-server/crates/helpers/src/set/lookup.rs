//! Helpers without a thread: what those of the settings offer. A helper that runs for a thread is looked at there; the others are
//! started for the answer and end with it. Requests that come meanwhile share one look.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared, join_all};
use skein_protocol::helper::McpServerStatus;
use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;

use crate::policy;
use crate::pool::HelperPool;
use crate::set::HelperSet;
use crate::spec::HelperSpec;

type Statuses = Arc<[McpServerStatus]>;
type Lookup = BoxFuture<'static, Statuses>;

/// The look that is under way, and what it looks at.
#[derive(Default)]
pub(crate) struct Lookups(Mutex<Option<(Vec<HelperSpec>, WeakShared<Lookup>)>>);

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}

impl Lookups {
    /// See [`crate::helpers::Helpers::offered`].
    pub(crate) async fn offered(
        &self,
        pool: &Arc<HelperPool>,
        specs: Vec<HelperSpec>,
        cwd: &Path,
    ) -> Statuses {
        let look = {
            let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let same = under_way.as_ref().filter(|(of, _)| *of == specs);
            match same.and_then(|(_, look)| look.upgrade()) {
                Some(look) => look,
                None => {
                    let look = look(Arc::clone(pool), specs.clone(), cwd.into()).boxed().shared();
                    *under_way = look.downgrade().map(|look| (specs, look));
                    look
                }
            }
        };
        look.await
    }
}

/// See [`crate::helpers::Helpers::for_an_answer`].
pub(crate) fn for_an_answer(pool: &Arc<HelperPool>, mut specs: Vec<HelperSpec>, cwd: &Path) -> HelperSet {
    for spec in &mut specs {
        if pool.up(spec).is_none() {
            spec.linger = std::time::Duration::ZERO;
        }
    }
    let (events, _nobody_hears) = mpsc::channel(policy::HELPER_EVENTS);
    let nobody = ThreadId::new(pool.host.options.clock.new_id());
    HelperSet::start(pool, nobody, specs, cwd.to_owned(), events)
}

async fn look(pool: Arc<HelperPool>, specs: Vec<HelperSpec>, cwd: Arc<Path>) -> Statuses {
    let up: Vec<_> = specs.iter().map(|spec| pool.up(spec)).collect();
    let down = specs.iter().zip(&up).filter(|(_, up)| up.is_none()).map(|(spec, _)| spec.clone());
    let set = for_an_answer(&pool, down.collect(), &cwd);
    let looked = specs.into_iter().zip(up).map(async |(spec, up)| match up {
        Some(status) => Some(status),
        None => set.offered(&spec.name).await,
    });
    let looked = tokio::select! {
        biased;
        () = pool.closing() => Vec::new(),
        looked = join_all(looked) => looked,
    };
    looked.into_iter().flatten().collect()
}
