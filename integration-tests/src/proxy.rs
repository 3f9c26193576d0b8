//! A TCP proxy on loopback between a client and a server. Tests cut, stall and slow down its link.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::process::wait_until;

/// Largest read of an open link, bytes.
const READ_BYTES: usize = 16 * 1024;

/// Kernel buffer for data from the server, bytes.
const SERVER_BUFFER: u32 = 4096;

/// How the proxy forwards bytes, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Immediately.
    Open,
    /// Not at all, but connections stay open. A writer blocks once the buffers of both sides are full.
    Stalled,
    /// A few bytes at a time, with pauses.
    Trickle {
        /// Bytes between two pauses.
        bytes: usize,
        /// Length of the pause.
        pause: Duration,
    },
    /// Existing connections are closed, and new ones are closed immediately.
    Cut,
}

/// State of the link that all connections share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    flow: Flow,
    /// Number of cuts so far. Each cut ends every open connection, however short it is.
    cuts: u64,
    /// The server behind new connections.
    target: SocketAddr,
}

/// A running proxy. Drop ends it with all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port in front of a server's `ws://ADDRESS:PORT`.
    ///
    /// # Errors
    /// Fails if the address is invalid, or no port is free.
    pub async fn start(server: &str) -> anyhow::Result<Self> {
        let target = socket_of(server)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (link, watched) = watch::channel(Link { flow: Flow::Open, cuts: 0, target });
        let counts = Arc::<Counts>::default();
        let task = tokio::spawn(accept(listener, watched, Arc::clone(&counts)));
        Ok(Self { address, link, counts, task })
    }

    /// Address for clients, as `ws://ADDRESS:PORT`.
    pub fn address(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Changes how the proxy forwards bytes.
    pub fn set(&self, flow: Flow) {
        self.link.send_modify(|link| {
            link.cuts += u64::from(flow == Flow::Cut);
            link.flow = flow;
        });
    }

    /// Leads new connections to another server.
    ///
    /// # Errors
    /// Fails if the address is invalid.
    pub fn lead_to(&self, server: &str) -> anyhow::Result<()> {
        let target = socket_of(server)?;
        self.link.send_modify(|link| link.target = target);
        Ok(())
    }

    /// Closes the open connections. New connections work immediately.
    pub fn cut_once(&self) {
        self.link.send_modify(|link| link.cuts += 1);
    }

    /// Number of connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Number of open connections.
    pub fn alive(&self) -> usize {
        self.counts.alive.load(Ordering::SeqCst)
    }

    /// Waits until this many connections were accepted.
    ///
    /// # Errors
    /// Fails if this takes longer than `bound`.
    pub async fn until_accepted(&self, count: usize, bound: Duration) -> anyhow::Result<()> {
        let what = format!("{count} connections through the proxy");
        wait_until(&what, bound, || (self.accepted() >= count).then_some(())).await
    }

    /// Number of bytes that clients have sent so far.
    pub fn sent(&self) -> usize {
        self.counts.sent.load(Ordering::SeqCst)
    }

    /// Waits until clients have sent this many bytes.
    ///
    /// # Errors
    /// Fails if this takes longer than `bound`.
    pub async fn until_sent(&self, count: usize, bound: Duration) -> anyhow::Result<()> {
        let what = format!("{count} bytes through the proxy");
        wait_until(&what, bound, || (self.sent() >= count).then_some(())).await
    }
}

/// The socket of a server's `ws://ADDRESS:PORT`.
fn socket_of(server: &str) -> anyhow::Result<SocketAddr> {
    let address = server.strip_prefix("ws://").unwrap_or(server).trim_end_matches('/');
    address.parse().with_context(|| format!("{server} is not an address"))
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Dropping `link` ends the connections.
        self.task.abort();
    }
}

/// The traffic of a proxy.
#[derive(Debug, Default)]
struct Counts {
    /// Connections accepted while the link was not cut.
    accepted: AtomicUsize,
    /// Connections alive.
    alive: AtomicUsize,
    /// Bytes from clients.
    sent: AtomicUsize,
}

