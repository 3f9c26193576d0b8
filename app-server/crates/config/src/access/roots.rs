//! Whether a path lies in one of the folders that browsers may name.
//!
//! A path is resolved as the kernel resolves it: links are followed, and `..` leads to the parent of the link's target. Of
//! a path that leads to nothing, the part that exists counts.
//!
//! The answer holds for the moment of the look. A program of the user that swaps a folder for a link afterwards leads the
//! server elsewhere; such a program has the user's rights already, and needs no server for that. A page cannot do it alone:
//! it has to let a helper's tool change the disk first, about which the user is asked.

use std::io;
use std::path::{Path, PathBuf};

/// Whether the path, with links resolved, lies in one of these folders. A path that cannot be resolved does not. Blocks.
pub fn contain(roots: &[PathBuf], path: &Path) -> bool {
    let Ok(real) = resolved(path) else { return false };
    roots.iter().filter_map(|root| root.canonicalize().ok()).any(|root| real.starts_with(root))
}

/// The path without links and `..`. A part that does not exist is added to the existing one.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut at = path;
    let mut real = loop {
        match at.canonicalize() {
            Ok(real) => break real,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // A link to nothing: the next program may make its target anywhere.
            Err(error) if at.symlink_metadata().is_ok() => return Err(error),
            Err(error) => match (at.parent(), at.file_name()) {
                (Some(parent), Some(name)) => {
                    missing.push(name);
                    at = parent;
                }
                // `..` behind a folder that does not exist.
                _ => return Err(error),
            },
        }
    };
    real.extend(missing.into_iter().rev());
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with `root/sub/file`, `other/file` and links between them.
    fn disk() -> tempfile::TempDir {
        let disk = tempfile::tempdir().unwrap();
        let at = |name: &str| disk.path().join(name);
        fs::create_dir_all(at("root/sub")).unwrap();
        fs::create_dir_all(at("other/deep")).unwrap();
        fs::create_dir_all(at("rooted")).unwrap();
        fs::write(at("root/sub/file"), "").unwrap();
        fs::write(at("other/file"), "").unwrap();
        symlink(at("other"), at("root/out")).unwrap();
        symlink(at("other/deep"), at("root/deep")).unwrap();
        symlink(at("root/sub"), at("other/in")).unwrap();
        symlink(at("nowhere"), at("root/dangling")).unwrap();
        symlink("loop", at("root/loop")).unwrap();
        symlink(at("root"), at("alias")).unwrap();
        disk
    }

    fn lies_inside(disk: &Path, root: &str, path: impl AsRef<Path>) -> bool {
        contain(&[disk.join(root)], &disk.join(path))
    }

    #[test]
    fn links_and_parents_are_followed_before_a_path_counts() {
        let disk = disk();
        let inside = |path: &str| lies_inside(disk.path(), "root", path);
        for path in [
            "root",
            "root/",
            "root/sub/file",
            "root/./sub",
            "root/sub/../sub/file",
            "other/../root/sub",
            "other/in/file",
            "other/in",
            "alias/sub",
            "root/new",
            "root/new/newer",
            "other/in/new",
        ] {
            assert!(inside(path), "{path}");
        }
        for path in [
            "",
            ".",
            "other/file",
            "rooted",
            "root/..",
            "root/../other/file",
            "root/sub/../../other",
            "root/out",
            "root/out/file",
            "root/out/new",
            // The parent of the link's target is `other`, not `root`.
            "root/deep/../file",
            "root/new/../../other",
            "root/new/..",
            "root/dangling",
            "root/dangling/new",
            "root/loop",
            "root/sub/file/below",
        ] {
            assert!(!inside(path), "{path}");
        }
    }

    #[test]
    fn a_root_may_be_a_link_and_one_that_is_missing_contains_nothing() {
        let disk = disk();
        assert!(lies_inside(disk.path(), "alias", "root/sub/file"));
        assert!(!lies_inside(disk.path(), "missing", "missing/file"));
        assert!(!contain(&[], &disk.path().join("root")));
        assert!(contain(&["/".into()], &disk.path().join("root/out/file")));
        let both = [disk.path().join("missing"), disk.path().join("other")];
        assert!(contain(&both, &disk.path().join("root/out")));
    }

    #[test]
    fn names_need_no_utf8_and_have_no_nul() {
        let disk = disk();
        let odd = |bytes| Path::new("root").join(OsStr::from_bytes(bytes));
        let is_kept = fs::create_dir(disk.path().join(odd(b"\xff"))).is_ok();
        assert!(!is_kept || lies_inside(disk.path(), "root", odd(b"\xff")));
        assert!(lies_inside(disk.path(), "root", odd(b"new\xff")));
        assert!(!lies_inside(disk.path(), "root", odd(b"sub\0")));
        assert!(!lies_inside(disk.path(), "root", "x".repeat(100_000)));
    }
}
