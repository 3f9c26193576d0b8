//! Changes that records and views make to single items and turns. Pure.

use skein_protocol::item::{
    CollabAgentToolCallStatus, CommandExecutionStatus, DynamicToolCallStatus, McpToolCallError,
    McpToolCallStatus, PatchApplyStatus, ThreadItem, ThreadItemBody,
};
use skein_protocol::turn::{Turn, TurnItemsView, UserInput};

use crate::policy;
use crate::rollout::record::ItemText;

/// Adds text to an item. Ignores text for a part that the item cannot have.
pub(super) fn add_text(item: &mut ThreadItem, to: ItemText, added: &str) {
    let text = match (&mut item.body, to) {
        (ThreadItemBody::AgentMessage(message), ItemText::Body) => Some(&mut message.text),
        (ThreadItemBody::Plan(plan), ItemText::Body) => Some(&mut plan.text),
        (ThreadItemBody::CommandExecution(command), ItemText::Body) => {
            Some(command.aggregated_output.get_or_insert_default())
        }
        (ThreadItemBody::Reasoning(reasoning), ItemText::Summary(part)) => nth(&mut reasoning.summary, part),
        (ThreadItemBody::Reasoning(reasoning), ItemText::Content(part)) => nth(&mut reasoning.content, part),
        (_, ItemText::Body | ItemText::Summary(_) | ItemText::Content(_)) => None,
    };
    if let Some(text) = text {
        text.push_str(added);
    }
}

/// The part `at`, created if it is the next one.
fn nth(parts: &mut Vec<String>, at: usize) -> Option<&mut String> {
    if at == parts.len() {
        parts.push(String::new());
    }
    parts.get_mut(at)
}

/// The final form of an item that cannot go on.
pub fn cut_short(mut item: ThreadItem) -> ThreadItem {
    match &mut item.body {
        ThreadItemBody::McpToolCall(call) => {
            call.status = McpToolCallStatus::Failed;
            call.error = call
                .error
                .take()
                .or_else(|| Some(McpToolCallError { message: "the call was interrupted".to_owned() }));
        }
        ThreadItemBody::DynamicToolCall(call) => {
            call.status = DynamicToolCallStatus::Failed;
            call.success = Some(false);
        }
        ThreadItemBody::CommandExecution(command) => command.status = CommandExecutionStatus::Failed,
        ThreadItemBody::FileChange(change) => change.status = PatchApplyStatus::Failed,
        ThreadItemBody::CollabAgentToolCall(call) => call.status = CollabAgentToolCallStatus::Failed,
        ThreadItemBody::UserMessage(_)
        | ThreadItemBody::HookPrompt(_)
        | ThreadItemBody::AgentMessage(_)
        | ThreadItemBody::FunctionCallOutput(_)
        | ThreadItemBody::Plan(_)
        | ThreadItemBody::Reasoning(_)
        | ThreadItemBody::SubAgentActivity(_)
        | ThreadItemBody::WebSearch(_)
        | ThreadItemBody::ImageView(_)
        | ThreadItemBody::Sleep(_)
        | ThreadItemBody::ImageGeneration(_)
        | ThreadItemBody::EnteredReviewMode(_)
        | ThreadItemBody::ExitedReviewMode(_)
        | ThreadItemBody::ContextCompaction(_) => {}
    }
    item
}

/// The turn with the items of `view`.
pub fn seen_as(turn: &Turn, view: TurnItemsView) -> Turn {
    let items = match view {
        TurnItemsView::Full => turn.items.clone(),
        TurnItemsView::NotLoaded => Vec::new(),
        TurnItemsView::Summary => {
            let asked = turn.items.iter().find(|item| matches!(item.body, ThreadItemBody::UserMessage(_)));
            let said = turn.items.iter().rfind(|item| matches!(item.body, ThreadItemBody::AgentMessage(_)));
            asked.into_iter().chain(said).cloned().collect()
        }
    };
    Turn {
        items,
        items_view: view,
        id: turn.id.clone(),
        root_turn_id: turn.root_turn_id.clone(),
        error: turn.error.clone(),
        ..*turn
    }
}

/// The beginning of the first user message of a turn.
pub(super) fn first_words(turn: &Turn) -> Option<String> {
    turn.items.iter().find_map(|item| {
        let ThreadItemBody::UserMessage(message) = &item.body else { return None };
        Some(preview(&message.content))
    })
}

/// The beginning of a user message, as lists show it.
pub(super) fn preview(content: &[UserInput]) -> String {
    let text = content.iter().find_map(|input| {
        let UserInput::Text { text, .. } = input else { return None };
        Some(text.as_str())
    });
    text.unwrap_or_default().trim().chars().take(policy::PREVIEW_CHARS).collect()
}
