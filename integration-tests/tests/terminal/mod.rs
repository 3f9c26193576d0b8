//! Untrusted texts do not control a terminal: names, messages, files, helpers and arguments with escape
//! sequences, through every command that prints them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::paths;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadList, ThreadNameSet, ThreadRead, ThreadStart};
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadSetNameParams, ThreadStartParams};
use tokio::process::Command;

/// Escape sequences for the window title, the clipboard (OSC 52), a link (OSC 8), the screen, the cursor, a
/// C1 control, and bidi controls.
const EVIL: &str = "a\u{1b}]0;x\u{7}b\u{1b}]52;c;eA==\u{7}c\u{1b}]8;;http://x\u{1b}\\d\u{1b}[2Je\rf\u{8}g\u{7f}h\u{9b}2Ji\u{202e}j\u{2066}k";
/// Parts of the text as printed. The argument parser drops text after an escape character.
const SHOWN: [&str; 2] = ["\\u001b", "\\u202e"];

/// A file named like a rollout of Codex.
const NO_ROLLOUT: &str = "rollout-2026-01-01T00-00-00-x.jsonl";

/// Whether a terminal executes the character, or reorders the text after it.
fn controls(c: char) -> bool {
    let is_bidi =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || is_bidi
}

/// A file name with the evil text, without slashes.
fn name() -> String {
    EVIL.replace('/', "_")
}

/// Whether the output must show the evil text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Text {
    IsShown,
    /// The command refuses before it reads the text, or shows it in another form.
    MayBeMissing,
}

async fn run(home: &Path, text: Text, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(paths::skein()?);
    command.args(arguments).env("SKEIN_HOME", home).kill_on_drop(true);
    let done =
        tokio::time::timeout(PATIENCE, command.output()).await.context("the command does not end")??;
    let printed = format!("{}{}", String::from_utf8(done.stdout)?, String::from_utf8(done.stderr)?);
    let found: Vec<char> = printed.chars().filter(|c| controls(*c)).collect();
    ensure!(found.is_empty(), "{arguments:?} printed {found:?}: {printed:?}");
    ensure!(
        text == Text::MayBeMissing || SHOWN.iter().any(|part| printed.contains(part)),
        "{arguments:?} shows no name: {printed:?}"
    );
    Ok(())
}

/// A thread with the evil text in its name, its working directory, its message and its answer.
async fn thread(home: &Home) -> Result<ThreadId> {
    let mut client = home.client().await?;
    let cwd = home.beside().join(name());
    let cwd = Some(cwd.to_str().context("a path")?.to_owned());
    let id = client
        .call::<ThreadStart>(ThreadStartParams { cwd, ..ThreadStartParams::default() })
        .await?
        .thread
        .id;
    let turn = client.start_turn(id, EVIL).await?;
    client.turn_end(&turn).await?;
    client.call::<ThreadNameSet>(ThreadSetNameParams { name: EVIL.to_owned(), thread_id: id }).await?;
    Ok(id)
}

