//! The threads of one client that other servers of its cluster have.
//!
//! ```text
//! client            its server                                       owner              next owner
//!   |-- requests ------>| notes them  ---------------------------------->|
//!   |<-- events --------| notes numbers and questions  <-----------------|
//!   |                   |                                                X  ended, or its link broke
//!   |<-- errors: what --| may not be done twice
//!   |                   | finds the next owner, perhaps itself
//!   |                   |---- thread/resume {afterSeq, epoch} -------------------------->|
//!   |<-- missed events -|<--- answer, missed events, open questions ---------------------|
//!   |                   |---- requests without an answer, and what has waited ---------->|
//! ```
//!
//! Each message of the user has an id, so a repeated one counts once. One without an id gets it from this server.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Incoming, Stamp};
use skein_protocol::error::WireError;
use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::ThreadUnsubscribe;
use skein_protocol::notifications::{ItemStarted, ServerRequestResolved, SkeinStopping};
use skein_protocol::table::Notification;
use skein_protocol::thread::ThreadUnsubscribeParams;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::asked::{PendingRequest, RequestKind};
use super::questions::OpenQuestions;
use super::tracked::{self, SubscribedAnswer, TrackedThread};
use super::{RelayNotice, SERVER_STOPS, names, numbers, retry};
use crate::policy;

mod moves;
mod outcome;
#[cfg(test)]
mod tests;

pub(crate) use outcome::{NextOwner, Relayed};

/// The prefix of ids of the server's own resumes. Clients cannot guess it.
const RESUME: &str = "skein-relay-resume-";

/// The end of a server, in refusals of requests that are not repeated.
pub(crate) const ENDED: &str = "the server that had the thread has ended";

/// The threads of one client that other servers have.
#[derive(Debug, Default)]
pub(crate) struct RelayedThreads {
    /// Notifications that the client does not want.
    opted_out: HashSet<String>,
    /// Whether the client wants the numbers of events.
    is_numbered: bool,
    /// Unique among all clients of all servers, for the ids of messages.
    name: String,
    last_id: u64,
    /// The subscribed threads.
    tracked: BTreeMap<ThreadId, TrackedThread>,
    /// Where they are subscribed; none for one that has lost its server. A thread that has come back here stays: no link speaks of it.
    subscribed: HashMap<ThreadId, NextOwner>,
    /// They or their links may have changed since the last call of [`RelayedThreads::changed`].
    is_changed: bool,
    /// Requests without an answer, in order.
    asked: Vec<RelayedRequest>,
    questions: OpenQuestions,
    /// The resumes of this server that have no answer yet.
    resumes: HashMap<RequestId, ThreadId>,
    /// Requests to repeat, of the threads that have lost their server.
    lost: BTreeMap<ThreadId, Vec<PendingRequest>>,
}

/// A request without an answer, and the link by which it was asked.
#[derive(Debug)]
struct RelayedRequest {
    thread: ThreadId,
    link: Uuid,
    request: PendingRequest,
    /// The client has left all threads since.
    has_left: bool,
}

/// The end of a subscription that the client does not want. Its answer is not for the client.
pub(crate) fn unsubscription(thread: ThreadId) -> Utf8Bytes {
    let id = RequestId::String(format!("{RESUME}unwanted"));
    envelope::request::<ThreadUnsubscribe>(&id, &ThreadUnsubscribeParams { thread_id: thread }).into()
}

/// The answer to a request that cannot be sent to another server.
fn refusal(request: &PendingRequest) -> Utf8Bytes {
    let error = retry::not_repeated(ENDED, &request.method);
    envelope::error_reply(Some(&request.id), &error).into()
}

impl RelayedThreads {
    /// Notes who the client is, before its first request.
    pub(crate) fn introduce(
        &mut self,
        name: String,
        is_numbered: bool,
        opted_out: impl IntoIterator<Item = String>,
    ) {
        (self.name, self.is_numbered) = (name, is_numbered);
        self.opted_out = opted_out.into_iter().collect();
    }

