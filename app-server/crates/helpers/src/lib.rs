//! MCP servers ("helpers") and the promise that none of their processes stays behind.
//!
//! ```text
//! HelperSet (leases of one thread) ── pool ── supervisor (one task for an instance) ── MCP session over pipes, or HTTP
//!                                        │
//!                          guard monitor (one task) ══ control socket ══ guard (a process) ── helper ── its children
//! ```
//!
//! The guard is a subreaper: whatever the helper starts, however it detaches, stays below the guard until it is ended.
//! When the server dies the socket closes, and the guards end everything by themselves. When a guard dies the server,
//! a subreaper too, inherits its children and ends them.
//!
//! This room never decides when a helper is wanted, and nothing in it waits for a helper but that helper's own tasks.

mod check;
mod containment;
mod counters;
mod error;
mod helpers;
mod mcp;
pub mod policy;
mod pool;
mod process;
mod questions;
mod recovery;
mod set;
mod spec;
mod supervisor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trial;

pub use containment::levels::{self, Containment};
pub use containment::limits::{HelperLimits, Size};
pub use error::{HelperError, ProcessError};
pub use helpers::{Caller, Helpers};
pub use pool::{PoolCounts, Program};
pub use process::guard;
pub use process::host::{HostOptions, ProcessHost};
pub use process::input::HelperInput;
pub use process::report::{ExitReport, ProcessStatus};
pub use process::stages::Stage;
pub use process::start::{Pipes, ProcessTree};
pub use process::table::ProcessTable;
pub use questions::{GivenInputs, HelperQuestion, WantedInputs};
pub use recovery::startup_cleanup::{Leftovers, tagged_processes};
pub use set::{DescribedTool, HelperCall, HelperNote, HelperSet, HelperTool, Offered, TurnCallOutcome};
pub use skein_base::masks::{MASK, Secrets, masked_args, shown_args, shown_url};
pub use skein_base::system::{GuardExecutable, MISSING};
pub use spec::{ApprovalMode, HelperSpec, HttpSpec, Isolation, OnUnresponsive, StdioSpec, Transport};
pub use supervisor::HelperEvent;
