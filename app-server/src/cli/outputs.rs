//! The lines that commands print with `--json`. docs/commands.schema.json is made from these types.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use skein_protocol::access::Access;
use skein_protocol::extension::{CredentialDetail, UnloadOutcome};
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::{Thread, ThreadSearchResult};
use skein_protocol::turn::TurnStatus;
use skein_store::backup::make::OmittedFile;
use skein_store::fsck::blobs::Unnamed;
use skein_store::fsck::finding::FsckSummary;

use super::service::UnitState;

/// The types of the protocol, as docs/commands.schema.json names their file.
const PROTOCOL: &str = "../protocol/generated/schema.json#/";

/// A reference to a place in the schema of the protocol.
pub(super) fn protocol(place: &str) -> Schema {
    json_schema!({ "$ref": format!("{PROTOCOL}{place}") })
}

fn thread(_: &mut SchemaGenerator) -> Schema {
    protocol("$defs/sent/Thread")
}

fn threads(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": protocol("$defs/sent/Thread") })
}

fn hits(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": protocol("$defs/sent/ThreadSearchResult") })
}

/// A written bug report.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BugReportOutcome {
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) lines: u64,
}

/// An editor that `skein editor` knows.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EditorLine {
    pub(super) editor: &'static str,
    pub(super) name: &'static str,
    /// How far it was tried with Skein.
    pub(super) tried: &'static str,
}

/// Instructions for an editor, with the paths of this machine.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EditorOutcome {
    pub(super) editor: &'static str,
    pub(super) name: &'static str,
    pub(super) tried: &'static str,
    /// A command to run once, before the others.
    pub(super) prepare: Option<Vec<String>>,
    /// The place of `paste`, for people.
    pub(super) place: Option<String>,
    /// The settings of the editor.
    pub(super) paste: Option<Value>,
    /// The commands that the editor starts, or one of which its user runs.
    pub(super) start: Vec<EditorStart>,
    /// Further sentences for people.
    pub(super) notes: Vec<String>,
}

/// A command of an editor.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EditorStart {
    pub(super) command: Vec<String>,
    /// The variables that are added to its environment.
    pub(super) env: BTreeMap<String, String>,
}

/// The service of a home.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServiceOutcome {
    /// The name of its unit.
    pub(super) unit: String,
    /// The path of the unit.
    pub(super) file: String,
    pub(super) home: String,
    /// Whether the file is there.
    pub(super) installed: bool,
    /// Null where systemd was not asked, or does not answer.
    pub(super) systemd: Option<UnitState>,
    /// Null if it does not answer, or was not asked.
    pub(super) server: Option<HomeServerOutcome>,
    /// The reason why systemd does not answer.
    pub(super) reason: Option<String>,
    /// The unit, where it has to be written by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
}

/// A list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Listing<T> {
    pub(super) data: Vec<T>,
}

/// The state of a home.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HomeOutcome<'a> {
    /// The version of this program.
    pub(super) version: &'a str,
    /// The path of the home.
    pub(super) home: String,
    pub(super) exists: bool,
    /// Null where nobody has the home.
    pub(super) server: Option<HomeServerOutcome>,
    /// The mistakes of the settings.
    pub(super) problem: Option<&'a str>,
    /// The next command.
    pub(super) next: Option<&'a str>,
}

/// The process that has the home.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HomeServerOutcome {
    pub(super) pid: Option<u32>,
    pub(super) address: Option<String>,
    /// Whether it answers as a server.
    pub(super) answers: bool,
}

/// The page of a home.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PageOutcome<'a> {
    /// Its address, with a ticket that is good for 30 s, once.
    pub(super) url: &'a str,
}

/// A new file of settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfigFileOutcome {
    /// Its path.
    pub(super) file: String,
    /// The path of its JSON Schema.
    pub(super) schema: String,
}

/// The mistakes of the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfigCheckOutcome {
    /// Whether a server starts with them.
    pub(super) ok: bool,
    /// The path of the file, which may be missing.
    pub(super) file: String,
    pub(super) errors: Vec<ConfigProblem>,
    pub(super) warnings: Vec<ConfigProblem>,
}

/// A mistake or a risk of a setting.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfigProblem {
    /// The file with its line, or `-c`.
    pub(super) place: String,
    /// The dotted key; empty where the problem is not about one.
    pub(super) key: String,
    pub(super) what: String,
    /// The remedy.
    pub(super) remedy: Option<String>,
}

/// A setting in force.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SettingLine {
    /// The dotted key.
    pub(super) key: String,
    /// The value, without secrets.
    pub(super) value: Value,
    /// Where it was written: the path of a file, `-c`, or `default`.
    pub(super) origin: String,
}

