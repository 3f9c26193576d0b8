//! What reading costs: pages of the list, and the longest thread.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadResume, ThreadTurnsList};
use skein_protocol::thread::{ThreadResumeParams, ThreadTurnsListParams};

use super::Plan;
use super::homes::{self, Place};
use super::report::{HomeFigures, Resume, milliseconds};
use super::served::{self, Served};
use crate::process::resident;
use crate::requests::{resume_params, turns_params};

/// Turns of a page of the longest thread.
const TURNS: u32 = 25;

/// Measures pages of the list, then resumes.
pub(super) async fn measure(plan: &Plan, place: &Place, figures: &mut HomeFigures) -> Result<()> {
    let (mut server, _) = Served::start(plan, place).await?;
    figures.list_page_ms = pages(plan, &mut server).await?;
    server.stop().await?;
    let Some((path, bytes)) = homes::longest(&place.home)? else { return Ok(()) };
    let thread = thread_of(&path)?;
    let mut resume = Resume { bytes, ..Resume::default() };
    for _ in 0..plan.resumes {
        let mut done = one(plan, place, thread, &mut resume).await;
        if done.is_err() && !resume.without_turns && resume.resume_ms.is_empty() {
            // With turns the answer may be too large: from here on it is asked for without.
            resume.without_turns = true;
            done = one(plan, place, thread, &mut resume).await;
        }
        if let Err(error) = done {
            // A figure that is not there is worth knowing, and no reason to lose the others.
            resume.failed = Some(format!("{error:#}"));
            break;
        }
    }
    figures.resume = Some(resume);
    Ok(())
}

/// Pages one behind the other by cursor, from the beginning again where the list ends.
async fn pages(plan: &Plan, server: &mut Served) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    let mut cursor = None;
    for _ in 0..plan.pages {
        let began = Instant::now();
        let page = served::list(&mut server.client, cursor).await?;
        took.push(milliseconds(began.elapsed()));
        cursor = page.next_cursor;
    }
    Ok(took)
}

fn thread_of(path: &Path) -> Result<ThreadId> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    name.parse().with_context(|| format!("{} is no rollout", path.display()))
}

/// A resume by a server that has just started. The server is ended also when nothing came of it: the next one needs the home.
pub(super) async fn one(plan: &Plan, place: &Place, thread: ThreadId, resume: &mut Resume) -> Result<()> {
    let (mut server, _) = Served::start(plan, place).await?;
    let measured = resumed(&mut server, thread, resume).await;
    server.stop().await?;
    measured
}

/// A resume, and a page of turns behind it. The file may be in the kernel's cache.
async fn resumed(server: &mut Served, thread: ThreadId, resume: &mut Resume) -> Result<()> {
    let before = resident(server.pid).unwrap_or_default();
    let began = Instant::now();
    let params = ThreadResumeParams { exclude_turns: resume.without_turns, ..resume_params(thread) };
    server.client.call::<ThreadResume>(params).await?;
    resume.resume_ms.push(milliseconds(began.elapsed()));
    resume.grown.push(resident(server.pid).unwrap_or_default().saturating_sub(before));
    let params = ThreadTurnsListParams { limit: Some(TURNS), ..turns_params(thread) };
    let began = Instant::now();
    server.client.call::<ThreadTurnsList>(params).await?;
    resume.turns_ms.push(milliseconds(began.elapsed()));
    Ok(())
}
