//! Foreign archives are refused.

use super::*;

/// An entry: its name, kind and content.
type Given<'a> = (&'a str, EntryType, &'a str);

/// Writes an archive of these entries, and with `manifest` a manifest of its files.
fn archive(path: &Path, entries: &[Given], manifest: bool) {
    let mut tar = Builder::new(GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast()));
    let mut kept = String::new();
    for (name, kind, content) in entries {
        let mut header = Header::new_ustar();
        // Sets any name, even one that the library refuses.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(0);
        if *kind != EntryType::Regular {
            header.set_link_name("elsewhere").unwrap();
        }
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
        let sha256 = hex(Sha256::new_with_prefix(content));
        if *name != FIRST {
            let line = ManifestEntry { path: (*name).to_owned(), bytes: content.len() as u64, sha256 };
            kept += &format!("{}\n", serde_json::to_string(&line).unwrap());
        }
    }
    if manifest {
        let mut header = Header::new_ustar();
        header.set_path(MANIFEST).unwrap();
        header.set_size(kept.len() as u64);
        header.set_mtime(0);
        header.set_cksum();
        tar.append(&header, kept.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

const HEAD: Given<'static> = (FIRST, EntryType::Regular, r#"{"version":1,"skein":"0","at":0}"#);

fn file_of(name: &str) -> Given<'_> {
    (name, EntryType::Regular, "{}\n")
}

/// The refusal of an archive of these entries. The home must stay unchanged.
async fn refusal(entries: &[Given<'_>], manifest: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (file, home) = (dir.path().join("backup"), dir.path().join("home"));
    archive(&file, entries, manifest);
    let refused = restore(&home, &file, false).await.unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }) && !home.exists(), "{refused}");
    refused.to_string()
}

#[tokio::test]
async fn paths_out_of_the_home_links_and_devices_are_refused() {
    let good = rollout(Location::Active, thread(1));
    let upper = good.to_uppercase().replace("THREADS", "threads").replace("JSONL", "jsonl");
    let strange = [
        "../x",
        "/etc/x",
        "threads/../../x",
        "threads/00/x.jsonl",
        "lock",
        "open/x",
        &upper,
        "",
        "./config.toml",
    ];
    for name in strange {
        let refused = refusal(&[HEAD, file_of(name)], true).await;
        assert!(refused.contains("has no place in a home"), "{name}: {refused}");
    }
    for kind in
        [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::Fifo, EntryType::GNULongName]
    {
        let refused = refusal(&[HEAD, (&good, kind, "")], true).await;
        assert!(refused.contains("is no regular file"), "{kind:?}: {refused}");
    }
}

#[tokio::test]
async fn archives_that_are_put_together_otherwise_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let (good, twin) = (rollout(Location::Active, thread(1)), rollout(Location::Archived, thread(1)));
    archive(&file, &[HEAD, file_of(&good)], true);
    assert_eq!(check::check(&file, &mut |_| {}).unwrap().files, 1);

    let later = (FIRST, EntryType::Regular, r#"{"version":3,"skein":"9.9","at":0}"#);
    let table: [(&[Given], bool, &str); 6] = [
        (&[HEAD, file_of(&good), file_of(&good)], true, "twice"),
        (&[HEAD, file_of(&good), file_of(&twin)], true, "twice"),
        (&[HEAD, file_of(&good)], false, "no manifest"),
        (&[file_of(&good)], true, "the first entry"),
        (&[HEAD, HEAD], true, "the first entry"),
        (&[later], true, "use skein 9.9"),
    ];
    for (entries, manifest, expected) in table {
        let refused = refusal(entries, manifest).await;
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
}
