//! Evicts threads. With too many loaded threads, too much memory in use or few descriptors left, threads that wait for an
//! answer are parked, and then the longest idle threads are unloaded, subscribed or not. Before that, files of threads at rest are closed until their next write.
//! One task decides, so that one new thread evicts at most one other. Busy threads stay. New threads never wait:
//! limits may be exceeded during an unload.
//!
//! When fewer than 64 descriptors are left (with a limit below 256, a quarter of it, but at least 28), this task syncs and closes
//! the files of threads at rest. If that is not enough it unloads idle threads. The last 16 descriptors are for files. Above
//! `limits.loaded_threads` or `limits.memory` these threads go. Subscribers of an idle one receive `notLoaded` and keep the
//! subscription; `turn/start`, `thread/name/set` or `thread/resume` loads the thread again. A thread that cannot be read again
//! (no message yet, or ephemeral) stays.

use std::sync::Arc;

use skein_base::clock::until;
use skein_base::descriptors;
use skein_config::Limits;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::thread::Context;
use crate::thread::machine::Phase;
use crate::thread::registry::ThreadHandle;
use crate::{memory, policy};

#[cfg(test)]
mod tests;

/// Evicts threads until `stop`. Without a memory limit, and with enough descriptors, it sleeps until
/// [`memory::MemoryPressure::look`].
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut judge = Judge::default();
    let mut next_look = context.clock.now();
    loop {
        let limits = context.config().limits;
        let at = (limits.memory.is_some() || judge.is_scarce).then_some(next_look);
        let resident = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = until(at) => {
                next_look = context.clock.now() + policy::MEMORY_LOOK;
                limits.memory.map(|limit| needed_memory(Some(limit)))
            }
            () = context.pressure.asked() => None,
        };
        let descriptors = tokio::select! {
            () = stop.cancelled() => return,
            descriptors = needed_descriptors(&context) => descriptors,
        };
        relieve(&context, &mut judge, &MemoryNeeds { resident, descriptors });
    }
}

/// The measurements of a check.
#[derive(Debug, Clone, Copy, Default)]
struct MemoryNeeds {
    /// The resident memory, if measured.
    resident: Option<u64>,
    /// The descriptors in use, if few are left.
    descriptors: Option<u64>,
}

/// The descriptors in use, if few are left although threads at rest have closed their files.
async fn needed_descriptors(context: &Context) -> Option<u64> {
    descriptors::in_use_when_scarce()?;
    // A hanging disk does not stop evictions.
    let closed = timeout(policy::UNLOAD_LIMIT, context.store.close_idle()).await.ok();
    tracing::debug!(
        ?closed,
        "descriptors are scarce: rollouts of threads at rest are closed until their next write"
    );
    descriptors::in_use_when_scarce()
}

/// The server's resident memory; above the limit without memory that can be returned.
fn needed_memory(limit: Option<u64>) -> u64 {
    let resident = memory::resident();
    if limit.is_none_or(|limit| resident <= limit) {
        return resident;
    }
    memory::give_back();
    memory::resident()
}

/// One check: decides how many threads must go, and evicts the first of them.
fn relieve(context: &Context, judge: &mut Judge, needs: &MemoryNeeds) {
    let limits = context.config().limits;
    let is_limited = limits.loaded_threads.is_some() || limits.memory.is_some();
    if !is_limited && needs.descriptors.is_none() && !judge.is_scarce {
        return;
    }
    let scene = Scene::of(context);
    let descriptors = judge.wanted_for_descriptors(&scene, needs.descriptors);
    let wanted = judge.wanted(&limits, &scene, needs.resident).max(descriptors);
    for (_, handle) in scene.idle.iter().take(wanted) {
        handle.evict();
    }
    if judge.is_unrelieved(wanted, scene.idle.len()) {
        context.counters.unrelieved.add_one();
        tracing::warn!(
            ?limits,
            descriptors = needs.descriptors,
            loaded = scene.loaded,
            idle = scene.idle.len(),
            "room is needed, and every loaded thread works or is new, or unloading did not help"
        );
    }
}

/// Orders the threads that could be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EvictionOrder {
    is_idle: bool,
    since: Instant,
}

/// The loaded threads.
struct Scene {
    /// Those that stay, as far as known.
    loaded: usize,
    /// Those being unloaded.
    leaving: usize,
    /// Those that could be evicted, in the order in which they go: those that wait for an answer, then those with the longest
    /// idle time.
    idle: Vec<(EvictionOrder, ThreadHandle)>,
}

