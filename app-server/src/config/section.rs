//! Typed reading of one table: each value is asked for by key, what does not fit is an error with its place, and what
//! nobody asked for is a warning.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use skein_base::units::{parse_duration, parse_size};
use skein_protocol::settings::AskForApproval;

use super::problem::{ConfigError, ConfigWarning, Place, Problems};
use super::tree::{Node, Table, Value};
use super::{keys, tree};

/// How unlike a known key an unknown one may be and still be taken for a slip of the pen: edits.
const NEAR: usize = 2;

const SIZE: &str =
    "write a number and a unit (KiB, MiB or GiB), such as \"512MiB\" or \"2GiB\"; \"0\" is no limit";

const DURATION: &str = "write a number and a unit (ms, s, min or h), such as \"500ms\" or \"30min\"";

/// One table of the settings.
#[derive(Debug)]
pub(super) struct Section<'a> {
    path: String,
    table: Table,
    known: Vec<&'static str>,
    problems: &'a mut Problems,
}

impl<'a> Section<'a> {
    /// The table that stands at `path`; empty for the root.
    pub(super) fn new(path: impl Into<String>, table: Table, problems: &'a mut Problems) -> Self {
        Self { path: path.into(), table, known: Vec::new(), problems }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.value(key, "write a text in quotes", |value| text(value).filter(|text| !text.is_empty()))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.value(key, "write true or false", |value| match value {
            Value::Bool(value) => Some(value),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Other(_) => None,
        })
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.value_by_kind(key, "write a list of texts, such as [\"a\", \"b\"]", |value| {
            list(value)?.into_iter().map(|node| text(node.value)).collect()
        })
    }

    /// Names of variables: texts, or tables with a `name`, as Codex has them.
    pub(super) fn names(&mut self, key: &'static str) -> Option<Vec<String>> {
        let name = |value| match value {
            Value::Table(mut table) => text(table.remove("name")?.value),
            value @ (Value::Text(_)
            | Value::List(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Other(_)) => text(value),
        };
        let fits = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
        self.value_by_kind(key, "write a list of names of variables, such as [\"API_KEY\"]", |value| {
            let names: Option<Vec<String>> = list(value)?.into_iter().map(|node| name(node.value)).collect();
            names.filter(|names| names.iter().all(fits))
        })
    }

    pub(super) fn text_map(&mut self, key: &'static str) -> Option<BTreeMap<String, String>> {
        let expected = "write a table of texts, such as { NAME = \"value\" }";
        self.value_by_kind(key, expected, |value| {
            table(value)?.into_iter().map(|(key, node)| Some((key, text(node.value)?))).collect()
        })
    }

    /// A duration with its unit in the value, as all keys of ours have it.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.value(key, DURATION, |value| parse_duration(&text(value)?))
    }

    /// A number of bytes with its unit in the value.
    pub(super) fn size(&mut self, key: &'static str) -> Option<u64> {
        self.value(key, SIZE, |value| parse_size(&text(value)?))
    }

    /// A duration above another one.
    pub(super) fn longer(&mut self, key: &'static str, than: Duration) -> Option<Duration> {
        let expected = format!("write a time above {than:?}: a number and a unit (ms, s, min or h)");
        self.value(key, &expected, |value| parse_duration(&text(value)?).filter(|wait| *wait > than))
    }

    /// A number of seconds, as keys that Codex has too have it.
    pub(super) fn seconds(&mut self, key: &'static str) -> Option<Duration> {
        self.value(key, "write a number of seconds above 0, such as 10 or 2.5", |value| {
            let seconds = match value {
                Value::Integer(whole) => f64::from(u32::try_from(whole).ok()?),
                Value::Float(number) => number,
                Value::Text(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => {
                    return None;
                }
            };
            Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero())
        })
    }

    /// A number of bytes with its unit in the value: "0", or at least `least`.
    pub(super) fn size_from(&mut self, key: &'static str, least: u64) -> Option<u64> {
        let expected = format!("{SIZE}, and {}KiB the least", least / 1024);
        self.value(key, &expected, |value| {
            parse_size(&text(value)?).filter(|bytes| *bytes == 0 || *bytes >= least)
        })
    }

    /// A whole number between `least` and `most`, both included.
    pub(super) fn number(&mut self, key: &'static str, least: usize, most: usize) -> Option<usize> {
        self.whole(key, least, most)
    }

