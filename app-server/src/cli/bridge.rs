//! Between standard streams and one server after another: a line is a message, in both directions. A side that does not take its
//! messages is not read from either. What a client has to be told when its server changes the [`Session`] knows; here it is only
//! carried.

mod lines;
mod session;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::time::Duration;
use std::{fmt, io};

use anyhow::Context;
use bytes::BytesMut;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use lines::{Line, Lines};
use memchr::memmem;
use session::Session;
use skein_app_server::config::{ClientSettings, Config, Flags};
use skein_app_server::policy;
use skein_base::clock::Clock;
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

use super::client::Link;
pub(super) use session::Whose;

/// The id of our own request. No client knows it, so none has it.
const LEAVE: &str = "skein-bridge-leave";

/// Why a bridge has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Nobody speaks, or listens, any more; the server, if there was one, has been told.
    Input,
    /// A signal came; the server, if there was one, has been told.
    Signal,
    /// The link to the server is lost, for this reason.
    Server(Reason),
}

/// What a server says when it closes a connection; nothing when it just ends.
#[derive(Debug, Default)]
pub(super) struct Reason {
    text: Option<String>,
    ours: bool,
}

impl Reason {
    /// Whether it is something that the client has sent: another server would say the same.
    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.as_ref().map_or(Ok(()), |text| write!(f, ": {text}"))
    }
}

/// The standard streams, and what was said on them.
pub(super) struct Bridge {
    lines: FramedRead<Stdin, Lines>,
    printer: Printer,
    shared: Shared,
    /// Whether the log says which settings have no effect.
    warned: bool,
}

/// The client's end of what is said. No message is lost or cut where a wait for it is given up.
struct Printer {
    out: Stdout,
    waits: BytesMut,
}

impl Printer {
    /// Takes what there is for the client.
    fn take(&mut self, shared: &Shared) {
        let mut session = shared.session.borrow_mut();
        while let Some(text) = session.next_to_client() {
            self.waits.extend_from_slice(text.as_bytes());
            self.waits.extend_from_slice(b"\n");
        }
    }

    /// Prints everything.
    async fn print(&mut self, shared: &Shared) -> io::Result<()> {
        self.take(shared);
        while !self.waits.is_empty() {
            self.out.write_buf(&mut self.waits).await?;
        }
        if self.waits.capacity() > 2 * policy::BRIDGE_BATCH {
            // What one large answer took is not kept.
            self.waits = BytesMut::new();
        }
        self.out.flush().await
    }
}

/// The state that both directions of a link share.
struct Shared {
    session: RefCell<Session>,
    for_server: Notify,
    for_client: Notify,
    /// When the server is to be asked again.
    again_at: Cell<Option<Instant>>,
    /// The client's command line.
    flags: Flags,
}

impl Shared {
    /// Shows a message to the session, and wakes whom it has something for.
    fn with(&self, does: impl FnOnce(&mut Session)) {
        does(&mut self.session.borrow_mut());
        self.for_server.notify_one();
        self.for_client.notify_one();
    }

