//! The errors of helpers, with advice for a user.

use std::path::PathBuf;
use std::time::Duration;

use skein_protocol::error::WireError;

/// Why a helper, or a call of one of its tools, did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelperError {
    /// No helper of this name is configured for the thread.
    #[error("unknown MCP server '{server}'")]
    Unknown {
        /// The name that was asked for.
        server: String,
    },
    /// The configuration says `enabled = false`.
    #[error("helper {server:?} is disabled; set enabled = true for it in the configuration")]
    Disabled {
        /// The helper.
        server: String,
    },
    /// The configuration's lists of tools exclude this one.
    #[error("tool {tool:?} of helper {server:?} is not enabled; see enabled_tools and disabled_tools")]
    ToolNotEnabled {
        /// The helper.
        server: String,
        /// The tool.
        tool: String,
    },
    /// The helper does not list this tool, perhaps not any more: nobody knows what it does.
    #[error("helper {server:?} does not offer a tool {tool:?} now; the call was not made")]
    ToolNotOffered {
        /// The helper.
        server: String,
        /// The tool.
        tool: String,
    },
    /// The tool, its settings or its helper are not what the call was allowed for.
    #[error(
        "tool {tool:?} of helper {server:?} has changed since this call was allowed; the call was not made"
    )]
    ToolChanged {
        /// The helper.
        server: String,
        /// The tool.
        tool: String,
    },
    /// Arguments of a tool, and what is sent beside them, are an object or nothing.
    #[error("{what} of tool {tool:?} of helper {server:?} must be an object, got {got}")]
    BadArguments {
        /// The helper.
        server: String,
        /// The tool.
        tool: String,
        /// Which member of the request.
        what: &'static str,
        /// The actual type.
        got: &'static str,
    },
    /// It never became ready, or is not there any more. `reason` has the last lines of its stderr.
    #[error("helper {server:?} is not running: {reason}")]
    NotRunning {
        /// The helper.
        server: String,
        /// The reason.
        reason: String,
    },
    /// It ended, closed its output or wrote garbage while the call was outstanding.
    #[error("helper {server:?} ended during the call: {reason}")]
    Ended {
        /// The helper.
        server: String,
        /// The reason, with the last lines of its stderr.
        reason: String,
    },
    /// The way to a helper over HTTP failed this call; others go on.
    #[error("the call to helper {server:?} failed: {reason}")]
    Lost {
        /// The helper.
        server: String,
        /// The reason.
        reason: String,
    },
    /// The helper answered the call with an error.
    #[error("helper {server:?} answered with error {code}: {message}")]
    Refused {
        /// The helper.
        server: String,
        /// Its JSON-RPC error code.
        code: i32,
        /// Its message.
        message: String,
    },
    /// The helper wants to know something before it answers, and cannot be told.
    #[error("helper {server:?} wants to know something before it answers, and is not told: {reason}")]
    Unanswerable {
        /// The helper.
        server: String,
        /// Why not.
        reason: String,
    },
    /// The configuration limits the time of a call, and it is over; the helper was told.
    #[error(
        "tool {tool:?} of helper {server:?} has not answered within {} s, its tool_timeout_sec; \
         without that key a call takes as long as it takes", limit.as_secs_f64()
    )]
    TimedOut {
        /// The helper.
        server: String,
        /// The tool.
        tool: String,
        /// The limit.
        limit: Duration,
    },
    /// It shows no sign of life, and its `on_unresponsive` says that calls end then; it was told.
    #[error(
        "helper {server:?} has shown no sign of life for helpers.liveness, and its on_unresponsive = \"fail\" ends the \
         call; \"report\" would wait"
    )]
    Unresponsive {
        /// The helper.
        server: String,
    },
    /// The caller cancelled the call; the helper was told.
    #[error("the call to helper {server:?} was cancelled")]
    Cancelled {
        /// The helper.
        server: String,
    },
}

impl HelperError {
    /// The error as the wire says it.
    pub fn to_wire(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::Unknown { server } => WireError::invalid_params("unknownHelper", text)
                .hint("mcpServerStatus/list names those that are configured for the thread")
                .server(server),
            Self::Disabled { server } => WireError::invalid_request("helperDisabled", text).server(server),
            Self::ToolNotEnabled { server, tool } => {
                WireError::invalid_request("toolNotEnabled", text).server(server).tool(tool)
            }
            Self::ToolNotOffered { server, tool } => {
                WireError::invalid_params("toolNotOffered", text).server(server).tool(tool)
            }
            Self::ToolChanged { server, tool } => {
                WireError::invalid_request("toolChanged", text).server(server).tool(tool)
            }
            Self::BadArguments { server, tool, what, .. } => {
                WireError::invalid_params("badArguments", text).server(server).tool(tool).path(*what)
            }
            Self::TimedOut { server, tool, .. } => {
                WireError::internal("toolTimedOut", text).server(server).tool(tool)
            }
            Self::NotRunning { server, .. } => WireError::internal("helperNotRunning", text).server(server),
            Self::Ended { server, .. } => WireError::internal("helperEnded", text).server(server),
            Self::Lost { server, .. } => WireError::internal("helperLost", text).server(server),
            Self::Unanswerable { server, .. } => WireError::internal("inputRefused", text).server(server),
            Self::Unresponsive { server } => WireError::internal("helperUnresponsive", text).server(server),
            Self::Refused { server, .. } => WireError::internal("helperRefused", text).server(server),
            Self::Cancelled { server } => WireError::invalid_request("cancelled", text).server(server),
        }
    }
}

/// Whether another try may help after a failure of a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It may.
    Transient,
    /// The server of a helper over HTTP is not there. Another try helps once somebody else has repaired it, and costs little.
    Unreachable,
    /// It does not: the program is missing or not executable, or the settings are wrong.
    Permanent,
}

/// The reason why a helper process did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// The guard could not be started.
    #[error("cannot start the guard {program}: {reason}")]
    Guard {
        /// The program that is run again as the guard.
        program: PathBuf,
        /// The error of the system.
        reason: String,
    },
    /// The working directory cannot be entered.
    #[error("cannot enter the working directory {cwd:?}: {reason}")]
    WorkingDirectory {
        /// The directory.
        cwd: String,
        /// The error of the system.
        reason: String,
    },
    /// The program cannot be run.
    #[error("cannot run {command:?}: {reason}; check `command` and the helper's PATH")]
    Program {
        /// The configured command.
        command: String,
        /// The error of the system.
        reason: String,
    },
    /// A configured limit cannot be enforced.
    #[error("{key} = {value} cannot be kept: {reason}")]
    Limit {
        /// The dotted key.
        key: String,
        /// The configured value.
        value: String,
        /// The missing part, or the error of the system.
        reason: String,
    },
    /// The demanded containment is unavailable.
    #[error(
        "helpers.containment = {level:?} is demanded, and cannot be had for this helper: {reason}; \
         {level:?} needs {needs}, \"auto\" uses the best that can be had"
    )]
    Containment {
        /// The demanded isolation level.
        level: &'static str,
        /// The requirements of the level.
        needs: &'static str,
        /// The error of the system.
        reason: String,
    },
}
