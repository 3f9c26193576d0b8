//! The state of one thread in a client, updated by the rules of the extension `skein/events`.
//! The code is that of a client author. The view is strict: each broken promise is an error.

mod window;

use std::collections::{HashMap, HashSet};

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;
use skein_protocol::approval::ToolRequestUserInputParams;
use skein_protocol::event::ThreadTokenUsage;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, RequestId, ThreadId, TurnId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemCompleted, ItemPlanDelta, ItemStarted, ServerRequestResolved,
    ThreadNameUpdated, ThreadReverted, ThreadStatusChanged, ThreadTokenUsageUpdated, TurnCompleted,
    TurnStarted,
};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::Notification;
use skein_protocol::thread::{Thread, ThreadActiveFlag, ThreadResumeResponse, ThreadStatus};
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus};

pub use self::window::{Leave, Window};
use crate::client::Received;
use crate::requests::agent_text;

/// Whether the client has asked for numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The client asked for numbers; it continues at its last number.
    Numbered,
    /// The client knows no numbers; it starts again with each resume.
    Plain,
}

/// How the texts of the agent came.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextCounts {
    /// Streamed whole.
    pub whole: usize,
    /// Streamed in part; the item's end had the rest.
    pub parts: usize,
}

/// A message that cannot follow those before it.
#[derive(Debug, Clone, Copy)]
pub struct Contradiction;

impl std::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a message contradicts what the client shows")
    }
}

/// A thread as a client shows it.
#[derive(Debug, Clone)]
pub struct View {
    /// Turns with all their items.
    pub turns: Vec<Turn>,
    /// Name of the thread.
    pub name: Option<String>,
    /// Status of the thread.
    pub status: ThreadStatus,
    /// Tokens used, as far as this client was notified.
    pub usage: Option<ThreadTokenUsage>,
    /// Open questions to the user. `None`: the question is open, but this client did not get it yet.
    pub questions: HashMap<RequestId, Option<ToolRequestUserInputParams>>,
    /// The last applied number, and the epoch of the history.
    pub at: (EventSeq, Epoch),
    /// The last number of the replay that the last resume promised.
    pub replay_to: EventSeq,
    /// Number of resumes that could not continue the history.
    pub gaps: usize,
    /// Whether a server relays the thread, which may change its server: text that was not streamed is lost then, and an item in
    /// progress may be shown once more.
    pub is_relayed: bool,
    /// Messages of the agent whose text was followed from its start.
    pub texts: TextCounts,
    thread: ThreadId,
    kind: Kind,
    /// Items whose text was followed from their start. Their final text must equal the streamed text.
    followed: HashSet<ItemId>,
}

impl View {
    /// The view of a client that sees the thread for the first time.
    ///
    /// # Errors
    /// Fails if the answer has no numbers.
    pub fn new(kind: Kind, shown: &ThreadResumeResponse) -> anyhow::Result<Self> {
        let mut view = Self {
            turns: Vec::new(),
            name: None,
            status: shown.thread.status.clone(),
            usage: None,
            questions: HashMap::new(),
            at: (EventSeq(0), Epoch(0)),
            replay_to: EventSeq(0),
            gaps: 0,
            is_relayed: false,
            texts: TextCounts::default(),
            thread: shown.thread.id,
            kind,
            followed: HashSet::new(),
        };
        view.resume(shown)?;
        view.gaps = 0;
        Ok(view)
    }

