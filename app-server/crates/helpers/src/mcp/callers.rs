//! The callers of outstanding calls on one line. A helper's question goes to the thread whose call caused it. Over HTTP that is the call
//! with the stream of the question. On stdio MCP does not name the call; with several possible threads no user is asked.
//!
//! A cancelled call counts until the helper answers it: the helper may go on working and ask about it later. MCP lets a
//! helper leave a cancelled call without an answer, so it counts for [`policy::HELPER_CANCELLED_KEEP`] at most.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rmcp::model::{ClientJsonRpcMessage, ClientRequest, GetExtensions, JsonRpcMessage, RequestId};
use skein_base::clock::Clock;
use skein_protocol::ids::{ThreadId, TurnId};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::policy;
use crate::questions::HelperQuestion;
use crate::spec::OnUnresponsive;

/// The caller that waits for an answer.
#[derive(Debug, Clone)]
pub(crate) struct McpCaller {
    pub(crate) thread: ThreadId,
    /// The thread's working directory.
    pub(crate) cwd: Arc<Path>,
    /// The helper, as the thread calls it.
    pub(crate) server: String,
    /// The turn that makes the call, if one does.
    pub(crate) turn: Option<TurnId>,
    /// Where the thread takes questions to its user. None: it takes none.
    pub(crate) questions: Option<mpsc::Sender<HelperQuestion>>,
    /// The thread's reaction to an unresponsive helper.
    pub(crate) on_unresponsive: OnUnresponsive,
}

/// The callers of one line. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    open: watch::Sender<OpenCall>,
    /// Where the helper works when nobody calls it.
    home: Arc<Path>,
}

#[derive(Debug, Default)]
struct OpenCall {
    next: u64,
    calls: Vec<Call>,
    /// Cancelled calls without an answer, the oldest first.
    cancelled: VecDeque<Cancelled>,
    /// Until then a cancelled call counts that there was no room to keep.
    crowded_until: Option<Instant>,
}

/// A call that nobody waits for any more, and that the helper may still work on.
#[derive(Debug)]
struct Cancelled {
    request: RequestId,
    thread: ThreadId,
    cwd: Arc<Path>,
    turn: Option<TurnId>,
    until: Instant,
}

#[derive(Debug)]
struct Call {
    number: u64,
    caller: McpCaller,
    /// The request that is made for it now, once that is made.
    request: Option<RequestId>,
}

/// The call of a request. It travels with the request to the transport, which knows the id of the request, too.
#[derive(Debug, Clone, Copy)]
struct CallNumber(u64);

/// A call that is outstanding until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    callers: Callers,
    number: Option<u64>,
    rule: OnUnresponsive,
}

impl Callers {
    /// Nobody calls yet. `home` is the directory that the helper is started for.
    pub(crate) fn new(home: PathBuf) -> Self {
        Self { open: watch::Sender::default(), home: home.into() }
    }

    /// A call begins. Without a caller it is one of the server's own.
    pub(crate) fn enter(&self, caller: Option<McpCaller>) -> Entered {
        let mut number = None;
        let rule = caller.as_ref().map(|caller| caller.on_unresponsive).unwrap_or_default();
        if let Some(caller) = caller {
            self.open.send_modify(|open| {
                open.calls.push(Call { number: open.next, caller, request: None });
                number = Some(open.next);
                open.next += 1;
            });
        }
        Entered { callers: self.clone(), number, rule }
    }

    /// The caller of an outstanding request.
    pub(crate) fn of(&self, request: &RequestId) -> Option<McpCaller> {
        let open = self.open.borrow();
        open.calls.iter().find(|call| call.request.as_ref() == Some(request)).map(|call| call.caller.clone())
    }

