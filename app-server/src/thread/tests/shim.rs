//! The parts of the registry and the subscribers in a form whose steps shuttle can order: its locks and atomics, and a map of
//! one shard with the used part of `DashMap`'s interface.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

type Read<'a, K, V> = RwLockReadGuard<'a, HashMap<K, V>>;
type Write<'a, K, V> = RwLockWriteGuard<'a, HashMap<K, V>>;

#[derive(Debug)]
pub(crate) struct Map<K, V>(RwLock<HashMap<K, V>>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Copy, V> Map<K, V> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn get(&self, key: &K) -> Option<Ref<'_, K, V>> {
        let map = self.0.read().unwrap();
        map.contains_key(key).then(|| Ref { map: Rc::new(map), key: *key })
    }

    pub(crate) fn get_mut(&self, key: &K) -> Option<RefMut<'_, K, V>> {
        let map = self.0.write().unwrap();
        map.contains_key(key).then(|| RefMut { map, key: *key })
    }

    pub(crate) fn insert(&self, key: K, value: V) -> Option<V> {
        self.0.write().unwrap().insert(key, value)
    }

    pub(crate) fn remove(&self, key: &K) -> Option<(K, V)> {
        self.0.write().unwrap().remove_entry(key)
    }

    pub(crate) fn remove_if(&self, key: &K, fits: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)> {
        let mut map = self.0.write().unwrap();
        if map.get(key).is_some_and(|value| fits(key, value)) { map.remove_entry(key) } else { None }
    }

    pub(crate) fn entry(&self, key: K) -> Entry<'_, K, V> {
        let held = RefMut { map: self.0.write().unwrap(), key };
        if held.map.contains_key(&key) { Entry::Occupied(held) } else { Entry::Vacant(Vacant(held)) }
    }

    pub(crate) fn iter(&self) -> std::vec::IntoIter<Ref<'_, K, V>> {
        let map = Rc::new(self.0.read().unwrap());
        let refs: Vec<_> = map.keys().map(|key| Ref { map: Rc::clone(&map), key: *key }).collect();
        refs.into_iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, K: Eq + Hash + Copy, V> IntoIterator for &'a Map<K, V> {
    type Item = Ref<'a, K, V>;
    type IntoIter = std::vec::IntoIter<Ref<'a, K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

pub(crate) struct Ref<'a, K, V> {
    map: Rc<Read<'a, K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Deref for Ref<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.map[&self.key]
    }
}

pub(crate) struct RefMut<'a, K, V> {
    map: Write<'a, K, V>,
    key: K,
}

impl<K: Eq + Hash, V> RefMut<'_, K, V> {
    pub(crate) fn get(&self) -> &V {
        &self.map[&self.key]
    }
}

impl<K: Eq + Hash, V> Deref for RefMut<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        self.get()
    }
}

impl<K: Eq + Hash, V> DerefMut for RefMut<'_, K, V> {
    fn deref_mut(&mut self) -> &mut V {
        self.map.get_mut(&self.key).unwrap()
    }
}

pub(crate) enum Entry<'a, K, V> {
    Occupied(RefMut<'a, K, V>),
    Vacant(Vacant<'a, K, V>),
}

impl<'a, K: Eq + Hash + Copy, V: Default> Entry<'a, K, V> {
    pub(crate) fn or_default(self) -> RefMut<'a, K, V> {
        match self {
            Self::Occupied(held) => held,
            Self::Vacant(vacant) => vacant.insert(V::default()),
        }
    }
}

pub(crate) struct Vacant<'a, K, V>(RefMut<'a, K, V>);

impl<'a, K: Eq + Hash + Copy, V> Vacant<'a, K, V> {
    pub(crate) fn insert(mut self, value: V) -> RefMut<'a, K, V> {
        self.0.map.insert(self.0.key, value);
        self.0
    }
}
