use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OF: AnnouncedOf = AnnouncedOf {
    thread: AnnouncedThread { id: ThreadId::new(Uuid::nil()), term: None, is_left: false },
    audience: AnnouncedTo::All,
    is_own: true,
};
const START: Uuid = Uuid::from_u128(7);

fn catalog(changes: usize, bytes: usize) -> Catalog {
    Catalog::new(START, CatalogLimits { changes, bytes })
}

fn announcement(text: &str, number: Option<(EventSeq, Epoch)>) -> Announcement {
    let Value::Object(params) = json!({ "text": text }) else { panic!("no object") };
    Announcement { method: "a/b", params, at: WallMs(5), number }
}

fn since(catalog: &Catalog, after: u64) -> Option<Vec<Value>> {
    let params = SkeinCatalogResumeParams { after, catalog_epoch: START.to_string() };
    let answer = catalog.since(&params);
    assert_eq!((answer.catalog_seq, answer.catalog_epoch), (catalog.last, START.to_string()));
    let params = |change: &CatalogChange| serde_json::from_str(change.params.get()).unwrap();
    (!answer.too_old).then(|| answer.changes.iter().map(params).collect())
}

#[test]
fn a_change_is_sent_as_it_is_kept() {
    let mut catalog = catalog(10, 1_000);
    let number = Some((EventSeq(3), Epoch(2)));
    let announced = catalog.add(&announcement("x", number), OF).unwrap();
    let skein = json!({ "catalogSeq": 1, "catalogEpoch": START.to_string() });
    let params = json!({ "text": "x", "skein": skein });
    let mut frame = json!({ "method": "a/b", "params": params, "emittedAtMs": 5 });
    assert_eq!(serde_json::from_str::<Value>(&announced.plain).unwrap(), frame);
    frame["seq"] = 3.into();
    frame["epoch"] = 2.into();
    assert_eq!(serde_json::from_str::<Value>(&announced.numbered.unwrap()).unwrap(), frame);
    assert_eq!(since(&catalog, 0), Some(vec![params]));
    assert_eq!(since(&catalog, 1), Some(vec![]));
}

#[test]
fn a_dropped_change_another_start_and_the_future_are_too_old() {
    let mut catalog = catalog(3, 1_000);
    for _ in 0..5 {
        catalog.add(&announcement("x", None), OF).unwrap();
    }
    assert_eq!(since(&catalog, 1), None);
    assert_eq!(since(&catalog, 2).unwrap().len(), 3);
    assert_eq!(since(&catalog, 6), None);
    assert_eq!(since(&catalog, u64::MAX), None);
    let other = SkeinCatalogResumeParams { after: 5, catalog_epoch: Uuid::from_u128(8).to_string() };
    assert!(catalog.since(&other).too_old);
}

#[test]
fn one_change_above_all_bounds_is_sent_and_not_kept() {
    let mut catalog = catalog(3, 200);
    catalog.add(&announcement("x", None), OF).unwrap();
    assert!(catalog.add(&announcement(&"x".repeat(500), None), OF).is_some());
    assert_eq!((since(&catalog, 1), since(&catalog, 2)), (None, Some(vec![])));
    assert_eq!(catalog.bytes, 0);
}

proptest! {
    /// The missed changes come complete and in order, or not at all, and the catalog keeps its bounds.
    #[test]
    fn changes_come_whole_or_not_at_all(
        texts in proptest::collection::vec("[a-z]{0,30}", 0..40),
        changes in 0..20_usize,
        bytes in 0..2_000_usize,
        after in 0..45_u64,
    ) {
        let mut catalog = catalog(changes, bytes);
        for text in &texts {
            catalog.add(&announcement(text, None), OF).unwrap();
            prop_assert!(catalog.kept.len() <= changes && catalog.bytes <= bytes);
            prop_assert_eq!(catalog.bytes, catalog.kept.iter().map(|c| c.params.get().len()).sum::<usize>());
        }
        if let Some(announced) = since(&catalog, after) {
            let announced: Vec<&str> = announced.iter().map(|params| params["text"].as_str().unwrap()).collect();
            let skipped = usize::try_from(after).unwrap();
            prop_assert_eq!(announced, texts.iter().skip(skipped).map(String::as_str).collect::<Vec<_>>());
        }
    }
}

/// A quiet server keeps many changes of others, of which its neighbours miss none.
#[test]
fn another_server_misses_nothing_if_only_changes_of_others_were_dropped() {
    let (mut catalog, other) = (catalog(3, 1_000), AnnouncedOf { is_own: false, ..OF });
    let numbers = |catalog: &Catalog, after| {
        let since = catalog.relayed_since(after)?;
        Some(since.into_iter().map(|(number, _)| number).collect::<Vec<_>>())
    };
    for of in [OF, other, other] {
        catalog.add(&announcement("x", None), of).unwrap();
    }
    assert_eq!(numbers(&catalog, 0), Some(vec![1]));
    for _ in 0..4 {
        catalog.add(&announcement("x", None), other).unwrap();
    }
    assert_eq!(numbers(&catalog, 0), None, "the first is dropped");
    assert_eq!(numbers(&catalog, 1), Some(vec![]));
    catalog.add(&announcement("x", None), OF).unwrap();
    assert_eq!((numbers(&catalog, 1), numbers(&catalog, 8)), (Some(vec![8]), Some(vec![])));
    catalog.forget();
    assert_eq!((numbers(&catalog, 1), numbers(&catalog, 8)), (None, Some(vec![])));
    assert_eq!((numbers(&catalog, 10), since(&catalog, 8), catalog.bytes), (None, None, 0));
}
