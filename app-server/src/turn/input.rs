//! What the user said, for the model.

use skein_protocol::turn::UserInput;

use crate::provider::{Content, Entry};

/// What the user said, for the model.
pub(super) fn entry(input: &[UserInput]) -> Entry {
    let texts = input.iter().filter_map(UserInput::as_text);
    Entry::User(texts.map(|text| Content::Text(text.to_owned())).collect())
}
