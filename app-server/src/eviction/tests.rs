use skein_config::ServerConfig;

use super::*;

const NOBODY: Scene = Scene { loaded: 0, leaving: 0, idle: Vec::new() };

fn limits(loaded_threads: Option<usize>, memory: Option<u64>) -> Limits {
    Limits { loaded_threads, memory, ..ServerConfig::new("/nowhere".into()).limits }
}

#[test]
fn what_is_above_the_most_threads_has_to_go() {
    let limits = limits(Some(3), None);
    let mut judge = Judge::default();
    assert_eq!(judge.wanted(&limits, &Scene { loaded: 3, ..NOBODY }, None), 0);
    assert_eq!(judge.wanted(&limits, &Scene { loaded: 5, ..NOBODY }, None), 2);
    let some_leave = Scene { loaded: 4, leaving: 2, ..NOBODY };
    assert_eq!(judge.wanted(&limits, &some_leave, None), 1, "those who leave have gone already");
}

#[test]
fn memory_is_relieved_a_few_at_a_time_until_it_is_well_below_its_limit() {
    let limits = limits(None, Some(1_000 << 20));
    let mut judge = Judge::default();
    let mut look = |resident: u64| judge.wanted(&limits, &NOBODY, Some(resident << 20));
    assert_eq!(look(1_000), 0);
    assert_eq!(look(1_001), policy::EVICT_AT_ONCE);
    assert_eq!(look(950), policy::EVICT_AT_ONCE, "not far enough below");
    assert_eq!(look(900), 0);
    assert_eq!(look(950), 0, "below its limit");
}

#[test]
fn memory_is_judged_only_at_a_look_and_after_those_who_leave_have_gone() {
    let limits = limits(Some(10), Some(1_000));
    let mut judge = Judge::default();
    let leaving = Scene { leaving: 1, ..NOBODY };
    assert_eq!(judge.wanted(&limits, &leaving, Some(2_000)), 0);
    assert_eq!(judge.wanted(&limits, &NOBODY, None), 0, "a look at the threads alone");
    assert_eq!(judge.wanted(&limits, &NOBODY, Some(2_000)), policy::EVICT_AT_ONCE);
}

#[test]
fn a_lack_of_idle_threads_is_logged_once_until_there_is_room() {
    let mut judge = Judge::default();
    let said: Vec<bool> = [(1, 0), (1, 0), (2, 1), (1, 0), (0, 0), (1, 0)]
        .into_iter()
        .map(|(wanted, idle)| judge.is_unrelieved(wanted, idle))
        .collect();
    assert_eq!(said, [true, false, false, false, false, true]);
    judge = Judge { high: true, is_logged: true, ..Judge::default() };
    assert!(!judge.is_unrelieved(0, 0));
    assert!(judge.is_logged, "a look at the threads alone says nothing of the memory");
}

#[test]
fn threads_stay_when_the_end_of_others_did_not_help() {
    const MIB: u64 = 1 << 20;
    let limits = limits(None, Some(100 * MIB));
    let mut judge = Judge::default();
    let mut look = |resident| judge.wanted(&limits, &NOBODY, Some(resident * MIB));
    let few = policy::EVICT_AT_ONCE;
    assert_eq!([200, 190, 180].map(&mut look), [few; 3], "it helps");
    assert_eq!(
        [180, 180, 170].map(&mut look),
        [0; 3],
        "it did not help, and what fell by itself is none of their doing"
    );
    assert_eq!([190, 190, 80].map(&mut look), [few, 0, 0], "there is more to gain now");
    assert_eq!(look(101), few, "it was below its limit");
}

#[test]
fn idle_threads_go_for_descriptors_while_that_frees_some() {
    let few = policy::EVICT_AT_ONCE;
    let mut judge = Judge::default();
    let mut look = |in_use| judge.wanted_for_descriptors(&NOBODY, in_use);
    assert_eq!([None, Some(1_000), Some(990)].map(&mut look), [0, few, few], "it helps");
    assert_eq!([Some(990), Some(990)].map(&mut look), [0; 2], "it did not help");
    assert_eq!([Some(1_001), None, Some(1_000)].map(&mut look), [few, 0, few], "there is more to gain");
    let leaving = Scene { leaving: 1, ..NOBODY };
    assert_eq!(judge.wanted_for_descriptors(&leaving, Some(900)), 0, "those who leave have theirs still");
}
