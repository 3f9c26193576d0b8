//! Adds and removes the pages that may connect: entries of `browser.origins`. Other entries, their order and their
//! comments stay.

use serde_json::json;
use toml_edit::{Array, Item, Value};

use super::take::stays;
use super::{EditError, Merge, SettingsFile};
use crate::access::{OriginPattern, WebOrigin};

const TABLE: &str = "browser";
const LIST: &str = "origins";
/// The indentation of the first entry of a list with lines.
const INDENT: &str = "    ";

/// The outcome of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedOrigin {
    /// The entry was there already, and nothing has changed.
    pub was_there: bool,
    /// The entry allows more than one origin.
    pub is_wildcard: bool,
    /// The risk of this entry, as a clause about it.
    pub risk: Option<&'static str>,
}

impl SettingsFile {
    /// The entries of `browser.origins`, in their order.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        let list = self.document.get(TABLE).and_then(Item::as_table_like).and_then(|table| table.get(LIST));
        let list = list.and_then(Item::as_array).into_iter().flatten();
        list.filter_map(|entry| entry.as_str().map(str::to_owned)).collect()
    }

    /// Whether this is a well-formed origin that no entry allows.
    #[must_use]
    pub fn lacks_origin(&self, origin: &str) -> bool {
        let Some(origin) = WebOrigin::parse(origin) else { return false };
        let mut patterns = self.origins().into_iter().filter_map(|entry| OriginPattern::parse(&entry).ok());
        !patterns.any(|pattern| pattern.allows(&origin))
    }

    /// Puts an origin, or one of the wildcards, behind the other entries.
    ///
    /// # Errors
    /// [`EditError::Origin`] with the correction.
    pub fn add_origin(&mut self, origin: &str) -> Result<AddedOrigin, EditError> {
        let pattern = OriginPattern::parse(origin)
            .map_err(|bad| EditError::Origin { origin: origin.to_owned(), why: bad.to_string() })?;
        let was_there = self.origins().iter().any(|entry| entry == origin);
        if !was_there {
            match self.list() {
                Some(list) => push(list, origin),
                None => self.set(&format!("{TABLE}.{LIST}"), &json!([origin]), Merge::Replace)?,
            }
        }
        let is_wildcard = !matches!(pattern, OriginPattern::Exact(_));
        Ok(AddedOrigin { was_there, is_wildcard, risk: pattern.risk() })
    }

    /// Takes an entry out, with its own comments. An empty list stays.
    ///
    /// # Errors
    /// [`EditError::NoOrigin`].
    pub fn remove_origin(&mut self, origin: &str) -> Result<(), EditError> {
        let there = self.origins();
        let path = self.path.clone();
        if !there.iter().any(|entry| entry == origin) {
            return Err(EditError::NoOrigin { origin: origin.to_owned(), path, there });
        }
        if let Some(list) = self.list() {
            // From the end, so that the other places stay.
            let places = there.iter().enumerate().rev().filter(|(_, entry)| *entry == origin);
            places.for_each(|(at, _)| take(list, at));
        }
        Ok(())
    }

    fn list(&mut self) -> Option<&mut Array> {
        self.document.get_mut(TABLE)?.as_table_like_mut()?.get_mut(LIST)?.as_array_mut()
    }
}

/// The text before an entry: spaces, and comments about this entry and the one before.
fn before(list: &Array, at: usize) -> String {
    let prefix = list.get(at).and_then(|entry| entry.decor().prefix()?.as_str());
    prefix.unwrap_or_default().to_owned()
}

/// Takes the text between an entry and its comma, or the end of the list.
fn take_suffix(list: &mut Array, at: usize) -> String {
    let Some(decor) = list.get_mut(at).map(Value::decor_mut) else { return String::new() };
    let suffix = decor.suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().to_owned();
    decor.set_suffix("");
    suffix
}

fn push(list: &mut Array, origin: &str) {
    let has_comma = list.trailing_comma();
    let suffix = list.len().checked_sub(1).map(|last| take_suffix(list, last)).unwrap_or_default();
    let rest = suffix + list.trailing().as_str().unwrap_or_default();
    // A comment behind the last entry stays on its line.
    let (text, end) = match rest.rfind('\n') {
        Some(feed) => {
            let above = before(list, 0);
            let indent = above.rfind('\n').map_or(INDENT, |feed| &above[feed + 1..]);
            (format!("{}{indent}", &rest[..=feed]), rest[feed..].to_owned())
        }
        None => ((if list.is_empty() { "" } else { " " }).to_owned(), rest),
    };
    let mut entry = Value::from(origin);
    entry.decor_mut().set_prefix(text);
    entry.decor_mut().set_suffix("");
    list.push_formatted(entry);
    list.set_trailing(end);
    list.set_trailing_comma(has_comma);
}

fn take(list: &mut Array, at: usize) {
    let (above, suffix) = (before(list, at), take_suffix(list, at));
    list.remove(at);
    let is_last = at == list.len();
    let below =
        if is_last { list.trailing().as_str().unwrap_or_default().to_owned() } else { before(list, at) };
    let text = without(&above, &format!("{suffix}{below}"), is_last);
    match list.get_mut(at) {
        Some(next) => next.decor_mut().set_prefix(text),
        None => list.set_trailing(text),
    }
    if list.is_empty() {
        list.set_trailing_comma(false);
    }
}

