//! The table of a helper in the settings.

use serde_json::{Value as Json, json};
use skein_helpers::{HelperSpec, Transport};
use toml_edit::{InlineTable, Item, Table, TableLike, Value};

use super::set::inline;
use crate::helpers::{http_keys, limit_keys, plain, stdio_keys};

/// The key of a process that a new way to it does not change.
const LIMITS: &str = "limits";

/// Puts the way to `spec` in the place of the one that is there. Everything else stays; a helper that is off in `spec` is off. Returns
/// the keys that had to go.
pub(super) fn change_way(there: &mut dyn TableLike, spec: &HelperSpec) -> Vec<String> {
    let new = written(spec);
    let way: Vec<&str> =
        [stdio_keys(), http_keys()].concat().into_iter().filter(|key| *key != LIMITS).collect();
    for key in way.iter().filter(|key| !new.contains_key(key)) {
        there.remove(key);
    }
    let goes = matches!(spec.transport, Transport::Http(_)) && there.remove(LIMITS).is_some();
    for (key, item) in new {
        let decided = there.get_mut(&key).filter(|_| !way.contains(&&*key)).and_then(Item::as_value_mut);
        match (decided, item.as_value()) {
            (Some(before), Some(value)) => {
                let decor = before.decor().clone();
                *before = value.clone();
                *before.decor_mut() = decor;
            }
            // A comment about what was there goes with it.
            (Some(_) | None, _) => drop(there.insert(&key, item)),
        }
    }
    if goes { vec![LIMITS.to_owned()] } else { Vec::new() }
}

/// A helper by the keys of the file, without the defaults.
pub(super) fn written(spec: &HelperSpec) -> Table {
    let mut all = plain(spec);
    let limits = all.remove(LIMITS).unwrap_or_default();
    let (none, unlimited) = ([json!([]), json!({}), json!(false)], [json!(0), json!("0")]);
    let limits: InlineTable = values(limit_keys(), &unlimited, |key| limits.get(key)).collect();
    let way = values([stdio_keys(), http_keys()].concat(), &none, |key| all.get(key));
    let limits = (!limits.is_empty()).then_some((LIMITS, limits.into()));
    let disabled = (!spec.enabled).then_some(("enabled", false.into()));
    way.chain(limits).chain(disabled).collect()
}

/// The keys with a value other than `defaults`, with their values.
fn values<'j>(
    keys: Vec<&'static str>,
    defaults: &'j [Json],
    value: impl Fn(&'static str) -> Option<&'j Json>,
) -> impl Iterator<Item = (&'static str, Value)> {
    let set = move |key| value(key).filter(|value| !defaults.contains(value));
    keys.into_iter().filter_map(move |key| Some((key, inline(set(key)?).ok()?)))
}
