//! `skein cluster`, with backups of PostgreSQL's own programs.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skein_integration_tests::paths::run_skein;
use skein_postgres::address::DbAddress;
use skein_postgres::database::Database;
use skein_postgres::testing::TestCluster;
use tempfile::tempdir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::ends::one;
use super::{stored_in, texts};

/// Runs a sub-command of `skein cluster`. Returns its exit code, its last line and its errors.
pub(super) async fn cluster(arguments: &[&str], url: &str) -> Result<(Option<i32>, Value, String)> {
    let nobody = tempdir()?;
    let given = ["cluster"].iter().chain(arguments).chain(&["--json", "--store"]).copied().chain([url]);
    let output = run_skein(nobody.path(), given).await?;
    let (out, error) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let last = out.lines().last().map(serde_json::from_str).transpose()?.unwrap_or_default();
    Ok((output.status.code(), last, error))
}

/// Runs a program of PostgreSQL.
async fn postgres(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(TestCluster::programs().join(program)).args(arguments).output().await?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn a_restored_backup_serves_after_it_got_an_id_of_its_own() -> Result<()> {
    let (mut home, database) = one().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("before the backup").await?;
    home.kill().await?;
    let folder = tempdir()?;
    let file = folder.path().join("backup");
    let file = file.to_str().context("a path")?;
    postgres("pg_dump", &["-Fc", "-f", file, &database.url()]).await?;

    let other = TestCluster::start();
    let copy = other.empty_database().await;
    let url = copy.url();
    postgres("pg_restore", &["-d", &url, file]).await?;
    let refused =
        run_skein(&folder.path().join("home"), ["serve", "--listen", "ws://127.0.0.1:0", "--store", &url])
            .await?;
    let says = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(1), "{says}");
    assert!(says.contains("copy from another instance") && says.contains("skein cluster restored"), "{says}");
    let before = cluster(&["status"], &url).await?.1;
    let (code, done, error) = cluster(&["restored"], &url).await?;
    assert_eq!(code, Some(0), "{error}");
    assert_ne!(done["cluster"], before["cluster"]);

    let (served, mut client) = stored_in(&copy).start_with_client().await?;
    let resumed = client.resume(thread).await?;
    assert_eq!(texts(&resumed.thread)[0], "before the backup");
    assert_eq!(client.say(thread, "in the copy").await?, "in the copy");
    let status = cluster(&["status"], &url).await?.1;
    let states: Vec<(bool, bool)> = status["nodes"]
        .as_array()
        .context("nodes")?
        .iter()
        .map(|node| (node["live"] == true, node["silentMs"].as_u64().is_some()))
        .collect();
    assert_eq!(states, [(true, true), (false, true)], "{status}");
    assert_eq!(status["open"], 1, "{status}");
    // The copy is a server's now.
    let (code, _, error) = cluster(&["restored"], &url).await?;
    assert_eq!((code, error.contains("serves this database; stop it first")), (Some(1), true), "{error}");
    served.finish().await?;

    // The original is untouched.
    home.start_again().await?;
    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?;
    assert_eq!(texts(&resumed.thread)[0], "before the backup");
    home.finish().await
}

#[tokio::test]
async fn a_server_needs_a_role_that_only_reads_and_writes_rows() -> Result<()> {
    let at = TestCluster::start();
    let database = at.empty_database().await;
    let url = database.url();
    let (code, made, error) = cluster(&["init", "--role", "rows"], &url).await?;
    assert_eq!((code, &made["made"]), (Some(0), &true.into()), "{error}");
    let (code, made, error) = cluster(&["upgrade"], &url).await?;
    assert_eq!((code, &made["made"]), (Some(0), &false.into()), "{error}");
    let of_role = url.replace("skein@", "rows@");
    let (home, mut client) = skein_integration_tests::home::Home::setup()
        .set("store.url", of_role.clone())
        .start_with_client()
        .await?;
    let thread = client.start_thread_with("by a role without more rights").await?;
    client.unload(thread, false).await?;
    let (code, _, error) = cluster(&["upgrade"], &of_role).await?;
    assert_eq!(code, Some(0), "nothing is to be done: {error}");
    // A home that was started with `--store` names its database.
    let another = tempdir()?;
    std::fs::copy(Path::new(&home.path()).join("store.json"), another.path().join("store.json"))?;
    let status = run_skein(another.path(), ["cluster", "status", "--json"]).await?;
    ensure!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    home.finish().await
}

#[tokio::test]
async fn a_role_without_the_right_to_see_standbys_learns_that_there_are_some() -> Result<()> {
    let at = TestCluster::start();
    let database = at.empty_database().await;
    let url = database.url();
    let (code, _, error) = cluster(&["init", "--role", "rows"], &url).await?;
    assert_eq!(code, Some(0), "{error}");
    let of_role = url.replace("skein@", "rows@");
    let seen_by = async |url: &str| -> Result<(i64, i64)> {
        let kept = Database::open(DbAddress::parse(url, None)?).await?.durability().await?;
        Ok((kept.unconfirming, kept.hidden))
    };
    assert_eq!((seen_by(&url).await?, seen_by(&of_role).await?), ((0, 0), (0, 0)));
    // A connection of a standby, as the database sees it.
    let mut standby = Command::new(TestCluster::programs().join("psql"))
        .args(["--no-psqlrc", "--quiet", "--tuples-only", &format!("{url}&replication=true")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (mut asks, answers) = standby.stdin.take().zip(standby.stdout.take()).context("pipes")?;
    asks.write_all(b"IDENTIFY_SYSTEM;\n").await?;
    BufReader::new(answers).lines().next_line().await?.context("it is connected")?;
    assert_eq!((seen_by(&url).await?, seen_by(&of_role).await?), ((1, 0), (0, 1)));
    drop(asks);
    ensure!(standby.wait().await?.success());
    Ok(())
}
