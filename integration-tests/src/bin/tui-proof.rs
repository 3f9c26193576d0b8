//! The peer's own terminal client on a real server: it is typed to and its screen is read, while the link is cut and helpers
//! do not want to end. Ends with 1 when the screen is wrong once.

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
use skein_protocol::extension::LoadedState;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadItemsList, ThreadLoadedList};
use skein_protocol::thread::{SortDirection, ThreadItemsListParams, ThreadLoadedListParams};

/// The client waits up to some seconds before it tries to connect again.
const BOUND: Duration = Duration::from_secs(20);
/// Between two stages of ending a helper: so long that the client is back before a stubborn one is gone.
const STOP_GRACE: &str = "2s";
/// What the client shows once it has heard of the server's model.
const CONNECTED: &str = "echo default";
/// What stands in its field for input while that is empty.
const EMPTY_INPUT: &str = "Ask Codex to do anything";
/// The first choice of a question about a call.
const ALLOW: &str = "1. Allow";
/// What it shows below an answer that is done.
const DONE: &str = "Worked for";
const DISCONNECTED: &str = "Reconnecting to server";

/// Runs the peer's terminal client against a server, with a link in between that is cut.
#[derive(Debug, Parser)]
#[command(name = "tui-proof")]
struct Arguments {
    /// The peer's program.
    #[arg(long)]
    codex: PathBuf,
}

/// Everything that takes part.
struct Stage {
    home: Home,
    proxy: Proxy,
    tui: Terminal,
    /// Beside the client, past the proxy.
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

/// Starts the client in a home of its own that says no more than that it may work in its folder.
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
    step.done("an answer is shown whole and once")?;
    over_in_between(stage).await?;
    step.done("a turn that ends while the link is cut is shown whole and once")?;
    still_running(stage).await?;
    step.done("a turn that runs on behind the cut is shown whole and once, before its end too")?;
    tool_in_progress(stage).await?;
    step.done("a tool call in progress at the cut is shown once")?;
    decided(stage).await?;
    step.done("a call is asked about, and made or not as the user chooses")?;
    unload_of_another(stage).await?;
    step.done("an unload of another thread leaves the client alone")?;
    resume_behind_an_end(stage).await?;
    step.done("a resume waits behind the end of a stubborn helper")?;
    quit(stage).await?;
    step.done("quit: no thread, no helper, no process")
}

/// Cuts the link when some of the answer is shown, and waits until the client has noticed.
async fn cut_in(stage: &mut Stage, prompt: &str) -> Result<()> {
    stage.shows(prompt, 5).await?;
    stage.proxy.set(Flow::Cut);
    let noticed = |screen: &str| screen.contains(DISCONNECTED).then_some(());
    stage.tui.until("the loss to be noticed", BOUND, noticed).await
}

/// The link is cut in the middle of the answer, and comes back when the turn is over.
async fn over_in_between(stage: &mut Stage) -> Result<()> {
    let prompt = stage.ask("::stream 30 10 20").await?;
    cut_in(stage, &prompt).await?;
    stage.until_said(30).await?;
    stage.proxy.set(Flow::Open);
    stage.answered(&prompt, 30).await
}

/// The link is cut in the middle of the answer and comes back long before the turn is over: what is shown of the answer
/// is whole from then on.
async fn still_running(stage: &mut Stage) -> Result<()> {
    let prompt = stage.ask("::stream 120 10 20").await?;
    cut_in(stage, &prompt).await?;
    stage.until_said(20).await?;
    stage.proxy.set(Flow::Open);
    let part = |screen: &str| {
        let numbers = numbers(answer_to(screen, &prompt)?);
        numbers.last().is_some_and(|last| *last > 30).then_some(numbers)
    };
    let before_its_end = stage.tui.until("more of the answer", BOUND, part).await?;
    let whole = before_its_end.iter().copied().eq(0..before_its_end.len());
    ensure!(whole, "what is shown before the turn's end is not whole: {before_its_end:?}");
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

/// The user allows a call, then does not want another one.
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

async fn unload_of_another(stage: &mut Stage) -> Result<()> {
    let other = stage.beside.start_said_thread("words").await?;
    stage.beside.unload(other, false).await?;
    stage.beside.thread_closed(other).await?;
    let prompt = stage.ask("::stream 7 10").await?;
    stage.answered(&prompt, 7).await
}

/// The link is cut while nothing runs: the thread is unloaded, its helper does not want to end, and the client is back
/// before it has.
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
    stage.home.until_zero(PATIENCE).await?;
    wait_until("no connection", BOUND, || (stage.proxy.alive() == 0).then_some(())).await
}

impl Stage {
    /// Types a prompt, another one each time, and sends it.
    async fn ask(&self, text: &str) -> Result<String> {
        self.tui.type_text(text).await?;
        self.tui.until("the prompt", BOUND, |screen| screen.contains(text).then_some(())).await?;
        // A question stands where the input was, and would take another Enter for its answer.
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

    /// The answer is done, and is the numbers below `count`, each once and in order.
    async fn answered(&self, prompt: &str, count: usize) -> Result<()> {
        self.until_done(prompt).await?;
        let screen = self.tui.screen().await?;
        let answer = answer_to(&screen, prompt).unwrap_or_default();
        let numbers = numbers(answer);
        ensure!(
            numbers.iter().copied().eq(0..count),
            "0 to {} is not what is shown:\n{}",
            count - 1,
            shown(answer)
        );
        Ok(())
    }

    /// The thread that the client shows.
    async fn thread(&mut self) -> Result<ThreadId> {
        let list = self.beside.call::<ThreadLoadedList>(ThreadLoadedListParams::default()).await?;
        let mut threads = list.skein.context("no details")?.threads.into_iter();
        let thread = threads.find(|thread| !thread.ephemeral && thread.subscribers > 0);
        Ok(thread.context("the client has no thread")?.thread_id)
    }

    /// Waits until the server has said so many numbers in the newest message.
    async fn until_said(&mut self, count: usize) -> Result<()> {
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
            ensure!(began.elapsed() < BOUND, "{count} numbers are not said within {BOUND:?}");
        }
    }
}

/// What stands below a prompt, up to the next one or the field for input.
fn answer_to<'a>(screen: &'a str, prompt: &str) -> Option<&'a str> {
    let mark = format!("› {prompt}");
    let from = screen.rfind(&mark)? + mark.len();
    let rest = screen.get(from..)?;
    Some(rest.find("\n› ").and_then(|end| rest.get(..end)).unwrap_or(rest))
}

/// The numbers of the echo's stream: digits with dots behind them, however lines were broken.
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
    fn numbers_are_found_however_their_line_was_broken() {
        let screen = "\u{203a} ::stream 3 10\n\u{2022} 0 ........1 ...\n  .....2 ......\n  Worked for 5s\n\u{203a} next";
        let answer = answer_to(screen, "::stream 3 10").unwrap();
        assert_eq!(numbers(answer), [0, 1, 2]);
        assert!(answer.contains(DONE) && !answer.contains("next"));
        assert_eq!(numbers(&format!("{answer}{answer}")).len(), 6, "what is shown twice is seen twice");
    }
}
