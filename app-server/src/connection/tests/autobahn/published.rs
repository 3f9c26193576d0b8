//! The published suite against the same echo, as `scripts/autobahn` runs it: its report has the verdicts of the cases here.

use std::path::PathBuf;

use tokio::io::AsyncReadExt;

use super::cases;
use super::script::{Case, Verdict};
use super::server::EchoServer;

/// How the suite's report names the outcome of a case, and the code of a refusal.
fn expected(case: &Case) -> (&'static str, Option<u64>) {
    match case.verdict {
        Verdict::Passed => ("OK", None),
        Verdict::NonStrict => ("NON-STRICT", None),
        Verdict::Informational => ("INFORMATIONAL", None),
        Verdict::Refused => ("FAILED", Some(1003)),
        Verdict::NotOffered => ("UNIMPLEMENTED", None),
    }
}

/// Writes its address to `address` in the folder `SKEIN_AUTOBAHN_FOLDER`, and serves until standard input ends. Then it compares
/// `index.json` there.
#[tokio::test]
#[ignore = "needs the published suite: scripts/autobahn"]
async fn the_published_suite_agrees() {
    let folder = PathBuf::from(std::env::var_os("SKEIN_AUTOBAHN_FOLDER").unwrap());
    let server = EchoServer::start(0).await;
    std::fs::write(folder.join("address"), format!("ws://{}", server.address)).unwrap();
    tokio::io::stdin().read_to_end(&mut Vec::new()).await.unwrap();
    server.finish().await;
    let report = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let agent = report.as_object().and_then(|agents| agents.values().next()).unwrap();
    let mut differences = Vec::new();
    for case in cases::all() {
        let (found, (outcome, code)) = (&agent[&case.number], expected(&case));
        let has_code = code.is_none_or(|code| found["remoteCloseCode"] == code);
        if found["behavior"] != outcome || !has_code {
            differences.push(format!("{}: expected {outcome}, found {found}", case.number));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
