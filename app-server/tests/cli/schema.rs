//! docs/commands.schema.json: each line that a command prints with `--json` is as the file says.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use skein_protocol::methods::{Initialize, ThreadList, ThreadStart, TurnStart};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::{Method, ServerRequest};

use super::url::redeemed;
use super::{Serving, run};

const COMMANDS: &str = "docs/commands.schema.json";
const PROTOCOL: &str = "protocol/generated/schema.json";

/// Commands that no step here calls. A tail prints the messages that `skein run` prints, until somebody ends it.
/// The service is called with a user manager of its own: see `service.rs`. A cluster needs a database: the integration tests have one.
const NOT_CALLED: [&str; 10] = [
    "skein migrate",
    "skein threads tail",
    "skein service install",
    "skein service remove",
    "skein service status",
    "skein cluster drain",
    "skein cluster init",
    "skein cluster restored",
    "skein cluster status",
    "skein cluster upgrade",
];

/// The two files.
pub(super) struct Schemas {
    commands: Value,
    protocol: Value,
    called: BTreeSet<String>,
}

/// A schema, with the file that its references start in.
#[derive(Clone, Copy)]
struct Place<'a> {
    schema: &'a Value,
    is_protocol: bool,
}

/// Under cargo the folder above this crate; under Bazel the folder that the test starts in.
fn read(path: &str) -> Value {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let path = if Path::new(path).exists() { path.into() } else { above };
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

impl Schemas {
    pub(super) fn new() -> Self {
        Self { commands: read(COMMANDS), protocol: read(PROTOCOL), called: BTreeSet::new() }
    }

    fn find<'a>(&'a self, reference: &str, from: Place<'a>) -> Place<'a> {
        let (file, place) = reference.split_once('#').unwrap();
        let is_protocol = from.is_protocol || file == format!("../{PROTOCOL}");
        assert!(is_protocol || file.is_empty(), "{reference}");
        let document = if is_protocol { &self.protocol } else { &self.commands };
        let schema = document.pointer(place).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        Place { schema, is_protocol }
    }

    /// The reason why a value is not as its schema says.
    fn check(&self, value: &Value, place: Place<'_>) -> Result<(), String> {
        let Some(schema) = place.schema.as_object() else { return Ok(()) };
        let below = |schema| Place { schema, ..place };
        for (word, rule) in schema {
            let fits = match word.as_str() {
                "$ref" => self.check(value, self.find(rule.as_str().unwrap(), place)),
                "type" => has_type(value, rule),
                "const" => holds(value == rule, value, rule),
                "enum" => holds(rule.as_array().unwrap().contains(value), value, rule),
                // These two are about numbers alone; null is another type.
                "minimum" => holds(value.is_null() || value.as_f64() >= rule.as_f64(), value, rule),
                "maximum" => holds(value.is_null() || value.as_f64() <= rule.as_f64(), value, rule),
                "anyOf" | "oneOf" => self.any(value, rule.as_array().unwrap(), place),
                "allOf" => {
                    rule.as_array().unwrap().iter().try_for_each(|rule| self.check(value, below(rule)))
                }
                "items" => {
                    value.as_array().into_iter().flatten().try_for_each(|one| self.check(one, below(rule)))
                }
                "required" => has_members(value, rule),
                "properties" => self.members(value, schema, place),
                "additionalProperties" | "description" | "title" | "format" | "default" => Ok(()),
                unknown => Err(format!("this test does not know the word {unknown}")),
            };
            fits.map_err(|why| format!("{why}\n  in {}", cut(value)))?;
        }
        Ok(())
    }

    fn any(&self, value: &Value, rules: &[Value], place: Place<'_>) -> Result<(), String> {
        let mut reasons = Vec::new();
        for schema in rules {
            match self.check(value, Place { schema, ..place }) {
                Ok(()) => return Ok(()),
                Err(why) => reasons.push(why),
            }
        }
        Err(format!("it is none of {}:\n{}", rules.len(), reasons.join("\n")))
    }

    /// An outcome has no member that its type does not name. Types of the protocol may be in several pieces.
    fn members(&self, value: &Value, schema: &Map<String, Value>, place: Place<'_>) -> Result<(), String> {
        let known = schema["properties"].as_object().unwrap();
        for (name, member) in value.as_object().into_iter().flatten() {
            match known.get(name) {
                Some(schema) => self.check(member, Place { schema, ..place })?,
                None if place.is_protocol || schema.contains_key("additionalProperties") => {}
                // A message of the server, which the protocol describes.
                None if known.contains_key("method") => {}
                None => return Err(format!("its member {name} is not described")),
            }
        }
        Ok(())
    }

    /// Runs a command with `--json` on this home, and checks each line. The last one.
    fn prints(&mut self, words: &str, arguments: &[&str], home: &Path) -> Value {
        let words: Vec<&str> = words.split_whitespace().collect();
        let flags = ["--json", "--home", home.to_str().unwrap()];
        // The settings of editors are in the user's folder, which a sandbox may not name.
        let output =
            super::skein(&[&words[..], &flags, arguments].concat()).env("HOME", "/home/user").output();
        let Output { stdout, stderr, .. } = output.unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
        let command = [&["skein"], &words[..]].concat().join(" ");
        let last = self.is_described(&command, &stdout);
        last.unwrap_or_else(|| panic!("{words:?} {arguments:?} prints nothing: {stderr}"))
    }

    /// Checks each line that a command has printed. The last one.
    pub(super) fn is_described(&mut self, command: &str, stdout: &str) -> Option<Value> {
        let schema = self.commands["commands"].get(command).unwrap_or_else(|| panic!("{command}"));
        let place = Place { schema, is_protocol: false };
        let lines = stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        for line in &lines {
            self.check(line, place).unwrap_or_else(|why| panic!("{command}: {why}"));
        }
        self.called.insert(command.to_owned());
        lines.last().cloned()
    }
}

fn cut(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

fn holds(is_so: bool, value: &Value, rule: &Value) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("{} against {rule}", cut(value))) }
}

