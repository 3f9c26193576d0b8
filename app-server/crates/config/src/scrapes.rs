//! `[metrics]`: a port of its own for programs that read the metrics.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::kinds;
use super::section::Section;

/// Where `/metrics` is served besides the addresses of clients, and to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetricsRules {
    /// A port that serves `/metrics` and nothing else.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "Option<String>", example = "127.0.0.1:9464")]
    pub listen: Option<SocketAddr>,
    /// A file with the token that its readers send (`Authorization: Bearer`).
    #[serde(deserialize_with = "file")]
    #[schemars(example = "/etc/skein/metrics-token")]
    pub token_file: Option<PathBuf>,
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let read = String::deserialize(from).ok().and_then(|text| text.parse().ok());
    read.map(Some).ok_or_else(|| D::Error::custom("write an address with a port, such as \"127.0.0.1:9464\""))
}

fn file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    kinds::file(from, "/etc/skein/metrics-token")
}

impl MetricsRules {
    /// Refuses a port of other machines without a token, and a token without a port.
    pub(super) fn check(&self, root: &mut Section<'_>) {
        let (key, what, remedy) = match (self.listen, &self.token_file) {
            (Some(listen), None) if !listen.ip().to_canonical().is_loopback() => {
                ("listen", "other machines reach this address", "add metrics.token_file, or write 127.0.0.1")
            }
            (None, Some(_)) => {
                ("token_file", "there is no port for it", "add metrics.listen = \"127.0.0.1:9464\"")
            }
            (Some(_) | None, _) => return,
        };
        root.wrong(&["metrics", key], what, remedy);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_settings as load;

    #[test]
    fn a_port_of_other_machines_has_a_token_and_a_token_has_a_port() {
        let token = "metrics.token_file=\"/t\"";
        for good in [
            &["metrics.listen=\"127.0.0.1:9464\""][..],
            &["metrics.listen=\"[::1]:9464\"", token][..],
            &["metrics.listen=\"0.0.0.0:9464\"", token][..],
            &[][..],
        ] {
            assert_eq!(load(good).map(drop), Ok(()), "{good:?}");
        }
        for (bad, remedy) in [
            (&["metrics.listen=\"0.0.0.0:9464\""][..], "add metrics.token_file"),
            (&[token][..], "add metrics.listen"),
            (&["metrics.listen=\"9464\""][..], "write an address with a port"),
            (&["metrics.listen=9464"][..], "write an address with a port"),
            (&["metrics.listen=\"127.0.0.1:1\"", "metrics.token_file=\"t\""][..], "write the absolute path"),
        ] {
            let error = load(bad).unwrap_err();
            assert!(error.contains(remedy), "{bad:?}: {error}");
        }
    }
}
