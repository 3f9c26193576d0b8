//! Params and responses of the methods that read a history page by page.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{apply, skip_serializing_none};

use crate::{
    extension::ThreadPicture,
    ids::{ItemId, ThreadId, TurnId},
    item::ThreadItem,
    thread::SortDirection,
    turn::{Turn, TurnItemsView},
};

/// Params of `thread/turns/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadTurnsListParams {
    pub cursor: Option<String>,
    pub items_view: Option<TurnItemsView>,
    pub limit: Option<u32>,
    pub sort_direction: Option<SortDirection>,
    pub thread_id: ThreadId,
}

/// Response of `thread/turns/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadTurnsListResponse {
    #[serde(default)]
    pub backwards_cursor: Option<String>,
    pub data: Vec<Turn>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The point in the history that this answer shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ThreadPicture>,
}

/// Params of `thread/items/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsListParams {
    pub cursor: Option<ThreadItemsListCursor>,
    pub defer_output: Option<ThreadItemOutputDeferral>,
    pub limit: Option<u32>,
    pub sort_direction: Option<SortDirection>,
    pub thread_id: ThreadId,
    pub turn_id: Option<TurnId>,
}

/// The start of a page of items: a cursor, or the position after an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = r#"a cursor is the text of another page's nextCursor or backwardsCursor, or {"type": "item", "itemId": ID}"#
)]
pub enum ThreadItemsListCursor {
    Page(String),
    Anchor(ThreadItemsListAnchor),
}

/// The item before the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ThreadItemsListAnchor {
    Item { item_id: ItemId },
}

/// Outputs that the client fetches one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadItemOutputDeferral {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub command_execution: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mcp_tool_call: bool,
}

/// Response of `thread/items/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsListResponse {
    #[serde(default)]
    pub backwards_cursor: Option<String>,
    pub data: Vec<ThreadItemEntry>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The point in the history that this answer shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ThreadPicture>,
}

/// An item with its turn.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemEntry {
    pub completed_at_ms: Option<i64>,
    pub item: ThreadItem,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_deferred: bool,
    pub started_at_ms: Option<i64>,
    pub turn_id: TurnId,
}
