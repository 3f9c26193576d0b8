//! Exports one thread's history: its records, or a text for people. Reads only, so a server may have the store.

use std::io::{self, Write};

use skein_config::secrets;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::history::{History, markdown};
use skein_store::rollout::record::{Record, RecordBody};
use skein_store::rollout::{ReadError, RolloutStore, line};

use crate::policy;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The records, a line each, without the secrets of a client's `config` and the answers to questions.
    Jsonl,
    /// A conversation for people.
    Markdown,
}

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Records that were read.
    pub(crate) records: u64,
    /// Records missing because their lines are damaged.
    pub missing: u64,
    /// Records with a lost text; the record says so.
    pub lost: u64,
}

/// Why nothing was exported, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The thread does not exist.
    #[error("there is no thread {thread} in {place}; thread/list of its server has the ids")]
    Unknown {
        /// The thread.
        thread: ThreadId,
        /// The home, or the database.
        place: String,
    },
    /// The rollout cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The output cannot be written.
    #[error("the export of thread {thread} cannot be written: {source}")]
    Write {
        /// The thread.
        thread: ThreadId,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// Exports the thread of a store to `out`, with all records acknowledged before the start. Errors call the store `place`.
///
/// # Errors
/// [`ExportError`]; earlier output stays.
pub async fn run(
    (store, place): (&dyn RolloutStore, &str),
    thread: ThreadId,
    format: Format,
    out: &mut (impl Write + Send),
) -> Result<Exported, ExportError> {
    let refused = |source| ExportError::Write { thread, source };
    let (mut exported, mut history) = (Exported { records: 0, missing: 0, lost: 0 }, History::of(thread));
    let mut last = EventSeq(0);
    loop {
        let page = match store.read_after(thread, last, policy::EXPORT_PAGE).await {
            Err(ReadError::Missing(_)) => {
                return Err(ExportError::Unknown { thread, place: place.to_owned() });
            }
            page => page?,
        };
        exported.lost += page.lost.len() as u64;
        for record in &page.records {
            exported.note(&mut last, record.seq);
            match format {
                Format::Jsonl => write_line(record.clone(), out).map_err(refused)?,
                Format::Markdown => history.apply(record),
            }
        }
        if !page.more || page.records.is_empty() {
            break;
        }
    }
    if format == Format::Markdown {
        out.write_all(markdown::text(&history).as_bytes()).map_err(refused)?;
    }
    out.flush().map_err(refused)?;
    Ok(exported)
}

/// Removes secrets, which rollouts of earlier versions may have, and what users have answered to questions.
fn write_line(mut record: Record, out: &mut impl Write) -> io::Result<()> {
    if let Some(settings) = record.body.settings_mut() {
        settings.config = secrets::externalise_stored(&settings.config).0;
    }
    if let RecordBody::QuestionAnswered(answered) = &mut record.body {
        answered.answer = None;
    }
    let mut bytes = Vec::new();
    line::encode(&record, &mut bytes)?;
    out.write_all(&bytes)
}

impl Exported {
    fn note(&mut self, last: &mut EventSeq, seq: EventSeq) {
        self.records += 1;
        self.missing += seq.0.saturating_sub(last.next().0);
        *last = seq;
    }
}

#[cfg(test)]
mod tests;
