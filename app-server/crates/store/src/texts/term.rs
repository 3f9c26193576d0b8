//! A search term, and its places in a text. Pure.
//!
//! Texts are compared in a folded form: each character in lower, then upper, then lower case. So `STRASSE` finds
//! `Straße`, and `ς` is `Σ`. Two encodings of a character (`ü`, or `u` with dots) differ.

use std::ops::Range;

use memchr::memmem::{self, Finder};

use crate::policy;

/// Why a term is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// It is empty.
    #[error("there is nothing to search for: searchTerm is empty")]
    Empty,
    /// It is too long.
    #[error("searchTerm has more than {} bytes", policy::SEARCH_TERM)]
    TooLong,
}

/// A search term.
#[derive(Debug, Clone)]
pub struct SearchTerm {
    text: String,
    folded: Finder<'static>,
    /// Its longest part that JSON does not escape; may be empty.
    in_lines: Finder<'static>,
}

impl SearchTerm {
    /// The term that finds `text`.
    pub fn new(text: &str) -> Result<Self, TermError> {
        if text.is_empty() {
            return Err(TermError::Empty);
        }
        if text.len() > policy::SEARCH_TERM {
            return Err(TermError::TooLong);
        }
        let folded = fold(text);
        let parts = folded.split(|char: char| char.is_control() || matches!(char, '"' | '\\' | '/'));
        let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
        Ok(Self {
            folded: Finder::new(folded.as_bytes()).into_owned(),
            in_lines: Finder::new(longest.as_bytes()).into_owned(),
            text: folded,
        })
    }

    /// The term in the folded form.
    pub fn folded(&self) -> &str {
        &self.text
    }

    /// Whether a text with the term may stand in this line of JSON. A line that is not UTF-8 holds no text.
    pub fn may_be_in(&self, line: &[u8]) -> bool {
        // An escape by number may be any character. Characters with other escapes are not in the searched part.
        let holds = |text: &[u8]| self.in_lines.find(text).is_some() || memmem::find(text, br"\u").is_some();
        if line.is_ascii() {
            return holds(&line.to_ascii_lowercase());
        }
        str::from_utf8(line).is_ok_and(|line| holds(fold(line).as_bytes()))
    }

    /// Its places in `text`, in bytes, without overlaps. A character that folds to several is found whole.
    pub fn all_in<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        let folded = Folded::of(text);
        let mut from = 0;
        std::iter::from_fn(move || {
            let rest = folded.text.as_bytes().get(from..)?;
            let at = from + self.folded.find(rest)?;
            let (range, end) = folded.range(at, at + self.folded.needle().len());
            from = end;
            Some(range)
        })
    }

    /// Its first place in `text`, in bytes.
    pub fn first_in(&self, text: &str) -> Option<Range<usize>> {
        self.all_in(text).next()
    }
}

/// The form in which texts are compared.
pub(crate) fn fold(text: &str) -> String {
    Folded::of(text).text
}

/// A text and its folded form.
struct Folded {
    text: String,
    /// The characters outside ASCII, in order: their places in the folded form and in the text. Between them both
    /// advance alike.
    others: Vec<Other>,
}

struct Other {
    folded: Range<usize>,
    text: Range<usize>,
}

impl Folded {
    fn of(text: &str) -> Self {
        let (mut folded, mut others) = (String::with_capacity(text.len()), Vec::new());
        let mut ascii = 0;
        for (at, char) in text.char_indices().filter(|(_, char)| !char.is_ascii()) {
            push_lower(&mut folded, text.get(ascii..at).unwrap_or_default());
            let begin = folded.len();
            let lower = char.to_lowercase();
            folded.extend(lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase));
            ascii = at + char.len_utf8();
            others.push(Other { folded: begin..folded.len(), text: at..ascii });
        }
        push_lower(&mut folded, text.get(ascii..).unwrap_or_default());
        Self { text: folded, others }
    }

    /// The part of the text for a range of the folded form, and the end of that part's folded form.
    fn range(&self, begin: usize, end: usize) -> (Range<usize>, usize) {
        let start = self.place(begin).0;
        let (last, whole) = self.place(end.saturating_sub(1));
        (start.start..last.end, whole)
    }

    /// The character of the text at this byte of the folded form, and the end of its folded form.
    fn place(&self, at: usize) -> (Range<usize>, usize) {
        let before = self.others.partition_point(|other| other.folded.start <= at);
        match before.checked_sub(1).and_then(|last| self.others.get(last)) {
            None => (at..at + 1, at + 1),
            Some(other) if at < other.folded.end => (other.text.clone(), other.folded.end),
            Some(other) => {
                let there = other.text.end + (at - other.folded.end);
                (there..there + 1, at + 1)
            }
        }
    }
}

fn push_lower(folded: &mut String, ascii: &str) {
    let from = folded.len();
    folded.push_str(ascii);
    if let Some(added) = folded.get_mut(from..) {
        added.make_ascii_lowercase();
    }
}

#[cfg(test)]
mod tests;
