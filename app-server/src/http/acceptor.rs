//! Accepts sockets and watches their traffic. Until the websocket handshake, a socket has limited slots, time and
//! bytes, so that silent ones hold nothing for long.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use skein_base::clock::Clock;
use skein_base::system::peers::UnixPeer;
use skein_config::access::Door;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use self::linger::{LeftStream, LingeringClose};
use self::per_address::{AddressFull, AddressPlace, PendingByAddress};
use self::syntax::SyntaxAnswers;
use super::tls::ServedCertificate;
use crate::connection::heartbeat::ClientLiveness;
use crate::policy;

mod linger;
mod per_address;
mod syntax;
#[cfg(test)]
mod tests;

pub(crate) use self::linger::{ByteStream, note_request};

/// A source of sockets.
pub(crate) trait Accept: Send + 'static {
    /// A socket.
    type Stream: ByteStream;

    /// The next socket, ready for use, and its other end. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

/// The other end of a socket.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// A process of the server's user, at a unix socket.
    Unix(Arc<UnixPeer>),
    /// A TCP connection.
    Tcp(TcpPeer),
}

/// The other end of a TCP connection.
#[derive(Debug, Clone)]
pub(crate) struct TcpPeer {
    /// The address of the server's end.
    pub(crate) local: SocketAddr,
    /// The address of the other end.
    pub(crate) peer: SocketAddr,
    /// The door that it came by.
    pub(crate) door: Door,
    /// The certificate that it was shown, where the port speaks TLS.
    pub(crate) certificate: Option<Arc<ServedCertificate>>,
    /// The name of its port in `--listen`, in lower case.
    pub(crate) name: Option<Arc<str>>,
}

impl Peer {
    /// The door that it came by.
    pub(crate) fn door(&self) -> Door {
        match self {
            Self::Unix(_) => Door::Unix,
            Self::Tcp(tcp) => tcp.door,
        }
    }

    /// The certificate that it was shown.
    pub(crate) fn certificate(&self) -> Option<&ServedCertificate> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(tcp) => tcp.certificate.as_deref(),
        }
    }

    /// The name of its port in `--listen`, in lower case.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(tcp) => tcp.name.as_deref(),
        }
    }
}

/// Accepts sockets, up to a number before their handshake and while descriptors are left.
pub(crate) struct Acceptor<A> {
    listener: A,
    places: Arc<Semaphore>,
    pending: Arc<PendingByAddress>,
    has_room: HasRoom,
    /// No more can be accepted; logged once.
    shut: bool,
}

/// Whether enough descriptors are left besides those for files.
pub(crate) type HasRoom = Arc<dyn Fn() -> bool + Send + Sync>;

impl<A> std::fmt::Debug for Acceptor<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("shut", &self.shut).finish_non_exhaustive()
    }
}

/// A connection as the routes see it.
#[derive(Debug, Clone)]
pub(crate) struct Visitor(Arc<Visit>);

#[derive(Debug)]
struct Visit {
    peer: Peer,
    life: Arc<ClientLiveness>,
    /// A whole head of a request has come, at any time.
    asked: AtomicBool,
    /// The whole head of the present request has come, so that what follows is its body.
    in_request: AtomicBool,
    /// The present request has a body, which the client has to send in time.
    has_body: AtomicBool,
    inside: AtomicBool,
    /// The client may still be sending the last request while its answer is written.
    answered_early: AtomicBool,
    /// Its slot before the handshake, free again afterwards or at its end.
    place: Mutex<Option<HandshakePlace>>,
    left: LeftStream,
}

/// A slot before the handshake: one of all, and one of its address.
#[derive(Debug)]
struct HandshakePlace {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_address: Option<AddressPlace>,
}

impl<A> Acceptor<A> {
    /// Accepts from this listener.
    pub(crate) fn new(listener: A, has_room: HasRoom) -> Self {
        Self::with_places(listener, has_room, skein_store::policy::SOCKETS_BEFORE_HANDSHAKE)
    }

    fn with_places(listener: A, has_room: HasRoom, places: usize) -> Self {
        let pending = Arc::default();
        Self { listener, places: Arc::new(Semaphore::new(places)), pending, has_room, shut: false }
    }

    /// Waits before the next try; logs the reason once.
    async fn pause(&mut self, reason: &str) {
        if !self.shut {
            self.shut = true;
            tracing::error!(reason, "no connection can be accepted; it is tried again until one can");
        }
        tokio::time::sleep(policy::ACCEPT_PAUSE).await;
    }
}

impl Visitor {
    fn new(place: HandshakePlace, peer: Peer) -> Self {
        let life = Arc::new(ClientLiveness::new(Clock.now()));
        Self(Arc::new(Visit {
            peer,
            life,
            asked: AtomicBool::new(false),
            in_request: AtomicBool::new(false),
            has_body: AtomicBool::new(false),
            inside: AtomicBool::new(false),
            answered_early: AtomicBool::new(false),
            place: Mutex::new(Some(place)),
            left: LeftStream::default(),
        }))
    }

