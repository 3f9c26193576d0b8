//! The helper behind a connection to the server.

use nix::unistd::Pid;
use skein_base::system::peers::UnixPeer;
use skein_base::system::proc::Unsettled;
use skein_protocol::ids::ThreadId;

use super::Helpers;
use crate::process::living::Belonging;

/// A helper that has connected to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name in the settings; `None` for a helper that has ended, of which a process is left.
    pub name: Option<String>,
    /// The thread that uses it, if only one does.
    pub thread: Option<ThreadId>,
    /// `may_connect` of its settings.
    pub may_connect: bool,
}

impl Caller {
    /// A helper of which nothing is known.
    pub fn former() -> Self {
        Self { name: None, thread: None, may_connect: false }
    }
}

impl Helpers {
    /// Whether a helper process lives.
    pub fn has_living(&self) -> bool {
        !self.host.living.is_empty()
    }

    /// The helper that a process belongs to: a guard of this server is above it, or it carries a tag of this home. Reads a few
    /// files of `/proc`. The caller makes sure afterwards that the pid is still that process's, or asks
    /// [`Helpers::helper_of_peer`].
    ///
    /// # Errors
    /// Its parents end too fast to tell.
    pub fn helper_of_process(&self, pid: Pid) -> Result<Option<Caller>, Unsettled> {
        Ok(self.host.belonging_of_process(pid)?.map(|belonging| self.caller(belonging)))
    }

    /// The helper behind a unix socket. While a helper lives, a process that has connected and ended counts as one: it may have
    /// left the socket to another process.
    ///
    /// # Errors
    /// Its parents end too fast to tell.
    pub fn helper_of_peer(&self, peer: &UnixPeer) -> Result<Option<Caller>, Unsettled> {
        let Some(pid) = peer.pid else { return Ok(None) };
        let found = self.helper_of_process(pid);
        match peer.has_ended() {
            false => found,
            true if self.host.living.is_empty() => Ok(None),
            true => Ok(Some(Caller::former())),
        }
    }

    /// The helper of which a process holds the socket with this inode, as `/proc/PID/fd` shows it. Blocks while it reads the
    /// process table and the descriptors of helpers' processes. Reads nothing while no helper lives.
    ///
    /// # Errors
    /// Processes begin too fast to tell.
    pub fn helper_of_socket(&self, inode: u64) -> Result<Option<Caller>, Unsettled> {
        Ok(self.host.belonging_of_socket(inode)?.map(|belonging| self.caller(belonging)))
    }

    fn caller(&self, belonging: Belonging) -> Caller {
        match belonging {
            Belonging::To(helper) => Caller {
                thread: helper.guard.and_then(|guard| self.pool.thread_below(&guard)),
                name: Some(helper.name),
                may_connect: helper.may_connect,
            },
            Belonging::Former => Caller::former(),
        }
    }
}
