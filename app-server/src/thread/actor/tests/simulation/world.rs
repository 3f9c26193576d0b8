//! The world of one seed: the actions and their order. The dice make every decision.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::thread::{ThreadForkParams, ThreadStartParams};
use skein_provider::ModelEvent;
use skein_store::home::Term;
use skein_store::ownership::HomeOwnership;
use skein_store::rollout::memory::MemoryStore;
use uuid::Uuid;

use super::super::Bench;
use super::super::model::{PUPPET, Strings};
use super::dice::{Dice, Trace};
use super::person::{Person, Request};
use crate::outbox::OutboxLimits;
use crate::thread::command::{Edit, RevertTo};
use crate::thread::event::Force;
use crate::thread::questions::QuestionNumbers;
use crate::thread::subscribers::{ClientWishes, Role};

/// The number of a question identifies the server that asked it.
const QUESTIONS_OF_A_SERVER: i64 = 1_000;
/// Virtual seconds without an event after which a world is quiet; longer than the longest pause of a writer.
const STILL: usize = 8;
const MOST_THREADS: usize = 3;

/// A real answer of a client.
pub(super) struct Given {
    pub question: i64,
    pub text: String,
    /// Whether the answering connection was asked.
    pub rightly: bool,
}

pub(super) struct World {
    pub dice: Dice,
    pub trace: Trace,
    pub people: Vec<Person>,
    pub threads: Vec<ThreadId>,
    pub store: Arc<MemoryStore>,
    /// Threads with disk failures since the server's start.
    pub troubled: BTreeSet<ThreadId>,
    /// Threads with disk failures ever.
    pub ever_troubled: BTreeSet<ThreadId>,
    pub given: Vec<Given>,
    strings: Vec<Strings>,
    life: Uuid,
    servers: u32,
    words: usize,
}

impl World {
    pub(super) fn of(seed: u64) -> Self {
        let mut dice = Dice::of(seed);
        let count = 2 + dice.below(4);
        let people = (0..count).map(|name| {
            let role = if dice.once_in(4) { Role::Observer } else { Role::Subscriber };
            Person::new(name, !dice.once_in(4), role)
        });
        Self {
            people: people.collect(),
            dice,
            trace: Trace::of(seed),
            threads: Vec::new(),
            store: Arc::default(),
            troubled: BTreeSet::new(),
            ever_troubled: BTreeSet::new(),
            given: Vec::new(),
            strings: Vec::new(),
            life: Uuid::from_u128(1),
            servers: 0,
            words: 0,
        }
    }

    /// Starts a server on the state of the previous one.
    pub(super) fn serve(&mut self) -> Bench {
        self.servers += 1;
        self.troubled.clear();
        if self.dice.once_in(3) {
            self.life = Uuid::from_u128(self.life.as_u128() + 1);
        }
        let replay = if self.dice.once_in(4) { 5 } else { 10_000 };
        let mailbox = if self.dice.once_in(4) { 2 } else { 64 };
        let mut bench = Bench::on_store(Arc::clone(&self.store) as _, |config| {
            config.limits.replay = replay;
            config.limits.mailbox = mailbox;
        });
        let services = Arc::get_mut(&mut bench.services).unwrap();
        services.questions = QuestionNumbers::from(i64::from(self.servers) * QUESTIONS_OF_A_SERVER);
        services.ownership = Arc::new(HomeOwnership::new(Term(self.servers.into())));
        bench.disk.set_life(self.life);
        self.trace.note(format!("server {} in life {}", self.servers, self.life.as_u128()));
        bench
    }

    /// The possible numbers of questions. Those of an earlier server may still be open.
    pub(super) fn questions(&self) -> std::ops::Range<i64> {
        QUESTIONS_OF_A_SERVER..(i64::from(self.servers) + 1) * QUESTIONS_OF_A_SERVER
    }

    /// Kills the server, without a stop.
    pub(super) fn kill(&mut self) -> Result<(), String> {
        self.trace.note("kill".to_owned());
        self.strings.clear();
        for at in 0..self.people.len() {
            self.cut(at, |_| ())?;
        }
        Ok(())
    }

