//! The texts of a turn that a search finds.

use std::borrow::Cow;

use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::turn::{Turn, UserInput};

use crate::history::DAMAGE_ID;

/// The messages of user and agent in a turn, with their texts.
pub fn message_texts(turn: &Turn) -> impl Iterator<Item = (&ThreadItem, Cow<'_, str>)> {
    turn.items.iter().filter_map(|item| Some((item, text(item)?)))
}

/// The text of a message. The stand-in for damaged records has none.
fn text(item: &ThreadItem) -> Option<Cow<'_, str>> {
    if let ThreadItemBody::UserMessage(message) = &item.body {
        let mut texts = message.content.iter().filter_map(UserInput::as_text);
        let first = texts.next()?;
        let joined = |text: String, next: &str| text + "\n" + next;
        return Some(texts.fold(Cow::Borrowed(first), |text, next| joined(text.into_owned(), next).into()));
    }
    let ThreadItemBody::AgentMessage(message) = &item.body else { return None };
    Some(Cow::Borrowed(message.text.as_str())).filter(|_| !message.id.as_str().starts_with(DAMAGE_ID))
}
