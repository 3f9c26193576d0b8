//! Requests through a proxy of the server's own user, which would make its whole network that user.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::home::Home;
use skein_integration_tests::paths;
use skein_protocol::methods::{SkeinCredentialList, ThreadList, ThreadStart};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::{greeting, request};

/// Headers by which proxies say that they pass a request on.
const FORWARDED: [&str; 6] = [
    "Forwarded: for=10.0.0.1;host=chat.example",
    "X-Forwarded-For: 10.0.0.1",
    "X-Forwarded-Host: chat.example",
    "X-Forwarded-Proto: https",
    "X-Real-IP: 10.0.0.1",
    "Via: 1.1 proxy",
];

/// Starts a proxy in front of a server. It passes on each request with this header, and with this `Host` if there is one.
/// Returns its address.
async fn proxy(server: &str, header: &str, host: Option<&'static str>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = server.strip_prefix("ws://").context("a port")?.to_owned();
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let head = format!("Host: {}\r\n{header}", host.unwrap_or(&server));
            tokio::spawn(pass(client, server.clone(), head));
        }
    });
    Ok(address)
}

/// Passes one connection on, with other headers in the place of `Host`.
async fn pass(mut client: TcpStream, server: String, headers: String) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let lines = head.split_inclusive("\r\n").map(|line| match line.starts_with("Host: ") {
        true => &headers,
        false => line,
    });
    let mut server = TcpStream::connect(server).await?;
    server.write_all(lines.collect::<String>().as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// A program of the network behind the proxy: a websocket, with one method of each scope. The report of `mcp-helper`.
async fn connect(proxy: &str, token: Option<&str>) -> Result<Value> {
    let headers: Vec<String> = token.iter().map(|token| format!("Authorization: Bearer {token}")).collect();
    let mut messages = greeting();
    messages.push(request::<ThreadList>(2, json!({})));
    messages.push(request::<ThreadStart>(3, json!({})));
    messages.push(request::<SkeinCredentialList>(4, json!({})));
    let asked = json!({ "door": proxy, "headers": headers, "messages": messages });
    let mut command = Command::new(paths::mcp_helper()?);
    let done = command.args(["--connect", &asked.to_string()]).kill_on_drop(true).output().await?;
    serde_json::from_slice(&done.stdout).with_context(|| format!("{done:?}"))
}

/// Checks that a request was refused with this status and reason.
fn is_refused(report: &Value, status: u16, reason: &str) -> Result<()> {
    ensure!(report["status"] == status, "{report}");
    let body: Value = serde_json::from_str(report["body"].as_str().context("a body")?)?;
    ensure!(body["reason"] == reason, "{report}");
    Ok(())
}

/// A new token with this scope.
async fn token(home: &Home, scope: &str) -> Result<String> {
    let made = paths::run_skein(&home.path(), ["token", "create", scope, "--scope", scope]).await?;
    ensure!(made.status.success(), "{made:?}");
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn a_request_through_a_proxy_needs_a_credential_and_has_its_scope() -> Result<()> {
    let home = Home::start().await?;
    let tokens = [
        (token(&home, "read").await?, 1),
        (token(&home, "chat").await?, 2),
        (token(&home, "admin").await?, 3),
    ];
    for header in FORWARDED {
        let proxy = proxy(home.address(), header, None).await?;
        is_refused(&connect(&proxy, None).await?, 401, "missing").context(header)?;
        for (token, allowed) in &tokens {
            let report = connect(&proxy, Some(token)).await?;
            let answers = report["answers"].as_array().with_context(|| format!("{header}: {report}"))?;
            let refused = |answer: &Value| answer["error"]["data"]["reason"] == "forbidden";
            let found: Vec<bool> = answers[1..].iter().map(refused).collect();
            let wanted: Vec<bool> = (0..3).map(|at| at >= *allowed).collect();
            assert_eq!(found, wanted, "{header}: {report}");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_request_for_a_foreign_host_is_misdirected_with_and_without_a_credential() -> Result<()> {
    let home = Home::start().await?;
    let token = token(&home, "admin").await?;
    for header in FORWARDED.into_iter().chain([""]) {
        let proxy = proxy(home.address(), header, Some("chat.example")).await?;
        for token in [None, Some(&*token)] {
            is_refused(&connect(&proxy, token).await?, 421, "host").context(header)?;
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_tunnel_that_adds_no_header_is_the_user_who_runs_it() -> Result<()> {
    let home = Home::start().await?;
    let report = connect(&proxy(home.address(), "", None).await?, None).await?;
    assert_eq!(
        (report["status"].as_u64(), report["answers"][3]["result"]["data"].is_array()),
        (Some(101), true)
    );
    home.finish().await
}