    /// Applies the answer to a resume: a full snapshot, or the promise of a replay.
    ///
    /// # Errors
    /// Fails if the answer does not fit the request.
    pub fn resume(&mut self, shown: &ThreadResumeResponse) -> anyhow::Result<()> {
        let snapshot = shown.skein.as_ref().context("the answer has no numbers")?;
        ensure!(shown.thread.id == self.thread, "another thread: {}", shown.thread.id);
        self.status = shown.thread.status.clone();
        self.name.clone_from(&shown.thread.name);
        self.followed.clear();
        match (self.kind, snapshot.replay_to) {
            (Kind::Numbered, Some(replay_to)) => {
                ensure!(
                    self.at == (snapshot.seq, snapshot.epoch),
                    "continued from another number: {snapshot:?}"
                );
                self.replay_to = replay_to;
                ensure!(replay_to >= snapshot.seq, "a replay that ends before it begins: {snapshot:?}");
                ensure!(shown.thread.turns.is_empty(), "continued, but the answer has all turns");
            }
            (Kind::Plain, Some(_)) => bail!("continued without a request for it: {snapshot:?}"),
            (Kind::Numbered | Kind::Plain, None) => {
                self.gaps += usize::from(snapshot.gap.is_some());
                self.at = (snapshot.seq, snapshot.epoch);
                self.replay_to = snapshot.seq;
                self.usage = None;
                self.turns.clone_from(&shown.thread.turns);
                let open = self.turns.iter().flat_map(|turn| &turn.items).filter(|item| is_open(item));
                self.followed.extend(open.map(|item| item.id().clone()));
            }
        }
        match self.kind {
            Kind::Numbered => {
                self.questions.retain(|id, _| snapshot.pending_requests.contains(id));
                for id in &snapshot.pending_requests {
                    self.questions.entry(id.clone()).or_default();
                }
            }
            // A question to another connection does not concern this one.
            Kind::Plain => self.questions.clear(),
        }
        Ok(())
    }

    /// Applies a message, if it is about this thread.
    ///
    /// # Errors
    /// Fails if the message contradicts the view: a repeated number, a repeated item, text for an unknown
    /// item.
    pub fn apply(&mut self, message: &Received) -> anyhow::Result<()> {
        let Some(method) = message.method() else { return Ok(()) };
        let params = &message.value()["params"];
        if params["threadId"] != Value::String(self.thread.to_string()) {
            return Ok(());
        }
        let at = self.at;
        let applied = match message.question::<ItemToolRequestUserInput>()? {
            Some((id, question)) => self.asked(id, question),
            None => {
                self.number(message).and_then(|numbered| self.apply_notification(method, params, numbered))
            }
        };
        let applied = applied.with_context(|| format!("at {at:?}, applying {}", shown(&message.text)));
        applied.context(Contradiction)
    }

    /// Applies the number of a message. Returns whether it has one.
    fn number(&mut self, message: &Received) -> anyhow::Result<bool> {
        let stamp = message.stamp()?;
        let (seq, epoch) = match (stamp.seq, stamp.epoch) {
            (None, None) => return Ok(false),
            (Some(seq), Some(epoch)) => (seq, epoch),
            (Some(_), None) | (None, Some(_)) => bail!("an epoch without a number, or the reverse"),
        };
        ensure!(self.kind == Kind::Numbered, "a number without a request for numbers");
        let rewritten = epoch > self.at.1 && message.method() == Some(ThreadReverted::INFO.wire);
        ensure!(epoch == self.at.1 || rewritten, "another epoch");
        ensure!(seq > self.at.0, "a number that is not after the last one");
        self.at = (seq, epoch);
        Ok(true)
    }

