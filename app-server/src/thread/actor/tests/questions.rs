//! Questions to the user: the clients that are asked, the answers that count, and the ends of questions.

use skein_protocol::ids::RequestId;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{ItemCompleted, ServerRequestResolved, TurnCompleted, TurnStarted};
use skein_protocol::turn::TurnStatus;

use super::model::Strings;
use super::*;

async fn asked(bench: &Bench) -> (Client, skein_protocol::ids::ThreadId, Strings, i64) {
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    strings.ask("who?").await;
    let question = client.asked().await;
    (client, thread, strings, question)
}

fn has_message(client: &Client, wanted: &str) -> bool {
    let items = client.log.iter().filter_map(Message::params::<ItemCompleted>);
    let mut texts = items.filter_map(|done| {
        let ThreadItemBody::AgentMessage(message) = done.item.body else { return None };
        Some(message.text)
    });
    texts.any(|text| text == wanted)
}

#[tokio::test(start_paused = true)]
async fn the_first_real_answer_wins_and_the_other_clients_are_notified() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings, question) = asked(&bench).await;
    let mut other = bench.client();
    other.resume(thread).await;
    assert_eq!(other.asked().await, question, "asked again under the same id");
    other.say(question, Ok("me"));
    client.say(question, Ok("you"));
    strings.end();
    for who in [&mut client, &mut other] {
        let resolved = who.notified::<ServerRequestResolved>().await;
        assert_eq!(resolved.request_id, RequestId::Integer(question));
        assert_eq!(who.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
        assert!(has_message(who, "me") && !has_message(who, "you"));
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_somebody_who_was_not_asked_counts_for_nothing() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings, question) = asked(&bench).await;
    let (stranger, mut observer) = (bench.client(), bench.client());
    observer.observe(thread).await;
    stranger.say(question, Ok("intruder"));
    observer.say(question, Err("no"));
    observer.say(question, Ok("intruder"));
    assert!(client.fence(thread).await);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 0);
    client.say(question, Ok("me"));
    strings.end();
    client.notified::<TurnCompleted>().await;
    assert!(has_message(&client, "me"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_settles_only_when_everyone_who_is_left_has_answered_with_one() {
    let bench = Bench::in_memory();
    let (mut client, thread, _strings, question) = asked(&bench).await;
    let mut other = bench.client();
    other.resume(thread).await;
    other.asked().await;
    client.say(question, Err("not I"));
    assert!(client.fence(thread).await);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 0, "the other may still answer");
    other.disconnect();
    client.notified::<ServerRequestResolved>().await;
    let completed = client.notified::<TurnCompleted>().await.turn;
    assert_eq!(completed.status, TurnStatus::Failed);
    assert!(completed.error.unwrap().message.contains("not I"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_settles_nothing_and_whoever_resumes_is_asked_again() {
    let bench = Bench::in_memory();
    let (client, thread, strings, question) = asked(&bench).await;
    client.disconnect();
    assert!(client.fence(thread).await);
    let mut back = bench.client();
    back.resume(thread).await;
    assert_eq!(back.asked().await, question);
    back.say(question, Ok("back"));
    strings.end();
    back.notified::<TurnCompleted>().await;
    assert!(has_message(&back, "back"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_is_there_to_answer_ends_the_turn_after_its_grace() {
    let bench = Bench::in_memory();
    let (client, thread, _strings, _question) = asked(&bench).await;
    let left = bench.services.clock.now();
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now() - left, bench.services.config().orphans.pending_grace);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_turn_takes_its_questions_with_it() {
    let bench = Bench::in_memory();
    let (mut client, thread, _strings, question) = asked(&bench).await;
    let turn = bench.services.registry.handle(thread).unwrap().seen(|seen| seen.turn.clone()).unwrap();
    client.interrupt(thread, &turn);
    assert_eq!(client.notified::<ServerRequestResolved>().await.request_id, RequestId::Integer(question));
    client.notified::<TurnCompleted>().await;
    assert_eq!(bench.services.questions.thread(question), None);
    let mut late = bench.client();
    late.resume(thread).await;
    assert!(late.fence(thread).await);
    assert_eq!(late.count(|m| matches!(m, Message::Question { .. })), 0);
    bench.finish().await;
}
