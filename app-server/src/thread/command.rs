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
use super::machine::{Needs, Persistence};
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

/// How a command is treated before it is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// What it needs of a thread that has an owner.
    pub(crate) needs: Needs,
    /// What becomes of it where the thread has no owner.
    pub(crate) without_owner: WithoutOwner,
    /// The subscription that is to be made.
    pub(crate) ticket: Option<Ticket>,
}

/// What a command means for a thread that has no owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutOwner {
    /// Become its owner.
    Claim(Persistence),
    /// Become its owner, where the client is subscribed: room was made, and the client still uses the thread.
    ClaimIfSubscribed,
    /// It is answered at once.
    Answer,
    /// It is answered from the rollout, by a task.
    Observe,
}

impl Command {
    /// The rules of its kind: the one table about kinds of commands. A resume joins a load that is under way, and an unload
    /// turns into a load for it; an observer changes nothing, and waits for the end.
    #[must_use]
    pub(crate) fn rules(&self) -> Rules {
        use WithoutOwner::{Answer, Claim, ClaimIfSubscribed, Observe};
        let persistence = |ephemeral| if ephemeral { Persistence::Ephemeral } else { Persistence::Durable };
        let durable = Claim(Persistence::Durable);
        let (needs, without_owner, ticket) = match self {
            Self::Start(start) => {
                let persistence = persistence(start.params.ephemeral == Some(true));
                (Needs::Owner, Claim(persistence), Some(start.ticket))
            }
            Self::Fork(fork) => (Needs::Owner, Claim(persistence(fork.params.ephemeral)), Some(fork.ticket)),
            Self::Resume(resume) if resume.role == Role::Observer => {
                (Needs::Loaded, Observe, Some(resume.ticket))
            }
            Self::Resume(resume) => (Needs::Owner, durable, Some(resume.ticket)),
            Self::Input(_) => (Needs::Owner, ClaimIfSubscribed, None),
            Self::Edit(_) | Self::PutElsewhere(_) => (Needs::Loaded, durable, None),
            // A client that has left needs no owner.
            Self::CaughtUp(catch_up) if !catch_up.is_wanted() => (Needs::Loaded, Answer, None),
            Self::CaughtUp(catch_up) if catch_up.role == Role::Observer => (Needs::Loaded, Observe, None),
            Self::CaughtUp(_) => (Needs::Loaded, durable, None),
            Self::Unload(_) => (Needs::EndOfLoad, Answer, None),
            Self::Helpers(_) => (Needs::Helpers, Answer, None),
            Self::Repair(_) => (Needs::Owner, durable, None),
            Self::Fence(_) => (Needs::Owner, Answer, None),
        };
        Rules { needs, without_owner, ticket }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_claims_a_thread_and_a_look_at_its_life_does_not() {
        let durable = WithoutOwner::Claim(Persistence::Durable);
        let unload = || Unload { force: Force::No, reply: Reply::to_nobody() };
        let table = [
            (Command::Edit(Edit::ClearGoal(Reply::to_nobody())), Needs::Loaded, durable),
            (Command::PutElsewhere(PutElsewhere::Delete(Reply::to_nobody())), Needs::Loaded, durable),
            (Command::Repair(oneshot::channel().0), Needs::Owner, durable),
            (Command::Unload(unload()), Needs::EndOfLoad, WithoutOwner::Answer),
            (Command::Helpers(oneshot::channel().0), Needs::Helpers, WithoutOwner::Answer),
            (Command::Fence(oneshot::channel().0), Needs::Owner, WithoutOwner::Answer),
        ];
        for (command, needs, without_owner) in table {
            let rules = command.rules();
            assert_eq!((rules.needs, rules.without_owner), (needs, without_owner), "{command:?}");
            assert!(rules.ticket.is_none());
        }
    }
}
