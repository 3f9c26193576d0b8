//! The messages between servers beside the frames of clients, which are JSON objects and pass unread.
//!
//! The server that dials begins with a [`LinkHello`]. The other one answers with an array: `[number, start]` for a client's link,
//! and `[number, opening]` for an observer's. Each later array is an announcement: `[number, change]`, or `[number]` for one that is not
//! for this client. An observer may ask `["silence"]`, and the answer is `["silence", ms]`. To `["folder", path]` it is
//! `["folder", path, whether it is there]`, and likewise for `["thread", id]`. That to `["pastAnswer", number of a question]` is
//! `["pastAnswer", number, answer or null]`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use skein_config::access::Admission;
use skein_protocol::ids::ThreadId;
use skein_protocol::server::InitializeParams;
use skein_protocol::thread::ThreadStatus;
use skein_store::home::Term;
use uuid::Uuid;

use crate::thread::questions::PastAnswer;

use crate::thread::catalog::RelayedChange;

/// The first message of a link, from the server that dials.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkHello {
    /// That server, as its row names it.
    pub(crate) node: Uuid,
    /// The user of the link at that server.
    pub(crate) end: HelloEnd,
}

/// The end of a link at the server that dials.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum HelloEnd {
    /// A client of that server, as if it connected here.
    Client(Box<LinkedClient>),
    /// That server itself, for the announcements to all of its clients.
    Observer(ObserverPlace),
}

/// A client of another server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkedClient {
    /// The decision of its server to let it in. It has no secret.
    pub(crate) admission: Admission,
    pub(crate) initialize: InitializeParams,
}

/// The place of an observer among the announcements of others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObserverPlace {
    /// The number of the newest announcement of each start of a server, by its catalog's epoch.
    pub(crate) seen: BTreeMap<String, u64>,
    /// Whether the server that is dialed is newer, so that all of its announcements are wanted.
    pub(crate) from_start: bool,
}

/// The answer to an observer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObserverOpening {
    /// The epoch of the catalog.
    pub(crate) epoch: String,
    /// The announcements since its place; `None` if some are no longer known.
    pub(crate) missed: Option<Vec<(u64, RelayedChange)>>,
    /// The loaded threads that are saved.
    pub(crate) loaded: Vec<(ThreadId, ThreadStatus)>,
    /// The loaded threads that are new.
    #[serde(default)]
    pub(crate) new: Vec<(ThreadId, ThreadStatus)>,
    /// The terms of the loaded threads.
    #[serde(default)]
    pub(crate) terms: Vec<(ThreadId, Term)>,
}

/// A question of an observer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerQuestion {
    /// How long the other server has not reached the database.
    Silence,
    /// Whether the other server has a folder, as a client names it.
    Folder(String),
    /// Whether the other server has loaded a thread.
    Thread(ThreadId),
    /// Which answer has settled a question to a user.
    PastAnswer(i64),
}

/// The answer to a [`PeerQuestion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerAnswer {
    /// The time without the database.
    Silence(Duration),
    /// The folder, and whether it is there.
    Folder(String, bool),
    /// The thread, and whether it is there.
    Thread(ThreadId, bool),
    /// The question, and its answer, if the other server has taken one.
    PastAnswer(i64, Option<PastAnswer>),
}

/// The word of [`PeerQuestion::Silence`].
const SILENCE: &str = "silence";

/// The word of [`PeerQuestion::Folder`].
const FOLDER: &str = "folder";

/// The word of [`PeerQuestion::Thread`].
const THREAD: &str = "thread";

/// The word of [`PeerQuestion::PastAnswer`].
const PAST_ANSWER: &str = "pastAnswer";

impl PeerQuestion {
    /// The message.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Silence => json!([SILENCE]),
            Self::Folder(path) => json!([FOLDER, path]),
            Self::Thread(id) => json!([THREAD, id]),
            Self::PastAnswer(number) => json!([PAST_ANSWER, number.to_string()]),
        }
        .to_string()
    }

    /// The question in a message. `None` for one of a later version.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let parts: Vec<String> = serde_json::from_str(text).ok()?;
        match parts.as_slice() {
            [word] if word == SILENCE => Some(Self::Silence),
            _ if cfg!(feature = "earlier") => None,
            [word, path] if word == FOLDER => Some(Self::Folder(path.clone())),
            [word, id] if word == THREAD => id.parse().ok().map(Self::Thread),
            [word, number] if word == PAST_ANSWER => number.parse().ok().map(Self::PastAnswer),
            _ => None,
        }
    }
}

