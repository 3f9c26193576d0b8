//! Notes about helpers for models.

use skein_helpers::HelperSpec;
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::thread::ThreadCompactStartResponse;

use super::conversations::prompt;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_model_gets_the_same_note_about_a_missing_helper_each_time() {
    let bench = Bench::with(|config| {
        config.model_provider = model::LISTENER.to_owned();
        config.helpers.insert("one".to_owned(), HelperSpec::new("one", "/nowhere/program"));
    });
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let first = prompt(&bench);
    assert!(first[0].starts_with("developer: ") && first[0].contains("\n- one: "), "{first:?}");
    assert_eq!(first[1..], ["user: one"]);
    client.turn(thread, "two").await;
    assert_eq!(prompt(&bench)[..2], first[..]);
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    client.notified::<TurnCompleted>().await;
    client.turn(thread, "three").await;
    assert_eq!(prompt(&bench)[0], first[0], "it is not summarised");
    bench.finish().await;
}
