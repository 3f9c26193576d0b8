//! The start-up repair mends threads that an earlier end of the server left open. Clients that come meanwhile notice only the
//! mended threads.

use skein_protocol::extension::{RepairCounts, RepairState};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::notifications::{ItemCompleted, SkeinRepairUpdated, ThreadClosed, TurnCompleted};
use skein_protocol::thread::ThreadResumeResponse;
use skein_protocol::turn::TurnStatus;
use skein_store::rollout::RolloutStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::loads::cut_off_in_a_turn;
use super::*;
use crate::repair;
use crate::thread::subscribers::Role;

/// A repair of these threads, as at the start of a server.
fn begin(bench: &Bench, threads: Vec<ThreadId>) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    bench.repair.schedule(threads.len());
    let repair = repair::run(bench.services.clone(), bench.repair.clone(), threads, stop.clone());
    (bench.services.tasks.spawn("repair", repair), stop)
}

async fn finished(bench: &Bench, threads: Vec<ThreadId>) -> RepairCounts {
    let (repair, _stop) = begin(bench, threads);
    bench.within("the end of the repair", repair).await.unwrap();
    bench.repair.counts()
}

fn counts(done: u64, total: u64, mended: u64, failed: u64) -> RepairCounts {
    let state = if done == total { RepairState::Complete } else { RepairState::Running };
    RepairCounts { state, done, total, mended, failed }
}

/// Threads with an interrupted turn, and a server that finds them.
async fn cut_off(count: usize) -> (Bench, Vec<ThreadId>, Bench) {
    let first = Bench::in_memory();
    let mut threads = Vec::new();
    for _ in 0..count {
        threads.push(cut_off_in_a_turn(&first).await);
    }
    let bench = first.after_a_kill();
    (first, threads, bench)
}

fn is_closed(kinds: &[String]) -> bool {
    kinds.iter().map(String::as_str).rev().take(2).eq(["thread.closed", "turn.completed"])
}

