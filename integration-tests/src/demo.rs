//! Whether switching between threads leaves anything: a real server, real helpers, and what the kernel counts.

mod ends;
mod report;
mod switch;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use skein_protocol::ids::ThreadId;

pub use self::report::{Ends, Killed, Report, Switch, Terminated};
use crate::client::Client;
use crate::home::{Helper, Home};

/// Name of the helper that the demonstration configures.
const HELPER: &str = "helper";

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many threads are switched through.
    pub threads: usize,
    /// The program of the helper and its arguments.
    pub command: Vec<String>,
    /// The tool that each turn calls.
    pub tool: String,
    /// The tool's arguments, a JSON object.
    pub arguments: serde_json::Value,
}

/// Runs the demonstration. Each line of its table goes to `show` as soon as it is known.
///
/// # Errors
/// When something does not work at all. What is left behind is no error but a number of the report.
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
    // Whatever was left is counted by now; nothing of it may outlive the demonstration.
    if killed.left == 0 {
        home.finish().await?
    } else {
        drop(home)
    }
    Ok(Report::new(plan, switches, Ends { terminated, killed }))
}

/// Makes a thread that is on disk, and waits until it is gone from memory.
async fn make(home: &Home, control: &mut Client, number: usize) -> Result<ThreadId> {
    let mut client = home.client().await?;
    let thread = client.start_said_thread(&format!("This is thread {number}.")).await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    ensure!(home.rollout(thread).is_file(), "thread {thread} is not on disk");
    Ok(thread)
}
