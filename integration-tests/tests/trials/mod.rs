//! `skein mcp test`: tries a helper without a server and leaves no process, whatever the helper does.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::process::{Process, descendants, tagged, wait_until};
use skein_integration_tests::{Home, paths};
use tokio::process::{Child, Command};
use uuid::Uuid;

/// A folder for the settings, and the tag of one test's processes.
struct Bench {
    home: tempfile::TempDir,
    tag: String,
}

impl Bench {
    fn new(settings: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        std::fs::write(home.path().join("config.toml"), settings)?;
        Ok(Self { home, tag: Uuid::now_v7().simple().to_string() })
    }

    /// Starts `skein mcp test` with the scriptable helper in this zoo mode. Its processes carry the tag as an
    /// argument.
    fn start(&self, mode: &str) -> Result<Child> {
        let mut command = Command::new(paths::skein()?);
        command.args(["mcp", "test", "--json", "--home"]).arg(self.home.path());
        command.arg("--").arg(paths::mcp_helper()?).args(["--zoo", mode, &self.tag]);
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(pipes.kill_on_drop(true).spawn()?)
    }

    /// The exit code and the outcome. No process may be left.
    async fn end(&self, child: Child) -> Result<(Option<i32>, Value)> {
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.context("`skein mcp test` does not end")??;
        let left = tagged(&self.tag);
        ensure!(left.is_empty(), "left: {left:#?}");
        let outcome = serde_json::from_slice(&output.stdout);
        let outcome = outcome.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok((output.status.code(), outcome))
    }
}

#[tokio::test]
async fn a_trial_of_any_helper_leaves_no_process() -> Result<()> {
    let bench = Bench::new("[helpers]\ncontainment = \"guard\"\nstop_grace = \"100ms\"\n")?;
    for (mode, stage) in
        [("polite", "closeInput"), ("ignores-both", "kill"), ("twenty", "kill"), ("daemon", "kill")]
    {
        let (code, outcome) = bench.end(bench.start(mode)?).await?;
        ensure!(code == Some(0), "{mode}: {outcome}");
        let tools = outcome["tools"].as_array().context("no tools")?;
        assert!(tools.contains(&json!("echo")), "{outcome}");
        assert_eq!(outcome["serverInfo"]["name"], "mcp-helper");
        assert_eq!((&outcome["containment"], &outcome["left"]), (&json!("guard"), &json!([])));
        assert_eq!(outcome["stage"], stage, "{mode}");
        assert!(outcome["startMs"].is_u64() && outcome["endMs"].is_u64(), "{outcome}");
    }
    Ok(())
}

#[tokio::test]
async fn a_helper_that_exits_at_its_start_fails_the_trial() -> Result<()> {
    let bench = Bench::new("")?;
    let (code, outcome) = bench.end(bench.start("exits-at-start")?).await?;
    assert_eq!((code, &outcome["ok"], &outcome["left"]), (Some(1), &json!(false), &json!([])));
    assert!(outcome["reason"].as_str().is_some_and(|why| why.contains("code 3")), "{outcome}");
    Ok(())
}

#[tokio::test]
async fn an_interrupted_or_killed_trial_stops_its_helper() -> Result<()> {
    for (signal, code) in [(Signal::SIGINT, Some(1)), (Signal::SIGKILL, None)] {
        let bench = Bench::new("[helpers]\nstop_grace = \"100ms\"\n")?;
        let mut command = Command::new(paths::skein()?);
        command.args(["mcp", "test", "--home"]).arg(bench.home.path()).arg("--");
        // The helper never becomes ready. The shell ignores the tag in its arguments.
        command.args(["/bin/sh", "-c", "exec sleep 600", &bench.tag]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pid = child.id().context("the trial runs")?;
        let helpers = || {
            let below = descendants(pid);
            let all: Vec<Process> = below.into_iter().filter(|one| one.name == "sleep").collect();
            (!all.is_empty()).then_some(all)
        };
        let helpers = wait_until("the helper itself", PATIENCE, helpers).await?;
        kill(Pid::from_raw(pid.cast_signed()), signal)?;
        let status = tokio::time::timeout(PATIENCE, child.wait()).await??;
        assert_eq!(status.code(), code);
        let gone = || (!helpers.iter().any(Process::lives)).then_some(());
        wait_until("the end of the helper", PATIENCE, gone).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_trial_beside_a_server_leaves_its_helpers_alone() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let pid = client.say(thread, "/tool helper pid").await?;
    let output = Command::new(paths::skein()?)
        .args(["mcp", "test", "helper", "--json", "--home"])
        .arg(home.path())
        .stdin(Stdio::null())
        .output()
        .await?;
    let outcome: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((&outcome["ok"], &outcome["left"]), (&json!(true), &json!([])), "{outcome}");
    assert_eq!(client.say(thread, "/tool helper pid").await?, pid);
    home.finish().await
}
