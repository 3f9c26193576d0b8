//! A user with a client that follows the rules. It keeps a view of each thread over its connections, and reports every wrong
//! message of the server.

use std::collections::{BTreeMap, BTreeSet};

use skein_protocol::error::WireError;
use skein_protocol::extension::ResumePicture;
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::notifications::{ThreadClosed, ThreadStatusChanged};
use skein_protocol::thread::{Thread, ThreadForkResponse, ThreadResumeResponse, ThreadStartResponse};
use skein_protocol::turn::TurnStartResponse;

use super::super::{Client, Message};
use super::dice::Trace;
use crate::thread::events::view::{EventView, Received};
use crate::thread::subscribers::Role;

#[derive(Debug, Clone)]
pub(crate) enum Request {
    Start(ThreadId),
    Resume(ThreadId),
    Input {
        message: Option<String>,
    },
    Name,
    Revert,
    /// The new thread.
    Fork(ThreadId),
    Unload(ThreadId),
}

/// The subscription of a client to a thread, according to the answers.
#[derive(Debug, Default)]
struct Tie {
    listens: bool,
    waiting: BTreeSet<i64>,
}

pub(crate) struct Person {
    pub name: usize,
    pub numbered: bool,
    pub role: Role,
    pub client: Option<Client>,
    pub views: BTreeMap<ThreadId, EventView>,
    /// The number of messages that have arrived.
    reached: usize,
    /// The number of messages that were checked.
    audited: usize,
    requests: BTreeMap<i64, Request>,
    unanswered: BTreeSet<i64>,
    ties: BTreeMap<ThreadId, Tie>,
    /// Threads that have refused the client's resume: it leaves them.
    doubts: BTreeSet<ThreadId>,
    /// The turn that the server named for each message id and text.
    messages: BTreeMap<String, String>,
    /// Threads with reverts or disk failures, where a repeated message may begin a new turn.
    pub may_say_anew: BTreeSet<String>,
}

impl Person {
    pub(crate) fn new(name: usize, numbered: bool, role: Role) -> Self {
        Self {
            name,
            numbered,
            role,
            client: None,
            views: BTreeMap::new(),
            reached: 0,
            audited: 0,
            requests: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            ties: BTreeMap::new(),
            doubts: BTreeSet::new(),
            messages: BTreeMap::new(),
            may_say_anew: BTreeSet::new(),
        }
    }

    pub(crate) fn connected(&mut self, client: Client) {
        (self.reached, self.audited) = (0, 0);
        self.requests.clear();
        self.unanswered.clear();
        self.ties.clear();
        self.views.values_mut().for_each(EventView::connected);
        self.client = Some(client);
    }

    pub(crate) fn asked(&mut self, id: i64, request: Request) {
        if let Request::Start(thread) | Request::Resume(thread) | Request::Fork(thread) = &request
            // An unload under way ends the subscription, too.
            && !self.unloads(*thread)
        {
            self.ties.entry(*thread).or_default().waiting.insert(id);
        }
        self.unanswered.insert(id);
        self.requests.insert(id, request);
    }

    /// Whether it is subscribed, according to the answers.
    pub(crate) fn listens(&self, thread: ThreadId) -> bool {
        self.ties.get(&thread).is_some_and(|tie| tie.listens)
    }

    pub(crate) fn has_asked(&self) -> bool {
        self.client.is_some() && !self.unanswered.is_empty()
    }

    pub(crate) fn unanswered(&self) -> Vec<&Request> {
        self.unanswered.iter().map(|id| &self.requests[id]).collect()
    }

    pub(crate) fn left(&mut self, thread: ThreadId) {
        self.ties.remove(&thread);
    }

    /// Whether the question was put to this connection, or named to it as open.
    pub(crate) fn was_asked(&self, question: i64) -> bool {
        let mut log = self.client.iter().flat_map(|client| &client.log);
        log.any(|message| match message {
            Message::Question { id, .. } => *id == question,
            Message::Answer { result: Ok(result), .. } => {
                let answer: serde_json::Value = serde_json::from_str(result.get()).unwrap();
                answer["skein"]["pendingRequests"]
                    .as_array()
                    .is_some_and(|open| open.contains(&question.into()))
            }
            Message::Answer { .. } | Message::Notice { .. } => false,
        })
    }

