//! Each request to a model begins with the previous one, word for word, also over reloads, unless a summary replaces it or
//! turns are reverted. Providers cache that beginning, and users expect that the model remembers its files.

use std::path::PathBuf;

use proptest::prelude::*;
use skein_protocol::event::{TurnCompletedNotification, WarningNotification};
use skein_protocol::notifications::{TurnCompleted, TurnStarted, Warning};
use skein_protocol::thread::{ThreadCompactStartResponse, ThreadRevertResponse};
use skein_protocol::turn::{CodexErrorInfo, TurnStartResponse, TurnStatus, UserInput};
use skein_provider::{Callee, Content, Entry, ModelEvent, Prompt, ProviderError, ToolCall, ToolChoice};

use super::conversations::{listening, prompt, text};
use super::*;
use crate::thread::command::{Edit, RevertTo};

/// The beginning of a PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn too_long() -> ProviderError {
    ProviderError { info: Some(CodexErrorInfo::ContextWindowExceeded), ..ProviderError::new("too long") }
}

fn call(id: impl std::fmt::Display) -> ModelEvent {
    ModelEvent::ToolCall(ToolCall::new(id.to_string(), Callee::Offered("none".into()), "{}"))
}

#[derive(Debug, Clone)]
enum Step {
    /// A turn with answers of these numbers of calls. The provider may refuse one request for its length.
    Turn {
        calls: Vec<usize>,
        refused: Option<usize>,
        image: bool,
    },
    /// A turn with an answer that a steer cuts.
    Add {
        speaks: bool,
        call: bool,
    },
    /// A turn that is interrupted during its answer.
    Interrupt {
        speaks: bool,
    },
    Compact,
    Rollback(u32),
    /// The thread is unloaded, and resumed.
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let calls = prop::collection::vec(1..4_usize, 0..4);
    prop_oneof![
        4 => (calls, prop::option::weighted(0.3, 0..4_usize), any::<bool>())
            .prop_map(|(calls, refused, image)| Step::Turn { calls, refused, image }),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(speaks, call)| Step::Add { speaks, call }),
        1 => any::<bool>().prop_map(|speaks| Step::Interrupt { speaks }),
        1 => Just(Step::Compact),
        1 => (1..3_u32).prop_map(Step::Rollback),
        3 => Just(Step::Reload),
    ]
}

/// A thread, its client, and the requests to its model.
struct World {
    bench: Bench,
    client: Client,
    thread: ThreadId,
    image: PathBuf,
    folder: tempfile::TempDir,
    count: usize,
    /// Requests that begin anew, because turns were reverted.
    anew: Vec<usize>,
}

impl World {
    async fn begin() -> Self {
        let bench = listening();
        let (mut client, thread) = bench.started().await;
        bench.listener.say_of_summaries("in short");
        client.turn(thread, "hello").await;
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.png");
        Self { bench, client, thread, image, folder, count: 0, anew: Vec::new() }
    }

    /// The next message of the user. Each image is different.
    fn message(&mut self, image: bool) -> Vec<UserInput> {
        self.count += 1;
        let mut input = vec![UserInput::text(format!("message {}", self.count))];
        if image {
            std::fs::write(&self.image, [PNG, self.count.to_string().as_bytes()].concat()).unwrap();
            let path = self.image.to_str().unwrap().to_owned();
            input.push(UserInput::LocalImage { detail: None, path });
        }
        input
    }

    async fn hanging(&mut self, answer: Vec<ModelEvent>) -> TurnId {
        self.bench.listener.will_hang_after(answer);
        let input = self.message(false);
        let request = self.client.input_of(self.thread, input);
        let turn = self.client.answer::<TurnStartResponse>(request).await.unwrap().turn.id;
        self.bench.listener.hangs().await;
        turn
    }

    async fn completed(&mut self) -> TurnStatus {
        self.client.notified::<TurnCompleted>().await.turn.status
    }

    async fn start(&mut self, image: bool) {
        let input = self.message(image);
        let request = self.client.input_of(self.thread, input);
        self.client.answer::<TurnStartResponse>(request).await.unwrap();
    }

    async fn turn(&mut self, calls: &[usize], refused: Option<usize>, image: bool) {
        for (round, calls) in calls.iter().enumerate() {
            if refused == Some(round) {
                self.bench.listener.will_say(Err(too_long()));
            }
            let calls = (0..*calls).map(|number| call(format!("{}-{round}-{number}", self.count)));
            let answer = [text(&format!("I look {round}"))].into_iter().chain(calls).collect();
            self.bench.listener.will_say(Ok(answer));
        }
        self.start(image).await;
        self.completed().await;
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Turn { calls, refused, image } => self.turn(&calls, refused, image).await,
            Step::Add { speaks, call: calls } => {
                let spoken = speaks.then(|| text("half an"));
                let call = calls.then(|| call(format!("{}-cut", self.count)));
                self.hanging(spoken.into_iter().chain(call).collect()).await;
                self.start(true).await;
                self.completed().await;
            }
            Step::Interrupt { speaks } => {
                let turn = self.hanging(speaks.then(|| text("half an")).into_iter().collect()).await;
                self.client.interrupt(self.thread, &turn);
                assert_eq!(self.completed().await, TurnStatus::Interrupted);
            }
            Step::Compact => {
                let request = self.client.compact(self.thread);
                self.client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
                self.client.notified::<TurnStarted>().await;
                self.completed().await;
            }
            Step::Rollback(count) => self.rollback(count).await,
            Step::Reload => self.reload().await,
        }
    }

    async fn rollback(&mut self, count: u32) {
        let to = RevertTo::AllBut(count);
        let request = self.client.edit(self.thread, |reply| Edit::Revert(to, reply));
        // Refused if no turn is left.
        self.client.answer::<ThreadRevertResponse>(request).await.ok();
        self.anew.push(self.bench.listener.times_asked());
    }

    async fn reload(&mut self) {
        self.client.disconnect();
        self.bench.gone(self.thread).await;
        self.client = self.bench.client();
        self.client.resume(self.thread).await;
    }

    async fn finish(self) {
        let asked = self.bench.listener.all_asked();
        let wanted = |(_, prompt): &(usize, &Prompt)| prompt.tool_choice != ToolChoice::None;
        let asked: Vec<(usize, &Prompt)> = asked.iter().enumerate().filter(wanted).collect();
        for pair in asked.windows(2) {
            let [(from, before), (at, after)] = pair else { continue };
            let anew = self.anew.iter().any(|request| (from + 1..=*at).contains(request));
            if !anew && summary_of(before) == summary_of(after) {
                let same = after.history.get(..before.history.len());
                assert_eq!(same, Some(&*before.history), "request {at}");
            }
        }
        drop(self.folder);
        self.bench.finish().await;
    }
}

