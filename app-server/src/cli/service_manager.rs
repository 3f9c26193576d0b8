//! The service manager that has started this process: the news that it waits for (sd_notify(3)), and the sockets that it has opened
//! (sd_listen_fds(3)).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::libc;
use sd_notify::NotifyState;
use skein_config::{FIRST_PASSED, PassedSockets};
use socket2::{Domain, SockAddr, Socket, Type};

/// The variables that are for this process alone.
const VARIABLES: [&str; 4] = [NEWS, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
const NEWS: &str = "NOTIFY_SOCKET";

/// The service manager that waits for news; nobody, if no address is known.
#[derive(Debug, Clone, Default)]
pub(super) struct ServiceManager {
    address: Option<OsString>,
}

/// Takes what a service manager has left for this process, out of the environment that other programs inherit. No other thread may
/// run yet.
pub(super) fn take() -> (ServiceManager, PassedSockets) {
    let variable = |name: &str| std::env::var_os(name);
    let manager = ServiceManager { address: variable(NEWS) };
    let passed = kept(PassedSockets::named(std::process::id(), &variable));
    for name in VARIABLES {
        // SAFETY: the caller says that this is the only thread.
        unsafe { std::env::remove_var(name) };
    }
    (manager, passed)
}

/// Keeps passed descriptors from programs that this one starts. A descriptor that is not open yet could become another file.
fn kept(passed: PassedSockets) -> PassedSockets {
    let PassedSockets::Number(number) = passed else { return passed };
    let mut all = FIRST_PASSED..FIRST_PASSED + number;
    all.find(|descriptor| !close_on_exec(*descriptor)).map_or(passed, PassedSockets::Closed)
}

/// Whether the descriptor is open.
fn close_on_exec(descriptor: RawFd) -> bool {
    // SAFETY: sets a flag of an open descriptor, and fails for another number.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) == 0 }
}

impl ServiceManager {
    /// Tells it about this service.
    pub(super) fn notify(&self, states: &[NotifyState<'_>]) {
        let Some(address) = &self.address else { return };
        let news: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(error) = send(address, &news) {
            tracing::warn!(%error, "the service manager cannot be told about this service");
        }
    }
}

/// Sends a datagram to a socket with a path, or with an abstract name behind `@`.
fn send(address: &OsStr, news: &str) -> io::Result<()> {
    let mut name = address.as_bytes().to_vec();
    if let Some(first) = name.first_mut().filter(|first| **first == b'@') {
        *first = 0;
    }
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    socket.send_to(news.as_bytes(), &SockAddr::unix(OsString::from_vec(name))?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn news_reach_a_path_and_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("news");
        let name = format!("skein-news-{}", std::process::id());
        let at_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (address, socket) in [
            (path.clone().into_os_string(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{name}").into(), at_name),
        ] {
            ServiceManager { address: Some(address) }.notify(&[NotifyState::Ready, NotifyState::Stopping]);
            let mut read = [0; 100];
            let length = socket.recv(&mut read).unwrap();
            assert_eq!(&read[..length], b"READY=1\nSTOPPING=1\n");
        }
        ServiceManager::default().notify(&[NotifyState::Ready]);
    }
}
