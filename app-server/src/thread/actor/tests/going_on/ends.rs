//! A server ends by a kill or a loss of power at each operation on the disk while a turn of several rounds asks its user,
//! and the next life ends again, also by a stop in order. Afterwards no call was repeated without the user's word, no question was asked twice, and
//! the turn has ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::thread::{ThreadQueueAddParams, ThreadStartParams};
use skein_protocol::turn::UserInput;
use skein_store::fsck::{self, FsckNotice, FsckRequest};
use skein_store::history::History;
use skein_store::rollout::file::fault::Fails;

use super::super::lives::{INTERVAL, Machine, NEVER, each_end};
use super::super::simulation::dice::Dice;
use super::*;
use crate::thread::command::{Edit, QueueEdit};
use crate::thread::subscribers::Role;

/// Operations of a second life, about.
const SECOND: usize = 30;
/// Intervals of a second life, about.
const STEPS: usize = 8;
/// Intervals that a stop gives to turns.
const DRAIN: u32 = 4;
/// The checks of an interval, before a life counts as hung.
const PATIENCE: usize = 20_000;

const BEGIN: &str = "/tool helper remove {\"path\":\"a\"}\n/tool helper look {\"path\":\"a\"}";
const STEER: &str = "/call pay {\"sum\":1}";
const STEER_AGAIN: &str = "/tool helper remove {\"path\":\"b\"}\n/tool helper append {\"path\":\"b\"}";
const QUEUED: [&str; 2] = ["one", "two"];

/// A tool that may change something, and needs no consent.
const APPENDS: &str = "append";

fn settings_of_all(config: &mut ServerConfig) {
    settings(config);
    let spec = config.helpers.get_mut("helper").unwrap();
    spec.tool_approvals.insert(APPENDS.to_owned(), serde_json::from_value(json!("approve")).unwrap());
    // The turn waits at its limit once, and each request to the model has a record.
    config.budget.turn_rounds = Some(2);
    config.budget.thread_tokens = Some(1 << 40);
}

fn all_tools() -> Tools {
    let mut tools = tools("as before");
    let mut appends = tools[WRITES].clone();
    APPENDS.clone_into(&mut appends.name);
    tools.insert(APPENDS.to_owned(), appends);
    tools
}

/// One home over several servers, and the memory of its user.
struct World {
    machine: Machine,
    dice: Dice,
    thread: Option<ThreadId>,
    /// The messages that were sent, each at most once.
    sent: BTreeSet<&'static str>,
    /// The messages that the server has acknowledged.
    acknowledged: BTreeSet<&'static str>,
    /// Every question, by its id.
    asked: BTreeMap<i64, Value>,
    /// The questions whose answer the server has acknowledged.
    settled: BTreeSet<i64>,
    /// The calls that have reached a helper, by tool and path.
    reached: BTreeMap<String, usize>,
    /// How often the user wanted a call made again, by tool and path.
    again: BTreeMap<String, usize>,
    /// Whether the server may refuse loads, because it is about to stop.
    drains: bool,
}

/// A client, and what it has sent.
struct User {
    client: Client,
    thread: ThreadId,
    read: usize,
    requests: HashMap<i64, &'static str>,
    answered: BTreeSet<i64>,
    /// Whether it has the thread parked before it answers.
    parks: bool,
}

impl User {
    fn new(client: Client, thread: ThreadId) -> Self {
        let (read, requests, answered) = (0, HashMap::new(), BTreeSet::new());
        Self { client, thread, read, requests, answered, parks: false }
    }

    /// Adds a message to the queue.
    fn add(&mut self, text: &str) -> i64 {
        let params = ThreadQueueAddParams {
            client_user_message_id: format!("m-{text}"),
            input: vec![UserInput::text(text)],
            responsesapi_client_metadata: None,
            thread_id: self.thread,
        };
        self.client.edit(self.thread, |reply| Edit::Queue(QueueEdit::Add(params, reply)))
    }
}

