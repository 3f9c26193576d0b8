//! Errors of the wire: a code, a sentence for people, and data for programs.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_with::skip_serializing_none;

use crate::access::Access;
use crate::ids::{ItemId, ThreadId, TurnId};
use crate::missing;
use crate::thread::ThreadReadState;
use crate::turn::CodexErrorInfo;

/// The message is not JSON.
pub const PARSE_ERROR: i64 = -32_700;
/// The envelope is wrong, or the request does not fit the connection's state (before `initialize`, or a second one).
pub const INVALID_REQUEST: i64 = -32_600;
/// No method has this name.
pub const METHOD_NOT_FOUND: i64 = -32_601;
/// The params have the wrong shape or value; `data.path` names the field.
pub const INVALID_PARAMS: i64 = -32_602;
/// The server failed.
pub const INTERNAL_ERROR: i64 = -32_603;
/// The server is overloaded; retry after `data.retryAfterMs`.
pub const OVERLOADED: i64 = -32_001;

/// The reason `threadNotFound`: the thread exists nowhere.
pub const THREAD_NOT_FOUND: &str = "threadNotFound";
/// The reason `notLoaded`: the thread must be loaded first.
pub const NOT_LOADED: &str = "notLoaded";
/// The reason `emptySearch`: the search term is empty.
pub const EMPTY_SEARCH: &str = "emptySearch";
/// The reason `badCursor`: the cursor of a list is not valid.
pub const BAD_CURSOR: &str = "badCursor";

/// The reason `ownerUnreachable`: another server has the thread.
pub const OWNER_UNREACHABLE: &str = "ownerUnreachable";
/// The reason `forbidden`: the connection has less access than the request needs.
pub const FORBIDDEN: &str = "forbidden";
/// [`ErrorData::reason`]: the storage is on another machine, and does not serve now.
pub const STORE_UNAVAILABLE: &str = "storeUnavailable";

/// All codes with name and meaning, for documents and tests.
pub const CODES: &[(i64, &str, &str)] = &[
    (PARSE_ERROR, "parse error", "The message is not JSON."),
    (
        INVALID_REQUEST,
        "invalid request",
        "The envelope is wrong, or the connection's state does not allow it.",
    ),
    (METHOD_NOT_FOUND, "method not found", "No method has this name; `data.method` repeats it."),
    (INVALID_PARAMS, "invalid params", "A parameter has the wrong shape or value; `data.path` names it."),
    (INTERNAL_ERROR, "internal error", "Something broke on the server's side; the message says what to do."),
    (OVERLOADED, "overloaded", "Too much is under way; the same request works after `data.retryAfterMs`."),
];

/// The `error` member of an answer.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}{} ({code})", self.shown_hint())]
pub struct WireError {
    /// One of the codes of this module; other peers may send others.
    pub code: i64,
    /// A sentence that names its subject. Clients of the peer compare it: an error that the peer has, too, has the
    /// peer's sentence, word for word.
    pub message: String,
    /// The same for programs. This server always sends it; data of another shape is read as none.
    #[serde(default, deserialize_with = "known_data")]
    pub data: Option<Box<ErrorData>>,
}

/// Reads the data of an error, or nothing: peers may send any shape, and the answer must not fail.
fn known_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<ErrorData>>, D::Error> {
    let data = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(data).ok())
}

/// The subject of an error, for programs. Members that do not apply are left out.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ErrorData {
    /// A stable word that clients can compare.
    pub reason: Cow<'static, str>,
    /// The next step, if `message` does not name it.
    pub hint: Option<Cow<'static, str>>,
    /// The thread.
    pub thread_id: Option<ThreadId>,
    /// The turn.
    pub turn_id: Option<TurnId>,
    /// The running turn, if another one was named.
    pub active_turn_id: Option<TurnId>,
    /// The item.
    pub item_id: Option<ItemId>,
    /// The helper, by its configured name.
    pub server: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The method, cut to 64 characters.
    pub method: Option<String>,
    /// The field, as a path from `params`, such as `input[0].text`.
    pub path: Option<String>,
    /// The access that the request needs.
    pub scope: Option<Access>,
    /// The member that needs it, as a path from `params`.
    pub field: Option<String>,
    /// The time after which to retry, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// The kind of a turn's error; `message` repeats the sentence, because clients of the peer read a `TurnError`
    /// here.
    pub codex_error_info: Option<CodexErrorInfo>,
    /// The read state, if the request expects another one.
    pub read_state: Option<ThreadReadState>,
    /// See `codexErrorInfo`.
    pub message: Option<String>,
}

/// Longest method name that an error repeats, in characters.
const METHOD_LIMIT: usize = 64;

impl WireError {
    /// An error with a code of this module, a stable reason, and a sentence.
    pub fn new(code: i64, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let data = ErrorData { reason: reason.into(), ..ErrorData::default() };
        Self { code, message: message.into(), data: Some(Box::new(data)) }
    }

    /// [`PARSE_ERROR`].
    pub fn parse_error(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(PARSE_ERROR, reason, message)
    }

