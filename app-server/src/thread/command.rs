//! What others ask of an owner, through its mailbox. Each carries its own reply.

use std::sync::Arc;

use serde_json::Value;
use skein_helpers::HelperSet;
use skein_protocol::error::WireError;
use skein_protocol::extension::SkeinThreadUnloadResponse;
use skein_protocol::ids::{ConnectionId, TurnId};
use skein_protocol::thread::{
    Thread, ThreadArchiveResponse, ThreadCompactStartResponse, ThreadDeleteResponse, ThreadForkParams,
    ThreadForkResponse, ThreadGoalClearResponse, ThreadGoalSetParams, ThreadGoalSetResponse,
    ThreadInjectItemsResponse, ThreadMetadataGitInfoUpdateParams, ThreadMetadataUpdateResponse,
    ThreadReadStateUpdateParams, ThreadReadStateUpdateResponse, ThreadResumeParams, ThreadResumeResponse,
    ThreadRevertResponse, ThreadSetNameResponse, ThreadSettingsUpdateParams, ThreadSettingsUpdateResponse,
    ThreadStartParams, ThreadStartResponse, ThreadUnarchiveResponse,
};
use skein_protocol::turn::{TurnStartParams, TurnStartResponse, TurnSteerResponse};
use tokio::sync::oneshot;

use super::catch_up::CatchUp;
use super::effect::Destination;
use super::event::Force;
use super::machine::Needs;
use super::subscribers::{Role, Ticket};
use crate::config::Overrides;
use crate::outbox::reply::Reply;
use crate::turn::surroundings::Surroundings;

/// One request to an owner.
#[derive(Debug)]
pub(crate) enum Command {
    /// A new thread. Only ever the first command of its owner.
    Start(Box<Start>),
    /// Load where necessary, subscribe, answer with the history.
    Resume(Box<Resume>),
    /// Input: a turn, or a steer of the running one.
    Input(Box<Input>),
    /// A change of the history, or of what is said of the thread.
    Edit(Edit),
    /// A new thread with the history of another one. Only ever the first command of its owner.
    Fork(Box<Fork>),
    /// A hard shutdown, if it may be.
    Unload(Unload),
    /// A hard shutdown, after which the rollout stands elsewhere.
    PutElsewhere(PutElsewhere),
    /// The thread's helpers, started if they are not. Dropped when the thread is on its way out.
    Helpers(oneshot::Sender<Arc<HelperSet>>),
    /// A client has been told what it missed, and wants to hear what happens now.
    CaughtUp(Box<CatchUp>),
    /// Load, close what was cut off, unload at once: what an owner that somebody else has made has done already.
    Repair(oneshot::Sender<Repaired>),
    /// Answered when everything sent before it has been handled.
    Fence(oneshot::Sender<()>),
}

impl Command {
    /// What the machine has to see to before the command is carried out. A resume joins a load that is under way, and an unload
    /// turns into a load for it, unless commands wait before it; an observer changes nothing, and waits for the end.
    #[must_use]
    pub(crate) fn needs(&self, is_first: bool) -> Needs {
        match self {
            Self::Resume(resume) if is_first && resume.role == Role::Subscriber => Needs::Owner,
            Self::Resume(_) | Self::Edit(_) | Self::PutElsewhere(_) | Self::CaughtUp(_) => Needs::Loaded,
            Self::Unload(_) => Needs::EndOfLoad,
            Self::Helpers(_) => Needs::Helpers,
            Self::Start(_) | Self::Input(_) | Self::Fork(_) | Self::Repair(_) | Self::Fence(_) => {
                Needs::Owner
            }
        }
    }

    /// The subscription that is to be made.
    #[must_use]
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Start(start) => Some(start.ticket),
            Self::Resume(resume) => Some(resume.ticket),
            Self::Fork(fork) => Some(fork.ticket),
            Self::Input(_)
            | Self::Edit(_)
            | Self::Unload(_)
            | Self::PutElsewhere(_)
            | Self::Helpers(_)
            | Self::CaughtUp(_)
            | Self::Repair(_)
            | Self::Fence(_) => None,
        }
    }
}

/// What became of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repaired {
    /// Something was mended, and is on disk.
    Mended,
    /// Nothing had to be added or cut off.
    Whole,
    /// Somebody uses the thread: its owner has mended it, or does so.
    Owned,
    /// There is no such rollout.
    Missing,
    /// It cannot be read or written, for this reason.
    Failed(String),
}

/// `thread/start`.
#[derive(Debug)]
pub(crate) struct Start {
    /// As they came.
    pub(crate) params: ThreadStartParams,
    /// The helpers of its `config`.
    pub(crate) helpers: Overrides,
    /// Helpers without which the thread does not start; held until its owner holds them.
    pub(crate) required: Option<HelperSet>,
    /// What was found in its directory.
    pub(crate) surroundings: Option<Arc<Surroundings>>,
    /// The subscription that is to be made.
    pub(crate) ticket: Ticket,
    /// The client's name.
    pub(crate) originator: String,
    /// The answer.
    pub(crate) reply: Reply<ThreadStartResponse>,
}

/// `thread/resume`.
#[derive(Debug)]
pub(crate) struct Resume {
    /// As they came.
    pub(crate) params: ThreadResumeParams,
    /// The helpers of its `config`.
    pub(crate) helpers: Overrides,
    /// As what to subscribe. An observer never makes a thread load.
    pub(crate) role: Role,
    /// The subscription that is to be made.
    pub(crate) ticket: Ticket,
    /// The answer.
    pub(crate) reply: Reply<ThreadResumeResponse>,
}

