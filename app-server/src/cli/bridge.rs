//! Carries lines between standard streams and one server after another, a message a line. If one side does not take
//! its messages, nothing more is read for it. The [`BridgeSession`] decides what the client learns when its server changes.

mod lines;
mod session;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::time::Duration;
use std::{fmt, io};

use anyhow::Context;
use bytes::BytesMut;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use lines::{InputLine, LineSplitter};
use memchr::memmem;
use session::{BridgeSession, RequestKind, StartSettings};
use skein_app_server::policy;
use skein_base::clock::{Clock, until};
use skein_config::{ClientSettings, Flags, ServerConfig};
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::extension::{SkeinConnectionLeaveParams, SkeinConnectionLeaveResponse};
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{SkeinConnectionLeave, ThreadStart};
use skein_protocol::table::Method;
use tokio::io::{AsyncWriteExt, Stdin, Stdout};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_util::codec::FramedRead;

use super::client::MessageStream;
pub(super) use session::ServerOwner;

/// The id of the bridge's own request. Clients cannot guess it, so none uses it.
const LEAVE: &str = "skein-bridge-leave";

/// The reason why a bridge ended.
#[derive(Debug)]
pub(super) enum BridgeEnd {
    /// The input or output is closed; the server, if any, knows.
    Input,
    /// A signal arrived; the server, if any, knows.
    Signal,
    /// The link to the server is lost, for this reason.
    Server(Reason),
}

/// The reason in a server's close frame; empty if it just ended.
#[derive(Debug, Default)]
pub(super) struct Reason {
    text: Option<String>,
    ours: bool,
}

impl Reason {
    /// Whether a message of the client is the cause: another server would give the same answer.
    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.as_ref().map_or(Ok(()), |text| write!(f, ": {text}"))
    }
}

/// The standard streams and the session.
pub(super) struct Bridge {
    lines: FramedRead<Stdin, LineSplitter>,
    printer: Printer,
    shared: BridgeLink,
    /// Whether the log names the settings without effect.
    warned: bool,
}

/// The output to the client. Cancelling a wait neither loses nor cuts a message.
struct Printer {
    out: Stdout,
    waits: BytesMut,
}

impl Printer {
    /// Takes the session's messages for the client.
    fn take(&mut self, shared: &BridgeLink) {
        let mut session = shared.session.borrow_mut();
        while let Some(text) = session.next_to_client() {
            self.waits.extend_from_slice(text.as_bytes());
            self.waits.extend_from_slice(b"\n");
        }
    }

    async fn print(&mut self, shared: &BridgeLink) -> io::Result<()> {
        self.take(shared);
        while !self.waits.is_empty() {
            self.out.write_buf(&mut self.waits).await?;
        }
        if self.waits.capacity() > 2 * policy::BRIDGE_BATCH {
            // Frees the memory of a large answer.
            self.waits = BytesMut::new();
        }
        self.out.flush().await
    }
}

/// The state that both directions of a link share.
struct BridgeLink {
    session: RefCell<BridgeSession>,
    for_server: Notify,
    for_client: Notify,
    /// When to ask the server again.
    again_at: Cell<Option<Instant>>,
    /// The client's command line.
    flags: Flags,
}

impl BridgeLink {
    /// Runs `does` on the session, and wakes the directions that have something to send.
    fn with(&self, does: impl FnOnce(&mut BridgeSession)) {
        does(&mut self.session.borrow_mut());
        self.for_server.notify_one();
        self.for_client.notify_one();
    }

    /// Takes a line of the client. A new thread starts with the current settings file.
    fn client_says(&self, line: Utf8Bytes) {
        let settings = settings_for(&line, &self.flags);
        self.with(|session| {
            if let Some(settings) = settings {
                session.start_says(settings);
            }
            session.client_says(line);
        });
    }

    fn next_to_server(&self) -> Option<Utf8Bytes> {
        self.session.borrow_mut().next_to_server()
    }
}

/// The settings of the current file, if this is a request to start a thread.
fn settings_for(line: &str, flags: &Flags) -> Option<ClientSettings> {
    memmem::find(line.as_bytes(), ThreadStart::INFO.wire.as_bytes())?;
    // A file with errors changes nothing, as with a reload of the server.
    let config = ServerConfig::load(flags).ok()?;
    Some(ClientSettings::of(&config, &flags.settings))
}

