//! Helpers over HTTP that cannot start: the reason is clear enough to fix the cause, and shows no secret.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::http_helper::{HttpHelper, Manner, Seen};
use skein_protocol::helper::{McpAuthStatus, McpServerConnectionStatus};
use skein_protocol::methods::{McpServerStatusList, SkeinHelpersList};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::{statuses, text};
use super::started;

const SECRET: &str = "s3cret-s3cret-s3cret";

/// Reason why a helper at `url` does not start.
async fn refusal(url: &str) -> Result<String> {
    let (home, mut client) = Home::setup().helper(Helper::at("web", url)).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let why = started(&mut client, "web").await?.context("it started")?;
    let status = statuses(&mut client, thread).await?.remove(0);
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Failed));
    assert_eq!(status.tools_error.as_deref(), Some(why.as_str()));
    home.finish().await?;
    Ok(why)
}

#[tokio::test]
async fn a_server_without_mcp_is_reported_as_such() -> Result<()> {
    let page = HttpHelper::start(Manner::Page, None).await?;
    let why = refusal(&page.url()).await?;
    assert!(why.contains("no MCP server") && why.contains("text/html"), "{why}");
    let other = HttpHelper::start(Manner::Status(404, "nothing here".into()), None).await?;
    let why = refusal(&other.url()).await?;
    assert!(why.contains("HTTP 404: nothing here"), "{why}");
    let broken = HttpHelper::start(Manner::Status(503, "come back later".into()), None).await?;
    let why = refusal(&broken.url()).await?;
    assert!(why.contains("HTTP 503: come back later"), "{why}");
    assert!(
        broken.seen().iter().all(|seen| seen.method() != "server/discover"),
        "the error is not about the request"
    );
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_and_missing_tls_have_different_errors() -> Result<()> {
    let gone = HttpHelper::start(Manner::Handshake, None).await?;
    let url = gone.url();
    let secure = url.replace("http:", "https:");
    let why = refusal(&secure).await?;
    assert!(why.contains("cannot connect to https://127.0.0.1:") && !why.contains("refused"), "{why}");
    gone.end().await;
    let why = refusal(&url).await?;
    assert!(why.contains("cannot connect to http://127.0.0.1:") && why.contains("refused"), "{why}");
    let why = refusal("ftp://127.0.0.1/").await?;
    assert!(why.contains("only http and https"), "{why}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_not_retried() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}/mcp", listener.local_addr()?);
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // Like a server of plain HTTP.
            let _gone = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            let _gone = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let why = refusal(&url).await?;
    assert!(why.contains("cannot connect to https://127.0.0.1:"), "{why}");
    assert!(why.contains("it is not tried again"), "the user must correct the address: {why}");
    Ok(())
}

#[tokio::test]
async fn a_redirect_to_another_server_is_not_followed() -> Result<()> {
    let other = HttpHelper::start(Manner::Handshake, None).await?;
    let to = format!("{}?key={SECRET}", other.url());
    let helper = HttpHelper::start(Manner::RedirectsTo(to), None).await?;
    let why = refusal(&helper.url()).await?;
    assert!(why.contains("redirects") && why.contains(&other.url()) && !why.contains(SECRET), "{why}");
    assert!(other.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_mute_helper_is_given_up_and_its_connections_are_closed() -> Result<()> {
    let mute = HttpHelper::start(Manner::Mute, None).await?;
    let slow = Helper::at("web", &mute.url()).set("startup_timeout_sec", 1.5);
    let (home, mut client) = Home::setup().helper(slow).start_with_client().await?;
    client.start_thread().await?;
    let why = started(&mut client, "web").await?.unwrap();
    assert!(why.contains("startup_timeout_sec"), "{why}");
    let asked: Vec<String> = mute.seen().iter().map(|seen| seen.method().to_owned()).collect();
    assert_eq!(asked, ["initialize", "server/discover"]);
    mute.until_alone(skein_integration_tests::home::PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_missing_empty_or_wrong_token_is_named_and_never_shown() -> Result<()> {
    let helper = HttpHelper::start(Manner::Handshake, Some(SECRET)).await?;
    for (value, words) in [
        (None, "WEB_TOKEN (bearer_token_env_var) is not set"),
        (Some(""), "WEB_TOKEN (bearer_token_env_var) is empty"),
        (Some("wr0ng-wr0ng"), "does not take the token in WEB_TOKEN"),
    ] {
        let web = Helper::at("web", &helper.url()).set("bearer_token_env_var", "WEB_TOKEN");
        let setup = Home::setup().helper(web);
        let setup = if let Some(value) = value { setup.env("WEB_TOKEN", value) } else { setup };
        let (mut home, mut client) = setup.start_with_client().await?;
        let thread = client.start_thread().await?.id;
        let why = started(&mut client, "web").await?.unwrap();
        assert!(why.contains("HTTP 401") && why.contains(words) && !why.contains("wr0ng"), "{why}");
        let status = statuses(&mut client, thread).await?.remove(0);
        assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::AuthenticationRequired));
        assert!(!home.whole_log().await?.contains("wr0ng"));
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_and_headers_are_sent_with_every_request_and_shown_nowhere() -> Result<()> {
    let helper = HttpHelper::start(Manner::Handshake, Some(SECRET)).await?;
    let web = Helper::at("web", &format!("{}?key={SECRET}", helper.url()))
        .set("bearer_token_env_var", "WEB_TOKEN")
        .set("http_headers.X-Plain", SECRET)
        .set("env_http_headers.X-Named", "WEB_HEADER");
    let setup = Home::setup().helper(web).env("WEB_TOKEN", SECRET).env("WEB_HEADER", SECRET);
    let (mut home, mut client) = setup.env("SKEIN_LOG", "trace").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    assert_eq!(started(&mut client, "web").await?, None);
    let answer = client.tool(thread, "web", "echo", json!({ "text": "in" })).await?;
    assert_eq!(text(&answer), "in");
    for seen in helper.seen() {
        for name in ["x-plain", "x-named"] {
            assert_eq!(seen.headers.get(name).map(String::as_str), Some(SECRET), "{seen:?}");
        }
    }
    let status = statuses(&mut client, thread).await?.remove(0);
    assert_eq!(status.auth_status, McpAuthStatus::BearerToken);
    let shown = [
        serde_json::to_string(&client.call::<McpServerStatusList>(Default::default()).await?)?,
        serde_json::to_string(&client.call::<SkeinHelpersList>(Default::default()).await?)?,
        home.whole_log().await?,
    ];
    assert!(shown.iter().all(|shown| !shown.contains(SECRET)), "{shown:?}");
    home.finish().await
}

#[tokio::test]
async fn a_token_renewed_in_its_file_needs_no_restart() -> Result<()> {
    let (first, second, third) = ("first-s3cret", "second-s3cret", "third-s3cret");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{first}\n"))?;
    let helper = HttpHelper::start(Manner::Handshake, Some(first)).await?;
    let web = Helper::at("web", &helper.url()).set("bearer_token_file", file.to_string_lossy().as_ref());
    let (mut home, mut client) =
        Home::setup().helper(web).env("SKEIN_LOG", "trace").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    assert_eq!(started(&mut client, "web").await?, None);
    assert_eq!(text(&client.tool(thread, "web", "echo", json!({ "text": "one" })).await?), "one");

    // The first refused request reads the new token. The requests of the start are over, so it is the call.
    helper.until_seen(PATIENCE, |seen| seen.verb == "GET").await?;
    helper.until_seen(PATIENCE, |seen| seen.method() == "resources/templates/list").await?;
    helper.wants(second);
    std::fs::write(&file, second)?;
    assert_eq!(text(&client.tool(thread, "web", "echo", json!({ "text": "two" })).await?), "two");
    let asked = |text: &str, token: &str| {
        let sent = |seen: &Seen| seen.headers.get("authorization") == Some(&format!("Bearer {token}"));
        let fits = |seen: &Seen| seen.body["params"]["arguments"]["text"] == text && sent(seen);
        helper.seen().into_iter().filter(fits).count()
    };
    assert_eq!(asked("one", first), 1);
    assert_eq!((asked("two", first), asked("two", second)), (1, 1), "refused unread, then sent once more");

    // Until the file has the right token, each call fails once, and the helper stays.
    helper.wants(third);
    let refused = format!("{:?}", client.tool(thread, "web", "echo", json!({ "text": "three" })).await);
    assert!(refused.contains("HTTP 401") && refused.contains("(bearer_token_file)"), "{refused}");
    assert_eq!(asked("three", second), 1);
    std::fs::write(&file, third)?;
    assert_eq!(text(&client.tool(thread, "web", "echo", json!({ "text": "four" })).await?), "four");
    let shown = serde_json::to_string(&client.call::<SkeinHelpersList>(Default::default()).await?)?;
    let log = home.whole_log().await?;
    assert!(!shown.contains("s3cret") && !log.contains("s3cret") && !refused.contains("s3cret"));
    home.finish().await
}