fn call_of(params: &Value) -> String {
    let meta = &params["_meta"];
    format!("{} {}", meta["tool_name"].as_str().unwrap(), meta["tool_params"]["path"].as_str().unwrap())
}

fn may_have_run(params: &Value) -> bool {
    params["_meta"]["skein"]["mayHaveRun"] == true
}

impl World {
    fn new(seed: usize) -> Self {
        Self {
            machine: Machine::new(seed),
            dice: Dice::of(seed as u64),
            thread: None,
            sent: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            asked: BTreeMap::new(),
            settled: BTreeSet::new(),
            reached: BTreeMap::new(),
            again: BTreeMap::new(),
            drains: false,
        }
    }

    /// One life, up to operation `at` on the disk. Returns the number of operations.
    fn live(
        &mut self,
        at: (usize, Fails),
        loss: &str,
        story: impl AsyncFnOnce(&mut Self, &Bench, &mut Option<User>),
    ) -> usize {
        let life = self.machine.life(at);
        life.runtime.block_on(async {
            let (bench, mut fakes) = life.bench(settings_of_all).with_fakes(all_tools());
            let mut user = None;
            let is_whole = life.play(&bench, story(self, &bench, &mut user)).await;
            // The client has all that was sent before the end.
            while user.as_mut().and_then(|user| self.read(user)).is_some() {}
            for call in fakes.reached() {
                let path = call["arguments"]["path"].as_str().unwrap();
                let call = format!("{} {path}", call["name"].as_str().unwrap());
                *self.reached.entry(call).or_default() += 1;
            }
            if is_whole && at == NEVER {
                bench.finish().await;
                fakes.finish().await;
            }
        });
        self.machine.end(life, loss)
    }

    /// Sends a message, unless it was sent before.
    fn say(&mut self, user: &mut User, text: &'static str) {
        if !self.sent.insert(text) {
            return;
        }
        let request =
            if QUEUED.contains(&text) { user.add(text) } else { user.client.input(user.thread, text) };
        user.requests.insert(request, text);
    }

    /// A turn begins, and the user answers and says more, until everything has ended.
    async fn begin(&mut self, bench: &Bench, user: &mut Option<User>) {
        let mut client = bench.client();
        let pay = json!({ "type": "function", "name": "pay", "description": "", "inputSchema": { "type": "object" } });
        let params: ThreadStartParams = serde_json::from_value(json!({ "dynamicTools": [pay] })).unwrap();
        let (request, thread) = client.ask_start(params);
        self.thread = Some(thread);
        client.answer::<Value>(request).await.unwrap();
        let user = user.insert(User::new(client, thread));
        self.say(user, BEGIN);
        self.drive(bench, user).await;
    }

    /// The server repairs, a client comes back, and answers until everything has ended.
    async fn go_on(&mut self, bench: &Bench, user: &mut Option<User>) {
        let Some(thread) = self.thread else { return };
        let open = bench.disk.open_markers().await.unwrap();
        let repair =
            repair::run(bench.services.clone(), bench.repair.clone(), open, CancellationToken::new());
        let mut client = bench.client();
        let resumed = if self.dice.once_in(2) {
            repair.await;
            let request = client.ask_resume(thread, Role::Subscriber);
            client.answer::<Value>(request).await
        } else {
            let request = client.ask_resume(thread, Role::Subscriber);
            tokio::join!(client.answer::<Value>(request), repair).0
        };
        if resumed.is_err() && self.drains {
            return;
        }
        if resumed.is_err() {
            assert_eq!(self.acknowledged, BTreeSet::new(), "the thread with acknowledged messages is gone");
            return;
        }
        let user = user.insert(User::new(client, thread));
        user.parks = self.dice.once_in(3);
        self.drive(bench, user).await;
    }

