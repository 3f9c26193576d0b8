//! The statement of a walk through an order. Pure.
//!
//! A page begins behind a place of the order (keyset), so its cost does not depend on the pages before it. Each order has an
//! index whose first columns are the equalities of the statement and whose last ones are the order.

use std::fmt::Write;

use skein_base::clock::WallMs;
use skein_protocol::thread::SortDirection;
use skein_store::index::{Cursor, SortKey, Span, ThreadFilter};
use tokio_postgres::types::{ToSql, Type};

use crate::rows::key;

/// The first directories by their bytes: each step of the recursion finds the next one in the index `threads_cwd`. A
/// directory above the length of a key is spelled as in its row.
pub(super) const DIRECTORIES: &str = "with recursive steps as (
  select d.archived, (select min(cwd) from threads where archived = d.archived) as cwd, 1::int8 as step
  from (values (false), (true)) as d (archived)
  union all
  select s.archived, (select min(cwd) from threads where archived = s.archived and cwd > s.cwd), s.step + 1
  from steps s where s.cwd is not null and s.step < $1
)
select distinct (t.\"row\"->>'cwd') collate \"C\" as cwd from steps s
join lateral (select \"row\" from threads where archived = s.archived and cwd = s.cwd limit 1) t on true
order by 1 limit $1";

/// A parameter that lives as long as its statement.
type WalkParam = (Box<dyn ToSql + Send + Sync>, Type);

/// The statement that reads the next rows of an order.
pub(super) struct OrderedWalk {
    pub(super) sql: String,
    params: Vec<WalkParam>,
}

impl OrderedWalk {
    /// At most `rows` rows behind a place, with the conditions that an index or a column answers.
    pub(super) fn of(filter: &ThreadFilter, from: Option<Cursor>, rows: usize) -> Self {
        let time = match filter.sort {
            SortKey::Created => "created",
            SortKey::Updated => "updated",
            SortKey::Asked => "asked",
        };
        let mut walk = Self {
            sql: format!("select \"row\"::text, {time}, thread from threads where {time} is not null"),
            params: Vec::new(),
        };
        walk.add_filter(filter);
        let (compare, direction) = match filter.direction {
            SortDirection::Asc => (">", "asc"),
            SortDirection::Desc => ("<", "desc"),
        };
        if let Some(from) = from {
            let (at, id) = (walk.param(from.time.0, Type::INT8), walk.param(from.id.uuid(), Type::UUID));
            walk.and(&format!("({time}, thread) {compare} (${at}, ${id})"));
        }
        let most = walk.param(i64::try_from(rows).unwrap_or(i64::MAX), Type::INT8);
        walk.end(&format!(" order by {time} {direction}, thread {direction} limit ${most}"));
        walk
    }

    fn add_filter(&mut self, filter: &ThreadFilter) {
        let archived = self.param(filter.archived, Type::BOOL);
        self.and(&format!("archived = ${archived}"));
        if filter.sort != SortKey::Asked && filter.source_kinds.is_empty() {
            self.and("interactive");
        }
        self.add_texts("cwd", &filter.cwds);
        self.add_texts("provider", &filter.model_providers);
        self.add_texts("originator", &filter.originators);
        self.add_span("created", filter.created);
        self.add_span("updated", filter.updated);
    }

    fn add_texts(&mut self, column: &str, texts: &[String]) {
        match texts {
            [] => {}
            // An equality lets the index give the order.
            [one] => {
                let at = self.param(key(one), Type::TEXT);
                self.and(&format!("{column} = ${at}"));
            }
            several => {
                let keys: Vec<String> = several.iter().map(|text| key(text)).collect();
                let at = self.param(keys, Type::TEXT_ARRAY);
                self.and(&format!("{column} = any (${at})"));
            }
        }
    }

    fn add_span(&mut self, column: &str, span: Span) {
        let mut bound = |compare: &str, at: Option<WallMs>| {
            if let Some(at) = at {
                let at = self.param(at.0, Type::INT8);
                self.and(&format!("{column} {compare} ${at}"));
            }
        };
        bound(">=", span.since);
        bound("<", span.before);
    }

    /// Adds a parameter, and returns its number.
    fn param(&mut self, value: impl ToSql + Send + Sync + 'static, of: Type) -> usize {
        self.params.push((Box::new(value), of));
        self.params.len()
    }

    fn and(&mut self, condition: &str) {
        self.end(&format!(" and {condition}"));
    }

    fn end(&mut self, text: &str) {
        // A text takes everything.
        write!(self.sql, "{text}").ok();
    }

    pub(super) fn params(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.params.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_compares_with_a_place_and_asks_only_for_what_is_given() {
        let filter = ThreadFilter { cwds: vec!["/a".to_owned()], ..ThreadFilter::default() };
        let walk = OrderedWalk::of(&filter, None, 9);
        assert_eq!(
            walk.sql,
            "select \"row\"::text, created, thread from threads where created is not null and archived = $1 and interactive \
             and cwd = $2 order by created desc, thread desc limit $3"
        );
        assert_eq!(walk.params().len(), 3);
    }

    #[test]
    fn a_key_is_bounded_and_has_no_character_that_the_database_refuses() {
        assert_eq!(key("/a\0b"), "/a\u{fffd}b");
        assert_eq!(key(&"ä".repeat(9_000)).len(), 2 * crate::policy::KEY_CHARS);
    }
}
