//! The attempts of a helper to connect somewhere: by itself, from a grandchild, and without any trace of a helper.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use nix::sys::socket::{getsockopt, sockopt};
use serde_json::{Value, json};
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::zoo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::text;

/// The traces of a helper on a process that a server can see.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    /// It leads no session of the helper's.
    own_session: bool,
    /// The tag stands in its environment.
    environment: bool,
    /// The tag stands in its limits.
    limits: bool,
    /// Descriptors besides the standard ones and the connection.
    descriptors: bool,
}

impl Traces {
    fn of(pid: i32, helper: i32) -> Result<Self> {
        let read = |pid: i32, file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        let session = |pid| -> Result<String> {
            let stat = read(pid, "stat")?;
            let fields = stat.rsplit_once(')').context("a name")?.1;
            Ok(fields.split_whitespace().nth(3).context("a session")?.to_owned())
        };
        let limits: BTreeMap<_, _> = read(pid, "limits")?.lines().map(limit).collect();
        let tagged = |name| limits.get(name).is_some_and(|hard| hard != "unlimited" && hard != "1");
        Ok(Self {
            own_session: session(pid)? != session(helper)?,
            environment: read(pid, "environ")?.contains("SKEIN_HELPER="),
            limits: tagged("Max resident set") || tagged("Max file locks"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count() > 4,
        })
    }
}

/// The name of a limit, and its hard value.
fn limit(line: &str) -> (String, String) {
    let (name, values) = line.split_at(line.len().min(26));
    (name.trim().to_owned(), values.split_whitespace().nth(1).unwrap_or_default().to_owned())
}

/// Answers a client with 403.
async fn refuse(mut client: UnixStream) -> Result<String> {
    let mut head = [0; 4096];
    let length = client.read(&mut head).await?;
    client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nhelper").await?;
    Ok(String::from_utf8_lossy(&head[..length]).into_owned())
}

#[tokio::test]
async fn a_helper_connects_by_itself_and_without_any_trace_and_reports_what_it_got() -> Result<()> {
    for level in zoo::available().iter().copied() {
        let setup = Home::setup().helper(Helper::named("helper")?).set("helpers.containment", level);
        let (home, mut client) = setup.start_with_client().await?;
        let thread = client.start_thread_with("hello").await?;
        let folder = tempfile::tempdir()?;
        let door = folder.path().join("door");
        let listener = UnixListener::bind(&door)?;
        let mut helper = None;
        for (how, traces) in [
            ("itself", Traces { own_session: false, environment: true, limits: true, descriptors: false }),
            ("grandchild", Traces { own_session: true, environment: true, limits: true, descriptors: false }),
            ("shed", Traces { own_session: true, environment: false, limits: false, descriptors: false }),
        ] {
            let asked = json!({ "door": door, "how": how, "target": "/rpc" });
            let served = async {
                let (connection, _) = tokio::time::timeout(PATIENCE, listener.accept()).await??;
                let peer = getsockopt(&connection, sockopt::PeerCredentials)?.pid();
                // The first of them is the helper itself. By the kernel, as it may know only its pid in a namespace.
                let found = Traces::of(peer, *helper.get_or_insert(peer))?;
                assert_eq!(found, traces, "{how} at {level}");
                refuse(connection).await
            };
            let (answer, head) = tokio::join!(client.tool(thread, "helper", "connect", asked), served);
            assert!(head?.starts_with("GET /rpc HTTP/1.1\r\n"));
            let answer: Value = serde_json::from_str(&text(&answer?))?;
            assert_eq!(answer, json!({ "status": 403, "body": "helper" }), "{how} at {level}");
        }
        home.finish().await?;
    }
    Ok(())
}
