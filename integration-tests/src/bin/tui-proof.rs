//! The peer's own terminal client on a real server. The proof types into it and reads its screen, while the
//! link is cut and helpers refuse to stop. Exits with 1 if the screen is wrong once.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::wait_until;
use skein_integration_tests::proxy::{Flow, Proxy};
use skein_integration_tests::requests::{agent_text, items_params};
use skein_integration_tests::terminal::{Terminal, shown};
use skein_protocol::extension::{LoadedState, SkeinStatusResponse};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadItemsList, ThreadLoadedList};
use skein_protocol::thread::{SortDirection, ThreadItemsListParams, ThreadLoadedListParams};

/// Limit of a wait. The client waits up to some seconds before it reconnects.
const BOUND: Duration = Duration::from_secs(20);
/// Pause between two stages of stopping a helper: long enough that the client is back before a stubborn
/// helper is gone.
const STOP_GRACE: &str = "2s";
/// Text on the screen once the client has received the server's model.
const CONNECTED: &str = "echo default";
/// Text in the empty input field.
const EMPTY_INPUT: &str = "Ask Codex to do anything";
/// First choice of a question about a call.
const ALLOW: &str = "1. Allow";
/// Text below a finished answer.
const DONE: &str = "Worked for";
const DISCONNECTED: &str = "Reconnecting to server";

/// Runs the peer's terminal client against a server, over a link that the proof cuts.
#[derive(Debug, Parser)]
#[command(name = "tui-proof")]
struct Arguments {
    /// Program of the peer.
    #[arg(long)]
    codex: PathBuf,
}

