//! Reverts in every state of the thread: listeners are notified, reverted turns are not shown, and earlier numbers are not
//! continued. The description of the repository, and injected items.

use skein_protocol::extension::GapReason;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::notifications::{ThreadReverted, ThreadStatusChanged};
use skein_protocol::thread::{
    GitInfo, ThreadInjectItemsResponse, ThreadMetadataGitInfoUpdateParams, ThreadMetadataUpdateResponse,
    ThreadResumeResponse, ThreadRevertResponse, ThreadStatus,
};
use skein_protocol::turn::{TurnStartResponse, TurnStatus};
use skein_store::history::History;
use skein_store::rollout::RolloutStore;
use skein_store::rollout::record::RecordBody;

use super::*;
use crate::thread::command::{Edit, RevertTo};
use crate::thread::event::Force;
use crate::thread::machine::Phase;
use crate::thread::subscribers::Role;

async fn stored(bench: &Bench, thread: ThreadId) -> History {
    History::read(bench.disk.as_ref(), thread).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn turns_are_taken_back_for_everybody_and_for_good() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two", "three"]).await;
    let mut other = bench.client();
    let before = other.resume(thread).await.skein.unwrap();
    let response = client.revert(thread, &turns[1]).await;
    assert_eq!(response.thread.turns, [], "they are read in pages");
    assert!(response.turns_backwards_cursor.is_some() && response.items_backwards_cursor.is_some());
    let now = response.skein.unwrap();
    assert_eq!(now.epoch, Epoch(before.epoch.0 + 1));
    for listener in [&mut client, &mut other] {
        let at = listener.take("the revert", Message::is::<ThreadReverted>).await;
        let Message::Notice { stamp, .. } = &listener.log[at] else { unreachable!() };
        assert_eq!((stamp.seq, stamp.epoch), (Some(now.seq), Some(now.epoch)));
        let received = listener.log[at].params::<ThreadReverted>().unwrap();
        assert_eq!(received.skein.unwrap().before_turn_id, turns[1]);
    }
    let answered = client.log.iter().position(|m| matches!(m, Message::Answer { result: Ok(r), .. } if r.get().contains("itemsBackwardsCursor"))).unwrap();
    let received = client.log.iter().position(Message::is::<ThreadReverted>).unwrap();
    assert!(answered < received, "the answer comes first");
    // An earlier number is not continued, a current one is.
    let gap = other.resume_from(thread, (before.seq, before.epoch)).await;
    assert_eq!(gap.skein.unwrap().gap.unwrap().reason, GapReason::OtherEpoch);
    assert_eq!(ids(&gap.thread.turns), turns[..1]);
    assert!(other.resume_from(thread, (now.seq, now.epoch)).await.skein.unwrap().replay_to.is_some());
    let four = client.turn(thread, "four").await.turn.id;
    assert_eq!(
        ids(&stored(&bench, thread).await.turns(skein_protocol::turn::TurnItemsView::Full)),
        [turns[0].clone(), four]
    );
    bench.finish().await;
}

