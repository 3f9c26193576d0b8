//! Single values of the settings file, set by their key: what clients write. What a change is not about stays as it was.

use serde_json::Value as Json;
use toml_edit::{Array, InlineTable, Item, Key, Table, TableLike, Value};

use super::{EditError, SettingsFile};

/// What becomes of what stands at the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The new value takes its place.
    Replace,
    /// Members of a table are set one by one, and those that are not named stay; any other value takes the place.
    Upsert,
}

impl SettingsFile {
    /// Sets the value at a dotted key (`unload.grace`, `mcp_servers."a name".command`); null takes it away.
    ///
    /// # Errors
    /// [`EditError::Key`], [`EditError::Value`]; the file that is in hand may have changed in part then.
    pub fn set(&mut self, path: &str, value: &Json, merge: Merge) -> Result<(), EditError> {
        let wrong = |why: String| EditError::Key { key: path.to_owned(), why };
        let keys = Key::parse(path).map_err(|error| wrong(error.to_string()))?;
        let Some((last, tables)) = keys.split_last() else { return Err(wrong("it is empty".to_owned())) };
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for key in tables {
            if value.is_null() && !table.contains_key(key.get()) {
                return Ok(());
            }
            let inner = table.entry(key.get()).or_insert_with(|| {
                let mut made = Table::new();
                made.set_implicit(true);
                Item::Table(made)
            });
            table = inner.as_table_like_mut().ok_or_else(|| wrong(format!("{key} is not a table")))?;
        }
        put(table, last.get(), value, merge).map_err(|why| EditError::Value { key: path.to_owned(), why })
    }
}

/// Sets one member.
fn put(table: &mut dyn TableLike, key: &str, value: &Json, merge: Merge) -> Result<(), String> {
    if value.is_null() {
        table.remove(key);
        return Ok(());
    }
    if let (Merge::Upsert, Json::Object(members)) = (merge, value)
        && let Some(there) = table.get_mut(key).and_then(Item::as_table_like_mut)
    {
        return members.iter().try_for_each(|(key, value)| put(there, key, value, merge));
    }
    let mut now = item(value)?;
    // In its place, so that comments about the key stay.
    match table.get_mut(key) {
        Some(before) => {
            keep_looks(before, &mut now);
            *before = now;
        }
        None => drop(table.insert(key, now)),
    }
    Ok(())
}

/// Comments, and the place in the file.
fn keep_looks(before: &Item, now: &mut Item) {
    if let (Some(before), Some(now)) = (before.as_value(), now.as_value_mut()) {
        *now.decor_mut() = before.decor().clone();
    }
    if let (Some(before), Some(now)) = (before.as_table(), now.as_table_mut()) {
        now.set_position(before.position());
        *now.decor_mut() = before.decor().clone();
    }
}

fn item(value: &Json) -> Result<Item, String> {
    let Json::Object(members) = value else { return Ok(Item::Value(inline(value)?)) };
    let mut table = Table::new();
    for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        table.insert(key, item(value)?);
    }
    Ok(Item::Table(table))
}

fn inline(value: &Json) -> Result<Value, String> {
    Ok(match value {
        Json::Null => return Err("a list cannot have null in it".to_owned()),
        Json::Bool(flag) => (*flag).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) if !number.is_u64() => float.into(),
            (None, _) => return Err(format!("{number} is too large")),
        },
        Json::Array(values) => Value::Array(values.iter().map(inline).collect::<Result<Array, String>>()?),
        Json::Object(members) => {
            let said = members.iter().filter(|(_, value)| !value.is_null());
            let table: Result<InlineTable, String> =
                said.map(|(key, value)| Ok((key.as_str(), inline(value)?))).collect();
            Value::InlineTable(table?)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::super::Access;
    use super::*;
    use crate::config::FILE;

    const BEFORE: &str = "# mine\nmodel = \"small\"   # for now\n\n[unload]\ngrace = \"2s\" # short\n\n\
                          [mcp_servers.files]\ncommand = \"files\"\nargs = [\"--root\"]\n";

    fn changed(edits: &[(&str, Json, Merge)]) -> Result<String, EditError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), BEFORE).unwrap();
        let mut file = SettingsFile::open(dir.path(), Access::Change)?;
        for (key, value, merge) in edits {
            file.set(key, value, *merge)?;
        }
        let written = file.write();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        if written.is_err() {
            assert_eq!(text, BEFORE, "what is refused is not written");
        }
        written.map(|()| text)
    }

    #[test]
    fn a_value_is_set_where_it_stands_and_everything_else_stays() {
        let text = changed(&[
            ("model", json!("large"), Merge::Replace),
            ("unload.grace", json!("3s"), Merge::Upsert),
            ("mcp_servers.files.args", json!(["--root", "/srv"]), Merge::Replace),
        ]);
        let wanted = BEFORE.replace("small", "large").replace("2s", "3s");
        assert_eq!(text.unwrap(), wanted.replace("[\"--root\"]", "[\"--root\", \"/srv\"]"));
    }

    #[test]
    fn tables_are_merged_or_replaced_and_null_takes_away() {
        let files = json!({ "env": { "A": "1" }, "args": null });
        let merged = changed(&[("mcp_servers.files", files, Merge::Upsert)]).unwrap();
        assert!(merged.contains("command = \"files\"") && merged.contains("A = \"1\""), "{merged}");
        assert!(!merged.contains("args"), "{merged}");
        let other = json!({ "url": "https://a.example/" });
        let replaced = changed(&[("mcp_servers.files", other, Merge::Replace)]).unwrap();
        assert!(!replaced.contains("command") && replaced.contains("https://a.example/"), "{replaced}");
        let gone = changed(&[("mcp_servers.files", Json::Null, Merge::Replace)]).unwrap();
        assert!(!gone.contains("files"), "{gone}");
        let made = changed(&[("mcp_servers.\"new\".command", json!("x"), Merge::Replace)]).unwrap();
        assert!(made.contains("[mcp_servers.new]") && made.contains("command = \"x\""), "{made}");
        assert_eq!(changed(&[("search.index", Json::Null, Merge::Replace)]).unwrap(), BEFORE);
    }

    #[test]
    fn what_a_server_would_refuse_is_not_written() {
        let refused = changed(&[("unload.grace", json!("soon"), Merge::Replace)]);
        assert!(matches!(refused, Err(EditError::Refused(_))), "{refused:?}");
        let refused = changed(&[("model.name", json!("x"), Merge::Replace)]);
        assert!(matches!(refused, Err(EditError::Key { .. })), "{refused:?}");
        let refused = changed(&[("a..b", json!("x"), Merge::Replace)]);
        assert!(matches!(refused, Err(EditError::Key { .. })), "{refused:?}");
        let refused = changed(&[("mcp_servers.files.args", json!([null]), Merge::Replace)]);
        assert!(matches!(refused, Err(EditError::Value { .. })), "{refused:?}");
    }
}
