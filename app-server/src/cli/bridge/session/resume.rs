//! Continues a conversation on another server: the introduction, then the threads by their numbers, then the
//! requests.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::error::{OVERLOADED, WireError};
use skein_protocol::event::{
    ServerRequestResolvedNotification, ThreadClosedNotification, ThreadStatusChangedNotification,
    TurnCompletedNotification, WarningNotification,
};
use skein_protocol::extension::{GapReason, ResumeOptions, ResumePicture, StartOptions};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::{ThreadResume, ThreadStart};
use skein_protocol::notifications::{
    ServerRequestResolved, ThreadClosed, ThreadStatusChanged, TurnCompleted, Warning,
};
use skein_protocol::thread::{ThreadResumeParams, ThreadStatus};
use skein_protocol::turn::{Turn, TurnError, TurnItemsView, TurnStatus};

use skein_store::history::SERVER_ENDED;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::hello::{self, HELLO};
use super::tracked::{SubscribedAnswer, TrackedThread};
use super::{BridgeSession, DeferredMessages, LinkState, PendingRequest, RequestKind};

/// The prefix of ids of the bridge's own resumes. Clients cannot guess it.
const RESUME: &str = "skein-bridge-resume-";

/// The reason `threadNotFound`: the thread exists nowhere.
const NOT_FOUND: &str = "threadNotFound";

/// The reason of a stopping server.
pub(super) const SERVER_STOPS: &str = "serverStops";

/// Concurrent resumes. Origin: guess; below the limit of a connection.
const AT_ONCE: usize = 16;

/// The wait after a resume without room, if the server names none. Origin: guess.
const RETRY_MS: u64 = 100;

/// The progress of the resumes.
#[derive(Debug)]
pub(super) struct Resumption {
    left: VecDeque<ThreadId>,
    /// Requested resumes.
    asked: HashMap<String, ThreadId>,
    /// The limit of concurrent resumes; fewer after a lack of room.
    at_once: usize,
    /// The wait before the next try, if there is no room for a single one.
    again_in: Option<Duration>,
    /// The client leaves: no more requests.
    given_up: bool,
}

impl Resumption {
    fn new(left: VecDeque<ThreadId>) -> Self {
        Self { left, asked: HashMap::new(), at_once: AT_ONCE, again_in: None, given_up: false }
    }

    /// Puts a resume back: it is due when another one is answered, or after the server's wait.
    fn put_off(&mut self, thread: ThreadId, error: &WireError) {
        self.left.push_back(thread);
        self.at_once = self.asked.len();
        if self.at_once == 0 && !self.given_up {
            let retry = error.data.as_ref().and_then(|data| data.retry_after_ms).unwrap_or(RETRY_MS);
            self.again_in = Some(Duration::from_millis(retry));
        }
    }

    pub(super) fn give_up(&mut self) {
        (self.given_up, self.again_in) = (true, None);
    }

    fn ask(
        &mut self,
        thread: ThreadId,
        last_id: &mut u64,
        to_server: &mut VecDeque<Utf8Bytes>,
        request: impl FnOnce(&RequestId) -> String,
    ) {
        *last_id += 1;
        let id = format!("{RESUME}{last_id}");
        to_server.push_back(request(&RequestId::String(id.clone())).into());
        self.asked.insert(id, thread);
    }
}

impl BridgeSession {
    pub(super) fn is_own(&self, id: &RequestId) -> bool {
        matches!(id, RequestId::String(id) if id == HELLO || id.starts_with(RESUME))
    }

    /// Takes the answer to one of these.
    pub(super) fn own_answer(&mut self, id: &RequestId, answer: Result<&RawValue, WireError>, now: i64) {
        let RequestId::String(id) = id else { return };
        match &mut self.state {
            LinkState::Greeting if id == HELLO => {
                self.heartbeat = answer.as_ref().ok().and_then(|welcome| hello::heartbeat(welcome));
                self.greeted(answer.err(), now);
            }
            LinkState::Resuming(comeback) => {
                if let Some(thread) = comeback.asked.remove(id) {
                    if answer.is_ok() {
                        comeback.at_once = AT_ONCE.min(comeback.at_once + 1);
                    }
                    self.resumed(thread, answer, now);
                    self.resume_more();
                }
            }
            // The answer belongs to an earlier link.
            LinkState::Apart | LinkState::Greeting | LinkState::Live => {}
        }
    }

