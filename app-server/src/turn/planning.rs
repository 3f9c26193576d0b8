//! A plan in what a model says, as an item of its own beside the message. The model is told its own words again, with the tags.

use skein_protocol::ids::ItemId;
use skein_protocol::item::{PlanItem, ThreadItemBody};

use super::plan::{Piece, Splitter};
use super::{Report, Running};

/// What is known of plans in the message that is being streamed.
#[derive(Debug, Default)]
pub(super) struct Planning {
    splitter: Splitter,
    /// The message as the model wrote it.
    raw: String,
    /// The plan that is being streamed.
    item: Option<PlanItem>,
    /// Plans of this turn so far.
    count: usize,
    /// A plan that is whole. It is completed before its message, as the peer does.
    whole: Option<PlanItem>,
}

impl Running {
    /// Says the next piece of a message: the text beside a plan, and the plan.
    pub(super) async fn say(&mut self, text: String) {
        self.complete_thought().await;
        self.complete_texts().await;
        let Some(planning) = &mut self.planning else { return self.say_beside(text).await };
        planning.raw.push_str(&text);
        let pieces = planning.splitter.take(&text);
        self.say_pieces(pieces).await;
    }

    /// Says what was held back because it could have been a tag.
    pub(super) async fn say_rest(&mut self) {
        if let Some(planning) = &mut self.planning {
            let pieces = planning.splitter.end();
            self.say_pieces(pieces).await;
        }
    }

    /// Whether anything of the message at hand was said.
    pub(super) fn is_saying(&self) -> bool {
        let planned = self.planning.as_ref().is_some_and(|planning| !planning.raw.is_empty());
        planned || self.message.as_ref().is_some_and(|message| !message.text.is_empty())
    }

    /// The text beside the plan of a message that is whole, as its provider said it last. The plan is that of the same words.
    pub(super) fn last_word(&mut self, whole: String) -> String {
        let Some(planning) = self.planning.as_mut().filter(|_| !whole.is_empty()) else { return whole };
        let (beside, plan) = super::plan::whole(&whole);
        if let (Some(item), Some(plan)) = (&mut planning.item, plan) {
            item.text = plan;
        }
        planning.raw = whole;
        beside
    }

    async fn say_pieces(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            match piece {
                Piece::Beside(text) => self.say_beside(text).await,
                Piece::Begins => self.begin_plan().await,
                Piece::Plan(text) => self.say_plan(text).await,
            }
        }
    }

    /// Begins a plan. Of several in one message the last one counts.
    async fn begin_plan(&mut self) {
        let turn = &self.job.turn;
        let Some(planning) = &mut self.planning else { return };
        if let Some(item) = &mut planning.item {
            item.text.clear();
            return;
        }
        planning.count += 1;
        // The peer's form; it has one plan a turn.
        let id = match planning.count {
            1 => format!("{turn}-plan"),
            count => format!("{turn}-plan-{count}"),
        };
        let plan = PlanItem { id: ItemId::from(id), text: String::new() };
        planning.item = Some(plan.clone());
        let item = self.begin(ThreadItemBody::Plan(plan).into());
        self.report(Report::ItemStarted(item)).await;
    }

    async fn say_plan(&mut self, text: String) {
        let Some(item) = self.planning.as_mut().and_then(|planning| planning.item.as_mut()) else { return };
        item.text.push_str(&text);
        let item = item.id.clone();
        self.report(Report::PlanDelta { item, text }).await;
    }

    /// The message as the model wrote it, and its plan, where it has one. What follows is another message.
    pub(super) fn planned(&mut self) -> Option<(String, ItemId)> {
        let planning = self.planning.as_mut()?;
        let raw = std::mem::take(&mut planning.raw);
        let item = planning.item.take()?;
        let id = item.id.clone();
        planning.whole = Some(item);
        Some((raw, id))
    }

    /// What was planned in an answer that begins anew counts no more.
    pub(super) fn take_plan_back(&mut self) {
        if let Some(planning) = &mut self.planning {
            let whole = planning.whole.take().or(planning.item.take());
            let whole = whole.map(|plan| PlanItem { text: String::new(), ..plan });
            *planning = Planning { whole, count: planning.count, ..Planning::default() };
        }
    }

    /// Completes the plan that is whole, if any; at the end of the turn also one that is not.
    pub(super) async fn complete_plan(&mut self) {
        let whole = self.planning.as_mut().and_then(|planning| planning.whole.take());
        if let Some(plan) = whole {
            self.report(Report::ItemCompleted(ThreadItemBody::Plan(plan).into())).await;
        }
    }
}
