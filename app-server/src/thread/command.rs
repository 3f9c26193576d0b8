//! Requests to an owner, delivered through its mailbox. Each carries its own reply.

use std::sync::Arc;

use serde_json::Value;
use skein_config::Overrides;
use skein_helpers::HelperSet;
use skein_protocol::budget::{SkeinBudgetSetParams, SkeinBudgetSetResponse};
use skein_protocol::error::WireError;
use skein_protocol::extension::SkeinThreadUnloadResponse;
use skein_protocol::ids::{ConnectionId, TurnId};
use skein_protocol::question::SkeinQuestionsAnswerResponse;
use skein_protocol::thread::{
    Thread, ThreadArchiveResponse, ThreadCompactStartResponse, ThreadDeleteResponse, ThreadForkParams,
    ThreadForkResponse, ThreadGoalClearResponse, ThreadGoalSetParams, ThreadGoalSetResponse,
    ThreadInjectItemsResponse, ThreadMetadataGitInfoUpdateParams, ThreadMetadataUpdateResponse,
    ThreadQueueAddParams, ThreadQueueAddResponse, ThreadQueueDeleteResponse, ThreadQueueReorderResponse,
    ThreadQueueStartResponse, ThreadQueueUpdateParams, ThreadQueueUpdateResponse,
    ThreadReadStateUpdateParams, ThreadReadStateUpdateResponse, ThreadResumeParams, ThreadResumeResponse,
    ThreadRevertResponse, ThreadSetNameResponse, ThreadSettingsUpdateParams, ThreadSettingsUpdateResponse,
    ThreadStartParams, ThreadStartResponse, ThreadUnarchiveResponse,
};
use skein_protocol::turn::{TurnInterruptResponse, TurnStartParams, TurnStartResponse, TurnSteerResponse};
use skein_turn::surroundings::Surroundings;
use tokio::sync::oneshot;

use super::catch_up::CatchUp;
use super::effect::Destination;
use super::event::Force;
use super::machine::{Needs, Persistence};
use super::registry::GivenAnswer;
use super::subscribers::{Role, Ticket};
use crate::outbox::reply::Reply;

/// One request to an owner.
#[derive(Debug)]
pub(crate) enum Command {
    /// A new thread. Always the first command of its owner.
    Start(Box<Start>),
    /// Load where necessary, subscribe, answer with the history.
    Resume(Box<Resume>),
    /// Input: a turn, or a steer of the running one.
    Input(Box<Input>),
    /// A change of the history, the settings or the description of the thread.
    Edit(Edit),
    /// A new thread with the history of another one. Always the first command of its owner.
    Fork(Box<Fork>),
    /// A hard shutdown, unless the thread is in use.
    Unload(Unload),
    /// A hard shutdown that ends with the rollout at another location.
    Relocate(Relocate),
    /// The thread's helpers. The owner starts them if necessary. During an unload the sender is dropped.
    Helpers(oneshot::Sender<Arc<HelperSet>>),
    /// A client has received the events that it missed, and joins the live events.
    CaughtUp(Box<CatchUp>),
    /// Load, close interrupted turns, unload at once. An owner that exists already has done this with its load.
    Repair(oneshot::Sender<Repaired>),
    /// Answered when the owner has handled every earlier command.
    Fence(oneshot::Sender<()>),
}

/// How the owner treats a kind of command before it carries the command out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The state that the command needs of a thread with an owner.
    pub(crate) needs: Needs,
    /// The treatment for a thread without an owner.
    pub(crate) without_owner: WithoutOwner,
    pub(crate) ticket: Option<Ticket>,
}

/// How a command reaches a thread that has no owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutOwner {
    /// The command creates an owner.
    Claim(Persistence),
    /// The command creates an owner if the client is subscribed. An eviction has unloaded the thread under that client.
    ClaimIfSubscribed,
    /// The dispatcher answers at once.
    Answer,
    /// A task answers from the rollout.
    Observe,
}

impl Command {
    /// The one table about kinds of commands. A resume joins a load under way, and turns an unload into a load. An observer
    /// changes nothing, and waits until either has ended.
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
            Self::Edit(_) | Self::Relocate(_) => (Needs::Loaded, durable, None),
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

/// The outcome of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repaired {
    /// The repair has mended something, and the result is on disk.
    Mended,
    /// The rollout is complete.
    Whole,
    /// A client uses the thread, or another server has it. The load for that client, or of that server, mends it.
    Owned,
    /// The store has no such rollout.
    Missing,
    /// The rollout cannot be read or written, for this reason.
    Failed(String),
}

