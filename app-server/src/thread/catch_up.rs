//! Catching up: a client that comes back is told every durable event after the last one that it has seen, read from the
//! store page by page, no faster than it takes them. Then whoever owns the thread lets it join, with no gap and no
//! repetition. Nothing is buffered for it.
//!
//! The task serves one connection and one thread. It knows where the disk ended when it began. At that number it asks the owner
//! to let the client join. If the owner has published more than its ring of recent events holds, it names a newer end and the
//! task reads on. Meanwhile the subscription counts, so the thread stays loaded; a forced unload turns into a load. An observer
//! of a thread without an owner joins in a moment in which nobody can become the owner.
//!
//! A revert is an event like any other: the client counts on in the new epoch. If the disk has refused a revert, pictures of the
//! thread carry epoch 0, which nothing continues.

use std::sync::Arc;

use skein_protocol::extension::{GapReason, ReplayGap, ResumeOptions, ResumePicture, ThreadPicture};
use skein_protocol::ids::{EventSeq, RequestId, ThreadId};
use skein_store::rollout::ReadError;

use super::command::Command;
use super::dispatch;
use super::events::Replayer;
use super::subscribers::{Receiver, Role, Ticket};
use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::Context;

/// How a resume goes on from what the client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuation {
    /// The client has nothing: it is shown the whole.
    Whole,
    /// It has everything up to this record.
    From(EventSeq),
    /// What it has is void.
    Gap(GapReason),
}

/// Whether a history can be continued from where the client says it is. `now` is where it ends, `hole` the last of its
/// numbers that cannot be read any more; `replay` bounds the records that may lie between.
#[must_use]
pub(crate) fn continuation(
    options: Option<&ResumeOptions>,
    now: ThreadPicture,
    hole: EventSeq,
    replay: usize,
) -> Continuation {
    let Some(after) = options.and_then(|options| options.after_seq) else { return Continuation::Whole };
    let epoch = options.and_then(|options| options.epoch);
    let behind = now.seq.0.checked_sub(after.0).map(|records| usize::try_from(records).unwrap_or(usize::MAX));
    match (epoch, behind) {
        (Some(epoch), _) if epoch != now.epoch => Continuation::Gap(GapReason::OtherEpoch),
        (None, _) | (Some(_), None) => Continuation::Gap(GapReason::UnknownSeq),
        (Some(_), Some(_)) if after < hole => Continuation::Gap(GapReason::Damaged),
        (Some(_), Some(behind)) if behind > replay => Continuation::Gap(GapReason::TooMany),
        (Some(_), Some(_)) => Continuation::From(after),
    }
}

/// What the answer says about it, with the questions that are open. `told` is the last record that clients are told of.
#[must_use]
pub(crate) fn picture(
    continuation: Continuation,
    now: ThreadPicture,
    told: EventSeq,
    open_questions: &[i64],
) -> ResumePicture {
    let mut picture = ResumePicture::from(now);
    picture.pending_requests = open_questions.iter().map(|number| RequestId::Integer(*number)).collect();
    match continuation {
        Continuation::Whole => {}
        Continuation::From(after) => {
            picture.seq = after;
            picture.replay_to = Some(told.max(after));
        }
        Continuation::Gap(reason) => picture.gap = Some(ReplayGap { reason }),
    }
    picture
}

/// Why a client cannot be told what it missed. It comes back, and is answered according to what is known then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The disk, or what is in the rollout's place.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Damage that was not known when its resume was answered.
    #[error("record {0} is damaged")]
    Damaged(EventSeq),
}

/// A resume that was answered, and whose client is being told what it missed. Its subscription exists, and receives
/// nothing yet. One that is dropped before it has joined closes its connection: the client comes back by number.
pub(crate) struct CatchUp {
    services: Arc<Context>,
    thread: ThreadId,
    /// The resume.
    pub(crate) ticket: Ticket,
    /// As what it joins.
    pub(crate) role: Role,
    /// Who it is.
    pub(crate) receiver: Arc<Receiver>,
    /// The last record that it was told of.
    pub(crate) at: EventSeq,
    /// The questions that its answer has named as open.
    pub(crate) open_questions: Vec<i64>,
    replayer: Replayer,
}

