//! Renders a history as Markdown for people. Pure. Messages stay unchanged; input and output of tools stand in fences
//! that they cannot end.

use std::fmt::Write;

use jiff::Timestamp;
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus, UserInput};

use crate::history::History;

/// The thread as a Markdown document: its facts, then its turns, oldest first.
pub fn text(history: &History) -> String {
    let row = history.row();
    let mut text = String::new();
    let title = row.name.as_deref().unwrap_or(&row.preview);
    heading(&mut text, "#", if title.is_empty() { "A thread" } else { title });
    let fact = |text: &mut String, name: &str, value: &str| {
        if !value.is_empty() {
            line(text, &format!("- {name}: {}", code(value)));
        }
    };
    fact(&mut text, "Thread", &row.id.to_string());
    fact(&mut text, "Begun", &time(row.created.0));
    fact(&mut text, "Last used", &time(row.updated.0));
    fact(&mut text, "Folder", &row.cwd);
    fact(&mut text, "Model", &row.model);
    fact(
        &mut text,
        "Branch",
        row.git_info.as_ref().and_then(|git| git.branch.as_deref()).unwrap_or_default(),
    );
    for turn in history.turns(TurnItemsView::Full) {
        write_turn(&mut text, &turn);
    }
    text
}

fn write_turn(text: &mut String, turn: &Turn) {
    for item in &turn.items {
        write_item(text, item);
    }
    match turn.status {
        TurnStatus::Completed => {}
        TurnStatus::Interrupted => line(text, "\n*The turn was interrupted.*"),
        TurnStatus::InProgress => line(text, "\n*The turn is still going on.*"),
        TurnStatus::Failed => {
            line(text, "\n*The turn failed:*");
            fence(text, "", turn.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default());
        }
    }
}

fn write_item(text: &mut String, item: &ThreadItem) {
    let at = item.started_at_ms.or(item.completed_at_ms).map(time).unwrap_or_default();
    match &item.body {
        ThreadItemBody::UserMessage(message) => {
            write_message(
                text,
                "User",
                &at,
                &message.content.iter().map(input).collect::<Vec<_>>().join("\n\n"),
            );
        }
        ThreadItemBody::AgentMessage(message) => write_message(text, "Agent", &at, &message.text),
        ThreadItemBody::Plan(plan) => write_message(text, "Plan", &at, &plan.text),
        ThreadItemBody::Reasoning(reasoning) => {
            let thought = [reasoning.summary.as_slice(), &reasoning.content].concat().join("\n\n");
            folded(text, "Thinking", &[("", &thought)]);
        }
        ThreadItemBody::CommandExecution(_)
        | ThreadItemBody::FileChange(_)
        | ThreadItemBody::McpToolCall(_)
        | ThreadItemBody::DynamicToolCall(_) => write_call(text, &item.body),
        ThreadItemBody::ContextCompaction(_) => line(text, "\n*Older history was summed up for the model.*"),
        ThreadItemBody::HookPrompt(_)
        | ThreadItemBody::FunctionCallOutput(_)
        | ThreadItemBody::CollabAgentToolCall(_)
        | ThreadItemBody::SubAgentActivity(_)
        | ThreadItemBody::WebSearch(_)
        | ThreadItemBody::ImageView(_)
        | ThreadItemBody::Sleep(_)
        | ThreadItemBody::ImageGeneration(_)
        | ThreadItemBody::EnteredReviewMode(_)
        | ThreadItemBody::ExitedReviewMode(_) => other(text, item),
    }
}

fn write_call(text: &mut String, call: &ThreadItemBody) {
    if let ThreadItemBody::CommandExecution(command) = call {
        let end = command.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
        let output = command.aggregated_output.as_deref().unwrap_or_default();
        folded(text, &format!("Command{end}"), &[("sh", &command.command), ("", output)]);
    } else if let ThreadItemBody::FileChange(change) = call {
        for change in &change.changes {
            folded(text, &format!("Change of {}", change.path), &[("diff", &change.diff)]);
        }
    } else if let ThreadItemBody::McpToolCall(call) = call {
        let brought = call.result.as_ref().map(|result| contents(&result.content));
        let brought = brought.or_else(|| call.error.as_ref().map(|error| error.message.clone()));
        let name = format!("Tool {} of {}", call.tool, call.server);
        folded(text, &name, &[("json", &pretty(&call.arguments)), ("", &brought.unwrap_or_default())]);
    } else if let ThreadItemBody::DynamicToolCall(call) = call {
        let brought = call.content_items.iter().flatten().filter_map(|item| serde_json::to_value(item).ok());
        let brought = contents(&brought.collect::<Vec<_>>());
        let name = format!("Tool {}", call.tool);
        folded(text, &name, &[("json", &pretty(&call.arguments)), ("", &brought)]);
    }
}

