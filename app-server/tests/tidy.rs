//! The walls of the house that clippy cannot hold.

/// A file above this many lines answers more than one question.
const MOST_LINES: usize = 600;

#[test]
fn no_file_is_longer_than_a_room() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut rooms = vec![root.join("app-server"), root.join("protocol"), root.join("integration-tests")];
    let mut seen = 0;
    while let Some(folder) = rooms.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rooms.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                assert!(lines <= MOST_LINES, "{} has {lines} lines: split it by question", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 3, "tidy looked at {seen} files: it does not find the sources");
}
