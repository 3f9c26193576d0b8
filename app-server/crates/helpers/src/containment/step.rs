//! The steps that turn a forked child into the helper, how one of them fails, and how the helper's main process ends.

use std::{fmt, io};

use nix::libc;

/// A step of turning a forked child into the helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Entering the cgroup; when it fails the helper runs without one, unless it is forced.
    Cgroup,
    /// Making the PID namespace.
    Namespace,
    /// Descriptors, session, signals.
    Prepare,
    /// Limiting its memory.
    Memory,
    /// Limiting its open files.
    Files,
    /// Setting its nice value.
    Nice,
    /// Entering the working directory.
    WorkingDirectory,
    /// Running the program.
    Program,
}

impl Step {
    /// Every step, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Cgroup,
        Self::Namespace,
        Self::Prepare,
        Self::Memory,
        Self::Files,
        Self::Nice,
        Self::WorkingDirectory,
        Self::Program,
    ];

    /// The word for the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Namespace => "namespace",
            Self::Prepare => "prepare",
            Self::Memory => "memory",
            Self::Files => "files",
            Self::Nice => "nice",
            Self::WorkingDirectory => "cwd",
            Self::Program => "program",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.word() == word)
    }
}

/// How the helper's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(known) => f.write_str(known.as_str()),
                Err(_) => write!(f, "signal {signal}"),
            },
        }
    }
}

/// A failed step, as the forked child writes it to the guard's pipe.
pub(crate) struct StepFailure {
    pub(crate) step: Step,
    pub(crate) errno: i32,
}

impl StepFailure {
    pub(crate) const LENGTH: usize = 5;

    pub(crate) fn new(step: Step, error: &io::Error) -> Self {
        Self { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    pub(crate) fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [self.step as u8; Self::LENGTH];
        bytes[1..].copy_from_slice(&self.errno.to_le_bytes());
        bytes
    }

    pub(crate) fn decode([step, errno @ ..]: [u8; Self::LENGTH]) -> Self {
        let known = Step::ALL.into_iter().find(|known| *known as u8 == step);
        Self { step: known.unwrap_or(Step::Program), errno: i32::from_le_bytes(errno) }
    }
}
