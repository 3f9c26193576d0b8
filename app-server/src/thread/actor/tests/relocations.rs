//! Threads are archived, restored and deleted in every state.

use std::time::Duration;

use skein_protocol::extension::SkeinThreadUnloadResponse;
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{
    ThreadArchived, ThreadClosed, ThreadDeleted, ThreadStatusChanged, ThreadUnarchived, TurnCompleted,
};
use skein_protocol::thread::{
    Thread, ThreadResumeResponse, ThreadStartParams, ThreadStartResponse, ThreadStatus,
};
use skein_protocol::turn::TurnStatus;
use skein_store::index::ThreadFilter;
use skein_store::rollout::{Location, RolloutStore};

use super::simulation::dice::Dice;
use super::*;
use crate::thread::event::Force;
use crate::thread::subscribers::Role;

type Answer = Result<serde_json::Value, skein_protocol::error::WireError>;

/// The threads of the ordinary list, and of the archived one.
async fn lists(bench: &Bench) -> [Vec<ThreadId>; 2] {
    let list = async |archived| {
        let filter = ThreadFilter { archived, ..ThreadFilter::default() };
        let page = bench.services.index.list(filter, None, 100).await.unwrap();
        page.rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    [list(false).await, list(true).await]
}

/// The order of the answer and the notifications about the end of the thread.
fn order(client: &mut Client, request: i64) -> Vec<&'static str> {
    client
        .received()
        .iter()
        .filter_map(|message| match message {
            message if message.answers(request) => Some("answer"),
            message if message.is::<ThreadArchived>() => Some("archived"),
            message if message.is::<ThreadDeleted>() => Some("deleted"),
            message if message.is::<ThreadClosed>() => Some("closed"),
            message => message
                .params::<ThreadStatusChanged>()
                .filter(|changed| changed.status == ThreadStatus::NotLoaded)
                .map(|_| "notLoaded"),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_archived_thread_is_unloaded_and_in_the_other_list() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let (mut other, mut stranger) = (bench.client(), bench.client());
    other.resume(thread).await;
    let archived = client.archive(thread);
    client.answer::<serde_json::Value>(archived).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(order(&mut client, archived), ["notLoaded", "answer", "archived"], "as the peer says it");
    assert_eq!(order(&mut other, 0), ["notLoaded", "archived"], "a thread that is shown is not closed");
    assert_eq!(order(&mut stranger, 0), ["notLoaded", "archived", "closed"]);
    assert_eq!(bench.services.subscribers.counts(thread).subscribers, 0);
    assert_eq!(lists(&bench).await, [vec![], vec![thread]]);
    let kinds = bench.kinds(thread).await;
    assert!(kinds.ends_with(&["archived".to_owned(), "thread.closed".to_owned()]), "{kinds:?}");

    // The thread can still be read, and has not moved.
    let resumed = other.resume(thread).await;
    assert_eq!(resumed.thread.turns.len(), 1);
    other.turn(thread, "more").await;
    assert_eq!(lists(&bench).await, [vec![], vec![thread]]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_brought_back_is_as_it_was_and_its_subscribers_stay() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let before = client.resume(thread).await.thread.turns;
    let archived = client.archive(thread);
    client.answer::<serde_json::Value>(archived).await.unwrap();
    client.resume(thread).await;
    let mut waiting = bench.client();
    bench.disk.hold_moves();
    let back = client.unarchive(thread);
    client.fence(thread).await;
    let resumed = waiting.ask_resume(thread, Role::Subscriber);
    waiting.fence(thread).await;
    bench.disk.release_moves();
    let answer = client.answer::<serde_json::Value>(back).await.unwrap();
    let shown: Thread = serde_json::from_value(answer["thread"].clone()).unwrap();
    assert_eq!((shown.id, shown.status), (thread, ThreadStatus::NotLoaded));
    let path = shown.path.unwrap();
    assert!(!path.contains("archived"), "clients know an archived thread by its path: {path}");
    assert_eq!(client.notified::<ThreadUnarchived>().await.thread_id, thread);
    let resumed = waiting.answer::<ThreadResumeResponse>(resumed).await.unwrap();
    assert_eq!(resumed.thread.turns, before, "the same turns");
    assert_eq!(lists(&bench).await, [vec![thread], vec![]]);
    assert_eq!(bench.services.subscribers.counts(thread).subscribers, 2);
    client.turn(thread, "more").await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_archived_during_a_flush_of_the_index_keeps_its_open_marker() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    client.unsubscribe(thread);
    bench.gone(thread).await;
    let covered = bench.waiting_open_markers();
    assert!(covered.contains(&bench.services.store.open_marker(thread)));
    bench.services.index.flush().await.unwrap();
    let archived = client.archive(thread);
    client.answer::<serde_json::Value>(archived).await.unwrap();
    bench.gone(thread).await;
    bench.services.store.clear_open_markers(covered).await.unwrap();
    assert_eq!(bench.services.store.open_markers().await.unwrap(), [thread], "no flush covers its new row");
    bench.clear_open_markers().await;
    assert_eq!(bench.services.store.open_markers().await.unwrap(), []);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_at_its_destination_is_left_alone() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let back = client.unarchive(thread);
    let answer = client.answer::<serde_json::Value>(back).await.unwrap();
    assert_eq!(answer["thread"]["status"]["type"], "active", "its turn goes on");
    assert_eq!(client.count(Message::is::<ThreadUnarchived>), 0);
    drop(strings);
    client.notified::<TurnCompleted>().await;
    for _ in 0..2 {
        let archived = client.archive(thread);
        client.answer::<serde_json::Value>(archived).await.unwrap();
    }
    assert_eq!(client.count(Message::is::<ThreadArchived>), 1);
    assert_eq!(bench.disk.count("archived"), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_running_turn_is_interrupted_and_its_end_is_on_disk() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    strings.say("half a wo").await;
    let archived = client.archive(thread);
    client.answer::<serde_json::Value>(archived).await.unwrap();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    let turns = client.resume(thread).await.thread.turns;
    assert_eq!(turns.last().map(|turn| turn.status), Some(TurnStatus::Interrupted));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_thread_is_nowhere_and_everybody_hears_it() {
    let bench = Bench::in_memory();
    let (mut client, thread, _strings) = bench.running().await;
    let (mut other, mut observer, mut stranger) = (bench.client(), bench.client(), bench.client());
    other.resume(thread).await;
    observer.observe(thread).await;
    let deleted = client.delete(thread);
    client.answer::<serde_json::Value>(deleted).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(order(&mut client, deleted), ["notLoaded", "answer", "deleted", "closed"]);
    for received in [&mut other, &mut observer, &mut stranger] {
        assert_eq!(order(received, 0), ["notLoaded", "deleted", "closed"]);
    }
    let counts = bench.services.subscribers.counts(thread);
    assert_eq!((counts.subscribers, counts.observers), (0, 0));
    assert_eq!(lists(&bench).await, [vec![], vec![]]);
    for request in [client.ask_resume(thread, Role::Subscriber), client.ask_resume(thread, Role::Observer)] {
        assert_eq!(client.refusal(request).await, "threadNotFound");
    }
    let named = client.set_name(thread, "a ghost");
    assert_eq!(client.refusal(named).await, "threadNotFound");
    for again in [client.delete(thread), client.archive(thread), client.unarchive(thread)] {
        assert_eq!(client.refusal(again).await, "threadNotFound");
    }
    assert_eq!(lists(&bench).await, [vec![], vec![]]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_during_an_archive_or_a_delete_is_refused_with_the_outcome() {
    for delete in [false, true] {
        let bench = Bench::in_memory();
        let (mut client, thread) = bench.materialised().await;
        let mut resuming = bench.client();
        bench.disk.hold_moves();
        let asked = if delete { client.delete(thread) } else { client.archive(thread) };
        client.fence(thread).await;
        let resumed = resuming.ask_resume(thread, Role::Subscriber);
        let named = resuming.set_name(thread, "late");
        resuming.fence(thread).await;
        bench.disk.release_moves();
        client.answer::<serde_json::Value>(asked).await.unwrap();
        let (reason, late) = (resuming.refusal(resumed).await, resuming.answer(named).await as Answer);
        if delete {
            assert_eq!((reason.as_str(), late.is_err()), ("threadNotFound", true));
        } else {
            // The waiting command applies to the thread at its new location.
            assert_eq!((reason.as_str(), late.is_ok()), ("archivedMeanwhile", true));
            assert_eq!(resuming.resume(thread).await.thread.name.as_deref(), Some("late"));
        }
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_being_loaded_or_unloaded_is_archived_after_that() {
    for loading in [true, false] {
        let bench = Bench::in_memory();
        let (client, thread) = bench.materialised().await;
        let mut other = bench.client();
        let mut resumed = None;
        if loading {
            client.disconnect();
            bench.gone(thread).await;
            bench.disk.hold_loads();
            resumed = Some(other.ask_resume(thread, Role::Subscriber));
        } else {
            bench.disk.hold_appends();
            client.disconnect();
        }
        other.fence(thread).await;
        let mut archiving = bench.client();
        let asked = [archiving.archive(thread), archiving.archive(thread)];
        bench.disk.release_loads();
        bench.disk.release_appends();
        for request in asked {
            archiving.answer::<serde_json::Value>(request).await.unwrap();
        }
        if let Some(resumed) = resumed {
            // The first request has the thread for a moment.
            other.answer::<ThreadResumeResponse>(resumed).await.unwrap();
        }
        bench.gone(thread).await;
        assert_eq!(lists(&bench).await, [vec![], vec![thread]]);
        assert_eq!(bench.disk.count("archived"), 1);
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unmaterialised_thread_cannot_be_archived_but_can_be_deleted() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let archived = client.archive(thread);
    assert_eq!(client.refusal(archived).await, "nothingSaid");
    let ephemeral = client.start_ephemeral().await;
    for refused in [client.archive(ephemeral), client.unarchive(ephemeral)] {
        assert_eq!(client.refusal(refused).await, "ephemeral");
    }
    for thread in [thread, ephemeral] {
        let deleted = client.delete(thread);
        client.answer::<serde_json::Value>(deleted).await.unwrap();
        assert_eq!(client.notified::<ThreadDeleted>().await.thread_id, thread);
        bench.gone(thread).await;
        let resumed = client.ask_resume(thread, Role::Subscriber);
        assert_eq!(client.refusal(resumed).await, "threadNotFound");
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_leaves_the_thread_where_it_is() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.refuse_moves(thread);
    for request in [client.archive(thread), client.delete(thread)] {
        assert_eq!(client.refusal(request).await, "notMoved");
        assert_eq!(lists(&bench).await, [vec![thread], vec![]]);
    }
    assert_eq!(client.count(|m| m.is::<ThreadArchived>() || m.is::<ThreadDeleted>()), 0);
    // Its subscribers stay, and load it again.
    client.turn(thread, "more").await;
    assert_eq!(bench.disk.location(thread).await.unwrap(), Location::Active);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_is_not_waited_for_for_ever() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.hold_moves();
    let archived = client.archive(thread);
    assert_eq!(client.refusal(archived).await, "moveUnknown");
    bench.gone(thread).await;
    bench.disk.release_moves();
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(lists(&bench).await, [vec![], vec![thread]], "it came to be, and the lists say so");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_cannot_be_saved_is_not_archived_but_deleted() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.refuse(thread);
    let named = client.set_name(thread, "lost");
    assert_eq!(client.refusal(named).await, "notSaved");
    let archived = client.archive(thread);
    assert_eq!(client.refusal(archived).await, "notSaved");
    let deleted = client.delete(thread);
    client.answer::<serde_json::Value>(deleted).await.unwrap();
    assert_eq!(lists(&bench).await, [vec![], vec![]]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_is_answered_by_an_earlier_archive() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let mut unloading = bench.client();
    bench.disk.hold_moves();
    let archived = client.archive(thread);
    client.fence(thread).await;
    let unload = unloading.unload(thread, Force::Yes);
    unloading.fence(thread).await;
    bench.disk.release_moves();
    client.answer::<serde_json::Value>(archived).await.unwrap();
    unloading.answer::<SkeinThreadUnloadResponse>(unload).await.unwrap();
    bench.finish().await;
}

/// The location wins over the record, after a kill between the two, or after a person has moved the file.
#[tokio::test(start_paused = true)]
async fn the_location_wins_over_the_record() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let lease = skein_store::rollout::Lease { thread, term: skein_store::home::Term(1) };
    bench.disk.inner().relocate(lease, Location::Archived).await.unwrap();
    let (mut client, next) = (bench.client(), bench.after_a_kill());
    client.resume(thread).await;
    client.unload(thread, Force::Yes);
    bench.gone(thread).await;
    assert_eq!(lists(&bench).await, [vec![], vec![thread]], "a load has seen where it stands");
    skein_store::index::rebuild::run(&*next.disk, &*next.services.index, |_| ()).await.unwrap();
    assert_eq!(lists(&next).await, [vec![], vec![thread]]);
    next.finish().await;
    bench.finish().await;
}

/// Sends a random request. Returns its number, if it has one.
fn ask(client: &mut Client, thread: ThreadId, which: usize) -> Option<i64> {
    match which {
        0 | 1 => Some(client.archive(thread)),
        2 | 3 => Some(client.unarchive(thread)),
        4 => Some(client.ask_resume(thread, Role::Subscriber)),
        5 => Some(client.set_name(thread, "another")),
        6 => Some(client.unload(thread, Force::Yes)),
        7 => Some(client.input(thread, "more")),
        _ => {
            let _left = client.unsubscribe(thread);
            None
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_concurrent_relocations_records_location_and_lists_agree_and_each_request_is_answered() {
    let mut moves = 0;
    for seed in 0..150 {
        let mut dice = Dice::of(seed);
        let bench = Bench::in_memory();
        let thread = bench.stored().await;
        let mut clients = [bench.client(), bench.client(), bench.client()];
        let mut asked: [Vec<i64>; 3] = Default::default();
        for _ in 0..40 {
            let who = dice.below(clients.len());
            asked[who].extend(ask(&mut clients[who], thread, dice.below(9)));
            if dice.once_in(3) {
                bench.pass(Duration::from_millis(1)).await;
            }
        }
        bench.pass(Duration::from_mins(1)).await;
        for (client, asked) in clients.iter_mut().zip(asked) {
            for request in asked {
                assert_eq!(client.count(|m| m.answers(request)), 1, "seed {seed}: request {request}");
            }
            client.disconnect();
        }
        bench.gone(thread).await;
        let archived = bench.disk.location(thread).await.unwrap() == Location::Archived;
        let listed = if archived { [vec![], vec![thread]] } else { [vec![thread], vec![]] };
        assert_eq!(lists(&bench).await, listed, "seed {seed}");
        let kinds = bench.kinds(thread).await;
        let mut moved = kinds.iter().rev().filter(|kind| ["archived", "unarchived"].contains(&kind.as_str()));
        assert_eq!(moved.next().is_some_and(|last| last == "archived"), archived, "seed {seed}: {kinds:?}");
        moves += moved.count();
        let mut last = bench.client();
        let deleted = last.delete(thread);
        last.answer::<serde_json::Value>(deleted).await.unwrap();
        assert_eq!(lists(&bench).await, [vec![], vec![]], "seed {seed}");
        bench.finish().await;
    }
    assert!(moves > 300, "only {moves} moves were seen");
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_begins_anew_under_the_id_of_a_deleted_one_is_in_the_list() {
    let bench = Bench::in_memory();
    let (mut client, thread, _turns) = talked(&bench, &["one", "two", "three"]).await;
    let deleted = client.delete(thread);
    client.answer::<serde_json::Value>(deleted).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(lists(&bench).await, [vec![], vec![]]);
    let started = client.ask_start_as(thread, ThreadStartParams::default());
    client.answer::<ThreadStartResponse>(started).await.unwrap();
    client.turn(thread, "anew").await;
    bench.drained().await;
    assert_eq!(lists(&bench).await, [vec![thread], vec![]]);
    let (row, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!(row.preview, "anew");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_starts_of_one_thread_one_is_refused_and_changes_nothing() {
    let bench = Bench::in_memory();
    let (mut first, mut second) = (bench.client(), bench.client());
    let thread = ThreadId::new(bench.services.clock.new_id());
    let in_folder = |cwd: &str| ThreadStartParams { cwd: Some(cwd.into()), ..ThreadStartParams::default() };
    let (one, two) =
        (first.ask_start_as(thread, in_folder("/a")), second.ask_start_as(thread, in_folder("/b")));
    first.answer::<ThreadStartResponse>(one).await.unwrap();
    assert_eq!(second.refusal(two).await, "threadExists");
    assert_eq!(bench.services.subscribers.role(second.id(), thread), None);
    assert_eq!(first.resume(thread).await.cwd.to_string(), "/a");
    bench.finish().await;
}

#[tokio::test]
async fn a_thread_of_which_only_the_last_record_is_left_is_in_no_list_when_it_is_archived() {
    let first = Bench::on_files();
    let thread = first.stored().await;
    let whole = String::from_utf8(first.file(thread)).unwrap();
    let last = whole.lines().last().unwrap();
    first.overwrite(thread, format!("{last}\n").as_bytes());
    let bench = first.after_a_crash();
    let mut client = bench.client();
    let archived = client.archive(thread);
    client.answer::<serde_json::Value>(archived).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(bench.services.store.location(thread).await.unwrap(), Location::Archived);
    // A rebuilt index has no row of it either.
    assert_eq!(lists(&bench).await, <[Vec<ThreadId>; 2]>::default());
    bench.finish().await;
}
