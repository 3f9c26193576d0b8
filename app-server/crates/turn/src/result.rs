//! The content of a tool's result for a model. The item keeps all of it; a model gets as much as fits, with a note on
//! the rest. Pure.

use serde_json::Value;
use skein_protocol::item::{DynamicToolCallOutputContentItem, McpToolCallItem, McpToolCallStatus};
use skein_provider::{AssistantMessage, Content, Entry, Image, ToolCall, ToolResult};

use super::image;
use crate::policy;

/// The result of a helper: its blocks (MCP's `content`), and `structuredContent` if no block repeats it.
#[must_use]
pub(crate) fn of_helper(blocks: &[Value], structured: Option<&Value>) -> Vec<Content> {
    let mut pieces: Vec<ResultPiece> = blocks.iter().map(of_block).collect();
    let said = |structured: &Value| blocks.iter().any(|block| says(block, structured));
    if let Some(structured) = structured.filter(|structured| !structured.is_null() && !said(structured)) {
        pieces.push(ResultPiece::Text(structured.to_string()));
    }
    fitted(pieces)
}

/// The content of a helper's finished call, and whether it failed. A failed call does not fail the turn.
#[must_use]
pub(crate) fn of_call(call: &McpToolCallItem) -> (Vec<Content>, bool) {
    match (&call.error, &call.result) {
        (Some(error), _) => (of_text(&error.message), true),
        (None, Some(result)) => {
            let content = of_helper(&result.content, result.structured_content.as_ref());
            (content, call.status != McpToolCallStatus::Completed)
        }
        (None, None) => (of_text("nothing came of the call"), true),
    }
}

#[must_use]
pub(crate) fn of_client(items: &[DynamicToolCallOutputContentItem]) -> Vec<Content> {
    let piece = |item: &DynamicToolCallOutputContentItem| match item {
        DynamicToolCallOutputContentItem::InputText { text } => ResultPiece::Text(text.clone()),
        DynamicToolCallOutputContentItem::InputImage { image_url } => of_image_url(image_url),
        DynamicToolCallOutputContentItem::InputAudio { audio_url } => {
            ResultPiece::Text(left_out("a sound", audio_url.len()))
        }
    };
    fitted(items.iter().map(piece).collect())
}

#[must_use]
pub(crate) fn of_text(text: &str) -> Vec<Content> {
    fitted(vec![ResultPiece::Text(text.to_owned())])
}

#[derive(Debug, Clone, PartialEq)]
enum ResultPiece {
    Text(String),
    Image(Image),
}

fn of_block(block: &Value) -> ResultPiece {
    let text = |key: &str| block.get(key).and_then(Value::as_str);
    match text("type") {
        Some("text") => ResultPiece::Text(text("text").unwrap_or_default().to_owned()),
        Some("image") => of_data(text("data").unwrap_or_default()),
        Some("audio") => ResultPiece::Text(left_out("a sound", text("data").unwrap_or_default().len())),
        Some("resource") => of_resource(block.get("resource").unwrap_or(&Value::Null)),
        Some("resource_link") => ResultPiece::Text(link(block)),
        // A type that this version does not know.
        Some(_) | None => ResultPiece::Text(block.to_string()),
    }
}

fn of_resource(resource: &Value) -> ResultPiece {
    let text = |key: &str| resource.get(key).and_then(Value::as_str);
    let uri = text("uri").unwrap_or("without a name");
    match (text("text"), text("blob")) {
        (Some(said), _) => ResultPiece::Text(format!("[{uri}]\n{said}")),
        (None, Some(blob)) if text("mimeType").is_some_and(is_image) => of_data(blob),
        (None, Some(blob)) => ResultPiece::Text(left_out(&format!("the resource {uri}"), blob.len())),
        (None, None) => ResultPiece::Text(format!("[the resource {uri}]")),
    }
}

