//! The modes of zoo helpers, and the signs that a mode is active.

/// Sign that a helper does what its mode is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// The helper has this many processes, itself included.
    Processes(usize),
    /// Some processes are visible, and the pipe is held: it forks too fast to count.
    Forks,
    /// The helper has written the sign to its pipe.
    AtIt,
    /// The helper was started again at least once, because it exits, or the server stops it. The server ends
    /// its leftover processes as soon as it sees that the helper is gone.
    Again,
}

/// Every mode.
pub const MODES: [(&str, Up); 27] = [
    ("polite", Up::Processes(1)),
    ("ignores-term", Up::Processes(1)),
    ("ignores-eof", Up::Processes(1)),
    ("ignores-both", Up::Processes(1)),
    ("double-fork", Up::Processes(2)),
    ("own-session", Up::Processes(2)),
    ("own-group", Up::Processes(2)),
    ("no-environment", Up::Processes(2)),
    ("twenty", Up::Processes(21)),
    ("daemon", Up::Processes(2)),
    ("stopped", Up::AtIt),
    ("zombies", Up::Processes(2)),
    ("leader-ends", Up::AtIt),
    ("fork-chain", Up::Forks),
    ("fork-loop", Up::Forks),
    ("exits-at-start", Up::Again),
    ("exits-after-initialize", Up::Again),
    // These also ignore SIGTERM and the end of their input.
    ("reads-nothing", Up::AtIt),
    ("endless-line", Up::Again),
    ("huge-line", Up::Again),
    ("floods-stdout", Up::AtIt),
    ("floods-stderr", Up::AtIt),
    ("unknown-ids", Up::AtIt),
    ("double-ids", Up::AtIt),
    ("unordered-ids", Up::AtIt),
    ("asks-us", Up::AtIt),
    ("closes-stdout", Up::Again),
];
