//! Reads a tree of settings into structs. A value that does not fit is an error with its place; a key that no struct has is
//! a warning.
//!
//! Serde stops at the first value that does not fit. So each one is taken out of the tree and reported, and the struct is
//! read again: one start names every mistake.

use std::cell::RefCell;
use std::collections::{BTreeMap, btree_map};
use std::fmt;

use serde::de::value::SeqDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::kinds;
use super::problem::{ConfigError, ConfigWarning, Problems, WarningCause};
use super::tree::{Node, Table, Value};
use crate::policy;

/// The most edits between an unknown key and the known key that an error suggests.
const NEAR: usize = 2;

/// The keys of each table that a struct was read from, by the dotted key of the table.
type KnownKeys = BTreeMap<String, Vec<&'static str>>;

/// A tree of settings that structs are read from.
#[derive(Debug)]
pub(super) struct Section<'p> {
    root: Value,
    known: RefCell<KnownKeys>,
    problems: &'p mut Problems,
}

impl<'p> Section<'p> {
    /// The tree with this root.
    pub(super) fn new(root: Table, problems: &'p mut Problems) -> Self {
        Self { root: Value::Table(root), known: RefCell::default(), problems }
    }

    /// Reads the keys that `T` has. Several structs can share a table.
    pub(super) fn read<T: DeserializeOwned + Default>(&mut self) -> T {
        self.read_at(&[]).unwrap_or_default()
    }

    /// Reads the tables in the table `key`, by the names that the user chose.
    pub(super) fn read_each<T: DeserializeOwned>(&mut self, key: &'static str) -> BTreeMap<String, T> {
        note(self.known.get_mut(), "", &[key]);
        let names: Vec<String> = match self.get(&[key]).map(|node| node.value.as_table()) {
            Some(Some(table)) => table.keys().cloned().collect(),
            Some(None) => {
                self.refuse(&Unfit::at(&[key], format!("write it as [{key}.NAME]")));
                return BTreeMap::new();
            }
            None => return BTreeMap::new(),
        };
        let read = |name: String| self.read_at(&[key, &name]).map(|read| (name, read));
        names.into_iter().filter_map(read).collect()
    }

    /// Reads the value at `keys`, again after each mistake; `None` if nothing is left of it.
    fn read_at<T: DeserializeOwned>(&mut self, keys: &[&str]) -> Option<T> {
        let mut nodes = 0;
        loop {
            let value = if keys.is_empty() { &self.root } else { &self.get(keys)?.value };
            let entry_of = keys.split_last().map(|(_, map)| map.join("."));
            let (path, known) = (keys.join("."), &self.known);
            let mut unfit = match T::deserialize(Reader { value, path, entry_of: entry_of.as_deref(), known })
            {
                Ok(read) => return Some(read),
                Err(unfit) => unfit,
            };
            nodes += value.nodes();
            unfit.keys.splice(0..0, keys.iter().map(|key| (*key).to_owned()));
            if !self.refuse(&unfit) {
                return None;
            }
            if nodes > policy::CONFIG_NODES {
                let (what, expected) = ("there may be more mistakes", "correct these first");
                self.wrong(keys.get(..1).unwrap_or_default(), what, expected);
                return None;
            }
        }
    }

    /// The node at these keys.
    pub(super) fn get(&self, keys: &[&str]) -> Option<&Node> {
        let (last, tables) = keys.split_last()?;
        let table =
            tables.iter().try_fold(&self.root, |value, key| Some(&value.as_table()?.get(*key)?.value))?;
        table.as_table()?.get(*last)
    }

    /// Reports a table as a whole.
    pub(super) fn wrong(&mut self, keys: &[&str], what: impl Into<String>, expected: impl Into<String>) {
        if let Some(place) = self.get(keys).map(|node| node.place.clone()) {
            self.problems.push(ConfigError::new(place, keys.join("."), what, expected));
        }
    }

    /// Reports a member of a table, which may be missing there, unless its value is reported already.
    pub(super) fn wrong_member(&mut self, keys: &[&str], member: &str, what: String, expected: &str) {
        let key = format!("{}.{member}", keys.join("."));
        if let Some(place) =
            self.get(keys).map(|node| node.place.clone()).filter(|_| !self.problems.name(&key))
        {
            self.problems.push(ConfigError::new(place, key, what, expected));
        }
    }

    /// Reports a value that does not fit and takes it out; false where there is none.
    pub(super) fn refuse(&mut self, unfit: &Unfit) -> bool {
        let Some(Node { place, value }) = take(&mut self.root, &unfit.keys) else { return false };
        let what = match unfit.is_named {
            true => format!("{} is not a table", value.kind()),
            false if kinds::may_be_secret(&unfit.remedy) => format!("{} cannot be used", value.kind()),
            false => format!("{} cannot be used", value.shown()),
        };
        self.problems.push(ConfigError::new(place, unfit.keys.join("."), what, &*unfit.remedy));
        true
    }

    /// Warns of a risk of the value at `keys`, or of this entry of the list there.
    pub(super) fn risk(&mut self, keys: &[&str], entry: Option<usize>, risk: &'static str) {
        let Some(node) = self.get(keys) else { return };
        let place = match (&node.value, entry) {
            (Value::List(entries), Some(at)) => entries.get(at).unwrap_or(node).place.clone(),
            _ => node.place.clone(),
        };
        self.problems.risk(place, keys.join("."), risk);
    }

    /// Warns of every key that no struct has.
    pub(super) fn finish(self) {
        if let Value::Table(root) = &self.root {
            warn(&self.known.into_inner(), "", root, self.problems);
        }
    }
}