    /// [`INVALID_REQUEST`].
    pub fn invalid_request(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, reason, message)
    }

    /// [`INVALID_REQUEST`] with the reason [`FORBIDDEN`]: the request needs the access `scope`.
    pub fn forbidden(scope: Access, message: impl Into<String>) -> Self {
        Self::invalid_request(FORBIDDEN, message).with(|data| data.scope = Some(scope))
    }

    /// [`METHOD_NOT_FOUND`] for `method`.
    pub fn method_not_found(method: &str) -> Self {
        let name: String = method.chars().take(METHOD_LIMIT).collect();
        let message =
            format!("Invalid request: unknown variant `{name}`, expected one of those in METHODS.md");
        Self::new(METHOD_NOT_FOUND, "methodNotFound", message).method(method)
    }

    /// [`INVALID_PARAMS`].
    pub fn invalid_params(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, reason, message)
    }

    /// [`INTERNAL_ERROR`].
    pub fn internal(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(INTERNAL_ERROR, reason, message)
    }

    /// [`INVALID_PARAMS`] with the reason [`BAD_CURSOR`].
    pub fn bad_cursor(message: impl Into<String>) -> Self {
        Self::invalid_params(BAD_CURSOR, message).path("cursor")
    }

    /// [`OVERLOADED`]; the same request can work after `retry_after`.
    pub fn overloaded(
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        Self::new(OVERLOADED, reason, message).with(|data| data.retry_after_ms = Some(millis))
    }

    /// The time after which the same request can work, if the error names one.
    pub fn retry_after(&self) -> Option<Duration> {
        self.data.as_ref()?.retry_after_ms.map(Duration::from_millis)
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        let hint = hint.into();
        self.with(|data| data.hint = Some(hint))
    }

    /// The same error as the answer of `method`: two sentences of the peer depend on the method.
    pub fn answered_by(&self, method: &str) -> Cow<'_, Self> {
        let id = self.data.as_ref().and_then(|data| data.thread_id);
        match (self.reason(), id) {
            (THREAD_NOT_FOUND | NOT_LOADED, Some(id)) => {
                Cow::Owned(Self { message: missing::sentence(method, id), ..self.clone() })
            }
            (EMPTY_SEARCH, _) => {
                let message = format!("{method} requires a non-empty searchTerm");
                Cow::Owned(Self { message, ..self.clone() })
            }
            _other => Cow::Borrowed(self),
        }
    }

    /// Adds the thread.
    #[must_use]
    pub fn thread(self, id: ThreadId) -> Self {
        self.with(|data| data.thread_id = Some(id))
    }

    /// Adds the turn.
    #[must_use]
    pub fn turn(self, id: impl Into<TurnId>) -> Self {
        let id = id.into();
        self.with(|data| data.turn_id = Some(id))
    }

    /// Adds the running turn.
    #[must_use]
    pub fn active_turn(self, id: impl Into<TurnId>) -> Self {
        let id = id.into();
        self.with(|data| data.active_turn_id = Some(id))
    }

    /// Adds the item.
    #[must_use]
    pub fn item(self, id: impl Into<ItemId>) -> Self {
        let id = id.into();
        self.with(|data| data.item_id = Some(id))
    }

    /// Adds the helper.
    #[must_use]
    pub fn server(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|data| data.server = Some(name))
    }

    /// Adds the tool.
    #[must_use]
    pub fn tool(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|data| data.tool = Some(name))
    }

    /// Adds the method, cut if it is long.
    #[must_use]
    pub fn method(self, name: &str) -> Self {
        let name = name.chars().take(METHOD_LIMIT).collect();
        self.with(|data| data.method = Some(name))
    }

    /// Adds the field, as a path from `params`.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.with(|data| data.path = Some(path))
    }

    /// Adds the member that needs more access, as a path from `params`.
    #[must_use]
    pub fn field(self, field: impl Into<String>) -> Self {
        let field = field.into();
        self.with(|data| data.field = Some(field))
    }

    /// Adds the kind of a turn's error.
    #[must_use]
    pub fn turn_error(self, info: CodexErrorInfo) -> Self {
        let message = self.message.clone();
        self.with(|data| (data.codex_error_info, data.message) = (Some(info), Some(message)))
    }

    /// Adds the read state.
    #[must_use]
    pub fn read_state(self, state: ThreadReadState) -> Self {
        self.with(|data| data.read_state = Some(state))
    }

    /// The stable word of this error; empty if a peer sent none.
    pub fn reason(&self) -> &str {
        self.data.as_ref().map_or("", |data| &data.reason)
    }

    /// The thread, if another server has it.
    pub fn thread_of_other_server(&self) -> Option<ThreadId> {
        let data = self.data.as_ref().filter(|data| data.reason == OWNER_UNREACHABLE)?;
        data.thread_id
    }

    fn shown_hint(&self) -> String {
        let hint = self.data.as_ref().and_then(|data| data.hint.as_deref());
        hint.map(|hint| format!("; {hint}")).unwrap_or_default()
    }

    fn with(mut self, change: impl FnOnce(&mut ErrorData)) -> Self {
        change(self.data.get_or_insert_default());
        self
    }
}
