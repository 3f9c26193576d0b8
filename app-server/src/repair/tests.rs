//! Decisions of the start-up repair: which progress it publishes, and which open markers go.

use super::*;
use crate::thread::actor::tests::bench::Bench;
use crate::thread::actor::tests::client::Client;
use crate::thread::actor::tests::message::Message;

/// The numbers of threads that were done, as the client was notified of them.
fn notified(client: &mut Client) -> Vec<u64> {
    let done = |message: &Message| Some(message.params::<SkeinRepairUpdated>()?.repair.done);
    client.received().iter().filter_map(done).collect()
}

fn one_done(bench: &Bench) {
    bench.repair.change(&bench.services, |counts| counts.done += 1);
}

#[tokio::test(start_paused = true)]
async fn progress_is_published_at_most_once_a_moment_but_beginning_and_end_at_once() {
    let bench = Bench::in_memory();
    let mut client = bench.client();
    bench.repair.schedule(4);
    bench.repair.change(&bench.services, |counts| counts.state = RepairState::Running);
    assert_eq!(notified(&mut client), [0]);
    one_done(&bench);
    one_done(&bench);
    assert_eq!(notified(&mut client), [0]);
    tokio::time::advance(policy::REPAIR_NOTIFY).await;
    one_done(&bench);
    assert_eq!(notified(&mut client), [0, 3]);
    one_done(&bench);
    assert_eq!(notified(&mut client), [0, 3]);
    bench.repair.change(&bench.services, |counts| counts.state = RepairState::Complete);
    assert_eq!(notified(&mut client), [0, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_repair_without_threads_is_not_published() {
    let bench = Bench::in_memory();
    let mut client = bench.client();
    let run =
        run(Arc::clone(&bench.services), Arc::clone(&bench.repair), Vec::new(), CancellationToken::new());
    run.await;
    bench.repair.notify_newcomer(&bench.services, client.id());
    assert_eq!((bench.repair.counts().state, notified(&mut client)), (RepairState::Complete, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_the_present_progress_and_nobody_else_does() {
    let bench = Bench::in_memory();
    let (mut newcomer, mut bystander) = (bench.client(), bench.client());
    bench.repair.schedule(2);
    bench.repair.notify_newcomer(&bench.services, newcomer.id());
    assert_eq!((notified(&mut newcomer), notified(&mut bystander)), (vec![0], vec![]));
    one_done(&bench);
    bench.repair.notify_newcomer(&bench.services, newcomer.id());
    assert_eq!((notified(&mut newcomer), notified(&mut bystander)), (vec![0, 1, 1], vec![1]));
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_counted_and_only_a_marker_without_rollout_goes_at_once() {
    let failed = Repaired::Failed("a reason".to_owned());
    let outcomes = [
        (Repaired::Mended, (1, 0), 0),
        (Repaired::Whole, (0, 0), 0),
        (Repaired::Owned, (0, 0), 0),
        (Repaired::Missing, (0, 0), 1),
        (failed, (0, 1), 0),
    ];
    for (outcome, counted, cleared) in outcomes {
        let bench = Bench::in_memory();
        let thread = ThreadId::new(bench.services.clock.new_id());
        let marker = bench.services.store.open_marker(thread);
        take_note((&bench.services, &bench.repair), marker, &outcome);
        let RepairCounts { done, mended, failed, .. } = bench.repair.counts();
        assert_eq!((done, (mended, failed)), (1, counted), "{outcome:?}");
        assert_eq!(bench.waiting_open_markers().len(), cleared, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thread_with_an_owner_is_left_to_it_and_one_without_a_rollout_is_missing() {
    let bench = Bench::in_memory();
    let (_client, owned) = bench.materialised().await;
    assert!(matches!(dispatch::repair(&bench.services, owned).await, Repaired::Owned));
    assert_eq!(bench.disk.loads(), 0);
    let missing = ThreadId::new(bench.services.clock.new_id());
    assert!(matches!(dispatch::repair(&bench.services, missing).await, Repaired::Missing));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_thread_leaves_all_of_them_to_the_next_start() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let stop = CancellationToken::new();
    stop.cancel();
    bench.repair.schedule(1);
    run(Arc::clone(&bench.services), Arc::clone(&bench.repair), vec![thread], stop).await;
    let RepairCounts { state, done, .. } = bench.repair.counts();
    assert_eq!((state, done, bench.disk.loads()), (RepairState::Running, 0, 0));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn threads_that_others_leave_open_are_repaired_as_they_are_found() {
    let bench = Bench::in_memory();
    let [first, second] = [bench.stored().await, bench.stored().await];
    let (found, later) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let (context, repair) = (Arc::clone(&bench.services), Arc::clone(&bench.repair));
    bench.repair.schedule(1);
    let run =
        bench.services.tasks.spawn("repair", run_all(context, repair, vec![first], later, stop.clone()));
    let until_done = async |done: u64| {
        while bench.repair.counts().done < done {
            bench.drained().await;
        }
        let RepairCounts { done, total, failed, .. } = bench.repair.counts();
        (done, total, failed)
    };
    assert_eq!(until_done(1).await, (1, 1, 0));
    bench.disk.set_trap();
    found.send(vec![second]).await.unwrap();
    assert_eq!(until_done(2).await, (2, 2, 1));
    found.send(vec![second]).await.unwrap();
    assert_eq!(until_done(3).await, (3, 3, 1), "it was found again");
    stop.cancel();
    run.await.unwrap();
    assert_eq!(bench.repair.counts().state, RepairState::Complete);
    bench.finish().await;
}
