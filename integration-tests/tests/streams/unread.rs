//! A server whose log nobody takes from its stderr.

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

/// Prints 7 kB to its stderr and fails.
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
        // All tries of its helper are over, and each has been logged.
        b.next::<McpServerStartupStatusUpdated>(|told| {
            let is_last = told.error.as_ref().is_some_and(|error| error.contains("is not started again"));
            told.thread_id == Some(thread) && told.status == McpServerStartupState::Failed && is_last
        })
        .await?;
    }
    b.call::<ThreadList>(ThreadListParams::default()).await?;
    let server = b.call::<SkeinStatus>(SkeinStatusParams {}).await?.pid;
    assert_eq!(server, a.pid()?);
    Streams::start(&home.path()).await?.end(PATIENCE).await?;

    a.signal(Signal::SIGTERM)?;
    // Its input is still open, and its stderr still full.
    wait_until("its end", PATIENCE, || Process::read(server).is_none().then_some(())).await?;
    let (code, said) = a.exit(PATIENCE).await?;
    assert_eq!(code, Some(0), "{said}");
    b.end(PATIENCE).await?;
    home.finish().await
}
