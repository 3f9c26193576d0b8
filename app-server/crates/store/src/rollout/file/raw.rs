//! The lines of a home's threads as bytes, for a program that has the home alone. Everything here blocks, behind
//! [`apart`].

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use skein_base::tasks::apart;
use skein_protocol::ids::{EventSeq, ThreadId};

use super::layer::{DiskLayer, FileLayer, LayerFile, OpenMode};
use super::lines::Forward;
use super::places::{RolloutPaths, deleted};
use super::{blobs, secrets};
use crate::home::HomePaths;
use crate::policy;
use crate::rollout::Location;
use crate::rollout::blob::{Blob, BlobName};
use crate::rollout::line;
use crate::rollout::lines::{
    LineCursor, LinePage, LineSummary, NumberedLine, Placement, RawLines, StoredThread,
};
use crate::rollout::record::SecretValues;

/// The lines of a home.
pub struct FileLines {
    places: RolloutPaths,
    trash: PathBuf,
    /// All threads by id. A deleted one of which a newer one is there is left out.
    threads: BTreeMap<ThreadId, StoredThread>,
}

impl FileLines {
    /// The lines of a home that the caller has alone.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn open(paths: &HomePaths) -> io::Result<Self> {
        let places = RolloutPaths::open(paths, Arc::new(DiskLayer))?;
        let marked = places.marked();
        let stored = |thread, placement| StoredThread { thread, placement, open: marked.contains(&thread) };
        let mut trashed: Vec<_> =
            DiskLayer.entries(&paths.trash())?.iter().filter_map(|entry| deleted(&entry.path)).collect();
        trashed.sort_unstable_by_key(|(_, at)| *at);
        let mut threads: BTreeMap<ThreadId, StoredThread> =
            trashed.into_iter().map(|(thread, at)| (thread, stored(thread, Placement::Trash(at)))).collect();
        let archived = places.archived()?;
        let active = places.threads()?.into_iter().map(|thread| (thread, Placement::Active));
        let all = active.chain(archived.into_iter().map(|thread| (thread, Placement::Archived)));
        threads.extend(all.map(|(thread, placement)| (thread, stored(thread, placement))));
        Ok(Self { places, trash: paths.trash(), threads })
    }

    fn path(&self, of: &StoredThread) -> PathBuf {
        match of.placement {
            Placement::Active => self.places.on(Location::Active, of.thread),
            Placement::Archived => self.places.on(Location::Archived, of.thread),
            Placement::Trash(at) => self.trash.join(format!("{}.{}.jsonl", of.thread, at.0)),
        }
    }

    fn append(&self, of: &StoredThread, lines: &[NumberedLine]) -> io::Result<()> {
        let part = self.places.part(of.thread);
        let file = match self.places.layer.open(&part, OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.places.layer.open(&part, OpenMode::New)?
            }
            opened => opened?,
        };
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(&line.bytes);
            bytes.push(b'\n');
        }
        file.write_at(&bytes, file.len()?)
    }

    fn complete(&self, of: &StoredThread, values: &SecretValues) -> io::Result<()> {
        self.append(of, &[])?;
        let (layer, part, place) = (&self.places.layer, self.places.part(of.thread), self.path(of));
        if !values.0.is_empty() {
            secrets::write(&self.places, of.thread, &values.0)?;
        }
        layer.open(&part, OpenMode::Write)?.sync()?;
        if of.open {
            self.places.set_open_marker(of.thread)?;
        }
        let folders: Vec<_> = place.ancestors().skip(1).take(2).collect();
        folders
            .iter()
            .rev()
            .filter(|folder| folder.starts_with(self.places.root()))
            .try_for_each(|folder| self.places.make_folder(folder))?;
        layer.rename(&part, &place)?;
        folders.first().map_or(Ok(()), |folder| layer.sync_folder(folder))
    }
}

impl std::fmt::Debug for FileLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileLines").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl RawLines for FileLines {
    async fn count(&self) -> io::Result<u64> {
        Ok(self.threads.len() as u64)
    }

    async fn stored(&self, after: Option<ThreadId>, limit: usize) -> io::Result<Vec<StoredThread>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        Ok(self.threads.range((from, Unbounded)).take(limit).map(|(_, of)| *of).collect())
    }

    async fn find(&self, thread: ThreadId) -> io::Result<Option<StoredThread>> {
        Ok(self.threads.get(&thread).copied())
    }

    async fn read(&self, of: &StoredThread, from: LineCursor) -> io::Result<LinePage> {
        apart(|| {
            let file = self.places.layer.open(&self.path(of), OpenMode::Read)?;
            read_page(&*file, from)
        })
    }

    async fn text(&self, name: BlobName) -> io::Result<Option<Vec<u8>>> {
        apart(|| match self.places.layer.open(&self.places.blobs.path(name), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let file = opened?;
                Ok(Some(bytes_of(&*file, 0, file.len()?)?))
            }
        })
    }

    async fn secret_values(&self, thread: ThreadId) -> io::Result<SecretValues> {
        apart(|| secrets::read(&self.places, thread)).map(SecretValues)
    }

    async fn take_back(&self, there: &StoredThread) -> io::Result<()> {
        apart(|| {
            self.places.layer.remove(&self.path(there))?;
            self.places.clear_open_markers(self.places.open_marker(there.thread)).map(drop)
        })
    }

    async fn begin(&self, of: &StoredThread) -> io::Result<()> {
        self.places.layer.remove(&self.places.part(of.thread)).map(drop)
    }

    async fn put_text(&self, thread: ThreadId, name: BlobName, bytes: Vec<u8>) -> io::Result<()> {
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        apart(|| blobs::keep(&self.places, thread, &[Blob { name, text }]))
    }

    async fn put(&self, of: &StoredThread, lines: &[NumberedLine]) -> io::Result<()> {
        apart(|| self.append(of, lines))
    }

    async fn finish(&self, of: &StoredThread, _end: LineSummary, secrets: SecretValues) -> io::Result<()> {
        apart(|| self.complete(of, &secrets))
    }

    /// The next server makes the index.
    async fn list(&self, _of: &StoredThread) -> io::Result<()> {
        Ok(())
    }
}

