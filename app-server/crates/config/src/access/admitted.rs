//! The rights of the open connections, for the status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::access::Access;
use skein_protocol::extension::{AdmittedEntry, DoorKind};

use super::{Admission, Door};

/// The same for all connections that the status shows together: who, door, origin and scope.
type Right = (String, DoorKind, Option<String>, Access);

/// The number of open connections of each right.
#[derive(Debug, Default)]
pub struct AdmittedConnections(Mutex<BTreeMap<Right, u64>>);

/// Counts one connection until it is dropped.
#[derive(Debug)]
pub struct AdmittedConnection {
    all: Arc<AdmittedConnections>,
    right: Right,
}

impl AdmittedConnections {
    /// Counts a connection from now on.
    pub fn count(self: &Arc<Self>, admission: &Admission) -> AdmittedConnection {
        let origin = admission.origin.as_ref().map(ToString::to_string);
        let right =
            (admission.identity.to_string(), DoorKind::from(admission.door), origin, admission.access);
        *self.lock().entry(right.clone()).or_default() += 1;
        AdmittedConnection { all: Arc::clone(self), right }
    }

    /// All of them, in the order of their names.
    pub fn entries(&self) -> Vec<AdmittedEntry> {
        let entry = |((who, door, origin, scope), connections): (&Right, &u64)| AdmittedEntry {
            who: who.clone(),
            door: *door,
            origin: origin.clone(),
            scope: *scope,
            connections: *connections,
        };
        self.lock().iter().map(entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Right, u64>> {
        // Each change is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AdmittedConnection {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(left) = all.get_mut(&self.right) {
            *left -= 1;
            if *left == 0 {
                all.remove(&self.right);
            }
        }
    }
}

impl From<Door> for DoorKind {
    fn from(door: Door) -> Self {
        match door {
            Door::Unix => Self::Unix,
            Door::Loopback => Self::Loopback,
            Door::Remote => Self::Remote,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rights_are_one_entry_until_the_last_connection_has_ended() {
        let all = Arc::new(AdmittedConnections::default());
        let local = Admission::local(Door::Unix);
        let (first, second) = (all.count(&local), all.count(&local));
        let other = all.count(&Admission { access: Access::Read, ..Admission::local(Door::Loopback) });
        let shown = || all.entries().iter().map(|entry| (entry.door, entry.connections)).collect::<Vec<_>>();
        assert_eq!(shown(), [(DoorKind::Unix, 2), (DoorKind::Loopback, 1)]);
        assert_eq!(all.entries()[0].who, "a local program");
        drop(first);
        assert_eq!(shown(), [(DoorKind::Unix, 1), (DoorKind::Loopback, 1)]);
        drop((second, other));
        assert_eq!(shown(), []);
    }
}
