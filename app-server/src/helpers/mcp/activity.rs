//! Who waits for a helper: its outstanding calls are counted here, and can be ended here.

use rmcp::model::{ClientRequest, PingRequest};
use rmcp::service::ServiceError;
use tokio::sync::watch;

use super::{Outstanding, Session};

/// The outstanding calls of one session.
#[derive(Debug)]
pub struct Activity {
    calls: watch::Sender<usize>,
    /// How often all of them were ended.
    given_up: watch::Sender<u64>,
}

/// A call that is outstanding until this is dropped.
#[derive(Debug)]
pub struct Underway<'a> {
    activity: &'a Activity,
    given_up: watch::Receiver<u64>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { calls: watch::Sender::new(0), given_up: watch::Sender::new(0) }
    }
}

impl Activity {
    /// One more call.
    pub fn begin(&self) -> Underway<'_> {
        self.calls.send_modify(|calls| *calls += 1);
        Underway { activity: self, given_up: self.given_up.subscribe() }
    }
}

impl Underway<'_> {
    /// Until all calls are ended because the helper shows no life.
    pub async fn given_up(&mut self) {
        // The sender lives as long as the reference to it.
        let _ = self.given_up.changed().await;
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.activity.calls.send_modify(|calls| *calls = calls.saturating_sub(1));
    }
}

impl Session {
    /// How many calls are outstanding, as that goes on.
    pub fn outstanding(&self) -> watch::Receiver<usize> {
        self.activity.calls.subscribe()
    }

    /// Ends all outstanding calls; the helper is told.
    pub fn give_up_calls(&self) {
        self.activity.given_up.send_modify(|times| *times += 1);
    }

    /// Whether it has answered, if only with an error. Takes as long as the helper does; dropped, the helper is told that nobody
    /// waits any more.
    pub async fn ping(&self) -> bool {
        let Ok(sent) = self.send(ClientRequest::PingRequest(PingRequest::default())).await else {
            return false;
        };
        let mut outstanding = Outstanding { handle: Some(sent), tasks: &self.tasks };
        match outstanding.answer().await {
            Ok(_) | Err(ServiceError::McpError(_)) => true,
            Err(_) => false,
        }
    }
}
