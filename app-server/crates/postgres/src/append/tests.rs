use skein_protocol::ids::EventSeq;
use skein_store::history::ThreadRow;
use skein_store::home::Term;
use skein_store::index::conformance::row;
use skein_store::rollout::Lease;
use skein_store::testing::{lease, thread};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::statement::{AppendColumns, statement};
use super::*;
use crate::rows::RowColumns;
use crate::testing::{TestCluster, TestDatabase};

type Reply = oneshot::Receiver<Result<Appended, AppendError>>;

/// An append of one record, and its reply.
fn job(lease: Lease, expected: u64) -> (AppendJob, Reply) {
    let (reply, answer) = oneshot::channel();
    let row = RecordRow { seq: EventSeq(expected + 1), line: b"line".to_vec() };
    let lines = vec![row];
    let opens = lease.term;
    let (node, expected) = (Uuid::from_u128(1), EventSeq(expected));
    (
        AppendJob {
            lease,
            node,
            expected,
            lines,
            header: None,
            opens,
            row: None,
            turn: None,
            reply: Some(reply),
        },
        answer,
    )
}

/// A task in a database of its own, in which threads 1 to 4 have a record of term 1.
async fn begun() -> (TestDatabase, Appender) {
    let at = TestCluster::shared().database().await;
    let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
    let rows = Arc::new(ThreadRows::open(&database, Arc::default()).await.unwrap());
    let mut appender =
        Appender::new(Arc::clone(&database), Arc::new(Appends::new(NodeId::new(Uuid::from_u128(1)), rows)));
    let jobs = (1..=4).map(|n| job(lease(thread(n)), 0));
    let (jobs, replies): (Vec<_>, Vec<_>) = jobs.unzip();
    appender.write(jobs).await;
    for reply in replies {
        assert_eq!(reply.await.unwrap().unwrap().head, EventSeq(1));
    }
    (at, appender)
}

/// The answers to one batch.
async fn write(appender: &mut Appender, jobs: Vec<(AppendJob, Reply)>) -> Vec<Result<EventSeq, AppendError>> {
    let (jobs, replies): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
    appender.write(jobs).await;
    let mut answers = Vec::new();
    for reply in replies {
        answers.push(reply.await.unwrap().map(|appended| appended.head));
    }
    answers
}

#[tokio::test]
async fn a_thread_that_is_left_out_of_a_batch_has_its_own_answer_and_the_others_go_on() {
    let (_at, mut appender) = begun().await;
    let later = |n| Lease { thread: thread(n), term: Term(2) };
    assert_eq!(write(&mut appender, vec![job(later(2), 1)]).await[0].as_ref().unwrap(), &EventSeq(2));
    let fenced = Lease { thread: thread(2), term: Term(1) };
    let batch =
        vec![job(lease(thread(1)), 1), job(fenced, 2), job(lease(thread(3)), 7), job(lease(thread(9)), 0)];
    let answers = write(&mut appender, batch).await;
    let [Ok(EventSeq(2)), Err(fenced), Err(conflict), Ok(EventSeq(1))] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(matches!(fenced, AppendError::Fenced { term: Term(2), .. }), "{fenced}");
    assert!(matches!(conflict, AppendError::Conflict { head: EventSeq(1), .. }), "{conflict}");
}

#[tokio::test]
async fn a_batch_that_waits_for_a_row_is_written_thread_by_thread() {
    let (at, mut appender) = begun().await;
    let mut holder = Link::connect(&at.address).await.unwrap();
    holder.batch("begin").await.unwrap();
    let id = thread(2).uuid();
    holder.read("select 1 from heads where thread = $1 for update", &[(&id, Type::UUID)]).await.unwrap();
    let answers = write(&mut appender, (1..=3).map(|n| job(lease(thread(n)), 1)).collect()).await;
    let [Ok(EventSeq(2)), Err(AppendError::Away { why, .. }), Ok(EventSeq(2))] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(why.reason.contains("holds the thread's row"), "{why}");
}

#[tokio::test]
async fn a_thread_that_the_database_refuses_stops_no_other_of_its_batch() {
    let (at, mut appender) = begun().await;
    let stray =
        format!("insert into records (thread, seq, line) values ('{}', 2, 'no record')", thread(2).uuid());
    TestCluster::shared().run(&at.name, &stray).await;
    let answers = write(&mut appender, (1..=3).map(|n| job(lease(thread(n)), 1)).collect()).await;
    let [Ok(EventSeq(2)), Err(error @ AppendError::Disk { head: EventSeq(1), .. }), Ok(EventSeq(2))] =
        &answers[..]
    else {
        panic!("{answers:?}")
    };
    assert!(error.to_string().contains("23505"), "{error}");
}

/// However many threads there are, a batch reads only the rows of its own.
#[tokio::test]
async fn a_batch_finds_its_rows_by_the_primary_key() {
    let (at, mut appender) = begun().await;
    let others = "insert into heads (thread, term, seq, header, open)
      select gen_random_uuid(), 1, 1, 0, false from generate_series(1, 20000); analyze heads";
    TestCluster::shared().run(&at.name, others).await;
    for (threads, with_rows) in [(1, false), (32, false), (1, true), (32, true)] {
        let row = |n| Arc::new(ThreadRow { id: thread(n), ..row(n, 1, 1) });
        let of = |n| AppendJob { row: with_rows.then(|| row(n)), ..job(lease(thread(n)), 1).0 };
        let jobs: Vec<AppendJob> = (1..=threads).map(of).collect();
        let rows = RowColumns::of(jobs.iter().filter_map(|job| Some((job.row.as_deref()?, EventSeq(2)))));
        let columns = AppendColumns::of(&jobs);
        let (sql, params) = statement(&columns, &rows);
        let link = appender.link().await.unwrap();
        let plan = link.read(&format!("explain {sql}"), &params).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("heads_pkey") && !plan.contains("Seq Scan"), "{threads} threads: {plan}");
        assert_eq!(plan.contains("Insert on threads"), with_rows, "{plan}");
    }
}
