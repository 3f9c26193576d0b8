//! Scripts of conversations. Each step waits for its notification, so that a script always makes the same operations.

use std::time::Duration;

use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ThreadNameUpdated, ThreadReverted, TurnCompleted, TurnStarted,
};
use skein_protocol::thread::{ThreadResumeResponse, ThreadStartParams, ThreadStartResponse};
use skein_protocol::turn::TurnStartResponse;
use skein_store::rollout::RolloutStore;
use tokio_util::sync::CancellationToken;

use super::super::model::{PUPPET, Strings};
use super::super::simulation::dice::Trace;
use super::super::simulation::person::{Person, Request};
use super::super::{Bench, Client, Message};
use super::machine::Witness;
use crate::repair;
use crate::thread::event::Force;
use crate::thread::events::view::EventView;
use crate::thread::subscribers::Role;

/// Longer than the interval of checkpoints.
const A_WHILE: Duration = Duration::from_millis(1_100);

/// Three turns with streamed text, one of which is reverted, a name, an unload and a load, and a turn that never ends.
pub(super) async fn conversation(bench: &Bench, script: &mut Script) {
    script.start().await;
    script.slowly(bench, &["one ", "two "]).await;
    script.name("first").await;
    let second = script.say("hello there").await;
    script.revert(&second).await;
    script.unload(bench).await;
    bench.clear_open_markers().await;
    assert!(script.resume().await);
    script.slowly(bench, &["three "]).await;
    script.speaks(bench).await;
}

/// The script of the next life, if the thread is there: no write, a turn, a name and an unload, a revert, or the beginning
/// of a turn.
pub(super) async fn next(bench: &Bench, script: &mut Script, turn: usize) {
    if turn % 2 == 1 {
        let open = bench.disk.open_markers().await.unwrap();
        repair::run(bench.services.clone(), bench.repair.clone(), open, CancellationToken::new()).await;
    }
    if !script.resume().await {
        return;
    }
    match turn % 5 {
        0 => script.unload(bench).await,
        1 => drop(script.say("in the second life").await),
        2 => {
            script.name("second").await;
            script.unload(bench).await;
        }
        3 => {
            let turn = script.say("not for long").await;
            script.revert(&turn).await;
        }
        _ => script.speaks(bench).await,
    }
}

/// A user with a client.
pub(super) struct Script {
    client: Client,
    pub thread: Option<ThreadId>,
    known: Option<EventView>,
    asked: Vec<(i64, Request)>,
    /// The answer that never ends.
    open: Option<Strings>,
}

impl Script {
    pub(super) fn of(client: Client, thread: Option<ThreadId>, known: Option<EventView>) -> Self {
        Self { client, thread, known, asked: Vec::new(), open: None }
    }

    async fn start(&mut self) {
        let (request, thread) = self.client.ask_start(ThreadStartParams::default());
        self.thread = Some(thread);
        self.asked.push((request, Request::Start(thread)));
        self.client.answer::<ThreadStartResponse>(request).await.unwrap();
    }

    /// Resumes by the last known number. Returns whether the thread is there.
    pub(super) async fn resume(&mut self) -> bool {
        let Some(thread) = self.thread else { return false };
        let witness = self.client.log.iter().rev().find_map(Message::number);
        let known = witness.or_else(|| self.known.as_ref()?.at);
        let request = match known {
            Some(number) => self.client.ask_resume_from(thread, Role::Subscriber, number),
            None => self.client.ask_resume(thread, Role::Subscriber),
        };
        self.asked.push((request, Request::Resume(thread)));
        self.client.answer::<ThreadResumeResponse>(request).await.is_ok()
    }

    pub(super) async fn say(&mut self, text: &str) -> TurnId {
        self.begin(text).await;
        self.client.notified::<TurnCompleted>().await.turn.id
    }

    async fn begin(&mut self, text: &str) {
        let request = self.client.input(self.thread.unwrap(), text);
        self.asked.push((request, Request::Input { message: None }));
        self.client.answer::<TurnStartResponse>(request).await.unwrap();
        self.client.notified::<TurnStarted>().await;
    }

    /// A turn that streams so slowly that checkpoints write its text in pieces.
    async fn slowly(&mut self, bench: &Bench, texts: &[&str]) {
        self.begin(PUPPET).await;
        let strings = bench.strings().await;
        for text in texts {
            strings.say(text).await;
            self.client.notified::<ItemAgentMessageDelta>().await;
            bench.pass(A_WHILE).await;
        }
        strings.end();
        self.client.notified::<TurnCompleted>().await;
    }

    /// The same without an end.
    async fn speaks(&mut self, bench: &Bench) {
        self.begin(PUPPET).await;
        let strings = bench.strings().await;
        strings.say("so f").await;
        self.client.notified::<ItemAgentMessageDelta>().await;
        bench.pass(A_WHILE).await;
        strings.say("ar").await;
        self.client.notified::<ItemAgentMessageDelta>().await;
        self.open = Some(strings);
    }

    pub(super) async fn name(&mut self, name: &str) {
        let request = self.client.set_name(self.thread.unwrap(), name);
        self.asked.push((request, Request::Name));
        self.client.answer::<serde_json::Value>(request).await.unwrap();
        self.client.notified::<ThreadNameUpdated>().await;
    }

    async fn revert(&mut self, turn: &TurnId) {
        let request = self.client.ask_revert(self.thread.unwrap(), turn);
        self.asked.push((request, Request::Revert));
        self.client.answer::<serde_json::Value>(request).await.unwrap();
        self.client.notified::<ThreadReverted>().await;
    }

    async fn unload(&mut self, bench: &Bench) {
        let thread = self.thread.unwrap();
        let request = self.client.unload(thread, Force::No);
        self.asked.push((request, Request::Unload(thread)));
        self.client.answer::<serde_json::Value>(request).await.unwrap();
        bench.gone(thread).await;
    }

    /// Ends the script. Returns the client, with its view at each number.
    pub(super) fn end(mut self) -> Witness {
        self.client.received();
        let (mut person, mut trace) = (Person::new(0, true, Role::Subscriber), Trace::of(0));
        person.views.extend(self.thread.zip(self.known));
        person.connected(self.client);
        self.asked.into_iter().for_each(|(request, what)| person.asked(request, what));
        person.drain(&mut trace).unwrap();
        let mut views: Vec<EventView> = Vec::new();
        while person.in_flight() > 0 {
            person.receive(1).unwrap();
            let Some(view) = self.thread.and_then(|thread| person.views.get(&thread)) else { continue };
            match views.last_mut() {
                Some(last) if last.at == view.at => last.clone_from(view),
                Some(_) | None => views.push(view.clone()),
            }
        }
        Witness { person, views }
    }
}
