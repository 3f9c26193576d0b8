//! A server, its clients and its helper, and the answers so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use skein_config::ServerConfig;
use skein_helpers::testing::{Fakes, Tools};
use skein_helpers::{HelperSpec, Isolation};
use skein_protocol::error::WireError;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_store::rollout::memory::MemoryStore;

use super::super::bench::Bench;
use super::super::client::Client;
use super::super::message::Message;
use super::rules::{Hints, Mode, Policy, need_no_answer};
use crate::reload;
use crate::thread::command::Edit;
use crate::thread::event::Force;
use crate::thread::subscribers::Role;

/// The first client is the threads' user. The last one subscribes only by `Resume`.
pub(super) const CLIENTS: usize = 3;
pub(super) const THREADS: usize = 2;
pub(super) const TOOLS: [&str; 3] = ["one", "two", "three"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accept,
    Session,
    Always,
    Decline,
    Cancel,
    /// `{}`
    Nothing,
    Error,
}

/// The current form of a tool: a call is allowed for exactly this form.
type Form = (Hints, u32);

/// A call of a model, by the number in its arguments.
#[derive(Debug, Default)]
struct Call {
    thread: usize,
    tool: usize,
    /// The form of the tool at the last question.
    asked: Option<Form>,
    /// The form of the tool when a client that was asked accepted the call.
    accepted: Option<Form>,
}

pub(super) struct World {
    bench: Bench,
    store: std::sync::Arc<MemoryStore>,
    fakes: Fakes,
    clients: Vec<Client>,
    threads: Vec<ThreadId>,
    shared: bool,
    program: u32,
    modes: [Mode; TOOLS.len()],
    listed: [Option<Hints>; TOOLS.len()],
    silent: bool,
    policies: [Policy; THREADS],
    subscribed: BTreeSet<(usize, usize)>,
    granted: BTreeMap<(usize, usize), Form>,
    calls: BTreeMap<u64, Call>,
    /// The call of each question, by number.
    questions: BTreeMap<i64, u64>,
    /// The listed tools and the program when each question was put, which nobody may have seen then.
    put: BTreeMap<i64, ([Option<Hints>; TOOLS.len()], u32)>,
    /// The connections that were asked each question.
    asked: BTreeSet<(usize, i64)>,
    /// The questions about calls whose results a restart has lost.
    doubts: BTreeSet<i64>,
}

impl World {
    /// Two threads with a policy that asks the user.
    pub(super) async fn begin(shared: bool) -> Self {
        let store = std::sync::Arc::new(MemoryStore::default());
        let (modes, listed) = ([Mode::Auto; TOOLS.len()], [Some(Hints::Destroys); TOOLS.len()]);
        let bench = Bench::on_store(store.clone(), |config| settings(config, shared, 0, modes));
        let (bench, fakes) = bench.with_fakes(tools(listed));
        let clients = (0..CLIENTS).map(|_| bench.client()).collect();
        let mut world = Self {
            bench,
            store,
            fakes,
            clients,
            threads: Vec::new(),
            shared,
            program: 0,
            modes,
            listed,
            silent: false,
            policies: [Policy::OnRequest; THREADS],
            subscribed: BTreeSet::new(),
            granted: BTreeMap::new(),
            calls: BTreeMap::new(),
            questions: BTreeMap::new(),
            put: BTreeMap::new(),
            asked: BTreeSet::new(),
            doubts: BTreeSet::new(),
        };
        for thread in 0..THREADS {
            let id = world.clients[0].start_with(Policy::OnRequest.params()).await;
            world.clients[0].turn(id, "hello").await;
            world.threads.push(id);
            world.subscribed.insert((0, thread));
        }
        world
    }

    fn turn_of(&self, thread: usize) -> Option<TurnId> {
        self.bench.services.registry.handle(self.threads[thread])?.seen(|seen| seen.turn.clone())
    }

    /// A turn of the subscribed user calls these tools at once.
    pub(super) fn turn(&mut self, thread: usize, tools: &[usize]) {
        if self.turn_of(thread).is_some() || !self.subscribed.contains(&(0, thread)) {
            return;
        }
        let mut lines = String::new();
        for tool in tools {
            let number = self.calls.len() as u64;
            self.calls.insert(number, Call { thread, tool: *tool, ..Call::default() });
            lines.push_str(&format!("/tool helper {} {{\"n\":{number}}}\n", TOOLS[*tool]));
        }
        self.clients[0].input(self.threads[thread], &lines);
    }

    fn is_open(&self, question: i64) -> bool {
        self.bench.services.questions.thread(question).is_some()
    }

