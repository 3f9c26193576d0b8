//! The places where a server listens, opened at its start. An address that other machines reach needs TLS, a proxy that does
//! it, or a setting that says otherwise; every request there needs a credential.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use skein_base::clock::WallMs;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_config::access::{Door, TokenFileError, warn_if_open_to_others};
use skein_config::{ListenAt, ListenHost, PassedSockets, PublicUrl, ServerConfig, TlsFiles};
use skein_store::home::named_socket::{NamedSocket, NamedSocketError};
use skein_store::home::{HomePaths, UNIX};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener, lookup_host};

use super::acceptor::{Accept, Peer, TcpPeer};
use super::passed::{self, PassedListener, PassedSocketError};
use super::tls::{ClientStream, TlsError, TlsKeys};
use crate::policy;

/// Why a server cannot listen at a place.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "cannot listen at {at}: another program serves there; stop it, or choose another port with --listen"
    )]
    Taken {
        /// The place.
        at: String,
    },
    /// An earlier place of the same command has the port.
    #[error(
        "cannot listen at {at}: {earlier} of this command has the port already; leave one of them out, or choose another port"
    )]
    Own {
        /// The place.
        at: String,
        /// The place that has it.
        earlier: String,
    },
    /// The system reserves the port.
    #[error(
        "cannot listen at {at}: the system lets this user have no such port; choose one above 1023, or start it by systemd \
         with --listen systemd://"
    )]
    Reserved {
        /// The place.
        at: String,
    },
    /// No interface has the address.
    #[error(
        "cannot listen at {at}: this machine has no such address; ws://0.0.0.0:PORT and ws://[::]:PORT are all that it has"
    )]
    Foreign {
        /// The place.
        at: String,
    },
    /// Nobody knows the name.
    #[error("cannot listen at {at}: no address is known for this name ({source}); write an address")]
    Name {
        /// The place.
        at: String,
        /// The answer of the resolver.
        source: io::Error,
    },
    /// Other machines would send their secrets in plain text.
    #[error(
        "{at} can be reached from other machines: write --listen wss:// with --tls-cert and --tls-key, set public_url to the https:// address of \
         a proxy that does TLS, or set listen.plain = true"
    )]
    Exposed {
        /// The place.
        at: String,
    },
    /// The system refuses for another reason.
    #[error("cannot listen at {at}: {source}")]
    Io {
        /// The place.
        at: String,
        /// The system's error.
        source: io::Error,
    },
    /// The sockets of a service manager are not usable.
    #[error(transparent)]
    Passed(#[from] PassedSocketError),
    /// The certificate or its key is not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A unix socket is not available.
    #[error(transparent)]
    Unix(#[from] NamedSocketError),
    /// The port of the readers of the metrics is not available.
    #[error("cannot serve the metrics at {at}: {source}; change metrics.listen in config.toml")]
    Metrics {
        /// The address.
        at: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The port for links of other servers is not available.
    #[error(
        "cannot take links of other servers at {at}: {source}; change cluster.listen in config.toml, or --cluster-listen"
    )]
    Links {
        /// The address.
        at: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// Other machines would send the token of the metrics in plain text.
    #[error(
        "metrics.listen = \"{at}\" can be reached from other machines: start the server with --tls-cert and --tls-key, write 127.0.0.1 \
         and let a proxy do TLS, or set listen.plain = true"
    )]
    MetricsExposed {
        /// The address.
        at: SocketAddr,
    },
    /// The token of the readers of the metrics is not usable.
    #[error("metrics.token_file: {0}")]
    Token(#[from] TokenFileError),
}

/// A TCP port.
pub(crate) struct TcpDoor {
    listener: TcpListener,
    door: Door,
    keys: Option<Arc<TlsKeys>>,
    /// The name in `--listen`, in lower case.
    name: Option<Arc<str>>,
    /// As clients write it.
    url: String,
}

/// All places of a server but its control socket.
#[derive(Default)]
pub(crate) struct Doors {
    pub(crate) tcp: Vec<TcpDoor>,
    pub(crate) unix: Vec<UnixDoor>,
    /// The key of those with TLS, which a reload reads again.
    pub(crate) keys: Option<Arc<TlsKeys>>,
}

/// A unix socket beside the control socket, with the same rules.
pub(crate) struct UnixDoor {
    pub(crate) listener: UnixListener,
    /// As clients write it.
    url: String,
    /// Its file; `None` for the socket of a service manager.
    pub(crate) file: Option<NamedSocket>,
}

/// The rules of the settings about other machines.
#[derive(Debug, Clone, Copy)]
struct ExposureRules {
    /// Whether `public_url` is one of https: something in front does TLS.
    has_secure_url: bool,
    plain: bool,
}

impl ExposureRules {
    /// Refuses an address of other machines at which nobody does TLS.
    fn check(self, at: &str, ip: IpAddr, tls: bool) -> Result<(), ListenError> {
        if self.allow(ip, tls) { Ok(()) } else { Err(ListenError::Exposed { at: at.to_owned() }) }
    }

