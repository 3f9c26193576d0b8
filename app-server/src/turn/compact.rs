//! Compaction: what was said is replaced by a summary that the model itself writes, when little room is left for more or
//! when the user asks for it. The rollout keeps everything; only what a model is told begins anew.

use skein_protocol::item::{ContextCompactionItem, ThreadItem, ThreadItemBody};
use skein_protocol::turn::CodexErrorInfo;
use tokio::sync::mpsc;

use super::{Report, Running, Stop, conversation, result};
use crate::policy;
use crate::provider::{Content, Entry, ModelEvent, Prompt, ProviderError};

/// What the model is asked for.
const TASK: &str = "Write a summary of this conversation for whoever goes on with it and will not see it: what the user \
    wants and has decided, what was done and found (with the names, paths, numbers and results that are still needed), \
    what is under way, and what remains to be done. Answer with the summary only.";

impl Running {
    /// Whether the conversation has little room left.
    pub(super) fn is_full(&self) -> bool {
        self.context_tokens >= self.job.terms.compact_at
    }

    /// Replaces what was said by a summary. What the user said last, and nobody has answered, stays as it is. Where nothing was
    /// answered since the last summary, nothing is replaced, and the item says that this is done.
    pub(super) async fn compact(&mut self, prompt: &mut Prompt) -> Result<(), Stop> {
        let id = self.new_item_id();
        let item =
            self.begin(ThreadItem::from(ThreadItemBody::ContextCompaction(ContextCompactionItem { id })));
        self.report(Report::ItemStarted(item.clone())).await;
        if is_worth_it(&prompt.history) {
            self.replace(prompt).await?;
        }
        self.report(Report::ItemCompleted(item)).await;
        Ok(())
    }

    async fn replace(&mut self, prompt: &mut Prompt) -> Result<(), Stop> {
        let unanswered = prompt.history.split_off(answered(&prompt.history));
        let written = self.summary(prompt).await?;
        let summary = with_last_words(&written, &prompt.history);
        prompt.history = vec![conversation::summary(&summary)];
        prompt.history.extend(unanswered);
        self.context_tokens = 0;
        self.report(Report::Compacted(summary)).await;
        self.report(Report::Context(prompt.estimated_tokens())).await;
        Ok(())
    }

    /// The model's own summary. Where the conversation is too long even for that, its older half is left out.
    async fn summary(&mut self, prompt: &Prompt) -> Result<String, Stop> {
        let mut asked = Prompt { tools: [].into(), ..prompt.clone() };
        asked.settings.output_schema = None;
        asked.history.push(Entry::User(vec![Content::Text(TASK.to_owned())]));
        for _ in 0..policy::COMPACTION_TRIES {
            let heard = self.listen(asked.clone()).await;
            // What was heard until then is no summary.
            if self.job.cancel.is_cancelled() {
                return Err(Stop::Interrupted);
            }
            match heard {
                Ok(text) if text.trim().is_empty() => {
                    return Err(Stop::failed(
                        "the model was asked for a summary and said nothing; try again",
                    ));
                }
                Ok(text) => return Ok(text),
                Err(error) if is_too_long(&error) && asked.history.len() > 2 => {
                    asked.history.drain(..asked.history.len() / 2);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Stop::failed(
            "the conversation is too long for the model, even to be summarised; begin a new thread",
        ))
    }

    /// An answer that nobody is shown.
    async fn listen(&mut self, prompt: Prompt) -> Result<String, ProviderError> {
        let (events, mut heard) = mpsc::channel(policy::MODEL_EVENTS);
        let provider = std::sync::Arc::clone(&self.job.provider);
        let answering = provider.answer(self.as_sent(prompt), events, self.job.cancel.clone());
        let listening = async {
            // Messages of an answer are paragraphs; the last one is coming.
            let mut texts = vec![String::new()];
            while let Some(event) = heard.recv().await {
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
                        self.report(Report::Again(super::told(error))).await;
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
            texts.join("\n\n")
        };
        let (ended, text) = tokio::join!(answering, listening);
        ended.map(|()| text)
    }
}

/// Whether the provider refused because of the conversation's length.
pub(super) fn is_too_long(error: &ProviderError) -> bool {
    matches!(error.info, Some(CodexErrorInfo::ContextWindowExceeded))
}

/// How many entries a summary replaces: all but what was said last, and not answered.
fn answered(history: &[Entry]) -> usize {
    history.iter().rposition(|entry| !conversation::waits(entry)).map_or(0, |last| last + 1)
}

/// Whether there is more to replace than a summary.
pub(super) fn is_worth_it(history: &[Entry]) -> bool {
    history.iter().any(conversation::is_answer)
}

/// The summary, and what the user said last in their own words: a summary is the model's.
fn with_last_words(summary: &str, history: &[Entry]) -> String {
    let mut left = policy::COMPACTION_LAST_WORDS;
    let mut last: Vec<String> = Vec::new();
    for entry in history.iter().rev() {
        let Entry::User(content) = entry else { continue };
        if conversation::is_summary(content) {
            continue;
        }
        let texts: Vec<&str> = content.iter().filter_map(Content::as_text).collect();
        let text = texts.join("\n");
        last.push(result::shortened(&text, left));
        left = left.saturating_sub(text.len());
        if left == 0 {
            break;
        }
    }
    last.reverse();
    if last.is_empty() {
        return summary.to_owned();
    }
    format!("{summary}\n\nThe user's last messages, word for word:\n\n{}", last.join("\n\n"))
}
