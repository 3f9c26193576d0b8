//! Checks a home and its server, and the containment of that server's helpers.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skein_app_server::policy;
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_config::access::{CredentialFile, Credentials, is_open_to_others, read_token_file};
use skein_helpers::{levels, tagged_processes};
use skein_protocol::extension::HeldDetails;
use skein_protocol::methods::SkeinStatus;
use skein_protocol::table::Method;
use skein_store::home::{self, HomePaths, SERVE, holder};

use super::super::client::CliClient;
use super::DoctorFinding;

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HomeServer {
    pid: Option<u32>,
    address: Option<String>,
    control_socket: Option<String>,
    /// The containment of its helpers by `skein/status`; `None` without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<HeldDetails>,
}

/// The members of `skein/status` that matter, of any server version.
#[derive(Deserialize)]
struct ServerStatus {
    helpers: ServerHelpers,
}

#[derive(Deserialize)]
struct ServerHelpers {
    held: HeldDetails,
}

/// Whether the home is usable, and whether a former server left processes.
pub(super) fn findings(root: &Path) -> Vec<DoctorFinding> {
    let name = "home";
    let shown = root.display();
    if !root.exists() {
        return vec![DoctorFinding::ok(name, format!("{shown} is not there; the first start makes it"))];
    }
    let mut found = match access(root, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => vec![DoctorFinding::ok(name, format!("{shown} can be written"))],
        Err(error) => {
            let remedy =
                if error == Errno::EROFS { "mount it for writing" } else { "give the folder to this user" };
            let way_out = format!("{remedy}, or name another with --home or $SKEIN_HOME");
            vec![DoctorFinding::error(name, format!("{shown} cannot be used: {}", error.desc()), &way_out)]
        }
    };
    let mode = fs::metadata(root).map_or(0, |seen| seen.mode());
    if mode & 0o077 != 0 {
        let text = format!("others can look into {shown} (its mode is {:o})", mode & 0o777);
        found.push(DoctorFinding::warning(
            name,
            text,
            "chmod 700 it; a start of the server does so where the folder is its own",
        ));
    }
    let marked = home::tag(root).map_or(0, tagged_processes);
    if marked > 0 && holder(&HomePaths::new(root)).is_none() {
        let text = format!("{marked} processes of a former server's helpers are left");
        let way_out = "the next start ends them, before its first helper";
        found.push(DoctorFinding::warning(name, text, way_out));
    }
    found
}

/// Whether the sessions and tokens of the home can be used, and others can read them.
pub(super) async fn credentials(root: &Path) -> Option<DoctorFinding> {
    let (name, path) = ("credentials", HomePaths::new(root).access());
    if !path.exists() {
        return None;
    }
    let file = CredentialFile::new(path.clone(), Tasks::new());
    let credentials = match Credentials::open(Arc::new(file), Clock).await {
        Ok(credentials) => credentials,
        Err(error) => {
            return Some(DoctorFinding::error(name, error.to_string(), "the server does not start with it"));
        }
    };
    if is_open_to_others(&path) {
        let text = format!("others can read or write {}", path.display());
        let way_out =
            "chmod 600 it, and revoke what they may have added: skein token list, skein sessions list";
        return Some(DoctorFinding::warning(name, text, way_out));
    }
    Some(DoctorFinding::ok(name, format!("{} sessions and tokens", credentials.list().len())))
}

/// Whether a token file can be used, and others can read it.
pub(super) fn token_file(path: &Path) -> DoctorFinding {
    let name = "token file";
    match read_token_file(path) {
        Err(error) => DoctorFinding::error(name, error.to_string(), "the server does not start with it"),
        Ok(_) if is_open_to_others(path) => {
            let text = format!("others can read or write {}", path.display());
            DoctorFinding::warning(name, text, "chmod 600 it, and write another token there")
        }
        Ok(_) => DoctorFinding::ok(name, format!("{} has a token", path.display())),
    }
}

/// The server of the home, and its own report.
pub(super) async fn server(root: &Path) -> (Option<HomeServer>, DoctorFinding) {
    let name = "server";
    let Some(by) = holder(&HomePaths::new(root)) else {
        return (None, DoctorFinding::ok(name, "nobody has the home now".to_owned()));
    };
    let pid = by.pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
    let doing = by.doing.as_ref().map(|doing| format!(" (skein {doing})")).unwrap_or_default();
    let place = by.place().map(|place| format!(" {place}")).unwrap_or_default();
    let text = format!("{pid}{doing} has the home{place}");
    if by.doing.is_some_and(|doing| doing != SERVE) {
        return (None, DoctorFinding::ok(name, text));
    }
    let (held, finding) = match ask(root).await {
        Ok(held) => {
            let finding = DoctorFinding::ok(name, format!("{text}; its {}", levels::summary(&held)));
            (Some(held), finding)
        }
        Err(error) => {
            let way_out =
                "ask as the user that runs it, or wait until it has started or ended; its log says more";
            let text = format!("{text}, and does not answer: {}", error.root_cause());
            (None, DoctorFinding::warning(name, text, way_out))
        }
    };
    (Some(HomeServer { pid: by.pid, address: by.address, control_socket: by.control_socket, held }), finding)
}

/// The containment of the running server.
async fn ask(root: &Path) -> anyhow::Result<HeldDetails> {
    let root = std::path::absolute(root).context("the home's path")?;
    let asked = async {
        let mut client = CliClient::open_home(&root).await?;
        let answer = client.call(SkeinStatus::INFO.wire, None, |_| Ok(())).await?;
        client.close().await;
        let status: ServerStatus =
            serde_json::from_str(answer.get()).context("the server is of another version")?;
        Ok(status.helpers.held)
    };
    let answered = tokio::time::timeout(policy::DOCTOR_PATIENCE, asked).await;
    answered.unwrap_or_else(|_| anyhow::bail!("no answer within {} s", policy::DOCTOR_PATIENCE.as_secs()))
}
