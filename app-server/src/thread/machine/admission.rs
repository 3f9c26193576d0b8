//! Which commands the owner carries out now: the one place that decides it.

use super::{Machine, State};

/// What a command needs of its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// An owner. Events tell the machine the rest.
    Owner,
    /// A load that is over. An unload under way is joined.
    EndOfLoad,
    /// A loaded thread, which stays so.
    Loaded,
    /// Helper processes. None are started on the way out.
    Helpers,
}

/// When a command is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Now,
    /// After the load, or the unload, that is under way.
    Later,
    /// By the next owner of the thread.
    ByTheNextOwner,
    Never,
}

impl Machine {
    /// When a command with these needs is carried out.
    #[must_use]
    pub(crate) fn admission(&self, needs: Needs) -> Admission {
        match (&self.state, needs) {
            (State::Gone, _) => Admission::ByTheNextOwner,
            (State::Idle { .. } | State::Running(_), _)
            | (State::Loading { .. } | State::Unloading(_), Needs::Owner)
            | (State::Unloading(_), Needs::EndOfLoad) => Admission::Now,
            (State::Unloading(_), Needs::Helpers) => Admission::Never,
            (State::Loading { .. }, Needs::EndOfLoad | Needs::Loaded | Needs::Helpers)
            | (State::Unloading(_), Needs::Loaded) => Admission::Later,
        }
    }

    /// Whether the thread is being loaded.
    #[must_use]
    pub(crate) fn is_loading(&self) -> bool {
        matches!(self.state, State::Loading { .. })
    }

    /// Whether the thread has no owner any more.
    #[must_use]
    pub(crate) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Whether the thread is loaded, and no unload has begun.
    #[must_use]
    pub(crate) fn is_loaded(&self) -> bool {
        self.admission(Needs::Loaded) == Admission::Now
    }
}