async fn last_status(client: &mut Client, request: i64) -> TurnStatus {
    client.answer::<ThreadResumeResponse>(request).await.unwrap().thread.turns.last().unwrap().status
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_turn_is_closed_and_only_its_records_are_published() {
    let (_first, threads, bench) = cut_off(1).await;
    let thread = threads[0];
    let (mut observer, mut bystander) = (bench.client(), bench.client());
    observer.observe(thread).await;
    assert_eq!(finished(&bench, threads).await, counts(1, 1, 1, 0));
    bench.gone(thread).await;
    assert!(is_closed(&bench.kinds(thread).await));
    assert_eq!(observer.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    assert!(observer.count(Message::is::<ItemCompleted>) >= 1);
    bystander.notified::<SkeinRepairUpdated>().await;
    assert_eq!(bystander.count(Message::is::<ThreadClosed>), 0, "no client knows that it was loaded");
    let received = bystander.log.iter().filter(|message| !message.is::<SkeinRepairUpdated>()).count();
    assert_eq!(received, 0, "{:?}", bystander.log);
    bench.clear_open_markers().await;
    assert_eq!(bench.disk.open_markers().await.unwrap(), []);
    let (row, as_of) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!((row.preview.as_str(), as_of), ("hello", bench.disk.head(thread).await.unwrap()));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_grace_for_idle_threads_does_not_keep_what_the_repair_has_loaded() {
    let first = Bench::in_memory();
    let thread = cut_off_in_a_turn(&first).await;
    let second = first.after_a_kill();
    let bench = Bench::on_store(second.disk.inner(), |config| config.unload.grace = SOON);
    let before = bench.services.clock.now();
    assert_eq!(finished(&bench, vec![thread]).await, counts(1, 1, 1, 0));
    let took = bench.services.clock.now().saturating_duration_since(before);
    assert!(took < SOON && bench.services.registry.handle(thread).is_none());
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_comes_first_has_done_it_and_the_repair_does_not_wait_for_it() {
    let (_first, threads, bench) = cut_off(1).await;
    bench.disk.hold_loads();
    let mut client = bench.client();
    let request = client.ask_resume(threads[0], Role::Subscriber);
    client.fence(threads[0]).await;
    assert_eq!(finished(&bench, threads.clone()).await, counts(1, 1, 0, 0), "somebody else mends it");
    bench.disk.release_loads();
    assert_eq!(last_status(&mut client, request).await, TurnStatus::Interrupted);
    assert_eq!(bench.disk.loads(), 1);
    client.turn(threads[0], "and on").await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_comes_during_the_load_of_the_repair_takes_the_thread_over() {
    let (_first, threads, bench) = cut_off(1).await;
    let thread = threads[0];
    bench.disk.hold_loads();
    let (repair, _stop) = begin(&bench, threads);
    bench.drained().await;
    assert_eq!(bench.disk.loads(), 1, "the repair has begun it");
    let mut client = bench.client();
    let request = client.ask_resume(thread, Role::Subscriber);
    client.fence(thread).await;
    bench.disk.release_loads();
    assert_eq!(last_status(&mut client, request).await, TurnStatus::Interrupted);
    bench.within("the end of the repair", repair).await.unwrap();
    assert_eq!(bench.repair.counts(), counts(1, 1, 0, 0));
    bench.drained().await;
    assert_eq!(bench.disk.loads(), 1, "it was not unloaded under its subscriber");
    client.turn(thread, "and on").await;
    client.disconnect();
    bench.gone(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_comes_while_the_repair_unloads_waits_and_loads_again() {
    let (_first, threads, bench) = cut_off(1).await;
    let thread = threads[0];
    bench.disk.hold_appends();
    let (repair, _stop) = begin(&bench, threads);
    bench.drained().await;
    let mut client = bench.client();
    let request = client.ask_resume(thread, Role::Subscriber);
    client.fence(thread).await;
    bench.disk.release_appends();
    assert_eq!(last_status(&mut client, request).await, TurnStatus::Interrupted);
    bench.within("the end of the repair", repair).await.unwrap();
    assert_eq!((bench.repair.counts(), bench.disk.loads()), (counts(1, 1, 1, 0), 2));
    assert_eq!(bench.disk.count("turn.completed"), 1, "mended once");
    client.turn(thread, "and on").await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_set_during_the_load_of_the_repair_is_written() {
    let (_first, threads, bench) = cut_off(1).await;
    let thread = threads[0];
    bench.disk.hold_loads();
    let (repair, _stop) = begin(&bench, threads);
    bench.drained().await;
    let mut client = bench.client();
    let request = client.set_name(thread, "a name");
    client.fence(thread).await;
    bench.disk.release_loads();
    client.answer::<serde_json::Value>(request).await.unwrap();
    bench.within("the end of the repair", repair).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(client.resume(thread).await.thread.name.as_deref(), Some("a name"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_load_or_an_owner_that_breaks_off_is_counted_and_the_others_are_mended() {
    let (_first, threads, bench) = cut_off(3).await;
    bench.disk.set_trap();
    bench.disk.hold_loads();
    let (repair, _stop) = begin(&bench, threads.clone());
    bench.drained().await;
    bench.disk.release_loads();
    bench.gone(threads[0]).await;
    bench.within("the end of the repair", repair).await.unwrap();
    assert_eq!(bench.repair.counts(), counts(3, 3, 2, 1));
    assert_eq!(bench.services.tasks.panics(), 1, "it is seen");

    // The next start repairs the thread again, and its owner panics.
    bench.disk.hold_loads();
    let (repair, _stop) = begin(&bench, vec![threads[0]]);
    bench.drained().await;
    bench.services.registry.handle(threads[0]).unwrap().plant_fault();
    bench.within("the end of the repair", repair).await.unwrap();
    assert_eq!((bench.repair.counts().failed, bench.services.tasks.panics()), (2, 2));
    bench.disk.release_loads();
    bench.gone(threads[0]).await;
    assert_eq!(bench.client().resume(threads[0]).await.thread.turns.len(), 2, "the server goes on");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_waits_for_one_thread_and_leaves_the_others_to_the_next_start() {
    let (_first, threads, bench) = cut_off(3).await;
    bench.disk.hold_loads();
    let (mut repair, stop) = begin(&bench, threads.clone());
    bench.drained().await;
    // As the stop of the server does.
    bench.services.registry.close();
    stop.cancel();
    for handle in bench.services.registry.handles() {
        handle.shut_down();
    }
    bench.drained().await;
    assert!(futures_util::FutureExt::now_or_never(&mut repair).is_none(), "it waits for the one under way");
    bench.disk.release_loads();
    bench.within("the end of the repair", repair).await.unwrap();
    assert_eq!(bench.repair.counts(), counts(1, 3, 1, 0));
    assert_eq!(bench.disk.loads(), 1);
    bench.clear_open_markers().await;
    let left = bench.disk.open_markers().await.unwrap();
    assert_eq!(left.len(), 2);

    let next = bench.after_a_kill();
    bench.finish().await;
    assert_eq!(finished(&next, left).await, counts(2, 2, 2, 0));
    for thread in threads {
        assert!(is_closed(&next.kinds(thread).await));
    }
    next.clear_open_markers().await;
    assert_eq!(next.disk.open_markers().await.unwrap(), []);
    next.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_leaves_the_thread_to_the_next_start() {
    let (_first, threads, bench) = cut_off(2).await;
    bench.disk.refuse(threads[0]);
    assert_eq!(finished(&bench, threads.clone()).await, counts(2, 2, 1, 1));
    bench.clear_open_markers().await;
    assert_eq!(bench.disk.open_markers().await.unwrap(), [threads[0]]);
    bench.finish().await;
}

/// The lines of a thread's file.
fn lines(bench: &Bench, thread: ThreadId) -> Vec<String> {
    let text = String::from_utf8(bench.file(thread)).unwrap();
    text.lines().map(|line| format!("{line}\n")).collect()
}

/// Threads with open markers. Four have lost their beginning, the end of their last line, everything, or a line in the
/// middle. One has only a piece of a line, and one has no rollout.
async fn damaged() -> (Bench, [ThreadId; 4]) {
    let first = Bench::on_files();
    let mut threads = Vec::new();
    for _ in 0..5 {
        threads.push(first.stored().await);
    }
    let [headless, torn, garbage, fragment, holed] = threads[..] else { panic!() };
    let missing = ThreadId::new(first.services.clock.new_id());
    for thread in threads.iter().copied().chain([missing]) {
        first.disk.set_open_marker(thread).await.unwrap();
    }
    let whole = lines(&first, headless);
    first.overwrite(headless, whole[2..].concat().as_bytes());
    let text = lines(&first, torn).concat();
    first.overwrite(torn, &text.as_bytes()[..text.len() - 9]);
    first.overwrite(garbage, b"these\nare\nno records\n");
    first.overwrite(fragment, b"{\"v\":1,");
    let mut text = lines(&first, holed);
    text[1] = "damage\n".to_owned();
    first.overwrite(holed, text.concat().as_bytes());
    (first, [headless, torn, garbage, holed])
}

#[tokio::test]
async fn damaged_histories_are_mended_or_reported_once_and_only_readable_ones_lose_their_open_marker() {
    let (first, [headless, torn, garbage, holed]) = damaged().await;
    let bench = first.after_a_crash();
    let open = bench.disk.open_markers().await.unwrap();
    assert_eq!(open.len(), 6);
    let repaired = finished(&bench, open).await;
    assert_eq!((repaired.done, repaired.mended, repaired.failed), (6, 1, 1), "{repaired:?}");
    assert_eq!(bench.services.tasks.panics(), 0);
    // Another task mends the rows.
    let stored = async {
        while bench.services.index.get(holed).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    bench.within("the row of a thread that was whole", stored).await;
    for handle in bench.services.registry.handles() {
        bench.gone(handle.id()).await;
    }
    bench
        .within("the ends of all tasks", async {
            while bench.services.tasks.count() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    bench.clear_open_markers().await;
    assert_eq!(bench.disk.open_markers().await.unwrap(), [garbage], "reported again by the next start");
    assert_eq!(bench.client().resume(headless).await.thread.id, headless);
    assert!(bench.disk.read_after(torn, EventSeq(0), 100).await.unwrap().records.len() >= 5);
    let counts = bench.services.store.counts();
    assert!(counts.loads >= 6 && counts.reads >= 1, "{counts:?}");
    bench.finish().await;
}
