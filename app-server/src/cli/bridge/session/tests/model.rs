//! A client, a session, and a server, with two queues between them that a lost link empties.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use skein_protocol::error::OVERLOADED;
use skein_protocol::extension::{EVENTS_EXTENSION, EVENTS_VERSION};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::{ClientNotification, Method, Notification, ServerRequest};
use skein_protocol::{methods as m, notifications as n};

use crate::cli::bridge::session::{BridgeSession, ServerOwner};

/// A request without an answer in the model.
pub(super) const NEVER_ANSWERED: &str = m::ThreadRead::INFO.wire;

/// A request that a stopping server refuses.
pub(super) const REFUSED_BY_WHO_STOPS: &str = m::ThreadFork::INFO.wire;

/// How a link is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// The server goes on.
    Broken,
    /// It does not; another one does, with what is on disk.
    ServerDied,
}

#[derive(Debug, Default)]
struct Thread {
    /// How many events it has.
    events: u64,
    /// Clients' ids of messages that were taken.
    messages: BTreeSet<String>,
    /// The server has forgotten it.
    gone: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct World {
    session: BridgeSession,
    /// Messages that the client received.
    pub received: Vec<Value>,
    last_id: i64,
    last_question: i64,
    threads: Vec<Thread>,
    /// Threads to which this connection is subscribed.
    subscribed: BTreeSet<usize>,
    /// Open questions and their threads.
    questions: BTreeMap<i64, usize>,
    from_server: VecDeque<Value>,
    /// The client's requests whose answers close its dialogs of a thread: what is open is put again behind them.
    closing: BTreeMap<i64, usize>,
    linked: bool,
    /// The server refuses.
    stops: bool,
    /// The answer of the server to a client that opts in to numbered events.
    pub grants: Value,
    /// For so many resumes it has room; for all without one.
    pub room: Option<usize>,
    /// Resumes for which it had none.
    pub turned_away: usize,
}

fn id_of(thread: usize) -> String {
    format!("01890a5d-ac96-774b-bcce-{thread:012}")
}

fn index_of(id: &Value) -> Option<usize> {
    id.as_str()?.rsplit('-').next()?.parse().ok()
}

impl World {
    /// A client that has introduced itself, with or without a wish for numbers.
    pub(super) fn new(numbers: bool) -> Self {
        let mut world = Self { grants: json!({}), ..Self::default() };
        world.link();
        let wish = json!({"extensions": {EVENTS_EXTENSION: {"version": EVENTS_VERSION}}});
        let client = json!({"name": "model", "version": "1"});
        let capabilities = if numbers { wish } else { Value::Null };
        world.ask(m::Initialize::INFO.wire, &json!({"clientInfo": client, "capabilities": capabilities}));
        world.settle();
        world.say(&json!({"method": m::Initialized::INFO.wire}));
        world
    }

    pub(super) fn thread(&self, thread: usize) -> String {
        assert!(thread < self.threads.len(), "no such thread");
        id_of(thread)
    }

    fn say(&mut self, message: &Value) {
        self.session.client_says(message.to_string().into());
    }

    /// The client asks; the id.
    pub(super) fn ask(&mut self, method: &str, params: &Value) -> i64 {
        self.last_id += 1;
        self.say(&json!({"id": self.last_id, "method": method, "params": params}));
        self.last_id
    }

    /// The client's own resume of a thread, from what it was told.
    pub(super) fn resume(&mut self, thread: usize) {
        let received = self.events_received(thread).last().copied().unwrap_or(0);
        let params = json!({"threadId": id_of(thread), "skein": {"afterSeq": received, "epoch": 1}});
        let id = self.ask(m::ThreadResume::INFO.wire, &params);
        self.closing.insert(id, thread);
    }

    /// The client wants to hear no more of a thread.
    pub(super) fn unsubscribe(&mut self, thread: usize) {
        let id = self.ask(m::ThreadUnsubscribe::INFO.wire, &json!({"threadId": id_of(thread)}));
        self.closing.insert(id, thread);
    }

