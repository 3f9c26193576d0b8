//! Compactions: the records that a summary replaces and leaves, and summaries that break off.

use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    Error, ItemCompleted, ThreadTokenUsageUpdated, TurnCompleted, TurnStarted,
};
use skein_protocol::thread::{ThreadCompactStartResponse, ThreadForkParams};
use skein_protocol::turn::{
    CodexErrorInfo, NonSteerableTurnKind, TurnStartParams, TurnStatus, TurnSteerResponse, UserInput,
};
use skein_provider::{ModelEvent, ProviderError, TokenUsage};

use super::conversations::{listening, prompt, text};
use super::*;

/// A context of so few tokens that an answer of `FULL` fills it.
fn narrow() -> Bench {
    Bench::with(|config| {
        config.model_provider = model::LISTENER.to_owned();
        config.every_model.window = Some(1_000);
    })
}

const FULL: TokenUsage =
    TokenUsage { input: 890, output: 20, cached_input: 0, cache_write_input: 0, reasoning_output: 0 };

fn too_long() -> ProviderError {
    ProviderError { info: Some(CodexErrorInfo::ContextWindowExceeded), ..ProviderError::new("too long") }
}

/// Compacts the conversation, and waits for the end of that turn.
async fn compacted(client: &mut Client, thread: ThreadId) -> TurnStatus {
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    client.notified::<TurnCompleted>().await.turn.status
}

#[tokio::test(start_paused = true)]
async fn a_summary_replaces_earlier_messages_for_the_model_only() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.will_say(Ok(vec![text("they said "), text("one")]));
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    let done = client.notified::<ItemCompleted>().await;
    let done = if is_compaction(&done.item) { done } else { compaction_completed(&mut client).await };
    assert!(is_compaction(&done.item), "{done:?}");
    client.notified::<TurnCompleted>().await;
    for again in [false, true] {
        if again {
            client.disconnect();
            bench.gone(thread).await;
            client = bench.client();
            let response = client.resume(thread).await;
            assert_eq!(response.thread.turns.len(), 3, "the history keeps everything");
        }
        client.turn(thread, "two").await;
        let prompt = prompt(&bench);
        assert!(prompt[0].contains("they said one") && prompt[0].ends_with("one"), "{prompt:?}");
        assert_eq!(prompt.last().map(String::as_str), Some("user: two"));
        assert_eq!(prompt.len(), if again { 4 } else { 2 }, "{prompt:?}");
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_the_text_of_its_last_try_and_retries_are_published() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.will_say(Ok(vec![
        text("they said not"),
        ModelEvent::Again(ProviderError::new("Reconnecting... 1/2")),
        text("they siad "),
        ModelEvent::Message("they said".into()),
        ModelEvent::Message("one".into()),
    ]));
    assert_eq!(compacted(&mut client, thread).await, TurnStatus::Completed);
    let error = client.log.iter().find_map(Message::params::<Error>).expect("the user is notified");
    assert!(error.will_retry && error.error.message == "Reconnecting... 1/2", "{error:?}");
    client.turn(thread, "two").await;
    let prompt = prompt(&bench);
    assert!(prompt[0].contains("they said\n\none") && !prompt[0].contains("not"), "{prompt:?}");
    bench.finish().await;
}

fn is_compaction(item: &ThreadItem) -> bool {
    matches!(item.body, ThreadItemBody::ContextCompaction(_))
}

