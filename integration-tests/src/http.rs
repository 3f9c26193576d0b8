//! One HTTP request, written by hand, with headers that a library would not send.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The system gives these ports to nobody by itself (ip_local_port_range).
const LEAST_PORT: u32 = 12_000;
const PORTS: u32 = 8_000;
const BOUND: Duration = Duration::from_secs(60);

/// A free port of this machine, for a setting that cannot take 0. The system gives it to nobody before its use, and each call in
/// this process returns another.
///
/// # Errors
/// Fails if no port is free.
pub fn free_port() -> anyhow::Result<u16> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Test programs that run at once begin at different ports.
    let begin = std::process::id().wrapping_mul(101);
    for _ in 0..PORTS {
        let place = begin.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(LEAST_PORT + place)?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("none of {PORTS} ports from {LEAST_PORT} on is free")
}

/// Sends `GET path` with these headers. Returns the status and the full response.
///
/// # Errors
/// Fails if no response comes, or it is not HTTP.
pub async fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<(u16, String)> {
    let host = address.strip_prefix("ws://").unwrap_or(address);
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n").as_bytes())
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(BOUND, exchange).await;
    let answer = answer.with_context(|| format!("GET {path} is not answered within {BOUND:?}"))??;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("no HTTP: {answer}"))?, answer))
}

/// A request, to be sent to a server once.
#[derive(Debug, Clone)]
pub struct Request {
    line: String,
    headers: String,
    body: String,
}

/// A server's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Request {
    /// A request without headers and body, such as `GET` of `/healthz`.
    pub fn new(method: &str, path: &str) -> Self {
        Self { line: format!("{method} {path} HTTP/1.1"), headers: String::new(), body: String::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Adds the secret of a session or token.
    #[must_use]
    pub fn bearer(self, secret: &str) -> Self {
        self.header("Authorization", &format!("Bearer {secret}"))
    }

    /// Adds a body of JSON.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        Self { body: body.to_string(), ..self.header("Content-Type", "application/json") }
    }

    /// Sends the request to `ws://ADDRESS:PORT`, with the `Host` of that address.
    ///
    /// # Errors
    /// Fails if no answer comes, or it is not HTTP.
    pub async fn send(&self, address: &str) -> anyhow::Result<Answer> {
        let host = address.strip_prefix("ws://").unwrap_or(address);
        Answer::read(&exchange(address, self.text(host).as_bytes()).await?)
    }

    /// The same from this address of the machine.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_from(&self, from: [u8; 4], address: &str) -> anyhow::Result<Answer> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let host = address.strip_prefix("ws://").unwrap_or(address);
        let mut socket = Socket(socket.connect(host.parse()?).await?);
        socket.send(self.text(host).as_bytes()).await?;
        Answer::read(&String::from_utf8_lossy(&socket.until_end().await?))
    }

    /// The request as it is sent.
    fn text(&self, host: &str) -> String {
        let Self { line, headers, body } = self;
        let length = body.len();
        format!(
            "{line}\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }
}

impl Answer {
    /// Reads an answer with all its bytes.
    ///
    /// # Errors
    /// Fails if it is not HTTP.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {text:?}"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no HTTP: {text:?}"))?;
        Ok(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// The values of a header, in order.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Fails if the body is not JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {self:?}"))
    }

    /// Status and reason of a refusal. The reason is empty in any other answer.
    pub fn refusal(&self) -> (u16, String) {
        let reason = self.json().ok().and_then(|body| body["reason"].as_str().map(str::to_owned));
        (self.status, reason.unwrap_or_default())
    }
}

/// Sends these bytes, and returns everything that the server sends until it ends the connection.
///
/// # Errors
/// Fails if the server does not end the connection.
pub async fn exchange(address: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let mut socket = Socket::connect(address).await?;
    // The server may have its answer before it has read everything.
    socket.send(bytes).await.ok();
    Ok(String::from_utf8_lossy(&socket.until_end().await?).into_owned())
}

/// A websocket with frames written by hand, valid or not.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// Connects and sends nothing yet.
    ///
    /// # Errors
    /// Fails if nothing listens there.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        Ok(Self(TcpStream::connect(address.strip_prefix("ws://").unwrap_or(address)).await?))
    }

    /// Connects and completes the handshake.
    ///
    /// # Errors
    /// Fails if the server refuses the handshake.
    pub async fn upgrade(address: &str) -> anyhow::Result<Self> {
        let host = address.strip_prefix("ws://").unwrap_or(address);
        let mut stream = TcpStream::connect(host).await?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(BOUND, stream.read_u8()).await;
            answer.push(byte.context("no answer to the handshake")??);
        }
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        Ok(Self(stream))
    }

    /// Sends bytes without changes.
    ///
    /// # Errors
    /// Fails if the connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.write_all(bytes).await?)
    }

    /// Reads until these bytes arrive.
    ///
    /// # Errors
    /// Fails if they do not arrive.
    pub async fn until(&mut self, what: &[u8]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        while !bytes.windows(what.len()).any(|window| window == what) {
            let byte = tokio::time::timeout(BOUND, self.0.read_u8()).await;
            bytes.push(byte.with_context(|| format!("not within {BOUND:?}"))??);
        }
        Ok(())
    }

    /// Reads until the server ends the connection, in order or by a reset. Returns the bytes read.
    ///
    /// # Errors
    /// Fails if the server does not end the connection.
    pub async fn until_end(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(BOUND, self.0.read_to_end(&mut bytes)).await;
        match read.with_context(|| format!("the connection has not ended within {BOUND:?}"))? {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error.into()),
            Ok(_) | Err(_) => Ok(bytes),
        }
    }

    /// Reads until the server ends the connection. Returns the code of its close frame, if it sent one.
    ///
    /// # Errors
    /// Fails if the server does not end the connection.
    pub async fn close_code(&mut self) -> anyhow::Result<Option<u16>> {
        let bytes = self.until_end().await?;
        // A close frame of a server: 0x88, a length below 126, the code. The server sends nothing else here.
        Ok(match bytes.as_slice() {
            [0x88, 2..=125, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        })
    }
}
