//! The errors of a helper over HTTP, with advice for a user. Never contains a secret.

use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use skein_base::web::{is_lasting, root, tls};

use crate::policy;

/// Why a request got no answer of MCP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Nobody is there, or nobody who can be trusted.
    #[error("cannot connect to {origin}: {why}")]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// The error of the system or of TLS.
        why: String,
    },
    /// Somebody is there, and TLS cannot be spoken with them, or they are not who they should be.
    #[error("cannot connect to {origin}: {why}")]
    Tls {
        /// Scheme, host and port.
        origin: String,
        /// The error of TLS.
        why: String,
        /// The error stays until the address or the server's certificate changes.
        lasting: bool,
    },
    /// The connection ended in the middle.
    #[error("the connection to {origin} broke: {why}")]
    Broke {
        /// Scheme, host and port.
        origin: String,
        /// The error of the system.
        why: String,
    },
    /// 401 or 403.
    #[error("it answered HTTP {status}: {credentials}")]
    NotAllowed {
        /// The status.
        status: u16,
        /// Advice about the credentials.
        credentials: String,
    },
    /// There is nothing to say who we are.
    #[error("{why}")]
    NoToken {
        /// The reason, for the user: the file is missing, empty or too large.
        why: String,
    },
    /// It sends us elsewhere.
    #[error(
        "it redirects to {to}, and requests with their headers are not sent on to others; name that address in url"
    )]
    Moved {
        /// Where, without secrets.
        to: String,
    },
    /// Another status that is no success.
    #[error("it answered HTTP {status}{body}")]
    Status {
        /// The status.
        status: u16,
        /// The beginning of its answer, with a colon before it.
        body: String,
    },
    /// A success that is no answer of MCP.
    #[error("it is no MCP server, or url is not its address: {what}")]
    NotMcp {
        /// The actual answer.
        what: String,
    },
    /// More than is taken.
    #[error("it sent a message longer than {} bytes", policy::HELPER_LONGEST_LINE)]
    TooLong,
    /// We do not want any more.
    #[error("it is being ended")]
    Stopped,
}

impl Fault {
    /// A request that failed before, or while, its answer came.
    pub(crate) fn of(error: &reqwest::Error, origin: &str) -> Self {
        let why = if error.is_timeout() { "it took too long".to_owned() } else { root(error) };
        let origin = origin.to_owned();
        if let Some(body) = tls(error) {
            return Self::Tls { origin, why: body.to_string(), lasting: is_lasting(body) };
        }
        match error.is_connect() {
            true => Self::Unreachable { origin, why },
            false => Self::Broke { origin, why },
        }
    }

    /// Whether it says no more than that the server does not serve now.
    pub(crate) fn is_nobody_there(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broke { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Tls { .. }
            | Self::NotAllowed { .. }
            | Self::NoToken { .. }
            | Self::Moved { .. }
            | Self::NotMcp { .. }
            | Self::TooLong
            | Self::Stopped => false,
        }
    }

    /// Whether another question could have a better answer.
    pub(crate) fn is_of_this_question(&self) -> bool {
        match self {
            Self::NotMcp { .. } => true,
            Self::Status { status, .. } => (400..500).contains(status) && *status != 429,
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Broke { .. }
            | Self::NotAllowed { .. }
            | Self::NoToken { .. }
            | Self::Moved { .. }
            | Self::TooLong
            | Self::Stopped => false,
        }
    }
}

/// The text of a transport's error, if it is one of ours.
pub(crate) fn request_error(error: &DynamicTransportError) -> Option<String> {
    error.error.downcast_ref().map(words)
}

/// The text of rmcp's error.
pub(crate) fn words(error: &StreamableHttpError<Fault>) -> String {
    if let StreamableHttpError::Client(fault) = error {
        return fault.to_string();
    }
    if let StreamableHttpError::ReinitializationFailed(error) = error {
        return format!("it has forgotten the session, and begins no other: {}", error.message);
    }
    match matches!(error, StreamableHttpError::SessionExpired) {
        true => "it has forgotten the session".to_owned(),
        false => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As reqwest has it: each hides the next.
    fn caused_by(error: rustls::Error) -> std::io::Error {
        std::io::Error::other(std::io::Error::other(error))
    }

    #[test]
    fn who_cannot_be_trusted_is_no_server_that_is_away() {
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let why = tls(&caused_by(expired)).expect("TLS reports it").to_string();
        let untrusted = Fault::Tls { origin: "https://a.example".to_owned(), why, lasting: true };
        assert!(!untrusted.is_nobody_there() && !untrusted.is_of_this_question());
        assert!(untrusted.to_string().contains("xpired"), "{untrusted}");
        assert!(tls(&std::io::Error::other("refused")).is_none());
    }

    #[test]
    fn a_server_that_does_not_serve_now_may_later() {
        let status = |status| Fault::Status { status, body: String::new() };
        assert!(status(503).is_nobody_there() && status(429).is_nobody_there());
        assert!(!status(404).is_nobody_there() && !Fault::TooLong.is_nobody_there());
    }

    #[test]
    fn only_what_may_be_about_the_question_is_asked_in_another_way() {
        let status = |status| Fault::Status { status, body: String::new() };
        assert!(status(404).is_of_this_question() && status(400).is_of_this_question());
        assert!(!status(429).is_of_this_question() && !status(503).is_of_this_question());
        assert!(Fault::NotMcp { what: String::new() }.is_of_this_question());
        assert!(!Fault::TooLong.is_of_this_question());
    }
}