/// The settings of a start that requests to the server of another process carry.
pub(super) struct CarriedSettings {
    own: StartSettings,
    flags: Flags,
}

impl CarriedSettings {
    /// Those of these flags, from which `config` was read.
    pub(super) fn of(flags: Flags, config: &ServerConfig) -> Self {
        let mut own = StartSettings::new(ClientSettings::of(config, &flags.settings));
        own.linked(ServerOwner::Theirs);
        Self { own, flags }
    }

    /// Whether there is something to carry.
    pub(super) fn are_about_threads(&self) -> bool {
        self.own.settings.of_threads
    }

    /// The same request with the settings; `None` if it takes none.
    pub(super) fn carried_by(&mut self, text: &str) -> Option<String> {
        if let Some(settings) = settings_for(text, &self.flags) {
            self.own.settings = settings;
        }
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(text) else { return None };
        self.own.carried_by(&RequestKind::of(&method, params), &id, &method, params)
    }

    /// The settings without effect.
    pub(super) fn no_effect(&self) -> Option<String> {
        self.own.no_effect()
    }
}

impl Bridge {
    /// A bridge for a client that was started with these flags, from which `config` was read.
    pub(super) fn new(flags: Flags, config: &ServerConfig) -> Self {
        let longest = config.limits.message_bytes;
        let settings = ClientSettings::of(config, &flags.settings);
        let lines = FramedRead::new(tokio::io::stdin(), LineSplitter::new(longest));
        let printer = Printer { out: tokio::io::stdout(), waits: BytesMut::new() };
        let session = RefCell::new(BridgeSession::new(Clock.new_id().to_string(), settings));
        Self {
            lines,
            printer,
            shared: BridgeLink {
                session,
                for_server: Notify::new(),
                for_client: Notify::new(),
                again_at: Cell::default(),
                flags,
            },
            warned: false,
        }
    }

    /// Carries messages until the link to the server is lost, the input ends, or `stopped`.
    pub(super) async fn carry(
        &mut self,
        link: Box<dyn MessageStream>,
        server: ServerOwner,
        stopped: impl Future<Output = ()>,
    ) -> anyhow::Result<BridgeEnd> {
        let Self { lines, printer, shared, warned } = self;
        let (mut to_server, mut from_server) = link.split();
        shared.with(|session| session.linked(server));
        if let Some(warning) = shared.session.borrow().no_effect()
            && !std::mem::replace(warned, true)
        {
            tracing::warn!("{warning}");
        }
        let (ended, unreadable) = tokio::select! {
            input = pass_on(lines, &mut to_server, shared) => (BridgeEnd::Input, input.err()),
            output = show(&mut from_server, printer, shared) => (output, None),
            () = stopped => (BridgeEnd::Signal, None),
        };
        match ended {
            BridgeEnd::Input | BridgeEnd::Signal => {
                // Bounded, whatever server and client do.
                let leave = leave(&mut to_server, &mut from_server, printer, shared);
                let bound = policy::LEAVE_LIMIT + policy::LEAVE_MARGIN;
                if tokio::time::timeout(bound, leave).await.is_err() {
                    tracing::warn!(
                        "not everything that this client waits for has come in time; it is given up"
                    );
                }
            }
            BridgeEnd::Server(_) => shared.with(BridgeSession::lost),
        }
        unreadable.map_or(Ok(ended), Err)
    }

    /// Waits for a link, and watches whether the client is still there.
    pub(super) async fn meanwhile<T>(
        &mut self,
        found: impl Future<Output = T>,
        stopped: impl Future<Output = ()>,
    ) -> anyhow::Result<Result<T, BridgeEnd>> {
        let Self { lines, printer, shared, warned: _ } = self;
        let next_message = async {
            if printer.print(shared).await.is_err() {
                return Ok(());
            }
            while let Some(line) = next_line(lines, shared).await? {
                shared.client_says(line);
            }
            if shared.session.borrow().waiting_bytes() > 0 {
                // A client that closed its output may still wait for an answer.
                tokio::time::sleep(policy::LEAVE_LIMIT).await;
            }
            Ok(())
        };
        tokio::select! {
            found = found => Ok(Ok(found)),
            last_message = next_message => last_message.map(|()| Err(BridgeEnd::Input)),
            () = stopped => Ok(Err(BridgeEnd::Signal)),
        }
    }