    /// Takes a line of the client. A thread starts with the settings that the file has then.
    fn client_says(&self, line: Utf8Bytes) {
        let starts = memmem::find(line.as_bytes(), ThreadStart::INFO.wire.as_bytes()).is_some();
        // A file with mistakes changes nothing, as at a reload of the server.
        let settings = starts.then(|| Config::load(&self.flags).ok()).flatten();
        let settings = settings.map(|config| ClientSettings::of(&config, &self.flags.settings));
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

impl Bridge {
    /// A bridge for a client that was started with these flags, from which `config` was read.
    pub(super) fn new(flags: Flags, config: &Config) -> Self {
        let longest = config.limits.message_bytes;
        let settings = ClientSettings::of(config, &flags.settings);
        let lines = FramedRead::new(tokio::io::stdin(), Lines::new(longest));
        let printer = Printer { out: tokio::io::stdout(), waits: BytesMut::new() };
        let session = RefCell::new(Session::new(Clock.new_id().to_string(), settings));
        Self {
            lines,
            printer,
            shared: Shared {
                session,
                for_server: Notify::new(),
                for_client: Notify::new(),
                again_at: Cell::default(),
                flags,
            },
            warned: false,
        }
    }

    /// Carries messages until the link to the server is lost, or until the input's end, or until `stopped`.
    pub(super) async fn carry(
        &mut self,
        link: Box<dyn Link>,
        server: Whose,
        stopped: impl Future<Output = ()>,
    ) -> anyhow::Result<Ended> {
        let Self { lines, printer, shared, warned } = self;
        let (mut to_server, mut from_server) = link.split();
        shared.with(|session| session.linked(server));
        if let Some(warning) = shared.session.borrow().no_effect()
            && !std::mem::replace(warned, true)
        {
            tracing::warn!("{warning}");
        }
        let (ended, unreadable) = tokio::select! {
            input = pass_on(lines, &mut to_server, shared) => (Ended::Input, input.err()),
            output = show(&mut from_server, printer, shared) => (output, None),
            () = stopped => (Ended::Signal, None),
        };
        match ended {
            Ended::Input | Ended::Signal => {
                // Bounded, whatever server and client do. What is left is the server's business then.
                let leave = leave(&mut to_server, &mut from_server, printer, shared);
                let bound = policy::LEAVE_LIMIT + policy::LEAVE_MARGIN;
                if tokio::time::timeout(bound, leave).await.is_err() {
                    tracing::warn!(
                        "not everything that this client waits for has come in time; it is given up"
                    );
                }
            }
            Ended::Server(_) => shared.with(Session::lost),
        }
        unreadable.map_or(Ok(ended), Err)
    }

    /// Waits for a link, and hears meanwhile whether the client is still there.
    pub(super) async fn meanwhile<T>(
        &mut self,
        found: impl Future<Output = T>,
        stopped: impl Future<Output = ()>,
    ) -> anyhow::Result<Result<T, Ended>> {
        let Self { lines, printer, shared, warned: _ } = self;
        let hear = async {
            if printer.print(shared).await.is_err() {
                return Ok(());
            }
            while let Some(line) = next_line(lines, shared).await? {
                shared.client_says(line);
            }
            if shared.session.borrow().waiting_bytes() > 0 {
                // Who has said something and closed its end still waits for the answer.
                tokio::time::sleep(policy::LEAVE_LIMIT).await;
            }
            Ok(())
        };
        tokio::select! {
            found = found => Ok(Ok(found)),
            heard = hear => heard.map(|()| Err(Ended::Input)),
            () = stopped => Ok(Err(Ended::Signal)),
        }
    }

    /// Tells the client that nobody will answer what it waits for.
    pub(super) async fn give_up(&mut self, why: &anyhow::Error) {
        self.shared.with(|session| session.give_up(&format!("{why:#}")));
        // A client that does not read hears it on stderr.
        tokio::time::timeout(policy::LEAVE_MARGIN, self.printer.print(&self.shared)).await.ok();
    }
}

/// The next line with something in it, when there is room for it; none at the end of the input.
async fn next_line(
    lines: &mut FramedRead<Stdin, Lines>,
    shared: &Shared,
) -> anyhow::Result<Option<Utf8Bytes>> {
    let longest = lines.decoder().longest();
    loop {
        if shared.session.borrow().waiting_bytes() > longest {
            // They go with the next link.
            std::future::pending::<()>().await;
        }
        match lines.next().await.transpose().context("standard input")? {
            Some(Line::Text(line)) => return Ok(Some(line)),
            Some(Line::Bad(why)) => shared.with(|session| session.unreadable(why)),
            None => return Ok(None),
        }
    }
}

/// Sends what there is for the server, until the last line of the client was.
async fn pass_on(
    lines: &mut FramedRead<Stdin, Lines>,
    to_server: &mut SplitSink<Box<dyn Link>, Message>,
    shared: &Shared,
) -> anyhow::Result<()> {
    loop {
        while let Some(text) = shared.next_to_server() {
            if to_server.send(Message::Text(text)).await.is_err() {
                // Why the connection broke is told to who reads it. Until then only the end of the input counts.
                shared.with(Session::unheard);
                while let Some(line) = next_line(lines, shared).await? {
                    shared.client_says(line);
                }
                // Another server may still answer, unless who reads is stuck behind a client that takes nothing.
                tokio::time::sleep(policy::LEAVE_MARGIN).await;
                return Ok(());
            }
        }
        tokio::select! {
            biased;
            () = shared.for_server.notified() => {}
            () = again(shared) => shared.with(Session::resume_again),
            line = next_line(lines, shared) => match line? {
                Some(line) => shared.client_says(line),
                None => return Ok(()),
            },
        }
    }
}

/// Until the server is to be asked again for what it had no room for.
async fn again(shared: &Shared) {
    let wait = shared.session.borrow().again_in();
    let at = wait.map(|wait| shared.again_at.get().unwrap_or_else(|| Clock.now() + wait));
    shared.again_at.set(at);
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
    shared.again_at.set(None);
}

/// Prints each message, until the server closes or nobody reads. What is there at once is printed at once.
async fn show(from_server: &mut SplitStream<Box<dyn Link>>, printer: &mut Printer, shared: &Shared) -> Ended {
    let (mut heard, mut is_silent) = (Clock.now(), false);
    loop {
        let at_once = from_server.next().now_or_never();
        let message = match at_once {
            Some(message) => message,
            None => {
                if printer.print(shared).await.is_err() {
                    return Ended::Input;
                }
                tokio::select! {
                    biased;
                    () = shared.for_client.notified() => continue,
                    message = from_server.next() => message,
                    silence = silent(heard, shared), if !is_silent => {
                        is_silent = true;
                        shared.session.borrow_mut().falls_silent(silence, Clock.wall().0);
                        continue;
                    }
                }
            }
        };
        heard = Clock.now();
        if std::mem::take(&mut is_silent) {
            shared.session.borrow_mut().speaks_again(Clock.wall().0);
        }
        if let Some(reason) = take(message, shared) {
            return Ended::Server(reason);
        }
        printer.take(shared);
        if printer.waits.len() > policy::BRIDGE_BATCH && printer.print(shared).await.is_err() {
            return Ended::Input;
        }
    }
}

/// Until the server has said nothing for too long since then; how long that is.
async fn silent(heard: Instant, shared: &Shared) -> Duration {
    let Some(silence) = shared.session.borrow().silence() else { return std::future::pending().await };
    tokio::time::sleep_until(heard + silence).await;
    silence
}

/// What comes on a link; none when it is over.
type Heard = Option<Result<Message, tungstenite::Error>>;

/// Takes what came on the link; the reason when it is lost.
fn take(message: Heard, shared: &Shared) -> Option<Reason> {
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

/// Tells the server that the user is gone, and waits until what only this user had has ended, and until what was asked before is
/// answered.
async fn leave(
    to_server: &mut SplitSink<Box<dyn Link>, Message>,
    from_server: &mut SplitStream<Box<dyn Link>>,
    printer: &mut Printer,
    shared: &Shared,
) {
    let mut goodbye = Some(envelope::request::<SkeinConnectionLeave>(
        &RequestId::String(LEAVE.to_owned()),
        &SkeinConnectionLeaveParams {},
    ));
    let (mut left, mut read) = (false, true);
    // A server that takes its time with what the client came back to is not waited for: whatever it has, it then lets go.
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
        let heard = hear(from_server, shared, patience.as_mut(), &mut hurry).await;
        let Some(message) = heard else { continue };
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
        // Somebody may still listen.
        read &= printer.print(shared).await.is_ok();
    }
    // It has been told all; that it is gone already is fine.
    to_server.close().await.ok();
}

/// What the server says next. None: there is something to say to it first, maybe because the time for patience is over.
async fn hear(
    from_server: &mut SplitStream<Box<dyn Link>>,
    shared: &Shared,
    patience: Pin<&mut Sleep>,
    hurry: &mut bool,
) -> Option<Heard> {
    tokio::select! {
        biased;
        message = from_server.next() => return Some(message),
        () = again(shared) => shared.with(Session::resume_again),
        () = patience, if !*hurry => *hurry = true,
    }
    None
}

/// How many threads still run that only this client had, where it is the answer to that it leaves. Who was not even initialised had
/// none.
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
