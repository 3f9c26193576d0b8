//! Rows that differ from their rollouts.

use crate::index::sled::IndexReader;

use super::*;

/// A home with a complete index.
async fn indexed() -> Made {
    let made = Made::new();
    let tasks = Tasks::new();
    let store = FileStore::open(&made.paths, Arc::new(DiskLayer), tasks.clone()).unwrap();
    sled::reindex(&made.paths, &store, &tasks, |_| ()).await.unwrap();
    tasks.finish().await;
    made
}

async fn is_named_and_mended(made: &Made, kind: Defect, of: ThreadId) {
    let (summary, found) = made.look(Mend::No).await;
    assert_eq!(
        found.iter().map(|finding| (finding.kind, finding.thread)).collect::<Vec<_>>(),
        [(kind, Some(of))]
    );
    assert_eq!((summary.index, summary.exit_code()), (IndexLook::Compared, 4));
    let (summary, found) = made.look(Mend::Yes).await;
    assert_eq!((found[0].outcome, summary.exit_code()), (FindingOutcome::Mended, 1), "{found:?}");
    assert_eq!(made.look(Mend::No).await.1, [], "{kind:?} was mended");
}

#[tokio::test]
async fn rows_that_agree_are_clean() {
    let made = indexed().await;
    let (summary, found) = made.look(Mend::No).await;
    assert_eq!((summary.index, found), (IndexLook::Compared, Vec::new()));
}

#[tokio::test]
async fn a_row_that_is_missing_is_made() {
    let made = indexed().await;
    made.write("threads/2d", &format!("{}.jsonl", thread(0x2d)), &lines(thread(0x2d), 1));
    is_named_and_mended(&made, Defect::NoRow, thread(0x2d)).await;
}

#[tokio::test]
async fn a_row_that_is_behind_is_set_and_one_that_is_marked_waits_for_its_server() {
    let made = indexed().await;
    fs::write(made.kept(), lines(thread(KEPT), 3)).unwrap();
    let marker = made.write("open", &thread(KEPT).to_string(), b"");
    assert_eq!(made.look(Mend::No).await.1, [], "the next server sets it");
    fs::remove_file(marker).unwrap();
    is_named_and_mended(&made, Defect::StaleRow, thread(KEPT)).await;
}

#[tokio::test]
async fn a_row_from_a_record_that_is_not_there_is_set_too() {
    let made = indexed().await;
    fs::write(made.kept(), lines(thread(KEPT), 1)).unwrap();
    is_named_and_mended(&made, Defect::StaleRow, thread(KEPT)).await;
}

#[tokio::test]
async fn a_row_with_the_wrong_location_is_set() {
    let made = indexed().await;
    let to = made.write("archived/0a", "x", b"").with_file_name(format!("{}.jsonl", thread(KEPT)));
    fs::remove_file(to.with_file_name("x")).unwrap();
    fs::rename(made.kept(), to).unwrap();
    let found = made.look(Mend::No).await.1;
    assert_eq!(found[0].detail, "its row differs from the rollout in: archived");
    is_named_and_mended(&made, Defect::StaleRow, thread(KEPT)).await;
}

#[tokio::test]
async fn a_row_without_a_rollout_goes() {
    let made = indexed().await;
    fs::remove_file(made.kept()).unwrap();
    is_named_and_mended(&made, Defect::RowAlone, thread(KEPT)).await;
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_is_made_anew() {
    let made = indexed().await;
    let index = made.paths.index(3);
    fs::write(index.join("conf"), "not what was written").unwrap();
    let (summary, found) = made.look(Mend::No).await;
    assert_eq!(found.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Defect::Index], "{found:?}");
    assert_eq!((summary.index, summary.exit_code()), (IndexLook::Unreadable, 4));
    let (summary, found) = made.look(Mend::Yes).await;
    assert_eq!((summary.index, found[0].outcome), (IndexLook::MadeAnew, FindingOutcome::Mended), "{found:?}");
    assert_eq!(made.look(Mend::No).await.1, []);
    let tasks = Tasks::new();
    let look = IndexReader::open(&made.paths, &tasks).await.unwrap().unwrap();
    assert_eq!(look.threads().await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_index_that_cannot_be_written_is_not_compared_and_nothing_is_wrong() {
    let made = indexed().await;
    made.write("threads/2d", &format!("{}.jsonl", thread(0x2d)), &lines(thread(0x2d), 1));
    let tasks = Tasks::new();
    let store = FileStore::open(&made.paths, Arc::new(DiskLayer), tasks.clone()).unwrap();
    let before = made.contents();
    let threads = BTreeSet::from([thread(KEPT), thread(ARCHIVED), thread(0x2d)]);
    let read_only: fn(&Path) -> std::io::Result<()> = |_| Err(std::io::ErrorKind::ReadOnlyFilesystem.into());
    let forbidden: fn(&Path) -> std::io::Result<()> = |_| Err(std::io::ErrorKind::PermissionDenied.into());
    for (can_write, mend, look) in [
        (read_only, Mend::No, IndexLook::NotCompared),
        (forbidden, Mend::No, IndexLook::NotCompared),
        (crate::fsck::rows::can_write, Mend::No, IndexLook::Compared),
        (read_only, Mend::Yes, IndexLook::Compared),
    ] {
        let order = FsckRequest { mend, ..FsckRequest::default() };
        let rows = crate::fsck::rows::Rows {
            paths: &made.paths,
            store: &store,
            tasks: &tasks,
            order: &order,
            can_write,
        };
        let (seen, found) = rows.compare(&threads, &BTreeSet::new()).await.unwrap();
        assert_eq!((seen, found.is_empty()), (look, look == IndexLook::NotCompared), "{mend:?}: {found:?}");
        if look == IndexLook::NotCompared {
            assert_eq!(made.contents(), before, "nothing is written");
        }
    }
}