    /// A client answers the question at this distance from the latest, open questions first.
    pub(super) fn answer(&mut self, who: usize, question: usize, answer: Answer) {
        let (mut known, closed): (Vec<i64>, Vec<i64>) =
            self.questions.keys().rev().partition(|number| self.is_open(**number));
        known.extend(closed);
        let Some(number) = known.get(question) else { return };
        let is_open = self.is_open(*number);
        let call = self.calls.get_mut(&self.questions[number]).expect("a call");
        if is_open && self.asked.contains(&(who, *number)) {
            match answer {
                Answer::Accept => call.accepted = call.asked,
                Answer::Session | Answer::Always => {
                    call.accepted = call.asked;
                    // The tool of a call that may have run can be gone.
                    if let Some(form) = call.asked {
                        self.granted.insert((call.thread, call.tool), form);
                    }
                }
                Answer::Decline | Answer::Cancel | Answer::Nothing | Answer::Error => {}
            }
        }
        let response = match answer {
            Answer::Accept => Ok(json!({ "action": "accept" })),
            Answer::Session => Ok(json!({ "action": "accept", "_meta": { "persist": "session" } })),
            Answer::Always => Ok(json!({ "action": "accept", "_meta": { "persist": "always" } })),
            Answer::Decline => Ok(json!({ "action": "decline" })),
            Answer::Cancel => Ok(json!({ "action": "cancel" })),
            Answer::Nothing => Ok(json!({})),
            Answer::Error => Err(WireError::internal("refused", "no")),
        };
        self.clients[who].say_raw(*number, response.map(|response| to_raw_value(&response).unwrap()));
    }

    pub(super) fn list(&mut self, tool: usize, hints: Option<Hints>) {
        self.listed[tool] = hints;
        self.fakes.list(tools(self.listed));
    }

    pub(super) fn silence(&mut self, silent: bool) {
        self.silent = silent;
        match silent {
            true => self.fakes.fall_silent(),
            false => self.fakes.recover(),
        }
    }

    pub(super) fn mode(&mut self, tool: usize, mode: Mode) {
        self.modes[tool] = mode;
        self.read_settings();
    }

    pub(super) fn other_program(&mut self) {
        self.program += 1;
        self.read_settings();
    }

    fn read_settings(&self) {
        let mut config = ServerConfig::clone(&self.bench.services.config());
        settings(&mut config, self.shared, self.program, self.modes);
        reload::take(&self.bench.services, Ok(config)).unwrap();
    }

    pub(super) async fn policy(&mut self, thread: usize, policy: Policy) {
        if !self.subscribed.contains(&(0, thread)) {
            return;
        }
        let (id, mut params) = (self.threads[thread], policy.update());
        params["threadId"] = json!(id);
        let params = serde_json::from_value(params).unwrap();
        let request = self.clients[0].edit(id, |reply| Edit::Settings(Box::new(params), reply));
        self.clients[0].answer::<Value>(request).await.unwrap();
        self.policies[thread] = policy;
    }

    /// A client resumes with the policy that allows everything. It holds only if this resume loads the thread.
    pub(super) async fn resume(&mut self, who: usize, thread: usize) {
        let (id, loads) = (self.threads[thread], !self.is_loaded(thread));
        self.clients[who].resume_with_settings(id, Policy::NeverFree.params()).await;
        if loads {
            self.policies[thread] = Policy::NeverFree;
        }
        self.subscribed.insert((who, thread));
    }

    /// A client leaves. The last one unloads the thread, unless its turn waits for a helper.
    pub(super) async fn leave(&mut self, who: usize, thread: usize) {
        if !self.subscribed.remove(&(who, thread)) {
            return;
        }
        self.clients[who].unsubscribe(self.threads[thread]);
        if !self.silent && !self.subscribed.iter().any(|(_, other)| *other == thread) {
            self.bench.gone(self.threads[thread]).await;
        }
    }

    fn is_loaded(&self, thread: usize) -> bool {
        self.bench.services.registry.handle(self.threads[thread]).is_some()
    }

    /// Permissions for the session have ended with the load.
    fn forget_the_unloaded(&mut self) {
        let unloaded = (0..THREADS).filter(|thread| !self.is_loaded(*thread));
        let unloaded: BTreeSet<usize> = unloaded.collect();
        self.granted.retain(|(thread, _), _| !unloaded.contains(thread));
    }

    pub(super) fn interrupt(&mut self, thread: usize) {
        if let Some(turn) = self.turn_of(thread) {
            self.clients[0].interrupt(self.threads[thread], &turn);
        }
    }

    /// The last client unloads. A resume that joins the load of the first one's resume changes nothing.
    pub(super) async fn reload(&mut self, thread: usize, meanwhile: bool, joined: bool) {
        let (id, last) = (self.threads[thread], CLIENTS - 1);
        self.clients[last].unload(id, Force::Yes);
        // The others stay subscribed: an unload ends only the subscription of its asker.
        self.subscribed.remove(&(last, thread));
        if !meanwhile {
            self.bench.gone(id).await;
        }
        self.granted.retain(|(of, _), _| *of != thread);
        let loads = self.clients[0].ask_resume(id, Role::Subscriber);
        if joined {
            self.clients[1].resume_with_settings(id, Policy::NeverFree.params()).await;
            self.subscribed.insert((1, thread));
        }
        self.clients[0].answer::<Value>(loads).await.unwrap();
        self.subscribed.insert((0, thread));
    }

