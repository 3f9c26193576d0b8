//! Loads: a new thread is made in memory, a stored one is read by a child task.

use std::path::Path;
use std::sync::Arc;

use skein_config::{Overrides, secrets};
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq};
use skein_store::history::{History, KeptTurn, NextLoad};
use skein_store::ownership::LoadDue;
use skein_store::rollout::record::{SecretValues, TurnResumed};
use skein_store::rollout::{Keep, Lease, Location};
use skein_turn::surroundings::Surroundings;
use skein_turn::{LeftOver, TurnTask};

use super::answers::created;
use super::fork::Copy;
use super::log::Send;
use super::turns::record_closing;
use super::{Child, Owner, settings};
use crate::thread::Context;
use crate::thread::command::Command;
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Materialised};
use crate::thread::machine::Persistence;

/// A thread, read from its rollout.
#[derive(Debug)]
pub(super) struct ReadThread {
    pub(crate) lease: Lease,
    pub(crate) history: History,
    pub(crate) head: EventSeq,
    pub(crate) epoch: Epoch,
    /// Whether a torn end was cut off.
    pub(crate) cut: bool,
    /// The files and facts of the thread's directory.
    pub(crate) surroundings: Option<Arc<Surroundings>>,
}

impl Owner {
    /// Begins the load. The load of a new thread ends at once.
    pub(super) fn load(&mut self) -> Option<Event> {
        // Sends entries of an unload before its log is closed.
        self.send(Send::All);
        self.close_listeners_of_lost();
        // Those of a turn that was left. This load opens them again.
        self.services.questions.close(&self.questions.clear());
        if self.log.is_unwritten() {
            self.children.spawn(format!("load/{}", self.id), async { Child::NeverWritten });
            return None;
        }
        self.log.forget();
        self.turns.forget_reports();
        if let Some(start) = self.waiters.start() {
            let created = created(&self.log, &self.helpers, start);
            let at = ThreadPicture { seq: EventSeq(0), epoch: Epoch(1) };
            let lease = self.services.ownership.lease_of_new(self.id);
            self.log.open(lease, History::of(self.id), at, Materialised::No);
            self.log.record_one(created, Keep::Process);
            return Some(Event::Loaded(Materialised::No));
        }
        let (services, id, persistence) = (Arc::clone(&self.services), self.id, self.log.persistence());
        // The settings that requests name for this load. Default if the thread's own settings hold.
        let named = self.helpers.named_by(self.waiters.resume_of_the_load().map(|resume| &resume.helpers));
        if let Some(fork) = self.waiters.new_fork() {
            let copy = Copy::new(fork, id, persistence);
            self.children.spawn(format!("fork/{id}"), async move {
                let made = copy.make(&services).await;
                Child::Loaded(Box::new(with_surroundings(&services, made, &named).await))
            });
        } else if persistence == Persistence::Ephemeral {
            return Some(Event::LoadFailed(ThreadError::NotFound { id }.to_wire()));
        } else {
            self.children.spawn(format!("load/{id}"), async move {
                let read = match services.ownership.claim(id).await {
                    Ok(lease) => read(&services, lease).await,
                    Err(error) => Err(ThreadError::unclaimed(error, id)),
                };
                Child::Loaded(Box::new(with_surroundings(&services, read, &named).await))
            });
        }
        None
    }

    /// The load has ended. `None`: the thread is in memory only, and unchanged.
    pub(super) fn loaded(&mut self, result: Result<Option<ReadThread>, ThreadError>) {
        let materialised = match result {
            Ok(loaded) => self.open_log(loaded),
            Err(error) => {
                self.services.store.release(self.id);
                // A next owner would only fail to load again. The first command is refused first: another server may take them in order.
                let deferred = self.waiters.take_deferred();
                self.repair.fail(&error);
                if let ThreadError::OwnerUnreachable { .. } = error {
                    // That server may have announced it during the load, when nobody was closed.
                    self.services.subscribers.close_behind(self.id, |_| true);
                }
                self.step(Event::LoadFailed(error.to_wire()));
                for command in deferred {
                    command.refuse(&self.services, &error.to_wire());
                }
                return;
            }
        };
        self.parts().note_use();
        self.note_queue();
        self.note_turn();
        self.step(match self.turns.id() {
            Some(_) => Event::LoadedInTurn,
            None => Event::Loaded(materialised),
        });
        self.take_up_deferred();
        self.note_turn();
        self.unpark();
        self.settle_repair();
        self.recount();
        // Subscribers of an evicted thread are notified that it is loaded again.
        if self.machine.is_loaded() && self.services.subscribers.counts(self.id).subscribers > 0 {
            self.parts().show_status();
        }
    }

