//! Takes the sockets of a service manager (`--listen systemd://`), after a look at each of them.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::sys::socket::sockopt::{AcceptConn, SockType};
use nix::sys::socket::{self, getsockopt};
use nix::sys::stat::fstat;
use skein_config::{FIRST_PASSED, PassedSockets};
use socket2::Socket;

/// Why the sockets of a service manager cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketError {
    /// No service manager has opened a socket for this process.
    #[error(
        "--listen systemd:// needs a socket unit: no service manager has passed a socket to this process (LISTEN_FDS is not \
         set)"
    )]
    Unset,
    /// The sockets are for another process.
    #[error(
        "--listen systemd:// finds sockets for another process (LISTEN_PID is {0:?}): ExecStart= of the unit has to run skein \
         itself, and not a shell around it"
    )]
    OtherProcess(String),
    /// The number of sockets is no number.
    #[error(
        "--listen systemd:// finds no number of sockets (LISTEN_FDS is {0:?}): let the socket unit set it"
    )]
    NoNumber(String),
    /// The service manager has passed nothing.
    #[error(
        "--listen systemd:// finds no socket (LISTEN_FDS is 0): write ListenStream= into the socket unit"
    )]
    Empty,
    /// A counted descriptor is not open.
    #[error(
        "--listen systemd:// finds no open descriptor {0}, which LISTEN_FDS counts: let the socket unit set LISTEN_FDS"
    )]
    Closed(RawFd),
    /// A file or a pipe.
    #[error(
        "--listen systemd:// takes no descriptor {0}, which is no socket: write ListenStream= into the socket unit"
    )]
    NoSocket(RawFd),
    /// A socket of datagrams or of sequenced packets.
    #[error(
        "--listen systemd:// takes no descriptor {0}, which is no stream socket: write ListenStream= into the socket unit \
         instead of ListenDatagram= or ListenSequentialPacket="
    )]
    NoStream(RawFd),
    /// A socket of one connection.
    #[error(
        "--listen systemd:// takes no descriptor {0}, which does not listen: write Accept=no into the socket unit"
    )]
    NoListener(RawFd),
    /// A socket of a family that clients do not use.
    #[error(
        "--listen systemd:// takes no descriptor {0}, which is neither TCP nor a unix socket with a path: write such a \
         ListenStream= into the socket unit"
    )]
    Family(RawFd),
    /// Two descriptors of one socket.
    #[error(
        "--listen systemd:// finds one socket twice, as descriptors {0} and {1}: name it once in the socket unit"
    )]
    Twice(RawFd, RawFd),
    /// The system refuses for another reason.
    #[error("--listen systemd:// cannot use descriptor {descriptor}: {source}")]
    Io {
        /// The descriptor.
        descriptor: RawFd,
        /// The system's error.
        source: io::Error,
    },
}

/// A listener of a service manager.
#[derive(Debug)]
pub(super) enum PassedListener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A unix socket at this path.
    Unix(UnixListener, PathBuf),
}

/// Takes all of them.
///
/// # Errors
/// The first one that cannot be served.
pub(super) fn take(passed: &PassedSockets) -> Result<Vec<PassedListener>, PassedSocketError> {
    let number = match passed {
        PassedSockets::None => return Err(PassedSocketError::Unset),
        PassedSockets::OtherProcess(pid) => return Err(PassedSocketError::OtherProcess(pid.clone())),
        PassedSockets::NoNumber(number) => return Err(PassedSocketError::NoNumber(number.clone())),
        PassedSockets::Closed(descriptor) => return Err(PassedSocketError::Closed(*descriptor)),
        PassedSockets::Number(0) => return Err(PassedSocketError::Empty),
        PassedSockets::Number(number) => *number,
    };
    let all = FIRST_PASSED..FIRST_PASSED + number;
    let mut known = HashMap::new();
    for descriptor in all.clone() {
        // SAFETY: it was open at the start of the process, and nothing here has taken it since.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        listens(socket, descriptor)?;
        let seen = fstat(socket).map_err(|error| fault(descriptor, error.into()))?;
        if let Some(first) = known.insert((seen.st_dev, seen.st_ino), descriptor) {
            return Err(PassedSocketError::Twice(first, descriptor));
        }
    }
    all.map(listener).collect()
}

/// Looks whether clients can connect to it.
fn listens(socket: BorrowedFd<'_>, descriptor: RawFd) -> Result<(), PassedSocketError> {
    match getsockopt(&socket, SockType) {
        Ok(socket::SockType::Stream) => {}
        Ok(_) => return Err(PassedSocketError::NoStream(descriptor)),
        Err(_) => return Err(PassedSocketError::NoSocket(descriptor)),
    }
    if getsockopt(&socket, AcceptConn).is_ok_and(|listens| listens) {
        Ok(())
    } else {
        Err(PassedSocketError::NoListener(descriptor))
    }
}

fn listener(descriptor: RawFd) -> Result<PassedListener, PassedSocketError> {
    // SAFETY: it listens, so that the service manager has opened it for this process; nothing else here knows of it.
    let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let failed = |source| fault(descriptor, source);
    socket.set_nonblocking(true).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    if address.as_socket().is_some() {
        return Ok(PassedListener::Tcp(socket.into()));
    }
    match address.as_pathname() {
        Some(path) => {
            let path = path.to_owned();
            Ok(PassedListener::Unix(socket.into(), path))
        }
        None => Err(PassedSocketError::Family(descriptor)),
    }
}

fn fault(descriptor: RawFd, source: io::Error) -> PassedSocketError {
    PassedSocketError::Io { descriptor, source }
}
