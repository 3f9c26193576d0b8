//! The other ends of sockets: sock_diag(7), proc_pid_net(5), unix(7).

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_ESTABLISHED};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, getsockopt, recv, send, socket, sockopt,
};
use nix::unistd::Pid;

use crate::system::peers::{TcpEntry, TcpPair, UnixPeer, Unknown, Way};

/// `INET_DIAG_NOCOOKIE`: whatever socket has these addresses.
const ANY_COOKIE: [u8; 8] = [0xff; 8];
/// The user of everybody who has no number in this user namespace, if the kernel does not say (user_namespaces(7)).
const OVERFLOW_UID: u32 = 65534;

/// How often the tables are read for a socket that they do not show.
const LOOKS: usize = 3;

/// sock_diag has found a socket. Without its module for TCP it says "no such socket" of every one.
static FINDS: AtomicBool = AtomicBool::new(false);

/// The uid that stands for users without a number here.
pub(crate) fn overflow_uid() -> Option<u32> {
    static READ: OnceLock<u32> = OnceLock::new();
    let read = || fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?.trim().parse().ok();
    Some(*READ.get_or_init(|| read().unwrap_or(OVERFLOW_UID)))
}

/// The socket as the kernel knows it. Asks `/proc` where sock_diag is refused.
pub(crate) fn tcp_entry(pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    match tcp_entry_at_once(pair) {
        Err(Unknown::NotAtOnce) => by_proc(pair),
        known => known,
    }
}

/// The socket, if sock_diag knows.
pub(crate) fn tcp_entry_at_once(pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    trusted(by_sock_diag(pair), &FINDS)
}

/// An answer of sock_diag. Until it has found a socket, its "no such socket" says nothing.
fn trusted(
    answer: Result<Option<TcpEntry>, Unknown>,
    finds: &AtomicBool,
) -> Result<Option<TcpEntry>, Unknown> {
    match answer {
        Ok(Some(found)) => {
            finds.store(true, Ordering::Relaxed);
            Ok(Some(found))
        }
        Ok(None) if finds.load(Ordering::Relaxed) => Ok(None),
        Ok(None) | Err(_) => Err(Unknown::NotAtOnce),
    }
}

/// The socket by one way alone.
pub(crate) fn tcp_entry_by(way: Way, pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    match way {
        Way::SockDiag => by_sock_diag(pair),
        Way::Proc => by_proc(pair),
    }
}

/// Asks sock_diag for exactly this socket. The kernel answers at once.
fn by_sock_diag(pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )
    .map_err(failed)?;
    let question = question(pair);
    send(socket.as_raw_fd(), &question, MsgFlags::MSG_DONTWAIT).map_err(failed)?;
    let mut answer = [0; 4096];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT).map_err(failed)?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer[..length])
        .map_err(|error| Unknown::Io(io::Error::other(error.to_string())))?;
    if let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) = answer.payload {
        return Ok(Some(entry(&found.header)).filter(|_| is_of(&found.header.socket_id, pair)));
    }
    if let NetlinkPayload::Error(error) = answer.payload {
        let absent = error.raw_code() == -libc::ENOENT;
        return if absent { Ok(None) } else { Err(Unknown::Io(error.to_io())) };
    }
    // Not a dump, so that the kernel sends nothing else.
    Err(Unknown::Io(io::Error::other("sock_diag sent an unknown answer")))
}

