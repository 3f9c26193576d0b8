//! Servers, homes and databases that do not fit.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::paths::run_skein;
use skein_postgres::testing::{CuttingProxy, TestCluster};
use skein_protocol::methods::{ThreadFork, ThreadResume};
use skein_protocol::thread::{ThreadForkParams, ThreadListParams, ThreadResumeParams};
use tempfile::tempdir;
use tokio::time::timeout;

use super::ends::one;
use super::stored_in;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn serve(home: &std::path::Path, url: &str) -> Result<Output> {
    run_skein(home, ["serve", "--listen", "ws://127.0.0.1:0", "--store", url]).await
}

#[tokio::test]
async fn a_name_among_the_servers_of_a_database_needs_a_database() -> Result<()> {
    let home = tempdir()?;
    let refused =
        run_skein(home.path(), ["serve", "--listen", "ws://127.0.0.1:0", "--node-name", "a"]).await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("and no database"), "{}", stderr(&refused));
    Ok(())
}

#[tokio::test]
async fn a_second_server_is_refused_until_the_first_has_ended() -> Result<()> {
    let (mut home, database) = one().await?;
    let other = tempdir()?;
    let refused = serve(&other.path().join("home"), &database.url()).await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("wants it alone"), "{}", stderr(&refused));
    home.stop().await?;
    let next = stored_in(&database).start().await?;
    next.finish().await?;
    home.finish().await
}

/// The server need not stop, and the address need not be given where the home knows it.
#[tokio::test]
async fn a_thread_is_exported_from_the_database_of_its_home() -> Result<()> {
    let (home, database) = one().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("a needle").await?;
    client.unload(thread, false).await?;
    let url = database.url();
    let by_home = run_skein(&home.path(), &["export", &thread.to_string()]).await?;
    let empty = tempfile::tempdir()?;
    let by_url = run_skein(empty.path(), &["export", &thread.to_string(), "--store", &url]).await?;
    assert_eq!(by_home.status.code(), Some(0), "{}", stderr(&by_home));
    let text = String::from_utf8(by_home.stdout)?;
    assert!(text.contains("a needle") && text.starts_with("{\"v\":"), "{text}");
    assert_eq!(text, String::from_utf8(by_url.stdout)?);

    let other = "00000000-0000-0000-0000-000000000001";
    let unknown = run_skein(&home.path(), &["export", other]).await?;
    assert_eq!(unknown.status.code(), Some(4));
    assert!(stderr(&unknown).contains(&url), "{}", stderr(&unknown));
    let nowhere = format!("{url}x");
    let refused = run_skein(empty.path(), &["export", other, "--store", &nowhere]).await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains(&nowhere), "{}", stderr(&refused));
    home.finish().await
}

/// The servers of a database go on while it is checked.
#[tokio::test]
async fn a_database_is_checked_beside_its_server_and_a_fault_is_named() -> Result<()> {
    let (home, database) = one().await?;
    let mut client = home.client().await?;
    let (loaded, closed) = (client.start_thread_with("a").await?, client.start_thread_with("b").await?);
    // Each load is another ownership, and a fork begins behind those of its source.
    client.unload(closed, false).await?;
    client.call::<ThreadResume>(ThreadResumeParams::new(closed)).await?;
    client.unload(closed, false).await?;
    let params = serde_json::from_value::<ThreadForkParams>(json!({ "threadId": closed }))?;
    let fork = client.call::<ThreadFork>(params).await?.thread.id;
    client.turn(fork, "c").await?;
    client.unload(fork, false).await?;
    let clean = run_skein(&home.path(), &["fsck"]).await?;
    let says = String::from_utf8(clean.stdout)?;
    assert_eq!((clean.status.code(), says.ends_with(": clean\n")), (Some(0), true), "{says}");
    let place = format!("{}: ", database.url());
    assert!(says.starts_with(&format!("{place}3 rollouts with ")), "{says}");

    let sql = format!("delete from records where thread = '{closed}' and seq = 2");
    TestCluster::shared().run(&database.name, &sql).await;
    let (empty, url) = (tempdir()?, database.url());
    let found = run_skein(empty.path(), &["fsck", "--json", "--store", &url]).await?;
    let lines: Vec<serde_json::Value> =
        serde_json::Deserializer::from_slice(&found.stdout).into_iter().collect::<Result<_, _>>()?;
    assert_eq!(found.status.code(), Some(4), "{lines:?}");
    // The row of the list may know more than the records that are left.
    let (finding, summary) = (&lines[0], &lines.last().context("a summary")?["summary"]);
    assert_eq!((&finding["kind"], &finding["seq"]), (&"damage".into(), &1.into()), "{finding}");
    assert_eq!(finding["path"], format!("records/{closed}"), "{finding}");
    assert_eq!((&summary["left"], &summary["index"]), (&(lines.len() - 1).into(), &"compared".into()));

    let of_one = run_skein(empty.path(), &["fsck", "--store", &url, &loaded.to_string()]).await?;
    assert_eq!(
        (of_one.status.code(), String::from_utf8(of_one.stdout)?.starts_with(&format!("{place}1 rollouts"))),
        (Some(0), true)
    );
    let unknown = "00000000-0000-0000-0000-000000000001";
    let of_none = run_skein(empty.path(), &["fsck", "--store", &url, unknown]).await?;
    let says = String::from_utf8(of_none.stdout)?;
    assert_eq!((of_none.status.code(), says.contains("there is no such thread")), (Some(8), true), "{says}");
    for changes in ["--repair", "--gc"] {
        let refused = run_skein(&home.path(), &["fsck", changes]).await?;
        assert_eq!(refused.status.code(), Some(8), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("is only read"), "{}", stderr(&refused));
    }
    home.finish_with_faults().await
}

