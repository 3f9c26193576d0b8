//! Compaction replaces the conversation by a summary that the model writes. The rollout keeps everything; only the
//! model's view begins anew.
//!
//! A compaction is a separate request to the same model. It runs on `thread/compact/start`, when the last answer's
//! usage fills nine tenths of the window, or when the provider refuses a request for its length.
//!
//! - The request offers the same tools, but forbids calls: providers want tools beside calls, and their caches begin
//!   with the tools.
//! - If the provider refuses the request (400, 413, too long), the next attempt leaves out the older half, until it
//!   fits. A summary that reached the limit of an answer counts. If the model writes none, the shortened end of the
//!   conversation takes its place.
//! - The summary ends with the user's last messages, word for word; a long one keeps its beginning and its end.
//!   Unanswered messages stay. So does the last answer with its calls, while no model has read the results. If the
//!   provider refuses even these for their length, the summary covers them too. The record names the rest (`kept`).
//! - The next compaction waits until enough has come since the last. If the rest alone is above the limit, clients get
//!   a `warning`.
//! - An interrupted compaction replaces nothing.

use std::sync::Arc;

use skein_protocol::item::{ContextCompactionItem, ThreadItemBody};
use skein_protocol::turn::CodexErrorInfo;
use skein_provider::{Content, Entry, ModelEvent, Prompt, ProviderError, Stopped, ToolChoice, ToolSpec};
use skein_store::rollout::record::KeptMessages;
use tokio::sync::mpsc;

use super::answering::Answering;
use super::{ModelRequestKind, Report, Stop, TurnRun, conversation, result, size};
use crate::policy;

const TASK: &str = "Write a summary of this conversation for whoever goes on with it and will not see it: what the user \
    wants and has decided, what was done and found (with the names, paths, numbers and results that are still needed), \
    what is under way, and what remains to be done. AnswerInProgress with the summary only.";
/// Follows a summary that reached the limit of an answer.
const CUT: &str = "[The summary was cut off here.]";
/// Begins the shortened end of a conversation that takes the place of a summary.
const NO_SUMMARY: &str = "[The model wrote no summary. This is the end of the conversation, shortened.]";

impl TurnRun {
    /// Compacts a conversation that is nearly full, or warns if a compaction would not help.
    pub(crate) async fn make_room(&mut self, prompt: &mut Prompt) -> Result<(), Stop> {
        let at = self.job.terms.compact_at;
        if self.context_tokens < at || !self.job.provider.reads_context() {
            return Ok(());
        }
        if makes_room(&prompt.history, at) {
            return self.compact(prompt, KeptMessages::Results).await;
        }
        self.report(Report::WarningOnce(format!(
            "the conversation has {at} tokens or more, at which it is compacted, and that does not help: instructions, tools and \
             the last messages take as much. Offer fewer tools (mcp_servers.NAME.enabled_tools), or set \
             model_auto_compact_token_limit or model_context_window higher"
        )))
        .await;
        Ok(())
    }

    /// Replaces the conversation by a summary, except the end that `kept` names. Without anything to replace, only the
    /// item appears.
    pub(crate) async fn compact(&mut self, prompt: &mut Prompt, kept: KeptMessages) -> Result<(), Stop> {
        if self.job.limits.tokens {
            // No item appears of a compaction whose first request has to wait.
            self.may_ask(ModelRequestKind::Other, 0).await?;
        }
        let id = self.new_item_id();
        let item = self.begin(ThreadItemBody::ContextCompaction(ContextCompactionItem { id })).await;
        if is_worth_it(&prompt.history, kept) {
            self.replace(prompt, kept).await?;
        }
        self.complete(item).await;
        Ok(())
    }

    async fn replace(&mut self, prompt: &mut Prompt, kept: KeptMessages) -> Result<(), Stop> {
        let stays = prompt.history.split_off(replaced(&prompt.history, kept).len());
        let summary = self.summary(prompt).await?;
        prompt.history = vec![conversation::summary(&summary)];
        prompt.history.extend(stays);
        self.context_tokens = 0;
        self.report(Report::Compacted { summary, kept }).await;
        self.report(Report::Context(prompt.estimated_tokens())).await;
        Ok(())
    }

