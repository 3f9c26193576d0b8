//! Random lives of a pool against what has to hold whatever happens.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use skein_protocol::ids::ThreadId;

use super::*;
use crate::spec::{HelperSpec, Isolation};

/// The next event. An index picks one of the existing things.
#[derive(Debug, Clone)]
enum Act {
    Lease(Index),
    GiveBack(Index, bool),
    BeginCall(Index),
    EndCall(Index),
    /// The current instance of a key is found unresponsive, or stopped.
    Replace(Index),
    LingerOver(Index),
    /// The task of an instance ends: after it was told to stop, or by itself.
    Over(Index),
    Close,
}

/// The table, and what has to be done with what it says.
#[derive(Default)]
struct World {
    table: LeaseTable<Number, ()>,
    leases: Vec<(LeaseId, usize)>,
    calls: Vec<(LeaseId, Number)>,
    lingers: Vec<(Number, CancellationToken)>,
    /// Told to end.
    stopping: BTreeSet<Number>,
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
                let (lease, number) = self.table.lease(&KEYS[at], (), |number| number);
                prop_assert!(!self.stopping.contains(&number), "it ends");
                self.leases.push((lease, at));
            }
            Act::GiveBack(index, lingers) if !self.leases.is_empty() => {
                let (lease, _) = self.leases.swap_remove(index.index(self.leases.len()));
                self.give_back(lease, lingers)?;
                prop_assert!(matches!(self.table.give_back(lease, lingers).0, Returned::Already));
            }
            Act::BeginCall(index) if !self.leases.is_empty() => {
                let (lease, _) = self.leases[index.index(self.leases.len())];
                let (number, _) = self.table.begin_call(lease).expect("it is held");
                self.calls.push((lease, number));
            }
            Act::EndCall(index) if !self.calls.is_empty() => {
                let (lease, number) = self.calls.swap_remove(index.index(self.calls.len()));
                let ends = self.table.end_call(lease, number);
                self.stop(ends)?;
            }
            Act::GiveBack(..) | Act::BeginCall(_) | Act::EndCall(_) => {}
            Act::Replace(_) | Act::LingerOver(_) | Act::Over(_) | Act::Close => self.change(act)?,
        }
        self.check()
    }

    /// An event of instances, not of their holders.
    fn change(&mut self, act: Act) -> TestCaseResult {
        match act {
            Act::Replace(index) => {
                if let Some((number, _)) = self.table.current(&KEYS[index.index(2)]) {
                    let ends = self.table.replace(number, |number| number);
                    self.stop(ends)?;
                }
            }
            Act::LingerOver(index) if !self.lingers.is_empty() => {
                let (number, awaited) = self.lingers.swap_remove(index.index(self.lingers.len()));
                let ends = self.table.linger_over(number, &awaited);
                self.stop(ends)?;
            }
            Act::Over(index) if !self.table.is_empty() => {
                let numbers: Vec<Number> = self.table.entries().map(|(number, _)| number).collect();
                self.over(numbers[index.index(numbers.len())]);
            }
            Act::Close => {
                let ends = self.table.close();
                self.stop(ends)?;
            }
            Act::LingerOver(_) | Act::Over(_) => {}
            Act::Lease(_) | Act::GiveBack(..) | Act::BeginCall(_) | Act::EndCall(_) => {}
        }
        Ok(())
    }

    fn give_back(&mut self, lease: LeaseId, lingers: bool) -> TestCaseResult {
        let (left, quarantined) = self.table.give_back(lease, lingers);
        self.calls.retain(|(whose, _)| *whose != lease);
        self.stop(quarantined)?;
        match left {
            Returned::Already => prop_assert!(false, "it was held"),
            Returned::Kept(None) => {}
            Returned::Kept(Some(linger)) => self.lingers.push(linger),
            Returned::Ends(number) if self.gone.contains(&number) => {}
            Returned::Ends(number) => self.stop([number])?,
        }
        Ok(())
    }

    fn stop(&mut self, ends: impl IntoIterator<Item = Number>) -> TestCaseResult {
        for number in ends {
            prop_assert!(self.stopping.insert(number), "{number} is stopping twice");
        }
        Ok(())
    }

    fn over(&mut self, number: Number) {
        self.gone.insert(number);
        self.table.stopped(number);
    }

    fn check(&self) -> TestCaseResult {
        for (lease, at) in &self.leases {
            let entry = self.table.of(*lease).expect("who holds a lease holds an instance");
            prop_assert!(entry.key == KEYS[*at] && entry.holders.contains_key(lease));
            prop_assert!(matches!(entry.state, InstanceState::Held | InstanceState::Stopped));
        }
        let mut places = BTreeSet::new();
        for (number, entry) in self.table.entries() {
            let calls = self.calls.iter().any(|(_, of)| *of == number);
            let holds = match &entry.state {
                InstanceState::Held => !entry.holders.is_empty() && !self.stopping.contains(&number),
                InstanceState::Stopped => !entry.holders.is_empty() && self.gone.contains(&number),
                InstanceState::Lingering(awaited) => {
                    entry.holders.is_empty() && !awaited.is_cancelled() && !self.stopping.contains(&number)
                }
                InstanceState::Quarantined => {
                    entry.holders.is_empty() && calls && !self.stopping.contains(&number)
                }
                InstanceState::Stopping => self.stopping.contains(&number) && !self.gone.contains(&number),
            };
            prop_assert!(holds, "{number}: {entry:?}");
            let place = matches!(
                entry.state,
                InstanceState::Held | InstanceState::Lingering(_) | InstanceState::Stopped
            );
            let current = self.table.current(&entry.key).map(|(current, _)| current);
            prop_assert_eq!(place, current == Some(number));
            prop_assert!(!place || places.insert(entry.key.clone()), "two take holders");
        }
        Ok(())
    }

    /// Everybody leaves, and everything ends.
    fn end(mut self) -> TestCaseResult {
        while let Some((lease, _)) = self.leases.pop() {
            self.give_back(lease, true)?;
        }
        for (number, awaited) in std::mem::take(&mut self.lingers) {
            let ends = self.table.linger_over(number, &awaited);
            self.stop(ends)?;
        }
        for number in self.stopping.clone() {
            self.over(number);
        }
        prop_assert!(self.table.is_empty(), "{:?}", self.table);
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
    fn in_any_order_one_instance_takes_holders_none_stops_twice_and_none_is_left(acts in acts()) {
        let mut world = World::default();
        for act in acts {
            world.act(act)?;
        }
        world.end()?;
    }
}