    fn greeted(&mut self, refused: Option<WireError>, now: i64) {
        if let Some(error) = refused {
            // This server accepted the client before; a refusal now means no help for its threads either.
            for thread in self.threads.keys().copied().collect::<Vec<_>>() {
                self.gone(thread, &error, now);
            }
        }
        self.to_server.extend(self.hello.initialized());
        let leaves = self.asked.iter().any(|asked| asked.kind == RequestKind::Leave);
        // Skips threads that the client resumes or leaves itself.
        let theirs = |thread: &ThreadId| leaves || self.asked.iter().any(|asked| asked.is_about(*thread));
        let left = self.threads.keys().copied().filter(|thread| !theirs(thread)).collect();
        let starts = self.asked.iter().filter(|asked| asked.kind == RequestKind::TurnStart);
        let behind: Vec<RequestId> = starts.map(|asked| asked.id.clone()).collect();
        self.held = (!behind.is_empty()).then(|| DeferredMessages { behind, ..DeferredMessages::default() });
        self.state = LinkState::Resuming(Resumption::new(left));
        self.resume_more();
    }

    /// The wait after which [`BridgeSession::resume_again`] is due, if any. A duration, so that a changed clock does not
    /// matter.
    pub(crate) fn again_in(&self) -> Option<Duration> {
        match &self.state {
            LinkState::Resuming(comeback) => comeback.again_in,
            LinkState::Apart | LinkState::Greeting | LinkState::Live => None,
        }
    }

    /// Retries: the server may have room now.
    pub(crate) fn resume_again(&mut self) {
        if let LinkState::Resuming(comeback) = &mut self.state {
            (comeback.again_in, comeback.at_once) = (None, 1);
        }
        self.resume_more();
    }

    fn resume_more(&mut self) {
        let LinkState::Resuming(comeback) = &mut self.state else { return };
        while !comeback.given_up
            && comeback.asked.len() < comeback.at_once
            && let Some(thread) = comeback.left.pop_front()
        {
            let Some(followed) = self.threads.get(&thread) else { continue };
            let params = resume_params(thread, followed);
            comeback.ask(thread, &mut self.last_id, &mut self.to_server, |id| {
                envelope::request::<ThreadResume>(id, &params)
            });
        }
        if comeback.asked.is_empty() && comeback.left.is_empty() {
            self.go_live();
        }
    }

    fn resumed(&mut self, thread: ThreadId, answer: Result<&RawValue, WireError>, now: i64) {
        match answer.map(SubscribedAnswer::read) {
            Ok(Some(picture)) => self.goes_on(thread, &picture, now),
            Ok(None) => {
                self.gone(thread, &WireError::internal("unreadable", "its answer is no resume's"), now)
            }
            Err(error) if error.code == OVERLOADED => {
                if let LinkState::Resuming(comeback) = &mut self.state {
                    comeback.put_off(thread, &error);
                }
            }
            // The client is not notified: the link ends with the server.
            Err(error) if error.reason() == SERVER_STOPS => {}
            Err(error) if error.reason() == NOT_FOUND && self.starts_anew(thread) => {}
            Err(error) => self.gone(thread, &error, now),
        }
    }

    /// Starts a thread without messages again. Returns whether it is one.
    fn starts_anew(&mut self, thread: ThreadId) -> bool {
        let LinkState::Resuming(comeback) = &mut self.state else { return false };
        let Some(followed) = self.threads.get_mut(&thread) else { return false };
        if followed.announced {
            return false;
        }
        let Some(mut params) = followed.start.take() else { return false };
        params.skein = Some(StartOptions { thread_id: Some(thread) });
        followed.announced = true;
        comeback.ask(thread, &mut self.last_id, &mut self.to_server, |id| {
            envelope::request::<ThreadStart>(id, &params)
        });
        followed.start = Some(params);
        true
    }