/// State of the proof.
struct Stage {
    home: Home,
    proxy: Proxy,
    tui: Terminal,
    /// A second client, which bypasses the proxy.
    beside: Client,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let logs = tempfile::Builder::new().prefix("skein-tui-").tempdir()?;
    let setup = Home::setup().set("helpers.stop_grace", STOP_GRACE);
    let stubborn = Helper::with("stubborn", &["--ignore-term", "--ignore-eof", "--grandchild"])?;
    let home = setup.helper(stubborn).start().await?;
    let proxy = Proxy::start(home.address()).await?;
    let tui = start(&arguments.codex, &proxy, logs.path()).await?;
    let beside = home.client().await?;
    let mut stage = Stage { home, proxy, tui, beside };
    let outcome = play(&mut stage).await;
    if let Err(error) = &outcome {
        let screen = stage.tui.screen().await.unwrap_or_default();
        fs::write(logs.path().join("screen"), &screen)?;
        fs::copy(stage.home.beside().join("server.log"), logs.path().join("server.log"))?;
        let kept = logs.keep();
        let mut out = std::io::stdout();
        writeln!(out, "\n{error:?}\n\nthe last screen:\n{}\nkept in {}", shown(&screen), kept.display())?;
        return Ok(ExitCode::FAILURE);
    }
    let Stage { home, tui, .. } = stage;
    tui.end(BOUND).await?;
    home.finish().await?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the client in its own home, whose settings only trust its folder.
async fn start(codex: &Path, proxy: &Proxy, folder: &Path) -> Result<Terminal> {
    let (home, cwd) = (folder.join("codex-home"), folder.join("cwd"));
    fs::create_dir(&home)?;
    fs::create_dir(&cwd)?;
    let trusted = format!("[projects.{:?}]\ntrust_level = \"trusted\"\n", cwd.display().to_string());
    fs::write(home.join("config.toml"), trusted)?;
    let address = proxy.address();
    let command = [codex.as_os_str(), OsStr::new("--remote"), OsStr::new(&address)];
    Terminal::start(&command, &[("CODEX_HOME", home.as_os_str())], &cwd).await
}

async fn play(stage: &mut Stage) -> Result<()> {
    let mut step = Step { began: Instant::now() };
    stage
        .tui
        .until("the client to be connected", BOUND, |screen| screen.contains(CONNECTED).then_some(()))
        .await?;
    step.done("connected")?;
    let prompt = stage.ask("::stream 12 10").await?;
    stage.answered(&prompt, 12).await?;
    step.done("an answer is shown completely and once")?;
    over_in_between(stage).await?;
    step.done("a turn that ends while the link is cut is shown completely and once")?;
    still_running(stage).await?;
    step.done("a turn that continues after the cut is shown completely and once, before its end too")?;
    tool_in_progress(stage).await?;
    step.done("a tool call in progress at the cut is shown once")?;
    decided(stage).await?;
    step.done("the client asks about a call, and the user's choice decides")?;
    over_a_kill(stage).await?;
    step.done("a question is on the screen again after kill -9, once, and the same turn goes on")?;
    unload_of_another(stage).await?;
    step.done("an unload of another thread leaves the client alone")?;
    resume_behind_an_end(stage).await?;
    step.done("a resume waits behind the end of a stubborn helper")?;
    quit(stage).await?;
    step.done("quit: no thread, no helper, no process")
}

/// Cuts the link once part of the answer is visible, and waits until the client has noticed.
async fn cut_in(stage: &mut Stage, prompt: &str) -> Result<()> {
    stage.shows(prompt, 5).await?;
    stage.proxy.set(Flow::Cut);
    let noticed = |screen: &str| screen.contains(DISCONNECTED).then_some(());
    stage.tui.until("the loss to be noticed", BOUND, noticed).await
}

/// The link is cut in the middle of the answer, and returns after the turn has ended.
async fn over_in_between(stage: &mut Stage) -> Result<()> {
    let prompt = stage.ask("::stream 30 10 20").await?;
    cut_in(stage, &prompt).await?;
    stage.until_shown(30).await?;
    stage.proxy.set(Flow::Open);
    stage.answered(&prompt, 30).await
}

/// The link is cut in the middle of the answer and returns long before the turn ends. From then on the
/// visible answer is complete.
async fn still_running(stage: &mut Stage) -> Result<()> {
    let prompt = stage.ask("::stream 120 10 20").await?;
    cut_in(stage, &prompt).await?;
    stage.until_shown(20).await?;
    stage.proxy.set(Flow::Open);
    let part = |screen: &str| {
        let numbers = numbers(answer_to(screen, &prompt)?);
        numbers.last().is_some_and(|last| *last > 30).then_some(numbers)
    };
    let before_its_end = stage.tui.until("more of the answer", BOUND, part).await?;
    let whole = before_its_end.iter().copied().eq(0..before_its_end.len());
    ensure!(whole, "the answer before the turn's end is not complete: {before_its_end:?}");
    stage.answered(&prompt, 120).await
}

/// A helper works while the link is cut.
async fn tool_in_progress(stage: &mut Stage) -> Result<()> {
    let prompt = stage.ask("::tool stubborn sleep {\"ms\":4000}").await?;
    let called = |word: &'static str| {
        let prompt = prompt.clone();
        move |screen: &str| Some(answer_to(screen, &prompt)?.matches(word).count()).filter(|count| *count > 0)
    };
    stage.tui.until("the call", BOUND, called("Calling stubborn.sleep")).await?;
    stage.proxy.cut_once();
    let times = stage.tui.until("the end of the call", BOUND, called("Called stubborn.sleep")).await?;
    stage.until_done(&prompt).await?;
    ensure!(times == 1, "the call is shown {times} times");
    let screen = stage.tui.screen().await?;
    let answer = answer_to(&screen, &prompt).unwrap_or_default();
    ensure!(!answer.contains("Calling"), "the call is shown as running:\n{}", shown(answer));
    Ok(())
}