    /// The caller that a question is about: the one on whose stream it came, if that is known.
    ///
    /// # Errors
    /// The reason why no user can be asked, for the helper.
    pub(crate) fn asked(&self, came_with: Option<&RequestId>) -> Result<McpCaller, &'static str> {
        match came_with {
            Some(request) => self.of(request).ok_or("no user waits for the call that it came with"),
            None => self.the_one(),
        }
    }

    /// To be shown each message before it is sent, so that the call of a request is known before the helper can answer or ask.
    pub(crate) fn watch(&self, message: &ClientJsonRpcMessage) {
        let JsonRpcMessage::Request(request) = message else { return };
        let Some(CallNumber(number)) = request.request.extensions().get() else { return };
        self.open.send_if_modified(|open| {
            let own = open.calls.iter_mut().find(|call| call.number == *number);
            own.is_some_and(|call| call.request.replace(request.id.clone()).is_some())
        });
    }

    /// The helper has answered this request, or never got it.
    pub(crate) fn is_answered(&self, request: &RequestId) {
        self.open.send_if_modified(|open| open.is_answered(request));
    }

    /// The only possible caller; with its turn, if all its calls belong to one turn.
    ///
    /// # Errors
    /// The reason why no user can be asked, for the helper.
    fn the_one(&self) -> Result<McpCaller, &'static str> {
        let open = self.open.borrow();
        let mut calls = open.calls.iter().map(|call| &call.caller);
        let Some(first) = calls.next() else {
            return Err("no call is outstanding, so there is no user to ask");
        };
        let mut one = first.clone();
        for other in calls {
            if other.thread != one.thread {
                return Err(
                    "calls of several conversations are outstanding, and the question does not say which it is about",
                );
            }
            if other.turn != one.turn {
                one.turn = None;
            }
        }
        match open.may_be_about_another(&one, Clock.now()) {
            true => Err("it may be about a call that was cancelled and has no answer yet"),
            false => Ok(one),
        }
    }

    /// The directory that the helper works for now.
    ///
    /// # Errors
    /// Why there is not one, for the helper.
    pub(crate) fn folder(&self) -> Result<PathBuf, &'static str> {
        let open = self.open.borrow();
        let now = Clock.now();
        let cancelled = open.cancelled.iter().filter(|call| call.until > now).map(|call| &*call.cwd);
        let mut folders = open.calls.iter().map(|call| &*call.caller.cwd).chain(cancelled);
        let Some(first) = folders.next() else { return Ok(self.home.to_path_buf()) };
        match folders.all(|other| other == first) {
            true => Ok(first.to_owned()),
            false => Err("calls of conversations with several working directories are outstanding"),
        }
    }

    /// Until this thread has no call outstanding.
    pub(crate) async fn gone(&self, thread: ThreadId) {
        self.none(|call| call.caller.thread == thread).await;
    }

    /// Until this request is not outstanding any more.
    pub(crate) async fn answered(&self, request: &RequestId) {
        self.none(|call| call.request.as_ref() == Some(request)).await;
    }

    async fn none(&self, is_one: impl Fn(&Call) -> bool) {
        let mut open = self.open.subscribe();
        // It fails only when the sender is gone, which this is.
        let _ = open.wait_for(|open| !open.calls.iter().any(&is_one)).await;
    }
}

impl OpenCall {
    fn is_answered(&mut self, request: &RequestId) -> bool {
        let own = self.calls.iter_mut().find(|call| call.request.as_ref() == Some(request));
        own.map(|call| call.request = None).is_some() || {
            let before = self.cancelled.len();
            self.cancelled.retain(|call| call.request != *request);
            self.cancelled.len() < before
        }
    }

    /// The call is over for its caller. One without an answer is remembered: the helper may still work on it.
    fn leave(&mut self, number: u64, now: Instant) {
        let Some(at) = self.calls.iter().position(|call| call.number == number) else { return };
        let Call { number: _, caller, request } = self.calls.remove(at);
        self.cancelled.retain(|call| call.until > now);
        let Some(request) = request else { return };
        if self.cancelled.len() == policy::HELPER_CANCELLED_CALLS
            && let Some(oldest) = self.cancelled.pop_front()
        {
            self.crowded_until = Some(oldest.until);
        }
        let McpCaller { thread, cwd, turn, server: _, questions: _, on_unresponsive: _ } = caller;
        let until = now + policy::HELPER_CANCELLED_KEEP;
        self.cancelled.push_back(Cancelled { request, thread, cwd, turn, until });
    }

    /// Whether a cancelled call of another thread, or of another turn, may be what a question is about.
    fn may_be_about_another(&self, one: &McpCaller, now: Instant) -> bool {
        let same =
            |call: &Cancelled| call.thread == one.thread && one.turn.is_some() && call.turn == one.turn;
        self.crowded_until.is_some_and(|until| until > now)
            || self.cancelled.iter().any(|call| call.until > now && !same(call))
    }
}

impl Entered {
    /// The caller's reaction to an unresponsive helper.
    pub(crate) fn rule(&self) -> OnUnresponsive {
        self.rule
    }

