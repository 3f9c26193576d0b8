//! Shows a plan in a model's text as an item beside the message. The model gets its own words back, with the tags.

use skein_protocol::ids::ItemId;
use skein_protocol::item::{PlanItem, ThreadItemBody};

use super::plan::{PlanPiece, Splitter};
use super::{Report, TurnRun};

/// The plans in the streamed message.
#[derive(Debug, Default)]
pub(crate) struct Planning {
    splitter: Splitter,
    /// The message as the model wrote it, with tags.
    raw: String,
    /// The plan that is being streamed.
    item: Option<PlanItem>,
    /// Plans of this turn so far.
    count: usize,
    /// A complete plan. It completes before its message, as in the peer.
    whole: Option<PlanItem>,
}

impl TurnRun {
    /// Streams the next piece of a message: the text beside a plan, and the plan.
    pub(crate) async fn say(&mut self, text: String) {
        self.complete_thought().await;
        self.complete_texts().await;
        let Some(planning) = &mut self.planning else { return self.say_beside(text).await };
        planning.raw.push_str(&text);
        let pieces = planning.splitter.take(&text);
        self.say_pieces(pieces).await;
    }

    /// Streams text that was held back as a possible tag.
    pub(crate) async fn say_rest(&mut self) {
        if let Some(planning) = &mut self.planning {
            let pieces = planning.splitter.end();
            self.say_pieces(pieces).await;
        }
    }

    /// Whether any text of the current message has arrived.
    pub(crate) fn is_saying(&self) -> bool {
        let planned = self.planning.as_ref().is_some_and(|planning| !planning.raw.is_empty());
        planned || self.message.as_ref().is_some_and(|message| !message.text.is_empty())
    }

    /// Takes the provider's final text of a message. Returns the text beside the plan, and updates the plan.
    pub(crate) fn last_word(&mut self, whole: String) -> String {
        let Some(planning) = self.planning.as_mut().filter(|_| !whole.is_empty()) else { return whole };
        let (beside, plan) = super::plan::whole(&whole);
        if let (Some(item), Some(plan)) = (&mut planning.item, plan) {
            item.text = plan;
        }
        planning.raw = whole;
        beside
    }

    async fn say_pieces(&mut self, pieces: Vec<PlanPiece>) {
        for piece in pieces {
            match piece {
                PlanPiece::Beside(text) => self.say_beside(text).await,
                PlanPiece::Begins => self.begin_plan().await,
                PlanPiece::Plan(text) => self.say_plan(text).await,
            }
        }
    }

    /// Begins a plan. The last plan of a message counts.
    async fn begin_plan(&mut self) {
        let turn = &self.job.turn;
        let Some(planning) = &mut self.planning else { return };
        if let Some(item) = &mut planning.item {
            item.text.clear();
            return;
        }
        planning.count += 1;
        // The peer's form; the peer has one plan a turn.
        let id = match planning.count {
            1 => format!("{turn}-plan"),
            count => format!("{turn}-plan-{count}"),
        };
        let plan = PlanItem { id: ItemId::from(id), text: String::new() };
        planning.item = Some(plan.clone());
        self.begin(ThreadItemBody::Plan(plan)).await;
    }

    async fn say_plan(&mut self, text: String) {
        let Some(item) = self.planning.as_mut().and_then(|planning| planning.item.as_mut()) else { return };
        item.text.push_str(&text);
        let item = item.id.clone();
        self.report(Report::PlanDelta { item, text }).await;
    }

    /// Ends the message. Returns its text with tags, and its plan, if it has one.
    pub(crate) fn planned(&mut self) -> Option<(String, ItemId)> {
        let planning = self.planning.as_mut()?;
        let raw = std::mem::take(&mut planning.raw);
        let item = planning.item.take()?;
        let id = item.id.clone();
        planning.whole = Some(item);
        Some((raw, id))
    }

    /// Discards the plan of an answer that begins again.
    pub(crate) fn take_plan_back(&mut self) {
        if let Some(planning) = &mut self.planning {
            let whole = planning.whole.take().or(planning.item.take());
            let whole = whole.map(|plan| PlanItem { text: String::new(), ..plan });
            *planning = Planning { whole, count: planning.count, ..Planning::default() };
        }
    }

    pub(crate) async fn complete_plan(&mut self) {
        let whole = self.planning.as_mut().and_then(|planning| planning.whole.take());
        if let Some(plan) = whole {
            self.complete(ThreadItemBody::Plan(plan)).await;
        }
    }
}
