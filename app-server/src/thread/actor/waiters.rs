//! Waiting commands: for an effect of the machine, by their number there, or for the end of a load or an unload.

use std::collections::{HashMap, VecDeque};

use skein_protocol::ids::ConnectionId;

use crate::thread::command::{Command, Fork, Input, Resume, Start};
use crate::thread::effect::Destination;
use crate::thread::event::WaiterId;
use crate::thread::subscribers::{Role, Ticket};

#[derive(Default)]
pub(super) struct Waiters {
    waiting: HashMap<WaiterId, Command>,
    next: u64,
    /// Commands that came while the thread was loading or unloading, in order.
    deferred: VecDeque<Command>,
}

impl Waiters {
    pub(super) fn add(&mut self, command: Command) -> WaiterId {
        let id = WaiterId(self.next);
        self.next += 1;
        self.waiting.insert(id, command);
        id
    }

    /// Removes a command, to answer it.
    pub(super) fn take(&mut self, id: WaiterId) -> Option<Command> {
        self.waiting.remove(&id)
    }

    /// Removes input, to carry it out.
    pub(super) fn take_input(&mut self, id: WaiterId) -> Option<Box<Input>> {
        let Some(Command::Input(input)) = self.waiting.remove(&id) else { return None };
        Some(input)
    }

    /// Removes all commands that wait for the machine.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Command> {
        self.waiting.drain().map(|(_, command)| command)
    }

    /// Whether no command waits for the end of a load or an unload.
    pub(super) fn none_deferred(&self) -> bool {
        self.deferred.is_empty()
    }

    /// Keeps a command until the load or the unload has ended. Returns the command if `most` are waiting already.
    pub(super) fn defer(&mut self, command: Command, most: usize) -> Option<Command> {
        if self.deferred.len() >= most {
            return Some(command);
        }
        self.deferred.push_back(command);
        None
    }

    /// Removes the commands that waited for the end of a load or an unload.
    pub(super) fn take_deferred(&mut self) -> VecDeque<Command> {
        std::mem::take(&mut self.deferred)
    }

    /// Removes the deferred resumes with a void ticket.
    pub(super) fn take_void_deferred(&mut self, waits: impl Fn(Ticket) -> bool) -> Vec<Command> {
        let is_void = |command: &Command| matches!(command, Command::Resume(resume) if !waits(resume.ticket));
        let (void, kept): (Vec<_>, Vec<_>) = self.take_deferred().into_iter().partition(is_void);
        self.deferred = kept.into();
        void
    }

    /// The start of a new thread.
    pub(super) fn start(&self) -> Option<&Start> {
        self.find(|command| if let Command::Start(start) = command { Some(&**start) } else { None })
    }

    /// The fork of a new thread.
    pub(super) fn new_fork(&self) -> Option<&Fork> {
        self.find(|command| if let Command::Fork(fork) = command { Some(&**fork) } else { None })
    }

    /// The destination of the rollout at the end of this unload.
    pub(super) fn destination(&self) -> Option<Destination> {
        self.find(|command| if let Command::Relocate(to) = command { Some(to.destination()) } else { None })
    }

    /// The resume of a load: the first subscriber's.
    pub(super) fn resume_of_the_load(&self) -> Option<&Resume> {
        let mut first = None;
        for (id, command) in &self.waiting {
            if let Command::Resume(resume) = command
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
        let Command::Unload(unload) = self.waiting.get(&id)? else { return None };
        unload.reply.connection()
    }

    /// Commands with a void ticket, in their order.
    pub(super) fn void(&self, waits: impl Fn(Ticket) -> bool) -> Vec<WaiterId> {
        let is_void = |command: &Command| command.rules().ticket.is_some_and(|ticket| !waits(ticket));
        let void = self.waiting.iter().filter(|(_, command)| is_void(command));
        let mut void: Vec<WaiterId> = void.map(|(id, _)| *id).collect();
        void.sort();
        void
    }

    fn find<'a, T>(&'a self, wanted: impl FnMut(&'a Command) -> Option<T>) -> Option<T> {
        self.waiting.values().find_map(wanted)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_config::Overrides;
    use skein_protocol::ids::ThreadId;

    use super::*;
    use crate::outbox::reply::Reply;
    use crate::outbox::{Outbox, OutboxLimits};
    use crate::thread::command::Relocate;
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

    fn resume(subscribers: &Subscribers, role: Role) -> (Ticket, Command) {
        let ticket = subscribers.begin_resume(ConnectionId(1), THREAD, usize::MAX).unwrap();
        let params = serde_json::from_value(json!({ "threadId": THREAD })).unwrap();
        let (helpers, reply) = (Overrides::default(), Reply::to_nobody());
        (ticket, Command::Resume(Box::new(Resume { params, helpers, role, ticket, reply })))
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
            for (_, command) in resumes {
                waiters.add(command);
            }
            let found = waiters.resume_of_the_load().map(|resume| resume.ticket);
            assert_eq!(found, first.map(|first| tickets[first]), "{roles:?}");
        }
    }

    #[test]
    fn void_requests_come_in_their_order_and_those_without_a_ticket_never() {
        let (mut waiters, subscribers) = (Waiters::default(), subscribers());
        let to_trash = Command::Relocate(Relocate::Delete(Reply::to_nobody()));
        let without = waiters.add(to_trash);
        let resumes: Vec<_> = (0..5).map(|_| resume(&subscribers, Role::Subscriber)).collect();
        let kept = resumes[1].0;
        let ids: Vec<WaiterId> = resumes.into_iter().map(|(_, command)| waiters.add(command)).collect();
        assert_eq!(waiters.void(|ticket| ticket == kept), [ids[0], ids[2], ids[3], ids[4]]);
        assert_eq!((waiters.destination(), waiters.asker(without)), (Some(Destination::Trash), None));
        assert!(waiters.take(without).is_some() && waiters.destination().is_none());
    }

    #[test]
    fn as_many_commands_are_deferred_as_the_mailbox_takes_and_void_resumes_go() {
        let (mut waiters, subscribers) = (Waiters::default(), subscribers());
        let (kept, first) = resume(&subscribers, Role::Subscriber);
        let (_, second) = resume(&subscribers, Role::Observer);
        assert!(waiters.none_deferred());
        assert!(waiters.defer(first, 2).is_none() && waiters.defer(second, 2).is_none());
        let third = Command::Relocate(Relocate::Delete(Reply::to_nobody()));
        assert!(matches!(waiters.defer(third, 2), Some(Command::Relocate(_))));
        assert_eq!(waiters.take_void_deferred(|ticket| ticket == kept).len(), 1);
        assert_eq!(waiters.take_deferred().len(), 1);
        assert!(waiters.none_deferred());
    }
}