impl Scene {
    fn of(context: &Context) -> Self {
        let mut scene = Self { loaded: 0, leaving: 0, idle: Vec::new() };
        for handle in context.registry.handles() {
            let (phase, idle_since) = handle.seen(|seen| (seen.phase, seen.idle_since));
            match phase {
                Phase::Loading | Phase::Idle | Phase::Running if !handle.is_eviction_pending() => {
                    scene.loaded += 1
                }
                Phase::Loading | Phase::Idle | Phase::Running | Phase::Unloading => scene.leaving += 1,
                Phase::Gone => {}
            }
            if let Some(since) = idle_since
                && !handle.is_eviction_pending()
            {
                scene.idle.push((EvictionOrder { is_idle: phase == Phase::Idle, since }, handle));
            }
        }
        scene.idle.sort_by_key(|(order, _)| *order);
        scene
    }
}

/// The state between checks.
#[derive(Debug, Default)]
struct Judge {
    /// Memory was above its limit, and is not yet far enough below.
    high: bool,
    /// Whether evictions lower it.
    memory: Worth,
    /// Few descriptors are left.
    is_scarce: bool,
    /// Whether evictions free some.
    descriptors: Worth,
    /// A limit was exceeded without an idle thread; logged.
    is_logged: bool,
}

/// Whether evictions help against a shortage.
#[derive(Debug, Default)]
struct Worth {
    /// The measurement at the last eviction for it.
    evicted_at: Option<u64>,
    /// The last eviction did not help: no more until there is more to gain.
    in_vain: bool,
}

impl Worth {
    /// Whether evictions would lower this by at least `gain`, as far as known.
    fn is_there(&mut self, measured: u64, gain: u64) -> bool {
        self.in_vain = match self.evicted_at {
            None => false,
            Some(before) if self.in_vain => measured < before.saturating_add(gain),
            Some(before) => measured.saturating_add(gain) > before,
        };
        if !self.in_vain {
            self.evicted_at = Some(measured);
        }
        !self.in_vain
    }
}

impl Judge {
    /// The number of threads to evict for descriptors, of which this many are in use.
    fn wanted_for_descriptors(&mut self, scene: &Scene, in_use: Option<u64>) -> usize {
        self.is_scarce = in_use.is_some();
        match in_use {
            None => self.descriptors = Worth::default(),
            Some(in_use) if scene.leaving == 0 && self.descriptors.is_there(in_use, 1) => {
                return policy::EVICT_AT_ONCE;
            }
            Some(_) => {}
        }
        0
    }

    /// The number of threads to evict. `resident` is set in a check of the memory.
    fn wanted(&mut self, limits: &Limits, scene: &Scene, resident: Option<u64>) -> usize {
        let most = limits.loaded_threads.unwrap_or(usize::MAX);
        let excess = scene.loaded.saturating_sub(most);
        match (limits.memory, resident) {
            (Some(limit), Some(resident)) => {
                self.high = self.is_high(limit, resident);
                // Threads being unloaded have not freed their memory yet.
                if scene.leaving == 0 && self.is_worth_it(resident) {
                    return excess.max(policy::EVICT_AT_ONCE);
                }
            }
            (Some(_), None) => {}
            (None, _) => self.high = false,
        }
        excess
    }

    /// Whether memory is high, and evictions would lower it as far as known.
    fn is_worth_it(&mut self, resident: u64) -> bool {
        if !self.high {
            self.memory = Worth::default();
            return false;
        }
        self.memory.is_there(resident, policy::EVICT_GAIN)
    }

    fn is_high(&self, limit: u64, resident: u64) -> bool {
        let relief = limit / 100 * policy::MEMORY_RELIEF_PERCENT;
        resident > if self.high { relief } else { limit }
    }

    /// Whether to log that no thread can be evicted: once, until there is room again.
    fn is_unrelieved(&mut self, wanted: usize, idle: usize) -> bool {
        let before = self.is_logged;
        let needed = wanted > 0 || self.high || self.is_scarce;
        let in_vain = self.memory.in_vain || self.descriptors.in_vain;
        self.is_logged = needed && (before || in_vain || (wanted > 0 && idle == 0));
        self.is_logged && !before
    }
}