    /// Breaks the link: only the first of the sent messages arrive.
    fn cut(&mut self, at: usize, goodbye: impl FnOnce(&super::super::Client)) -> Result<(), String> {
        let person = &mut self.people[at];
        person.drain(&mut self.trace)?;
        let arrived = self.dice.below(person.in_flight() + 1);
        person.receive(arrived)?;
        if let Some(client) = person.client.take() {
            goodbye(&client);
            self.trace.note(format!("P{at} is cut, {arrived} have arrived"));
        }
        Ok(())
    }

    pub(super) async fn step(&mut self, bench: &Bench) -> Result<(), String> {
        while let Some(strings) = bench.model.try_next() {
            self.strings.push(strings);
        }
        self.strings.retain(|strings| !strings.is_cut());
        match self.dice.below(100) {
            0..55 => self.somebody_acts(bench)?,
            55..78 => self.model_acts(),
            78..85 => self.disk_acts(bench),
            85..98 => self.time_passes(bench).await,
            _ => {
                self.settle(bench, STILL).await?;
                super::checks::views(self, bench)?;
            }
        }
        for _ in 0..self.dice.below(8) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn somebody_acts(&mut self, bench: &Bench) -> Result<(), String> {
        let at = self.dice.below(self.people.len());
        if self.people[at].client.is_none() {
            self.connect(bench, at);
            return Ok(());
        }
        // A client that reads nothing does nothing.
        if self.dice.once_in(10) {
            return Ok(());
        }
        if self.people[at].drain(&mut self.trace)?.is_none() {
            return self.cut(at, super::super::Client::disconnect);
        }
        let arriving = self.dice.below(self.people[at].in_flight() + 2);
        self.people[at].receive(arriving)?;
        let Some(thread) = self.dice.pick(&self.threads) else {
            self.start(at);
            return Ok(());
        };
        match self.dice.below(100) {
            0..6 => self.cut(at, super::super::Client::disconnect)?,
            6..10 => self.start(at),
            10..34 => self.resume(at, thread),
            34..40 => self.revert(at, thread),
            40..46 => self.unsubscribe(at, thread),
            46..66 => self.input(at, thread),
            66..70 => self.interrupt(bench, thread),
            70..84 => self.answer(at),
            84..88 => self.set_name(at, thread),
            88..91 => self.fork(at, thread),
            91..97 => self.unload(at, thread),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn connect(&mut self, bench: &Bench, at: usize) {
        let wishes = ClientWishes { numbered: self.people[at].numbered, ..ClientWishes::default() };
        let narrow = OutboxLimits { waiting_bytes: 1, most_bytes: 1 << 26, pause_bytes: 0, merge_bytes: 1 };
        let wide = OutboxLimits {
            waiting_bytes: 1 << 24,
            most_bytes: 1 << 26,
            pause_bytes: 0,
            merge_bytes: 1 << 23,
        };
        let limits = if self.dice.once_in(5) { narrow } else { wide };
        self.people[at].connected(bench.client_as(wishes, limits));
        self.trace.note(format!("P{at} connects"));
    }

    fn start(&mut self, at: usize) {
        if self.threads.len() >= MOST_THREADS || self.people[at].role == Role::Observer {
            return;
        }
        let Some(client) = &mut self.people[at].client else { return };
        let (request, thread) = client.ask_start(ThreadStartParams::default());
        self.trace.note(format!("P{at} starts T{}", self.threads.len()));
        self.threads.push(thread);
        self.people[at].asked(request, Request::Start(thread));
    }

    pub(super) fn resume(&mut self, at: usize, thread: ThreadId) {
        let anew = self.dice.once_in(10);
        let person = &mut self.people[at];
        let known = person.views.get(&thread).and_then(|view| view.at).filter(|_| !anew);
        let role = person.role;
        let Some(client) = &mut person.client else { return };
        let request = match known {
            Some(number) => client.ask_resume_from(thread, role, number),
            None => client.ask_resume(thread, role),
        };
        person.asked(request, Request::Resume(thread));
        let from = known.map(|(seq, epoch)| (seq.0, epoch.0));
        self.note(at, thread, &format!("resumes {from:?} as {request}"));
    }

    fn unsubscribe(&mut self, at: usize, thread: ThreadId) {
        if let Some(client) = &self.people[at].client {
            let left = client.unsubscribe(thread);
            self.people[at].left(thread);
            self.note(at, thread, &format!("unsubscribes: {left:?}"));
        }
    }

    fn input(&mut self, at: usize, thread: ThreadId) {
        let texts = ["hello there", "/fail on purpose", "/ask who?", PUPPET, PUPPET, PUPPET, PUPPET];
        let text = self.dice.pick(&texts).unwrap();
        let number = self.threads.iter().position(|known| *known == thread).unwrap();
        let message = self.dice.once_in(3).then(|| format!("P{at}-T{number}-{}", self.dice.below(3)));
        let Some(client) = &mut self.people[at].client else { return };
        let request = client.input_as(thread, text, message.as_deref());
        self.note(at, thread, &format!("says {text:?} ({message:?}) as {request}"));
        // Another text with the same id is another message.
        let message = message.map(|id| format!("{id} {text}"));
        self.people[at].asked(request, Request::Input { message });
    }

    fn interrupt(&mut self, bench: &Bench, thread: ThreadId) {
        if let Some((turn, handle)) = running(bench, thread) {
            handle.interrupt(turn);
            self.trace.note("somebody interrupts".to_owned());
        }
    }

    /// Answers a question, asked or not.
    fn answer(&mut self, at: usize) {
        let person = &self.people[at];
        let open: Vec<i64> = person.views.values().flat_map(|view| view.questions.iter().copied()).collect();
        let any = self.questions().start + i64::try_from(self.dice.below(6)).unwrap();
        let question = self.dice.pick(&open).filter(|_| !self.dice.once_in(4)).unwrap_or(any);
        let Some(client) = &person.client else { return };
        let times = 1 + self.dice.below(2);
        for _ in 0..times {
            self.words += 1;
            let text = format!("answer-{}.", self.words);
            if self.dice.once_in(4) {
                client.say(question, Err("not now"));
            } else {
                client.say(question, Ok(&text));
                let rightly = person.was_asked(question);
                self.given.push(Given { question, text, rightly });
            }
        }
        self.trace.note(format!("P{at} answers {question}, {times} times"));
    }

    fn set_name(&mut self, at: usize, thread: ThreadId) {
        self.words += 1;
        let name = format!("name {}", self.words);
        let Some(client) = &mut self.people[at].client else { return };
        let request = client.set_name(thread, &name);
        self.people[at].asked(request, Request::Name);
        self.note(at, thread, &format!("names it {name:?} as {request}"));
    }

    fn revert(&mut self, at: usize, thread: ThreadId) {
        let count = 1 + u32::from(self.dice.once_in(3));
        let Some(client) = &mut self.people[at].client else { return };
        let request = client.edit(thread, |reply| Edit::Revert(RevertTo::AllBut(count), reply));
        self.people[at].asked(request, Request::Revert);
        let number = self.threads.iter().position(|known| *known == thread).unwrap();
        for person in &mut self.people {
            person.may_say_anew.insert(format!("-T{number}-"));
        }
        self.note(at, thread, &format!("takes {count} turns back as {request}"));
    }

    fn fork(&mut self, at: usize, thread: ThreadId) {
        if self.threads.len() > MOST_THREADS || self.people[at].role == Role::Observer {
            return;
        }
        let Some(client) = &mut self.people[at].client else { return };
        let (request, fork) = client.ask_fork(ThreadForkParams::of(thread));
        self.note(at, thread, &format!("forks it to T{} as {request}", self.threads.len()));
        self.threads.push(fork);
        self.people[at].asked(request, Request::Fork(fork));
    }

    fn unload(&mut self, at: usize, thread: ThreadId) {
        let force = if self.dice.once_in(2) { Force::Yes } else { Force::No };
        let Some(client) = &mut self.people[at].client else { return };
        let request = client.unload(thread, force);
        self.people[at].asked(request, Request::Unload(thread));
        self.note(at, thread, &format!("unloads it ({force:?}) as {request}"));
    }

    fn model_acts(&mut self) {
        if self.strings.is_empty() {
            return;
        }
        let at = self.dice.below(self.strings.len());
        let what = self.dice.below(10);
        self.words += 1;
        let text = match what {
            0..6 => self.strings[at].try_send(ModelEvent::TextDelta(format!("word-{} ", self.words))),
            6 => self.strings[at].try_send(ModelEvent::Question(format!("question {}?", self.words))),
            7 | 8 => {
                self.strings.remove(at).end_if_wanted();
                true
            }
            _ => {
                drop(self.strings.remove(at));
                true
            }
        };
        self.trace.note(format!("the model does {what}: {text}"));
    }

    fn disk_acts(&mut self, bench: &Bench) {
        let Some(thread) = self.dice.pick(&self.threads) else { return };
        let what = self.dice.below(10);
        match what {
            0 => {
                bench.disk.hold_appends();
                self.troubled.extend(&self.threads);
            }
            1 => bench.disk.hold_reads(),
            2 => bench.disk.hold_loads(),
            3 => {
                bench.disk.refuse(thread);
                self.troubled.insert(thread);
            }
            9 => {
                bench.disk.cut(thread);
                self.troubled.insert(thread);
            }
            4 | 5 => bench.disk.release_reads(),
            6 => bench.disk.release_loads(),
            7 => bench.disk.release_appends(),
            _ => bench.disk.recover(thread),
        }
        self.ever_troubled.extend(&self.troubled);
        for number in (0..).zip(&self.threads).filter_map(|(n, id)| self.troubled.contains(id).then_some(n)) {
            self.people.iter_mut().for_each(|person| person.may_say_anew.extend([format!("-T{number}-")]));
        }
        self.trace.note(format!("the disk does {what}"));
    }

    async fn time_passes(&mut self, bench: &Bench) {
        let ms = self.dice.pick(&[1, 1, 1, 20, 300, 1_100, 1_100, 6_000, 31_000]).unwrap();
        let ms = if self.dice.once_in(60) { 40 * 60 * 1_000 } else { ms };
        self.trace.note(format!("{ms} ms pass"));
        bench.pass(Duration::from_millis(ms)).await;
    }

    /// The disk works, and all clients read, until nothing has happened for this number of seconds.
    pub(super) async fn settle(&mut self, bench: &Bench, still: usize) -> Result<(), String> {
        bench.disk.release_appends();
        bench.disk.release_reads();
        bench.disk.release_loads();
        self.threads.iter().for_each(|thread| bench.disk.recover(*thread));
        let mut quiet = 0;
        for _ in 0..1_000 {
            if quiet == still {
                self.trace.note("quiet".to_owned());
                return Ok(());
            }
            let ms = if self.everybody_reads()? { 1 } else { 1_000 };
            bench.pass(Duration::from_millis(ms)).await;
            quiet = if self.everybody_reads()? { 0 } else { quiet + 1 };
        }
        Err("there is no end of it".to_owned())
    }

    /// Whether a client had anything to read.
    fn everybody_reads(&mut self) -> Result<bool, String> {
        let mut any = false;
        for at in 0..self.people.len() {
            if self.people[at].drain(&mut self.trace)?.is_none() {
                self.cut(at, super::super::Client::disconnect)?;
            }
            let waiting = self.people[at].in_flight();
            any |= waiting > 0;
            self.people[at].receive(waiting)?;
        }
        Ok(any)
    }

    /// Every turn ends, all clients resume, and have the whole state.
    pub(super) async fn come_to_rest(&mut self, bench: &Bench) -> Result<(), String> {
        self.settle(bench, STILL).await?;
        super::checks::views(self, bench)?;
        for _ in 0..2 {
            self.strings.clear();
            while let Some(strings) = bench.model.try_next() {
                drop(strings);
            }
            for thread in self.threads.clone() {
                self.interrupt(bench, thread);
            }
            self.settle(bench, STILL).await?;
        }
        for _ in 0..2 {
            for at in 0..self.people.len() {
                if self.people[at].client.is_none() {
                    self.connect(bench, at);
                }
                for thread in self.threads.clone() {
                    let reloads = !self.people[at].numbered && self.troubled.contains(&thread);
                    if self.people[at].views.contains_key(&thread)
                        && (reloads || !self.people[at].listens(thread))
                    {
                        self.resume(at, thread);
                    }
                }
            }
            self.settle(bench, STILL).await?;
        }
        Ok(())
    }

    fn note(&mut self, at: usize, thread: ThreadId, what: &str) {
        let number = self.threads.iter().position(|known| *known == thread);
        self.trace.note(format!("P{at} T{}: {what}", number.unwrap_or_default()));
    }
}

/// The running turn of a thread, with its owner's handle.
pub(super) fn running(
    bench: &Bench,
    thread: ThreadId,
) -> Option<(TurnId, crate::thread::registry::ThreadHandle)> {
    let handle = bench.services.registry.handle(thread)?;
    handle.snapshot().turn.map(|turn| (turn, handle))
}
