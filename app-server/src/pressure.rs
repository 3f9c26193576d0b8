//! Room for others: when there are too many threads in memory, or they take too much of it, or descriptors are scarce, the longest
//! idle ones are unloaded, whoever is subscribed to them. Before that, files of threads at rest are closed until their next write.
//! One task decides, so that nobody has to go twice for one newcomer. Must never take a thread that works, and never makes a
//! newcomer wait: both limits are passed for as long as an unload takes.
//!
//! When fewer than 64 descriptors are left (with a limit below 256, a quarter of it, but at least 28), this task syncs and closes
//! the files of threads at rest. If that is not enough it unloads idle threads. The last 16 descriptors are for files. Above
//! `limits.loaded_threads` or `limits.memory` the longest idle threads go. Their subscribers receive `notLoaded` and keep the
//! subscription; `turn/start`, `thread/name/set` or `thread/resume` loads the thread again. A thread that cannot be read again
//! (no message yet, or ephemeral) stays.

use std::sync::Arc;

use skein_base::descriptors;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Limits;
use crate::memory;
use crate::policy;
use crate::thread::Context;
use crate::thread::machine::Phase;
use crate::thread::registry::ThreadHandle;

#[cfg(test)]
mod tests;

/// Makes room until `stop`. Without a limit of memory, and with enough descriptors, it sleeps until [`memory::Pressure::look`].
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
        relieve(&context, &mut judge, &Needs { resident, descriptors });
    }
}

/// What is measured at a look.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    /// The resident memory, where it was measured.
    resident: Option<u64>,
    /// The descriptors in use, where few are left.
    descriptors: Option<u64>,
}

/// The descriptors in use, when few are left although threads at rest have their files closed.
async fn needed_descriptors(context: &Context) -> Option<u64> {
    descriptors::in_use_when_scarce()?;
    // A disk that hangs keeps nobody from making room.
    let closed = timeout(policy::UNLOAD_LIMIT, context.store.close_idle()).await.ok();
    tracing::debug!(
        ?closed,
        "descriptors are scarce: rollouts of threads at rest are closed until their next write"
    );
    descriptors::in_use_when_scarce()
}

/// The server's resident memory; above the limit without what can be given back.
fn needed_memory(limit: Option<u64>) -> u64 {
    let resident = memory::resident();
    if limit.is_none_or(|limit| resident <= limit) {
        return resident;
    }
    memory::give_back();
    memory::resident()
}

/// One look: decides how many have to go, and tells the longest idle ones.
fn relieve(context: &Context, judge: &mut Judge, needs: &Needs) {
    let limits = context.config().limits;
    let is_limited = limits.loaded_threads.is_some() || limits.memory.is_some();
    if !is_limited && needs.descriptors.is_none() && !judge.is_scarce {
        return;
    }
    let scene = Scene::of(context);
    let descriptors = judge.wanted_for_descriptors(&scene, needs.descriptors);
    let wanted = judge.wanted(&limits, &scene, needs.resident).max(descriptors);
    for (_, handle) in scene.idle.iter().take(wanted) {
        handle.squeeze();
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

/// The loaded threads.
struct Scene {
    /// Those that stay, as far as is known.
    loaded: usize,
    /// Those that are on their way out.
    leaving: usize,
    /// Those that could go, the longest idle ones first.
    idle: Vec<(Instant, ThreadHandle)>,
}

impl Scene {
    fn of(context: &Context) -> Self {
        let mut scene = Self { loaded: 0, leaving: 0, idle: Vec::new() };
        for handle in context.registry.handles() {
            let (phase, idle_since) = handle.seen(|seen| (seen.phase, seen.idle_since));
            match phase {
                Phase::Loading | Phase::Idle | Phase::Running if !handle.is_squeezed() => scene.loaded += 1,
                Phase::Loading | Phase::Idle | Phase::Running | Phase::Unloading => scene.leaving += 1,
                Phase::Gone => {}
            }
            if let Some(since) = idle_since
                && !handle.is_squeezed()
            {
                scene.idle.push((since, handle));
            }
        }
        scene.idle.sort_by_key(|(since, _)| *since);
        scene
    }
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Judge {
    /// Memory was above its limit, and is not yet far enough below it.
    high: bool,
    /// Whether the end of threads lowers it.
    memory: Worth,
    /// Few descriptors are left.
    is_scarce: bool,
    /// Whether the end of threads frees some.
    descriptors: Worth,
    /// Room was needed when nobody could make it; it was said.
    told: bool,
}

/// Whether unloading helps against something.
#[derive(Debug, Default)]
struct Worth {
    /// What was measured when threads had to go for it last.
    squeezed_at: Option<u64>,
    /// Their end did not help: others stay, until there is more to gain.
    in_vain: bool,
}

impl Worth {
    /// Whether threads that go would lower this, by `gain` at least, as far as is known.
    fn is_there(&mut self, measured: u64, gain: u64) -> bool {
        self.in_vain = match self.squeezed_at {
            None => false,
            Some(before) if self.in_vain => measured < before.saturating_add(gain),
            Some(before) => measured.saturating_add(gain) > before,
        };
        if !self.in_vain {
            self.squeezed_at = Some(measured);
        }
        !self.in_vain
    }
}

impl Judge {
    /// How many threads have to go for descriptors, of which so many are in use when they are scarce.
    fn wanted_for_descriptors(&mut self, scene: &Scene, in_use: Option<u64>) -> usize {
        self.is_scarce = in_use.is_some();
        match in_use {
            None => self.descriptors = Worth::default(),
            Some(in_use) if scene.leaving == 0 && self.descriptors.is_there(in_use, 1) => {
                return policy::SQUEEZE_AT_ONCE;
            }
            Some(_) => {}
        }
        0
    }

    /// How many threads have to go. `resident` is there at a look at the memory.
    fn wanted(&mut self, limits: &Limits, scene: &Scene, resident: Option<u64>) -> usize {
        let most = limits.loaded_threads.unwrap_or(usize::MAX);
        let excess = scene.loaded.saturating_sub(most);
        match (limits.memory, resident) {
            (Some(limit), Some(resident)) => {
                self.high = self.is_high(limit, resident);
                // What is on its way out has not given its memory back yet.
                if scene.leaving == 0 && self.is_worth_it(resident) {
                    return excess.max(policy::SQUEEZE_AT_ONCE);
                }
            }
            (Some(_), None) => {}
            (None, _) => self.high = false,
        }
        excess
    }

    /// Whether memory is high, and threads that go would bring it down as far as is known.
    fn is_worth_it(&mut self, resident: u64) -> bool {
        if !self.high {
            self.memory = Worth::default();
            return false;
        }
        self.memory.is_there(resident, policy::SQUEEZE_GAIN)
    }

    fn is_high(&self, limit: u64, resident: u64) -> bool {
        let relief = limit / 100 * policy::MEMORY_RELIEF_PERCENT;
        resident > if self.high { relief } else { limit }
    }

    /// Whether it is to be said that nobody can make room: once, until there is room again.
    fn is_unrelieved(&mut self, wanted: usize, idle: usize) -> bool {
        let before = self.told;
        let needed = wanted > 0 || self.high || self.is_scarce;
        let in_vain = self.memory.in_vain || self.descriptors.in_vain;
        self.told = needed && (before || in_vain || (wanted > 0 && idle == 0));
        self.told && !before
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