    /// Takes the messages of the outbox, and checks them. `None` if the server has closed the connection.
    pub(crate) fn drain(&mut self, trace: &mut Trace) -> Result<Option<()>, String> {
        let Some(client) = &mut self.client else { return Ok(Some(())) };
        client.received();
        let closed = client.closed();
        while let Some(client) = &self.client
            && let Some(message) = client.log.get(self.audited)
        {
            self.audited += 1;
            trace.note(format!("    to P{}: {}", self.name, in_words(message)));
            let found = match message {
                Message::Answer { id, result } => {
                    Audit::Answer(*id, result.as_ref().map(|r| r.get().to_owned()).map_err(Clone::clone))
                }
                Message::Notice { .. } => {
                    Audit::Notice(message.params::<ThreadClosed>().map(|p| p.thread_id))
                }
                Message::Question { .. } => Audit::Question,
            };
            self.audit(found)?;
        }
        for thread in std::mem::take(&mut self.doubts) {
            if let Some(client) = &self.client {
                let _left = client.unsubscribe(thread);
            }
            self.ties.remove(&thread);
        }
        match closed {
            None => Ok(Some(())),
            Some(reason) => {
                trace.note(format!("P{} is closed: {reason:?}", self.name));
                Ok(None)
            }
        }
    }

    fn audit(&mut self, found: Audit) -> Result<(), String> {
        match found {
            Audit::Answer(id, result) => self.answered(id, result),
            Audit::Notice(Some(closed)) => self.closed(closed),
            Audit::Question if self.role == Role::Observer => Err("an observer is asked".to_owned()),
            Audit::Question | Audit::Notice(None) => Ok(()),
        }
    }

    fn answered(&mut self, id: i64, result: Result<String, WireError>) -> Result<(), String> {
        if !self.unanswered.remove(&id) {
            return Err(format!("request {id} is answered twice"));
        }
        if let Err(error) = &result
            && error.data.as_ref().is_some_and(|data| data.reason == "dropped")
        {
            return Err(format!("request {id} was dropped: {:?}", self.requests[&id]));
        }
        let (granted, result) = (result.is_ok(), result.unwrap_or_default());
        match &self.requests[&id] {
            // Whether the subscription lasts is unknown here: the client resumes again.
            Request::Resume(thread) if !granted && self.role == Role::Observer => {
                self.ties.remove(thread);
                self.doubts.insert(*thread);
            }
            Request::Start(thread) | Request::Resume(thread) | Request::Fork(thread) => {
                let tie = self.ties.entry(*thread).or_default();
                tie.waiting.remove(&id);
                tie.listens |= granted;
            }
            // The client's own unload ends its subscription.
            Request::Unload(thread) => {
                let unloaded = r#"{"state":"unloaded"}"#;
                if result == unloaded
                    && let Some(tie) = self.ties.get_mut(thread)
                {
                    tie.listens = false;
                    tie.waiting.retain(|request| *request > id);
                }
            }
            Request::Input { .. } | Request::Name | Request::Revert => {}
        }
        Ok(())
    }

    fn unloads(&self, thread: ThreadId) -> bool {
        self.unanswered().iter().any(|request| matches!(request, Request::Unload(of) if *of == thread))
    }

