//! UserLines that the user types, and Ctrl-C.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};

use anyhow::Context;
use skein_base::tasks;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// UserLines waiting for their reader; the terminal holds the others.
const WAITING_LINES: usize = 16;

/// UserLines of the user, from standard input or the terminal.
#[derive(Debug)]
pub(in crate::cli) enum UserLines {
    /// The terminal of the process, opened for the first question.
    Terminal(Option<mpsc::Receiver<String>>),
    /// Standard input.
    Stdin(mpsc::Receiver<String>),
    /// Nobody.
    None,
}

impl UserLines {
    /// The terminal, for questions beside a prompt that comes from elsewhere.
    pub(in crate::cli) fn of_terminal() -> Self {
        if io::stderr().is_terminal() { Self::Terminal(None) } else { Self::None }
    }

    /// Standard input.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(in crate::cli) fn of_stdin() -> anyhow::Result<Self> {
        read_in_background(io::stdin()).map(Self::Stdin)
    }

    /// Opens the terminal; returns whether anybody can answer.
    pub(super) fn open(&mut self) -> bool {
        match self {
            Self::Stdin(_) | Self::Terminal(Some(_)) => true,
            Self::None => false,
            Self::Terminal(lines) => {
                let opened =
                    File::open("/dev/tty").ok().and_then(|terminal| read_in_background(terminal).ok());
                *lines = opened;
                lines.is_some()
            }
        }
    }

    /// The next line; `None` at the end.
    pub(in crate::cli) async fn next(&mut self) -> Option<String> {
        match self {
            Self::Terminal(Some(lines)) | Self::Stdin(lines) => lines.recv().await,
            Self::Terminal(None) | Self::None => None,
        }
    }
}

/// Reads lines in a thread, as nothing can interrupt a read of a terminal.
fn read_in_background(from: impl io::Read + Send + 'static) -> anyhow::Result<mpsc::Receiver<String>> {
    let (lines, received) = mpsc::channel(WAITING_LINES);
    let read = move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            if lines.blocking_send(text).is_err() {
                return;
            }
        }
    };
    tasks::thread("skein-input", read).context("standard input")?;
    Ok(received)
}

/// Ctrl-C, and the other requests to end.
#[derive(Debug)]
pub(in crate::cli) struct Interrupts {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Interrupts {
    /// Handles the signals from here on.
    ///
    /// # Errors
    /// The system refuses it.
    pub(in crate::cli) fn new() -> anyhow::Result<Self> {
        let handle = |kind| signal(kind).context("signals");
        Ok(Self {
            int: handle(SignalKind::interrupt())?,
            term: handle(SignalKind::terminate())?,
            hup: handle(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(in crate::cli) async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = self.hup.recv() => {}
        }
    }
}
