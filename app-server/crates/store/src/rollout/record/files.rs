//! Contents of files that a message names, as a model first read them. One read keeps the past stable.

use serde::{Deserialize, Serialize};
use skein_protocol::ids::{ItemId, TurnId};

/// `files.read`: the files of a user's message, as they were when a model first read the message. It is no event for
/// clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesRead {
    /// The turn of the read.
    pub turn_id: TurnId,
    /// The message.
    pub item_id: ItemId,
    /// The files.
    pub files: Vec<FileRead>,
}

/// One file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// The index of the message part that names it, from 0.
    pub at: usize,
    /// Its content.
    #[serde(flatten)]
    pub content: FileContent,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FileContent {
    /// An image.
    #[serde(rename = "picture", rename_all = "camelCase")]
    Image {
        /// Its media type, such as `image/png`.
        media_type: String,
        /// Its bytes in base64 (RFC 4648, with padding).
        base64: String,
    },
    /// No content that a model takes.
    LeftOut {
        /// The reason, for the model.
        why: String,
    },
}