    /// The handshake is done: from now on only silence ends the connection. Returns the record of its traffic.
    pub(crate) fn come_in(&self) -> Arc<ClientLiveness> {
        self.0.inside.store(true, Ordering::Release);
        self.0.life.sign(Clock.now());
        drop(self.0.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        Arc::clone(&self.0.life)
    }

    /// A head of a request has come, which gets an answer. Whether it is the first one of the connection.
    pub(crate) fn ask(&self) -> bool {
        !self.0.asked.swap(true, Ordering::AcqRel)
    }

    /// Notes whether the client may still be sending the last request while its answer is written.
    fn answer_early(&self, early: bool) {
        self.0.answered_early.store(early, Ordering::Release);
    }

    fn was_answered_early(&self) -> bool {
        self.0.answered_early.load(Ordering::Acquire)
    }

    /// Notes that a whole head was read, and whether a body belongs to it.
    fn begin_request(&self, has_body: bool) {
        self.0.has_body.store(has_body, Ordering::Release);
        self.0.in_request.store(true, Ordering::Release);
    }

    /// Notes that the next bytes begin another request.
    fn end_request(&self) {
        self.0.in_request.store(false, Ordering::Release);
    }

    /// Whether the whole request has come: its answer is the server's business, and no time of the client runs.
    fn waits_for_the_server(&self) -> bool {
        self.0.in_request.load(Ordering::Acquire) && !self.0.has_body.load(Ordering::Acquire)
    }

    /// Whether a head is expected, so that the server may refuse it.
    fn expects_head(&self) -> bool {
        !self.0.in_request.load(Ordering::Acquire) && !self.was_answered_early()
    }

    /// The other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// The door that it came by.
    pub(crate) fn door(&self) -> Door {
        self.0.peer.door()
    }

    fn is_inside(&self) -> bool {
        self.0.inside.load(Ordering::Acquire)
    }
}

impl<A: Accept> Connected<IncomingStream<'_, Acceptor<A>>> for Visitor {
    fn connect_info(stream: IncomingStream<'_, Acceptor<A>>) -> Self {
        stream.remote_addr().clone()
    }
}

impl<A: Accept> Listener for Acceptor<A> {
    type Io = Socket<A::Stream>;
    type Addr = Visitor;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // It is never closed.
        let of_all = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, peer, of_address) = loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => match self.pending.admit(&peer) {
                    Ok(place) => break (stream, peer, place),
                    // Its end frees the descriptor at once; other addresses have their places.
                    Err(AddressFull) => drop(stream),
                },
                Err(error) if is_of_the_visitor(&error) => {}
                Err(error) => {
                    // The check wakes the task that makes room.
                    (self.has_room)();
                    self.pause(&error.to_string()).await;
                }
            }
        };
        while !(self.has_room)() {
            self.pause("few descriptors are left, and files need them").await;
        }
        if std::mem::take(&mut self.shut) {
            tracing::info!("connections are accepted again");
        }
        let visitor = Visitor::new(HandshakePlace { _of_all: of_all, _of_address: of_address }, peer);
        (Socket::new(stream, visitor.clone()), visitor)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a door is not a visitor"))
    }
}

