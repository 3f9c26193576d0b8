//! Secrets of a thread's settings: in no rollout, in one file, and gone with the thread.

use serde_json::json;
use skein_base::clock::WallMs;

use super::*;
use crate::rollout::record::{SecretValues, StoredSettings, ThreadMeta};

fn secrets(value: &str) -> SecretValues {
    SecretValues(
        json!({ "mcp_servers": { "t": { "env": { "TOKEN": value } } } }).as_object().unwrap().clone(),
    )
}

/// Appends settings with this secret.
async fn works_with(fixture: &Fixture, id: ThreadId, head: u64, value: &str) {
    let settings = StoredSettings { secrets: secrets(value), ..StoredSettings::default() };
    let meta = ThreadMeta { settings: Some(settings), git_info: None };
    let record = Record { seq: EventSeq(head + 1), at: WallMs(0), body: meta.into() };
    fixture.store.append(lease(id), EventSeq(head), LogEntry::of(vec![record], Keep::Power)).await.unwrap();
}

/// Every file of the home with this text.
fn files_with(fixture: &Fixture, text: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![fixture.paths.root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn secrets_stand_in_one_file_that_only_its_user_may_read() {
    let mut fixture = Fixture::new();
    let id = thread(1);
    works_with(&fixture, id, 0, "first-s3cret").await;
    works_with(&fixture, id, 1, "second-s3cret").await;
    let file = fixture.paths.secrets_of(id);
    assert_eq!(files_with(&fixture, "s3cret"), std::slice::from_ref(&file));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, FILE_MODE);
    assert_eq!(fs::metadata(fixture.paths.secrets()).unwrap().permissions().mode() & 0o777, FOLDER_MODE);
    fixture.restart();
    assert_eq!(fixture.store.secrets(id).await.unwrap(), secrets("second-s3cret"));
    assert_eq!(fixture.store.secrets(thread(2)).await.unwrap(), SecretValues::default());
    fs::write(&file, "half").unwrap();
    assert_eq!(fixture.store.secrets(id).await.unwrap(), SecretValues::default());
}

#[tokio::test]
async fn secrets_that_the_disk_does_not_take_are_in_no_record() {
    let fixture = Fixture::new();
    let id = thread(1);
    fs::write(fixture.paths.secrets(), "in the way").unwrap();
    let settings = StoredSettings { secrets: secrets("s3cret"), ..StoredSettings::default() };
    let meta = ThreadMeta { settings: Some(settings), git_info: None };
    let record = Record { seq: EventSeq(1), at: WallMs(0), body: meta.into() };
    let refused = fixture.store.append(lease(id), EventSeq(0), LogEntry::of(vec![record], Keep::Power)).await;
    assert!(matches!(refused, Err(AppendError::Disk { .. })), "{refused:?}");
    assert!(!fixture.path(id).exists());
}

#[tokio::test]
async fn a_fork_has_a_copy_and_a_thread_that_is_removed_takes_its_own_along() {
    let fixture = Fixture::new();
    let (id, fork) = (thread(1), thread(2));
    works_with(&fixture, id, 0, "s3cret").await;
    fixture.store.copy(id, EventSeq(1), lease(fork), vec![named(2, "fork")]).await.unwrap();
    fixture.store.trash(lease(id), WallMs(10)).await.unwrap();
    assert_eq!(files_with(&fixture, "s3cret").len(), 2, "it can be brought back by hand");
    assert_eq!(fixture.store.purge(WallMs(11)).await.unwrap(), 1);
    assert_eq!(files_with(&fixture, "s3cret"), [fixture.paths.secrets_of(fork)]);
    assert_eq!(fixture.store.secrets(fork).await.unwrap(), secrets("s3cret"));
}
