//! The messages between the server and a guard over the control socket.
//!
//! Server to guard: one byte that carries four descriptors (the helper's standard input, output and error, and a file
//! with the plan as JSON, so that nothing of it shows in a command line), then orders of one byte. Guard to server:
//! reports, a line each.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, IoSlice, IoSliceMut, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, UnixAddr, recvmsg, sendmsg};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};
use skein_base::system;

use crate::containment::limits::HelperLimits;
use crate::containment::step::{Exit, Step};
use crate::containment::tag::ProcessTag;
use crate::process::stages::Stage;

/// The first argument that makes the skein program a guard.
pub(crate) const COMMAND: &str = "__guard";

/// The plan of a guard: how it starts and ends its helper.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) command: OsString,
    pub(crate) args: Vec<OsString>,
    /// The whole environment of the helper.
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: OsString,
    /// The folder of the helper's cgroup, made by the server.
    pub(crate) cgroup: Option<OsString>,
    /// Without its cgroup the helper must not run.
    pub(crate) cgroup_forced: bool,
    /// It gets a PID namespace.
    pub(crate) namespace: bool,
    /// The limits of each process.
    pub(crate) limits: HelperLimits,
    /// The soft limit of descriptors that programs of the user have.
    pub(crate) soft_files: Option<u64>,
    /// The tag of all its processes.
    pub(crate) tag: ProcessTag,
    /// Each wait between two stages of ending.
    pub(crate) grace: Duration,
}

impl fmt::Debug for Plan {
    /// Without arguments and values of variables, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Plan").field("command", &self.command).field("env", &names).finish_non_exhaustive()
    }
}

impl Plan {
    /// An anonymous file that holds the plan.
    fn file(&self) -> io::Result<File> {
        let mut file = system::anonymous_file()?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file)
    }
}

/// Sends the plan and the helper's standard input, output and error. Never blocks on a fresh socket.
///
/// # Errors
/// The guard is gone, or the system is out of descriptors or memory.
pub(crate) fn send_plan(to: BorrowedFd<'_>, plan: &Plan, pipes: [BorrowedFd<'_>; 3]) -> io::Result<()> {
    let file = plan.file()?;
    let [input, output, error] = pipes.map(|pipe| pipe.as_raw_fd());
    let rights = [input, output, error, file.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&rights)];
    sendmsg::<UnixAddr>(to.as_raw_fd(), &[IoSlice::new(b"p")], &rights, system::SEND, None)?;
    Ok(())
}

/// Receives what [`send_plan`] sent; the descriptors are close-on-exec.
///
/// # Errors
/// The server is gone, or what it sent is no plan.
pub(crate) fn receive_plan(from: &UnixStream) -> io::Result<(Plan, [OwnedFd; 3])> {
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let message = recvmsg::<UnixAddr>(from.as_raw_fd(), &mut data, Some(&mut space), system::RECEIVE)?;
    let mut files = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel made these descriptors for this message; nobody else knows their numbers.
            files.extend(raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
        }
    }
    for file in &files {
        // Not every system has done it in the same step.
        fcntl_setfd(file, FdFlags::CLOEXEC)?;
    }
    let [input, output, error, plan] =
        <[OwnedFd; 4]>::try_from(files).map_err(|_| io::Error::other("the server sent no plan"))?;
    let plan = serde_json::from_reader(BufReader::new(File::from(plan)))?;
    Ok((plan, [input, output, error]))
}

/// An order of the server to a running guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// End the helper in stages. The server has closed its end of the helper's standard input.
    Stop,
    /// Go to SIGKILL now.
    Kill,
}

impl Order {
    /// As it goes over the socket.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Stop => b's',
            Self::Kill => b'k',
        }
    }

    /// `None` for a byte that is no order.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Stop, Self::Kill].into_iter().find(|order| order.byte() == byte)
    }
}

/// A report of a guard to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuardReport {
    /// The program runs, with this pid.
    Started(i32),
    /// A step failed with this errno. The helper runs on only after [`Step::Cgroup`], where that is not forced.
    Failed(Step, i32),
    /// The main process ended; descendants may be left.
    Exited(Exit),
    /// No process is left. The stage that was in force is the hardest that was needed.
    Stopped(Option<Stage>),
}