impl PeerAnswer {
    /// The message.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Silence(silent) => {
                json!([SILENCE, u64::try_from(silent.as_millis()).unwrap_or(u64::MAX)])
            }
            Self::Folder(path, is_there) => json!([FOLDER, path, is_there]),
            Self::Thread(id, is_there) => json!([THREAD, id, is_there]),
            Self::PastAnswer(number, past) => json!([PAST_ANSWER, number.to_string(), past]),
        }
        .to_string()
    }

    /// The answer in a message. `None` if the message is another one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        // Almost every message is an announcement.
        if !text.starts_with("[\"") {
            return None;
        }
        let silence = || {
            let (word, ms): (String, u64) = serde_json::from_str(text).ok()?;
            (word == SILENCE).then(|| Self::Silence(Duration::from_millis(ms)))
        };
        let place = || {
            let (word, name, is_there): (String, String, bool) = serde_json::from_str(text).ok()?;
            match word.as_str() {
                FOLDER => Some(Self::Folder(name, is_there)),
                THREAD => Some(Self::Thread(name.parse().ok()?, is_there)),
                _ => None,
            }
        };
        let past = || {
            let (word, number, past): (String, String, Option<PastAnswer>) =
                serde_json::from_str(text).ok()?;
            (word == PAST_ANSWER).then_some(Self::PastAnswer(number.parse().ok()?, past))
        };
        silence().or_else(place).or_else(past)
    }

    /// Whether it is the answer to this question.
    pub(crate) fn answers(&self, question: &PeerQuestion) -> bool {
        match (self, question) {
            (Self::Silence(_), PeerQuestion::Silence) => true,
            (Self::Folder(of, _), PeerQuestion::Folder(asked)) => of == asked,
            (Self::Thread(of, _), PeerQuestion::Thread(asked)) => of == asked,
            (Self::PastAnswer(of, _), PeerQuestion::PastAnswer(asked)) => of == asked,
            (Self::Silence(_) | Self::Folder(..) | Self::Thread(..) | Self::PastAnswer(..), _) => false,
        }
    }
}

/// Whether a message is one between servers.
pub(crate) fn is_for_server(text: &str) -> bool {
    text.starts_with('[')
}

/// Reads `[number]` or `[number, rest]`.
pub(crate) fn numbered<T: DeserializeOwned>(text: &str) -> Result<(u64, Option<T>), serde_json::Error> {
    match serde_json::from_str::<(u64, T)>(text) {
        Ok((number, rest)) => Ok((number, Some(rest))),
        Err(error) => serde_json::from_str::<(u64,)>(text).map(|(number,)| (number, None)).map_err(|_| error),
    }
}

#[cfg(test)]
mod tests {
    use skein_base::clock::WallMs;

    use super::*;

    #[test]
    fn a_number_stands_alone_or_before_the_rest() {
        assert!(is_for_server("[1]") && !is_for_server("{}"));
        assert_eq!(numbered::<bool>("[1]").unwrap(), (1, None));
        assert_eq!(numbered::<bool>("[1,true]").unwrap(), (1, Some(true)));
        assert!(numbered::<bool>("[1,2]").unwrap_err().to_string().contains("expected a boolean"));
    }

    #[test]
    fn questions_and_answers_are_what_was_asked_and_answered() {
        let folder = PeerQuestion::Folder("/p/\"q\"".to_owned());
        let id = ThreadId::new(Uuid::from_u128(7));
        let thread = PeerQuestion::Thread(id);
        let past = PeerQuestion::PastAnswer(17);
        for question in [&PeerQuestion::Silence, &folder, &thread, &past] {
            assert_eq!(PeerQuestion::read(&question.text()).as_ref(), Some(question));
            assert_eq!(PeerAnswer::read(&question.text()), None);
        }
        let silence = PeerAnswer::Silence(Duration::from_secs(2));
        let answer =
            PastAnswer { client: "c".to_owned(), at: WallMs(1), result: json!({ "action": "accept" }) };
        let there = PeerAnswer::Folder("/p/\"q\"".to_owned(), true);
        for (answer, question, other) in [
            (&silence, &PeerQuestion::Silence, &folder),
            (&there, &folder, &PeerQuestion::Silence),
            (&PeerAnswer::Thread(id, false), &thread, &folder),
            (&PeerAnswer::PastAnswer(17, None), &past, &thread),
            (&PeerAnswer::PastAnswer(17, Some(answer)), &past, &folder),
        ] {
            assert_eq!(PeerAnswer::read(&answer.text()).as_ref(), Some(answer));
            assert_eq!(PeerQuestion::read(&answer.text()), None);
            assert!(answer.answers(question) && !answer.answers(other));
        }
        assert!(!there.answers(&PeerQuestion::Folder("/p".to_owned())));
        for other in
            ["[1,2]", "{}", "[\"later\"]", "[\"later\",1]", "[\"silence\",-1]", "[\"folder\",\"/p\",1]"]
        {
            assert_eq!((PeerQuestion::read(other), PeerAnswer::read(other)), (None, None), "{other}");
        }
    }
}
