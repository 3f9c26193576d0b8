//! The conversation that a model reads: a fold of a thread's records, oldest first. Pure.
//!
//! A message stands where its item began. A message that interrupts an answer therefore follows the interrupted text,
//! as in the turn itself. Work of other programs (a command, a change of a file) becomes a note.
//!
//! An answer that calls tools keeps the provider's own form (`model.answer`): ids, arguments, unknown members, and
//! sealed or signed thoughts. The next request then begins with the bytes of an earlier one, which providers cache.
//! Other thoughts end with the turn, because no request contained them.
//!
//! A local image is read once and recorded (`files.read`), so a change of the file does not change the conversation. An
//! ephemeral thread keeps the same records in memory.

use std::collections::{HashMap, HashSet};

use serde_json::Map;
use skein_protocol::ids::ItemId;
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::response_item::MessagePhase;
use skein_protocol::turn::UserInput;
use skein_provider::{AssistantMessage, Callee, Content, Entry, Reasoning, ToolCall, ToolResult};
use skein_store::rollout::record::{
    AnswerPart, AnsweredCall, Compacted, FileContent, FilesRead, ItemsInjected, KeptMessages, ModelAnswer,
    RecordBody, TurnUsage,
};

use super::budget::{self, Weight};
use super::input::{self, LocalFile};

mod items;

pub(crate) use items::of_injected;

/// Begins each message that replaces history.
const SUMMARY: &str = "What was said before this message was replaced by a summary of it:\n\n";

#[must_use]
pub(crate) fn summary(summary: &str) -> Entry {
    Entry::User(vec![Content::Text(format!("{SUMMARY}{summary}"))])
}

#[must_use]
pub(crate) fn is_summary(content: &[Content]) -> bool {
    content.first().and_then(Content::as_text).is_some_and(|text| text.starts_with(SUMMARY))
}

/// The model that reads a conversation. Only this model gets its own forms of answers back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Name in the settings.
    pub provider: String,
    /// The model's name at its provider.
    pub model: String,
}

/// Folded from records, one at a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Conversation {
    /// Oldest first.
    parts: Vec<Part>,
    /// The provider's ids of calls whose items have not completed.
    calls: HashMap<ItemId, String>,
    /// Bytes that count against the budget.
    weight: Weight,
    /// Whether notes replaced large results or images.
    trimmed: bool,
    /// Tokens of the last request and its answer; 0 after a summary.
    tokens: i64,
    /// Items of answers that broke off.
    dropped: HashSet<ItemId>,
}

/// The entries of one item, or the reserved place of an open item.
#[derive(Debug, Clone, Default, PartialEq)]
struct Part {
    item: Option<ItemId>,
    entries: Vec<Entry>,
    /// Files of the message that are not read yet.
    files: Vec<LocalFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreadFile {
    /// `None` if no record has the message.
    pub(crate) item: Option<ItemId>,
    pub(crate) file: LocalFile,
}

impl From<Entry> for Part {
    fn from(entry: Entry) -> Self {
        Self { entries: vec![entry], ..Self::default() }
    }
}

impl Part {
    fn reserved(item: &ItemId) -> Self {
        Self { item: Some(item.clone()), ..Self::default() }
    }

    fn is(&self, item: &ItemId) -> bool {
        self.item.as_ref() == Some(item)
    }

    fn phase(&self) -> Option<MessagePhase> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Assistant(message) => message.phase,
            Entry::User(_)
            | Entry::Developer(_)
            | Entry::Reasoning(_)
            | Entry::Call(_)
            | Entry::Result(_) => None,
        })
    }

    /// Keeps only the result of a call, under the provider's id: the answer already contains the call.
    fn answers(&mut self, call: &str) {
        self.entries.retain(|entry| !matches!(entry, Entry::Call(_)));
        for entry in &mut self.entries {
            if let Entry::Result(result) = entry {
                call.clone_into(&mut result.id);
            }
        }
    }
}

impl Conversation {
    /// A conversation of one message that is not recorded.
    #[must_use]
    pub(crate) fn of_input(input: &[UserInput]) -> Self {
        let files = input::files(input);
        let part = Part { files, ..Part::from(Entry::User(input::content(input))) };
        Self { parts: vec![part], ..Self::default() }
    }

