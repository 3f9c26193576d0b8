//! A model of consent: policies, answers, lists of tools, reloads, resumes and restarts come in any order. Each call that
//! reached a helper was allowed by a rule, or by an answer for this call from a client that was asked.
//!
//! Real owners, sets and sessions over helpers without processes. `rules.rs` has an independent copy of the rules. `world.rs`
//! plays random steps, and checks each call that arrives against them.

mod rules;
mod world;

use proptest::prelude::*;
use proptest::sample::select;

use rules::{Hints, Mode, Policy};
use world::{Answer, World};

/// One step. Numbers choose among the existing things.
#[derive(Debug, Clone)]
enum Step {
    /// A turn calls these tools side by side.
    Turn {
        thread: usize,
        tools: Vec<usize>,
    },
    /// A client answers a question, asked or not.
    Answer {
        who: usize,
        question: usize,
        answer: Answer,
    },
    /// The helper stops responding, so that allowed calls wait, or responds again.
    Silence(bool),
    /// The helper lists a tool with these hints, or removes it.
    List {
        tool: usize,
        hints: Option<Hints>,
    },
    /// The settings are read again, with another approval mode for a tool.
    Mode {
        tool: usize,
        mode: Mode,
    },
    /// The settings are read again, with another program under the helper's name.
    Program,
    Policy {
        thread: usize,
        policy: Policy,
    },
    /// A client resumes a thread, with the policy that allows everything.
    Resume {
        who: usize,
        thread: usize,
    },
    Leave {
        who: usize,
        thread: usize,
    },
    Interrupt {
        thread: usize,
    },
    /// A client unloads the thread, and its user resumes it, then or meanwhile. The resume of another client may join that load,
    /// with the policy that allows everything.
    Reload {
        thread: usize,
        meanwhile: bool,
        joined: bool,
    },
    Restart,
}

const HINTS: [Hints; 5] = [Hints::Silent, Hints::Reads, Hints::Writes, Hints::Destroys, Hints::Contradicts];
const MODES: [Mode; 5] = [Mode::Auto, Mode::Prompt, Mode::Writes, Mode::Approve, Mode::Deny];
const POLICIES: [Policy; 4] =
    [Policy::OnRequest, Policy::Untrusted, Policy::NeverConfined, Policy::NeverFree];
const ANSWERS: [Answer; 10] = [
    Answer::Accept,
    Answer::Accept,
    Answer::Accept,
    Answer::Session,
    Answer::Session,
    Answer::Always,
    Answer::Decline,
    Answer::Cancel,
    Answer::Nothing,
    Answer::Error,
];

fn step() -> impl Strategy<Value = Step> {
    // Mostly the user answers the latest question.
    let (answerer, question) =
        (prop_oneof![2 => Just(0), 1 => 0..world::CLIENTS], prop_oneof![2 => Just(0), 1 => 0..4_usize]);
    let (who, thread, tool) = (0..world::CLIENTS, 0..world::THREADS, 0..world::TOOLS.len());
    prop_oneof![
        8 => (thread.clone(), prop::collection::vec(tool.clone(), 1..4))
            .prop_map(|(thread, tools)| Step::Turn { thread, tools }),
        10 => (answerer, question, select(&ANSWERS[..]))
            .prop_map(|(who, question, answer)| Step::Answer { who, question, answer }),
        5 => (tool.clone(), prop::option::weighted(0.8, select(&HINTS[..])))
            .prop_map(|(tool, hints)| Step::List { tool, hints }),
        3 => (tool, select(&MODES[..])).prop_map(|(tool, mode)| Step::Mode { tool, mode }),
        1 => Just(Step::Program),
        3 => any::<bool>().prop_map(Step::Silence),
        2 => (thread.clone(), select(&POLICIES[..])).prop_map(|(thread, policy)| Step::Policy { thread, policy }),
        4 => (who.clone(), thread.clone()).prop_map(|(who, thread)| Step::Resume { who, thread }),
        1 => (who, thread.clone()).prop_map(|(who, thread)| Step::Leave { who, thread }),
        1 => thread.clone().prop_map(|thread| Step::Interrupt { thread }),
        2 => (thread, any::<bool>(), any::<bool>())
            .prop_map(|(thread, meanwhile, joined)| Step::Reload { thread, meanwhile, joined }),
        1 => Just(Step::Restart),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_helper_is_judged_by_the_settings_of_then() {
    let turn = || Step::Turn { thread: 0, tools: vec![0] };
    let mode = |mode| Step::Mode { tool: 0, mode };
    let (falls_silent, recovers) = (|| Step::Silence(true), || Step::Silence(false));
    // Before a question, and during one.
    play(false, vec![falls_silent(), turn(), mode(Mode::Approve), recovers()]).await;
    let taken_back = vec![turn(), falls_silent(), mode(Mode::Approve), mode(Mode::Auto), recovers()];
    play(false, taken_back).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_saw_is_about_the_tool_as_it_was() {
    let asked = vec![
        Step::Silence(true),
        Step::Turn { thread: 0, tools: vec![0] },
        Step::Leave { who: 0, thread: 0 },
        Step::Silence(false),
        Step::List { tool: 0, hints: None },
        Step::Resume { who: 0, thread: 0 },
    ];
    play(false, asked).await;
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
            Step::Silence(silent) => world.silence(silent),
            Step::Reload { thread, meanwhile, joined } => world.reload(thread, meanwhile, joined).await,
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
        shared in any::<bool>(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(play(shared, steps));
    }
}
