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
    /// The processes of each table that is read, with their parents. The last table stays.
    tables: RefCell<VecDeque<Vec<(i32, i32)>>>,
    read: Cell<usize>,
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
    fn new(born: &[u64], tables: &[&[(i32, i32)]]) -> Self {
        let table = |table: &&[(i32, i32)]| [&[(1, 0), (me(), 1)], *table].concat();
        Self {
            born: RefCell::new(born.iter().copied().collect()),
            tables: RefCell::new(tables.iter().map(table).collect()),
            ..Self::default()
        }
    }

    fn find(&self, living: &Living) -> Option<String> {
        match living.belonging_of_socket(self, start(), INODE)? {
            Belonging::To(helper) => Some(helper.name),
            Belonging::Former => Some("a former helper".to_owned()),
        }
    }
}

impl ProcessSource for ScriptedProcesses {
    fn born(&self) -> Option<u64> {
        Some(next(&self.born))
    }

    fn table(&self) -> ProcessTable {
        self.read.set(self.read.get() + 1);
        ProcessTable::of(next(&self.tables).into_iter().map(|(pid, parent)| process(pid, parent)))
    }

    /// As the next table has it.
    fn process(&self, pid: Pid) -> Option<Process> {
        let tables = self.tables.borrow();
        let found = tables[0].iter().find(|(known, _)| *known == pid.as_raw())?;
        Some(process(found.0, found.1))
    }

    fn tag(&self, pid: Pid, _home: HomeTag) -> Option<ProcessTag> {
        (self.tagged == Some(pid.as_raw())).then(tag)
    }

    fn holds(&self, pid: Pid, inode: u64) -> bool {
        pid.as_raw() == HOLDER && inode == INODE
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

#[test]
fn the_holder_is_found_also_when_the_first_look_misses_it() {
    let guard = (GUARD, me());
    let below: &[(i32, i32)] = &[guard, (HOLDER, GUARD)];
    for (what, born, first) in [
        ("it was there", &[1][..], below),
        ("its parent starts it, and ends, behind the table", &[1, 1, 2], &[guard, (PARENT, GUARD)]),
        ("its parent starts it while the table is read", &[1, 2], &[guard, (PARENT, GUARD)]),
        ("its parent ends while the table is read", &[1], &[guard, (HOLDER, PARENT)]),
    ] {
        let script = ScriptedProcesses::new(born, &[first, below]);
        assert_eq!(script.find(&living()).as_deref(), Some("files"), "{what}");
    }
}

#[test]
fn the_child_of_an_orphan_that_ends_during_the_look_is_found_by_its_own_tag() {
    let first: &[(i32, i32)] = &[(GUARD, me()), (PARENT, me()), (HOLDER, PARENT)];
    let then: &[(i32, i32)] = &[(GUARD, me()), (HOLDER, me())];
    let script = ScriptedProcesses { tagged: Some(HOLDER), ..ScriptedProcesses::new(&[1], &[first, then]) };
    assert_eq!(script.find(&living()).as_deref(), Some("files"));
}

#[test]
fn a_table_serves_until_a_process_is_born_and_processes_outside_are_not_read() {
    let table: &[(i32, i32)] = &[(GUARD, me()), (PARENT, GUARD), (HOLDER, 1)];
    let script = ScriptedProcesses::new(&[1], &[table]);
    let living = living();
    assert_eq!((script.find(&living), script.find(&living), script.read.get()), (None, None, 1));
    script.born.borrow_mut().push_back(2);
    next(&script.born);
    assert_eq!((script.find(&living), script.read.get()), (None, 2));
}

#[test]
fn a_machine_on_which_processes_are_born_all_the_time_is_looked_at_a_bounded_number_of_times() {
    let script = ScriptedProcesses::new(&(0..100).collect::<Vec<_>>(), &[&[(GUARD, me())]]);
    assert_eq!((script.find(&living()), script.read.get()), (None, policy::SOCKET_LOOKS));
}