impl GuardReport {
    /// As a line, with its end.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Started(pid) => format!("started {pid}\n"),
            Self::Failed(step, errno) => format!("failed {} {errno}\n", step.word()),
            Self::Exited(Exit::Code(code)) => format!("exited {code}\n"),
            Self::Exited(Exit::Signal(signal)) => format!("signalled {signal}\n"),
            Self::Stopped(None) => "zero none\n".to_owned(),
            Self::Stopped(Some(Stage::CloseInput)) => "zero close\n".to_owned(),
            Self::Stopped(Some(Stage::Terminate)) => "zero terminate\n".to_owned(),
            Self::Stopped(Some(Stage::Kill)) => "zero kill\n".to_owned(),
        }
    }

    /// Reads a line without its end; `None` when it is no report.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let report = match (words.next()?, words.next()?) {
            ("started", pid) => Self::Started(pid.parse().ok()?),
            ("failed", step) => Self::Failed(Step::from_word(step)?, words.next()?.parse().ok()?),
            ("exited", code) => Self::Exited(Exit::Code(code.parse().ok()?)),
            ("signalled", signal) => Self::Exited(Exit::Signal(signal.parse().ok()?)),
            ("zero", "none") => Self::Stopped(None),
            ("zero", "close") => Self::Stopped(Some(Stage::CloseInput)),
            ("zero", "terminate") => Self::Stopped(Some(Stage::Terminate)),
            ("zero", "kill") => Self::Stopped(Some(Stage::Kill)),
            _ => return None,
        };
        words.next().is_none().then_some(report)
    }
}

#[cfg(test)]
mod tests {
    use skein_base::home_tag::HomeTag;

    use super::*;
    use crate::containment::tag::StartTag;

    #[test]
    fn every_report_and_order_reads_as_it_was_written() {
        let steps = Step::ALL.map(|step| GuardReport::Failed(step, 2));
        let ends = [None, Some(Stage::CloseInput), Some(Stage::Terminate), Some(Stage::Kill)]
            .map(GuardReport::Stopped);
        let others = [
            GuardReport::Started(7),
            GuardReport::Exited(Exit::Code(3)),
            GuardReport::Exited(Exit::Signal(9)),
        ];
        for report in steps.into_iter().chain(ends).chain(others) {
            let line = report.line();
            assert_eq!(line.strip_suffix('\n').and_then(GuardReport::parse), Some(report), "{line:?}");
        }
        assert_eq!(
            (GuardReport::parse("started x"), GuardReport::parse("zero kill 1"), GuardReport::parse("")),
            (None, None, None)
        );
        for order in [Order::Stop, Order::Kill] {
            assert_eq!(Order::from_byte(order.byte()), Some(order));
        }
        assert_eq!(Order::from_byte(b'x'), None);
    }

    #[test]
    fn a_plan_survives_the_socket_also_when_it_is_no_text() {
        use std::io::Read;
        use std::os::fd::AsFd;
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let plan = Plan {
            command: "run".into(),
            args: vec!["--flag".into(), odd.clone()],
            env: vec![("NAME".into(), "x".repeat(1 << 20).into()), ("ODD".into(), odd)],
            cwd: "/".into(),
            cgroup: None,
            cgroup_forced: true,
            namespace: true,
            limits: HelperLimits { files: Some(64), nice: Some(-3), ..HelperLimits::default() },
            soft_files: Some(1_024),
            tag: ProcessTag::new(StartTag::new(HomeTag::of(&[b"home"]), 1), 2),
            grace: Duration::from_millis(500),
        };
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let (mut read, mut write) = io::pipe().expect("a pipe");
        send_plan(ours.as_fd(), &plan, [write.as_fd(), read.as_fd(), read.as_fd()]).expect("sent");
        let (received, [input, _output, _error]) = receive_plan(&theirs).expect("received");
        assert_eq!(received, plan);
        let printed = format!("{plan:?}");
        assert!(printed.contains("NAME") && !printed.contains("xx"), "no value of a variable is printed");
        write.write_all(b"1").expect("room");
        drop(write);
        File::from(input).write_all(b"2").expect("the same pipe");
        let mut both = String::new();
        read.read_to_string(&mut both).expect("the end");
        assert_eq!(both, "12");
        drop(ours);
        assert!(receive_plan(&theirs).is_err());
    }
}
