//! The catalog: numbered notifications to all connections. A client that was away asks for the changes that it missed, and
//! need not list its threads again. Pure; bounded in count and bytes.
//!
//! One lock covers the number and all outboxes, so each connection receives rising numbers. The lock is taken before any guard
//! of the maps. A list names the newest number before it reads the index, so it shows every change up to that number.

use std::collections::VecDeque;

use serde_json::value::{RawValue, to_raw_value};
use skein_base::clock::WallMs;
use skein_protocol::JsonObject;
use skein_protocol::envelope;
use skein_protocol::extension::{
    CatalogChange, CatalogPlace, SkeinCatalogResumeParams, SkeinCatalogResumeResponse,
};
use skein_protocol::ids::{Epoch, EventSeq};
use skein_protocol::question::NeedsYou;
use uuid::Uuid;

use crate::outbox::Frame;

#[cfg(test)]
mod tests;

/// A notification to all connections, before it has a catalog number.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    /// The wire name.
    pub(crate) method: &'static str,
    pub(crate) params: JsonObject,
    /// The time of the change.
    pub(crate) at: WallMs,
    /// The number in the thread's history, if it is a record.
    pub(crate) number: Option<(EventSeq, Epoch)>,
}

/// A numbered notification in its wire forms.
#[derive(Debug)]
pub(crate) struct Announced {
    /// With the catalog number.
    pub(crate) plain: Frame,
    /// With the history number too, for the thread's subscribers.
    pub(crate) numbered: Option<Frame>,
}

/// Bounds of the catalog.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CatalogLimits {
    pub(crate) changes: usize,
    /// Bytes of all params.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Change {
    method: &'static str,
    params: Box<RawValue>,
    at: WallMs,
}

/// The newest changes, in order, without a gap.
#[derive(Debug)]
pub(crate) struct Catalog {
    epoch: String,
    limits: CatalogLimits,
    /// The number of the newest change.
    last: u64,
    kept: VecDeque<Change>,
    bytes: usize,
}

impl Catalog {
    /// An empty catalog of this start of the server.
    pub(crate) fn new(start: Uuid, limits: CatalogLimits) -> Self {
        Self { epoch: start.to_string(), limits, last: 0, kept: VecDeque::new(), bytes: 0 }
    }

    /// The number of the newest change.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Gives a notification the next number, and keeps it. `None` if it cannot be serialised.
    pub(crate) fn add(&mut self, announcement: &Announcement) -> Option<Announced> {
        let Announcement { method, params, at, number } = announcement;
        let place = CatalogPlace { catalog_seq: self.last + 1, catalog_epoch: self.epoch.clone() };
        let mut params = params.clone();
        params.insert("skein".to_owned(), serde_json::to_value(&place).ok()?);
        let params = to_raw_value(&params).ok()?;
        let print = |number| Frame::from(envelope::announcement(method, &params, at.0, number));
        let announced = Announced { plain: print(None), numbered: number.map(|number| print(Some(number))) };
        self.last = place.catalog_seq;
        self.keep(Change { method, params, at: *at });
        Some(announced)
    }

    fn keep(&mut self, change: Change) {
        self.bytes += change.params.get().len();
        self.kept.push_back(change);
        while self.kept.len() > self.limits.changes || self.bytes > self.limits.bytes {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.params.get().len();
        }
    }

    /// The changes behind a number, or that the catalog has dropped them.
    pub(crate) fn since(&self, params: &SkeinCatalogResumeParams) -> SkeinCatalogResumeResponse {
        let missed = self.last.checked_sub(params.after).filter(|_| params.catalog_epoch == self.epoch);
        let missed = missed.and_then(|missed| usize::try_from(missed).ok());
        let from = missed.and_then(|missed| self.kept.len().checked_sub(missed));
        let changes = from.map(|from| self.kept.range(from..).map(Change::to_wire).collect());
        SkeinCatalogResumeResponse {
            catalog_seq: self.last,
            catalog_epoch: self.epoch.clone(),
            too_old: changes.is_none(),
            changes: changes.unwrap_or_default(),
            // The caller knows them.
            needs_you: NeedsYou::default(),
        }
    }
}

impl Change {
    fn to_wire(&self) -> CatalogChange {
        CatalogChange {
            method: self.method.to_owned(),
            params: self.params.clone(),
            emitted_at_ms: self.at.0,
        }
    }
}