/// The manual pages.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ManualOutcome {
    /// The path of their folder.
    pub(super) folder: String,
    /// The number of pages.
    pub(super) pages: usize,
}

/// The end of a server.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StopOutcome {
    /// Its process; null without a server.
    pub(super) stopped: Option<i32>,
    /// The wait for its end, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<u64>,
    /// The work that ended with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waited_for: Option<Vec<String>>,
}

/// The end of a turn.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct TurnOutcome {
    /// Whether the turn has ended well.
    pub(super) complete: bool,
    pub(super) thread_id: ThreadId,
    /// Null before a turn began.
    pub(super) turn_id: Option<String>,
    pub(super) status: Option<TurnStatus>,
    /// The reason of a failed turn.
    pub(super) error: Option<String>,
    pub(super) exit_code: u8,
}

/// The threads of a home, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ThreadsOutcome<'a> {
    #[schemars(schema_with = "threads")]
    pub(super) data: &'a [Thread],
}

/// The threads that a search found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HitsOutcome<'a> {
    #[schemars(schema_with = "hits")]
    pub(super) data: &'a [ThreadSearchResult],
}

/// A thread with its turns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ThreadOutcome<'a> {
    #[schemars(schema_with = "thread")]
    pub(super) thread: &'a Thread,
}

/// A thread that left the list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ArchivedOutcome {
    pub(super) archived: ThreadId,
}

/// A thread that is in the list again.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UnarchivedOutcome {
    pub(super) unarchived: ThreadId,
}

/// A deleted thread.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeletedOutcome {
    pub(super) deleted: ThreadId,
}

/// A thread with a new name.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RenamedOutcome<'a> {
    pub(super) renamed: ThreadId,
    pub(super) name: &'a str,
}

/// A question that was answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AnsweredOutcome {
    pub(super) answered: i64,
}

/// A thread that is not loaded any more.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UnloadedOutcome {
    pub(super) thread: ThreadId,
    pub(super) state: UnloadOutcome,
}

/// Finished things of a long command.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ProgressLine {
    /// The part of the work, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<&'static str>,
    pub(super) done: u64,
    pub(super) total: u64,
}

/// Another process has the home. The exit code is 3, for fsck 8.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InUseOutcome<'a> {
    /// Always false.
    pub(super) complete: bool,
    pub(super) served_by: HolderOutcome<'a>,
}

/// The process that has the home, as far as it is known.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HolderOutcome<'a> {
    pub(super) pid: Option<u32>,
    /// Its command.
    pub(super) doing: Option<&'a str>,
    pub(super) address: Option<&'a str>,
    pub(super) control_socket: Option<&'a str>,
}

/// A written backup.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BackupOutcome<'a> {
    /// Whether nothing is left out.
    pub(super) complete: bool,
    pub(super) threads: u64,
    pub(super) files: u64,
    /// Bytes of these files.
    pub(super) bytes: u64,
    /// Bytes of the backup.
    pub(super) size: u64,
    pub(super) left_out: &'a [OmittedFile],
}

/// A restored home.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RestoreOutcome {
    pub(super) complete: bool,
    /// Threads that are new in the home.
    pub(super) threads: u64,
    /// Threads that were there already.
    pub(super) there: u64,
    /// Whether the settings came with them.
    pub(super) config: bool,
    /// Whether this run ended an interrupted restore.
    pub(super) resumed: bool,
}

/// A new list of threads.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReindexOutcome {
    pub(super) complete: bool,
    pub(super) threads: u64,
    pub(super) ms: u64,
}

/// A file that no history names.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UnnamedLine<'a> {
    pub(super) unnamed: &'a Unnamed,
}

/// The last line of a check.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FsckOutcome<'a> {
    pub(super) summary: &'a FsckSummary,
}

/// An import of threads.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportOutcome<'a> {
    pub(super) complete: bool,
    pub(super) imported: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    /// Rollouts without a message.
    pub(super) empty: u64,
    /// Threads that differ and were kept.
    pub(super) kept: Vec<KeptThread<'a>>,
    pub(super) problems: Vec<ImportProblem<'a>>,
    /// Skipped lines, by kind.
    pub(super) passed_over: &'a BTreeMap<String, u64>,
}

/// A thread that differs from the source.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptThread<'a> {
    pub(super) thread_id: ThreadId,
    pub(super) reason: &'a str,
}

/// An unreadable place of the source.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ImportProblem<'a> {
    pub(super) file: String,
    /// Counts from 1; null means the whole file.
    pub(super) line: Option<u64>,
    pub(super) reason: &'a str,
}

