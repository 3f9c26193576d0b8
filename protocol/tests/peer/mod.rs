//! Messages of Codex app-server v2 (0.169.0), recorded from a conversation with it (ids, times and paths are replaced):
//! each is read with our types and printed again, and must be the same JSON value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, value::RawValue};
use skein_protocol::{
    envelope::{self, Incoming},
    extension::is_ours,
    ids::RequestId,
    methods::{
        AccountBedrockCheckGovCloudRequirements, AccountRateLimitsRead, AccountUsageRead, ConfigBatchWrite,
        ConfigValueWrite, ExperimentalFeatureList, FeedbackUpload, McpServerResourceRead,
        ModelProviderCapabilitiesRead, ModelProviderList, ServerDiagnostics, ThreadCompactStart,
        ThreadGoalClear, ThreadGoalGet, ThreadGoalSet, ThreadInjectItems, ThreadQueueAdd, ThreadQueueDelete,
        ThreadQueueList, ThreadQueueReorder, ThreadQueueStart, ThreadQueueUpdate, ThreadReadStateUpdate,
        ThreadRevert, ThreadSearchOccurrences, ThreadSettingsUpdate, for_each_client_notification,
        for_each_method,
    },
    notifications::{
        ItemMcpToolCallProgress, ItemReasoningTextDelta, ThreadGoalUpdated, ThreadQueueChanged,
        ThreadReverted, ThreadSettingsUpdated, for_each_notification,
    },
    server_requests::for_each_server_request,
    table::{
        ClientNotification, ClientNotificationVisitor, Method, MethodVisitor, Notification,
        NotificationVisitor, ServerRequest, ServerRequestVisitor,
    },
};

/// The peer's types, for the other modules.
pub(crate) const TYPES: &str = include_str!("types.jsonl");

/// Recorded requests of clients with their answers, for the other modules.
pub(crate) const REQUESTS: &str = include_str!("requests.jsonl");
/// Recorded notifications, for the other modules.
pub(crate) const NOTIFICATIONS: &str = include_str!("notifications.jsonl");
const CLIENT_NOTIFICATIONS: &str = include_str!("client_notifications.jsonl");
/// Recorded requests of the server with their answers, for the other modules.
pub(crate) const SERVER_REQUESTS: &str = include_str!("server_requests.jsonl");
const ERRORS: &str = include_str!("errors.jsonl");

/// Messages of the peer that no recorded conversation has.
const NOT_RECORDED: &[&str] = &[
    ItemReasoningTextDelta::INFO.wire,
    ItemMcpToolCallProgress::INFO.wire,
    ThreadRevert::INFO.wire,
    ThreadReverted::INFO.wire,
    ThreadInjectItems::INFO.wire,
    ThreadSearchOccurrences::INFO.wire,
    McpServerResourceRead::INFO.wire,
    AccountBedrockCheckGovCloudRequirements::INFO.wire,
    AccountRateLimitsRead::INFO.wire,
    AccountUsageRead::INFO.wire,
    ModelProviderCapabilitiesRead::INFO.wire,
    ModelProviderList::INFO.wire,
    ExperimentalFeatureList::INFO.wire,
    ServerDiagnostics::INFO.wire,
    FeedbackUpload::INFO.wire,
    ConfigValueWrite::INFO.wire,
    ConfigBatchWrite::INFO.wire,
    ThreadCompactStart::INFO.wire,
    ThreadSettingsUpdate::INFO.wire,
    ThreadReadStateUpdate::INFO.wire,
    ThreadGoalSet::INFO.wire,
    ThreadGoalGet::INFO.wire,
    ThreadGoalClear::INFO.wire,
    ThreadQueueAdd::INFO.wire,
    ThreadQueueList::INFO.wire,
    ThreadQueueUpdate::INFO.wire,
    ThreadQueueDelete::INFO.wire,
    ThreadQueueReorder::INFO.wire,
    ThreadQueueStart::INFO.wire,
    ThreadQueueChanged::INFO.wire,
    ThreadSettingsUpdated::INFO.wire,
    ThreadGoalUpdated::INFO.wire,
];

/// Recorded messages by method, and how many of each were tested.
#[derive(Default)]
struct Recorded {
    lines: BTreeMap<String, Vec<Value>>,
    tested: BTreeMap<&'static str, usize>,
    missing: BTreeSet<&'static str>,
}

impl Recorded {
    /// `method` finds the name of the method within a line.
    fn new(data: &str, method: &str) -> Self {
        let mut recorded = Self::default();
        for line in data.lines() {
            let line: Value = serde_json::from_str(line).expect("the data are JSON");
            let method = line.pointer(method).and_then(Value::as_str).expect("a method").to_owned();
            recorded.lines.entry(method).or_default().push(line);
        }
        recorded
    }

    fn take(&mut self, method: &'static str) -> Vec<Value> {
        let lines = self.lines.remove(method).unwrap_or_default();
        if lines.is_empty() && !is_ours(method) && !NOT_RECORDED.contains(&method) {
            self.missing.insert(method);
        }
        self.tested.insert(method, lines.len());
        lines
    }

