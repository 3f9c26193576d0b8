//! Starts of all homes in turn.

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use super::Plan;
use super::homes::Place;
use super::report::{HomeFigures, milliseconds};
use super::served::{Served, Start};

/// Measures the starts of `places`; `figures` has one entry for each.
pub(super) async fn measure(
    plan: &Plan,
    places: &[Place],
    figures: &mut [HomeFigures],
    bar: &ProgressBar,
) -> Result<()> {
    for round in 1..=plan.rounds {
        for (place, figures) in places.iter().zip(figures.iter_mut()) {
            bar.set_message(format!("{}: starts, round {round} of {}", place.name, plan.rounds));
            one(plan, place, figures).await.with_context(|| format!("a start of the home {}", place.name))?;
        }
    }
    Ok(())
}

/// A start after an orderly stop, then a start after a kill.
async fn one(plan: &Plan, place: &Place, figures: &mut HomeFigures) -> Result<()> {
    let (server, start) = Served::start(plan, place).await?;
    note(figures, start, false);
    server.crash().await?;
    let (mut server, start) = Served::start(plan, place).await?;
    note(figures, start, true);
    figures.index_status = server.index_status().await?;
    server.stop().await
}

fn note(figures: &mut HomeFigures, start: Start, after_kill: bool) {
    let starts = if after_kill { &mut figures.starts_after_kill } else { &mut figures.starts };
    starts.answer_ms.push(milliseconds(start.answer));
    starts.page_ms.push(milliseconds(start.page));
    starts.resident.push(start.resident);
}
