//! The budget of a request: how many bytes of pictures and of tool results a model is sent at most. The newest ones count
//! first; a short note replaces each older one. Messages always stay. Pure.

use skein_provider::{AssistantMessage, Content, Entry, Image, ToolResult};

use crate::policy;

/// What replaces a picture.
const NO_PICTURE: &str =
    "[a picture stood here; it is left out, because newer pictures take all the room of a request]";
/// What replaces the text of a result.
const NO_RESULT: &str = "[the result is left out here, because newer results take all the room of a request; call the tool \
    again where it is needed]";
/// What clients are told once where something was replaced.
pub(crate) const WARNING: &str = "older tool results or pictures of this conversation are not sent to the model any more: a note \
    stands in their place, because a request would be too large. The history keeps all of them";

/// Bytes of a conversation that count against the budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Of pictures, as they are sent.
    pictures: usize,
    /// Of texts of tool results.
    results: usize,
}

impl Weight {
    /// The weight of these entries.
    pub(crate) fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut weight = Self::default();
        for entry in entries {
            for content in contents(entry) {
                match content {
                    Content::Image(image) => weight.pictures += of_picture(image),
                    Content::Text(text) if matches!(entry, Entry::Result(_)) => weight.results += text.len(),
                    Content::Text(_) => {}
                }
            }
        }
        weight
    }

    /// Adds another weight.
    pub(crate) fn add(&mut self, other: Self) {
        self.pictures = self.pictures.saturating_add(other.pictures);
        self.results = self.results.saturating_add(other.results);
    }

    /// Whether it is above the budget.
    #[must_use]
    pub(crate) fn is_too_much(self) -> bool {
        self.pictures > policy::REQUEST_IMAGE_BYTES || self.results > policy::REQUEST_RESULT_BYTES
    }
}

/// Replaces the oldest pictures and results by notes until the rest is within the budget. Answers whether any was replaced.
///
/// Goes somewhat below the budget, so that the beginning of the requests that follow stays the same for a while:
/// providers cache it.
pub(crate) fn fit(entries: Vec<&mut Entry>) -> bool {
    let weight = Weight::of(entries.iter().map(|entry| &**entry));
    let mut pictures = surplus(weight.pictures, policy::REQUEST_IMAGE_BYTES);
    let mut results = surplus(weight.results, policy::REQUEST_RESULT_BYTES);
    let fits = pictures == 0 && results == 0;
    for entry in entries {
        if pictures == 0 && results == 0 {
            break;
        }
        leave_out(entry, &mut pictures, &mut results);
    }
    !fits
}

/// How many bytes have to go: none where all fit.
fn surplus(bytes: usize, most: usize) -> usize {
    if bytes <= most { 0 } else { bytes - most + most / policy::REQUEST_HEADROOM }
}

/// Takes as much out of an entry as has to go.
fn leave_out(entry: &mut Entry, pictures: &mut usize, results: &mut usize) {
    let is_result = matches!(entry, Entry::Result(_));
    let (Entry::User(contents) | Entry::Result(ToolResult { content: contents, .. })) = entry else { return };
    for content in contents {
        match content {
            Content::Image(image) if *pictures > 0 => {
                *pictures = pictures.saturating_sub(of_picture(image));
                *content = Content::Text(NO_PICTURE.to_owned());
            }
            Content::Text(text) if is_result && *results > 0 && text.len() > NO_RESULT.len() => {
                *results = results.saturating_sub(text.len());
                NO_RESULT.clone_into(text);
            }
            Content::Image(_) | Content::Text(_) => {}
        }
    }
}

/// About the size of an entry in memory, bytes.
pub(crate) fn bytes(entry: &Entry) -> usize {
    let own_form = |value: &serde_json::Value| value.to_string().len();
    let texts = match entry {
        Entry::User(_) | Entry::Result(_) => contents(entry).iter().map(of_content).sum(),
        Entry::Developer(text) | Entry::Assistant(AssistantMessage { text, .. }) => text.len(),
        Entry::Reasoning(thought) => {
            let words = thought.summary.iter().chain(&thought.content).map(String::len).sum::<usize>();
            words + thought.own_form.as_ref().map_or(0, own_form)
        }
        Entry::Call(call) => call.arguments.len() + call.more.values().map(own_form).sum::<usize>(),
    };
    texts + size_of::<Entry>()
}

fn contents(entry: &Entry) -> &[Content] {
    match entry {
        Entry::User(content) | Entry::Result(ToolResult { content, .. }) => content,
        Entry::Developer(_) | Entry::Assistant(_) | Entry::Reasoning(_) | Entry::Call(_) => &[],
    }
}

fn of_content(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.len(),
        Content::Image(image) => of_picture(image),
    }
}

fn of_picture(image: &Image) -> usize {
    match image {
        Image::Data { base64, .. } => base64.len(),
        Image::Url(url) => url.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: usize = policy::REQUEST_IMAGE_BYTES;

    fn picture(bytes: usize) -> Entry {
        let image = Image::Data { media_type: "image/png".into(), base64: "A".repeat(bytes) };
        Entry::User(vec![Content::Text("look".into()), Content::Image(image)])
    }

    fn result(bytes: usize) -> Entry {
        Entry::Result(ToolResult::text("1", "r".repeat(bytes), false))
    }

    fn has_picture(entry: &Entry) -> bool {
        contents(entry).iter().any(|content| matches!(content, Content::Image(_)))
    }

    #[test]
    fn all_stays_while_it_fits() {
        let before =
            vec![picture(BUDGET / 2), result(policy::REQUEST_RESULT_BYTES), picture(BUDGET - BUDGET / 2)];
        let mut entries = before.clone();
        assert!(!fit(entries.iter_mut().collect()));
        assert_eq!(entries, before);
    }

    #[test]
    fn the_newest_pictures_of_the_largest_size_stay() {
        // Two pictures of a message, of 9 MB each before base64, and two of an older one.
        let mut entries: Vec<Entry> = (0..4).map(|_| picture(9_000_000 / 3 * 4)).collect();
        assert!(fit(entries.iter_mut().collect()));
        assert_eq!(entries.iter().map(has_picture).collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(contents(&entries[0])[0].as_text(), Some("look"));
        assert_eq!(contents(&entries[0])[1].as_text(), Some(NO_PICTURE));
    }

    #[test]
    fn old_results_become_notes_and_words_of_the_user_stay() {
        let words = Entry::User(vec![Content::Text("w".repeat(100_000))]);
        let mut entries = [words.clone(), result(100), result(policy::REQUEST_RESULT_BYTES), result(100_000)];
        assert!(fit(entries.iter_mut().collect()));
        assert_eq!(entries[0], words);
        // Too small to be worth a note.
        assert_eq!(entries[1], result(100));
        assert_eq!(contents(&entries[2])[0].as_text(), Some(NO_RESULT));
        assert_eq!(entries[3], result(100_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_rest_is_within_the_budget_and_is_the_newest(sizes in prop::collection::vec(1..BUDGET, 1..8)) {
            let mut entries: Vec<Entry> = sizes.iter().map(|bytes| picture(*bytes)).collect();
            let replaced = fit(entries.iter_mut().collect());
            let weight = Weight::of(entries.iter());
            prop_assert!(!weight.is_too_much());
            prop_assert_eq!(replaced, sizes.iter().sum::<usize>() > BUDGET);
            let first = entries.iter().position(has_picture).unwrap_or(entries.len());
            prop_assert!(entries[first..].iter().all(has_picture));
            prop_assert!(!fit(entries.iter_mut().collect()));
        }
    }
}
