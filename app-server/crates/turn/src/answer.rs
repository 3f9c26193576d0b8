//! One answer of the model. Streamed events become items for the user, and entries for the rest of the turn.

use std::sync::Arc;

use skein_protocol::ids::ItemId;
use skein_protocol::item::{ReasoningItem, ThreadItem, ThreadItemBody};
use skein_provider::{
    AssistantMessage, Entry, ModelEvent, Prompt, ProviderError, Reasoning, Thoughts, TokenUsage, ToolCall,
    ToolResult,
};
use skein_store::rollout::record::{AnswerPart, AnsweredCall};
use tokio::sync::mpsc;

use super::answering::Answering;
use super::{ModelRequestKind, Report, Stop, TurnRun, again};
use crate::policy;

#[derive(Debug, Default)]
pub(crate) struct AnswerInProgress {
    /// Texts, thoughts and calls, in order.
    pub(crate) entries: Vec<Entry>,
    /// The same parts for the record of an answer that calls tools.
    pub(crate) recorded: Vec<AnswerPart>,
    pub(crate) calls: Vec<ToolCall>,
    /// Results of the model's questions to the user.
    pub(crate) answered: Vec<ToolResult>,
    /// Tokens of its request, by an estimate.
    pub(crate) tokens: i64,
}

impl AnswerInProgress {
    /// Whether the answer has nothing for the user and calls nothing.
    pub(crate) fn is_silent(&self) -> bool {
        let says = |entry: &Entry| match entry {
            Entry::Assistant(_) | Entry::Call(_) => true,
            Entry::User(_) | Entry::Developer(_) | Entry::Reasoning(_) | Entry::Result(_) => false,
        };
        self.answered.is_empty() && !self.entries.iter().any(says)
    }

    fn called(&mut self, call: ToolCall) {
        self.recorded.push(AnswerPart::Call(Box::new(answered_call(&call))));
        self.entries.push(Entry::Call(call.clone()));
        self.calls.push(call);
    }
}

pub(crate) enum Unanswered {
    Stop(Stop),
    Error(ProviderError),
}

impl From<Unanswered> for Stop {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Stop(stop) => stop,
            Unanswered::Error(error) => error.into(),
        }
    }
}

fn answered_call(call: &ToolCall) -> AnsweredCall {
    AnsweredCall {
        item_id: None,
        refused: None,
        id: call.id.clone(),
        name: call.callee.name(),
        arguments: call.arguments.clone(),
        more: call.more.clone(),
    }
}

impl TurnRun {
    pub(crate) async fn answer(&mut self, prompt: Prompt) -> Result<AnswerInProgress, Unanswered> {
        let (events, received) = mpsc::channel(policy::MODEL_EVENTS);
        let mut answer =
            AnswerInProgress { tokens: prompt.estimated_tokens(), ..AnswerInProgress::default() };
        let prompt = self.as_sent(prompt);
        let provider = Arc::clone(&self.job.provider);
        let cancel = self.job.cancel.clone();
        let mut answering = Answering::new(provider.answer(prompt, events, cancel), received);
        loop {
            let event = tokio::select! {
                biased;
                // A message of the user takes effect at once: keep this part of the answer, and ask the model again.
                Some(added) = self.steers.recv() => {
                    self.added.push_back(added);
                    self.take_what_came(&mut answering, &mut answer).await.map_err(Unanswered::Stop)?;
                    return Ok(answer);
                }
                event = answering.next() => event,
            };
            match event {
                Some(event) => self.receive(event, &mut answer).await.map_err(Unanswered::Stop)?,
                None => break,
            }
        }
        let result = answering.end().await;
        if self.job.cancel.is_cancelled() {
            return Err(Unanswered::Stop(Stop::Interrupted));
        }
        self.keep(&mut answer).await;
        result.map(|()| answer).map_err(Unanswered::Error)
    }

