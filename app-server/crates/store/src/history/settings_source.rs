//! Where the settings of a thread are said. They may be long, so headers do not repeat them: a record says them when they
//! change, and the next header says them once more, in case that record is damaged. Later headers name the record.

use skein_protocol::ids::{EventSeq, ThreadId};

use super::History;
use crate::policy;
use crate::rollout::record::{ThreadHeader, ThreadSettings};
use crate::rollout::{ReadError, RolloutStore};

/// What the rollout says of the settings that hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SettingsSource {
    /// The record that has said them first.
    at: Option<EventSeq>,
    /// Whether a header has said them since.
    repeated: bool,
}

impl SettingsSource {
    /// The record that has said them first.
    pub(crate) fn at(self) -> Option<EventSeq> {
        self.at
    }

    /// Whether the next header need not say them.
    pub(crate) fn is_repeated(self) -> bool {
        self.at.is_some() && self.repeated
    }
}

impl History {
    pub(super) fn note_settings(&mut self, settings: &ThreadSettings, seq: EventSeq) {
        self.settings = settings.clone();
        self.settings_source = SettingsSource { at: Some(seq), repeated: false };
    }

    /// What the header in the record `seq` says of them.
    pub(super) fn take_settings(&mut self, header: &ThreadHeader, seq: EventSeq) {
        self.settings_source = match (&header.settings, self.settings_source.at, header.settings_at) {
            (Some(settings), before, named) => {
                let before = before.filter(|_| *settings == self.settings);
                self.settings = settings.clone();
                SettingsSource { at: named.or(before).or(Some(seq)), repeated: true }
            }
            (None, Some(at), Some(named)) if at >= named => SettingsSource { at: Some(at), repeated: true },
            // Who has said them is damaged: the next header says them again.
            (None, _, _) => SettingsSource::default(),
        };
    }

    /// What a header says of them to who has read nothing before it. Where it only names their record, they are as they were,
    /// until that is read.
    pub(super) fn begin_with_settings(&mut self, header: &ThreadHeader, seq: EventSeq) {
        if header.settings.is_some() {
            self.take_settings(header, seq);
        } else {
            self.settings_source = SettingsSource { at: header.settings_at, repeated: true };
        }
    }

    /// Goes on with the settings of a history of the same thread, for one that begins at a header.
    pub(crate) fn take_settings_of(&mut self, before: &Self) {
        (self.settings, self.settings_source) = (before.settings.clone(), before.settings_source);
    }

    /// Reads the settings that the header in the record `before` names. If their record is damaged, the newest that is there
    /// says them.
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
        tracing::warn!(%thread, "the record with the thread's settings is damaged; an earlier one says them");
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