    fn closed(&self, thread: ThreadId) -> Result<(), String> {
        if self.unloads(thread) {
            // The client's own unload. Its answer comes later.
            return Ok(());
        }
        match self.ties.get(&thread) {
            Some(tie) if tie.listens || !tie.waiting.is_empty() => {
                Err("a client that listens or waits for a resume is notified that the thread is closed"
                    .to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The number of sent messages that have not arrived.
    pub(crate) fn in_flight(&self) -> usize {
        self.client.as_ref().map_or(0, |client| client.log.len() - self.reached)
    }

    /// The next messages arrive.
    pub(crate) fn receive(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count.min(self.in_flight()) {
            let client = self.client.take();
            let took = client.as_ref().map_or(Ok(()), |client| self.take(&client.log[self.reached]));
            self.client = client;
            self.reached += 1;
            took.map_err(|fault| format!("P{}: {fault}", self.name))?;
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), String> {
        match message {
            Message::Answer { id, result: Ok(result) } => self.take_answer(*id, result.get()),
            Message::Answer { .. } => Ok(()),
            Message::Question { id, thread, .. } => match self.views.get_mut(thread) {
                Some(view) => view.asked(*id),
                None => Err("a question about a thread that it does not know".to_owned()),
            },
            Message::Notice { method, params, stamp } => {
                let thread = message.thread();
                let Some(view) = thread.and_then(|thread| self.views.get_mut(&thread)) else { return Ok(()) };
                let number = stamp.seq.zip(stamp.epoch);
                view.receive(Received { method, params: params.get(), number })
            }
        }
    }

    fn take_answer(&mut self, id: i64, result: &str) -> Result<(), String> {
        match &self.requests[&id] {
            Request::Start(thread) => {
                let response: ThreadStartResponse = serde_json::from_str(result).unwrap();
                let at = response.skein.filter(|_| self.numbered).map(|now| (now.seq, now.epoch));
                self.views.entry(*thread).or_default().whole(response.thread.name, Vec::new(), at);
                Ok(())
            }
            Request::Fork(thread) => {
                let response: ThreadForkResponse = serde_json::from_str(result).unwrap();
                let at = response.skein.filter(|_| self.numbered).map(|now| (now.seq, now.epoch));
                let Thread { name, turns, .. } = response.thread;
                self.views.entry(*thread).or_default().whole(name, turns, at);
                Ok(())
            }
            Request::Resume(thread) => {
                let thread = *thread;
                self.take_resume(thread, serde_json::from_str(result).unwrap())
            }
            Request::Input { message: Some(message) } => {
                let response: TurnStartResponse = serde_json::from_str(result).unwrap();
                let turn = response.turn.id.as_str().to_owned();
                let before = self.messages.insert(message.clone(), turn.clone());
                let again = self.may_say_anew.iter().any(|thread| message.contains(thread));
                if !again && before.is_some_and(|before| before != turn) {
                    return Err(format!("message {message} went into two turns"));
                }
                Ok(())
            }
            Request::Input { message: None } | Request::Name | Request::Revert | Request::Unload(_) => Ok(()),
        }
    }

    fn take_resume(&mut self, thread: ThreadId, response: ThreadResumeResponse) -> Result<(), String> {
        let view = self.views.entry(thread).or_default();
        let answered: ResumePicture = response.skein.ok_or("an answer without a number")?;
        let at = (answered.seq, answered.epoch);
        let open: Vec<i64> = answered
            .pending_requests
            .iter()
            .filter_map(|id| if let RequestId::Integer(id) = id { Some(*id) } else { None })
            .collect();
        // A client without the extension only knows the questions of this connection.
        view.pending(if self.numbered { &open } else { &[] });
        if answered.replay_to.is_some() {
            return view.continued(at, &response.thread.turns);
        }
        view.whole(response.thread.name, response.thread.turns, self.numbered.then_some(at));
        Ok(())
    }
}

enum Audit {
    Answer(i64, Result<String, WireError>),
    Notice(Option<ThreadId>),
    Question,
}

/// Without ids, which are random.
pub(crate) fn in_words(message: &Message) -> String {
    match message {
        Message::Answer { id, result: Ok(_) } => format!("answer {id}"),
        Message::Answer { id, result: Err(error) } => {
            let reason = error.data.as_ref().map_or("", |data| data.reason.as_ref());
            format!("error {id} {reason}")
        }
        Message::Notice { method, stamp, .. } => {
            let status = message.params::<ThreadStatusChanged>().map(|p| p.status);
            let status = status.map(|status| format!("{status:?}")).unwrap_or_default();
            format!("{method} {} {status}", stamp.seq.map(|seq| seq.0.to_string()).unwrap_or_default())
        }
        Message::Question { id, .. } => format!("question {id}"),
    }
}
