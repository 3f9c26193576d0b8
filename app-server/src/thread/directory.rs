//! Working directories: gives each folder one spelling, and finds the spellings of a folder. Only [`same`] touches the disk.

use std::collections::BTreeSet;
use std::env;
use std::path::{Component, Path, PathBuf};

/// The directory that a client names: absolute, without `.`, `..` and needless slashes. `~` is the user's home. An empty
/// name is the server's directory. Links stay.
pub(crate) fn named(asked: Option<&str>) -> String {
    let own = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    spelled(asked.unwrap_or_default(), &own, env::home_dir().as_deref())
}

fn spelled(asked: &str, own: &Path, home: Option<&Path>) -> String {
    let in_home = asked.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let whole = match (in_home, home) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        (Some(_), None) | (None, _) => own.join(asked),
    };
    let mut plain = PathBuf::from("/");
    for part in whole.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            // The parent of the root is the root.
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    plain.to_string_lossy().into_owned()
}

/// The paths of `known` that lead to the folder `asked`, and `asked` itself. Blocks.
pub(crate) fn same(asked: &str, known: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let real = |path: &str| Path::new(path).canonicalize().unwrap_or_else(|_| named(Some(path)).into());
    let wanted = real(asked);
    // No working directory is relative, but old rows may have any text.
    let is_same = |known: &String| known.starts_with('/') && real(known) == wanted;
    known.into_iter().filter(is_same).chain([asked.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_has_one_spelling() {
        for (asked, wanted) in [
            ("", "/own"),
            ("sub", "/own/sub"),
            (".", "/own"),
            ("/p/sub/", "/p/sub"),
            ("/p//sub", "/p/sub"),
            ("/p/./sub", "/p/sub"),
            ("/p/sub2/../sub", "/p/sub"),
            ("/..", "/"),
            ("/", "/"),
            ("~", "/home/ada"),
            ("~/x/", "/home/ada/x"),
            ("~x", "/own/~x"),
        ] {
            assert_eq!(spelled(asked, Path::new("/own"), Some(Path::new("/home/ada"))), wanted, "{asked}");
        }
        assert_eq!(spelled("~", Path::new("/own"), None), "/own/~");
    }

    #[test]
    fn links_and_old_spellings_are_the_same_folder() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir(at("sub")).unwrap();
        symlink(at("sub"), at("link")).unwrap();
        let known = [at("sub"), at("link"), at("sub/"), at("other"), "sub".to_owned()];
        let wanted = BTreeSet::from([at("sub"), at("link"), at("sub/")]);
        assert_eq!(same(&at("sub"), known.clone()), wanted);
        assert_eq!(same(&at("link"), known.clone()), wanted);
        assert_eq!(same(&at("other"), known), BTreeSet::from([at("other")]));
        assert_eq!(same("/nowhere", ["/nowhere/".to_owned()]).len(), 2);
    }
}