    fn allow(self, ip: IpAddr, tls: bool) -> bool {
        tls || ip.to_canonical().is_loopback() || self.has_secure_url || self.plain
    }
}

impl Doors {
    /// Opens every place of the settings.
    ///
    /// # Errors
    /// The first place where the server cannot listen. None is open then.
    pub(crate) async fn open(
        config: &ServerConfig,
        paths: &HomePaths,
        tasks: &Tasks,
        now: WallMs,
    ) -> Result<Self, ListenError> {
        let keys = match config.tls.clone() {
            Some(files) => Some(Arc::new(keys(files, tasks, now).await?)),
            None => None,
        };
        let rules = ExposureRules {
            has_secure_url: config.public_url.as_ref().is_some_and(PublicUrl::is_secure),
            plain: config.listen_rules.plain,
        };
        let mut doors = Self { keys, ..Self::default() };
        for place in &config.listen {
            match place {
                ListenAt::Tcp { host, port, tls } => {
                    let keys = doors.keys.clone().filter(|_| *tls);
                    for address in addresses(place, host, *port).await? {
                        let at = at(*tls, host, address);
                        rules.check(&at, address.ip(), *tls)?;
                        let only_v6 = has_v4(&config.listen, *port);
                        let listener =
                            bind(address, only_v6).map_err(|error| doors.refused(&at, address, error))?;
                        doors.tcp.push(TcpDoor::new(listener, host, keys.clone(), rules)?);
                    }
                }
                ListenAt::Unix(path) => doors.unix.push(UnixDoor::open(path.clone(), paths)?),
                ListenAt::Systemd(passed) => doors.take_passed(passed, place, rules)?,
            }
        }
        Ok(doors)
    }

    /// The port of the readers of the metrics, which speaks TLS with the same key if other machines reach it.
    ///
    /// # Errors
    /// The server cannot listen there.
    pub(crate) fn beside(&self, address: SocketAddr, config: &ServerConfig) -> Result<TcpDoor, ListenError> {
        let rules = ExposureRules { has_secure_url: false, plain: config.listen_rules.plain };
        let keys = self.keys.clone().filter(|_| !address.ip().to_canonical().is_loopback());
        if !rules.allow(address.ip(), keys.is_some()) {
            return Err(ListenError::MetricsExposed { at: address });
        }
        let listener = bind(address, false).map_err(|source| ListenError::Metrics { at: address, source })?;
        TcpDoor::new(listener, &ListenHost::Ip(address.ip()), keys, rules)
    }

    /// The addresses as clients write them, those of ports first.
    pub(crate) fn urls(&self) -> Vec<String> {
        let tcp = self.tcp.iter().map(|door| door.url.clone());
        tcp.chain(self.unix.iter().map(|door| door.url.clone())).collect()
    }

    /// Takes the sockets of the service manager. Ports speak TLS if there is a certificate.
    fn take_passed(
        &mut self,
        sockets: &PassedSockets,
        place: &ListenAt,
        rules: ExposureRules,
    ) -> Result<(), ListenError> {
        for listener in passed::take(sockets)? {
            match listener {
                PassedListener::Tcp(listener) => {
                    let failed = |source| ListenError::Io { at: place.to_string(), source };
                    let listener = TcpListener::from_std(listener).map_err(failed)?;
                    let host = ListenHost::Ip(listener.local_addr().map_err(failed)?.ip());
                    self.tcp.push(TcpDoor::new(listener, &host, self.keys.clone(), rules)?);
                }
                PassedListener::Unix(listener, path) => {
                    let url = format!("{UNIX}{}", path.display());
                    let failed = |source| ListenError::Io { at: url.clone(), source };
                    let listener = UnixListener::from_std(listener).map_err(failed)?;
                    self.unix.push(UnixDoor { listener, url, file: None });
                }
            }
        }
        Ok(())
    }

    /// The error of a place that cannot be opened behind these.
    fn refused(&self, at: &str, address: SocketAddr, error: io::Error) -> ListenError {
        let earlier = self.tcp.iter().find(|door| door.overlaps(address));
        match earlier {
            Some(earlier) if error.kind() == io::ErrorKind::AddrInUse => {
                ListenError::Own { at: at.to_owned(), earlier: earlier.url.clone() }
            }
            Some(_) | None => refused(at, error),
        }
    }
}

async fn keys(files: TlsFiles, tasks: &Tasks, now: WallMs) -> Result<TlsKeys, ListenError> {
    let broken = files.cert.clone();
    let read = tasks.blocking("tls", BlockingPool::Inputs, move || {
        warn_if_open_to_others(&files.key, "the private key", "");
        TlsKeys::open(files, now)
    });
    let read = read.await;
    let panicked =
        |error| ListenError::Io { at: broken.display().to_string(), source: io::Error::other(error) };
    Ok(read.map_err(panicked)??)
}