/// The summary that a request begins with.
fn summary_of(prompt: &Prompt) -> Option<String> {
    let first = prompt.history.first()?;
    let Entry::User(content) = first else { return None };
    content.first()?.as_text().filter(|text| text.contains("in short")).map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_begins_with_the_request_before_it_also_after_a_reload(
        steps in prop::collection::vec(step(), 1..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut world = World::begin().await;
            for step in steps {
                world.step(step).await;
            }
            // The last items are in two more requests.
            for step in [Step::Reload, Step::Turn { calls: vec![1], refused: None, image: false }] {
                world.step(step).await;
            }
            world.finish().await;
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_reads_only_what_came_since_the_last_one_however_long_the_conversation_is() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let mut read = Vec::new();
    for number in 0..40 {
        client.turn(thread, &format!("message {number}")).await;
        read.push(bench.disk.records_read());
    }
    assert_eq!(prompt(&bench).len(), 79);
    assert!(read[30..].iter().all(|count| *count == read[5]), "{read:?}");
    assert_eq!(bench.services.conversations.count(), 1);
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.conversations.count(), 0, "an unloaded thread keeps nothing");
    bench.finish().await;
}

/// The second turn of a thread, with this number of requests that are too long because of a tool's result.
async fn refused_for_length(times: usize) -> (Bench, TurnCompletedNotification) {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.say_of_summaries("in short");
    bench.listener.will_say(Ok(vec![text("I look"), call("1")]));
    for _ in 0..times {
        bench.listener.will_say(Err(too_long()));
    }
    let ended = client.turn(thread, "two").await;
    (bench, ended)
}

#[tokio::test(start_paused = true)]
async fn results_that_no_model_has_read_survive_a_refusal_for_length() {
    let (bench, _) = refused_for_length(1).await;
    let result = "result: there is no tool named none";
    let prompt = prompt(&bench);
    assert!(prompt[0].contains("in short") && prompt[0].contains("two"), "{prompt:?}");
    assert_eq!(prompt[1..], ["assistant: I look", "call: none", result]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn results_that_are_too_long_by_themselves_become_part_of_the_summary() {
    let (bench, ended) = refused_for_length(2).await;
    assert_eq!(ended.turn.status, TurnStatus::Completed);
    assert_eq!(prompt(&bench).len(), 1, "{:?}", prompt(&bench));
    bench.finish().await;
}

/// The images of a request's messages, or the notes in their places.
fn images(prompt: &Prompt) -> Vec<Content> {
    let second = |entry: &Entry| {
        if let Entry::User(content) = entry { content.get(1).cloned() } else { None }
    };
    prompt.history.iter().filter_map(second).collect()
}

#[tokio::test(start_paused = true)]
async fn a_local_image_stays_as_it_was_sent_and_old_images_become_notes() {
    let mut world = World::begin().await;
    for number in 0..4_u8 {
        let mut bytes = PNG.to_vec();
        bytes.resize(9_000_000, number);
        std::fs::write(&world.image, bytes).unwrap();
        let path = world.image.to_str().unwrap().to_owned();
        let local = UserInput::LocalImage { detail: None, path };
        let request = world.client.input_of(world.thread, vec![UserInput::text("look"), local]);
        world.client.answer::<TurnStartResponse>(request).await.unwrap();
        world.completed().await;
        if number == 0 {
            std::fs::remove_file(&world.image).unwrap();
            world.reload().await;
        }
    }
    let asked = world.bench.listener.all_asked();
    let early = images(&asked[2]);
    let [Content::Image(first), Content::Image(second)] = &early[..] else { panic!("as they were") };
    assert_ne!(first, second, "as it was, not as it is");
    let late = images(&asked[4]);
    let whole: Vec<bool> = late.iter().map(|content| matches!(content, Content::Image(_))).collect();
    assert_eq!(whole, [false, false, true, true]);
    let is_of_images = |warning: WarningNotification| warning.message.contains("pictures");
    let warned = world.client.count(|message| message.params::<Warning>().is_some_and(is_of_images));
    assert_eq!(warned, 1);
    world.bench.finish().await;
}
