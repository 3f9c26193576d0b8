use serde_json::{Value, json};
use skein_protocol::item::{McpToolCallItem, McpToolCallResult, McpToolCallStatus};
use skein_store::rollout::record::{FileRead, ItemCompleted, ItemStarted};

use super::*;

fn to() -> Recipient {
    Recipient { provider: "p".into(), model: "m".into() }
}

fn fold(records: impl IntoIterator<Item = RecordBody>) -> Conversation {
    let mut conversation = Conversation::default();
    records.into_iter().for_each(|record| conversation.take(&record, &to()));
    conversation
}

fn started(item: ThreadItem) -> RecordBody {
    ItemStarted { turn_id: "t".into(), item }.into()
}

fn completed(item: ThreadItem) -> RecordBody {
    ItemCompleted { turn_id: "t".into(), item }.into()
}

fn user(id: &str, text: &str) -> ThreadItem {
    ThreadItem::user_message(id, vec![UserInput::text(text)], None)
}

fn says(id: &str, text: &str) -> ThreadItem {
    ThreadItem::agent_message(id, text)
}

fn call(id: &str, result: Option<&str>) -> ThreadItem {
    let mut item = ThreadItem::mcp_tool_call(id, "files", "read", json!({}));
    if let (Some(text), ThreadItemBody::McpToolCall(call)) = (result, &mut item.body) {
        let content = vec![json!({"type": "text", "text": text})];
        let result = McpToolCallResult { content, structured_content: None, meta: None };
        **call = McpToolCallItem {
            status: McpToolCallStatus::Completed,
            result: Some(result),
            ..(**call).clone()
        };
    }
    item
}

fn answer(parts: Vec<AnswerPart>) -> RecordBody {
    ModelAnswer { turn_id: "t".into(), provider: "p".into(), model: "m".into(), parts, cut_by: None }.into()
}

fn text(item: &str) -> AnswerPart {
    AnswerPart::Text { item_id: item.into() }
}

fn calls(item: &str) -> AnswerPart {
    AnswerPart::Call(Box::new(AnsweredCall {
        item_id: Some(item.into()),
        refused: None,
        id: format!("call_{item}"),
        name: "files__read".into(),
        arguments: "{}".into(),
        more: Map::new(),
    }))
}

fn compacted(kept: KeptMessages) -> RecordBody {
    Compacted { turn_id: "t".into(), summary: "all".into(), kept }.into()
}

/// The entries in short: `u:` of the user, `a:` of the model, `c:` a call, `r:` its result, `s` a summary.
fn short(conversation: &Conversation) -> Vec<String> {
    let texts = |content: &[Content]| {
        content.iter().map(|content| content.as_text().unwrap_or("picture")).collect::<Vec<_>>().join("+")
    };
    let of = |entry: &Entry| match entry {
        Entry::User(content) if is_summary(content) => "s".to_owned(),
        Entry::User(content) => format!("u:{}", texts(content)),
        Entry::Developer(text) => format!("n:{text}"),
        Entry::Assistant(message) => format!("a:{}", message.text),
        Entry::Reasoning(_) => "t".to_owned(),
        Entry::Call(call) => format!("c:{}", call.id),
        Entry::Result(result) => format!("r:{}:{}", result.id, texts(&result.content)),
    };
    conversation.entries().iter().map(of).collect()
}

#[test]
fn a_message_follows_the_text_that_it_interrupts() {
    let folded = fold([
        started(user("u1", "go")),
        completed(user("u1", "go")),
        started(says("a1", "")),
        started(user("u2", "stop")),
        completed(user("u2", "stop")),
        completed(says("a1", "half an")),
        started(says("a2", "")),
        completed(says("a2", "done")),
    ]);
    assert_eq!(short(&folded), ["u:go", "a:half an", "u:stop", "a:done"]);
}

#[test]
fn results_follow_their_calls_in_the_order_of_the_calls() {
    let folded = fold([
        started(says("a1", "")),
        completed(says("a1", "look")),
        started(call("1", None)),
        started(call("2", None)),
        answer(vec![text("a1"), calls("1"), calls("2")]),
        started(user("u", "and")),
        completed(user("u", "and")),
        completed(call("2", Some("two"))),
        completed(call("1", Some("one"))),
    ]);
    assert_eq!(short(&folded), ["a:look", "c:call_1", "c:call_2", "r:call_1:one", "r:call_2:two", "u:and"]);
}

