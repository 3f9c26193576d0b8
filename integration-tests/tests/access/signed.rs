//! Tokens that programs sign with a shared secret (`--ws-auth signed-bearer-token`), as clients of the peer make them.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};
use skein_integration_tests::Client;
use skein_integration_tests::credentials::bearer;
use skein_integration_tests::home::{Home, Setup};
use skein_integration_tests::http::Request;
use skein_protocol::methods::{SkeinStatus, ThreadStart};

const SECRET: &str = "a-shared-secret-of-enough-characters";
/// By PyJWT 2.15.1 with [`SECRET`]: `iss` is desk, `aud` is skein, until the year 2100.
const BY_PYTHON: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJkZXNrIiwiYXVkIjoic2tlaW4iLCJleHAiOjQxMDI0NDQ4MDB9.\
    BkR5U2s5sgf1_ofRJvevC0EG8DqEStWvyJP8ePSJZ9c";

/// A home that takes signed tokens, and the folder of the secret.
fn signing() -> Result<(tempfile::TempDir, Setup)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("secret");
    fs::write(&file, format!("{SECRET}\n"))?;
    let setup = Home::setup().argument("--ws-auth", "signed-bearer-token");
    Ok((folder, setup.argument("--ws-shared-secret-file", file)))
}

fn signed(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// Seconds since 1970.
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

async fn refusal(home: &Home, token: &str) -> Result<(u16, String)> {
    Ok(Request::new("GET", "/metrics").bearer(token).send(home.address()).await?.refusal())
}

#[tokio::test]
async fn a_signed_token_of_another_program_has_every_right_and_no_other_one_any() -> Result<()> {
    let (_folder, setup) = signing()?;
    let home = setup.argument("--ws-issuer", "desk").argument("--ws-audience", "skein").start().await?;
    let mut client = bearer(home.address(), BY_PYTHON).await?;
    client.call::<ThreadStart>(Default::default()).await?;
    client.close().await?;
    let offered = format!("skein.v1, skein.auth.{BY_PYTHON}");
    Client::connect_with(home.address(), &[("Sec-WebSocket-Protocol", &offered)]).await?.close().await?;
    let (exp, iss, aud) = (now()? + 60, "desk", "skein");
    for (claims, reason) in [
        (json!({ "iss": iss, "aud": aud }), "unknown"),
        (json!({ "iss": iss, "aud": aud, "exp": now()? - 40 }), "expired"),
        (json!({ "iss": iss, "aud": aud, "exp": exp, "nbf": now()? + 50 }), "notYet"),
        (json!({ "aud": aud, "exp": exp }), "issuer"),
        (json!({ "iss": iss, "aud": "other", "exp": exp }), "audience"),
    ] {
        let found = refusal(&home, &signed(&claims)).await?;
        ensure!(found == (401, reason.to_owned()), "{claims}: {found:?}");
    }
    ensure!(Client::ready(home.address()).await.is_err(), "a program without a credential");
    ensure!(refusal(&home, SECRET).await?.0 == 401, "the secret itself is no token");
    // A token of Skein still has its own scope.
    let own = home.token("t", "read").await?;
    bearer(home.address(), &own).await?.close().await?;
    ensure!(!home.log()?.contains(SECRET), "the log has the secret");
    home.finish().await
}

#[tokio::test]
async fn a_token_that_expires_keeps_its_open_connection_and_opens_no_other_one() -> Result<()> {
    let (_folder, setup) = signing()?;
    let home = setup.argument("--ws-max-clock-skew-seconds", "0").start().await?;
    let mut seconds = 2;
    let (token, mut client) = loop {
        let token = signed(&json!({ "exp": now()? + seconds }));
        match bearer(home.address(), &token).await {
            Ok(client) => break (token, client),
            // It had expired before the handshake, as others kept the processors busy.
            Err(_) if seconds < 60 => seconds *= 2,
            Err(error) => return Err(error),
        }
    };
    let reason = loop {
        let (status, reason) = refusal(&home, &token).await?;
        if status != 200 {
            break reason;
        }
    };
    ensure!(reason == "expired", "{reason}");
    client.call::<SkeinStatus>(Default::default()).await.context("the open connection")?;
    client.close().await?;
    home.finish().await
}