/// `thread/start`.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) params: ThreadStartParams,
    /// The helpers that the request's `config` names.
    pub(crate) helpers: Overrides,
    /// Helpers without which the thread does not start. They stay leased until the owner leases them.
    pub(crate) required: Option<HelperSet>,
    /// The files and facts of the thread's directory.
    pub(crate) surroundings: Option<Arc<Surroundings>>,
    pub(crate) ticket: Ticket,
    /// The client's name.
    pub(crate) originator: String,
    pub(crate) reply: Reply<ThreadStartResponse>,
}

/// `thread/resume`.
#[derive(Debug)]
pub(crate) struct Resume {
    pub(crate) params: ThreadResumeParams,
    /// The helpers that the request's `config` names.
    pub(crate) helpers: Overrides,
    /// The kind of subscription. An observer never loads a thread.
    pub(crate) role: Role,
    pub(crate) ticket: Ticket,
    pub(crate) reply: Reply<ThreadResumeResponse>,
}

/// `turn/start`, `turn/steer` or `thread/compact/start`.
#[derive(Debug)]
pub(crate) struct Input {
    /// The request's params. A steer has only the input, a compaction has none.
    pub(crate) params: TurnStartParams,
    pub(crate) reply: InputReply,
}

/// The reply to input.
#[derive(Debug)]
pub(crate) enum InputReply {
    /// `turn/start`: any turn may take the input.
    Start(Reply<TurnStartResponse>),
    /// `turn/steer`: only the named turn may take the input.
    Steer(TurnId, Reply<TurnSteerResponse>),
    /// `thread/compact/start`: a separate turn without input.
    Compact(Reply<ThreadCompactStartResponse>),
    /// A message of the queue becomes the turn with its id, by itself or by `thread/queue/start`.
    Queued(TurnId, Reply<ThreadQueueStartResponse>),
}

impl InputReply {
    /// The connection that waits for the reply.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Start(reply) => reply.connection(),
            Self::Steer(_, reply) => reply.connection(),
            Self::Compact(reply) => reply.connection(),
            Self::Queued(_, reply) => reply.connection(),
        }
    }

    /// The turn that a steer names.
    pub(crate) fn expected(&self) -> Option<&TurnId> {
        match self {
            Self::Start(_) | Self::Compact(_) | Self::Queued(..) => None,
            Self::Steer(turn, _) => Some(turn),
        }
    }

    pub(crate) fn err(self, error: &WireError) {
        match self {
            Self::Start(reply) => reply.err(error),
            Self::Steer(_, reply) => reply.err(error),
            Self::Compact(reply) => reply.err(error),
            Self::Queued(_, reply) => reply.err(error),
        }
    }
}

/// A request about the messages of the queue.
#[derive(Debug)]
pub(crate) enum QueueEdit {
    /// `thread/queue/add`.
    Add(ThreadQueueAddParams, Reply<ThreadQueueAddResponse>),
    /// `thread/queue/update`.
    Update(ThreadQueueUpdateParams, Reply<ThreadQueueUpdateResponse>),
    /// `thread/queue/delete`, by the client of this name.
    Delete(TurnId, String, Reply<ThreadQueueDeleteResponse>),
    /// `thread/queue/reorder`.
    Reorder(Vec<TurnId>, Reply<ThreadQueueReorderResponse>),
    /// `thread/queue/start`: this message, or the first.
    Start(Option<TurnId>, Reply<ThreadQueueStartResponse>),
}

impl QueueEdit {
    pub(crate) fn err(self, error: &WireError) {
        match self {
            Self::Add(_, reply) => reply.err(error),
            Self::Update(_, reply) => reply.err(error),
            Self::Delete(_, _, reply) => reply.err(error),
            Self::Reorder(_, reply) => reply.err(error),
            Self::Start(_, reply) => reply.err(error),
        }
    }
}

