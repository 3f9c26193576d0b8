//! Catching up: a client that resumes by number receives every later durable event, read from the store page by page, no
//! faster than the client takes them. Then it joins the live events, without a gap or a repetition. Nothing is buffered.
//!
//! The task serves one connection and one thread. It reads up to the last record on disk, and then asks the owner to let the
//! client join. If the owner has published more than its ring of recent events holds, the task reads on. Meanwhile the
//! subscription counts, so the thread stays loaded; a forced unload turns into a load. An observer of a thread without an
//! owner joins while the registry lets no owner begin.
//!
//! A revert is an event like any other: later events have numbers of the new epoch. If the disk has refused a revert, views
//! of the thread carry epoch 0, which nothing continues.

use std::sync::Arc;

use skein_protocol::extension::{
    GapReason, ReplayGap, ResumeOptions, ResumePicture, ThreadMoment, ThreadPicture,
};
use skein_protocol::ids::{EventSeq, RequestId, ThreadId};
use skein_store::rollout::ReadError;

use super::command::Command;
use super::dispatch;
use super::events::Replayer;
use super::subscribers::{Receiver, Role, Ticket};
use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::Context;

/// How a resume continues from the client's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuation {
    /// The client has no state: it gets the whole thread.
    Whole,
    /// The client has everything up to this record.
    From(EventSeq),
    /// The client's state is void: it gets the whole thread.
    Gap(GapReason),
}

/// Whether the client's record can be continued. `now` is the end of the history, `last_gap` its last unreadable record.
/// At most `replay` records may lie between.
pub(crate) fn continuation(
    options: Option<&ResumeOptions>,
    now: ThreadPicture,
    last_gap: EventSeq,
    replay: usize,
) -> Continuation {
    let Some(after) = options.and_then(|options| options.after_seq) else { return Continuation::Whole };
    let epoch = options.and_then(|options| options.epoch);
    let behind = now.seq.0.checked_sub(after.0).map(|records| usize::try_from(records).unwrap_or(usize::MAX));
    match (epoch, behind) {
        (Some(epoch), _) if epoch != now.epoch => Continuation::Gap(GapReason::OtherEpoch),
        (None, _) | (Some(_), None) => Continuation::Gap(GapReason::UnknownSeq),
        (Some(_), Some(_)) if after < last_gap => Continuation::Gap(GapReason::Damaged),
        (Some(_), Some(behind)) if behind > replay => Continuation::Gap(GapReason::TooMany),
        (Some(_), Some(_)) => Continuation::From(after),
    }
}

/// The part of the answer about the continuation and the open questions. `last_event` is the last record that is an event.
pub(crate) fn view(
    continuation: Continuation,
    now: ThreadMoment,
    last_event: EventSeq,
    open_questions: &[i64],
) -> ResumePicture {
    let mut view = ResumePicture::from(now);
    view.pending_requests = open_questions.iter().map(|number| RequestId::Integer(*number)).collect();
    match continuation {
        Continuation::Whole => {}
        Continuation::From(after) => {
            view.seq = after;
            view.replay_to = Some(last_event.max(after));
        }
        Continuation::Gap(reason) => view.gap = Some(ReplayGap { reason }),
    }
    view
}

/// Why a replay ends early. The client resumes again, and gets an answer for the new state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The rollout cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The answer to the resume did not know of this damage.
    #[error("record {0} is damaged")]
    Damaged(EventSeq),
}

/// A client that is receiving missed events. Its resume is answered, and its subscription receives nothing yet. If it is
/// dropped before it has joined, its connection closes, and the client resumes by number.
pub(crate) struct CatchUp {
    services: Arc<Context>,
    thread: ThreadId,
    pub(crate) ticket: Ticket,
    pub(crate) role: Role,
    pub(crate) receiver: Arc<Receiver>,
    /// The last record that the client has received.
    pub(crate) at: EventSeq,
    /// The questions that the answer has named as open.
    pub(crate) open_questions: Vec<i64>,
    replayer: Replayer,
}

impl std::fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatchUp").field("ticket", &self.ticket).field("at", &self.at).finish_non_exhaustive()
    }
}

impl CatchUp {
    /// Begins behind record `from.seq` of epoch `from.epoch`. `None` if the ticket is void.
    pub(crate) fn begin(
        services: &Arc<Context>,
        thread: ThreadId,
        (ticket, role): (Ticket, Role),
        from: ThreadPicture,
        open_questions: Vec<i64>,
    ) -> Option<Box<Self>> {
        let receiver = services.subscribers.begin_catch_up(ticket, thread, role)?;
        Some(Box::new(Self {
            services: Arc::clone(services),
            thread,
            ticket,
            role,
            receiver,
            at: from.seq,
            open_questions,
            replayer: Replayer::new(thread, from.epoch),
        }))
    }

    /// Whether the client has neither left nor resumed again.
    pub(crate) fn is_wanted(&self) -> bool {
        self.services.subscribers.waits(self.ticket)
    }

    /// Whether the client's numbers belong to this version of the history.
    pub(crate) fn is_of(&self, now: ThreadPicture) -> bool {
        self.replayer.epoch() == now.epoch && self.at <= now.seq
    }

    /// The last record that the client has received, with the version of its history.
    pub(crate) fn knows(&self) -> ThreadPicture {
        ThreadPicture { seq: self.at, epoch: self.replayer.epoch() }
    }

