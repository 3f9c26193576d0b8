//! Who holds which instance: what the pool decides, without tasks, clocks and processes.

use std::collections::{BTreeMap, HashMap};

use tokio_util::sync::CancellationToken;

use crate::pool::Key;

/// An instance's number, never given twice.
pub(crate) type Number = u64;

/// A lease's number, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LeaseId(u64);

/// All instances of one server. `T` is an instance, `L` is what is known of one who holds it.
#[derive(Debug)]
pub(crate) struct Book<T, L> {
    entries: BTreeMap<Number, Entry<T, L>>,
    /// The instance that takes the next lessee of a key.
    current: HashMap<Key, Number>,
    leases: HashMap<LeaseId, Number>,
    last: u64,
    closed: bool,
}

/// One instance.
#[derive(Debug)]
pub(super) struct Entry<T, L> {
    pub(crate) key: Key,
    pub(crate) what: T,
    /// Who holds it. Of one that is being ended: who held it last.
    pub(crate) lessees: BTreeMap<LeaseId, L>,
    /// Calls that are under way, by whose they are.
    calls: BTreeMap<LeaseId, usize>,
    pub(crate) standing: Standing,
}

/// Where an instance stands.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// Somebody holds it.
    Held,
    /// Nobody holds it; it is kept a while for who comes back, who cancels the token.
    Lingering(CancellationToken),
    /// Others took its place while calls of it were under way: it takes no new ones, and ends with the last.
    Apart,
    /// It was told to end.
    Ending,
    /// It has ended by itself, and who holds it still sees why.
    Over,
}

/// What follows when a lease was given back.
#[derive(Debug)]
pub(super) enum Left<T> {
    /// It was given back before.
    Already,
    /// Others go on with the instance, or it is kept a while: until this token is cancelled, or nobody came.
    LivesOn(Option<(Number, CancellationToken)>),
    /// Nobody else held it: it is told to end, where it has not ended already.
    Ends(T),
}

impl<T, L> Default for Book<T, L> {
    fn default() -> Self {
        let (entries, current, leases) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { entries, current, leases, last: 0, closed: false }
    }
}

impl<T: Clone, L> Book<T, L> {
    /// All instances, the oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Number, &Entry<T, L>)> {
        self.entries.iter().map(|(number, entry)| (*number, entry))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entry(&self, number: Number) -> Option<&Entry<T, L>> {
        self.entries.get(&number)
    }

    /// The number of the instance that a lease is for.
    pub(crate) fn number_of(&self, lease: LeaseId) -> Option<Number> {
        self.leases.get(&lease).copied()
    }

    /// The instance that a lease is for.
    pub(crate) fn of(&self, lease: LeaseId) -> Option<&Entry<T, L>> {
        self.leases.get(&lease).and_then(|number| self.entries.get(number))
    }

    /// Who has this lease.
    pub(crate) fn lessee(&mut self, lease: LeaseId) -> Option<&mut L> {
        let number = self.leases.get(&lease)?;
        self.entries.get_mut(number)?.lessees.get_mut(&lease)
    }

    /// The instance that takes the next lessee of `key`.
    pub(crate) fn current(&self, key: &Key) -> Option<(Number, &Entry<T, L>)> {
        let number = *self.current.get(key)?;
        self.entries.get(&number).map(|entry| (number, entry))
    }

    /// A lease of the current instance of `key`, which is made where there is none. The number is the instance's.
    pub(crate) fn lease(
        &mut self,
        key: &Key,
        lessee: L,
        make: impl FnOnce(Number) -> T,
    ) -> (LeaseId, Number) {
        let number = match self.current.get(key) {
            Some(number) => *number,
            None => self.open(key.clone(), make),
        };
        let lease = LeaseId(self.next());
        self.leases.insert(lease, number);
        if let Some(entry) = self.entries.get_mut(&number) {
            if let Standing::Lingering(awaited) = &entry.standing {
                awaited.cancel();
                entry.standing = Standing::Held;
            }
            entry.lessees.insert(lease, lessee);
        }
        (lease, number)
    }

    /// Puts a fresh instance in the place of `number`: everybody who holds that one holds the fresh one. The old one is
    /// returned when it is to end now; otherwise it ends with its last call. Without anybody who holds it none is made.
    pub(crate) fn replace(&mut self, number: Number, make: impl FnOnce(Number) -> T) -> Option<T> {
        let old = self.entries.get_mut(&number)?;
        let (key, lessees) = (old.key.clone(), std::mem::take(&mut old.lessees));
        let ends = match &old.standing {
            Standing::Held if !old.calls.is_empty() => {
                old.standing = Standing::Apart;
                None
            }
            Standing::Held => {
                old.standing = Standing::Ending;
                Some(old.what.clone())
            }
            Standing::Over => {
                self.entries.remove(&number);
                None
            }
            Standing::Lingering(awaited) => {
                awaited.cancel();
                old.standing = Standing::Ending;
                Some(old.what.clone())
            }
            // Nobody holds these, and their place is taken already.
            Standing::Apart | Standing::Ending => {
                old.lessees = lessees;
                return None;
            }
        };
        self.current.remove(&key);
        if lessees.is_empty() {
            // The next lessee makes one.
            return ends;
        }
        let fresh = self.open(key, make);
        for lease in lessees.keys() {
            self.leases.insert(*lease, fresh);
        }
        if let Some(entry) = self.entries.get_mut(&fresh) {
            entry.lessees = lessees;
        }
        ends
    }

