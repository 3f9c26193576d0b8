//! What can go wrong with a request to a model, told so that its user can act on it. What others have said may have secrets in
//! it until [`Fault::shown`] has taken them out.

use std::time::Duration;

use skein_base::web;
use skein_protocol::turn::CodexErrorInfo;

use super::about::About;
use super::form::{Stopped, Wrong};
use super::retry::{self, Pace, Phase, Retries, Retry};
use super::said::Said;
use crate::ProviderError;
use crate::policy;

/// Why a request got no answer, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Nobody is there.
    #[error("{0}")]
    Unreachable(String),
    /// They cannot be trusted, or speak no TLS.
    #[error("{0}")]
    Tls(String),
    /// The connection ended in the middle.
    #[error("{0}")]
    Broke(String),
    /// The stream ended before the answer did.
    #[error("it ended before the answer did")]
    Cut,
    /// Nothing came for so long.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// It sends us elsewhere.
    #[error("it redirects to {0}")]
    Moved(String),
    /// An answer that is no success.
    #[error("{}", .said.message)]
    Refused {
        /// What it says.
        said: Said,
        /// How long it wants us to wait.
        wait: Option<Duration>,
    },
    /// A success that is no stream of events: its kind, and the beginning.
    #[error("it answered with {0}")]
    NoEvents(String),
    /// What ended the answer in its stream.
    #[error("it did not end well")]
    Wrong(Wrong),
}

/// Who was asked, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// The provider's key in the settings.
    pub(crate) id: String,
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// The model.
    pub(crate) model: String,
    /// The variable with the key.
    pub(crate) env_key: Option<String>,
    /// The bound of an answer, in tokens.
    pub(crate) max_output_tokens: Option<u32>,
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Cut => Self::Cut,
            Wrong::Said(_) | Wrong::Garbage(_) | Wrong::TooLong | Wrong::Stopped(_) => Self::Wrong(wrong),
        }
    }
}

