//! The text around a hit. Pure.

use std::ops::Range;

use skein_protocol::thread::ThreadSearchTextRange;

use crate::policy;

/// A part of a text with a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snippet {
    /// The part, unchanged.
    pub(crate) text: String,
    /// The hit's place in it.
    pub(crate) hit: ThreadSearchTextRange,
}

#[cfg(test)]
thread_local! {
    /// How many this OS thread has cut.
    pub(crate) static CUT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Snippet {
    /// Cuts the part around `hit`, a byte range at character borders, out of `text`. The hit stays whole.
    pub(crate) fn around(hit: &Range<usize>, text: &str) -> Self {
        #[cfg(test)]
        CUT.set(CUT.get() + 1);
        let (before, behind) =
            (text.get(..hit.start).unwrap_or_default(), text.get(hit.start..).unwrap_or_default());
        let back = |(at, _): (usize, char)| at;
        let begin = before.char_indices().rev().take(policy::SNIPPET_BEFORE).last().map_or(hit.start, back);
        let shown =
            behind.char_indices().nth(policy::SNIPPET_BEHIND).map_or(text.len(), |(at, _)| hit.start + at);
        let end = shown.max(hit.end);
        let units = |part: Option<&str>| {
            let units = part.unwrap_or_default().encode_utf16().count();
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        let start = units(text.get(begin..hit.start));
        let hit = ThreadSearchTextRange { start, end: start.saturating_add(units(text.get(hit.clone()))) };
        Self { text: text.get(begin..end).unwrap_or_default().to_owned(), hit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_shown_whole_with_the_hit_in_code_units() {
        let text = "😀 naïve needle";
        let at = text.find("needle").unwrap();
        let snippet = Snippet::around(&(at..at + 6), text);
        assert_eq!(snippet.text, text);
        assert_eq!(snippet.hit, ThreadSearchTextRange { start: 9, end: 15 });
    }

    #[test]
    fn a_long_text_is_cut_at_characters_on_both_sides() {
        let text = format!("{}needle{}", "ü😀".repeat(100), "→".repeat(300));
        let at = text.find("needle").unwrap();
        let Snippet { text: shown, hit } = Snippet::around(&(at..at + 6), &text);
        assert_eq!(shown.chars().count(), policy::SNIPPET_BEFORE + policy::SNIPPET_BEHIND);
        let units: Vec<u16> = shown.encode_utf16().collect();
        let found = &units[hit.start as usize..hit.end as usize];
        assert_eq!(String::from_utf16(found).unwrap(), "needle");
        assert!(shown.starts_with("ü😀") && shown.ends_with('→'), "{shown}");
    }

    #[test]
    fn a_hit_that_is_longer_than_a_snippet_is_whole() {
        let text = format!("a{}b", "x".repeat(1000));
        let snippet = Snippet::around(&(1..1001), &text);
        assert_eq!(snippet.text, text[..1001]);
        assert_eq!(snippet.hit, ThreadSearchTextRange { start: 1, end: 1001 });
    }
}
