//! What holds an instance: a lease, and for the time of a call a hold.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::pool::table::{LeaseId, Number};
use crate::pool::{Instance, Key, Pool};
use crate::spec::HelperSpec;

/// A right to use an instance. While anybody has one the instance stays; dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(super) pool: Arc<Pool>,
    pub(super) id: LeaseId,
    pub(crate) key: Key,
    /// Cancelled when it is given back: its calls end.
    left: CancellationToken,
    last: OnceLock<Arc<Instance>>,
}

impl Lease {
    pub(super) fn new(pool: &Arc<Pool>, id: LeaseId, key: Key) -> Self {
        let (left, last) = (CancellationToken::new(), OnceLock::new());
        Self { pool: Arc::clone(pool), id, key, left, last }
    }

    /// The instance that it is for now, or was for last.
    pub(crate) fn instance(&self) -> Option<Arc<Instance>> {
        self.pool.of(self.id).or_else(|| self.last.get().cloned())
    }

    /// What of `spec` may change while the instance lives, counts for it from now on.
    pub(crate) fn goes_by(&self, spec: &HelperSpec) {
        self.pool.goes_by(self.id, spec);
    }

    /// The instance that takes a call now, held for as long as the call takes. `None` when the lease was given back.
    pub(crate) fn hold(self: &Arc<Self>) -> Option<Hold> {
        let (number, instance) = self.pool.begin_call(self)?;
        Some(Hold { lease: Arc::clone(self), number, instance })
    }

    /// Gives it back. What ends with it is returned: the instance, when nobody else held it and it is not kept for `linger`,
    /// and what was kept for its calls.
    pub(crate) fn give_back(&self, linger: Duration) -> Vec<Arc<Instance>> {
        if let Some(instance) = self.pool.of(self.id) {
            self.last.set(instance).ok();
        }
        let ends = self.pool.give_back(self.id, linger);
        self.left.cancel();
        ends
    }
}

impl Drop for Lease {
    /// Nobody comes back for what was just dropped: it is not kept.
    fn drop(&mut self) {
        self.give_back(Duration::ZERO);
    }
}

/// An instance that has a call under way.
#[derive(Debug)]
pub(crate) struct Hold {
    lease: Arc<Lease>,
    number: Number,
    pub(crate) instance: Arc<Instance>,
}

impl Hold {
    /// Until the lease is given back, and the instance lives on. One that ends ends its calls, and says why.
    pub(crate) async fn left(&self) {
        self.lease.left.cancelled().await;
        if self.instance.is_ending() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.lease.pool.end_call(self.lease.id, self.number);
    }
}
