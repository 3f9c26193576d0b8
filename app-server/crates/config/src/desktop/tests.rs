//! Files of desktop clients, as these write them.

use super::*;

fn stdio(usable: &Usable) -> &StdioSpec {
    match &usable.spec.transport {
        Transport::Stdio(stdio) => stdio,
        Transport::Http(_) => panic!("it has an address"),
    }
}

fn http(usable: &Usable) -> &HttpSpec {
    match &usable.spec.transport {
        Transport::Http(http) => http,
        Transport::Stdio(_) => panic!("it has a command"),
    }
}

fn only(text: &str) -> Usable {
    let mut desktop = read(text).unwrap();
    assert_eq!(desktop.left, []);
    desktop.usable.remove(0)
}

fn left(server: &str) -> String {
    let mut desktop = read(&format!("{{ \"mcpServers\": {{ \"a\": {server} }} }}")).unwrap();
    assert!(desktop.usable.is_empty(), "{:?}", desktop.usable);
    desktop.left.remove(0).why
}

#[test]
fn commands_with_arguments_variables_and_folder_come_whole() {
    let read = only(
        r#"{ "globalShortcut": "", "mcpServers": { "files": { "command": "npx", "args": ["-y", "server", 7],
        "env": { "A": "b", "PORT": 80, "NONE": null, "KEY": "${env:KEY}" }, "cwd": "/srv", "type": "stdio" } } }"#,
    );
    let spec = stdio(&read);
    assert_eq!((read.spec.name.as_str(), spec.command.as_str()), ("files", "npx"));
    assert_eq!(spec.args, ["-y", "server", "7"]);
    let env = BTreeMap::from([("A".to_owned(), "b".to_owned()), ("PORT".to_owned(), "80".to_owned())]);
    assert_eq!((&spec.env, spec.env_vars.as_slice()), (&Secrets(env), &["KEY".to_owned()][..]));
    assert_eq!(spec.cwd, Some(PathBuf::from("/srv")));
    assert!(read.spec.enabled && read.passed_over.is_empty(), "{read:?}");
}

#[test]
fn a_disabled_helper_stays_disabled_and_what_has_no_word_is_named() {
    let server = r#"{ "command": "a", "disabled": true, "autoApprove": ["x"], "timeout": 60 }"#;
    let read = only(&format!("{{ \"mcpServers\": {{ \"a\": {server} }} }}"));
    assert!(!read.spec.enabled);
    assert_eq!(read.passed_over, ["autoApprove", "timeout"]);
}

#[test]
fn files_of_an_editor_have_comments_and_other_places() {
    let text = r#"{
        // what the editor asks for
        "inputs": [],
        "servers": { "io.example/docs": { "type": "http", "url": "https://example.org/mcp",
            "headers": { "Authorization": "Bearer ${env:TOKEN}", "X-A": "b", "X-C": "${D}" }, }, },
    }"#;
    let usable = only(text);
    assert_eq!(
        (usable.name_in_file.as_str(), usable.spec.name.as_str()),
        ("io.example/docs", "io-example-docs")
    );
    let spec = http(&usable);
    assert_eq!(spec.bearer_token_env_var.as_deref(), Some("TOKEN"));
    assert_eq!(spec.http_headers.0, BTreeMap::from([("X-A".to_owned(), "b".to_owned())]));
    assert_eq!(spec.env_http_headers, BTreeMap::from([("X-C".to_owned(), "D".to_owned())]));
    only("{ \"mcp\": { \"servers\": { \"a\": { \"command\": \"b\", \"cwd\": \"${workspaceFolder}\" } } } }");
    only("{ \"mcpServers\": { \"a\": { \"serverUrl\": \"https://example.org\" } } }");
}

#[test]
fn what_cannot_be_used_is_left_with_the_reason_and_without_secrets() {
    for (server, why) in [
        ("7", "not an object"),
        ("{}", "neither a command nor an address"),
        (r#"{ "command": "a", "url": "b" }"#, "both"),
        (r#"{ "type": "sse", "url": "https://example.org/sse" }"#, "sse"),
        (r#"{ "command": ["a"] }"#, "command is not a text"),
        (r#"{ "command": "a", "args": "b" }"#, "args is not a list of texts"),
        (r#"{ "command": "a", "env": { "A": {} } }"#, "env is not an object of texts"),
        (r#"{ "command": "a", "env": { "A": "s3cret ${input:key}" } }"#, "env.A has ${input:key}"),
        (r#"{ "command": "a", "env": { "A": "${env:B}" } }"#, "env.A has ${B}"),
        (r#"{ "command": "a", "args": ["${workspaceFolder}/x"] }"#, "args has ${workspaceFolder}"),
        (r#"{ "command": "a", "disabled": "no" }"#, "disabled is not true or false"),
    ] {
        let said = left(server);
        assert!(said.contains(why) && !said.contains("s3cret"), "{server}: {said}");
    }
}

#[test]
fn what_is_no_such_file_is_an_error_with_its_line() {
    assert!(matches!(read("{\n\n nonsense }"), Err(DesktopError::NotJson { line: 3, .. })));
    assert!(matches!(read("{ \"mcpServers\": [] }"), Err(DesktopError::NoServers)));
    assert!(matches!(read("[]"), Err(DesktopError::NoServers)));
    assert!(read("\u{feff}{ \"mcpServers\": {} }").unwrap().usable.is_empty());
}
