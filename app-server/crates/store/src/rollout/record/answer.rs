//! What a provider said of the calls of one answer, beside their items: a later turn sends the answer in the same words.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skein_protocol::ids::{ItemId, TurnId};

/// `model.answer`: an answer that calls tools, or has a plan, in its order. Clients are not told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelAnswer {
    /// The turn.
    pub turn_id: TurnId,
    /// The provider. Its own forms go back to this one only.
    pub provider: String,
    /// The model, for the same reason.
    pub model: String,
    /// The pieces of the answer.
    #[serde(rename = "said")]
    pub parts: Vec<AnswerPart>,
    /// The message of the user that cut the answer short: the answer stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_by: Option<ItemId>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum AnswerPart {
    /// A text.
    #[serde(rename_all = "camelCase")]
    Text {
        /// The message with the text.
        item_id: ItemId,
    },
    /// A text with a plan in it, with the tags around that.
    #[serde(rename_all = "camelCase")]
    Raw {
        /// What the model wrote.
        text: String,
        /// The items that show it: the plan, and the message beside it.
        item_ids: Vec<ItemId>,
    },
    /// A thought.
    #[serde(rename_all = "camelCase")]
    Thought {
        /// In the provider's own form.
        own_form: Value,
    },
    /// A call.
    Call(Box<AnsweredCall>),
}

/// A call as the model wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredCall {
    /// The call's item, which has its result. None for a call that could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
    /// Why the call could not be made: what the model read as its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The provider's id for it.
    pub id: String,
    /// The tool, by the name that the model was offered.
    pub name: String,
    /// The arguments, byte for byte.
    pub arguments: String,
    /// Members that only the provider knows, such as signatures.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub more: Map<String, Value>,
}
