//! The facts and files of the thread's directory in a model's prompt.

use serde_json::json;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{ItemCompleted, TurnCompleted};
use skein_protocol::turn::{TurnStartParams, TurnStartResponse, UserInput};

use super::conversations::prompt;
use super::*;

fn looking() -> Bench {
    Bench::with(|config| {
        config.model_provider = model::LISTENER.to_owned();
        (config.context.environment, config.context.doc_bytes) = (true, 1000);
    })
}

#[tokio::test]
async fn a_model_gets_the_directory_before_the_conversation_and_a_changed_directory_behind_it() {
    let bench = looking();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for (folder, text) in folders.iter().zip(["be kind", "be brief"]) {
        std::fs::write(folder.path().join("AGENTS.md"), text).unwrap();
    }
    let [first, second] = folders.each_ref().map(|folder| folder.path().to_str().unwrap().to_owned());
    let mut client = bench.client();
    let thread = client.start_with(json!({"cwd": first})).await;
    client.turn(thread, "one").await;
    let before = prompt(&bench);
    assert!(before[0].contains(&format!("<cwd>{first}</cwd>")), "{before:?}");
    assert!(before[1].contains("be kind"), "{before:?}");
    assert_eq!(before[2..], ["user: one"]);
    // As the peer does: the text stays while the thread works there, so that providers find the prompt in their caches.
    std::fs::write(folders[0].path().join("AGENTS.md"), "be loud").unwrap();
    client.turn(thread, "two").await;
    assert_eq!(prompt(&bench)[..3], before);
    let mut params = TurnStartParams::new(thread, vec![UserInput::text("three")]);
    params.cwd = Some(second.clone());
    let request = client.start_turn(thread, params);
    client.answer::<TurnStartResponse>(request).await.unwrap();
    client.notified::<TurnCompleted>().await;
    let after = prompt(&bench);
    assert!(after[0].contains(&second) && after[1].contains("be brief"), "{after:?}");
    let items = client.log.iter().filter_map(Message::params::<ItemCompleted>);
    let kinds = items.filter(|done| matches!(done.item.body, ThreadItemBody::UserMessage(_))).count();
    assert_eq!(kinds, 3, "clients see what the user said, and nothing of this");
    bench.finish().await;
}

#[tokio::test]
async fn a_thread_that_is_loaded_names_the_files_that_its_model_reads() {
    let bench = looking();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("AGENTS.md"), "be kind").unwrap();
    let mut client = bench.client();
    let thread = client.start_with(json!({"cwd": folder.path()})).await;
    client.turn(thread, "one").await;
    client.disconnect();
    bench.gone(thread).await;
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    assert_eq!(resumed.instruction_sources, [folder.path().join("AGENTS.md").to_str().unwrap()]);
    bench.finish().await;
}

#[tokio::test]
async fn a_thread_says_itself_which_files_its_model_reads_also_after_a_load() {
    let bench = looking();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("CLAUDE.md", "be kind"), ("AGENTS.md.not", "no")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut client = bench.client();
    let own = json!({"project_doc_fallback_filenames": ["CLAUDE.md"], "include_environment_context": false});
    let thread = client.start_with_config(json!({"cwd": folder.path()}), own).await;
    client.turn(thread, "one").await;
    let first = prompt(&bench);
    assert!(first[0].contains("be kind") && first.len() == 2, "{first:?}");
    client.disconnect();
    bench.gone(thread).await;
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    assert_eq!(resumed.instruction_sources, [folder.path().join("CLAUDE.md").to_str().unwrap()]);
    client.turn(thread, "two").await;
    assert_eq!(prompt(&bench)[0], first[0]);
    let none = json!({"project_doc_max_bytes": 0, "include_environment_context": false});
    let thread = client.start_with_config(json!({"cwd": folder.path()}), none).await;
    client.turn(thread, "three").await;
    assert_eq!(prompt(&bench), ["user: three"]);
    bench.finish().await;
}
