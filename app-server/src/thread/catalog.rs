//! The catalog: numbered notifications to all connections. A client that was away asks for the changes that it missed, and
//! need not list its threads again. Pure; bounded in count and bytes.
//!
//! One lock covers the number and all outboxes, so each connection receives rising numbers. The lock is taken before any guard
//! of the maps. A list names the newest number before it reads the index, so it shows every change up to that number.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use skein_base::clock::WallMs;
use skein_protocol::JsonObject;
use skein_protocol::envelope;
use skein_protocol::extension::{
    CatalogChange, CatalogPlace, SkeinCatalogResumeParams, SkeinCatalogResumeResponse,
};
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::notifications::{NOTIFICATIONS, ThreadStatusChanged};
use skein_protocol::question::NeedsYou;
use skein_protocol::table::{EventKind, Notification};
use skein_store::home::Term;
use uuid::Uuid;

use crate::outbox::Frame;

#[cfg(test)]
mod tests;

/// The member of params with the catalog's place.
const PLACE: &str = "skein";

/// The connections that an announcement about a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum AnnouncedTo {
    /// Every one that is initialised.
    All,
    /// Those that opted in to events.
    Listening,
    /// Those that neither listen to the thread nor wait for a resume of it: a client that shows a thread exits when the thread is
    /// closed.
    Unsubscribed,
}

/// The thread of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnnouncedThread {
    pub(crate) id: ThreadId,
    /// The term of the owner that announces; `None` if it has none.
    pub(crate) term: Option<Term>,
    /// Whether that owner has ended, whatever the status of the thread is.
    pub(crate) is_left: bool,
}

impl From<ThreadId> for AnnouncedThread {
    fn from(id: ThreadId) -> Self {
        Self { id, term: None, is_left: false }
    }
}

/// The thread of an announcement, and its receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnnouncedOf {
    pub(crate) thread: AnnouncedThread,
    pub(crate) audience: AnnouncedTo,
    /// Whether this server has made it, and not another one.
    pub(crate) is_own: bool,
}

/// A change as another server gets it, which gives it a number of its own catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RelayedChange {
    pub(crate) thread: ThreadId,
    pub(crate) audience: AnnouncedTo,
    /// The wire name.
    pub(crate) method: String,
    pub(crate) params: JsonObject,
    pub(crate) at: WallMs,
    /// The number in the thread's history, for a client that gets the thread's events.
    pub(crate) number: Option<(EventSeq, Epoch)>,
    /// The term of the owner that announces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) term: Option<Term>,
    /// Whether that owner has ended. A thread that waits for an answer may be active all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_left: bool,
}

impl RelayedChange {
    /// Whether a client that follows the thread gets it with the thread's events: also if a link breaks, by the next resume.
    pub(crate) fn comes_with_events(&self) -> bool {
        self.audience == AnnouncedTo::Unsubscribed
            || self.method == ThreadStatusChanged::INFO.wire
            || self.is_durable()
    }

    /// Whether it is an event of the thread's history.
    pub(crate) fn is_durable(&self) -> bool {
        let mut durable = NOTIFICATIONS.iter().filter(|known| known.kind == EventKind::Durable);
        durable.any(|known| known.wire == self.method)
    }

    /// The change as this server announces it. `None` if this version does not know the method.
    pub(crate) fn announcement(self) -> Option<Announcement> {
        let known = NOTIFICATIONS.iter().find(|known| known.wire == self.method)?;
        Some(Announcement { method: known.wire, params: self.params, at: self.at, number: self.number })
    }
}

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
    of: AnnouncedOf,
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
    /// The number of the newest change of this server that other servers may miss and the catalog has dropped.
    dropped: u64,
}

impl Catalog {
    /// An empty catalog of this start of the server.
    pub(crate) fn new(start: Uuid, limits: CatalogLimits) -> Self {
        Self { epoch: start.to_string(), limits, last: 0, kept: VecDeque::new(), bytes: 0, dropped: 0 }
    }

    /// The number of the newest change.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Gives a notification the next number, and keeps it. `None` if it cannot be serialised.
    pub(crate) fn add(&mut self, announcement: &Announcement, of: AnnouncedOf) -> Option<Announced> {
        let Announcement { method, params, at, number } = announcement;
        let place = CatalogPlace { catalog_seq: self.last + 1, ..self.place() };
        let params = to_raw_value(&placed(params, &place)?).ok()?;
        let print = |number| Frame::from(envelope::announcement(method, &params, at.0, number));
        let announced = Announced { plain: print(None), numbered: number.map(|number| print(Some(number))) };
        self.last = place.catalog_seq;
        self.keep(Change { of, method, params, at: *at });
        Some(announced)
    }

    /// The place behind the newest change.
    pub(crate) fn place(&self) -> CatalogPlace {
        CatalogPlace { catalog_seq: self.last, catalog_epoch: self.epoch.clone() }
    }

    /// Drops all changes. A client that comes back lists its threads again.
    pub(crate) fn forget(&mut self) {
        while self.drop_oldest() {}
        self.last += 1;
    }

    /// The changes of this server behind a number, for another one. `None` if some were dropped.
    pub(crate) fn relayed_since(&self, after: u64) -> Option<Vec<(u64, RelayedChange)>> {
        if after < self.dropped || after > self.last {
            return None;
        }
        let numbered = (self.oldest()..).zip(&self.kept).filter(|(number, _)| *number > after);
        Some(numbered.filter_map(|(number, change)| Some((number, change.relayed()?))).collect())
    }

    /// The number of the oldest change that is kept.
    fn oldest(&self) -> u64 {
        self.last + 1 - u64::try_from(self.kept.len()).unwrap_or_default()
    }

    fn keep(&mut self, change: Change) {
        self.bytes += change.params.get().len();
        self.kept.push_back(change);
        while self.kept.len() > self.limits.changes || self.bytes > self.limits.bytes {
            if !self.drop_oldest() {
                return;
            }
        }
    }

    /// Returns whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let number = self.oldest();
        let Some(oldest) = self.kept.pop_front() else { return false };
        self.bytes -= oldest.params.get().len();
        if oldest.is_relayed() {
            self.dropped = number;
        }
        true
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

/// The params with a place in the catalog.
pub(crate) fn placed(params: &JsonObject, place: &CatalogPlace) -> Option<JsonObject> {
    let mut params = params.clone();
    params.insert(PLACE.to_owned(), serde_json::to_value(place).ok()?);
    Some(params)
}

impl Change {
    /// Whether other servers get it: not one of another server, and not one that each server announces by itself.
    fn is_relayed(&self) -> bool {
        self.of.is_own && self.of.audience != AnnouncedTo::Listening
    }

    /// The change without its place. `None` for one that other servers do not get.
    fn relayed(&self) -> Option<RelayedChange> {
        if !self.is_relayed() {
            return None;
        }
        let Self { of, method, params, at } = self;
        let AnnouncedThread { id: thread, term, is_left } = of.thread;
        let mut params: JsonObject = serde_json::from_str(params.get()).ok()?;
        params.remove(PLACE);
        let (audience, method) = (of.audience, (*method).to_owned());
        Some(RelayedChange { thread, audience, method, params, at: *at, number: None, term, is_left })
    }

    fn to_wire(&self) -> CatalogChange {
        CatalogChange {
            method: self.method.to_owned(),
            params: self.params.clone(),
            emitted_at_ms: self.at.0,
        }
    }
}
