//! The budget of a request: the most bytes of images and of tool results for a model. The newest ones count first; a
//! note replaces each older one. Messages always stay. Pure.

use skein_provider::{AssistantMessage, Content, Entry, Image, ToolResult};

use crate::policy;

const NO_IMAGE: &str =
    "[a picture stood here; it is left out, because newer pictures take all the room of a request]";
const NO_RESULT: &str = "[the result is left out here, because newer results take all the room of a request; call the tool \
    again where it is needed]";
/// The warning for clients. A thread shows it once.
pub(crate) const WARNING: &str = "older tool results or pictures of this conversation are not sent to the model any more: a note \
    stands in their place, because a request would be too large. The history keeps all of them";

/// Bytes of a conversation that count against the budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Images in base64, or their URLs.
    images: usize,
    /// Texts of tool results.
    results: usize,
}

impl Weight {
    pub(crate) fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut weight = Self::default();
        for entry in entries {
            for content in contents(entry) {
                match content {
                    Content::Image(image) => weight.images += of_image(image),
                    Content::Text(text) if matches!(entry, Entry::Result(_)) => weight.results += text.len(),
                    Content::Text(_) => {}
                }
            }
        }
        weight
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.images = self.images.saturating_add(other.images);
        self.results = self.results.saturating_add(other.results);
    }

    #[must_use]
    pub(crate) fn is_too_much(self) -> bool {
        self.images > policy::REQUEST_IMAGE_BYTES || self.results > policy::REQUEST_RESULT_BYTES
    }
}

/// Replaces the oldest images and results by notes until the rest is within the budget. Returns whether anything was
/// replaced.
///
/// Goes below the budget, so that the next requests begin with the same bytes for a while: providers cache them.
pub(crate) fn fit(entries: Vec<&mut Entry>) -> bool {
    let weight = Weight::of(entries.iter().map(|entry| &**entry));
    let mut images = surplus(weight.images, policy::REQUEST_IMAGE_BYTES);
    let mut results = surplus(weight.results, policy::REQUEST_RESULT_BYTES);
    let fits = images == 0 && results == 0;
    for entry in entries {
        if images == 0 && results == 0 {
            break;
        }
        leave_out(entry, &mut images, &mut results);
    }
    !fits
}

/// Bytes that have to go.
fn surplus(bytes: usize, most: usize) -> usize {
    if bytes <= most { 0 } else { bytes - most + most / policy::REQUEST_HEADROOM }
}

fn leave_out(entry: &mut Entry, images: &mut usize, results: &mut usize) {
    let is_result = matches!(entry, Entry::Result(_));
    let (Entry::User(contents) | Entry::Result(ToolResult { content: contents, .. })) = entry else { return };
    for content in contents {
        match content {
            Content::Image(image) if *images > 0 => {
                *images = images.saturating_sub(of_image(image));
                *content = Content::Text(NO_IMAGE.to_owned());
            }
            Content::Text(text) if is_result && *results > 0 && text.len() > NO_RESULT.len() => {
                *results = results.saturating_sub(text.len());
                NO_RESULT.clone_into(text);
            }
            Content::Image(_) | Content::Text(_) => {}
        }
    }
}

/// Approximate size of an entry in memory, bytes.
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
        Content::Image(image) => of_image(image),
    }
}

fn of_image(image: &Image) -> usize {
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

    fn image(bytes: usize) -> Entry {
        let image = Image::Data { media_type: "image/png".into(), base64: "A".repeat(bytes) };
        Entry::User(vec![Content::Text("look".into()), Content::Image(image)])
    }

    fn result(bytes: usize) -> Entry {
        Entry::Result(ToolResult::text("1", "r".repeat(bytes), false))
    }

    fn has_image(entry: &Entry) -> bool {
        contents(entry).iter().any(|content| matches!(content, Content::Image(_)))
    }

    #[test]
    fn all_stays_while_it_fits() {
        let before =
            vec![image(BUDGET / 2), result(policy::REQUEST_RESULT_BYTES), image(BUDGET - BUDGET / 2)];
        let mut entries = before.clone();
        assert!(!fit(entries.iter_mut().collect()));
        assert_eq!(entries, before);
    }

    #[test]
    fn the_newest_images_of_the_largest_size_stay() {
        // Two images of a message, of 9 MB each before base64, and two of an older one.
        let mut entries: Vec<Entry> = (0..4).map(|_| image(9_000_000 / 3 * 4)).collect();
        assert!(fit(entries.iter_mut().collect()));
        assert_eq!(entries.iter().map(has_image).collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(contents(&entries[0])[0].as_text(), Some("look"));
        assert_eq!(contents(&entries[0])[1].as_text(), Some(NO_IMAGE));
    }

    #[test]
    fn old_results_become_notes_and_words_of_the_user_stay() {
        let words = Entry::User(vec![Content::Text("w".repeat(100_000))]);
        let mut entries = [words.clone(), result(100), result(policy::REQUEST_RESULT_BYTES), result(100_000)];
        assert!(fit(entries.iter_mut().collect()));
        assert_eq!(entries[0], words);
        // Smaller than a note.
        assert_eq!(entries[1], result(100));
        assert_eq!(contents(&entries[2])[0].as_text(), Some(NO_RESULT));
        assert_eq!(entries[3], result(100_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_rest_is_within_the_budget_and_is_the_newest(sizes in prop::collection::vec(1..BUDGET, 1..8)) {
            let mut entries: Vec<Entry> = sizes.iter().map(|bytes| image(*bytes)).collect();
            let replaced = fit(entries.iter_mut().collect());
            let weight = Weight::of(entries.iter());
            prop_assert!(!weight.is_too_much());
            prop_assert_eq!(replaced, sizes.iter().sum::<usize>() > BUDGET);
            let first = entries.iter().position(has_image).unwrap_or(entries.len());
            prop_assert!(entries[first..].iter().all(has_image));
            prop_assert!(!fit(entries.iter_mut().collect()));
        }
    }
}