/// Rare items, as raw JSON.
fn other(text: &mut String, item: &ThreadItem) {
    let value = serde_json::to_value(item).unwrap_or_default();
    let kind = value.get("type").and_then(|kind| kind.as_str()).unwrap_or("item").to_owned();
    folded(text, &kind, &[("json", &pretty(&value))]);
}

fn write_message(text: &mut String, who: &str, at: &str, words: &str) {
    let at = if at.is_empty() { String::new() } else { format!(", {at}") };
    heading(text, "##", &format!("{who}{at}"));
    line(text, words.trim_end());
}

fn input(piece: &UserInput) -> String {
    match piece {
        UserInput::Text { text, .. } => text.clone(),
        UserInput::LocalImage { path, .. } | UserInput::LocalAudio { path } => {
            format!("*(a file: {})*", code(path))
        }
        UserInput::Image { .. } => "*(an image)*".to_owned(),
        UserInput::Audio { .. } => "*(a recording)*".to_owned(),
        UserInput::Skill { name, .. } | UserInput::Mention { name, .. } => code(name),
    }
}

/// Blocks below a summary line. The line is plain text that cannot end itself.
fn folded(text: &mut String, summary: &str, blocks: &[(&str, &str)]) {
    let safe = summary.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    line(text, &format!("\n<details><summary>{}</summary>", one_line(&safe)));
    for (language, block) in blocks.iter().filter(|(_, block)| !block.is_empty()) {
        fence(text, language, block);
    }
    line(text, "\n</details>");
}

/// A fence with more backticks than any run in its content.
fn fence(text: &mut String, language: &str, block: &str) {
    let ticks = "`".repeat(longest_run(block).max(2) + 1);
    line(text, &format!("\n{ticks}{language}\n{}\n{ticks}", block.trim_end_matches('\n')));
}

/// A word in one line that Markdown leaves alone.
fn code(word: &str) -> String {
    let word = one_line(word);
    let ticks = "`".repeat(longest_run(&word) + 1);
    let space = if word.starts_with('`') || word.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{word}{space}{ticks}")
}

fn longest_run(text: &str) -> usize {
    text.split(|sign| sign != '`').map(str::len).max().unwrap_or_default()
}

fn heading(text: &mut String, level: &str, words: &str) {
    let space = if text.is_empty() { "" } else { "\n" };
    line(text, &format!("{space}{level} {}\n", one_line(words)));
}

fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The texts of a tool's output; other content as raw JSON.
fn contents(content: &[serde_json::Value]) -> String {
    let one = |piece: &serde_json::Value| {
        piece.get("text").and_then(|text| text.as_str()).map_or_else(|| pretty(piece), str::to_owned)
    };
    content.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn pretty(value: &serde_json::Value) -> String {
    if value.is_null() { String::new() } else { format!("{value:#}") }
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|time| format!("{time:.0}")).unwrap_or_default()
}

fn line(text: &mut String, words: &str) {
    // Writing to a text cannot fail.
    writeln!(text, "{words}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_fence() {
        for block in ["plain", "```\n# out", "``````\n~~~\n", "`", "<details>\n````"] {
            let mut text = String::new();
            folded(&mut text, "a </summary><b>\n# heading", &[("", block)]);
            let fence = text.lines().find(|line| line.starts_with("```")).unwrap();
            let ends = text.lines().filter(|line| {
                line.trim_end().len() >= fence.len() && line.trim_end().chars().all(|sign| sign == '`')
            });
            assert_eq!(ends.count(), 2, "{text}");
            assert_eq!(text.matches("</summary>").count(), 1, "{text}");
        }
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
    }
}
