//! The answers beside the websocket: routes, methods, headers, and pages of other origins.

use anyhow::{Result, ensure};
use serde_json::json;
use skein_integration_tests::credentials::{PAGE, page};
use skein_integration_tests::home::Home;
use skein_integration_tests::http::{Answer, Request};
use skein_protocol::access::Access;
use skein_protocol::extension::{DoorKind, SkeinStatusResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const FOREIGN: &str = "http://example.org";

/// Headers that every answer has, once each.
const ALWAYS: [(&str, &str); 6] = [
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-DNS-Prefetch-Control", "off"),
    ("Cache-Control", "no-store"),
];

async fn with_page() -> Result<Home> {
    Home::setup().set("browser.origins", vec![PAGE]).start().await
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
}

/// Whether an answer opens anything to pages of other origins.
fn cors(answer: &Answer) -> Vec<String> {
    let lines = answer.head.lines().skip(1).map(str::to_ascii_lowercase);
    lines.filter(|line| line.starts_with("access-control-")).collect()
}

fn protected(answer: &Answer, policy: &str) {
    for (name, value) in ALWAYS {
        assert_eq!(answer.headers(name), [value], "{name}: {answer:?}");
    }
    assert_eq!(answer.headers("Cross-Origin-Resource-Policy"), [policy], "{answer:?}");
}

/// Requests with every kind of answer, and its status.
fn kinds() -> Vec<(Request, u16)> {
    let handshake = |request: Request| {
        let request = request.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
        request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let post = |path| Request::new("POST", path);
    vec![
        (get("/"), 426),
        (get("/healthz"), 200),
        (get("/readyz"), 200),
        (get("/metrics"), 200),
        (post("/auth/ticket").json(&json!({})), 200),
        (get("/nothing"), 404),
        (get("/").header("Service-Worker", "script"), 404),
        (post("/"), 405),
        (post("/auth/ticket"), 415),
        (post("/auth/ticket").json(&json!("x".repeat(5_000))), 413),
        (post("/auth/ticket").json(&json!({ "scope": 1 })), 400),
        (get("/?token=x"), 400),
        (get("/").header("Host", "localhost"), 400),
        (get("/metrics").bearer("x"), 401),
        (get("/auth/session"), 401),
        (get("/metrics").header("X-Forwarded-For", "10.0.0.1"), 401),
        (get("/metrics").header("Origin", FOREIGN), 403),
        (get("/").header("Sec-Fetch-Site", "cross-site"), 426),
        (handshake(get("/")).header("Origin", FOREIGN), 403),
        (handshake(get("/")), 400),
    ]
}

#[tokio::test]
async fn every_answer_has_the_protecting_headers() -> Result<()> {
    let home = with_page().await?;
    for (request, status) in kinds() {
        let answer = request.send(home.address()).await?;
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        let policy = if format!("{request:?}").contains("healthz") { "cross-origin" } else { "same-origin" };
        protected(&answer, policy);
        assert_eq!(cors(&answer), [] as [String; 0], "{answer:?}");
    }
    let misdirected = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let answer = skein_integration_tests::http::exchange(home.address(), misdirected.as_bytes()).await?;
    protected(&Answer::read(&answer)?, "same-origin");
    home.finish().await
}

#[tokio::test]
async fn the_answer_to_a_handshake_has_the_protecting_headers_and_not_the_secret() -> Result<()> {
    let home = with_page().await?;
    let token = home.token("program", "chat").await?;
    let mut socket = skein_integration_tests::http::Socket::connect(home.address()).await?;
    let host = home.address().trim_start_matches("ws://");
    let text = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: skein.v1, skein.auth.{token}\r\n\r\n"
    );
    socket.send(text.as_bytes()).await?;
    // A masked close frame, so that the server ends the connection.
    socket.send(&[0x88, 0x80, 0, 0, 0, 0]).await?;
    let answer = String::from_utf8_lossy(&socket.until_end().await?).into_owned();
    ensure!(!answer.contains(&token), "{answer}");
    let answer = Answer::read(&answer)?;
    assert_eq!((answer.status, answer.headers("Sec-WebSocket-Protocol")), (101, vec!["skein.v1"]));
    protected(&answer, "same-origin");
    home.finish().await
}

#[tokio::test]
async fn every_route_has_its_methods_and_every_other_one_is_405_with_allow() -> Result<()> {
    let home = with_page().await?;
    let session = ["GET", "POST", "DELETE"];
    for (path, methods) in [
        ("/", &["GET", "HEAD"][..]),
        ("/healthz", &["GET", "HEAD"]),
        ("/readyz", &["GET", "HEAD"]),
        ("/metrics", &["GET", "HEAD"]),
        ("/auth/session", &session),
        ("/auth/ticket", &["POST"]),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "X"] {
            let answer = Request::new(method, path).send(home.address()).await?;
            assert_eq!(answer.status == 405, !methods.contains(&method), "{method} {path}: {answer:?}");
            if answer.status == 405 {
                assert_eq!(answer.headers("Allow"), [methods.join(", ")], "{method} {path}");
                let reason = if method == "HEAD" { "" } else { "method" };
                assert_eq!(answer.refusal().1, reason, "an answer to HEAD has no body");
            }
        }
    }
    for path in [
        "/nothing",
        "//",
        "/healthz/",
        "/Healthz",
        "/auth",
        "/auth/",
        "/auth/session/",
        "/auth/session/x",
        "/rpc",
        "/index.html",
        "/favicon.ico",
        "/.well-known/x",
        "/%2e%2e/etc/passwd",
        "/../etc/passwd",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = Request::new(method, path).send(home.address()).await?;
            assert_eq!(answer.refusal(), (404, "notFound".to_owned()), "{method} {path}");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn everything_but_a_websocket_and_a_browser_gets_426_with_three_lines() -> Result<()> {
    let home = with_page().await?;
    for request in [
        get("/"),
        get("/").header("Accept", "*/*"),
        get("/").header("Accept", "application/json, text/html;q=0"),
        get("/").header("Origin", FOREIGN),
        get("/").header("Sec-Fetch-Site", "cross-site").header("Accept", "image/avif,image/webp,*/*;q=0.8"),
    ] {
        let answer = request.send(home.address()).await?;
        assert_eq!((answer.status, answer.headers("Upgrade")), (426, vec!["websocket"]));
        assert_eq!(answer.headers("Content-Type"), ["text/plain; charset=utf-8"]);
        let lines: Vec<&str> = answer.body.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("Skein") && lines[1].contains("page") && lines[2].contains("METHODS.md"));
    }
    home.finish().await
}

#[tokio::test]
async fn the_script_of_a_service_worker_is_404_and_clears_what_another_program_left() -> Result<()> {
    let home = with_page().await?;
    for path in ["/", "/sw.js", "/healthz", "/auth/session", "/metrics"] {
        for site in ["same-origin", "none", "cross-site"] {
            let request = get(path).header("Service-Worker", "script").header("Sec-Fetch-Site", site);
            let answer = request.send(home.address()).await?;
            assert_eq!(answer.refusal(), (404, "notFound".to_owned()));
            assert_eq!(answer.headers("Clear-Site-Data"), ["\"storage\""]);
        }
    }
    for request in [get("/sw.js"), get("/").header("Service-Worker", "scripts")] {
        assert_eq!(request.send(home.address()).await?.headers("Clear-Site-Data"), [] as [&str; 0]);
    }
    home.finish().await
}

/// A browser's question whether a page of this origin may send a request.
fn preflight(path: &str, origin: &str, method: &str) -> Request {
    let request = Request::new("OPTIONS", path).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    let request = request.header("Access-Control-Request-Headers", "authorization, content-type");
    request.header("Access-Control-Request-Private-Network", "true")
}

#[tokio::test]
async fn a_listed_origin_gets_its_preflight_and_no_other_one_any_header_of_it() -> Result<()> {
    let home = with_page().await?;
    for (path, method) in [
        ("/auth/session", "POST"),
        ("/auth/session", "DELETE"),
        ("/auth/session", "GET"),
        ("/healthz", "GET"),
        ("/", "GET"),
    ] {
        let answer = preflight(path, PAGE, method).send(home.address()).await?;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{answer:?}");
        protected(&answer, "cross-origin");
        assert_eq!(answer.headers("Vary"), ["origin"]);
        let mut opened = cors(&answer);
        opened.sort();
        let wanted = [
            "access-control-allow-headers: authorization, content-type",
            "access-control-allow-methods: get, post, delete",
            "access-control-allow-origin: http://localhost:5173",
        ];
        assert_eq!(opened, wanted, "neither credentials nor private networks");
        for origin in [FOREIGN, "http://localhost:5174", "https://localhost:5173", "null", "x"] {
            let answer = preflight(path, origin, method).send(home.address()).await?;
            assert_eq!((answer.status, cors(&answer)), (403, Vec::new()), "{origin}: {answer:?}");
            assert_eq!(answer.headers("Vary"), ["origin"]);
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_unix_socket_answers_no_page_not_even_the_question_before_a_request() -> Result<()> {
    let home = with_page().await?;
    for origin in [PAGE, "http://localhost", FOREIGN] {
        for head in [
            "OPTIONS /auth/session HTTP/1.1\r\nAccess-Control-Request-Method: POST\r\n",
            "GET /auth/session HTTP/1.1\r\nAuthorization: Basic x\r\n",
            "GET /healthz HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nAccept: text/html\r\n",
        ] {
            let request = format!("{head}Host: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n");
            let mut socket = UnixStream::connect(home.path().join("control.sock")).await?;
            socket.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            let answer = Answer::read(&answer)?;
            // A head that nobody may send is refused for itself.
            let wanted = if head.contains("Basic") { (401, "malformed") } else { (403, "origin") };
            assert_eq!(answer.refusal(), (wanted.0, wanted.1.to_owned()), "{head}, {origin}");
            assert_eq!(cors(&answer), [""; 0], "{head}, {origin}");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_listed_page_reads_every_answer_also_a_refusal_and_a_foreign_one_none() -> Result<()> {
    let home = with_page().await?;
    for (request, status) in [
        (get("/healthz"), 200),
        (get("/auth/session"), 401),
        (get("/auth/session").bearer("x"), 401),
        (get("/nothing"), 404),
        (get("/auth/session").bearer("x").bearer("y"), 400),
        (Request::new("POST", "/auth/session").json(&json!({ "ticket": "x" })), 401),
        (Request::new("POST", "/auth/session").header("Content-Type", "text/plain"), 415),
    ] {
        let answer = request.clone().header("Origin", PAGE).send(home.address()).await?;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(cors(&answer), [format!("access-control-allow-origin: {PAGE}")]);
        protected(&answer, "cross-origin");
        let answer = request.header("Origin", FOREIGN).send(home.address()).await?;
        assert_eq!((answer.status, cors(&answer)), (if status == 400 { 400 } else { 403 }, Vec::new()));
    }
    home.finish().await
}

#[tokio::test]
async fn any_page_distinguishes_a_server_that_refuses_it_from_none() -> Result<()> {
    let home = with_page().await?;
    for (request, status) in [
        (get("/healthz").header("Origin", FOREIGN), 403),
        (get("/healthz").header("Sec-Fetch-Site", "cross-site"), 200),
        (get("/healthz").header("Origin", "null"), 403),
        (Request::new("POST", "/healthz"), 405),
    ] {
        let answer = request.send(home.address()).await?;
        assert_eq!(answer.status, status, "{answer:?}");
        protected(&answer, "cross-origin");
    }
    home.finish().await
}

#[tokio::test]
async fn the_metrics_need_the_scope_read() -> Result<()> {
    let home = with_page().await?;
    let read = home.token("reader", "read").await?;
    assert_eq!(get("/metrics").bearer(&read).send(home.address()).await?.status, 200);
    for (request, status, reason) in [
        (get("/metrics").header("Origin", PAGE), 401, "missing"),
        (get("/metrics").header("Sec-Fetch-Site", "none"), 403, "origin"),
        (get("/metrics").header("Via", "1.1 proxy"), 401, "missing"),
    ] {
        assert_eq!(request.send(home.address()).await?.refusal(), (status, reason.to_owned()));
    }
    home.finish().await
}

#[tokio::test]
async fn the_command_of_a_refusal_is_taken_literally_by_a_shell() -> Result<()> {
    let home = with_page().await?;
    for (origin, word) in [
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:5173", "'http://[::1]:5173'"),
        ("app://chat", "app://chat"),
    ] {
        let answer = get("/metrics").header("Origin", origin).send(home.address()).await?;
        let message = answer.json()?["message"].to_string();
        assert!(message.ends_with(&format!("skein origins add {word}\"")), "{message}");
        home.until_line(&[&format!("skein origins add {word}")]).await?;
        let listed = home.skein(&["origins", "list"]).await?;
        assert!(listed.contains(&format!("skein origins add {word}")), "{listed}");
        let status = home.skein(&["status"]).await?;
        assert!(status.contains(&format!("skein origins add {word}")), "{status}");
    }
    let answer = get("/metrics").header("Origin", "http://a;$(id)").send(home.address()).await?;
    assert_eq!(answer.json()?["message"], "a malformed origin is not allowed");
    home.finish().await
}

#[tokio::test]
async fn an_origin_of_many_pages_and_a_very_long_one_get_no_command() -> Result<()> {
    let home = with_page().await?;
    let long = format!("http://{}.example", "a".repeat(200));
    for origin in ["null", "file://", &long] {
        let answer = get("/metrics").header("Origin", origin).send(home.address()).await?;
        assert_eq!(answer.refusal(), (403, "origin".to_owned()));
        assert_eq!(answer.json()?["message"], "a malformed origin is not allowed", "{origin}");
    }
    for shown in [home.skein(&["origins", "list"]).await?, home.skein(&["status"]).await?] {
        assert!(shown.contains("null, which many pages") && !shown.contains("skein origins add"), "{shown}");
    }
    home.finish().await
}

#[tokio::test]
async fn the_status_names_the_open_connections_to_an_admin_alone() -> Result<()> {
    let home = with_page().await?;
    let session = home.session(PAGE, "chat").await?;
    let mut chat = page(home.address(), PAGE, &session).await?;
    let _second = page(home.address(), PAGE, &session).await?;
    let mut reader = home.client_of("read").await?;
    let mut local = home.client().await?;
    let all = local.status().await?.admission.admitted;
    let entry = |who: &str| {
        let found = all.iter().find(|entry| entry.who.starts_with(who));
        found.map(|entry| (entry.door, entry.origin.as_deref(), entry.scope, entry.connections))
    };
    assert_eq!(entry("session"), Some((DoorKind::Loopback, Some(PAGE), Access::Chat, 2)), "{all:?}");
    assert_eq!(entry("token \"read\""), Some((DoorKind::Loopback, None, Access::Read, 1)), "{all:?}");
    assert_eq!(entry("a local program"), Some((DoorKind::Loopback, None, Access::Admin, 1)), "{all:?}");
    let shown = home.skein(&["status", "--all"]).await?;
    assert!(shown.contains("token \"read\", by a loopback port, scope read"), "{shown}");
    assert_eq!(chat.status().await?.admission.admitted, []);
    assert_eq!(reader.status().await?.admission.admitted, []);
    drop(reader);
    let gone =
        |status: &SkeinStatusResponse| status.admission.admitted.iter().all(|one| one.scope != Access::Read);
    local.until_status("the end of the reader", gone).await?;
    home.finish().await
}

#[tokio::test]
async fn answers_to_too_many_tries_have_the_protecting_headers() -> Result<()> {
    let home = with_page().await?;
    let ticket = Request::new("POST", "/auth/ticket").json(&json!({}));
    let wrong = get("/metrics").bearer("x");
    for (request, status, tries) in [(ticket, 503, 65), (wrong, 429, 11)] {
        let mut last = request.send(home.address()).await?;
        for _ in 1..tries {
            last = request.send(home.address()).await?;
        }
        assert_eq!(last.status, status, "{last:?}");
        protected(&last, "same-origin");
    }
    home.finish().await
}

#[tokio::test]
async fn refusals_that_repeat_have_one_line_in_the_log() -> Result<()> {
    let mut home = with_page().await?;
    for _ in 0..20 {
        let answer = get("/metrics").header("Origin", FOREIGN).send(home.address()).await?;
        assert_eq!(answer.status, 403);
    }
    let log = home.whole_log().await?;
    assert_eq!(log.lines().filter(|line| line.contains("a page is refused")).count(), 1, "{log}");
    home.finish().await
}

#[tokio::test]
async fn wrong_credentials_of_one_user_count_together_whatever_the_address() -> Result<()> {
    let home = with_page().await?;
    let send = async |from: [u8; 4], secret: &str| {
        let request = get("/metrics").bearer(secret);
        anyhow::Ok(request.send_from(from, home.address()).await?.status)
    };
    let mut found = Vec::new();
    for last in 1..=12 {
        found.push(send([127, 0, 0, last], "x").await?);
    }
    assert_eq!(found, [vec![401; 10], vec![429; 2]].concat());
    let token = home.token("program", "read").await?;
    assert_eq!(send([127, 0, 0, 1], &token).await?, 200, "a right one passes");
    home.finish().await
}