    async fn drive(&mut self, bench: &Bench, user: &mut User) {
        for _ in 0..PATIENCE {
            while let Some(question) = self.read(user) {
                self.decide(bench, user, question).await;
            }
            let read = History::read_end(bench.disk.as_ref(), user.thread, 0).await;
            let (runs, queued) = read.map_or((false, false), |history| {
                (history.open_turn().is_some(), history.queue().messages().next().is_some())
            });
            if !runs && queued {
                // The queue is held if its turn was interrupted.
                let start = |reply| Edit::Queue(QueueEdit::Start(None, reply));
                let request = user.client.edit(user.thread, start);
                user.client.answer::<Value>(request).await.ok();
            } else if !runs && user.requests.is_empty() {
                assert!(user.client.fence(user.thread).await || self.drains);
                return;
            }
            bench.pass(INTERVAL).await;
        }
        panic!("the turn never ends: {:?}, {:#?}", bench.kinds(user.thread).await, user.client.log);
    }

    /// Reads messages up to a question that needs an answer.
    fn read(&mut self, user: &mut User) -> Option<(i64, Value)> {
        user.client.received();
        while let Some(message) = user.client.log.get(user.read) {
            user.read += 1;
            if let Some(resolved) = message.params::<ServerRequestResolved>() {
                let RequestId::Integer(id) = resolved.request_id else { panic!("an id that nobody gave") };
                if user.answered.contains(&id) {
                    self.settled.insert(id);
                }
            }
            match message {
                Message::Answer { id, result } => {
                    let Some(text) = user.requests.remove(id) else { continue };
                    if result.is_ok() {
                        self.acknowledged.insert(text);
                    }
                }
                Message::Question { id, params, .. } => {
                    let (id, params) = (*id, params.clone());
                    self.judge(id, &params);
                    return Some((id, params));
                }
                Message::Notice { .. } => {}
            }
        }
        None
    }

    /// A question is new, or it is an open one with its id.
    fn judge(&mut self, id: i64, params: &Value) {
        assert!(!self.settled.contains(&id), "question {id} is asked again, and its answer was acknowledged");
        let before = self.asked.insert(id, params.clone());
        assert!(before.is_none_or(|before| before == *params), "question {id} is another one now: {params}");
        let same = self.settled.iter().find(|settled| self.asked[*settled] == *params);
        assert_eq!(same, None, "question {id} was answered before: {params}");
    }

    async fn decide(&mut self, bench: &Bench, user: &mut User, (id, params): (i64, Value)) {
        if std::mem::take(&mut user.parks) && !self.drains && self.park(bench, user).await {
            return;
        }
        if params["tool"] == "pay" {
            self.say(user, STEER_AGAIN);
            self.say(user, QUEUED[1]);
            user.answered.insert(id);
            user.client.carries_out(id, "paid");
            return;
        }
        if params["_meta"]["skein"]["budget"]["scope"] == "rounds" {
            user.answered.insert(id);
            return answer(&user.client, id, "accept");
        }
        self.say(user, STEER);
        self.say(user, QUEUED[0]);
        let accepts = !may_have_run(&params) || self.dice.once_in(2);
        if accepts && may_have_run(&params) {
            *self.again.entry(call_of(&params)).or_default() += 1;
        }
        user.answered.insert(id);
        answer(&user.client, id, if accepts { "accept" } else { "decline" });
    }

    /// Parks the thread if it only waits, and resumes it: its questions come again.
    async fn park(&mut self, bench: &Bench, user: &mut User) -> bool {
        let unload = user.client.unload(user.thread, Force::No);
        if user.client.answer::<Value>(unload).await.is_err() {
            return false;
        }
        bench.gone(user.thread).await;
        // The questions before the park are those of the load after it.
        user.client.received();
        user.read = user.client.log.len();
        user.client.resume(user.thread).await;
        true
    }

