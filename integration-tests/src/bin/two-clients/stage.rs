//! A server behind a proxy, two clients in Rust, and the pages. After each step all show the same.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::http::free_port;
use skein_integration_tests::proxy::Proxy;
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::extension::SkeinStatusParams;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::SkeinStatus;
use tokio::time::MissedTickBehavior;

use super::pages::{Pages, Programs, TABS};

/// Limit until all show the same.
const BOUND: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(30);
/// Records that a resume replays at most, so that some resumes are gaps.
const REPLAY: i64 = 60;

/// All parts of a schedule.
pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) control: Client,
    pub(crate) proxy: Proxy,
    /// Never cut.
    pub(crate) witness: Window,
    /// Cut between two messages.
    pub(crate) other: Window,
    pub(crate) pages: Pages,
    pub(crate) thread: ThreadId,
}

impl Stage {
    pub(crate) async fn new(programs: &Programs) -> Result<Self> {
        // A server that was killed comes back at the same address.
        let port = free_port()?;
        let setup = Home::setup()
            .helper(Helper::named("helper")?)
            .set("durability", "process")
            .set("limits.replay", REPLAY)
            .set("connections.heartbeat", "100ms")
            .listen(&format!("ws://127.0.0.1:{port}"));
        let home = setup.start().await?;
        let control = home.client().await?;
        let mut witness = Window::start(Kind::Numbered, home.address()).await?;
        let thread = witness.thread();
        let first = witness.start_turn("first words").await?;
        witness.until("the first turn", |view| view.has_ended(&first)).await?;
        let other = Window::open(Kind::Numbered, home.address(), thread).await?;
        let proxy = Proxy::start(home.address()).await?;
        let mut pages = Pages::start(programs, &proxy.address())?;
        for tab in 0..TABS {
            pages.order(&json!({ "do": "load", "tab": tab, "thread": thread })).await?;
        }
        Ok(Self { home, control, proxy, witness, other, pages, thread })
    }

    /// Waits until all show the same, and nothing runs.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        self.agree("at rest", |view, pages| {
            let quiet = |page: &Value| page["unsent"] == 0 && page["link"] == "live";
            view.is_at_rest() && view.questions.is_empty() && pages.iter().all(quiet)
        })
        .await
    }

    /// Waits until all show the same open question.
    pub(crate) async fn asked(&mut self) -> Result<()> {
        self.agree("asked", |view, _| view.open_question().is_some()).await
    }

    /// Polls until all show the same and `holds`.
    async fn agree(&mut self, what: &str, holds: impl Fn(&View, &[Value]) -> bool) -> Result<()> {
        if !self.other.is_connected() {
            self.other.come_back(self.home.address()).await?;
        }
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = tokio::time::Instant::now();
        loop {
            looks.tick().await;
            drain(&mut self.witness).await?;
            drain(&mut self.other).await?;
            // Whole views cost more than this question.
            if began.elapsed() < BOUND && !self.are_there().await? {
                continue;
            }
            let mut pages = Vec::new();
            for tab in 0..TABS {
                pages.push(self.pages.view(tab).await?);
            }
            let found = self.compare(&pages);
            if found.is_ok() && holds(&self.witness.view, &pages) {
                return Ok(());
            }
            if began.elapsed() > BOUND {
                found?;
                bail!("all show the same, but not {what}: {pages:?}");
            }
        }
    }

    /// Whether the pages have come as far as the witness.
    async fn are_there(&mut self) -> Result<bool> {
        let seq = self.witness.view.at.0;
        for tab in 0..TABS {
            let answer = self.pages.order(&json!({ "do": "there", "tab": tab, "seq": seq })).await?;
            if answer["there"] != true {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Compares the views byte for byte as JSON.
    fn compare(&self, pages: &[Value]) -> Result<()> {
        let witness = shown(&self.witness.view)?;
        same(&witness, shown(&self.other.view)?).context("the client that was cut")?;
        for (tab, page) in pages.iter().enumerate() {
            ensure!(page["error"].is_null(), "page {tab}: {}", page["error"]);
            let questions = page["questions"].as_array().context("no questions")?;
            let pair = |question: &Value| (question[0].to_string(), question[1].clone());
            let page = json!({
                "turns": page["turns"], "name": page["name"], "status": page["status"],
                "usage": page["usage"],
                "questions": questions.iter().map(pair).collect::<serde_json::Map<_, _>>(),
            });
            same(&witness, page).with_context(|| format!("page {tab}"))?;
        }
        Ok(())
    }

    /// Kills the server in the middle of whatever it does, and starts it again.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.home.kill().await?;
        self.home.start_again().await?;
        self.control = self.home.client().await?;
        for window in [&mut self.witness, &mut self.other] {
            window.leave(Leave::Drop).await?;
            window.come_back(self.home.address()).await?;
        }
        Ok(())
    }

    /// Ends everything. No process may be left.
    pub(crate) async fn finish(self) -> Result<()> {
        let Self { home, control, proxy, witness, other, pages, .. } = self;
        pages.end().await?;
        drop((witness, other, control, proxy));
        home.until_drained(PATIENCE).await?;
        home.finish().await
    }
}

/// Applies every message that the server has sent so far.
pub(crate) async fn drain(window: &mut Window) -> Result<()> {
    let fence = window.client()?.start_call::<SkeinStatus>(&SkeinStatusParams::default()).await?;
    loop {
        let message = window.client()?.until("the answer to a fence", |_| true).await?;
        if message.answers(fence.id()) {
            return Ok(());
        }
        window.view.apply(&message)?;
    }
}

/// The view as JSON. Its members are in the order of the alphabet. The number is not part of it: a snapshot has
/// the newest number of all records, and an event has its own.
fn shown(view: &View) -> Result<Value> {
    let questions = view.questions.iter().map(|(id, params)| {
        let id = serde_json::to_value(id)?.to_string();
        anyhow::Ok((id, serde_json::to_value(params)?))
    });
    Ok(json!({
        "turns": view.turns, "name": view.name, "status": view.status, "usage": view.usage,
        "questions": questions.collect::<Result<serde_json::Map<_, _>>>()?,
    }))
}

/// Compares bytes, and names the first difference. A client that came later may not know the usage yet.
fn same(wanted: &Value, mut found: Value) -> Result<()> {
    if wanted["usage"].is_null() || found["usage"].is_null() {
        found["usage"] = wanted["usage"].clone();
    }
    if serde_json::to_vec(wanted)? == serde_json::to_vec(&found)? {
        return Ok(());
    }
    difference("", wanted, &found)
}

fn difference(place: &str, wanted: &Value, found: &Value) -> Result<()> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for key in wanted.keys().chain(found.keys()) {
                let (wanted, found) = (wanted.get(key), found.get(key));
                let (Some(wanted), Some(found)) = (wanted, found) else {
                    bail!("{place}.{key}: {wanted:?} in the witness, {found:?} here");
                };
                difference(&format!("{place}.{key}"), wanted, found)?;
            }
            Ok(())
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (at, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                difference(&format!("{place}[{at}]"), wanted, found)?;
            }
            Ok(())
        }
        (wanted, found) if wanted == found => Ok(()),
        (wanted, found) => bail!("{place}: {wanted} in the witness, {found} here"),
    }
}
