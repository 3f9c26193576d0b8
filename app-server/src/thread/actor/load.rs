//! How an owner comes to its thread: a new one is made in memory, a stored one is read by a child task.

use std::sync::Arc;

use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_store::history::History;
use skein_store::rollout::record::{SecretValues, ThreadSettings};
use skein_store::rollout::{Keep, Location};

use super::turns::record_closing;
use super::{Child, Owner};
use crate::config::{ConfigErrors, Overrides, helpers_from_thread_config, secrets};
use crate::thread::Context;
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Materialised};
use crate::thread::machine::{Persistence, Phase};
use crate::turn::surroundings::Surroundings;

/// A thread as its rollout has it.
#[derive(Debug)]
pub(super) struct LoadedThread {
    pub(crate) history: History,
    pub(crate) head: EventSeq,
    pub(crate) epoch: Epoch,
    /// A torn end was cut off.
    pub(crate) cut: bool,
    /// What was found in its directory.
    pub(crate) surroundings: Option<Arc<Surroundings>>,
}

impl Owner {
    /// Begins the load. A new thread has nothing to read.
    pub(super) fn load(&mut self) {
        self.count_unload();
        // What an unload has left in the line is told before its book is closed, and nothing of it is heard later.
        self.send_all();
        if self.log.is_unwritten() {
            self.children.spawn(format!("load/{}", self.id), async { Child::NeverWritten });
            return;
        }
        self.log.forget();
        self.load_error = None;
        self.turns.forget_reports();
        if let Some(created) = self.new_thread() {
            let history = History::of(self.id);
            self.log.open(history, ThreadPicture { seq: EventSeq(0), epoch: Epoch(1) }, Materialised::No);
            self.log.record_one(created, Keep::Process);
            self.follow_ups.push_back(Event::Loaded(Materialised::No));
            return;
        }
        if let Some(copy) = self.fork_to_make() {
            let (services, named) = (Arc::clone(&self.services), self.named_for_the_load());
            self.children.spawn(format!("fork/{}", self.id), async move {
                Child::Loaded(Box::new(
                    with_surroundings(&services, copy.make(&services).await, &named).await,
                ))
            });
            return;
        }
        if self.log.persistence() == Persistence::Ephemeral {
            self.load_error = Some(ThreadError::NotFound { id: self.id });
            self.follow_ups.push_back(Event::LoadFailed);
            return;
        }
        let (services, id) = (Arc::clone(&self.services), self.id);
        let named = self.named_for_the_load();
        self.children.spawn(format!("load/{id}"), async move {
            Child::Loaded(Box::new(with_surroundings(&services, read(&services, id).await, &named).await))
        });
    }

    /// The load has ended. An open turn is closed before anybody sees the thread.
    pub(super) fn loaded(&mut self, result: Result<LoadedThread, ThreadError>) {
        match result {
            Ok(loaded) => {
                let LoadedThread { history, head, epoch, cut, surroundings } = loaded;
                self.helpers.found(surroundings);
                let closing = history.closing_records(self.services.clock.wall());
                let cut_off = history.open_turn().map(|turn| turn.id.clone());
                self.log.show(|snapshot| snapshot.cut_off = cut_off);
                self.note_mended(cut || !closing.is_empty());
                self.take_helpers_of_the_load();
                self.helpers.recall(|| recall(history.settings()));
                let materialised = match self.log.persistence() {
                    Persistence::Durable => Materialised::Yes,
                    // A fork that is only in memory.
                    Persistence::Ephemeral => Materialised::No,
                };
                self.log.open(history, ThreadPicture { seq: head, epoch }, materialised);
                record_closing(&mut self.log, closing);
                self.take_settings_of_the_load();
                self.step(Event::Loaded(materialised));
            }
            Err(error) => {
                self.services.store.release(self.id);
                // Handed back, they would only load again, and fail again.
                for command in std::mem::take(&mut self.deferred) {
                    command.refuse(&self.services, &error.to_wire());
                }
                self.fail_repair(&error);
                self.load_error = Some(error);
                self.step(Event::LoadFailed);
                return;
            }
        }
        self.go_on();
    }

    /// The load of a thread that is only in memory: it is as it was.
    pub(super) fn loaded_from_memory(&mut self) {
        self.take_helpers_of_the_load();
        self.take_settings_of_the_load();
        self.step(Event::Loaded(Materialised::No));
        self.go_on();
    }

    /// What waited for the end of the load.
    fn go_on(&mut self) {
        self.take_up_deferred();
        self.unpark();
        self.settle_repair();
        self.recount();
        self.tell_those_who_stayed();
    }

    /// Subscribers of a thread that had to make room hear that it is back, whichever request has loaded it.
    fn tell_those_who_stayed(&mut self) {
        let stayed = self.services.subscribers.counts(self.id).subscribers > 0;
        match self.machine.phase() {
            Phase::Idle | Phase::Running if stayed => self.show_status(),
            Phase::Idle | Phase::Running | Phase::Loading | Phase::Unloading | Phase::Gone => {}
        }
    }

    /// Commands that came while the thread was loading.
    pub(super) fn take_up_deferred(&mut self) {
        for command in std::mem::take(&mut self.deferred) {
            self.command(command);
        }
    }
}

/// A thread with what is found in its directory, if that answers soon.
async fn with_surroundings(
    services: &Context,
    loaded: Result<LoadedThread, ThreadError>,
    named: &Overrides,
) -> Result<LoadedThread, ThreadError> {
    let mut loaded = loaded?;
    let recalled = match *named == Overrides::default() {
        true => recall(loaded.history.settings()).ok().flatten(),
        false => None,
    };
    let own = &recalled.as_ref().unwrap_or(named).context;
    loaded.surroundings = services.look_around(&loaded.history.settings().cwd, own).await;
    Ok(loaded)
}

/// What the thread's first client has named in its `config`.
fn recall(settings: &ThreadSettings) -> Result<Option<Overrides>, ConfigErrors> {
    if settings.config.is_empty() {
        return Ok(None);
    }
    helpers_from_thread_config(&secrets::put_back(&settings.config, &settings.secrets.0)).map(Some)
}

/// The thread as the store has it.
pub(super) async fn read(services: &Context, id: ThreadId) -> Result<LoadedThread, ThreadError> {
    let loaded = services.store.load(id).await.map_err(|error| ThreadError::unreadable(error, id))?;
    if loaded.repair.cut > 0 {
        tracing::warn!(thread = %id, bytes = loaded.repair.cut, "a torn end of the rollout was cut off");
    }
    for damage in &loaded.repair.damage {
        tracing::warn!(thread = %id, ?damage, "the rollout is damaged here; the rest is read");
    }
    let shelf = services.store.location(id).await.map_err(|error| ThreadError::unreadable(error, id))?;
    let epoch = loaded.next_epoch(services.machine_boot);
    let read = History::read_end(services.store.as_ref(), id, skein_store::policy::HISTORY_WINDOW).await;
    let mut history = read.map_err(|source| ThreadError::Unreadable { id, source })?;
    history.skip_to(loaded.head);
    add_secrets(&mut history, services.store.secrets(id).await);
    history.set_archived(shelf == Location::Archived);
    Ok(LoadedThread { history, head: loaded.head, epoch, cut: loaded.repair.cut > 0, surroundings: None })
}

/// Adds the secrets of a thread, which are in none of its records. A rollout of an earlier version has some: they are taken
/// out of the settings.
pub(super) fn add_secrets(history: &mut History, mut stored: SecretValues) {
    let (config, found) = secrets::take_out_stored(&history.settings().config);
    stored.add(found);
    history.set_config(config, stored);
}