/// A program that prints the evil text on stderr and exits.
fn failing_helper(beside: &Path) -> Result<PathBuf> {
    let program = beside.join("helper.sh");
    fs::write(&program, format!("#!/bin/sh\ncat >&2 <<'end'\n{EVIL}\nend\nexit 3\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

#[tokio::test]
async fn no_untrusted_text_controls_the_terminal_through_a_server() -> Result<()> {
    let mut home = Home::setup()
        .helper(Helper::program("bad", "/bin/sh", &["-c".to_owned(), EVIL.to_owned()]))
        .start()
        .await?;
    let (at, id) = (home.path(), thread(&home).await?.to_string());
    let read = json!({ "threadId": id, "includeTurns": true }).to_string();
    let nobody = json!({ "threadId": EVIL }).to_string();
    let broken = format!("{{{EVIL}");
    use Text::{IsShown, MayBeMissing};
    for (text, arguments) in [
        (MayBeMissing, &["status"][..]),
        (MayBeMissing, &["status", "--json"]),
        (MayBeMissing, &["helpers"]),
        (MayBeMissing, &["helpers", "--json"]),
        (MayBeMissing, &["doctor"]),
        (IsShown, &["mcp", "list"]),
        (IsShown, &["mcp", "list", "--json"]),
        (IsShown, &["call", ThreadList::INFO.wire, "{}"]),
        (IsShown, &["call", ThreadList::INFO.wire, "{}", "--json"]),
        (IsShown, &["call", ThreadRead::INFO.wire, &read]),
        (MayBeMissing, &["call", ThreadRead::INFO.wire, &nobody]),
        (MayBeMissing, &["call", ThreadRead::INFO.wire, &broken]),
        (IsShown, &["call", EVIL, "{}"]),
        (IsShown, &["status", "--url", &format!("ws://{EVIL}")]),
    ] {
        run(&at, text, arguments).await?;
    }
    let log = home.whole_log().await?;
    ensure!(!log.chars().any(controls), "the log: {log:?}");
    home.finish().await
}

#[tokio::test]
async fn no_untrusted_text_controls_the_terminal_through_a_home() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (home, beside) = (folder.path().join("home"), folder.path());
    let helper = failing_helper(beside)?;
    let helper = helper.to_str().context("a path")?;
    let written = desktop_file(beside)?;
    let foreign = foreign_home(beside)?;
    let odd = beside.join(name());
    let odd = odd.to_str().context("a path")?;
    let no_backup = format!("{foreign}/sessions/{}/{NO_ROLLOUT}", name());
    use Text::{IsShown, MayBeMissing};
    for (text, arguments) in [
        (MayBeMissing, &[EVIL][..]),
        (MayBeMissing, &[&format!("--{EVIL}")]),
        (IsShown, &["export", EVIL]),
        (IsShown, &["import", odd]),
        (IsShown, &["import", &foreign]),
        (IsShown, &["import", &foreign, "--json"]),
        (IsShown, &["mcp", "import", &written]),
        (IsShown, &["mcp", "import", &written, "--replace"]),
        (MayBeMissing, &["mcp", "import", &written, "--dry-run", "--json"]),
        (MayBeMissing, &["mcp", "add", EVIL, "--", "x"]),
        (MayBeMissing, &["mcp", "add", "one", "--env", &format!("A={EVIL}"), "--", EVIL]),
        (MayBeMissing, &["mcp", "add", "two", "--url", &format!("http://{EVIL}")]),
        (IsShown, &["mcp", "list"]),
        (IsShown, &["mcp", "test", "--", helper]),
        (MayBeMissing, &["mcp", "test", EVIL]),
        (IsShown, &["doctor", "-c", EVIL]),
        (IsShown, &["backup", odd]),
        (IsShown, &["restore", &no_backup, "--force"]),
        (MayBeMissing, &["fsck", EVIL]),
        (MayBeMissing, &["reindex"]),
        (MayBeMissing, &["serve", "--listen", EVIL]),
        (IsShown, &["codex-shim", odd]),
    ] {
        run(&home, text, arguments).await?;
    }
    fs::write(home.join("threads").join(name()), "not a rollout")?;
    run(&home, IsShown, &["fsck"]).await?;
    run(&home, IsShown, &["fsck", "--json"]).await?;
    for settings in [format!("{EVIL} = 3"), format!("x = {:?}", EVIL), format!("{:?} = 3", name())] {
        fs::write(home.join("config.toml"), settings)?;
        run(&home, MayBeMissing, &["mcp", "list"]).await?;
        run(&home, MayBeMissing, &["doctor"]).await?;
    }
    Ok(())
}

/// The settings of a desktop client.
fn desktop_file(beside: &Path) -> Result<String> {
    let file = beside.join("desktop.json");
    let servers: Value =
        json!({ EVIL: { "command": EVIL }, "x": { "command": "", "args": [EVIL] }, "y": { "url": EVIL } });
    fs::write(&file, json!({ "mcpServers": servers }).to_string())?;
    Ok(file.to_str().context("a path")?.to_owned())
}

/// A home of Codex with an unreadable rollout.
fn foreign_home(beside: &Path) -> Result<String> {
    let home = beside.join("codex");
    let folder = home.join("sessions").join(name());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(NO_ROLLOUT), EVIL)?;
    let line = json!({ "timestamp": "x", "type": EVIL, "payload": {} });
    fs::write(
        folder.join("rollout-2026-01-01T00-00-00-01990000-0000-7000-8000-000000000001.jsonl"),
        format!("{line}\n{EVIL}\n"),
    )?;
    Ok(home.to_str().context("a path")?.to_owned())
}
