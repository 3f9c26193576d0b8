use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skein_integration_tests::client::Client;
use skein_integration_tests::fixture::Size;
use skein_integration_tests::home::Home;
use skein_integration_tests::paths;
use skein_integration_tests::requests::{agent_text, user_text};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadArchive, ThreadList};
use skein_protocol::thread::{ThreadArchiveParams, ThreadListParams};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn skein(command: &str, file: &Path, home: &Path, arguments: &[&str]) -> Result<Command> {
    let mut program = Command::new(paths::skein()?);
    program.arg(command).arg(file).arg("--home").arg(home).args(arguments).kill_on_drop(true);
    Ok(program)
}

async fn run(command: &str, file: &Path, home: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(skein(command, file, home, arguments)?.output().await?)
}

/// The last line of a successful sub-command.
fn outcome(output: &Output) -> Result<Value> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_str(stdout.lines().last().context("a last line")?)?)
}

async fn list(client: &mut Client, archived: bool) -> Result<Vec<ThreadId>> {
    let params =
        ThreadListParams { archived: Some(archived), limit: Some(100), ..ThreadListParams::default() };
    Ok(client.call::<ThreadList>(params).await?.data.into_iter().map(|thread| thread.id).collect())
}

/// Runs turns in a thread until the test stops it.
async fn converse(address: String, mut stop: tokio::sync::watch::Receiver<bool>) -> Result<()> {
    let mut client = Client::ready(&address).await?;
    let thread = client.start_thread_with("a beginning").await?;
    while !*stop.borrow_and_update() {
        client.turn(thread, "/stream 20 50 2000").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_backup_of_a_served_home_has_everything_acknowledged_before_it() -> Result<()> {
    let home = Home::in_files()?.start().await?;
    let mut other = Home::in_files()?.start().await?;
    other.stop().await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let talkers: Vec<_> =
        (0..4).map(|_| tokio::spawn(converse(home.address().to_owned(), stopped.clone()))).collect();
    let mut client = home.client().await?;
    let open = client.start_thread().await?.id;
    let put_aside = client.start_thread_with("put aside").await?;
    client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: put_aside }).await?;
    for number in 0..5 {
        client.turn(open, &format!("words {number}")).await?;
    }
    let hangs = client.start_turn(open, "/hang").await?;

    let file = home.beside().join("backup.tar.gz");
    let made = outcome(&run("backup", &file, &home.path(), &["--json"]).await?)?;
    assert!(made["threads"].as_u64().is_some_and(|threads| threads >= 2), "{made}");
    client.interrupt(open, &hangs).await?;
    stop.send(true)?;
    for talker in talkers {
        talker.await??;
    }
    client.turn(open, "after the backup").await?;
    let restored = outcome(&run("restore", &file, &other.path(), &["--json", "--force"]).await?)?;
    assert_eq!(restored["threads"], made["threads"]);

    other.start_again().await?;
    let mut client = other.client().await?;
    assert!(list(&mut client, false).await?.contains(&open));
    assert_eq!(list(&mut client, true).await?, [put_aside]);
    let resumed = client.resume(open).await?;
    let turns = resumed.thread.turns;
    let asked: Vec<_> = turns.iter().filter_map(|turn| turn.items.iter().find_map(user_text)).collect();
    assert_eq!(asked, ["words 0", "words 1", "words 2", "words 3", "words 4", "/hang"]);
    let replies: Vec<_> = turns.iter().filter_map(|turn| turn.items.iter().find_map(agent_text)).collect();
    assert_eq!(replies, asked[..5]);
    // The old server has handed out newer numbers, so a client that knows them must reload everything.
    assert_eq!(resumed.skein.context("a snapshot")?.epoch.0, 2);
    assert_eq!(client.say(open, "and on").await?, "and on");
    home.finish().await?;
    other.finish().await
}

#[tokio::test]
async fn a_served_home_is_never_a_restore_target() -> Result<()> {
    let home = Home::in_files()?.start().await?;
    let file = home.beside().join("backup");
    outcome(&run("backup", &file, &home.path(), &["--json"]).await?)?;
    let refused = run("restore", &file, &home.path(), &["--json", "--force"]).await?;
    assert_eq!(refused.status.code(), Some(3));
    let report: Value = serde_json::from_slice(
        refused.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).context("a line")?,
    )?;
    assert_eq!(report["servedBy"]["pid"], home.pid());
    home.finish().await
}

/// Number of rollouts in their final places.
fn rollouts(home: &Path) -> u64 {
    let below = |path: std::path::PathBuf| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let folders = ["threads", "archived"].into_iter().flat_map(|folder| below(home.join(folder)));
    folders.map(|folder| below(folder).len() as u64).sum()
}

/// Kills a restore at each of some steps, then runs it again.
#[tokio::test]
async fn a_killed_restore_is_all_or_nothing_and_can_run_again() -> Result<()> {
    let home = Home::setup().histories(Size::Tiny, 7).start().await?;
    let threads = list(&mut home.client().await?, false).await?;
    let file = home.beside().join("backup");
    let made = outcome(&run("backup", &file, &home.path(), &["--json"]).await?)?;
    for step in ["checked", "unpacked", "opened", "restored"] {
        let target = home.beside().join(step);
        let mut command = skein("restore", &file, &target, &["--json"])?;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
        while let Some(line) = lines.next_line().await? {
            if line.contains(step) {
                break;
            }
        }
        child.kill().await?;
        let decided = target.join("restore.ready").exists();
        let there = rollouts(&target);
        assert!(
            decided || there == 0 || made["threads"] == there,
            "{step}: {there} threads came without the others"
        );
        let again = outcome(&run("restore", &file, &target, &["--json", "--force"]).await?)?;
        assert_eq!((again["resumed"] == true, again["complete"] == true), (decided, true), "{step}: {again}");
        assert_eq!(made["threads"], rollouts(&target), "{step}: {again}");
        let all = outcome(&run("restore", &file, &target, &["--json", "--force"]).await?)?;
        assert_eq!((&all["threads"], &all["there"]), (&0.into(), &made["threads"]), "{step}");
    }
    let mut other = Home::in_files()?.start().await?;
    other.stop().await?;
    outcome(&run("restore", &file, &other.path(), &["--json", "--force"]).await?)?;
    other.start_again().await?;
    let mut client = other.client().await?;
    let mut listed = list(&mut client, false).await?;
    let mut expected = threads;
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    home.finish_with_faults().await?;
    other.finish_with_faults().await
}
