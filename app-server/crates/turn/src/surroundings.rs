//! The working directory of a thread for its model: its path, its repository, and the `AGENTS.md` files. The search for
//! the files follows the peer.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use skein_base::files::{no_surprises, only_regular};
use skein_config::DocsPolicy;

/// The first name that exists wins.
const NAMES: [&str; 2] = ["AGENTS.override.md", "AGENTS.md"];
/// A folder at the root of a repository, or a file in a work tree.
const REPOSITORY: &str = ".git";

/// The files and facts of a directory, for a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The directory.
    pub cwd: String,
    /// Root of the repository around the directory.
    pub repository: Option<PathBuf>,
    /// The home's file, then the others from the root down to the directory.
    pub docs: Vec<Doc>,
}

/// A file with instructions for models (`AGENTS.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    /// Its place.
    pub path: PathBuf,
    /// Cut to the remaining room.
    pub text: String,
    /// Whether the file is from the home.
    pub of_home: bool,
}

impl Surroundings {
    /// Looks around in `cwd`. Blocks on the disk.
    #[must_use]
    pub(crate) fn read(cwd: &str, policy: &DocsPolicy) -> Self {
        let directory = Path::new(cwd);
        let repository = directory.ancestors().find(|folder| folder.join(REPOSITORY).exists());
        let mut found =
            Self { cwd: cwd.to_owned(), repository: repository.map(Path::to_owned), docs: Vec::new() };
        let mut left = policy.most;
        found.take(&policy.home, &policy.home, &NAMES, &mut left);
        found.docs.iter_mut().for_each(|doc| doc.of_home = true);
        left = policy.most;
        let root = repository.unwrap_or(directory);
        let mut folders: Vec<&Path> =
            directory.ancestors().take_while(|folder| folder.starts_with(root)).collect();
        folders.reverse();
        let names: Vec<&str> = NAMES.into_iter().chain(policy.fallback.iter().map(String::as_str)).collect();
        for folder in folders {
            found.take(folder, root, &names, &mut left);
        }
        found
    }

    /// Paths of the files, for clients.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        self.docs.iter().map(|doc| doc.path.to_string_lossy().into_owned()).collect()
    }

    /// Reads the first existing file of a folder. Logs and skips a file that cannot be read.
    fn take(&mut self, folder: &Path, within: &Path, names: &[&str], left: &mut usize) {
        if *left == 0 {
            return;
        }
        for path in names.iter().map(|name| folder.join(name)) {
            match read(&path, within, *left) {
                Ok(None) => {}
                Ok(Some(text)) => {
                    *left -= text.len().min(*left);
                    if !text.trim().is_empty() {
                        self.docs.push(Doc { path, text, of_home: false });
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "skipped a file for the model: it cannot be read");
                }
            }
        }
    }
}

/// The beginning of a regular file; `None` if the file is missing. A link must lead to a file below `within`: a
/// stranger's repository must not show the model the user's other files.
fn read(path: &Path, within: &Path, most: usize) -> io::Result<Option<String>> {
    let named = match fs::symlink_metadata(path) {
        Ok(named) => named,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let target = if named.is_symlink() { fs::canonicalize(path)? } else { path.to_owned() };
    if named.is_symlink() && !target.starts_with(fs::canonicalize(within)?) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link to outside"));
    }
    let file =
        OpenOptions::new().read(true).custom_flags(no_surprises()).open(&target).and_then(only_regular)?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    // A letter that the limit cuts is dropped; invalid bytes become U+FFFD.
    let whole = match std::str::from_utf8(&bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => bytes.len(),
    };
    Ok(Some(String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default()).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        policy: DocsPolicy,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        for part in ["home", "repo/.git", "repo/sub/deep"] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        let policy = DocsPolicy { home: folder.path().join("home"), most: 1000, fallback: Vec::new() };
        Place { folder, policy }
    }

    impl Place {
        fn write(&self, path: &str, text: &str) {
            fs::write(self.folder.path().join(path), text).unwrap();
        }

        fn found(&self, cwd: &str) -> Vec<String> {
            let cwd = self.folder.path().join(cwd);
            let found = Surroundings::read(cwd.to_str().unwrap(), &self.policy);
            found.docs.into_iter().map(|doc| doc.text).collect()
        }
    }

    #[test]
    fn files_of_the_home_and_from_the_root_down_are_found_in_this_order() {
        let place = place();
        for (path, text) in [
            ("AGENTS.md", "above the repository"),
            ("home/AGENTS.md", "home"),
            ("repo/AGENTS.md", "root"),
            ("repo/sub/AGENTS.md", "sub"),
            ("repo/sub/AGENTS.override.md", "instead of sub"),
            ("repo/sub/deep/AGENTS.md", "deep"),
        ] {
            place.write(path, text);
        }
        assert_eq!(place.found("repo/sub/deep"), ["home", "root", "instead of sub", "deep"]);
        assert_eq!(place.found("repo"), ["home", "root"]);
        assert_eq!(place.found("home"), ["home", "home"], "without a repository only the folder itself");
        let cwd = place.folder.path().join("repo/sub");
        let found = Surroundings::read(cwd.to_str().unwrap(), &place.policy);
        assert_eq!(found.repository, Some(place.folder.path().join("repo")));
        assert!(found.sources()[0].ends_with("home/AGENTS.md"));
    }

    #[test]
    fn other_names_are_read_where_the_usual_ones_are_not() {
        let mut place = place();
        place.write("repo/CLAUDE.md", "claude");
        place.write("repo/sub/CLAUDE.md", "claude");
        place.write("repo/sub/AGENTS.md", "agents");
        assert_eq!(place.found("repo/sub"), ["agents"]);
        place.policy.fallback = vec!["CLAUDE.md".to_owned()];
        assert_eq!(place.found("repo/sub"), ["claude", "agents"]);
    }

    #[test]
    fn all_files_of_a_repository_have_one_bound_and_0_reads_none() {
        let mut place = place();
        place.write("repo/AGENTS.md", "12345");
        place.write("repo/sub/AGENTS.md", "6789ü!");
        place.policy.most = 10;
        assert_eq!(place.found("repo/sub"), ["12345", "6789"], "no half letter");
        place.policy.most = 5;
        assert_eq!(place.found("repo/sub"), ["12345"]);
        place.policy.most = 0;
        assert_eq!(place.found("repo/sub"), [""; 0]);
    }

    #[test]
    fn only_regular_files_are_read_and_links_lead_nowhere_outside() {
        let place = place();
        let at = |path: &str| place.folder.path().join(path);
        place.write("secret", "a secret");
        place.write("repo/docs.md", "inside");
        symlink(at("secret"), at("repo/AGENTS.md")).unwrap();
        symlink(at("repo/docs.md"), at("repo/sub/AGENTS.md")).unwrap();
        nix::unistd::mkfifo(&at("repo/sub/deep/AGENTS.override.md"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        place.write("repo/sub/deep/AGENTS.md", "deep");
        assert_eq!(place.found("repo/sub/deep"), ["inside", "deep"]);
        fs::create_dir(at("home/AGENTS.md")).unwrap();
        assert_eq!(place.found("repo"), [""; 0]);
        assert_eq!(place.found("nowhere"), [""; 0]);
    }
}