    /// The server restarts on the same store. Only the user resumes.
    pub(super) async fn restart(mut self) -> Self {
        self.settle().await;
        let Self { bench, fakes, clients, .. } = self;
        drop(clients);
        bench.finish().await;
        fakes.finish().await;
        let (shared, program, modes) = (self.shared, self.program, self.modes);
        let bench = Bench::on_store(self.store.clone(), |config| settings(config, shared, program, modes));
        (self.bench, self.fakes) = bench.with_fakes(tools(self.listed));
        self.clients = (0..CLIENTS).map(|_| self.bench.client()).collect();
        self.silence(self.silent);
        // Questions keep their numbers.
        (self.granted, self.asked) = Default::default();
        self.subscribed = (0..THREADS).map(|thread| (0, thread)).collect();
        for thread in &self.threads {
            self.clients[0].resume(*thread).await;
        }
        self
    }

    /// Waits until the last step has no more consequences, and checks the calls that reached the helper against the rules.
    pub(super) async fn settle(&mut self) {
        self.bench.pass(Duration::from_secs(1)).await;
        for params in self.fakes.reached() {
            let number = params["arguments"]["n"].as_u64().expect("a number");
            let call = &self.calls[&number];
            assert!(self.is_allowed(call), "call {number} was made: {call:?}");
        }
        self.forget_the_unloaded();
        self.note_waiting().await;
        self.note_questions();
        for (number, call) in &self.questions {
            let call = &self.calls[call];
            assert!(
                !self.is_open(*number) || self.is_the_users(call, *number),
                "a rule decides what is asked: {call:?}"
            );
        }
    }

    /// Whether the settings leave the call to the user.
    fn is_the_users(&self, call: &Call, question: i64) -> bool {
        if self.doubts.contains(&question) {
            return self.modes[call.tool] != Mode::Deny;
        }
        let Some((hints, program)) = call.asked else { return false };
        program == self.program
            && match self.modes[call.tool] {
                Mode::Auto | Mode::Prompt => true,
                Mode::Writes => hints != Hints::Reads,
                Mode::Approve | Mode::Deny => false,
            }
    }

    fn is_allowed(&self, call: &Call) -> bool {
        let Some(hints) = self.listed[call.tool] else { return false };
        let (form, mode) = ((hints, self.program), self.modes[call.tool]);
        if mode == Mode::Deny {
            return false;
        }
        let granted = self.granted.get(&(call.thread, call.tool)) == Some(&form);
        need_no_answer(self.policies[call.thread], mode, hints, granted) || call.accepted == Some(form)
    }

    /// Notes the questions that wait since this step.
    async fn note_waiting(&mut self) {
        for thread in &self.threads {
            let row = self.bench.services.index.get(*thread).await.expect("an index");
            for question in row.into_iter().flat_map(|(row, _)| row.waiting) {
                self.put.entry(question.id).or_insert((self.listed, self.program));
            }
        }
    }

    /// Notes the questions that clients got in this step, with the form of their tools when they were put.
    fn note_questions(&mut self) {
        for (who, client) in self.clients.iter_mut().enumerate() {
            for message in client.received() {
                let Message::Question { id, params, .. } = message else { continue };
                let number = params["_meta"]["tool_params"]["n"].as_u64().expect("a call");
                self.asked.insert((who, *id));
                if params["_meta"]["skein"]["mayHaveRun"] == true {
                    self.doubts.insert(*id);
                }
                if self.questions.insert(*id, number).is_some() {
                    continue;
                }
                let call = self.calls.get_mut(&number).expect("a call");
                let (listed, program) = self.put.get(id).copied().unwrap_or((self.listed, self.program));
                call.asked = listed[call.tool].map(|hints| (hints, program));
            }
        }
    }

    pub(super) async fn finish(self) {
        let Self { bench, fakes, clients, .. } = self;
        drop(clients);
        bench.finish().await;
        fakes.finish().await;
    }
}

fn settings(config: &mut ServerConfig, shared: bool, program: u32, modes: [Mode; TOOLS.len()]) {
    let isolation = if shared { Isolation::Shared } else { Isolation::Thread };
    let mut spec = HelperSpec { isolation, ..HelperSpec::new("helper", format!("program-{program}")) };
    let modes = TOOLS.iter().zip(modes).map(|(tool, mode)| ((*tool).to_owned(), mode.setting()));
    spec.tool_approvals = modes.collect();
    config.helpers = BTreeMap::from([(spec.name.clone(), spec)]);
}

fn tools(listed: [Option<Hints>; TOOLS.len()]) -> Tools {
    let tools = TOOLS.iter().zip(listed).filter_map(|(name, hints)| {
        let tool = json!({ "name": name, "inputSchema": {}, "annotations": hints?.annotations() });
        Some(((*name).to_owned(), serde_json::from_value(tool).expect("a tool")))
    });
    tools.collect()
}
