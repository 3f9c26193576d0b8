//! What a server is started from: its settings and helpers.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};
use uuid::Uuid;

use super::Home;
use crate::fixture::Size;
use crate::{paths, process};

/// Settings of a server that is to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    settings: Table,
    pub(super) env: BTreeMap<String, String>,
    /// The value that marks every process of this test.
    pub(super) mark: String,
    /// Histories that the home has before its server starts, and their seed.
    pub(super) histories: Option<(Size, u64)>,
    /// A home that another server has left, as `scripts/lib/earlier-home.py` packs it.
    pub(super) left: Option<&'static [u8]>,
    /// The server is PID 1 of a namespace.
    pub(super) pid_one: bool,
    /// The soft limit of open files that the server is started with.
    pub(super) soft_files: Option<u64>,
    /// The hard limit of open files.
    pub(super) hard_files: Option<u64>,
}

/// A helper of the configuration.
#[derive(Debug, Clone)]
pub struct Helper {
    name: String,
    settings: Table,
}

impl Default for Setup {
    fn default() -> Self {
        let mark = Uuid::now_v7().simple().to_string();
        // A client of a test reads only when the test asks it to, which may be minutes apart on a slow machine.
        let mut settings = Table::new();
        put(&mut settings, "connections.dead_after", "60min".into());
        Self {
            settings,
            env: BTreeMap::new(),
            mark,
            histories: None,
            left: None,
            pid_one: false,
            soft_files: None,
            hard_files: None,
        }
    }
}

impl Setup {
    /// Sets a key of `config.toml`, dotted, such as `unload.grace`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        put(&mut self.settings, key, value.into());
        self
    }

    /// Adds a helper to the configuration.
    #[must_use]
    pub fn helper(self, helper: Helper) -> Self {
        let Helper { name, settings } = helper;
        let mark = self.mark.clone();
        let no_process = settings.contains_key("url");
        let setup = self.set(&format!("mcp_servers.{name}"), settings);
        if no_process {
            return setup;
        }
        setup.set(&format!("mcp_servers.{name}.env.{}", process::MARK), mark)
    }

    /// Begins with what another server has left: a `.tar.gz` with the folder `home`, and files that go beside it.
    #[must_use]
    pub fn left_by_another(mut self, archive: &'static [u8]) -> Self {
        self.left = Some(archive);
        self
    }

    /// Has histories in the home before the server starts.
    #[must_use]
    pub fn histories(mut self, size: Size, seed: u64) -> Self {
        self.histories = Some((size, seed));
        self
    }

    /// Starts the server with a soft limit of open files.
    #[must_use]
    pub fn soft_files(mut self, most: u64) -> Self {
        self.soft_files = Some(most);
        self
    }

    /// Starts the server with a hard limit of open files.
    #[must_use]
    pub fn hard_files(mut self, most: u64) -> Self {
        self.hard_files = Some(most);
        self
    }

    /// Has the server be PID 1 of a namespace, as in a container. Beside it there is a `sleep` that it has not started.
    #[must_use]
    pub fn as_pid_one(mut self) -> Self {
        self.pid_one = true;
        self
    }

    /// Sets a variable of the server's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a helper of the zoo as [`Setup::zoo`] does, which holds a pipe with this name open.
    ///
    /// # Errors
    /// When our helper is not built.
    pub fn zoo_with_pipe(self, mode: &str, pipe: &Path) -> anyhow::Result<Self> {
        let (mark, pipe) = (Self::zoo_mark(&self.mark, mode), pipe.to_string_lossy());
        let helper = Helper::with(mode, &["--pipe", &pipe, "--zoo", mode, &mark])?;
        Ok(self.helper(helper))
    }

    /// Adds a helper of the zoo, named after its mode. Its processes carry the mark of this test as an argument too.
    ///
    /// # Errors
    /// When our helper is not built.
    pub fn zoo(self, mode: &str) -> anyhow::Result<Self> {
        let helper = Helper::with(mode, &["--zoo", mode, &Self::zoo_mark(&self.mark, mode)])?;
        Ok(self.helper(helper))
    }

    /// The argument that every process of that helper has, under a server of this mark.
    #[must_use]
    pub fn zoo_mark(mark: &str, mode: &str) -> String {
        format!("{mark}.{mode}")
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(self) -> anyhow::Result<Home> {
        Home::new(self).await
    }

    /// The text of `config.toml`.
    pub(super) fn config(&self) -> String {
        self.settings.to_string()
    }
}

impl Helper {
    /// Our helper, which does what it is told.
    ///
    /// # Errors
    /// When it is not built.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let program = paths::mcp_helper()?;
        Ok(Self::program(name, &program.to_string_lossy(), &[]))
    }

    /// Our helper with switches; `mcp-helper.rs` lists them.
    ///
    /// # Errors
    /// When it is not built.
    pub fn with(name: &str, switches: &[&str]) -> anyhow::Result<Self> {
        Ok(Self::named(name)?.set("args", switches.to_vec()))
    }

    /// Any program.
    #[must_use]
    pub fn program(name: &str, command: &str, args: &[String]) -> Self {
        let helper = Self { name: name.to_owned(), settings: Table::new() };
        helper.set("command", command).set("args", args.to_vec())
    }

    /// One that somebody else runs.
    #[must_use]
    pub fn at(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), settings: Table::new() }.set("url", url)
    }

    /// Sets a key of the helper, such as `required`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        put(&mut self.settings, key, value.into());
        self
    }
}

/// Puts a value at a dotted key; tables on the way are made.
fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_a_file_with_a_table_for_each_helper() {
        let setup = Setup::default()
            .set("unload.grace", "1s")
            .helper(Helper::program("one", "/bin/true", &[]).set("required", true));
        let text = setup.config();
        let back: Table = text.parse().unwrap();
        assert_eq!(back["unload"]["grace"].as_str(), Some("1s"));
        assert_eq!(back["mcp_servers"]["one"]["required"].as_bool(), Some(true));
        assert_eq!(back["mcp_servers"]["one"]["env"][process::MARK].as_str(), Some(setup.mark.as_str()));
    }
}
