//! Delivers commands to the owners of threads, and creates an owner if the command allows it.

use std::sync::Arc;

use skein_helpers::HelperSet;
use skein_protocol::error::WireError;
use skein_protocol::extension::{SkeinThreadUnloadResponse, UnloadOutcome};
use skein_protocol::ids::ThreadId;
use tokio::sync::oneshot;

use super::command::{Command, Input, Repaired, WithoutOwner};
use super::error::ThreadError;
use super::machine::Persistence;
use super::registry::{Claim, ThreadHandle, Undelivered};
use super::subscribers::Role;
use super::{actor, observe};
use crate::thread::Context;

/// Delivers a command without waiting. Either this function or the owner answers it.
pub(crate) fn deliver(services: &Arc<Context>, id: ThreadId, command: Command) {
    let mut command = command;
    loop {
        let handle = match services.registry.handle(id) {
            Some(handle) => handle,
            None => match without_owner(services, id, &command) {
                WithoutOwner::Answer | WithoutOwner::ClaimIfSubscribed => {
                    return answer_without_owner(services, id, command);
                }
                // Beside others, the thread may be loaded elsewhere in a moment.
                WithoutOwner::Observe if services.registry.is_closed() => {
                    return command.refuse(services, &ThreadError::Stopping { id }.to_wire());
                }
                WithoutOwner::Observe => return observe(services, id, command),
                WithoutOwner::Claim(persistence) => match services.registry.claim(id, persistence) {
                    Claim::Owned(handle) => handle,
                    Claim::Claimed(slot) => return actor::start(services, *slot, command),
                    Claim::Closed => {
                        return command.refuse(services, &ThreadError::Stopping { id }.to_wire());
                    }
                },
            },
        };
        match send(services, &handle, command) {
            None => return,
            // An owner leaves the registry before it closes its mailbox: the next look finds none, or another.
            Some(undelivered) => command = undelivered,
        }
    }
}

/// Loads a thread, if it is not loaded: its turn goes on or is closed, and a message of its queue becomes a turn. Without anything
/// to do the thread is unloaded at once.
pub(crate) async fn repair(context: &Arc<Context>, thread: ThreadId) -> Repaired {
    if context.registry.handle(thread).is_some() {
        return Repaired::Owned;
    }
    let (done, repaired) = oneshot::channel();
    deliver(context, thread, Command::Repair(done));
    repaired.await.unwrap_or_else(|_| Repaired::Failed("its owner broke off".to_owned()))
}

/// The helpers of a loaded thread. The owner starts them on first use.
///
/// # Errors
/// The mailbox is full, or the thread is being unloaded.
pub(crate) async fn helpers(
    services: &Context,
    handle: &ThreadHandle,
) -> Result<Arc<HelperSet>, ThreadError> {
    if let Some(set) = handle.seen(|snapshot| snapshot.helpers.clone()) {
        return Ok(set);
    }
    let id = handle.id();
    let (give, given) = oneshot::channel();
    match handle.send(Command::Helpers(give)) {
        Ok(()) => given.await.map_err(|_| ThreadError::NotLoaded { id }),
        Err(Undelivered::Gone(_)) => Err(ThreadError::NotLoaded { id }),
        Err(Undelivered::Full(_)) => {
            services.counters.overloaded.add_one();
            Err(ThreadError::Busy { id })
        }
    }
}

fn send(services: &Context, handle: &ThreadHandle, command: Command) -> Option<Command> {
    match handle.send(command) {
        Ok(()) => None,
        Err(Undelivered::Gone(command)) => Some(command),
        Err(Undelivered::Full(command)) => {
            services.counters.overloaded.add_one();
            command.refuse(services, &ThreadError::Busy { id: handle.id() }.to_wire());
            None
        }
    }
}

fn without_owner(services: &Context, id: ThreadId, command: &Command) -> WithoutOwner {
    match (command.rules().without_owner, command) {
        (WithoutOwner::ClaimIfSubscribed, Command::Input(input)) if is_subscribed(services, id, input) => {
            WithoutOwner::Claim(Persistence::Durable)
        }
        (rule, _) => rule,
    }
}

/// Whether the input comes from a subscriber of an evicted thread.
fn is_subscribed(services: &Context, id: ThreadId, input: &Input) -> bool {
    let role = input.reply.connection().and_then(|who| services.subscribers.role(who, id));
    role.is_some_and(Role::keeps_loaded)
}

fn observe(services: &Arc<Context>, id: ThreadId, command: Command) {
    if let Command::Resume(resume) = command {
        let observed = observe::observe(Arc::clone(services), id, *resume);
        services.tasks.spawn(format!("observe/{id}"), observed);
    } else if let Command::CaughtUp(catch_up) = command {
        let followed = observe::follow(Arc::clone(services), id, catch_up);
        services.tasks.spawn(format!("observe/{id}"), followed);
    }
}

fn answer_without_owner(services: &Context, id: ThreadId, command: Command) {
    if let Command::Unload(unload) = command {
        unload.reply.ok(&SkeinThreadUnloadResponse { state: UnloadOutcome::NotLoaded });
    } else if let Command::Fence(done) = command {
        // No owner, so no earlier command.
        done.send(()).ok();
    } else {
        command.refuse(services, &ThreadError::NotLoaded { id }.to_wire());
    }
}

impl Command {
    /// Answers with an error, and voids the ticket of the command.
    pub(crate) fn refuse(self, services: &Context, error: &WireError) {
        if let Some(ticket) = self.rules().ticket {
            services.subscribers.end_resume(ticket);
        }
        match self {
            Command::Start(start) => start.reply.err(error),
            Command::Resume(resume) => resume.reply.err(error),
            Command::Fork(fork) => fork.reply.err(error),
            Command::Input(input) => input.reply.err(error),
            Command::Edit(edit) => edit.err(error),
            Command::Unload(unload) => unload.reply.err(error),
            Command::Relocate(asked) => asked.err(error),
            Command::Helpers(give) => drop(give),
            // Answered already: the drop closes the connection, and the client resumes by number.
            Command::CaughtUp(catch_up) => drop(catch_up),
            Command::Repair(done) => drop(done.send(Repaired::Failed(error.message.clone()))),
            Command::Fence(done) => drop(done),
        }
    }
}