    async fn check(&self, bench: &Bench) {
        for (call, reached) in self.reached.iter().filter(|(call, _)| !call.starts_with(READS)) {
            let again = self.again.get(call).copied().unwrap_or_default();
            assert!(
                *reached <= 1 + again,
                "{call} reached the helper {reached} times; wanted again: {again}"
            );
        }
        let Some(thread) = self.thread.filter(|_| !self.acknowledged.is_empty()) else { return };
        let mut client = bench.client();
        let turns = client.resume(thread).await.thread.turns;
        let items = || turns.iter().flat_map(|turn| &turn.items);
        // A loss of power may leave a hole between records that were not synced, and the thread shows it. A lost record
        // may be anything.
        let is_damaged = items().any(|item| item.id().as_str().starts_with("damage-"));
        for text in &self.sent {
            let said = items().filter(|item| is_message(item, text)).count();
            let least = usize::from(self.acknowledged.contains(text) && !is_damaged);
            assert!((least..=1).contains(&said), "{text} is there {said} times");
        }
        for turn in &turns {
            let is_asked = turn.items.iter().any(|item| is_message(item, BEGIN)) && !self.asked.is_empty();
            let may_be_interrupted = !is_asked || is_damaged;
            let ended = turn.status == TurnStatus::Completed
                || turn.status == TurnStatus::Interrupted && may_be_interrupted;
            assert!(ended, "{turn:?}");
        }
        for item in items() {
            let ThreadItemBody::McpToolCall(call) = &item.body else { continue };
            assert!(is_damaged || call.status != McpToolCallStatus::InProgress, "{call:?}");
            let name = format!("{} {}", call.tool, call.arguments["path"].as_str().unwrap());
            let is_made = call.status != McpToolCallStatus::Completed || self.reached.contains_key(&name);
            assert!(is_made, "{name} has a result, and no helper has heard of it");
        }
        assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 0);
    }
}

fn is_message(item: &ThreadItem, text: &str) -> bool {
    let ThreadItemBody::UserMessage(message) = &item.body else { return false };
    message.content == [UserInput::text(text)]
}

/// `skein fsck` finds nothing wrong in the records.
fn check_records(home: &Path, thread: ThreadId) {
    let mut wrong = Vec::new();
    let mut note = |notice: FsckNotice<'_>| {
        if let FsckNotice::Finding(finding) = notice {
            wrong.push(serde_json::to_value(finding).unwrap());
        }
    };
    let request = FsckRequest { threads: [thread].into(), ..FsckRequest::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(fsck::run(home, &request, &mut note)).unwrap();
    // The index of these servers was in memory, and a loss of power leaves half lines.
    wrong.retain(|finding| !["noRow", "damage"].contains(&finding["kind"].as_str().unwrap()));
    assert_eq!(wrong, [] as [Value; 0]);
}

fn play(first: (usize, Fails), loss: &str, second: usize) {
    let mut world = World::new(second);
    world.live(first, loss, async |world, bench, user| world.begin(bench, user).await);
    if second.is_multiple_of(3) {
        // The server stops in order after some steps. It may give turns a moment.
        let steps = u32::try_from(second / 3 % STEPS).unwrap();
        world.drains = second.is_multiple_of(2);
        let drains = world.drains;
        world.live(NEVER, loss, async |world, bench, user| {
            let stop = async {
                bench.pass(INTERVAL * steps).await;
                if drains {
                    bench.drain();
                    bench.pass(INTERVAL * DRAIN).await;
                }
            };
            tokio::select! {
                () = world.go_on(bench, user) => {}
                () = stop => {}
            }
        });
        world.drains = false;
    } else {
        world.live((second % SECOND, Fails::After), loss, async |world, bench, user| {
            world.go_on(bench, user).await
        });
    }
    world.live(NEVER, "kill", async |world, bench, user| world.go_on(bench, user).await);
    world.live(NEVER, "kill", async |world, bench, _| world.check(bench).await);
    if let Some(thread) = world.thread.filter(|_| !world.acknowledged.is_empty()) {
        check_records(world.machine.home.0.path(), thread);
    }
}

#[test]
fn after_any_end_no_call_is_repeated_silently_and_each_answer_counts() {
    let mut whole = World::new(0);
    let operations = whole.live(NEVER, "kill", async |world, bench, user| world.begin(bench, user).await);
    assert_eq!((whole.asked.len(), whole.acknowledged.len()), (5, 5), "{:?}", whole.asked);
    each_end(operations, play);
}
