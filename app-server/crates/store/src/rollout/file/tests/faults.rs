//! The disk fails at every possible place. Nothing acknowledged is lost, nothing is there twice, and the order stays.

use fault::{DiskFault, Fails};

use super::*;

/// The appends of a thread's life: the count of records, and their durability.
const STEPS: [(u64, Keep); 6] = [
    (1, Keep::Power),
    (2, Keep::Process),
    (1, Keep::Process),
    (2, Keep::Power),
    (1, Keep::Process),
    (1, Keep::Power),
];

/// An owner that retries with other texts each time, as after a failed turn.
#[derive(Default)]
struct Owner {
    acknowledged: Vec<Record>,
    /// Records that must survive a loss of power.
    powered: usize,
    /// Refused records since then, by try. One of them may be on disk, as the disk failed before the cut.
    refused: Vec<Vec<Record>>,
    refusals: usize,
    /// Text behind the first record of each append of more than one.
    padding: &'static str,
}

impl Owner {
    /// Runs all steps, and gives a step up after `tries`.
    async fn live(&mut self, store: &FileStore, id: ThreadId, tries: usize) {
        for (count, keep) in STEPS {
            for attempt in 1..=tries {
                let head = self.acknowledged.len() as u64;
                let records: Vec<Record> = (head + 1..=head + count)
                    .map(|seq| {
                        let padding = if count > 1 && seq == head + 1 { self.padding } else { "" };
                        named(seq, &format!("{seq}, said in try {attempt} of this step{padding}"))
                    })
                    .collect();
                match store.append(lease(id), EventSeq(head), LogEntry::of(records.clone(), keep)).await {
                    Ok(appended) => {
                        self.acknowledged.extend(records);
                        self.refused.clear();
                        assert_eq!(appended.head.0, self.acknowledged.len() as u64);
                        if keep == Keep::Power {
                            self.powered = self.acknowledged.len();
                        }
                        break;
                    }
                    Err(AppendError::Disk { head, kind, .. }) => {
                        assert_eq!(head.0, self.acknowledged.len() as u64, "the head is known");
                        assert_eq!(kind, DiskKind::Full);
                        self.refused.push(records);
                        self.refusals += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            if !self.refused.is_empty() {
                return;
            }
        }
    }

    /// Checks the records of a later start. The first `certain` records must be there.
    fn check(&self, found: &[Record], certain: usize, case: &str) {
        assert!(found.len() >= certain, "{case}: {} of {certain} records are left", found.len());
        let (told, rest) = found.split_at(found.len().min(self.acknowledged.len()));
        assert!(self.acknowledged.starts_with(told), "{case}: {found:?}");
        let one_try = rest.is_empty() || self.refused.iter().any(|records| records.starts_with(rest));
        assert!(one_try, "{case}: {found:?} has what nobody said");
    }
}

async fn found(fixture: &Fixture, id: ThreadId) -> Vec<Record> {
    match fixture.store.load(id).await {
        Ok(loaded) => {
            assert_eq!(loaded.repair.damage, []);
            loaded.end
        }
        Err(ReadError::Missing(_)) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// One life with one fault, then the end of the process or of the power.
async fn failing_life(fault: DiskFault, tries: usize, power_ends: bool, padding: &'static str) -> Owner {
    let case = format!("{fault:?}, {tries} tries, power ends: {power_ends}");
    let id = thread(1);
    let mut fixture = Fixture::new();
    let mut owner = Owner { padding, ..Owner::default() };
    fixture.layer.set_fault(Some(fault));
    owner.live(&fixture.store, id, tries).await;
    if owner.refused.is_empty() {
        let all: u64 = STEPS.iter().map(|(count, _)| count).sum();
        assert_eq!(owner.acknowledged.len() as u64, all, "{case}");
    }
    if !owner.acknowledged.is_empty() {
        let seen = fixture.store.read_after(id, EventSeq(0), 99).await.unwrap().records;
        assert_eq!(seen, owner.acknowledged, "{case}: readers see what was acknowledged");
    }
    if power_ends {
        fixture.layer.cut_power().unwrap();
    }
    fixture.restart();
    let certain = if power_ends { owner.powered } else { owner.acknowledged.len() };
    let left = found(&fixture, id).await;
    owner.check(&left, certain, &case);
    // The next owner continues from there.
    let head = left.len() as u64;
    fixture
        .store
        .append(lease(id), EventSeq(head), LogEntry::of(vec![opened(head + 1, 2)], Keep::Power))
        .await
        .unwrap();
    fixture.layer.cut_power().unwrap();
    fixture.restart();
    assert_eq!(found(&fixture, id).await, [left, vec![opened(head + 1, 2)]].concat(), "{case}");
    owner
}

/// Every place and every fault, with these numbers of failing operations and tries, and with or without power loss.
async fn everywhere(ways: &[(usize, usize, bool)], padding: &'static str, least: usize) {
    let whole = Fixture::new();
    Owner { padding, ..Owner::default() }.live(&whole.store, thread(1), 1).await;
    let operations = whole.layer.done().len();
    assert!(operations >= least, "{operations} operations: the life is too small");
    let kind = io::ErrorKind::StorageFull;
    let mut refusals = 0;
    for at in 0..operations + 4 {
        for fails in [Fails::Before, Fails::Half, Fails::After] {
            for &(times, tries, power_ends) in ways {
                let fault = DiskFault { at, times, fails, kind };
                refusals += failing_life(fault, tries, power_ends, padding).await.refusals;
            }
        }
    }
    assert!(refusals > operations * ways.len() / 2, "only {refusals} appends were refused");
}

#[tokio::test]
async fn an_error_at_every_operation_loses_doubles_and_reorders_nothing() {
    let in_a_row = [1, 2, 3, usize::MAX].into_iter();
    let ways =
        in_a_row.flat_map(|times| [1, 9].map(|tries| [false, true].map(|power| (times, tries, power))));
    everywhere(ways.flatten().collect::<Vec<_>>().as_slice(), "", 15).await;
}

#[tokio::test]
async fn nor_does_it_where_texts_are_too_large_for_a_line() {
    static LARGE: std::sync::LazyLock<String> = std::sync::LazyLock::new(large);
    everywhere(&[(1, 9, false), (1, 9, true), (usize::MAX, 1, true)], &LARGE, 30).await;
}

#[tokio::test]
async fn after_a_failed_sync_everything_is_written_again() {
    let fixture = Fixture::new();
    let id = thread(1);
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    fixture.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Process)).await.unwrap();
    let before = fixture.layer.done().len();
    let kind = io::ErrorKind::Other;
    fixture.layer.set_fault(Some(DiskFault { at: before + 1, times: 1, fails: Fails::Before, kind }));
    let refused = fixture
        .store
        .append(lease(id), EventSeq(2), LogEntry::of(names(3, 3), Keep::Power))
        .await
        .unwrap_err();
    assert!(matches!(refused, AppendError::Disk { head: EventSeq(2), kind: DiskKind::Io, .. }), "{refused}");
    fixture.store.append(lease(id), EventSeq(2), LogEntry::of(Vec::new(), Keep::Power)).await.unwrap();
    let kinds: Vec<Op> = fixture.layer.done()[before..].iter().map(|(op, _)| *op).collect();
    assert_eq!(kinds, [Op::Write, Op::Sync, Op::Truncate, Op::Write, Op::Sync]);
    assert_eq!(fs::read(fixture.path(id)).unwrap(), lines(&names(1, 2)), "the refused record is gone");
    assert_eq!(fixture.store.counts().errors, 1);
}

#[tokio::test]
async fn one_thread_without_a_disk_does_not_stop_another() {
    let fixture = Fixture::new();
    let (stuck, well) = (thread(1), thread(2));
    fixture.store.append(lease(well), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    fixture.layer.hold(Op::Sync);
    let append = fixture.store.append(lease(stuck), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power));
    tokio::select! { biased; _ = append => panic!("the sync is held"), () = tokio::task::yield_now() => {} }
    fixture.store.append(lease(well), EventSeq(1), LogEntry::of(names(2, 9), Keep::Process)).await.unwrap();
    assert_eq!(fixture.store.head(well).await.unwrap(), EventSeq(9));
    fixture.layer.release(Op::Sync);
}

/// A copy is whole or absent wherever the disk fails, also with a power loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_whole_or_not_there_wherever_the_disk_fails() {
    let (from, to) = (thread(1), thread(2));
    let mut refusals = 0;
    for position in 0..20 {
        for fails in [Fails::Before, Fails::Half, Fails::After] {
            for power in [false, true] {
                let case = format!("operation {position} fails ({fails:?}), power goes: {power}");
                let (mut fixture, whole) = (Fixture::new(), LogEntry::of(names(1, 9), Keep::Power));
                fixture.store.append(lease(from), EventSeq(0), whole).await.unwrap();
                let at = fixture.layer.done().len() + position;
                let kind = std::io::ErrorKind::StorageFull;
                fixture.layer.set_fault(Some(DiskFault { at, times: 1, fails, kind }));
                let copied = fixture.store.copy(from, EventSeq(5), lease(to), vec![named(6, "own")]).await;
                fixture.layer.set_fault(None);
                refusals += usize::from(copied.is_err());
                if power {
                    fixture.layer.cut_power().unwrap();
                }
                fixture.restart();
                let found = match fixture.store.read_after(to, EventSeq(0), 100).await {
                    Ok(page) => page.records.len(),
                    Err(ReadError::Missing(_)) => 0,
                    Err(error) => panic!("{case}: {error}"),
                };
                assert_eq!(found, if copied.is_ok() { 6 } else { 0 }, "{case}");
                let listed = fixture.store.threads().await.unwrap().contains(&to);
                assert_eq!(listed, copied.is_ok(), "{case}");
                assert_eq!(
                    fixture.store.read_after(from, EventSeq(0), 100).await.unwrap().records,
                    names(1, 9)
                );
                let left = fs::read_dir(fixture.paths.open_markers())
                    .unwrap()
                    .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
                    .count();
                assert_eq!(left, 0, "{case}: something half made is left");
            }
        }
    }
    assert!(refusals > 20, "only {refusals} failures");
}

/// The server's status comes from memory, also on a thread that others wait for.
#[tokio::test]
async fn counts_are_readable_while_an_open_marker_cannot_be_created() {
    let fixture = Fixture::new();
    fixture
        .store
        .append(lease(thread(1)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process))
        .await
        .unwrap();
    fixture.layer.hold(Op::Create);
    let append =
        fixture.store.append(lease(thread(2)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process));
    tokio::select! { biased; _ = append => panic!("the mark is held"), () = tokio::task::yield_now() => {} }
    fixture.layer.wait_for(Op::Create);
    let counted = std::thread::scope(|scope| {
        let (counted, counts) = std::sync::mpsc::sync_channel(1);
        scope.spawn(move || counted.send(fixture.store.counts()));
        let counts = counts.recv_timeout(std::time::Duration::from_secs(10));
        fixture.layer.release(Op::Create);
        counts
    });
    assert_eq!(counted.map(|counts| counts.open_markers), Ok(1));
}

#[tokio::test]
async fn reads_of_a_file_that_hangs_leave_room_for_those_of_others() {
    let fixture = Fixture::new();
    let store = Arc::new(fixture.store);
    let (stuck, well) = (thread(1), thread(2));
    for id in [stuck, well] {
        store.append(lease(id), EventSeq(0), LogEntry::of(vec![opened(1, 1)], Keep::Process)).await.unwrap();
    }
    fixture.layer.hold_reads(Some(&format!("{stuck}.jsonl")));
    let read = async |id| store.read_after(id, EventSeq(0), 10).await.map(|page| page.records.len());
    let many = futures_util::future::join_all((0..40).map(|_| read(stuck)));
    let mut many = std::pin::pin!(many);
    while fixture.layer.reads_waiting() == 0 {
        assert!(futures_util::poll!(&mut many).is_pending());
        tokio::task::yield_now().await;
    }
    // Longer than any machine needs for a line.
    let other = tokio::time::timeout(std::time::Duration::from_secs(20), read(well)).await;
    fixture.layer.hold_reads(None);
    assert_eq!(other.expect("it does not wait for the other file").unwrap(), 1);
    assert!(many.await.into_iter().all(|read| read.unwrap() == 1));
}
