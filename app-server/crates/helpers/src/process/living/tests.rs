use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::*;

/// The pids of the guard of the helper, of a process below it, and of the holder of the socket.
const GUARD: i32 = 10;
const PARENT: i32 = 11;
const HOLDER: i32 = 12;
const INODE: u64 = 7;

/// A machine whose processes change between two looks.
#[derive(Default)]
struct ScriptedProcesses {
    /// The answers to "how many were born", one for each question. The last one stays.
    born: RefCell<VecDeque<u64>>,
    /// The newest pid, one for each question. The last one stays.
    newest: RefCell<VecDeque<i32>>,
    /// The processes when the table is read, with their parents.
    table: Vec<(i32, i32)>,
    /// The processes afterwards.
    then: Vec<(i32, i32)>,
    /// The tables that were read.
    read: Cell<usize>,
    /// The looks at the descriptors of the holder that fail, as it cannot be seen yet.
    unseen: Cell<usize>,
    /// A process that carries the tag of the helper.
    tagged: Option<i32>,
}

fn process(pid: i32, parent: i32) -> Process {
    let [pid, parent] = [pid, parent].map(Pid::from_raw);
    Process { pid, parent, group: pid, session: pid, started: 1, zombie: false, stopped: false }
}

/// The first of several; the last one stays.
fn next<T: Clone>(queue: &RefCell<VecDeque<T>>) -> T {
    let mut queue = queue.borrow_mut();
    match queue.len() {
        1 => queue[0].clone(),
        _ => queue.pop_front().unwrap(),
    }
}

fn me() -> i32 {
    Pid::this().as_raw()
}

impl ScriptedProcesses {
    /// Tables have the process of the test, and pid 1 above it.
    fn new(newest: impl IntoIterator<Item = i32>, table: &[(i32, i32)], then: &[(i32, i32)]) -> Self {
        let all = |more: &[(i32, i32)]| [&[(1, 0), (me(), 1)], more].concat();
        Self {
            born: RefCell::new(VecDeque::from([1])),
            newest: RefCell::new(newest.into_iter().collect()),
            table: all(table),
            then: all(then),
            ..Self::default()
        }
    }

    fn find(&self, living: &Living) -> Result<Option<String>, Unsettled> {
        let found = living.belonging_of_socket(self, start(), INODE)?;
        Ok(found.map(|found| match found {
            Belonging::To(helper) => helper.name,
            Belonging::Former => "a former helper".to_owned(),
        }))
    }
}

impl ProcessSource for ScriptedProcesses {
    fn born(&self) -> Option<u64> {
        Some(next(&self.born))
    }

    fn newest(&self) -> Option<i32> {
        Some(next(&self.newest))
    }

    fn table(&self) -> ProcessTable {
        self.read.set(self.read.get() + 1);
        ProcessTable::of(self.table.iter().map(|(pid, parent)| process(*pid, *parent)))
    }

    fn process(&self, pid: Pid) -> Option<Process> {
        let found = self.then.iter().find(|(known, _)| *known == pid.as_raw())?;
        Some(process(found.0, found.1))
    }

    fn tag(&self, pid: Pid, _home: HomeTag) -> Option<ProcessTag> {
        (self.tagged == Some(pid.as_raw())).then(tag)
    }

    fn holds(&self, pid: Pid, inode: u64) -> bool {
        if self.process(pid).is_none() || pid.as_raw() != HOLDER || inode != INODE {
            return false;
        }
        let unseen = self.unseen.get();
        self.unseen.set(unseen.saturating_sub(1));
        unseen == 0
    }
}

fn start() -> StartTag {
    StartTag::new(HomeTag::of(&[b"a home"]), 1)
}

fn tag() -> ProcessTag {
    ProcessTag::new(start(), 1)
}

/// One living helper.
fn living() -> Living {
    let living = Living::default();
    let guard = Some(process(GUARD, me()));
    let helper = LivingHelper { name: "files".to_owned(), may_connect: false, guard };
    lock(&living.helpers).insert(tag(), helper);
    living
}

