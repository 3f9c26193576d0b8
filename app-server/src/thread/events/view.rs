//! The state of one thread in a client that follows the rules: a pure fold over answers and notifications. For proofs that a
//! client that was away ends with the same state as one that was not.

use std::collections::BTreeSet;

use skein_protocol::event::{ItemCompletedNotification, ItemStartedNotification, ThreadTokenUsage};
use skein_protocol::ids::{Epoch, EventSeq, ItemId, RequestId, TurnId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemCompleted, ItemPlanDelta, ItemStarted, ServerRequestResolved,
    ThreadNameUpdated, ThreadReverted, ThreadTokenUsageUpdated, TurnCompleted, TurnStarted,
};
use skein_protocol::table::Notification;
use skein_protocol::turn::{Turn, TurnItemsView};

use skein_store::history::{DAMAGE_ID, History};

/// The number of a durable event, and the version of the history that it belongs to.
pub(crate) type EventNumber = (EventSeq, Epoch);

/// A notification as a client reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) method: &'a str,
    /// As JSON.
    pub(crate) params: &'a str,
    /// The number of a durable event, if the client wants numbers.
    pub(crate) number: Option<EventNumber>,
}

impl Received<'_> {
    fn params<N: Notification>(self) -> Option<N::Params> {
        (self.method == N::INFO.wire).then(|| serde_json::from_str(self.params).unwrap())
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EventView {
    /// The number up to which the view is complete.
    pub(crate) at: Option<EventNumber>,
    /// The last number of this subscription. Later numbers have to be above it.
    stream: Option<EventNumber>,
    pub(crate) name: Option<String>,
    usage: Option<ThreadTokenUsage>,
    turns: Vec<Turn>,
    /// Ids of turns and items whose last notification had no number: the disk may never have it.
    unsaved: BTreeSet<String>,
    /// The same for the name and the usage.
    unsaved_name: bool,
    unsaved_usage: bool,
    /// Questions that wait for an answer.
    pub(crate) questions: BTreeSet<i64>,
    settled: BTreeSet<i64>,
    /// Those of them since whose end no saved event has come: the disk may not have it.
    maybe_settled: BTreeSet<i64>,
}

impl EventView {
    /// Takes an answer with the whole thread, which replaces everything.
    pub(crate) fn whole(&mut self, name: Option<String>, turns: Vec<Turn>, at: Option<EventNumber>) {
        let questions = std::mem::take(&mut self.questions);
        let settled = std::mem::take(&mut self.settled);
        let maybe_settled = std::mem::take(&mut self.maybe_settled);
        *self = Self { at, stream: at, name, turns, questions, settled, maybe_settled, ..Self::default() };
        // Parts of a view behind its number may get lost, and the view does not say which.
        let turn_ids = self.turns.iter().map(|turn| turn.id.as_str().to_owned());
        let item_ids =
            self.turns.iter().flat_map(|turn| &turn.items).map(|item| item.id().as_str().to_owned());
        self.unsaved = turn_ids.chain(item_ids).collect();
        (self.unsaved_name, self.unsaved_usage) = (true, true);
    }

    /// Starts a new connection. No number comes before the answer.
    pub(crate) fn connected(&mut self) {
        self.stream = None;
        let maybe_settled = std::mem::take(&mut self.maybe_settled);
        self.settled.retain(|question| !maybe_settled.contains(question));
    }

    /// Takes an answer that continues. Events follow behind the number that the client has named.
    pub(crate) fn continued(&mut self, from: EventNumber, shown: &[Turn]) -> Result<(), String> {
        self.stream = Some(from);
        if shown.is_empty() { Ok(()) } else { Err("a history that is continued is shown again".to_owned()) }
    }

    /// Takes the questions that the answer names as open. All others are void.
    pub(crate) fn pending(&mut self, open: &[i64]) {
        self.questions.retain(|question| open.contains(question));
    }

    /// Takes a question.
    pub(crate) fn asked(&mut self, question: i64) -> Result<(), String> {
        self.questions.insert(question);
        if self.settled.contains(&question) { Err(format!("question {question} is settled")) } else { Ok(()) }
    }

    /// Takes a notification of the thread.
    pub(crate) fn receive(&mut self, received: Received<'_>) -> Result<(), String> {
        if !self.is_news(received)? {
            return Ok(());
        }
        if let Some(p) = received.params::<TurnStarted>() {
            self.turn(p.turn, received);
        } else if let Some(p) = received.params::<ItemStarted>() {
            self.item_started(p, received)?;
        } else if let Some(p) = received.params::<ItemAgentMessageDelta>() {
            self.delta(&p.turn_id, &p.item_id, &p.delta)?;
        } else if let Some(p) = received.params::<ItemPlanDelta>() {
            self.delta(&p.turn_id, &p.item_id, &p.delta)?;
        } else if let Some(p) = received.params::<ItemCompleted>() {
            self.item_completed(p, received)?;
        } else if let Some(p) = received.params::<TurnCompleted>() {
            if !self.turns.iter().any(|turn| turn.id == p.turn.id) {
                return Err(format!("turn {} ends, and never began", p.turn.id));
            }
            if received.number.is_none() {
                // The disk may have the turn as it waits for an answer.
                self.settled.clear();
            }
            self.turn(p.turn, received);
        } else if let Some(p) = received.params::<ThreadNameUpdated>() {
            (self.name, self.unsaved_name) = (p.thread_name, received.number.is_none());
        } else if let Some(p) = received.params::<ThreadTokenUsageUpdated>() {
            (self.usage, self.unsaved_usage) = (Some(p.token_usage), received.number.is_none());
        } else if let Some(p) = received.params::<ThreadReverted>() {
            let from = p.skein.ok_or("a revert that does not say from where")?.before_turn_id;
            if let Some(first) = self.turns.iter().position(|turn| turn.id == from) {
                self.turns.truncate(first);
            }
            if received.number.is_none() {
                // The event may get lost without a later notice, so the number is void.
                self.at = None;
            }
        } else if let Some(p) = received.params::<ServerRequestResolved>() {
            self.resolved(&p.request_id);
        }
        Ok(())
    }

    fn resolved(&mut self, question: &RequestId) {
        if let RequestId::Integer(question) = *question {
            self.questions.remove(&question);
            self.settled.insert(question);
            self.maybe_settled.insert(question);
        }
    }

    /// Whether to apply a notification. Numbers have to rise. Known events behind a continuing answer are skipped.
    fn is_news(&mut self, received: Received<'_>) -> Result<bool, String> {
        let Some((seq, epoch)) = received.number else { return Ok(true) };
        let Some((last, of)) = self.stream else {
            return Err(format!("{} has a number too early", received.method));
        };
        if epoch < of || (epoch == of && seq <= last) {
            return Err(format!(
                "{} is number {seq:?} of {epoch:?}, after {last:?} of {of:?}",
                received.method
            ));
        }
        self.stream = received.number;
        let news = self.at.is_none_or(|(at, of)| epoch > of || seq > at);
        if news {
            self.at = received.number;
            self.maybe_settled.clear();
        }
        Ok(news)
    }

    fn note(&mut self, id: &str, received: Received<'_>) {
        match received.number {
            Some(_) => drop(self.unsaved.remove(id)),
            None => drop(self.unsaved.insert(id.to_owned())),
        }
    }

    /// Takes a turn without its items, which have their own notifications.
    fn turn(&mut self, mut turn: Turn, received: Received<'_>) {
        turn.items_view = TurnItemsView::Full;
        turn.items = Vec::new();
        let there = self.turns.iter().position(|known| known.id == turn.id);
        self.note(turn.id.as_str(), received);
        match there {
            Some(at) => {
                turn.items = std::mem::take(&mut self.turns[at].items);
                self.turns[at] = turn;
            }
            None => self.turns.push(turn),
        }
    }

    fn items(&mut self, turn: &TurnId) -> Result<&mut Vec<ThreadItem>, String> {
        let found = self.turns.iter_mut().rev().find(|known| known.id == *turn);
        found.map(|turn| &mut turn.items).ok_or_else(|| format!("an item of turn {turn}, which never began"))
    }

    fn item_started(&mut self, p: ItemStartedNotification, received: Received<'_>) -> Result<(), String> {
        // The end of an item may be lost, if it had no number.
        let lost = self.unsaved.contains(p.item.id().as_str());
        let items = self.items(&p.turn_id)?;
        let there = items.iter().find(|item| item.id() == p.item.id());
        let done = there.is_some_and(|item| item.completed_at_ms.is_some());
        if received.number.is_none() && done && !lost {
            return Err(format!("item {} is done, and shown in progress", p.item.id()));
        }
        self.put(&p.turn_id, p.item, received)
    }

    fn item_completed(&mut self, p: ItemCompletedNotification, received: Received<'_>) -> Result<(), String> {
        if !self.items(&p.turn_id)?.iter().any(|item| item.id() == p.item.id()) {
            return Err(format!("item {} is done, and never began", p.item.id()));
        }
        self.put(&p.turn_id, p.item, received)
    }

    fn put(&mut self, turn: &TurnId, item: ThreadItem, received: Received<'_>) -> Result<(), String> {
        let items = self.items(turn)?;
        let id = item.id().as_str().to_owned();
        let there = items.iter().position(|known| known.id().as_str() == id);
        match there {
            Some(at) => items[at] = item,
            None => items.push(item),
        }
        // An item in progress that is shown again is not new.
        if received.number.is_some() || there.is_none() || received.method == ItemCompleted::INFO.wire {
            self.note(&id, received);
        }
        Ok(())
    }

    fn delta(&mut self, turn: &TurnId, item: &ItemId, delta: &str) -> Result<(), String> {
        let found = self.items(turn)?.iter_mut().find(|known| known.id() == item);
        let open = found.filter(|item| item.completed_at_ms.is_none());
        let text = match open.map(|item| &mut item.body) {
            Some(ThreadItemBody::AgentMessage(message)) => &mut message.text,
            Some(ThreadItemBody::Plan(plan)) => &mut plan.text,
            _ => return Err(format!("a delta of item {item}, which is not in progress")),
        };
        text.push_str(delta);
        Ok(())
    }

    /// The running turn of the view.
    pub(crate) fn running(&self) -> Option<&TurnId> {
        use skein_protocol::turn::TurnStatus::InProgress;
        self.turns.last().filter(|turn| turn.status == InProgress).map(|turn| &turn.id)
    }

    /// Whether the last notification of a turn had no number.
    pub(crate) fn is_unsaved(&self, turn: &TurnId) -> bool {
        self.unsaved.contains(turn.as_str())
    }

    /// An item of the view.
    pub(crate) fn item(&self, id: &ItemId) -> Option<&ThreadItem> {
        self.turns.iter().flat_map(|turn| &turn.items).find(|item| item.id() == id)
    }

    /// How the view differs from the stored history. The text of items in progress may differ, because it reaches the disk
    /// within a second. After disk failures (`let_down`) the view may have unsaved events. Only views show items about damage.
    pub(crate) fn difference(&self, history: &History, let_down: bool) -> Option<String> {
        let mine = without_damage(if let_down { self.but_unsaved(history) } else { self.turns.clone() });
        let stored = without_damage(with_open_text_of(&mine, history));
        if self.name.as_deref() != history.name() && !(let_down && self.unsaved_name) {
            return Some(format!("the name is {:?}, and {:?} is stored", self.name, history.name()));
        }
        let knows_usage = self.usage.is_some() && !(let_down && self.unsaved_usage);
        if knows_usage && self.usage.as_ref() != history.usage() {
            return Some(format!("usage is {:?}, and {:?} is stored", self.usage, history.usage()));
        }
        if mine.len() != stored.len() {
            return Some(format!("{} turns, and {} are stored", mine.len(), stored.len()));
        }
        let differs = mine.iter().zip(&stored).find(|(mine, stored)| mine != stored);
        differs.map(|(mine, stored)| format!("the view has {mine:#?}\nand what is stored {stored:#?}"))
    }

    /// The turns, with the stored state in place of unsaved events.
    fn but_unsaved(&self, history: &History) -> Vec<Turn> {
        let unsaved = |id: &str| self.unsaved.contains(id);
        let mut turns = Vec::new();
        for turn in &self.turns {
            let stored = history.turn(&turn.id);
            let mut shown = match stored {
                Some(stored) if unsaved(turn.id.as_str()) => stored.clone(),
                Some(_) => turn.clone(),
                None if unsaved(turn.id.as_str()) => continue,
                None => turn.clone(),
            };
            let there = |id: &ItemId| stored?.items.iter().find(|item| item.id() == id).cloned();
            shown.items = turn
                .items
                .iter()
                .filter_map(
                    |item| if unsaved(item.id().as_str()) { there(item.id()) } else { Some(item.clone()) },
                )
                .collect();
            turns.push(shown);
        }
        turns
    }
}

fn without_damage(mut turns: Vec<Turn>) -> Vec<Turn> {
    for turn in &mut turns {
        turn.items.retain(|item| !item.id().as_str().starts_with(DAMAGE_ID));
    }
    turns
}

/// The stored turns, with the text of items in progress in `mine`, if it continues the stored text.
fn with_open_text_of(mine: &[Turn], history: &History) -> Vec<Turn> {
    let mut turns = history.turns(TurnItemsView::Full);
    for item in turns.iter_mut().flat_map(|turn| &mut turn.items) {
        let open = history.open_items().any(|open| open.id() == item.id());
        let shown = mine.iter().flat_map(|turn| &turn.items).find(|shown| shown.id() == item.id());
        if let (true, ThreadItemBody::AgentMessage(stored), Some(ThreadItemBody::AgentMessage(shown))) =
            (open, &mut item.body, shown.map(|shown| &shown.body))
            && shown.text.starts_with(&stored.text)
        {
            stored.text.clone_from(&shown.text);
        }
    }
    turns
}
