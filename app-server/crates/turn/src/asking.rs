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
pub struct Asking {
    /// The item of the call.
    pub item: ItemId,
    /// The question.
    pub about: About,
}

/// If the sender is dropped, the turn is over and no answer comes.
#[derive(Debug)]
pub enum About {
    /// May a helper's tool be called?
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
pub struct NewPause {
    /// The helper's name.
    pub server: String,
    /// The tool as it was called.
    pub described: DescribedTool,
    /// The questions.
    pub wanted: WantedInputs,
}

/// The state of a helper's questions.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// One of them has ended; ask for the next.
    More,
    /// All have ended: the call may be made again, if the tool is the one that was called.
    All(Box<GivenInputs>, AskedTool),
    /// The user is not asked. The reason is for the model.
    Refused(String),
}

/// A call that the model wants, for the user's judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedCall {
    /// The helper's name.
    pub server: String,
    /// The tool's name at its helper.
    pub tool: String,
    /// Its arguments, as the model wrote them.
    pub arguments: Value,
    /// The tool as its helper lists it.
    pub described: DescribedTool,
    /// The user's consent to a call of an earlier load.
    pub earlier: Option<Allowed>,
}

/// A consent of the user.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed {
    /// The tool that the user was asked about.
    pub tool: Option<AskedTool>,
    /// How far the consent goes.
    pub decision: Decision,
}

/// The user's decision about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes, for this call.
    Once,
    /// Yes, until the thread is unloaded.
    Session,
    /// Yes, and the settings keep it.
    Always,
    /// No; the turn goes on.
    Declined,
    /// No, and the turn ends.
    Cancelled,
}

impl Decision {
    /// The decision without what it says about later calls.
    pub fn for_one_call(self) -> Self {
        match self {
            Self::Once | Self::Session | Self::Always => Self::Once,
            Self::Declined | Self::Cancelled => self,
        }
    }
}

/// How an open call of an earlier load goes on.
#[derive(Debug)]
pub enum GoesOn {
    /// Nobody has decided about it.
    Judge,
    /// The user allowed it.
    Allowed(Allowed),
    /// The reason is for the model.
    Refused(String),
    /// The user refused the call and ended the turn.
    Cancelled,
    /// The user answered the model's questions.
    Answers(ToolRequestUserInputResponse),
    /// The client made the call.
    ToolOutput(DynamicToolCallResponse),
    /// Its helper wants to know something first.
    Paused,
}

/// A call of a tool that the client brought.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCall {
    /// The tool.
    pub tool: ClientTool,
    /// Its arguments, as the model wrote them.
    pub arguments: Value,
}

/// The answer about one call of a helper's tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Make the call.
    Granted,
    /// The settings decided while the user was asked: judge the call again by the new settings.
    JudgedAnew,
    /// The reason is for the model; the turn goes on.
    Refused(String),
    /// The user refused the call and ended the turn.
    Cancelled,
}