/// The user allows one call and cancels another.
async fn decided(stage: &mut Stage) -> Result<()> {
    let asked = |screen: &str| {
        let choices = ["tool destroy?", ALLOW, "2. Allow for this session", "3. Always allow", "4. Cancel"];
        choices.iter().all(|choice| screen.contains(choice)).then_some(())
    };
    let prompt = stage.ask("::tool stubborn destroy {\"path\":\"a\"}").await?;
    stage.tui.until("the question", BOUND, asked).await?;
    stage.tui.press_until("Enter", BOUND, |screen| !screen.contains("4. Cancel")).await?;
    stage.until_done(&prompt).await?;
    let screen = stage.tui.screen().await?;
    let answer = answer_to(&screen, &prompt).unwrap_or_default();
    ensure!(answer.contains("Called stubborn.destroy"), "the call is not shown:\n{}", shown(answer));
    let prompt = stage.ask("::tool stubborn destroy {\"path\":\"b\"}").await?;
    stage.tui.until("the question", BOUND, asked).await?;
    stage.tui.press_until("Escape", BOUND, |screen| !screen.contains("4. Cancel")).await?;
    let not_made = |screen: &str| {
        let answer = answer_to(screen, &prompt)?;
        (answer.contains("the user cancelled") && answer.contains("interrupted")).then_some(())
    };
    stage.tui.until("the end of the turn", BOUND, not_made).await
}

/// The server is killed while the user is asked. The dialog is there again, once, and the answer counts.
async fn over_a_kill(stage: &mut Stage) -> Result<()> {
    let asked = |screen: &str| Some(screen.matches("tool destroy?").count()).filter(|count| *count > 0);
    let prompt = stage.ask("::tool stubborn destroy {\"path\":\"c\"}").await?;
    stage.tui.until("the question", BOUND, asked).await?;
    stage.proxy.set(Flow::Cut);
    stage.home.restart_after_kill().await?;
    stage.proxy.lead_to(stage.home.address())?;
    stage.beside = stage.home.client().await?;
    stage.proxy.set(Flow::Open);
    let waits = |status: &SkeinStatusResponse| status.threads.subscriptions > 0;
    stage.beside.until_status("the client to be back", waits).await?;
    let times = stage.tui.until("the question again", BOUND, asked).await?;
    ensure!(times == 1, "the question is shown {times} times");
    stage.tui.press_until("Enter", BOUND, |screen| !screen.contains("4. Cancel")).await?;
    stage.until_done(&prompt).await?;
    let screen = stage.tui.screen().await?;
    let answer = answer_to(&screen, &prompt).unwrap_or_default();
    let times = answer.matches("Called stubborn.destroy").count();
    ensure!(times == 1, "the call is shown {times} times:\n{}", shown(answer));
    Ok(())
}

async fn unload_of_another(stage: &mut Stage) -> Result<()> {
    let other = stage.beside.start_thread_with("words").await?;
    stage.beside.unload(other, false).await?;
    stage.beside.thread_closed(other).await?;
    let prompt = stage.ask("::stream 7 10").await?;
    stage.answered(&prompt, 7).await
}

/// The link is cut while nothing runs: the server unloads the thread, whose helper refuses to stop. The
/// client is back before the helper is gone.
async fn resume_behind_an_end(stage: &mut Stage) -> Result<()> {
    let thread = stage.thread().await?;
    let before = stage.proxy.accepted();
    stage.proxy.cut_once();
    stage.proxy.until_accepted(before + 1, BOUND).await?;
    let state = stage.beside.loaded_thread(thread).await?.map(|loaded| loaded.state);
    ensure!(state == Some(LoadedState::Unloading), "the client came back to a thread that is {state:?}");
    let prompt = stage.ask("::stream 9 10").await?;
    stage.answered(&prompt, 9).await
}

async fn quit(stage: &mut Stage) -> Result<()> {
    stage.tui.type_text("/quit").await?;
    stage.tui.until("the command", BOUND, |screen| screen.contains("› /quit").then_some(())).await?;
    let exit = stage.tui.press_until_exit("Enter", BOUND).await?;
    ensure!(exit == "0", "the client has ended with {exit}");
    stage.beside.until_status("no thread", |status| status.threads.loaded == 0).await?;
    stage.home.until_drained(PATIENCE).await?;
    wait_until("no connection", BOUND, || (stage.proxy.alive() == 0).then_some(())).await
}

impl Stage {
    /// Types a new prompt and sends it.
    async fn ask(&self, text: &str) -> Result<String> {
        self.tui.type_text(text).await?;
        self.tui.until("the prompt", BOUND, |screen| screen.contains(text).then_some(())).await?;
        // A question replaces the input field, and would take another Enter as its answer.
        let taken = |screen: &str| screen.contains(EMPTY_INPUT) || screen.contains(ALLOW);
        self.tui.press_until("Enter", BOUND, taken).await?;
        Ok(text.to_owned())
    }

