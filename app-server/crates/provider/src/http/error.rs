//! Errors of a request to a model, worded so that the user can act. Texts of others may contain secrets until
//! [`ModelError::shown`] has masked them.

use std::time::Duration;

use skein_base::web;
use skein_protocol::turn::CodexErrorInfo;

use super::form::{Stopped, StreamError};
use super::kind::ErrorKind;
use super::report::ErrorReport;
use super::retry::{self, Retries, Retry, RetryPace, RetryPhase};
use crate::{ProviderError, policy};

/// Why a request got no answer, or only a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("{0}")]
    Unreachable(String),
    /// The certificate is not trusted, or the server speaks no TLS.
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Broke(String),
    /// The stream ended early.
    #[error("it ended before the answer did")]
    Cut,
    /// No bytes arrived for this long.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// A redirect to another server.
    #[error("it redirects to {0}")]
    Moved(String),
    /// A status that is not a success.
    #[error("{}", .report.message)]
    Refused {
        report: ErrorReport,
        /// The wait that the provider asks for.
        wait: Option<Duration>,
    },
    /// A success without an event stream: its content type and beginning.
    #[error("it answered with {0}")]
    NoEvents(String),
    /// An error inside the stream.
    #[error("it did not end well")]
    Stream(StreamError),
}

/// The provider that was asked, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskedModel {
    /// The provider's key in the settings.
    pub(crate) id: String,
    /// Scheme, host and port.
    pub(crate) origin: String,
    pub(crate) model: String,
    /// The variable that holds the key.
    pub(crate) env_key: Option<String>,
    /// The limit of an answer, in tokens.
    pub(crate) max_output_tokens: Option<u32>,
}

impl From<StreamError> for ModelError {
    fn from(wrong: StreamError) -> Self {
        match wrong {
            StreamError::Cut => Self::Cut,
            StreamError::Reported(_)
            | StreamError::Garbage(_)
            | StreamError::TooLong
            | StreamError::Stopped(_) => Self::Stream(wrong),
        }
    }
}