fn files() -> Result<Option<String>, Unsettled> {
    Ok(Some("files".to_owned()))
}

#[test]
fn the_holder_is_found_also_when_the_first_look_misses_it() {
    let guard = (GUARD, me());
    let below: &[(i32, i32)] = &[guard, (HOLDER, GUARD)];
    for (what, newest, first) in [
        ("it was there", vec![20], below),
        ("its parent starts it, and ends, behind the table", vec![11, 12], &[guard, (PARENT, GUARD)]),
        ("so it is on a machine that starts others all the time", (11..1000).collect(), &[guard]),
        ("others begin before it", vec![7, 9, 11, 11, 12], &[guard]),
        ("its parent ends while the table is read", vec![20], &[guard, (HOLDER, PARENT)]),
    ] {
        let script = ScriptedProcesses::new(newest, first, below);
        assert_eq!(script.find(&living()), files(), "{what}");
        assert_eq!(script.read.get(), 1, "{what}");
    }
}

#[test]
fn a_process_that_has_its_pid_before_it_can_be_seen_is_looked_at_again() {
    let below: &[(i32, i32)] = &[(GUARD, me()), (HOLDER, GUARD)];
    let script = ScriptedProcesses::new([11, 12], &[(GUARD, me())], below);
    script.unseen.set(1);
    assert_eq!(script.find(&living()), files());
}

#[test]
fn the_child_of_an_orphan_is_found_by_the_tag_of_either() {
    let there: &[(i32, i32)] = &[(GUARD, me()), (PARENT, me()), (HOLDER, PARENT)];
    let ended: &[(i32, i32)] = &[(GUARD, me()), (HOLDER, me())];
    for (tagged, then) in [(PARENT, there), (HOLDER, there), (HOLDER, ended)] {
        let script = ScriptedProcesses { tagged: Some(tagged), ..ScriptedProcesses::new([20], there, then) };
        assert_eq!(script.find(&living()), files(), "{tagged}, {then:?}");
        let new = ScriptedProcesses { tagged: Some(tagged), ..ScriptedProcesses::new([11, 12], &[], then) };
        assert_eq!(new.find(&living()), files(), "{tagged}, {then:?}, behind the table");
    }
}

#[test]
fn a_table_serves_until_a_process_is_born_and_processes_outside_are_no_helpers() {
    let table: &[(i32, i32)] = &[(GUARD, me()), (PARENT, GUARD), (HOLDER, 1)];
    let script = ScriptedProcesses::new([20], table, table);
    let living = living();
    assert_eq!((script.find(&living), script.find(&living), script.read.get()), (Ok(None), Ok(None), 1));
    script.born.borrow_mut().push_back(2);
    next(&script.born);
    assert_eq!((script.find(&living), script.read.get()), (Ok(None), 2));
}

#[test]
fn a_program_of_the_user_comes_in_on_a_machine_that_starts_processes_faster_than_they_are_looked_at() {
    // As long as the table is read, and once in each of many rounds.
    let busy = (100..130).chain([130]);
    let table: &[(i32, i32)] = &[(GUARD, me()), (HOLDER, 1)];
    let script = ScriptedProcesses::new(busy, table, table);
    assert_eq!((script.find(&living()), script.read.get()), (Ok(None), 1));
}

#[test]
fn a_look_that_never_ends_is_given_up_without_an_answer() {
    let table: &[(i32, i32)] = &[(GUARD, me()), (HOLDER, 1)];
    let endless = ScriptedProcesses::new(100..10_000, table, table);
    assert_eq!((endless.find(&living()), endless.read.get()), (Err(Unsettled), 1));
    let too_many = ScriptedProcesses::new([100, 1_000_000], table, table);
    assert_eq!(too_many.find(&living()), Err(Unsettled));
}