async fn accept(listener: TcpListener, link: watch::Receiver<Link>, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        let at_start = *link.borrow();
        if at_start.flow == Flow::Cut {
            continue;
        }
        counts.accepted.fetch_add(1, Ordering::SeqCst);
        counts.alive.fetch_add(1, Ordering::SeqCst);
        let (link, counts) = (link.clone(), Arc::clone(&counts));
        tokio::spawn(async move {
            let mut cut = link.clone();
            tokio::select! {
                () = carry(client, at_start.target, link, &counts.sent) => {}
                // The wait also ends when the proxy is gone.
                _ = cut.wait_for(|link| link.cuts != at_start.cuts) => {}
            }
            counts.alive.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Forwards bytes in both directions until both directions have ended.
async fn carry(client: TcpStream, target: SocketAddr, link: watch::Receiver<Link>, sent: &AtomicUsize) {
    let Ok(server) = connect_to(target).await else { return };
    for stream in [&client, &server] {
        // Only `Flow` slows bytes down.
        stream.set_nodelay(true).ok();
        // A cut is a reset: bytes in transit are lost.
        stream.set_zero_linger().ok();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let received = AtomicUsize::default();
    tokio::join!(
        pump(from_client, to_server, link.clone(), sent),
        pump(from_server, to_client, link, &received)
    );
}

async fn connect_to(target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Otherwise the kernel buffers megabytes before the server notices a stall.
    socket.set_recv_buffer_size(SERVER_BUFFER)?;
    socket.connect(target).await
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    carried: &AtomicUsize,
) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let flow = link.borrow_and_update().flow;
        let (most, pause) = match flow {
            Flow::Open => (READ_BYTES, None),
            Flow::Trickle { bytes, pause } => (bytes.clamp(1, READ_BYTES), Some(pause)),
            Flow::Stalled | Flow::Cut => {
                if link.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        if let Some(pause) = pause {
            let mut ticks = tokio::time::interval(pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            ticks.tick().await;
        }
        let Some(room) = buffer.get_mut(..most) else { return };
        let read = tokio::select! {
            biased;
            changed = link.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
            read = from.read(room) => read.unwrap_or(0),
        };
        carried.fetch_add(read, Ordering::SeqCst);
        let whole = buffer.get(..read).unwrap_or_default();
        if read == 0 || to.write_all(whole).await.is_err() {
            to.shutdown().await.ok();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    /// A server that echoes its input.
    async fn echo() -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        Ok(address)
    }

    async fn connect(proxy: &Proxy) -> anyhow::Result<TcpStream> {
        Ok(TcpStream::connect(proxy.address).await?)
    }

    async fn echo_of(stream: &mut TcpStream, text: &[u8]) -> anyhow::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut received = vec![0; text.len()];
        tokio::time::timeout(BOUND, stream.read_exact(&mut received)).await??;
        Ok(received)
    }

    #[tokio::test]
    async fn an_open_link_forwards_bytes_and_a_cut_ends_connections() -> anyhow::Result<()> {
        let proxy = Proxy::start(&echo().await?.to_string()).await?;
        let mut first = connect(&proxy).await?;
        assert_eq!(echo_of(&mut first, b"one").await?, b"one");
        assert_eq!((proxy.accepted(), proxy.alive(), proxy.sent()), (1, 1, 3));
        proxy.set(Flow::Cut);
        assert_eq!(tokio::time::timeout(BOUND, first.read(&mut [0; 9])).await?.unwrap_or(0), 0);
        wait_until("no connection", BOUND, || (proxy.alive() == 0).then_some(())).await?;
        let mut refused = connect(&proxy).await?;
        assert_eq!(tokio::time::timeout(BOUND, refused.read(&mut [0; 9])).await?.unwrap_or(0), 0);
        proxy.set(Flow::Open);
        let mut second = connect(&proxy).await?;
        assert_eq!(echo_of(&mut second, b"two").await?, b"two");
        proxy.cut_once();
        assert_eq!(tokio::time::timeout(BOUND, second.read(&mut [0; 9])).await?.unwrap_or(0), 0);
        assert_eq!(echo_of(&mut connect(&proxy).await?, b"three").await?, b"three");
        Ok(())
    }

    #[tokio::test]
    async fn a_stalled_link_loses_nothing_and_a_trickling_link_is_slow() -> anyhow::Result<()> {
        let proxy = Proxy::start(&echo().await?.to_string()).await?;
        let mut stream = connect(&proxy).await?;
        assert_eq!(echo_of(&mut stream, b"one").await?, b"one");
        proxy.set(Flow::Stalled);
        stream.write_all(b"two").await?;
        let mut received = [0; 3];
        let brief = Duration::from_millis(50);
        assert!(
            tokio::time::timeout(brief, stream.read(&mut received)).await.is_err(),
            "nothing gets through"
        );
        let pause = Duration::from_millis(10);
        proxy.set(Flow::Trickle { bytes: 1, pause });
        let from = tokio::time::Instant::now();
        tokio::time::timeout(BOUND, stream.read_exact(&mut received)).await??;
        assert_eq!(&received, b"two");
        assert!(from.elapsed() >= 3 * pause, "{:?}", from.elapsed());
        Ok(())
    }
}
