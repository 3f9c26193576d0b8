//! However badly a helper behaves, and whatever ends it, none of its processes is left. `scripts/zoo` runs
//! the whole matrix; these tests run a sample, partly random.

mod pid_one;

use anyhow::{Result, ensure};
use skein_integration_tests::Home;
use skein_integration_tests::seed::Seed;
use skein_integration_tests::zoo::{Batch, Ending, MODES, available, spread};

async fn leaves_nothing(level: &'static str, ending: Ending, modes: Vec<&'static str>) -> Result<()> {
    // A server that ends at its limit leaves the rest to its next start.
    let setup = Home::setup().set("shutdown.limit", "60s");
    for outcome in (Batch { level, ending, modes }).run(setup).await? {
        ensure!(outcome.left == 0, "{outcome:?}");
    }
    Ok(())
}

fn every_mode() -> Vec<&'static str> {
    MODES.into_iter().map(|(mode, _)| mode).collect()
}

#[tokio::test]
async fn every_kind_of_helper_ends_with_its_thread() -> Result<()> {
    leaves_nothing("auto", Ending::Unload, every_mode()).await
}

#[tokio::test]
async fn every_kind_of_helper_ends_when_the_server_is_killed() -> Result<()> {
    leaves_nothing("auto", Ending::KillServer, every_mode()).await
}

/// Every mode at every isolation level of this machine, and every ending. The combination is random.
#[tokio::test]
async fn a_sample_of_helpers_ends_at_every_level_through_every_ending() -> Result<()> {
    for Batch { level, ending, modes } in spread(&mut Seed::from_environment(), available()) {
        leaves_nothing(level, ending, modes).await?;
    }
    Ok(())
}
