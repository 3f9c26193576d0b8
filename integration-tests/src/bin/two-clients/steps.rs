//! The steps of a schedule, drawn from its seed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use skein_integration_tests::proxy::Flow;
use skein_integration_tests::seed::Seed;
use skein_integration_tests::view::{Leave, View};
use skein_protocol::ids::TurnId;
use skein_protocol::methods::{ThreadArchive, ThreadNameSet, ThreadRevert, ThreadUnarchive, TurnInterrupt};
use skein_protocol::thread::{
    ThreadArchiveParams, ThreadRevertParams, ThreadSetNameParams, ThreadUnarchiveParams,
};
use skein_protocol::turn::TurnInterruptParams;
use tokio::time::MissedTickBehavior;

use super::pages::TABS;
use super::stage::Stage;

/// Limit until a page notices a link that carries nothing.
const BOUND: Duration = Duration::from_secs(60);

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The witness sends this, while the others are cut.
    Turn(String),
    /// A page sends this.
    Page(usize, String),
    /// A question, which the witness or a page answers.
    Ask(Option<usize>),
    /// A long turn, which the witness or a page interrupts.
    Interrupt(Option<usize>),
    /// The server is killed after so many messages.
    Kill(u64),
    /// The links of the pages carry nothing, until the pages notice.
    HalfOpen,
    /// The pages are away while more happens than is replayed.
    Gap,
    /// The last turn is reverted; the pages may be away.
    Revert(bool),
    /// The thread is archived, and comes back.
    Archive,
    /// A page is loaded again.
    Reload(usize),
    Name(u64),
}

impl Step {
    pub(crate) fn drawn(seed: &mut Seed, number: u64) -> Self {
        let tab = usize::try_from(seed.below(TABS as u64)).unwrap_or_default();
        let who = seed.percent(60).then_some(tab);
        match seed.below(24) {
            0..=5 => Self::Turn(text(seed, number)),
            6..=11 => Self::Page(tab, text(seed, number)),
            12..=13 => Self::Ask(who),
            14..=15 => Self::Interrupt(who),
            16 => Self::Kill(seed.below(30)),
            17 => Self::HalfOpen,
            18 => Self::Gap,
            19 => Self::Revert(seed.percent(50)),
            20 => Self::Archive,
            21..=22 => Self::Reload(tab),
            _ => Self::Name(number),
        }
    }
}

fn text(seed: &mut Seed, number: u64) -> String {
    match seed.below(5) {
        0 => format!("some words of step {number}"),
        1 | 2 => format!("/stream {} {}", 1 + seed.below(60), 8 + seed.below(30)),
        3 => format!("/tool helper echo {{\"text\":\"step {number}\"}}"),
        _ => format!("/fail in step {number}"),
    }
}

impl Stage {
    pub(crate) async fn play(&mut self, step: &Step, seed: &mut Seed) -> Result<()> {
        for tab in 0..TABS {
            if seed.percent(40) {
                let after = seed.below(40);
                self.pages.order(&json!({ "do": "cut", "tab": tab, "after": after })).await?;
            }
        }
        match step {
            Step::Turn(text) => self.turn(text, seed).await?,
            Step::Page(tab, text) => {
                if seed.percent(30) {
                    self.proxy.cut_once();
                }
                self.pages.order(&json!({ "do": "send", "tab": tab, "text": text })).await?;
                if seed.percent(30) {
                    self.proxy.cut_once();
                }
            }
            Step::Ask(who) => self.ask(*who).await?,
            Step::Interrupt(who) => self.interrupt(*who).await?,
            Step::Kill(after) => {
                let turn = self.witness.start_turn("/stream 400 8 1000").await?;
                self.witness.receive_some(*after, |view| view.has_ended(&turn)).await?;
                self.kill().await?;
            }
            Step::HalfOpen => self.half_open().await?,
            Step::Gap => self.gap().await?,
            Step::Revert(away) => self.revert(*away).await?,
            Step::Archive => self.archive().await?,
            Step::Reload(tab) => {
                let load = json!({ "do": "load", "tab": tab, "thread": self.thread });
                self.pages.order(&load).await?;
            }
            Step::Name(number) => self.name(*number).await?,
        }
        self.settle().await
    }