/// The text in the place of an entry with the texts around it: what belongs to the entries before and behind.
fn without(above: &str, below: &str, is_last: bool) -> String {
    match (above.split_once('\n'), below.split_once('\n')) {
        (Some((line_before, own)), Some((_, lines_behind))) => {
            let own = own.rfind('\n').map_or("", |feed| &own[..=feed]);
            let group = Some(stays(own)).filter(|group| !group.is_empty());
            let group = group.map(|group| format!("{group}\n")).unwrap_or_default();
            format!("{line_before}\n{group}{lines_behind}")
        }
        (Some(_) | None, None) if !is_last => above.to_owned(),
        (Some(_) | None, Some(_) | None) => below.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::EditMode;
    use super::*;
    use crate::FILE;

    fn changed(before: &str, change: impl FnOnce(&mut SettingsFile)) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), before).unwrap();
        let mut file = SettingsFile::open(dir.path(), EditMode::Change).unwrap();
        change(&mut file);
        file.write().unwrap();
        fs::read_to_string(dir.path().join(FILE)).unwrap()
    }

    fn added(before: &str, origin: &str) -> String {
        changed(before, |file| assert!(!file.add_origin(origin).unwrap().was_there))
    }

    fn removed(before: &str, origin: &str) -> String {
        changed(before, |file| file.remove_origin(origin).unwrap())
    }

    const LINES: &str = "# mine\nmodel = \"m\" # now\n\n# Pages.\n[browser]\n# all of them\norigins = [ # a list\n  \
                         # Desktop.\n\n  # the shell\n  \"tauri://localhost\", # version 2\n  # the kit\n  \
                         \"http://localhost:5173\", # vite\n]\n\n[unload]\ngrace = \"1s\"\n";

    #[test]
    fn an_origin_is_added_behind_the_others_and_comments_stay() {
        let text = added(LINES, "app://chat");
        assert_eq!(text, LINES.replace("# vite\n", "# vite\n  \"app://chat\",\n"));
        assert_eq!(removed(&text, "app://chat"), LINES);
        for (before, after) in [
            ("", "[browser]\norigins = [\"app://chat\"]\n"),
            ("model = \"m\" # x\n", "model = \"m\" # x\n\n[browser]\norigins = [\"app://chat\"]\n"),
            ("browser.origins = [] # none\n", "browser.origins = [\"app://chat\"] # none\n"),
            ("[browser]\norigins = [\"null\"]\n", "[browser]\norigins = [\"null\", \"app://chat\"]\n"),
            (
                "browser = { origins = [ \"null\" ] }\n",
                "browser = { origins = [ \"null\", \"app://chat\" ] }\n",
            ),
            (
                "[browser]\norigins = [\n# none\n]\n",
                "[browser]\norigins = [\n# none\n    \"app://chat\"\n]\n",
            ),
            (
                "[browser]\norigins = [\n  \"null\" # frames\n]\n",
                "[browser]\norigins = [\n  \"null\", # frames\n  \"app://chat\"\n]\n",
            ),
        ] {
            assert_eq!(added(before, "app://chat"), after);
        }
    }

    #[test]
    fn a_removed_origin_takes_its_own_comments_along_and_no_others() {
        let text = removed(LINES, "http://localhost:5173");
        assert_eq!(text, LINES.replace("  # the kit\n  \"http://localhost:5173\", # vite\n", ""));
        let text = removed(LINES, "tauri://localhost");
        assert_eq!(text, LINES.replace("  # the shell\n  \"tauri://localhost\", # version 2\n", ""));
        let text = removed(&text, "http://localhost:5173");
        assert!(text.contains("origins = [ # a list\n") && text.contains("[unload]"), "{text}");
        for (before, after) in [
            ("[\"null\"]", "[]"),
            ("[\"null\", \"a://b\"]", "[\"a://b\"]"),
            ("[\"a://b\", \"null\"]", "[\"a://b\"]"),
            ("[\"null\", \"a://b\", \"null\"]", "[\"a://b\"]"),
            ("[\"a://b\", \"null\", \"c://d\"]", "[\"a://b\", \"c://d\"]"),
            ("[\n  \"a://b\", # b\n  \"null\"\n]", "[\n  \"a://b\" # b\n]"),
            ("[\"null\",\n \"a://b\"]", "[\n \"a://b\"]"),
            ("[\n  \"null\", \"a://b\"]", "[\n  \"a://b\"]"),
        ] {
            let written = |list: &str| format!("browser.origins = {list} # here\n");
            assert_eq!(removed(&written(before), "null"), written(after));
        }
    }

    #[test]
    fn a_wrong_origin_is_refused_with_its_correction_and_an_absent_one_with_the_present_ones() {
        let text = changed(LINES, |file| {
            let error = file.add_origin("http://localhost:5173/").unwrap_err().to_string();
            assert!(error.contains("write \"http://localhost:5173\""), "{error}");
            let error = file.add_origin("*").unwrap_err().to_string();
            assert!(error.contains("the only wildcards"), "{error}");
            let error = file.remove_origin("http://localhost:3000").unwrap_err().to_string();
            assert!(error.contains("it has tauri://localhost, http://localhost:5173"), "{error}");
            let there = file.add_origin("tauri://localhost").unwrap();
            assert_eq!(there, AddedOrigin { was_there: true, is_wildcard: false, risk: None });
        });
        assert_eq!(text, LINES);
    }

    #[test]
    fn origins_of_many_pages_have_a_risk_and_wildcards_allow() {
        changed("browser.origins = [\"http://localhost:*\"]\n", |file| {
            assert!(file.add_origin("null").unwrap().risk.is_some());
            assert!(file.add_origin("file://").unwrap().risk.is_some());
            assert!(!file.lacks_origin("http://localhost:1") && !file.lacks_origin("null"));
            assert!(file.lacks_origin("http://127.0.0.1:1") && !file.lacks_origin("no origin; rm"));
            assert_eq!(file.origins(), ["http://localhost:*", "null", "file://"]);
        });
    }
}
