//! The promise as a property test: turns of all kinds, clients that disconnect at random points, a server
//! that is killed. At the end all clients show the same. `SKEIN_SEED` repeats a schedule, `SKEIN_ROUNDS` sets
//! its number of rounds; `scripts/reconnects` runs many schedules.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::turn_params;
use skein_integration_tests::seed::Seed;
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::ids::TurnId;
use skein_protocol::methods::{ThreadNameSet, TurnInterrupt, TurnStart};
use skein_protocol::thread::ThreadSetNameParams;
use skein_protocol::turn::TurnInterruptParams;

use super::ends_drained;

/// Default number of rounds.
const ROUNDS: u64 = 50;
/// Index of the witness, which never leaves.
const WITNESS: usize = 0;
/// All windows that show the thread, beside one numbered observer.
const KINDS: [Kind; 5] = [Kind::Numbered, Kind::Numbered, Kind::Numbered, Kind::Numbered, Kind::Plain];

/// Action of a window in a round, beside leaving and coming back.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Watch,
    /// Answers the question.
    Answer,
    /// Interrupts after this many messages.
    Interrupt(u64),
    /// Adds this text to the turn after this many messages.
    Steer(u64, String),
}

/// One loss of a connection.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// Number of messages before the loss.
    after: u64,
    how: Leave,
    /// Whether the client has received every message but not applied them.
    unapplied: bool,
}

/// Plan of a window for a round.
#[derive(Debug, Clone)]
struct Plan {
    /// Whether it stays disconnected in this round.
    away: bool,
    losses: Vec<Loss>,
    part: Part,
    /// Whether it leaves for a while at the end of the round.
    leaves: bool,
}

/// One round: the user's text, and the plans of all windows.
#[derive(Debug)]
struct Round {
    text: String,
    name: Option<String>,
    unload: bool,
    /// Kills the server after each window has received this many messages.
    kill: Option<u64>,
    plans: Vec<Plan>,
}

impl Round {
    fn drawn(seed: &mut Seed, number: u64) -> Self {
        let (text, part) = turn(seed, number);
        let actor = if text == "/hang" { WITNESS } else { index(seed) };
        let mut plans: Vec<Plan> = (0..=KINDS.len()).map(|who| plan(seed, who)).collect();
        plans[actor].part = part;
        plans[actor].away = false;
        let name = seed.percent(20).then(|| format!("name {number}"));
        // A hanging turn sends few messages.
        let count = seed.below(if text == "/hang" { 2 } else { 40 });
        let kill = seed.percent(8).then_some(count);
        Self { text, name, unload: seed.percent(10), kill, plans }
    }
}

/// A user's text, and the reaction that it needs.
fn turn(seed: &mut Seed, number: u64) -> (String, Part) {
    let after = seed.below(60);
    let stream = |seed: &mut Seed| {
        let pace = if seed.percent(50) { " 2000" } else { "" };
        format!("/stream {} {}{pace}", 1 + seed.below(150), 8 + seed.below(40))
    };
    match seed.below(10) {
        0 => (format!("some words of round {number}"), Part::Watch),
        1 | 2 => (stream(seed), Part::Watch),
        3 => (stream(seed), Part::Interrupt(after)),
        4 => (stream(seed), Part::Steer(after, format!("and more in round {number}"))),
        5 => (format!("/tool helper echo {{\"text\":\"round {number}\"}}\n/tool helper pid"), Part::Watch),
        6 => ("/tool helper progress {\"steps\":5}".to_owned(), Part::Interrupt(after)),
        7 | 8 => (format!("/ask Round {number}?"), Part::Answer),
        _ if seed.percent(50) => ("/hang".to_owned(), Part::Interrupt(0)),
        _ => (format!("/fail in round {number}"), Part::Watch),
    }
}

fn index(seed: &mut Seed) -> usize {
    usize::try_from(seed.below(KINDS.len() as u64)).unwrap_or_default()
}

fn plan(seed: &mut Seed, who: usize) -> Plan {
    let losses = if who == WITNESS { 0 } else { seed.below(4) };
    let loss = |seed: &mut Seed| Loss {
        after: seed.below(50),
        how: *seed.one_of(&[Leave::Goodbye, Leave::Drop, Leave::Reset]),
        unapplied: seed.percent(30),
    };
    Plan {
        away: seed.percent(30),
        losses: (0..losses).map(|_| loss(seed)).collect(),
        part: Part::Watch,
        leaves: who != WITNESS && seed.percent(20),
    }
}

/// Plays a window through a turn. Returns the turn that the window's own input started, if it did.
async fn live(window: &mut Window, plan: &Plan, address: &str, turn: &TurnId) -> Result<Option<TurnId>> {
    if !window.is_connected() {
        if plan.away {
            return Ok(None);
        }
        window.come_back(address).await?;
    }
    for loss in &plan.losses {
        let stop = |view: &_| stops(view, turn);
        window.receive_some(loss.after, stop).await?;
        if loss.unapplied {
            window.client()?.status().await?;
        }
        window.leave(loss.how).await?;
        window.come_back(address).await?;
    }
    let begun = play(window, &plan.part, turn).await?;
    window.until("the end of the turn", |view| view.has_ended(turn)).await?;
    Ok(begun)
}

/// Whether nothing more comes by itself.
fn stops(view: &View, turn: &TurnId) -> bool {
    view.has_ended(turn) || view.waits_for_the_user()
}

