//! Problems around a home that a start or a turn would meet: keys, programs of helpers, ports, limits, and files that are
//! something else. Each is found without a change.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use skein_config::policy::DEFAULT_PORT;
use skein_config::{Flags, ServerConfig};
use skein_helpers::{HelperSpec, StdioSpec, Transport};
use skein_store::home::{Home, HomePaths, holder};

use super::super::launch::is_program;
use super::DoctorFinding;

/// Free bytes below which a disk counts as full. A long turn writes less.
const FREE_BYTES: u64 = 16 << 20;

/// The size of files that a server needs: an index and long threads.
const FILE_BYTES: u64 = 64 << 20;

/// Everything that is wrong; nothing about good surroundings.
pub(super) fn findings(flags: &Flags, root: &Path) -> Vec<DoctorFinding> {
    let mut found: Vec<DoctorFinding> =
        file_size().into_iter().chain(disk(root)).chain(files(root)).collect();
    found.extend(port(root));
    if let Ok(config) = ServerConfig::load(flags) {
        found.extend(key(&config));
        found.extend(config.helpers.values().filter_map(helper));
    }
    found
}

fn key(config: &ServerConfig) -> Option<DoctorFinding> {
    let missing = config.missing_key(|name| std::env::var_os(name))?;
    let way_out = format!("export {}=..., and start the server with it", missing.variable);
    Some(DoctorFinding::warning("model", missing.to_string(), &way_out))
}

/// Whether the program of a helper is there.
fn helper(spec: &HelperSpec) -> Option<DoctorFinding> {
    let Transport::Stdio(StdioSpec { command, cwd, .. }) = &spec.transport else { return None };
    let name = &spec.name;
    if let Some(cwd) = cwd.as_ref().filter(|cwd| cwd.is_absolute() && !cwd.is_dir()) {
        let text = format!("the folder of helper {name} is not there: {}", cwd.display());
        return Some(DoctorFinding::warning("helper", text, "make it, or change cwd in config.toml"));
    }
    if is_program(command) {
        return None;
    }
    let text = format!("the program of helper {name} is not there: {command}");
    let way_out = format!("install it, or change its command in config.toml; then: skein mcp test {name}");
    Some(DoctorFinding::warning("helper", text, &way_out))
}

/// Whether the usual port is free, for a home without a server.
fn port(root: &Path) -> Option<DoctorFinding> {
    if holder(&HomePaths::new(root)).is_some()
        || TcpListener::bind((Ipv4Addr::LOCALHOST, DEFAULT_PORT)).is_ok()
    {
        return None;
    }
    let text = format!("another program has port {DEFAULT_PORT} of 127.0.0.1");
    let way_out = "skein open takes a free one; skein serve --listen ws://127.0.0.1:0, too";
    Some(DoctorFinding::warning("port", text, way_out))
}

fn file_size() -> Option<DoctorFinding> {
    let most = getrlimit(Resource::Fsize).current?;
    let text = format!("this shell lets a file have {most} bytes at most");
    let way_out =
        "raise the limit before the start (ulimit -f unlimited): histories and the index are larger";
    (most < FILE_BYTES).then(|| DoctorFinding::error("file size", text, way_out))
}

/// Whether the disk of the home has room.
fn disk(root: &Path) -> Option<DoctorFinding> {
    let there = root.ancestors().find(|folder| folder.is_dir())?;
    let disk = statvfs(there).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let text = format!("the disk of {} has {} KiB left", root.display(), free / 1024);
    (free < FREE_BYTES)
        .then(|| DoctorFinding::error("disk", text, "make room on that disk, or name another home"))
}

/// Files of the home that are something else.
fn files(root: &Path) -> Vec<DoctorFinding> {
    let mut found = Vec::new();
    let mut wrong = |name: &'static str, text: String, way_out: &str| {
        found.push(DoctorFinding::error(name, text, way_out));
    };
    let above = root.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
    if let Some(above) = above.filter(|above| !above.is_dir()) {
        wrong(
            "home",
            format!("{} is no folder", above.display()),
            "move it away, or name another home (--home)",
        );
        return found;
    }
    let paths = HomePaths::new(root);
    if fs::symlink_metadata(paths.lock()).is_ok_and(|lock| !lock.is_file()) {
        wrong(
            "lock",
            format!("{} is no regular file", paths.lock().display()),
            "move it away; a start makes it",
        );
    }
    for folder in ["threads", "archived", "trash", "open", "blobs"].map(|name| root.join(name)) {
        if fs::symlink_metadata(&folder).is_ok() && !folder.is_dir() {
            wrong("home", format!("{} is no folder", folder.display()), "move it away; a start makes it");
        }
    }
    let socket = paths.control_socket();
    if fs::symlink_metadata(&socket).is_ok_and(|seen| !seen.file_type().is_socket()) {
        wrong("control", format!("{} is no socket", socket.display()), "move it away; a start makes it");
    }
    found.extend(former(root));
    found
}

/// The traces of a server that has ended without a stop.
fn former(root: &Path) -> Option<DoctorFinding> {
    match Home::read_server_json(root) {
        Err(error) if root.exists() => {
            Some(DoctorFinding::error("server.json", error.to_string(), "remove it; a start writes it"))
        }
        Ok(Some(gone)) if holder(&HomePaths::new(root)).is_none() => {
            let text = format!("process {} that served the home has ended without a stop", gone.pid);
            Some(DoctorFinding::warning("former", text, "the next start cleans up after it"))
        }
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_without_a_program_is_named_with_the_next_command() {
        let spec = |command: &str| {
            HelperSpec::reached(
                "files",
                Transport::Stdio(StdioSpec { command: command.to_owned(), ..StdioSpec::default() }),
            )
        };
        assert!(helper(&spec("sh")).is_none());
        for missing in ["no-such-program-here", "/nowhere/program"] {
            let finding = helper(&spec(missing)).unwrap();
            assert!(finding.text.contains(missing), "{}", finding.text);
            assert!(finding.way_out.unwrap().contains("skein mcp test files"));
        }
    }
}
