//! Continues a conversation on another server: the introduction, then the threads by their numbers, then the
//! requests.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::value::RawValue;
use skein_app_server::relay::tracked::SubscribedAnswer;
use skein_app_server::relay::{NOT_FOUND, SERVER_STOPS};
use skein_protocol::envelope;
use skein_protocol::error::{OVERLOADED, WireError};
use skein_protocol::extension::StartOptions;
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::{ThreadResume, ThreadStart};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::hello::{self, HELLO};
use super::{BridgeSession, DeferredMessages, LinkState, RequestKind};

/// The prefix of ids of the bridge's own resumes. Clients cannot guess it.
const RESUME: &str = "skein-bridge-resume-";

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
            let params = followed.resume_params(thread);
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
        let reports = followed.goes_on(thread, &mut self.questions, picture, now);
        self.report(reports);
    }

    /// The thread is gone with its server.
    pub(super) fn gone(&mut self, thread: ThreadId, error: &WireError, now: i64) {
        if let Some(followed) = self.threads.remove(&thread) {
            let reports = followed.ends(thread, &mut self.questions, error, now);
            self.report(reports);
        }
    }
}