    /// Adds the next record, for the model `to`.
    pub(crate) fn take(&mut self, body: &RecordBody, to: &Recipient) {
        match body {
            RecordBody::ItemStarted(started) => self.parts.push(Part::reserved(started.item.id())),
            RecordBody::ItemCompleted(completed) => self.take_item(&completed.item),
            RecordBody::ModelAnswer(answer) => self.take_answer(answer, to),
            RecordBody::FilesRead(read) => self.take_files(read),
            RecordBody::ItemsInjected(injected) => self.take_injected(injected),
            RecordBody::TurnUsage(usage) => self.take_usage(usage),
            RecordBody::Compacted(compacted) => self.compact(compacted),
            RecordBody::TurnResumed(resumed) => self.drop_items(&resumed.dropped),
            RecordBody::ThreadCreated(_)
            | RecordBody::ThreadOpened(_)
            | RecordBody::ThreadClosed(_)
            | RecordBody::ThreadNamed(_)
            | RecordBody::ThreadMeta(_)
            | RecordBody::ThreadRead(_)
            | RecordBody::GoalChanged(_)
            | RecordBody::QuestionAsked(_)
            | RecordBody::QuestionAnswered(_)
            | RecordBody::QuestionClosed(_)
            | RecordBody::CallBegun(_)
            | RecordBody::CallPaused(_)
            | RecordBody::ModelAsked(_)
            | RecordBody::QueueAdded(_)
            | RecordBody::QueueUpdated(_)
            | RecordBody::QueueMoved(_)
            | RecordBody::QueueRemoved(_)
            | RecordBody::TurnStarted(_)
            | RecordBody::ItemCheckpoint(_)
            | RecordBody::TurnCompleted(_)
            | RecordBody::Reverted(_)
            | RecordBody::Archived(_)
            | RecordBody::Unarchived(_)
            | RecordBody::Forked(_)
            | RecordBody::Imported(_)
            | RecordBody::Unknown(_) => {}
        }
        self.trim();
    }

    /// Leaves out the items of an answer that broke off. They may end later, so they stay left out.
    fn drop_items(&mut self, items: &[ItemId]) {
        self.parts.retain(|part| part.item.as_ref().is_none_or(|item| !items.contains(item)));
        self.dropped.extend(items.iter().cloned());
        self.weight = Weight::of(self.all());
    }