    fn apply_notification(&mut self, method: &str, params: &Value, numbered: bool) -> anyhow::Result<()> {
        if let Some(params) = notice::<TurnStarted>(method, params)? {
            ensure!(self.turn(&params.turn.id).is_err(), "a turn began twice");
            let turn = Turn { items: Vec::new(), items_view: TurnItemsView::Full, ..params.turn };
            self.turns.push(turn);
        } else if let Some(params) = notice::<TurnCompleted>(method, params)? {
            // The end of a turn voids its questions.
            let of_it = |question: &ToolRequestUserInputParams| question.turn_id == params.turn.id;
            self.questions.retain(|_, question| !question.as_ref().is_some_and(of_it));
            let is_relayed = self.is_relayed;
            let turn = self.turn(&params.turn.id)?;
            let again = was_cut_off(turn) && params.turn.status == TurnStatus::Interrupted;
            // A server between ends the turn of a history that cannot be continued. It does not know the items.
            let is_void = is_relayed && params.turn.items_view == TurnItemsView::NotLoaded;
            ensure!(turn.status == TurnStatus::InProgress || again, "a turn ended twice");
            let items = std::mem::take(&mut turn.items);
            let open = items.iter().find(|item| is_open(item)).map(|item| item.id().clone());
            *turn = Turn { items, items_view: TurnItemsView::Full, ..params.turn };
            ensure!(open.is_none() || is_void, "a turn ended before its item {open:?}");
        } else if let Some(params) = notice::<ItemStarted>(method, params)? {
            self.item_started(&params.turn_id, params.item, numbered)?;
        } else if let Some(params) = notice::<ItemCompleted>(method, params)? {
            self.item_completed(&params.turn_id, params.item)?;
        } else if let Some(params) = notice::<ItemAgentMessageDelta>(method, params)? {
            self.more(&params.turn_id, &params.item_id, &params.delta)?;
        } else if let Some(params) = notice::<ItemPlanDelta>(method, params)? {
            self.more(&params.turn_id, &params.item_id, &params.delta)?;
        } else if let Some(params) = notice::<ThreadNameUpdated>(method, params)? {
            self.name = params.thread_name;
        } else if let Some(params) = notice::<ThreadReverted>(method, params)? {
            let from = params.skein.context("no turn to revert to")?.before_turn_id;
            let first = self.turns.iter().position(|turn| turn.id == from);
            self.turns.truncate(first.context("a revert to an unknown turn")?);
        } else if let Some(params) = notice::<ThreadStatusChanged>(method, params)? {
            self.status = params.status;
        } else if let Some(params) = notice::<ThreadTokenUsageUpdated>(method, params)? {
            self.usage = Some(params.token_usage);
        } else if let Some(params) = notice::<ServerRequestResolved>(method, params)? {
            self.questions.remove(&params.request_id);
        }
        Ok(())
    }

    /// Appends text to a message or a plan.
    fn more(&mut self, turn: &TurnId, item: &ItemId, delta: &str) -> anyhow::Result<()> {
        self.followed.insert(item.clone());
        let item = self.item(turn, item)?;
        ensure!(is_open(item), "text for an item that is complete");
        if let ThreadItemBody::Plan(plan) = &mut item.body {
            plan.text.push_str(delta);
            return Ok(());
        }
        let ThreadItemBody::AgentMessage(message) = &mut item.body else { bail!("text for {item:?}") };
        message.text.push_str(delta);
        Ok(())
    }

    /// Adds an item. Without a number it is the item's current state.
    fn item_started(&mut self, turn: &TurnId, item: ThreadItem, numbered: bool) -> anyhow::Result<()> {
        let again = (self.kind == Kind::Numbered || self.is_relayed) && !numbered;
        let turn = self.turn(turn)?;
        ensure!(turn.status == TurnStatus::InProgress, "an item of a turn that is over");
        match turn.items.iter_mut().find(|known| known.id() == item.id()) {
            Some(known) => {
                ensure!(again, "an item began twice");
                ensure!(is_open(known), "a complete item is shown again");
                *known = item.clone();
                self.followed.insert(item.id().clone());
            }
            None => turn.items.push(item),
        }
        Ok(())
    }

    fn item_completed(&mut self, turn: &TurnId, item: ThreadItem) -> anyhow::Result<()> {
        let (followed, is_relayed) = (self.followed.remove(item.id()), self.is_relayed);
        let again = self.turn(turn).is_ok_and(|turn| was_cut_off(turn));
        let known = self.item(turn, item.id())?;
        ensure!(is_open(known) || again, "an item was completed twice");
        let (streamed, whole) = (agent_text(known), agent_text(&item));
        let is_whole = streamed == whole;
        // Text is lost with a link. With a server, text is lost that was shown and not saved.
        let [one, other] = [&streamed, &whole].map(|text| text.as_deref().unwrap_or_default());
        let is_part = is_relayed && (is_part_of(one, other) || one.starts_with(other));
        ensure!(
            !followed || is_whole || is_part,
            "streamed {streamed:?}, but the complete text is {whole:?}"
        );
        *known = item;
        if followed && whole.is_some() {
            self.texts.whole += usize::from(is_whole);
            self.texts.parts += usize::from(!is_whole);
        }
        Ok(())
    }

    fn asked(&mut self, id: RequestId, question: ToolRequestUserInputParams) -> anyhow::Result<()> {
        let turn = self.turn(&question.turn_id)?;
        ensure!(turn.status == TurnStatus::InProgress, "a question of a turn that is over");
        self.questions.insert(id, Some(question));
        Ok(())
    }

