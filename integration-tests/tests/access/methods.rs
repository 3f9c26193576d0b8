//! Every method with every access, as the method table says.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::Home;
use skein_protocol::access::Access;
use skein_protocol::methods::{METHODS, ServerDiagnostics, ThreadStart, TurnStart};
use skein_protocol::table::Method;

use super::{SCOPES, forbidden};

#[tokio::test]
async fn every_method_passes_or_is_forbidden_as_the_table_says_before_its_params_are_read() -> Result<()> {
    let home = Home::start().await?;
    for access in SCOPES {
        let mut client = home.client_of(access.as_str()).await?;
        for info in METHODS {
            // No method has such params, so that no request does anything.
            let answer = client.call_raw(info.wire, &json!("no params")).await?;
            let refused = forbidden(answer.err().as_ref(), info.access);
            let expected = (access < info.access).then(String::new);
            assert_eq!(refused, expected, "{} with {access}", info.wire);
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_refusal_names_the_needed_scope_and_nothing_has_happened() -> Result<()> {
    let home = Home::start().await?;
    let mut reader = home.client_of("read").await?;
    for method in [ThreadStart::INFO.wire, TurnStart::INFO.wire] {
        let refusal = reader.call_raw(method, &json!({})).await?.err().context("no refusal")?;
        assert_eq!(forbidden(Some(&refusal), Access::Chat), Some(String::new()));
        let message = &refusal.message;
        assert!(
            message.contains(method) && message.contains("chat") && message.contains("read"),
            "{message}"
        );
    }
    assert_eq!(reader.loaded().await?, []);
    // A method that nobody has is no secret of an access.
    let unknown = reader.call_raw("nobody/has/it", &json!({})).await?.err().context("no refusal")?;
    assert_eq!(unknown.reason(), "methodNotFound");
    reader.call_raw(ServerDiagnostics::INFO.wire, &json!({})).await??;
    home.finish().await
}
