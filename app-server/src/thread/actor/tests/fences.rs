//! Threads that another server has, or whose rollout has changed under this one.

use std::sync::Arc;

use async_trait::async_trait;
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{ThreadClosed, TurnCompleted, TurnStarted};
use skein_protocol::thread::ThreadResumeResponse;
use skein_protocol::turn::{TurnStartResponse, TurnStatus};
use skein_store::home::Term;
use skein_store::ownership::{ClaimError, LoadDue, Ownership};
use skein_store::rollout::record::Record;
use skein_store::rollout::{Keep, Lease, LogEntry};
use skein_store::testing::{named, opened};

use super::*;
use crate::thread::subscribers::Role;

/// Another server, in this term, writes a record behind the last one.
pub(super) async fn another_writes(bench: &Bench, thread: ThreadId, term: Term, record: fn(u64) -> Record) {
    let store = bench.disk.inner();
    let head = store.head(thread).await.unwrap();
    let entry = LogEntry::of(vec![record(head.next().0)], Keep::Power);
    store.append(Lease { thread, term }, head, entry).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_another_server_has_taken_ends_here_at_once_and_writes_nothing_more() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    strings.say("half of an ans").await;
    bench.drained().await;
    another_writes(&bench, thread, Term(2), |seq| opened(seq, 2)).await;
    let (before, ends) = (bench.kinds(thread).await, client.count(Message::is::<TurnCompleted>));
    let taken = bench.services.clock.now();
    let name = client.set_name(thread, "too late");
    assert_eq!(client.refusal(name).await, "notSaved");
    client.notified::<ThreadClosed>().await;
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now(), taken, "nothing was tried again");
    let now = client.count(Message::is::<TurnCompleted>);
    assert_eq!(now, ends, "the other server decides about the turn");
    assert_eq!(bench.kinds(thread).await, before);
    assert_eq!(bench.services.subscribers.counts(thread).subscribers, 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_whose_rollout_has_changed_under_it_is_read_again() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.drained().await;
    another_writes(&bench, thread, Term(1), |seq| named(seq, "by another")).await;
    let input = client.input(thread, "lost");
    assert_eq!(client.refusal(input).await, "notSaved");
    client.notified::<ThreadClosed>().await;
    assert_eq!(client.resume(thread).await.thread.name.as_deref(), Some("by another"));
    let input = client.input(thread, "kept");
    let turn = client.answer::<TurnStartResponse>(input).await.unwrap().turn.id;
    let mut ended = client.notified::<TurnCompleted>().await.turn;
    if ended.id != turn {
        assert_eq!(ended.status, TurnStatus::Failed, "it had ended, and was not saved");
        ended = client.notified::<TurnCompleted>().await.turn;
    }
    assert_eq!((ended.id, ended.status), (turn, TurnStatus::Completed));
    bench.finish().await;
}

/// The rights of a server while another one lives and has every thread.
struct OthersHave(Arc<dyn Ownership>);

#[async_trait]
impl Ownership for OthersHave {
    async fn claim(&self, thread: ThreadId) -> Result<Lease, ClaimError> {
        Err(ClaimError::Held { thread, owner: "another".to_owned() })
    }

    fn lease_of_new(&self, thread: ThreadId) -> Lease {
        self.0.lease_of_new(thread)
    }

    fn give_up(&self, lease: Lease, next: LoadDue) {
        self.0.give_up(lease, next);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_another_server_has_is_refused_for_a_moment_and_not_read() {
    let mut bench = Bench::in_memory();
    let services = Arc::get_mut(&mut bench.services).expect("nobody uses the bench yet");
    services.ownership = Arc::new(OthersHave(Arc::clone(&services.ownership)));
    let thread = bench.stored().await;
    let mut client = bench.client();
    let resume = client.ask_resume(thread, Role::Subscriber);
    let error = client.answer::<ThreadResumeResponse>(resume).await.unwrap_err();
    let data = error.data.unwrap();
    assert_eq!((error.code, data.reason.as_ref()), (-32001, "ownerUnreachable"));
    assert!(data.retry_after_ms.is_some());
    assert_eq!(bench.disk.loads(), 0);
    bench.finish().await;
}
