//! The lines that commands print with `--json`. docs/commands.schema.json is made from these types.

mod settings;

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
pub(in crate::cli) use settings::*;

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

/// A database with tables for threads.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClusterOutcome {
    /// Its address, without a password.
    pub(super) url: String,
    /// The id of the tables.
    pub(super) cluster: String,
    /// Their form.
    pub(super) schema: i32,
    /// Whether this run made them, or brought them up to date.
    pub(super) made: bool,
}

/// A restored copy of a database that has become a cluster of its own.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RestoredClusterOutcome {
    /// Its address, without a password.
    pub(super) url: String,
    /// The new id.
    pub(super) cluster: String,
}

/// A cluster and its servers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterStatusOutcome<'a> {
    /// Its address, without a password.
    pub(super) url: String,
    /// Its id.
    pub(super) cluster: String,
    /// The form of its tables.
    pub(super) schema: i32,
    /// Threads whose end is not closed, such as loaded ones.
    pub(super) open: u64,
    /// The place from which threads are on their way into it (`skein migrate`). No server gets it meanwhile.
    pub(super) arriving_from: Option<&'a str>,
    /// Those that live, in the order of their names, then earlier starts, the last to beat first; at most 100 in all.
    pub(super) nodes: Vec<NodeLine<'a>>,
}

/// A server of a cluster.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeLine<'a> {
    pub(super) name: &'a str,
    /// Whether it serves. A killed server does so for some seconds more.
    pub(super) live: bool,
    /// Whether it was asked to end, and lets its turns end.
    pub(super) draining: bool,
    /// The threads that it has.
    pub(super) threads: u64,
    /// Milliseconds since its last beat.
    pub(super) silent_ms: u64,
}

/// A server of a cluster that has stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DrainOutcome<'a> {
    /// The address of the database, without a password.
    pub(super) url: String,
    /// Its name.
    pub(super) node: &'a str,
    /// From the wish to its end.
    pub(super) seconds: f64,
}

/// A move of all threads between a home and a database.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MigrateOutcome<'a> {
    pub(super) complete: bool,
    /// Threads that were moved.
    pub(super) moved: u64,
    /// Threads that an earlier run has moved.
    pub(super) there: u64,
    /// Lines of the moved threads.
    pub(super) lines: u64,
    /// Damaged lines among them.
    pub(super) damaged: u64,
    /// Bytes of damage without a number, which stay at the source.
    pub(super) unnumbered: u64,
    /// Large texts that were lost before.
    pub(super) lost: u64,
    /// Where the originals are: a folder, or the database.
    pub(super) left: &'a str,
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
