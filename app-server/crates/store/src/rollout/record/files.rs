//! What a model reads of the files that a message names: read once, so that the past stays what it was.

use serde::{Deserialize, Serialize};
use skein_protocol::ids::{ItemId, TurnId};

/// `files.read`: the files that a user's message names, as they were when a model first read the message. Clients are not
/// told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesRead {
    /// The turn in which they were read.
    pub turn_id: TurnId,
    /// The message.
    pub item_id: ItemId,
    /// The files.
    pub files: Vec<FileRead>,
}

/// One file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// Which piece of the message names it, counted from 0.
    pub at: usize,
    /// What was found.
    #[serde(flatten)]
    pub content: FileContent,
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FileContent {
    /// A picture.
    #[serde(rename = "picture", rename_all = "camelCase")]
    Image {
        /// Its kind, such as `image/png`.
        media_type: String,
        /// Its bytes in base64 (RFC 4648, with padding).
        base64: String,
    },
    /// Nothing that a model takes.
    LeftOut {
        /// Why, for the model.
        why: String,
    },
}