    /// The client cannot answer a question; somebody else may.
    pub(super) fn refuse_question(&mut self, question: i64) {
        self.say(&json!({"id": question, "error": {"code": -32601, "message": "no"}}));
    }

    /// The client answers a question.
    pub(super) fn answer(&mut self, question: i64) {
        self.say(&json!({"id": question, "result": {}}));
    }

    pub(super) fn answer_to(&self, id: i64) -> Option<&Value> {
        self.received.iter().find(|received| received["id"] == id && received["method"].is_null())
    }

    /// The numbers of a thread's events as the client was told them.
    pub(super) fn events_received(&self, thread: usize) -> Vec<u64> {
        let ours = |received: &&Value| {
            received["method"] == n::ItemCompleted::INFO.wire
                && received["params"]["threadId"] == id_of(thread)
        };
        self.received.iter().filter(ours).map(|received| received["params"]["n"].as_u64().unwrap()).collect()
    }

    /// Questions that the client shows.
    pub(super) fn shown_questions(&self) -> Vec<i64> {
        let mut shown = Vec::new();
        for received in &self.received {
            let id = received["id"].as_i64().unwrap_or_default();
            if received["params"]["q"] == true {
                let thread = index_of(&received["params"]["threadId"]).unwrap();
                assert!(!shown.contains(&(id, thread)), "put twice: {received}");
                shown.push((id, thread));
            } else if received["method"] == n::ServerRequestResolved::INFO.wire {
                shown.retain(|(question, _)| received["params"]["requestId"] != *question);
            } else if let Some(closed) = self.closing.get(&id) {
                shown.retain(|(_, thread)| thread != closed);
            }
        }
        shown.into_iter().map(|(question, _)| question).collect()
    }

    pub(super) fn open_questions(&self) -> Vec<i64> {
        self.questions.keys().copied().collect()
    }

    pub(super) fn link(&mut self) {
        self.linked = true;
        self.session.linked(ServerOwner::Theirs);
        self.collect();
    }

    pub(super) fn is_linked(&self) -> bool {
        self.linked
    }

    pub(super) fn lose(&mut self, how: Link) {
        self.from_server.clear();
        self.subscribed.clear();
        if how == Link::ServerDied {
            self.stops = false;
            self.questions.clear();
        }
        self.linked = false;
        self.session.lost();
        self.collect();
    }

    /// The server refuses what it does not begin any more.
    pub(super) fn stop(&mut self) {
        self.stops = true;
    }

    pub(super) fn give_up(&mut self, why: &str) {
        self.session.give_up(why);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(text) = self.session.next_to_client() {
            self.received.push(serde_json::from_str(&text).unwrap());
        }
    }

    /// The server takes one message.
    pub(super) fn send(&mut self) -> bool {
        let Some(text) = self.session.next_to_server().filter(|_| self.linked) else { return false };
        self.take(&serde_json::from_str(&text).unwrap());
        true
    }

    pub(super) fn send_all(&mut self) {
        while self.send() {}
    }

    /// The session takes one message of the server.
    pub(super) fn receive(&mut self) -> bool {
        let Some(message) = self.from_server.pop_front() else { return false };
        self.session.server_says(message.to_string().into(), 1_000);
        self.collect();
        true
    }

    /// The server hears no more; what it has said still comes.
    pub(super) fn fall_silent(&mut self) {
        self.session.undeliverable();
    }

    pub(super) fn can_leave(&mut self, hurry: bool) -> bool {
        self.session.can_leave(hurry)
    }

    /// How long the server may say nothing.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.session.silence()
    }

    pub(super) fn into_session(self) -> BridgeSession {
        self.session
    }

    /// When the session wants to be asked again.
    pub(super) fn again_in(&self) -> Option<Duration> {
        self.session.again_in()
    }

    pub(super) fn resume_again(&mut self) {
        self.session.resume_again();
    }

