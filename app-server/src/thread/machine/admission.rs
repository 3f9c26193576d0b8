//! The one place that decides whether the owner carries a command out now.

use super::{Machine, State};

/// The state that a command needs of its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// An owner in any state.
    Owner,
    /// The end of a load. The command joins an unload under way.
    EndOfLoad,
    /// A loaded thread without an unload under way.
    Loaded,
    /// Helper processes. None start during an unload.
    Helpers,
}

/// When the owner carries a command out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandAdmission {
    Now,
    /// After the load or the unload under way.
    Later,
    /// The next owner of the thread does.
    ByTheNextOwner,
    Never,
}

impl Machine {
    /// When a command with these needs is carried out.
    pub(crate) fn admission(&self, needs: Needs) -> CommandAdmission {
        match (&self.state, needs) {
            (State::Gone, _) => CommandAdmission::ByTheNextOwner,
            (State::Idle { .. } | State::Running(_), _)
            | (State::Loading { .. } | State::Unloading(_), Needs::Owner)
            | (State::Unloading(_), Needs::EndOfLoad) => CommandAdmission::Now,
            (State::Unloading(_), Needs::Helpers) => CommandAdmission::Never,
            (State::Loading { .. }, Needs::EndOfLoad | Needs::Loaded | Needs::Helpers)
            | (State::Unloading(_), Needs::Loaded) => CommandAdmission::Later,
        }
    }

    /// Whether the thread is being loaded.
    pub(crate) fn is_loading(&self) -> bool {
        matches!(self.state, State::Loading { .. })
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Whether the thread is loaded and no unload is under way.
    pub(crate) fn is_loaded(&self) -> bool {
        self.admission(Needs::Loaded) == CommandAdmission::Now
    }
}
