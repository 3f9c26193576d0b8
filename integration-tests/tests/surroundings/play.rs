//! Runs a row: a server, a short conversation, a restart, and every command that works on the home.

use std::ffi::OsStr;
use std::fs;
use std::io::PipeReader;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::process::{Family, tagged, wait_until};
use skein_integration_tests::streams::Streams;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::Outcome;
use super::conversation::{self, Transcript};
use super::place::{Place, Tried};

/// Exit code of a program that is refused because another process serves the home.
const IN_USE: i32 = 3;

/// The system's error for missing permissions.
pub(super) const DENIED: &str = "Permission denied";

/// Contents of `server.json`.
#[derive(Debug, Deserialize)]
struct ServerJson {
    pid: u32,
    addresses: Vec<String>,
}

/// A server that accepts connections.
struct Serving {
    child: Child,
    pid: u32,
    address: String,
    /// Pipes that are not read.
    _unread: [Option<PipeReader>; 2],
}

/// Result of a server's start.
enum Start {
    Serves(Serving),
    /// It exited with this code and output.
    Ended(Option<i32>, String),
}

/// Runs a row of the table.
pub(super) async fn row(
    name: &str,
    surroundings: impl AsyncFnOnce(&mut Place) -> Result<Tried>,
    outcome: Outcome,
) -> Result<()> {
    let mut place = Place::new()?;
    if let Tried::No(why) = surroundings(&mut place).await? {
        eprintln!("SKIPPED: {name} was not tried: {why}");
        return Ok(());
    }
    let played = match outcome {
        Outcome::Works => works(&place, &[]).await,
        Outcome::WorksAndLogs(words) => works(&place, words).await,
        Outcome::RefusesTurns(words) => refuses_turns(&place, words).await,
        Outcome::Refuses(code, words) => refuses(&place, code, words).await,
        Outcome::Fails(code, words) => fails(&place, code, words).await,
    };
    let log = place.log();
    played.with_context(|| format!("the log of its servers:\n{log}"))?;
    speaks_well(&log)?;
    ensure!(tagged(&place.tag).is_empty(), "left: {:#?}", tagged(&place.tag));
    Ok(())
}

async fn works(place: &Place, words: &[&str]) -> Result<()> {
    let server = started(place).await?;
    let mut client = Client::ready(&server.address).await?;
    let transcript = conversation::have(&mut client, place, server.pid).await?;
    while_it_serves(place, &transcript).await?;
    drop(client);
    end(place, server, place.end).await?;

    let server = started(place).await?;
    let mut client = Client::ready(&server.address).await?;
    conversation::is_there(&mut client, &transcript).await?;
    drop(client);
    end(place, server, Signal::SIGTERM).await?;
    without_a_server(place, &transcript).await?;
    logs(place, words).await
}

async fn refuses_turns(place: &Place, words: &[&str]) -> Result<()> {
    let server = started(place).await?;
    let mut client = Client::ready(&server.address).await?;
    let refused = conversation::refused_turn(&mut client).await?;
    for part in words {
        ensure!(refused.contains(part), "the refusal has no {part:?}: {refused}");
    }
    client.status().await?;
    drop(client);
    end(place, server, place.end).await
}

async fn refuses(place: &Place, code: i32, words: &[&str]) -> Result<()> {
    fails(place, code, words).await?;
    let mut command = place.app_server()?;
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    // The input stays open: the program exits by itself.
    let _input = program.stdin.take();
    let ends = async {
        let mut output = String::new();
        program.stderr.take().context("stderr")?.read_to_string(&mut output).await?;
        anyhow::Ok((program.wait().await?.code(), output))
    };
    let (ended, output) =
        tokio::time::timeout(PATIENCE, ends).await.context("app-server does not exit")??;
    has(&output, words)?;
    ensure!(ended == Some(code), "app-server has ended with {ended:?}: {output}");
    speaks_well(&output)?;
    if words.contains(&DENIED) { nothing_is_guessed(place).await } else { Ok(()) }
}

/// A file that permissions hide must not be reported as missing.
async fn nothing_is_guessed(place: &Place) -> Result<()> {
    for command in ["status", "fsck", "reindex"] {
        let done = run(place, &[OsStr::new(command)]).await?;
        let output = String::from_utf8_lossy(&done.stderr);
        let guesses = ["is no home", "no server is running"].iter().any(|guess| output.contains(guess));
        ensure!(!done.status.success() && output.contains(DENIED) && !guesses, "{command}: {output}");
    }
    Ok(())
}

/// Checks that the server exits by itself, even after it has accepted connections.
async fn fails(place: &Place, code: i32, words: &[&str]) -> Result<()> {
    let (ended, output) = match start(place).await? {
        Start::Ended(code, output) => (code, output),
        Start::Serves(mut server) => {
            let ended = tokio::time::timeout(PATIENCE, server.child.wait()).await;
            let code = ended.context("the server keeps running")??.code();
            logs(place, words).await?;
            (code, place.log())
        }
    };
    has(&output, words)?;
    ensure!(ended == Some(code), "serve has ended with {ended:?}: {output}");
    Ok(())
}

/// Waits until the servers' log contains these words.
async fn logs(place: &Place, words: &[&str]) -> Result<()> {
    let what = format!("{words:?} in the log");
    wait_until(&what, PATIENCE, || has(&place.log(), words).ok()).await
}