    /// Opens the log of a loaded thread. Closes an open turn, or goes on with it, before clients see the thread.
    fn open_log(&mut self, loaded: Option<ReadThread>) -> Materialised {
        let Some(loaded) = loaded else {
            settings::take_those_of_the_load(&mut self.log, &mut self.helpers, &self.waiters);
            return Materialised::No;
        };
        let ReadThread { lease, history, head, epoch, cut, surroundings } = loaded;
        let materialised = match self.log.persistence() {
            Persistence::Durable => Materialised::Yes,
            // A fork in memory.
            Persistence::Ephemeral => Materialised::No,
        };
        let (next, now) =
            (history.next_load(self.services.config().restart.turns), self.services.clock.wall());
        let closing = match &next {
            NextLoad::Nothing | NextLoad::GoOn(_) => Vec::new(),
            NextLoad::Interrupt => history.closing_records(now),
            NextLoad::Fail => history.failing_records(now),
        };
        let cut_off = history.open_turn().filter(|_| !closing.is_empty()).map(|turn| turn.id.clone());
        self.log.show(|snapshot| snapshot.cut_off = cut_off);
        self.helpers.found(surroundings);
        self.repair.note_mended(cut || !closing.is_empty());
        self.services.subscribers.owner_came(self.id, lease.term);
        self.log.open(lease, history, ThreadPicture { seq: head, epoch }, materialised);
        record_closing(&mut self.log, closing);
        if let NextLoad::GoOn(open) = next {
            // Its settings hold for it: those of a resume do not change a thread in use.
            settings::recall(&self.log, &mut self.helpers);
            self.go_on_with(*open);
        } else {
            settings::take_those_of_the_load(&mut self.log, &mut self.helpers, &self.waiters);
        }
        materialised
    }

    /// Goes on with the turn of an earlier load. While the turn only waits for answers, nothing is recorded but the ends of its items.
    fn go_on_with(&mut self, open: KeptTurn) {
        self.parts().put_again(&open);
        // The settings may have changed since.
        let cwd = settings::of(&self.log, &self.helpers).cwd;
        let tools = open.questions.iter().filter_map(|question| question.tool.as_ref());
        let now = self.helpers.as_configured(Path::new(&cwd), tools);
        let mut judged = now.map(|now| self.questions.judged(&now)).unwrap_or_default();
        judged.extend(self.parts().budget_questions_with_room());
        let waits = open.waits && judged.is_empty();
        self.parts().settle(judged);
        let dropped = open.dropped.clone();
        let ended = self.log.history().map(|history| history.ends_of(&dropped, self.log.wall()));
        if !waits {
            self.repair.note_mended(true);
            self.parts().close_gone(&open);
            let (turn_id, boot_id) = (open.id.clone(), self.services.store.life());
            self.log.record_one(TurnResumed { turn_id, boot_id, dropped }, Keep::Process);
        }
        // Also of a turn that waits: the item of a summary would stay open when the next answer has come.
        record_closing(&mut self.log, ended.unwrap_or_default());
        let left = LeftOver { calls: open.calls, is_done: open.is_done };
        self.parts().run_turn(open.id, TurnTask::GoOn(left), &open.terms, None);
    }

    /// Carries out the commands that waited for the end of a load or a turn.
    pub(super) fn take_up_deferred(&mut self) {
        for command in self.waiters.take_deferred() {
            self.command(command);
        }
    }

    /// Lets clients continue that waited for the disk.
    pub(super) fn unpark(&mut self) {
        for catch_up in self.catch_ups.unpark() {
            self.command(Command::CaughtUp(Box::new(catch_up)));
        }
    }
}

/// Adds the files and facts of the thread's directory, if the directory answers soon.
async fn with_surroundings(
    services: &Context,
    loaded: Result<ReadThread, ThreadError>,
    named: &Overrides,
) -> Result<ReadThread, ThreadError> {
    let mut loaded = loaded?;
    let recalled = match *named == Overrides::default() {
        true => settings::recorded(loaded.history.settings()).ok().flatten(),
        false => None,
    };
    let own = &recalled.as_ref().unwrap_or(named).context;
    loaded.surroundings = services.look_around(&loaded.history.settings().cwd, own).await;
    Ok(loaded)
}

/// Reads a claimed thread from the store, or gives it up.
pub(super) async fn read(services: &Context, lease: Lease) -> Result<ReadThread, ThreadError> {
    let read = read_claimed(services, lease).await;
    if read.is_err() {
        services.ownership.give_up(lease, LoadDue::Whenever);
    }
    read
}

async fn read_claimed(services: &Context, lease: Lease) -> Result<ReadThread, ThreadError> {
    let id = lease.thread;
    let loaded = services.store.load(id).await.map_err(|error| ThreadError::unreadable(error, id))?;
    if loaded.repair.cut > 0 {
        tracing::warn!(thread = %id, bytes = loaded.repair.cut, "cut off a torn end of this thread's rollout");
    }
    for damage in &loaded.repair.damage {
        tracing::warn!(thread = %id, ?damage, "the rollout of this thread is damaged; reading the rest");
    }
    let location = services.store.location(id).await.map_err(|error| ThreadError::unreadable(error, id))?;
    let epoch = loaded.next_epoch(services.store.life());
    let read = History::read_end(services.store.as_ref(), id, skein_store::policy::HISTORY_WINDOW).await;
    let mut history = read.map_err(|error| ThreadError::unreadable(error, id))?;
    history.skip_to(loaded.head);
    let secrets = services.store.secrets(id).await.map_err(|error| ThreadError::unreadable(error, id))?;
    add_secrets(&mut history, secrets);
    history.set_archived(location == Location::Archived);
    Ok(ReadThread {
        lease,
        history,
        head: loaded.head,
        epoch,
        cut: loaded.repair.cut > 0,
        surroundings: None,
    })
}

/// Adds the secrets of a thread, which are not in its records. A rollout of an earlier version has secrets in its settings:
/// they are removed there.
pub(super) fn add_secrets(history: &mut History, mut stored: SecretValues) {
    let (config, found) = secrets::externalise_stored(&history.settings().config);
    stored.add(found);
    history.set_config(config, stored);
}
