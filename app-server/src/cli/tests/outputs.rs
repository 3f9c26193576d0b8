//! docs/commands.schema.json: a JSON Schema for the lines that each command prints with `--json`.

use clap::{Command, CommandFactory};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use skein_protocol::methods::{SkeinHelpersList, SkeinQuestionsList, SkeinStatus};
use skein_protocol::table::Method;
use skein_store::fsck::finding::FsckFinding;

use super::super::Cli;
use super::super::doctor::DoctorReport;
use super::super::outputs::*;
use super::documents::root;

const SCHEMA: &str = "docs/commands.schema.json";

/// The lines of each command.
struct Outputs {
    types: SchemaGenerator,
    commands: Map<String, Value>,
}

impl Outputs {
    fn line<T: JsonSchema>(&mut self, command: &str) {
        let line = self.types.subschema_for::<T>().to_value();
        self.place(command, line);
    }

    /// A line of a kind that another file describes.
    fn place(&mut self, command: &str, line: Value) {
        let lines = self.commands.entry(command).or_insert_with(|| json!({ "anyOf": [] }));
        lines["anyOf"].as_array_mut().unwrap().push(line);
    }

    fn answer<M: Method>(&mut self, command: &str) {
        let answer = protocol(&format!("methods/{}/result", M::INFO.wire.replace('/', "~1")));
        self.place(command, answer.to_value());
    }

    fn all() -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let mut all = Self { types: settings.into_generator(), commands: Map::new() };
        all.home();
        all.threads();
        all.credentials();
        all.settings();
        all.upkeep();
        all
    }

    fn home(&mut self) {
        self.line::<HomeOutcome<'_>>("skein");
        self.line::<PageOutcome<'_>>("skein open");
        self.line::<PageOutcome<'_>>("skein url");
        self.line::<StopOutcome>("skein stop");
        self.line::<ManualOutcome>("skein man");
        self.line::<DoctorReport>("skein doctor");
        self.line::<BugReportOutcome>("skein bugreport");
        self.line::<EditorOutcome>("skein editor");
        self.line::<Listing<EditorLine>>("skein editor");
        for command in ["skein service install", "skein service remove", "skein service status"] {
            self.line::<ServiceOutcome>(command);
        }
        self.answer::<SkeinQuestionsList>("skein questions");
        self.answer::<SkeinQuestionsList>("skein questions list");
        self.place("skein questions show", protocol("$defs/sent/ListedQuestion").to_value());
        self.line::<AnsweredOutcome>("skein questions answer");
        self.answer::<SkeinStatus>("skein status");
        self.answer::<SkeinHelpersList>("skein helpers");
        let answer = "The answer of the method: its `result` in ../protocol/generated/schema.json. \
                      With --follow, the messages after it.";
        self.place("skein call", json!({ "description": answer }));
    }

    fn threads(&mut self) {
        self.line::<ThreadsOutcome<'_>>("skein threads");
        self.line::<ThreadsOutcome<'_>>("skein threads list");
        self.line::<HitsOutcome<'_>>("skein threads search");
        self.line::<ThreadOutcome<'_>>("skein threads show");
        self.line::<RenamedOutcome<'_>>("skein threads rename");
        self.line::<ArchivedOutcome>("skein threads archive");
        self.line::<UnarchivedOutcome>("skein threads unarchive");
        self.line::<DeletedOutcome>("skein threads delete");
        self.line::<UnloadedOutcome>("skein threads unload");
        for command in ["skein threads tail", "skein run", "skein chat"] {
            self.place(
                command,
                json!({
                    "description": "A message of the server: one of `notifications` or `serverRequests` in \
                                    ../protocol/generated/schema.json.",
                    "type": "object",
                    "properties": { "method": { "type": "string" }, "params": { "type": "object" } },
                    "required": ["method", "params"],
                }),
            );
        }
        self.line::<TurnOutcome>("skein run");
        self.line::<TurnOutcome>("skein chat");
    }

    fn credentials(&mut self) {
        for (list, revoke) in
            [("skein token list", "skein token revoke"), ("skein sessions list", "skein sessions revoke")]
        {
            self.line::<Listing<CredentialLine<'_>>>(list);
            self.line::<RevokedOutcome<'_>>(revoke);
            self.line::<InUseOutcome<'_>>(revoke);
        }
    }

    fn settings(&mut self) {
        self.line::<ConfigFileOutcome>("skein config init");
        self.line::<ConfigCheckOutcome>("skein config check");
        self.line::<Listing<SettingLine>>("skein config show");
        self.line::<OriginsOutcome<'_>>("skein origins list");
        self.line::<OriginAddedOutcome<'_>>("skein origins add");
        self.line::<RemovedOutcome<'_>>("skein origins remove");
        self.line::<Listing<HelperLine<'_>>>("skein mcp list");
        self.line::<HelperAddedOutcome<'_>>("skein mcp add");
        self.line::<TrialOutcome<'_>>("skein mcp add");
        self.line::<TrialOutcome<'_>>("skein mcp test");
        self.line::<RemovedOutcome<'_>>("skein mcp remove");
        self.line::<HelpersImportedOutcome<'_>>("skein mcp import");
    }

    fn upkeep(&mut self) {
        for command in ["skein backup", "skein restore", "skein reindex", "skein import", "skein migrate"] {
            self.line::<ProgressLine>(command);
        }
        for command in ["skein restore", "skein reindex", "skein import", "skein migrate"] {
            self.line::<InUseOutcome<'_>>(command);
        }
        self.line::<BackupOutcome<'_>>("skein backup");
        self.line::<RestoreOutcome>("skein restore");
        self.line::<ReindexOutcome>("skein reindex");
        self.line::<ImportOutcome<'_>>("skein import");
        self.line::<ClusterOutcome>("skein cluster init");
        self.line::<ClusterOutcome>("skein cluster upgrade");
        self.line::<RestoredClusterOutcome>("skein cluster restored");
        self.line::<ClusterStatusOutcome<'_>>("skein cluster status");
        self.line::<DrainOutcome<'_>>("skein cluster drain");
        self.line::<MigrateOutcome<'_>>("skein migrate");
        self.line::<FsckFinding>("skein fsck");
        self.line::<UnnamedLine<'_>>("skein fsck");
        self.line::<FsckOutcome<'_>>("skein fsck");
    }

    fn document(mut self) -> String {
        let document = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "The output of skein with --json",
            "description": "`commands` has the schema of each line that a command prints on stdout.",
            "commands": self.commands,
            "$defs": self.types.take_definitions(true),
        });
        format!("{document:#}\n")
    }
}

/// With `SKEIN_GENERATE` it writes the file, as `scripts/generate` does.
#[test]
fn the_schema_of_commands_is_as_generated() {
    let (path, expected) = (root().join(SCHEMA), Outputs::all().document());
    if std::env::var_os("SKEIN_GENERATE").is_some() {
        std::fs::write(path, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "{SCHEMA} is out of date: run scripts/generate; {differs:?}");
}

fn with_json(command: &Command, found: &mut Vec<String>) {
    if command.get_arguments().any(|arg| arg.get_long() == Some("json")) {
        found.push(command.get_bin_name().unwrap_or("skein").to_owned());
    }
    command.get_subcommands().for_each(|command| with_json(command, found));
}

#[test]
fn the_schema_has_each_command_that_takes_json() {
    let mut table = Cli::command();
    table.build();
    let mut taken = Vec::new();
    with_json(&table, &mut taken);
    taken.sort();
    let described: Vec<String> = Outputs::all().commands.keys().cloned().collect();
    assert_eq!(described, taken);
}