    /// The same of any kind of number.
    pub(super) fn whole<T>(&mut self, key: &'static str, least: T, most: T) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let expected = format!("write a whole number from {least} to {most}");
        self.value(key, &expected, |value| match value {
            Value::Integer(number) => {
                T::try_from(number).ok().filter(|number| (least..=most).contains(number))
            }
            Value::Text(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Other(_) => None,
        })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        let expected = format!("write one of {}", words.join(", "));
        self.value(key, &expected, |value| {
            let word = text(value)?;
            choices.iter().find(|(known, _)| *known == word).map(|(_, choice)| *choice)
        })
    }

    /// When the user is asked: a word, or a table that says it question by question.
    pub(super) fn approval_policy(&mut self, key: &'static str) -> Option<AskForApproval> {
        let expected = "write one of \"untrusted\", \"on-request\", \"never\", \"on-failure\", or { granular = { sandbox_approval = \
            true, rules = true, mcp_elicitations = true } } with true or false for each";
        self.value(key, expected, |value| match &value {
            Value::Text(word) => keys::APPROVAL_POLICIES
                .iter()
                .find(|(known, _)| known == word)
                .map(|(_, asking)| (*asking).into()),
            Value::Table(_) => serde_json::from_value(tree::plain(&value)).ok(),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Other(_) => None,
        })
    }

    /// A table of this one, read by `read` and then searched for unknown keys.
    pub(super) fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>)) {
        let expected = format!("write it as [{}]", self.key(key));
        if let Some(inner) = self.value(key, &expected, table) {
            let mut section = Section::new(self.key(key), inner, self.problems);
            read(&mut section);
            section.finish();
        }
    }

    /// The tables of a table whose keys are names that the user chose; each with its place.
    pub(super) fn named(&mut self, key: &'static str, mut read: impl FnMut(&str, &Place, &mut Section<'_>)) {
        let expected = format!("write it as [{}.NAME]", self.key(key));
        for (name, node) in self.value(key, &expected, table).unwrap_or_default() {
            let path = format!("{}.{name}", self.key(key));
            let shown = node.value.kind();
            let Some(inner) = table(node.value) else {
                let what = format!("{shown} is not a table");
                self.problems.push(ConfigError::new(node.place, path, what, &*expected));
                continue;
            };
            let mut section = Section::new(path, inner, self.problems);
            read(&name, &node.place, &mut section);
            section.finish();
        }
    }

    /// Where a value stands that has not been read yet.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        self.table.get(key).map(|node| node.place.clone())
    }

    /// Reports an error about this table as a whole.
    pub(super) fn wrong(&mut self, place: Place, what: impl Into<String>, expected: impl Into<String>) {
        self.problems.push(ConfigError::new(place, self.path.clone(), what, expected));
    }

    /// Warns of every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, node) in &self.table {
            let distance = |known: &&&str| strsim::damerau_levenshtein(known, key);
            let nearest = self.known.iter().min_by_key(distance).filter(|known| distance(known) <= NEAR);
            let path =
                |key: &str| if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) };
            self.problems.warn(ConfigWarning {
                place: node.place.clone(),
                key: path(key),
                nearest: nearest.map(|known| path(known)),
            });
        }
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        fit: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        self.fitting(key, expected, Value::shown, fit)
    }

    /// A value that may hold secrets (arguments, variables, headers): an error names its kind only.
    fn value_by_kind<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        fit: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        self.fitting(key, expected, Value::kind, fit)
    }

    fn fitting<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        show: fn(&Value) -> String,
        fit: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let Node { place, value } = self.table.remove(key)?;
        let shown = show(&value);
        let fitting = fit(value);
        if fitting.is_none() {
            let what = format!("{shown} cannot be used");
            self.problems.push(ConfigError::new(place, self.key(key), what, expected));
        }
        fitting
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Integer(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Other(_) => None,
    }
}

fn table(value: Value) -> Option<Table> {
    match value {
        Value::Table(table) => Some(table),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::List(_)
        | Value::Other(_) => None,
    }
}

fn list(value: Value) -> Option<Vec<Node>> {
    match value {
        Value::List(values) => Some(values),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Table(_)
        | Value::Other(_) => None,
    }
}