impl ModelError {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let why = if error.is_timeout() { "it took too long".to_owned() } else { web::root(error) };
        match web::tls(error) {
            Some(report) if web::is_lasting(report) => Self::Tls(report.to_string()),
            _ if error.is_connect() => Self::Unreachable(why),
            _ => Self::Broke(why),
        }
    }

    /// Masks secrets in the texts of others.
    pub(crate) fn shown(mut self, show: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Unreachable(text) | Self::Tls(text) | Self::Broke(text) | Self::Moved(text) => {
                *text = show(text)
            }
            Self::NoEvents(text) | Self::Stream(StreamError::Garbage(text)) => *text = show(text),
            Self::Refused { report, .. } | Self::Stream(StreamError::Reported(report)) => {
                report.settle();
                report.message = show(&report.message);
                report.words.iter_mut().for_each(|word| *word = show(word));
            }
            Self::Cut
            | Self::Silent(_)
            | Self::Stream(StreamError::TooLong | StreamError::Stopped(_) | StreamError::Cut) => {}
        }
        self
    }

    /// Whether the same request may succeed later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broke(_) | Self::Cut | Self::Silent(_) => true,
            Self::Refused { report, .. } | Self::Stream(StreamError::Reported(report)) => {
                report.about().may_pass()
            }
            Self::Stream(StreamError::Garbage(_) | StreamError::Cut) => true,
            Self::Tls(_)
            | Self::Moved(_)
            | Self::NoEvents(_)
            | Self::Stream(StreamError::TooLong | StreamError::Stopped(_)) => false,
        }
    }

    /// The next try; `None` if there is none.
    pub(crate) fn retry(&self, phase: RetryPhase, retries: &mut Retries) -> Option<Retry> {
        let pace =
            if self.about() == Some(ErrorKind::Rate) { RetryPace::RateLimit } else { RetryPace::Usual };
        self.may_pass().then(|| retries.next(phase, pace, self.asked(), retry::dice())).flatten()
    }

    /// Advice for a temporary error that is no longer retried.
    fn advice(&self) -> Option<String> {
        let wait = self.asked().filter(|wait| *wait > policy::MODEL_RETRY_AFTER_MOST);
        match (self.about()?, wait) {
            (ErrorKind::Rate, Some(wait)) => Some(format!("try again in {}", words(wait))),
            (ErrorKind::Rate | ErrorKind::Load | ErrorKind::Server, _) => Some("try again later".to_owned()),
            (
                ErrorKind::Key
                | ErrorKind::Forbidden
                | ErrorKind::Quota
                | ErrorKind::Context
                | ErrorKind::Model
                | ErrorKind::Request,
                _,
            ) => None,
        }
    }

    /// The provider's own report, if there is one.
    fn report(&self) -> Option<&ErrorReport> {
        match self {
            Self::Refused { report, .. } | Self::Stream(StreamError::Reported(report)) => Some(report),
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Broke(_)
            | Self::Cut
            | Self::Silent(_)
            | Self::Moved(_)
            | Self::NoEvents(_)
            | Self::Stream(
                StreamError::Garbage(_) | StreamError::TooLong | StreamError::Stopped(_) | StreamError::Cut,
            ) => None,
        }
    }

    fn about(&self) -> Option<ErrorKind> {
        self.report().map(ErrorReport::about)
    }

    /// The notice of a retry, in the peer's words, which clients compare. The details hold the cause.
    pub(crate) fn reconnecting(&self, asked: &AskedModel, retry: &Retry) -> ProviderError {
        let Retry { wait, number, of } = retry;
        let mut message = format!("Reconnecting... {number}/{of}");
        let info = match (self.about(), self.info(0)) {
            (Some(ErrorKind::Rate), info) => {
                message = format!("{message} (waiting {} for the rate limit)", words(*wait));
                info
            }
            (Some(ErrorKind::Server), _) => {
                let http_status_code = self.report().and_then(|report| report.status);
                CodexErrorInfo::ResponseStreamDisconnected { http_status_code }
            }
            (_, info) => info,
        };
        let details = Some(self.message(asked));
        ProviderError { message, info: Some(info), details, stopped: None, wait: Some(*wait) }
    }

    /// The wait that the provider asks for, in headers or in its text.
    fn asked(&self) -> Option<Duration> {
        let in_headers = if let Self::Refused { wait, .. } = self { *wait } else { None };
        in_headers.or_else(|| self.report().and_then(ErrorReport::asked))
    }

    /// The error for users and programs. `again` counts the retries so far.
    pub(crate) fn for_user(&self, asked: &AskedModel, again: u32) -> ProviderError {
        let advice = self.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        let message = format!("{}{advice}", self.message(asked));
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
            wait: None,
        }
    }

    fn stopped(&self) -> Option<Stopped> {
        if let Self::Stream(StreamError::Stopped(why)) = self { Some(*why) } else { None }
    }

    fn info(&self, again: u32) -> CodexErrorInfo {
        let http_status_code = None;
        match self {
            Self::Unreachable(_) | Self::Tls(_) => CodexErrorInfo::HttpConnectionFailed { http_status_code },
            Self::Broke(_)
            | Self::Cut
            | Self::Silent(_)
            | Self::Stream(StreamError::Garbage(_) | StreamError::TooLong | StreamError::Cut) => {
                CodexErrorInfo::ResponseStreamDisconnected { http_status_code }
            }
            Self::Moved(_) | Self::NoEvents(_) => CodexErrorInfo::BadRequest,
            Self::Refused { report, .. } | Self::Stream(StreamError::Reported(report)) => {
                if report.about() == ErrorKind::Server && again > 0 {
                    return CodexErrorInfo::ResponseTooManyFailedAttempts { http_status_code: report.status };
                }
                report.about().info(report.status)
            }
            Self::Stream(StreamError::Stopped(Stopped::Context)) => CodexErrorInfo::ContextWindowExceeded,
            Self::Stream(StreamError::Stopped(_)) => CodexErrorInfo::Other,
        }
    }

    fn details(&self) -> Option<String> {
        let text = match self {
            Self::Refused { report, .. } | Self::Stream(StreamError::Reported(report)) => {
                let status = report.status.map(|status| format!("HTTP {status}"));
                let words = (!report.words.is_empty()).then(|| report.words.join(", "));
                let message = Some(report.message.clone()).filter(|message| !message.is_empty());
                [status, words, message].into_iter().flatten().collect::<Vec<_>>().join(": ")
            }
            Self::NoEvents(what) | Self::Stream(StreamError::Garbage(what)) => what.clone(),
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Broke(_)
            | Self::Cut
            | Self::Silent(_)
            | Self::Moved(_) => String::new(),
            Self::Stream(StreamError::TooLong | StreamError::Stopped(_) | StreamError::Cut) => String::new(),
        };
        Some(text).filter(|text| !text.is_empty())
    }

    fn message(&self, asked: &AskedModel) -> String {
        let AskedModel { id, origin, .. } = asked;
        match self {
            Self::Unreachable(why) => format!(
                "cannot connect to {origin}, the address of model provider {id}: {why}; look whether it runs and whether model_providers.{id}.base_url is right"
            ),
            Self::Tls(why) => {
                format!("cannot connect to {origin}, the address of model provider {id}: {why}")
            }
            Self::Broke(why) => format!("the connection to {origin} broke: {why}"),
            Self::Cut | Self::Stream(StreamError::Cut) => {
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
            Self::Refused { report, .. } | Self::Stream(StreamError::Reported(report)) => {
                refused(report, asked)
            }
            Self::Stream(StreamError::Garbage(_)) => {
                format!(
                    "{origin} sent something in its stream that cannot be read; look whether model_providers.{id}.wire_api is right"
                )
            }
            Self::Stream(StreamError::TooLong) => format!("{origin} sent more than is taken"),
            Self::Stream(StreamError::Stopped(why)) => stopped(*why, asked),
        }
    }
}

