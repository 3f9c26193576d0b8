//! Signs of life of helpers with outstanding calls: processor time and I/O of their trees, threads that run or would if a processor
//! were free, and TCP connections. One task samples all
//! watched helpers of a host, and runs only while there is one. Must never decide: it only measures.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::Pid;
use skein_base::system::proc::Process;
use skein_base::system::{self, RunState, Used};
use skein_base::tasks::{BlockingPool, Tasks};
use tokio::sync::{Notify, watch};

use crate::policy;
use crate::process::table::ProcessTable;

/// One sample of a helper's processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The number of the sample; 0 is none yet.
    pub(crate) number: u64,
    /// The resource use of each process, by pid. Any difference is a sign of life.
    pub(crate) used: Vec<(i32, Used)>,
    /// A thread of them runs, or waits for a processor, perhaps for long on a busy machine.
    pub(crate) runs: bool,
    /// A process of it, one that is not stopped, has an established TCP connection.
    pub(crate) connected: bool,
}

/// Samples the processes of watched helpers.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    watched: Mutex<Watched>,
    /// Notified when no helper is watched and none will be.
    nobody: Notify,
}

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    running: bool,
    /// No more helpers will be watched.
    closing: bool,
    helpers: HashMap<u64, Helper>,
}

/// A watched helper and its guard.
type Root = (u64, Option<Process>);

#[derive(Debug)]
struct Helper {
    guard: Option<Process>,
    every: Duration,
    samples: watch::Sender<Sample>,
}

/// Watches a helper until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    sampler: Arc<Sampler>,
    id: u64,
    /// The last sample.
    pub(crate) seen: watch::Receiver<Sample>,
}

#[cfg(test)]
impl Watch {
    /// Sees these samples.
    pub(crate) fn of(seen: watch::Receiver<Sample>) -> Self {
        Self { sampler: Arc::default(), id: 0, seen }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.sampler.watched();
        watched.helpers.remove(&self.id);
        self.sampler.ring(&watched);
    }
}

impl Sampler {
    /// Ends the task with the last watched helper. Otherwise it stays for a pause, which spares short calls a sample each.
    pub(crate) fn close(&self) {
        let mut watched = self.watched();
        watched.closing = true;
        self.ring(&watched);
    }

    fn ring(&self, watched: &Watched) {
        if watched.closing && watched.helpers.is_empty() {
            self.nobody.notify_one();
        }
    }

    /// Samples the processes below `guard` several times within `liveness`.
    pub(crate) fn watch(
        self: &Arc<Self>,
        tasks: &Tasks,
        guard: Option<Process>,
        liveness: Duration,
    ) -> Watch {
        let every = liveness / policy::HELPER_LOOKS;
        let every = every.clamp(policy::HELPER_LOOK_LEAST, policy::HELPER_LOOK_MOST);
        let (samples, seen) = watch::channel(Sample::default());
        let mut watched = self.watched();
        let id = watched.next;
        watched.next += 1;
        watched.helpers.insert(id, Helper { guard, every, samples });
        if !std::mem::replace(&mut watched.running, true) {
            tasks.spawn("helper-liveness", Arc::clone(self).run(tasks.clone()));
        }
        drop(watched);
        Watch { sampler: Arc::clone(self), id, seen }
    }

