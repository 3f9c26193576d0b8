//! MCP servers ("helpers") and the promise that none of their processes stays behind.
//!
//! ```text
//! HelperSet (leases of one thread) ── pool ── supervisor (one task for an instance) ── MCP session over pipes, or HTTP
//!                                        │
//!                                 keeper (one task) ══ control socket ══ guard (a process) ── helper ── its children
//! ```
//!
//! The guard is a subreaper: whatever the helper starts, however it detaches, stays below the guard until it is ended.
//! When the server dies the socket closes, and the guards end everything by themselves. When a guard dies the server,
//! a subreaper too, inherits its children and ends them.
//!
//! This room never decides when a helper is wanted, and nothing in it waits for a helper but that helper's own tasks.

mod all;
mod census;
mod cgroup;
mod check;
mod control;
mod counters;
mod environment;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod guard;
mod host;
mod hunt;
mod input;
mod keeper;
mod life;
mod limits;
mod link;
mod liveness;
mod lookup;
mod mark;
mod mcp;
mod namespace;
mod orphans;
pub mod policy;
mod pool;
mod process;
mod questions;
mod reaper;
mod report;
mod ring;
pub mod rungs;
mod set;
mod spec;
mod stages;
mod supervisor;
mod sweep;
pub mod trial;

pub use all::Helpers;
pub use census::Census;
pub use error::{HelperError, ProcessError};
pub use host::{HostOptions, ProcessHost};
pub use input::Input;
pub use life::OnUnresponsive;
pub use limits::HelperLimits;
pub use limits::Size;
pub use pool::{PoolCounts, Program};
pub use process::{HelperProcess, Pipes};
pub use questions::HelperQuestion;
pub use reaper::reap_strangers;
pub use report::{ExitReport, Life};
pub use rungs::Containment;
pub use set::{DescribedTool, HelperCall, HelperNote, HelperSet, HelperTool, Offered};
pub use skein_base::masks::{MASK, Secrets, masked_args, shown_args, shown_url};
pub use skein_base::system::{GuardProgram, MISSING};
pub use spec::{ApprovalMode, HelperSpec, HttpSpec, Isolation, StdioSpec, Transport};
pub use stages::Stage;
pub use supervisor::HelperEvent;
pub use sweep::{Leftovers, carriers};
