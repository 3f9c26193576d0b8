//! TLS at a port: a silent client holds up nobody, and a renewed certificate is served after SIGHUP.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use serde_json::{Value, json};
use skein_integration_tests::home::{Home, PATIENCE, Setup};
use skein_integration_tests::http::{Answer, exchange, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

/// A key and its certificate on disk, which is its own authority.
struct Certified {
    cert: PathBuf,
    key: PathBuf,
    der: CertificateDer<'static>,
}

/// Writes a certificate for these names, which is valid to the end of this year.
fn certify(folder: &Path, names: &[&str], last_year: i32) -> Result<Certified> {
    let key = KeyPair::generate()?;
    let mut asked = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    asked.not_before = rcgen::date_time_ymd(2000, 1, 1);
    asked.not_after = rcgen::date_time_ymd(last_year, 12, 31);
    let made = asked.self_signed(&key)?;
    let (cert, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, made.pem())?;
    fs::write(&key_file, key.serialize_pem())?;
    Ok(Certified { cert, key: key_file, der: made.der().clone() })
}

fn setup(certified: &Certified) -> Setup {
    let setup = Home::setup().listen("wss://127.0.0.1:0");
    setup.argument("--tls-cert", &certified.cert).argument("--tls-key", &certified.key)
}

/// A server with a valid certificate, in a folder that lasts as long as the test.
async fn served() -> Result<(tempfile::TempDir, Certified, Home)> {
    let folder = tempfile::tempdir()?;
    let certified = certify(folder.path(), &["127.0.0.1"], 2100)?;
    let home = setup(&certified).start().await?;
    Ok((folder, certified, home))
}

fn host(home: &Home) -> Result<String> {
    home.address().strip_prefix("wss://").map(str::to_owned).context("an address with TLS")
}

/// Shakes hands with a client that trusts this certificate only, and speaks these versions.
async fn shake(
    address: &str,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone())?;
    let settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let settings =
        settings.with_protocol_versions(versions)?.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let shaken = TlsConnector::from(Arc::new(settings)).connect(name, stream);
    Ok(tokio::time::timeout(PATIENCE, shaken).await.context("no handshake")??)
}

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// A websocket that has introduced itself.
async fn speak(home: &Home, stream: TlsStream<TcpStream>) -> Result<()> {
    let (mut socket, _) = tokio_tungstenite::client_async(format!("wss://{}/", host(home)?), stream).await?;
    let client = json!({ "name": "tls", "version": "1" });
    let hello = json!({ "id": 1, "method": "initialize", "params": { "clientInfo": client } });
    socket.send(Message::text(hello.to_string())).await?;
    let answer = tokio::time::timeout(PATIENCE, socket.next()).await?.context("no answer")??;
    let answer: Value = serde_json::from_str(answer.to_text()?)?;
    ensure!(answer["result"]["userAgent"].is_string(), "{answer}");
    socket.close(None).await?;
    Ok(())
}

#[tokio::test]
async fn each_version_of_tls_has_a_websocket_and_others_have_a_sentence() -> Result<()> {
    let (_folder, certified, home) = served().await?;
    for version in BOTH {
        let stream = shake(&host(&home)?, &certified.der, &[version]).await?;
        speak(&home, stream).await.with_context(|| format!("{version:?}"))?;
    }
    let plain = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(&home)?);
    let answer = Answer::read(&exchange(&host(&home)?, plain.as_bytes()).await?)?;
    ensure!(answer.refusal() == (400, "syntax".to_owned()) && answer.body.contains("https://"), "{answer:?}");
    home.finish().await
}

#[tokio::test]
async fn a_client_that_says_nothing_holds_up_nobody() -> Result<()> {
    let (_folder, certified, home) = served().await?;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(host(&home)?).await?);
    }
    // One stops in the middle of its first message.
    let mut half = TcpStream::connect(host(&home)?).await?;
    half.write_all(&[22, 3, 1, 0, 200, 1, 0]).await?;
    let stream = shake(&host(&home)?, &certified.der, &BOTH).await?;
    speak(&home, stream).await?;
    // The server ends those that never shake hands.
    let mut end = Vec::new();
    tokio::time::timeout(PATIENCE, silent[0].read_to_end(&mut end)).await.context("it is still open")??;
    tokio::time::timeout(PATIENCE, half.read_to_end(&mut end)).await.context("it is still open")?.ok();
    home.finish().await
}

#[tokio::test]
async fn a_renewed_certificate_is_served_after_sighup_and_a_wrong_one_is_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = certify(folder.path(), &["127.0.0.1"], 2100)?;
    let home = setup(&first).start().await?;
    let old = shake(&host(&home)?, &first.der, &BOTH).await?;
    let key = fs::read(&first.key)?;
    let renewed = certify(folder.path(), &["127.0.0.1"], 2100)?;
    let new_key = fs::read(&renewed.key)?;
    fs::write(&renewed.key, &key)?;
    home.signal(Signal::SIGHUP)?;
    home.until_line(&["the certificate before stays in use"]).await?;
    speak(&home, shake(&host(&home)?, &first.der, &BOTH).await?).await.context("the one before")?;
    fs::write(&renewed.key, &new_key)?;
    home.signal(Signal::SIGHUP)?;
    home.until_line(&["the certificate was read again"]).await?;
    speak(&home, shake(&host(&home)?, &renewed.der, &BOTH).await?).await.context("the renewed one")?;
    ensure!(shake(&host(&home)?, &first.der, &BOTH).await.is_err(), "nobody gets the one before");
    // A connection keeps its certificate to its end.
    speak(&home, old).await?;
    home.finish().await
}

#[tokio::test]
async fn a_key_with_a_password_is_refused_with_the_way_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certified = certify(folder.path(), &["127.0.0.1"], 2100)?;
    for text in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHs\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIHs\n-----END RSA PRIVATE KEY-----\n",
    ] {
        fs::write(&certified.key, text)?;
        let refused = setup(&certified).start().await.err().context("it starts")?.to_string();
        ensure!(
            refused.contains("key.pem is encrypted") && refused.contains("openssl pkey -in"),
            "{refused}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_expired_certificate_is_refused_at_the_start_and_at_a_reload() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let expired = certify(folder.path(), &["127.0.0.1"], 2020)?;
    let refused = setup(&expired).start().await.err().context("it starts")?.to_string();
    ensure!(refused.contains("cert.pem expired") && refused.contains("renew it"), "{refused}");
    let valid = certify(folder.path(), &["127.0.0.1"], 2100)?;
    let home = setup(&valid).start().await?;
    certify(folder.path(), &["127.0.0.1"], 2020)?;
    home.signal(Signal::SIGHUP)?;
    home.until_line(&["the certificate before stays in use", "expired"]).await?;
    speak(&home, shake(&host(&home)?, &valid.der, &BOTH).await?).await?;
    home.finish().await
}

#[tokio::test]
async fn the_metrics_are_read_by_tls_where_other_machines_reach_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certified = certify(folder.path(), &["127.0.0.1"], 2100)?;
    let (token, port) = ("0123456789abcdef0123456789abcdef", free_port()?);
    let file = folder.path().join("token");
    fs::write(&file, token)?;
    let setup = setup(&certified).set("metrics.listen", format!("0.0.0.0:{port}"));
    let home = setup.set("metrics.token_file", file.display().to_string()).start().await?;
    let address = format!("127.0.0.1:{port}");
    let mut stream = shake(&address, &certified.der, &BOTH).await?;
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("# EOF\n"), "{answer}");
    home.finish().await
}
