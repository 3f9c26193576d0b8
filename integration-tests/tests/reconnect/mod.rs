//! A lost connection loses nothing: after its return, a client shows the same as a client that never left.

mod gaps;
mod links;
mod property;
mod reloads;
mod windows;

use std::fs;

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::process::wait_until;
use skein_protocol::extension::SkeinStatusResponse;

/// Checks that the server's own counts equal the kernel's. `connections` is the expected number of
/// connections.
async fn agrees_with_the_kernel(
    home: &Home,
    control: &mut Client,
    connections: u64,
) -> Result<SkeinStatusResponse> {
    let status =
        control.until_status("the remaining connections", |status| status.connections == connections).await?;
    let agrees = |status: &SkeinStatusResponse| {
        let family = home.family();
        let helpers = u64::try_from(family.helpers.len()).ok()?;
        let guards = u64::try_from(family.guards.len()).ok()?;
        (status.helpers.alive == helpers && status.helpers.guards == guards).then_some(())
    };
    if agrees(&status).is_none() {
        // Between the two looks a helper may have ended or begun.
        control.until_status("as many helpers as there are", |status| agrees(status).is_some()).await?;
    }
    let status = control.status().await?;
    ensure!(status.pid == home.pid(), "the server reports pid {}", status.pid);
    Ok(status)
}

/// Waits until there is no subscription, no loaded thread and no helper process.
async fn ends_drained(home: &Home, control: &mut Client) -> Result<()> {
    let nothing = |status: &SkeinStatusResponse| {
        let threads = &status.threads;
        (status.connections, threads.loaded, threads.subscriptions, threads.observers) == (1, 0, 0, 0)
    };
    control.until_status("one connection, and nothing loaded", nothing).await?;
    home.until_drained(PATIENCE).await?;
    let status = agrees_with_the_kernel(home, control, 1).await?;
    ensure!((status.helpers.alive, status.turns.running, status.outbox_bytes) == (0, 0, 0), "{status:#?}");
    Ok(())
}

/// Connections of a server to its database. It opens some when many reads come at once, and keeps them.
const TO_DATABASE: usize = 13;

/// Waits until the server has no more open descriptors than `before`. The baseline may have counted a short-lived
/// one.
async fn until_descriptors(home: &Home, before: usize) -> Result<()> {
    let count = if home.has_database() { before + TO_DATABASE } else { before };
    let what = format!("at most {count} descriptors");
    let none_new = || descriptors(home).filter(|open| *open <= count).map(drop);
    let waited = wait_until(&what, PATIENCE, none_new).await;
    waited.map_err(|error| error.context(format!("there are {:?}", descriptors(home))))
}

/// Number of open descriptors of a server after its clean-up of earlier processes.
async fn descriptors_at_rest(home: &Home, control: &mut Client) -> Result<usize> {
    let looked = |status: &SkeinStatusResponse| status.helpers.leftovers.looked;
    control.until_status("the start-up clean-up is complete", looked).await?;
    descriptors(home).context("the server's descriptors")
}

fn descriptors(home: &Home) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{}/fd", home.pid())).ok()?.count())
}
