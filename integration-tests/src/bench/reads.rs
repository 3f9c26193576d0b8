//! The cost of reads: list pages, and the longest thread.

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

/// Turns on a page of the longest thread.
const TURNS: u32 = 25;

/// Measures list pages, then resumes.
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
            // The answer with turns may be too large; continue without turns.
            resume.without_turns = true;
            done = one(plan, place, thread, &mut resume).await;
        }
        if let Err(error) = done {
            // Report a failed figure without losing the others.
            resume.failed = Some(format!("{error:#}"));
            break;
        }
    }
    figures.resume = Some(resume);
    Ok(())
}

/// List pages in sequence by cursor. After the last page, the list starts again.
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

/// A resume on a freshly started server. The server stops even if the resume fails, because the next server
/// needs the home.
pub(super) async fn one(plan: &Plan, place: &Place, thread: ThreadId, resume: &mut Resume) -> Result<()> {
    let (mut server, _) = Served::start(plan, place).await?;
    let measured = resumed(&mut server, thread, resume).await;
    server.stop().await?;
    measured
}

/// A resume, then a page of turns. The file may be in the kernel's cache.
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
