//! The races of the two maps, in thousands of schedules. The tests run the product's own `registry.rs` and `subscribers.rs`;
//! shuttle chooses the next task after each step of a lock, an atomic or a map. Mailboxes and wake-ups are tokio's own, and
//! each of their operations is one step. The tests model the two loops around them: an owner's, and a sender's.
//!
//! `cargo test -p skein-app-server --features races --lib thread::tests` runs them; no other test runs with that feature.

use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::thread;
use skein_protocol::ids::{ConnectionId, ThreadId};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::outbox::{Outbox, OutboxLimits};
use crate::thread::command::Command;
use crate::thread::event::Counts;
use crate::thread::machine::Persistence;
use crate::thread::registry::{Claim, OwnerSlot, Registry, Undelivered};
use crate::thread::subscribers::{ClientWishes, Left, Role, Subscribers, Ticket};

/// Schedules of each race.
const SCHEDULES: usize = 3_000;
/// Switches that a schedule forces against its will; few of them find most bugs.
const DEPTH: usize = 3;

const CLIENT: ConnectionId = ConnectionId(1);
const THREAD: ThreadId = ThreadId::new(Uuid::from_u128(7));

/// Half of the schedules at random, half with few switches.
fn in_every_order(race: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(race.clone(), SCHEDULES / 2);
    shuttle::check_pct(race, SCHEDULES / 2, DEPTH);
}

struct House {
    registry: Registry,
    subscribers: Subscribers,
}

impl House {
    /// With a client, and a thread with an owner.
    fn new(mailbox: usize) -> (Arc<Self>, OwnerSlot) {
        let house =
            Self { registry: Registry::new(mailbox), subscribers: Subscribers::new(uuid::Uuid::nil()) };
        let limits = OutboxLimits {
            waiting_bytes: 1 << 20,
            most_bytes: 1 << 20,
            pause_bytes: 1 << 20,
            merge_bytes: 1 << 20,
        };
        house.subscribers.connect(Outbox::new(CLIENT, limits));
        assert!(house.subscribers.initialise(CLIENT, ClientWishes::default()));
        let Claim::Claimed(slot) = house.registry.claim(THREAD, Persistence::Durable) else {
            panic!("owned")
        };
        (Arc::new(house), *slot)
    }

    fn subscribed(&self) -> Ticket {
        let ticket = self.subscribers.begin_resume(CLIENT, THREAD, usize::MAX).unwrap();
        assert!(self.subscribers.join(ticket, THREAD, Role::Subscriber));
        ticket
    }

    fn disconnect(&self) {
        for thread in self.subscribers.disconnect(CLIENT) {
            self.registry.wake(thread);
        }
    }

    /// An owner's wait for its last subscriber to leave.
    fn until_nobody_listens(&self, slot: &OwnerSlot) {
        while self.subscribers.counts(THREAD) != Counts::default() {
            block_on(slot.handle.woken());
        }
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.subscribers.totals(), (0, Counts::default()));
        assert_eq!(self.subscribers.counts(THREAD), Counts::default());
    }
}

fn command() -> (Command, oneshot::Receiver<()>) {
    let (done, handled) = oneshot::channel();
    (Command::Fence(done), handled)
}

#[test]
fn a_disconnect_is_noticed_also_when_the_mailbox_is_full() {
    in_every_order(|| {
        let (house, slot) = House::new(1);
        house.subscribed();
        slot.handle.send(command().0).unwrap();
        let sender = thread::spawn({
            let handle = slot.handle.clone();
            move || assert!(matches!(handle.send(command().0), Err(Undelivered::Full(_))))
        });
        let client = thread::spawn({
            let house = Arc::clone(&house);
            move || house.disconnect()
        });
        // It reads nothing of its mailbox. Were the disconnect lost, it would wait for ever.
        house.until_nobody_listens(&slot);
        sender.join().unwrap();
        client.join().unwrap();
        house.nothing_is_left();
    });
}

#[test]
fn a_connection_that_ends_during_a_load_is_not_subscribed_by_it() {
    in_every_order(|| {
        let (house, slot) = House::new(4);
        let ticket = house.subscribers.begin_resume(CLIENT, THREAD, usize::MAX).unwrap();
        let client = thread::spawn({
            let house = Arc::clone(&house);
            move || house.disconnect()
        });
        // The load has ended. Whoever is subscribed by it is noticed when it leaves.
        if house.subscribers.join(ticket, THREAD, Role::Subscriber) {
            house.until_nobody_listens(&slot);
        }
        client.join().unwrap();
        house.nothing_is_left();
    });
}

#[test]
fn a_client_that_leaves_while_it_joins_is_in_both_maps_or_in_none() {
    in_every_order(|| {
        let (house, _slot) = House::new(4);
        let ticket = house.subscribers.begin_resume(CLIENT, THREAD, usize::MAX).unwrap();
        let client = thread::spawn({
            let house = Arc::clone(&house);
            move || house.subscribers.leave(CLIENT, THREAD)
        });
        let joined = house.subscribers.join(ticket, THREAD, Role::Subscriber);
        let left = client.join().unwrap();
        // Both maps say the same, and that it has left: it left after it had asked.
        assert_eq!(left, if joined { Left::Subscription } else { Left::WaitingResume });
        assert_eq!(house.subscribers.totals(), (1, Counts::default()));
        assert_eq!(house.subscribers.counts(THREAD), Counts::default());
        assert!(!house.subscribers.waits(ticket));
    });
}

/// Whoever brings a command, as `dispatch.rs` does: until it is in a mailbox, or it becomes the owner. Returns what it
/// has handled itself.
fn deliver(house: &House, mut command: Command) {
    loop {
        let handle = match house.registry.handle(THREAD) {
            Some(handle) => handle,
            None => match house.registry.claim(THREAD, Persistence::Durable) {
                Claim::Owned(handle) => handle,
                Claim::Claimed(mut slot) => {
                    handle_one(command);
                    return end(house, &mut slot);
                }
                Claim::Closed => panic!("nobody has closed it"),
            },
        };
        match handle.send(command) {
            Ok(()) => return,
            Err(Undelivered::Gone(back)) => command = back,
            Err(Undelivered::Full(_)) => panic!("there is room"),
        }
        thread::yield_now();
    }
}

fn handle_one(command: Command) {
    if let Command::Fence(done) = command {
        done.send(()).unwrap();
    }
}

/// An owner's end, as in `actor/mod.rs`: what its mailbox still holds goes to the next one.
fn end(house: &House, slot: &mut OwnerSlot) {
    house.registry.forget(&slot.handle);
    slot.mailbox.close();
    while let Some(left) = block_on(slot.mailbox.recv()) {
        deliver(house, left);
    }
}

#[test]
fn a_command_in_a_mailbox_that_closes_is_handled_by_somebody() {
    in_every_order(|| {
        let (house, mut slot) = House::new(8);
        let (mut senders, mut handled) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let (command, done) = command();
            handled.push(done);
            let house = Arc::clone(&house);
            senders.push(thread::spawn(move || deliver(&house, command)));
        }
        end(&house, &mut slot);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        for done in &mut handled {
            assert_eq!(done.try_recv(), Ok(()));
        }
        assert!(house.registry.handles().is_empty());
    });
}