    /// The link by which a thread's requests have gone, while the client is subscribed there or waits for an answer.
    pub(crate) fn way(&self, thread: ThreadId) -> Option<Uuid> {
        match self.subscribed.get(&thread) {
            Some(NextOwner::Link(link)) => Some(*link),
            Some(NextOwner::Here) | None => {
                self.asked.iter().rfind(|asked| asked.thread == thread).map(|asked| asked.link)
            }
        }
    }

    /// The subscribed threads with their links, if they have changed since the last call.
    pub(crate) fn changed(&mut self) -> Option<HashMap<ThreadId, Option<Uuid>>> {
        let link = |thread| match self.subscribed.get(thread) {
            Some(NextOwner::Link(link)) => Some(*link),
            Some(NextOwner::Here) | None => None,
        };
        let followed = || self.tracked.keys().map(|thread| (*thread, link(thread))).collect();
        std::mem::take(&mut self.is_changed).then(followed)
    }

    /// Whether the client is subscribed to a thread by a link, or was by one that has ended.
    pub(crate) fn is_tracked(&self, thread: ThreadId) -> bool {
        self.tracked.contains_key(&thread)
    }

    /// Whether a subscribed thread has no server now.
    pub(crate) fn is_lost(&self, thread: ThreadId) -> bool {
        self.is_tracked(thread) && !self.subscribed.contains_key(&thread)
    }

    /// Whether the client only watches a thread that it is subscribed to.
    pub(crate) fn observes(&self, thread: ThreadId) -> bool {
        self.tracked.get(&thread).is_some_and(|tracked| tracked.observes)
    }

    fn track(&mut self, (thread, link): (ThreadId, Uuid), tracked: TrackedThread) {
        let owner = NextOwner::Link(link);
        self.is_changed |= self.subscribed.insert(thread, owner) != Some(owner);
        self.is_changed |= self.tracked.insert(thread, tracked).is_none();
    }

    /// Whether a lost thread is not on its way to another server. From here on it is.
    pub(crate) fn is_forgotten(&mut self, thread: ThreadId) -> bool {
        let is_asked = |asked: &RelayedRequest| asked.request.is_about(thread);
        let is_under_way = self.lost.contains_key(&thread)
            || self.resumes.values().any(|resumed| *resumed == thread)
            || self.asked.iter().any(is_asked);
        let is_forgotten = self.is_lost(thread) && !is_under_way;
        if is_forgotten {
            self.lost.entry(thread).or_default();
        }
        is_forgotten
    }

    /// Whether a thread waits for its next server.
    pub(crate) fn waits(&self, thread: ThreadId) -> bool {
        self.lost.contains_key(&thread)
    }

    /// A subscribed thread has no server from here on.
    fn lose(&mut self, thread: ThreadId) {
        self.is_changed |= self.subscribed.remove(&thread).is_some();
    }

    fn untrack(&mut self, thread: ThreadId) {
        self.lose(thread);
        self.questions.forget(Some(thread));
        self.is_changed |= self.tracked.remove(&thread).is_some();
    }

    /// Notes a notification of a thread. Some end the subscription.
    fn note(&mut self, method: &str, params: Option<&RawValue>, stamp: Stamp) {
        let before = self.tracked.len();
        tracked::note(&mut self.tracked, method, params, stamp);
        if self.tracked.len() != before
            && let Some(thread) = tracked::thread_of(params)
        {
            self.is_changed = true;
            self.untrack(thread);
        }
    }

    /// The client leaves all threads. Returns the answers to requests of it that would subscribe it at the next server.
    pub(crate) fn leave(&mut self) -> Vec<Utf8Bytes> {
        self.is_changed = true;
        self.tracked.clear();
        self.subscribed.clear();
        self.resumes.clear();
        self.asked.iter_mut().for_each(|asked| asked.has_left = true);
        self.questions.forget_threads();
        let requests = self.lost.values_mut();
        let void = requests.flat_map(|requests| requests.extract_if(.., |request| request.subscribes()));
        let refusals = void.map(|request| refusal(&request)).collect();
        self.lost.retain(|_, requests| !requests.is_empty());
        refusals
    }