fn has_type(value: &Value, rule: &Value) -> Result<(), String> {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    };
    holds(rule.as_array().map_or_else(|| is(rule), |names| names.iter().any(is)), value, rule)
}

fn has_members(value: &Value, rule: &Value) -> Result<(), String> {
    let names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let lacks = |name: &&str| value.as_object().is_some_and(|value| !value.contains_key(*name));
    names.clone().find(lacks).map_or(Ok(()), |name| Err(format!("it has no {name}")))
}

fn conversations(schemas: &mut Schemas, home: &Path) {
    assert_eq!(schemas.prints("run", &["hello"], home)["complete"], true);
    assert_eq!(schemas.prints("run", &["again"], home)["status"], "completed");
    assert_eq!(schemas.prints("threads", &[], home)["data"].as_array().unwrap().len(), 2);
    schemas.prints("threads list", &["--archived"], home);
    assert_eq!(schemas.prints("threads search", &["hello"], home)["data"].as_array().unwrap().len(), 1);
    let shown = schemas.prints("threads show", &["@1"], home);
    assert_eq!(shown["thread"]["turns"].as_array().unwrap().len(), 1);
    let id = shown["thread"]["id"].as_str().unwrap();
    schemas.prints("threads rename", &[id, "a name"], home);
    schemas.prints("threads unload", &[id], home);
    schemas.prints("threads archive", &[id], home);
    schemas.prints("threads unarchive", &[id], home);
    assert_eq!(schemas.prints("threads delete", &[id], home)["deleted"], id);
    let (_, chat, _) = super::conversation::fed(home, &["chat", "--json", "--last"], "more\n");
    assert_eq!(schemas.is_described("skein chat", &chat).unwrap()["status"], "completed");
}

