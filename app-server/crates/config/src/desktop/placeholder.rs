//! Placeholders that clients fill in by themselves: `${env:NAME}`, `${NAME}`, `${workspaceFolder}` and others.

/// The content of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FilledPlaceholder {
    /// Text without a placeholder.
    Text(String),
    /// The value of this variable, and nothing beside it.
    Variable(String),
    /// `Bearer` and the value of this variable.
    Bearer(String),
    /// The folder that the client works in, and nothing beside it.
    Workspace,
    /// A placeholder that only the client can fill in.
    Unknown(String),
}

/// Reads a value.
pub(crate) fn fill(value: &str) -> FilledPlaceholder {
    let Some((before, inside, after)) = first(value) else {
        return FilledPlaceholder::Text(value.to_owned());
    };
    let name = inside.strip_prefix("env:").unwrap_or(inside);
    match (before, after, is_variable(name)) {
        ("", "", _) if matches!(inside, "workspaceFolder" | "workspaceRoot") => FilledPlaceholder::Workspace,
        ("", "", true) => FilledPlaceholder::Variable(name.to_owned()),
        ("Bearer ", "", true) => FilledPlaceholder::Bearer(name.to_owned()),
        _ => FilledPlaceholder::Unknown(format!("${{{inside}}}")),
    }
}

/// The first placeholder, with what stands around it.
fn first(value: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = value.split_once("${")?;
    let (inside, after) = rest.split_once('}')?;
    Some((before, inside, after))
}

fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::{FilledPlaceholder, fill};

    #[test]
    fn a_variable_alone_can_be_taken_and_what_is_mixed_cannot() {
        for (value, wanted) in [
            ("plain $5 {x}", FilledPlaceholder::Text("plain $5 {x}".into())),
            ("${env:TOKEN}", FilledPlaceholder::Variable("TOKEN".into())),
            ("${TOKEN}", FilledPlaceholder::Variable("TOKEN".into())),
            ("Bearer ${env:TOKEN}", FilledPlaceholder::Bearer("TOKEN".into())),
            ("${workspaceFolder}", FilledPlaceholder::Workspace),
            ("${workspaceFolder}/a", FilledPlaceholder::Unknown("${workspaceFolder}".into())),
            ("${input:key}", FilledPlaceholder::Unknown("${input:key}".into())),
            ("${A}${B}", FilledPlaceholder::Unknown("${A}".into())),
            ("${open", FilledPlaceholder::Text("${open".into())),
        ] {
            assert_eq!(fill(value), wanted);
        }
    }
}
