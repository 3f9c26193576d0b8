//! Settings before their meaning is known: one tree for TOML files, `-c` flags and the JSON of requests, each node
//! with the place it was written at.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use skein_store::home::lost_link;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Place, Problems};

/// The entries of a table, by key.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and the place of its key.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// The values that TOML and JSON have in common.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Table),
    /// A value of a kind that no setting has, as it was written.
    Other(String),
}

impl Value {
    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number of values in it, itself included.
    pub(super) fn nodes(&self) -> usize {
        match self {
            Self::Table(table) => 1 + table.values().map(|node| node.value.nodes()).sum::<usize>(),
            Self::List(nodes) => 1 + nodes.iter().map(|node| node.value.nodes()).sum::<usize>(),
            Self::Text(_) | Self::Integer(_) | Self::Float(_) | Self::Bool(_) | Self::Other(_) => 1,
        }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// The value in an error message; long ones are named by their kind.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) if text.chars().count() > 60 => "a long text".to_owned(),
            Self::Text(text) => format!("{text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Other(text) => text.clone(),
        }
    }

    /// The kind of the value, for errors about a value that may be a secret.
    pub(super) fn kind(&self) -> String {
        let kind = match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "a true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(_) => "a date or time",
        };
        kind.to_owned()
    }
}

/// Reads the text of a TOML file; a missing one is empty. Mistakes of its syntax go to `problems`, and the rest of the file
/// is read all the same.
pub(super) fn from_file(path: &Path, read: std::io::Result<String>, problems: &mut Problems) -> Table {
    match read {
        Ok(text) => from_text(path, &text, problems),
        Err(error) if error.kind() == ErrorKind::NotFound => Table::new(),
        Err(error) => {
            let place = Place::File(Arc::new(path.to_owned()), 0);
            let expected = "it must be a readable file with UTF-8 text";
            problems.push(ConfigError::new(place, "", error.to_string(), expected));
            Table::new()
        }
    }
}

/// Reads the present or future text of a TOML file.
pub(super) fn from_text(path: &Path, text: &str, problems: &mut Problems) -> Table {
    let file = Arc::new(path.to_owned());
    let (table, errors) = DeTable::parse_recoverable(text);
    let feeds: Vec<usize> = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
    let at = |offset: usize| Place::File(Arc::clone(&file), line_of(&feeds, offset));
    for error in errors {
        let place = error.span().map_or(Place::File(Arc::clone(&file), 0), |span| at(span.start));
        problems.push(ConfigError::new(place, "", error.message().trim(), "write it as TOML"));
    }
    from_toml(table.into_inner(), &at)
}

/// Reads one `-c KEY=VALUE`. The value is TOML; what TOML does not know is taken as text, so that a shell's user
/// need not quote twice.
fn from_flag(setting: &str) -> Result<(String, Node), ConfigError> {
    let place = Place::Flag("-c".to_owned());
    let Some((key, value)) = setting.split_once('=') else {
        let what = format!("{setting:?} has no value");
        return Err(ConfigError::new(place, "", what, "write -c KEY=VALUE"));
    };
    let at = |_| place.clone();
    let value = match DeValue::parse(value.trim()) {
        Ok(parsed) => from_toml_value(parsed.into_inner(), &at),
        Err(_) => Value::Text(value.trim().to_owned()),
    };
    Ok((key.trim().to_owned(), Node { place: place.clone(), value }))
}

/// Reads the file of a `-c @FILE`, which is there for secrets: every user can read a command line.
fn from_private_file(path: &Path, problems: &mut Problems) -> Table {
    let mode = std::fs::metadata(path).map_or(0, |seen| seen.mode());
    let text = match read(path) {
        Ok(_) if mode & 0o077 != 0 => Err("others can read it".to_owned()),
        Ok(text) => Ok(text),
        Err(error) => Err(error.to_string()),
    };
    match text {
        Ok(text) => from_text(path, &text, problems),
        Err(what) => {
            let what = format!("{}: {what}", path.display());
            let expected = "write -c @FILE with a TOML file that only you can read (chmod 600)";
            problems.push(ConfigError::new(Place::Flag("-c".to_owned()), "", what, expected));
            Table::new()
        }
    }
}

/// Lays the chosen profile, and then the `-c` flags, over `settings`. Returns the settings of the flags alone.
pub(super) fn lay_over(settings: &mut Table, flags: &[String], problems: &mut Problems) -> Table {
    let mut said = Table::new();
    for flag in flags {
        if let Some(path) = flag.strip_prefix('@') {
            merge_all(&mut said, from_private_file(Path::new(path), problems));
            continue;
        }
        match from_flag(flag) {
            Ok((key, node)) => put(&mut said, &key, node),
            Err(error) => problems.push(error),
        }
    }
    let mut over = said.clone();
    if let Some(profiles) = over.remove("profiles") {
        merge(settings, "profiles".to_owned(), profiles);
    }
    if let Some(chosen) = over.remove("profile").or_else(|| settings.get("profile").cloned()) {
        settings.remove("profile");
        choose_profile(settings, chosen, problems);
    }
    merge_all(settings, over);
    said
}