    /// Waits until the answer shows this number.
    async fn shows(&self, prompt: &str, number: usize) -> Result<()> {
        let there = |screen: &str| numbers(answer_to(screen, prompt)?).contains(&number).then_some(());
        self.tui.until(&format!("{number} in the answer"), BOUND, there).await
    }

    async fn until_done(&self, prompt: &str) -> Result<()> {
        let done = |screen: &str| answer_to(screen, prompt)?.contains(DONE).then_some(());
        self.tui.until("the end of the answer", BOUND, done).await
    }

    /// Checks that the answer is done, and has the numbers below `count`, each once and in order.
    async fn answered(&self, prompt: &str, count: usize) -> Result<()> {
        self.until_done(prompt).await?;
        let screen = self.tui.screen().await?;
        let answer = answer_to(&screen, prompt).unwrap_or_default();
        let numbers = numbers(answer);
        ensure!(
            numbers.iter().copied().eq(0..count),
            "the answer does not show 0 to {}:\n{}",
            count - 1,
            shown(answer)
        );
        Ok(())
    }

    /// The thread on the client's screen.
    async fn thread(&mut self) -> Result<ThreadId> {
        let list = self.beside.call::<ThreadLoadedList>(ThreadLoadedListParams::default()).await?;
        let mut threads = list.skein.context("no details")?.threads.into_iter();
        let thread = threads.find(|thread| !thread.ephemeral && thread.subscribers > 0);
        Ok(thread.context("the client has no thread")?.thread_id)
    }

    /// Waits until the server has streamed this many numbers in the newest message.
    async fn until_shown(&mut self, count: usize) -> Result<()> {
        let list = self.beside.call::<ThreadLoadedList>(ThreadLoadedListParams::default()).await?;
        let mut threads = list.skein.context("no details")?.threads.into_iter();
        let thread = threads.find(|thread| !thread.ephemeral).context("no thread is loaded")?.thread_id;
        let newest = ThreadItemsListParams {
            limit: Some(1),
            sort_direction: Some(SortDirection::Desc),
            ..items_params(thread)
        };
        let began = Instant::now();
        loop {
            let page = self.beside.call::<ThreadItemsList>(newest.clone()).await?;
            let text = page.data.first().and_then(|entry| agent_text(&entry.item)).unwrap_or_default();
            if numbers(&text).len() >= count {
                return Ok(());
            }
            ensure!(began.elapsed() < BOUND, "{count} numbers do not come within {BOUND:?}");
        }
    }
}

/// The text below a prompt, up to the next prompt or the input field.
fn answer_to<'a>(screen: &'a str, prompt: &str) -> Option<&'a str> {
    let prompt_line = format!("› {prompt}");
    let from = screen.rfind(&prompt_line)? + prompt_line.len();
    let rest = screen.get(from..)?;
    Some(rest.find("\n› ").and_then(|end| rest.get(..end)).unwrap_or(rest))
}

/// The numbers of the echo's stream: digits followed by dots, even if a line break splits them.
fn numbers(text: &str) -> Vec<usize> {
    let text: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let parts = text.split_inclusive("...").filter(|part| part.ends_with("..."));
    parts.filter_map(|part| part.trim_matches('.').parse().ok()).collect()
}

/// Times the steps.
struct Step {
    began: Instant,
}

impl Step {
    fn done(&mut self, what: &str) -> Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.began = Instant::now();
        let mut out = std::io::stdout();
        writeln!(out, "{seconds:5.1} s  {what}")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_across_line_breaks() {
        let screen = "\u{203a} ::stream 3 10\n\u{2022} 0 ........1 ...\n  .....2 ......\n  Worked for 5s\n\u{203a} next";
        let answer = answer_to(screen, "::stream 3 10").unwrap();
        assert_eq!(numbers(answer), [0, 1, 2]);
        assert!(answer.contains(DONE) && !answer.contains("next"));
        assert_eq!(numbers(&format!("{answer}{answer}")).len(), 6, "a repeated answer is counted twice");
    }
}
