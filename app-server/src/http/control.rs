//! The control socket: the same routes, for programs of the same user on this machine.

use std::io;
use std::sync::Arc;

use nix::unistd::{Uid, geteuid};
use skein_base::clock::Clock;
use skein_base::system::peers::{self, UnixPeer};
use skein_config::access::Refusals;
use skein_store::home::{HomePaths, socket};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::acceptor::{Accept, Peer};
use super::access::{PeerKey, RefusalLog};

/// The listening socket in the home.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    /// The user whose programs have access.
    user: Uid,
    refusals: Arc<Refusals>,
    log: RefusalLog,
    /// Connections that another unix socket of this process has accepted.
    brought: mpsc::Receiver<UnixStream>,
    entrance: mpsc::Sender<UnixStream>,
}

impl Control {
    /// Creates the socket in a home that the caller owns.
    ///
    /// # Errors
    /// As [`socket::listen_at`].
    pub(crate) fn listen(paths: &HomePaths, refusals: Arc<Refusals>) -> io::Result<Self> {
        Ok(Self::at(UnixListener::from_std(socket::listen_at(paths)?)?, refusals))
    }

    /// Serves another unix socket by the same rules.
    pub(crate) fn at(listener: UnixListener, refusals: Arc<Refusals>) -> Self {
        // One at a time: the others wait at their own socket.
        let (entrance, brought) = mpsc::channel(1);
        Self { listener, user: geteuid(), refusals, log: RefusalLog::default(), brought, entrance }
    }

    /// Takes connections that another unix socket of this process has accepted.
    pub(crate) fn entrance(&self) -> mpsc::Sender<UnixStream> {
        self.entrance.clone()
    }

    /// The process at the other end, if its user is the server's according to the kernel.
    fn admitted(&self, stream: &UnixStream) -> Option<UnixPeer> {
        match peers::peer_of_unix(stream) {
            Ok(peer) if peer.uid == self.user.as_raw() => return Some(peer),
            Ok(peer) if self.log.is_news(PeerKey::User(peer.uid), "", Clock.now()) => {
                tracing::warn!(uid = peer.uid, pid = ?peer.pid, "another user's program is not served");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a program of an unknown user is not served"),
        }
        self.refusals.users.add_one();
        None
    }
}

impl Accept for Control {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Peer)> {
        loop {
            let stream = tokio::select! {
                accepted = self.listener.accept() => accepted?.0,
                // Its own sender keeps it open.
                Some(stream) = self.brought.recv() => stream,
            };
            if let Some(peer) = self.admitted(&stream) {
                return Ok((stream, Peer::Unix(Arc::new(peer))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::Pid;
    use skein_store::home::Home;
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn knock(control: &mut Control, paths: &HomePaths) -> Option<UnixStream> {
        let mut client = UnixStream::connect(paths.control_socket()).await.unwrap();
        let mut byte = [0; 1];
        tokio::select! {
            accepted = control.accept() => Some(accepted.unwrap().0),
            ended = client.read(&mut byte) => {
                assert_eq!(ended.unwrap(), 0);
                None
            }
        }
    }

    #[tokio::test]
    async fn only_programs_of_the_same_user_are_let_in() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let mut control = Control::listen(home.paths(), Arc::default()).unwrap();
        assert!(knock(&mut control, home.paths()).await.is_some());
        control.user = Uid::from_raw(geteuid().as_raw() + 1);
        assert!(knock(&mut control, home.paths()).await.is_none());
        assert_eq!(control.refusals.users.get(), 1);
    }

    #[tokio::test]
    async fn a_connection_of_another_socket_is_let_in_by_the_same_rule() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let mut control = Control::listen(home.paths(), Arc::default()).unwrap();
        let (server, _client) = UnixStream::pair().unwrap();
        control.entrance().send(server).await.unwrap();
        let Peer::Unix(peer) = control.accept().await.unwrap().1 else { panic!("no unix socket") };
        assert_eq!((peer.uid, peer.pid), (geteuid().as_raw(), Some(Pid::this())));
        control.user = Uid::from_raw(geteuid().as_raw() + 1);
        let (server, mut client) = UnixStream::pair().unwrap();
        control.entrance().send(server).await.unwrap();
        let mut byte = [0; 1];
        tokio::select! {
            accepted = control.accept() => panic!("{accepted:?}"),
            ended = client.read(&mut byte) => assert_eq!(ended.unwrap(), 0),
        }
    }
}