    /// Until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        while self.send() || self.receive() {}
    }

    /// Until the server has done a request. Its answer is on the way.
    pub(super) fn until_done(&mut self, id: i64) {
        while self.from_server.iter().all(|message| message["id"] != id) {
            assert!(self.send() || self.receive(), "nobody asks it");
        }
    }

    /// The server forgets a thread.
    pub(super) fn forget(&mut self, thread: usize) {
        self.threads[thread].gone = true;
    }

    /// Something happens in a thread that is kept.
    pub(super) fn event(&mut self, thread: usize) {
        self.threads[thread].events += 1;
        if self.subscribed.contains(&thread) {
            self.from_server.push_back(event(thread, self.threads[thread].events));
        }
    }

    /// Something of no number.
    pub(super) fn delta(&mut self, thread: usize) {
        if self.subscribed.contains(&thread) {
            let params = json!({"threadId": id_of(thread), "delta": "x"});
            self.from_server
                .push_back(json!({"method": n::ItemAgentMessageDelta::INFO.wire, "params": params}));
        }
    }

    pub(super) fn begin_turn(&mut self, thread: usize, turn: &str) {
        let params = json!({"threadId": id_of(thread), "turn": {"id": turn}});
        let begun = json!({"method": n::TurnStarted::INFO.wire, "params": params, "seq": 1, "epoch": 1});
        self.from_server.push_back(begun);
    }

    /// Something that everybody hears.
    pub(super) fn announce(&mut self, thread: usize) {
        let place = json!({"catalogSeq": 7, "catalogEpoch": "e"});
        let params = json!({"threadId": id_of(thread), "skein": place});
        let method = n::ThreadNameUpdated::INFO.wire;
        self.from_server.push_back(json!({"method": method, "params": params, "emittedAtMs": 5}));
    }

    pub(super) fn beat(&mut self) {
        self.from_server.push_back(json!({"method": n::SkeinHeartbeat::INFO.wire, "params": {"at": 1}}));
    }

    /// The server says that it stops.
    pub(super) fn announce_stop(&mut self) {
        let params = json!({"retryAfterMs": 1});
        self.from_server.push_back(json!({"method": n::SkeinStopping::INFO.wire, "params": params}));
    }

    /// The server asks; the id.
    pub(super) fn question(&mut self, thread: usize) -> i64 {
        self.last_question += 1;
        let id = 1_000 + self.last_question;
        self.questions.insert(id, thread);
        if self.subscribed.contains(&thread) {
            self.from_server.push_back(question(id, thread));
        }
        id
    }

    fn reply(&mut self, id: &Value, result: Value) {
        self.from_server.push_back(json!({"id": id, "result": result}));
    }

    fn refuse(&mut self, id: &Value, reason: &str) {
        let error = json!({"code": -32600, "message": reason, "data": {"reason": reason}});
        self.from_server.push_back(json!({"id": id, "error": error}));
    }

    /// The server's side.
    fn take(&mut self, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        match message["method"].as_str() {
            None if message["error"].is_object() => {}
            None => self.settled(id.as_i64().unwrap()),
            Some(_) if id.is_null() => {}
            Some(method) if method == m::Initialize::INFO.wire => {
                let wish = &params["capabilities"]["extensions"][EVENTS_EXTENSION];
                assert_eq!(wish["version"], EVENTS_VERSION, "the bridge always asks for numbers");
                let skein = json!({"version": "model", "extensions": {EVENTS_EXTENSION: self.grants}});
                self.reply(id, json!({"skein": skein}));
            }
            Some(method) if method == m::ThreadStart::INFO.wire => self.start(id, params),
            Some(REFUSED_BY_WHO_STOPS) if self.stops => self.refuse(id, "serverStops"),
            Some(method) if method == m::ThreadResume::INFO.wire => self.resumed(id, params),
            Some(method) if method == m::ThreadUnsubscribe::INFO.wire => {
                self.subscribed.remove(&index_of(&params["threadId"]).unwrap());
                self.reply(id, json!({}));
            }
            Some(method) if [m::TurnStart::INFO.wire, m::TurnSteer::INFO.wire].contains(&method) => {
                self.turn(id, params);
            }
            Some(method) if method == m::TurnInterrupt::INFO.wire => self.refuse(id, "noTurn"),
            Some(NEVER_ANSWERED) => {}
            Some(_) => self.reply(id, json!({"it": "is so"})),
        }
    }

    fn start(&mut self, id: &Value, params: &Value) {
        let named = index_of(&params["skein"]["threadId"]);
        let thread = named.unwrap_or_else(|| {
            self.threads.push(Thread::default());
            self.threads.len() - 1
        });
        self.threads[thread].gone = false;
        self.subscribe(id, thread, None);
        let begun = json!({"thread": {"id": id_of(thread)}});
        self.from_server.push_back(json!({"method": n::ThreadStarted::INFO.wire, "params": begun}));
    }

    fn resumed(&mut self, id: &Value, params: &Value) {
        let thread = index_of(&params["threadId"]).unwrap();
        if self.threads[thread].gone {
            return self.refuse(id, "threadNotFound");
        }
        if self.room.is_some_and(|room| self.subscribed.len() >= room) {
            self.turned_away += 1;
            let data = json!({"reason": "resumesUnderWay", "retryAfterMs": 200});
            let error = json!({"code": OVERLOADED, "message": "later", "data": data});
            return self.from_server.push_back(json!({"id": id, "error": error}));
        }
        self.subscribe(id, thread, params["skein"]["afterSeq"].as_u64());
    }

    fn turn(&mut self, id: &Value, params: &Value) {
        let thread = index_of(&params["threadId"]).unwrap();
        if !self.subscribed.contains(&thread) {
            return self.refuse(id, "notLoaded");
        }
        let message = params["clientUserMessageId"].as_str().unwrap_or_default();
        assert_ne!(message, "", "the bridge names every message");
        let new = self.threads[thread].messages.insert(message.to_owned());
        self.reply(id, json!({"turn": {"id": message}}));
        if new {
            self.event(thread);
        }
    }

    fn subscribe(&mut self, id: &Value, thread: usize, after: Option<u64>) {
        let newest = self.threads[thread].events;
        self.subscribed.insert(thread);
        let open: Vec<i64> =
            self.questions.iter().filter(|(_, of)| **of == thread).map(|(id, _)| *id).collect();
        let mut skein = json!({"seq": after.unwrap_or(newest), "epoch": 1, "pendingRequests": open});
        if after.is_some() {
            skein["replayTo"] = newest.into();
        }
        let shown = json!({"id": id_of(thread), "status": {"type": "idle"}, "turns": []});
        self.reply(id, json!({"thread": shown, "skein": skein}));
        let missed = after.unwrap_or(newest) + 1..=newest;
        self.from_server.extend(missed.map(|number| event(thread, number)));
        self.from_server.extend(open.into_iter().map(|id| question(id, thread)));
    }

    fn settled(&mut self, question: i64) {
        if let Some(thread) = self.questions.remove(&question)
            && self.subscribed.contains(&thread)
        {
            let params = json!({"threadId": id_of(thread), "requestId": question});
            let method = n::ServerRequestResolved::INFO.wire;
            self.from_server.push_back(json!({"method": method, "params": params}));
        }
    }

    /// How many events a thread has.
    pub(super) fn events(&self, thread: usize) -> u64 {
        self.threads[thread].events
    }

    /// The ids of everything that the client has asked.
    pub(super) fn asked(&self) -> impl Iterator<Item = i64> {
        1..=self.last_id
    }
}

fn event(thread: usize, number: u64) -> Value {
    let params = json!({"threadId": id_of(thread), "n": number});
    let method = n::ItemCompleted::INFO.wire;
    json!({"method": method, "params": params, "emittedAtMs": 5, "seq": number, "epoch": 1})
}

fn question(id: i64, thread: usize) -> Value {
    let params = json!({"threadId": id_of(thread), "q": true});
    json!({"id": id, "method": ItemToolRequestUserInput::INFO.wire, "params": params})
}