fn question(pair: &TcpPair) -> Vec<u8> {
    let request = InetRequest {
        family: if pair.own.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: pair.own.port(),
            destination_port: pair.other.port(),
            source_address: pair.own.ip(),
            destination_address: pair.other.ip(),
            interface_id: scope(&pair.own),
            cookie: ANY_COOKIE,
        },
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The interface of a link-local address.
fn scope(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

/// Whether the answer is about this socket. A lookup falls back to a socket that listens.
fn is_of(found: &SocketId, pair: &TcpPair) -> bool {
    let address = |ip: IpAddr, port| (ip.to_canonical(), port);
    address(found.source_address, found.source_port) == (pair.own.ip(), pair.own.port())
        && address(found.destination_address, found.destination_port) == (pair.other.ip(), pair.other.port())
}

fn entry(found: &InetResponseHeader) -> TcpEntry {
    let established = found.state == TCP_ESTABLISHED;
    TcpEntry { established, uid: found.uid, inode: found.inode.into() }
}

fn failed(errno: Errno) -> Unknown {
    Unknown::Io(errno.into())
}

/// Looks for this socket in `/proc/net/tcp` and `tcp6`, where IPv4 connections of IPv6 sockets are. A table that changes
/// during a look shows rows twice or not at all (proc_pid_net(5) is no snapshot), so a missing row is looked for again.
fn by_proc(pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    for _ in 1..LOOKS {
        if let Some(entry) = one_look(pair)? {
            return Ok(Some(entry));
        }
    }
    one_look(pair)
}

fn one_look(pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    let mut found = Vec::new();
    for (table, mapped) in [("tcp", false), ("tcp6", true)] {
        if !mapped && pair.own.is_ipv6() {
            continue;
        }
        match File::open(format!("/proc/self/net/{table}")) {
            Ok(file) => rows(BufReader::new(file), pair, mapped, &mut found).map_err(Unknown::Io)?,
            // A kernel without IPv6.
            Err(error) if mapped && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Unknown::Io(error)),
        }
    }
    Ok(one_socket(&found))
}

/// The socket that these rows show, which is not established if they differ.
fn one_socket(found: &[TcpEntry]) -> Option<TcpEntry> {
    let (&first, rest) = found.split_first()?;
    let established = first.established && rest.iter().all(|entry| *entry == first);
    Some(TcpEntry { established, ..first })
}

/// The rows of a table that are about this socket.
fn rows(mut table: impl BufRead, pair: &TcpPair, mapped: bool, found: &mut Vec<TcpEntry>) -> io::Result<()> {
    let (own, other) = (column(&pair.own, mapped), column(&pair.other, mapped));
    let mut line = String::new();
    while table.read_line(&mut line)? > 0 {
        let mut fields = line.split_ascii_whitespace().skip(1);
        if fields.next() == Some(&own) && fields.next() == Some(&other) {
            found.extend(row(fields));
        }
        line.clear();
    }
    Ok(())
}

/// State, uid and inode, which follow the two addresses.
fn row<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<TcpEntry> {
    let established = u8::from_str_radix(fields.next()?, 16).ok()? == TCP_ESTABLISHED;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(TcpEntry { established, uid, inode })
}

/// An address as the tables write it: each 32 bits of it as a number of this machine.
fn column(address: &SocketAddr, mapped: bool) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) if mapped => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| {
        let word = <[u8; 4]>::try_from(word).map(u32::from_ne_bytes).unwrap_or_default();
        format!("{word:08X}")
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

/// The process that connected to an accepted unix socket.
pub(crate) fn unix_peer(socket: BorrowedFd<'_>) -> io::Result<UnixPeer> {
    let found = getsockopt(&socket, sockopt::PeerCredentials)?;
    let pid = Some(Pid::from_raw(found.pid())).filter(|pid| pid.as_raw() > 0);
    let (pidfd, ended) = match getsockopt(&socket, sockopt::PeerPidfd) {
        Ok(pidfd) => (Some(pidfd), false),
        // Linux before 6.5.
        Err(Errno::ENOPROTOOPT) => (None, false),
        // The process was reaped.
        Err(_) => (None, true),
    };
    Ok(UnixPeer { uid: found.uid(), pid, pidfd, ended })
}

/// Whether the process of this pidfd has ended.
pub(crate) fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut ready = [PollFd::new(pidfd, PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
#[path = "sockets/tests.rs"]
mod tests;
