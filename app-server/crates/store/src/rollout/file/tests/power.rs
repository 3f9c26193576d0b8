//! Power is lost, or the disk fails, at every operation of several lives, on disks that tear what was not synced: what was
//! acknowledged for certain is there, and nobody is ever told two things under one number of one epoch.

use std::collections::BTreeMap;

use fault::{DiskFault, Fails};
use layer::DiskLayer;
use skein_protocol::ids::Epoch;
use uuid::Uuid;

use super::*;
use crate::home::Term;
use crate::rollout::record::ThreadOpened;

/// How a life keeps its records, as each durability says: the first one, those within a turn, and those at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    opened: Keep,
    within: Keep,
    ends: Keep,
}

const TURN: Kept = Kept { opened: Keep::Power, within: Keep::Process, ends: Keep::Power };
const EVENT: Kept = Kept { opened: Keep::Power, within: Keep::Power, ends: Keep::Power };
const PROCESS: Kept = Kept { opened: Keep::Power, within: Keep::Process, ends: Keep::Process };
/// What no durability does: the epoch of a load is told, and is not on disk.
const CARELESS: Kept = Kept { opened: Keep::Process, ..PROCESS };

/// What of all that was not synced comes to disk when power is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    Nothing,
    Everything,
    /// As this seed says, piece by piece.
    Some(u64),
}

const COMES: [Comes; 5] = [Comes::Nothing, Comes::Everything, Comes::Some(1), Comes::Some(2), Comes::Some(3)];

/// Lives of a story; the last one only looks.
const LIVES: u64 = 3;

/// How long the texts within a turn are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextSource {
    /// Longer than a sector.
    Short,
    /// Too large for a line.
    Large,
}

/// Everything that anybody was told.
struct Story {
    fixture: Fixture,
    kept: Kept,
    texts: TextSource,
    comes: Comes,
    /// By epoch and number.
    told: BTreeMap<(Epoch, EventSeq), Record>,
    /// What has to survive everything, by number.
    certain: BTreeMap<EventSeq, Record>,
    refusals: usize,
}

/// Why a story is wrong.
type Wrong = String;

impl Story {
    fn new(kept: Kept, texts: TextSource, comes: Comes) -> Self {
        let (told, certain) = (BTreeMap::new(), BTreeMap::new());
        Self { fixture: Fixture::new(), kept, texts, comes, told, certain, refusals: 0 }
    }

    /// What a record says, which nobody has said before.
    fn words(&self, seq: u64, life: u64, step: usize, attempt: usize) -> String {
        let rest = match self.texts {
            // One is enough, as each is on disk by itself.
            TextSource::Large if step == 2 && life == 1 && seq.is_multiple_of(2) => large(),
            TextSource::Large | TextSource::Short => "x".repeat(600),
        };
        format!("{seq} of life {life}, try {attempt} {rest}")
    }

    fn tell(&mut self, epoch: Epoch, record: &Record) -> Result<(), Wrong> {
        let before = self.told.insert((epoch, record.seq), record.clone());
        match before.filter(|before| before != record) {
            Some(before) => Err(format!("{} of epoch {epoch} was {before:?}, and is {record:?}", record.seq)),
            None => Ok(()),
        }
    }

    /// What a load finds, and everybody who resumes is told; the last number, and the epoch from here on.
    async fn load(&mut self, boot: u64) -> Result<Option<(EventSeq, Epoch)>, Wrong> {
        let loaded = match self.fixture.store.load(thread(1)).await {
            Ok(loaded) => loaded,
            Err(ReadError::Missing(_)) if self.certain.is_empty() => {
                return Ok(Some((EventSeq(0), Epoch(1))));
            }
            // The disk refuses, or nothing of the first write can be read, of which nothing was certain.
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
            self.tell(epoch, record)?;
        }
        Ok(Some((loaded.head, epoch)))
    }

    /// Texts that the rollout names and that are not there.
    fn lost(&self) -> Vec<LostText> {
        let file = DiskLayer.open(&self.fixture.path(thread(1)), OpenMode::Read);
        let texts = &self.fixture.store.shared.places.blobs;
        let seen = file.map(|file| survey(&*file, texts, thread(1), |_, _| ()));
        seen.map_or(Vec::new(), |seen| seen.map_or(Vec::new(), |seen| seen.lost))
    }

    /// One life: a load, some records, perhaps the end. What is refused is tried once more, in other words.
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
                match self.fixture.store.append(lease, head, records.clone(), keep).await {
                    Ok(appended) => {
                        head = appended.head;
                        for record in &records {
                            self.tell(epoch, record)?;
                        }
                        if keep == Keep::Power {
                            let now = self.told.range((epoch, EventSeq(0))..=(epoch, head));
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

    /// All lives, one of which has a fault, each ended by a loss of power.
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

/// Every place, in every way, up to the first that goes wrong; how many appends were refused, and what went wrong.
async fn all(kept: Kept) -> (usize, Option<Wrong>) {
    // A disk that is full for a moment, one that errs for a moment, and the end of the power.
    let full = (1, io::ErrorKind::StorageFull);
    let faults = [full, (1, io::ErrorKind::Other), (usize::MAX, io::ErrorKind::Other)];
    every_place(kept, TextSource::Short, &faults, &[1, 2]).await
}

async fn every_place(
    kept: Kept,
    texts: TextSource,
    faults: &[(usize, io::ErrorKind)],
    lives: &[u64],
) -> (usize, Option<Wrong>) {
    let mut whole = Story::new(kept, texts, Comes::Nothing);
    whole.live(1).await.unwrap();
    let operations = whole.fixture.layer.done().len();
    assert!(operations >= 9, "{operations} operations: the life is too small");
    let mut refusals = 0;
    for at in 0..operations + 2 {
        for fails in [Fails::Before, Fails::Half, Fails::After] {
            for &(times, kind) in faults {
                // After a fault that passes, power is lost at the end of the life, where little is torn.
                for comes in COMES.into_iter().take(if times == 1 { 2 } else { COMES.len() }) {
                    for &faulty in lives {
                        let fault = DiskFault { at, times, fails, kind };
                        let mut story = Story::new(kept, texts, comes);
                        if let Err(why) = story.play(faulty, fault).await {
                            let why = format!("{kept:?}, {comes:?}, life {faulty}, {fault:?}: {why}");
                            return (refusals, Some(why));
                        }
                        refusals += story.refusals;
                    }
                }
            }
        }
    }
    (refusals, None)
}

/// Whatever `durability` says: within a turn nobody waits for the line, and it may come to disk all the same.
#[tokio::test]
async fn no_line_comes_to_disk_before_its_text() {
    let power = [(usize::MAX, io::ErrorKind::Other)];
    let (refusals, wrong) = every_place(TURN, TextSource::Large, &power, &[1]).await;
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
async fn with_durability_process_nobody_is_told_two_things_under_one_number() {
    nothing_is_wrong(PROCESS).await;
}

#[tokio::test]
async fn an_epoch_that_is_told_before_it_is_on_disk_would_be_found() {
    let (_, wrong) = all(CARELESS).await;
    assert!(wrong.as_ref().is_some_and(|why| why.contains("of epoch")), "{wrong:?}");
}
