//! Tokens and sessions in the database: every home that serves it knows them.

use anyhow::Result;
use serde_json::Value;
use skein_integration_tests::credentials::bearer;
use skein_integration_tests::home::Home;
use skein_integration_tests::http::Request;
use skein_integration_tests::paths::run_skein;
use skein_postgres::testing::TestCluster;
use tempfile::tempdir;

use super::ends::{one, until_ready_is};
use super::migrate::{migrate, place};
use super::stored_in;

/// The status and the reason with which a server answers a token.
async fn answer(home: &Home, token: &str) -> Result<(u16, String)> {
    Ok(Request::new("GET", "/auth/session").bearer(token).send(home.address()).await?.refusal())
}

async fn is_good(home: &Home, token: &str) -> Result<bool> {
    Ok(answer(home, token).await?.0 == 200)
}

/// Runs a command that has no home of its own.
pub(super) async fn skein(arguments: &[&str]) -> Result<String> {
    let nobody = tempdir()?;
    let output = run_skein(nobody.path(), arguments).await?;
    anyhow::ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[tokio::test]
async fn a_token_made_in_the_database_is_good_at_once_and_its_end_closes_connections() -> Result<()> {
    let (home, database) = one().await?;
    let url = database.url();
    let token = skein(&["token", "create", "ci", "--store", &url]).await?;
    let mut client = bearer(home.address(), &token).await?;
    let listed: Value = serde_json::from_str(&skein(&["token", "list", "--json", "--store", &url]).await?)?;
    assert_eq!(
        (&listed["data"][0]["name"], listed["data"].as_array().map(Vec::len)),
        (&"ci".into(), Some(1))
    );
    skein(&["token", "revoke", "ci", "--store", &url]).await?;
    client.until_end().await?;
    assert_eq!(answer(&home, &token).await?, (401, "revoked".to_owned()));
    home.finish().await
}

/// As in a container without a volume.
#[tokio::test]
async fn a_server_with_a_new_home_knows_the_tokens_of_the_one_before() -> Result<()> {
    let (mut home, database) = one().await?;
    let (kept, revoked) = (home.token("kept", "chat").await?, home.token("revoked", "chat").await?);
    assert!(is_good(&home, &kept).await? && is_good(&home, &revoked).await?, "at once");
    home.skein(&["token", "revoke", "revoked"]).await?;
    assert!(!home.path().join("access.json").exists());
    home.stop().await?;
    // Without a server, too.
    let more = home.token("more", "read").await?;
    // A later version may write records that this one cannot read.
    let sql = "insert into credentials (id, token, body, changed)
      values ('00000000-0000-0000-0000-000000000007', 'later', '{\"later\": {}}', 1)";
    TestCluster::shared().run(&database.name, sql).await;
    let next = stored_in(&database).start().await?;
    assert!(is_good(&next, &kept).await? && is_good(&next, &more).await?);
    next.until_line(&["00000000-0000-0000-0000-000000000007", "nobody comes in with this record"]).await?;
    assert_eq!(answer(&next, &revoked).await?, (401, "revoked".to_owned()));
    next.finish().await?;
    home.finish().await
}

#[tokio::test]
async fn the_tokens_of_a_home_come_into_its_database_and_back() -> Result<()> {
    let mut home = Home::setup().in_files().start().await?;
    let (first, ended) = (home.token("first", "chat").await?, home.token("ended", "chat").await?);
    home.stop().await?;
    let database = TestCluster::shared().database().await;
    let other = skein(&["token", "create", "first", "--store", &database.url()]).await?;
    let (code, _, error) = migrate(&place(&home), &database.url()).await?;
    assert_eq!(code, Some(0), "{error}");
    assert!(!home.path().join("access.json").exists());
    assert!(home.path().join("access-before-database.json").exists());
    skein(&["token", "revoke", "ended", "--store", &database.url()]).await?;
    let served = stored_in(&database).start().await?;
    assert!(is_good(&served, &first).await? && is_good(&served, &other).await?);
    served.finish().await?;

    let (code, _, error) = migrate(&database.url(), &place(&home)).await?;
    assert_eq!(code, Some(0), "{error}");
    home.start_again().await?;
    for token in [&first, &other] {
        assert!(is_good(&home, token).await?);
    }
    assert_eq!(answer(&home, &ended).await?, (401, "revoked".to_owned()));
    let listed = home.skein(&["token", "list"]).await?;
    assert!(listed.contains("first ") && listed.contains("first-2 "), "{listed}");
    home.finish().await
}

/// A home that had tokens before its first start with a database.
#[tokio::test]
async fn the_first_start_with_a_database_brings_the_tokens_of_the_home() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let home = stored_in(&database).start().await?;
    let path = home.path().to_owned();
    let made = tempdir()?;
    let output = run_skein(made.path(), ["token", "create", "early"]).await?;
    let early = String::from_utf8(output.stdout)?.trim_end().to_owned();
    let mut home = home;
    home.stop().await?;
    std::fs::copy(made.path().join("access.json"), path.join("access.json"))?;
    for _ in 0..2 {
        home.start_again().await?;
        assert!(is_good(&home, &early).await?);
        assert!(!path.join("access.json").exists() && path.join("access-before-database.json").exists());
        home.stop().await?;
    }
    home.finish().await
}

/// Another server may have made it. A page whose session is refused for good would ask its user for a new one.
#[tokio::test]
async fn a_credential_that_is_unknown_while_the_database_is_away_is_not_refused_for_good() -> Result<()> {
    let cluster = TestCluster::start();
    let database = cluster.database().await;
    let home = stored_in(&database).start().await?;
    let known = home.token("known", "chat").await?;
    let unknown = format!("skein_{}", "A".repeat(43));
    let wrong = (401, "unknown".to_owned());
    assert_eq!(answer(&home, &unknown).await?, wrong);
    cluster.stop();
    let refused = Request::new("GET", "/auth/session").bearer(&unknown).send(home.address()).await?;
    assert_eq!(refused.refusal(), (503, "storeUnavailable".to_owned()), "{refused:?}");
    assert_eq!(refused.headers("retry-after"), ["1"]);
    assert!(is_good(&home, &known).await?);
    cluster.start_again();
    until_ready_is(&home, 200).await?;
    assert_eq!(answer(&home, &unknown).await?, wrong);
    home.finish().await
}
