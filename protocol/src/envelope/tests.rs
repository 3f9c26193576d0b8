//! Reading and printing messages.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    error::{INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR},
    event::ThreadClosedNotification,
    ids::ThreadId,
    methods::{ThreadList, ThreadRead},
    notifications::ThreadClosed,
    server::{InitializeParams, ModelListParams},
    table::Method,
    thread::{ThreadListParams, ThreadReadParams},
    turn::TurnStartParams,
};

const THREAD: ThreadId = ThreadId::new(uuid::Uuid::from_u128(7));

/// The refusal of `text`: its id, code and reason.
fn refusal(text: &str) -> (Option<RequestId>, i64, String) {
    let frame = parse(text).expect_err(text);
    (frame.id, frame.error.code, frame.error.reason().to_owned())
}

#[test]
fn each_kind_of_message_is_recognised() {
    let request =
        parse(r#"{"jsonrpc":"2.0","id":7,"method":"a/b","params":{"x":1},"trace":null}"#).expect("a request");
    assert!(matches!(request, Incoming::Request { id: RequestId::Integer(7), method, params: Some(p) }
        if method == "a/b" && p.get() == r#"{"x":1}"#));
    let notification = parse(r#"{"method":"initialized"}"#).expect("a notification");
    assert!(
        matches!(notification, Incoming::Notification { method, params: None } if method == "initialized")
    );
    let response = parse(r#"{"id":"x","result":null}"#).expect("a response");
    assert!(matches!(response, Incoming::Response { id: RequestId::String(id), result }
        if id == "x" && result.get() == "null"));
    let error = parse(r#"{"id":1,"error":{"code":5,"message":"no","data":"theirs"}}"#).expect("an error");
    assert!(matches!(error, Incoming::Error { error: WireError { code: 5, data: None, .. }, .. }));
}

/// A bad text, the id that is echoed, the code and the reason.
const BAD_TEXTS: &[(&str, Option<i64>, i64, &str)] = &[
    ("", None, PARSE_ERROR, "notJson"),
    ("{", None, PARSE_ERROR, "notJson"),
    ("hello", None, PARSE_ERROR, "notJson"),
    (r#"{"id":7,"method":"m"} {}"#, None, PARSE_ERROR, "notJson"),
    (r#"{"id":7,"method":"m","params":NaN}"#, None, PARSE_ERROR, "notJson"),
    ("[1", None, PARSE_ERROR, "notJson"),
    ("[]", None, INVALID_REQUEST, "batch"),
    (r#"[{"id":7,"method":"m"}]"#, None, INVALID_REQUEST, "batch"),
    ("7", None, INVALID_REQUEST, "notAnObject"),
    ("-7", None, INVALID_REQUEST, "notAnObject"),
    ("1.5", None, INVALID_REQUEST, "notAnObject"),
    ("true", None, INVALID_REQUEST, "notAnObject"),
    ("null", None, INVALID_REQUEST, "notAnObject"),
    (r#""text""#, None, INVALID_REQUEST, "notAnObject"),
    (r#""t\u0065xt""#, None, INVALID_REQUEST, "notAnObject"),
    ("{}", None, INVALID_REQUEST, "noMethod"),
    (r#"{"id":7}"#, Some(7), INVALID_REQUEST, "noMethod"),
    (r#"{"id":7,"method":5}"#, Some(7), INVALID_REQUEST, "badMethod"),
    (r#"{"id":7,"method":null}"#, Some(7), INVALID_REQUEST, "badMethod"),
    (r#"{"id":7,"method":"\ud800"}"#, Some(7), INVALID_REQUEST, "badMethod"),
    (r#"{"id":null,"method":"m"}"#, None, INVALID_REQUEST, "badId"),
    (r#"{"id":1.5,"method":"m"}"#, None, INVALID_REQUEST, "badId"),
    (r#"{"id":1e2,"method":"m"}"#, None, INVALID_REQUEST, "badId"),
    (r#"{"id":9223372036854775808,"method":"m"}"#, None, INVALID_REQUEST, "badId"),
    (r#"{"id":[7],"method":"m"}"#, None, INVALID_REQUEST, "badId"),
    (r#"{"id":true,"method":"m"}"#, None, INVALID_REQUEST, "badId"),
    (r#"{"id":7,"id":8,"method":"m"}"#, None, INVALID_REQUEST, "duplicateMember"),
    (r#"{"id":7,"method":"m","method":"n"}"#, Some(7), INVALID_REQUEST, "duplicateMember"),
    (r#"{"id":7,"method":"m","params":{},"params":{}}"#, Some(7), INVALID_REQUEST, "duplicateMember"),
    (r#"{"id":7,"method":"m","method":"n","id":8}"#, None, INVALID_REQUEST, "duplicateMember"),
    (r#"{"id":7,"method":"m","result":1}"#, Some(7), INVALID_REQUEST, "badEnvelope"),
    (r#"{"id":7,"result":1,"error":{}}"#, Some(7), INVALID_REQUEST, "badEnvelope"),
    (r#"{"id":7,"error":5}"#, Some(7), INVALID_REQUEST, "badError"),
    (r#"{"result":1}"#, None, INVALID_REQUEST, "badId"),
    (r#"{"error":{"code":1,"message":"m"}}"#, None, INVALID_REQUEST, "badId"),
];

#[test]
fn each_bad_text_gets_one_clear_refusal() {
    for (text, id, code, reason) in BAD_TEXTS {
        let expected = (id.map(RequestId::Integer), *code, (*reason).to_owned());
        assert_eq!(refusal(text), expected, "{text}");
    }
    let long_id = format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(MAX_ID_LENGTH + 1));
    assert_eq!(refusal(&long_id), (None, INVALID_REQUEST, "badId".to_owned()));
}

#[test]
fn the_whole_range_of_ids_is_echoed() {
    for id in [i64::MIN.into(), i64::MAX.into(), 0.into(), "".into(), "7".into(), "ü\"\u{1}".into()] {
        let text = request::<ThreadList>(&id, &ThreadListParams::default());
        let Ok(Incoming::Request { id: read, .. }) = parse(&text) else { panic!("{text}") };
        assert_eq!(read, id);
        assert!(response(&id, &json!({})).starts_with(&format!(r#"{{"id":{}"#, json!(id))));
    }
    let longest = RequestId::String("x".repeat(MAX_ID_LENGTH));
    assert!(parse(&request::<ThreadList>(&longest, &ThreadListParams::default())).is_ok());
}

/// A request whose params nest so that the whole message has `depth` levels.
fn nested(depth: usize, open: &str, close: &str) -> String {
    let inner = depth - 1;
    format!(r#"{{"id":7,"method":"m","params":{}1{}}}"#, open.repeat(inner), close.repeat(inner))
}

#[test]
fn a_message_may_nest_128_levels_and_not_one_more() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        assert!(parse(&nested(MAX_DEPTH, open, close)).is_ok());
        assert_eq!(
            refusal(&nested(MAX_DEPTH + 1, open, close)),
            (None, INVALID_REQUEST, "tooDeep".to_owned())
        );
    }
    assert_eq!(refusal(&"[".repeat(1_000_000)).2, "tooDeep");
    let deepest = nested(MAX_DEPTH, r#"{"a":"#, "}");
    let Ok(Incoming::Request { params: Some(raw), .. }) = parse(&deepest) else { panic!("{deepest}") };
    assert!(params::<Value>(Some(raw)).is_ok(), "what is let in can be read");
    let brackets_in_text = format!(r#"{{"id":7,"method":"m","params":{{"a":"\"{}"}}}}"#, "[".repeat(1000));
    assert!(parse(&brackets_in_text).is_ok());
    let side_by_side = format!(r#"{{"id":7,"method":"m","params":[{}[]]}}"#, "[],".repeat(1000));
    assert!(parse(&side_by_side).is_ok());
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, WireError> {
    let raw: Box<RawValue> = serde_json::from_str(text).expect(text);
    params(Some(&raw))
}

#[test]
fn missing_and_null_params_are_an_empty_object() {
    assert_eq!(params::<ModelListParams>(None), Ok(ModelListParams::default()));
    for text in ["null", "{}", r#"{"cursor":null,"limit":null,"unknown":{"deep":[]}}"#] {
        assert_eq!(read::<ModelListParams>(text), Ok(ModelListParams::default()), "{text}");
    }
    let missing = params::<InitializeParams>(None).expect_err("clientInfo is required");
    assert_eq!((missing.code, missing.reason()), (INVALID_PARAMS, "invalidParams"));
    assert!(missing.message.contains("clientInfo"), "{missing}");
}

#[test]
fn bad_params_name_the_field() {
    let path = |error: WireError| {
        assert_eq!((error.code, error.reason()), (INVALID_PARAMS, "invalidParams"), "{error}");
        error.data.and_then(|data| data.path)
    };
    for text in ["[]", "7", "true", r#""text""#, "1.5"] {
        assert_eq!(path(read::<ModelListParams>(text).expect_err(text)), None);
    }
    let cases = [
        (r#"{"limit":-1}"#, "limit"),
        (r#"{"limit":4294967296}"#, "limit"),
        (r#"{"limit":1.5}"#, "limit"),
        (r#"{"limit":"9"}"#, "limit"),
        (r#"{"sortKey":"size"}"#, "sortKey"),
        (r#"{"sourceKinds":["cli","nobody"]}"#, "sourceKinds[1]"),
        (r#"{"excludedThreadIds":["../../etc"]}"#, "excludedThreadIds[0]"),
    ];
    for (text, expected) in cases {
        assert_eq!(
            path(read::<ThreadListParams>(text).expect_err(text)).as_deref(),
            Some(expected),
            "{text}"
        );
    }
    let error = read::<ThreadReadParams>(r#"{"threadId":"nope"}"#).expect_err("no thread id");
    assert!(error.message.starts_with("invalid thread id: expected a hyphenated UUID"), "{error}");
    let missing = read::<ThreadReadParams>("{}").expect_err("no threadId");
    assert_eq!(missing.message, "Invalid request: missing field `threadId`");
    let twice = read::<ThreadReadParams>(&format!(r#"{{"threadId":"{THREAD}","threadId":"{THREAD}"}}"#));
    assert!(twice.expect_err("twice").message.contains("duplicate"));
}

#[test]
fn a_hostile_value_makes_no_long_error() {
    let text = json!({ "threadId": "ü".repeat(1_000_000) }).to_string();
    let error = read::<ThreadReadParams>(&text).expect_err("no thread id");
    assert!(error.message.len() < 1000, "{}", error.message.len());
    let text = json!({ "sortKey": "ü".repeat(1_000_000) }).to_string();
    let error = read::<ThreadListParams>(&text).expect_err("no sort key");
    assert!(error.message.len() < 1000, "{}", error.message.len());
    let context = json!({ "x".repeat(1_000_000): 5 });
    let text = json!({ "threadId": THREAD, "input": [], "additionalContext": context }).to_string();
    let error = read::<TurnStartParams>(&text).expect_err("no context");
    assert!(error.to_string().len() < 1000, "{}", error.message.len());
    assert!(error.data.and_then(|data| data.path).is_some_and(|path| path.len() < 500));
}

#[test]
fn an_error_reply_has_at_most_4_kib_and_stays_text() {
    let id = RequestId::String("\u{1}".repeat(MAX_ID_LENGTH));
    for filling in ["x", "ü", "€", "\u{1}", "🙂", "\""] {
        for count in [1, 100, 500, 1000, 1023, 1024, 4096, 100_000] {
            let long = filling.repeat(count);
            let error = WireError::method_not_found(&long)
                .path(&*long)
                .server(&*long)
                .tool(&*long)
                .turn(&*long)
                .active_turn(&*long)
                .item(&*long);
            let error = WireError { message: long, ..error };
            let text = error_reply(Some(&id), &error);
            assert!(text.len() <= ERROR_REPLY_LIMIT, "{} bytes of {count} {filling:?}", text.len());
            let reply: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(reply["id"], json!(id));
            assert_eq!(reply["error"]["data"]["reason"], "methodNotFound");
        }
    }
}

#[test]
fn an_error_reply_is_cut_only_when_it_must_be() {
    for length in ERROR_REPLY_LIMIT - 200..ERROR_REPLY_LIMIT {
        let error = WireError::internal("broken", "x".repeat(length));
        let whole = json!({ "id": 1, "error": error }).to_string();
        let text = error_reply(Some(&1.into()), &error);
        assert_eq!(text.len() == whole.len(), whole.len() <= ERROR_REPLY_LIMIT, "{length}");
        assert!(text.len() <= ERROR_REPLY_LIMIT && text.starts_with(r#"{"id":1,"#), "{length}");
    }
}

#[test]
fn an_error_reply_whose_id_does_not_fit_has_none() {
    let id = RequestId::String("x".repeat(100_000));
    let text = error_reply(Some(&id), &WireError::internal("broken", "it broke"));
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!({ "id": null, "error": { "code": -32603, "message": "it broke", "data": { "reason": "broken" } } })
    );
}

#[test]
fn a_short_error_reply_is_whole() {
    let error = WireError::invalid_params("r", "m".repeat(1500)).thread(THREAD).path("a.b");
    let reply: Value = serde_json::from_str(&error_reply(Some(&7.into()), &error)).expect("JSON");
    assert_eq!(reply["error"], json!(error));
}

#[test]
fn a_notification_carries_its_time_and_where_asked_its_number() {
    let params = ThreadClosedNotification { thread_id: THREAD, skein: None };
    let plain = notification::<ThreadClosed>(&params, 5, None);
    assert_eq!(
        serde_json::from_str::<Value>(&plain).expect("JSON"),
        json!({ "method": "thread/closed", "params": { "threadId": THREAD }, "emittedAtMs": 5 })
    );
    let numbered = notification::<ThreadClosed>(&params, 5, Some((EventSeq(9), Epoch(2))));
    let expected = Stamp { emitted_at_ms: Some(5), seq: Some(EventSeq(9)), epoch: Some(Epoch(2)) };
    assert_eq!(stamp(&numbered), Ok(expected));
}

#[test]
fn no_message_of_ours_has_a_jsonrpc_member() {
    let id = RequestId::Integer(1);
    let read = ThreadReadParams { include_turns: false, thread_id: THREAD };
    for text in [
        request::<ThreadRead>(&id, &read),
        response(&id, &json!({})),
        error_reply(None, &WireError::internal("r", "m")),
    ] {
        assert!(!text.contains("jsonrpc"), "{text}");
    }
    assert!(request::<ThreadRead>(&id, &read).contains(ThreadRead::INFO.wire));
}

/// Texts that are close to messages: pieces of them in any order.
fn almost_messages() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"id\"",
        "\"method\"",
        "\"params\"",
        "\"result\"",
        "\"error\"",
        "7",
        "1.5",
        "null",
        "\"a\"",
        "\\",
        "\"",
        "\\u00",
        "\u{0}",
        "ü",
        " ",
        "1e999",
        "-",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in prop_oneof![any::<String>(), almost_messages()]) {
        if let Err(frame) = parse(&text) {
            prop_assert!(error_reply(frame.id.as_ref(), &frame.error).len() <= ERROR_REPLY_LIMIT);
        }
    }

    #[test]
    fn a_readable_id_is_echoed_whatever_else_is_wrong(
        id in prop_oneof![any::<i64>().prop_map(RequestId::Integer), "\\PC{0,60}".prop_map(RequestId::String)],
        wrong in prop::sample::select(vec![r#""x":1"#, r#""method":5"#, r#""method":"m","method":"n""#,
            r#""result":1,"error":2"#, r#""method":"m","result":1"#, r#""error":"no""#]),
        first in any::<bool>(),
    ) {
        let member = format!(r#""id":{}"#, json!(id));
        let text = if first { format!("{{{member},{wrong}}}") } else { format!("{{{wrong},{member}}}") };
        let frame = parse(&text).expect_err("something is wrong");
        prop_assert_eq!(frame.id.as_ref(), Some(&id));
        prop_assert!(error_reply(frame.id.as_ref(), &frame.error).contains(&member));
    }

    #[test]
    fn depth_is_counted_as_the_reader_counts(depth in 1_usize..200) {
        let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        prop_assert_eq!(refusal(&text).2 == "tooDeep", depth > MAX_DEPTH);
    }
}