    async fn turn(&mut self, text: &str, seed: &mut Seed) -> Result<()> {
        let turn = self.witness.start_turn(text).await?;
        for _ in 0..seed.below(3) {
            self.other.receive_some(seed.below(20), |view| view.has_ended(&turn)).await?;
            self.other.leave(*seed.one_of(&[Leave::Goodbye, Leave::Drop, Leave::Reset])).await?;
            if seed.percent(50) {
                self.proxy.cut_once();
            }
            self.other.come_back(self.home.address()).await?;
        }
        self.ended(&turn).await
    }

    async fn ended(&mut self, turn: &TurnId) -> Result<()> {
        self.witness.until("the end of the turn", |view| view.has_ended(turn)).await
    }

    /// All show the question. One answers, and it disappears everywhere.
    async fn ask(&mut self, who: Option<usize>) -> Result<()> {
        let turn = self.witness.start_turn("/ask Which one?").await?;
        self.witness.until("a question", |view: &View| view.open_question().is_some()).await?;
        self.asked().await?;
        match who {
            None => drop(self.witness.answer("an answer of the witness").await?),
            Some(tab) => {
                self.pages.order(&json!({ "do": "answer", "tab": tab, "on": true })).await?;
                self.proxy.cut_once();
            }
        }
        self.ended(&turn).await?;
        for tab in 0..TABS {
            self.pages.order(&json!({ "do": "answer", "tab": tab, "on": false })).await?;
        }
        Ok(())
    }

    async fn interrupt(&mut self, who: Option<usize>) -> Result<()> {
        let turn = self.witness.start_turn("/stream 4000 8 200").await?;
        match who {
            None => {
                self.witness.receive_some(12, |view| view.has_ended(&turn)).await?;
                let params = TurnInterruptParams { thread_id: self.thread, turn_id: turn.clone() };
                self.witness.client()?.call::<TurnInterrupt>(params).await?;
            }
            Some(tab) => {
                self.page_until(tab, |page| page["status"]["type"] == "active" && page["link"] == "live")
                    .await?;
                // A cut may lose the request. A user presses the button again.
                while !self.witness.view.has_ended(&turn) {
                    self.pages.order(&json!({ "do": "interrupt", "tab": tab })).await?;
                    self.witness.receive_some(200, |view| view.has_ended(&turn)).await?;
                }
            }
        }
        self.ended(&turn).await
    }

    async fn half_open(&mut self) -> Result<()> {
        self.proxy.set(Flow::Stalled);
        let turn = self.witness.start_turn("words on a link that carries nothing").await?;
        self.ended(&turn).await?;
        for tab in 0..TABS {
            self.page_until(tab, |page| page["link"] != "live").await?;
        }
        self.proxy.cut_once();
        self.proxy.set(Flow::Open);
        Ok(())
    }

    async fn gap(&mut self) -> Result<()> {
        self.proxy.set(Flow::Cut);
        self.other.leave(Leave::Reset).await?;
        for number in 0..8 {
            let turn = self.witness.start_turn(&format!("words {number} while the pages are away")).await?;
            self.ended(&turn).await?;
        }
        self.proxy.set(Flow::Open);
        Ok(())
    }

    async fn revert(&mut self, away: bool) -> Result<()> {
        let turns = &self.witness.view.turns;
        if turns.len() < 2 {
            return Ok(());
        }
        let before_turn_id = turns.last().context("a turn")?.id.clone();
        if away {
            self.proxy.set(Flow::Cut);
        }
        let params = ThreadRevertParams { before_turn_id, thread_id: self.thread };
        self.control.call::<ThreadRevert>(params).await?;
        self.proxy.set(Flow::Open);
        Ok(())
    }

    async fn archive(&mut self) -> Result<()> {
        let thread_id = self.thread;
        self.control.call::<ThreadArchive>(ThreadArchiveParams { thread_id }).await?;
        for window in [&mut self.witness, &mut self.other] {
            window.resume().await?;
        }
        self.control.call::<ThreadUnarchive>(ThreadUnarchiveParams { thread_id }).await?;
        Ok(())
    }

    async fn name(&mut self, number: u64) -> Result<()> {
        let name = format!("name {number}");
        let params = ThreadSetNameParams { name: name.clone(), thread_id: self.thread };
        self.control.call::<ThreadNameSet>(params).await?;
        self.witness.until("the new name", |view| view.name.as_ref() == Some(&name)).await
    }

    /// Polls a page.
    async fn page_until(&mut self, tab: usize, holds: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = tokio::time::Instant::now();
        loop {
            looks.tick().await;
            let page = self.pages.view(tab).await?;
            if holds(&page) {
                return Ok(());
            }
            ensure!(began.elapsed() < BOUND, "page {tab} does not get there: {page}");
        }
    }
}
