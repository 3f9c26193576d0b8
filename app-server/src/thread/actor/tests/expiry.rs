//! Questions that nobody answers in time, in loaded, parked and left threads.

use std::sync::Arc;
use std::time::Duration;

use skein_config::ServerConfig;
use skein_protocol::ids::EventSeq;
use skein_protocol::notifications::{ServerRequestResolved, TurnCompleted};
use skein_protocol::turn::TurnStatus;
use skein_store::rollout::RolloutStore;
use skein_store::rollout::record::{QuestionEnd, Record, RecordBody};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{expiry, reload};

const ASK: &str = "/ask Which one?";
/// Over at the next look.
const SOON_OVER: Duration = Duration::from_millis(1);

fn keeping(keep: Duration) -> impl Fn(&mut ServerConfig) {
    move |config| config.questions.keep = keep
}

fn watch(bench: &Bench) -> CancellationToken {
    let stop = CancellationToken::new();
    bench.services.tasks.spawn("expiry", expiry::run(Arc::clone(&bench.services), stop.clone()));
    stop
}

/// Waits until no question of the thread is in the list.
async fn settled(bench: &Bench, thread: ThreadId) {
    let listed = async {
        while bench.services.index.get(thread).await.unwrap().is_none_or(|(row, _)| !row.waiting.is_empty()) {
            bench.drained().await;
        }
    };
    bench.within("the end of the question", listed).await;
}

async fn check(bench: &Bench, thread: ThreadId) {
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    let turn = resumed.thread.turns.last().unwrap();
    assert_eq!(turn.status, TurnStatus::Interrupted);
    let error = turn.error.as_ref().map(|error| error.message.as_str());
    assert_eq!(error, Some("nobody has answered the question of this turn within questions.keep"));
    let records = bench.disk.read_after(thread, EventSeq(0), 10_000).await.unwrap().records;
    let is_expired = |record: &&Record| matches!(&record.body, RecordBody::QuestionClosed(closed) if closed.why == QuestionEnd::Expired);
    assert_eq!(records.iter().filter(is_expired).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_of_a_loaded_thread_expires_once_the_settings_say_so() {
    let bench = Bench::with(keeping(Duration::ZERO));
    let stop = watch(&bench);
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, ASK);
    let question = client.asked().await;
    bench.pass(Duration::from_hours(10_000)).await;
    assert_eq!(bench.services.questions.thread(question), Some(thread), "0 is for ever");
    let mut config = ServerConfig::clone(&bench.services.config());
    config.questions.keep = SOON_OVER;
    reload::take(&bench.services, Ok(config)).unwrap();
    client.notified::<ServerRequestResolved>().await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    check(&bench, thread).await;
    stop.cancel();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_of_a_parked_thread_expires() {
    let bench = Bench::with(|config| {
        config.questions.keep = SOON_OVER;
        config.orphans.pending_grace = Duration::ZERO;
    });
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, ASK);
    client.asked().await;
    client.disconnect();
    bench.gone(thread).await;
    let stop = watch(&bench);
    settled(&bench, thread).await;
    bench.gone(thread).await;
    check(&bench, thread).await;
    stop.cancel();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_expired_while_no_server_ran_ends_at_the_start() {
    let first = Bench::with(keeping(Duration::ZERO));
    let (mut client, thread) = first.materialised().await;
    client.input(thread, ASK);
    client.asked().await;
    let index = Arc::clone(&first.services.index);
    let second = Bench::on_store(first.disk.inner(), keeping(SOON_OVER)).with_index(index);
    let stop = watch(&second);
    settled(&second, thread).await;
    second.gone(thread).await;
    check(&second, thread).await;
    stop.cancel();
    second.finish().await;
    drop(first);
}
