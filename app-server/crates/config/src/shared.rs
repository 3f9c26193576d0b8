//! The settings of a running server. A reload replaces them; a task that works with the old ones keeps them until its next
//! look.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::ServerConfig;

/// The settings of this moment.
#[derive(Debug)]
pub struct SharedConfig {
    now: RwLock<Arc<ServerConfig>>,
    /// Notified when other settings are taken.
    changed: Notify,
    /// One permit for a look at the file, so that no older look replaces a newer one.
    look: Semaphore,
    /// One permit for writing the file for a client.
    write: Semaphore,
}

impl SharedConfig {
    /// These, until others are taken.
    pub fn new(config: ServerConfig) -> Self {
        Self {
            now: RwLock::new(Arc::new(config)),
            changed: Notify::new(),
            look: Semaphore::new(1),
            write: Semaphore::new(1),
        }
    }

    /// The settings of this moment.
    pub fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves once `look` finds something in the settings. It looks now and after each change.
    pub async fn until_some<T>(&self, look: impl Fn(&ServerConfig) -> Option<T>) -> T {
        loop {
            // Created before the look, so that no change is missed between them.
            let changed = self.changed.notified();
            if let Some(found) = look(&self.now()) {
                return found;
            }
            changed.await;
        }
    }

    /// Waits for the turn to look at the file again; the turn lasts until the permit is dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed; were it, two looks would merely overlap.
        self.look.acquire().await.ok()
    }

    /// Waits for the turn to write the file; the turn lasts until the permit is dropped.
    pub async fn writing(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed; were it, writers would wait for the file itself.
        self.write.acquire().await.ok()
    }

    /// Takes the settings of a new look at the file. Settings that only a start can change stay as they are. Returns the
    /// changed keys among those.
    #[must_use = "the user needs to know which keys need a restart"]
    pub fn take(&self, new: ServerConfig) -> Vec<&'static str> {
        let mut current = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = new;
        let kept = new.keep_of_start(&current);
        *current = Arc::new(new);
        drop(current);
        self.changed.notify_waiters();
        kept
    }
}

impl ServerConfig {
    /// Keeps the settings that are read once, at the start: the home and its address, the settings of the process host, the
    /// size of mailboxes. All others are read at their use.
    fn keep_of_start(&mut self, running: &ServerConfig) -> Vec<&'static str> {
        let mut kept = Vec::new();
        let mut keep = |key: &'static str, changed: bool| {
            if changed {
                kept.push(key);
            }
        };
        keep("home", self.home != running.home);
        keep("listen", self.listen != running.listen || self.tls != running.tls);
        keep("public_url", self.public_url != running.public_url);
        keep("listen.plain", self.listen_rules != running.listen_rules);
        keep("metrics", self.metrics != running.metrics);
        keep("store", self.store != running.store);
        keep("cluster", self.cluster != running.cluster);
        keep("guard", self.guard != running.guard);
        keep("test_fences", self.test_fences != running.test_fences);
        keep("helpers.containment", self.helper_rules.containment != running.helper_rules.containment);
        keep("helpers.stop_grace", self.helper_rules.stop_grace != running.helper_rules.stop_grace);
        keep("helpers.liveness", self.helper_rules.liveness != running.helper_rules.liveness);
        keep("limits.mailbox", self.limits.mailbox != running.limits.mailbox);
        self.home.clone_from(&running.home);
        self.listen.clone_from(&running.listen);
        self.tls.clone_from(&running.tls);
        self.public_url.clone_from(&running.public_url);
        self.listen_rules = running.listen_rules;
        self.metrics.clone_from(&running.metrics);
        self.store.clone_from(&running.store);
        self.cluster.clone_from(&running.cluster);
        self.guard.clone_from(&running.guard);
        self.test_fences = running.test_fences;
        self.helper_rules = running.helper_rules;
        self.limits.mailbox = running.limits.mailbox;
        kept
    }
}