    /// Returns the model's summary with the user's last messages. While the request is too long or the answer empty,
    /// leaves out the older half.
    async fn summary(&mut self, prompt: &Prompt) -> Result<String, Stop> {
        let mut sent = Sent { history: prompt.history.clone(), tools: prompt.tools.to_vec() };
        let mut silent = 0;
        loop {
            let request = sent.asking(prompt);
            self.may_ask(ModelRequestKind::Other, request.estimated_tokens()).await?;
            let (ended, text) = self.listen(request).await?;
            // A summary that was cut is useless.
            if self.job.cancel.is_cancelled() {
                return Err(Stop::Interrupted);
            }
            let stopped = ended.as_ref().err().and_then(|error| error.stopped);
            match (ended, stopped) {
                (Ok(()), _) if !text.trim().is_empty() => return Ok(with_last_words(&text, &prompt.history)),
                (Err(_), Some(Stopped::Length)) if !text.trim().is_empty() => {
                    return Ok(with_last_words(&format!("{text}\n{CUT}"), &prompt.history));
                }
                (Ok(()), _) | (Err(_), Some(Stopped::Length | Stopped::Filter | Stopped::Refusal)) => {
                    silent += 1;
                    if silent >= policy::COMPACTION_TRIES || !sent.halve() {
                        return Ok(shortened(&prompt.history));
                    }
                }
                (Err(error), _) if may_fit_shortened(&error) && sent.leave_out(&error) => {}
                (Err(error), _) => return Err(error.into()),
            }
        }
    }

    /// Collects an answer that clients do not see.
    async fn listen(&mut self, prompt: Prompt) -> Result<(Result<(), ProviderError>, String), Stop> {
        let tokens = prompt.estimated_tokens();
        let (events, received) = mpsc::channel(policy::MODEL_EVENTS);
        let provider = Arc::clone(&self.job.provider);
        let answer = provider.answer(self.as_sent(prompt), events, self.job.cancel.clone());
        let mut answering = Answering::new(answer, received);
        // Each message of an answer is a paragraph; the last one is in progress.
        let mut texts = vec![String::new()];
        while let Some(event) = answering.next().await {
            match event {
                ModelEvent::TextDelta(delta) => {
                    texts.last_mut().into_iter().for_each(|text| text.push_str(&delta))
                }
                ModelEvent::Message(message) => {
                    if let Some(text) = texts.last_mut().filter(|_| !message.text.is_empty()) {
                        *text = message.text;
                    }
                    texts.push(String::new());
                }
                ModelEvent::Again(error) => {
                    texts = vec![String::new()];
                    self.report(super::again(error)).await;
                    self.may_ask(ModelRequestKind::Other, tokens).await?;
                }
                ModelEvent::Usage(usage) => self.report(Report::Usage(usage)).await,
                ModelEvent::MessageStarted(_)
                | ModelEvent::ReasoningDelta { .. }
                | ModelEvent::Reasoning(_)
                | ModelEvent::ToolCall(_)
                | ModelEvent::Question(_) => {}
            }
        }
        texts.retain(|text| !text.is_empty());
        Ok((answering.end().await, texts.join("\n\n")))
    }
}

/// The part of a conversation that the model summarises.
struct Sent {
    history: Vec<Entry>,
    /// As in the turns: providers want tools beside calls, and their caches begin with the tools.
    tools: Vec<ToolSpec>,
}

impl Sent {
    fn asking(&self, prompt: &Prompt) -> Prompt {
        let mut asked = Prompt {
            history: self.history.clone(),
            tools: self.tools.clone().into(),
            tool_choice: ToolChoice::None,
            ..prompt.clone()
        };
        asked.settings.output_schema = None;
        asked.history.push(Entry::User(vec![Content::Text(TASK.to_owned())]));
        asked
    }

    /// Leaves out the likely reason of a refusal: the tools if no call needs them, then the older half. `false` if
    /// nothing more can go.
    fn leave_out(&mut self, error: &ProviderError) -> bool {
        let needs_tools = |entry: &Entry| matches!(entry, Entry::Call(_) | Entry::Result(_));
        if !self.tools.is_empty() && !self.history.iter().any(needs_tools) {
            self.tools.clear();
            return !is_too_long(error) || self.halve();
        }
        self.halve()
    }

