//! Sets single values of the settings file by their key, as clients write them. Everything else in the file stays.

use serde_json::Value as Json;
use toml_edit::{Array, InlineTable, Item, Key, Table, TableLike, Value};

use super::{EditError, SettingsFile};
use crate::problem::Problems;
use crate::secrets::{self, Filled, Keys};
use crate::tree;

/// The treatment of the value that stands at the key.
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
        let keys = segments(path)?;
        let value = self.unmasked(&keys, value)?;
        self.put(&keys, &value, merge).map_err(|wrong| match wrong {
            SetError::Key(why) => EditError::Key { key: path.to_owned(), why },
            SetError::Value(why) => EditError::Value { key: path.to_owned(), why },
        })
    }

    /// The value with the secrets of the file in the place of masks: of what it says now, or said when it was opened.
    fn unmasked(&self, keys: &[String], value: &Json) -> Result<Json, EditError> {
        let both = [self.json_of(&self.document.to_string()), self.json_of(&self.opened)];
        let at = |said| keys.iter().try_fold(said, |table: &Json, key| table.get(key));
        let before: Vec<&Json> = both.iter().filter_map(at).collect();
        let path: Vec<&str> = keys.iter().map(String::as_str).collect();
        let Filled { value, lacking } = secrets::fill(&path, value, &before, Keys::Plain);
        match lacking.into_iter().next() {
            None => Ok(value),
            Some(key) => Err(EditError::Masked { key }),
        }
    }

    /// The settings in a text of the file.
    fn json_of(&self, text: &str) -> Json {
        // A text with problems could not have been opened, or could not be written.
        let mut problems = Problems::default();
        tree::plain(&tree::Value::Table(tree::from_text(&self.path, text, &mut problems)))
    }

    fn put(&mut self, keys: &[String], value: &Json, merge: Merge) -> Result<(), SetError> {
        if value.is_null() {
            self.remove_at(keys);
            return Ok(());
        }
        let Some((last, tables)) = keys.split_last() else { return Ok(()) };
        let table = self.made(tables)?;
        let is_table = table.get(last).is_some_and(Item::is_table_like);
        if let (Merge::Upsert, Json::Object(members), true) = (merge, value, is_table) {
            let inner = |key: &String| [keys, std::slice::from_ref(key)].concat();
            return members.iter().try_for_each(|(key, value)| self.put(&inner(key), value, merge));
        }
        let mut now = item(value).map_err(SetError::Value)?;
        // In its place, so that comments about the key stay.
        match table.get_mut(last) {
            Some(before) => {
                keep_looks(before, &mut now);
                *before = now;
            }
            None => drop(table.insert(last, now)),
        }
        Ok(())
    }

    /// The table at `keys`, with the tables on the way.
    fn made(&mut self, keys: &[String]) -> Result<&mut dyn TableLike, SetError> {
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for key in keys {
            let inner = table.entry(key).or_insert_with(|| {
                let mut made = Table::new();
                made.set_implicit(true);
                Item::Table(made)
            });
            let other = || SetError::Key(format!("{key} is not a table"));
            table = inner.as_table_like_mut().ok_or_else(other)?;
        }
        Ok(table)
    }
}

/// Why a value is not set.
enum SetError {
    /// There is no such place.
    Key(String),
    /// The value cannot be written.
    Value(String),
}

