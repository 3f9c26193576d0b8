//! Checks that switching between threads leaves nothing behind: a real server, real helpers, and the kernel's
//! own counts.

mod ends;
mod report;
mod switch;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use skein_protocol::ids::ThreadId;

pub use self::report::{Ends, Killed, Report, Switch, Terminated};
use crate::client::Client;
use crate::home::{Helper, Home};

/// Name of the helper in the demonstration's settings.
const HELPER: &str = "helper";

/// Parameters of the demonstration.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of threads.
    pub threads: usize,
    /// The program of the helper and its arguments.
    pub command: Vec<String>,
    /// The tool that each turn calls.
    pub tool: String,
    /// The tool's arguments, a JSON object.
    pub arguments: serde_json::Value,
}

/// Runs the demonstration. Each row of the table goes to `show` as soon as it is complete.
///
/// # Errors
/// Fails if a step fails. Leftover processes are not an error; the report counts them.
pub async fn run(plan: &Plan, show: &mut dyn FnMut(String) -> Result<()>) -> Result<Report> {
    let (command, args) = plan.command.split_first().context("no program for the helper")?;
    let mut home = Home::setup().helper(Helper::program(HELPER, command, args)).start().await?;
    let mut control = home.client().await?;
    let progress = ProgressBar::new(u64::try_from(plan.threads)? * 2 + 2);
    progress.set_style(ProgressStyle::with_template("{bar:30} {msg}")?);

    let mut threads = Vec::new();
    for number in 1..=plan.threads {
        progress.set_message(format!("thread {number} is made"));
        threads.push(make(&home, &mut control, number).await?);
        progress.inc(1);
    }
    progress.suspend(|| show(report::head()))?;
    let mut switches = Vec::new();
    for (number, &thread) in (1..).zip(&threads) {
        progress.set_message(format!("thread {number} is resumed"));
        let switch = switch::measure(&home, &mut control, plan, number, thread).await?;
        progress.suspend(|| show(switch.row()))?;
        switches.push(switch);
        progress.inc(1);
    }
    progress.set_message("the server gets SIGTERM");
    let terminated = ends::terminate(&mut home, plan, &threads).await?;
    progress.inc(1);
    progress.set_message("the server gets SIGKILL");
    home.start_again().await?;
    let killed = ends::kill(&mut home, plan, &threads).await?;
    progress.finish_and_clear();
    // The leftovers are counted by now; no process may outlive the demonstration.
    if killed.left == 0 {
        home.finish().await?
    } else {
        drop(home)
    }
    Ok(Report::new(plan, switches, Ends { terminated, killed }))
}

/// Makes a thread on disk, and waits until the server has unloaded it.
async fn make(home: &Home, control: &mut Client, number: usize) -> Result<ThreadId> {
    let mut client = home.client().await?;
    let thread = client.start_thread_with(&format!("This is thread {number}.")).await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    ensure!(home.rollout(thread).is_file(), "thread {thread} is not on disk");
    Ok(thread)
}