    #[must_use]
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.all().cloned().collect()
    }

    /// Tokens of the last request and its answer; 0 if no request followed the last summary.
    #[must_use]
    pub(crate) fn tokens(&self) -> i64 {
        self.tokens
    }

    /// Whether notes replaced large results or images, because a request would be too large.
    #[must_use]
    pub(crate) fn is_trimmed(&self) -> bool {
        self.trimmed
    }

    /// Approximate size in memory, bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        let of = |part: &Part| size_of::<Part>() + part.entries.iter().map(budget::bytes).sum::<usize>();
        self.parts.iter().map(of).sum()
    }

    /// Files that messages name and that are not read yet, oldest first.
    #[must_use]
    pub(crate) fn unread_files(&self) -> Vec<UnreadFile> {
        let of = |part: &Part| {
            let named = |file: &LocalFile| UnreadFile { item: part.item.clone(), file: file.clone() };
            part.files.iter().map(named).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of).collect()
    }

    /// Replaces the placeholder of a file by its content.
    pub(crate) fn put_file(&mut self, item: Option<&ItemId>, at: usize, found: &FileContent) {
        let names =
            |part: &&mut Part| part.item.as_ref() == item && part.files.iter().any(|file| file.at == at);
        let Some(part) = self.parts.iter_mut().rev().find(names) else { return };
        part.files.retain(|file| file.at != at);
        for entry in &mut part.entries {
            input::put_file(entry, at, found);
            self.weight.add(Weight::of([&*entry].into_iter()));
        }
        self.trim();
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.parts.iter().flat_map(|part| &part.entries)
    }

    /// Adds a completed item at the place where it began.
    fn take_item(&mut self, item: &ThreadItem) {
        if self.dropped.remove(item.id()) {
            return;
        }
        let mut part =
            Part { item: Some(item.id().clone()), entries: items::of_item(item), files: Vec::new() };
        if let ThreadItemBody::UserMessage(message) = &item.body {
            part.files = input::files(&message.content);
        }
        if let Some(call) = self.calls.remove(item.id()) {
            part.answers(&call);
        }
        self.weight.add(Weight::of(part.entries.iter()));
        let reserved = self.parts.iter().rposition(|there| there.is(item.id()) && there.entries.is_empty());
        match reserved {
            Some(at) if part.entries.is_empty() => drop(self.parts.remove(at)),
            Some(at) => self.parts.splice(at..=at, [part]).for_each(drop),
            None if part.entries.is_empty() => {}
            None => self.parts.push(part),
        }
    }

    /// Adds an answer that called tools at the place of its first item: all pieces in order, then a result or a
    /// reserved place for each call.
    fn take_answer(&mut self, answer: &ModelAnswer, to: &Recipient) {
        let own = to.provider == answer.provider && to.model == answer.model;
        let named = named(answer);
        let begins = self.begin_of(&named);
        let cut = answer.cut_by.as_ref().and_then(|message| self.begin_of_message(message));
        let behind = self.parts.split_off(begins.min(cut.unwrap_or(begins)));
        let is_named = |part: &Part| part.item.as_ref().is_some_and(|id| named.contains(id));
        let (its, others): (Vec<Part>, Vec<Part>) = behind.into_iter().partition(is_named);
        let mut its: HashMap<ItemId, Part> =
            its.into_iter().filter_map(|part| Some((part.item.clone()?, part))).collect();
        let mut results = Vec::new();
        for part in &answer.parts {
            match part {
                AnswerPart::Text { item_id } => self.parts.extend(its.remove(item_id)),
                AnswerPart::Raw { text, item_ids } => {
                    let phase = item_ids.iter().filter_map(|id| its.remove(id)).find_map(|part| part.phase());
                    let message = AssistantMessage { text: text.clone(), phase };
                    self.parts.push(Entry::Assistant(message).into());
                }
                AnswerPart::Thought { own_form } if own => {
                    let thought = Reasoning { own_form: Some(own_form.clone()), ..Reasoning::default() };
                    self.parts.push(Entry::Reasoning(thought).into());
                }
                AnswerPart::Thought { .. } => {}
                AnswerPart::Call(call) => {
                    self.parts.push(Entry::Call(as_called(call, own)).into());
                    let shown = call.item_id.as_ref().map(|id| (id, its.remove(id)));
                    results.extend(self.result(call, shown));
                }
            }
        }
        self.parts.extend(results);
        self.parts.extend(others);
    }

    /// Index of the first of these items; the end if none is found.
    fn begin_of(&self, items: &HashSet<&ItemId>) -> usize {
        let is_one = |part: &Part| part.item.as_ref().is_some_and(|id| items.contains(id));
        let places = (0..self.parts.len()).rev().filter(|at| self.parts.get(*at).is_some_and(is_one));
        // These items are among the newest, so the search ends with the last of them.
        places.take(items.len()).last().unwrap_or(self.parts.len())
    }

    /// Index of a message, with the items that the client has injected beside it.
    fn begin_of_message(&self, item: &ItemId) -> Option<usize> {
        let mut at = self.parts.iter().rposition(|part| part.is(item))?;
        let is_beside = |part: &Part| part.item.is_none() && part.entries.iter().all(waits);
        while let Some(before) = at.checked_sub(1)
            && self.parts.get(before).is_some_and(is_beside)
        {
            at = before;
        }
        Some(at)
    }

    /// The result of a call, or a reserved place if the call is still running.
    fn result(&mut self, call: &AnsweredCall, shown: Option<(&ItemId, Option<Part>)>) -> Option<Part> {
        if let Some(why) = &call.refused {
            return Some(Entry::Result(ToolResult::text(&call.id, why, true)).into());
        }
        let (item, part) = shown?;
        let mut part = part.unwrap_or_else(|| Part::reserved(item));
        if part.entries.is_empty() {
            self.calls.insert(item.clone(), call.id.clone());
        } else {
            part.answers(&call.id);
        }
        Some(part)
    }

    fn take_files(&mut self, read: &FilesRead) {
        for file in &read.files {
            self.put_file(Some(&read.item_id), file.at, &file.content);
        }
    }

    fn take_injected(&mut self, injected: &ItemsInjected) {
        for entry in injected.items.iter().filter_map(of_injected) {
            self.weight.add(Weight::of([&entry].into_iter()));
            self.parts.push(entry.into());
        }
    }

    fn take_usage(&mut self, usage: &TurnUsage) {
        let last = usage.usage.last;
        // A compaction only estimates the rest, and an estimate must not cause the next compaction.
        if last.input_tokens > 0 || last.output_tokens > 0 {
            self.tokens = last.total_tokens;
        }
    }

    /// Replaces history by a summary, except the end that the record keeps.
    fn compact(&mut self, compacted: &Compacted) {
        let mut left = kept(self.all(), compacted.kept);
        let mut at = self.parts.len();
        while let Some(part) = at.checked_sub(1).and_then(|before| self.parts.get(before))
            && (part.entries.is_empty() || left >= part.entries.len())
        {
            left = left.saturating_sub(part.entries.len());
            at -= 1;
        }
        let stays = self.parts.split_off(at);
        self.parts = vec![summary(&compacted.summary).into()];
        self.parts.extend(stays);
        self.weight = Weight::of(self.all());
        self.trimmed = false;
        self.tokens = 0;
    }

    fn trim(&mut self) {
        if !self.weight.is_too_much() {
            return;
        }
        let entries = self.parts.iter_mut().flat_map(|part| &mut part.entries);
        self.trimmed |= budget::fit(entries.collect());
        self.weight = Weight::of(self.all());
    }
}

