//! TLS of the ports (RFC 8446 and RFC 5246): the key of the server, which a reload reads again, and connections whose
//! handshake runs in their own task. A client that says nothing delays nobody else.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use skein_base::clock::WallMs;
use skein_base::pem::{self, PemFileError};
use skein_config::TlsFiles;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::der::Decode;

/// The first byte of each handshake: its record's type (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// The answer to HTTP at a port of TLS.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n\
    content-length: 77\r\n\r\n{\"reason\":\"syntax\",\"message\":\"this port speaks TLS: use https:// or wss://\"}\n";

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file gives no certificate or key.
    #[error(transparent)]
    File(#[from] PemFileError),
    /// The certificate is of another key, or of a kind that is not supported.
    #[error("the certificate in {cert} and the key in {key} cannot be used: {source}")]
    Unfit {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The reason of the TLS library.
        source: rustls::Error,
    },
    /// The time of the certificate is over.
    #[error("the certificate in {path} expired {days} days ago; renew it")]
    Expired {
        /// The file.
        path: PathBuf,
        /// Whole days since then.
        days: u64,
    },
}

/// A certificate with its key, in use until another one takes its place.
#[derive(Debug)]
pub(crate) struct ServedCertificate {
    settings: Arc<rustls::ServerConfig>,
    leaf: CertificateDer<'static>,
}

/// The key of the server's ports.
#[derive(Debug)]
pub(crate) struct TlsKeys {
    files: TlsFiles,
    now: RwLock<Arc<ServedCertificate>>,
}

impl ServedCertificate {
    /// Reads the files. Blocks.
    fn read(files: &TlsFiles, now: WallMs) -> Result<Self, TlsError> {
        let chain = pem::certificates(&files.cert)?;
        let key = pem::private_key(&files.key)?;
        let Some(leaf) = chain.first().cloned() else {
            return Err(PemFileError::no_certificate(&files.cert, "certificate").into());
        };
        let unfit = |source| TlsError::Unfit { cert: files.cert.clone(), key: files.key.clone(), source };
        let provider = Arc::new(ring::default_provider());
        let settings = settings(chain, key, provider).map_err(unfit)?;
        not_expired(files, &leaf, now)?;
        Ok(Self { settings: Arc::new(settings), leaf })
    }

    /// Whether the certificate names this host, which has no port.
    pub(crate) fn names(&self, host: &str) -> bool {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let Ok(name) = ServerName::try_from(host) else { return false };
        let leaf = ParsedCertificate::try_from(&self.leaf);
        leaf.is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
    }
}

fn settings(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ServerConfig, rustls::Error> {
    let certified = CertifiedKey::from_der(chain, key, &provider)?;
    let settings =
        rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let mut settings = settings.with_no_client_auth().with_cert_resolver(resolver);
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(settings)
}

fn not_expired(files: &TlsFiles, leaf: &CertificateDer<'_>, now: WallMs) -> Result<(), TlsError> {
    // A certificate that this parser does not know is the client's to judge.
    let Ok(certificate) = x509_cert::Certificate::from_der(leaf) else { return Ok(()) };
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    let now = Duration::from_millis(u64::try_from(now.0).unwrap_or_default());
    match now.checked_sub(end) {
        Some(since) => {
            Err(TlsError::Expired { path: files.cert.clone(), days: since.as_secs() / (24 * 60 * 60) })
        }
        None => Ok(()),
    }
}

impl TlsKeys {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// The files do not hold a key and a certificate for it that is valid now.
    pub(crate) fn open(files: TlsFiles, now: WallMs) -> Result<Self, TlsError> {
        let served = ServedCertificate::read(&files, now)?;
        Ok(Self { files, now: RwLock::new(Arc::new(served)) })
    }

    /// Reads the files again. New connections get what they hold now. Blocks.
    ///
    /// # Errors
    /// As [`TlsKeys::open`]; the key before stays in use.
    pub(crate) fn reload(&self, now: WallMs) -> Result<(), TlsError> {
        let served = Arc::new(ServedCertificate::read(&self.files, now)?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = served;
        Ok(())
    }

    pub(crate) fn now(&self) -> Arc<ServedCertificate> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A TCP connection, with TLS or without. The first reads run the handshake; the limits of a head hold for it, too.
pub(crate) enum ClientStream {
    /// The bytes as they are.
    Plain(TcpStream),
    /// Before the first byte of a client that should speak TLS.
    Unopened(TcpStream, TlsAcceptor),
    /// During the handshake.
    Handshake(Box<tokio_rustls::Accept<TcpStream>>),
    /// Behind it.
    Open(Box<TlsStream<TcpStream>>),
    /// The client does not speak TLS.
    Failed,
}

impl ClientStream {
    /// A connection whose client should speak TLS, with this certificate.
    pub(crate) fn with_tls(stream: TcpStream, certificate: &ServedCertificate) -> Self {
        Self::with_settings(stream, Arc::clone(&certificate.settings))
    }

    /// A connection whose other end should speak TLS, with these settings.
    pub(crate) fn with_settings(stream: TcpStream, settings: Arc<rustls::ServerConfig>) -> Self {
        Self::Unopened(stream, TlsAcceptor::from(settings))
    }

    /// Runs the handshake to its end.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Plain(_) | Self::Open(_) => return Poll::Ready(Ok(())),
                Self::Failed => return Poll::Ready(Err(no_tls())),
                Self::Unopened(stream, _) => {
                    let mut first = [0; 1];
                    let mut first = ReadBuf::new(&mut first);
                    ready!(stream.poll_peek(cx, &mut first))?;
                    let is_http = first.filled().first().is_some_and(|first| *first != HANDSHAKE);
                    let Self::Unopened(stream, acceptor) = std::mem::replace(self, Self::Failed) else {
                        continue;
                    };
                    if is_http {
                        answer_http(&stream);
                        return Poll::Ready(Err(no_tls()));
                    }
                    *self = Self::Handshake(Box::new(acceptor.accept(stream)));
                }
                Self::Handshake(handshake) => {
                    let opened = ready!(Pin::new(handshake.as_mut()).poll(cx));
                    *self = Self::Failed;
                    *self = Self::Open(Box::new(
                        opened.inspect_err(|error| tracing::debug!(%error, "a handshake of TLS fails"))?,
                    ));
                }
            }
        }
    }
}

fn no_tls() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS")
}

/// Tells a client that speaks HTTP what this port speaks. Unread bytes would turn the end of the connection into a reset that
/// overtakes the answer.
fn answer_http(stream: &TcpStream) {
    let mut request = [0; 4096];
    let said = stream.try_read(&mut request).and_then(|_| stream.try_write(NO_TLS));
    if let Err(error) = said {
        tracing::debug!(%error, "a client without TLS gets no answer");
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Open(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            Self::Unopened(..) | Self::Handshake(_) | Self::Failed => Poll::Ready(Err(no_tls())),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Open(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Self::Unopened(..) | Self::Handshake(_) | Self::Failed => Poll::Ready(Err(no_tls())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Open(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bytes),
            Self::Unopened(..) | Self::Handshake(_) | Self::Failed => Poll::Ready(Err(no_tls())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Open(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            // Nothing was written yet.
            Self::Unopened(..) | Self::Handshake(_) | Self::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) | Self::Unopened(stream, _) => Pin::new(stream).poll_shutdown(cx),
            Self::Open(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Self::Handshake(handshake) => match handshake.get_mut() {
                Some(stream) => Pin::new(stream).poll_shutdown(cx),
                None => Poll::Ready(Ok(())),
            },
            Self::Failed => Poll::Ready(Ok(())),
        }
    }
}
