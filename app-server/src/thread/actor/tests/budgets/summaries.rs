//! Limits and the requests for a summary: each one is checked, and a question between two of them waits like any other.

use skein_protocol::thread::ThreadCompactStartResponse;
use skein_provider::{ProviderError, Stopped};

use super::*;

fn refused(info: CodexErrorInfo) -> ProviderError {
    ProviderError { info: Some(info), ..ProviderError::new("refused") }
}

#[tokio::test(start_paused = true)]
async fn the_next_try_of_a_summary_is_checked_and_counted() {
    let bench = bench(None, limit(BudgetScope::Thread, 100));
    bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(90)]));
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let again = ModelEvent::Again(ProviderError::new("cut"));
    bench.listener.will_say(Ok(vec![again, ModelEvent::TextDelta("short".into())]));
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    let ended = client.notified::<TurnCompleted>().await.turn;
    assert!(exceeded(&ended), "{ended:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_between_two_requests_for_a_summary_is_parked_and_its_answer_goes_on() {
    let bench = bench(None, limit(BudgetScope::Turn, 800));
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "my name is Bob").await;
    bench.listener.will_say(Err(refused(CodexErrorInfo::ContextWindowExceeded)));
    let cut = ProviderError { stopped: Some(Stopped::Length), ..refused(CodexErrorInfo::Other) };
    bench.listener.will_fail_after(vec![usage(1_000)], cut);
    client.input(thread, "who am I?");
    let question = client.asked().await;
    client.disconnect();
    bench.gone(thread).await;
    let (row, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!(row.waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), [question]);
    let mut client = bench.client();
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    // Else it would hold back the next park.
    let kinds = bench.kinds(thread).await;
    let times = |kind| kinds.iter().filter(|other| *other == kind).count();
    assert_eq!(times("item.started"), times("item.completed"), "the summary ends with its load: {kinds:?}");
    bench.listener.say_of_summaries("Bob is here");
    answer(&client, question, "accept");
    let ended = client.notified::<TurnCompleted>().await.turn;
    assert_eq!(ended.status, TurnStatus::Completed, "{:?}", ended.error);
    bench.finish().await;
}
