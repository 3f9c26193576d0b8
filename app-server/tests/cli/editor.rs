//! `skein editor`: what it prints is what each program starts, with the paths of this machine.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skein_protocol::methods::{
    AccountRateLimitsRead, AccountRead, Initialize, Initialized, ModelList, SkillsList, ThreadStart,
    TurnStart,
};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::table::{ClientNotification, Method, Notification};

use super::{Serving, run, skein};

/// A user with a folder and a home whose names a shell and JSON have to quote.
struct User {
    folder: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("it's \"here\"")).unwrap();
        Self { folder }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("it's \"here\"/home")
    }

    fn editor(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = skein(&[&["editor", "--home", self.home().to_str().unwrap()], words].concat());
        let done = command.env("HOME", self.folder.path()).env_remove("XDG_CONFIG_HOME").output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }

    fn json(&self, editor: &str) -> Value {
        let (code, out, err) = self.editor(&[editor, "--json"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{editor}");
        serde_json::from_str(&out).unwrap()
    }
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// A printed command, with its variables over those of an editor.
fn command(start: &Value, folder: &Path) -> Command {
    let words = words(&start["command"]);
    let mut command = Command::new(words[0]);
    for name in ["SKEIN_HOME", "CODEX_HOME", "SKEIN_LOG", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    let env = start["env"].as_object().unwrap().iter();
    command
        .args(&words[1..])
        .envs(env.map(|(name, value)| (name, value.as_str().unwrap())))
        .current_dir(folder);
    command
}

#[test]
fn without_an_editor_all_are_listed_and_an_unknown_one_names_them() {
    let user = User::new();
    let (code, out, _) = user.editor(&[]);
    assert_eq!(code, Some(0));
    let listed: Vec<&str> = out.lines().take(5).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(listed, ["tui", "zed", "vscode", "jetbrains", "t3"]);
    let (code, _, err) = run(&["editor", "emacs"]);
    assert_eq!(code, Some(2));
    assert!(listed.iter().all(|editor| err.contains(editor)), "{err}");
}

#[test]
fn the_terminal_client_gets_the_socket_and_the_port_of_the_running_server() {
    let user = User::new();
    let home = user.home();
    let (_, text, _) = user.editor(&["tui"]);
    assert!(text.contains("No server runs on this home"), "{text}");
    let serving = Serving::start(&home);
    let outcome = user.json("tui");
    let doors: Vec<&str> =
        outcome["start"].as_array().unwrap().iter().map(|start| words(&start["command"])[2]).collect();
    assert_eq!(
        doors,
        [
            format!("unix://{}/control.sock", home.display()),
            serving.ready["address"].as_str().unwrap().to_owned()
        ]
    );
    let (_, text, _) = user.editor(&["tui"]);
    let line = text.lines().find(|line| line.contains("unix://")).unwrap().trim();
    // A shell reads the words that the JSON has.
    let said = Command::new("sh")
        .args(["-c", &format!("for word in {line}; do echo \"$word\"; done")])
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), ["codex", "--remote", doors[0]]);
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn editors_with_an_agent_get_its_command_and_the_paths_as_json() {
    let user = User::new();
    let home = user.home().display().to_string();
    for (editor, file) in [("zed", ".config/zed/settings.json"), ("jetbrains", ".jetbrains/acp.json")] {
        let outcome = user.json(editor);
        let agent = &outcome["paste"]["agent_servers"]["Skein"];
        assert_eq!(agent["command"], "npx");
        assert_eq!(words(&agent["args"]), ["-y", "@agentclientprotocol/codex-acp@2.6.0"]);
        let codex = user.folder.path().join(".local/share/skein-codex/codex").display().to_string();
        assert_eq!(agent["env"], json!({ "CODEX_PATH": codex, "CODEX_HOME": home, "SKEIN_HOME": home }));
        assert_eq!(
            (&outcome["start"][0]["env"], words(&outcome["start"][0]["command"])[0]),
            (&agent["env"], "npx")
        );
        let (_, text, _) = user.editor(&[editor]);
        assert!(text.contains(&user.folder.path().join(file).display().to_string()), "{text}");
        let json = &text[text.find("    {\n").unwrap()..text.rfind("    }\n").unwrap() + 6];
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), outcome["paste"], "it can be pasted");
    }
}

