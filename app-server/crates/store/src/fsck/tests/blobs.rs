//! Texts beside the rollouts: a check names each lost one with its place, and removes only unnamed ones.

use crate::rollout::blob::BlobName;
use crate::rollout::file::EncodedLines;

use super::*;

/// A text that is too large for a line.
fn large(unit: &str) -> String {
    unit.repeat(crate::policy::BLOB_LINE / unit.len() + 1)
}

fn at(text: &str) -> String {
    let name = BlobName::of(text.as_bytes()).to_string();
    format!("blobs/{}/{name}", &name[..2])
}

impl Made {
    fn text(&self, text: &str) -> PathBuf {
        let path = PathBuf::from(at(text));
        let name = path.file_name().unwrap().to_str().unwrap();
        self.write(path.parent().unwrap().to_str().unwrap(), name, text.as_bytes())
    }

    /// A thread with a turn of this text; returns the offsets of its lines.
    fn says(&self, folder: &str, name: &str, id: ThreadId, text: &str) -> Vec<u64> {
        let EncodedLines { bytes, blobs, .. } =
            encode(&mut life_saying(id, 1, text), 0, TurnOffsets::default()).unwrap();
        blobs.iter().for_each(|blob| drop(self.text(&blob.text)));
        self.write(folder, name, &bytes);
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        std::iter::once(0).chain(ends.map(|(at, _)| at as u64 + 1)).collect()
    }

    async fn gc(&self, order: &FsckRequest) -> (FsckSummary, Vec<FsckFinding>, Vec<(String, bool)>) {
        let (mut findings, mut unnamed) = (Vec::new(), Vec::new());
        let mut told = |told: FsckNotice<'_>| match told {
            FsckNotice::Finding(finding) => findings.push(finding.clone()),
            FsckNotice::Unnamed(text) => unnamed.push((text.path.display().to_string(), text.removed)),
            FsckNotice::Served(_) | FsckNotice::Progress(..) => {}
        };
        let summary = run(self.dir.path(), order, &mut told).await.unwrap();
        (summary, findings, unnamed)
    }

    fn is_there(&self, text: &str) -> bool {
        self.dir.path().join(at(text)).exists()
    }
}

type Harm = fn(&Path);

#[tokio::test]
async fn a_lost_text_is_named_with_its_record_and_its_place() {
    let text = large("ein Satz. ");
    let harms: [(&str, Harm); 3] = [
        ("it is not there", |path| fs::remove_file(path).unwrap()),
        ("it has 5 bytes", |path| fs::write(path, "other").unwrap()),
        ("not those that were written", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[4711] ^= 4;
            fs::write(path, bytes).unwrap();
        }),
    ];
    for (detail, harm) in harms {
        let made = Made::new();
        let name = format!("threads/0f/{}.jsonl", thread(0x0f));
        let lines = made.says("threads/0f", &format!("{}.jsonl", thread(0x0f)), thread(0x0f), &text);
        let (summary, findings) = made.look(Mend::No).await;
        assert_eq!(
            (summary.exit_code(), summary.blobs.files, summary.blobs.unnamed),
            (0, 1, 0),
            "{findings:#?}"
        );
        harm(&made.dir.path().join(at(&text)));
        for mend in [Mend::No, Mend::Yes] {
            let before = made.contents();
            let (summary, findings) = made.look(mend).await;
            assert_eq!(summary.exit_code(), 4);
            // The user's message, and the answer's end. Its start has them too.
            let expected: Vec<(u64, u64)> = [3, 4, 5].map(|seq| (seq, lines[seq as usize - 1])).to_vec();
            let found: Vec<(u64, u64)> =
                findings.iter().map(|finding| (finding.seq.unwrap().0, finding.offset.unwrap())).collect();
            assert_eq!(found, expected, "{findings:#?}");
            for finding in findings {
                assert_eq!(
                    (finding.kind, finding.path.display().to_string()),
                    (Defect::LostText, name.clone())
                );
                assert!(finding.detail.contains(detail), "{finding}");
                assert!(finding.detail.contains(&BlobName::of(text.as_bytes()).to_string()), "{finding}");
            }
            assert_eq!(made.contents(), before, "nothing of it can be mended");
        }
    }
}