/// A client is asked twice, and killed. The second question waits on, also over the stop of the server.
fn questions(schemas: &mut Schemas, home: &Path) {
    let mut bridge = super::skein(&["app-server", "--home", home.to_str().unwrap()]);
    let mut bridge = bridge.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, from) = (bridge.stdin.take().unwrap(), bridge.stdout.take().unwrap());
    let mut lines = BufReader::new(from).lines().map(Result::unwrap);
    let mut until = |what: &str| lines.find(|line| line.contains(what)).unwrap();
    let mut send = |method: &str, params: Value| {
        writeln!(to, "{}", json!({ "id": method, "method": method, "params": params })).unwrap();
    };
    send(Initialize::INFO.wire, json!({ "clientInfo": { "name": "test", "version": "1" } }));
    let mut ask = || {
        send(ThreadStart::INFO.wire, json!({}));
        let started: Value =
            serde_json::from_str(&until(&format!("\"id\":{:?}", ThreadStart::INFO.wire))).unwrap();
        let thread = started["result"]["thread"]["id"].clone();
        let input = json!([{ "type": "text", "text": "/ask Which?" }]);
        send(TurnStart::INFO.wire, json!({ "threadId": thread, "input": input }));
        until(ItemToolRequestUserInput::INFO.wire);
        thread
    };
    let (thread, _) = (ask(), ask());
    bridge.kill().unwrap();
    bridge.wait().unwrap();
    let listed = schemas.prints("questions", &[], home);
    assert_eq!(schemas.prints("questions list", &[], home), listed);
    let id = listed["data"][0]["id"].to_string();
    assert_eq!(schemas.prints("questions show", &[&id], home)["threadId"], thread);
    assert_eq!(schemas.prints("questions answer", &[&id, "red"], home)["answered"].to_string(), id);
    assert_eq!(schemas.prints("questions", &[], home)["data"].as_array().unwrap().len(), 1);
}