/// Turns with long texts, so that only the last ones are in memory.
async fn long(bench: &Bench) -> (Client, ThreadId, Vec<TurnId>) {
    // One long word: the model's answer repeats it word by word.
    let text = "x".repeat(skein_store::policy::HISTORY_WINDOW * 5 / 12);
    talked(bench, &[text.as_str(); 5]).await
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_not_in_memory_is_taken_back_too() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = long(&bench).await;
    let mut other = bench.client();
    let resumed = other.resume(thread).await;
    assert!(resumed.thread.turns.len() < 3 && resumed.skein.unwrap().older_turns.is_some());
    client.revert(thread, &turns[2]).await;
    assert_eq!(ids(&other.resume(thread).await.thread.turns), turns[1..2], "the newest of those that stay");
    let all = |history: History| ids(&history.turns(skein_protocol::turn::TurnItemsView::Full));
    assert_eq!(all(stored(&bench, thread).await), turns[..2]);
    let next = client.turn(thread, "next").await.turn.id;
    assert_eq!(all(stored(&bench, thread).await), [&turns[..2], &[next]].concat());
    let (before, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    // More than all turns: the thread is empty then, and lists show it as before.
    client.rollback(thread, 9).await;
    assert_eq!(all(stored(&bench, thread).await), []);
    let (row, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert!(!row.preview.is_empty());
    assert_eq!(row.preview, before.preview);
    client.disconnect();
    other.disconnect();
    bench.gone(thread).await;
    let read = History::read_end(bench.disk.as_ref(), thread, 0).await.unwrap();
    assert_eq!((read.row().preview, read.is_materialised()), (row.preview, true));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn turns_come_back_into_memory_when_newer_ones_are_taken_back() {
    let bench = Bench::in_memory();
    let text = "x".repeat(skein_store::policy::HISTORY_WINDOW / 8);
    let (mut client, thread, turns) = talked(&bench, &[text.as_str(); 7]).await;
    let mut other = bench.client();
    assert_eq!(ids(&other.resume(thread).await.thread.turns), turns[4..]);
    client.rollback(thread, 1).await;
    assert_eq!(ids(&other.resume(thread).await.thread.turns), turns[3..6]);
    client.revert(thread, &turns[4]).await;
    assert_eq!(ids(&other.resume(thread).await.thread.turns), turns[1..4]);
    client.disconnect();
    other.disconnect();
    bench.gone(thread).await;
    assert_eq!(ids(&bench.client().resume(thread).await.thread.turns), turns[1..4]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_counts_turns_that_are_not_in_memory() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = long(&bench).await;
    let answer = client.rollback(thread, 4).await;
    assert_eq!(ids(&answer.thread.turns), turns[..1]);
    let unknown = client.edit(thread, |reply| Edit::Revert(RevertTo::Before(turns[3].clone()), reply));
    assert_eq!(client.refusal(unknown).await, "unknownTurn");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_reverted_message_can_be_sent_again() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let first = client.input_as(thread, "hello", Some("m-1"));
    let first: TurnStartResponse = client.answer(first).await.unwrap();
    client.notified::<skein_protocol::notifications::TurnCompleted>().await;
    client.revert(thread, &first.turn.id).await;
    let (row, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!(row.preview, "hello");
    let again = client.input_as(thread, "hello", Some("m-1"));
    let again: TurnStartResponse = client.answer(again).await.unwrap();
    assert_ne!(again.turn.id, first.turn.id);
    client.notified::<skein_protocol::notifications::TurnCompleted>().await;
    let history = stored(&bench, thread).await;
    assert_eq!((history.row().preview.as_str(), history.is_materialised()), ("hello", true));
    let header = history.header();
    assert_eq!(header.preview.as_deref(), Some("hello"), "who reads only the end knows it");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_impossible_revert_is_refused_with_the_reason() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let turn = bench.services.registry.handle(thread).unwrap().snapshot().turn.unwrap();
    let request = client.ask_revert(thread, &turn);
    assert_eq!(client.refusal(request).await, "active");
    strings.end();
    client.notified::<skein_protocol::notifications::TurnCompleted>().await;
    let request = client.ask_revert(thread, &"no such turn".into());
    assert_eq!(client.refusal(request).await, "unknownTurn");
    let (mut empty, new) = bench.started().await;
    let request = empty.edit(new, |reply| Edit::Revert(RevertTo::AllBut(1), reply));
    assert_eq!(empty.refusal(request).await, "noTurns");
    let nobody = ThreadId::new(uuid::Uuid::from_u128(7));
    let request = client.ask_revert(nobody, &turn);
    assert_eq!(client.refusal(request).await, "threadNotFound");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_counts_turns_and_shows_those_that_stay() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two", "three"]).await;
    let request = client.edit(thread, |reply| Edit::Revert(RevertTo::AllBut(2), reply));
    let response: ThreadRevertResponse = client.answer(request).await.unwrap();
    assert_eq!(ids(&response.thread.turns), turns[..1]);
    let request = client.edit(thread, |reply| Edit::Revert(RevertTo::AllBut(9), reply));
    let response: ThreadRevertResponse = client.answer(request).await.unwrap();
    assert_eq!(response.thread.turns, []);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_not_loaded_is_loaded_for_it_and_goes_again() {
    let bench = Bench::in_memory();
    let (thread, turns) = talked_and_left(&bench, &["one", "two"]).await;
    let mut other = bench.client();
    other.revert(thread, &turns[1]).await;
    bench.gone(thread).await;
    assert_eq!(bench.services.subscribers.role(other.id(), thread), None);
    assert_eq!(stored(&bench, thread).await.turns(skein_protocol::turn::TurnItemsView::Full).len(), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_during_a_load_reaches_the_client_of_the_load() {
    let bench = Bench::in_memory();
    let (thread, turns) = talked_and_left(&bench, &["one", "two"]).await;
    bench.disk.hold_loads();
    let (mut loader, mut editor) = (bench.client(), bench.client());
    let resume = loader.ask_resume(thread, Role::Subscriber);
    let revert = editor.ask_revert(thread, &turns[1]);
    bench.drained().await;
    bench.disk.release_loads();
    let shown: ThreadResumeResponse = loader.answer(resume).await.unwrap();
    editor.answer::<ThreadRevertResponse>(revert).await.unwrap();
    // The answer shows the thread without the turn, or the revert follows the answer.
    if shown.thread.turns.len() == 2 {
        loader.notified::<ThreadReverted>().await;
    }
    assert_eq!(bench.disk.loads(), 1, "one load for both");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_while_the_thread_unloads_waits_and_loads_it_again() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    bench.disk.hold_appends();
    client.unload(thread, Force::Yes);
    client.fence(thread).await;
    assert_eq!(bench.services.registry.handle(thread).unwrap().snapshot().phase, Phase::Unloading);
    let mut editor = bench.client();
    let revert = editor.ask_revert(thread, &turns[0]);
    bench.drained().await;
    bench.disk.release_appends();
    editor.answer::<ThreadRevertResponse>(revert).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(stored(&bench, thread).await.turns(skein_protocol::turn::TurnItemsView::Full), []);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_catches_up_meanwhile_gets_a_revert_in_its_place() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    let mut late = bench.client();
    let from = (EventSeq(3), Epoch(1));
    bench.disk.hold_reads();
    let resume = late.ask_resume_from(thread, Role::Subscriber, from);
    assert!(late.answer::<ThreadResumeResponse>(resume).await.unwrap().skein.unwrap().replay_to.is_some());
    client.revert(thread, &turns[1]).await;
    client.turn(thread, "other").await;
    bench.disk.release_reads();
    late.notified::<ThreadReverted>().await;
    late.take("the turn behind it", |m| {
        m.params::<skein_protocol::notifications::TurnCompleted>()
            .is_some_and(|p| !turns.contains(&p.turn.id))
    })
    .await;
    assert_eq!(late.closed(), None);
    let numbers: Vec<EventSeq> = late.log.iter().filter_map(Message::seq).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_that_the_disk_refuses_is_an_error_and_no_number_leads_on_from_it() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    bench.disk.refuse(thread);
    let request = client.ask_revert(thread, &turns[1]);
    assert_eq!(client.refusal(request).await, "notSaved");
    let at = client.take("the revert", Message::is::<ThreadReverted>).await;
    assert_eq!(client.log[at].seq(), None);
    let request = client.ask_revert(thread, &turns[0]);
    assert_eq!(client.refusal(request).await, "notSaved", "nothing new while the disk refuses");
    let mut other = bench.client();
    let shown = other.resume(thread).await.skein.unwrap();
    assert_eq!(shown.epoch, Epoch(0), "what it shows may be lost");
    bench.disk.recover(thread);
    bench.disk.until_written("reverted", 1).await;
    let again = other.resume_from(thread, (shown.seq, shown.epoch)).await;
    assert_eq!(again.skein.unwrap().gap.unwrap().reason, GapReason::OtherEpoch);
    assert_eq!(ids(&again.thread.turns), turns[..1]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_knows_a_lost_revert_is_disconnected() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    bench.disk.refuse(thread);
    let request = client.ask_revert(thread, &turns[1]);
    assert_eq!(client.refusal(request).await, "notSaved");
    let mut asker = bench.client();
    asker.unload(thread, Force::Yes);
    bench.gone(thread).await;
    assert!(client.closed().is_some());
    bench.disk.recover(thread);
    let mut back = bench.client();
    assert_eq!(ids(&back.resume(thread).await.thread.turns), turns);
    bench.finish().await;
}

/// The unload abandons the records at the moment at which the queue would have gone on without them.
#[tokio::test(start_paused = true)]
async fn a_client_answered_while_a_revert_gets_lost_is_disconnected_too() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    let (mut waiting, mut asker) = (bench.client(), bench.client());
    bench.disk.hold_appends();
    client.ask_revert(thread, &turns[1]);
    waiting.ask_resume(thread, Role::Subscriber);
    asker.unload(thread, Force::Yes);
    bench.gone(thread).await;
    assert_eq!(waiting.count(Message::is::<ThreadReverted>), 0, "its answer shows it");
    assert!(client.closed().is_some() && waiting.closed().is_some());
    bench.disk.release_appends();
    let mut back = bench.client();
    assert_eq!(ids(&back.resume(thread).await.thread.turns), turns);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_that_is_taken_back_leaves_no_error_behind() {
    let bench = Bench::in_memory();
    let (mut client, thread, _) = talked(&bench, &["one"]).await;
    let failed = client.turn(thread, "/fail on purpose").await.turn;
    assert_eq!(failed.status, TurnStatus::Failed);
    client.revert(thread, &failed.id).await;
    let idle =
        |m: &Message| m.params::<ThreadStatusChanged>().is_some_and(|p| p.status == ThreadStatus::Idle);
    client.take("idle again", idle).await;
    bench.finish().await;
}

fn branch(name: Option<&str>) -> ThreadMetadataGitInfoUpdateParams {
    ThreadMetadataGitInfoUpdateParams {
        branch: Some(name.map(str::to_owned)),
        ..ThreadMetadataGitInfoUpdateParams::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_description_of_the_repository_is_kept_and_changes_no_update_time() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let before = stored(&bench, thread).await.row().updated;
    let mut client = bench.client();
    let change =
        ThreadMetadataGitInfoUpdateParams { sha: Some(Some("abc".to_owned())), ..branch(Some("main")) };
    let request = client.edit(thread, |reply| Edit::Repository(change, reply));
    let answer: ThreadMetadataUpdateResponse = client.answer(request).await.unwrap();
    let git_info = |branch: Option<&str>| {
        Some(GitInfo { branch: branch.map(str::to_owned), origin_url: None, sha: Some("abc".to_owned()) })
    };
    assert_eq!(answer.thread.git_info, git_info(Some("main")));
    bench.gone(thread).await;
    let request = client.edit(thread, |reply| Edit::Repository(branch(None), reply));
    let answer: ThreadMetadataUpdateResponse = client.answer(request).await.unwrap();
    assert_eq!(answer.thread.git_info, git_info(None), "null takes away, what is missing stays");
    bench.gone(thread).await;
    let row = stored(&bench, thread).await.row();
    assert_eq!((row.git_info, row.updated), (git_info(None), before));
    let change = ThreadMetadataGitInfoUpdateParams { sha: Some(None), ..branch(None) };
    let request = client.edit(thread, |reply| Edit::Repository(change, reply));
    assert_eq!(client.answer::<ThreadMetadataUpdateResponse>(request).await.unwrap().thread.git_info, None);
    bench.finish().await;
}

/// The injected items on disk.
async fn injected(bench: &Bench, thread: ThreadId) -> Vec<(EventSeq, Vec<serde_json::Value>)> {
    let records = bench.disk.read_after(thread, EventSeq(0), usize::MAX).await.unwrap().records;
    let injected = records.into_iter().filter_map(|record| {
        if let RecordBody::ItemsInjected(injected) = record.body {
            Some((record.seq, injected.items))
        } else {
            None
        }
    });
    injected.collect()
}

#[tokio::test(start_paused = true)]
async fn items_for_the_model_are_kept_where_they_were_added_and_no_turn_begins() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let first = stored(&bench, thread).await.turns(skein_protocol::turn::TurnItemsView::Full)[0].id.clone();
    let item = serde_json::json!({ "type": "message", "role": "user", "content": [], "made": "up" });
    let wanted = item.clone();
    // Also during a turn.
    let request = client.edit(thread, |reply| Edit::Inject(vec![item], reply));
    client.answer::<ThreadInjectItemsResponse>(request).await.unwrap();
    strings.end();
    client.notified::<skein_protocol::notifications::TurnCompleted>().await;
    let history = stored(&bench, thread).await;
    assert_eq!(history.turns(skein_protocol::turn::TurnItemsView::Full).len(), 2);
    let second = history.held_turns()[1].at;
    let kept = injected(&bench, thread).await;
    assert!(matches!(kept.as_slice(), [(seq, items)] if *seq > second && *items == [wanted]), "{kept:?}");
    client.revert(thread, &first).await;
    assert_eq!(injected(&bench, thread).await, kept, "a rollout is only appended to");
    bench.finish().await;
}