impl Fault {
    /// A request that failed before, or while, its answer came.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let why = if error.is_timeout() { "it took too long".to_owned() } else { web::root(error) };
        match web::tls(error) {
            Some(said) if web::is_lasting(said) => Self::Tls(said.to_string()),
            _ if error.is_connect() => Self::Unreachable(why),
            _ => Self::Broke(why),
        }
    }

    /// The same with what others have said made fit to be shown.
    pub(crate) fn shown(mut self, show: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Unreachable(text) | Self::Tls(text) | Self::Broke(text) | Self::Moved(text) => {
                *text = show(text)
            }
            Self::NoEvents(text) | Self::Wrong(Wrong::Garbage(text)) => *text = show(text),
            Self::Refused { said, .. } | Self::Wrong(Wrong::Said(said)) => {
                said.settle();
                said.message = show(&said.message);
                said.words.iter_mut().for_each(|word| *word = show(word));
            }
            Self::Cut | Self::Silent(_) | Self::Wrong(Wrong::TooLong | Wrong::Stopped(_) | Wrong::Cut) => {}
        }
        self
    }

    /// Whether the same request may be answered later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broke(_) | Self::Cut | Self::Silent(_) => true,
            Self::Refused { said, .. } | Self::Wrong(Wrong::Said(said)) => said.about().may_pass(),
            Self::Wrong(Wrong::Garbage(_) | Wrong::Cut) => true,
            Self::Tls(_)
            | Self::Moved(_)
            | Self::NoEvents(_)
            | Self::Wrong(Wrong::TooLong | Wrong::Stopped(_)) => false,
        }
    }

    /// The next try; `None` when there is none.
    pub(crate) fn retry(&self, phase: Phase, retries: &mut Retries) -> Option<Retry> {
        let pace = if self.about() == Some(About::Rate) { Pace::RateLimit } else { Pace::Usual };
        self.may_pass().then(|| retries.next(phase, pace, self.asked(), retry::dice())).flatten()
    }

    /// What a user can do about what may pass, once it is not tried again.
    fn advice(&self) -> Option<String> {
        let wait = self.asked().filter(|wait| *wait > policy::MODEL_RETRY_AFTER_MOST);
        match (self.about()?, wait) {
            (About::Rate, Some(wait)) => Some(format!("try again in {}", words(wait))),
            (About::Rate | About::Load | About::Server, _) => Some("try again later".to_owned()),
            (
                About::Key | About::Forbidden | About::Quota | About::Context | About::Model | About::Request,
                _,
            ) => None,
        }
    }

    /// The provider's own word, where there is one.
    fn said(&self) -> Option<&Said> {
        match self {
            Self::Refused { said, .. } | Self::Wrong(Wrong::Said(said)) => Some(said),
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Broke(_)
            | Self::Cut
            | Self::Silent(_)
            | Self::Moved(_)
            | Self::NoEvents(_)
            | Self::Wrong(Wrong::Garbage(_) | Wrong::TooLong | Wrong::Stopped(_) | Wrong::Cut) => None,
        }
    }

    fn about(&self) -> Option<About> {
        self.said().map(Said::about)
    }

    /// That it is tried again, in the peer's words, which clients know. What went wrong stands in the details.
    pub(crate) fn reconnecting(&self, who: &Who, retry: &Retry) -> ProviderError {
        let Retry { wait, number, of } = retry;
        let mut message = format!("Reconnecting... {number}/{of}");
        let info = match (self.about(), self.info(0)) {
            (Some(About::Rate), info) => {
                message = format!("{message} (waiting {} for the rate limit)", words(*wait));
                info
            }
            (Some(About::Server), _) => {
                let http_status_code = self.said().and_then(|said| said.status);
                CodexErrorInfo::ResponseStreamDisconnected { http_status_code }
            }
            (_, info) => info,
        };
        ProviderError { message, info: Some(info), details: Some(self.message(who)), stopped: None }
    }

    /// How long the provider wants us to wait: by its headers, or in its words.
    fn asked(&self) -> Option<Duration> {
        let in_headers = if let Self::Refused { wait, .. } = self { *wait } else { None };
        in_headers.or_else(|| self.said().and_then(Said::asked))
    }

    /// For the user and for programs. `again`: how often it was tried again.
    pub(crate) fn told(&self, who: &Who, again: u32) -> ProviderError {
        let advice = self.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        let message = format!("{}{advice}", self.message(who));
        let tries = match again {
            0 => String::new(),
            1 => "; it was tried again once".to_owned(),
            _ => format!("; it was tried again {again} times"),
        };
        let message = if self.may_pass() { format!("{message}{tries}") } else { message };
        ProviderError {
            message,
            info: Some(self.info(again)),
            details: self.details(),
            stopped: self.stopped(),
        }
    }

    fn stopped(&self) -> Option<Stopped> {
        if let Self::Wrong(Wrong::Stopped(why)) = self { Some(*why) } else { None }
    }

    fn info(&self, again: u32) -> CodexErrorInfo {
        let http_status_code = None;
        match self {
            Self::Unreachable(_) | Self::Tls(_) => CodexErrorInfo::HttpConnectionFailed { http_status_code },
            Self::Broke(_)
            | Self::Cut
            | Self::Silent(_)
            | Self::Wrong(Wrong::Garbage(_) | Wrong::TooLong | Wrong::Cut) => {
                CodexErrorInfo::ResponseStreamDisconnected { http_status_code }
            }
            Self::Moved(_) | Self::NoEvents(_) => CodexErrorInfo::BadRequest,
            Self::Refused { said, .. } | Self::Wrong(Wrong::Said(said)) => {
                if said.about() == About::Server && again > 0 {
                    return CodexErrorInfo::ResponseTooManyFailedAttempts { http_status_code: said.status };
                }
                said.about().info(said.status)
            }
            Self::Wrong(Wrong::Stopped(Stopped::Context)) => CodexErrorInfo::ContextWindowExceeded,
            Self::Wrong(Wrong::Stopped(_)) => CodexErrorInfo::Other,
        }
    }

    /// What the provider said itself.
    fn details(&self) -> Option<String> {
        let text = match self {
            Self::Refused { said, .. } | Self::Wrong(Wrong::Said(said)) => {
                let status = said.status.map(|status| format!("HTTP {status}"));
                let words = (!said.words.is_empty()).then(|| said.words.join(", "));
                let message = Some(said.message.clone()).filter(|message| !message.is_empty());
                [status, words, message].into_iter().flatten().collect::<Vec<_>>().join(": ")
            }
            Self::NoEvents(what) | Self::Wrong(Wrong::Garbage(what)) => what.clone(),
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Broke(_)
            | Self::Cut
            | Self::Silent(_)
            | Self::Moved(_) => String::new(),
            Self::Wrong(Wrong::TooLong | Wrong::Stopped(_) | Wrong::Cut) => String::new(),
        };
        Some(text).filter(|text| !text.is_empty())
    }

    fn message(&self, who: &Who) -> String {
        let Who { id, origin, .. } = who;
        match self {
            Self::Unreachable(why) => format!(
                "cannot connect to {origin}, the address of model provider {id}: {why}; look whether it runs and whether model_providers.{id}.base_url is right"
            ),
            Self::Tls(why) => {
                format!("cannot connect to {origin}, the address of model provider {id}: {why}")
            }
            Self::Broke(why) => format!("the connection to {origin} broke: {why}"),
            Self::Cut | Self::Wrong(Wrong::Cut) => {
                format!("the stream from {origin} ended before the answer did")
            }
            Self::Silent(wait) => format!(
                "{origin} has sent nothing for {}; a model that needs longer gets it by model_providers.{id}.stream_idle_timeout_ms",
                words(*wait)
            ),
            Self::Moved(to) => format!(
                "{origin} redirects to {to}, and requests with their keys are not sent on to others; name that address in model_providers.{id}.base_url"
            ),
            Self::NoEvents(_) => format!(
                "{origin} answered, but with no stream of events; look whether model_providers.{id}.base_url and wire_api are right"
            ),
            Self::Refused { said, .. } | Self::Wrong(Wrong::Said(said)) => refused(said, who),
            Self::Wrong(Wrong::Garbage(_)) => {
                format!(
                    "{origin} sent something in its stream that cannot be read; look whether model_providers.{id}.wire_api is right"
                )
            }
            Self::Wrong(Wrong::TooLong) => format!("{origin} sent more than is taken"),
            Self::Wrong(Wrong::Stopped(why)) => stopped(*why, who),
        }
    }
}

