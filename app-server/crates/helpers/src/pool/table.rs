//! The lease table: the decisions of the pool, without tasks, clocks and processes.

use std::collections::{BTreeMap, HashMap};

use tokio_util::sync::CancellationToken;

use crate::pool::Key;

/// An instance's number, never given twice.
pub(crate) type Number = u64;

/// A lease's number, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LeaseId(u64);

/// All instances of one server. `T` is an instance, `L` a holder of a lease.
#[derive(Debug)]
pub(crate) struct LeaseTable<T, L> {
    entries: BTreeMap<Number, TableEntry<T, L>>,
    /// The instance that takes the next holder of a key.
    current: HashMap<Key, Number>,
    leases: HashMap<LeaseId, Number>,
    last: u64,
    closed: bool,
}

/// One instance.
#[derive(Debug)]
pub(super) struct TableEntry<T, L> {
    pub(crate) key: Key,
    pub(crate) instance: T,
    /// Its holders; while it stops, its last holders.
    pub(crate) holders: BTreeMap<LeaseId, L>,
    /// Calls under way, by lease.
    calls: BTreeMap<LeaseId, usize>,
    pub(crate) state: InstanceState,
}

/// The state of an instance in the pool.
#[derive(Debug, Clone)]
pub(crate) enum InstanceState {
    /// It has a holder.
    Held,
    /// It has no holder, and is kept for a while. A new holder cancels the token.
    Lingering(CancellationToken),
    /// A fresh instance took its place while its calls were under way: it takes no new ones, and stops with the last.
    Quarantined,
    /// It was ordered to stop.
    Stopping,
    /// It stopped by itself; its holders still see the reason.
    Stopped,
}

/// The consequence of a returned lease.
#[derive(Debug)]
pub(super) enum Returned<T> {
    /// The lease was returned before.
    Already,
    /// Other holders keep the instance, or it is kept for a while: until the token is cancelled, or the time is over.
    Kept(Option<(Number, CancellationToken)>),
    /// It was the last lease: the instance is to stop, unless it has stopped already.
    Ends(T),
}

impl<T, L> Default for LeaseTable<T, L> {
    fn default() -> Self {
        let (entries, current, leases) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { entries, current, leases, last: 0, closed: false }
    }
}

impl<T: Clone, L> LeaseTable<T, L> {
    /// All instances, the oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Number, &TableEntry<T, L>)> {
        self.entries.iter().map(|(number, entry)| (*number, entry))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entry(&self, number: Number) -> Option<&TableEntry<T, L>> {
        self.entries.get(&number)
    }

    /// The number of the instance that a lease is for.
    pub(crate) fn number_of(&self, lease: LeaseId) -> Option<Number> {
        self.leases.get(&lease).copied()
    }

    /// The instance that a lease is for.
    pub(crate) fn of(&self, lease: LeaseId) -> Option<&TableEntry<T, L>> {
        self.leases.get(&lease).and_then(|number| self.entries.get(number))
    }

    pub(crate) fn holder(&mut self, lease: LeaseId) -> Option<&mut L> {
        let number = self.leases.get(&lease)?;
        self.entries.get_mut(number)?.holders.get_mut(&lease)
    }

    /// The instance that takes the next holder of `key`.
    pub(crate) fn current(&self, key: &Key) -> Option<(Number, &TableEntry<T, L>)> {
        let number = *self.current.get(key)?;
        self.entries.get(&number).map(|entry| (number, entry))
    }

    /// A lease of the current instance of `key`; makes an instance if there is none. The number is the instance's.
    pub(crate) fn lease(
        &mut self,
        key: &Key,
        holder: L,
        make: impl FnOnce(Number) -> T,
    ) -> (LeaseId, Number) {
        let number = match self.current.get(key) {
            Some(number) => *number,
            None => self.open(key.clone(), make),
        };
        let lease = LeaseId(self.next());
        self.leases.insert(lease, number);
        if let Some(entry) = self.entries.get_mut(&number) {
            if let InstanceState::Lingering(awaited) = &entry.state {
                awaited.cancel();
                entry.state = InstanceState::Held;
            }
            entry.holders.insert(lease, holder);
        }
        (lease, number)
    }

    /// Puts a fresh instance in the place of `number`: its holders hold the fresh one. Returns the old one if it is to stop now;
    /// otherwise it stops with its last call. Makes no fresh instance without holders.
    pub(crate) fn replace(&mut self, number: Number, make: impl FnOnce(Number) -> T) -> Option<T> {
        let old = self.entries.get_mut(&number)?;
        let (key, holders) = (old.key.clone(), std::mem::take(&mut old.holders));
        let ends = match &old.state {
            InstanceState::Held if !old.calls.is_empty() => {
                old.state = InstanceState::Quarantined;
                None
            }
            InstanceState::Held => {
                old.state = InstanceState::Stopping;
                Some(old.instance.clone())
            }
            InstanceState::Stopped => {
                self.entries.remove(&number);
                None
            }
            InstanceState::Lingering(awaited) => {
                awaited.cancel();
                old.state = InstanceState::Stopping;
                Some(old.instance.clone())
            }
            // A stopping one may have its last holders; it is not replaced a second time.
            InstanceState::Quarantined | InstanceState::Stopping => {
                old.holders = holders;
                return None;
            }
        };
        self.current.remove(&key);
        if holders.is_empty() {
            // The next holder makes a fresh one.
            return ends;
        }
        let fresh = self.open(key, make);
        for lease in holders.keys() {
            self.leases.insert(*lease, fresh);
        }
        if let Some(entry) = self.entries.get_mut(&fresh) {
            entry.holders = holders;
        }
        ends
    }