fn settings(schemas: &mut Schemas, home: &Path, folder: &Path) {
    let other = folder.join("other home");
    schemas.prints("config init", &[], &other);
    assert_eq!(schemas.prints("config check", &[], &other)["ok"], true);
    assert_eq!(schemas.prints("config check", &["-c", "limits.mailbox=0"], &other)["ok"], false);
    let shown = schemas.prints("config show", &["limits.mailbox", "-c", "limits.mailbox=3"], &other);
    assert_eq!(shown["data"][0]["origin"], "-c", "{shown}");
    schemas.prints("origins add", &["http://localhost:5173"], home);
    schemas.prints("origins list", &[], home);
    schemas.prints("origins remove", &["http://localhost:5173"], home);
    schemas.prints("mcp add", &["one", "--", "cat"], home);
    schemas.prints("mcp list", &[], home);
    assert_eq!(schemas.prints("mcp test", &["one"], home)["ok"], false);
    schemas.prints("mcp remove", &["one"], home);
    let file = folder.join("mcp.json");
    fs::write(&file, r#"{"mcpServers": {"two words": {"command": "cat"}, "bad": {}}}"#).unwrap();
    let imported = schemas.prints("mcp import", &[file.to_str().unwrap()], home);
    assert_eq!(imported["complete"], false, "{imported}");
}

fn credentials(schemas: &mut Schemas, home: &Path, address: &str) {
    let at = home.to_str().unwrap();
    assert_eq!(run(&["token", "create", "mine", "--home", at]).0, Some(0));
    for command in ["url", "open"] {
        let page = schemas.prints(command, &[], home);
        let (before, ticket) = page["url"].as_str().unwrap().split_once("/#ticket=").unwrap();
        assert_eq!(before, format!("http://{address}"));
        assert_eq!(redeemed(address, ticket).0, "200");
    }
    let tokens = schemas.prints("token list", &[], home);
    assert_eq!(tokens["data"][0]["name"], "mine", "{tokens}");
    schemas.prints("token revoke", &["mine"], home);
    let sessions = schemas.prints("sessions list", &[], home);
    schemas.prints("sessions revoke", &[sessions["data"][0]["id"].as_str().unwrap()], home);
}

fn served(schemas: &mut Schemas, home: &Path, folder: &Path) {
    let serving = Serving::start(home);
    let address = serving.ready["address"].as_str().unwrap().trim_start_matches("ws://").to_owned();
    assert_eq!(schemas.prints("", &[], home)["server"]["answers"], true);
    schemas.prints("status", &[], home);
    schemas.prints("helpers", &[], home);
    schemas.prints("call", &[ThreadList::INFO.wire], home);
    schemas.prints("doctor", &[], home);
    schemas.prints("editor", &[], home);
    for editor in ["tui", "zed", "vscode", "jetbrains", "t3"] {
        schemas.prints("editor", &[editor], home);
    }
    let (_, pages, _) = run(&["man", folder.join("man1").to_str().unwrap(), "--json"]);
    assert!(schemas.is_described("skein man", &pages).unwrap()["pages"].as_u64().unwrap() > 50);
    schemas.prints("bugreport", &[folder.join("report.md").to_str().unwrap()], home);
    credentials(schemas, home, &address);
    conversations(schemas, home);
    questions(schemas, home);
    settings(schemas, home, folder);
    schemas.prints("backup", &[folder.join("served.tar.gz").to_str().unwrap()], home);
    // The home is in use.
    let refused = schemas.prints("reindex", &[], home);
    assert_eq!(refused["servedBy"]["doing"], "serve", "{refused}");
    assert!(schemas.prints("stop", &[], home)["stopped"].is_number());
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

fn upkeep(schemas: &mut Schemas, home: &Path, folder: &Path) {
    schemas.prints("stop", &[], home);
    schemas.prints("", &[], home);
    let archive = folder.join("backup.tar.gz");
    let archive = archive.to_str().unwrap();
    assert_eq!(schemas.prints("backup", &[archive], home)["complete"], true);
    assert_eq!(schemas.prints("restore", &[archive], &folder.join("restored"))["complete"], true);
    schemas.prints("reindex", &[], home);
    let source = folder.join("codex");
    super::terminal::rollout_with(&source, "unheard_of");
    assert_eq!(schemas.prints("import", &[source.to_str().unwrap()], home)["imported"], 1);
    assert_eq!(schemas.prints("fsck", &["--gc"], home)["summary"]["left"], 0);
    // Other users can read them, and no history names the file.
    let texts = home.join("blobs/00");
    fs::create_dir_all(&texts).unwrap();
    fs::write(texts.join("0".repeat(64)), "text").unwrap();
    assert!(schemas.prints("fsck", &[], home)["summary"]["left"].as_u64() > Some(0));
}

#[test]
fn each_line_of_json_is_as_the_schema_says() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut schemas = Schemas::new();
    served(&mut schemas, &home, folder.path());
    upkeep(&mut schemas, &home, folder.path());
    schemas.called.extend(NOT_CALLED.map(str::to_owned));
    let described: BTreeSet<String> =
        schemas.commands["commands"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(schemas.called, described);
}

#[test]
fn a_line_with_a_wrong_a_lacking_or_another_member_is_refused() {
    let schemas = Schemas::new();
    let place = Place { schema: &schemas.commands["commands"]["skein reindex"], is_protocol: false };
    let refused = |line: &str| schemas.check(&serde_json::from_str(line).unwrap(), place).unwrap_err();
    assert!(schemas.check(&serde_json::json!({ "complete": true, "threads": 1, "ms": 2 }), place).is_ok());
    assert!(refused(r#"{"complete": true, "threads": 1}"#).contains("it has no ms"));
    assert!(refused(r#"{"complete": true, "threads": -1, "ms": 2}"#).contains("against 0"));
    assert!(refused(r#"{"complete": 1, "threads": 1, "ms": 2}"#).contains("boolean"));
    let another = refused(r#"{"complete": true, "threads": 1, "ms": 2, "more": 3}"#);
    assert!(another.contains("more is not described"), "{another}");
}
