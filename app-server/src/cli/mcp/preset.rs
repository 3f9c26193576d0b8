//! Known MCP servers, with the versions that Skein is tested with (`scripts/lib/setup`).

use std::path::Path;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use super::super::launch::is_program;

/// A known server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Preset {
    /// Reads and writes files below folders (needs npx).
    Files,
    /// Reads and commits in a git repository (needs uvx).
    Git,
    /// Fetches web pages (needs uvx).
    Fetch,
    /// Remembers facts in a file (needs npx).
    Memory,
}

/// The program that runs servers from PyPI.
const UVX: &str = "uvx";

/// The version of the servers from npm.
const NPM: &str = "2026.8.31";
const GIT: &str = "mcp-server-git==2026.10.19";
const FETCH: &str = "mcp-server-fetch==2026.10.24";

impl Preset {
    /// Its name on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Git => "git",
            Self::Fetch => "fetch",
            Self::Memory => "memory",
        }
    }

    /// Its program and arguments, with the user's folders.
    ///
    /// # Errors
    /// Its runner is missing, or a folder is of no use to it.
    pub(super) fn command(self, folders: &[String]) -> anyhow::Result<Vec<String>> {
        let words = self.words(folders)?;
        let runner = words.first().map(String::as_str).unwrap_or_default();
        let source = if runner == UVX { "uv (pip install uv)" } else { "npm and Node.js" };
        ensure!(
            is_program(runner),
            "{runner} is not installed: it comes with {source}; install it, and try again"
        );
        Ok(words)
    }

    /// The roots of its settings: the user's folders.
    ///
    /// # Errors
    /// A folder is missing.
    pub(super) fn roots(self, folders: &[String]) -> anyhow::Result<Vec<String>> {
        // In the place of its arguments it uses the roots.
        if self == Self::Files && !folders.is_empty() { below(folders) } else { Ok(Vec::new()) }
    }

    /// A variable of its environment.
    pub(super) fn variable(self, home: &Path) -> Option<(String, String)> {
        // Its own default is beside its program, in a cache.
        let file = || home.join("memory.jsonl").to_string_lossy().into_owned();
        (self == Self::Memory).then(|| ("MEMORY_FILE_PATH".to_owned(), file()))
    }

    fn words(self, folders: &[String]) -> anyhow::Result<Vec<String>> {
        let mut words = match self {
            Self::Files => vec!["npx".to_owned(), "-y".to_owned(), npm("filesystem")],
            Self::Memory => vec!["npx".to_owned(), "-y".to_owned(), npm("memory")],
            Self::Git => uvx(GIT, "mcp-server-git"),
            Self::Fetch => uvx(FETCH, "mcp-server-fetch"),
        };
        match self {
            Self::Files => words.extend(below(folders)?),
            Self::Git => {
                let folder = below(folders)?.into_iter().next().unwrap_or_default();
                // A worktree has a file of this name.
                let is_repository =
                    [".git", "objects"].iter().any(|name| Path::new(&folder).join(name).exists());
                ensure!(is_repository, "{folder} is no git repository: skein mcp add --preset git -- FOLDER");
                words.extend(["--repository".to_owned(), folder]);
            }
            Self::Fetch | Self::Memory => words.extend(folders.iter().cloned()),
        }
        Ok(words)
    }
}

/// Proxies and certificates, by which a preset's program reaches its package registry.
const NETWORK: [&str; 9] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];

/// The names of those that this environment has. The settings get no value: an address may contain a password.
pub(super) fn network_variables() -> Vec<String> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    NETWORK.into_iter().filter(is_set).map(str::to_owned).collect()
}

fn npm(name: &str) -> String {
    format!("@modelcontextprotocol/server-{name}@{NPM}")
}

fn uvx(package: &str, program: &str) -> Vec<String> {
    [UVX, "--from", package, program].map(str::to_owned).to_vec()
}

/// The folders in full, or the working directory.
fn below(folders: &[String]) -> anyhow::Result<Vec<String>> {
    let folders = if folders.is_empty() { &[".".to_owned()][..] } else { folders };
    let absolute = |folder: &String| {
        let path = std::fs::canonicalize(folder).with_context(|| format!("the folder {folder}"))?;
        Ok(path.to_string_lossy().into_owned())
    };
    folders.iter().map(absolute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_has_the_versions_of_the_scripts() {
        let found =
            [Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lib/setup"), "scripts/lib/setup".into()]
                .iter()
                .find_map(|path| std::fs::read_to_string(path).ok());
        let setup = found.unwrap();
        for pinned in [&format!("helpers_npm_version={NPM}\n"), GIT, FETCH] {
            assert!(setup.contains(pinned), "{pinned}");
        }
        let files = Preset::Files.words(&["/".to_owned()]).unwrap();
        assert_eq!(files, ["npx", "-y", &npm("filesystem"), "/"]);
        let repository = tempfile::tempdir().unwrap();
        std::fs::create_dir(repository.path().join(".git")).unwrap();
        let folder = std::fs::canonicalize(repository.path()).unwrap().to_string_lossy().into_owned();
        assert_eq!(Preset::Files.roots(&["/".to_owned()]).unwrap(), ["/"]);
        assert!(Preset::Files.roots(&[]).unwrap().is_empty());
        let git = Preset::Git.words(std::slice::from_ref(&folder)).unwrap();
        assert_eq!(git, ["uvx", "--from", GIT, "mcp-server-git", "--repository", &folder]);
        assert!(Preset::Files.words(&["/nowhere".to_owned()]).is_err());
    }
}