#[tokio::test]
async fn only_what_no_rollout_names_is_removed() {
    let made = Made::new();
    let [kept, archived, deleted, damaged, copied, gone] =
        ["kept ", "archived ", "deleted ", "damaged ", "copied ", "gone "].map(large);
    made.says("threads/0f", &format!("{}.jsonl", thread(0x0f)), thread(0x0f), &kept);
    made.says("threads/1f", &format!("{}.jsonl", thread(0x1f)), thread(0x1f), &kept);
    made.says("archived/2f", &format!("{}.jsonl", thread(0x2f)), thread(0x2f), &archived);
    made.says("trash", &format!("{}.1700000000000.jsonl", thread(0x3f)), thread(0x3f), &deleted);
    made.says("open", &format!("{}.part", thread(0x4f)), thread(0x4f), &copied);
    let name = format!("{}.jsonl", thread(0x5f));
    let lines = made.says("threads/5f", &name, thread(0x5f), &damaged);
    edit(&made.dir.path().join("threads/5f").join(&name), |bytes| {
        for line in &lines[2..5] {
            bytes[usize::try_from(*line).unwrap() + 3] = b'#';
        }
    });
    made.text(&gone);
    let part = format!("{}.{}.part", at("half"), thread(1));
    let half = Path::new(&part).file_name().unwrap().to_str().unwrap();
    made.write(Path::new(&part).parent().unwrap().to_str().unwrap(), half, b"ha");
    let mut unneeded = [at(&gone), part];
    unneeded.sort();

    let before = made.contents();
    let (summary, findings, unnamed) = made.gc(&FsckRequest::default()).await;
    assert_eq!(unnamed, unneeded.iter().map(|path| (path.clone(), false)).collect::<Vec<_>>());
    assert_eq!((summary.blobs.files, summary.blobs.unnamed, summary.blobs.removed), (7, 2, 0));
    assert!(findings.iter().all(|finding| !finding.path.starts_with("blobs")), "{findings:#?}");
    assert_eq!(made.contents(), before);

    let order = FsckRequest { gc: Gc::Yes, ..FsckRequest::default() };
    let (removed, same, unnamed) = made.gc(&order).await;
    assert_eq!(unnamed, unneeded.iter().map(|path| (path.clone(), true)).collect::<Vec<_>>());
    assert_eq!((removed.blobs.removed, removed.blobs.removed_bytes), (2, gone.len() as u64 + 2));
    assert_eq!((same, removed.exit_code()), (findings, summary.exit_code()), "it says nothing else");
    let left: Vec<_> =
        before.into_iter().filter(|(path, ..)| !unneeded.iter().any(|gone| path.ends_with(gone))).collect();
    assert_eq!(made.contents(), left, "and touches nothing else");
    assert!([&kept, &archived, &deleted, &damaged, &copied].into_iter().all(|text| made.is_there(text)));

    // First one of two threads that share the text goes, then the other.
    fs::remove_file(made.dir.path().join(format!("threads/0f/{}.jsonl", thread(0x0f)))).unwrap();
    assert_eq!(made.gc(&order).await.0.blobs.removed, 0);
    fs::remove_file(made.dir.path().join(format!("threads/1f/{}.jsonl", thread(0x1f)))).unwrap();
    assert_eq!(made.gc(&order).await.2, [(at(&kept), true)]);
}

