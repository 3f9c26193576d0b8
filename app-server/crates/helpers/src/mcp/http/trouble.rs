//! The effect of an outage on the life of a helper over HTTP.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::FailureKind;
use crate::mcp::http::fault::Fault;
use crate::spec::HttpSpec;

/// The last thing that went wrong, for those whose calls it ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble {
    last: Arc<Mutex<Option<Fault>>>,
    /// The next try may have other credentials.
    renews: bool,
}

impl Trouble {
    /// Nothing is wrong yet with a helper of these settings.
    pub(crate) fn of(spec: &HttpSpec) -> Self {
        Self { renews: spec.bearer_token_file.is_some(), ..Self::default() }
    }

    /// For the user.
    pub(crate) fn why(&self) -> String {
        self.last().map_or_else(
            || "the stream of its answer ended without one".to_owned(),
            |fault| fault.to_string(),
        )
    }

    /// Whether it was about who we are.
    pub(crate) fn is_about_credentials(&self) -> bool {
        matches!(self.last(), Some(Fault::NotAllowed { .. } | Fault::NoToken { .. }))
    }

    /// Whether another try may help, after the first question got no answer.
    pub(crate) fn fault(&self) -> FailureKind {
        match self.last() {
            Some(Fault::NotAllowed { .. } | Fault::NoToken { .. }) if !self.renews => FailureKind::Permanent,
            Some(Fault::Tls { lasting: true, .. }) => FailureKind::Permanent,
            Some(fault) if fault.is_nobody_there() => FailureKind::Unreachable,
            Some(_) | None => FailureKind::Transient,
        }
    }

    pub(super) fn last(&self) -> Option<Fault> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, fault: Option<Fault>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_refuses_a_token_is_tried_again_only_if_the_token_may_be_renewed() {
        for (renews, fault) in [(false, FailureKind::Permanent), (true, FailureKind::Transient)] {
            for refused in [
                Fault::NotAllowed { status: 401, credentials: String::new() },
                Fault::NoToken { why: "the file is empty".to_owned() },
            ] {
                let trouble = Trouble { renews, ..Trouble::default() };
                trouble.note(Some(refused));
                assert_eq!(trouble.fault(), fault);
            }
        }
    }
}
