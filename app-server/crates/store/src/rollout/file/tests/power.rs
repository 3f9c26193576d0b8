//! Power loss or disk failure at every operation of several lives, on disks that tear unsynced data. Durably
//! acknowledged records survive, and no number of an epoch ever names two different records.

use std::collections::BTreeMap;

use fault::{DiskFault, Fails};
use layer::DiskLayer;
use skein_protocol::ids::Epoch;
use uuid::Uuid;

use super::*;
use crate::home::Term;
use crate::rollout::record::ThreadOpened;

/// The durability of each kind of record: the first one, those within a turn, and those at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    opened: Keep,
    within: Keep,
    ends: Keep,
}

const TURN: Kept = Kept { opened: Keep::Power, within: Keep::Process, ends: Keep::Power };
const EVENT: Kept = Kept { opened: Keep::Power, within: Keep::Power, ends: Keep::Power };
const PROCESS: Kept = Kept { opened: Keep::Power, within: Keep::Process, ends: Keep::Process };
/// No setting does this: clients learn the epoch of a load before it is on disk.
const CARELESS: Kept = Kept { opened: Keep::Process, ..PROCESS };

/// Unsynced data that reaches the disk at a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    Nothing,
    Everything,
    /// A pseudo-random part, piece by piece.
    Some(u64),
}

const COMES: [Comes; 5] = [Comes::Nothing, Comes::Everything, Comes::Some(1), Comes::Some(2), Comes::Some(3)];

/// Lives of a run; the last one only reads.
const LIVES: u64 = 3;

/// The length of the texts within a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextLength {
    /// Longer than a sector.
    Short,
    /// Too large for a line.
    Large,
}

/// Everything that clients have received.
struct PowerRun {
    fixture: Fixture,
    kept: Kept,
    texts: TextLength,
    comes: Comes,
    /// By epoch and number.
    published: BTreeMap<(Epoch, EventSeq), Record>,
    /// Records that must survive everything, by number.
    certain: BTreeMap<EventSeq, Record>,
    refusals: usize,
}

/// The reason why a run is wrong.
type Wrong = String;

impl PowerRun {
    fn new(kept: Kept, texts: TextLength, comes: Comes) -> Self {
        let (published, certain) = (BTreeMap::new(), BTreeMap::new());
        Self { fixture: Fixture::new(), kept, texts, comes, published, certain, refusals: 0 }
    }

    /// A text that no earlier record has.
    fn words(&self, seq: u64, life: u64, step: usize, attempt: usize) -> String {
        let rest = match self.texts {
            // One such text is enough, as each reaches the disk by itself.
            TextLength::Large if step == 2 && life == 1 && seq.is_multiple_of(2) => large(),
            TextLength::Large | TextLength::Short => "x".repeat(600),
        };
        format!("{seq} of life {life}, try {attempt} {rest}")
    }

    fn publish(&mut self, epoch: Epoch, record: &Record) -> Result<(), Wrong> {
        let before = self.published.insert((epoch, record.seq), record.clone());
        match before.filter(|before| before != record) {
            Some(before) => Err(format!("{} of epoch {epoch} was {before:?}, and is {record:?}", record.seq)),
            None => Ok(()),
        }
    }

    /// The records that a load finds and every resume receives; the last number, and the epoch from here on.
    async fn load(&mut self, boot: u64) -> Result<Option<(EventSeq, Epoch)>, Wrong> {
        let loaded = match self.fixture.store.load(thread(1)).await {
            Ok(loaded) => loaded,
            Err(ReadError::Missing(_)) if self.certain.is_empty() => {
                return Ok(Some((EventSeq(0), Epoch(1))));
            }
            // The disk refuses, or nothing of the first write is readable. Nothing was certain yet.
            Err(ReadError::Disk { .. }) => return Ok(None),
            Err(ReadError::Unreadable { .. }) if self.certain.is_empty() => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let epoch = loaded.next_epoch(Uuid::from_u128(boot.into()));
        let found: BTreeMap<EventSeq, &Record> =
            loaded.end.iter().map(|record| (record.seq, record)).collect();
        for (seq, record) in &self.certain {
            if found.get(seq) != Some(&record) {
                return Err(format!("record {seq} was on disk for certain, and is {:?}", found.get(seq)));
            }
        }
        if let [lost, ..] = self.lost().as_slice() {
            return Err(format!("a line came to disk before its text: {lost:?}"));
        }
        if loaded.repair.damage.is_empty() && found.len() as u64 != loaded.head.0 {
            return Err(format!("{} records end at {}", found.len(), loaded.head));
        }
        for record in &loaded.end {
            self.publish(epoch, record)?;
        }
        Ok(Some((loaded.head, epoch)))
    }

    /// Texts that the rollout names and the disk lacks.
    fn lost(&self) -> Vec<LostText> {
        let file = DiskLayer.open(&self.fixture.path(thread(1)), OpenMode::Read);
        let texts = &self.fixture.store.shared.places.blobs;
        let seen = file.map(|file| survey(&*file, texts, thread(1), |_, _| ()));
        seen.map_or(Vec::new(), |seen| seen.map_or(Vec::new(), |seen| seen.lost))
    }

    /// One life: a load, some records, perhaps the end. Retries each refused append once, with other texts.
    async fn live(&mut self, life: u64) -> Result<(), Wrong> {
        let Some((mut head, epoch)) = self.load(life).await? else { return Ok(()) };
        let Kept { opened, within, ends } = self.kept;
        let steps = [(1, opened), (1, ends), (2, within), (1, within), (1, ends), (1, ends)];
        for (step, (count, keep)) in steps.into_iter().enumerate() {
            let mut saved = false;
            for attempt in 0..2 {
                let records: Vec<Record> = (head.0 + 1..=head.0 + count)
                    .map(|seq| match step {
                        0 => self.opened(seq, life, epoch),
                        5 => closed(seq),
                        _ => named(seq, &self.words(seq, life, step, attempt)),
                    })
                    .collect();
                let lease = Lease { thread: thread(1), term: Term(life) };
                match self.fixture.store.append(lease, head, LogEntry::of(records.clone(), keep)).await {
                    Ok(appended) => {
                        head = appended.head;
                        for record in &records {
                            self.publish(epoch, record)?;
                        }
                        if keep == Keep::Power {
                            let now = self.published.range((epoch, EventSeq(0))..=(epoch, head));
                            self.certain = now.map(|((_, seq), record)| (*seq, record.clone())).collect();
                        }
                        saved = true;
                        break;
                    }
                    Err(AppendError::Disk { .. }) => self.refusals += 1,
                    Err(error) => return Err(error.to_string()),
                }
            }
            if !saved {
                return Ok(());
            }
        }
        Ok(())
    }

    fn opened(&self, seq: u64, life: u64, epoch: Epoch) -> Record {
        let boot_id = Uuid::from_u128(life.into());
        let body = ThreadOpened { boot_id, term: Term(life), epoch }.into();
        Record { seq: EventSeq(seq), at: skein_base::clock::WallMs(0), body }
    }

    fn lose_power(&mut self) {
        match self.comes {
            Comes::Nothing => self.fixture.layer.cut_power().unwrap(),
            Comes::Everything => self.fixture.layer.tear_power(&mut || true).unwrap(),
            Comes::Some(seed) => {
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut came = move || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state & 1 == 1
                };
                self.fixture.layer.tear_power(&mut came).unwrap();
            }
        }
        self.fixture.restart();
    }