#[test]
fn an_answer_that_was_cut_with_its_calls_stands_before_the_message_that_cut_it() {
    let folded = fold([
        started(says("a1", "")),
        started(user("u", "and")),
        completed(user("u", "and")),
        completed(says("a1", "look")),
        started(call("1", None)),
        answer(vec![text("a1"), calls("1")]),
        completed(call("1", Some("one"))),
    ]);
    assert_eq!(short(&folded), ["a:look", "c:call_1", "r:call_1:one", "u:and"]);
}

#[test]
fn a_compaction_keeps_results_that_no_model_has_read() {
    let before = || {
        [
            completed(user("u1", "go")),
            completed(says("a0", "I look")),
            started(call("1", None)),
            answer(vec![text("a0"), calls("1")]),
            completed(call("1", Some("one"))),
            completed(says("a1", "and again")),
            started(call("2", None)),
            answer(vec![text("a1"), calls("2")]),
            completed(call("2", Some("two"))),
            completed(user("u2", "well?")),
        ]
    };
    let folded = fold(before().into_iter().chain([compacted(KeptMessages::Results)]));
    assert_eq!(short(&folded), ["s", "a:and again", "c:call_2", "r:call_2:two", "u:well?"]);
    // As earlier versions recorded it, and as a compaction records it if even the results are too long.
    let folded = fold(before().into_iter().chain([compacted(KeptMessages::Messages)]));
    assert_eq!(short(&folded), ["s", "u:well?"]);
    // After the model's answer the compaction keeps nothing.
    let read = completed(says("a2", "done"));
    let folded = fold(before().into_iter().chain([read, compacted(KeptMessages::Results)]));
    assert_eq!(short(&folded), ["s"]);
}

#[test]
fn a_message_that_is_added_before_a_compaction_of_the_same_turn_stays() {
    let folded = fold([
        completed(user("u1", "go")),
        started(says("a1", "")),
        started(user("u2", "stop")),
        completed(user("u2", "stop")),
        completed(says("a1", "half an")),
        started(says("c", "")),
        compacted(KeptMessages::Results),
        completed(says("c", "done")),
    ]);
    assert_eq!(short(&folded), ["s", "u:stop", "a:done"]);
}

#[test]
fn a_file_is_what_it_was_when_it_was_read() {
    let input = vec![UserInput::text("look"), UserInput::LocalImage { detail: None, path: "/a.png".into() }];
    let mut folded = fold([completed(ThreadItem::user_message("u1", input.clone(), None))]);
    let file = LocalFile { at: 1, path: "/a.png".into() };
    assert_eq!(folded.unread_files(), [UnreadFile { item: Some("u1".into()), file }]);
    let content = FileContent::Image { media_type: "image/png".into(), base64: "AAAA".into() };
    let files = vec![FileRead { at: 1, content }];
    folded.take(&FilesRead { turn_id: "t".into(), item_id: "u1".into(), files }.into(), &to());
    assert_eq!(folded.unread_files(), []);
    assert_eq!(short(&folded), ["u:look+picture"]);
}

#[test]
fn the_oldest_images_of_results_become_notes_and_every_call_stays() {
    // The signature of a PNG, and padding.
    let image = format!("iVBORw0KGgo{}", "A".repeat(3_999_993));
    let with_image = |id: &str| {
        let mut item = call(id, Some("shot"));
        if let ThreadItemBody::McpToolCall(call) = &mut item.body
            && let Some(result) = &mut call.result
        {
            let block: Value = json!({"type": "image", "mimeType": "image/png", "data": image});
            result.content.push(block);
        }
        item
    };
    let ids: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    let said = ids.iter().map(|id| calls(id)).collect();
    let records = [completed(user("u1", "MY NAME IS BOB"))]
        .into_iter()
        .chain(ids.iter().map(|id| started(call(id, None))))
        .chain([answer(said)])
        .chain(ids.iter().map(|id| completed(with_image(id))));
    let folded = fold(records);
    let short = short(&folded);
    assert_eq!(short[0], "u:MY NAME IS BOB");
    assert_eq!(short.iter().filter(|entry| entry.starts_with("c:")).count(), 12);
    let whole = short.iter().filter(|entry| entry.ends_with("+picture")).count();
    assert!((5..12).contains(&whole), "{whole}");
    assert!(short[25 - whole..].iter().all(|entry| entry.ends_with("+picture")), "the newest stay");
    assert!(folded.is_trimmed());
}
