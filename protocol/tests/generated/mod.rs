//! The committed files are what the tables say.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use skein_protocol::{
    declined::{DECLINED, UNRAISED},
    export,
    extension::is_ours,
    methods::{CLIENT_NOTIFICATIONS, METHODS},
    notifications::NOTIFICATIONS,
    server_requests::SERVER_REQUESTS,
};

/// The names of all four tables.
fn rows() -> impl Iterator<Item = &'static str> {
    let sent = NOTIFICATIONS.iter().map(|info| info.wire);
    let others = CLIENT_NOTIFICATIONS.iter().chain(SERVER_REQUESTS).map(|info| info.wire);
    METHODS.iter().map(|info| info.wire).chain(sent).chain(others)
}

#[test]
fn the_generated_files_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    for (path, content) in export::files() {
        let found = fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(found == content, "{path} is stale: run scripts/generate and commit the result");
    }
}

#[test]
fn the_same_tables_give_the_same_files() {
    assert_eq!(export::files(), export::files());
}

#[test]
fn no_name_stands_twice() {
    let methods = METHODS.iter().map(|info| info.wire).chain(DECLINED.iter().map(|row| row.wire));
    let notifications = NOTIFICATIONS.iter().map(|info| info.wire);
    for names in [methods.collect::<Vec<_>>(), notifications.collect()] {
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "one of {names:?} stands twice");
    }
}

#[test]
fn each_request_of_the_peer_is_offered_or_declined_with_a_reason() {
    let offered = METHODS.iter().filter(|info| !is_ours(info.wire)).count();
    assert_eq!(offered + DECLINED.len(), 187, "requests that a client of Codex app-server 0.169.0 can make");
    for row in DECLINED {
        assert!(row.reason.len() > 20, "{}: {:?} is no reason", row.wire, row.reason);
    }
}

#[test]
fn each_message_stands_in_the_openrpc_document_once_and_every_reference_leads_somewhere() {
    let document = export::openrpc();
    let methods = document["methods"].as_array().expect("methods");
    let named: Vec<&str> = methods.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(named.len(), methods.len());
    assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), rows().collect());
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for target in &references {
        let path = target.strip_prefix('#').expect("within the document");
        assert!(document.pointer(path).is_some(), "{target} leads nowhere");
    }
    assert!(references.len() > named.len(), "each message refers to its type");
}

fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn each_message_is_a_member_of_a_typescript_map_and_each_type_is_exported_once() {
    let module = export::typescript();
    for wire in rows() {
        assert_eq!(module.matches(&format!("\n  \"{wire}\": ")).count(), 1, "{wire}");
    }
    let exported = module.lines().filter_map(|line| line.strip_prefix("export type "));
    let names: Vec<&str> = exported.filter_map(|line| line.split([' ', '<']).next()).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    // A type with members that only a client may leave out has two forms.
    assert!(distinct.contains(&"UserInput") && distinct.contains(&"UserInputParam"));
}

#[test]
fn each_message_is_an_overload_or_a_class_of_the_python_module_and_each_name_stands_once() {
    let module = export::python();
    for info in METHODS {
        let overload = format!("(self, method: Literal[\"{}\"], params: ", info.wire);
        assert_eq!(module.matches(&overload).count(), 1, "{}", info.wire);
    }
    let sent = NOTIFICATIONS.iter().map(|info| info.wire);
    for wire in sent.chain(CLIENT_NOTIFICATIONS.iter().chain(SERVER_REQUESTS).map(|info| info.wire)) {
        assert_eq!(module.matches(&format!("\n    method: Literal[\"{wire}\"]\n")).count(), 1, "{wire}");
    }
    let classes = module.lines().filter_map(|line| line.strip_prefix("class "));
    let aliases =
        module.lines().filter(|line| line.contains(": TypeAlias = ") || line.contains(" = TypedDict("));
    let names: Vec<&str> =
        classes.chain(aliases).filter_map(|line| line.split(['(', ':', ' ']).next()).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    assert!(distinct.contains(&"UserInputParam") && distinct.contains(&"ThreadItemAgentMessage"));
}

#[test]
fn what_is_never_sent_has_a_row() {
    let sent: BTreeSet<_> = NOTIFICATIONS.iter().map(|info| info.wire).collect();
    let asked: BTreeSet<_> = SERVER_REQUESTS.iter().map(|info| info.wire).collect();
    for row in UNRAISED {
        assert!(sent.contains(row.wire) || asked.contains(row.wire), "{} has no row", row.wire);
    }
}