    /// Begins a call. `None` for a returned lease.
    pub(crate) fn begin_call(&mut self, lease: LeaseId) -> Option<(Number, T)> {
        let number = *self.leases.get(&lease)?;
        let entry = self.entries.get_mut(&number)?;
        *entry.calls.entry(lease).or_default() += 1;
        Some((number, entry.instance.clone()))
    }

    /// Ends a call. Returns a quarantined instance that is to stop now.
    pub(crate) fn end_call(&mut self, lease: LeaseId, number: Number) -> Option<T> {
        let entry = self.entries.get_mut(&number)?;
        let calls = entry.calls.get_mut(&lease)?;
        *calls -= 1;
        if *calls == 0 {
            entry.calls.remove(&lease);
        }
        entry.ends_without_calls()
    }

    /// Returns a lease, and ends its calls. `lingers`: the instance is kept for a while if this was its last lease. The second result
    /// is the quarantined instances that are to stop now.
    pub(crate) fn give_back(&mut self, lease: LeaseId, lingers: bool) -> (Returned<T>, Vec<T>) {
        let Some(number) = self.leases.remove(&lease) else { return (Returned::Already, Vec::new()) };
        let quarantined = self.entries.values_mut().filter_map(|entry| {
            entry.calls.remove(&lease)?;
            entry.ends_without_calls()
        });
        let quarantined = quarantined.collect();
        (self.leave(lease, number, lingers && !self.closed), quarantined)
    }

    fn leave(&mut self, lease: LeaseId, number: Number, lingers: bool) -> Returned<T> {
        let Some(entry) = self.entries.get_mut(&number) else { return Returned::Already };
        if entry.holders.len() > 1 {
            entry.holders.remove(&lease);
            return Returned::Kept(None);
        }
        let instance = entry.instance.clone();
        if let InstanceState::Stopped = entry.state {
            self.remove(number);
            return Returned::Ends(instance);
        }
        if lingers {
            let awaited = CancellationToken::new();
            entry.holders.remove(&lease);
            entry.state = InstanceState::Lingering(awaited.clone());
            return Returned::Kept(Some((number, awaited)));
        }
        // Its last holder stays: it receives the events of the end.
        entry.state = InstanceState::Stopping;
        self.give_way(number);
        Returned::Ends(instance)
    }

    /// The time of a lingering instance is over. Returns it if it is to stop.
    pub(crate) fn linger_over(&mut self, number: Number, awaited: &CancellationToken) -> Option<T> {
        let entry = self.entries.get_mut(&number)?;
        match &entry.state {
            InstanceState::Lingering(_) if !awaited.is_cancelled() => {}
            InstanceState::Lingering(_)
            | InstanceState::Held
            | InstanceState::Quarantined
            | InstanceState::Stopping
            | InstanceState::Stopped => {
                return None;
            }
        }
        entry.state = InstanceState::Stopping;
        let instance = entry.instance.clone();
        self.give_way(number);
        Some(instance)
    }

    /// No process of an instance is left, and its task has ended.
    pub(crate) fn stopped(&mut self, number: Number) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        match &entry.state {
            InstanceState::Held => {
                entry.state = InstanceState::Stopped;
                entry.calls.clear();
            }
            InstanceState::Lingering(awaited) => {
                awaited.cancel();
                self.remove(number);
            }
            InstanceState::Quarantined | InstanceState::Stopping => self.remove(number),
            InstanceState::Stopped => {}
        }
    }

    /// Keeps no instance without a holder from now on. Returns the lingering ones, which are to stop.
    pub(crate) fn close(&mut self) -> Vec<T> {
        self.closed = true;
        self.end_lingering()
    }

    /// Returns the lingering instances, which are to stop.
    pub(crate) fn end_lingering(&mut self) -> Vec<T> {
        let mut ends = Vec::new();
        for entry in self.entries.values_mut() {
            if let InstanceState::Lingering(awaited) = &entry.state {
                awaited.cancel();
                entry.state = InstanceState::Stopping;
                ends.push((entry.key.clone(), entry.instance.clone()));
            }
        }
        for (key, _) in &ends {
            self.current.remove(key);
        }
        ends.into_iter().map(|(_, instance)| instance).collect()
    }

    fn open(&mut self, key: Key, make: impl FnOnce(Number) -> T) -> Number {
        let number = self.next();
        let (instance, holders, calls) = (make(number), BTreeMap::new(), BTreeMap::new());
        self.current.insert(key.clone(), number);
        self.entries.insert(number, TableEntry { key, instance, holders, calls, state: InstanceState::Held });
        number
    }

    fn remove(&mut self, number: Number) {
        self.give_way(number);
        self.entries.remove(&number);
    }

    /// Lets the next holder of its key get another instance.
    fn give_way(&mut self, number: Number) {
        if let Some(entry) = self.entries.get(&number)
            && self.current.get(&entry.key) == Some(&number)
        {
            self.current.remove(&entry.key);
        }
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl<T: Clone, L> TableEntry<T, L> {
    fn ends_without_calls(&mut self) -> Option<T> {
        let ends = matches!(self.state, InstanceState::Quarantined) && self.calls.is_empty();
        if ends {
            self.state = InstanceState::Stopping;
        }
        ends.then(|| self.instance.clone())
    }
}

#[cfg(test)]
mod tests;