#[tokio::test]
async fn a_home_with_threads_takes_no_database_and_one_with_a_database_serves_no_files() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (mut home, mut client) = Home::setup().in_files().start_with_client().await?;
    client.start_thread_with("in a file").await?;
    home.stop().await?;
    let refused = serve(&home.path(), &database.url()).await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("has threads of its own"), "{}", stderr(&refused));
    home.finish().await?;

    let (mut home, database) = one().await?;
    home.stop().await?;
    std::fs::write(home.path().join("config.toml"), "")?;
    let file = home.beside().join("backup.tar.gz");
    let file = file.to_str().context("a path")?;
    for command in [&["serve", "--listen", "ws://127.0.0.1:0"][..], &["backup", file], &["reindex"]] {
        let refused = run_skein(&home.path(), command).await?;
        let says = stderr(&refused) + &String::from_utf8_lossy(&refused.stdout);
        assert_ne!(refused.status.code(), Some(0), "{command:?}: {says}");
        assert!(says.contains(&database.url()) && says.contains("pg_dump"), "{command:?}: {says}");
    }
    home.finish().await
}

#[tokio::test]
async fn tables_are_made_once_and_a_database_without_them_is_refused() -> Result<()> {
    let cluster = TestCluster::shared();
    let database = cluster.empty_database().await;
    let folder = tempdir()?;
    let home = folder.path().join("home");
    let url = database.url();
    let refused = serve(&home, &url).await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("skein cluster init"), "{}", stderr(&refused));
    assert!(!home.join("store.json").exists(), "a database that does not serve is not noted");
    for made in [true, false] {
        let output = run_skein(&home, ["cluster", "init", "--json", "--store", &url]).await?;
        assert!(output.status.success(), "{}", stderr(&output));
        let says: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!((&says["made"], &says["url"]), (&made.into(), &url.clone().into()), "{says}");
    }
    let doctor = run_skein(&home, ["doctor", "--json", "--store", &url]).await?;
    let says: serde_json::Value = serde_json::from_slice(&doctor.stdout)?;
    let findings = says["findings"].as_array().context("findings")?;
    let store =
        findings.iter().find(|finding| finding["name"] == "store").context("nothing about the store")?;
    // The database of a test syncs nothing.
    assert_eq!(store["state"], "warning", "{store}");
    assert!(store["text"].as_str().is_some_and(|text| text.contains("syncs no commit")), "{store}");
    stored_in(&database).start().await?.finish().await
}

#[tokio::test]
async fn no_password_is_on_the_command_line_or_in_an_error() -> Result<()> {
    let folder = tempdir()?;
    let home = folder.path().join("home");
    let refused = serve(&home, "postgres://skein:hush@127.0.0.1:1/skein").await?;
    assert!(
        stderr(&refused).contains("$SKEIN_STORE") && !stderr(&refused).contains("hush"),
        "{}",
        stderr(&refused)
    );
    let mut command = tokio::process::Command::new(skein_integration_tests::paths::skein()?);
    command.args(["serve", "--listen", "ws://127.0.0.1:0", "--home"]).arg(&home);
    let refused = command.env("SKEIN_STORE", "postgres://skein:hush@127.0.0.1:1/skein").output().await?;
    assert_eq!(refused.status.code(), Some(1));
    let says = stderr(&refused);
    assert!(says.contains("postgres://skein@127.0.0.1:1/skein") && !says.contains("hush"), "{says}");
    Ok(())
}

/// As when somebody starts the machine of the old primary again, and the address leads there.
#[tokio::test]
async fn a_server_that_starts_refuses_a_primary_that_another_has_replaced() -> Result<()> {
    let cluster = TestCluster::start();
    let database = cluster.database().await;
    cluster.stand_by().await;
    let way = CuttingProxy::alone(&database);
    let setup = Home::setup().set("store.url", way.url(&database));
    let (mut home, mut client) = setup.start_with_client().await?;
    client.start_thread_with("words").await?;
    let note = home.path().join("store.json");
    let first = std::fs::read_to_string(&note)?;
    cluster.promote();
    way.lead_to(&cluster.socket());
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let kept = async {
        while std::fs::read_to_string(&note)? == first {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, kept).await.context("the home keeps no new instance")??;
    home.kill().await?;

    cluster.start_old_primary();
    way.lead_to(&cluster.first_socket());
    let refused = timeout(PATIENCE, serve(&home.path(), &way.url(&database))).await??;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("leads to an old primary"), "{}", stderr(&refused));

    way.lead_to(&cluster.socket());
    cluster.stop_old_primary();
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(client.list_all(ThreadListParams::default()).await?.len(), 1);
    home.finish().await
}
