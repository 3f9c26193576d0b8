//! Finds the record that holds a thread's settings. Settings may be long, so headers do not repeat them. A record has
//! them when they change, and the next header repeats them once in case that record is damaged. Later headers name
//! the record.

use skein_protocol::ids::{EventSeq, ThreadId};

use super::History;
use crate::policy;
use crate::rollout::record::{StoredSettings, ThreadHeader};
use crate::rollout::{ReadError, RolloutStore};

/// The source of the current settings in the rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SettingsSource {
    /// The first record that has them.
    at: Option<EventSeq>,
    /// Whether a later header has repeated them.
    repeated: bool,
}

impl SettingsSource {
    /// The first record that has the settings.
    pub(crate) fn at(self) -> Option<EventSeq> {
        self.at
    }

    /// Whether the next header can leave the settings out.
    pub(crate) fn is_repeated(self) -> bool {
        self.at.is_some() && self.repeated
    }
}

impl History {
    pub(super) fn note_settings(&mut self, settings: &StoredSettings, seq: EventSeq) {
        self.settings = settings.clone();
        self.settings_source = SettingsSource { at: Some(seq), repeated: false };
    }

    /// Takes the source of the settings from the header in record `seq`.
    pub(super) fn take_settings(&mut self, header: &ThreadHeader, seq: EventSeq) {
        self.settings_source = match (&header.settings, self.settings_source.at, header.settings_at) {
            (Some(settings), before, named) => {
                let before = before.filter(|_| *settings == self.settings);
                self.settings = settings.clone();
                SettingsSource { at: named.or(before).or(Some(seq)), repeated: true }
            }
            (None, Some(at), Some(named)) if at >= named => SettingsSource { at: Some(at), repeated: true },
            // Damage has taken the record with the settings: the next header repeats them.
            (None, _, _) => SettingsSource::default(),
        };
    }

    /// Takes the settings from a header when nothing before it was read. A header that only names their record leaves
    /// them as they were until that record is read.
    pub(super) fn begin_with_settings(&mut self, header: &ThreadHeader, seq: EventSeq) {
        if header.settings.is_some() {
            self.take_settings(header, seq);
        } else {
            self.settings_source = SettingsSource { at: header.settings_at, repeated: true };
        }
    }

    /// Takes the settings of another history of the same thread, for a history that begins at a header.
    pub(crate) fn take_settings_of(&mut self, before: &Self) {
        (self.settings, self.settings_source) = (before.settings.clone(), before.settings_source);
    }

    /// Reads the settings that the header in record `before` names. If their record is damaged, the newest readable
    /// record with settings counts.
    pub(super) async fn read_settings(
        &mut self,
        store: &dyn RolloutStore,
        thread: ThreadId,
        before: EventSeq,
    ) -> Result<(), ReadError> {
        if let Some(at) = self.settings_source.at {
            let page = store.read_after(thread, EventSeq(at.0.saturating_sub(1)), 1).await?;
            let there = page.records.first().filter(|record| record.seq == at);
            if let Some(settings) = there.and_then(|record| record.body.settings()) {
                self.settings = settings.clone();
                return Ok(());
            }
        }
        tracing::warn!(%thread, "the record with a thread's settings is damaged; an earlier record has them");
        self.settings_source = SettingsSource::default();
        let mut before = Some(before);
        loop {
            let page = store.read_back(thread, before, policy::WINDOW_PAGE).await?;
            if let Some(settings) = page.records.iter().rev().find_map(|record| record.body.settings()) {
                self.settings = settings.clone();
                return Ok(());
            }
            before = page.records.first().map(|first| first.seq);
            if !page.more || before.is_none() {
                return Ok(());
            }
        }
    }
}