    /// Every line was tested, and every method of the peer had one.
    fn finish(self) {
        assert_eq!(self.missing, BTreeSet::new(), "no recorded message of these");
        assert_eq!(
            self.lines.keys().collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "recorded, but not in a table"
        );
        let total: usize = self.tested.values().sum();
        assert!(total > 0, "nothing was tested");
        eprintln!("{total} recorded messages: {:?}", self.tested);
    }
}

/// Reads `line` as a message and gives it to `print`, which reads the content and prints the message again.
fn again(line: &Value, print: impl FnOnce(Incoming<'_>) -> String) -> Value {
    let text = line.to_string();
    let message = envelope::parse(&text).expect("a message of the peer");
    serde_json::from_str(&print(message)).expect("what we print is JSON")
}

/// Messages of clients may lack a member that is null, false or an empty list, and empty params; we print some of those.
fn without_defaults(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), without_defaults(value)))
            .filter(|(name, value)| match value {
                Value::Null | Value::Bool(false) => false,
                Value::Array(values) => !values.is_empty(),
                Value::Object(members) => name != "params" || !members.is_empty(),
                Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
            })
            .collect(),
        Value::Array(values) => values.iter().map(without_defaults).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn request_again(line: &Value, print: impl FnOnce(&RequestId, Option<&RawValue>) -> String) -> Value {
    again(line, |message| {
        let Incoming::Request { id, params, .. } = message else { panic!("{message:?} is no request") };
        print(&id, params)
    })
}

fn response_again(line: &Value, print: impl FnOnce(&RequestId, &RawValue) -> String) -> Value {
    again(line, |message| {
        let Incoming::Response { id, result } = message else { panic!("{message:?} is no response") };
        print(&id, result)
    })
}

impl MethodVisitor for Recorded {
    fn visit<M: Method>(&mut self) {
        for line in self.take(M::INFO.wire) {
            let request = request_again(&line["request"], |id, params| {
                envelope::request::<M>(id, &envelope::params(params).expect("the client's params"))
            });
            assert_eq!(without_defaults(&request), without_defaults(&line["request"]));
            let response = response_again(&line["response"], |id, result| {
                envelope::response::<M::Response>(id, &envelope::result(result).expect("the peer's result"))
            });
            assert_eq!(response, line["response"]);
        }
    }
}

impl NotificationVisitor for Recorded {
    fn visit<N: Notification>(&mut self) {
        for line in self.take(N::INFO.wire) {
            let stamp = envelope::stamp(&line.to_string()).expect("a stamp");
            let printed = again(&line, |message| {
                let Incoming::Notification { params, .. } = message else {
                    panic!("{message:?} is no notification")
                };
                let params = envelope::params(params).expect("the peer's params");
                envelope::notification::<N>(&params, stamp.emitted_at_ms.expect("a time"), None)
            });
            assert_eq!(printed, line);
        }
    }
}

impl ClientNotificationVisitor for Recorded {
    fn visit<N: ClientNotification>(&mut self) {
        for line in self.take(N::INFO.wire) {
            let printed = again(&line, |message| {
                let Incoming::Notification { params, .. } = message else {
                    panic!("{message:?} is no notification")
                };
                envelope::client_notification::<N>(&envelope::params(params).expect("the client's params"))
            });
            assert_eq!(printed["method"], line["method"]);
        }
    }
}

impl ServerRequestVisitor for Recorded {
    fn visit<R: ServerRequest>(&mut self) {
        for line in self.take(R::INFO.wire) {
            let request = request_again(&line["request"], |id, params| {
                envelope::server_request::<R>(id, &envelope::params(params).expect("the peer's params"))
            });
            assert_eq!(request, line["request"]);
            let response = response_again(&line["response"], |id, result| {
                envelope::response::<R::Response>(id, &envelope::result(result).expect("the client's answer"))
            });
            assert_eq!(without_defaults(&response), without_defaults(&line["response"]));
        }
    }
}

#[test]
fn recorded_requests_and_responses_are_read_and_printed_the_same() {
    let mut recorded = Recorded::new(REQUESTS, "/request/method");
    for_each_method(&mut recorded);
    recorded.finish();
}

#[test]
fn recorded_notifications_are_read_and_printed_the_same() {
    let mut recorded = Recorded::new(NOTIFICATIONS, "/method");
    for_each_notification(&mut recorded);
    recorded.finish();
}

#[test]
fn recorded_notifications_of_clients_are_read() {
    let mut recorded = Recorded::new(CLIENT_NOTIFICATIONS, "/method");
    for_each_client_notification(&mut recorded);
    recorded.finish();
}

#[test]
fn recorded_requests_of_the_server_and_their_answers_are_read_and_printed_the_same() {
    let mut recorded = Recorded::new(SERVER_REQUESTS, "/request/method");
    for_each_server_request(&mut recorded);
    recorded.finish();
}

#[test]
fn recorded_errors_are_read_and_printed_the_same() {
    assert!(ERRORS.lines().count() > 0, "nothing to test");
    for line in ERRORS.lines() {
        let line: Value = serde_json::from_str(line).expect("the data are JSON");
        let printed = again(&line, |message| {
            let Incoming::Error { id, error } = message else { panic!("{message:?} is no error") };
            envelope::error_reply(Some(&id), &error)
        });
        assert_eq!(printed, line);
    }
}
