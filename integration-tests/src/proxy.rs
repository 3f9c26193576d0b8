//! A link that can be cut, stalled and slowed down: a TCP proxy on loopback between a client and a server.

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

/// Bytes that one read of an open link takes at most.
const READ_BYTES: usize = 16 * 1024;

/// The kernel's buffer for what the server sends, bytes.
const SERVER_BUFFER: u32 = 4096;

/// How bytes get through, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// As they come.
    Open,
    /// Not at all; the connections stay. Who writes is held up when the buffers of both sides are full.
    Stalled,
    /// So many at a time, and then a pause.
    Trickle {
        /// At a time.
        bytes: usize,
        /// The pause.
        pause: Duration,
    },
    /// There are no connections: those that were are closed, new ones are closed at once.
    Cut,
}

/// What connections go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    flow: Flow,
    /// How often it was cut: a connection ends with the cut that it lives through, however short it is.
    cuts: u64,
}

/// A running proxy. It ends when it is dropped, with all of its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    /// Connections that were accepted while the link was not cut, and those that live.
    accepted: Arc<AtomicUsize>,
    alive: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of loopback, in front of a server's `ws://ADDRESS:PORT`.
    ///
    /// # Errors
    /// When the address is none, or no port is free.
    pub async fn start(server: &str) -> anyhow::Result<Self> {
        let target = server.strip_prefix("ws://").unwrap_or(server).trim_end_matches('/');
        let target: SocketAddr = target.parse().with_context(|| format!("{server} is no address"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (link, watched) = watch::channel(Link { flow: Flow::Open, cuts: 0 });
        let (accepted, alive) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&accepted), Arc::clone(&alive));
        let task = tokio::spawn(accept(listener, target, watched, counts));
        Ok(Self { address, link, accepted, alive, task })
    }

    /// Where clients connect, as `ws://ADDRESS:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Changes how bytes get through.
    pub fn set(&self, flow: Flow) {
        self.link.send_modify(|link| {
            link.cuts += u64::from(flow == Flow::Cut);
            link.flow = flow;
        });
    }

    /// Closes the connections of this moment; new ones get through at once.
    pub fn cut_once(&self) {
        self.link.send_modify(|link| link.cuts += 1);
    }

    /// How many connections were let through so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// How many connections there are.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    /// Waits until so many connections were let through.
    ///
    /// # Errors
    /// When it does not come to that within `bound`.
    pub async fn until_accepted(&self, count: usize, bound: Duration) -> anyhow::Result<()> {
        let what = format!("{count} connections through the proxy");
        wait_until(&what, bound, || (self.accepted() >= count).then_some(())).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Dropping `link` ends the connections.
        self.task.abort();
    }
}

type Counts = (Arc<AtomicUsize>, Arc<AtomicUsize>);

async fn accept(listener: TcpListener, target: SocketAddr, link: watch::Receiver<Link>, counts: Counts) {
    let (accepted, alive) = counts;
    while let Ok((client, _)) = listener.accept().await {
        let at_start = *link.borrow();
        if at_start.flow == Flow::Cut {
            continue;
        }
        accepted.fetch_add(1, Ordering::SeqCst);
        alive.fetch_add(1, Ordering::SeqCst);
        let (link, alive) = (link.clone(), Arc::clone(&alive));
        tokio::spawn(async move {
            let mut cut = link.clone();
            tokio::select! {
                () = carry(client, target, link) => {}
                // Also when the proxy is gone.
                _ = cut.wait_for(|link| link.cuts != at_start.cuts) => {}
            }
            alive.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Carries bytes in both directions until both have ended.
async fn carry(client: TcpStream, target: SocketAddr, link: watch::Receiver<Link>) {
    let Ok(server) = connect_to(target).await else { return };
    for stream in [&client, &server] {
        // What is slow is slow on purpose.
        stream.set_nodelay(true).ok();
        // A cut is a reset: what was on its way is lost.
        stream.set_zero_linger().ok();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(pump(from_client, to_server, link.clone()), pump(from_server, to_client, link));
}

async fn connect_to(target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Otherwise megabytes fit into the kernel before the server notices a stall.
    socket.set_recv_buffer_size(SERVER_BUFFER)?;
    socket.connect(target).await
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
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

    /// A server that sends back what it gets.
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

    async fn said(stream: &mut TcpStream, text: &[u8]) -> anyhow::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut heard = vec![0; text.len()];
        tokio::time::timeout(BOUND, stream.read_exact(&mut heard)).await??;
        Ok(heard)
    }

    #[tokio::test]
    async fn an_open_link_carries_bytes_and_a_cut_one_ends_its_connections() -> anyhow::Result<()> {
        let proxy = Proxy::start(&echo().await?.to_string()).await?;
        let mut first = connect(&proxy).await?;
        assert_eq!(said(&mut first, b"one").await?, b"one");
        assert_eq!((proxy.accepted(), proxy.alive()), (1, 1));
        proxy.set(Flow::Cut);
        assert_eq!(tokio::time::timeout(BOUND, first.read(&mut [0; 9])).await?.unwrap_or(0), 0);
        wait_until("no connection", BOUND, || (proxy.alive() == 0).then_some(())).await?;
        let mut refused = connect(&proxy).await?;
        assert_eq!(tokio::time::timeout(BOUND, refused.read(&mut [0; 9])).await?.unwrap_or(0), 0);
        proxy.set(Flow::Open);
        let mut second = connect(&proxy).await?;
        assert_eq!(said(&mut second, b"two").await?, b"two");
        proxy.cut_once();
        assert_eq!(tokio::time::timeout(BOUND, second.read(&mut [0; 9])).await?.unwrap_or(0), 0);
        assert_eq!(said(&mut connect(&proxy).await?, b"three").await?, b"three");
        Ok(())
    }

    #[tokio::test]
    async fn a_stalled_link_loses_nothing_and_a_trickling_one_carries_it_slowly() -> anyhow::Result<()> {
        let proxy = Proxy::start(&echo().await?.to_string()).await?;
        let mut stream = connect(&proxy).await?;
        assert_eq!(said(&mut stream, b"one").await?, b"one");
        proxy.set(Flow::Stalled);
        stream.write_all(b"two").await?;
        let mut heard = [0; 3];
        let brief = Duration::from_millis(50);
        assert!(tokio::time::timeout(brief, stream.read(&mut heard)).await.is_err(), "nothing gets through");
        let pause = Duration::from_millis(10);
        proxy.set(Flow::Trickle { bytes: 1, pause });
        let from = tokio::time::Instant::now();
        tokio::time::timeout(BOUND, stream.read_exact(&mut heard)).await??;
        assert_eq!(&heard, b"two");
        assert!(from.elapsed() >= 3 * pause, "{:?}", from.elapsed());
        Ok(())
    }
}
