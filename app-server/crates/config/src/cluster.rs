//! `[cluster]`: a server beside others at one database.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::kinds::{FileForm, Time};
use super::{ConfigError, Flags, Place, Problems};
use crate::policy;

const NAME_FLAG: &str = "--node-name";
const NAME_REMEDY: &str =
    "write a name of letters, digits, \".\", \"-\" and \"_\", at most 63, such as \"node-1\"";
const MOST_CHARS: usize = 63;
const LISTEN_FLAG: &str = "--cluster-listen";
const LISTEN_REMEDY: &str = "write an IP address and a port, such as \"10.0.0.1:7440\"";
const ADVERTISE_FLAG: &str = "--cluster-advertise";
const ADVERTISE_REMEDY: &str = "write a host and a port, such as \"node-1.internal:7440\"";

/// Whether the server shares its database with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterRules {
    /// The name of this server among those of its database. Without it, the server has the database alone.
    #[serde(deserialize_with = "name")]
    #[schemars(example = &"node-1")]
    pub node_name: Option<String>,
    /// Where the other servers of its database reach this one, for the requests of their clients. The port 0 is one that is free.
    #[serde(deserialize_with = "listen")]
    #[schemars(with = "String", example = &"10.0.0.1:7440")]
    pub listen: SocketAddr,
    /// The host and the port that they use, where `listen` says less: it is any address of this machine, or behind another one.
    #[serde(deserialize_with = "advertise")]
    #[schemars(example = &"node-1.internal:7440")]
    pub advertise: Option<String>,
    /// For turns to end by themselves when the server is drained (`skein cluster drain`).
    #[serde(with = "Time")]
    pub drain: Duration,
}

impl Default for ClusterRules {
    fn default() -> Self {
        Self {
            node_name: None,
            listen: policy::DEFAULT_CLUSTER_LISTEN,
            advertise: None,
            drain: policy::CLUSTER_DRAIN,
        }
    }
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, is_name, NAME_REMEDY)
}

fn advertise<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, is_host_and_port, ADVERTISE_REMEDY)
}

fn text<'de, D: Deserializer<'de>>(
    from: D,
    is_fit: fn(&str) -> bool,
    remedy: &str,
) -> Result<Option<String>, D::Error> {
    let read = String::deserialize(from).ok().filter(|text| is_fit(text));
    read.map(Some).ok_or_else(|| D::Error::custom(remedy))
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let read = String::deserialize(from).ok().and_then(|text| text.parse().ok());
    read.ok_or_else(|| D::Error::custom(LISTEN_REMEDY))
}

fn is_name(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=MOST_CHARS).contains(&text.len()) && text.bytes().all(is_fit)
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        }
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

impl ClusterRules {
    /// Takes the flags of this start, which win over the file.
    pub(super) fn take_flags(&mut self, flags: &Flags, problems: &mut Problems) {
        let Flags { node_name, cluster_listen, cluster_advertise, .. } = flags;
        let mut refuse = |flag: &str, what: &str, remedy| {
            problems.push(ConfigError::new(Place::Flag(flag.to_owned()), "", what, remedy));
        };
        match node_name {
            Some(text) if !is_name(text) => refuse(NAME_FLAG, "this is no name of a server", NAME_REMEDY),
            Some(name) => self.node_name = Some(name.clone()),
            None => {}
        }
        match cluster_listen.as_deref().map(str::parse) {
            Some(Err(_)) => refuse(LISTEN_FLAG, "this is no address to listen at", LISTEN_REMEDY),
            Some(Ok(address)) => self.listen = address,
            None => {}
        }
        match cluster_advertise {
            Some(text) if !is_host_and_port(text) => {
                refuse(ADVERTISE_FLAG, "this is no address of a server", ADVERTISE_REMEDY);
            }
            Some(address) => self.advertise = Some(address.clone()),
            None => {}
        }
    }

    /// The address for the other servers, where this one listens at `bound`.
    pub fn address(&self, bound: SocketAddr) -> String {
        self.advertise.clone().unwrap_or_else(|| bound.to_string())
    }

    /// Refuses to listen at every address of the machine without one that others can use.
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.node_name.is_some() && self.listen.ip().is_unspecified() && self.advertise.is_none() {
            problems.push(ConfigError::new(
                Place::Flag(LISTEN_FLAG.to_owned()),
                "",
                "the other servers cannot know which address of this machine to use",
                "write the address in place of 0.0.0.0 or [::], or add --cluster-advertise HOST:PORT",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_settings as load;
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        assert_eq!(load(&["cluster.node_name=\"a.B-1_\""]).map(drop), Ok(()));
        let long = format!("cluster.node_name=\"{}\"", "n".repeat(MOST_CHARS + 1));
        for bad in ["cluster.node_name=\"node 1\"", "cluster.node_name=\"\"", "cluster.node_name=1", &long] {
            let error = load(&[bad]).unwrap_err();
            assert!(error.contains("at most 63"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn an_address_for_other_servers_has_a_port_and_says_which_one_of_the_machine_it_is() {
        let good = ["cluster.listen=\"10.0.0.1:0\"", "cluster.advertise=\"a-1.internal:7440\""];
        assert_eq!(load(&good).map(drop), Ok(()));
        for bad in ["10.0.0.1", "host:1", ":1", ""] {
            let error = load(&[&format!("cluster.listen={bad:?}")]).unwrap_err();
            assert!(error.contains(LISTEN_REMEDY), "{bad:?}: {error}");
        }
        for bad in ["a", "a:0", ":1", "a:b", "a b:1", "::1:1", "[a]:1", ""] {
            let error = load(&[&format!("cluster.advertise={bad:?}")]).unwrap_err();
            assert!(error.contains(ADVERTISE_REMEDY), "{bad:?}: {error}");
        }
        let any = ["cluster.node_name=\"a\"", "cluster.listen=\"0.0.0.0:1\""];
        assert!(load(&any).unwrap_err().contains(ADVERTISE_FLAG));
        assert_eq!(load(&[any[0], any[1], "cluster.advertise=\"[::1]:1\""]).map(drop), Ok(()));
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let mut problems = Problems::default();
        let text = |text: &str| Some(text.to_owned());
        let mut rules = ClusterRules { node_name: text("a"), ..ClusterRules::default() };
        let flags = Flags { cluster_listen: text("10.0.0.1:7440"), ..Flags::default() };
        rules.take_flags(&flags, &mut problems);
        assert_eq!((rules.node_name.as_deref(), rules.listen.port()), (Some("a"), 7440));
        assert_eq!(rules.address(rules.listen), "10.0.0.1:7440");
        let flags = Flags { node_name: text("b"), cluster_advertise: text("b:1"), ..Flags::default() };
        rules.take_flags(&flags, &mut problems);
        assert_eq!((rules.node_name.as_deref(), rules.address(rules.listen).as_str()), (Some("b"), "b:1"));
        problems.finish().unwrap();
        let mut problems = Problems::default();
        let flags = Flags {
            node_name: text("a b"),
            cluster_listen: text("x"),
            cluster_advertise: text("x"),
            ..Flags::default()
        };
        rules.take_flags(&flags, &mut problems);
        let errors = problems.finish().unwrap_err().to_string();
        assert!(
            [NAME_FLAG, LISTEN_FLAG, ADVERTISE_FLAG].iter().all(|flag| errors.contains(flag)),
            "{errors}"
        );
    }
}
