//! `[cluster]`: a server beside others at one database.

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ConfigError, Place};

const FLAG: &str = "--node-name";
const REMEDY: &str =
    "write a name of letters, digits, \".\", \"-\" and \"_\", at most 63, such as \"node-1\"";
const MOST_CHARS: usize = 63;

/// Whether the server shares its database with others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterRules {
    /// The name of this server among those of its database. Without it, the server has the database alone.
    #[serde(deserialize_with = "name")]
    #[schemars(example = &"node-1")]
    pub node_name: Option<String>,
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let read = String::deserialize(from).ok().filter(|text| is_name(text));
    read.map(Some).ok_or_else(|| D::Error::custom(REMEDY))
}

fn is_name(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=MOST_CHARS).contains(&text.len()) && text.bytes().all(is_fit)
}

/// The name of this start, if the command line has one.
pub(super) fn of_start(flag: Option<&str>) -> Result<Option<String>, ConfigError> {
    match flag {
        Some(text) if !is_name(text) => {
            Err(ConfigError::new(Place::Flag(FLAG.to_owned()), "", "this is no name of a server", REMEDY))
        }
        name => Ok(name.map(str::to_owned)),
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
        assert_eq!(of_start(Some("a")), Ok(Some("a".to_owned())));
        assert!(of_start(Some("a b")).unwrap_err().to_string().contains(FLAG));
    }
}