fn bytes_of(file: &dyn LayerFile, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let came = file.read_at(&mut bytes, offset)?;
    bytes.truncate(came);
    Ok(bytes)
}

/// The lines from a cursor on, up to the size of a page. Damage is numbered once the next record is known.
fn read_page(file: &dyn LayerFile, from: LineCursor) -> io::Result<LinePage> {
    let mut lines = Forward::new(file, from.offset, file.len()?);
    let (mut page, mut damage) = (NumberedPage::after(from.after), Vec::new());
    while let Some(line) = lines.next()? {
        let (offset, length, ended) = (line.offset, line.length, line.ended);
        // A line without its newline was never acknowledged, and a load cuts it off.
        if !ended {
            page.done.unnumbered += length;
            break;
        }
        let bytes =
            if line.bytes.is_empty() { bytes_of(file, offset, length - 1)? } else { line.bytes.to_vec() };
        match line::seq(&bytes) {
            Ok(seq) if seq > page.last => {
                page.add_damage(std::mem::take(&mut damage), Some(seq));
                page.add(NumberedLine { seq, bytes });
            }
            Ok(_) | Err(_) => damage.push(bytes),
        }
        if damage.is_empty() && page.bytes >= policy::READ_PAGE_BYTES {
            page.done.next = Some(LineCursor { after: page.last, offset: offset + length });
            return Ok(page.done);
        }
    }
    page.add_damage(damage, None);
    Ok(page.done)
}

struct NumberedPage {
    done: LinePage,
    last: EventSeq,
    bytes: usize,
}

impl NumberedPage {
    fn after(last: EventSeq) -> Self {
        Self { done: LinePage::default(), last, bytes: 0 }
    }

    fn add(&mut self, line: NumberedLine) {
        self.last = line.seq;
        self.bytes += line.bytes.len();
        self.done.lines.push(line);
    }

    /// Gives damaged lines the numbers before the next record. Where they are more, the last number has the rest of them, with
    /// their newlines.
    fn add_damage(&mut self, mut damage: Vec<Vec<u8>>, next: Option<EventSeq>) {
        let free = next.map_or(u64::MAX, |next| next.0.saturating_sub(self.last.next().0));
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        if free == 0 {
            self.done.unnumbered += damage.iter().map(|line| line.len() as u64 + 1).sum::<u64>();
            return;
        }
        if damage.len() > free {
            let rest = damage.split_off(free - 1).join(&b'\n');
            damage.push(rest);
        }
        for bytes in damage {
            self.add(NumberedLine { seq: self.last.next(), bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::names;

    fn line_of(seq: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        names(seq, seq).iter().for_each(|record| line::encode(record, &mut bytes).unwrap());
        bytes
    }

    fn read(text: &[u8]) -> LinePage {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, text).unwrap();
        read_page(&*DiskLayer.open(&path, OpenMode::Read).unwrap(), LineCursor::default()).unwrap()
    }

    /// The numbers, the lines that are damage, and the bytes without a number.
    fn numbered(text: &[&[u8]]) -> (Vec<u64>, Vec<String>, u64) {
        let page = read(&text.concat());
        let damage = page.lines.iter().filter(|line| line::seq(&line.bytes).is_err());
        (
            page.lines.iter().map(|line| line.seq.0).collect(),
            damage.map(|line| String::from_utf8(line.bytes.clone()).unwrap()).collect(),
            page.unnumbered,
        )
    }

    #[test]
    fn damage_has_the_numbers_between_the_records_around_it() {
        let (one, four) = (line_of(1), line_of(4));
        let (one, four): (&[u8], &[u8]) = (&one, &four);
        let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(numbered(&[one, b"x\n", b"y\n", four]), (vec![1, 2, 3, 4], text(&["x", "y"]), 0));
        assert_eq!(numbered(&[one, b"x\n", four]), (vec![1, 2, 4], text(&["x"]), 0), "fewer than numbers");
        assert_eq!(
            numbered(&[one, b"x\n", b"y\n", b"z\n", four]),
            (vec![1, 2, 3, 4], text(&["x", "y\nz"]), 0)
        );
        assert_eq!(numbered(&[one, b"x\n", &line_of(2)]), (vec![1, 2], text(&[]), 2), "no number is free");
        assert_eq!(numbered(&[one, b"x\n", b"y\n"]), (vec![1, 2, 3], text(&["x", "y"]), 0), "at the end");
        assert_eq!(numbered(&[one, &four[..9]]), (vec![1], text(&[]), 9), "a torn end");
        assert_eq!(numbered(&[one, one, four]).0, [1, 2, 4], "a line that stands twice is damage");
    }
}
