//! The instructions for each editor, from the paths of this machine; pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::super::out::{one_line, quoted};
use super::super::outputs::{EditorOutcome, EditorStart};
use super::Editor;

/// The agent that speaks the Agent Client Protocol to editors and starts a `codex`. `scripts/clients` tests this version.
const AGENT: &str = "@agentclientprotocol/codex-acp@2.6.0";
/// The folder for the link named codex, beside the default home.
const SHIM: &str = "skein-codex";
/// The longest path of a unix socket that another program can open, bytes. Origin: sun_path of Linux.
const SOCKET_BYTES: usize = 107;
/// Where `skein serve` and `skein open` listen.
const USUAL: &str = "ws://127.0.0.1:4500";

/// The paths that go into settings.
pub(super) struct EditorPaths {
    program: String,
    home: String,
    /// The folder of the link named codex.
    shim: String,
    /// The user's folder of settings.
    config: PathBuf,
    user: PathBuf,
    /// Where the server of the home listens.
    address: Option<String>,
}

impl EditorPaths {
    /// # Errors
    /// A path cannot stand in settings, or the user has no folder.
    pub(super) fn of(
        home: &Path,
        address: Option<String>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<Self> {
        let set = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user = set("HOME").context("no variable HOME: it names the folder of the editors' settings")?;
        let data = set("XDG_DATA_HOME").unwrap_or_else(|| user.join(".local/share"));
        let program = std::env::current_exe().context("the path of this program")?;
        Ok(Self {
            program: text(&program)?,
            home: text(home)?,
            shim: text(&data.join(SHIM))?,
            config: set("XDG_CONFIG_HOME").unwrap_or_else(|| user.join(".config")),
            user,
            address,
        })
    }

    pub(super) fn outcome(&self, editor: Editor) -> EditorOutcome {
        match editor {
            Editor::Tui => self.tui(),
            Editor::Zed => self.zed(),
            Editor::VsCode => self.vscode(),
            Editor::JetBrains => self.jetbrains(),
            Editor::T3 => self.t3(),
        }
    }

    fn tui(&self) -> EditorOutcome {
        let socket = format!("{}/control.sock", self.home);
        let by_socket = (socket.len() <= SOCKET_BYTES).then(|| format!("unix://{socket}"));
        let by_port = match &self.address {
            Some(address) => Some(address.clone()).filter(|address| address.starts_with("ws://")),
            None => Some(USUAL.to_owned()),
        };
        let start = by_socket.into_iter().chain(by_port).map(|address| EditorStart {
            command: ["codex", "--remote", &address].map(str::to_owned).into(),
            env: BTreeMap::new(),
        });
        let (program, home) = (quoted(&self.program), quoted(&self.home));
        let first =
            format!("No server runs on this home. Start one first: {program} open --print --home {home}");
        EditorOutcome {
            start: start.collect(),
            notes: if self.address.is_none() { vec![first] } else { Vec::new() },
            ..outcome_of(Editor::Tui)
        }
    }

    fn zed(&self) -> EditorOutcome {
        let agent = self.agent();
        let paste = json!({ "agent_servers": { "Skein": {
            "type": "custom", "command": agent.command[0], "args": agent.command[1..], "env": agent.env,
        } } });
        let file = self.config.join("zed/settings.json");
        EditorOutcome {
            prepare: Some(self.prepare()),
            place: Some(format!(
                "Add this to {}, which Zed opens by \"zed: open settings file\":",
                file.display()
            )),
            paste: Some(paste),
            start: vec![agent],
            notes: vec![
                "The Agent Panel then offers Skein behind its + button. Zed needs npx (Node.js) in its PATH."
                    .to_owned(),
            ],
            ..outcome_of(Editor::Zed)
        }
    }

    fn jetbrains(&self) -> EditorOutcome {
        let agent = self.agent();
        let paste = json!({ "agent_servers": { "Skein": {
            "command": agent.command[0], "args": agent.command[1..], "env": agent.env,
        } } });
        let file = self.user.join(".jetbrains/acp.json");
        EditorOutcome {
            prepare: Some(self.prepare()),
            place: Some(format!(
                "Add this to {}, which AI Chat opens by \"Add Custom Agent\":",
                file.display()
            )),
            paste: Some(paste),
            start: vec![agent],
            notes: vec![
                "AI Chat then offers Skein among its agents. It needs npx (Node.js) in its PATH.".to_owned(),
            ],
            ..outcome_of(Editor::JetBrains)
        }
    }

    fn vscode(&self) -> EditorOutcome {
        let folder = if cfg!(target_os = "macos") {
            self.user.join("Library/Application Support")
        } else {
            self.config.clone()
        };
        let file = folder.join("Code/User/settings.json");
        let home = quoted(&format!("CODEX_HOME={}", self.home));
        EditorOutcome {
            prepare: Some(self.prepare()),
            place: Some(format!("Add this to {}:", file.display())),
            paste: Some(json!({ "chatgpt.cliExecutable": self.codex() })),
            start: vec![self.started(&["app-server", "--analytics-default-enabled"])],
            notes: vec![
                format!("The extension has no setting for the home. Start the editor with it: env {home} code"),
                "OpenAI calls this setting one for development of Codex; parts of the extension may not work.".to_owned(),
            ],
            ..outcome_of(Editor::VsCode)
        }
    }

    fn t3(&self) -> EditorOutcome {
        let paste = json!({ "Binary path": self.codex(), "CODEX_HOME path": self.home });
        EditorOutcome {
            prepare: Some(self.prepare()),
            place: Some("Write these two into Settings, Providers, Codex:".to_owned()),
            paste: Some(paste),
            start: vec![self.started(&["app-server"])],
            ..outcome_of(Editor::T3)
        }
    }

    /// The link named codex.
    fn codex(&self) -> String {
        format!("{}/codex", self.shim)
    }

    fn prepare(&self) -> Vec<String> {
        vec![self.program.clone(), "codex-shim".to_owned(), self.shim.clone()]
    }

    /// Skein by the name of codex.
    fn started(&self, arguments: &[&str]) -> EditorStart {
        let arguments = arguments.iter().map(|word| (*word).to_owned());
        let env = BTreeMap::from([("CODEX_HOME".to_owned(), self.home.clone())]);
        EditorStart { command: [self.codex()].into_iter().chain(arguments).collect(), env }
    }

    /// The agent between an editor and Skein. A `SKEIN_HOME` of the user would win over `CODEX_HOME`.
    fn agent(&self) -> EditorStart {
        let pairs = [
            ("CODEX_PATH", self.codex()),
            ("CODEX_HOME", self.home.clone()),
            ("SKEIN_HOME", self.home.clone()),
        ];
        EditorStart {
            command: ["npx", "-y", AGENT].map(str::to_owned).into(),
            env: pairs.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }
}

fn outcome_of(editor: Editor) -> EditorOutcome {
    EditorOutcome {
        editor: editor.word(),
        name: editor.name(),
        tried: editor.tried(),
        prepare: None,
        place: None,
        paste: None::<Value>,
        start: Vec::new(),
        notes: Vec::new(),
    }
}

/// A path that can be pasted.
fn text(path: &Path) -> anyhow::Result<String> {
    let Some(text) = path.to_str().filter(|text| one_line(text) == *text && !text.contains('\t')) else {
        bail!("{} has characters that no settings can hold; use another path", path.display());
    };
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(home: &str, address: Option<&str>) -> anyhow::Result<EditorPaths> {
        EditorPaths::of(Path::new(home), address.map(str::to_owned), |name| {
            (name == "HOME").then(|| OsString::from("/home/me"))
        })
    }

    #[test]
    fn the_terminal_client_gets_the_doors_that_there_are() {
        let doors = |home: &str, address| {
            let outcome = at(home, address).unwrap().outcome(Editor::Tui);
            (
                outcome.start.into_iter().map(|start| start.command[2].clone()).collect::<Vec<_>>(),
                outcome.notes.len(),
            )
        };
        assert_eq!(doors("/h", None), (vec!["unix:///h/control.sock".to_owned(), USUAL.to_owned()], 1));
        let running = vec!["unix:///h/control.sock".to_owned(), "ws://127.0.0.1:9".to_owned()];
        assert_eq!(doors("/h", Some("ws://127.0.0.1:9")), (running, 0));
        assert_eq!(doors("/h", Some("unix:///x")), (vec!["unix:///h/control.sock".to_owned()], 0));
        let long = format!("/{}", "h".repeat(100));
        assert_eq!(doors(&long, None), (vec![USUAL.to_owned()], 1), "no program could open that socket");
    }

    #[test]
    fn a_path_that_cannot_be_pasted_is_refused() {
        for path in ["/h/\u{1b}[2J", "/h/\n", "/h/\u{202e}x"] {
            assert!(at(path, None).is_err(), "{path:?}");
        }
    }
}
