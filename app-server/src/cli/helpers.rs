//! `skein helpers`: prints the helpers of a running server and their processes.

use std::collections::HashMap;

use skein_protocol::extension::{HelperDetail, HelperIsolation, HelperState, SkeinHelpersListResponse};

use super::out::one_line;

/// A line for each helper, with its tree of processes below it.
pub(super) fn table(listed: &SkeinHelpersListResponse) -> String {
    if listed.data.is_empty() {
        return "there are no helpers".to_owned();
    }
    listed.data.iter().flat_map(lines).map(|line| one_line(&line).into_owned()).collect::<Vec<_>>().join("\n")
}

pub(super) fn lines(helper: &HelperDetail) -> Vec<String> {
    let HelperDetail { name, state, reason, processes, memory_bytes, queued, stderr, .. } = helper;
    let spoken =
        helper.protocol_version.as_ref().map(|version| format!(", MCP {version}")).unwrap_or_default();
    let size = format!("{} processes, {} KiB{spoken}", processes.len(), memory_bytes / 1024);
    let waiting = if *queued > 0 { format!(", {queued} messages wait") } else { String::new() };
    let calls = if helper.waiting > 0 { format!(", {} calls wait", helper.waiting) } else { String::new() };
    let others = if helper.waits_for_others { ", waits for somebody else" } else { "" };
    let (whose, shared, state) = (threads(helper), shared(helper), word(*state));
    let mut lines = vec![format!("{whose}  {name}  {state}{shared}: {size}{waiting}{calls}{others}")];
    let mut depths = HashMap::new();
    for process in processes {
        let depth = depths.get(&process.parent).map_or(1, |depth| depth + 1);
        depths.insert(process.pid, depth);
        let indent = "  ".repeat(depth);
        lines.push(format!("{indent}{} {}, {} KiB", process.pid, process.name, process.memory_bytes / 1024));
    }
    // The reason of a failure already includes stderr.
    let said = reason.as_deref().or_else(|| stderr.lines().next_back());
    lines.extend(said.into_iter().flat_map(str::lines).map(|line| format!("  | {line}")));
    lines
}

/// The threads that use it.
fn threads(helper: &HelperDetail) -> String {
    match (&helper.thread_id, helper.thread_ids.len()) {
        (Some(first), 0 | 1) => first.to_string(),
        (Some(first), several) => format!("{first} and {} more", several - 1),
        (None, _) => "no thread".to_owned(),
    }
}

/// The threads that may share it.
fn shared(helper: &HelperDetail) -> String {
    let isolation = match helper.isolation {
        HelperIsolation::Thread => "",
        HelperIsolation::Project => ", one for the project",
        HelperIsolation::Shared => ", shared",
    };
    let quarantined = if helper.quarantined { ", does not respond and takes no calls" } else { "" };
    format!("{isolation}{quarantined}")
}

fn word(state: HelperState) -> &'static str {
    match state {
        HelperState::Disabled => "disabled",
        HelperState::Starting => "starting",
        HelperState::Ready => "ready",
        HelperState::Busy => "busy",
        HelperState::Unresponsive => "unresponsive",
        HelperState::Restarting => "restarting",
        HelperState::Broken => "broken",
        HelperState::Stopping => "stopping",
        HelperState::Stopped => "stopped",
    }
}