    /// Whether a subscribed thread has to come back before this request goes to its server: the subscription is at another one.
    pub(crate) fn goes_astray(&mut self, thread: ThreadId, owner: NextOwner, text: &str) -> bool {
        if !self.is_tracked(thread) {
            return false;
        }
        let kind = match envelope::parse(text) {
            Ok(Incoming::Request { method, params, .. }) => RequestKind::of(&method, params),
            Ok(_) | Err(_) => return false,
        };
        let is_there = self.subscribed.get(&thread) == Some(&owner);
        if let RequestKind::Unsubscribe(_) = kind {
            if owner == NextOwner::Here {
                self.untrack(thread);
                self.is_on_its_own(thread);
            }
            return false;
        }
        if is_there {
            return false;
        }
        self.lose(thread);
        if let RequestKind::Resume { .. } = kind {
            self.is_on_its_own(thread);
            if owner == NextOwner::Here {
                self.subscribed.insert(thread, owner);
            }
            return false;
        }
        self.lost.entry(thread).or_default();
        true
    }

    /// The client itself resumes or leaves a thread, so the relay need not.
    fn is_on_its_own(&mut self, thread: ThreadId) {
        self.lost.retain(|id, requests| *id != thread || !requests.is_empty());
    }

    /// This server has answered the client's own resume of a thread that it followed by a link.
    pub(crate) fn resumed_itself(&mut self, thread: ThreadId, is_granted: bool) {
        if !self.is_tracked(thread) {
            return;
        }
        if is_granted {
            self.questions.forget(Some(thread));
            self.comes_here(thread);
        } else {
            self.lose(thread);
        }
    }

    /// A thread is followed without a relay from here on.
    fn comes_here(&mut self, thread: ThreadId) {
        self.untrack(thread);
        self.subscribed.insert(thread, NextOwner::Here);
    }

    /// Notes a request about a thread by a link. Returns the message to send.
    pub(crate) fn send(
        &mut self,
        (thread, link): (ThreadId, Uuid),
        text: String,
        is_again: bool,
    ) -> Utf8Bytes {
        let text = Utf8Bytes::from(text);
        let shared = text.clone();
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(&shared) else { return text };
        let mut request = PendingRequest::new(id, &method, params, text);
        if request.is_message() {
            self.last_id += 1;
            let unique = format!("{}-{}", self.name, self.last_id);
            if let Some(named) = names::named(&request.id, &method, params, &unique) {
                request.line = named.into();
            }
        } else if let RequestKind::Unsubscribe(_) = request.kind {
            self.untrack(thread);
        }
        request.again = is_again;
        let line = request.line.clone();
        self.asked.push(RelayedRequest { thread, link, request, has_left: false });
        line
    }

    /// Notes of the newest request how often its thread has turned out to be with another server, and whether the client has left all
    /// threads before it was sent.
    pub(crate) fn note_newest(&mut self, moved: u32, has_left: bool) {
        if let Some(newest) = self.asked.last_mut() {
            newest.request.moved = moved;
            newest.has_left |= has_left;
        }
    }

    /// Keeps the client's answer to a question.
    pub(crate) fn answered(&mut self, question: &RequestId, text: &str) {
        self.questions.answer(question, text.into());
        if self.opted_out.contains(ServerRequestResolved::INFO.wire) {
            self.questions.settle(question);
        }
    }

