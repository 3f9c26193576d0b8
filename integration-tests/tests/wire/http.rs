//! HTTP beside the websocket: health, metrics, and access rules.

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_integration_tests::http::get;

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn health_is_available_to_programs_of_this_machine() -> Result<()> {
    let home = Home::start().await?;
    for path in ["/healthz", "/readyz", "/metrics"] {
        for host in ["localhost", "127.0.0.1:80", "[::1]"] {
            assert_eq!(get(home.address(), path, &[("Host", host)]).await?.0, 200, "{path} at {host}");
        }
    }
    assert_eq!(get(home.address(), "/nothing", &[("Host", "localhost")]).await?.0, 404);
    home.finish().await
}

#[tokio::test]
async fn a_browser_page_has_no_access() -> Result<()> {
    let home = Home::start().await?;
    for origin in ["http://localhost:3000", "https://example.com", "null"] {
        for path in ["/", "/healthz", "/readyz", "/metrics"] {
            let mut headers = vec![("Host", "localhost"), ("Origin", origin)];
            headers.extend(UPGRADE);
            assert_eq!(get(home.address(), path, &headers).await?.0, 403, "{path} from {origin}");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_foreign_host_header_gets_misdirected() -> Result<()> {
    let home = Home::start().await?;
    for host in ["example.com", "localhost.example.com", "10.1.2.3:80"] {
        for path in ["/", "/healthz", "/readyz", "/metrics"] {
            let mut headers = vec![("Host", host)];
            headers.extend(UPGRADE);
            assert_eq!(get(home.address(), path, &headers).await?.0, 421, "{path} at {host}");
        }
    }
    home.finish().await
}
