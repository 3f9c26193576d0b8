//! The client's side of a case: raw frames over TCP. It uses no websocket library, whose leniency would hide faults.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::BOUND;

pub(super) const FIN: u8 = 0x80;
pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The key of a handshake and its answer: the example of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// The head of a masked frame whose first octet is `first`, in the shortest form.
pub(super) fn head(first: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match (u16::try_from(length), u8::try_from(length)) {
        (_, Ok(short)) if short < 126 => head.push(0x80 | short),
        (Ok(medium), _) => {
            head.push(0x80 | 126);
            head.extend(medium.to_be_bytes());
        }
        (Err(_), _) => {
            head.push(0x80 | 127);
            head.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    head.extend(MASK);
    head
}

/// A masked frame.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len());
    frame.extend(masked(payload));
    frame
}

/// A payload as a client sends it.
pub(super) fn masked(payload: &[u8]) -> Vec<u8> {
    let mut masked = payload.to_vec();
    let words = [MASK; 4].concat();
    // Whole words are several times as fast in a debug build.
    let (chunks, rest) = masked.as_chunks_mut::<16>();
    let word = u128::from_ne_bytes(words.try_into().unwrap());
    chunks.iter_mut().for_each(|chunk| *chunk = (u128::from_ne_bytes(*chunk) ^ word).to_ne_bytes());
    rest.iter_mut().zip(MASK.iter().cycle()).for_each(|(octet, mask)| *octet ^= mask);
    masked
}

/// A frame of the server.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Text(Vec<u8>),
    Pong(Vec<u8>),
    /// The code, if there is one.
    Close(Option<u16>),
    /// The server has ended the connection.
    End,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |payload: &[u8]| String::from_utf8_lossy(&payload[..payload.len().min(40)]).into_owned();
        match self {
            Self::Text(payload) => write!(f, "Text({:?}, {} bytes)", shown(payload), payload.len()),
            Self::Pong(payload) => write!(f, "Pong({:?}, {} bytes)", shown(payload), payload.len()),
            Self::Close(code) => write!(f, "Close({code:?})"),
            Self::End => write!(f, "End"),
        }
    }
}

/// A connection to a server.
pub(super) struct RawClient {
    stream: TcpStream,
    /// Octets that have come, and of them the first that was not read.
    come: Vec<u8>,
    read: usize,
}

impl RawClient {
    /// Connects, and checks the answer of the handshake. Returns the answer's head, too. Offers these extensions.
    pub(super) async fn connect(address: SocketAddr, extensions: Option<&str>) -> Result<(Self, String)> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, come: Vec::new(), read: 0 };
        let offer =
            extensions.map(|names| format!("Sec-WebSocket-Extensions: {names}\r\n")).unwrap_or_default();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
        );
        client.send(request.as_bytes()).await?;
        let head = loop {
            if let Some(end) = client.come.windows(4).position(|window| window == b"\r\n\r\n") {
                client.read = end + 4;
                break String::from_utf8(client.come[..end].to_vec())?.to_lowercase();
            }
            ensure!(client.more().await?, "the connection ended before the handshake's answer");
        };
        ensure!(head.starts_with("http/1.1 101 "), "{head}");
        let accept = format!("sec-websocket-accept: {}", ACCEPT.to_lowercase());
        ensure!(head.lines().any(|line| line == accept), "{head}");
        Ok((client, head))
    }

    /// One write.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<()> {
        let sent = tokio::time::timeout(BOUND, self.stream.write_all(octets)).await;
        Ok(sent.context("the server does not read")??)
    }

    /// The next frame of the server.
    pub(super) async fn next(&mut self) -> Result<Reply> {
        let Some(head) = self.take(2).await? else { return Ok(Reply::End) };
        let [first, second] = head[..] else { bail!("{head:?}") };
        ensure!(first & 0xF0 == FIN, "a fragment, or a reserved bit: {first:#x}");
        let length = match second {
            0..126 => usize::from(second),
            126 => self.length(2, 126).await?,
            127 => self.length(8, 1 << 16).await?,
            128.. => bail!("a server's frame has a mask"),
        };
        let payload = self.take(length).await?.context("the connection ended within a frame")?;
        match first & 0x0F {
            TEXT => Ok(Reply::Text(payload)),
            PONG => Ok(Reply::Pong(payload)),
            CLOSE => close(&payload),
            opcode => bail!("a frame with opcode {opcode}"),
        }
    }

    /// A length of this many octets, which must not fit into a shorter form.
    async fn length(&mut self, octets: usize, least: usize) -> Result<usize> {
        let octets = self.take(octets).await?.context("the connection ended within a frame")?;
        let length = octets.iter().try_fold(0_usize, |length, octet| {
            length.checked_mul(256).map(|length| length + usize::from(*octet))
        });
        length.filter(|length| *length >= least).with_context(|| format!("a wrong length: {octets:?}"))
    }

    /// This many octets; `None` if the connection has ended before the first.
    async fn take(&mut self, count: usize) -> Result<Option<Vec<u8>>> {
        while self.come.len() - self.read < count {
            if !self.more().await? {
                ensure!(self.come.len() == self.read, "the connection ended within a frame");
                return Ok(None);
            }
        }
        let taken = self.come[self.read..self.read + count].to_vec();
        self.read += count;
        if self.read == self.come.len() {
            self.come.clear();
            self.read = 0;
        }
        Ok(Some(taken))
    }

    /// Reads what is there. Returns false at the end.
    async fn more(&mut self) -> Result<bool> {
        let read = tokio::time::timeout(BOUND, self.stream.read_buf(&mut self.come)).await;
        match read.context("the server sends nothing and does not end the connection")? {
            // The server has ended the connection while octets were on their way to it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            read => Ok(read? > 0),
        }
    }
}

/// A close frame: no payload, or a code with a reason in UTF-8.
fn close(payload: &[u8]) -> Result<Reply> {
    let [high, low, reason @ ..] = payload else {
        ensure!(payload.is_empty(), "a close frame with one octet");
        return Ok(Reply::Close(None));
    };
    std::str::from_utf8(reason).context("the reason of a close frame")?;
    ensure!(payload.len() <= 125, "a close frame of {} octets", payload.len());
    Ok(Reply::Close(Some(u16::from_be_bytes([*high, *low]))))
}
