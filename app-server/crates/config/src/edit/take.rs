//! Removes values from the settings file, with their own comments and no others.

use toml_edit::{Item, Table, TableLike};

use super::SettingsFile;

impl SettingsFile {
    /// Removes the value at `keys`, with the comments right above it. Comments further up stay, before the next value.
    pub(super) fn remove_at(&mut self, keys: &[String]) {
        let Some((last, tables)) = keys.split_last() else { return };
        let (given_on, next) = self.comments_in_a_table(keys);
        let Some(removed) = within(self.document.as_table_mut(), tables).and_then(|table| table.remove(last))
        else {
            return;
        };
        let mut headers = Vec::new();
        headed(&removed, &mut |table| headers.push((table.position(), stays(&text_before(table)))));
        for (position, comments) in headers.into_iter().rev().filter(|(_, text)| !text.is_empty()) {
            self.give_on(position, &comments);
        }
        match next {
            _ if given_on.is_empty() => {}
            Next::Value(path) => self.give_to(&path, &given_on),
            Next::TableAfter(position) => self.give_on(position, &given_on),
        }
    }

    /// The comments before the values at `keys` that outlive them, and the entry that they stand before then.
    fn comments_in_a_table(&self, keys: &[String]) -> (String, Next) {
        let mut table = self.document.as_table();
        let mut depth = 0;
        // The innermost with a header; what stands at dotted keys is written in it.
        while depth + 1 < keys.len()
            && let Some(Item::Table(inner)) = table.get(&keys[depth])
            && !inner.is_dotted()
        {
            table = inner;
            depth += 1;
        }
        let (mut comments, mut next, mut seen) = (String::new(), Next::TableAfter(table.position()), false);
        for (path, _) in table.get_values() {
            let names: Vec<String> = path.iter().map(|key| key.get().to_owned()).collect();
            if names.starts_with(&keys[depth..]) {
                seen = true;
                let before = path.last().and_then(|key| key.leaf_decor().prefix()?.as_str());
                comments.push_str(&stays(before.unwrap_or_default()));
            } else if seen {
                next = Next::Value([&keys[..depth], &names[..]].concat());
                break;
            }
        }
        (comments, next)
    }

    /// Puts comments before the value at `path`.
    fn give_to(&mut self, path: &[String], comments: &str) {
        let Some((last, tables)) = path.split_last() else { return };
        let table = within(self.document.as_table_mut(), tables);
        let Some(mut key) = table.and_then(|table| table.key_mut(last)) else { return };
        let decor = key.leaf_decor_mut();
        let before = decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned();
        decor.set_prefix(apart(comments, &before));
    }

    /// Puts comments that stood before a table that is gone before the next one, or at the end.
    fn give_on(&mut self, position: Option<isize>, comments: &str) {
        let mut next: Option<isize> = None;
        headed(self.document.as_item(), &mut |table| {
            let here = table.position().filter(|here| Some(*here) > position);
            next = [next, here].into_iter().flatten().min();
        });
        let mut given = false;
        headed_mut(self.document.as_item_mut(), &mut |table| {
            if next.is_some() && table.position() == next && !given {
                let prefix = text_before(table);
                table.decor_mut().set_prefix(apart(comments, &prefix));
                given = true;
            }
        });
        if !given {
            let trailing = self.document.trailing().as_str().unwrap_or_default().to_owned();
            let is_end = trailing.is_empty();
            let all = if is_end { comments.to_owned() } else { apart(comments, &trailing) };
            self.document.set_trailing(all);
        }
    }
}

/// The entry behind some values of a table.
enum Next {
    /// The value at this path.
    Value(Vec<String>),
    /// The table behind the one at this position, or the end.
    TableAfter(Option<isize>),
}

/// The table at `keys`, however it is written.
fn within<'t>(root: &'t mut Table, keys: &[String]) -> Option<&'t mut dyn TableLike> {
    let mut table: &mut dyn TableLike = root;
    for key in keys {
        table = table.get_mut(key)?.as_table_like_mut()?;
    }
    Some(table)
}

/// Every table with a header of its own, in the order of the tree.
fn headed(item: &Item, see: &mut dyn FnMut(&Table)) {
    match item {
        Item::Table(table) => {
            see(table);
            table.iter().for_each(|(_, inner)| headed(inner, see));
        }
        Item::ArrayOfTables(tables) => {
            for table in tables {
                see(table);
                table.iter().for_each(|(_, inner)| headed(inner, see));
            }
        }
        Item::None | Item::Value(_) => {}
    }
}

/// Visits the same tables, to change them.
fn headed_mut(item: &mut Item, change: &mut dyn FnMut(&mut Table)) {
    match item {
        Item::Table(table) => {
            change(table);
            table.iter_mut().for_each(|(_, inner)| headed_mut(inner, change));
        }
        Item::ArrayOfTables(tables) => {
            for table in tables.iter_mut() {
                change(table);
                table.iter_mut().for_each(|(_, inner)| headed_mut(inner, change));
            }
        }
        Item::None | Item::Value(_) => {}
    }
}

fn text_before(table: &Table) -> String {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or("\n").to_owned()
}

/// Two texts, with a blank line between them.
fn apart(comments: &str, after: &str) -> String {
    let blank = after.lines().next().is_some_and(|line| line.trim().is_empty());
    format!("{comments}{}{after}", if blank { "" } else { "\n" })
}

/// The part of the text before an entry that is not about the entry: everything above the last blank line.
pub(super) fn stays(before: &str) -> String {
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let blank = lines.iter().rposition(|line| line.trim().is_empty()).unwrap_or(0);
    let kept: String = lines.into_iter().take(blank).collect();
    if kept.trim().is_empty() { String::new() } else { kept }
}