    /// Runs all lives with one fault in one of them. Each life ends with a power loss.
    async fn play(&mut self, faulty: u64, fault: DiskFault) -> Result<(), Wrong> {
        for life in 1..=LIVES {
            if life == faulty {
                self.fixture.layer.set_fault(Some(fault));
            }
            self.live(life).await?;
            self.lose_power();
        }
        self.load(LIVES + 1).await.map(|_| ())
    }
}

/// Runs every place and every fault up to the first wrong one. Returns the number of refused appends, and the reason.
async fn all(kept: Kept) -> (usize, Option<Wrong>) {
    // A disk that is full for a moment, one that fails for a moment, and the end of the power.
    let full = (1, io::ErrorKind::StorageFull);
    let faults = [full, (1, io::ErrorKind::Other), (usize::MAX, io::ErrorKind::Other)];
    every_place(kept, TextLength::Short, &faults, &[1, 2]).await
}

async fn every_place(
    kept: Kept,
    texts: TextLength,
    faults: &[(usize, io::ErrorKind)],
    lives: &[u64],
) -> (usize, Option<Wrong>) {
    let mut whole = PowerRun::new(kept, texts, Comes::Nothing);
    whole.live(1).await.unwrap();
    let operations = whole.fixture.layer.done().len();
    assert!(operations >= 9, "{operations} operations: the life is too small");
    let mut refusals = 0;
    for at in 0..operations + 2 {
        for fails in [Fails::Before, Fails::Half, Fails::After] {
            for &(times, kind) in faults {
                // After a passing fault, power is lost at the end of the life, where little is torn.
                for comes in COMES.into_iter().take(if times == 1 { 2 } else { COMES.len() }) {
                    for &faulty in lives {
                        let fault = DiskFault { at, times, fails, kind };
                        let mut run = PowerRun::new(kept, texts, comes);
                        if let Err(why) = run.play(faulty, fault).await {
                            let why = format!("{kept:?}, {comes:?}, life {faulty}, {fault:?}: {why}");
                            return (refusals, Some(why));
                        }
                        refusals += run.refusals;
                    }
                }
            }
        }
    }
    (refusals, None)
}

/// Within a turn nobody waits for the line at any `durability`, and it may reach the disk all the same.
#[tokio::test]
async fn no_line_comes_to_disk_before_its_text() {
    let power = [(usize::MAX, io::ErrorKind::Other)];
    let (refusals, wrong) = every_place(TURN, TextLength::Large, &power, &[1]).await;
    assert_eq!(wrong, None);
    assert!(refusals > 50, "only {refusals} appends were refused");
}

async fn nothing_is_wrong(kept: Kept) {
    let (refusals, wrong) = all(kept).await;
    assert_eq!(wrong, None);
    assert!(refusals > 100, "only {refusals} appends were refused");
}

#[tokio::test]
async fn with_durability_turn_no_loss_of_power_loses_or_changes_what_was_certain() {
    nothing_is_wrong(TURN).await;
}

#[tokio::test]
async fn with_durability_event_no_loss_of_power_loses_or_changes_what_was_certain() {
    nothing_is_wrong(EVENT).await;
}

#[tokio::test]
async fn with_durability_process_no_number_names_two_records() {
    nothing_is_wrong(PROCESS).await;
}

#[tokio::test]
async fn an_epoch_that_is_published_before_it_is_on_disk_would_be_found() {
    let (_, wrong) = all(CARELESS).await;
    assert!(wrong.as_ref().is_some_and(|why| why.contains("of epoch")), "{wrong:?}");
}
