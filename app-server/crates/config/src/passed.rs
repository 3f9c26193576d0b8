//! The sockets that a service manager has opened for this process (sd_listen_fds(3)), as the environment names them.

use std::os::fd::RawFd;

use skein_store::home::Variable;

/// The descriptor of the first passed socket; the others follow it.
pub const FIRST_PASSED: RawFd = 3;

/// The passed sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PassedSockets {
    /// No service manager names any.
    #[default]
    None,
    /// `LISTEN_PID` names another process than this one.
    OtherProcess(String),
    /// `LISTEN_FDS` is no number.
    NoNumber(String),
    /// `LISTEN_FDS` counts this descriptor, which is not open.
    Closed(RawFd),
    /// So many, from [`FIRST_PASSED`] on.
    Number(RawFd),
}

impl PassedSockets {
    /// Reads the variables of an environment for the process with this id. The descriptors are not looked at.
    pub fn named(process: u32, variable: Variable<'_>) -> Self {
        let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        let (Some(pid), Some(number)) = (text("LISTEN_PID"), text("LISTEN_FDS")) else { return Self::None };
        if pid.parse() != Ok(process) {
            return Self::OtherProcess(pid);
        }
        match number.parse::<RawFd>() {
            Ok(number) if number >= 0 && number.checked_add(FIRST_PASSED).is_some() => Self::Number(number),
            Ok(_) | Err(_) => Self::NoNumber(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_for_this_process_names_sockets() {
        let named = |pid: Option<&str>, number: Option<&str>| {
            let variable = |name: &str| if name == "LISTEN_PID" { pid } else { number };
            PassedSockets::named(7, &|name| variable(name).map(Into::into))
        };
        for (pid, number, passed) in [
            (None, Some("1"), PassedSockets::None),
            (Some("7"), None, PassedSockets::None),
            (Some("8"), Some("1"), PassedSockets::OtherProcess("8".to_owned())),
            (Some("x"), Some("1"), PassedSockets::OtherProcess("x".to_owned())),
            (Some("7"), Some("2"), PassedSockets::Number(2)),
            (Some("7"), Some("0"), PassedSockets::Number(0)),
            (Some("7"), Some("-1"), PassedSockets::NoNumber("-1".to_owned())),
            (Some("7"), Some("one"), PassedSockets::NoNumber("one".to_owned())),
            (Some("7"), Some("2147483647"), PassedSockets::NoNumber("2147483647".to_owned())),
        ] {
            assert_eq!(named(pid, number), passed, "{pid:?} {number:?}");
        }
    }
}
