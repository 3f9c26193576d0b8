//! Decisions of catch-ups: joins at their place in the publish queue, clients that wait for the disk, clients that have left.

use skein_protocol::ids::{Epoch, RequestId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::notifications::{ItemStarted as ItemStartedNotice, ServerRequestResolved};
use skein_store::home::Term;
use skein_store::rollout::record::{ItemStarted, QuestionKind};
use skein_store::rollout::{AppendError, Keep, Lease};
use tokio::sync::{oneshot, watch};

use super::super::log::Send;
use super::super::open_questions::NewQuestion;
use super::super::wants::Wants;
use super::*;
use crate::outbox::CloseReason;
use crate::thread::actor::tests::bench::Bench;
use crate::thread::actor::tests::client::Client;
use crate::thread::actor::tests::message::Message;
use crate::thread::event::Materialised;
use crate::thread::events;
use crate::thread::machine::Persistence;
use crate::thread::snapshot::Snapshot;
use crate::thread::writer::Written;

const THREAD: ThreadId = ThreadId::new(uuid::Uuid::nil());
const LEASE: Lease = Lease { thread: THREAD, term: Term(1) };
const START: ThreadPicture = ThreadPicture { seq: EventSeq(0), epoch: Epoch(1) };

/// The log and the catch-ups of a thread that has no owner.
struct Stage {
    bench: Bench,
    log: Log,
    catch_ups: CatchUps,
    questions: Questions,
    /// The tasks of the bench itself.
    tasks: usize,
}

impl Stage {
    fn new() -> Self {
        let bench = Bench::in_memory();
        let (publish, _) = watch::channel(Snapshot::loading(Persistence::Durable));
        let mut log = Log::new(Arc::clone(&bench.services), THREAD, Persistence::Durable, publish);
        log.open(LEASE, History::of(THREAD), START, Materialised::No);
        let catch_ups = CatchUps::new(Arc::clone(&bench.services), THREAD);
        let tasks = bench.services.tasks.count();
        Self { bench, log, catch_ups, questions: Questions::default(), tasks }
    }

    /// The tasks that read for clients.
    fn readers(&self) -> usize {
        self.bench.services.tasks.count() - self.tasks
    }

    /// Records and publishes an event, and returns its number.
    fn event(&mut self) -> EventSeq {
        let (turn, item) = (TurnId::from("t".to_owned()), ThreadItem::agent_message("i", ""));
        let started = ItemStarted { turn_id: turn.clone(), item: item.clone() };
        let number = self.log.record_one(started, Keep::Process);
        self.log.notify::<ItemStartedNotice>(&events::item_started(THREAD, &turn, item), Some(number));
        assert!(self.log.send_next(Send::Ready).is_none());
        number
    }

    fn ticket(&self, client: &Client) -> Ticket {
        self.bench.services.subscribers.begin_resume(client.id(), THREAD, usize::MAX).unwrap()
    }

    /// A client that has received everything up to record `at.seq`.
    fn caught_up(&self, client: &Client, at: ThreadPicture) -> Box<CatchUp> {
        let holder = (self.ticket(client), Role::Subscriber);
        CatchUp::begin(&self.bench.services, THREAD, holder, at, Vec::new()).unwrap()
    }

    fn join_at(&mut self, catch_up: Box<CatchUp>, saved: Saved) -> Option<ConnectionId> {
        self.catch_ups.join_at(&self.log, &self.questions, (catch_up, &[]), saved)
    }

    /// The subscription of a client behind its answer, and the end on disk that the answer was given.
    fn join(&self, client: &Client, saved: Saved) -> (Option<ConnectionId>, Option<ThreadPicture>) {
        let ticket = self.ticket(client);
        let (answer, mut given) = answer(client);
        let joined = self.catch_ups.join(&self.log, (ticket, Role::Subscriber), answer, &[], saved);
        (joined, given.try_recv().unwrap())
    }
}

fn reply(client: &Client) -> Reply<()> {
    Reply::new(client.outbox(), RequestId::Integer(1), "test", None)
}

/// The answer to request 1 of the client, and the end on disk that it will be given.
fn answer(client: &Client) -> (LateAnswer, oneshot::Receiver<Option<ThreadPicture>>) {
    let (give, given) = oneshot::channel();
    let reply = reply(client);
    let answer: LateAnswer = Box::new(move |on_disk| {
        give.send(on_disk).ok();
        Ok(reply.prepare(&()))
    });
    (answer, given)
}

fn numbers(client: &mut Client) -> Vec<EventSeq> {
    client.received().iter().filter_map(Message::seq).collect()
}

#[tokio::test(start_paused = true)]
async fn a_view_that_shows_unsaved_records_is_given_the_end_on_disk() {
    let mut stage = Stage::new();
    let mut client = stage.bench.client();
    stage.event();
    assert_eq!(stage.join(&client, Saved::Yes), (Some(client.id()), None));
    client.answer::<()>(1).await.unwrap();
    let (joined, on_disk) = stage.join(&client, Saved::No);
    assert_eq!((joined, on_disk), (Some(client.id()), stage.log.end_on_disk()));
    assert_ne!(on_disk, Some(stage.log.end()));
    let number = stage.event();
    assert_eq!(numbers(&mut client), [number]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_view_makes_no_subscription_and_voids_its_ticket() {
    let mut stage = Stage::new();
    let mut client = stage.bench.client();
    let (ticket, reply) = (stage.ticket(&client), reply(&client));
    let refused: LateAnswer =
        Box::new(|_| Err(reply.prepare_err(&ThreadError::Busy { id: THREAD }.to_wire())));
    let holder = (ticket, Role::Subscriber);
    assert_eq!(stage.catch_ups.join(&stage.log, holder, refused, &[], Saved::Yes), None);
    assert!(!stage.bench.services.subscribers.waits(ticket));
    assert!(client.answer::<()>(1).await.is_err());
    stage.event();
    assert_eq!(numbers(&mut client), []);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_given_up_its_resume_is_answered_so_and_does_not_join() {
    let mut stage = Stage::new();
    let mut client = stage.bench.client();
    let withdrawn = ThreadError::Withdrawn { id: THREAD }.to_wire();
    let holder = (stage.ticket(&client), Role::Subscriber);
    stage.bench.services.subscribers.end_resume(holder.0);
    let view = answer(&client).0;
    assert_eq!(stage.catch_ups.join(&stage.log, holder, view, &[], Saved::Yes), None);
    assert_eq!(client.answer::<()>(1).await.unwrap_err(), withdrawn);

    let (ticket, role) = holder;
    let resume =
        ResumeByNumber { ticket, role, answer: answer(&client).0, from: START, open_questions: Vec::new() };
    stage.catch_ups.begin(&stage.log, &mut stage.questions, resume, Saved::Yes);
    assert_eq!(client.answer::<()>(1).await.unwrap_err(), withdrawn);
    assert_eq!(stage.readers(), 0, "nothing is read for it");
    stage.event();
    assert_eq!(numbers(&mut client), []);
}

#[tokio::test(start_paused = true)]
async fn a_resume_by_number_is_answered_at_once_and_read_by_a_task() {
    let mut stage = Stage::new();
    let mut client = stage.bench.client();
    let ticket = stage.ticket(&client);
    let (answer, mut given) = answer(&client);
    let open_questions = Vec::new();
    let resume = ResumeByNumber { ticket, role: Role::Subscriber, answer, from: START, open_questions };
    stage.catch_ups.begin(&stage.log, &mut stage.questions, resume, Saved::No);
    assert_eq!(given.try_recv(), Ok(stage.log.end_on_disk()));
    client.answer::<()>(1).await.unwrap();
    assert!(stage.bench.services.subscribers.waits(ticket));
    assert_eq!(stage.readers(), 1);
    stage.event();
    assert_eq!(numbers(&mut client), [], "it has not caught up yet");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_caught_up_gets_the_recent_events_and_then_the_live_ones_once() {
    let mut stage = Stage::new();
    let mut client = stage.bench.client();
    let mut catch_up = stage.caught_up(&client, START);
    let [first, second] = [stage.event(), stage.event()];
    catch_up.at = first;
    assert_eq!(numbers(&mut client), []);
    assert_eq!(stage.join_at(catch_up, Saved::Yes), Some(client.id()));
    let third = stage.event();
    assert_eq!(numbers(&mut client), [second, third]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_misses_more_than_the_recent_events_reads_on() {
    let mut stage = Stage::new();
    let mut client = stage.bench.client();
    let catch_up = stage.caught_up(&client, START);
    let ticket = catch_up.ticket;
    let number = stage.event();
    stage.log.skip(number);
    assert_eq!(stage.join_at(catch_up, Saved::Yes), None);
    assert_eq!(stage.readers(), 1, "a task reads for it");
    assert!(stage.bench.services.subscribers.waits(ticket) && client.closed().is_none());
    assert_eq!(numbers(&mut client), []);
}

#[tokio::test(start_paused = true)]
async fn while_the_disk_fails_clients_wait_and_those_that_have_left_do_not_come_back() {
    let mut stage = Stage::new();
    let (mut stays, leaves) = (stage.bench.client(), stage.bench.client());
    let waiting = [stage.caught_up(&stays, START), stage.caught_up(&leaves, START)];
    let number = stage.event();
    for catch_up in waiting {
        assert_eq!(stage.join_at(catch_up, Saved::No), None);
    }
    leaves.disconnect();
    let mut back = stage.catch_ups.unpark();
    assert_eq!(back.iter().map(|one| one.ticket.connection).collect::<Vec<_>>(), [stays.id()]);
    assert!(stage.catch_ups.unpark().is_empty());
    let caught_up = Box::new(back.remove(0));
    assert_eq!(stage.join_at(caught_up, Saved::Yes), Some(stays.id()));
    assert_eq!((numbers(&mut stays), stays.closed()), (vec![number], None));
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_whenever_the_log_cannot_say_what_it_misses() {
    let fails = |log: &mut Log| {
        let error = AppendError::Unknown { thread: THREAD, reason: "full".to_owned() };
        log.take(&Written::Failed(error));
    };
    for spoil in [fails, Log::forget] {
        let mut stage = Stage::new();
        let client = stage.bench.client();
        let catch_up = stage.caught_up(&client, START);
        spoil(&mut stage.log);
        assert_eq!(stage.join_at(catch_up, Saved::Yes), None);
        assert_eq!(stage.catch_ups.unpark().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn questions_that_were_settled_during_the_catch_up_are_taken_back() {
    let mut stage = Stage::new();
    let mut client = stage.bench.client();
    let mut catch_up = stage.caught_up(&client, START);
    catch_up.open_questions = vec![7, 8];
    stage.questions.open(8, NewQuestion::bare(QuestionKind::Input, None, Wants::Words(oneshot::channel().0)));
    assert_eq!(stage.join_at(catch_up, Saved::Yes), Some(client.id()));
    let resolved = |message: &Message| message.params::<ServerRequestResolved>();
    let resolved: Vec<RequestId> =
        client.received().iter().filter_map(resolved).map(|params| params.request_id).collect();
    assert_eq!(resolved, [RequestId::Integer(7)]);
}

#[tokio::test(start_paused = true)]
async fn only_a_client_of_the_same_history_is_queued_and_another_is_closed() {
    let mut stage = Stage::new();
    let (same, other) = (stage.bench.client(), stage.bench.client());
    let of_another = stage.caught_up(&other, ThreadPicture { epoch: Epoch(2), ..START });
    queue(&mut stage.log, of_another);
    assert_eq!((stage.log.queued().count(), other.closed()), (0, Some(CloseReason::Fault)));
    let caught_up = stage.caught_up(&same, START);
    queue(&mut stage.log, caught_up);
    assert_eq!((stage.log.queued().count(), same.closed()), (1, None));
}
