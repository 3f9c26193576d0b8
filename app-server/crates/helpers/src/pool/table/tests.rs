//! Random lives of a pool against what has to hold whatever happens.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use skein_protocol::ids::ThreadId;

use super::*;
use crate::spec::{HelperSpec, Isolation};

/// What can happen next. An index picks one of those that there are.
#[derive(Debug, Clone)]
enum Act {
    Lease(Index),
    GiveBack(Index, bool),
    BeginCall(Index),
    EndCall(Index),
    /// What holds the place of a key is found unresponsive, or ended.
    Replace(Index),
    LingerOver(Index),
    /// The task of an instance ends: where it was told to, or by itself.
    Over(Index),
    Close,
}

/// The book, and what has to be done with what it says.
#[derive(Default)]
struct World {
    book: Book<Number, ()>,
    leases: Vec<(LeaseId, usize)>,
    calls: Vec<(LeaseId, Number)>,
    lingers: Vec<(Number, CancellationToken)>,
    /// Told to end.
    told: BTreeSet<Number>,
    gone: BTreeSet<Number>,
}

/// Made once: their hash is most of the work.
static KEYS: LazyLock<[Key; 2]> = LazyLock::new(|| {
    let spec = |name| HelperSpec { isolation: Isolation::Shared, ..HelperSpec::new(name, "program") };
    let thread = ThreadId::new(uuid::Uuid::nil());
    ["a", "b"].map(|name| Key::of(&spec(name), thread, std::path::Path::new("/")))
});

impl World {
    fn act(&mut self, act: Act) -> TestCaseResult {
        match act {
            Act::Lease(index) => {
                let at = index.index(2);
                let (lease, number) = self.book.lease(&KEYS[at], (), |number| number);
                prop_assert!(!self.told.contains(&number), "it ends");
                self.leases.push((lease, at));
            }
            Act::GiveBack(index, lingers) if !self.leases.is_empty() => {
                let (lease, _) = self.leases.swap_remove(index.index(self.leases.len()));
                self.give_back(lease, lingers)?;
                prop_assert!(matches!(self.book.give_back(lease, lingers).0, Left::Already));
            }
            Act::BeginCall(index) if !self.leases.is_empty() => {
                let (lease, _) = self.leases[index.index(self.leases.len())];
                let (number, _) = self.book.begin_call(lease).expect("it is held");
                self.calls.push((lease, number));
            }
            Act::EndCall(index) if !self.calls.is_empty() => {
                let (lease, number) = self.calls.swap_remove(index.index(self.calls.len()));
                let ends = self.book.end_call(lease, number);
                self.tell(ends)?;
            }
            Act::GiveBack(..) | Act::BeginCall(_) | Act::EndCall(_) => {}
            Act::Replace(_) | Act::LingerOver(_) | Act::Over(_) | Act::Close => self.change(act)?,
        }
        self.check()
    }

    /// What happens to instances, and not to who holds them.
    fn change(&mut self, act: Act) -> TestCaseResult {
        match act {
            Act::Replace(index) => {
                if let Some((number, _)) = self.book.current(&KEYS[index.index(2)]) {
                    let ends = self.book.replace(number, |number| number);
                    self.tell(ends)?;
                }
            }
            Act::LingerOver(index) if !self.lingers.is_empty() => {
                let (number, awaited) = self.lingers.swap_remove(index.index(self.lingers.len()));
                let ends = self.book.linger_over(number, &awaited);
                self.tell(ends)?;
            }
            Act::Over(index) if !self.book.is_empty() => {
                let numbers: Vec<Number> = self.book.entries().map(|(number, _)| number).collect();
                self.over(numbers[index.index(numbers.len())]);
            }
            Act::Close => {
                let ends = self.book.close();
                self.tell(ends)?;
            }
            Act::LingerOver(_) | Act::Over(_) => {}
            Act::Lease(_) | Act::GiveBack(..) | Act::BeginCall(_) | Act::EndCall(_) => {}
        }
        Ok(())
    }

    fn give_back(&mut self, lease: LeaseId, lingers: bool) -> TestCaseResult {
        let (left, apart) = self.book.give_back(lease, lingers);
        self.calls.retain(|(whose, _)| *whose != lease);
        self.tell(apart)?;
        match left {
            Left::Already => prop_assert!(false, "it was held"),
            Left::LivesOn(None) => {}
            Left::LivesOn(Some(linger)) => self.lingers.push(linger),
            Left::Ends(number) if self.gone.contains(&number) => {}
            Left::Ends(number) => self.tell([number])?,
        }
        Ok(())
    }

    fn tell(&mut self, ends: impl IntoIterator<Item = Number>) -> TestCaseResult {
        for number in ends {
            prop_assert!(self.told.insert(number), "{number} is told twice");
        }
        Ok(())
    }

    fn over(&mut self, number: Number) {
        self.gone.insert(number);
        self.book.over(number);
    }

    fn check(&self) -> TestCaseResult {
        for (lease, at) in &self.leases {
            let entry = self.book.of(*lease).expect("who holds a lease holds an instance");
            prop_assert!(entry.key == KEYS[*at] && entry.lessees.contains_key(lease));
            prop_assert!(matches!(entry.standing, Standing::Held | Standing::Over));
        }
        let mut places = BTreeSet::new();
        for (number, entry) in self.book.entries() {
            let calls = self.calls.iter().any(|(_, of)| *of == number);
            let holds = match &entry.standing {
                Standing::Held => !entry.lessees.is_empty() && !self.told.contains(&number),
                Standing::Over => !entry.lessees.is_empty() && self.gone.contains(&number),
                Standing::Lingering(awaited) => {
                    entry.lessees.is_empty() && !awaited.is_cancelled() && !self.told.contains(&number)
                }
                Standing::Apart => entry.lessees.is_empty() && calls && !self.told.contains(&number),
                Standing::Ending => self.told.contains(&number) && !self.gone.contains(&number),
            };
            prop_assert!(holds, "{number}: {entry:?}");
            let place = matches!(entry.standing, Standing::Held | Standing::Lingering(_) | Standing::Over);
            let current = self.book.current(&entry.key).map(|(current, _)| current);
            prop_assert_eq!(place, current == Some(number));
            prop_assert!(!place || places.insert(entry.key.clone()), "two take lessees");
        }
        Ok(())
    }

    /// Everybody leaves, and everything ends.
    fn end(mut self) -> TestCaseResult {
        while let Some((lease, _)) = self.leases.pop() {
            self.give_back(lease, true)?;
        }
        for (number, awaited) in std::mem::take(&mut self.lingers) {
            let ends = self.book.linger_over(number, &awaited);
            self.tell(ends)?;
        }
        for number in self.told.clone() {
            self.over(number);
        }
        prop_assert!(self.book.is_empty(), "{:?}", self.book);
        Ok(())
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => any::<Index>().prop_map(Act::Lease),
        4 => any::<(Index, bool)>().prop_map(|(index, lingers)| Act::GiveBack(index, lingers)),
        3 => any::<Index>().prop_map(Act::BeginCall),
        3 => any::<Index>().prop_map(Act::EndCall),
        2 => any::<Index>().prop_map(Act::Replace),
        2 => any::<Index>().prop_map(Act::LingerOver),
        2 => any::<Index>().prop_map(Act::Over),
        1 => Just(Act::Close),
    ];
    proptest::collection::vec(act, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn whatever_happens_one_takes_lessees_nobody_is_told_twice_and_nothing_is_left(acts in acts()) {
        let mut world = World::default();
        for act in acts {
            world.act(act)?;
        }
        world.end()?;
    }
}
