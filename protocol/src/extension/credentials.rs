//! Sessions and tokens: the credentials of browsers and of programs on other machines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Access;

/// Params of `skein/credential/list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinCredentialListParams {}

/// Response of `skein/credential/list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinCredentialListResponse {
    /// Those that have not ended, oldest first.
    pub data: Vec<CredentialDetail>,
}

/// The kinds of credentials that last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CredentialType {
    /// A page has redeemed a ticket for it.
    Session,
    /// A user has made it for a program or page.
    Token,
}

/// A session or token, without its secret. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialDetail {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: CredentialType,
    /// The name of a token, or the label of a session.
    pub name: String,
    /// The only origin that may send it; null means any.
    pub origin: Option<String>,
    /// The access that it gives.
    pub scope: Access,
    /// Its creation.
    pub created_at: i64,
    /// Its last use.
    pub last_used_at: Option<i64>,
    /// Its end. That of a session moves with each use; null means never.
    pub expires_at: Option<i64>,
}

/// Params of `skein/credential/add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinCredentialAddParams {
    /// The name of the token: letters, digits, `.`, `-` and `_`. No other token has it.
    pub name: String,
    /// The SHA-256 of the token, in 64 hexadecimal digits. The server never gets the token itself this way.
    pub sha256: String,
    /// The only origin that may send it.
    #[serde(default)]
    pub origin: Option<String>,
    /// The access that it gives.
    pub scope: Access,
    /// Its end, in Unix seconds; never without it.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

/// Response of `skein/credential/add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinCredentialAddResponse {
    /// The new token.
    pub credential: CredentialDetail,
}

/// Params of `skein/credential/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinCredentialRevokeParams {
    /// The id of a session or token, or the name of a token.
    pub id: String,
}

/// Response of `skein/credential/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinCredentialRevokeResponse {
    /// The revoked credential.
    pub credential: CredentialDetail,
}
