//! The folders that a server has: a thread is loaded where its folder is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use skein_base::clock::Clock;
use skein_base::tasks::BlockingPool;
use skein_postgres::standing::Neighbour;
use skein_protocol::ids::ThreadId;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Links;
use crate::policy;
use crate::thread::{Context, directory};

/// Whether this server has a folder that a client names. `None` if the disk does not say so in time. The looks of one asker run one after
/// the other: a disk that hangs keeps one thread of the pool.
pub(crate) async fn is_there(context: &Context, looks: Arc<Semaphore>, folder: &str) -> Option<bool> {
    let path = directory::named(Some(folder));
    let looked = async {
        let turn = looks.acquire_owned().await.ok()?;
        let look = move || {
            let is_there = is_folder(Path::new(&path));
            drop(turn);
            is_there
        };
        context.tasks.blocking("folder", BlockingPool::Context, look).await.ok()?
    };
    timeout(policy::FOLDER_LOOK, looked).await.ok()?
}

/// `None` if the system does not say so.
fn is_folder(path: &Path) -> Option<bool> {
    match path.metadata() {
        Ok(metadata) => Some(metadata.is_dir()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Some(false),
        Err(_) => None,
    }
}

impl Links {
    /// The other servers that have a folder which this one has not, those with the fewest threads first. None if this one may have it.
    pub(crate) async fn servers_with(
        &self,
        context: &Context,
        looks: &Arc<Semaphore>,
        folder: &str,
    ) -> Vec<Neighbour> {
        if !self.has_peers() || is_there(context, Arc::clone(looks), folder).await != Some(false) {
            return Vec::new();
        }
        let nodes = self.questions.with_folder(folder).await;
        if nodes.is_empty() {
            return Vec::new();
        }
        let mut servers = match self.place.neighbours().await {
            Ok(servers) => servers,
            Err(error) => {
                tracing::debug!(%error, folder, "the servers with a folder are not known");
                return Vec::new();
            }
        };
        servers.retain(|server| nodes.contains(&server.node));
        servers.sort_by_cached_key(|server| self.loaded.count(server.node));
        servers
    }

    /// Those of these threads whose folder another server has, and not this one.
    async fn of_others(&self, context: &Context, threads: &[ThreadId]) -> HashSet<ThreadId> {
        let rows = context.index.rows(threads.to_vec()).await.ok().flatten().unwrap_or_default();
        let mut folders: BTreeMap<String, Vec<ThreadId>> = BTreeMap::new();
        for row in rows {
            folders.entry(row.cwd).or_default().push(row.id);
        }
        let asked = folders.into_iter().map(async |(folder, threads)| {
            let looks = Arc::new(Semaphore::new(1));
            let asked = timeout(policy::FOLDERS_LOOK, self.servers_with(context, &looks, &folder)).await;
            asked.is_ok_and(|servers| !servers.is_empty()).then_some(threads)
        });
        join_all(asked).await.into_iter().flatten().flatten().collect()
    }
}

/// Passes on the threads that servers have left open when they ended, until `stop`. Those whose folder only others have are left to them for
/// a while.
pub(crate) async fn leave_to_others(
    context: Arc<Context>,
    links: Arc<Links>,
    mut found: mpsc::Receiver<Vec<ThreadId>>,
    own: mpsc::Sender<Vec<ThreadId>>,
    stop: CancellationToken,
) {
    let mut left = HashMap::new();
    let passing = async {
        while let Some(threads) = found.recv().await {
            let of_others = links.of_others(&context, &threads).await;
            let own_ones = left_here(threads, &of_others, &mut left, Clock.now());
            if !own_ones.is_empty() && own.send(own_ones).await.is_err() {
                return;
            }
        }
    };
    stop.run_until_cancelled(passing).await;
}

/// The threads for this server. `left` has those that are left to others, and since when.
fn left_here(
    threads: Vec<ThreadId>,
    of_others: &HashSet<ThreadId>,
    left: &mut HashMap<ThreadId, Instant>,
    now: Instant,
) -> Vec<ThreadId> {
    left.retain(|thread, _| of_others.contains(thread) && threads.contains(thread));
    let mut is_left = |thread: &ThreadId| {
        let is_of_others = of_others.contains(thread);
        is_of_others
            && now.saturating_duration_since(*left.entry(*thread).or_insert(now)) < policy::LEFT_TO_OTHERS
    };
    threads.into_iter().filter(|thread| !is_left(thread)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_thread_is_left_to_those_with_its_folder_for_a_while() {
        let [here, there] = [1, 2].map(|id| ThreadId::new(Uuid::from_u128(id)));
        let (of_others, mut left, began) = (HashSet::from([there]), HashMap::new(), Clock.now());
        let mut at =
            |threads: &[ThreadId], after| left_here(threads.to_vec(), &of_others, &mut left, began + after);
        assert_eq!(at(&[here, there], Duration::ZERO), [here]);
        assert_eq!(at(&[there], policy::LEFT_TO_OTHERS / 2), []);
        assert_eq!(at(&[there], policy::LEFT_TO_OTHERS), [there], "nobody has taken it");
        assert_eq!(at(&[], policy::LEFT_TO_OTHERS), []);
        assert_eq!(at(&[there], policy::LEFT_TO_OTHERS), [], "it is open again");
    }

    #[test]
    fn a_folder_is_there_or_not_or_the_system_does_not_say_so() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(is_folder(dir.path()), Some(true));
        for missing in ["no", "file", "file/below"] {
            assert_eq!(is_folder(&dir.path().join(missing)), Some(false), "{missing}");
        }
        assert_eq!(is_folder(&dir.path().join("x".repeat(300))), None);
    }
}