    /// Answers everything that the client waits for with an error.
    pub(super) async fn give_up(&mut self, why: &anyhow::Error) {
        self.shared.with(|session| session.give_up(&format!("{why:#}")));
        // A client that does not read finds the reason on stderr.
        tokio::time::timeout(policy::LEAVE_MARGIN, self.printer.print(&self.shared)).await.ok();
    }
}

/// The next line that is not blank, once there is room for it; `None` at the end of the input.
async fn next_line(
    lines: &mut FramedRead<Stdin, LineSplitter>,
    shared: &BridgeLink,
) -> anyhow::Result<Option<Utf8Bytes>> {
    let longest = lines.decoder().longest();
    loop {
        if shared.session.borrow().waiting_bytes() > longest {
            // The lines go with the next link.
            std::future::pending::<()>().await;
        }
        match lines.next().await.transpose().context("standard input")? {
            Some(InputLine::Text(line)) => return Ok(Some(line)),
            Some(InputLine::Bad(why)) => shared.with(|session| session.unreadable(why)),
            None => return Ok(None),
        }
    }
}

/// Sends the session's messages to the server, until the client's last line is sent.
async fn pass_on(
    lines: &mut FramedRead<Stdin, LineSplitter>,
    to_server: &mut SplitSink<Box<dyn MessageStream>, Message>,
    shared: &BridgeLink,
) -> anyhow::Result<()> {
    loop {
        while let Some(text) = shared.next_to_server() {
            if to_server.send(Message::Text(text)).await.is_err() {
                // The reading side learns the reason of a broken connection. Until then only the end of the input
                // counts.
                shared.with(BridgeSession::undeliverable);
                while let Some(line) = next_line(lines, shared).await? {
                    shared.client_says(line);
                }
                // Another server may still answer, unless the client takes nothing.
                tokio::time::sleep(policy::LEAVE_MARGIN).await;
                return Ok(());
            }
        }
        tokio::select! {
            biased;
            () = shared.for_server.notified() => {}
            () = again(shared) => shared.with(BridgeSession::resume_again),
            line = next_line(lines, shared) => match line? {
                Some(line) => shared.client_says(line),
                None => return Ok(()),
            },
        }
    }
}

/// Waits until the server is to be asked again after a lack of room.
async fn again(shared: &BridgeLink) {
    let wait = shared.session.borrow().again_in();
    let at = wait.map(|wait| shared.again_at.get().unwrap_or_else(|| Clock.now() + wait));
    shared.again_at.set(at);
    until(at).await;
    shared.again_at.set(None);
}

/// Prints each message, until the server closes or the client does not read. Available messages are printed together.
async fn show(
    from_server: &mut SplitStream<Box<dyn MessageStream>>,
    printer: &mut Printer,
    shared: &BridgeLink,
) -> BridgeEnd {
    let (mut last_message, mut is_silent) = (Clock.now(), false);
    loop {
        let at_once = from_server.next().now_or_never();
        let message = match at_once {
            Some(message) => message,
            None => {
                if printer.print(shared).await.is_err() {
                    return BridgeEnd::Input;
                }
                tokio::select! {
                    biased;
                    () = shared.for_client.notified() => continue,
                    message = from_server.next() => message,
                    silence = silent(last_message, shared), if !is_silent => {
                        is_silent = true;
                        shared.session.borrow_mut().falls_silent(silence, Clock.wall().0);
                        continue;
                    }
                }
            }
        };
        last_message = Clock.now();
        if std::mem::take(&mut is_silent) {
            shared.session.borrow_mut().speaks_again(Clock.wall().0);
        }
        if let Some(reason) = take(message, shared) {
            return BridgeEnd::Server(reason);
        }
        printer.take(shared);
        if printer.waits.len() > policy::BRIDGE_BATCH && printer.print(shared).await.is_err() {
            return BridgeEnd::Input;
        }
    }
}

