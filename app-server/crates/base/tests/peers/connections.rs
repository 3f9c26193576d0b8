//! Connections of other processes and other users. The programs at their ends are this test program, run again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::unistd::{Pid, Uid};
use skein_base::system::peers::{SocketOwner, Unknown, Way, peer_of_tcp, peer_of_tcp_by, peer_of_unix};

/// Makes [`the_program`] more than an empty test: `server`, or a client: `wait`, `close` or `unix`.
const ROLE: &str = "SKEIN_TEST_ROLE";
/// The address of the server, for a client.
const ADDRESS: &str = "SKEIN_TEST_ADDRESS";
/// Users that a machine hardly has.
const USERS: [u32; 2] = [64001, 64002];
const REQUEST: &[u8] = b"a request";

/// Not a test but a program: one end of a connection.
#[test]
fn the_program() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let address = std::env::var(ADDRESS).unwrap();
    match role.as_str() {
        "server" => serve_one(),
        "unix" => {
            let _server = UnixStream::connect(address).unwrap();
            // Until the test closes the pipe.
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        _ => {
            let mut server = TcpStream::connect(address).unwrap();
            server.write_all(REQUEST).unwrap();
            if role == "wait" {
                assert_eq!(server.read(&mut [0]).unwrap(), 0, "the server has closed");
            }
        }
    }
}

/// Every way to ask whose a connection is.
fn ask(local: SocketAddr, peer: SocketAddr) -> [Result<SocketOwner, Unknown>; 3] {
    let by = |way| peer_of_tcp_by(way, local, peer);
    [peer_of_tcp(local, peer), by(Way::SockDiag), by(Way::Proc)]
}

/// Prints the server's address, then whose the connection is, by each way.
fn serve_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Not `println!`, which the test harness keeps to itself.
    let mut out = std::io::stderr();
    writeln!(out, "{}", listener.local_addr().unwrap()).unwrap();
    let (mut client, peer) = listener.accept().unwrap();
    client.read_exact(&mut [0; REQUEST.len()]).unwrap();
    let mut go = [0];
    std::io::stdin().read_exact(&mut go).unwrap();
    if go == *b"c" {
        assert_eq!(client.read(&mut go).unwrap(), 0, "the client has closed");
    }
    let found = ask(client.local_addr().unwrap(), peer).map(|found| match found {
        Ok(SocketOwner { uid, .. }) => uid.to_string(),
        Err(unknown) => format!("{unknown:?}"),
    });
    writeln!(out, "{}", found.join(" ")).unwrap();
}

/// This program as `user`.
#[expect(clippy::disallowed_methods, reason = "no helper")]
fn run_as(user: u32, role: &str, address: &str) -> Child {
    let program = File::open("/proc/self/exe").unwrap();
    // By a descriptor: another user may not reach the folder of the program.
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        .args(["--exact", "connections::the_program"])
        .env(ROLE, role)
        .env(ADDRESS, address)
        .current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    if user != Uid::effective().as_raw() {
        command.uid(user).gid(user);
    }
    command.spawn().unwrap()
}

/// The owner that a server of the user `server` sees of a client of the user `client`.
fn seen(server: u32, client: u32, role: &str) -> Vec<String> {
    let mut server = run_as(server, "server", "");
    let mut output = BufReader::new(server.stderr.take().unwrap()).lines();
    let address = output.next().unwrap().unwrap();
    let mut client = run_as(client, role, &address);
    if role == "close" {
        assert!(client.wait().unwrap().success());
    }
    let go: &[u8] = if role == "close" { b"c" } else { b"w" };
    server.stdin.take().unwrap().write_all(go).unwrap();
    let found = output.next().unwrap().unwrap();
    assert!(server.wait().unwrap().success());
    assert!(client.wait().unwrap().success());
    found.split(' ').map(str::to_owned).collect()
}

#[test]
fn another_user_is_seen_as_itself_and_never_as_root_once_its_socket_is_closed() {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let has_others = map.split_ascii_whitespace().nth(2).is_some_and(|count| count != "1");
    if !Uid::effective().is_root() || !has_others {
        eprintln!("SKIPPED: only root with other users in its user namespace starts programs of two users");
        return;
    }
    let [one, other] = USERS;
    for (server, client) in [(0, 0), (0, one), (one, 0), (one, one), (one, other)] {
        let found = seen(server, client, "wait");
        assert_eq!(found, [(); 3].map(|()| client.to_string()), "server {server}, client {client}");
        let closed = seen(server, client, "close");
        assert_eq!(closed, ["NotEstablished"; 3], "server {server}, client {client}");
    }
}

#[test]
fn a_process_that_connected_and_ended_is_not_taken_for_the_next_one_with_its_pid() {
    let door = std::env::temp_dir().join(format!("skein-peers-{}", Pid::this()));
    let listener = UnixListener::bind(&door).unwrap();
    let mut client = run_as(Uid::effective().as_raw(), "unix", &door.display().to_string());
    let (server, _) = listener.accept().unwrap();
    fs::remove_file(&door).unwrap();
    let before = peer_of_unix(&server).unwrap();
    let pid = Pid::from_raw(client.id().cast_signed());
    assert_eq!((before.uid, before.pid, before.has_ended()), (Uid::effective().as_raw(), Some(pid), false));
    assert!(client.wait().unwrap().success(), "its input is closed");
    assert!(before.has_ended());
    let after = peer_of_unix(&server).unwrap();
    assert!(after.has_ended(), "{after:?}");
}
