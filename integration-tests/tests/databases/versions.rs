//! Two versions in one cluster.

use anyhow::{Result, ensure};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Exit, Home, PATIENCE};
use skein_integration_tests::paths::{earlier_skein, run_skein};
use skein_postgres::testing::TestCluster;
use skein_protocol::ids::ThreadId;
use tempfile::tempdir;
use tokio::process::Command;

use super::commands::cluster;
use super::links::linked_with;
use super::nodes::{node, until_resumed};
use super::texts;

/// Says something in a thread at each of the servers, and reads it at all of them.
async fn use_at_each(homes: [&Home; 2], thread: ThreadId, said: &mut Vec<String>) -> Result<()> {
    for home in homes {
        let mut client = Client::numbered(home.address()).await?;
        until_resumed(&mut client, thread).await?;
        let text = format!("message {}", said.len() / 2);
        assert_eq!(client.say(thread, &text).await?, text);
        said.extend([text.clone(), text]);
        for reader in homes {
            let mut reader = reader.client().await?;
            assert_eq!(texts(&reader.read_thread(thread).await?), *said);
            reader.close().await?;
        }
        client.close().await?;
    }
    Ok(())
}

/// Takes a server out, and starts its new version on the same home.
async fn replace(home: &mut Home, name: &str, url: &str) -> Result<()> {
    let (code, _, error) = cluster(&["drain", name], url).await?;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(home.exited(PATIENCE).await?, Exit::Code(0));
    home.use_tested_program();
    home.start_again().await
}

#[tokio::test]
#[ignore = "scripts/cluster-chaos --earlier runs it: it needs a build of the version before"]
async fn a_cluster_is_upgraded_server_by_server_while_it_is_used() -> Result<()> {
    let (database, earlier) = (TestCluster::shared().empty_database().await, earlier_skein()?);
    let (url, nobody) = (database.url(), tempdir()?);
    let init = ["cluster", "init", "--json", "--store", &url, "--home"];
    let made = Command::new(&earlier).args(init).arg(nobody.path()).output().await?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let (first, second) = (node(&database, "first")?, node(&database, "second")?);
    let (first, second) = (first.program(earlier.clone()), second.program(earlier));
    let [(mut first, mut one), (mut second, other)] = linked_with(first, second).await?;
    let thread = one.start_thread_with("message 0").await?;
    let mut said = vec!["message 0".to_owned(); 2];
    one.close().await?;
    other.close().await?;
    use_at_each([&first, &second], thread, &mut said).await?;

    let serve = ["serve", "--listen", "ws://127.0.0.1:0", "--node-name", "third", "--store", &url];
    let refused = run_skein(nobody.path(), serve).await?;
    let says = String::from_utf8(refused.stderr)?;
    ensure!(refused.status.code() == Some(1) && says.contains("skein cluster upgrade"), "{says}");
    let (code, _, error) = cluster(&["upgrade"], &url).await?;
    assert_eq!(code, Some(0), "{error}");
    use_at_each([&first, &second], thread, &mut said).await?;

    replace(&mut first, "first", &url).await?;
    use_at_each([&first, &second], thread, &mut said).await?;
    replace(&mut second, "second", &url).await?;
    use_at_each([&first, &second], thread, &mut said).await?;
    first.finish().await?;
    second.finish().await
}
