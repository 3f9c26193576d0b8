//! Questions of a turn that its owner passes on: a permission for a call, the user's answers, the result of a client's
//! tool.

use serde_json::Value;
use skein_helpers::{DescribedTool, GivenInputs, WantedInputs};
use skein_protocol::approval::{
    DynamicToolCallResponse, ToolRequestUserInputQuestion, ToolRequestUserInputResponse,
};
use skein_protocol::ids::ItemId;
use skein_store::rollout::record::AskedTool;
use tokio::sync::oneshot;

use super::own_tools::ClientTool;

/// A question, and the item of its call. Clients know the item first.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) item: ItemId,
    pub(crate) about: About,
}

/// If the sender is dropped, the turn is over and no answer comes.
#[derive(Debug)]
pub(crate) enum About {
    Permission(Box<WantedCall>, oneshot::Sender<Permission>),
    /// A model's questions to the user. The error tells why nobody answered.
    Questions(
        Vec<ToolRequestUserInputQuestion>,
        oneshot::Sender<Result<ToolRequestUserInputResponse, String>>,
    ),
    /// The next question of the helper of this call, whose call has ended with its questions just now if there are some.
    Inputs(Option<Box<NewPause>>, oneshot::Sender<Inputs>),
    /// A call for the client. The error tells why the client did not make the call.
    ClientCall(ClientCall, oneshot::Sender<Result<DynamicToolCallResponse, String>>),
}

/// A call that has ended with questions of its helper.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewPause {
    pub(crate) server: String,
    pub(crate) described: DescribedTool,
    pub(crate) wanted: WantedInputs,
}

/// The state of a helper's questions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Inputs {
    /// One of them has ended; ask for the next.
    More,
    /// All have ended: the call may be made again, if the tool is the one that was called.
    All(Box<GivenInputs>, AskedTool),
    /// The user is not asked. The reason is for the model.
    Refused(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedCall {
    pub(crate) server: String,
    pub(crate) tool: String,
    pub(crate) arguments: Value,
    pub(crate) described: DescribedTool,
    /// The user's consent to a call of an earlier load.
    pub(crate) earlier: Option<Allowed>,
}

/// A consent of the user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Allowed {
    /// The tool that the user was asked about.
    pub(crate) tool: Option<AskedTool>,
    pub(crate) decision: Decision,
}

/// The user's decision about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Once,
    Session,
    Always,
    Declined,
    Cancelled,
}

impl Decision {
    /// The decision without what it says about later calls.
    pub(crate) fn for_one_call(self) -> Self {
        match self {
            Self::Once | Self::Session | Self::Always => Self::Once,
            Self::Declined | Self::Cancelled => self,
        }
    }
}

/// How an open call of an earlier load goes on.
#[derive(Debug)]
pub(crate) enum GoesOn {
    /// Nobody has decided about it.
    Judge,
    Allowed(Allowed),
    /// The reason is for the model.
    Refused(String),
    /// The user refused the call and ended the turn.
    Cancelled,
    Answers(ToolRequestUserInputResponse),
    ToolOutput(DynamicToolCallResponse),
    /// Its helper wants to know something first.
    Paused,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClientCall {
    pub(crate) tool: ClientTool,
    pub(crate) arguments: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permission {
    Granted,
    /// The settings decided while the user was asked: judge the call again by the new settings.
    JudgedAnew,
    /// The reason is for the model; the turn goes on.
    Refused(String),
    /// The user refused the call and ended the turn.
    Cancelled,
}
