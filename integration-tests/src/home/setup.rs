//! Settings and helpers of a server under test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use uuid::Uuid;

use super::Home;
use super::edge::Seen;
use crate::client::Client;
use crate::fixture::Size;
use crate::{paths, process};

/// Settings of a server that a test starts.
#[derive(Debug, Clone)]
pub struct Setup {
    settings: Table,
    pub(super) env: BTreeMap<String, String>,
    /// Tag of every process of this test.
    pub(super) tag: String,
    /// Histories in the home before the server starts, and their seed.
    pub(super) histories: Option<(Size, u64)>,
    /// Home of an earlier server, as `scripts/lib/earlier-home.py` packs it.
    pub(super) left: Option<&'static [u8]>,
    /// Whether its threads are in files also where the test run has a database.
    in_files: bool,
    /// Whether it is the only server of its database also where the test run has two.
    alone: bool,
    /// Set for the second server of a home's database.
    pub(super) edge: Option<Seen>,
    /// Whether the server is PID 1 of a namespace.
    pub(super) pid_one: bool,
    /// The user who runs the server and owns the home; none means that of the test.
    pub(super) user: Option<u32>,
    /// The server's program; none means the one that is tested.
    pub(super) program: Option<PathBuf>,
    /// Each `--listen`.
    pub(super) listen: Vec<String>,
    /// Other arguments of the server.
    pub(super) arguments: Vec<String>,
    /// Soft limit of open files for the server.
    pub(super) soft_files: Option<u64>,
    /// Hard limit of open files for the server.
    pub(super) hard_files: Option<u64>,
}

/// A helper in the settings.
#[derive(Debug, Clone)]
pub struct Helper {
    name: String,
    settings: Table,
}

impl Default for Setup {
    fn default() -> Self {
        let tag = Uuid::now_v7().simple().to_string();
        // A test's client reads only on demand, which may be minutes apart on a slow machine.
        let mut settings = Table::new();
        put(&mut settings, "connections.dead_after", "60min".into());
        Self {
            settings,
            env: BTreeMap::new(),
            tag,
            histories: None,
            left: None,
            in_files: false,
            alone: false,
            edge: None,
            pid_one: false,
            user: None,
            program: None,
            listen: vec!["ws://127.0.0.1:0".to_owned()],
            arguments: Vec::new(),
            soft_files: None,
            hard_files: None,
        }
    }
}

