//! SIGKILL of the server and its guards at the same moment: no process is left to clean up, so the next start
//! does.

use anyhow::{Result, ensure};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::process::{Process, wait_until};
use skein_integration_tests::zoo;

/// Modes of helpers whose processes have no parent left once their guard is gone.
const ESCAPED: [&str; 3] = ["own-session", "no-environment", "daemon"];

#[tokio::test]
async fn leftover_processes_end_before_the_first_helper_of_the_next_start() -> Result<()> {
    for level in ["guard", "cgroup"] {
        let mut setup = Home::setup().set("helpers.containment", level);
        for mode in ESCAPED {
            setup = setup.zoo(mode)?;
        }
        let (mut home, mut client) = setup.start_with_client().await?;
        client.start_thread_with("/tool daemon pid").await?;
        // A helper and its child for each mode.
        home.until_helpers(6).await?;
        home.kill_with_guards().await?;
        let children: Vec<Process> = home.family().helpers;
        ensure!(children.len() >= ESCAPED.len(), "these processes should outlive their guards: {children:?}");
        home.start_again().await?;
        let mut client = home.client().await?;
        client.start_thread_with("/tool daemon pid").await?;
        for child in children {
            ensure!(
                !child.lives(),
                "{level}: a leftover process lives beside helpers of the next start: {child:?}"
            );
        }
        let ended = client.status().await?.helpers.leftovers.ended_total;
        ensure!(ended > 0, "{level}: the status counts no ended process");
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_next_start_leaves_the_helpers_of_another_home_alone() -> Result<()> {
    let other = Home::setup().zoo("daemon")?.start().await?;
    let mut bystander = other.client().await?;
    bystander.start_thread_with("/tool daemon pid").await?;
    let family = other.until_helpers(2).await?;
    let (mut home, mut client) = Home::setup().zoo("daemon")?.start_with_client().await?;
    client.start_thread_with("/tool daemon pid").await?;
    home.until_helpers(2).await?;
    home.kill_with_guards().await?;
    home.start_again().await?;
    wait_until("no process of the earlier start", PATIENCE, || (home.family().count() == 0).then_some(()))
        .await?;
    let pids = |family: &skein_integration_tests::process::Family| {
        family.all().map(|process| process.pid).collect::<Vec<_>>()
    };
    assert_eq!(pids(&other.family()), pids(&family));
    home.finish().await?;
    other.finish().await
}

#[tokio::test]
async fn in_a_namespace_no_process_outlives_the_server_and_its_guards() -> Result<()> {
    if !zoo::has_namespaces() {
        return Ok(());
    }
    let mut setup = Home::setup().set("helpers.containment", "namespace");
    for mode in ESCAPED {
        setup = setup.zoo(mode)?;
    }
    let (mut home, mut client) = setup.start_with_client().await?;
    client.start_thread_with("/tool daemon pid").await?;
    // A helper, its child, and the first process of its namespace for each mode.
    home.until_helpers(9).await?;
    assert_eq!(client.status().await?.helpers.containment.get("namespace"), Some(&3));
    home.kill_with_guards().await?;
    home.finish_drained().await
}