/// The keys of a dotted key, without quotes; at least one.
///
/// # Errors
/// [`EditError::Key`].
pub fn segments(path: &str) -> Result<Vec<String>, EditError> {
    let keys = Key::parse(path);
    let keys = keys.map_err(|error| EditError::Key { key: path.to_owned(), why: error.to_string() })?;
    Ok(keys.iter().map(|key| key.get().to_owned()).collect())
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

pub(super) fn inline(value: &Json) -> Result<Value, String> {
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

    use super::super::EditMode;
    use super::*;
    use crate::FILE;

    const BEFORE: &str = "# mine\nmodel = \"small\"   # for now\n\n[unload]\ngrace = \"2s\" # short\n\n\
                          [mcp_servers.files]\ncommand = \"files\"\nargs = [\"--root\"]\n";

    fn changed(edits: &[(&str, Json, Merge)]) -> Result<String, EditError> {
        changed_in(BEFORE, edits)
    }

    fn changed_in(before: &str, edits: &[(&str, Json, Merge)]) -> Result<String, EditError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), before).unwrap();
        let mut file = SettingsFile::open(dir.path(), EditMode::Change)?;
        for (key, value, merge) in edits {
            file.set(key, value, *merge)?;
        }
        let written = file.write();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        if written.is_err() {
            assert_eq!(text, before, "what is refused is not written");
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
    fn what_is_taken_away_takes_its_own_comments_along_and_no_others() {
        let null = |key: &str, text: &str| changed_in(text, &[(key, Json::Null, Merge::Replace)]).unwrap();
        let text = "# Mine.\n\n# cheap\nmodel = \"m\" # now\nunload.grace = \"1s\"\n\n# Far.\n\n[search]\nindex = true\n";
        let gone = "# Mine.\n\nunload.grace = \"1s\"\n\n# Far.\n\n[search]\nindex = true\n";
        assert_eq!(null("model", text), gone);
        // Before the next table, where nothing else follows in its own; and at the end.
        let text = "[unload]\n# All of it.\n\n# short\ngrace = \"1s\"\n\n[search]\nindex = true\n";
        assert_eq!(null("unload.grace", text), "[unload]\n# All of it.\n\n[search]\nindex = true\n");
        let text = "[search]\nindex = true\n# All of it.\n\n# short\npage_time = \"1s\"\n";
        assert_eq!(null("search.page_time", text), "[search]\nindex = true\n# All of it.\n");
        let text =
            "# a\n\n# b\nunload.grace = \"1s\"\n# c\n\nunload.unmaterialised_grace = \"1s\"\nmodel = \"m\"\n";
        assert_eq!(null("unload", text), "# a\n# c\n\nmodel = \"m\"\n");
        // A table with all that is in it.
        let text = "model = \"m\"\n\n# Helpers.\n\n# a\n[mcp_servers.a]\ncommand = \"a\"\n\n[unload]\ngrace = \"1s\"\n";
        let gone = "model = \"m\"\n\n# Helpers.\n\n[unload]\ngrace = \"1s\"\n";
        assert_eq!(null("mcp_servers.a", text), gone);
        assert_eq!(null("mcp_servers", text), gone);
        let merged = [("mcp_servers", json!({ "a": null }), Merge::Upsert)];
        assert_eq!(changed_in(text, &merged).unwrap(), gone);
    }

    /// A helper and a provider with secrets.
    const SECRETS: &str = "[mcp_servers.t]\ncommand = \"t\"\nargs = [\"--token\", \"tok\"]\n\
                           env = { TOKEN = \"real\" }\n\n[model_providers.p]\n\
                           base_url = \"https://me:real@models.example.org/v1?key=real\"\n\
                           http_headers = { X-A = \"real\" }\nquery_params = { k = \"real\" }\n";

    #[test]
    fn settings_that_are_saved_as_they_were_shown_keep_their_secrets() {
        let shown = json!({
            "command": "t", "args": ["--token", "***"], "env": { "TOKEN": "***", "NEW": "n" }, "enabled": false,
        });
        for merge in [Merge::Replace, Merge::Upsert] {
            let text = changed_in(SECRETS, &[("mcp_servers.t", shown.clone(), merge)]).unwrap();
            for kept in ["\"--token\", \"tok\"", "TOKEN = \"real\"", "NEW = \"n\"", "enabled = false"] {
                assert!(text.contains(kept), "{kept}: {text}");
            }
            assert!(!text.contains("***"), "{text}");
        }
        let provider = json!({
            "base_url": "https://***@models.example.org/v1?***", "http_headers": { "X-A": "***" },
            "query_params": { "k": "***" }, "wire_api": "chat",
        });
        let text = changed_in(SECRETS, &[("model_providers.p", provider, Merge::Replace)]).unwrap();
        assert!(
            text.contains("me:real@") && text.matches("real").count() == 5 && !text.contains("***"),
            "{text}"
        );
        // One write after the other: what the file had when it was opened.
        let again = [("mcp_servers.t", Json::Null, Merge::Replace), ("mcp_servers.t", shown, Merge::Replace)];
        assert!(changed_in(SECRETS, &again).unwrap().contains("TOKEN = \"real\""));
    }

    #[test]
    fn a_mask_for_which_the_file_has_no_value_is_refused() {
        for (key, value) in [
            ("mcp_servers.t.env.OTHER", json!("***")),
            ("mcp_servers.new", json!({ "command": "t", "env": { "TOKEN": "***" } })),
            ("mcp_servers.t.args", json!(["--key=***"])),
            ("model_providers.p.base_url", json!("https://***@other.example.org/v1?***")),
        ] {
            let refused = changed_in(SECRETS, &[(key, value, Merge::Replace)]);
            assert!(matches!(refused, Err(EditError::Masked { .. })), "{key}: {refused:?}");
        }
        let free = changed_in(SECRETS, &[("instructions", json!("***"), Merge::Replace)]).unwrap();
        assert!(free.contains("instructions = \"***\""), "{free}");
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
