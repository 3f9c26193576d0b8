//! The server as PID 1 of a container: it inherits every orphan, ends those of helpers and no other, reaps all, and leaves
//! nothing.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_integration_tests::home::{Exit, Home, PATIENCE, Setup, bring_in_an_orphan, can_be_pid_one};
use skein_integration_tests::process::{self, wait_until};
use skein_integration_tests::zoo::{Batch, Ending, MODES, available_to_pid_one};

/// A mode whose helper has a child that clears its environment and leaves session and parent.
const MODE: &str = "daemon";

/// Whether there is a process with this pid, a zombie included.
fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

/// Children of `parent` that have ended and that nobody has waited for.
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

/// Children of the server that it has not started: one that the shell left it which became the server, one that came later.
async fn strangers(home: &Home) -> Result<BTreeSet<u32>> {
    bring_in_an_orphan(home.pid())?;
    let found = || {
        let all = process::descendants(home.pid()).into_iter();
        let pids: BTreeSet<u32> =
            all.filter(|one| one.name == "sleep" && one.parent == home.pid()).map(|one| one.pid).collect();
        Some(pids).filter(|pids| pids.len() == 2)
    };
    wait_until("two processes that are nobody's", PATIENCE, found).await
}

/// The helper and its child, once they and their guard run and none of `former` is one of them.
async fn helper(home: &Home, former: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let mark = Setup::zoo_mark(home.mark(), MODE);
    let found = || {
        let pids: BTreeSet<u32> = process::marked(&mark).into_iter().map(|one| one.pid).collect();
        let up = pids.len() == 2 && pids.is_disjoint(former) && home.family().guards.len() == 1;
        up.then_some(pids)
    };
    let waited = wait_until("a helper with its child", PATIENCE, found).await;
    waited.with_context(|| format!("{:#?}", home.family()))
}

#[tokio::test]
async fn as_pid_1_it_ends_helpers_reaps_every_orphan_and_kills_nobody_elses() -> Result<()> {
    if !can_be_pid_one() {
        return Ok(());
    }
    for (rung, by) in available_to_pid_one().iter().zip([Signal::SIGTERM, Signal::SIGINT].into_iter().cycle())
    {
        let setup = Home::setup().as_pid_one().set("helpers.containment", *rung).zoo(MODE)?;
        let mut home = setup.start().await?;
        let strangers = strangers(&home).await?;
        let mut client = home.client().await?;
        let thread = client.start_said_thread("hello").await?;

        // The guard's orphans come to the server; the helper is started again.
        let old = helper(&home, &BTreeSet::new()).await?;
        end(home.family().guards.first().context("no guard")?.pid)?;
        until_gone("the end of what a dead guard left", &old).await?;
        let new = helper(&home, &old).await?;
        let live = |pids: &BTreeSet<u32>| pids.iter().all(|pid| process::Process::read(*pid).is_some());
        ensure!(live(&strangers), "{rung}: who was no helper's was ended with one");

        client.unload(thread, true).await?;
        until_gone("the end of the helper with its thread", &new).await?;
        ensure!(live(&strangers), "{rung}: who was no helper's was ended with the thread");
        strangers.iter().try_for_each(|pid| end(*pid))?;
        until_gone("who was no helper's is reaped", &strangers).await?;
        wait_until("no zombie", PATIENCE, || zombies_of(home.pid()).is_empty().then_some(())).await?;
        ensure!(!home.log()?.contains("cannot be reaped"), "{rung}: somebody else has reaped a guard");

        client.start_said_thread("hello").await?;
        let last = helper(&home, &new).await?;
        home.signal(by)?;
        ensure!(home.exited(PATIENCE).await? == Exit::Code(0), "{rung}: {by} did not end it well");
        until_gone("the end of everything", &last).await?;
        drop(client);
        home.finish().await?;
    }
    Ok(())
}

/// Whatever a helper does: that nothing is left is known without taking every child for a helper's.
#[tokio::test]
async fn as_pid_1_it_ends_every_kind_of_helper_whose_guard_is_killed() -> Result<()> {
    if !can_be_pid_one() {
        return Ok(());
    }
    for rung in available_to_pid_one() {
        let modes = MODES.into_iter().map(|(mode, _)| mode).collect();
        let batch = Batch { rung, ending: Ending::KillGuards, modes };
        for outcome in batch.run_from(Home::setup().as_pid_one()).await? {
            ensure!(outcome.left == 0, "{outcome:?}");
        }
    }
    Ok(())
}
