//! A provider's own data about the calls of one answer, beside their items: a later turn sends the answer back
//! unchanged.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;
use skein_protocol::ids::{ItemId, TurnId};

/// `model.answer`: an answer with tool calls or a plan, in its order. It is no event for clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelAnswer {
    /// The turn.
    pub turn_id: TurnId,
    /// The provider. Its own data goes back to no other.
    pub provider: String,
    /// The model, for the same reason.
    pub model: String,
    /// The parts of the answer.
    #[serde(rename = "said")]
    pub parts: Vec<AnswerPart>,
    /// The user message that cut the answer short. The answer stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_by: Option<ItemId>,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum AnswerPart {
    /// A text.
    #[serde(rename_all = "camelCase")]
    Text {
        /// The message with the text.
        item_id: ItemId,
    },
    /// A text with a plan in it, with the plan's tags.
    #[serde(rename_all = "camelCase")]
    Raw {
        /// The model's text.
        text: String,
        /// The items of the text: the plan, and the message beside it.
        item_ids: Vec<ItemId>,
    },
    /// Reasoning.
    #[serde(rename_all = "camelCase")]
    Thought {
        /// In the provider's own form.
        own_form: Value,
    },
    /// A call.
    Call(Box<AnsweredCall>),
}

/// A call as the model wrote it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredCall {
    /// The call's item, which has its result. None for an impossible call.
    pub item_id: Option<ItemId>,
    /// The reason why the call was impossible: the model read it as the call's result.
    pub refused: Option<String>,
    /// The provider's id of the call.
    pub id: String,
    /// The tool's name, as offered to the model.
    pub name: String,
    /// The arguments, byte for byte.
    pub arguments: String,
    /// Members that only the provider understands, such as signatures.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub more: Map<String, Value>,
}
