//! Params and responses of the methods that search names and messages of threads.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{
    extension::SearchDetails,
    ids::{ItemId, ThreadId, TurnId},
    thread::{SortDirection, Thread, ThreadSourceKind},
};

/// Params of `thread/search`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchParams {
    /// Archived threads only if true; the others if not.
    pub archived: Option<bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub current_account_only: bool,
    pub cursor: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_attached_threads: bool,
    pub limit: Option<u32>,
    /// The literal text to find: case is ignored, spaces count, there are no wildcards.
    pub search_term: String,
    pub sort_direction: Option<SortDirection>,
    pub sort_key: Option<ThreadSearchSortKey>,
    pub source_kinds: Option<Vec<ThreadSourceKind>>,
}

/// The order of found threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThreadSearchSortKey {
    CreatedAt,
    UpdatedAt,
    RecencyAt,
}

/// Response of `thread/search`. A page takes a bounded time, so it can be short, or empty, with a `nextCursor`: only
/// a page without one is the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchResponse {
    #[serde(default)]
    pub backwards_cursor: Option<String>,
    pub data: Vec<ThreadSearchResult>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The limits of the search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<SearchDetails>,
}

/// A thread that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchResult {
    /// The text around the first hit: in the name, or else in the oldest message with a hit.
    pub snippet: String,
    pub thread: Thread,
}

/// Params of `thread/searchOccurrences`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchOccurrencesParams {
    pub cursor: Option<String>,
    pub limit: Option<u32>,
    /// As in `thread/search`.
    pub search_term: String,
    pub thread_id: ThreadId,
}

/// Response of `thread/searchOccurrences`: hits in messages, oldest message first, each hit once. As in `thread/search`,
/// only a page without a `nextCursor` is the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchOccurrencesResponse {
    pub data: Vec<ThreadSearchOccurrence>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A hit in a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchOccurrence {
    pub item_id: ItemId,
    /// The text around the hit.
    pub snippet: String,
    /// The hit's place in the snippet.
    pub snippet_match_range: ThreadSearchTextRange,
    /// A cursor of `thread/turns/list` for a page that begins with the hit's turn, in either direction.
    pub turn_cursor: String,
    pub turn_id: TurnId,
}

/// A part of a text in UTF-16 code units, as browser scripts count: from `start` to `end`, which is excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSearchTextRange {
    pub end: u32,
    pub start: u32,
}