    fn turn(&mut self, id: &TurnId) -> anyhow::Result<&mut Turn> {
        let found = self.turns.iter_mut().find(|turn| turn.id == *id);
        found.with_context(|| format!("turn {id} is not known"))
    }

    fn item(&mut self, turn: &TurnId, id: &ItemId) -> anyhow::Result<&mut ThreadItem> {
        let found = self.turn(turn)?.items.iter_mut().find(|item| item.id() == id);
        found.with_context(|| format!("item {id} is not known"))
    }

    /// Whether this turn is known and has ended.
    pub fn has_ended(&self, id: &TurnId) -> bool {
        self.turns.iter().any(|turn| turn.id == *id && turn.status != TurnStatus::InProgress)
    }

    /// Whether the replay of the last resume is complete.
    pub fn has_caught_up(&self) -> bool {
        self.at.0 >= self.replay_to
    }

    /// Whether no turn runs.
    pub fn is_at_rest(&self) -> bool {
        let running = |turn: &Turn| turn.status == TurnStatus::InProgress;
        !self.turns.iter().any(running) && !matches!(self.status, ThreadStatus::Active { .. })
    }

    /// Whether the thread waits for the user. An observer gets no questions.
    pub fn waits_for_the_user(&self) -> bool {
        let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
        self.status == waits || self.open_question().is_some()
    }

    /// An open question that this client got.
    pub fn open_question(&self) -> Option<(&RequestId, &ToolRequestUserInputParams)> {
        self.questions.iter().find_map(|(id, question)| Some((id, question.as_ref()?)))
    }

    /// The agent's text in the last turn.
    pub fn last_text(&self) -> Option<String> {
        self.turns.last()?.items.iter().filter_map(agent_text).next_back()
    }

    /// Compares two clients' views.
    ///
    /// # Errors
    /// Fails if the views differ. The error names the first difference.
    pub fn same_as(&self, other: &View) -> anyhow::Result<()> {
        same_turns(&self.turns, &other.turns)?;
        ensure!(self.name == other.name, "named {:?} and {:?}", self.name, other.name);
        ensure!(self.status == other.status, "{:?} and {:?}", self.status, other.status);
        let (mine, theirs) = (&self.questions, &other.questions);
        ensure!(mine == theirs, "questions {mine:?} and {theirs:?}");
        if let (Some(mine), Some(theirs)) = (&self.usage, &other.usage) {
            ensure!(mine == theirs, "usage {mine:?} and {theirs:?}");
        }
        Ok(())
    }

    /// Compares this view with the history from the server.
    ///
    /// # Errors
    /// Fails if they differ. The error names the first difference.
    pub fn same_as_read(&self, thread: &Thread) -> anyhow::Result<()> {
        same_turns(&self.turns, &thread.turns)?;
        ensure!(self.name == thread.name, "named {:?} and {:?}", self.name, thread.name);
        Ok(())
    }
}

fn same_turns(ours: &[Turn], theirs: &[Turn]) -> anyhow::Result<()> {
    for (ours, theirs) in ours.iter().zip(theirs) {
        ensure!(ours == theirs, "two views of a turn: {ours:#?}\n--- and ---\n{theirs:#?}");
    }
    ensure!(ours.len() == theirs.len(), "{} turns and {}", ours.len(), theirs.len());
    Ok(())
}

/// Whether a kill cut the turn off. A client that watched the unload got its end; the next load announces it
/// again.
fn was_cut_off(turn: &Turn) -> bool {
    turn.status == TurnStatus::Interrupted
}

/// Whether a text is another one without some of its pieces.
fn is_part_of(part: &str, whole: &str) -> bool {
    let mut part = part.chars().peekable();
    for one in whole.chars() {
        part.next_if_eq(&one);
    }
    part.peek().is_none()
}

fn is_open(item: &ThreadItem) -> bool {
    item.completed_at_ms.is_none()
}

fn notice<N: Notification>(method: &str, params: &Value) -> anyhow::Result<Option<N::Params>>
where
    N::Params: DeserializeOwned,
{
    if method != N::INFO.wire {
        return Ok(None);
    }
    Ok(Some(serde_json::from_value(params.clone())?))
}

/// The beginning of a message, for an error.
fn shown(text: &str) -> String {
    text.chars().take(400).collect()
}