fn refused(said: &Said, who: &Who) -> String {
    let Who { id, origin, model, env_key, .. } = who;
    let status = said.status.map(|status| format!(" ({status})")).unwrap_or_default();
    let what = if said.message.is_empty() { String::new() } else { format!(": {}", said.message) };
    match (said.about(), env_key) {
        (About::Key, Some(key)) => format!(
            "the key in {key} was refused{status} by {origin}{what}; set {key} in the server's environment to a key that is valid there"
        ),
        (About::Key, None) => format!(
            "{origin} wants a key{status}{what}; name the variable of the server's environment that has it by model_providers.{id}.env_key"
        ),
        (About::Forbidden, _) => {
            format!(
                "{origin} does not allow this{status}{what}; look whether the account there may use {model}"
            )
        }
        (About::Quota, _) => {
            format!("what is paid for at {origin} is used up{status}{what}; look at the account there")
        }
        (About::Rate, _) => format!("{origin} takes no more requests for now{status}{what}"),
        (About::Load, _) => format!("{origin} has too much to do{status}{what}"),
        (About::Context, _) => {
            format!(
                "the conversation is too long for {model}{status}{what}; begin a new thread, or let this one be compacted"
            )
        }
        (About::Model, _) => {
            format!("model provider {id} has no model {model}{status}{what}; choose one that it has")
        }
        (About::Request, _) if said.status == Some(404) => {
            format!(
                "{origin} does not know the address{status}{what}; look whether model_providers.{id}.base_url and wire_api are right"
            )
        }
        (About::Request, _) => format!("{origin} refused the request{status}{what}"),
        (About::Server, _) => format!("{origin} has failed{status}{what}"),
    }
}

fn stopped(why: Stopped, who: &Who) -> String {
    let Who { id, model, max_output_tokens, .. } = who;
    match why {
        Stopped::Length => {
            let most = max_output_tokens.map(|most| format!(" of {most} tokens")).unwrap_or_default();
            format!(
                "the answer is cut off: it has reached its limit{most}; ask the model to go on, or set model_providers.{id}.max_output_tokens higher"
            )
        }
        Stopped::Filter => {
            "the answer is cut off: a content filter of the provider has ended it; ask in other words"
                .to_owned()
        }
        Stopped::Refusal => format!("{model} refused to answer; ask in other words, or another model"),
        Stopped::Context => {
            format!(
                "the answer is cut off: the conversation is too long for {model}; begin a new thread, or let this one be compacted"
            )
        }
    }
}

/// For people.
fn words(wait: Duration) -> String {
    match wait.as_secs() {
        0 => format!("{} ms", wait.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}
