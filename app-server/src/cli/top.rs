//! `skein top`: the threads of a running server, their helpers and memory, as they change.

mod figures;
mod screen;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use tokio::time::{MissedTickBehavior, interval};

use super::Where;
use super::client::CliClient;
use figures::Source;
use screen::{KeyEffect, Screen};

#[derive(Debug, Args)]
pub(super) struct Top {
    #[command(flatten)]
    target: Where,
    /// The seconds between two looks at the server.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

impl Top {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            bail!(
                "skein top needs a terminal; skein status --json and skein helpers --json have the same figures"
            );
        }
        let mut source = Source::over(CliClient::open(&self.target, false).await?);
        let first = source.look().await?;
        // Restores the terminal also after a panic.
        let mut terminal = ratatui::try_init().context("the terminal")?;
        let done =
            watch(&mut terminal, &mut source, Screen::of(first), Duration::from_secs(self.every)).await;
        ratatui::restore();
        source.close().await;
        done
    }
}

/// Draws until the user quits.
async fn watch(
    terminal: &mut DefaultTerminal,
    source: &mut Source,
    mut screen: Screen,
    every: Duration,
) -> anyhow::Result<()> {
    let mut keys = EventStream::new();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        terminal.draw(|frame| screen.draw(frame)).context("the terminal")?;
        tokio::select! {
            _ = ticks.tick() => screen.take(source.look().await?),
            event = keys.next() => {
                let Some(event) = event.transpose().context("the terminal")? else { return Ok(()) };
                let Event::Key(key) = event else { continue };
                if key.kind != KeyEventKind::Press {
                    continue;
                }
                match screen.press(key.code, key.modifiers) {
                    KeyEffect::Stay => {}
                    KeyEffect::Quit => return Ok(()),
                    KeyEffect::Unload { thread, force } => {
                        screen.say(source.unload(thread, force).await?);
                        screen.take(source.look().await?);
                    }
                }
            }
        }
    }
}
