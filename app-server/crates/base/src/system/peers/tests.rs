//! The decision about an answer of the kernel, and connections of this process with themselves.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use nix::unistd::Uid;

use super::*;

const OVERFLOW: Option<u32> = Some(65534);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn pair() -> TcpPair {
    TcpPair::new(address("127.0.0.1:40000"), address("127.0.0.1:4500"))
}

fn open(uid: u32, inode: u64) -> Option<TcpEntry> {
    Some(TcpEntry { established: true, uid, inode })
}

/// The decision where the kernel says this of the peer's socket and then of ours.
fn decided(theirs: Option<TcpEntry>, ours: Option<TcpEntry>) -> Result<SocketOwner, Unknown> {
    let asked = RefCell::new(Vec::new());
    let found = owner(
        |asked_for| {
            asked.borrow_mut().push(*asked_for);
            Ok(if *asked_for == pair() { theirs } else { ours })
        },
        pair(),
        OVERFLOW,
    );
    let asked = asked.into_inner();
    assert_eq!(asked.first(), Some(&pair()));
    assert!(asked.len() == 1 || asked[1..] == [pair().other_end()], "ours last: {asked:?}");
    assert!(found.is_err() || asked.len() == 2, "ours is asked for too");
    found
}

#[test]
fn only_an_established_socket_with_an_inode_and_an_established_other_end_has_an_owner() {
    let waits = |uid| Some(TcpEntry { established: false, uid, inode: 0 });
    assert_eq!(decided(open(1000, 7), open(0, 8)).unwrap(), SocketOwner { uid: 1000, inode: 7 });
    assert!(matches!(decided(None, open(0, 8)), Err(Unknown::NotEstablished)));
    assert!(matches!(decided(waits(0), open(0, 8)), Err(Unknown::NotEstablished)));
    assert!(matches!(decided(open(0, 0), open(0, 8)), Err(Unknown::NoInode)));
    assert!(matches!(decided(open(0, 7), None), Err(Unknown::OursClosed)));
    assert!(matches!(decided(open(0, 7), waits(0)), Err(Unknown::OursClosed)));
    assert!(matches!(decided(open(65534, 7), open(0, 8)), Err(Unknown::OverflowUid)));
}

#[test]
fn an_ipv4_address_in_ipv6_is_asked_for_as_ipv4() {
    let mapped = TcpPair::new(address("[::ffff:127.0.0.1]:40000"), address("[::ffff:127.0.0.1]:4500"));
    assert_eq!(mapped, pair());
    let ipv6 = TcpPair::new(address("[::1]:1"), address("[::1]:2"));
    assert_eq!(ipv6.own, address("[::1]:1"));
}

/// Both ends of a connection of this process, the server's first.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

fn peer_of(server: &TcpStream) -> Result<SocketOwner, Unknown> {
    peer_of_tcp(server.local_addr().unwrap(), server.peer_addr().unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn the_other_end_of_a_connection_belongs_to_its_user_until_it_closes() {
    use std::os::fd::AsRawFd;
    let (mut server, mut client) = connection();
    let (local, peer) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
    let found = peer_of(&server).unwrap();
    assert_eq!(found.uid, Uid::effective().as_raw());
    let shown = std::fs::read_link(format!("/proc/self/fd/{}", client.as_raw_fd())).unwrap();
    assert_eq!(shown.to_str(), Some(&*format!("socket:[{}]", found.inode)));
    client.write_all(b"a request").unwrap();
    assert!(!is_closing(local, peer));
    drop(client);
    assert!(matches!(peer_of(&server), Err(Unknown::NotEstablished)), "it closed behind its request");
    assert!(is_closing(local, peer));
    let mut request = String::new();
    server.read_to_string(&mut request).unwrap();
    assert_eq!(request, "a request", "what a closed socket sent is still read");
}

#[test]
#[cfg(not(target_os = "linux"))]
fn nobody_can_say_whose_a_connection_is() {
    let (server, _client) = connection();
    assert!(matches!(peer_of(&server), Err(Unknown::Unsupported)));
    assert!(!is_closing(server.local_addr().unwrap(), server.peer_addr().unwrap()));
}

#[test]
fn the_process_behind_a_unix_socket_is_pinned() {
    let (server, client) = UnixStream::pair().unwrap();
    let peer = peer_of_unix(&server).unwrap();
    assert_eq!((peer.uid, peer.pid), (Uid::effective().as_raw(), Some(Pid::this())));
    assert!(!peer.has_ended());
    drop(client);
    assert!(!peer.has_ended(), "the process lives, whatever its socket does");
}
