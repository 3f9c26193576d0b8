//! The threads of a home as numbers.

use std::fs;
use std::path::Path;

/// How many threads each folder of a home has, and their bytes.
pub(super) fn counted(root: &Path) -> String {
    let line = |(name, folder): (&str, &str)| {
        let (count, bytes) = count(&root.join(folder));
        format!("{name:<12}{count}, {} KiB", bytes / 1024)
    };
    [("listed", "threads"), ("archived", "archived"), ("deleted", "trash")].map(line).join("\n")
}

/// The rollouts in a folder and in the folders there.
fn count(folder: &Path) -> (u64, u64) {
    let (mut count, mut bytes) = (0, 0);
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(seen) = entry.metadata() else { continue };
            if seen.is_dir() && depth == 0 {
                folders.push((entry.path(), 1));
            } else if entry.path().extension().is_some_and(|kind| kind == "jsonl") {
                (count, bytes) = (count + 1, bytes + seen.len());
            }
        }
    }
    (count, bytes)
}
