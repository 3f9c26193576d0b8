//! Forks. The source is not disturbed in any state.

use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{ItemAgentMessageDelta, ThreadStarted, TurnCompleted};
use skein_protocol::thread::{
    ThreadForkParams, ThreadForkResponse, ThreadResumeResponse, ThreadStatus, ThreadUnreadPosition,
};
use skein_protocol::turn::{TurnItemsView, TurnStatus};
use skein_store::history::History;
use skein_store::rollout::RolloutStore;

use super::*;
use crate::thread::event::Force;
use crate::thread::machine::Phase;
use crate::thread::subscribers::Role;

#[tokio::test(start_paused = true)]
async fn a_fork_has_the_history_up_to_where_it_was_wanted_and_goes_on_by_itself() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two", "three"]).await;
    let named = client.set_name(thread, "a name");
    client.answer::<serde_json::Value>(named).await.unwrap();
    let head = bench.disk.head(thread).await.unwrap();
    let of = ThreadForkParams::of(thread);
    let wanted = [
        (of.clone(), &turns[..]),
        (ThreadForkParams { last_turn_id: Some(turns[1].clone()), ..of.clone() }, &turns[..2]),
        (ThreadForkParams { before_turn_id: Some(turns[1].clone()), ..of.clone() }, &turns[..1]),
        (ThreadForkParams { before_turn_id: Some(turns[0].clone()), ..of.clone() }, &[]),
    ];
    for (params, expected) in wanted {
        let fork = client.fork(params).await;
        let id = fork.thread.id;
        assert_eq!(ids(&fork.thread.turns), expected);
        assert_eq!((fork.thread.forked_from_id, fork.thread.name.as_deref()), (Some(thread), Some("a name")));
        let answered = client.log.iter().position(|m| matches!(m, Message::Answer { result: Ok(r), .. } if r.get().contains(&format!("\"id\":\"{id}\"")))).unwrap();
        let at = client
            .take("the word that there is a new thread", |m| {
                m.params::<ThreadStarted>().is_some_and(|p| p.thread.id == id)
            })
            .await;
        let started = client.log[at].params::<ThreadStarted>().unwrap().thread;
        assert_eq!((answered < at, started.turns.len(), started.status), (true, 0, ThreadStatus::Idle));
        assert_eq!(bench.services.subscribers.role(client.id(), id), Some(Role::Subscriber));
        let (row, _) = bench.services.index.get(id).await.unwrap().unwrap();
        assert_eq!((row.forked_from, row.created), (Some(thread), row.updated));
        client.turn(id, "further").await;
        assert_eq!(client.unsubscribe(id), crate::thread::subscribers::Left::Subscription);
        bench.gone(id).await;
        let history = History::read(bench.disk.as_ref(), id).await.unwrap();
        assert_eq!((history.id(), history.row().forked_from), (id, Some(thread)));
        assert_eq!(history.turns(TurnItemsView::Full).len(), expected.len() + 1);
        assert_eq!(history.header().forked.unwrap().from, thread, "who reads only the end knows it");
        // The fork has its own numbers.
        let epoch = fork.skein.map_or(0, |skein| skein.epoch.0);
        assert!(history.epoch().0 > epoch - 1 && epoch > 1);
    }
    assert_eq!(bench.disk.head(thread).await.unwrap(), head, "nothing happened to it");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn only_turns_of_the_fork_are_unread_in_a_fork() {
    let bench = Bench::in_memory();
    let (mut client, thread, _) = talked(&bench, &["one"]).await;
    let fork = client.fork(ThreadForkParams::of(thread)).await.thread.id;
    let (row, _) = bench.services.index.get(fork).await.unwrap().unwrap();
    assert_eq!(row.read_state().first_unread, None);
    let turn_id = client.turn(fork, "further").await.turn.id;
    let history = History::read(bench.disk.as_ref(), fork).await.unwrap();
    let unread = history.read_position().first_unread.clone();
    assert_eq!(unread, Some(ThreadUnreadPosition::Turn { turn_id }));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn turns_that_were_taken_back_are_in_no_fork() {
    let bench = Bench::in_memory();
    let (mut client, thread, mut turns) = talked(&bench, &["one", "two", "three"]).await;
    client.revert(thread, &turns[1]).await;
    let gone = turns.split_off(1);
    turns.push(client.turn(thread, "four").await.turn.id);
    turns.push(client.turn(thread, "five").await.turn.id);
    let of = ThreadForkParams::of(thread);
    assert_eq!(ids(&client.fork(of.clone()).await.thread.turns), turns);
    for (at, turn) in turns.iter().enumerate() {
        let last = ThreadForkParams { last_turn_id: Some(turn.clone()), ..of.clone() };
        assert_eq!(ids(&client.fork(last).await.thread.turns), turns[..=at]);
        let before = ThreadForkParams { before_turn_id: Some(turn.clone()), ..of.clone() };
        assert_eq!(ids(&client.fork(before).await.thread.turns), turns[..at]);
    }
    for turn in gone {
        let (request, _) = client.ask_fork(ThreadForkParams { last_turn_id: Some(turn), ..of.clone() });
        assert_eq!(client.refusal(request).await, "unknownTurn");
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_runs_goes_on_and_is_interrupted_in_the_fork() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    strings.say("half ").await;
    client.notified::<ItemAgentMessageDelta>().await;
    let mut other = bench.client();
    let fork = other.fork(ThreadForkParams::of(thread)).await;
    assert_eq!(fork.thread.turns.last().unwrap().status, TurnStatus::Interrupted);
    strings.say("whole").await;
    strings.end();
    client.notified::<TurnCompleted>().await;
    assert_eq!(bench.disk.loads(), 1, "only the fork was read");
    // The fork of a fork names the fork.
    let again = other.fork(ThreadForkParams::of(fork.thread.id)).await;
    assert_eq!(again.thread.forked_from_id, Some(fork.thread.id));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_loaded_or_unloaded_at_the_moment_is_forked_all_the_same() {
    let bench = Bench::in_memory();
    let (thread, turns) = talked_and_left(&bench, &["one", "two"]).await;
    bench.disk.hold_loads();
    let (mut loader, mut forker) = (bench.client(), bench.client());
    let resume = loader.ask_resume(thread, Role::Subscriber);
    let (fork, _) = forker.ask_fork(ThreadForkParams::of(thread));
    bench.drained().await;
    bench.disk.release_loads();
    loader.answer::<ThreadResumeResponse>(resume).await.unwrap();
    let answer: ThreadForkResponse = forker.answer(fork).await.unwrap();
    assert_eq!(ids(&answer.thread.turns), turns);
    loader.turn(thread, "three").await;
    bench.disk.hold_appends();
    loader.unload(thread, Force::Yes);
    loader.fence(thread).await;
    assert_eq!(bench.services.registry.handle(thread).unwrap().snapshot().phase, Phase::Unloading);
    let (fork, _) = forker.ask_fork(ThreadForkParams::of(thread));
    bench.drained().await;
    bench.disk.release_appends();
    let answer: ThreadForkResponse = forker.answer(fork).await.unwrap();
    assert_eq!(answer.thread.turns.len(), 3);
    bench.gone(thread).await;
    bench.finish().await;
}

/// Another server that takes it for undone would make a second one.
#[tokio::test(start_paused = true)]
async fn a_fork_that_is_being_made_as_its_server_stops_may_be_there() {
    let bench = Bench::in_memory();
    let (mut client, thread, _) = talked(&bench, &["one"]).await;
    bench.disk.hold_appends();
    let (request, fork) = client.ask_fork(ThreadForkParams::of(thread));
    bench.drained().await;
    bench.drain();
    assert_eq!(client.refusal(request).await, "forkUnknown");
    bench.disk.release_appends();
    bench.gone(fork).await;
    assert!(bench.disk.exists(fork).await.unwrap());
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_fork_is_in_memory_only() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    let params = ThreadForkParams {
        ephemeral: true,
        last_turn_id: Some(turns[0].clone()),
        ..ThreadForkParams::of(thread)
    };
    let fork = client.fork(params).await.thread;
    assert_eq!(
        (fork.ephemeral, ids(&fork.turns), fork.forked_from_id),
        (true, turns[..1].to_vec(), Some(thread))
    );
    client.turn(fork.id, "further").await;
    assert!(!bench.disk.exists(fork.id).await.unwrap());
    let (request, _) = client.ask_fork(ThreadForkParams::of(fork.id));
    assert_eq!(client.refusal(request).await, "ephemeral");
    let _left = client.unsubscribe(fork.id);
    bench.gone(fork.id).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_impossible_fork_is_refused_with_the_reason_and_leaves_nothing() {
    let bench = Bench::in_memory();
    let (mut client, new) = bench.started().await;
    let (request, _) = client.ask_fork(ThreadForkParams::of(new));
    assert_eq!(client.refusal(request).await, "nothingToFork");
    let nobody = ThreadId::new(uuid::Uuid::from_u128(7));
    let (request, fork) = client.ask_fork(ThreadForkParams::of(nobody));
    let error = client.answer::<ThreadForkResponse>(request).await.unwrap_err();
    let data = error.data.unwrap();
    assert_eq!((data.reason.as_ref(), data.thread_id), ("threadNotFound", Some(nobody)));
    bench.gone(fork).await;
    client.turn(new, "hello").await;
    bench.disk.refuse(new);
    let (request, fork) = client.ask_fork(ThreadForkParams::of(new));
    assert_eq!(client.refusal(request).await, "notForked");
    bench.gone(fork).await;
    bench.disk.recover(new);
    assert_eq!(bench.disk.threads().await.unwrap(), [new]);
    assert_eq!(
        client
            .received()
            .iter()
            .filter(|m| m.params::<ThreadStarted>().is_some_and(|p| p.thread.id == fork))
            .count(),
        0
    );
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_fork_whose_client_has_left_is_there_all_the_same() {
    let bench = Bench::in_memory();
    let (client, thread, _) = talked(&bench, &["one"]).await;
    bench.disk.hold_appends();
    let mut forker = bench.client();
    let (_, fork) = forker.ask_fork(ThreadForkParams::of(thread));
    bench.drained().await;
    forker.disconnect();
    bench.disk.release_appends();
    bench.gone(fork).await;
    assert!(bench.disk.exists(fork).await.unwrap());
    assert_eq!(bench.services.subscribers.role(client.id(), fork), None);
    bench.finish().await;
}

#[tokio::test]
async fn a_fork_that_was_answered_is_there_after_a_kill() {
    let bench = Bench::on_files();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    let params = ThreadForkParams {
        last_turn_id: Some(turns[0].clone()),
        cwd: Some("/elsewhere".to_owned()),
        ..ThreadForkParams::of(thread)
    };
    let fork = client.fork(params).await.thread.id;
    client.revert(thread, &turns[1]).await;
    bench.layer.cut_power().unwrap();
    let after = bench.after_a_kill();
    let mut back = after.client();
    let forked = back.resume(fork).await;
    assert_eq!((ids(&forked.thread.turns), forked.cwd.as_str()), (turns[..1].to_vec(), "/elsewhere"));
    assert_eq!(forked.thread.forked_from_id, Some(thread));
    assert_eq!(ids(&back.resume(thread).await.thread.turns), turns[..1], "so is a revert");
    after.finish().await;
}
