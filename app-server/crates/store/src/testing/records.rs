//! Records and ids that tests write.

use std::io;

use skein_base::clock::WallMs;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use uuid::Uuid;

use crate::home::Term;
use crate::rollout::Lease;
use crate::rollout::blob::{BlobRef, Lost, TextSource};
use crate::rollout::line::{DecodedLine, LineError, RecordLine};
use crate::rollout::record::{Record, RecordBody, ThreadClosed, ThreadNamed, ThreadOpened};

/// A thread id for tests: `n` is in its last digits.
pub fn thread(n: u128) -> ThreadId {
    ThreadId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n))
}

/// A lease in term 1.
pub fn lease(thread: ThreadId) -> Lease {
    Lease { thread, term: Term(1) }
}

/// A record with a text.
pub fn named(seq: u64, name: &str) -> Record {
    let body = ThreadNamed { name: Some(name.to_owned()) }.into();
    Record { seq: EventSeq(seq), at: WallMs(i64::try_from(seq).unwrap_or(i64::MAX)), body }
}

/// Records `from` to `to`, both included.
pub fn names(from: u64, to: u64) -> Vec<Record> {
    (from..=to).map(|seq| named(seq, &format!("name {seq}"))).collect()
}

/// A `thread.opened`.
pub fn opened(seq: u64, term: u64) -> Record {
    let body = ThreadOpened { boot_id: Uuid::from_u128(term.into()), term: Term(term), epoch: Epoch(1) };
    Record { seq: EventSeq(seq), at: WallMs(0), body: RecordBody::from(body) }
}

/// A `thread.closed`.
pub fn closed(seq: u64) -> Record {
    Record { seq: EventSeq(seq), at: WallMs(0), body: ThreadClosed {}.into() }
}

/// Reads one line, without its newline, that refers to no texts. A whole record of a later version is
/// [`RecordBody::Unknown`].
///
/// # Errors
/// [`LineError`]; such a line is damage. [`LineError::Lost`] for a line that does refer to a text.
pub fn decode(line: &[u8]) -> Result<Record, LineError> {
    // Nothing is read here, so nothing can fail.
    let read = RecordLine::of(line)?.record(&Nowhere);
    let DecodedLine { record, lost } =
        read.unwrap_or_else(|error| Err(LineError::Head(error.to_string())))?;
    lost.map_or(Ok(record), |lost| Err(lost.into()))
}

/// No texts.
struct Nowhere;

impl TextSource for Nowhere {
    fn text(&self, blob: &BlobRef) -> io::Result<Result<String, Lost>> {
        Ok(Err(Lost { blob: blob.sha256, reason: "it stands beside the rollout".to_owned() }))
    }
}
