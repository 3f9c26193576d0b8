//! Removes content that the model does not accept. Pure.

use skein_provider::{Content, Entry};

/// Puts a note in the place of each image. Otherwise the provider refuses this request and each later one of the
/// thread.
pub(crate) fn without_images(history: &mut [Entry], model: &str) {
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
    fn a_note_replaces_each_image_for_a_model_that_takes_none() {
        let image = || Content::Image(Image::Url("https://example.org/a.png".to_owned()));
        let mut history = vec![
            Entry::User(vec![Content::Text("look".to_owned()), image()]),
            Entry::Result(ToolResult { id: "1".to_owned(), content: vec![image()], failed: false }),
        ];
        without_images(&mut history, "m");
        let Entry::User(said) = &history[0] else { panic!("{history:?}") };
        assert_eq!(said[0].as_text(), Some("look"));
        assert!(said[1].as_text().unwrap().contains("m takes none"));
        let Entry::Result(result) = &history[1] else { panic!("{history:?}") };
        assert!(result.texts().contains("left out"));
    }
}
