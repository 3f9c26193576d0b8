//! `/metrics` shows the same numbers as `skein/status`, while helpers run and after their end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::http::{free_port, get};
use skein_integration_tests::zoo;
use skein_protocol::extension::{IndexState, SkeinStatusResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::http::is_answered_while_it_sends;

/// Metrics, and the field of `skein/status` with the same number.
const SAME: [(&str, &str); 36] = [
    ("connections", "/connections"),
    ("outbox_bytes", "/outboxBytes"),
    ("threads_loaded", "/threads/loaded"),
    ("threads{state=\"idle\"}", "/threads/idle"),
    ("threads{state=\"running\"}", "/threads/running"),
    ("subscribers", "/threads/subscriptions"),
    ("observers", "/threads/observers"),
    ("helpers_alive", "/helpers/alive"),
    ("helpers{state=\"ready\"}", "/helpers/ready"),
    ("helper_guards", "/helpers/guards"),
    ("helpers_held{rung=\"guard\"}", "/helpers/containment/guard"),
    ("helpers_held{rung=\"cgroup\"}", "/helpers/containment/cgroup"),
    ("helpers_held{rung=\"namespace\"}", "/helpers/containment/namespace"),
    ("helpers_started_total", "/helpers/startedTotal"),
    ("helpers_stopped_total", "/helpers/stoppedTotal"),
    ("helpers_killed_total", "/helpers/killedTotal"),
    ("helper_zero_seconds_count", "/helpers/zero/total"),
    ("leftovers_ended_total", "/helpers/leftovers/endedTotal"),
    ("leftovers", "/helpers/leftovers/left"),
    ("unload_seconds_count", "/unloads/total"),
    ("turns_running", "/turns/running"),
    ("turns_started_total", "/turns/startedTotal"),
    ("turns_completed_total", "/turns/completedTotal"),
    ("turn_seconds_count", "/turns/completedTotal"),
    ("store_appends_total", "/store/appendsTotal"),
    ("store_syncs_total", "/store/syncsTotal"),
    ("store_sync_seconds_count", "/store/syncsTotal"),
    ("store_open_markers", "/store/openMarkers"),
    ("refused_requests_total", "/refusals/overloaded"),
    ("slow_clients_total", "/refusals/slowClients"),
    ("replayed_events_total", "/replay/eventsTotal"),
    ("replay_gaps_total", "/replay/gapsTotal"),
    ("repair_threads_done", "/repair/done"),
    ("repair_threads_found", "/repair/total"),
    ("panics_total", "/panicsTotal"),
    ("threads_squeezed_total", "/pressure/squeezedTotal"),
];

/// The samples of an answer: `name{labels}` without the prefix, and the value.
fn samples(answer: &str) -> Result<BTreeMap<String, f64>> {
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    ensure!(body.ends_with("# EOF\n"), "the answer is not complete: {body}");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            let name = name.strip_prefix("skein_").with_context(|| format!("{line}: unknown prefix"))?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

/// The compared numbers of a status. None of them changes by itself.
fn numbers(status: &SkeinStatusResponse) -> Result<BTreeMap<&'static str, f64>> {
    let status = serde_json::to_value(status)?;
    let number = |at: &str| status.pointer(at).and_then(Value::as_f64).unwrap_or_default();
    Ok(SAME.iter().map(|(_, at)| (*at, number(at))).collect())
}

/// Compares a scrape with two equal statuses around it, so that nothing changed meanwhile.
async fn compare(home: &Home, client: &mut Client) -> Result<(BTreeMap<String, f64>, SkeinStatusResponse)> {
    for _ in 0..200 {
        let before = numbers(&client.status().await?)?;
        let (code, answer) = get(home.address(), "/metrics", &[("Host", "localhost")]).await?;
        let status = client.status().await?;
        if numbers(&status)? != before {
            continue;
        }
        let samples = samples(&answer)?;
        ensure!(code == 200, "{answer}");
        for (name, at) in SAME {
            ensure!(
                samples.get(name) == before.get(at),
                "{name} is {:?}, {at} {before:?}",
                samples.get(name)
            );
        }
        return Ok((samples, status));
    }
    anyhow::bail!("the status keeps changing")
}

#[tokio::test]
async fn metrics_equal_the_status_at_each_isolation_level() -> Result<()> {
    for level in zoo::available().iter().copied() {
        let (home, mut client) = Home::setup()
            .helper(Helper::named("helper")?)
            .set("helpers.containment", level)
            .start_with_client()
            .await?;
        let (empty, _) = compare(&home, &mut client).await?;
        assert_eq!((empty["helpers_alive"], empty["unload_seconds_sum"]), (0.0, 0.0));
        let thread = client.start_thread_with("hello").await?;
        client.tool(thread, "helper", "echo", json!({ "text": "up" })).await?;
        let (living, status) = compare(&home, &mut client).await?;
        assert_eq!(
            (living["helpers_alive"], living["threads_loaded"], living["subscribers"]),
            (1.0, 1.0, 1.0)
        );
        let in_force = status.helpers.held.in_force.context("a helper runs")?;
        for word in ["guard", "cgroup", "namespace"] {
            let one = f64::from(u8::from(in_force.word() == word));
            let of = |name: &str| living[&format!("{name}{{rung=\"{word}\"}}")];
            assert_eq!((of("helpers_rung_in_force"), of("helpers_held")), (one, one), "{level}: {word}");
        }
        // A sync can take less than a millisecond.
        assert!(living["store_syncs_total"] > 0.0 && living["store_sync_seconds_count"] > 0.0, "{living:?}");
        client.unload(thread, true).await?;
        home.until_drained(PATIENCE).await?;
        let (after, status) = compare(&home, &mut client).await?;
        assert_eq!((after["helpers_alive"], after["threads_loaded"]), (0.0, 0.0));
        assert_eq!((after["helper_zero_seconds_count"], after["unload_seconds_count"]), (1.0, 1.0));
        let last = status.helpers.zero.last_ms.context("one has ended")?;
        let sum = after["helper_zero_seconds_sum"] * 1e3;
        assert!(sum >= last as f64 && sum < last as f64 + 1.0, "{sum} ms, and {last}");
        assert_eq!(after["helper_zero_seconds_bucket{le=\"+Inf\"}"], 1.0);
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_scrape_is_not_a_connection_has_a_type_and_works_at_the_control_socket() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    // The time that the index took to open is not in the metrics before.
    client.until_status("an open index", |status| status.index.state == IndexState::Ready).await?;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let (_, open) = get(home.address(), "/metrics", &[("Host", "localhost"), ("Accept", accept)]).await?;
    assert!(
        open.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{open}"
    );
    let (_, plain) = get(home.address(), "/metrics", &[("Host", "localhost")]).await?;
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{plain}");
    assert_eq!(samples(&plain)?["connections"], 1.0, "a scrape is not a connection");
    let mut socket = UnixStream::connect(home.path().join("control.sock")).await?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    assert!(samples(&answer)?.keys().eq(samples(&plain)?.keys()), "{answer}");
    home.finish().await
}

/// The words of an expression that are names of metrics.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    expression.split(is_end).filter(|word| word.starts_with("skein_"))
}

/// The dashboard must ask for metrics that `address` has. Its panels of the database are only looked at for a server with one.
pub(crate) async fn has_what_the_dashboard_asks_for(address: &str, with_database: bool) -> Result<()> {
    let dashboard: Value = serde_json::from_str(include_str!("../../../docs/dashboards/skein.json"))?;
    let (_, answer) = get(address, "/metrics", &[("Host", "localhost")]).await?;
    let known: BTreeSet<String> = samples(&answer)?
        .into_keys()
        .map(|sample| format!("skein_{}", sample.split('{').next().unwrap_or_default()))
        .collect();
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let of_the_database =
        |panel: &&Value| panel["title"].as_str().is_some_and(|it| it.starts_with("Database: "));
    let (database, others): (Vec<_>, Vec<_>) = panels.iter().partition(of_the_database);
    ensure!(database.len() > 2 && others.len() > 10, "{panels:?}");
    let asked: Vec<_> = others.into_iter().chain(database.into_iter().filter(|_| with_database)).collect();
    let targets = asked.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<_> = targets.filter_map(|target| target["expr"].as_str()).collect();
    ensure!(expressions.len() > asked.len(), "{asked:?}");
    for expression in expressions {
        let unknown: Vec<_> = metrics_in(expression).filter(|name| !known.contains(*name)).collect();
        ensure!(metrics_in(expression).next().is_some() && unknown.is_empty(), "{expression}: {unknown:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_dashboard_asks_for_metrics_that_are_there() -> Result<()> {
    let home = Home::start().await?;
    has_what_the_dashboard_asks_for(home.address(), false).await?;
    home.finish().await
}

#[tokio::test]
async fn a_port_for_readers_has_the_metrics_alone_and_takes_their_token_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(&file, format!("{token}\n"))?;
    let port = free_port()?;
    let setup = Home::setup().set("metrics.listen", format!("127.0.0.1:{port}"));
    let home = setup.set("metrics.token_file", file.display().to_string()).start().await?;
    let address = format!("ws://127.0.0.1:{port}");
    let bearer = |token: &str| format!("Bearer {token}");
    let right = bearer(token);
    let host = ("Host", "localhost");
    let (code, answer) = get(&address, "/metrics", &[host, ("Authorization", &right)]).await?;
    assert_eq!(code, 200, "{answer}");
    assert!(samples(&answer)?.contains_key("turn_seconds_count"), "{answer}");
    let wrong = bearer("ffffffffffffffffffffffffffffffff");
    for (headers, code, reason) in [
        (&[host][..], 401, "missing"),
        (&[host, ("Authorization", wrong.as_str())][..], 401, "unknown"),
        (&[("Authorization", wrong.as_str()), ("Host", "evil.example")][..], 401, "unknown"),
        (&[host, ("Authorization", right.as_str()), ("Origin", "http://evil.example")][..], 403, "origin"),
    ] {
        let (found, answer) = get(&address, "/metrics", headers).await?;
        assert!(
            found == code && answer.contains(&format!("\"reason\":\"{reason}\"")),
            "{headers:?}: {answer}"
        );
    }
    // The name of a container, or of a proxy.
    let named = [("Authorization", right.as_str()), ("Host", "skein:9464")];
    assert_eq!(get(&address, "/metrics", &named).await?.0, 200);
    let post = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n";
    is_answered_while_it_sends(&address, post, "401").await?;
    for path in ["/", "/healthz", "/auth/session"] {
        let (code, answer) = get(&address, path, &[host, ("Authorization", &right)]).await?;
        assert_eq!(code, 404, "{path}: {answer}");
    }
    // The token opens nothing for a client.
    let (code, answer) = get(home.address(), "/metrics", &[host, ("Authorization", &right)]).await?;
    assert_eq!(code, 401, "{answer}");
    home.finish().await
}
