//! A server as one row of `nodes`, which claims and new threads name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_base::home_tag::HomeTag;
use uuid::Uuid;

use crate::failure::DbFailure;

/// A server, as other servers of its database see it.
#[derive(Debug, Clone)]
pub struct NodeProfile {
    /// Its name in errors and reports.
    pub name: String,
    /// Its home. Of one home only the newest server lives.
    pub home: HomeTag,
    /// Whether it has the database alone.
    pub company: NodeCompany,
    /// Where the other servers reach it; `None` for a server alone.
    pub link: Option<LinkPlace>,
}

/// Where a server takes links of the others, and how it proves to be the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlace {
    /// The host and the port.
    pub address: String,
    /// Of its certificate.
    pub key: KeyHash,
}

/// The SHA-256 of a certificate in DER.
pub type KeyHash = [u8; 32];

#[cfg(test)]
impl NodeProfile {
    /// The server of a home of its own, with the same name.
    pub(crate) fn of(name: &str, company: NodeCompany) -> Self {
        Self { name: name.to_owned(), home: HomeTag::of(&[name.as_bytes()]), company, link: None }
    }
}

/// Whether a server has its database alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCompany {
    /// No other server may live.
    Alone,
    /// It serves beside others of its kind.
    Others,
}

impl NodeCompany {
    /// The versions of the words between servers that it knows, as a range of SQL. Two servers may live at once if their ranges
    /// overlap; an empty one overlaps nothing. Servers of earlier versions, each alone, have `[1,2)`.
    pub(crate) fn speaks(self) -> &'static str {
        match self {
            Self::Alone => "empty",
            Self::Others => "[2,3)",
        }
    }
}

/// The id of a server's row. A server whose row is dead goes on under another one.
#[derive(Debug, Clone)]
pub struct NodeId(Arc<Mutex<NodeIdState>>);

#[derive(Debug)]
struct NodeIdState {
    id: Uuid,
    has_place: bool,
}

impl NodeId {
    /// The id of a row that lives.
    pub fn new(id: Uuid) -> Self {
        Self(Arc::new(Mutex::new(NodeIdState { id, has_place: true })))
    }

    /// The newest id.
    pub fn id(&self) -> Uuid {
        self.state().id
    }

    /// The id for a claim, or for a thread that begins.
    ///
    /// # Errors
    /// The row may be dead.
    pub(crate) fn of_claims(&self) -> Result<Uuid, DbFailure> {
        let state = self.state();
        if state.has_place {
            return Ok(state.id);
        }
        Err(DbFailure::refused(
            "the server has no row in the database at the moment; it tries again each second",
        ))
    }

    /// The row may be dead.
    pub(crate) fn lose(&self) {
        self.state().has_place = false;
    }

    /// The row with this id lives.
    pub(crate) fn enter(&self, id: Uuid) {
        *self.state() = NodeIdState { id, has_place: true };
    }

    fn state(&self) -> MutexGuard<'_, NodeIdState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
