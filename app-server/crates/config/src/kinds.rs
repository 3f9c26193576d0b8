//! The kinds of values that settings have beside plain texts, flags and words: how each is written, shown, and corrected.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use skein_base::units::{parse_duration, parse_size};
use skein_helpers::Size;
use skein_protocol::settings::AskForApproval;

use crate::access::OriginPattern;
use crate::policy::{self, HELPER_MEMORY_LEAST};

pub(super) const FLAG: &str = "write true or false";
pub(super) const TEXT: &str = "write a text in quotes";
const TEXTS: &str = "write a list of texts, such as [\"a\", \"b\"]";
const ORIGINS: &str = "write a list of origins, such as [\"http://localhost:5173\"]";
const FOLDERS: &str = "write a list of folders that begin with / or ~, such as [\"~/projects\", \"/srv\"]";
const NAMES: &str = "write a list of names of variables, such as [\"API_KEY\"]";
const TEXTS_BY_NAME: &str = "write a table of texts, such as { NAME = \"value\" }";
const TIME: &str = "write a number and a unit (ms, s, min or h), such as \"500ms\" or \"30min\"";
const SIZE: &str =
    "write a number and a unit (KiB, MiB or GiB), such as \"512MiB\" or \"2GiB\"; \"0\" is no limit";
const APPROVAL: &str = "write one of \"untrusted\", \"on-request\", \"never\", \"on-failure\", or { granular = { sandbox_approval = \
    true, rules = true, mcp_elicitations = true } } with true or false for each";
/// The forms of the two in the JSON Schema.
const TIME_FORM: &str = "^[0-9]+ *(ms|s|min|h)$";
const SIZE_FORM: &str = "^(0|[0-9]+ *(KiB|MiB|GiB))$";
const SECONDS: &str = "write a number of seconds above 0, such as 10 or 2.5";

/// Whether a value that should be as `remedy` says may hold secrets: arguments, variables, headers.
pub(super) fn may_be_secret(remedy: &str) -> bool {
    [TEXTS, NAMES, TEXTS_BY_NAME].contains(&remedy)
}

/// The remedy of a value that should be one of a few words.
pub(super) fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("write one of {}", words.join(", "))
}

/// Reads a value that is written as `W` and has to pass `parse`.
fn fit<'de, D, W, T>(from: D, remedy: impl Display, parse: impl FnOnce(W) -> Option<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    W: Deserialize<'de>,
{
    W::deserialize(from).ok().and_then(parse).ok_or_else(|| D::Error::custom(remedy))
}

pub(super) fn texts<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    fit(from, TEXTS, Some)
}

pub(super) fn texts_by_name<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    fit(from, TEXTS_BY_NAME, Some)
}

/// Folders by their absolute paths, or in the user's home.
pub(super) fn folders<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let is_folder = |folder: &String| folder.starts_with('/') || folder == "~" || folder.starts_with("~/");
    fit(from, FOLDERS, |folders: Vec<String>| folders.iter().all(is_folder).then_some(folders))
}

/// The absolute path of a file, which the error shows by an example.
pub(super) fn file<'de, D: Deserializer<'de>>(from: D, example: &str) -> Result<Option<PathBuf>, D::Error> {
    let remedy = format!("write the absolute path of a file, such as {example:?}");
    fit(from, remedy, |path: PathBuf| path.is_absolute().then_some(Some(path)))
}

/// Names of variables: texts, or tables with a `name`, as Codex has them.
pub(super) fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Name {
        Text(String),
        Table { name: String },
    }
    let name = |(Name::Text(name) | Name::Table { name })| {
        Some(name).filter(|name| !name.is_empty() && !name.contains(['=', '\0']))
    };
    fit(from, NAMES, |names: Vec<Name>| names.into_iter().map(name).collect())
}

/// Origins of pages. The remedy for a wrong one says how to write it.
pub(super) fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OriginPattern>, D::Error> {
    let origins: Vec<String> = fit(from, ORIGINS, Some)?;
    let pattern = |origin: &String| {
        let shown: String = origin.chars().take(policy::SHOWN_STRANGER).collect();
        let named = |bad| D::Error::custom(format!("in the place of {shown:?} {bad}"));
        OriginPattern::parse(origin).map_err(named)
    };
    origins.iter().map(pattern).collect()
}

fn between(least: impl Display, most: impl Display) -> String {
    format!("write a whole number from {least} to {most}")
}

/// A whole number from `LEAST` to `MOST`.
pub(super) fn whole<'de, const LEAST: i64, const MOST: i64, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let parse = |number: i64| serde_json::from_value(number.into()).ok();
    fit(from, between(LEAST, MOST), |number| {
        Some(number).filter(|number| (LEAST..=MOST).contains(number)).and_then(parse)
    })
}

/// One word, or a table that answers question by question. `on-failure` is an old word of Codex's for `on-request`.
pub(super) fn approval<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<AskForApproval>,
{
    let parse = |said: Value| match said.as_str() {
        Some("on-failure") => Some(AskForApproval::OnRequest),
        _ => serde_json::from_value(said).ok(),
    };
    fit(from, APPROVAL, |said| parse(said).map(T::from))
}