    /// Sends every event up to record `end`. Stops early if the client leaves.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub(crate) async fn read_to(&mut self, end: EventSeq) -> Result<(), ReplayError> {
        while self.at < end && self.has_room().await {
            let page = self.services.store.read_after(self.thread, self.at, policy::CATCH_UP_PAGE).await?;
            for record in page.records.iter().filter(|record| record.seq <= end) {
                if record.seq > self.at.next() {
                    return Err(self.damaged(EventSeq(record.seq.0 - 1)));
                }
                if let Some(event) = self.replayer.event(record) {
                    if !self.has_room().await || !self.services.subscribers.send_missed(self.ticket, &event) {
                        return Ok(());
                    }
                    self.services.counters.replayed_events.add_one();
                }
                self.at = record.seq;
            }
            if self.at < end && (!page.more || page.records.is_empty()) {
                return Err(self.damaged(end));
            }
        }
        Ok(())
    }

    /// Like [`CatchUp::read_to`], but waits for a storage that is away as long as the client does.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub(crate) async fn read_while_away(&mut self, end: EventSeq) -> Result<(), ReplayError> {
        loop {
            match self.read_to(end).await {
                Err(ReplayError::Read(error)) if self.is_wanted() => error.wait_for_store().await?,
                done @ (Ok(()) | Err(_)) => return done,
            }
        }
    }

    /// Notes that record `seq` cannot be read.
    fn damaged(&self, seq: EventSeq) -> ReplayError {
        self.services.gaps.note(self.thread, seq);
        ReplayError::Damaged(seq)
    }

    /// Waits until the client's outbox has room, and closes a client that takes nothing. Returns whether to continue.
    async fn has_room(&self) -> bool {
        let outbox = self.receiver.outbox();
        if tokio::time::timeout(policy::CATCH_UP_PATIENCE, outbox.room()).await.is_err() {
            outbox.close(CloseReason::SlowClient);
        }
        self.is_wanted()
    }

    /// Makes the subscription receive everything from now on. The caller sends the missing events first. Returns `false` if
    /// the client has left.
    pub(crate) fn join(&self) -> bool {
        self.services.subscribers.join(self.ticket, self.thread, self.role)
    }
}

impl Drop for CatchUp {
    fn drop(&mut self) {
        if self.is_wanted() {
            tracing::warn!(thread = %self.thread, "a client could not catch up on this thread; closing its connection");
            self.receiver.outbox().close(CloseReason::Fault);
        }
    }
}

/// Sends every event up to record `end`, then asks the thread's owner to join.
pub(crate) async fn run(mut catch_up: Box<CatchUp>, end: EventSeq) {
    let thread = catch_up.thread;
    match catch_up.read_while_away(end).await {
        Ok(()) => hand_over(catch_up).await,
        Err(error) => {
            tracing::error!(%thread, %error, "the events of this thread cannot be read for a client")
        }
    }
}

/// Hands the client to the thread's owner. Waits for room in that owner's mailbox.
pub(crate) async fn hand_over(catch_up: Box<CatchUp>) {
    let (services, thread) = (Arc::clone(&catch_up.services), catch_up.thread);
    let mut command = Command::CaughtUp(catch_up);
    while let Some(handle) = services.registry.handle(thread) {
        match handle.mailbox().send(command).await {
            Ok(()) => return,
            // An owner leaves the registry before it closes its mailbox: the next look finds none, or another.
            Err(undelivered) => command = undelivered.0,
        }
    }
    dispatch::deliver(&services, thread, command);
}

#[cfg(test)]
mod tests {
    use skein_protocol::ids::Epoch;

    use super::*;

    fn from(after: u64, epoch: Option<u64>) -> Continuation {
        from_behind(0, after, epoch)
    }

    fn from_behind(last_gap: u64, after: u64, epoch: Option<u64>) -> Continuation {
        let options =
            ResumeOptions { observe: false, after_seq: Some(EventSeq(after)), epoch: epoch.map(Epoch) };
        let now = ThreadPicture { seq: EventSeq(10), epoch: Epoch(2) };
        continuation(Some(&options), now, EventSeq(last_gap), 5)
    }

    #[test]
    fn a_history_is_continued_from_a_number_of_its_epoch_that_is_not_too_far_back() {
        assert_eq!(from(10, Some(2)), Continuation::From(EventSeq(10)));
        assert_eq!(from(5, Some(2)), Continuation::From(EventSeq(5)));
        assert_eq!(from(4, Some(2)), Continuation::Gap(GapReason::TooMany));
        assert_eq!(from(11, Some(2)), Continuation::Gap(GapReason::UnknownSeq));
        assert_eq!(from(7, Some(1)), Continuation::Gap(GapReason::OtherEpoch));
        assert_eq!(from(7, None), Continuation::Gap(GapReason::UnknownSeq));
        let now = ThreadPicture { seq: EventSeq(10), epoch: Epoch(2) };
        assert_eq!(continuation(None, now, EventSeq(0), 5), Continuation::Whole);
        assert_eq!(from_behind(7, 6, Some(2)), Continuation::Gap(GapReason::Damaged));
        assert_eq!(from_behind(7, 7, Some(2)), Continuation::From(EventSeq(7)));
    }
}