    /// Takes a frame that has come by a link, at this time (Unix milliseconds).
    pub(crate) fn receive(&mut self, link: Uuid, text: Utf8Bytes, now: i64) -> Relayed {
        if numbers::is_quiet(&text) {
            if self.is_of_another_link(numbers::thread_of(&text), link) {
                return Relayed::default();
            }
            tracked::note_more(&mut self.tracked, &text);
            return Relayed::pass(text);
        }
        let shared = text.clone();
        match envelope::parse(&shared) {
            Ok(Incoming::Request { params, .. } | Incoming::Notification { params, .. })
                if self.is_of_another_link(tracked::thread_of(params), link) =>
            {
                Relayed::default()
            }
            Ok(Incoming::Request { id, params, .. }) => self.asks(id, params, text),
            Ok(Incoming::Notification { method, params }) => self.notifies(&method, params, text),
            Ok(Incoming::Response { id, result }) => self.answers(link, (&id, Ok(result)), text, now),
            Ok(Incoming::Error { id, error }) => self.answers(link, (&id, Err(error)), text, now),
            Err(_) => Relayed::pass(text),
        }
    }

    /// Notes an announcement that has come by the link of this client.
    pub(crate) fn announced(&mut self, method: &str, params: &RawValue, stamp: Stamp) {
        self.note(method, Some(params), stamp);
    }

    fn asks(&mut self, id: RequestId, params: Option<&RawValue>, text: Utf8Bytes) -> Relayed {
        if let Some(known) = self.questions.get(&id) {
            let to_owner = known.answer.clone().into_iter().collect();
            return Relayed { to_owner, ..Relayed::default() };
        }
        self.questions.open(id, tracked::thread_of(params));
        Relayed::pass(text)
    }

    fn notifies(&mut self, method: &str, params: Option<&RawValue>, text: Utf8Bytes) -> Relayed {
        // The thread goes on with the next server, and this one stays.
        if method == SkeinStopping::INFO.wire {
            return Relayed::default();
        }
        if method == ServerRequestResolved::INFO.wire
            && let Ok(settled) = envelope::params::<ServerRequestResolvedNotification>(params)
        {
            self.questions.settle(&settled.request_id);
        }
        let stamp = envelope::stamp(&text).unwrap_or_default();
        let is_shown =
            method == ItemStarted::INFO.wire && tracked::is_known_item(&self.tracked, params, stamp);
        if is_shown || self.is_known(params, stamp) {
            return Relayed::default();
        }
        self.note(method, params, stamp);
        if self.is_numbered {
            return Relayed::pass(text);
        }
        Relayed::pass(numbers::without(method, params, stamp).map_or(text, Utf8Bytes::from))
    }

    /// Whether the client is subscribed to the thread of a message by another link: this one is of a server that had it before.
    fn is_of_another_link(&self, thread: Option<ThreadId>, link: Uuid) -> bool {
        let subscribed = thread.and_then(|thread| self.subscribed.get(&thread));
        subscribed.is_some_and(|subscribed| *subscribed != NextOwner::Link(link))
    }

    /// Whether the client has this event. It comes once more if a thread comes back while its client resumes it.
    fn is_known(&self, params: Option<&RawValue>, stamp: Stamp) -> bool {
        let tracked = tracked::thread_of(params).and_then(|thread| self.tracked.get(&thread));
        let (known, number) = (tracked.and_then(|tracked| tracked.number), stamp.seq.zip(stamp.epoch));
        known.zip(number).is_some_and(|((at, of), (seq, epoch))| epoch == of && seq <= at)
    }

