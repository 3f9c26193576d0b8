//! The outstanding calls of a helper: counts them, and ends those that do not wait for a silent helper.

use rmcp::model::{ClientRequest, PingRequest};
use rmcp::service::ServiceError;
use tokio::sync::watch;

use crate::mcp::{OutstandingCall, Session};
use crate::spec::OnUnresponsive;

/// The outstanding calls of one session.
#[derive(Debug)]
pub(crate) struct Activity {
    calls: watch::Sender<usize>,
    /// How often those were ended that do not wait for a silent helper.
    given_up: watch::Sender<u64>,
}

/// A call that is outstanding until this is dropped.
#[derive(Debug)]
pub(crate) struct Underway<'a> {
    activity: &'a Activity,
    /// `None`: it waits also for a silent helper.
    given_up: Option<watch::Receiver<u64>>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { calls: watch::Sender::new(0), given_up: watch::Sender::new(0) }
    }
}

impl Activity {
    /// One more call, and what its caller does about a helper that shows no life.
    pub(crate) fn begin(&self, rule: OnUnresponsive) -> Underway<'_> {
        self.calls.send_modify(|calls| *calls += 1);
        let given_up = match rule {
            OnUnresponsive::Report => None,
            OnUnresponsive::Fail | OnUnresponsive::Restart => Some(self.given_up.subscribe()),
        };
        Underway { activity: self, given_up }
    }
}

impl Underway<'_> {
    /// Until it is ended because the helper shows no life.
    pub(crate) async fn given_up(&mut self) {
        match &mut self.given_up {
            // The sender lives as long as the reference to it.
            Some(given_up) => drop(given_up.changed().await),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.activity.calls.send_modify(|calls| *calls = calls.saturating_sub(1));
    }
}

impl Session {
    /// How many calls are outstanding, as that goes on.
    pub(crate) fn outstanding(&self) -> watch::Receiver<usize> {
        self.activity.calls.subscribe()
    }

    /// Ends the outstanding calls that do not wait for a silent helper; it is told.
    pub(crate) fn give_up_calls(&self) {
        self.activity.given_up.send_modify(|times| *times += 1);
    }

    /// Whether it has answered, if only with an error. Takes as long as the helper does; dropped, the helper is told that nobody
    /// waits any more.
    pub(crate) async fn ping(&self) -> bool {
        let Ok(sent) = self.send(ClientRequest::PingRequest(PingRequest::default())).await else {
            return false;
        };
        let mut outstanding = OutstandingCall { handle: Some(sent), tasks: &self.tasks };
        match outstanding.answer().await {
            Ok(_) | Err(ServiceError::McpError(_)) => true,
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn only_calls_that_do_not_wait_for_a_silent_helper_end_with_its_silence() {
        let activity = Activity::default();
        let rules = [OnUnresponsive::Report, OnUnresponsive::Fail, OnUnresponsive::Restart];
        let mut calls = rules.map(|rule| activity.begin(rule));
        assert_eq!(*activity.calls.borrow(), 3);
        activity.given_up.send_modify(|times| *times += 1);
        let ended = calls.each_mut().map(|call| call.given_up().now_or_never().is_some());
        assert_eq!(ended, [false, true, true]);
        drop(calls);
        assert_eq!(*activity.calls.borrow(), 0);
    }
}
