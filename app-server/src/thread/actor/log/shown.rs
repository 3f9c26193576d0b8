//! The snapshot that other tasks read: the machine's view, the status, and the end of the history.

use std::sync::Arc;

use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::TurnId;
use skein_protocol::item::ThreadItem;
use skein_protocol::notifications::ThreadStatusChanged;
use skein_protocol::thread::ThreadStatus;
use skein_store::history::History;

use super::Log;
use crate::thread::machine::View;
use crate::thread::snapshot::Snapshot;
use crate::thread::views;

impl Log {
    /// Changes the snapshot.
    pub(in crate::thread::actor) fn show(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(change);
    }

    /// Shows whether a stop waits for the thread.
    pub(in crate::thread::actor) fn show_work(&self, works: bool) {
        self.snapshot.send_if_modified(|snapshot| std::mem::replace(&mut snapshot.works, works) != works);
    }

    /// Shows the machine's view. Returns whether an eviction can unload the thread from now on.
    pub(in crate::thread::actor) fn show_life(&self, view: View) -> bool {
        let mut can_go = false;
        self.snapshot.send_if_modified(|snapshot| {
            can_go = snapshot.idle_since.is_none() && view.idle_since.is_some();
            let next = (view.phase, view.materialised, view.idle_since);
            let changed = (snapshot.phase, snapshot.materialised, snapshot.idle_since) != next;
            (snapshot.phase, snapshot.materialised, snapshot.idle_since) = next;
            changed
        });
        can_go
    }

    /// Publishes a status, if it has changed.
    pub(in crate::thread::actor) fn show_status(&mut self, status: ThreadStatus) {
        if self.snapshot.borrow().status != status {
            self.announce_status(status);
        }
    }

    /// Publishes a status, also if it has not changed.
    pub(in crate::thread::actor) fn announce_status(&mut self, status: ThreadStatus) {
        self.snapshot.send_modify(|snapshot| snapshot.status = status.clone());
        let params = ThreadStatusChangedNotification { status, thread_id: self.thread, skein: None };
        self.notify::<ThreadStatusChanged>(&params, None);
    }

    /// Shows the end of the history and the state derived from it.
    pub(in crate::thread::actor) fn show_history(
        &self,
        turn: Option<&TurnId>,
        status: impl FnOnce() -> ThreadStatus,
    ) {
        let Some(history) = self.history() else { return };
        let ThreadPicture { seq, epoch } = self.end();
        let open_items = {
            let seen = self.snapshot.borrow();
            let is_new = seen.seq != seq || seen.turn.as_ref() != turn || seen.thread.is_none();
            is_new.then(|| shown_again(&seen.open_items, history))
        };
        if let Some(open_items) = open_items {
            let thread = self.thread(status());
            let goal = history.goal().map(|goal| views::goal(self.thread, goal));
            let queue = if self.is_stored() { Vec::new() } else { views::queue(history) };
            let approval_policy = views::approval_policy(history.settings());
            self.show(|snapshot| {
                (snapshot.seq, snapshot.epoch) = (seq, epoch);
                snapshot.turn = turn.cloned();
                snapshot.thread = Some(thread);
                (snapshot.goal, snapshot.queue) = (goal, queue);
                snapshot.approval_policy = Some(approval_policy);
                snapshot.open_items = open_items;
            });
        }
    }
}

/// The items in progress. Those that the snapshot shows already are not copied, for they may be long.
fn shown_again(shown: &[Arc<ThreadItem>], history: &History) -> Vec<Arc<ThreadItem>> {
    let unchanged = |item: &ThreadItem| shown.iter().find(|shown| ***shown == *item).cloned();
    history.open_items().map(|item| unchanged(item).unwrap_or_else(|| Arc::new(item.clone()))).collect()
}