impl Setup {
    /// Sets a key of `config.toml`, dotted, such as `unload.grace`.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        put(&mut self.settings, key, value.into());
        self
    }

    /// Adds a helper to the configuration.
    pub fn helper(self, helper: Helper) -> Self {
        let Helper { name, settings } = helper;
        let tag = self.tag.clone();
        let no_process = settings.contains_key("url");
        let setup = self.set(&format!("mcp_servers.{name}"), settings);
        if no_process {
            return setup;
        }
        setup.set(&format!("mcp_servers.{name}.env.{}", process::TAG), tag)
    }

    /// Starts from the home of an earlier server: a `.tar.gz` with the folder `home`, and files beside it.
    pub fn left_by_another(mut self, archive: &'static [u8]) -> Self {
        self.left = Some(archive);
        self
    }

    /// Keeps the threads in files also where others of the test run are in a database.
    pub fn in_files(mut self) -> Self {
        self.in_files = true;
        self
    }

    /// Starts one server also where the test run has two: for tests that look at the connections of a server.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Makes histories in the home before the server starts.
    pub fn histories(mut self, size: Size, seed: u64) -> Self {
        self.histories = Some((size, seed));
        self
    }

    /// Runs the server as this user, who owns the home. Needs [`crate::users::has_others`].
    pub fn as_user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Runs another program as the server.
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Listens at this address instead of a free port of 127.0.0.1.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = vec![address.to_owned()];
        self
    }

    /// Listens at this address, too.
    pub fn also_at(mut self, address: &str) -> Self {
        self.listen.push(address.to_owned());
        self
    }

    /// Adds an argument of the server with its value.
    pub fn argument(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.arguments.extend([name.to_owned(), value.as_ref().display().to_string()]);
        self
    }

    /// Sets the server's soft limit of open files.
    pub fn soft_files(mut self, most: u64) -> Self {
        self.soft_files = Some(most);
        self
    }

    /// Sets the server's hard limit of open files.
    pub fn hard_files(mut self, most: u64) -> Self {
        self.hard_files = Some(most);
        self
    }

    /// Runs the server as PID 1 of a namespace, as in a container, beside an unrelated `sleep`.
    pub fn as_pid_one(mut self) -> Self {
        self.pid_one = true;
        self
    }

    /// Sets a variable of the server's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a zoo helper like [`Setup::zoo`], which holds this named pipe open.
    ///
    /// # Errors
    /// Fails if the scriptable helper is not built.
    pub fn zoo_with_pipe(self, mode: &str, pipe: &Path) -> anyhow::Result<Self> {
        let (tag, pipe) = (Self::zoo_tag(&self.tag, mode), pipe.to_string_lossy());
        let helper = Helper::with(mode, &["--pipe", &pipe, "--zoo", mode, &tag])?;
        Ok(self.helper(helper))
    }

    /// Adds a zoo helper, named after its mode. Its processes also have the tag of this test as an argument.
    ///
    /// # Errors
    /// Fails if the scriptable helper is not built.
    pub fn zoo(self, mode: &str) -> anyhow::Result<Self> {
        let helper = Helper::with(mode, &["--zoo", mode, &Self::zoo_tag(&self.tag, mode)])?;
        Ok(self.helper(helper))
    }

    /// The argument that every process of that helper has, under a server with this tag.
    pub fn zoo_tag(tag: &str, mode: &str) -> String {
        format!("{tag}.{mode}")
    }

    /// Whether the server's threads may be in the database of the test run: its home begins without threads, and no other
    /// database is set.
    pub(super) fn may_use_a_database(&self) -> bool {
        !self.in_files && self.histories.is_none() && self.left.is_none() && !self.has_database()
    }

    /// Whether the server's database may have a second server. A test that gives the server an address, a user or a limit is about that
    /// server.
    pub(super) fn may_have_an_edge(&self) -> bool {
        let is_plain = self.listen == Self::default().listen && self.arguments.is_empty();
        let is_free = !self.pid_one && self.user.is_none() && self.program.is_none();
        let has_no_limit = self.soft_files.is_none() && self.hard_files.is_none();
        !self.alone && is_plain && is_free && has_no_limit
    }

    /// The setup of the second server. Its helpers would have the tag of this one.
    pub(super) fn for_edge(&self, seen: Seen) -> Self {
        let tag = Uuid::now_v7().simple().to_string();
        Self { edge: Some(seen), tag, ..self.clone() }.set("cluster.node_name", "edge")
    }

    /// Whether the server's database may have other servers.
    pub(super) fn is_in_a_cluster(&self) -> bool {
        self.settings.contains_key("cluster")
    }

    pub(super) fn has_database(&self) -> bool {
        self.settings.contains_key("store")
    }

    /// Starts the server.
    ///
    /// # Errors
    /// Fails if the server does not start.
    pub async fn start(self) -> anyhow::Result<Home> {
        Home::new(self).await
    }

    /// Starts the server, with one client.
    ///
    /// # Errors
    /// Fails if the server does not start.
    pub async fn start_with_client(self) -> anyhow::Result<(Home, Client)> {
        let home = self.start().await?;
        let client = home.client().await?;
        Ok((home, client))
    }

    /// The text of `config.toml`.
    pub(super) fn config(&self) -> String {
        self.settings.to_string()
    }
}

impl Helper {
    /// The scriptable helper without switches.
    ///
    /// # Errors
    /// Fails if the helper is not built.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let program = paths::mcp_helper()?;
        Ok(Self::program(name, &program.to_string_lossy(), &[]))
    }

    /// The scriptable helper with switches; `mcp-helper.rs` lists them.
    ///
    /// # Errors
    /// Fails if the helper is not built.
    pub fn with(name: &str, switches: &[&str]) -> anyhow::Result<Self> {
        Ok(Self::named(name)?.set("args", switches.to_vec()))
    }

    /// A helper with any program.
    pub fn program(name: &str, command: &str, args: &[String]) -> Self {
        let helper = Self { name: name.to_owned(), settings: Table::new() };
        helper.set("command", command).set("args", args.to_vec())
    }

    /// A helper at this URL.
    pub fn at(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), settings: Table::new() }.set("url", url)
    }

    /// Sets a key of the helper, such as `required`.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        put(&mut self.settings, key, value.into());
        self
    }
}

/// Sets a value at a dotted key. Missing tables are created.
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
        assert_eq!(back["mcp_servers"]["one"]["env"][process::TAG].as_str(), Some(setup.tag.as_str()));
    }
}
