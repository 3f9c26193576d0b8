//! Both ways to ask the kernel about a socket, on the same connections.

use std::net::{Ipv6Addr, TcpListener, TcpStream};

use nix::unistd::Uid;

use super::*;

/// A way to ask.
type Way = (&'static str, fn(&TcpPair) -> Result<Option<TcpEntry>, Unknown>);

const WAYS: [Way; 3] = [("sock_diag", by_sock_diag), ("/proc", by_proc), ("either", tcp_entry)];

/// A listener's address and a client's, of every kind that this machine has.
fn kinds() -> Vec<(&'static str, &'static str)> {
    let mut kinds = vec![("127.0.0.1:0", "127.0.0.1"), ("127.0.0.2:0", "127.0.0.2")];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        // One listener for both kinds takes IPv4 clients under mapped addresses.
        kinds.extend([("[::1]:0", "::1"), ("[::]:0", "127.0.0.1"), ("[::]:0", "::ffff:127.0.0.1")]);
    }
    kinds
}

fn connection(listen: &str, to: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(listen).unwrap();
    let to: IpAddr = to.parse().unwrap();
    let client = TcpStream::connect((to, listener.local_addr().unwrap().port())).unwrap();
    (listener.accept().unwrap().0, client)
}

/// The peer's socket and ours, as the server names them.
fn pairs(server: &TcpStream) -> [TcpPair; 2] {
    let (local, peer) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
    [TcpPair::new(peer, local), TcpPair::new(local, peer)]
}

fn inode(socket: &TcpStream) -> u64 {
    let shown = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
    let shown = shown.to_str().unwrap();
    shown.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).unwrap().parse().unwrap()
}

#[test]
fn both_ways_know_both_ends_of_a_connection_by_user_and_inode() {
    for (listen, to) in kinds() {
        let (server, client) = connection(listen, to);
        for (way, look_up) in WAYS {
            for (pair, socket) in pairs(&server).iter().zip([&client, &server]) {
                let found = look_up(pair).unwrap();
                let wanted =
                    TcpEntry { established: true, uid: Uid::effective().as_raw(), inode: inode(socket) };
                assert_eq!(found, Some(wanted), "{way}: {pair:?} of {listen} and {to}");
            }
        }
    }
}

#[test]
fn only_a_sock_diag_that_has_found_a_socket_is_believed_that_there_is_none() {
    let finds = AtomicBool::new(false);
    let failed = || Err(Unknown::Io(io::ErrorKind::PermissionDenied.into()));
    let entry = TcpEntry { established: true, uid: 7, inode: 9 };
    for answer in [failed(), Ok(None)] {
        assert!(matches!(trusted(answer, &finds), Err(Unknown::NotAtOnce)));
    }
    assert!(matches!(trusted(Ok(Some(entry)), &finds), Ok(Some(found)) if found == entry));
    assert!(matches!(trusted(Ok(None), &finds), Ok(None)));
    assert!(matches!(trusted(failed(), &finds), Err(Unknown::NotAtOnce)));
}

#[test]
fn by_both_ways_a_closed_end_is_not_established() {
    for (listen, to) in kinds() {
        let (server, client) = connection(listen, to);
        let [theirs, ours] = pairs(&server);
        drop(client);
        for (way, look_up) in WAYS {
            for pair in [theirs, ours] {
                let found = look_up(&pair).unwrap();
                assert!(found.is_none_or(|entry| !entry.established), "{way}: {pair:?} {found:?}");
            }
        }
        drop(server);
        // Now in TIME_WAIT, which belongs to uid 0 and to nobody.
        for (way, look_up) in WAYS {
            let found = look_up(&theirs).unwrap();
            assert!(found.is_none_or(|entry| !entry.established && entry.inode == 0), "{way}: {found:?}");
        }
    }
}

#[test]
fn by_both_ways_a_pair_without_a_connection_is_nothing_even_where_a_socket_listens() {
    for (listen, to) in kinds() {
        let listener = TcpListener::bind(listen).unwrap();
        let at = SocketAddr::new(to.parse().unwrap(), listener.local_addr().unwrap().port());
        let other = SocketAddr::new(at.ip(), 1);
        for (way, look_up) in WAYS {
            for pair in [TcpPair::new(at, other), TcpPair::new(other, at)] {
                assert_eq!(look_up(&pair).unwrap(), None, "{way}: {pair:?}");
            }
        }
    }
}

#[test]
fn rows_of_the_tables_are_read() {
    let at = |text: &str| text.parse().unwrap();
    let pair = TcpPair::new(at("127.0.0.1:40000"), at("127.0.0.1:8080"));
    // The tables are in the byte order of the machine.
    let own = column(&pair.own, false);
    if cfg!(target_endian = "little") {
        assert_eq!(own, "0100007F:9C40");
        assert_eq!(column(&pair.own, true), "0000000000000000FFFF00000100007F:9C40");
        assert_eq!(column(&at("[::1]:80"), true), "00000000000000000000000001000000:0050");
    }
    let other = column(&pair.other, false);
    let table = format!(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
           0: {other} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0\n   \
           1: {own} {other} 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4\n   \
           2: {other} {own} 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0\n"
    );
    let read = |pair: &TcpPair| {
        let mut found = Vec::new();
        rows(table.as_bytes(), pair, false, &mut found).unwrap();
        found
    };
    assert_eq!(read(&pair), [TcpEntry { established: true, uid: 1000, inode: 222 }]);
    let ours = TcpPair::new(pair.other, pair.own);
    assert_eq!(read(&ours), [TcpEntry { established: false, uid: 0, inode: 0 }]);
}

#[test]
fn a_row_shown_twice_is_one_socket_and_rows_that_differ_are_none_that_is_established() {
    let entry = TcpEntry { established: true, uid: 1000, inode: 222 };
    let closed = TcpEntry { established: false, ..entry };
    assert_eq!(one_socket(&[]), None);
    assert_eq!(one_socket(&[entry, entry, entry]), Some(entry));
    let differing = [[entry, closed], [closed, entry], [entry, TcpEntry { uid: 0, ..entry }]];
    for rows in differing {
        assert!(one_socket(&rows).is_some_and(|found| !found.established), "{rows:?}");
    }
}

#[test]
fn the_uid_of_users_without_a_number_is_the_kernels() {
    let read = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
    assert_eq!(overflow_uid(), read.trim().parse().ok());
}
