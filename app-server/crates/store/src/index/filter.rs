//! The filter and the order of a list.

use std::collections::HashSet;

use skein_base::clock::WallMs;
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::{SessionSource, SortDirection, SubAgentSource, ThreadSourceKind};

use super::{BadCursor, Cursor};
use crate::history::ThreadRow;

/// The key of a list's order. Threads with the same time are ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// The creation of the thread.
    #[default]
    Created,
    /// The last activity in the thread.
    Updated,
    /// The oldest question that waits for an answer. Only threads with such a question are in this order.
    Asked,
}

impl SortKey {
    pub(super) fn time_of(self, row: &ThreadRow) -> WallMs {
        match self {
            Self::Created => row.created,
            Self::Updated => row.updated,
            Self::Asked => row.waiting.first().map_or(WallMs(0), |oldest| oldest.asked),
        }
    }
}

/// The filter and the order of a list. An empty condition accepts everything, except for `source_kinds`.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadFilter {
    /// Archived threads only, or the others only.
    pub archived: bool,
    /// Working directories, exact.
    pub cwds: Vec<String>,
    /// Model providers, exact.
    pub model_providers: Vec<String>,
    /// Names of clients, exact.
    pub originators: Vec<String>,
    /// Kinds of client. Empty means the interactive kinds, see [`is_interactive`].
    pub source_kinds: Vec<ThreadSourceKind>,
    /// The span of their creation.
    pub created: Span,
    /// The span of their last activity.
    pub updated: Span,
    /// A text in the name or the preview, in upper or lower case.
    pub search: Option<String>,
    /// Threads to leave out.
    pub excluded: HashSet<ThreadId>,
    /// The order's key.
    pub sort: SortKey,
    /// The order's direction.
    pub direction: SortDirection,
}

impl Default for ThreadFilter {
    fn default() -> Self {
        Self {
            archived: false,
            cwds: Vec::new(),
            model_providers: Vec::new(),
            originators: Vec::new(),
            source_kinds: Vec::new(),
            created: Span::default(),
            updated: Span::default(),
            search: None,
            excluded: HashSet::new(),
            sort: SortKey::default(),
            direction: SortDirection::Desc,
        }
    }
}

/// A span of time with its beginning and without its end. Open where nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Its beginning.
    pub since: Option<WallMs>,
    /// Its end, which is outside.
    pub before: Option<WallMs>,
}

impl Span {
    /// A span in Unix seconds.
    pub fn of_seconds(since: Option<i64>, before: Option<i64>) -> Self {
        let at = |seconds: i64| WallMs(seconds.saturating_mul(1_000));
        Self { since: since.map(at), before: before.map(at) }
    }

    fn contains(self, at: WallMs) -> bool {
        self.since.is_none_or(|since| at >= since) && self.before.is_none_or(|before| at < before)
    }
}

impl ThreadFilter {
    /// The span of the time that orders the list.
    pub fn span(&self) -> Span {
        match self.sort {
            SortKey::Created => self.created,
            SortKey::Updated => self.updated,
            SortKey::Asked => Span::default(),
        }
    }

    /// The threads with questions that wait for an answer, whatever client created them, that with the oldest question first.
    pub fn waiting() -> Self {
        Self { sort: SortKey::Asked, direction: SortDirection::Asc, ..Self::default() }
    }

    /// Whether the list shows `row`.
    pub fn lets_through(&self, row: &ThreadRow) -> bool {
        let found = |text: &str| {
            let name = row.name.as_deref().unwrap_or_default().to_lowercase();
            name.contains(text) || row.preview.to_lowercase().contains(text)
        };
        row.archived == self.archived
            && (self.cwds.is_empty() || self.cwds.contains(&row.cwd))
            && (self.model_providers.is_empty() || self.model_providers.contains(&row.model_provider))
            && (self.originators.is_empty()
                || row.originator.as_ref().is_some_and(|by| self.originators.contains(by)))
            && self.shows(row)
            && self.created.contains(row.created)
            && self.updated.contains(row.updated)
            && !self.excluded.contains(&row.id)
            && self.search.as_deref().is_none_or(|text| found(&text.to_lowercase()))
    }

    fn shows(&self, row: &ThreadRow) -> bool {
        if self.sort == SortKey::Asked {
            return !row.waiting.is_empty();
        }
        let source = &row.source;
        match self.source_kinds.as_slice() {
            [] => is_interactive(source),
            kinds => kinds.iter().any(|kind| is_of(source, *kind)),
        }
    }

    /// All rows behind `cursor` in the list's order, filtered or not.
    pub fn in_order(
        &self,
        mut rows: Vec<ThreadRow>,
        cursor: Option<Cursor>,
    ) -> Result<Vec<ThreadRow>, BadCursor> {
        let place = |row: &ThreadRow| Cursor::at(row, self.sort).key();
        let from = cursor.map(|cursor| cursor.fits(self.sort)).transpose()?.map(|cursor| cursor.key());
        rows.retain(|row| self.sort != SortKey::Asked || !row.waiting.is_empty());
        rows.sort_unstable_by_key(place);
        match self.direction {
            SortDirection::Asc => rows.retain(|row| from.is_none_or(|from| place(row) > from)),
            SortDirection::Desc => {
                rows.reverse();
                rows.retain(|row| from.is_none_or(|from| place(row) < from));
            }
        }
        Ok(rows)
    }
}

/// Whether a person uses a client of `source`. Lists show only these by default. Source: the peer's interactive
/// sources. A thread of an unknown source is listed, as nobody could find it otherwise.
pub fn is_interactive(source: &SessionSource) -> bool {
    match source {
        SessionSource::Cli | SessionSource::VsCode | SessionSource::Unknown => true,
        SessionSource::Custom(name) => ["atlas", "chatgpt"].contains(&name.as_str()),
        SessionSource::Exec | SessionSource::AppServer | SessionSource::SubAgent(_) => false,
    }
}

/// Whether a client of `source` is of `kind`.
fn is_of(source: &SessionSource, kind: ThreadSourceKind) -> bool {
    match source {
        SessionSource::Cli => kind == ThreadSourceKind::Cli,
        SessionSource::VsCode => kind == ThreadSourceKind::Vscode,
        SessionSource::Exec => kind == ThreadSourceKind::Exec,
        SessionSource::AppServer => kind == ThreadSourceKind::AppServer,
        SessionSource::Unknown | SessionSource::Custom(_) => kind == ThreadSourceKind::Unknown,
        SessionSource::SubAgent(agent) => {
            kind == ThreadSourceKind::SubAgent
                || match agent {
                    SubAgentSource::Review => kind == ThreadSourceKind::SubAgentReview,
                    SubAgentSource::Compact => kind == ThreadSourceKind::SubAgentCompact,
                    SubAgentSource::ThreadSpawn { .. } => kind == ThreadSourceKind::SubAgentThreadSpawn,
                    SubAgentSource::MemoryConsolidation | SubAgentSource::Other(_) => {
                        kind == ThreadSourceKind::SubAgentOther
                    }
                }
        }
    }
}
