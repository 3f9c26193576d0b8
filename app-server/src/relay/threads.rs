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
use skein_protocol::error::{OVERLOADED, WireError};
use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::ThreadResume;
use skein_protocol::notifications::{ItemStarted, ServerRequestResolved, SkeinStopping};
use skein_protocol::table::Notification;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::asked::{PendingRequest, RequestKind};
use super::questions::OpenQuestions;
use super::tracked::{self, SubscribedAnswer, TrackedThread};
use super::{RelayNotice, SERVER_STOPS, names, numbers};
use crate::policy;

mod outcome;
#[cfg(test)]
mod tests;

pub(crate) use outcome::{ContinuationStep, NextOwner, Relayed};

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
    /// Where they are subscribed; none for one that has lost its server.
    subscribed: HashMap<ThreadId, NextOwner>,
    /// Their number may have changed since the last call of [`RelayedThreads::changed`].
    is_changed: bool,
    /// The links by which requests have gone, of these and of threads with unanswered requests.
    ways: HashMap<ThreadId, Uuid>,
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
        self.ways.get(&thread).copied()
    }

    /// The subscribed threads, if they have changed since the last call.
    pub(crate) fn changed(&mut self) -> Option<HashSet<ThreadId>> {
        std::mem::take(&mut self.is_changed).then(|| self.tracked.keys().copied().collect())
    }

    /// Whether the client is subscribed to a thread by a link, or was by one that has ended.
    pub(crate) fn is_tracked(&self, thread: ThreadId) -> bool {
        self.tracked.contains_key(&thread)
    }

    /// Whether a subscribed thread has no server now.
    pub(crate) fn is_lost(&self, thread: ThreadId) -> bool {
        self.is_tracked(thread) && !self.subscribed.contains_key(&thread)
    }

    fn track(&mut self, (thread, link): (ThreadId, Uuid), tracked: TrackedThread) {
        self.subscribed.insert(thread, NextOwner::Link(link));
        self.is_changed |= self.tracked.insert(thread, tracked).is_none();
    }

    fn untrack(&mut self, thread: ThreadId) -> Option<TrackedThread> {
        self.subscribed.remove(&thread);
        let untracked = self.tracked.remove(&thread);
        self.is_changed |= untracked.is_some();
        untracked
    }

    /// Notes a notification of a thread. Some end the subscription.
    fn note(&mut self, method: &str, params: Option<&RawValue>, stamp: Stamp) {
        let before = self.tracked.len();
        tracked::note(&mut self.tracked, method, params, stamp);
        if self.tracked.len() != before {
            self.is_changed = true;
            self.subscribed.retain(|thread, _| self.tracked.contains_key(thread));
        }
    }

    /// The client leaves all threads.
    pub(crate) fn leave(&mut self) {
        self.is_changed = true;
        self.tracked.clear();
        self.subscribed.clear();
        self.resumes.clear();
        self.lost.retain(|_, requests| !requests.is_empty());
        self.asked.iter_mut().for_each(|asked| asked.has_left = true);
        self.questions.forget_threads();
        self.forget_ways();
    }

    /// Whether a subscribed thread has to come back before this request goes to its server: the subscription is at another one.
    pub(crate) fn goes_astray(&mut self, thread: ThreadId, owner: NextOwner, text: &str) -> bool {
        if !self.is_tracked(thread) || self.subscribed.get(&thread) == Some(&owner) {
            return false;
        }
        let kind = match envelope::parse(text) {
            Ok(Incoming::Request { method, params, .. }) => RequestKind::of(&method, params),
            Ok(_) | Err(_) => return false,
        };
        match (kind, owner) {
            // A subscription of its own, or the end of it.
            (RequestKind::Resume { .. } | RequestKind::Unsubscribe(_), NextOwner::Here) => {
                self.untrack(thread);
                self.lost.retain(|id, requests| *id != thread || !requests.is_empty());
                false
            }
            (RequestKind::Resume { .. } | RequestKind::Unsubscribe(_), NextOwner::Link(_)) => false,
            (
                RequestKind::Initialize
                | RequestKind::Start
                | RequestKind::Fork
                | RequestKind::Leave
                | RequestKind::TurnStart
                | RequestKind::TurnSteer
                | RequestKind::Other,
                NextOwner::Here | NextOwner::Link(_),
            ) => {
                self.subscribed.remove(&thread);
                self.lost.entry(thread).or_default();
                true
            }
        }
    }

    /// Notes a request about a thread by a link. Returns the message to send.
    pub(crate) fn send(
        &mut self,
        (thread, link): (ThreadId, Uuid),
        text: String,
        is_again: bool,
    ) -> Utf8Bytes {
        self.ways.insert(thread, link);
        let text = Utf8Bytes::from(text);
        let shared = text.clone();
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(&shared) else { return text };
        let mut request = PendingRequest::new(id, &method, params, text);
        match request.kind {
            RequestKind::TurnStart | RequestKind::TurnSteer => {
                self.last_id += 1;
                let unique = format!("{}-{}", self.name, self.last_id);
                if let Some(named) = names::named(&request.id, &method, params, &unique) {
                    request.line = named.into();
                }
            }
            RequestKind::Unsubscribe(_) => {
                self.untrack(thread);
                self.questions.forget(Some(thread));
            }
            RequestKind::Initialize
            | RequestKind::Start
            | RequestKind::Fork
            | RequestKind::Resume { .. }
            | RequestKind::Leave
            | RequestKind::Other => {}
        }
        request.again = is_again;
        let line = request.line.clone();
        self.asked.push(RelayedRequest { thread, link, request, has_left: false });
        line
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
            return Relayed::pass(text);
        }
        let shared = text.clone();
        match envelope::parse(&shared) {
            Ok(Incoming::Request { params, .. } | Incoming::Notification { params, .. })
                if self.is_of_another_link(params, link) =>
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
    fn is_of_another_link(&self, params: Option<&RawValue>, link: Uuid) -> bool {
        let subscribed = tracked::thread_of(params).and_then(|thread| self.subscribed.get(&thread));
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
        if self.resumes.contains_key(id) {
            return self.came_back(id, NextOwner::Link(link), answer, now);
        }
        let is_it = |asked: &RelayedRequest| asked.link == link && asked.request.id == *id;
        let Some(at) = self.asked.iter().position(is_it) else {
            // An answer to a resume that is no longer wanted is not for the client.
            let is_own = matches!(id, RequestId::String(id) if id.starts_with(RESUME));
            return if is_own { Relayed::default() } else { Relayed::pass(text) };
        };
        if answer.as_ref().is_err_and(|error| error.reason() == SERVER_STOPS) {
            // Not done; the next server is asked when the link ends.
            if let Some(asked) = self.asked.get_mut(at) {
                asked.request.is_not_done();
            }
            return Relayed::default();
        }
        let RelayedRequest { thread, request, has_left, .. } = self.asked.remove(at);
        let relayed = match answer {
            Ok(_) if has_left => Relayed::pass(text),
            Ok(result) => self.granted((thread, link), &request, result, now).and(text),
            Err(error) if request.again && request.rule.is_done(&error) => {
                Relayed::pass(envelope::response(id, &serde_json::json!({})).into())
            }
            Err(_) => Relayed { again: self.keeps(&request), ..Relayed::pass(text) },
        };
        self.forget_ways();
        relayed
    }

    /// The thread of a repeated resume that was refused, which has to be resumed all the same: the client was subscribed before.
    fn keeps(&mut self, request: &PendingRequest) -> Option<(ThreadId, Duration)> {
        let RequestKind::Resume { thread, .. } = request.kind else { return None };
        let thread = thread.filter(|thread| self.is_lost(*thread))?;
        self.lost.entry(thread).or_default();
        Some((thread, policy::ROUTE_RETRY))
    }

    /// A request has succeeded. The server puts the questions of a new subscription.
    fn granted(
        &mut self,
        (thread, link): (ThreadId, Uuid),
        request: &PendingRequest,
        result: &RawValue,
        now: i64,
    ) -> Relayed {
        let observes = match request.kind {
            RequestKind::Resume { observes, .. } => observes,
            RequestKind::Fork => false,
            RequestKind::Unsubscribe(_) => {
                self.untrack(thread);
                return Relayed::default();
            }
            RequestKind::Initialize
            | RequestKind::Start
            | RequestKind::Leave
            | RequestKind::TurnStart
            | RequestKind::TurnSteer
            | RequestKind::Other => return Relayed::default(),
        };
        let Some(picture) = SubscribedAnswer::read(result) else { return Relayed::default() };
        let thread = picture.id();
        let void = self.questions.void(thread, picture.pending(), now);
        self.questions.forget(Some(thread));
        self.track((thread, link), picture.tracked(observes));
        self.ways.insert(thread, link);
        Relayed { to_client: self.wanted(void), ..Relayed::default() }
    }

    /// A link has ended. Returns the answers to requests that cannot be repeated, and the threads that go on with another
    /// server.
    pub(crate) fn lost(&mut self, link: Uuid) -> (Vec<Utf8Bytes>, Vec<ThreadId>) {
        let mut refusals = Vec::new();
        let threads = self.subscribed.extract_if(|_, subscribed| *subscribed == NextOwner::Link(link));
        let mut lost: BTreeMap<ThreadId, Vec<PendingRequest>> =
            threads.map(|(thread, _)| (thread, Vec::new())).collect();
        for asked in std::mem::take(&mut self.asked) {
            if asked.link != link {
                self.asked.push(asked);
                continue;
            }
            let request = asked.request;
            match request.rule.refusal(ENDED, &request.method, request.again) {
                Some(error) => refusals.push(envelope::error_reply(Some(&request.id), &error).into()),
                None => lost.entry(asked.thread).or_default().push(request),
            }
        }
        self.resumes.retain(|_, thread| !lost.contains_key(thread));
        self.ways.retain(|_, way| *way != link);
        let threads = lost.keys().copied().collect();
        for (thread, requests) in lost {
            self.lost.entry(thread).or_default().extend(requests);
        }
        (refusals, threads)
    }

    /// Takes the requests to repeat whose methods are wanted.
    pub(crate) fn take_lost(&mut self, is_wanted: impl Fn(&str) -> bool) -> Vec<PendingRequest> {
        let requests = self.lost.values_mut();
        requests.flat_map(|requests| requests.extract_if(.., |request| is_wanted(&request.method))).collect()
    }

    /// The steps of a lost thread to its next server. Empty if it is not lost.
    pub(crate) fn continuation(&mut self, thread: ThreadId) -> Vec<ContinuationStep> {
        let Some(requests) = self.lost.remove(&thread) else { return Vec::new() };
        // The client resumes or leaves the thread itself.
        let is_theirs = requests.iter().any(|request| request.is_about(thread));
        let tracked = self.tracked.get(&thread).filter(|_| !is_theirs);
        let resume = tracked.map(|tracked| tracked.resume_params(thread)).map(|params| {
            self.last_id += 1;
            let id = RequestId::String(format!("{RESUME}{}", self.last_id));
            let request = envelope::request::<ThreadResume>(&id, &params);
            self.resumes.insert(id, thread);
            ContinuationStep::Resume(request.into())
        });
        resume.into_iter().chain(requests.into_iter().map(ContinuationStep::Repeat)).collect()
    }

    /// A thread's resume is about to be sent. Returns whether it is still wanted.
    pub(crate) fn resumes_at(&mut self, thread: ThreadId, owner: NextOwner) -> bool {
        if !self.is_tracked(thread) || !self.resumes.values().any(|resumed| *resumed == thread) {
            return false;
        }
        self.subscribed.insert(thread, owner);
        match owner {
            NextOwner::Link(link) => self.ways.insert(thread, link),
            NextOwner::Here => self.ways.remove(&thread),
        };
        true
    }

    /// Takes the answer to a resume of this server.
    pub(crate) fn came_back(
        &mut self,
        id: &RequestId,
        owner: NextOwner,
        answer: Result<&RawValue, WireError>,
        now: i64,
    ) -> Relayed {
        let Some(thread) = self.resumes.remove(id) else { return Relayed::default() };
        let error = match answer.map(SubscribedAnswer::read) {
            Ok(Some(picture)) => return self.goes_on((thread, owner), &picture, now),
            Ok(None) => WireError::internal("unreadable", "its answer is no resume's"),
            Err(error) => error,
        };
        let is_elsewhere = error.thread_of_other_server().is_some();
        if error.code == OVERLOADED || error.reason() == SERVER_STOPS || is_elsewhere {
            let named = error.data.as_ref().and_then(|data| data.retry_after_ms).map(Duration::from_millis);
            self.subscribed.remove(&thread);
            self.lost.entry(thread).or_default();
            let again = Some((thread, named.unwrap_or(policy::ROUTE_RETRY)));
            return Relayed { again, ..Relayed::default() };
        }
        let ended = self.untrack(thread);
        let reports = ended.map(|tracked| tracked.ends(thread, &mut self.questions, &error, now));
        self.forget_ways();
        Relayed { to_client: self.wanted(reports.unwrap_or_default()), ..Relayed::default() }
    }

    fn goes_on(
        &mut self,
        (thread, owner): (ThreadId, NextOwner),
        picture: &SubscribedAnswer,
        now: i64,
    ) -> Relayed {
        let Some(tracked) = self.tracked.get_mut(&thread) else { return Relayed::default() };
        let mut reports = tracked.goes_on(thread, &mut self.questions, picture, now);
        let mut to_owner = Vec::new();
        if owner == NextOwner::Here {
            // The questions that wait are put again, without a relay that knows them.
            to_owner = self.questions.answers(thread);
            reports.extend(self.questions.void(thread, &[], now));
            self.untrack(thread);
            self.forget_ways();
        }
        Relayed { to_client: self.wanted(reports), to_owner, again: None }
    }

    /// The reports that the client wants.
    fn wanted(&self, reports: Vec<RelayNotice>) -> Vec<Utf8Bytes> {
        let wanted = reports.into_iter().filter(|report| !self.opted_out.contains(report.method));
        wanted.map(|report| report.text.into()).collect()
    }

    /// Forgets the ways of threads without a subscription and without a request.
    fn forget_ways(&mut self) {
        let Self { ways, tracked, asked, .. } = self;
        ways.retain(|thread, _| {
            tracked.contains_key(thread) || asked.iter().any(|asked| asked.thread == *thread)
        });
    }
}
