//! Names of tools for models. Providers allow `^[a-zA-Z0-9_-]{1,64}$`; helpers' names are freer.

use sha2::{Digest, Sha256};

/// The longest name that every provider accepts, in bytes.
const MOST: usize = 64;

/// The separator between the parts of a name.
const BETWEEN: &str = "__";

/// The name of a helper's tool, `mcp__SERVER__TOOL`. A name that providers would refuse is changed and ends with a
/// digest, so that two tools never share one.
pub fn of_helper(server: &str, tool: &str) -> String {
    allowed(&["mcp", server, tool].join(BETWEEN), &[server, tool])
}

/// The name of a client's tool, with its namespace if it has one.
pub fn of_client(namespace: Option<&str>, tool: &str) -> String {
    match namespace {
        Some(namespace) => allowed(&[namespace, tool].join(BETWEEN), &[namespace, tool]),
        None => allowed(tool, &[tool]),
    }
}

/// `name` if it is allowed and unambiguous; else a shortened name with a digest of the parts.
fn allowed(name: &str, parts: &[&str]) -> String {
    let taken = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let plain =
        parts.iter().all(|part| !part.contains(BETWEEN) && !part.starts_with('_') && !part.ends_with('_'));
    if plain && !name.is_empty() && name.len() <= MOST && name.chars().all(taken) {
        return name.to_owned();
    }
    let digest = parts.iter().fold(Sha256::new(), |digest, part| {
        digest.chain_update(part.len().to_le_bytes()).chain_update(part.as_bytes())
    });
    let digest: String = digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept: String =
        name.chars().map(|c| if taken(c) { c } else { '_' }).take(MOST - digest.len() - 1).collect();
    format!("{kept}_{digest}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_is_as_other_servers_have_it() {
        assert_eq!(of_helper("files", "read_file"), "mcp__files__read_file");
        assert_eq!(of_client(None, "look"), "look");
        assert_eq!(of_client(Some("app"), "look"), "app__look");
    }

    #[test]
    fn ambiguous_parts_have_two_names() {
        assert_ne!(of_helper("a__b", "c"), of_helper("a", "b__c"));
        assert_ne!(of_helper("a", "x.y"), of_helper("a", "x_y"));
        assert_ne!(of_helper("a_", "b"), of_helper("a", "_b"));
    }

    proptest! {
        #[test]
        fn every_name_is_allowed_and_belongs_to_one_tool(
            tools in proptest::collection::vec(("[a_.é -]{0,70}", "[a_.é -]{0,70}"), 1..40),
        ) {
            let mut named = HashMap::new();
            for (server, tool) in tools {
                let name = of_helper(&server, &tool);
                prop_assert!((1..=MOST).contains(&name.len()), "{name}");
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{name}");
                let earlier = named.insert(name, (server.clone(), tool.clone()));
                prop_assert!(earlier.is_none_or(|earlier| earlier == (server, tool)));
            }
        }
    }
}