#[tokio::test]
async fn nothing_is_removed_where_it_is_not_known_what_is_named_or_who_may_name_it() {
    let made = Made::new();
    let text = large("perhaps ");
    made.text(&text);
    let order = FsckRequest { gc: Gc::Yes, ..FsckRequest::default() };
    let archived = made.dir.path().join("archived");
    fs::rename(&archived, made.dir.path().join("elsewhere")).unwrap();
    symlink("not-mounted", &archived).unwrap();
    let (summary, findings, unnamed) = made.gc(&order).await;
    assert_eq!((summary.exit_code() & 8, unnamed.len(), made.is_there(&text)), (8, 0, true), "{findings:#?}");
    fs::remove_file(&archived).unwrap();

    let named = FsckRequest { threads: [thread(KEPT)].into(), ..order.clone() };
    assert_eq!(made.gc(&named).await.0.blobs.removed, 0, "a look at some threads says nothing of the others");
    let home = Home::open(made.dir.path()).unwrap();
    let refused = run(made.dir.path(), &order, &mut |_| ()).await;
    assert!(matches!(refused, Err(FsckError::Home(HomeError::Served { .. }))), "{refused:?}");
    assert_eq!(made.gc(&FsckRequest::default()).await.2, [], "an owner may be about to name it");
    drop(home);
    fs::remove_file(made.paths.lock()).unwrap();
    let refused = run(made.dir.path(), &order, &mut |_| ()).await;
    assert!(matches!(refused, Err(FsckError::NoLock { .. })), "{refused:?}");
    assert!(made.is_there(&text));
}

#[tokio::test]
async fn a_foreign_file_among_the_texts_is_named_and_stays() {
    let made = Made::new();
    let text = large("x");
    let name = BlobName::of(text.as_bytes()).to_string();
    let folder = if name.starts_with("00") { "01" } else { "00" };
    made.write(&format!("blobs/{folder}"), &name, text.as_bytes());
    made.write("blobs/ab", "notes.txt", b"mine");
    made.write("blobs/ab", &name.to_uppercase(), b"mine");
    made.write("blobs", "README", b"mine");
    made.text("open to others");
    let open = made.dir.path().join(at("open to others"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let order = FsckRequest { mend: Mend::Yes, gc: Gc::Yes, ..FsckRequest::default() };
    let (_, findings, unnamed) = made.gc(&order).await;
    let found: BTreeSet<_> =
        findings.iter().map(|finding| (finding.kind, finding.outcome == FindingOutcome::Mended)).collect();
    assert_eq!(found, [(Defect::Foreign, false), (Defect::WrongFolder, false), (Defect::Mode, true)].into());
    assert_eq!((findings.len(), unnamed), (5, vec![(at("open to others"), true)]), "{findings:#?}");
}

#[tokio::test]
async fn secrets_of_a_thread_that_is_nowhere_are_removed_and_those_of_others_stay() {
    let made = Made::new();
    let (kept, trashed, gone) = (thread(0x0f), thread(0x1f), thread(0x2f));
    made.says("threads/0f", &format!("{kept}.jsonl"), kept, "words");
    made.says("trash", &format!("{trashed}.1.jsonl"), trashed, "words");
    let at = |id: ThreadId| HomePaths::new(Path::new("")).secrets_of(id);
    for (id, text) in [(kept, "{}"), (trashed, "{}"), (gone, "{}")] {
        let path = at(id);
        made.write(path.parent().unwrap().to_str().unwrap(), &format!("{id}.json"), text.as_bytes());
    }
    let unnamed = vec![(at(gone).display().to_string(), false)];
    assert_eq!(made.gc(&FsckRequest::default()).await.2, unnamed);
    let order = FsckRequest { gc: Gc::Yes, ..FsckRequest::default() };
    let (_, _, unnamed) = made.gc(&order).await;
    assert_eq!(unnamed, [(at(gone).display().to_string(), true)]);
    let is_there = |id| made.dir.path().join(at(id)).exists();
    assert_eq!([kept, trashed, gone].map(is_there), [true, true, false]);
    fs::write(made.dir.path().join(at(kept)), "half").unwrap();
    let (_, findings, _) = made.gc(&FsckRequest::default()).await;
    assert!(
        findings.iter().any(|finding| finding.kind == Defect::Secrets && finding.thread == Some(kept)),
        "{findings:?}"
    );
}
