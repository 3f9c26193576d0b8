//! Estimates the tokens of a conversation. Pure.

use skein_provider::{AssistantMessage, Content, Entry};

use crate::policy;

pub(crate) fn tokens<'a>(entries: impl Iterator<Item = &'a Entry>) -> i64 {
    let bytes: usize = entries.map(bytes).sum();
    i64::try_from(bytes / policy::BYTES_A_TOKEN).unwrap_or(i64::MAX)
}

fn bytes(entry: &Entry) -> usize {
    match entry {
        Entry::User(content) => content.iter().map(of_content).sum(),
        Entry::Developer(text) | Entry::Assistant(AssistantMessage { text, .. }) => text.len(),
        Entry::Reasoning(thought) => thought.summary.iter().chain(&thought.content).map(String::len).sum(),
        Entry::Call(call) => call.arguments.len(),
        Entry::Result(result) => result.content.iter().map(of_content).sum(),
    }
}

fn of_content(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.len(),
        Content::Image(_) => policy::IMAGE_TOKENS * policy::BYTES_A_TOKEN,
    }
}
