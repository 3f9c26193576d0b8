use serde_json::json;

use super::*;

fn thread(lines: &[Value]) -> ForeignThread {
    let with_events = lines.iter().any(ForeignThread::reports_messages);
    let mut thread = ForeignThread::new(WallMs(1), StoredSettings::default(), with_events);
    lines.iter().for_each(|line| thread.take(line));
    thread
}

fn event(payload: Value) -> Value {
    json!({"timestamp": "2026-01-01T00:00:00Z", "type": "event_msg", "payload": payload})
}

fn texts_of(thread: &ForeignThread) -> Vec<(String, Vec<String>)> {
    let text = |item: &ThreadItem| {
        if let ThreadItemBody::UserMessage(message) = &item.body {
            message.content.iter().filter_map(|input| input.as_text()).collect::<String>()
        } else if let ThreadItemBody::AgentMessage(message) = &item.body {
            message.text.clone()
        } else {
            "other".to_owned()
        }
    };
    thread.turns.iter().map(|turn| (turn.id.to_string(), turn.items.iter().map(text).collect())).collect()
}

fn turn(id: &str, items: &[&str]) -> (String, Vec<String>) {
    (id.to_owned(), items.iter().map(|&text| text.to_owned()).collect())
}

#[test]
fn before_turns_were_named_a_message_of_the_user_begins_one() {
    let lines = [
        event(json!({"type": "user_message", "message": "one"})),
        event(json!({"type": "agent_message", "message": "1"})),
        event(json!({"type": "user_message", "message": "two"})),
        json!({"type": "response_item", "payload": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "2"}]}}),
        event(json!({"type": "agent_message", "message": "2"})),
    ];
    let thread = thread(&lines);
    assert_eq!(texts_of(&thread), [turn("turn-1", &["one", "1"]), turn("turn-2", &["two", "2"])]);
    assert!(thread.turns.iter().all(|turn| turn.status.is_none() && !turn.declared));
}

#[test]
fn without_events_the_models_messages_count() {
    let message = |role: &str, text: &str| json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]});
    let lines = [
        message("user", "<environment_context>\n<cwd>/</cwd>"),
        message("user", "hello"),
        json!({"type": "function_call", "name": "shell", "call_id": "c", "arguments": "{\"command\":[\"ls\"]}"}),
        json!({"type": "function_call_output", "call_id": "c", "output": "{\"output\":\"a\\n\",\"metadata\":{\"exit_code\":1}}"}),
        message("assistant", "a file"),
    ];
    let thread = thread(&lines);
    assert_eq!(texts_of(&thread), [turn("turn-1", &["hello", "other", "a file"])]);
    let ThreadItemBody::CommandExecution(command) = &thread.turns[0].items[1].body else {
        panic!("no command")
    };
    assert_eq!((command.exit_code, command.aggregated_output.as_deref()), (Some(1), Some("a\n")));
}

#[test]
fn turns_that_were_taken_back_are_gone_and_steering_begins_none() {
    let begin = |id: &str| event(json!({"type": "task_started", "turn_id": id}));
    let user = |text: &str| event(json!({"type": "user_message", "message": text}));
    let end = |id: &str| event(json!({"type": "task_complete", "turn_id": id}));
    let lines = [
        begin("a"),
        user("one"),
        user("and more"),
        end("a"),
        begin("b"),
        user("two"),
        end("b"),
        event(json!({"type": "thread_rolled_back", "num_turns": 1})),
        begin("c"),
        user("three"),
        event(json!({"type": "error", "message": "broken"})),
        end("c"),
        begin("d"),
        user("four"),
        event(json!({"type": "turn_aborted", "turn_id": "d"})),
        begin("e"),
        user("five"),
    ];
    let thread = thread(&lines);
    assert_eq!(
        texts_of(&thread),
        [turn("a", &["one", "and more"]), turn("c", &["three"]), turn("d", &["four"]), turn("e", &["five"])]
    );
    let ends: Vec<_> = thread.turns.iter().map(|turn| turn.status).collect();
    use TurnStatus::{Completed, Failed, Interrupted};
    assert_eq!(ends, [Some(Completed), Some(Failed), Some(Interrupted), None]);
}

#[test]
fn kinds_that_nobody_knows_are_counted_and_never_without_end() {
    let lines: Vec<Value> =
        (0..1_000).map(|n| json!({"type": format!("{}{n}", "x".repeat(1_000)), "payload": {}})).collect();
    let thread = thread(&lines);
    assert_eq!(thread.passed_over.values().sum::<u64>(), 1_000);
    assert!(thread.passed_over.len() <= policy::IMPORT_KINDS + 1);
    assert!(thread.passed_over.keys().all(|kind| kind.len() <= policy::IMPORT_KIND));
}