    /// Takes the rest of an answer that was cut. Only complete calls count.
    async fn take_what_came(
        &mut self,
        answering: &mut Answering<impl Future<Output = Result<(), ProviderError>>>,
        answer: &mut AnswerInProgress,
    ) -> Result<(), Stop> {
        while let Some(event) = answering.try_next() {
            self.receive(event, answer).await?;
        }
        self.keep(answer).await;
        if self.job.cancel.is_cancelled() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    async fn receive(&mut self, event: ModelEvent, answer: &mut AnswerInProgress) -> Result<(), Stop> {
        if !matches!(event, ModelEvent::TextDelta(_) | ModelEvent::Again(_)) {
            self.say_rest().await;
        }
        match event {
            ModelEvent::TextDelta(text) => self.say(text).await,
            ModelEvent::MessageStarted(phase) => {
                self.keep_text(answer);
                self.phase = phase;
            }
            ModelEvent::Message(whole) => self.show_message(whole, answer).await,
            ModelEvent::ReasoningDelta { of, part, text } => {
                self.keep_text(answer);
                self.complete_texts().await;
                self.think(of, part, text).await;
            }
            ModelEvent::Reasoning(whole) => self.show_thought(whole, answer).await,
            ModelEvent::Usage(usage) => {
                self.keep(answer).await;
                self.used(usage).await;
            }
            ModelEvent::ToolCall(call) => {
                self.complete_thought().await;
                self.keep_text(answer);
                answer.called(call);
            }
            ModelEvent::Question(text) => {
                self.keep(answer).await;
                answer.answered.push(self.ask(text).await?);
            }
            ModelEvent::Again(error) => {
                self.take_back().await;
                *answer = AnswerInProgress { tokens: answer.tokens, ..AnswerInProgress::default() };
                self.report(again(error)).await;
                self.may_ask(ModelRequestKind::Other, answer.tokens).await?;
            }
        }
        Ok(())
    }

    async fn used(&mut self, usage: TokenUsage) {
        self.context_tokens = usage.input.saturating_add(usage.output);
        self.report(Report::Usage(usage)).await;
    }

    /// Completes streamed items, and adds their text to the conversation.
    async fn keep(&mut self, answer: &mut AnswerInProgress) {
        self.complete_thought().await;
        self.say_rest().await;
        self.keep_text(answer);
        self.phase = None;
        self.complete_texts().await;
    }

    /// Adds the streamed message to the conversation. The item stays open, because the answer may begin again. A
    /// message without text stays current: the question to the user belongs to it.
    fn keep_text(&mut self, answer: &mut AnswerInProgress) {
        let message = self.message.take_if(|message| !message.text.is_empty());
        let (text, part) = match (self.planned(), &message) {
            (Some((text, plan)), message) => {
                let item_ids = [plan].into_iter().chain(message.iter().map(|message| message.id.clone()));
                (text.clone(), AnswerPart::Raw { text, item_ids: item_ids.collect() })
            }
            (None, Some(message)) => (message.text.clone(), AnswerPart::Text { item_id: message.id.clone() }),
            (None, None) => return,
        };
        let phase = message.as_ref().and_then(|message| message.phase);
        answer.recorded.push(part);
        answer.entries.push(Entry::Assistant(AssistantMessage { text, phase }));
        self.texts.extend(message);
    }

    /// Discards an answer that begins again, for clients and for the model in later turns.
    async fn take_back(&mut self) {
        if let Some(thought) = &mut self.thought {
            (thought.summary, thought.content) = (Vec::new(), Vec::new());
        }
        self.complete_thought().await;
        self.phase = None;
        self.take_plan_back();
        self.texts.extend(self.message.take_if(|message| !message.text.is_empty()));
        for text in &mut self.texts {
            text.text.clear();
        }
        self.complete_texts().await;
    }

    async fn think(&mut self, of: Thoughts, part: usize, text: String) {
        self.open_thought().await;
        let Some(thought) = &mut self.thought else { return };
        let item = thought.id.clone();
        let parts = match of {
            Thoughts::Summary => &mut thought.summary,
            Thoughts::Content => &mut thought.content,
        };
        // A provider that skips numbers must not make us hold empty parts.
        let part = part.min(parts.len());
        let begins = part == parts.len();
        if begins {
            parts.push(String::new());
        }
        if let Some(there) = parts.get_mut(part) {
            there.push_str(&text);
        }
        if begins && part > 0 {
            self.report(Report::ReasoningDelta { item: item.clone(), of, part, text: String::new() }).await;
        }
        self.report(Report::ReasoningDelta { item, of, part, text }).await;
    }

    /// Completes the streamed thought with its full text. A thought without deltas appears now, if it has text.
    async fn show_thought(&mut self, whole: Reasoning, answer: &mut AnswerInProgress) {
        self.keep_text(answer);
        self.complete_texts().await;
        let has_words = whole.summary.iter().chain(&whole.content).any(|part| !part.is_empty());
        if has_words {
            self.open_thought().await;
        }
        if let Some(thought) = self.thought.as_mut().filter(|_| has_words) {
            thought.summary.clone_from(&whole.summary);
            thought.content.clone_from(&whole.content);
        }
        self.complete_thought().await;
        let own_form = whole.own_form.clone();
        answer.recorded.extend(own_form.map(|own_form| AnswerPart::Thought { own_form }));
        answer.entries.push(Entry::Reasoning(whole));
    }

    async fn open_thought(&mut self) {
        if self.thought.is_none() {
            let thought = ReasoningItem { content: Vec::new(), id: self.new_item_id(), summary: Vec::new() };
            self.begin(ThreadItemBody::Reasoning(thought.clone())).await;
            self.thought = Some(thought);
        }
    }

    pub(crate) async fn complete_thought(&mut self) {
        if let Some(thought) = self.thought.take() {
            self.complete(ThreadItemBody::Reasoning(thought)).await;
        }
    }

    /// Ends the streamed message with the provider's final text. A message without deltas appears now.
    async fn show_message(&mut self, whole: AssistantMessage, answer: &mut AnswerInProgress) {
        self.phase = whole.phase.or(self.phase);
        if !self.is_saying() && !whole.text.is_empty() {
            self.say(whole.text.clone()).await;
            self.say_rest().await;
        }
        let phase = self.phase.take();
        let text = self.last_word(whole.text);
        if let Some(message) = &mut self.message {
            message.phase = phase.or(message.phase);
            if !text.is_empty() {
                message.text = text;
            }
        }
        self.keep_text(answer);
    }

    pub(crate) async fn say_beside(&mut self, text: String) {
        self.open_message().await;
        if let Some(message) = &mut self.message {
            message.text.push_str(&text);
            let item = message.id.clone();
            self.report(Report::Delta { item, text }).await;
        }
    }

    /// Returns the streamed message's id, and begins a message if there is none.
    pub(crate) async fn open_message(&mut self) -> ItemId {
        if let Some(message) = &self.message {
            return message.id.clone();
        }
        let mut item = ThreadItem::agent_message(self.new_item_id(), "");
        if let ThreadItemBody::AgentMessage(message) = &mut item.body {
            message.phase = self.phase.take();
        }
        let item = self.begin(item).await;
        let id = item.id().clone();
        if let ThreadItemBody::AgentMessage(message) = item.body {
            self.message = Some(message);
        }
        id
    }

    pub(crate) async fn complete_texts(&mut self) {
        self.complete_plan().await;
        for text in std::mem::take(&mut self.texts) {
            self.complete(ThreadItemBody::AgentMessage(text)).await;
        }
    }

    pub(crate) async fn complete_messages(&mut self) {
        // A plan that was cut off is still shown.
        self.planned();
        self.texts.extend(self.message.take());
        self.complete_texts().await;
    }
}