/// Whether only this one connection is lost.
fn is_of_the_visitor(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

/// A socket with observed traffic.
#[derive(Debug)]
pub(crate) struct Socket<S: ByteStream> {
    /// `None` in its drop only.
    stream: Option<S>,
    visitor: Visitor,
    /// The limit before its handshake.
    head: Option<HandshakeLimit>,
    /// The answers to what is no HTTP.
    syntax: SyntaxAnswers,
    /// The last request has an answer: the next bytes begin another one.
    answered: bool,
    /// The peer has not taken the written bytes.
    blocked: bool,
    /// The end of a connection whose request was answered before all of it was read.
    ending: Option<LingeringClose>,
}

#[derive(Debug)]
struct HandshakeLimit {
    end: Pin<Box<Sleep>>,
    /// A look has found the time over.
    is_over: bool,
    left: usize,
}

impl<S: ByteStream> Socket<S> {
    fn new(stream: S, visitor: Visitor) -> Self {
        let end = Box::pin(tokio::time::sleep_until(Clock.now() + policy::HEAD_TIME));
        let head = Some(HandshakeLimit { end, is_over: false, left: policy::HEAD_BYTES });
        let syntax = SyntaxAnswers::default();
        Self { stream: Some(stream), visitor, head, syntax, answered: false, blocked: false, ending: None }
    }

    /// Ends a socket that is too slow with its handshake. Asked while no byte of the client is there, so that a server which did
    /// not run for a while reads before it judges. The first look that finds the time over lets the HTTP library go on once more:
    /// it may just have got the last bytes of a head.
    fn keeps_to_the_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let works = !self.answered && self.visitor.waits_for_the_server();
        let Some(head) = self.head.as_mut().filter(|_| !works) else { return Ok(()) };
        if head.end.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        if std::mem::replace(&mut head.is_over, true) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time"));
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// An answer is being written: the time for the next request begins.
    fn restart_limit(&mut self) {
        self.answered = true;
        if let Some(head) = &mut self.head {
            head.is_over = false;
            head.end.as_mut().reset(Clock.now() + policy::HEAD_TIME);
        }
    }

    /// Ends the connection, and reads away what the client still sends.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ending = self.ending.get_or_insert_with(LingeringClose::begin);
        ready!(ending.poll(open(&mut self.stream)?, cx));
        Poll::Ready(Ok(()))
    }

    /// Reads for the HTTP library. Begins the end of a connection that is above the limit before the handshake.
    fn poll_limited(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.visitor.is_inside() {
            self.head = None;
        }
        let before = buffer.filled().len();
        if open(&mut self.stream)?.poll_read(cx, buffer)?.is_pending() {
            self.keeps_to_the_time(cx)?;
            return Poll::Pending;
        }
        let read = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        if self.head.is_some() && self.answered {
            self.visitor.end_request();
            self.syntax.begin_again();
        }
        self.syntax.has_read(read);
        let bytes = read.len();
        if !self.has_read(bytes) {
            buffer.set_filled(before);
            if self.visitor.expects_head() {
                syntax::too_large(open(&mut self.stream)?, cx);
            }
            self.ending = Some(LingeringClose::begin());
        }
        Poll::Ready(Ok(()))
    }

    /// Counts bytes of the client. Returns whether they are within the limit before the handshake.
    fn has_read(&mut self, bytes: usize) -> bool {
        if bytes > 0 {
            self.visitor.0.life.sign(Clock.now());
        }
        let Some(head) = &mut self.head else { return true };
        // Each request of a connection that stays open has the whole limit.
        if std::mem::take(&mut self.answered) {
            head.left = policy::HEAD_BYTES;
        }
        let left = head.left.checked_sub(bytes);
        head.left = left.unwrap_or_default();
        left.is_some()
    }

    /// The kernel takes writes, so they say nothing about the peer. A write after a full buffer does: the peer has
    /// made room.
    fn has_written<T>(&mut self, written: Poll<T>) -> Poll<T> {
        self.restart_limit();
        match &written {
            Poll::Pending => self.blocked = true,
            Poll::Ready(_) if self.blocked => {
                self.blocked = false;
                self.visitor.0.life.sign_of_taking(Clock.now());
            }
            Poll::Ready(_) => {}
        }
        written
    }
}

impl<S: ByteStream> Drop for Socket<S> {
    /// Leaves the stream of a refused client, which may still be sending, to its visitor.
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take().filter(|_| self.visitor.was_refused()) {
            self.visitor.0.left.put(Box::new(stream));
        }
    }
}

fn open<S: Unpin>(stream: &mut Option<S>) -> io::Result<Pin<&mut S>> {
    stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
}

impl<S: ByteStream> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ending.is_none() {
            ready!(self.poll_limited(cx, buffer))?;
        }
        if self.ending.is_none() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_end(cx))?;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the head is too large")))
    }
}

impl<S: ByteStream> Socket<S> {
    /// Before the handshake: writes our refusal in the place of one of the HTTP library.
    fn poll_instead(
        &mut self,
        cx: &mut Context<'_>,
        answer: (&[u8], usize),
    ) -> Option<Poll<io::Result<usize>>> {
        self.head.as_ref()?;
        match open(&mut self.stream) {
            Ok(stream) => {
                let instead = self.syntax.poll_write(stream, cx, answer)?;
                self.visitor.answer_early(true);
                Some(instead)
            }
            Err(error) => Some(Poll::Ready(Err(error))),
        }
    }
}

impl<S: ByteStream> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(instead) = self.poll_instead(cx, (bytes, bytes.len())) {
            return instead;
        }
        let written = open(&mut self.stream)?.poll_write(cx, bytes);
        self.has_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bytes.first().map(|first| &**first).unwrap_or_default();
        if let Some(instead) = self.poll_instead(cx, (first, bytes.iter().map(|part| part.len()).sum())) {
            return instead;
        }
        let written = open(&mut self.stream)?.poll_write_vectored(cx, bytes);
        self.has_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        open(&mut self.stream)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.head.is_some() && self.visitor.was_answered_early() {
            return self.poll_end(cx);
        }
        open(&mut self.stream)?.poll_shutdown(cx)
    }
}