async fn compaction_completed(client: &mut Client) -> skein_protocol::event::ItemCompletedNotification {
    loop {
        let done = client.notified::<ItemCompleted>().await;
        if is_compaction(&done.item) {
            return done;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compaction_completes_without_messages_or_without_a_reading_model() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    assert_eq!(compacted(&mut client, thread).await, TurnStatus::Completed);
    assert_eq!(
        client
            .count(|message| message.params::<ItemCompleted>().is_some_and(|done| is_compaction(&done.item))),
        1
    );
    assert_eq!(bench.listener.times_asked(), 0);
    assert!(!bench.services.store.exists(thread).await.unwrap(), "nobody has said anything");
    client.turn(thread, "one").await;
    assert_eq!(prompt(&bench), ["user: one"]);
    assert_eq!(compacted(&mut client, thread).await, TurnStatus::Completed);
    client.disconnect();
    bench.gone(thread).await;
    let mut client = bench.client();
    assert_eq!(client.resume(thread).await.thread.turns.len(), 3);
    bench.finish().await;
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    assert_eq!(compacted(&mut client, thread).await, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_fills_its_window_is_compacted_before_the_next_answer() {
    let bench = narrow();
    let (mut client, thread) = bench.started().await;
    bench.listener.will_say(Ok(vec![text("long"), ModelEvent::Usage(FULL)]));
    client.turn(thread, "one").await;
    bench.listener.will_say(Ok(vec![text("in short")]));
    client.turn(thread, "two").await;
    let prompt = prompt(&bench);
    assert_eq!(prompt.len(), 2, "{prompt:?}");
    assert!(prompt[0].contains("in short"), "{prompt:?}");
    assert_eq!(prompt[1], "user: two");
    client.turn(thread, "three").await;
    assert_eq!(bench.listener.times_asked(), 4, "one, the summary, two, three");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_client_gets_the_usage_and_a_compaction_leaves_an_estimate() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let used = |input| ModelEvent::Usage(TokenUsage { input, output: 20, ..TokenUsage::default() });
    bench.listener.will_say(Ok(vec![text("long"), used(900)]));
    client.turn(thread, "one").await;
    let first = client.notified::<ThreadTokenUsageUpdated>().await;
    let mut second = bench.client();
    second.resume(thread).await;
    assert_eq!(second.notified::<ThreadTokenUsageUpdated>().await, first);
    bench.listener.will_say(Ok(vec![text("in short"), used(950)]));
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    let cost = client.notified::<ThreadTokenUsageUpdated>().await.token_usage;
    let left = client.notified::<ThreadTokenUsageUpdated>().await;
    assert_eq!((cost.last.total_tokens, cost.total.total_tokens), (970, 1890));
    assert_eq!(left.token_usage.total, cost.total, "it costs nothing by itself");
    let last = left.token_usage.last;
    assert!((1..900).contains(&last.total_tokens) && last.input_tokens == 0, "{last:?}");
    client.notified::<TurnCompleted>().await;
    client.disconnect();
    second.disconnect();
    bench.gone(thread).await;
    let mut third = bench.client();
    third.resume(thread).await;
    assert_eq!(third.notified::<ThreadTokenUsageUpdated>().await, left, "also after a load");
    let fork = third.fork(ThreadForkParams::of(thread)).await.thread.id;
    let prompt = third.notified::<ThreadTokenUsageUpdated>().await;
    assert_eq!((prompt.thread_id, prompt.token_usage), (fork, left.token_usage));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_size_of_a_summarys_request_is_not_the_size_of_the_conversation() {
    let bench = narrow();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let usage = ModelEvent::Usage(TokenUsage { input: 950, output: 20, ..TokenUsage::default() });
    bench.listener.will_say(Ok(vec![text("in short"), usage]));
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    client.notified::<TurnCompleted>().await;
    client.turn(thread, "two").await;
    assert_eq!(bench.listener.times_asked(), 3, "one, the summary, two");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_the_provider_finds_too_long_is_compacted_and_asked_again() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.will_say(Err(too_long()));
    // Too long even for the summary's request: half of it is left out.
    bench.listener.will_say(Err(too_long()));
    bench.listener.will_say(Ok(vec![text("in short")]));
    let completed = client.turn(thread, "two").await;
    assert_eq!(completed.turn.status, TurnStatus::Completed);
    assert!(prompt(&bench)[0].contains("in short"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_is_interrupted_replaces_nothing() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    for answer in [vec![], vec![text("half a summ")]] {
        bench.listener.will_hang_after(answer);
        let request = client.compact(thread);
        let answer = client.answer::<ThreadCompactStartResponse>(request).await;
        answer.unwrap();
        let turn = client.notified::<TurnStarted>().await.turn.id;
        bench.listener.hangs().await;
        client.interrupt(thread, &turn);
        assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    }
    client.turn(thread, "two").await;
    assert_eq!(prompt(&bench), ["user: one", "assistant: one", "user: two"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_compaction_takes_no_words_of_the_user_and_says_so_as_the_peer_does() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.will_hang_after(vec![text("in short")]);
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    let turn = client.notified::<TurnStarted>().await.turn.id;
    bench.listener.hangs().await;
    let request = client.steer(thread, &turn, "and");
    let refused = client.answer::<TurnSteerResponse>(request).await.unwrap_err().data.unwrap();
    let kind = NonSteerableTurnKind::Compact;
    assert_eq!(refused.codex_error_info, Some(CodexErrorInfo::ActiveTurnNotSteerable { turn_kind: kind }));
    assert_eq!((&*refused.reason, refused.active_turn_id), ("activeTurnNotSteerable", Some(turn)));
    bench.listener.resume_hanging();
    client.notified::<TurnCompleted>().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_not_replaced_by_a_summary_of_nothing() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.will_say(Ok(vec![text("in short")]));
    assert_eq!(compacted(&mut client, thread).await, TurnStatus::Completed);
    let asked = bench.listener.times_asked();
    assert_eq!(compacted(&mut client, thread).await, TurnStatus::Completed);
    assert_eq!(bench.listener.times_asked(), asked, "nothing was said since");
    // Too long because of the new message.
    bench.listener.will_say(Err(too_long()));
    let ended = client.turn(thread, "two").await;
    assert_eq!(ended.turn.error.unwrap().message, "too long");
    assert_eq!(bench.listener.times_asked(), asked + 1);
    client.turn(thread, "three").await;
    let prompt = prompt(&bench);
    assert!(prompt[0].contains("in short"), "{prompt:?}");
    assert_eq!(prompt[1..], ["user: two", "user: three"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_message_before_a_summary_is_kept_for_later_turns() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.will_say(Err(too_long()));
    bench.listener.will_say(Ok(vec![text("in short")]));
    let pasted = "a line\n".repeat(5_000);
    let mut params = TurnStartParams::new(thread, vec![UserInput::text(&*pasted)]);
    params.additional_context = serde_json::from_value(serde_json::json!({
        "a page": { "kind": "untrusted", "value": "do as I say" },
        "place": { "kind": "application", "value": "Ulm" },
    }))
    .ok();
    client.start_turn(thread, params);
    client.notified::<TurnCompleted>().await;
    let message = format!("user: {pasted}");
    let expected = ["user: a page:\ndo as I say", "developer: place:\nUlm", &message];
    assert_eq!(prompt(&bench)[1..], expected);
    assert!(!prompt(&bench)[0].contains("a line"), "the prompt has it once");
    for _ in 0..2 {
        client.turn(thread, "two").await;
        let prompt = prompt(&bench);
        assert!(prompt[0].contains("in short"), "{:.80}", prompt[0]);
        assert!(prompt[1..4] == expected, "{:.80}", prompt[1]);
        client.disconnect();
        bench.gone(thread).await;
        client = bench.client();
        client.resume(thread).await;
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_long_last_message_a_summary_keeps_the_beginning_and_the_end() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, &format!("BEGIN{}END", "x".repeat(skein_turn::policy::COMPACTION_LAST_WORDS))).await;
    bench.listener.will_say(Ok(vec![text("in short")]));
    assert_eq!(compacted(&mut client, thread).await, TurnStatus::Completed);
    client.turn(thread, "two").await;
    let prompt = prompt(&bench);
    assert!(prompt[0].contains("BEGINxx") && prompt[0].ends_with("xxEND"), "{:.200}", prompt[0]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn clients_receive_the_window_that_decides_on_compactions() {
    for (bench, window) in [(listening(), skein_config::policy::CONTEXT_WINDOW), (narrow(), 1_000)] {
        let (mut client, thread) = bench.started().await;
        bench.listener.will_say(Ok(vec![text("well"), ModelEvent::Usage(TokenUsage::default())]));
        client.turn(thread, "one").await;
        let prompt = client.notified::<ThreadTokenUsageUpdated>().await;
        assert_eq!(prompt.token_usage.model_context_window, Some(window));
        bench.finish().await;
    }
}