impl std::fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatchUp").field("ticket", &self.ticket).field("at", &self.at).finish_non_exhaustive()
    }
}

impl CatchUp {
    /// Begins behind record `from.seq` of that epoch. `None` when the ticket is void.
    #[must_use]
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

    /// The client has not left, and has not begun anew.
    #[must_use]
    pub(crate) fn is_wanted(&self) -> bool {
        self.services.subscribers.waits(self.ticket)
    }

    /// Whether its numbers belong to this version of the history.
    #[must_use]
    pub(crate) fn is_of(&self, now: ThreadPicture) -> bool {
        self.replayer.epoch() == now.epoch && self.at <= now.seq
    }

    /// The last record that it was told of, and the version of the history that its client knows.
    #[must_use]
    pub(crate) fn knows(&self) -> ThreadPicture {
        ThreadPicture { seq: self.at, epoch: self.replayer.epoch() }
    }

    /// Tells every event up to record `end`, as far as it is wanted.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub(crate) async fn read_to(&mut self, end: EventSeq) -> Result<(), ReplayError> {
        while self.at < end && self.has_room().await {
            let page = self.services.store.read_after(self.thread, self.at, policy::CATCH_UP_PAGE).await?;
            for record in page.records.iter().filter(|record| record.seq <= end) {
                if record.seq > self.at.next() {
                    return Err(self.hole(EventSeq(record.seq.0 - 1)));
                }
                if let Some(event) = self.replayer.event(record) {
                    if !self.has_room().await || !self.services.subscribers.tell(self.ticket, &event) {
                        return Ok(());
                    }
                    self.services.counters.replayed_events.add_one();
                }
                self.at = record.seq;
            }
            if self.at < end && (!page.more || page.records.is_empty()) {
                return Err(self.hole(end));
            }
        }
        Ok(())
    }

    /// The record `seq` cannot be read, and what has been told goes not beyond those before it.
    fn hole(&self, seq: EventSeq) -> ReplayError {
        self.services.holes.note(self.thread, seq);
        ReplayError::Damaged(seq)
    }

    /// Waits until the client has taken enough of what waits for it; one that takes nothing is closed. Whether to go on.
    async fn has_room(&self) -> bool {
        let outbox = self.receiver.outbox();
        if tokio::time::timeout(policy::CATCH_UP_PATIENCE, outbox.room()).await.is_err() {
            outbox.close(CloseReason::SlowClient);
        }
        self.is_wanted()
    }

    /// Lets it receive everything from now on. The caller tells it what is missing before. `false` when it has left.
    #[must_use]
    pub(crate) fn join(&self) -> bool {
        self.services.subscribers.join(self.ticket, self.thread, self.role)
    }
}

impl Drop for CatchUp {
    fn drop(&mut self) {
        if self.is_wanted() {
            tracing::warn!(thread = %self.thread, "a client could not catch up; its connection is closed");
            self.receiver.outbox().close(CloseReason::Fault);
        }
    }
}

/// Tells every event up to record `end`, then asks the thread's owner to join.
pub(crate) async fn run(mut catch_up: Box<CatchUp>, end: EventSeq) {
    let thread = catch_up.thread;
    match catch_up.read_to(end).await {
        Ok(()) => hand_over(catch_up).await,
        Err(error) => tracing::error!(%thread, %error, "the events for a client cannot be read"),
    }
}

/// Gives it to the thread's owner, if there is one or has to be one. Waits for that one thread.
pub(crate) async fn hand_over(catch_up: Box<CatchUp>) {
    let (services, thread) = (Arc::clone(&catch_up.services), catch_up.thread);
    let mut command = Command::CaughtUp(catch_up);
    while let Some(handle) = services.registry.handle(thread) {
        match handle.mailbox().send(command).await {
            Ok(()) => return,
            // It has left the registry before it closed its mailbox: the next look finds none, or another.
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

    fn from_behind(hole: u64, after: u64, epoch: Option<u64>) -> Continuation {
        let options =
            ResumeOptions { observe: false, after_seq: Some(EventSeq(after)), epoch: epoch.map(Epoch) };
        let now = ThreadPicture { seq: EventSeq(10), epoch: Epoch(2) };
        continuation(Some(&options), now, EventSeq(hole), 5)
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