fn refused(report: &ErrorReport, asked: &AskedModel) -> String {
    let AskedModel { id, origin, model, env_key, .. } = asked;
    let status = report.status.map(|status| format!(" ({status})")).unwrap_or_default();
    let what = if report.message.is_empty() { String::new() } else { format!(": {}", report.message) };
    match (report.about(), env_key) {
        (ErrorKind::Key, Some(key)) => format!(
            "the key in {key} was refused{status} by {origin}{what}; set {key} in the server's environment to a key that is valid there"
        ),
        (ErrorKind::Key, None) => format!(
            "{origin} wants a key{status}{what}; name the variable of the server's environment that has it by model_providers.{id}.env_key"
        ),
        (ErrorKind::Forbidden, _) => {
            format!(
                "{origin} does not allow this{status}{what}; look whether the account there may use {model}"
            )
        }
        (ErrorKind::Quota, _) => {
            format!("what is paid for at {origin} is used up{status}{what}; look at the account there")
        }
        (ErrorKind::Rate, _) => format!("{origin} takes no more requests for now{status}{what}"),
        (ErrorKind::Load, _) => format!("{origin} has too much to do{status}{what}"),
        (ErrorKind::Context, _) => {
            format!(
                "the conversation is too long for {model}{status}{what}; begin a new thread, or let this one be compacted"
            )
        }
        (ErrorKind::Model, _) => {
            format!("model provider {id} has no model {model}{status}{what}; choose one that it has")
        }
        (ErrorKind::Request, _) if report.status == Some(404) => {
            format!(
                "{origin} does not know the address{status}{what}; look whether model_providers.{id}.base_url and wire_api are right"
            )
        }
        (ErrorKind::Request, _) => format!("{origin} refused the request{status}{what}"),
        (ErrorKind::Server, _) => format!("{origin} has failed{status}{what}"),
    }
}

fn stopped(why: Stopped, asked: &AskedModel) -> String {
    let AskedModel { id, model, max_output_tokens, .. } = asked;
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

fn words(wait: Duration) -> String {
    match wait.as_secs() {
        0 => format!("{} ms", wait.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}
