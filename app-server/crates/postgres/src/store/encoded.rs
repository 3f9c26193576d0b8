//! Records as rows. Pure.

use skein_store::home::Term;
use skein_store::rollout::blob::Blob;
use skein_store::rollout::record::Record;
use skein_store::rollout::{line, order};

use crate::append::RecordRow;

/// The rows of some records.
#[derive(Debug)]
pub(super) struct EncodedRows {
    pub(super) rows: Vec<RecordRow>,
    /// The texts that the lines refer to.
    pub(super) texts: Vec<Blob>,
    /// The number of the last record that tells of all; 0 if no record does.
    pub(super) header: u64,
    /// The term of a `thread.opened` among them; 0 if there is none.
    pub(super) opens: Term,
}

impl EncodedRows {
    /// Encodes the records as the file store does, by the one codec.
    pub(super) fn of(records: &[Record]) -> Result<Self, serde_json::Error> {
        let mut encoded = Self { rows: Vec::new(), texts: Vec::new(), header: 0, opens: Term(0) };
        for record in records {
            let mut line = Vec::new();
            line::encode_small(record, &mut line, &mut encoded.texts)?;
            line.pop_if(|end| *end == b'\n');
            encoded.rows.push(RecordRow { seq: record.seq, line });
            if record.tells_of_all() {
                encoded.header = record.seq.0;
            }
            encoded.opens = order::term_of(record).max(Some(encoded.opens)).unwrap_or(encoded.opens);
        }
        Ok(encoded)
    }
}