/// A change of a thread beside its turns.
#[derive(Debug)]
pub(crate) enum Edit {
    /// `thread/revert`, `thread/rollback`.
    Revert(RevertTo, Reply<ThreadRevertResponse>),
    /// `thread/name/set`: the new name, trimmed and not empty.
    Name(String, Reply<ThreadSetNameResponse>),
    /// `thread/metadata/update`.
    Repository(ThreadMetadataGitInfoUpdateParams, Reply<ThreadMetadataUpdateResponse>),
    /// `thread/inject_items`: items in the form of the model's API.
    Inject(Vec<Value>, Reply<ThreadInjectItemsResponse>),
    /// `thread/settings/update`.
    Settings(Box<ThreadSettingsUpdateParams>, Reply<ThreadSettingsUpdateResponse>),
    /// `thread/readState/update`.
    ReadState(ThreadReadStateUpdateParams, Reply<ThreadReadStateUpdateResponse>),
    /// `thread/goal/set`.
    SetGoal(ThreadGoalSetParams, Reply<ThreadGoalSetResponse>),
    /// `thread/goal/clear`.
    ClearGoal(Reply<ThreadGoalClearResponse>),
    /// `thread/queue/...`.
    Queue(QueueEdit),
    /// `turn/interrupt` of a thread that was not loaded: the turn, or an empty id for any.
    Interrupt(TurnId, Reply<TurnInterruptResponse>),
    /// `skein/budget/set`.
    Budget(SkeinBudgetSetParams, Reply<SkeinBudgetSetResponse>),
    /// A question has waited too long. Drops the sender once that has an effect.
    Expire(i64, oneshot::Sender<()>),
    /// `skein/questions/answer`.
    Answer(Box<GivenAnswer>, Reply<SkeinQuestionsAnswerResponse>),
}

impl Edit {
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
            Self::Queue(edit) => edit.err(error),
            Self::Interrupt(_, reply) => reply.err(error),
            Self::Budget(_, reply) => reply.err(error),
            // The next look finds the question again.
            Self::Expire(..) => {}
            Self::Answer(_, reply) => reply.err(error),
        }
    }
}

/// `thread/archive`, `thread/unarchive` or `thread/delete`.
#[derive(Debug)]
pub(crate) enum Relocate {
    /// Into the archive.
    Archive(Reply<ThreadArchiveResponse>),
    /// Out of the archive.
    Unarchive(Reply<ThreadUnarchiveResponse>),
    /// Into the trash.
    Delete(Reply<ThreadDeleteResponse>),
}

impl Relocate {
    pub(crate) fn destination(&self) -> Destination {
        match self {
            Self::Archive(_) => Destination::Archive,
            Self::Unarchive(_) => Destination::Threads,
            Self::Delete(_) => Destination::Trash,
        }
    }

    /// Answers that the rollout is at its destination. `thread` is the thread's new description.
    pub(crate) fn ok(self, thread: Thread) {
        match self {
            Self::Archive(reply) => reply.ok(&ThreadArchiveResponse {}),
            Self::Unarchive(reply) => reply.ok(&ThreadUnarchiveResponse { thread }),
            Self::Delete(reply) => reply.ok(&ThreadDeleteResponse {}),
        }
    }

    pub(crate) fn err(self, error: &WireError) {
        match self {
            Self::Archive(reply) => reply.err(error),
            Self::Unarchive(reply) => reply.err(error),
            Self::Delete(reply) => reply.err(error),
        }
    }
}

/// How much of the history a revert removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RevertTo {
    /// This turn and everything after it.
    Before(TurnId),
    /// This number of the newest turns, or all. The answer shows the turns that stay.
    AllBut(u32),
}

/// `thread/fork`, for the owner of the new thread.
#[derive(Debug)]
pub(crate) struct Fork {
    pub(crate) params: ThreadForkParams,
    /// The helpers that the request's `config` names.
    pub(crate) helpers: Overrides,
    pub(crate) ticket: Ticket,
    /// The client's name.
    pub(crate) originator: String,
    pub(crate) reply: Reply<ThreadForkResponse>,
}

/// `skein/thread/unload`.
#[derive(Debug)]
pub(crate) struct Unload {
    /// Whether the owner may refuse.
    pub(crate) force: Force,
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
            (Command::Relocate(Relocate::Delete(Reply::to_nobody())), Needs::Loaded, durable),
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
