//! The ways in which helpers of the zoo behave, and how it is known that they do.

/// When a helper does what its mode is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// It has so many processes, itself included.
    Processes(usize),
    /// Some of its processes are seen, and its pipe is held: it forks faster than anybody can count.
    Forks,
    /// It has told so.
    AtIt,
    /// It was started again at least once, since it ends, or is ended by the server for what it did. What is left of its
    /// trees is ended as soon as they are seen to be gone.
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
    // These ignore SIGTERM and the end of their input too.
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