    fn answers(
        &mut self,
        link: Uuid,
        (id, answer): (&RequestId, Result<&RawValue, WireError>),
        text: Utf8Bytes,
        now: i64,
    ) -> Relayed {
        if matches!(id, RequestId::String(id) if id.starts_with(RESUME)) {
            return self.came_back(id, NextOwner::Link(link), answer, now);
        }
        let is_it = |asked: &RelayedRequest| asked.link == link && asked.request.id == *id;
        let Some(at) = self.asked.iter().position(is_it) else { return Relayed::pass(text) };
        if answer.as_ref().is_err_and(|error| error.reason() == SERVER_STOPS) {
            return self.is_refused_at_stop(at);
        }
        let request = &mut self.asked[at].request;
        let may_move = request.kind != RequestKind::Fork && request.moved < policy::ROUTE_TRIES;
        if may_move && answer.as_ref().is_err_and(|error| error.thread_of_other_server().is_some()) {
            request.moved += 1;
            return self.is_refused_at_stop(at);
        }
        let RelayedRequest { request, has_left, .. } = self.asked.remove(at);
        match answer {
            Ok(result) if has_left => {
                let unwanted = request.subscribes().then(|| SubscribedAnswer::read(result)).flatten();
                let unwanted = unwanted.map(|shown| shown.id()).filter(|thread| !self.is_wanted(*thread));
                Relayed { unwanted, ..Relayed::pass(text) }
            }
            Ok(result) => self.granted(link, &request, result, now).and(text),
            Err(error) if request.again && request.rule.is_done(&error) => {
                Relayed::pass(envelope::response(id, &serde_json::json!({})).into())
            }
            Err(error) if request.may_be_done_after(&error) => Relayed::pass(refusal(&request)),
            Err(_) => Relayed { again: self.keeps(&request), ..Relayed::pass(text) },
        }
    }

    /// Whether the client is subscribed to a thread, or asks for it.
    fn is_wanted(&self, thread: ThreadId) -> bool {
        let asks = |asked: &RelayedRequest| !asked.has_left && asked.request.is_about(thread);
        self.is_tracked(thread) || self.asked.iter().any(asks)
    }

    /// A server that stops has not done a request. The next one is asked. A copy needs no loaded thread, and is not made
    /// there: the thread may stay until its turn ends.
    fn is_refused_at_stop(&mut self, at: usize) -> Relayed {
        let RelayedRequest { thread, link, mut request, has_left } = self.asked.remove(at);
        if has_left && request.subscribes() {
            return Relayed::pass(refusal(&request));
        }
        request.not_done = true;
        if request.kind == RequestKind::Fork {
            return Relayed { copy: Some(request), ..Relayed::default() };
        }
        if self.subscribed.get(&thread) == Some(&NextOwner::Link(link)) {
            self.lose(thread);
        }
        self.lost.entry(thread).or_default().push(request);
        Relayed { again: Some((thread, policy::ROUTE_RETRY)), ..Relayed::default() }
    }

    /// The thread of a repeated resume that was refused, which has to be resumed all the same: the client was subscribed before.
    fn keeps(&mut self, request: &PendingRequest) -> Option<(ThreadId, Duration)> {
        let RequestKind::Resume { thread, .. } = request.kind else { return None };
        let thread = thread.filter(|thread| self.is_lost(*thread))?;
        self.lost.entry(thread).or_default();
        Some((thread, policy::ROUTE_RETRY))
    }

    /// A request has succeeded. The server puts the questions of a new subscription.
    fn granted(&mut self, link: Uuid, request: &PendingRequest, result: &RawValue, now: i64) -> Relayed {
        if let Some(left) = request.left(result) {
            self.untrack(left);
        }
        let shown = request.subscribes().then(|| SubscribedAnswer::read(result)).flatten();
        let Some(picture) = shown else { return Relayed::default() };
        let observes = matches!(request.kind, RequestKind::Resume { observes: true, .. });
        let thread = picture.id();
        let void = self.questions.void(thread, picture.pending(), now);
        self.questions.forget(Some(thread));
        self.track((thread, link), picture.tracked(observes));
        Relayed { to_client: self.wanted(void), ..Relayed::default() }
    }

    /// The reports that the client wants.
    fn wanted(&self, reports: Vec<RelayNotice>) -> Vec<Utf8Bytes> {
        let wanted = reports.into_iter().filter(|report| !self.opted_out.contains(report.method));
        wanted.map(|report| report.text.into()).collect()
    }
}
