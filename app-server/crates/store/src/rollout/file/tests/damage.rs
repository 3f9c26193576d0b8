//! Loads and reads of files that were changed on disk.

use proptest::prelude::*;

use super::*;
use crate::rollout::{Damage, LoadRepair};

/// The records of a file with these bytes, and the repair of the load.
async fn load(fixture: &Fixture, id: ThreadId, bytes: &[u8]) -> Result<Loaded, ReadError> {
    fixture.write(id, bytes);
    let loaded = fixture.store.load(id).await;
    fixture.store.release(id);
    loaded
}

#[tokio::test]
async fn a_file_cut_anywhere_gives_exactly_its_whole_lines() {
    let fixture = Fixture::new();
    let id = thread(1);
    let records = vec![opened(1, 1), named(2, "ein Faden 🧵"), closed(3)];
    let whole = lines(&records);
    let ends: Vec<usize> = (0..=3).map(|n| lines(&records[..n]).len()).collect();
    for cut in 1..=whole.len() {
        let good = ends.iter().rposition(|end| *end <= cut).unwrap();
        match load(&fixture, id, &whole[..cut]).await {
            Ok(loaded) => {
                assert_eq!(loaded.end, records[..good], "cut at {cut}");
                assert_eq!(loaded.repair.cut, (cut - ends[good]) as u64);
                assert_eq!(loaded.repair.damage, []);
                assert_eq!(fs::read(fixture.path(id)).unwrap(), whole[..ends[good]], "cut at the newline");
            }
            Err(ReadError::Missing(_)) => assert_eq!(good, 0, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_line_with_a_bad_crc_is_fenced_also_when_it_is_the_last() {
    let fixture = Fixture::new();
    let id = thread(1);
    let mut bytes = lines(&names(1, 3));
    let (second, third) = (lines(&names(1, 1)).len(), lines(&names(1, 2)).len());
    bytes[third + 30] ^= 1;
    let loaded = load(&fixture, id, &bytes).await.unwrap();
    assert_eq!((loaded.end, loaded.head), (names(1, 2), EventSeq(3)), "its number stays taken");
    let damage = |after, from: usize, to: usize| LoadRepair {
        damage: vec![Damage {
            after: EventSeq(after),
            offset: from as u64,
            length: (to - from) as u64,
            lines: 1,
        }],
        ..LoadRepair::default()
    };
    assert_eq!(loaded.repair, damage(2, third, bytes.len()));
    assert_eq!(fs::read(fixture.path(id)).unwrap(), bytes, "never deleted");

    bytes[third + 30] ^= 1;
    bytes[second + 30] ^= 1;
    let loaded = load(&fixture, id, &bytes).await.unwrap();
    assert_eq!((loaded.end, loaded.head), (vec![named(1, "name 1"), named(3, "name 3")], EventSeq(3)));
    assert_eq!(loaded.repair, damage(1, second, third));
    assert_eq!(fs::read(fixture.path(id)).unwrap(), bytes, "never deleted");
    let page = fixture.store.read_after(id, EventSeq(0), 9).await.unwrap();
    assert_eq!(page.records.iter().map(|record| record.seq.0).collect::<Vec<_>>(), [1, 3]);
}

#[tokio::test]
async fn numbers_of_damaged_lines_at_the_end_are_not_given_out_again() {
    let fixture = Fixture::new();
    let id = thread(1);
    let mut bytes = lines(&names(1, 4));
    let third = lines(&names(1, 2)).len();
    for byte in &mut bytes[third..] {
        if *byte != b'\n' {
            *byte ^= 1;
        }
    }
    bytes.extend_from_slice(b"{\"v\":1,");
    for _ in 0..2 {
        let loaded = load(&fixture, id, &bytes).await.unwrap();
        assert_eq!((loaded.end, loaded.head), (names(1, 2), EventSeq(4)));
        assert_eq!((loaded.repair.cut, loaded.repair.damage[0].lines), (7, 2));
    }
    assert_eq!(fixture.store.head(id).await.unwrap(), EventSeq(4));
    fixture.store.append(lease(id), EventSeq(4), LogEntry::of(names(5, 5), Keep::Power)).await.unwrap();
    assert_eq!(fixture.store.read_back(id, None, 1).await.unwrap().records, names(5, 5));
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_alone() {
    let fixture = Fixture::new();
    let id = thread(1);
    for bytes in [&b"a letter\nto somebody\n"[..], b"one line\n", &[b'\n'; 9]] {
        assert!(matches!(load(&fixture, id, bytes).await, Err(ReadError::Unreadable { .. })));
        fixture
            .store
            .append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power))
            .await
            .unwrap_err();
        assert_eq!(fs::read(fixture.path(id)).unwrap(), bytes);
    }
    assert!(matches!(load(&fixture, id, b"").await, Err(ReadError::Missing(_))));
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
}

#[tokio::test]
async fn repeated_lines_are_fenced_and_lost_lines_reported() {
    let fixture = Fixture::new();
    let id = thread(1);
    let twice = [lines(&names(1, 2)), lines(&names(1, 2)), lines(&names(3, 3))].concat();
    let loaded = load(&fixture, id, &twice).await.unwrap();
    assert_eq!(loaded.end, names(1, 3));
    assert_eq!((loaded.repair.damage.len(), loaded.repair.damage[0].lines), (1, 2));

    let lost = [lines(&names(1, 1)), lines(&names(4, 4))].concat();
    let loaded = load(&fixture, id, &lost).await.unwrap();
    assert_eq!(
        loaded.repair.damage,
        [Damage { after: EventSeq(1), offset: lines(&names(1, 1)).len() as u64, length: 0, lines: 2 }]
    );
}

#[tokio::test]
async fn a_cut_sets_the_open_marker_and_syncs_the_records() {
    let fixture = Fixture::new();
    let id = thread(1);
    load(&fixture, id, &lines(&[opened(1, 1), closed(2)])).await.unwrap();
    assert_eq!(fixture.layer.done_to(".jsonl"), [Op::Open], "a closed end is left alone");
    load(&fixture, id, &[lines(&names(1, 2)), b"{".to_vec()].concat()).await.unwrap();
    let kinds: Vec<Op> = fixture.layer.done().into_iter().map(|(op, _)| op).collect();
    assert_eq!(kinds, [Op::Open, Op::Open, Op::Create, Op::Truncate, Op::Sync]);
    assert_eq!(fixture.store.open_markers().await.unwrap(), [id]);
}

#[tokio::test]
async fn the_next_start_finds_the_open_markers() {
    let mut fixture = Fixture::new();
    for n in [1, 2] {
        fixture
            .store
            .append(lease(thread(n)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process))
            .await
            .unwrap();
    }
    fs::write(fixture.paths.open_markers().join("something else"), "").unwrap();
    fixture.restart();
    assert_eq!(fixture.store.open_markers().await.unwrap(), [thread(1), thread(2)]);
    assert_eq!(
        fixture.store.clear_open_markers(vec![fixture.store.open_marker(thread(1))]).await.unwrap(),
        1
    );
    fixture.restart();
    assert_eq!(fixture.store.open_markers().await.unwrap(), [thread(2)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Changes to single bytes lose no whole record, invent none, and keep the order.
    #[test]
    fn flipped_bytes_cost_only_their_lines(
        sizes in prop::collection::vec(0usize..90_000, 1..12),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
        pages in 1usize..5,
    ) {
        let text = |n: usize| "ü".repeat(n / 2);
        let records: Vec<Record> = (1..).zip(&sizes).map(|(seq, size)| named(seq, &text(*size))).collect();
        let mut bytes = lines(&records);
        let starts: Vec<usize> = (0..=records.len()).map(|n| lines(&records[..n]).len()).collect();
        let mut hit = vec![false; records.len()];
        for (at, flip) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let line = starts.iter().rposition(|start| *start <= at).unwrap();
            hit[line] = true;
            // A lost newline joins two lines; both are damaged.
            if at + 1 == starts[line + 1] && line + 1 < hit.len() {
                hit[line + 1] = true;
            }
        }
        let whole: Vec<&Record> = records.iter().zip(&hit).filter(|(_, hit)| !**hit).map(|(record, _)| record).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fixture = Fixture::new();
        let id = thread(1);
        fixture.write(id, &bytes);
        let paged = runtime.block_on(async {
            let mut found: Vec<Record> = Vec::new();
            loop {
                let after = found.last().map_or(EventSeq(0), |last| last.seq);
                let page = fixture.store.read_after(id, after, pages).await.unwrap();
                found.extend(page.records);
                if !page.more {
                    return found;
                }
            }
        });
        // A second flip may undo the first, so more records than expected may be whole. Everything else is unchanged.
        prop_assert!(whole.iter().all(|record| paged.contains(record)));
        prop_assert!(paged.iter().all(|record| records.contains(record)));
        prop_assert!(paged.is_sorted_by(|one, next| one.seq < next.seq));
        match runtime.block_on(fixture.store.load(id)) {
            Ok(loaded) => prop_assert_eq!(loaded.end, paged),
            Err(_) => prop_assert!(paged.is_empty()),
        }
    }
}