fn has(output: &str, words: &[&str]) -> Result<()> {
    let missing: Vec<_> = words.iter().filter(|part| !output.contains(**part)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in {output:?}");
    Ok(())
}

/// Checks that no program panics, and an error names each cause once.
fn speaks_well(output: &str) -> Result<()> {
    ensure!(!output.contains("panicked"), "a panic: {output}");
    let twice = output.lines().find(|line| line.matches("(os error").count() > 1);
    ensure!(twice.is_none(), "a cause appears twice: {twice:?}");
    Ok(())
}

async fn started(place: &Place) -> Result<Serving> {
    match start(place).await? {
        Start::Serves(server) => Ok(server),
        Start::Ended(code, output) => anyhow::bail!("the server has ended with {code:?}: {output}"),
    }
}

/// Starts `skein serve` and waits until it accepts connections, or has exited.
async fn start(place: &Place) -> Result<Start> {
    let before = place.log().len();
    let (stdout, unread_output) = place.stdout.stdio(Stdio::null())?;
    let (stderr, unread_log) = place.stderr.stdio(Stdio::piped())?;
    let mut command = place.serve()?;
    let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn()?;
    // The command still holds the other end of each pipe.
    drop(command);
    let log = child.stderr.take().map(|stderr| place.take_log(stderr));
    let pid = child.id().context("a process")?;
    let look = || match child.try_wait() {
        Ok(None) => address(place, pid).map(Ok),
        ended => Some(Err(ended)),
    };
    match wait_until("a server that accepts", PATIENCE, look).await? {
        Ok(address) => {
            Ok(Start::Serves(Serving { child, pid, address, _unread: [unread_output, unread_log] }))
        }
        Err(ended) => {
            let code = ended?.and_then(|status| status.code());
            if let Some(log) = log {
                tokio::time::timeout(PATIENCE, log).await.context("its stderr is still open")??;
            }
            Ok(Start::Ended(code, place.log()[before..].to_owned()))
        }
    }
}

/// The address that a server reports.
fn address(place: &Place, pid: u32) -> Option<String> {
    let file = place.root().join("server.json");
    let server: ServerJson = serde_json::from_str(&fs::read_to_string(place.seen(&file)).ok()?).ok()?;
    (server.pid == pid).then(|| server.addresses.into_iter().next()).flatten()
}

/// Ends a server. No process of it may be left.
async fn end(place: &Place, mut server: Serving, by: Signal) -> Result<()> {
    // Remember the guards now: they are found through their helpers, which may end first.
    let _family = Family::of(server.pid, &place.tag);
    kill(Pid::from_raw(server.pid.cast_signed()), by)?;
    let ended = tokio::time::timeout(PATIENCE, server.child.wait()).await;
    let ended = ended.with_context(|| format!("the server keeps running after {by}"))??;
    let as_ordered = if by == Signal::SIGKILL { ended.signal() == Some(by as i32) } else { ended.success() };
    ensure!(as_ordered, "the server has ended with {ended} after {by}");
    let nothing = || (Family::of(server.pid, &place.tag).count() == 0).then_some(());
    let left = wait_until("no process left", PATIENCE, nothing).await;
    left.with_context(|| format!("{:#?}", Family::of(server.pid, &place.tag)))
}

/// Runs a command to its end.
async fn run(place: &Place, arguments: &[&OsStr]) -> Result<Output> {
    finished(place.command(arguments)?).await.with_context(|| format!("{arguments:?}"))
}

async fn finished(mut command: Command) -> Result<Output> {
    let done = tokio::time::timeout(PATIENCE, command.stdin(Stdio::null()).output()).await;
    let done = done.context("the command does not end")??;
    speaks_well(&String::from_utf8_lossy(&done.stderr))?;
    Ok(done)
}

/// Runs a command that must exit with this code. Returns its output.
async fn ends_with(place: &Place, code: i32, arguments: &[&str]) -> Result<(String, String)> {
    let words: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let Output { status, stdout, stderr } = run(place, &words).await?;
    let output = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    ensure!(status.code() == Some(code), "{arguments:?} has ended with {status}: {output:?}");
    Ok(output)
}

/// Checks what other programs do with a served home.
async fn while_it_serves(place: &Place, transcript: &Transcript) -> Result<()> {
    ends_with(place, 0, &["status"]).await?;
    for name in [&place.home, &place.other_name].into_iter().flatten() {
        let second = finished(place.serve_by(Some(name))?).await?;
        let refused = String::from_utf8_lossy(&second.stderr);
        ensure!(second.status.code() == Some(IN_USE), "a second server: {second:?}");
        has(&refused, &["is already served by process", "stop it, or use another home"])?;
    }
    let mut bridge = Streams::run(place.app_server()?).await?;
    transcript.is_read_by(&mut bridge).await?;
    bridge.end(PATIENCE).await
}

/// Checks what programs do with an unserved home.
async fn without_a_server(place: &Place, transcript: &Transcript) -> Result<()> {
    let (_, refused) = ends_with(place, 1, &["status"]).await?;
    has(&refused, &["no server is running", "start one with: skein serve"])?;
    ends_with(place, 0, &["fsck"]).await?;
    let (exported, _) = ends_with(place, 0, &["export", &transcript.thread.to_string()]).await?;
    ensure!(exported.contains(conversation::WORDS), "{exported}");
    let file: PathBuf = place.folder().join("backup");
    let saved = run(place, &[OsStr::new("backup"), file.as_os_str()]).await?;
    ensure!(saved.status.success() && file.exists(), "backup: {saved:?}");
    ends_with(place, 0, &["reindex"]).await?;
    let mut streams = Streams::run(place.app_server()?).await?;
    transcript.is_read_by(&mut streams).await?;
    streams.end(PATIENCE).await
}
