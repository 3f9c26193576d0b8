use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::poll;
use skein_config::Limits;
use skein_protocol::ids::ConnectionId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::doors::TcpDoor;
use super::*;
use crate::outbox::{CloseReason, Outbox, OutboxLimits};

const SECOND: Duration = Duration::from_secs(1);

fn nobody() -> Peer {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    Peer::Tcp(TcpPeer { local: nowhere, peer: nowhere, door: Door::Loopback, certificate: None, name: None })
}

fn socket(room: usize) -> (DuplexStream, Socket<DuplexStream>, Visitor) {
    let (client, server) = duplex(room);
    let visitor = Visitor::new(HandshakePlace { _of_all: None, _of_address: None }, nobody());
    (client, Socket::new(server, visitor.clone()), visitor)
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_a_handshake_ends_in_time_also_when_it_trickles() {
    let (mut client, mut socket, _) = socket(64);
    let began = Clock.now();
    let trickle = async {
        let mut seconds = tokio::time::interval(SECOND);
        loop {
            seconds.tick().await;
            client.write_all(b"x").await.unwrap();
        }
    };
    let mut read = Vec::new();
    let error = tokio::select! {
        read = socket.read_to_end(&mut read) => read.unwrap_err(),
        () = trickle => unreachable!("it never ends"),
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(Clock.now() - began, policy::HEAD_TIME);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_did_not_run_for_a_while_reads_before_it_judges() {
    let (mut client, mut socket, visitor) = socket(64);
    client.write_all(b"head").await.unwrap();
    tokio::time::advance(policy::HEAD_TIME * 2).await;
    let mut head = [0; 4];
    socket.read_exact(&mut head).await.unwrap();
    // The library looks for more before it passes the request on.
    assert!(poll!(Box::pin(socket.read_u8())).is_pending());
    visitor.begin_request(false);
    assert!(poll!(Box::pin(socket.read_u8())).is_pending());
    socket.write_all(b"answer").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_client_does_not_run_while_the_server_works() {
    let (mut client, mut socket, visitor) = socket(64);
    for _ in 0..2 {
        client.write_all(b"x").await.unwrap();
        socket.read_u8().await.unwrap();
        visitor.begin_request(false);
        let next = timeout(policy::HEAD_TIME * 10, socket.read_u8()).await;
        assert!(next.is_err(), "{next:?}");
        socket.write_all(b"answer").await.unwrap();
    }
    let began = Clock.now();
    let error = socket.read_u8().await.unwrap_err();
    assert_eq!((error.kind(), Clock.now() - began), (io::ErrorKind::TimedOut, policy::HEAD_TIME));
}

#[tokio::test(start_paused = true)]
async fn a_body_has_to_come_in_time() {
    let (mut client, mut socket, visitor) = socket(64);
    let began = Clock.now();
    client.write_all(b"x").await.unwrap();
    socket.read_u8().await.unwrap();
    visitor.begin_request(true);
    let error = socket.read_u8().await.unwrap_err();
    assert_eq!((error.kind(), Clock.now() - began), (io::ErrorKind::TimedOut, policy::HEAD_TIME));
}

#[tokio::test(start_paused = true)]
async fn a_head_has_an_end() {
    let (mut client, mut socket, _) = socket(1 << 20);
    client.write_all(&vec![b'x'; policy::HEAD_BYTES + 1]).await.unwrap();
    let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_connection_has_the_limits_of_the_first() {
    let (mut client, mut socket, _) = socket(1 << 20);
    let mut head = vec![0; policy::HEAD_BYTES - 1];
    for _ in 0..20 {
        client.write_all(&head).await.unwrap();
        tokio::time::advance(policy::HEAD_TIME / 2).await;
        socket.read_exact(&mut head).await.unwrap();
        socket.write_all(b"answer").await.unwrap();
    }
    client.write_all(&head).await.unwrap();
    client.write_all(b"xx").await.unwrap();
    let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_next_request_ends_in_time() {
    let (mut client, mut socket, _) = socket(64);
    client.write_all(b"x").await.unwrap();
    socket.read_u8().await.unwrap();
    tokio::time::advance(policy::HEAD_TIME / 2).await;
    socket.write_all(b"answer").await.unwrap();
    let began = Clock.now();
    let error = socket.read_u8().await.unwrap_err();
    assert_eq!((error.kind(), Clock.now() - began), (io::ErrorKind::TimedOut, policy::HEAD_TIME));
}

/// The HTTP library closes a connection without an answer when it finds the whole preface.
#[tokio::test(start_paused = true)]
async fn the_preface_of_http_2_is_found_behind_empty_lines_and_in_each_request_however_it_is_cut() {
    for preface in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        for cut in 0..=preface.len() {
            let (mut client, mut socket, _) = socket(1 << 10);
            for request in 0..2 {
                let mut read = vec![0; preface.len()];
                let (first, rest) = preface.split_at(cut);
                let (read_first, read_rest) = read.split_at_mut(cut);
                client.write_all(first.as_bytes()).await.unwrap();
                socket.read_exact(read_first).await.unwrap();
                client.write_all(rest.as_bytes()).await.unwrap();
                socket.read_exact(read_rest).await.unwrap();
                let read = String::from_utf8(read).unwrap();
                assert_eq!(read, preface.replace("HTTP/2", "HTTP/X"), "request {request}, cut at {cut}");
                socket.write_all(b"answer").await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn behind_the_handshake_there_is_no_limit() {
    let (mut client, mut socket, visitor) = socket(1 << 20);
    let _life = visitor.come_in();
    tokio::time::advance(policy::HEAD_TIME * 100).await;
    client.write_all(&vec![b'x'; policy::HEAD_BYTES * 2]).await.unwrap();
    drop(client);
    let mut read = Vec::new();
    socket.read_to_end(&mut read).await.unwrap();
    assert_eq!(read.len(), policy::HEAD_BYTES * 2);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_come_and_room_that_is_made_are_signs_of_life() {
    let (mut client, mut socket, visitor) = socket(8);
    let life = visitor.come_in();
    let mut seen = life.last_sign();
    let mut is_sign = || {
        let last = life.last_sign();
        let later = last > seen;
        seen = last;
        later
    };
    tokio::time::advance(SECOND).await;
    client.write_all(b"x").await.unwrap();
    socket.read_u8().await.unwrap();
    assert!(is_sign(), "a byte");
    tokio::time::advance(SECOND).await;
    socket.write_all(b"12345678").await.unwrap();
    assert!(!is_sign(), "the kernel takes what nobody reads");
    let write = socket.write_all(b"9");
    tokio::pin!(write);
    assert!(poll!(&mut write).is_pending());
    assert!(!is_sign(), "nobody has read");
    client.read_u8().await.unwrap();
    write.await.unwrap();
    assert!(is_sign(), "somebody has read");
}

/// A client of a websocket that the server has closed for this reason, and what the server keeps of it.
fn closed(reason: CloseReason) -> (DuplexStream, Visitor) {
    let (client, socket, visitor) = socket(8);
    let outbox = Outbox::new(ConnectionId(1), OutboxLimits::of(&Limits::default()));
    visitor.come_in().takes_from(&outbox);
    outbox.close(reason);
    drop(socket);
    (client, visitor)
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_sees_the_end_and_what_it_still_sends_is_read_away() {
    let (mut client, visitor) = closed(CloseReason::TooLarge);
    let sends = async {
        client.write_all(&vec![b'x'; 10_000]).await.unwrap();
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"");
        drop(client);
    };
    let began = Clock.now();
    tokio::join!(sends, visitor.linger());
    assert!(Clock.now() < began + policy::LINGER_TIME, "it ends with the client");
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_never_ends_is_left_after_a_while() {
    let (mut client, visitor) = closed(CloseReason::SlowClient);
    let began = Clock.now();
    visitor.linger().await;
    assert_eq!(Clock.now() - began, policy::LINGER_TIME);
    assert!(client.write_all(b"more than eight").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nobody_else_is_waited_for() {
    for reason in [CloseReason::ClientLeft, CloseReason::ServerStops, CloseReason::Silent] {
        let (mut client, visitor) = closed(reason);
        assert!(client.write_all(b"more than eight").await.is_err(), "{reason:?}: its socket is closed");
        let began = Clock.now();
        visitor.linger().await;
        assert_eq!(Clock.now(), began, "{reason:?}");
    }
}

#[tokio::test]
async fn only_so_many_may_stand_before_the_door() {
    let listener = TcpDoor::local();
    let address = listener.address();
    let mut door = Acceptor::with_places(listener, Arc::new(|| true), 2);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(TcpStream::connect(address).await.unwrap());
    }
    let (first, second) = (door.accept().await, door.accept().await);
    assert!(poll!(std::pin::pin!(door.accept())).is_pending());
    // One completes its handshake, one leaves: two slots.
    let _life = first.1.come_in();
    let third = door.accept().await;
    drop(second);
    let fourth = door.accept().await;
    assert!(poll!(std::pin::pin!(door.accept())).is_pending());
    drop((third, fourth));
}

#[tokio::test]
async fn a_client_waits_while_descriptors_are_kept_for_files() {
    let listener = TcpDoor::local();
    let address = listener.address();
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let mut door = Acceptor::new(listener, Arc::new(move || counted.fetch_add(1, Ordering::Relaxed) >= 2));
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut socket, visitor) = door.accept().await;
    assert_eq!((looks.load(Ordering::Relaxed), door.shut), (3, false));
    let _life = visitor.come_in();
    client.write_all(b"x").await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'x');
}