    /// Drops the older half; of a single entry, half of its text.
    fn halve(&mut self) -> bool {
        if let [only] = self.history.as_mut_slice() {
            return result::halve(only);
        }
        let half = self.history.len() / 2;
        // Only the earlier summary contains the facts before it.
        let from = usize::from(self.history.len() > 2 && self.history.first().is_some_and(is_summary));
        self.history.drain(from..from + half);
        half > 0
    }
}

pub(crate) fn is_too_long(error: &ProviderError) -> bool {
    matches!(error.info, Some(CodexErrorInfo::ContextWindowExceeded))
}

/// Whether a shorter request may pass. Any refusal may be about length, in unknown words.
fn may_fit_shortened(error: &ProviderError) -> bool {
    is_too_long(error) || matches!(error.info, Some(CodexErrorInfo::BadRequest))
}

fn replaced(history: &[Entry], kept: KeptMessages) -> &[Entry] {
    let stays = conversation::kept(history.iter(), kept);
    history.split_at(history.len().saturating_sub(stays)).0
}

pub(crate) fn is_worth_it(history: &[Entry], kept: KeptMessages) -> bool {
    replaced(history, kept).iter().any(conversation::is_answer)
}

/// Whether a compaction makes room: the first one always, a later one only after enough new entries.
fn makes_room(history: &[Entry], compact_at: i64) -> bool {
    let replaced = replaced(history, KeptMessages::Results);
    let since = replaced.iter().rposition(is_summary).map(|at| size::tokens(replaced.iter().skip(at + 1)));
    let worth = compact_at.saturating_mul(policy::COMPACT_AGAIN_PERCENT) / 100;
    replaced.iter().any(conversation::is_answer) && since.is_none_or(|tokens| tokens >= worth)
}

fn is_summary(entry: &Entry) -> bool {
    matches!(entry, Entry::User(content) if conversation::is_summary(content))
}

/// Adds the user's last messages in their own words, because the summary has the model's words.
fn with_last_words(summary: &str, history: &[Entry]) -> String {
    let said = |entry: &Entry| match entry {
        Entry::User(content) if !conversation::is_summary(content) => Some(texts(content)),
        Entry::User(_)
        | Entry::Developer(_)
        | Entry::Assistant(_)
        | Entry::Reasoning(_)
        | Entry::Call(_)
        | Entry::Result(_) => None,
    };
    let last = last_of(history, said);
    if last.is_empty() {
        return summary.to_owned();
    }
    format!("{summary}\n\nThe user's last messages, word for word:\n\n{}", last.join("\n\n"))
}

/// The end of the conversation, for a model that wrote no summary.
fn shortened(history: &[Entry]) -> String {
    let said = |entry: &Entry| match entry {
        Entry::User(content) => Some(format!("User: {}", texts(content))),
        Entry::Developer(text) => Some(format!("Note: {text}")),
        Entry::Assistant(said) => Some(format!("Assistant: {}", said.text)),
        Entry::Reasoning(_) => None,
        Entry::Call(call) => Some(format!("Call of {}: {}", call.callee.name(), call.arguments)),
        Entry::Result(result) => Some(format!("Result: {}", result.texts())),
    };
    format!("{NO_SUMMARY}\n\n{}", last_of(history, said).join("\n\n"))
}

/// The texts of the last entries, oldest first, up to the limit for word-for-word text.
fn last_of(history: &[Entry], said: impl Fn(&Entry) -> Option<String>) -> Vec<String> {
    let mut left = policy::COMPACTION_LAST_WORDS;
    let mut last: Vec<String> = Vec::new();
    for text in history.iter().rev().filter_map(said) {
        last.push(result::shortened(&text, left));
        left = left.saturating_sub(text.len());
        if left == 0 {
            break;
        }
    }
    last.reverse();
    last
}

fn texts(content: &[Content]) -> String {
    content.iter().filter_map(Content::as_text).collect::<Vec<_>>().join("\n")
}