    /// The thread continues. Reports what its events do not.
    fn goes_on(&mut self, thread: ThreadId, picture: &SubscribedAnswer, now: i64) {
        let Some(followed) = self.threads.get_mut(&thread) else { return };
        let status = picture.status().clone();
        let changed = std::mem::replace(&mut followed.status, status.clone()) != status;
        followed.number = picture.skein().map(|skein| (skein.seq, skein.epoch));
        let anew = followed.announced;
        self.void(thread, picture.pending(), now);
        if !anew && picture.skein().is_none_or(|skein| skein.replay_to.is_none()) {
            self.gap(thread, picture.skein(), &status, now);
        }
        if changed {
            let changed = ThreadStatusChangedNotification { status, thread_id: thread, skein: None };
            self.say::<ThreadStatusChanged>(&changed, now);
        }
    }

    /// Some events are lost: a turn that the client sees running ends anyway.
    fn gap(&mut self, thread: ThreadId, picture: Option<&ResumePicture>, status: &ThreadStatus, now: i64) {
        let runs = matches!(status, ThreadStatus::Active { .. });
        let ended = !runs && self.end_turn(thread, now);
        let reason = picture.and_then(|picture| picture.gap).map(|gap| gap.reason);
        // A thread without messages missed nothing.
        if ended || runs || reason != Some(GapReason::NotStored) {
            let message = "some of what happened in this thread while the server changed cannot be told: \
                resume it to see it as it is";
            let warning = WarningNotification { message: message.to_owned(), thread_id: Some(thread) };
            self.say::<Warning>(&warning, now);
        }
    }

    /// The thread is gone with its server.
    pub(super) fn gone(&mut self, thread: ThreadId, error: &WireError, now: i64) {
        self.void(thread, &[], now);
        self.end_turn(thread, now);
        self.threads.remove(&thread);
        if error.reason() != NOT_FOUND {
            let message = format!("the thread cannot go on: {}", error.message);
            self.say::<Warning>(&WarningNotification { message, thread_id: Some(thread) }, now);
        }
        self.say::<ThreadClosed>(&ThreadClosedNotification { thread_id: thread, skein: None }, now);
    }

    /// Ends the turn that the client sees running. Returns whether there was one.
    fn end_turn(&mut self, thread: ThreadId, now: i64) -> bool {
        let Some(id) = self.threads.get_mut(&thread).and_then(|followed| followed.turn.take()) else {
            return false;
        };
        let turn = Turn {
            status: TurnStatus::Interrupted,
            error: Some(TurnError::new(SERVER_ENDED)),
            items_view: TurnItemsView::NotLoaded,
            started_at: None,
            completed_at: Some(now / 1000),
            ..Turn::new(id, 0)
        };
        let ended = TurnCompletedNotification { thread_id: thread, turn, skein: None };
        self.say::<TurnCompleted>(&ended, now);
        true
    }

    /// Resolves the client's questions in a thread, except those still open.
    pub(super) fn void(&mut self, thread: ThreadId, still: &[RequestId], now: i64) {
        let questions = std::mem::take(&mut self.questions);
        let void =
            |question: &super::OpenQuestion| question.thread == Some(thread) && !still.contains(&question.id);
        let (void, open): (Vec<_>, Vec<_>) = questions.into_iter().partition(void);
        self.questions = open;
        for question in void {
            let resolved = ServerRequestResolvedNotification { request_id: question.id, thread_id: thread };
            self.say::<ServerRequestResolved>(&resolved, now);
        }
    }
}

impl PendingRequest {
    /// Whether it subscribes to the thread, or ends the subscription.
    fn is_about(&self, id: ThreadId) -> bool {
        match self.kind {
            RequestKind::Resume { thread, .. } | RequestKind::Unsubscribe(thread) => thread == Some(id),
            RequestKind::Initialize
            | RequestKind::Start
            | RequestKind::Fork
            | RequestKind::Leave
            | RequestKind::TurnStart
            | RequestKind::TurnSteer
            | RequestKind::Other => false,
        }
    }
}

/// The params of a resume from the last number, without the known turns.
fn resume_params(thread: ThreadId, followed: &TrackedThread) -> ThreadResumeParams {
    let (after_seq, epoch) = followed.number.unzip();
    let options = ResumeOptions { observe: followed.observes, after_seq, epoch };
    ThreadResumeParams { exclude_turns: true, skein: Some(options), ..ThreadResumeParams::new(thread) }
}