    /// This request is made for it, behind others that were answered.
    pub(crate) fn makes(&self, request: &mut ClientRequest) {
        if let Some(number) = self.number {
            request.extensions_mut().insert(CallNumber(number));
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        self.callers.open.send_modify(|open| open.leave(number, Clock.now()));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use rmcp::model::PingRequest;

    use super::*;

    fn caller(thread: u128, cwd: &str, turn: Option<&str>) -> Option<McpCaller> {
        let thread = ThreadId::new(uuid::Uuid::from_u128(thread));
        let turn = turn.map(|turn| TurnId::from(turn.to_owned()));
        let (cwd, server) = (Path::new(cwd).into(), "a".to_owned());
        let on_unresponsive = OnUnresponsive::default();
        Some(McpCaller { thread, cwd, server, turn, questions: None, on_unresponsive })
    }

    /// The call's request of this id is sent.
    fn sends(call: &Entered, id: &RequestId) {
        let mut request = ClientRequest::PingRequest(PingRequest::default());
        call.makes(&mut request);
        call.callers.watch(&ClientJsonRpcMessage::request(request, id.clone()));
    }

    #[test]
    fn a_question_goes_to_the_one_thread_that_calls_and_to_nobody_among_several() {
        let callers = Callers::new("/home".into());
        assert!(callers.asked(None).unwrap_err().starts_with("no call"));
        let own = callers.enter(None);
        assert!(callers.asked(None).is_err(), "what the server itself asks is nobody's call");
        let first = callers.enter(caller(1, "/a", Some("t")));
        assert_eq!(callers.asked(None).unwrap().turn, Some(TurnId::from("t".to_owned())));
        let second = callers.enter(caller(1, "/a", None));
        let one = callers.asked(None).unwrap();
        assert_eq!((one.thread.to_string().pop(), one.turn), (Some('1'), None), "one thread, no one turn");
        let other = callers.enter(caller(2, "/b", None));
        assert!(callers.asked(None).unwrap_err().starts_with("calls of several conversations"));
        drop((first, own));
        assert!(callers.gone(one.thread).now_or_never().is_none());
        drop(second);
        assert!(callers.gone(one.thread).now_or_never().is_some());
        assert_eq!(callers.asked(None).unwrap().thread.to_string().pop(), Some('2'));
        drop(other);
    }

    #[test]
    fn who_has_made_a_request_is_known_while_it_is_outstanding() {
        let callers = Callers::new("/home".into());
        let (first, second) = (callers.enter(caller(1, "/a", None)), callers.enter(caller(2, "/b", None)));
        let [one, two, three] = [1, 2, 3].map(RequestId::Number);
        sends(&first, &one);
        sends(&second, &two);
        sends(&callers.enter(None), &three);
        let of = |request| Some(callers.of(request)?.cwd.to_path_buf());
        assert_eq!((of(&one), of(&two), of(&three)), (Some("/a".into()), Some("/b".into()), None));
        assert!(callers.answered(&two).now_or_never().is_none());
        sends(&second, &three);
        assert_eq!((of(&two), of(&three)), (None, Some("/b".into())));
        assert!(callers.answered(&two).now_or_never().is_some());
        drop(second);
        assert_eq!((of(&one), of(&three)), (Some("/a".into()), None));
        assert!(callers.asked(Some(&one)).is_ok());
        let gone = callers.asked(Some(&three)).unwrap_err();
        assert!(gone.starts_with("no user waits"), "{gone}");
    }

    /// A call that makes this request and is cancelled.
    fn cancelled(callers: &Callers, caller: Option<McpCaller>, request: i64) {
        sends(&callers.enter(caller), &RequestId::Number(request));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_call_leaves_others_in_doubt_until_the_helper_answers_it() {
        let callers = Callers::new("/home".into());
        let doubt = || callers.asked(None).is_err_and(|why| why.contains("cancelled"));
        cancelled(&callers, caller(1, "/a", Some("t")), 1);
        assert!(callers.asked(None).unwrap_err().starts_with("no call"));
        assert_eq!(callers.folder(), Ok("/a".into()));
        for (other, in_doubt) in [
            (caller(2, "/b", Some("t")), true),
            (caller(1, "/a", Some("u")), true),
            (caller(1, "/a", None), true),
            (caller(1, "/a", Some("t")), false),
        ] {
            let shown = format!("{other:?}");
            let _open = callers.enter(other);
            assert_eq!(doubt(), in_doubt, "{shown}");
        }
        let other = callers.enter(caller(2, "/b", None));
        assert!(doubt() && callers.folder().is_err());
        callers.is_answered(&RequestId::Number(1));
        assert!(!doubt() && callers.folder() == Ok("/b".into()));
        // Calls of clients have no turn to tell them apart.
        cancelled(&callers, caller(2, "/b", None), 2);
        assert!(doubt());
        tokio::time::advance(policy::HELPER_CANCELLED_KEEP).await;
        assert!(!doubt(), "the helper may leave it without an answer");
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answered_call_leaves_no_doubt_and_too_many_cancelled_ones_do() {
        let callers = Callers::new("/home".into());
        let _open = callers.enter(caller(1, "/a", Some("t")));
        let call = callers.enter(caller(2, "/b", None));
        sends(&call, &RequestId::Number(0));
        callers.is_answered(&RequestId::Number(0));
        drop((call, callers.enter(caller(3, "/c", None))));
        assert!(callers.asked(None).is_ok(), "one was answered, the other one never made");
        let most = i64::try_from(policy::HELPER_CANCELLED_CALLS).unwrap();
        (0..=most).for_each(|request| cancelled(&callers, caller(2, "/b", None), request));
        (0..=most).for_each(|request| callers.is_answered(&RequestId::Number(request)));
        assert!(callers.asked(None).is_err(), "the first one was not kept");
        tokio::time::advance(policy::HELPER_CANCELLED_KEEP).await;
        assert!(callers.asked(None).is_ok());
    }

    #[test]
    fn the_root_is_the_callers_directory_or_the_helpers_own() {
        let callers = Callers::new("/home".into());
        assert_eq!(callers.folder(), Ok("/home".into()));
        let _first = callers.enter(caller(1, "/a", None));
        let _second = callers.enter(caller(2, "/a", None));
        assert_eq!(callers.folder(), Ok("/a".into()), "two threads, one directory");
        let _third = callers.enter(caller(3, "/b", None));
        assert!(callers.folder().is_err());
    }
}