/// The first calls of T3 Code, as recorded: a probe, then a thread and a turn.
fn calls_of_t3(cwd: &str) -> Vec<Value> {
    let hello = json!({
        "clientInfo": { "name": "T3 Code", "title": "T3 Code", "version": "0.0.39" },
        "capabilities": { "experimentalApi": true },
    });
    vec![
        json!({ "id": 1, "method": Initialize::INFO.wire, "params": hello }),
        json!({ "method": Initialized::INFO.wire }),
        json!({ "id": 2, "method": AccountRead::INFO.wire, "params": {} }),
        json!({ "id": 3, "method": SkillsList::INFO.wire, "params": { "cwds": [cwd] } }),
        json!({ "id": 4, "method": ModelList::INFO.wire, "params": {} }),
        json!({ "id": 5, "method": AccountRateLimitsRead::INFO.wire, "params": null }),
        json!({ "id": 6, "method": ThreadStart::INFO.wire, "params": { "cwd": cwd } }),
    ]
}

/// Plays the calls, a request at a time. The text of the answer to a prompt.
fn converse(mut server: Command, cwd: &str) -> String {
    let mut server =
        server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = server.stdin.take().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |is_it: &dyn Fn(&Value) -> bool| -> Value {
        lines
            .by_ref()
            .map(|line| serde_json::from_str(&line).unwrap())
            .find(|message| is_it(message))
            .unwrap()
    };
    let mut last = Value::Null;
    for call in calls_of_t3(cwd) {
        writeln!(input, "{call}").unwrap();
        if let Some(id) = call.get("id") {
            last = until(&|message| message["id"] == *id && message.get("method").is_none());
            assert!(last.get("result").is_some(), "{call}: {last}");
        }
    }
    let thread = &last["result"]["thread"]["id"];
    let params = json!({ "threadId": thread, "input": [{ "type": "text", "text": "hello" }] });
    writeln!(input, "{}", json!({ "id": 7, "method": TurnStart::INFO.wire, "params": params })).unwrap();
    let ended = until(&|message| message["method"] == TurnCompleted::INFO.wire);
    drop(input);
    assert!(server.wait().unwrap().success());
    assert_eq!(ended["params"]["turn"]["status"], "completed", "{ended}");
    thread.as_str().unwrap().to_owned()
}

#[test]
fn what_t3_code_and_vs_code_start_is_the_app_server_of_this_home() {
    let user = User::new();
    let (home, cwd) = (user.home(), user.folder.path().display().to_string());
    for editor in ["t3", "vscode"] {
        let outcome = user.json(editor);
        let prepare = words(&outcome["prepare"]);
        assert!(
            Command::new(prepare[0]).args(&prepare[1..]).output().unwrap().status.success(),
            "{prepare:?}"
        );
        let start = &outcome["start"][0];
        let codex = words(&start["command"])[0].to_owned();
        let pasted = if editor == "t3" { "Binary path" } else { "chatgpt.cliExecutable" };
        assert_eq!(outcome["paste"][pasted], codex);
        // The first questions of such programs.
        let said = |words: &[&str]| {
            let done = Command::new(&codex).args(words).output().unwrap();
            (done.status.success(), String::from_utf8(done.stdout).unwrap())
        };
        let (well, version) = said(&["--version"]);
        assert!(well && version.starts_with("codex-cli 0."), "{version}");
        assert!(said(&["login", "status"]).0);
        let thread = converse(command(start, user.folder.path()), &cwd);
        let (_, listed, _) = run(&["threads", "--json", "--home", home.to_str().unwrap()]);
        assert!(listed.contains(&thread), "{editor}: the thread is in this home: {listed}");
    }
}
