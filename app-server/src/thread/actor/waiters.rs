//! Requests that wait for something of the machine, by the number that the machine knows them by.

use std::collections::HashMap;

use skein_protocol::error::WireError;
use skein_protocol::ids::ConnectionId;

use super::repair::Repairing;
use crate::thread::Context;
use crate::thread::command::{Command, Fork, PutElsewhere, Resume, Start, Unload};
use crate::thread::effect::Destination;
use crate::thread::event::WaiterId;
use crate::thread::subscribers::{Role, Ticket};

pub(super) enum Waiter {
    Start(Box<Start>),
    Resume(Box<Resume>),
    Fork(Box<Fork>),
    Unload(Unload),
    PutElsewhere(PutElsewhere),
    Repair(Repairing),
}

impl Waiter {
    fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Start(start) => Some(start.ticket),
            Self::Resume(resume) => Some(resume.ticket),
            Self::Fork(fork) => Some(fork.ticket),
            Self::Unload(_) | Self::PutElsewhere(_) | Self::Repair(_) => None,
        }
    }

    /// Answers with an error. A repair is not answered: it sees that nothing comes any more.
    pub(super) fn refuse(self, services: &Context, error: &WireError) {
        let command = match self {
            Self::Start(start) => Command::Start(start),
            Self::Resume(resume) => Command::Resume(resume),
            Self::Fork(fork) => Command::Fork(fork),
            Self::Unload(unload) => Command::Unload(unload),
            Self::PutElsewhere(asked) => Command::PutElsewhere(asked),
            Self::Repair(_) => return,
        };
        command.refuse(services, error);
    }
}

#[derive(Default)]
pub(super) struct Waiters {
    waiting: HashMap<WaiterId, Waiter>,
    next: u64,
}

impl Waiters {
    pub(super) fn add(&mut self, waiter: Waiter) -> WaiterId {
        let id = WaiterId(self.next);
        self.next += 1;
        self.waiting.insert(id, waiter);
        id
    }

    /// Takes a request out, to answer it.
    pub(super) fn take(&mut self, id: WaiterId) -> Option<Waiter> {
        self.waiting.remove(&id)
    }

    /// Takes all of them out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiter> {
        self.waiting.drain().map(|(_, waiter)| waiter)
    }

    /// The start of a thread that is being made.
    pub(super) fn start(&self) -> Option<&Start> {
        self.find(|waiter| if let Waiter::Start(start) = waiter { Some(&**start) } else { None })
    }

    /// The fork that is being made.
    pub(super) fn new_fork(&self) -> Option<&Fork> {
        self.find(|waiter| if let Waiter::Fork(fork) = waiter { Some(&**fork) } else { None })
    }

    /// Where the rollout is put at the end of this unload, if anywhere.
    pub(super) fn destination(&self) -> Option<Destination> {
        self.find(|waiter| if let Waiter::PutElsewhere(to) = waiter { Some(to.destination()) } else { None })
    }

    /// The resume that a load is for: the first subscriber's.
    pub(super) fn resume_of_the_load(&self) -> Option<&Resume> {
        let mut first = None;
        for (id, waiter) in &self.waiting {
            if let Waiter::Resume(resume) = waiter
                && resume.role == Role::Subscriber
                && first.is_none_or(|(earlier, _)| id < earlier)
            {
                first = Some((id, &**resume));
            }
        }
        first.map(|(_, resume)| resume)
    }

    /// The connection that asks for this unload.
    pub(super) fn asker(&self, id: WaiterId) -> Option<ConnectionId> {
        let Waiter::Unload(unload) = self.waiting.get(&id)? else { return None };
        unload.reply.connection()
    }

    /// Requests whose ticket is void, the first one first.
    pub(super) fn void(&self, waits: impl Fn(Ticket) -> bool) -> Vec<WaiterId> {
        let is_void = |waiter: &Waiter| waiter.ticket().is_some_and(|ticket| !waits(ticket));
        let void = self.waiting.iter().filter(|(_, waiter)| is_void(waiter));
        let mut void: Vec<WaiterId> = void.map(|(id, _)| *id).collect();
        void.sort();
        void
    }

    fn find<'a, T>(&'a self, wanted: impl FnMut(&'a Waiter) -> Option<T>) -> Option<T> {
        self.waiting.values().find_map(wanted)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_protocol::ids::ThreadId;

    use super::*;
    use crate::config::Overrides;
    use crate::outbox::reply::Reply;
    use crate::outbox::{Outbox, OutboxLimits};
    use crate::thread::subscribers::{ClientWishes, Subscribers};

    const THREAD: ThreadId = ThreadId::new(uuid::Uuid::nil());

    /// One connection.
    fn subscribers() -> Subscribers {
        let subscribers = Subscribers::new(uuid::Uuid::nil());
        let limits =
            OutboxLimits { waiting_bytes: 1000, most_bytes: 1000, pause_bytes: 1000, merge_bytes: 1000 };
        subscribers.connect(Outbox::new(ConnectionId(1), limits));
        assert!(subscribers.initialise(ConnectionId(1), ClientWishes::default()));
        subscribers
    }

    fn resume(subscribers: &Subscribers, role: Role) -> (Ticket, Waiter) {
        let ticket = subscribers.begin_resume(ConnectionId(1), THREAD).unwrap();
        let params = serde_json::from_value(json!({ "threadId": THREAD })).unwrap();
        let (helpers, reply) = (Overrides::default(), Reply::to_nobody());
        (ticket, Waiter::Resume(Box::new(Resume { params, helpers, role, ticket, reply })))
    }

    #[test]
    fn a_load_is_for_the_first_subscriber_that_waits() {
        use Role::{Observer, Subscriber};
        let subscribers = subscribers();
        let table: [(&[Role], Option<usize>); 4] = [
            (&[], None),
            (&[Observer], None),
            (&[Observer, Subscriber], Some(1)),
            (&[Subscriber, Subscriber, Observer], Some(0)),
        ];
        for (roles, first) in table {
            let mut waiters = Waiters::default();
            let resumes: Vec<_> = roles.iter().map(|role| resume(&subscribers, *role)).collect();
            let tickets: Vec<Ticket> = resumes.iter().map(|(ticket, _)| *ticket).collect();
            for (_, waiter) in resumes {
                waiters.add(waiter);
            }
            let found = waiters.resume_of_the_load().map(|resume| resume.ticket);
            assert_eq!(found, first.map(|first| tickets[first]), "{roles:?}");
        }
    }

    #[test]
    fn void_requests_come_in_their_order_and_those_without_a_ticket_never() {
        let (mut waiters, subscribers) = (Waiters::default(), subscribers());
        let to_trash = Waiter::PutElsewhere(PutElsewhere::Delete(Reply::to_nobody()));
        let without = waiters.add(to_trash);
        let resumes: Vec<_> = (0..5).map(|_| resume(&subscribers, Role::Subscriber)).collect();
        let kept = resumes[1].0;
        let ids: Vec<WaiterId> = resumes.into_iter().map(|(_, waiter)| waiters.add(waiter)).collect();
        assert_eq!(waiters.void(|ticket| ticket == kept), [ids[0], ids[2], ids[3], ids[4]]);
        assert_eq!((waiters.destination(), waiters.asker(without)), (Some(Destination::Trash), None));
        assert!(waiters.take(without).is_some() && waiters.destination().is_none());
    }
}
