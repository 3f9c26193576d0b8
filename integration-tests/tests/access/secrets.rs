//! Secrets of connections stand in no log, file, answer, backup and command line, although every line is logged.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::json;
use skein_integration_tests::credentials::{PAGE, bearer, page};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::http::{Request, exchange};
use skein_integration_tests::process;
use skein_protocol::methods::{ConfigRead, SkeinCredentialList, SkeinHelpersList, SkeinStatus};
use skein_protocol::table::Method;

/// Where a secret was looked for, and the text there.
type Text = (String, String);

/// Every file below a folder. A compressed one counts by its content.
fn files(folder: &Path, found: &mut Vec<Text>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.is_file() {
            let mut bytes = fs::read(&path)?;
            if path.extension().is_some_and(|kind| kind == "gz") {
                let packed = std::mem::take(&mut bytes);
                GzDecoder::new(&*packed).read_to_end(&mut bytes)?;
            }
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok(())
}

/// Command line and environment of the server and of all its processes, as the system shows them.
fn processes(home: &Home) -> Result<Vec<Text>> {
    let mut found = Vec::new();
    let own = process::tagged(home.tag()).into_iter().map(|one| one.pid);
    for pid in own.chain([home.pid()]) {
        for file in ["cmdline", "environ", "comm"] {
            let path = format!("/proc/{pid}/{file}");
            let text = fs::read(&path).with_context(|| path.clone())?;
            found.push((path, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    ensure!(found.len() >= 6, "the server and its helper: {found:?}");
    Ok(found)
}

/// Sends a secret in every place where somebody may put it, rightly or wrongly. Returns the answers.
async fn sent(home: &Home, secret: &str) -> Result<Vec<Text>> {
    let get = |path: &str| Request::new("GET", path);
    let post = |path: &str| Request::new("POST", path);
    let protocols =
        |text: String| get("/").header("Upgrade", "websocket").header("Sec-WebSocket-Protocol", &text);
    let requests = [
        get("/auth/session").header("Origin", PAGE).bearer(secret),
        get("/auth/session").bearer(secret),
        get("/metrics").header("Authorization", &format!("bearer   {secret}")),
        get("/metrics").header("Authorization", &format!("Basic {secret}")),
        get("/metrics").header("Authorization", secret),
        get("/metrics").bearer(secret).bearer(secret),
        get("/metrics").header("Cookie", &format!("session={secret}")),
        get("/metrics").header("X-Forwarded-For", secret),
        get("/metrics").header("Origin", &format!("http://{secret}")),
        protocols(format!("skein.v1, skein.auth.{secret}")),
        protocols(format!("skein.auth.{secret}")),
        protocols(format!("skein.v1, {secret}")),
        get(&format!("/?token={secret}")),
        get(&format!("/metrics?access_token={secret}")),
        get(&format!("/healthz?x={secret}")),
        get(&format!("/{secret}")),
        get(&format!("/auth/session/{secret}")),
        post("/auth/session").header("Origin", PAGE).json(&json!({ "tickets": secret })),
        post("/auth/session").header("Origin", PAGE).json(&json!(secret)),
        post("/auth/session").header("Origin", PAGE).json(&json!({ "ticket": format!("{secret}x") })),
        post("/auth/session").header("Origin", PAGE).header("Content-Type", secret),
        post("/auth/ticket").json(&json!({ "scope": secret })),
        Request::new("DELETE", "/auth/session").bearer(secret),
        Request::new(&secret.replace(['-', '_'], "x"), "/"),
    ];
    let mut answers = Vec::new();
    for request in requests {
        let text = format!("{request:?}");
        let answer = request.send(home.address()).await.with_context(|| text.clone())?;
        answers.push((format!("the answer to {text}"), format!("{} {}", answer.head, answer.body)));
    }
    // No HTTP, and a Host and a target that are secrets.
    let host = home.address().trim_start_matches("ws://");
    for bytes in [
        format!("GET / HTTP/1.1\r\nHost: {secret}\r\n\r\n"),
        format!("GET http://{secret}@{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("{secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\n folded\r\n\r\n"),
    ] {
        answers.push((format!("the answer to {bytes}"), exchange(home.address(), bytes.as_bytes()).await?));
    }
    Ok(answers)
}

/// Everything that a client or a person at the terminal can ask for.
async fn shown(home: &Home) -> Result<Vec<Text>> {
    let mut found = Vec::new();
    let mut client = home.client().await?;
    for method in [
        SkeinStatus::INFO.wire,
        SkeinCredentialList::INFO.wire,
        ConfigRead::INFO.wire,
        SkeinHelpersList::INFO.wire,
    ] {
        found.push((method.to_owned(), client.call_raw(method, &json!({})).await??.to_string()));
    }
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["sessions", "list"],
        &["sessions", "list", "--json"],
        &["token", "list", "--json"],
        &["origins", "list"],
    ] {
        found.push((command.join(" "), home.skein(command).await?));
    }
    let metrics = Request::new("GET", "/metrics").send(home.address()).await?;
    found.push(("/metrics".to_owned(), metrics.body));
    Ok(found)
}

/// The credentials of a home: two tickets, one of them still open, a session and three tokens.
async fn secrets(home: &Home) -> Result<(Vec<String>, String, String)> {
    let used = home.ticket("chat").await?;
    let redeemed = home.redeem(PAGE, &used).await?.json()?;
    let session = redeemed["session"].as_str().context("no session")?.to_owned();
    let token = home.token("program", "admin").await?;
    let bound = home.skein(&["token", "create", "bound", "--origin", PAGE]).await?;
    let revoked = home.token("revoked", "read").await?;
    home.skein(&["token", "revoke", "revoked"]).await?;
    let open = home.ticket("read").await?;
    Ok((vec![used, session.clone(), token.clone(), bound, revoked, open], session, token))
}

#[tokio::test]
async fn no_secret_of_a_connection_stands_anywhere_although_every_line_is_logged() -> Result<()> {
    let setup = Home::setup().in_files().set("browser.origins", vec![PAGE]).helper(Helper::named("helper")?);
    let mut home = setup.env("SKEIN_LOG", "trace").start().await?;
    let (secrets, session, token) = secrets(&home).await?;
    let mut found = Vec::new();
    for secret in &secrets {
        found.extend(sent(&home, secret).await?);
    }
    let mut tab = page(home.address(), PAGE, &session).await?;
    let thread = tab.start_thread_with("/tool helper env").await?;
    let mut program = bearer(home.address(), &token).await?;
    program.resume(thread).await?;
    program.turn(thread, "words").await?;
    found.extend(processes(&home)?);
    found.extend(shown(&home).await?);
    let received = tab.record().iter().chain(program.record());
    found.extend(received.map(|message| ("a message".to_owned(), message.text.clone())));
    let backup = home.beside().join("backup.tar.gz");
    home.skein(&["backup", &backup.display().to_string(), "--with-secrets"]).await?;
    home.skein(&["sessions", "list"]).await?;
    let log = home.whole_log().await?;
    ensure!(log.contains("TRACE"), "the log has every line");
    files(home.beside(), &mut found)?;
    ensure!(found.iter().any(|(place, _)| place.ends_with("access.json")));
    ensure!(found.iter().any(|(place, _)| place.ends_with("server.log")));
    ensure!(found.iter().any(|(place, _)| place.ends_with(&format!("{thread}.jsonl"))));
    for secret in &secrets {
        // The random part alone would do for a thief, too.
        let core = secret.trim_start_matches("skein_");
        for (place, text) in &found {
            let line = text.lines().find(|line| line.contains(core));
            ensure!(line.is_none(), "a secret stands in {place}: {line:?}");
        }
    }
    ensure!(
        !found.iter().any(|(place, text)| place.ends_with("backup.tar.gz") && text.contains("access.json"))
    );
    home.finish().await
}