async fn play(window: &mut Window, part: &Part, turn: &TurnId) -> Result<Option<TurnId>> {
    let thread = window.thread();
    match part {
        Part::Watch => {}
        Part::Answer => {
            let stops = |view: &View| view.has_ended(turn) || view.open_question().is_some();
            window.until("a question, or the end", stops).await?;
            if window.view.open_question().is_some() {
                window.answer("an answer of several words").await?;
            }
        }
        Part::Interrupt(after) => {
            window.receive_some(*after, |view| stops(view, turn)).await?;
            let params = TurnInterruptParams { thread_id: thread, turn_id: turn.clone() };
            let client = window.client()?;
            let pending = client.start_call::<TurnInterrupt>(&params).await?;
            // The turn may have ended by itself.
            client.answer(pending).await?.ok();
        }
        Part::Steer(after, text) => {
            window.receive_some(*after, |view| stops(view, turn)).await?;
            let answer = window.client()?.call::<TurnStart>(turn_params(thread, text)).await?;
            return Ok((answer.turn.id != *turn).then_some(answer.turn.id));
        }
    }
    Ok(None)
}

/// A server, all windows of the thread, and a client without it.
struct Stage {
    home: Home,
    control: Client,
    windows: Vec<Window>,
}

impl Stage {
    async fn new() -> Result<Self> {
        let setup = Home::setup().helper(Helper::named("helper")?).set("durability", "process");
        let home = setup.start().await?;
        let control = home.client_at_owner().await?;
        let mut witness = Window::start(KINDS[WITNESS], home.address()).await?;
        let thread = witness.thread();
        // From now on the thread is on disk.
        let first = witness.start_turn("first words").await?;
        witness.until("the first turn", |view| view.has_ended(&first)).await?;
        let mut windows = vec![witness];
        for kind in &KINDS[1..] {
            windows.push(Window::open(*kind, home.address(), thread).await?);
        }
        windows.push(Window::observe(Kind::Numbered, home.address(), thread).await?);
        Ok(Self { home, control, windows })
    }

    async fn play(&mut self, round: &Round) -> Result<()> {
        let thread = self.windows[WITNESS].thread();
        if round.unload {
            self.control.unload(thread, true).await?;
        }
        let client = self.windows[WITNESS].client()?;
        let turn = client.start_turn(thread, &round.text).await?;
        if let Some(name) = &round.name {
            let params = ThreadSetNameParams { name: name.clone(), thread_id: thread };
            client.call::<ThreadNameSet>(params).await?;
        }
        let begun = match round.kill {
            Some(after) => {
                self.die(after, &turn, round.text.starts_with("/ask")).await?;
                Vec::new()
            }
            None => {
                let address = self.home.address();
                let all = self.windows.iter_mut().zip(&round.plans);
                try_join_all(all.map(|(window, plan)| live(window, plan, address, &turn))).await?
            }
        };
        let last = begun.into_iter().flatten().next().unwrap_or(turn);
        self.settle(&last, round.name.as_ref()).await?;
        self.all_show_the_same().await?;
        for (window, plan) in self.windows.iter_mut().zip(&round.plans) {
            if plan.leaves {
                window.leave(Leave::Reset).await?;
            }
        }
        Ok(())
    }

    /// All windows receive some messages, then the server is killed, and all come back.
    async fn die(&mut self, after: u64, turn: &TurnId, asks: bool) -> Result<()> {
        let there = self.windows.iter_mut().filter(|window| window.is_connected());
        try_join_all(there.map(|window| window.receive_some(after, |view| stops(view, turn)))).await?;
        self.home.kill().await?;
        self.home.start_again().await?;
        self.control = self.home.client_at_owner().await?;
        for window in &mut self.windows {
            window.leave(Leave::Drop).await?;
            window.come_back(self.home.address()).await?;
        }
        if asks {
            // A question that was put before the kill is open again.
            play(&mut self.windows[WITNESS], &Part::Answer, turn).await?;
        }
        Ok(())
    }

    /// Waits until every connected window has received everything.
    async fn settle(&mut self, last: &TurnId, name: Option<&String>) -> Result<()> {
        for window in self.windows.iter_mut().filter(|window| window.is_connected()) {
            let whole = |view: &View| {
                let named = name.is_none() || view.name.as_ref() == name;
                named
                    && view.has_ended(last)
                    && view.is_at_rest()
                    && view.questions.is_empty()
                    && view.has_caught_up()
            };
            window.until("the end of the round", whole).await?;
        }
        Ok(())
    }

    /// Checks that all connected windows show the same as the server's history.
    async fn all_show_the_same(&mut self) -> Result<()> {
        let (witness, others) = self.windows.split_first_mut().context("a witness")?;
        let thread = witness.thread();
        let read = self.control.read_thread(thread).await?;
        witness.view.same_as_read(&read).context("the witness, and what is read")?;
        for (number, other) in others.iter().enumerate().filter(|(_, window)| window.is_connected()) {
            let who = || format!("the witness, and window {} ({:?})", number + 1, KINDS.get(number + 1));
            witness.view.same_as(&other.view).with_context(who)?;
            ensure!(other.view.gaps == 0, "a history that could be continued was not");
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_client_that_comes_back_shows_the_same_as_one_that_never_left() -> Result<()> {
    let mut seed = Seed::from_environment();
    let rounds = std::env::var("SKEIN_ROUNDS").map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let mut stage = Stage::new().await?;
    for number in 0..rounds {
        let round = Round::drawn(&mut seed, number);
        stage.play(&round).await.with_context(|| format!("round {number}: {round:#?}"))?;
        if rounds > ROUNDS && number % 50 == 49 {
            eprintln!("{} rounds", number + 1);
        }
    }
    let Stage { home, mut control, windows } = stage;
    drop(windows);
    ends_drained(&home, &mut control).await?;
    home.finish().await
}
