//! The result of the decision about a request: who sends it, and with which access.

use std::fmt;

use serde::{Deserialize, Serialize};
use skein_protocol::access::Access;
use uuid::Uuid;

use super::WebOrigin;
use crate::policy;

/// A way into the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Door {
    /// A unix socket: `control.sock`, or one of `--listen unix://PATH`.
    Unix,
    /// A TCP port on a loopback address.
    Loopback,
    /// A TCP port that other machines can reach.
    Remote,
}

/// The kinds of credentials that last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialKind {
    /// Made by a ticket, for one page.
    Session,
    /// Made by `skein token create`.
    Token,
    /// A token of `--ws-auth`, as in the peer.
    Capability,
}

/// A credential that was found valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The credential's id.
    pub id: Uuid,
    /// A session, or a token of some kind.
    pub kind: CredentialKind,
    /// Its name or label, for logs and lists.
    pub name: String,
    /// The rights of its bearer.
    pub access: Access,
    /// The only origin that may send it.
    pub origin: Option<WebOrigin>,
    /// Whether a loopback door takes it only from a program of the server's user: a session whose ticket was made on this
    /// machine, or a token that is bound to an origin.
    pub same_user: bool,
}

/// The sender of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Identity {
    /// A program of the server's user on this machine.
    LocalProgram,
    /// A helper whose settings let it connect, with its credential if it sent one.
    Helper {
        /// Its name in the settings.
        name: String,
        /// The credential that it sent.
        grant: Option<Grant>,
    },
    /// The bearer of a credential.
    Bearer(Grant),
    /// Anybody, for a route that holds no secret.
    Anonymous,
}

/// The right of a request to pass. A connection keeps it until its end, and other servers of a cluster get it with the requests that they
/// serve for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// The door that it came through.
    pub door: Door,
    /// The sender.
    pub identity: Identity,
    /// The rights of its sender.
    pub access: Access,
    /// The page that sent it.
    pub origin: Option<WebOrigin>,
    /// Whether the server itself serves that page, so that no setting allows it.
    pub is_own_page: bool,
    /// Whether it stands on the user at the other end, whom `auth.local = "any"` left unasked.
    pub is_user_unasked: bool,
    /// Whether it redeems a ticket, and comes from a program of another user on this machine: a proxy, or somebody who has read
    /// the ticket.
    pub is_other_user: bool,
}

impl Admission {
    /// The credential that it stands on, if any.
    pub fn credential(&self) -> Option<Uuid> {
        match &self.identity {
            Identity::Bearer(grant) => Some(grant.id),
            Identity::Helper { grant, .. } => grant.as_ref().map(|grant| grant.id),
            Identity::LocalProgram | Identity::Anonymous => None,
        }
    }

    /// That of another server of the cluster, which only hears announcements.
    pub fn of_observer() -> Self {
        Self {
            door: Door::Remote,
            identity: Identity::Anonymous,
            access: Access::Read,
            origin: None,
            is_own_page: false,
            is_user_unasked: false,
            is_other_user: false,
        }
    }

    #[cfg(any(test, feature = "testing"))]
    /// That of a program of the server's user.
    pub fn local(door: Door) -> Self {
        Self {
            door,
            identity: Identity::LocalProgram,
            access: Access::Admin,
            origin: None,
            is_own_page: false,
            is_user_unasked: false,
            is_other_user: false,
        }
    }
}

impl fmt::Display for Identity {
    /// For logs: names of strangers are escaped and short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str| name.chars().take(policy::SHOWN_STRANGER).collect::<String>();
        match self {
            Self::LocalProgram => f.write_str("a local program"),
            Self::Helper { name, grant: _ } => write!(f, "helper {:?}", shown(name)),
            Self::Bearer(Grant { kind: CredentialKind::Session, name, .. }) => {
                write!(f, "session {:?}", shown(name))
            }
            Self::Bearer(Grant { name, .. }) => write!(f, "token {:?}", shown(name)),
            Self::Anonymous => f.write_str("anybody"),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unix => "unix",
            Self::Loopback => "loopback",
            Self::Remote => "remote",
        })
    }
}
