//! A subscribed thread at its next server: the request that continues it, and the reports of what its events do not say.

use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::event::{
    ThreadClosedNotification, ThreadStatusChangedNotification, TurnCompletedNotification, WarningNotification,
};
use skein_protocol::extension::{GapReason, ResumeOptions, ResumePicture};
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{ThreadClosed, ThreadStatusChanged, TurnCompleted, Warning};
use skein_protocol::table::Notification;
use skein_protocol::thread::{ThreadResumeParams, ThreadStatus};
use skein_protocol::turn::{Turn, TurnError, TurnItemsView, TurnStatus};
use skein_store::history::SERVER_ENDED;

use super::questions::OpenQuestions;
use super::tracked::{SubscribedAnswer, TrackedThread};

/// The reason of an error about a thread that exists nowhere.
pub const NOT_FOUND: &str = "threadNotFound";

/// The reason of an error about a resume whose client has left the thread meanwhile.
const WITHDRAWN: &str = "withdrawn";

/// A notification for the client, in place of what it has missed.
#[derive(Debug)]
pub struct RelayNotice {
    /// The wire name.
    pub method: &'static str,
    /// The message.
    pub text: String,
}

impl RelayNotice {
    /// The notification with these params, at this time (Unix milliseconds).
    pub fn new<N: Notification>(params: &N::Params, now: i64) -> Self {
        Self { method: N::INFO.wire, text: envelope::notification::<N>(params, now, None) }
    }
}

impl TrackedThread {
    /// The params of a resume from the last number, without the known turns.
    pub fn resume_params(&self, thread: ThreadId) -> ThreadResumeParams {
        let (after_seq, epoch) = self.number.unzip();
        let options = ResumeOptions { observe: self.observes, after_seq, epoch };
        ThreadResumeParams { exclude_turns: true, skein: Some(options), ..ThreadResumeParams::new(thread) }
    }

    /// The thread continues with this answer to the resume. Reports what its events do not.
    pub fn goes_on(
        &mut self,
        thread: ThreadId,
        questions: &mut OpenQuestions,
        picture: &SubscribedAnswer,
        now: i64,
    ) -> Vec<RelayNotice> {
        let status = picture.status().clone();
        let changed = std::mem::replace(&mut self.status, status.clone()) != status;
        let mut reports = questions.void(thread, picture.pending(), now);
        let is_replayed = picture.skein().is_some_and(|skein| skein.replay_to.is_some());
        if !is_replayed {
            self.number = picture.skein().map(|skein| (skein.seq, skein.epoch));
        }
        if !is_replayed && !self.announced {
            reports.extend(self.gap(thread, picture.skein(), &status, now));
        }
        if changed {
            let changed = ThreadStatusChangedNotification { status, thread_id: thread, skein: None };
            reports.push(RelayNotice::new::<ThreadStatusChanged>(&changed, now));
        }
        reports
    }

    /// Some events are lost: a turn that the client sees running ends anyway.
    fn gap(
        &mut self,
        thread: ThreadId,
        picture: Option<&ResumePicture>,
        status: &ThreadStatus,
        now: i64,
    ) -> Vec<RelayNotice> {
        let runs = matches!(status, ThreadStatus::Active { .. });
        let ended = if runs { None } else { self.end_turn(thread, now) };
        let reason = picture.and_then(|picture| picture.gap).map(|gap| gap.reason);
        // A thread without messages missed nothing.
        let is_told = ended.is_some() || runs || reason != Some(GapReason::NotStored);
        let warning = is_told.then(|| {
            let message = "some of what happened in this thread while the server changed cannot be told: \
                resume it to see it as it is";
            let warning = WarningNotification { message: message.to_owned(), thread_id: Some(thread) };
            RelayNotice::new::<Warning>(&warning, now)
        });
        ended.into_iter().chain(warning).collect()
    }

    /// The thread is gone with its server, for this reason.
    pub fn ends(
        mut self,
        thread: ThreadId,
        questions: &mut OpenQuestions,
        error: &WireError,
        now: i64,
    ) -> Vec<RelayNotice> {
        let mut reports = questions.void(thread, &[], now);
        reports.extend(self.end_turn(thread, now));
        if error.reason() == WITHDRAWN {
            // The client has left it by another request, whose answer says so.
            return reports;
        }
        if error.reason() != NOT_FOUND {
            let message = format!("the thread cannot go on: {}", error.message);
            let warning = WarningNotification { message, thread_id: Some(thread) };
            reports.push(RelayNotice::new::<Warning>(&warning, now));
        }
        let closed = ThreadClosedNotification { thread_id: thread, skein: None };
        reports.push(RelayNotice::new::<ThreadClosed>(&closed, now));
        reports
    }

    /// Ends the turn that the client sees running, if there is one.
    fn end_turn(&mut self, thread: ThreadId, now: i64) -> Option<RelayNotice> {
        let turn = Turn {
            status: TurnStatus::Interrupted,
            error: Some(TurnError::new(SERVER_ENDED)),
            items_view: TurnItemsView::NotLoaded,
            started_at: None,
            completed_at: Some(now / 1000),
            ..Turn::new(self.turn.take()?, 0)
        };
        let ended = TurnCompletedNotification { thread_id: thread, turn, skein: None };
        Some(RelayNotice::new::<TurnCompleted>(&ended, now))
    }
}