/// `turn/start`, `turn/steer` or `thread/compact/start`.
#[derive(Debug)]
pub(crate) struct Input {
    /// As they came; those of a steer without what it cannot say, those of a compaction without input.
    pub(crate) params: TurnStartParams,
    /// The answer.
    pub(crate) reply: InputReply,
}

/// What input is answered with.
#[derive(Debug)]
pub(crate) enum InputReply {
    /// `turn/start`: whichever turn takes the input.
    Start(Reply<TurnStartResponse>),
    /// `turn/steer`: only the turn that is named may take it.
    Steer(TurnId, Reply<TurnSteerResponse>),
    /// `thread/compact/start`: a turn of its own, without input.
    Compact(Reply<ThreadCompactStartResponse>),
}

impl InputReply {
    /// Who waits for it.
    #[must_use]
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Start(reply) => reply.connection(),
            Self::Steer(_, reply) => reply.connection(),
            Self::Compact(reply) => reply.connection(),
        }
    }

    /// The only turn that may take the input, if it is so.
    #[must_use]
    pub(crate) fn expected(&self) -> Option<&TurnId> {
        match self {
            Self::Start(_) | Self::Compact(_) => None,
            Self::Steer(turn, _) => Some(turn),
        }
    }

    /// Answers with an error.
    pub(crate) fn err(self, error: &WireError) {
        match self {
            Self::Start(reply) => reply.err(error),
            Self::Steer(_, reply) => reply.err(error),
            Self::Compact(reply) => reply.err(error),
        }
    }
}

/// A change that begins no turn.
#[derive(Debug)]
pub(crate) enum Edit {
    /// `thread/revert`, `thread/rollback`.
    Revert(RevertTo, Reply<ThreadRevertResponse>),
    /// `thread/name/set`: the new name, trimmed and not empty.
    Name(String, Reply<ThreadSetNameResponse>),
    /// `thread/metadata/update`.
    Repository(ThreadMetadataGitInfoUpdateParams, Reply<ThreadMetadataUpdateResponse>),
    /// `thread/inject_items`: items of the model's interface, as they came.
    Inject(Vec<Value>, Reply<ThreadInjectItemsResponse>),
    /// `thread/settings/update`.
    Settings(Box<ThreadSettingsUpdateParams>, Reply<ThreadSettingsUpdateResponse>),
    /// `thread/readState/update`.
    ReadState(ThreadReadStateUpdateParams, Reply<ThreadReadStateUpdateResponse>),
    /// `thread/goal/set`.
    SetGoal(ThreadGoalSetParams, Reply<ThreadGoalSetResponse>),
    /// `thread/goal/clear`.
    ClearGoal(Reply<ThreadGoalClearResponse>),
}

impl Edit {
    /// Answers with an error.
    pub(crate) fn err(self, error: &WireError) {
        match self {
            Self::Revert(_, reply) => reply.err(error),
            Self::Name(_, reply) => reply.err(error),
            Self::Repository(_, reply) => reply.err(error),
            Self::Inject(_, reply) => reply.err(error),
            Self::Settings(_, reply) => reply.err(error),
            Self::ReadState(_, reply) => reply.err(error),
            Self::SetGoal(_, reply) => reply.err(error),
            Self::ClearGoal(reply) => reply.err(error),
        }
    }
}

/// `thread/archive`, `thread/unarchive` or `thread/delete`.
#[derive(Debug)]
pub(crate) enum PutElsewhere {
    /// Into the archive.
    Archive(Reply<ThreadArchiveResponse>),
    /// Out of the archive.
    Unarchive(Reply<ThreadUnarchiveResponse>),
    /// Into the trash.
    Delete(Reply<ThreadDeleteResponse>),
}

impl PutElsewhere {
    /// Where to.
    #[must_use]
    pub(crate) fn destination(&self) -> Destination {
        match self {
            Self::Archive(_) => Destination::Archive,
            Self::Unarchive(_) => Destination::Threads,
            Self::Delete(_) => Destination::Trash,
        }
    }

    /// Says that it is there. `thread` is its description now.
    pub(crate) fn ok(self, thread: Thread) {
        match self {
            Self::Archive(reply) => reply.ok(&ThreadArchiveResponse {}),
            Self::Unarchive(reply) => reply.ok(&ThreadUnarchiveResponse { thread }),
            Self::Delete(reply) => reply.ok(&ThreadDeleteResponse {}),
        }
    }

    /// Answers with an error.
    pub(crate) fn err(self, error: &WireError) {
        match self {
            Self::Archive(reply) => reply.err(error),
            Self::Unarchive(reply) => reply.err(error),
            Self::Delete(reply) => reply.err(error),
        }
    }
}

/// How far a history is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RevertTo {
    /// This turn is the first that goes.
    Before(TurnId),
    /// So many of the newest turns go, or all. The answer shows those that stay.
    AllBut(u32),
}

/// `thread/fork`, for the owner of the new thread.
#[derive(Debug)]
pub(crate) struct Fork {
    /// As they came.
    pub(crate) params: ThreadForkParams,
    /// The helpers of its `config`.
    pub(crate) helpers: Overrides,
    /// The subscription that is to be made.
    pub(crate) ticket: Ticket,
    /// The client's name.
    pub(crate) originator: String,
    /// The answer.
    pub(crate) reply: Reply<ThreadForkResponse>,
}

/// `skein/thread/unload`.
#[derive(Debug)]
pub(crate) struct Unload {
    /// Whether it may be refused.
    pub(crate) force: Force,
    /// The answer.
    pub(crate) reply: Reply<SkeinThreadUnloadResponse>,
}
