//! A helper as everybody may see it, without waiting.

use std::sync::Arc;

use skein_protocol::extension::HelperState;
use skein_protocol::helper::{McpServerConnectionStatus, McpServerDetails, McpServerStatus};

use crate::counters::Count;
use crate::mcp::Session;
use crate::process::report::ExitReport;
use crate::process::table::ProcessView;
use crate::spec::HelperSpec;

/// A helper at one moment.
#[derive(Debug, Clone)]
pub(crate) struct HelperSnapshot {
    /// Where in its life it is.
    pub(crate) state: HelperState,
    pub(crate) status: McpServerStatus,
    /// The revision of MCP that is spoken with it, once that is known.
    pub(crate) protocol_version: Option<String>,
    /// Takes calls while the helper is up.
    pub(crate) session: Option<Arc<Session>>,
    /// Why it does not run, with the last lines of its stderr, or what is wrong with it.
    pub(crate) reason: Option<String>,
    /// Why the last one that ran does not any more.
    pub(crate) ended: Option<String>,
    /// It ended over who we are.
    pub(crate) unauthorized: bool,
    /// A process may be left.
    pub(crate) alive: bool,
    /// Its process, where it has or had one.
    pub(crate) view: Option<ProcessView>,
    /// How it ended, for good.
    pub(crate) over: Option<ExitReport>,
    /// How many starts have failed.
    pub(crate) failed_starts: u64,
    /// The start that is under way, or the next one, may well succeed: it is the first, or follows a life that was ready.
    pub(crate) hopeful: bool,
    /// All that it has is listed: resources are, behind its start.
    pub(crate) listed: bool,
    /// Nothing happens but that it has a connection open.
    pub(crate) waits_for_others: bool,
    /// Calls that wait for it to start, or to show life.
    pub(crate) waiting: Arc<Count>,
}

impl HelperSnapshot {
    pub(crate) fn first(spec: &HelperSpec) -> Self {
        let mut first = Self {
            state: HelperState::Disabled,
            status: spec.status(),
            protocol_version: None,
            session: None,
            reason: None,
            ended: None,
            unauthorized: false,
            alive: spec.enabled && spec.stdio().is_some(),
            view: None,
            over: (!spec.enabled).then(|| ExitReport::nothing(&spec.name)),
            failed_starts: 0,
            hopeful: true,
            listed: false,
            waits_for_others: false,
            waiting: Arc::default(),
        };
        first.is_now(if spec.enabled { HelperState::Starting } else { HelperState::Disabled });
        first
    }

    /// Whether calls are outstanding and nothing has been a sign of life for too long.
    pub(crate) fn is_unresponsive(&self) -> bool {
        self.state == HelperState::Unresponsive
    }

    /// The status with what the peer does not tell.
    pub(crate) fn shown(&self) -> McpServerStatus {
        let details = McpServerDetails {
            state: self.state,
            protocol_version: self.protocol_version.clone(),
            waiting: self.waiting.now(),
            waits_for_others: self.waits_for_others,
        };
        McpServerStatus { skein: Some(details), ..self.status.clone() }
    }

    /// Whether that is news.
    pub(super) fn is_now(&mut self, state: HelperState) -> bool {
        let news = self.state != state;
        self.state = state;
        self.status.runtime_status = Some(match state {
            HelperState::Disabled => McpServerConnectionStatus::Disabled,
            HelperState::Starting => McpServerConnectionStatus::Starting,
            HelperState::Ready | HelperState::Busy | HelperState::Unresponsive => {
                McpServerConnectionStatus::Connected
            }
            HelperState::Restarting | HelperState::Broken if self.unauthorized => {
                McpServerConnectionStatus::AuthenticationRequired
            }
            HelperState::Restarting | HelperState::Broken => McpServerConnectionStatus::Failed,
            HelperState::Stopping | HelperState::Stopped => McpServerConnectionStatus::Cancelled,
        });
        news
    }

    /// Another try begins.
    pub(super) fn starts(&mut self, spec: &HelperSpec) {
        (self.unauthorized, self.listed) = (false, false);
        self.alive = spec.stdio().is_some();
        self.is_now(HelperState::Starting);
    }

    pub(super) fn is_up(&mut self, session: Arc<Session>) {
        self.status.server_info.clone_from(&session.info);
        self.status.server_capabilities.clone_from(&session.capabilities);
        self.protocol_version = Some(session.protocol_version().to_owned());
        self.listed = !session.has_resources();
        self.session = Some(session);
        self.reason = None;
        self.is_now(HelperState::Ready);
    }

    /// It runs no more, or is made to.
    pub(super) fn ends(&mut self, state: HelperState, reason: String) {
        self.hopeful = self.session.take().is_some();
        self.waits_for_others = false;
        if state != HelperState::Stopping {
            self.failed_starts += u64::from(!self.hopeful);
            self.status.tools_error = Some(reason.clone());
        }
        self.ended = Some(reason.clone());
        self.reason = Some(reason);
        self.is_now(state);
    }

    /// Whether that is news.
    pub(super) fn waits_for_others(&mut self, waits: bool) -> bool {
        std::mem::replace(&mut self.waits_for_others, waits) != waits
    }
}
