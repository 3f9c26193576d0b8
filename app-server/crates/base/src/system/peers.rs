//! The other end of a connection on this machine: the user of a TCP socket, and the process behind a unix socket.
//!
//! A closed TCP socket and one in TIME_WAIT belong to uid 0 in every table of the kernel, and the bytes that it sent before
//! can still be read. So an answer counts only for an established socket with an inode, and only if our own end is still
//! established afterwards: then nobody else has had the same pair of addresses meanwhile.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use nix::unistd::Pid;

/// The owner of the other end of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOwner {
    /// The user who made the socket, as this process's user namespace knows it.
    pub uid: u32,
    /// The number of the socket, as `/proc/PID/fd` shows it. Never 0.
    pub inode: u64,
}

/// Why the other end of a connection has no known owner.
#[derive(Debug)]
pub enum Unknown {
    /// The peer's socket is not on this machine, or is closed, closing, or in TIME_WAIT.
    NotEstablished,
    /// No process has the peer's socket any more.
    NoInode,
    /// Our own end was no longer established after the look.
    OursClosed,
    /// The owner has no number in this user namespace, or is the user that stands for all of these.
    OverflowUid,
    /// Only the tables of `/proc` know.
    NotAtOnce,
    /// This system has no way to ask.
    Unsupported,
    /// The kernel did not answer.
    Io(io::Error),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEstablished => f.write_str("the peer's socket is not established here"),
            Self::NoInode => f.write_str("no process has the peer's socket any more"),
            Self::OursClosed => f.write_str("the connection ended during the look"),
            Self::OverflowUid => f.write_str("the peer's user is not known in this user namespace"),
            Self::NotAtOnce => f.write_str("only the tables in /proc know whose the connection is"),
            Self::Unsupported => f.write_str("this system does not tell whose a connection is"),
            Self::Io(error) => write!(f, "the kernel does not tell whose a connection is: {error}"),
        }
    }
}

impl std::error::Error for Unknown {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::NotEstablished
            | Self::NoInode
            | Self::OursClosed
            | Self::OverflowUid
            | Self::NotAtOnce
            | Self::Unsupported => None,
        }
    }
}

/// The process that connected to a unix socket.
#[derive(Debug)]
pub struct UnixPeer {
    /// Its effective user at that time.
    pub uid: u32,
    /// Its pid; `None` outside of this process's PID namespace, where none of our descendants is.
    pub pid: Option<Pid>,
    /// Pins the process, on Linux 6.5 and later: it shows whether the pid is still this process's.
    pub pidfd: Option<OwnedFd>,
    /// It had ended before it could be pinned.
    pub(crate) ended: bool,
}

impl UnixPeer {
    /// Whether the process has ended, so that its pid may be another's. A reader of `/proc` asks this afterwards. Without a
    /// pidfd a pid that is in use counts as this process's.
    pub fn has_ended(&self) -> bool {
        self.ended
            || match (&self.pidfd, self.pid) {
                (Some(pidfd), _) => super::has_ended(pidfd.as_fd()),
                (None, Some(pid)) => super::process(pid).is_none(),
                (None, None) => false,
            }
    }
}

/// A socket of a TCP connection. IPv4 addresses that are written as IPv6 ones are IPv4 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpPair {
    /// Its own address.
    pub(crate) own: SocketAddr,
    /// The address that it is connected to.
    pub(crate) other: SocketAddr,
}

impl TcpPair {
    pub(crate) fn new(own: SocketAddr, other: SocketAddr) -> Self {
        let plain = |address: SocketAddr| match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
            IpAddr::V6(_) => address,
        };
        Self { own: plain(own), other: plain(other) }
    }

    fn other_end(self) -> Self {
        Self { own: self.other, other: self.own }
    }
}

/// A socket as a table of the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpEntry {
    pub(crate) established: bool,
    pub(crate) uid: u32,
    pub(crate) inode: u64,
}

/// A way to ask the kernel about a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// sock_diag(7): one question about one socket.
    SockDiag,
    /// The tables in `/proc/net`, where sock_diag is refused.
    Proc,
}

/// The owner of the other end of the connection between `local`, our own address, and `peer`. Takes some 30 µs by sock_diag.
/// The tables of `/proc` take milliseconds: call it where a thread may block.
///
/// # Errors
/// Why nobody can say. Then the peer counts as a stranger.
pub fn peer_of_tcp(local: SocketAddr, peer: SocketAddr) -> Result<SocketOwner, Unknown> {
    owner(super::tcp_entry, TcpPair::new(peer, local), super::overflow_uid())
}

/// The same without blocking.
///
/// # Errors
/// As [`peer_of_tcp`], and [`Unknown::NotAtOnce`] where only [`peer_of_tcp`] can tell.
pub fn peer_of_tcp_at_once(local: SocketAddr, peer: SocketAddr) -> Result<SocketOwner, Unknown> {
    owner(super::tcp_entry_at_once, TcpPair::new(peer, local), super::overflow_uid())
}

/// The same by one way alone.
///
/// # Errors
/// As [`peer_of_tcp`].
pub fn peer_of_tcp_by(way: Way, local: SocketAddr, peer: SocketAddr) -> Result<SocketOwner, Unknown> {
    owner(|pair| super::tcp_entry_by(way, pair), TcpPair::new(peer, local), super::overflow_uid())
}

/// Whether the connection between `local`, our own address, and `peer` is closed or closing. Not where the kernel cannot say. May
/// block, as [`peer_of_tcp`].
pub fn is_closing(local: SocketAddr, peer: SocketAddr) -> bool {
    let own = super::tcp_entry(&TcpPair::new(local, peer));
    own.is_ok_and(|entry| entry.is_none_or(|entry| !entry.established))
}

/// The process that connected to this unix socket, which was accepted.
///
/// # Errors
/// The user is not known in this user namespace, or it is no such socket.
pub fn peer_of_unix(socket: impl AsFd) -> Result<UnixPeer, Unknown> {
    let peer = super::unix_peer(socket.as_fd()).map_err(Unknown::Io)?;
    if Some(peer.uid) == super::overflow_uid() { Err(Unknown::OverflowUid) } else { Ok(peer) }
}

/// The owner of the socket `theirs`, whose other end is ours. `overflow` is nobody's uid.
fn owner(
    look_up: impl Fn(&TcpPair) -> Result<Option<TcpEntry>, Unknown>,
    theirs: TcpPair,
    overflow: Option<u32>,
) -> Result<SocketOwner, Unknown> {
    let established = |pair| Ok(look_up(&pair)?.filter(|entry| entry.established));
    let TcpEntry { uid, inode, .. } = established(theirs)?.ok_or(Unknown::NotEstablished)?;
    if inode == 0 {
        return Err(Unknown::NoInode);
    }
    // Last: a socket that was closed during the look has reached our end by now.
    if established(theirs.other_end())?.is_none() {
        return Err(Unknown::OursClosed);
    }
    if Some(uid) == overflow {
        return Err(Unknown::OverflowUid);
    }
    Ok(SocketOwner { uid, inode })
}

#[cfg(test)]
mod tests;