/// Lays one of the `profiles` over the settings; the others say nothing then.
fn choose_profile(settings: &mut Table, chosen: Node, problems: &mut Problems) {
    let profiles = match settings.remove("profiles").map(|node| node.value) {
        Some(Value::Table(profiles)) => profiles,
        Some(_) | None => Table::new(),
    };
    let names: Vec<String> = profiles.keys().map(|name| format!("{name:?}")).collect();
    let what = match &chosen.value {
        Value::Text(name) => match profiles.get(name).map(|node| node.value.clone()) {
            Some(Value::Table(profile)) => return merge_all(settings, profile),
            Some(_) | None => format!("there is no [profiles.{name}]"),
        },
        other @ (Value::Integer(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Other(_)) => format!("{} cannot be used", other.shown()),
    };
    let expected = match names.as_slice() {
        [] => "write a table of that name, or take the key out".to_owned(),
        names => format!("write one of {}, or take the key out", names.join(", ")),
    };
    problems.push(ConfigError::new(chosen.place, "profile", what, expected));
}

/// Reads the `config` member of a request. A dotted key reaches into tables; null is as good as absent.
pub(super) fn from_json(members: &serde_json::Map<String, serde_json::Value>) -> Table {
    let mut table = Table::new();
    for (key, value) in members {
        if let Some(node) = from_json_value(value) {
            put(&mut table, key, node);
        }
    }
    table
}

/// Puts a node at a dotted key, making the tables on the way.
fn put(table: &mut Table, key: &str, node: Node) {
    match key.split_once('.') {
        None => merge(table, key.to_owned(), node),
        Some((first, rest)) => {
            let mut inner = Table::new();
            let place = node.place.clone();
            put(&mut inner, rest, node);
            merge(table, first.to_owned(), Node { place, value: Value::Table(inner) });
        }
    }
}

/// Lays `upper` over `table`.
pub(super) fn merge_all(table: &mut Table, upper: Table) {
    for (key, node) in upper {
        merge(table, key, node);
    }
}

/// A table goes into the table that is there; anything else replaces what is there.
fn merge(table: &mut Table, key: String, node: Node) {
    match (table.get_mut(&key).map(|there| &mut there.value), node.value) {
        (Some(Value::Table(there)), Value::Table(new)) => merge_all(there, new),
        (_, value) => {
            table.insert(key, Node { place: node.place, value });
        }
    }
}

/// The text of a file. Only of a regular one: reading a pipe in its place would never end. A link that leads to nothing is no missing
/// file: the user's rules stand somewhere, and are not there now.
pub(super) fn read(path: &Path) -> std::io::Result<String> {
    let seen = std::fs::metadata(path).map_err(|error| match lost_link(path) {
        Some(lost) if error.kind() == ErrorKind::NotFound => {
            std::io::Error::new(ErrorKind::InvalidInput, lost)
        }
        Some(_) | None => error,
    })?;
    if !seen.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    std::fs::read_to_string(path)
}

/// The line of an offset, by the offsets of all line feeds.
fn line_of(feeds: &[usize], offset: usize) -> usize {
    feeds.partition_point(|feed| *feed < offset) + 1
}

fn from_toml(table: DeTable<'_>, at: &impl Fn(usize) -> Place) -> Table {
    let entry = |(key, value): (Spanned<_>, Spanned<_>)| {
        let place = at(key.span().start);
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        (key.into_owned(), Node { place, value: from_toml_value(value.into_inner(), at) })
    };
    table.into_iter().map(entry).collect()
}

fn from_toml_value(value: DeValue<'_>, at: &impl Fn(usize) -> Place) -> Value {
    let other = |text: &str| Value::Other(text.to_owned());
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| other(number.as_str()), Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| other(number.as_str()), Value::Float)
        }
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(moment) => Value::Other(moment.to_string()),
        DeValue::Array(values) => {
            let node = |value: Spanned<DeValue<'_>>| {
                let place = at(value.span().start);
                Node { place, value: from_toml_value(value.into_inner(), at) }
            };
            Value::List(values.into_iter().map(node).collect())
        }
        DeValue::Table(table) => Value::Table(from_toml(table, at)),
    }
}

/// None for null.
fn from_json_value(value: &serde_json::Value) -> Option<Node> {
    let value = match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::Other(number.to_string()),
        },
        serde_json::Value::Array(values) => Value::List(values.iter().filter_map(from_json_value).collect()),
        serde_json::Value::Object(members) => {
            let entry = |(key, value): (&String, _)| Some((key.clone(), from_json_value(value)?));
            Value::Table(members.iter().filter_map(entry).collect())
        }
    };
    Some(Node { place: Place::Request, value })
}

pub(super) fn plain_table(table: &Table) -> serde_json::Map<String, serde_json::Value> {
    table.iter().map(|(key, node)| (key.clone(), plain(&node.value))).collect()
}

pub(super) fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) | Value::Other(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(value) => (*value).into(),
        Value::List(values) => values.iter().map(|node| plain(&node.value)).collect(),
        Value::Table(table) => plain_table(table).into(),
    }
}