fn as_called(call: &AnsweredCall, own: bool) -> ToolCall {
    let more = if own { call.more.clone() } else { Map::new() };
    ToolCall { more, ..ToolCall::new(&call.id, Callee::Offered(call.name.clone()), &call.arguments) }
}

fn named(answer: &ModelAnswer) -> HashSet<&ItemId> {
    answer.parts.iter().flat_map(items_of).collect()
}

fn items_of(said: &AnswerPart) -> Vec<&ItemId> {
    match said {
        AnswerPart::Text { item_id } => vec![item_id],
        AnswerPart::Raw { item_ids, .. } => item_ids.iter().collect(),
        AnswerPart::Call(call) => call.item_id.iter().collect(),
        AnswerPart::Thought { .. } => Vec::new(),
    }
}

/// Number of entries that a compaction keeps at the end of a conversation.
pub(crate) fn kept<'a>(entries: impl DoubleEndedIterator<Item = &'a Entry>, what: KeptMessages) -> usize {
    let mut back = entries.rev().peekable();
    let mut count = 0;
    while back.next_if(|entry| waits(entry)).is_some() {
        count += 1;
    }
    let has_results = back.peek().is_some_and(|entry| matches!(entry, Entry::Result(_)));
    if what == KeptMessages::Messages || !has_results {
        return count;
    }
    while back.next_if(|entry| matches!(entry, Entry::Result(_))).is_some() {
        count += 1;
    }
    let of_the_answer = |entry: &&Entry| match entry {
        Entry::Assistant(_) | Entry::Reasoning(_) | Entry::Call(_) => true,
        Entry::User(_) | Entry::Developer(_) | Entry::Result(_) => false,
    };
    while back.next_if(of_the_answer).is_some() {
        count += 1;
    }
    count
}

/// Whether a record adds output of a model.
#[must_use]
pub(crate) fn answers(body: &RecordBody) -> bool {
    if let RecordBody::ItemCompleted(completed) = body {
        items::of_item(&completed.item).iter().any(is_answer)
    } else if let RecordBody::ItemsInjected(injected) = body {
        injected.items.iter().filter_map(of_injected).any(|entry| is_answer(&entry))
    } else {
        matches!(body, RecordBody::ModelAnswer(_))
    }
}

/// Whether an entry is output of a model, or the result of its call.
#[must_use]
pub(crate) fn is_answer(entry: &Entry) -> bool {
    match entry {
        Entry::Assistant(_) | Entry::Reasoning(_) | Entry::Call(_) | Entry::Result(_) => true,
        Entry::User(_) | Entry::Developer(_) => false,
    }
}

/// Whether an entry is input for a model, but no summary.
#[must_use]
pub(crate) fn waits(entry: &Entry) -> bool {
    let is_summary = matches!(entry, Entry::User(content) if is_summary(content));
    !is_answer(entry) && !is_summary
}

#[cfg(test)]
mod tests;
