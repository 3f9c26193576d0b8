//! Another user of the machine, who gets nothing from a server: no answer, no file, and no effect.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::home::{Home, PATIENCE, Setup};
use skein_integration_tests::paths;
use skein_integration_tests::process::wait_until;
use skein_integration_tests::users::{self, OTHERS};
use skein_protocol::methods::{SkeinCredentialList, SkeinStatus, ThreadList, ThreadStart};
use skein_protocol::table::Method;
use uuid::Uuid;

use super::{greeting, request};

const ROOT: u32 = 0;
/// The first runs the server, the second has no right to it.
const PAIRS: [(u32, u32); 3] = [(ROOT, OTHERS[0]), (OTHERS[0], OTHERS[1]), (OTHERS[0], ROOT)];

/// A server of the user `own`, and another user.
struct Users {
    home: Home,
    own: u32,
    other: u32,
}

/// A request of a program, as `mcp-helper --connect` takes it; the answer is its report.
fn connect(user: u32, door: &str, mut request: Value) -> Result<Value> {
    request["door"] = json!(door);
    let report = output(user, &paths::mcp_helper()?, &["--connect", &request.to_string()])?;
    serde_json::from_str(&report).with_context(|| format!("{request}: {report}"))
}

/// The output of a program of a user.
fn output(user: u32, program: &Path, arguments: &[&str]) -> Result<String> {
    let set_up = |command: &mut Command| {
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    };
    let done = users::spawn_as(user, program, set_up).and_then(Child::wait_with_output)?;
    Ok(String::from_utf8(done.stdout)?)
}

/// The reason of a refusal with this status.
fn reason(report: &Value, status: u16) -> Result<String> {
    ensure!(report["status"] == status, "{report}");
    let body: Value = serde_json::from_str(report["body"].as_str().context("a body")?)?;
    Ok(body["reason"].as_str().with_context(|| format!("no reason: {report}"))?.to_owned())
}

/// Messages that leave a trace: a new thread.
fn messages() -> Vec<Value> {
    let mut messages = greeting();
    messages.push(request::<ThreadStart>(2, json!({})));
    messages.push(request::<ThreadList>(3, json!({})));
    messages
}