fn link(block: &Value) -> String {
    let text = |key: &str| block.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let parts = [text("title").or(text("name")), text("uri"), text("mimeType"), text("description")];
    format!("[link: {}]", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn of_data(base64: &str) -> ResultPiece {
    let fits = Some(base64).filter(|base64| base64.len() <= policy::TOOL_IMAGE_BYTES);
    let image = fits.and_then(image::of_base64);
    image.map_or_else(|| ResultPiece::Text(left_out("a picture", base64.len())), ResultPiece::Image)
}

fn of_image_url(url: &str) -> ResultPiece {
    match url.strip_prefix("data:") {
        Some(data) => match data.split_once(";base64,") {
            Some((_, base64)) => of_data(base64),
            None => ResultPiece::Text(left_out("a picture", url.len())),
        },
        None => ResultPiece::Image(Image::Url(url.to_owned())),
    }
}

fn is_image(media_type: &str) -> bool {
    media_type.starts_with("image/")
}

fn left_out(what: &str, bytes: usize) -> String {
    format!("[{what} of {bytes} bytes is left out here; the user has it]")
}

/// Whether a text block repeats `structuredContent`, as MCP asks of helpers for clients that ignore the latter.
fn says(block: &Value, structured: &Value) -> bool {
    let text = block.get("text").and_then(Value::as_str);
    text.and_then(|text| serde_json::from_str::<Value>(text).ok()).is_some_and(|said| said == *structured)
}

/// As many pieces as fit, in order. All texts share one limit, and the number of images is limited. A note at the end
/// counts the rest.
fn fitted(pieces: Vec<ResultPiece>) -> Vec<Content> {
    let (mut room, mut images) = (policy::TOOL_RESULT_BYTES, policy::TOOL_IMAGES);
    let mut left_out = 0_usize;
    let mut fit = |piece| match piece {
        ResultPiece::Text(text) if room > 0 => {
            let text = shortened(&text, room);
            room = room.saturating_sub(text.len());
            Some(Content::Text(text))
        }
        ResultPiece::Image(image) if images > 0 => {
            images -= 1;
            Some(Content::Image(image))
        }
        ResultPiece::Text(_) | ResultPiece::Image(_) => {
            left_out += 1;
            None
        }
    };
    let mut fitted: Vec<Content> = pieces.into_iter().filter_map(&mut fit).collect();
    let note = match left_out {
        0 => return fitted,
        1 => "[1 more part of the result is left out here; the user has it]".to_owned(),
        many => format!("[{many} more parts of the result are left out here; the user has them]"),
    };
    fitted.push(Content::Text(note));
    fitted
}

/// Halves the text of an entry and drops its images. `false` if nothing more can go.
pub(crate) fn halve(entry: &mut Entry) -> bool {
    match entry {
        Entry::User(content) | Entry::Result(ToolResult { content, .. }) => {
            let images = content.iter().any(|content| matches!(content, Content::Image(_)));
            content.retain(|content| content.as_text().is_some());
            let texts = content.iter_mut().filter_map(|content| match content {
                Content::Text(text) => Some(text),
                Content::Image(_) => None,
            });
            let halved = texts.map(halve_text).filter(|halved| *halved).count();
            halved > 0 || images
        }
        Entry::Developer(text)
        | Entry::Assistant(AssistantMessage { text, .. })
        | Entry::Call(ToolCall { arguments: text, .. }) => halve_text(text),
        Entry::Reasoning(_) => false,
    }
}

fn halve_text(text: &mut String) -> bool {
    let halves = text.len() >= policy::COMPACTION_LEAST;
    if halves {
        *text = shortened(text, text.len() / 2);
    }
    halves
}

/// Shortens a text to about `most` bytes: its beginning, a note on the omitted bytes, and its end.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(most / 2);
    let tail = text.ceil_char_boundary(text.len() - (most - most / 2)).max(head);
    let note = format!(
        "[... {} of {} bytes are left out here; the user has all of it ...]",
        tail - head,
        text.len()
    );
    match (head, text.len() - tail) {
        (0, 0) => note,
        _ => format!("{}\n{note}\n{}", &text[..head], &text[tail..]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::image::tests::PNG;
    use super::*;

    /// Most bytes that a note adds to a text.
    const NOTE: usize = 120;

    fn text(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    fn image(base64: &str) -> Content {
        Content::Image(Image::Data { media_type: "image/png".to_owned(), base64: base64.to_owned() })
    }

    #[test]
    fn each_kind_of_block_has_its_form() {
        for (block, expected) in [
            (json!({"type": "text", "text": "words"}), text("words")),
            (json!({"type": "image", "mimeType": "image/jpeg", "data": PNG}), image(PNG)),
            (
                json!({"type": "image", "mimeType": "image/svg+xml", "data": "PHN2Zy8+"}),
                text("[a picture of 8 bytes is left out here; the user has it]"),
            ),
            (
                json!({"type": "audio", "mimeType": "audio/wav", "data": "AAEC"}),
                text("[a sound of 4 bytes is left out here; the user has it]"),
            ),
            (
                json!({"type": "resource", "resource": {"uri": "memo://one", "text": "first"}}),
                text("[memo://one]\nfirst"),
            ),
            (
                json!({"type": "resource", "resource": {"uri": "a:b", "mimeType": "image/png", "blob": PNG}}),
                image(PNG),
            ),
            (
                json!({"type": "resource", "resource": {"uri": "a:b", "mimeType": "x/y", "blob": "AAEC"}}),
                text("[the resource a:b of 4 bytes is left out here; the user has it]"),
            ),
            (
                json!({"type": "resource_link", "uri": "a:b", "name": "B", "description": "it is there"}),
                text("[link: B, a:b, it is there]"),
            ),
            (json!({"type": "hologram", "n": 1}), text("{\"type\":\"hologram\",\"n\":1}")),
            (json!("bare"), text("\"bare\"")),
        ] {
            let read = of_helper(std::slice::from_ref(&block), None);
            match (&read[..], &expected) {
                // The order of members is undefined.
                ([Content::Text(one)], Content::Text(other)) if one.len() == other.len() => {}
                (read, _) => assert_eq!(read, [expected], "{block}"),
            }
        }
    }

    #[test]
    fn what_a_helper_says_in_its_own_form_is_read_once() {
        let structured = json!({"count": 3});
        let summary = json!({"type": "text", "text": "three"});
        let same = json!({"type": "text", "text": "{ \"count\": 3 }"});
        let own = "{\"count\":3}";
        assert_eq!(of_helper(&[], Some(&structured)), [text(own)]);
        assert_eq!(of_helper(std::slice::from_ref(&summary), Some(&structured)), [text("three"), text(own)]);
        assert_eq!(of_helper(&[same], Some(&structured)), [text("{ \"count\": 3 }")]);
        assert_eq!(of_helper(&[summary], Some(&Value::Null)), [text("three")]);
    }

    #[test]
    fn a_large_text_keeps_its_beginning_and_its_end() {
        let large = format!("BEGIN{}END", "é".repeat(policy::TOOL_RESULT_BYTES));
        let read = of_text(&large);
        let [Content::Text(read)] = &read[..] else { panic!("{read:?}") };
        assert!(read.starts_with("BEGINé") && read.ends_with("éEND"));
        assert!(read.contains(&format!("of {} bytes are left out here", large.len())));
        assert!(read.len() <= policy::TOOL_RESULT_BYTES + NOTE, "{}", read.len());
    }

    #[test]
    fn texts_share_their_room_and_later_ones_still_say_that_they_are_there() {
        let large = json!({"type": "text", "text": "x".repeat(policy::TOOL_RESULT_BYTES)});
        let read = of_helper(&[large.clone(), large.clone(), large], None);
        assert_eq!(read[0].as_text().map(str::len), Some(policy::TOOL_RESULT_BYTES));
        assert_eq!(read[1..], [text("[2 more parts of the result are left out here; the user has them]")]);
    }

    #[test]
    fn images_have_limits_of_size_and_number() {
        let image = |data: String| json!({"type": "image", "mimeType": "image/png", "data": data});
        let read = of_helper(&[image("A".repeat(policy::TOOL_IMAGE_BYTES + 1))], None);
        assert!(read[0].as_text().unwrap().starts_with("[a picture of"));
        let many = vec![image(PNG.to_owned()); policy::TOOL_IMAGES + 1];
        let read = of_helper(&many, None);
        assert_eq!(read.iter().filter(|content| content.as_text().is_none()).count(), policy::TOOL_IMAGES);
        assert_eq!(read.len(), many.len());
    }

    #[test]
    fn a_clients_images_are_addresses_or_data() {
        let of = |url: &str| {
            of_client(&[DynamicToolCallOutputContentItem::InputImage { image_url: url.to_owned() }])
        };
        assert_eq!(of(&format!("data:image/png;base64,{PNG}")), [image(PNG)]);
        assert_eq!(
            of("https://example.org/a.png"),
            [Content::Image(Image::Url("https://example.org/a.png".into()))]
        );
        assert!(of("data:image/svg+xml,<svg/>")[0].as_text().is_some());
        let sound =
            DynamicToolCallOutputContentItem::InputAudio { audio_url: "data:audio/wav;base64,AA".into() };
        let said = DynamicToolCallOutputContentItem::InputText { text: "words".into() };
        let read = of_client(&[said, sound]);
        assert_eq!(read[0], text("words"));
        assert!(read[1].as_text().unwrap().starts_with("[a sound"));
    }

    proptest! {
        #[test]
        fn a_shortened_text_is_made_of_its_beginning_and_its_end(said in ".{0,200}", most in 0_usize..250) {
            let short = shortened(&said, most);
            if said.len() <= most {
                prop_assert_eq!(short, said);
            } else {
                prop_assert!(short.len() <= most + NOTE);
                let (head, tail) = match short.split_once("\n[... ") {
                    Some((head, rest)) => (head, rest.split_once(" ...]\n").unwrap().1),
                    None => ("", ""),
                };
                prop_assert!(said.starts_with(head) && said.ends_with(tail));
            }
        }
    }
}
