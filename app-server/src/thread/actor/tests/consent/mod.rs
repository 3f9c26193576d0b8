//! A model of consent: whatever policies, answers, lists of tools, reloads, resumes and restarts come in whatever order, each
//! call that reached a helper was allowed by a rule, or by an answer that was given for that very call by somebody who was asked.
//!
//! Real owners, sets and sessions over helpers without processes. `rules.rs` has the rules once more, written apart from the
//! product. `world.rs` plays a story and holds each call that arrives against them.

mod rules;
mod world;

use proptest::prelude::*;
use proptest::sample::select;

use rules::{Hints, Mode, Policy};
use world::{Answer, World};

/// One step of a story. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    /// A turn calls these tools side by side.
    Turn { thread: usize, tools: Vec<usize> },
    /// Somebody answers a question, asked or not.
    Answer { who: usize, question: usize, answer: Answer },
    /// The helper lists a tool with these hints, or no more.
    List { tool: usize, hints: Option<Hints> },
    /// The settings are read again, with another word for a tool.
    Mode { tool: usize, mode: Mode },
    /// The settings are read again, with another program by the helper's name.
    Program,
    /// A subscriber changes the policy.
    Policy { thread: usize, policy: Policy },
    /// A client resumes a thread, and wants everything done.
    Resume { who: usize, thread: usize },
    /// A client leaves a thread.
    Leave { who: usize, thread: usize },
    /// The turn is interrupted.
    Interrupt { thread: usize },
    /// The thread is unloaded, and resumed by its user.
    Reload { thread: usize },
    /// The server stops, and starts again.
    Restart,
}

const HINTS: [Hints; 3] = [Hints::Silent, Hints::Reads, Hints::Destroys];
const MODES: [Mode; 5] = [Mode::Auto, Mode::Prompt, Mode::Writes, Mode::Approve, Mode::Deny];
const POLICIES: [Policy; 4] =
    [Policy::OnRequest, Policy::Untrusted, Policy::NeverConfined, Policy::NeverFree];
const ANSWERS: [Answer; 8] = [
    Answer::Accept,
    Answer::Accept,
    Answer::Session,
    Answer::Always,
    Answer::Decline,
    Answer::Cancel,
    Answer::Nothing,
    Answer::Error,
];

fn step() -> impl Strategy<Value = Step> {
    let (who, thread, tool) = (0..world::CLIENTS, 0..world::THREADS, 0..world::TOOLS.len());
    prop_oneof![
        8 => (thread.clone(), prop::collection::vec(tool.clone(), 1..4))
            .prop_map(|(thread, tools)| Step::Turn { thread, tools }),
        10 => (who.clone(), 0..4_usize, select(&ANSWERS[..]))
            .prop_map(|(who, question, answer)| Step::Answer { who, question, answer }),
        3 => (tool.clone(), prop::option::of(select(&HINTS[..])))
            .prop_map(|(tool, hints)| Step::List { tool, hints }),
        3 => (tool, select(&MODES[..])).prop_map(|(tool, mode)| Step::Mode { tool, mode }),
        1 => Just(Step::Program),
        2 => (thread.clone(), select(&POLICIES[..])).prop_map(|(thread, policy)| Step::Policy { thread, policy }),
        4 => (who.clone(), thread.clone()).prop_map(|(who, thread)| Step::Resume { who, thread }),
        1 => (who, thread.clone()).prop_map(|(who, thread)| Step::Leave { who, thread }),
        1 => thread.clone().prop_map(|thread| Step::Interrupt { thread }),
        1 => thread.prop_map(|thread| Step::Reload { thread }),
        1 => Just(Step::Restart),
    ]
}

async fn play(shared: bool, steps: Vec<Step>) {
    let mut world = World::begin(shared).await;
    for step in steps {
        match step {
            Step::Turn { thread, tools } => world.turn(thread, &tools),
            Step::Answer { who, question, answer } => world.answer(who, question, answer),
            Step::List { tool, hints } => world.list(tool, hints),
            Step::Mode { tool, mode } => world.mode(tool, mode),
            Step::Program => world.other_program(),
            Step::Policy { thread, policy } => world.policy(thread, policy).await,
            Step::Resume { who, thread } => world.resume(who, thread).await,
            Step::Leave { who, thread } => world.leave(who, thread).await,
            Step::Interrupt { thread } => world.interrupt(thread),
            Step::Reload { thread } => world.reload(thread).await,
            Step::Restart => world = world.restart().await,
        }
        world.settle().await;
    }
    world.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_call_that_reached_a_helper_was_allowed_by_a_rule_or_by_an_answer_for_that_very_call(
        shared in any::<bool>(), steps in prop::collection::vec(step(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(play(shared, steps));
    }
}
