//! A server whose stderr is not read.

use anyhow::Result;
use nix::sys::signal::Signal;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::{Process, wait_until};
use skein_integration_tests::streams::Streams;
use skein_protocol::extension::SkeinStatusParams;
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::methods::{SkeinStatus, ThreadList, ThreadStart};
use skein_protocol::notifications::McpServerStartupStatusUpdated;
use skein_protocol::thread::{ThreadListParams, ThreadStartParams};

/// Prints 7 kB to stderr and fails.
const TRACEBACK: &str = "for i in 1 2 3 4 5 6 7; do printf '%01000d\\n' $i >&2; done; exit 1";

#[tokio::test]
async fn a_server_whose_stderr_is_full_answers_other_clients_and_stops_on_sigterm() -> Result<()> {
    let script = ["-c".to_owned(), TRACEBACK.to_owned()];
    let mut home = Home::setup().helper(Helper::program("fails", "/bin/sh", &script)).start().await?;
    home.stop().await?;
    let a = Streams::start(&home.path()).await?;
    a.narrow_errors()?;
    let mut b = Streams::start(&home.path()).await?;
    for _ in 0..3 {
        let thread = b.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
        // All start attempts of its helper are over, and each was logged.
        b.next::<McpServerStartupStatusUpdated>(|update| {
            let is_last = update.error.as_ref().is_some_and(|error| error.contains("is not started again"));
            update.thread_id == Some(thread) && update.status == McpServerStartupState::Failed && is_last
        })
        .await?;
    }
    b.call::<ThreadList>(ThreadListParams::default()).await?;
    let server = b.call::<SkeinStatus>(SkeinStatusParams {}).await?.pid;
    assert_eq!(server, a.pid()?);
    Streams::start(&home.path()).await?.end(PATIENCE).await?;

    a.signal(Signal::SIGTERM)?;
    // The server's input is still open, and its stderr still full.
    wait_until("the end of the server", PATIENCE, || Process::read(server).is_none().then_some(())).await?;
    let (code, stderr) = a.exit(PATIENCE).await?;
    assert_eq!(code, Some(0), "{stderr}");
    b.end(PATIENCE).await?;
    home.finish().await
}
