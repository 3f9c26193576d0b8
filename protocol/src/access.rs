//! The access that a connection has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The access that a connection has, and the least access that a method needs. Each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Lists, reads, searches and observes.
    Read,
    /// Starts and resumes threads, starts turns, answers questions.
    Chat,
    /// Everything: settings, helper calls without a question, credentials.
    Admin,
}

impl Access {
    /// The word on the wire and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Chat => "chat",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Access {
    type Err = UnknownAccess;

    fn from_str(text: &str) -> Result<Self, UnknownAccess> {
        match text {
            "read" => Ok(Self::Read),
            "chat" => Ok(Self::Chat),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownAccess),
        }
    }
}

/// A text that names no access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAccess;

impl std::error::Error for UnknownAccess {}

impl std::fmt::Display for UnknownAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("write read, chat or admin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_includes_the_ones_before_it() {
        assert!(Access::Read < Access::Chat && Access::Chat < Access::Admin);
    }

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for access in [Access::Read, Access::Chat, Access::Admin] {
            assert_eq!(access.to_string().parse(), Ok(access));
            assert_eq!(serde_json::to_value(access).unwrap(), access.as_str());
        }
        assert_eq!("Admin".parse::<Access>(), Err(UnknownAccess));
    }
}