/// Waits until the server has been silent for too long.
async fn silent(last_message: Instant, shared: &BridgeLink) -> Duration {
    let Some(silence) = shared.session.borrow().silence() else { return std::future::pending().await };
    tokio::time::sleep_until(last_message + silence).await;
    silence
}

/// A message of a link; `None` at its end.
type LinkMessage = Option<Result<Message, tungstenite::Error>>;

/// Takes a message of the link; returns the reason if the link is lost.
fn take(message: LinkMessage, shared: &BridgeLink) -> Option<Reason> {
    match message {
        Some(Ok(Message::Text(text))) => {
            shared.session.borrow_mut().server_says(text, Clock.wall().0);
            shared.for_server.notify_one();
            None
        }
        Some(Ok(Message::Close(frame))) => {
            let ours = |code| {
                matches!(
                    code,
                    CloseCode::Protocol | CloseCode::Unsupported | CloseCode::Invalid | CloseCode::Size
                )
            };
            Some(frame.map_or_else(Reason::default, |frame| Reason {
                ours: ours(frame.code),
                text: Some(frame.reason.to_string()),
            }))
        }
        Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
        Some(Err(error)) => Some(Reason { text: Some(error.to_string()), ours: false }),
        None => Some(Reason::default()),
    }
}

/// Tells the server that the user is gone. Waits for the end of the client's own threads and for the answers to
/// earlier requests.
async fn leave(
    to_server: &mut SplitSink<Box<dyn MessageStream>, Message>,
    from_server: &mut SplitStream<Box<dyn MessageStream>>,
    printer: &mut Printer,
    shared: &BridgeLink,
) {
    let mut goodbye = Some(envelope::request::<SkeinConnectionLeave>(
        &RequestId::String(LEAVE.to_owned()),
        &SkeinConnectionLeaveParams {},
    ));
    let (mut left, mut read) = (false, true);
    // A server that takes its time with resumes is not waited for; it releases the threads anyway.
    let mut patience = std::pin::pin!(tokio::time::sleep(policy::LEAVE_PATIENCE));
    let mut hurry = false;
    while !left || read && shared.session.borrow().waits() {
        let may = shared.session.borrow_mut().can_leave(hurry);
        let said = goodbye.take_if(|_| may);
        let asked = std::iter::from_fn(|| shared.next_to_server());
        for text in asked.chain(said.map(Utf8Bytes::from)) {
            if to_server.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
        let last_message = next_message(from_server, shared, patience.as_mut(), &mut hurry).await;
        let Some(message) = last_message else { continue };
        if let Some(Ok(Message::Text(text))) = &message
            && let Some(loaded) = left_behind(text)
        {
            if loaded > 0 {
                tracing::warn!(
                    loaded,
                    "threads that only this client had take longer to end, or somebody else has come to them"
                );
            }
            left = true;
        } else if take(message, shared).is_some() {
            break;
        }
        // A reader may still be there.
        read &= printer.print(shared).await.is_ok();
    }
    // The server knows everything; a closed link is fine.
    to_server.close().await.ok();
}

/// The next message of the server. `None`: the session has something to send, or the patience is over.
async fn next_message(
    from_server: &mut SplitStream<Box<dyn MessageStream>>,
    shared: &BridgeLink,
    patience: Pin<&mut Sleep>,
    hurry: &mut bool,
) -> Option<LinkMessage> {
    tokio::select! {
        biased;
        message = from_server.next() => return Some(message),
        () = again(shared) => shared.with(BridgeSession::resume_again),
        () = patience, if !*hurry => *hurry = true,
    }
    None
}

/// The number of the client's own threads that still run, if this is the answer to its leave. A client that was not
/// initialised has none.
fn left_behind(text: &str) -> Option<u64> {
    let ours = |id: &RequestId| matches!(id, RequestId::String(id) if id == LEAVE);
    match envelope::parse(text) {
        Ok(Incoming::Response { id, result }) if ours(&id) => {
            let left = serde_json::from_str::<SkeinConnectionLeaveResponse>(result.get());
            Some(left.map_or(0, |left| left.loaded))
        }
        Ok(Incoming::Error { id, .. }) if ours(&id) => Some(0),
        Ok(_) | Err(_) => None,
    }
}
