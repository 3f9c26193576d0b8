//! However badly a helper behaves, and whatever brings its end, no process of it is left. `scripts/zoo` has the whole
//! matrix; this is a spread of it, of which a part is drawn anew each time.

mod pid_one;

use anyhow::{Result, ensure};
use skein_integration_tests::seed::Seed;
use skein_integration_tests::zoo::{Batch, Ending, MODES, available, spread};

async fn leaves_nothing(rung: &'static str, ending: Ending, modes: Vec<&'static str>) -> Result<()> {
    for outcome in (Batch { rung, ending, modes }).run().await? {
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

/// Every mode on every rung that this machine has, and every ending; which goes with which is drawn anew each time.
#[tokio::test]
async fn some_kinds_end_on_every_rung_however_the_end_comes() -> Result<()> {
    for Batch { rung, ending, modes } in spread(&mut Seed::from_environment(), available()) {
        leaves_nothing(rung, ending, modes).await?;
    }
    Ok(())
}
