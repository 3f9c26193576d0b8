//! The turns that a start of the server goes on with, and those that it does not.

use super::*;

async fn repaired(bench: &Bench, threads: Vec<ThreadId>) {
    bench.repair.schedule(threads.len());
    let run = repair::run(bench.services.clone(), bench.repair.clone(), threads, CancellationToken::new());
    bench.within("the repair", run).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_parks_what_waits_and_goes_on_with_what_has_to_work() {
    let (first, _fakes, waiting, question, _) = killed_while(&call(WRITES)).await;
    let (bench, mut fakes) = with_helper(Some(&first));
    let mut bystander = bench.client();
    let before = bench.kinds(waiting).await;
    repaired(&bench, vec![waiting]).await;
    bench.gone(waiting).await;
    assert_eq!(bench.kinds(waiting).await, before, "nothing is written");
    assert_eq!(bystander.count(Message::is::<ThreadClosed>), 0);
    let (row, _) = bench.services.index.get(waiting).await.unwrap().unwrap();
    assert_eq!(row.waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), [question]);
    assert_eq!(fakes.reached().len(), 0);
    bench.finish().await;

    let (first, _fakes, working) = killed_in_a_call(READS).await;
    let (bench, mut fakes) = with_helper(Some(&first));
    let mut observer = bench.client();
    observer.observe(working).await;
    repaired(&bench, vec![working]).await;
    assert_eq!(observer.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(fakes.reached().len(), 1);
    bench.gone(working).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_ends_the_server_again_and_again_fails() {
    let (first, fakes, thread) = killed_in_a_call(READS).await;
    // The servers that were killed do nothing more.
    let mut silent = vec![fakes];
    let mut before = first;
    for _ in 0..3 {
        let (bench, fakes) = with_helper(Some(&before));
        fakes.fall_silent();
        silent.push(fakes);
        let mut client = bench.client();
        assert_eq!(last_turn(&client.resume(thread).await).status, TurnStatus::InProgress);
        assert!(client.fence(thread).await);
        before = bench;
    }
    let kinds = before.kinds(thread).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "turn.resumed").count(), 3, "{kinds:?}");
    let (bench, _fakes) = with_helper(Some(&before));
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    let turn = last_turn(&resumed);
    assert_eq!(turn.status, TurnStatus::Failed);
    assert!(turn.error.as_ref().unwrap().message.contains("three times"));
    client.turn(thread, "hello").await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_settings_say_which_turns_go_on() {
    for (turns, status) in
        [(RestartTurns::None, TurnStatus::Interrupted), (RestartTurns::All, TurnStatus::InProgress)]
    {
        let (first, _fakes, thread, _, _) = killed_while(&call(WRITES)).await;
        let tune = |config: &mut ServerConfig| {
            settings(config);
            config.restart.turns = turns;
        };
        let (bench, _fakes) = Bench::on_store(first.disk.inner(), tune).with_fakes(tools("as before"));
        let mut client = bench.client();
        assert_eq!(last_turn(&client.resume(thread).await).status, status, "{turns:?}");
        bench.finish().await;
    }
    let first = Bench::in_memory();
    let (mut client, thread, strings) = first.running().await;
    client.notified::<TurnStarted>().await;
    strings.say("so f").await;
    assert!(client.fence(thread).await);
    let bench = Bench::on_store(first.disk.inner(), |config| config.restart.turns = RestartTurns::All);
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    assert_eq!(last_turn(&resumed).status, TurnStatus::InProgress);
    let strings = bench.strings().await;
    strings.say("whole").await;
    strings.end();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(words(&client), "whole");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_deny_a_call_in_doubt_end_it_and_the_model_hears_that_it_may_have_been_done() {
    for asked in [false, true] {
        let (mut before, _fakes, thread) = killed_in_a_call(WRITES).await;
        if asked {
            let (bench, _fakes) = with_helper(Some(&before));
            let mut client = bench.client();
            client.resume(thread).await;
            client.asked().await;
            before = bench;
        }
        let tune = |config: &mut ServerConfig| {
            settings(config);
            let spec = config.helpers.get_mut("helper").unwrap();
            spec.tool_approvals.insert(WRITES.to_owned(), serde_json::from_value(json!("deny")).unwrap());
        };
        let (bench, mut fakes) = Bench::on_store(before.disk.inner(), tune).with_fakes(tools("as before"));
        let mut client = bench.client();
        client.resume(thread).await;
        let (status, items) = ended(&mut client, thread).await;
        let (found, error) = helper_call(&items);
        assert_eq!((status, found), (TurnStatus::Completed, McpToolCallStatus::Failed), "{asked}");
        assert!(error.is_some_and(|error| error.contains("may have been done")), "{asked}");
        assert_eq!(fakes.reached().len(), 0);
        assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 0, "{asked}");
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_thread_that_waits_is_not_unloaded_without_force() {
    let (bench, _fakes) = with_helper(None);
    let mut client = bench.client();
    let thread = client.start_ephemeral().await;
    client.input(thread, &call(WRITES));
    let question = client.asked().await;
    let unload = client.unload(thread, Force::No);
    assert_eq!(client.refusal(unload).await, "active", "nothing could go on with its turn");
    answer(&client, question, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_a_client_follows_does_not_wait_for_others_that_a_start_goes_on_with() {
    let first = Bench::in_memory();
    let (mut client, one, _strings) = first.running().await;
    client.notified::<TurnStarted>().await;
    let (mut client, two, _strings_of_two) = first.running().await;
    client.notified::<TurnStarted>().await;
    let tune = |config: &mut ServerConfig| {
        (config.restart.turns, config.restart.at_once) = (RestartTurns::All, 1);
    };
    let bench = Bench::on_store(first.disk.inner(), tune);
    repaired(&bench, vec![one, two]).await;
    let of_one = bench.strings().await;
    bench.drained().await;
    assert!(bench.model.try_next().is_none(), "one at a time");
    let mut client = bench.client();
    client.resume(two).await;
    bench.strings().await.end();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    of_one.end();
    bench.finish().await;
}