/// A place as clients write it.
fn at(tls: bool, host: &ListenHost, address: SocketAddr) -> String {
    let scheme = if tls { "wss" } else { "ws" };
    match host {
        ListenHost::Ip(_) => format!("{scheme}://{address}"),
        ListenHost::Name(name) => format!("{scheme}://{name}:{}", address.port()),
    }
}

/// The addresses of a host.
async fn addresses(place: &ListenAt, host: &ListenHost, port: u16) -> Result<Vec<SocketAddr>, ListenError> {
    let name = match host {
        ListenHost::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        ListenHost::Name(name) => name,
    };
    let unknown = |source| ListenError::Name { at: place.to_string(), source };
    let mut found: Vec<SocketAddr> = lookup_host((name.as_str(), port)).await.map_err(unknown)?.collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return Err(unknown(io::Error::from(io::ErrorKind::NotFound)));
    }
    Ok(found)
}

/// Whether another place has this port for IPv4, so that a socket of IPv6 must leave it alone.
fn has_v4(places: &[ListenAt], port: u16) -> bool {
    places.iter().any(|place| match place {
        ListenAt::Tcp { host: ListenHost::Ip(IpAddr::V4(_)) | ListenHost::Name(_), port: other, .. } => {
            port != 0 && *other == port
        }
        ListenAt::Tcp { .. } | ListenAt::Unix(_) | ListenAt::Systemd(_) => false,
    })
}

pub(super) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that starts again need not wait for connections of the one before to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(policy::BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn refused(at: &str, error: io::Error) -> ListenError {
    let at = at.to_owned();
    if error.kind() == io::ErrorKind::AddrInUse {
        ListenError::Taken { at }
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        ListenError::Reserved { at }
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        ListenError::Foreign { at }
    } else {
        ListenError::Io { at, source: error }
    }
}

impl TcpDoor {
    fn new(
        listener: TcpListener,
        host: &ListenHost,
        keys: Option<Arc<TlsKeys>>,
        rules: ExposureRules,
    ) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Io { at: host.to_string(), source };
        let address = listener.local_addr().map_err(failed)?;
        let door = if address.ip().to_canonical().is_loopback() { Door::Loopback } else { Door::Remote };
        let url = at(keys.is_some(), host, address);
        rules.check(&url, address.ip(), keys.is_some())?;
        if door == Door::Remote && keys.is_none() {
            tracing::warn!(
                at = url,
                "messages and credentials pass without encryption here; only a proxy or a network of containers should reach it"
            );
        }
        let name = match host {
            ListenHost::Ip(_) => None,
            ListenHost::Name(name) => Some(Arc::from(name.to_ascii_lowercase())),
        };
        Ok(Self { listener, door, keys, name, url })
    }

    /// Whether the system gives this address to nobody else.
    fn overlaps(&self, other: SocketAddr) -> bool {
        self.listener.local_addr().is_ok_and(|own| {
            let is_same_ip =
                own.ip() == other.ip() || own.ip().is_unspecified() || other.ip().is_unspecified();
            own.port() == other.port() && own.is_ipv4() == other.is_ipv4() && is_same_ip
        })
    }
}

#[cfg(test)]
impl TcpDoor {
    /// A free port of this machine.
    pub(super) fn local() -> Self {
        let host = ListenHost::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        Self::new(listener, &host, None, ExposureRules { has_secure_url: false, plain: false }).unwrap()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

impl Accept for TcpDoor {
    type Stream = ClientStream;

    async fn accept(&mut self) -> io::Result<(ClientStream, Peer)> {
        let (stream, peer) = self.listener.accept().await?;
        // A listener of any address has connections to several.
        let local = stream.local_addr()?;
        // Otherwise each answer after a small frame waits for a delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let certificate = self.keys.as_ref().map(|keys| keys.now());
        let stream = match &certificate {
            Some(certificate) => ClientStream::with_tls(stream, certificate),
            None => ClientStream::Plain(stream),
        };
        let (door, name) = (self.door, self.name.clone());
        Ok((stream, Peer::Tcp(TcpPeer { local, peer, door, certificate, name })))
    }
}

impl UnixDoor {
    fn open(path: Option<PathBuf>, paths: &HomePaths) -> Result<Self, ListenError> {
        let file = match path {
            Some(path) => {
                let absolute = std::path::absolute(&path);
                let at = || path.display().to_string();
                NamedSocket::open(&absolute.map_err(|source| ListenError::Io { at: at(), source })?)?
            }
            None => NamedSocket::open_in(paths)?,
        };
        let url = format!("{UNIX}{}", file.path().display());
        let failed = |source| ListenError::Io { at: url.clone(), source };
        let listener = file.listener().and_then(UnixListener::from_std).map_err(failed)?;
        Ok(Self { listener, url, file: Some(file) })
    }
}