/// The keys of a struct, in its order.
pub(super) fn keys_of<T: DeserializeOwned>() -> Vec<&'static str> {
    let (root, known) = (Value::Table(Table::new()), RefCell::default());
    // The keys are noted whatever comes of it.
    drop(T::deserialize(Reader { value: &root, path: String::new(), entry_of: None, known: &known }));
    known.into_inner().into_values().flatten().collect()
}

/// Takes out the node at these keys.
fn take(root: &mut Value, keys: &[String]) -> Option<Node> {
    let (Value::Table(table), Some((first, rest))) = (root, keys.split_first()) else { return None };
    if rest.is_empty() { table.remove(first) } else { take(&mut table.get_mut(first)?.value, rest) }
}

/// Adds keys to those that are known at `path`.
fn note(known: &mut KnownKeys, path: &str, keys: &[&'static str]) {
    let known = known.entry(path.to_owned()).or_default();
    for key in keys {
        if !known.contains(key) {
            known.push(key);
        }
    }
}

fn warn(known: &KnownKeys, path: &str, table: &Table, problems: &mut Problems) {
    let keys = known.get(path);
    for (key, node) in table {
        match (keys, &node.value) {
            (Some(keys), _) if !keys.contains(&key.as_str()) => {
                let distance = |known: &&&str| strsim::damerau_levenshtein(known, key);
                let nearest = keys.iter().min_by_key(distance).filter(|known| distance(known) <= NEAR);
                let nearest = nearest.map(|known| joined(path, known));
                let key = joined(path, key);
                let cause = WarningCause::Unknown { nearest };
                problems.warn(ConfigWarning { place: node.place.clone(), key, cause });
            }
            (_, Value::Table(inner)) => warn(known, &joined(path, key), inner, problems),
            _ => {}
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value that does not fit.
#[derive(Debug)]
pub(super) struct Unfit {
    /// The keys on the way to it.
    keys: Vec<String>,
    /// The form that fits.
    remedy: String,
    /// It has a name that the user chose, and should be a table.
    is_named: bool,
}

impl Unfit {
    /// The value at `keys` should be as `remedy` says.
    pub(super) fn at(keys: &[&str], remedy: impl Into<String>) -> Self {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Self { keys, remedy: remedy.into(), is_named: false }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.remedy)
    }
}

impl std::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: fmt::Display>(remedy: T) -> Self {
        Self::at(&[], remedy.to_string())
    }
}

/// Reads one value.
#[derive(Clone)]
struct Reader<'a> {
    value: &'a Value,
    /// The dotted key.
    path: String,
    /// The dotted key of the map or list that has it; `None` for a member of a struct.
    entry_of: Option<&'a str>,
    known: &'a RefCell<KnownKeys>,
}

impl Reader<'_> {
    fn members<'de, V: Visitor<'de>>(&self, of_struct: bool, visitor: V) -> Result<V::Value, Unfit> {
        let Value::Table(table) = self.value else { return visitor.visit_unit() };
        visitor.visit_map(TableMembers { reader: self, of_struct, rest: table.iter(), now: None })
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::List(nodes) => {
                let path = self.path.as_str();
                let entry = move |value| Reader {
                    value,
                    path: path.to_owned(),
                    entry_of: Some(path),
                    known: self.known,
                };
                visitor.visit_seq(SeqDeserializer::new(nodes.iter().map(|node| entry(&node.value))))
            }
            Value::Table(_) => self.members(false, visitor),
            Value::Other(_) => visitor.visit_unit(),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let Value::Bool(value) = self.value else { return Err(Unfit::at(&[], kinds::FLAG)) };
        visitor.visit_bool(*value)
    }

    /// A setting is not empty; an entry of a list or a map may be.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let text = self.value.as_text().filter(|text| !text.is_empty() || self.entry_of.is_some());
        visitor.visit_str(text.ok_or_else(|| Unfit::at(&[], kinds::TEXT))?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let Value::Integer(whole) = self.value else { return self.deserialize_any(visitor) };
        visitor.visit_f64(u32::try_from(*whole).map_err(de::Error::custom)?.into())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match (self.value, self.entry_of) {
            (Value::Table(_), _) => {
                note(&mut self.known.borrow_mut(), &self.path, fields);
                self.members(true, visitor)
            }
            (_, Some(map)) => {
                Err(Unfit { is_named: true, ..Unfit::at(&[], format!("write it as [{map}.NAME]")) })
            }
            (_, None) => Err(Unfit::at(&[], format!("write it as [{}]", self.path))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        if self.value.as_table().is_none() {
            return Err(Unfit::at(&[], format!("write it as [{}.NAME]", self.path)));
        }
        self.members(false, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        let word = self.value.as_text().filter(|word| words.contains(word));
        visitor.visit_enum(word.ok_or_else(|| Unfit::at(&[], kinds::one_of(words)))?.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Unfit> for Reader<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The members of a struct, or the entries of a map.
struct TableMembers<'a> {
    reader: &'a Reader<'a>,
    of_struct: bool,
    rest: btree_map::Iter<'a, String, Node>,
    now: Option<(&'a String, &'a Node)>,
}

impl<'de> MapAccess<'de> for TableMembers<'_> {
    type Error = Unfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unfit> {
        self.now = self.rest.next();
        self.now.map(|(key, _)| seed.deserialize(key.as_str().into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        let Some((key, node)) = self.now.take() else { return Err(de::Error::custom("no value")) };
        let above = self.reader.path.as_str();
        let (path, entry_of) = (joined(above, key), (!self.of_struct).then_some(above));
        let member = Reader { value: &node.value, path, entry_of, known: self.reader.known };
        seed.deserialize(member).map_err(|mut unfit| {
            unfit.keys.insert(0, key.clone());
            unfit
        })
    }
}
