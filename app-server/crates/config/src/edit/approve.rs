//! A tool that models may call for ever: written into the file, where its user sees it and takes it back.

use serde_json::json;
use skein_helpers::{ApprovalMode, Transport};
use toml_edit::Key;

use super::{EditError, Merge, SERVERS, SettingsFile};
use crate::ConfigErrors;

/// Why an approval is not written. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// The file does not have the helper: a thread brought it.
    #[error("the settings file has no helper {server:?}")]
    NoHelper {
        /// The name.
        server: String,
    },
    /// The name stands for something else there.
    #[error("the settings have another program by the name {server:?}")]
    OtherProgram {
        /// The name.
        server: String,
    },
    /// The user has written another word, perhaps meanwhile.
    #[error("the settings say {key} = {word:?}, which stays")]
    Says {
        /// The dotted key.
        key: String,
        /// The word in the file.
        word: &'static str,
    },
    /// The file with the flags of the server's start has mistakes.
    #[error(transparent)]
    Broken(ConfigErrors),
    /// The file cannot be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl SettingsFile {
    /// Sets `mcp_servers.SERVER.tools.TOOL.approval_mode` to `approve`, for the helper that is reached by `transport`. A word that
    /// the user has chosen stays.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub fn approve(&mut self, server: &str, tool: &str, transport: &Transport) -> Result<(), NotWritten> {
        let named = || server.to_owned();
        if !self.names().iter().any(|name| name == server) {
            return Err(NotWritten::NoHelper { server: named() });
        }
        let config = self.config().map_err(NotWritten::Broken)?;
        let spec = config.helpers.get(server).filter(|spec| spec.transport == *transport);
        let spec = spec.ok_or_else(|| NotWritten::OtherProgram { server: named() })?;
        let key = |name: &str| Key::new(name).display_repr().into_owned();
        let key = format!("{SERVERS}.{}.tools.{}.approval_mode", key(server), key(tool));
        match spec.approval_of(tool) {
            ApprovalMode::Approve => Ok(()),
            ApprovalMode::Auto => Ok(self.set(&key, &json!("approve"), Merge::Replace)?),
            other @ (ApprovalMode::Prompt | ApprovalMode::Writes | ApprovalMode::Deny) => {
                Err(NotWritten::Says { key, word: other.word() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use skein_helpers::HelperSpec;

    use super::super::EditMode;
    use super::*;
    use crate::FILE;

    const HELPER: &str = "[mcp_servers.my-files]\ncommand = \"files\" # mine\n";

    fn approved(before: &str, tool: &str, command: &str) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), before).unwrap();
        let mut file = SettingsFile::open(dir.path(), EditMode::Change).unwrap();
        let transport = HelperSpec::new("my-files", command).transport;
        file.approve("my-files", tool, &transport).map_err(|error| error.to_string())?;
        file.write().unwrap();
        Ok(fs::read_to_string(dir.path().join(FILE)).unwrap())
    }

    #[test]
    fn an_approval_is_written_beside_what_stands_there() {
        let text = approved(HELPER, "a.b", "files").unwrap();
        let table = "[mcp_servers.my-files.tools.\"a.b\"]\napproval_mode = \"approve\"";
        assert!(text.starts_with(HELPER) && text.contains(table), "{text}");
        assert_eq!(approved(&text, "a.b", "files").unwrap(), text, "it stands there already");
        let inline = "mcp_servers = { my-files = { command = \"files\" } }\n";
        let text = approved(inline, "remove", "files").unwrap();
        assert!(text.contains("approval_mode = \"approve\""), "{text}");
    }

    #[test]
    fn an_approval_is_not_written_over_the_users_own_words_or_for_another_program() {
        for word in ["prompt", "writes", "deny"] {
            let of_tool = format!("{HELPER}tools.remove.approval_mode = \"{word}\"\n");
            let of_helper = format!("{HELPER}default_tools_approval_mode = \"{word}\"\n");
            for text in [of_tool, of_helper] {
                let why = approved(&text, "remove", "files").unwrap_err();
                assert!(why.contains(word) && why.contains("stays"), "{why}");
            }
        }
        let why = approved(HELPER, "remove", "other").unwrap_err();
        assert!(why.contains("another program"), "{why}");
        let why = approved("model = \"m\"\n", "remove", "files").unwrap_err();
        assert!(why.contains("no helper"), "{why}");
    }
}