    /// Runs until no helper is watched.
    async fn run(self: Arc<Self>, tasks: Tasks) {
        let mut number = 0;
        while let Some((pause, roots)) = self.due() {
            number += 1;
            let look = move || look_at(&roots, number);
            // A panic is logged, and is no sign of life.
            let looked =
                tasks.blocking("helper-liveness", BlockingPool::Processes, look).await.unwrap_or_default();
            self.publish(looked);
            // The stop of a server waits for this task.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.nobody.notified() => {}
            }
        }
    }

    /// The helpers to sample, and the pause after that.
    fn due(&self) -> Option<(Duration, Vec<Root>)> {
        let mut watched = self.watched();
        let pause = watched.helpers.values().map(|helper| helper.every).min();
        watched.running = pause.is_some();
        Some((pause?, watched.helpers.iter().map(|(id, helper)| (*id, helper.guard)).collect()))
    }

    fn publish(&self, looked: Vec<(u64, Sample)>) {
        let watched = self.watched();
        for (id, look) in looked {
            if let Some(helper) = watched.helpers.get(&id) {
                helper.samples.send_replace(look);
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        // The map is consistent whenever the lock is free, also after a panic.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples all helpers. Blocks.
fn look_at(roots: &[Root], number: u64) -> Vec<(u64, Sample)> {
    let table = ProcessTable::take();
    let looks = roots.iter().map(|(id, guard)| {
        let pids = guard.as_ref().map(|guard| table.pids_below(guard)).unwrap_or_default();
        (*id, look(&pids, number))
    });
    looks.collect()
}

fn look(pids: &[Pid], number: u64) -> Sample {
    let seen: Vec<_> = pids.iter().filter_map(|pid| Some((*pid, system::used(*pid)?))).collect();
    let is = |wanted: RunState| move |(_, (_, state)): &&(Pid, (Used, RunState))| *state == wanted;
    let stopped = is(RunState::Stopped);
    let awake: Vec<Pid> = seen.iter().filter(|process| !stopped(process)).map(|(pid, _)| *pid).collect();
    Sample {
        number,
        runs: seen.iter().any(|process| is(RunState::Runnable)(&process)),
        used: seen.into_iter().map(|(pid, (used, _))| (pid.as_raw(), used)).collect(),
        connected: connected(&awake),
    }
}

/// Whether one of these processes holds an established TCP connection.
fn connected(pids: &[Pid]) -> bool {
    let held: HashSet<u64> = pids.iter().flat_map(|pid| system::sockets(*pid)).collect();
    let Some(first) = pids.first().filter(|_| !held.is_empty()) else { return false };
    // As the helper sees them, should it have a network of its own.
    ["tcp", "tcp6"].iter().any(|table| {
        let table = system::shown(*first, &format!("net/{table}"));
        established(&String::from_utf8_lossy(&table)).any(|inode| held.contains(&inode))
    })
}

/// The inodes of established connections in a table such as `/proc/net/tcp` (proc_pid_net(5)).
fn established(table: &str) -> impl Iterator<Item = u64> {
    /// `TCP_ESTABLISHED`, as the table writes it.
    const ESTABLISHED: &str = "01";
    table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        fields.nth(3).filter(|state| *state == ESTABLISHED)?;
        fields.nth(5)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use skein_base::clock::Clock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_task_ends_with_the_last_that_is_looked_at() {
        let (looks, tasks) = (Arc::<Sampler>::default(), Tasks::new());
        let mut watches = [(); 2].map(|()| looks.watch(&tasks, None, Duration::from_secs(3600)));
        for watch in &mut watches {
            watch.seen.changed().await.expect("a look");
        }
        let before = Clock.now();
        let [first, mut last] = watches;
        drop(first);
        looks.close();
        last.seen.changed().await.expect("the other one is looked at, as before");
        let pause = Clock.now() - before;
        assert_eq!(pause, policy::HELPER_LOOK_MOST);
        drop(last);
        tasks.finish().await;
        assert_eq!(Clock.now() - before, pause, "a stop of the server waits for this task");
    }

    #[test]
    fn only_established_connections_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0\n   \
            1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 20 4\n";
        assert_eq!(established(table).collect::<Vec<_>>(), [222]);
    }

    #[test]
    fn this_process_is_seen_to_work_and_to_hold_a_connection() {
        let me = [Pid::this()];
        let before = look(&me, 1);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let held = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let after = look(&me, 2);
        assert_ne!(before.used, after.used, "it has read files");
        assert!(after.connected);
        drop(held);
    }
}
