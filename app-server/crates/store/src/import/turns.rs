//! Folds the lines of a foreign rollout into turns with items. Pure.
//!
//! There are two forms. The newer one has an `item_completed` for each item. The older one has events of many kinds
//! (`older.rs`) beside the model's input and output (`response_item`). In both, only `response_item` has all tool
//! calls; an event with more details replaces one.

use std::collections::{BTreeMap, HashSet};

use crate::rollout::record::StoredSettings;
use serde_json::Value;
use skein_base::clock::WallMs;
use skein_protocol::event::{ThreadTokenUsage, TokenUsageBreakdown};
use skein_protocol::ids::{ItemId, TurnId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::turn::{TurnError, TurnStatus};

use super::meta::{self, text, time};
use super::{calls, items, older};
use crate::policy;

/// Kinds of lines and events without visible content.
const SILENT: &[&str] = &[
    "session_meta",
    "world_state",
    "token_usage_record",
    "inter_agent_communication",
    "thread_settings_applied",
    "session_configured",
    "turn_diff",
    "plan_update",
    "background_event",
    "item_started",
    "stream_error",
    "warning",
    "thread_goal_updated",
    "ghost_snapshot",
    "compaction",
    "context_compaction",
    "exec_command_begin",
    "mcp_tool_call_begin",
    "patch_apply_begin",
    "web_search_begin",
    "message",
    "reasoning",
    "web_search_call",
    "exec_command_output_delta",
    "agent_message_delta",
    "undo_completed",
    "state",
];

/// A thread, up to the lines read so far.
#[derive(Debug)]
pub(crate) struct ForeignThread {
    /// Its turns, oldest first.
    pub(crate) turns: Vec<ForeignTurn>,
    /// The name, if a line has one.
    pub(crate) name: Option<String>,
    /// The current settings.
    pub(crate) settings: StoredSettings,
    /// The number of skipped lines, by kind.
    pub(crate) passed_over: BTreeMap<String, u64>,
    /// Whether events report messages; if none does, the model's messages are used.
    with_events: bool,
    at: WallMs,
    ids: HashSet<TurnId>,
    /// The number of items without an id.
    nameless: u64,
    /// Whether the newest turn is open.
    open: bool,
}

#[derive(Debug)]
pub(crate) struct ForeignTurn {
    /// The id; `turn-N` without one.
    pub(crate) id: TurnId,
    /// When it began.
    pub(crate) began: WallMs,
    /// Its items, in their order.
    pub(crate) items: Vec<ThreadItem>,
    pub(crate) settings: StoredSettings,
    /// The usage at its end.
    pub(crate) usage: Option<ThreadTokenUsage>,
    /// The summary that replaced older history for the model.
    pub(crate) summary: Option<String>,
    /// The time of its last line.
    pub(crate) last: WallMs,
    /// The status at its end; `None` if no line ended it.
    pub(crate) status: Option<TurnStatus>,
    pub(crate) error: Option<TurnError>,
    /// Whether a line started it: then another one ends it, if it ended.
    pub(crate) declared: bool,
}

impl ForeignThread {
    /// A thread that begins at `at` with `settings`.
    pub(crate) fn new(at: WallMs, settings: StoredSettings, with_events: bool) -> Self {
        Self {
            turns: Vec::new(),
            name: None,
            settings,
            passed_over: BTreeMap::new(),
            with_events,
            at,
            ids: HashSet::new(),
            nameless: 0,
            open: false,
        }
    }

    /// Whether a line reports messages as events.
    pub(crate) fn reports_messages(line: &Value) -> bool {
        let kind = line.get("payload").and_then(|payload| payload.get("type")).and_then(Value::as_str);
        line.get("type").is_some_and(|line| line == "event_msg")
            && matches!(kind, Some("user_message" | "agent_message" | "item_completed"))
    }

    /// Takes the next line.
    pub(crate) fn take(&mut self, line: &Value) {
        self.at = time(line.get("timestamp")).unwrap_or(self.at);
        let Some(kind) = line.get("type").and_then(Value::as_str) else { return };
        // In the oldest form the model's messages have no payload.
        let payload = line.get("payload");
        let told = payload.and_then(|told| told.get("type")).and_then(Value::as_str).unwrap_or_default();
        let known = match (kind, payload) {
            ("turn_context", Some(context)) => {
                meta::set(&mut self.settings, context);
                true
            }
            ("compacted", Some(compacted)) => {
                let summary = compacted.get("message").and_then(Value::as_str).map(str::to_owned);
                self.turn().summary = summary;
                true
            }
            ("event_msg", Some(event)) => self.event(told, event),
            ("response_item", Some(item)) => self.response(told, item),
            (kind, None) => self.response(kind, line),
            (_, Some(_)) => false,
        };
        if !known && !SILENT.contains(&kind) && !SILENT.contains(&told) {
            self.pass_over(kind, told);
        }
    }

    fn event(&mut self, kind: &str, event: &Value) -> bool {
        let error = event.get("error").or_else(|| (kind == "error").then_some(event)).and_then(turn_error);
        match kind {
            "task_started" | "turn_started" => self.begin(text(event, "turn_id"), true),
            "task_complete" | "turn_complete" => self.end(event, TurnStatus::Completed, error),
            "turn_aborted" => self.end(event, TurnStatus::Interrupted, None),
            "error" => self.turn().error = error,
            "token_count" => self.used(event.get("info")),
            "thread_settings_applied" => {
                event.get("thread_settings").into_iter().for_each(|told| meta::set(&mut self.settings, told));
            }
            "thread_name_updated" => self.name = text(event, "thread_name").or(self.name.take()),
            "thread_rolled_back" => {
                let turns = event.get("num_turns").and_then(Value::as_u64).unwrap_or_default();
                self.take_back(usize::try_from(turns).unwrap_or(usize::MAX));
            }
            "user_message" => self.user(older::user(event)),
            "item_completed" => return self.item(event),
            kind => return self.older(kind, event),
        }
        true
    }

    /// Takes an event from before `item_completed`.
    fn older(&mut self, kind: &str, event: &Value) -> bool {
        let Some(told) = older::item(kind, event) else { return false };
        let Some(item) = items::item(&told) else { return false };
        let at = self.at;
        self.put(text(event, "turn_id"), item, (at, at));
        true
    }

    fn item(&mut self, event: &Value) -> bool {
        let Some(item) = event.get("item").and_then(items::item) else { return false };
        let ms = |name: &str| event.get(name).and_then(Value::as_i64).and_then(meta::ms).unwrap_or(self.at);
        let times = (ms("started_at_ms"), ms("completed_at_ms"));
        self.put(text(event, "turn_id"), item, times);
        true
    }

    /// Takes a message, call or result of the model.
    fn response(&mut self, kind: &str, told: &Value) -> bool {
        let at = self.at;
        match (kind, told.get("role").and_then(Value::as_str)) {
            ("message" | "reasoning" | "web_search_call", _) if self.with_events => return true,
            ("message", Some("user")) => {
                let said = items::inputs(told.get("content"));
                if !calls::is_context(&said) {
                    self.user(said);
                }
            }
            ("message", Some("assistant")) => {
                let text = items::texts(told.get("content")).concat();
                self.put(None, ThreadItem::agent_message("", text), (at, at));
            }
            ("reasoning" | "web_search_call", _) => {
                let item = older::response(kind, told).as_ref().and_then(items::item);
                item.into_iter().for_each(|item| self.put(None, item, (at, at)));
            }
            ("function_call" | "custom_tool_call" | "local_shell_call", _) => {
                let Some(item) = calls::call(told, &self.settings.cwd) else { return false };
                if self.found(item.id()).is_none() {
                    self.put(None, item, (at, at));
                }
            }
            ("function_call_output" | "custom_tool_call_output", _) => {
                let Some(id) = told.get("call_id").and_then(Value::as_str) else { return false };
                if let Some(item) = self.found(&ItemId::from(id)) {
                    calls::complete(item, told.get("output").unwrap_or(&Value::Null), at);
                }
            }
            _ => return false,
        }
        true
    }

    /// The item with this id in the newest turn.
    fn found(&mut self, id: &ItemId) -> Option<&mut ThreadItem> {
        self.turns.last_mut()?.items.iter_mut().rev().find(|item| item.id() == id)
    }

    fn user(&mut self, said: Vec<skein_protocol::turn::UserInput>) {
        let declared = self.turns.last().is_some_and(|turn| turn.declared);
        if !(self.open && declared) {
            self.begin(None, false);
        }
        let at = self.at;
        self.put(None, ThreadItem::user_message("", said, None), (at, at));
    }

    /// Replaces the item with this id, or appends it.
    fn put(&mut self, turn: Option<String>, mut item: ThreadItem, (started, completed): (WallMs, WallMs)) {
        if item.id().as_str().is_empty() {
            self.nameless += 1;
            calls::name(&mut item, &format!("item-{}", self.nameless).into());
        }
        (item.started_at_ms, item.completed_at_ms) = (Some(started.0), Some(completed.0));
        let turn = turn.map(TurnId::from).and_then(|id| self.turns.iter().rposition(|turn| turn.id == id));
        let at = self.at;
        let turn = match turn {
            Some(at) => self.turns.get_mut(at),
            None => Some(self.turn()),
        };
        let Some(turn) = turn else { return };
        turn.last = at;
        match turn.items.iter_mut().find(|there| there.id() == item.id()) {
            Some(there) => *there = item,
            None => turn.items.push(item),
        }
    }

    /// The newest turn; starts one if there is none.
    fn turn(&mut self) -> &mut ForeignTurn {
        if self.turns.is_empty() {
            self.begin(None, false);
        }
        let last = self.turns.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "the line above has made one")]
        &mut self.turns[last]
    }

    fn begin(&mut self, id: Option<String>, declared: bool) {
        let mut number = self.turns.len() + 1;
        let mut id = id.filter(|id| !id.is_empty()).map(TurnId::from);
        let id = loop {
            let id = id.take().unwrap_or_else(|| format!("turn-{number}").into());
            if self.ids.insert(id.clone()) {
                break id;
            }
            number += 1;
        };
        self.open = true;
        self.turns.push(ForeignTurn {
            id,
            began: self.at,
            items: Vec::new(),
            settings: self.settings.clone(),
            usage: None,
            summary: None,
            last: self.at,
            status: None,
            error: None,
            declared,
        });
    }

    fn end(&mut self, event: &Value, status: TurnStatus, error: Option<TurnError>) {
        let named = text(event, "turn_id").map(TurnId::from);
        let at = self.at;
        let Some(turn) = self.turns.last_mut() else { return };
        if !self.open || named.is_some_and(|named| turn.declared && named != turn.id) {
            return;
        }
        turn.error = error.or(turn.error.take());
        turn.status = Some(if turn.error.is_some() && status == TurnStatus::Completed {
            TurnStatus::Failed
        } else {
            status
        });
        turn.last = at;
        turn.settings = self.settings.clone();
        self.open = false;
    }

    fn used(&mut self, info: Option<&Value>) {
        let Some(info) = info.filter(|info| info.is_object()) else { return };
        let (Some(total), Some(last)) =
            (tokens(info.get("total_token_usage")), tokens(info.get("last_token_usage")))
        else {
            return;
        };
        let window = info.get("model_context_window").and_then(Value::as_i64);
        if let Some(turn) = self.turns.last_mut() {
            turn.usage = Some(ThreadTokenUsage { last, model_context_window: window, total });
        }
    }

    /// Removes the newest turns that a user message started, and all after them.
    fn take_back(&mut self, turns: usize) {
        let is_user = |item: &ThreadItem| matches!(item.body, ThreadItemBody::UserMessage(_));
        for _ in 0..turns.min(self.turns.len()) {
            let from = self.turns.iter().rposition(|turn| turn.items.iter().any(is_user));
            self.turns.truncate(from.unwrap_or_default());
        }
        self.open = false;
    }

    fn pass_over(&mut self, kind: &str, told: &str) {
        let name = if told.is_empty() { kind.to_owned() } else { format!("{kind}/{told}") };
        let name: String = name.chars().take(policy::IMPORT_KIND).collect();
        if self.passed_over.len() < policy::IMPORT_KINDS || self.passed_over.contains_key(&name) {
            *self.passed_over.entry(name).or_default() += 1;
        } else {
            *self.passed_over.entry("others".to_owned()).or_default() += 1;
        }
    }
}

fn turn_error(told: &Value) -> Option<TurnError> {
    let message = told.get("message")?.as_str()?;
    let info = told.get("codex_error_info").cloned().unwrap_or_default();
    let info = info.as_str().map(|word| items::camel(word).into()).unwrap_or(info);
    let codex_error_info = serde_json::from_value(info).ok();
    Some(TurnError { codex_error_info, ..TurnError::new(message) })
}

fn tokens(told: Option<&Value>) -> Option<TokenUsageBreakdown> {
    let count = |name: &str| told?.get(name)?.as_i64();
    Some(TokenUsageBreakdown {
        cache_write_input_tokens: count("cache_write_input_tokens").unwrap_or_default(),
        cached_input_tokens: count("cached_input_tokens").unwrap_or_default(),
        input_tokens: count("input_tokens")?,
        output_tokens: count("output_tokens")?,
        reasoning_output_tokens: count("reasoning_output_tokens").unwrap_or_default(),
        total_tokens: count("total_tokens")?,
    })
}

#[cfg(test)]
mod tests;