    /// A call begins. `None` for a lease that was given back.
    pub(crate) fn begin_call(&mut self, lease: LeaseId) -> Option<(Number, T)> {
        let number = *self.leases.get(&lease)?;
        let entry = self.entries.get_mut(&number)?;
        *entry.calls.entry(lease).or_default() += 1;
        Some((number, entry.what.clone()))
    }

    /// A call is over. An instance that has waited for that is returned: it is to end.
    pub(crate) fn end_call(&mut self, lease: LeaseId, number: Number) -> Option<T> {
        let entry = self.entries.get_mut(&number)?;
        let calls = entry.calls.get_mut(&lease)?;
        *calls -= 1;
        if *calls == 0 {
            entry.calls.remove(&lease);
        }
        entry.ends_without_calls()
    }

    /// A lease is given back, and its calls count no more. `lingers`: the instance is kept a while when nobody else holds
    /// it. What was kept only for the calls is returned beside: it is to end.
    pub(crate) fn give_back(&mut self, lease: LeaseId, lingers: bool) -> (Left<T>, Vec<T>) {
        let Some(number) = self.leases.remove(&lease) else { return (Left::Already, Vec::new()) };
        let apart = self.entries.values_mut().filter_map(|entry| {
            entry.calls.remove(&lease)?;
            entry.ends_without_calls()
        });
        let apart = apart.collect();
        (self.leave(lease, number, lingers && !self.closed), apart)
    }

    fn leave(&mut self, lease: LeaseId, number: Number, lingers: bool) -> Left<T> {
        let Some(entry) = self.entries.get_mut(&number) else { return Left::Already };
        if entry.lessees.len() > 1 {
            entry.lessees.remove(&lease);
            return Left::LivesOn(None);
        }
        let what = entry.what.clone();
        if let Standing::Over = entry.standing {
            self.remove(number);
            return Left::Ends(what);
        }
        if lingers {
            let awaited = CancellationToken::new();
            entry.lessees.remove(&lease);
            entry.standing = Standing::Lingering(awaited.clone());
            return Left::LivesOn(Some((number, awaited)));
        }
        // Who held it last hears of its end.
        entry.standing = Standing::Ending;
        self.give_way(number);
        Left::Ends(what)
    }

    /// Nobody came for an instance that was kept. It is returned when it is to end.
    pub(crate) fn linger_over(&mut self, number: Number, awaited: &CancellationToken) -> Option<T> {
        let entry = self.entries.get_mut(&number)?;
        match &entry.standing {
            Standing::Lingering(_) if !awaited.is_cancelled() => {}
            Standing::Lingering(_) | Standing::Held | Standing::Apart | Standing::Ending | Standing::Over => {
                return None;
            }
        }
        entry.standing = Standing::Ending;
        let what = entry.what.clone();
        self.give_way(number);
        Some(what)
    }

    /// No process of it is left, and its task has ended.
    pub(crate) fn over(&mut self, number: Number) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        match &entry.standing {
            Standing::Held => {
                entry.standing = Standing::Over;
                entry.calls.clear();
            }
            Standing::Lingering(awaited) => {
                awaited.cancel();
                self.remove(number);
            }
            Standing::Apart | Standing::Ending => self.remove(number),
            Standing::Over => {}
        }
    }

    /// From now on nothing is kept for who might come back. What is kept is returned: it is to end.
    pub(crate) fn close(&mut self) -> Vec<T> {
        self.closed = true;
        let mut ends = Vec::new();
        for entry in self.entries.values_mut() {
            if let Standing::Lingering(awaited) = &entry.standing {
                awaited.cancel();
                entry.standing = Standing::Ending;
                ends.push((entry.key.clone(), entry.what.clone()));
            }
        }
        for (key, _) in &ends {
            self.current.remove(key);
        }
        ends.into_iter().map(|(_, what)| what).collect()
    }

    fn open(&mut self, key: Key, make: impl FnOnce(Number) -> T) -> Number {
        let number = self.next();
        let (what, lessees, calls) = (make(number), BTreeMap::new(), BTreeMap::new());
        self.current.insert(key.clone(), number);
        self.entries.insert(number, Entry { key, what, lessees, calls, standing: Standing::Held });
        number
    }

    fn remove(&mut self, number: Number) {
        self.give_way(number);
        self.entries.remove(&number);
    }

    /// The next lessee of its key gets another one.
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

impl<T: Clone, L> Entry<T, L> {
    fn ends_without_calls(&mut self) -> Option<T> {
        let ends = matches!(self.standing, Standing::Apart) && self.calls.is_empty();
        if ends {
            self.standing = Standing::Ending;
        }
        ends.then(|| self.what.clone())
    }
}

#[cfg(test)]
mod tests;