/// A kind of values with a form of its own in the file. A field names it by `#[serde(with = "..")]`.
pub(super) trait FileForm {
    /// The form in the file.
    type Written: DeserializeOwned + Serialize;
    type Value;

    fn remedy() -> String;

    fn parse(written: Self::Written) -> Option<Self::Value>;

    fn show(value: Self::Value) -> Self::Written;

    fn deserialize<'de, D: Deserializer<'de>, T: From<Self::Value>>(from: D) -> Result<T, D::Error> {
        fit(from, Self::remedy(), |written| Self::parse(written).map(T::from))
    }

    fn serialize<S, T>(value: &T, to: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        T: Clone + Into<Option<Self::Value>>,
    {
        value.clone().into().map(Self::show).serialize(to)
    }
}

/// One row for each kind: its form in the file, its value, its remedy, what its JSON Schema adds to the form, and the ways from
/// one to the other.
macro_rules! kinds {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $(<$most:ident: $number:ty>)?: $written:ty => $value:ty, $remedy:expr, $rules:expr, $parse:expr, $show:expr;
    )+) => {$(
        $(#[doc = $doc])+
        pub(super) struct $name $(<const $most: $number>)?;

        impl $(<const $most: $number>)? FileForm for $name $(<$most>)? {
            type Written = $written;
            type Value = $value;

            fn remedy() -> String {
                $remedy.to_string()
            }

            fn parse(written: $written) -> Option<$value> {
                let parse: fn($written) -> Option<$value> = $parse;
                parse(written)
            }

            fn show(value: $value) -> $written {
                let show: fn($value) -> $written = $show;
                show(value)
            }
        }

        impl $(<const $most: $number>)? JsonSchema for $name $(<$most>)? {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(types: &mut SchemaGenerator) -> Schema {
                let rules: Value = $rules;
                let mut form = <$written>::json_schema(types);
                rules.as_object().into_iter().flatten().for_each(|(name, rule)| {
                    form.insert(name.clone(), rule.clone());
                });
                form
            }
        }
    )+};
}

kinds! {
    /// A time with its unit, as all keys of Skein's own have it.
    Time: String => Duration, TIME, json!({ "pattern": TIME_FORM, "examples": ["30s"] }), |text| parse_duration(&text), shown_time;

    /// A time above so many milliseconds.
    Above<MILLISECONDS: u64>: String => Duration, above(Duration::from_millis(MILLISECONDS)), json!({ "pattern": TIME_FORM, "examples": ["30s"] }),
        |text| parse_duration(&text).filter(|time| *time > Duration::from_millis(MILLISECONDS)), shown_time;

    /// A number of seconds, as keys of Codex's have it.
    Seconds: f64 => Duration, SECONDS, json!({ "exclusiveMinimum": 0 }),
        |seconds| Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()),
        |time| time.as_secs_f64();

    /// Milliseconds without a unit, as keys of Codex's have them.
    Milliseconds<MOST: u64>: u64 => Duration, between(1, MOST), json!({ "minimum": 1, "maximum": MOST }),
        |time| (1..=MOST).contains(&time).then(|| Duration::from_millis(time)),
        |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);

    /// A number up to `MOST`; 0 is no limit.
    Limit<MOST: u64>: u64 => Option<u64>, between(0, MOST), json!({ "minimum": 0, "maximum": MOST }),
        |most| (most <= MOST).then(|| positive(most)), Option::unwrap_or_default;

    /// The same of things that the server itself counts.
    Count<MOST: usize>: usize => Option<usize>, between(0, MOST), json!({ "minimum": 0, "maximum": MOST }),
        |most| (most <= MOST).then(|| positive(most)), Option::unwrap_or_default;

    /// Bytes with their unit; "0" is no limit.
    Memory: String => Option<u64>, SIZE, json!({ "pattern": SIZE_FORM, "examples": ["1GiB"] }), |text| parse_size(&text).map(positive),
        |size| size.map_or_else(|| "0".to_owned(), |bytes| format!("{}KiB", bytes / 1024));

    /// The same for a helper, which needs some memory to start.
    HelperMemory: String => Option<u64>, format!("{SIZE}, and {}KiB the least", HELPER_MEMORY_LEAST / 1024),
        json!({ "pattern": SIZE_FORM, "examples": ["1GiB"] }),
        |text| parse_size(&text).map(positive).filter(|size| size.is_none_or(|bytes| bytes >= HELPER_MEMORY_LEAST)),
        |size| size.map_or_else(|| "0".to_owned(), |bytes| Size(bytes).to_string());
}

fn positive<N: Default + PartialEq>(most: N) -> Option<N> {
    Some(most).filter(|most| *most != N::default())
}

fn shown_time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

/// A time. A value that is none counts as zero, which a later check refuses with its own remedy.
pub(super) fn time_or_default<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Ok(Time::deserialize(from).unwrap_or_default())
}

/// The remedy of a time that should be above another one.
pub(super) fn above(than: Duration) -> String {
    format!("write a time above {than:?}: a number and a unit (ms, s, min or h)")
}
