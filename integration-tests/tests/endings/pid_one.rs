//! The server as PID 1 of a container: it inherits every orphan, ends only the helpers' orphans, reaps all,
//! and leaves no process.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_integration_tests::home::{Exit, Home, PATIENCE, Setup, bring_in_an_orphan, can_be_pid_one};
use skein_integration_tests::process::{self, wait_until};
use skein_integration_tests::zoo::{Batch, Ending, MODES, available_to_pid_one};

/// A mode whose helper has a child with a cleared environment, its own session and another parent.
const MODE: &str = "daemon";

/// Whether a process with this pid exists, zombies included.
fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

/// Unreaped children of `parent` that have ended.
fn zombies_of(parent: u32) -> Vec<String> {
    let statuses = fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = statuses.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let has = |status: &String, line: &str| status.lines().any(|there| there == line);
    let parent = format!("PPid:\t{parent}");
    statuses.filter(|status| has(status, "State:\tZ (zombie)") && has(status, &parent)).collect()
}

fn end(pid: u32) -> Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).with_context(|| format!("{pid} is gone"))
}

async fn until_gone(what: &str, pids: &BTreeSet<u32>) -> Result<()> {
    let left = || pids.iter().filter(|pid| exists(**pid)).collect::<Vec<_>>();
    let waited = wait_until(what, PATIENCE, || left().is_empty().then_some(())).await;
    waited.with_context(|| format!("{:?} are left", left()))
}

/// Children of the server that belong to no helper: one from the shell that became the server, and one that
/// came later.
async fn others(home: &Home) -> Result<BTreeSet<u32>> {
    bring_in_an_orphan(home.pid())?;
    let found = || {
        let all = process::descendants(home.pid()).into_iter();
        let pids: BTreeSet<u32> =
            all.filter(|one| one.name == "sleep" && one.parent == home.pid()).map(|one| one.pid).collect();
        Some(pids).filter(|pids| pids.len() == 2)
    };
    wait_until("two processes without a helper", PATIENCE, found).await
}

/// The helper and its child, once they and their guard run and none of them is in `former`.
async fn helper(home: &Home, former: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let tag = Setup::zoo_tag(home.tag(), MODE);
    let found = || {
        let pids: BTreeSet<u32> = process::tagged(&tag).into_iter().map(|one| one.pid).collect();
        let up = pids.len() == 2 && pids.is_disjoint(former) && home.family().guards.len() == 1;
        up.then_some(pids)
    };
    let waited = wait_until("a helper with its child", PATIENCE, found).await;
    waited.with_context(|| format!("{:#?}", home.family()))
}

#[tokio::test]
async fn as_pid_1_the_server_ends_helpers_reaps_orphans_and_spares_other_processes() -> Result<()> {
    if !can_be_pid_one() {
        return Ok(());
    }
    for (level, by) in
        available_to_pid_one().iter().zip([Signal::SIGTERM, Signal::SIGINT].into_iter().cycle())
    {
        let setup = Home::setup().as_pid_one().set("helpers.containment", *level).zoo(MODE)?;
        let mut home = setup.start().await?;
        let others = others(&home).await?;
        let mut client = home.client().await?;
        let thread = client.start_thread_with("hello").await?;

        // The server inherits the guard's orphans, and starts the helper again.
        let old = helper(&home, &BTreeSet::new()).await?;
        end(home.family().guards.first().context("no guard")?.pid)?;
        until_gone("the end of a dead guard's processes", &old).await?;
        let new = helper(&home, &old).await?;
        let live = |pids: &BTreeSet<u32>| pids.iter().all(|pid| process::Process::read(*pid).is_some());
        ensure!(live(&others), "{level}: an unrelated process ended with a helper");

        client.unload(thread, true).await?;
        until_gone("the end of the helper with its thread", &new).await?;
        ensure!(live(&others), "{level}: an unrelated process ended with the thread");
        others.iter().try_for_each(|pid| end(*pid))?;
        until_gone("unrelated processes are reaped", &others).await?;
        wait_until("no zombie", PATIENCE, || zombies_of(home.pid()).is_empty().then_some(())).await?;
        ensure!(!home.log()?.contains("cannot be reaped"), "{level}: another reaper took a guard");

        client.start_thread_with("hello").await?;
        let last = helper(&home, &new).await?;
        home.signal(by)?;
        ensure!(home.exited(PATIENCE).await? == Exit::Code(0), "{level}: {by} did not end with code 0");
        until_gone("the end of everything", &last).await?;
        drop(client);
        home.finish().await?;
    }
    Ok(())
}

/// The server finds every process of a helper, and takes no other child for one.
#[tokio::test]
async fn as_pid_1_the_server_ends_every_kind_of_helper_after_its_guard_was_killed() -> Result<()> {
    if !can_be_pid_one() {
        return Ok(());
    }
    for level in available_to_pid_one() {
        let modes = MODES.into_iter().map(|(mode, _)| mode).collect();
        let batch = Batch { level, ending: Ending::KillGuards, modes };
        for outcome in batch.run(Home::setup().as_pid_one()).await? {
            ensure!(outcome.left == 0, "{outcome:?}");
        }
    }
    Ok(())
}
