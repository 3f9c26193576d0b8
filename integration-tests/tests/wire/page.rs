//! The page: its document for browsers at `/`, its files, their caching, and what no browser changes about it.

use anyhow::{Context, Result, ensure};
use skein_integration_tests::home::Home;
use skein_integration_tests::http::{Answer, Request, Socket, exchange};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
const FOREVER: &str = "public, max-age=31536000, immutable";

/// A navigation, as browsers send it.
fn navigation() -> Request {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    Request::new("GET", "/").header("Accept", accept).header("Sec-Fetch-Site", "none")
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
}

/// The document, and the addresses of its files.
async fn document(home: &Home) -> Result<(Answer, Vec<String>)> {
    let answer = navigation().send(home.address()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let assets = answer.body.split('"').filter(|part| part.starts_with("/assets/"));
    let assets: Vec<String> = assets.map(str::to_owned).collect();
    ensure!(!assets.is_empty(), "{answer:?}");
    Ok((answer, assets))
}

#[tokio::test]
async fn a_browser_gets_the_page_with_its_own_policy_and_asks_again_each_time() -> Result<()> {
    let home = Home::start().await?;
    let (answer, _) = document(&home).await?;
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", POLICY),
        ("Cache-Control", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ] {
        assert_eq!(answer.headers(name), [value], "{name}: {answer:?}");
    }
    assert_eq!(answer.headers("Vary"), ["accept, accept-encoding", "origin"]);
    // A program, and an upgrade that accepts HTML, get no page.
    assert_eq!(get("/").send(home.address()).await?.status, 426);
    let upgrade = navigation().header("Upgrade", "websocket").send(home.address()).await?;
    assert_eq!(upgrade.refusal(), (403, "origin".to_owned()));
    home.finish().await
}

#[tokio::test]
async fn the_files_of_the_page_never_change_at_their_address() -> Result<()> {
    let home = Home::start().await?;
    for path in document(&home).await?.1 {
        let answer = get(&path).send(home.address()).await?;
        assert_eq!((answer.status, answer.headers("Cache-Control")), (200, vec![FOREVER]), "{path}");
        assert_eq!(answer.headers("Vary"), ["accept-encoding", "origin"]);
        assert_eq!(answer.headers("Content-Encoding"), [] as [&str; 0]);
        ensure!(!answer.body.is_empty(), "{path}");
        let length = answer.headers("Content-Length").first().and_then(|length| length.parse().ok());
        assert_eq!(length, Some(answer.body.len()));
        let packed = get(&path).header("Accept-Encoding", "gzip, br").send(home.address()).await?;
        assert_eq!((packed.status, packed.headers("Content-Encoding")), (200, vec!["gzip"]));
        ensure!(packed.headers("ETag") != answer.headers("ETag"), "two contents have one ETag: {packed:?}");
        // A browser that has either of them is told so, also by a list of them.
        for tag in [answer.headers("ETag"), packed.headers("ETag"), vec!["*"]] {
            let tag = tag.first().context("no ETag")?;
            for known in [(*tag).to_owned(), format!("W/{tag}"), format!("\"other\", {tag}")] {
                let answer = get(&path).header("If-None-Match", &known).send(home.address()).await?;
                assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{known}: {answer:?}");
                assert_eq!(answer.headers("Cache-Control"), [FOREVER]);
            }
        }
        let answer = get(&path).header("If-None-Match", "\"other\"").send(home.address()).await?;
        assert_eq!(answer.status, 200);
    }
    home.finish().await
}

#[tokio::test]
async fn head_and_304_of_the_document_have_the_headers_of_the_document() -> Result<()> {
    let home = Home::start().await?;
    let (answer, _) = document(&home).await?;
    let tag = answer.headers("ETag")[0].to_owned();
    let known = navigation().header("If-None-Match", &tag).send(home.address()).await?;
    // A browser takes over the headers of a 304.
    assert_eq!((known.status, known.headers("Content-Security-Policy")), (304, vec![POLICY]));
    let request = Request::new("HEAD", "/").header("Accept", "text/html").send(home.address()).await?;
    assert_eq!((request.status, request.body.as_str()), (200, ""));
    for name in ["Content-Length", "Content-Type", "Content-Security-Policy", "ETag", "Cache-Control"] {
        assert_eq!(request.headers(name), answer.headers(name), "{name}");
    }
    home.finish().await
}

#[tokio::test]
async fn no_other_address_has_a_file_and_no_foreign_page_reads_one() -> Result<()> {
    let home = Home::start().await?;
    let asset = document(&home).await?.1.swap_remove(0);
    let (folder, name) = asset.rsplit_once('/').context("no folder")?;
    for path in [
        format!("/assets/{name}"),
        format!("/assets/0000000000000000/{name}"),
        format!("{folder}/"),
        folder.to_owned(),
        format!("{folder}/index.html"),
        format!("{folder}/tsconfig.json"),
        format!("{folder}/../main.js"),
        format!("{folder}/%2e%2e/{name}"),
        format!("{asset}/"),
        format!("{folder}//{name}"),
        "/assets/".to_owned(),
        "/index.html".to_owned(),
    ] {
        let answer = get(&path).header("Accept", "text/html").send(home.address()).await?;
        assert_eq!(answer.refusal(), (404, "notFound".to_owned()), "{path}");
    }
    let post = Request::new("POST", &asset).send(home.address()).await?;
    assert_eq!((post.status, post.headers("Allow")), (405, vec!["GET, HEAD"]));
    let foreign = get(&asset).header("Origin", "http://example.org").send(home.address()).await?;
    assert_eq!(foreign.refusal(), (403, "origin".to_owned()));
    let worker = get(&asset).header("Service-Worker", "script").send(home.address()).await?;
    assert_eq!((worker.status, worker.headers("Clear-Site-Data")), (404, vec!["\"storage\""]));
    let elsewhere = format!("GET {asset} HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!(Answer::read(&exchange(home.address(), elsewhere.as_bytes()).await?)?.status, 421);
    home.finish().await
}

#[tokio::test]
async fn a_connection_stays_usable_for_hundreds_of_requests() -> Result<()> {
    let home = Home::start().await?;
    let host = home.address().trim_start_matches("ws://").to_owned();
    let mut socket = Socket::connect(home.address()).await?;
    let long = "x".repeat(4_000);
    for _ in 0..100 {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nX-Long: {long}\r\n\r\n");
        socket.send(request.as_bytes()).await?;
        socket.until(b"\r\n\r\nok\n").await?;
    }
    // One head still has its limit.
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nX-Long: {}\r\n\r\n", "x".repeat(17 << 10));
    socket.send(request.as_bytes()).await.ok();
    let answer = String::from_utf8_lossy(&socket.until_end().await?).into_owned();
    ensure!(!answer.contains(" 200 "), "{answer}");
    home.finish().await
}
