//! `skein fsck` finds exactly the faults, mends those without loss, and never writes beside a server.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;
use skein_integration_tests::fixture::Size;
use skein_integration_tests::fixture::kind::{Ending, Fault, Kind};
use skein_integration_tests::home::Home;
use skein_integration_tests::paths::run_skein;
use skein_protocol::ids::ThreadId;

/// The exit code, kind and thread of each finding, and stderr.
struct Outcome {
    code: i32,
    found: BTreeSet<(String, Option<String>)>,
    stderr: String,
}

async fn fsck(home: &Home, arguments: &[&str]) -> Result<Outcome> {
    let output = run_skein(&home.path(), [&["fsck", "--json"], arguments].concat()).await?;
    let mut found = BTreeSet::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let line: Value = serde_json::from_str(line)?;
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        if let Some(kind) = text("kind") {
            found.insert((kind, text("thread")));
        }
    }
    let code = output.status.code().context("a signal")?;
    Ok(Outcome { code, found, stderr: String::from_utf8_lossy(&output.stderr).into_owned() })
}

#[tokio::test]
async fn fsck_finds_exactly_the_planted_faults_and_a_mended_home_keeps_the_rest() -> Result<()> {
    let mut home = Home::setup().histories(Size::Tiny, 7).start().await?;
    // Killed, so that the server repairs no more than it has already repaired.
    home.kill().await?;
    let histories = home.histories()?;
    let of = |kind: &str, threads: Vec<ThreadId>| {
        let named = threads.into_iter().map(|thread| (kind.to_owned(), Some(thread.to_string())));
        named.collect::<Vec<_>>()
    };
    let lost = |kind: Kind| kind.fault == Fault::NoBeginning;
    let stays = [
        of("damage", histories.fault(Fault::Damaged)),
        of("damage", histories.examples(lost)),
        of("place", histories.examples(lost)),
    ];
    let stays: BTreeSet<_> = stays.concat().into_iter().collect();
    let goes = [
        of("tornEnd", histories.fault(Fault::Torn)),
        of("unmarked", histories.ending(Ending::NeverEndedUnmarked)),
    ];
    let goes: BTreeSet<_> = goes.concat().into_iter().collect();
    let found = fsck(&home, &[]).await?;
    let server = ("serverJson".to_owned(), None);
    assert!(stays.is_subset(&found.found), "{:#?}", found.found);
    let rest: BTreeSet<_> =
        found.found.difference(&stays).filter(|found| **found != server).cloned().collect();
    assert!(rest.is_subset(&goes), "{rest:#?}");
    assert_eq!(found.code, 4, "{}", found.stderr);
    let mended = fsck(&home, &["--repair"]).await?;
    assert_eq!((mended.code, mended.found), (5, found.found), "some is mended, some is left");
    let again = fsck(&home, &["--repair"]).await?;
    assert_eq!((again.code, again.found), (4, stays));
    home.start_again().await?;
    home.finish().await
}

#[tokio::test]
async fn fsck_reads_a_served_home_and_does_not_mend_it() -> Result<()> {
    let (home, mut client) = Home::in_files()?.start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    client.start_turn(thread, "/stream 100000 8 500").await?;
    let looked = fsck(&home, &[]).await?;
    assert_eq!((looked.code, looked.found), (0, BTreeSet::new()), "{}", looked.stderr);
    let refused = fsck(&home, &["--repair"]).await?;
    assert_eq!(refused.code, 8);
    let named = refused.stderr.contains(&home.pid().to_string()) && refused.stderr.contains(home.address());
    assert!(named, "{}", refused.stderr);
    assert_eq!(fsck(&home, &["no-thread"]).await?.code, 16);
    home.finish().await
}
