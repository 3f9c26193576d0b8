//! Finds the rollouts in a folder of the peer, and the order of the files of each thread. All functions block and
//! only read.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;
use skein_protocol::ids::ThreadId;

use super::Problem;
use super::lines::{self, ForeignLine};
use super::meta::Meta;
use crate::policy;

/// A thread's rollout: one file, or several that continue each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForeignRollout {
    /// The first line of the newest file.
    pub(crate) meta: Meta,
    /// The files, oldest first.
    pub(crate) parts: Vec<RolloutPart>,
    /// Whether the peer has archived it.
    pub(crate) archived: bool,
    /// Bytes of all of its files.
    pub(crate) bytes: u64,
    /// The user's name for the thread.
    pub(crate) name: Option<String>,
}

/// A file and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RolloutPart {
    /// The file.
    pub(crate) path: PathBuf,
    /// The first `ordinal` to skip; `None` for the whole file.
    pub(crate) until: Option<u64>,
}

/// The content of a folder.
#[derive(Debug, Default)]
pub(crate) struct ForeignFiles {
    /// The rollouts, oldest first.
    pub(crate) rollouts: Vec<ForeignRollout>,
    /// Unreadable files.
    pub(crate) problems: Vec<Problem>,
}

/// A file and its first line.
#[derive(Debug, Clone)]
struct Segment {
    path: PathBuf,
    meta: Meta,
    bytes: u64,
    archived: bool,
}

/// Searches a home of the peer (`sessions` and `archived_sessions`), any folder, or one file.
///
/// # Errors
/// The place itself is unreadable.
pub(crate) fn find(from: &Path) -> io::Result<ForeignFiles> {
    let mut found = ForeignFiles::default();
    let mut files = Vec::new();
    if fs::metadata(from)?.is_file() {
        files.push(from.to_owned());
    } else {
        let is_home = ["sessions", "archived_sessions"].map(|name| from.join(name));
        let roots: Vec<PathBuf> = is_home.into_iter().filter(|root| root.is_dir()).collect();
        let roots = if roots.is_empty() { vec![from.to_owned()] } else { roots };
        for root in roots {
            walk(&root, policy::IMPORT_DEPTH, &mut files, &mut found.problems)?;
        }
    }
    files.sort();
    let mut segments: HashMap<ThreadId, Vec<Segment>> = HashMap::new();
    for path in files {
        match segment(&path) {
            Ok(Some(segment)) => segments.entry(segment.meta.created.id).or_default().push(segment),
            Ok(None) => found.problems.push(Problem::new(
                &path,
                1,
                "it does not say which thread this is (no session_meta)",
            )),
            Err(error) => found.problems.push(Problem::new(&path, 0, error)),
        }
    }
    for list in segments.values_mut() {
        list.sort_by(|one, other| (one.meta.at, &one.path).cmp(&(other.meta.at, &other.path)));
    }
    let names = names(from);
    for (thread, list) in &segments {
        let Some(newest) = list.last() else { continue };
        match chain(newest, &segments) {
            Ok(rollout) => {
                found.rollouts.push(ForeignRollout { name: names.get(thread).cloned(), ..rollout })
            }
            Err(problem) => found.problems.push(problem),
        }
    }
    found.rollouts.sort_by_key(|rollout| (rollout.meta.at, rollout.meta.created.id));
    Ok(found)
}

fn walk(
    folder: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    problems: &mut Vec<Problem>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && depth > 0 {
            if let Err(error) = walk(&path, depth - 1, files, problems) {
                problems.push(Problem::new(&path, 0, error));
            }
        } else if name.starts_with("rollout-") && name.ends_with(".jsonl") {
            files.push(path);
        } else if name.starts_with("rollout-") && name.ends_with(".jsonl.zst") {
            let why = "it is compressed; unpack it first, with: zstd -d";
            problems.push(Problem::new(&path, 0, why));
        }
    }
    Ok(())
}

fn segment(path: &Path) -> io::Result<Option<Segment>> {
    let mut file = lines::open(path)?;
    let bytes = file.get_ref().metadata()?.len();
    let Some(ForeignLine::Whole(line)) = lines::next(&mut file)? else { return Ok(None) };
    let Some(meta) = serde_json::from_slice::<Value>(&line).ok().as_ref().and_then(Meta::of) else {
        return Ok(None);
    };
    let archived =
        path.ancestors().any(|above| above.file_name().is_some_and(|name| name == "archived_sessions"));
    Ok(Some(Segment { path: path.to_owned(), meta, bytes, archived }))
}

/// The files of a rollout, from its newest one back.
fn chain(newest: &Segment, segments: &HashMap<ThreadId, Vec<Segment>>) -> Result<ForeignRollout, Problem> {
    let mut parts = vec![RolloutPart { path: newest.path.clone(), until: None }];
    let mut bytes = newest.bytes;
    let (mut at, mut until) = (newest, u64::MAX);
    let mut seen = HashSet::from([&newest.path]);
    while let Some(base) = at.meta.base {
        let earlier = segments.get(&base.thread).into_iter().flatten().rev();
        let before =
            earlier.into_iter().find(|other| other.meta.at <= at.meta.at && !seen.contains(&other.path));
        let Some(before) = before else {
            let why = format!("its beginning is in the rollout of thread {}, which is not here", base.thread);
            return Err(Problem::new(&newest.path, 1, why));
        };
        seen.insert(&before.path);
        until = until.min(base.end);
        parts.push(RolloutPart { path: before.path.clone(), until: Some(until) });
        bytes = bytes.saturating_add(before.bytes);
        at = before;
    }
    parts.reverse();
    let mut meta = newest.meta.clone();
    if at.meta.created.id == meta.created.id {
        meta.at = at.meta.at;
    }
    Ok(ForeignRollout { meta, parts, archived: newest.archived, bytes, name: None })
}

/// Users' names for threads; the last line about a thread counts.
fn names(home: &Path) -> HashMap<ThreadId, String> {
    let mut names = HashMap::new();
    let Ok(mut file) = lines::open(&home.join("session_index.jsonl")) else { return names };
    while let Ok(Some(line)) = lines::next(&mut file) {
        let (ForeignLine::Whole(line) | ForeignLine::Unended(line)) = line else { continue };
        let Ok(line) = serde_json::from_slice::<Value>(&line) else { continue };
        let thread = line.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        if let (Some(thread), Some(name)) = (thread, super::meta::text(&line, "thread_name")) {
            names.insert(thread, name);
        }
    }
    names
}
