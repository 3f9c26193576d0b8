//! What goes to a model that cannot take all of a conversation. Pure.

use skein_provider::{Content, Entry, Prompt};

use super::Running;

impl Running {
    /// The prompt without what the model does not take.
    pub(super) fn as_taken(&self, mut prompt: Prompt) -> Prompt {
        if self.job.terms.images == Some(false) {
            without_pictures(&mut prompt.history, &self.job.recipient.model);
        }
        prompt
    }
}

/// Puts a note in the place of each picture: a request with one would be refused, also each later one of the thread.
fn without_pictures(history: &mut [Entry], model: &str) {
    for entry in history {
        let content = match entry {
            Entry::User(content) => content,
            Entry::Result(result) => &mut result.content,
            Entry::Developer(_) | Entry::Assistant(_) | Entry::Reasoning(_) | Entry::Call(_) => continue,
        };
        for piece in content.iter_mut().filter(|piece| matches!(piece, Content::Image(_))) {
            *piece = Content::Text(format!("[left out: a picture; the model {model} takes none]"));
        }
    }
}

#[cfg(test)]
mod tests {
    use skein_provider::{Image, ToolResult};

    use super::*;

    #[test]
    fn a_model_without_eyes_reads_that_there_was_a_picture() {
        let picture = || Content::Image(Image::Url("https://example.org/a.png".to_owned()));
        let mut history = vec![
            Entry::User(vec![Content::Text("look".to_owned()), picture()]),
            Entry::Result(ToolResult { id: "1".to_owned(), content: vec![picture()], failed: false }),
        ];
        without_pictures(&mut history, "m");
        let Entry::User(said) = &history[0] else { panic!("{history:?}") };
        assert_eq!(said[0].as_text(), Some("look"));
        assert!(said[1].as_text().unwrap().contains("m takes none"));
        let Entry::Result(result) = &history[1] else { panic!("{history:?}") };
        assert!(result.texts().contains("left out"));
    }
}
