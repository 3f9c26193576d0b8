//! What a turn asks of those outside, by its owner: whether a call may be made, what the user says, what a tool of the
//! client answers.

use serde_json::Value;
use skein_helpers::DescribedTool;
use skein_protocol::approval::{
    DynamicToolCallResponse, ToolRequestUserInputQuestion, ToolRequestUserInputResponse,
};
use skein_protocol::ids::ItemId;
use tokio::sync::oneshot;

use super::own_tools::ClientTool;

/// What is asked, and for which item. Clients know the item before they are asked.
#[derive(Debug)]
pub(crate) struct Asking {
    /// The call.
    pub(crate) item: ItemId,
    /// What is asked.
    pub(crate) about: About,
}

/// What is asked. An answer that is dropped never comes: the turn is over.
#[derive(Debug)]
pub(crate) enum About {
    /// Whether a helper's tool may be called.
    Permission(Box<WantedCall>, oneshot::Sender<Permission>),
    /// A model's questions to the user. The error says why nobody has answered.
    Questions(
        Vec<ToolRequestUserInputQuestion>,
        oneshot::Sender<Result<ToolRequestUserInputResponse, String>>,
    ),
    /// The call of a tool that the client carries out. The error says why nobody has.
    ClientCall(ClientCall, oneshot::Sender<Result<DynamicToolCallResponse, String>>),
}

/// A call of a helper's tool that is not made yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedCall {
    /// The helper.
    pub(crate) server: String,
    /// Its tool.
    pub(crate) tool: String,
    /// An object.
    pub(crate) arguments: Value,
    /// What is known of the tool.
    pub(crate) described: DescribedTool,
}

/// A call of a tool that the client carries out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClientCall {
    /// The tool.
    pub(crate) tool: ClientTool,
    /// An object.
    pub(crate) arguments: Value,
}

/// Whether a call may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permission {
    /// It may.
    Granted,
    /// The settings have decided while the user was asked: it is judged anew, by what they say now.
    JudgedAnew,
    /// It may not; why, for the model. The turn goes on.
    Refused(String),
    /// The user wants neither the call nor the turn.
    Cancelled,
}