/// A token, or the session of a page.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CredentialLine<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// The only origin that may send it; null means any.
    pub(super) origin: Option<&'a str>,
    pub(super) scope: Access,
    /// Unix seconds.
    pub(super) created_at: i64,
    pub(super) last_used_at: Option<i64>,
    /// Null means never.
    pub(super) expires_at: Option<i64>,
}

impl<'a> CredentialLine<'a> {
    /// A credential whose kind is known.
    pub(super) fn of(one: &'a CredentialDetail) -> Self {
        Self {
            id: &one.id,
            name: &one.name,
            origin: one.origin.as_deref(),
            scope: one.scope,
            created_at: one.created_at,
            last_used_at: one.last_used_at,
            expires_at: one.expires_at,
        }
    }
}

/// A revoked token or session.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RevokedOutcome<'a> {
    pub(super) revoked: CredentialLine<'a>,
}

/// The running server after a change of the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReloadOutcome<'a> {
    pub(super) pid: Option<u32>,
    /// Whether it has read them.
    pub(super) reloaded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
}

/// The origins in the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OriginsOutcome<'a> {
    pub(super) data: Vec<OriginLine<'a>>,
    pub(super) file: String,
    /// The last ones that the server has refused; null without a server.
    pub(super) refused: Option<Vec<RefusedOriginLine<'a>>>,
}

/// An allowed origin.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OriginLine<'a> {
    pub(super) origin: &'a str,
}

/// A refused origin.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefusedOriginLine<'a> {
    pub(super) origin: &'a str,
    /// The last time, Unix milliseconds.
    pub(super) at_ms: i64,
    /// The command that allows it; null where many pages may share the origin.
    pub(super) command: Option<String>,
}

/// An added origin.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OriginAddedOutcome<'a> {
    pub(super) added: &'a str,
    /// Whether it was there already.
    pub(super) there: bool,
    pub(super) file: String,
    pub(super) risk: Option<&'a str>,
    pub(super) server: Option<ReloadOutcome<'a>>,
}

/// A removed origin or helper.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RemovedOutcome<'a> {
    pub(super) removed: &'a str,
    pub(super) file: String,
    /// Null where no server runs.
    pub(super) server: Option<ReloadOutcome<'a>>,
}

/// A helper in the settings, with its keys of config.toml. Secrets are masked.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HelperLine<'a> {
    pub(super) name: &'a str,
    pub(super) file: String,
    #[serde(flatten)]
    pub(super) keys: BTreeMap<String, Value>,
}

/// An added helper.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HelperAddedOutcome<'a> {
    pub(super) added: &'a str,
    pub(super) file: String,
    /// Whether other users could read the settings before, and cannot now.
    pub(super) closed: bool,
    /// Null where no server runs.
    pub(super) server: Option<ReloadOutcome<'a>>,
}

/// The helpers of a desktop client's file.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HelpersImportedOutcome<'a> {
    pub(super) complete: bool,
    pub(super) dry_run: bool,
    pub(super) file: String,
    pub(super) taken: Vec<TakenHelper<'a>>,
    /// The names of those that were configured already.
    pub(super) there: &'a [String],
    pub(super) left: Vec<SkippedHelperLine<'a>>,
    /// Null where no server runs.
    pub(super) server: Option<ReloadOutcome<'a>>,
}

/// A taken helper.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TakenHelper<'a> {
    pub(super) name: &'a str,
    /// Its name in the file.
    #[serde(rename = "said")]
    pub(super) name_in_file: &'a str,
    pub(super) enabled: bool,
    /// Members that Skein has no word for.
    pub(super) passed_over: &'a [String],
    /// Keys of the settings that were removed.
    pub(super) dropped: &'a [String],
}

/// A helper that cannot be used.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkippedHelperLine<'a> {
    pub(super) name: &'a str,
    pub(super) reason: &'a str,
}

/// The trial of a helper.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TrialOutcome<'a> {
    pub(super) name: &'a str,
    pub(super) ok: bool,
    /// The reason of a failure.
    pub(super) reason: Option<String>,
    pub(super) server_info: Option<ServerInfoLine<'a>>,
    /// The names of its tools; null after a failure.
    pub(super) tools: Option<Vec<&'a str>>,
    pub(super) containment: Option<&'a str>,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    /// The signal that ended it; null if it ended by itself.
    pub(super) stage: Option<&'a str>,
    /// Remaining processes.
    pub(super) left: Vec<LeftProcessLine<'a>>,
}

/// The name that a helper gives.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServerInfoLine<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
}

/// A remaining process.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LeftProcessLine<'a> {
    pub(super) pid: i32,
    pub(super) name: &'a str,
}