impl Users {
    /// A server for each pair of users, with these settings.
    async fn each(setup: impl Fn(Setup) -> Setup) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (own, other) in PAIRS {
            let home = setup(Home::setup()).as_user(own).start().await?;
            all.push(Self { home, own, other });
        }
        Ok(all)
    }

    fn control(&self) -> String {
        self.home.path().join("control.sock").to_string_lossy().into_owned()
    }

    fn port(&self) -> &str {
        let address = self.home.address();
        address.strip_prefix("ws://").or(address.strip_prefix("unix://")).unwrap_or(address)
    }

    /// The result of a method, for the user of the server.
    fn call<M: Method>(&self) -> Result<Value> {
        let mut messages = greeting();
        messages.push(request::<M>(2, json!({})));
        let report = connect(self.own, &self.control(), json!({ "messages": messages }))?;
        let result = report["answers"][1]["result"].clone();
        ensure!(!result.is_null(), "{report}");
        Ok(result)
    }

    /// A number of the status, below `admission`.
    fn refused(&self, what: &str) -> Result<u64> {
        self.call::<SkeinStatus>()?["admission"][what].as_u64().context("a number")
    }

    /// Lets everybody reach the sockets and look into the folders, as an unwise user does.
    fn open_folders(&self) -> Result<()> {
        let home = self.home.path();
        for folder in [self.home.beside(), &home, &home.join("threads")] {
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        for socket in [self.control(), self.port().to_owned()] {
            if socket.starts_with('/') {
                fs::set_permissions(socket, Permissions::from_mode(0o666))?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn another_user_gets_nothing_from_a_port() -> Result<()> {
    if !users::has_others() {
        return Ok(());
    }
    for all in Users::each(|setup| setup).await? {
        for (target, request) in [
            ("/", json!({ "messages": messages() })),
            ("/metrics", json!({})),
            ("/auth/session", json!({})),
            ("/auth/ticket", json!({ "body": "{}" })),
        ] {
            let mut request = request;
            request["target"] = json!(target);
            let report = connect(all.other, all.port(), request)?;
            assert_eq!(reason(&report, 401)?, "missing", "{target}");
        }
        let own = connect(all.own, all.port(), json!({ "messages": messages() }))?;
        assert_eq!((own["status"].as_u64(), own["answers"].as_array().map(Vec::len)), (Some(101), Some(3)));
        all.home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn another_user_gets_nothing_from_a_unix_socket() -> Result<()> {
    if !users::has_others() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777))?;
    let named = |setup: Setup| {
        let name = folder.path().join(Uuid::now_v7().to_string());
        setup.listen(&format!("unix://{}", name.display()))
    };
    for all in Users::each(named).await? {
        let request = json!({ "messages": messages() });
        for door in [all.control(), all.port().to_owned()] {
            let report = connect(all.other, &door, request.clone())?;
            // The mode of a file does not keep root out.
            assert!(report["error"].is_string(), "{door}: {report}");
        }
        all.open_folders()?;
        for door in [all.control(), all.port().to_owned()] {
            let before = all.refused("usersTotal")?;
            let report = connect(all.other, &door, request.clone())?;
            assert!(report["error"].is_string(), "{door}: {report}");
            assert_eq!(all.refused("usersTotal")?, before + 1, "{door}");
        }
        let threads = all.call::<ThreadList>()?;
        assert_eq!(threads["data"], json!([]));
        all.home.finish_with_faults().await?;
    }
    Ok(())
}

#[tokio::test]
async fn another_user_reads_no_file_of_a_home_even_in_open_folders() -> Result<()> {
    if !users::has_others() {
        return Ok(());
    }
    for all in Users::each(|setup| setup).await? {
        all.call::<ThreadStart>()?;
        if all.other == ROOT {
            all.home.finish().await?;
            continue;
        }
        let home = all.home.path().to_string_lossy().into_owned();
        let readable = |user| output(user, "/usr/bin/find".as_ref(), &[&home, "-type", "f", "-readable"]);
        assert!(readable(all.own)?.contains("config.toml"));
        assert_eq!(readable(all.other)?, "");
        all.open_folders()?;
        assert_eq!(readable(all.other)?, "");
        all.home.finish_with_faults().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_request_of_another_user_who_closes_behind_it_has_no_effect() -> Result<()> {
    const TRIES: u64 = 30;
    if !users::has_others() {
        return Ok(());
    }
    for all in Users::each(|setup| setup).await? {
        let request = json!({ "leaves": true, "messages": messages() });
        for _ in 0..TRIES {
            let report = connect(all.other, all.port(), request.clone())?;
            assert_eq!(report, json!({ "left": true }));
        }
        let refused = || all.refused("credentialsTotal").ok().filter(|refused| *refused == TRIES);
        wait_until("the refusal of each request", PATIENCE, refused).await?;
        assert_eq!(all.call::<ThreadList>()?["data"], json!([]));
        assert_eq!(all.call::<SkeinStatus>()?["threads"]["loaded"], 0);
        all.home.finish().await?;
    }
    Ok(())
}

/// The credentials of a page of the server itself.
struct Stolen {
    ticket: String,
    session: String,
    bound: String,
}

impl Users {
    /// `POST /auth/session` by a page of the server.
    fn redeem(&self, user: u32, ticket: &str) -> Result<Value> {
        let body = json!({ "ticket": ticket }).to_string();
        connect(
            user,
            self.port(),
            json!({ "target": "/auth/session", "headers": [self.origin()], "body": body }),
        )
    }

    fn origin(&self) -> String {
        format!("Origin: http://{}", self.port())
    }

    fn ticket(&self) -> Result<String> {
        let made = connect(self.own, &self.control(), json!({ "target": "/auth/ticket", "body": "{}" }))?;
        member(&made, "ticket")
    }

    fn credentials(&self) -> Result<Stolen> {
        let session = member(&self.redeem(self.own, &self.ticket()?)?, "session")?;
        let bound = output(
            self.own,
            &paths::skein()?,
            &[
                "token",
                "create",
                "page",
                "--origin",
                &format!("http://{}", self.port()),
                "--home",
                &self.home.path().to_string_lossy(),
            ],
        )?;
        Ok(Stolen { ticket: self.ticket()?, session, bound: bound.trim().to_owned() })
    }

    fn bear(&self, user: u32, secret: &str) -> Result<Value> {
        let bearer = format!("Authorization: Bearer {secret}");
        connect(user, self.port(), json!({ "headers": [self.origin(), bearer] }))
    }

    /// The last use of each credential.
    fn uses(&self) -> Result<Vec<Value>> {
        let list = self.call::<SkeinCredentialList>()?;
        let list = list["data"].as_array().context("a list")?;
        Ok(list.iter().map(|one| one["lastUsedAt"].clone()).collect())
    }
}

/// A text in the body of an answer.
fn member(report: &Value, name: &str) -> Result<String> {
    let body: Value = serde_json::from_str(report["body"].as_str().context("a body")?)?;
    Ok(body[name].as_str().with_context(|| format!("no {name}: {report}"))?.to_owned())
}

#[tokio::test]
async fn a_credential_of_a_page_is_worth_nothing_to_another_user() -> Result<()> {
    if !users::has_others() {
        return Ok(());
    }
    for all in Users::each(|setup| setup).await? {
        let stolen = all.credentials()?;
        let uses = all.uses()?;
        assert_eq!(reason(&all.redeem(all.other, &stolen.ticket)?, 401)?, "user");
        for secret in [&stolen.session, &stolen.bound] {
            assert_eq!(reason(&all.bear(all.other, secret)?, 401)?, "user");
            assert_eq!(all.uses()?, uses, "a refused try is no use");
            assert_eq!(all.bear(all.own, secret)?["status"], 101);
        }
        assert!(all.uses()?.iter().all(Value::is_number), "the tries that passed are uses");
        assert!(member(&all.redeem(all.own, &stolen.ticket)?, "session")?.len() > 40, "it was not used up");
        all.home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn another_user_comes_in_if_the_settings_let_every_user_in() -> Result<()> {
    if !users::has_others() {
        return Ok(());
    }
    for all in Users::each(|setup| setup.set("auth.local", "any")).await? {
        let report = connect(all.other, all.port(), json!({ "messages": messages() }))?;
        assert_eq!(report["status"], 101, "{report}");
        assert!(report["answers"][1]["result"]["thread"]["id"].is_string(), "{report}");
        let stolen = all.credentials()?;
        assert_eq!(all.bear(all.other, &stolen.session)?["status"], 101);
        all.home.finish().await?;
    }
    Ok(())
}
