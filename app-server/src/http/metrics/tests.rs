use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::HeaderValue;
use serde_json::{Value, json};
use skein_base::durations::Durations;
use skein_protocol::extension::IndexingDetails;

use super::*;

fn scrape(status: SkeinStatusResponse) -> Scrape {
    let durations = |ms: &[u64]| {
        let durations = Durations::default();
        ms.iter().for_each(|ms| durations.add(Duration::from_millis(*ms)));
        durations.taken()
    };
    let lanes = [("inline", [1, 2]), ("store", [3, 4]), ("thread", [5, 6]), ("helper", [7, 8])];
    Scrape {
        status,
        unloads: durations(&[2, 900, 9000]),
        zeros: durations(&[]),
        syncs: durations(&[3]),
        turns: durations(&[70_000]),
        tool_calls: durations(&[10, 8_000_000]),
        requests: lanes.map(|(lane, took)| (lane, durations(&took))),
    }
}

/// A sample and the kind of its family.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
    kind: String,
}

fn is_name(name: &str) -> bool {
    name.starts_with("skein_") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Parses `{a="b",c="d"}`; values have no quotes or commas.
fn labels(text: &str) -> Vec<(String, String)> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap();
    let label = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
        (name.to_owned(), value.to_owned())
    };
    inner.split(',').map(label).collect()
}

/// Reads the text by its specification, line by line: help, kind, samples.
fn read(text: &str) -> Vec<Sample> {
    let body = text.strip_suffix("# EOF\n").expect("the text says that it is whole");
    let (mut samples, mut families) = (Vec::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !words.is_empty(), "{line}");
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            family = name.to_owned();
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, is) = typed.split_once(' ').unwrap();
            assert!(["gauge", "counter", "histogram", "info"].contains(&is), "{line}");
            assert_eq!(name, family, "{line}");
            kind = is.to_owned();
        } else {
            let (what, value) = line.rsplit_once(' ').unwrap();
            let (name, with) = what.find('{').map_or((what, ""), |at| what.split_at(at));
            let endings: &[&str] = match kind.as_str() {
                "gauge" => &[""],
                "counter" => &["_total"],
                "histogram" => &["_sum", "_count", "_bucket"],
                _ => &["_info"],
            };
            assert!(is_name(name) && endings.iter().any(|end| *name == format!("{family}{end}")), "{line}");
            let labels = if with.is_empty() { Vec::new() } else { labels(with) };
            samples.push(Sample {
                name: name.to_owned(),
                labels,
                value: value.parse().unwrap(),
                kind: kind.clone(),
            });
        }
    }
    samples
}

/// A status with a distinct number everywhere, and with all optional members.
fn distinct() -> (SkeinStatusResponse, BTreeMap<String, u64>) {
    let mut status = SkeinStatusResponse::default();
    status.index.open_ms = Some(0);
    status.index.disk_percent = Some(0);
    status.index.indexing = Some(IndexingDetails { done: 0, total: 0 });
    status.reloads.last_at_ms = Some(0);
    for duration in [&mut status.unloads.last_ms, &mut status.unloads.max_ms] {
        *duration = Some(0);
    }
    for duration in [&mut status.helpers.zero.last_ms, &mut status.helpers.zero.max_ms] {
        *duration = Some(0);
    }
    for duration in [&mut status.store.sync_last_ms, &mut status.store.sync_max_ms] {
        *duration = Some(0);
    }
    status.helpers.containment = ["guard", "cgroup", "namespace"].map(|by| (by.to_owned(), 0)).into();
    let mut value = serde_json::to_value(status).unwrap();
    let mut numbers = BTreeMap::new();
    number(&mut value, "", &mut numbers);
    (serde_json::from_value(value).unwrap(), numbers)
}

fn number(value: &mut Value, path: &str, numbers: &mut BTreeMap<String, u64>) {
    match value {
        Value::Number(_) => {
            let next = 100_000 + 1000 * u64::try_from(numbers.len()).unwrap();
            numbers.insert(path.to_owned(), next);
            *value = json!(next);
        }
        Value::Object(members) => {
            members.iter_mut().for_each(|(name, member)| number(member, &format!("{path}/{name}"), numbers));
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

/// Members of `skein/status` without a metric: identities, derived values, and those that histograms cover.
const UNMETERED: [&str; 12] = [
    "/pid",
    "/uptimeMs",
    "/index/diskPercent",
    "/reloads/lastAtMs",
    "/unloads/total",
    "/unloads/lastMs",
    "/unloads/maxMs",
    "/helpers/zero/total",
    "/helpers/zero/lastMs",
    "/helpers/zero/maxMs",
    "/store/syncLastMs",
    "/store/syncMaxMs",
];
/// Members in seconds.
const SECONDS: [&str; 2] = ["/startedAtMs", "/index/openMs"];

#[test]
fn each_number_of_the_status_is_in_the_metrics_once() {
    let (status, numbers) = distinct();
    let samples = read(&scrape(status).text().unwrap());
    for (path, number) in &numbers {
        #[expect(clippy::cast_precision_loss, reason = "they are small")]
        let number = *number as f64 / if SECONDS.contains(&path.as_str()) { 1e3 } else { 1.0 };
        let with: Vec<&Sample> = samples.iter().filter(|sample| sample.value == number).collect();
        let wanted = usize::from(!UNMETERED.contains(&path.as_str()));
        assert_eq!(with.len(), wanted, "{path}: {with:?}");
        let total = |text: &str| text.ends_with("_total");
        let rises = path.ends_with("Total") || path.starts_with("/refusals/") || *path == "/reloads/total";
        assert!(with.iter().all(|sample| total(&sample.name) == rises), "{path}: {with:?}");
    }
    let known = |path: &&str| !numbers.contains_key(*path);
    assert_eq!(UNMETERED.iter().chain(&SECONDS).find(|path| known(path)), None, "no number has this name");
}

#[test]
fn labels_are_few_words_of_ours_and_states_are_one_of_them() {
    let mut status = SkeinStatusResponse { version: "1.2.3".to_owned(), ..SkeinStatusResponse::default() };
    status.home = "/home/of/somebody".to_owned();
    status.boot_id = "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b".to_owned();
    status.helpers.held.in_force = Some(ContainmentRung::Cgroup);
    status.helpers.containment.insert("cgroup".to_owned(), 3);
    let text = scrape(status.clone()).text().unwrap();
    assert!(!text.contains(&status.home) && !text.contains(&status.boot_id), "{text}");
    let samples = read(&text);
    for sample in &samples {
        let known = |(name, _): &(String, String)| {
            ["lane", "le", "rung", "state", "version"].contains(&name.as_str())
        };
        let most = if sample.name.starts_with("skein_request_seconds_bucket") { 2 } else { 1 };
        assert!(sample.labels.len() <= most && sample.labels.iter().all(known), "{sample:?}");
    }
    let ones = |family: &str| -> Vec<String> {
        let set = samples.iter().filter(|sample| sample.name == family && sample.value == 1.0);
        set.flat_map(|sample| sample.labels.iter().map(|(_, value)| value.clone())).collect()
    };
    assert_eq!(ones("skein_helpers_rung_in_force"), ["cgroup"]);
    assert_eq!(ones("skein_index_state"), ["opening"]);
    assert_eq!(ones("skein_texts_state"), ["unused"]);
    assert_eq!(ones("skein_repair_state"), ["scheduled"]);
    assert_eq!(ones("skein_build_info"), ["1.2.3"]);
    let held = samples.iter().filter(|sample| sample.name == "skein_helpers_held");
    let held: Vec<(&str, f64)> = held.map(|sample| (sample.labels[0].1.as_str(), sample.value)).collect();
    assert_eq!(held, [("guard", 0.0), ("cgroup", 3.0), ("namespace", 0.0)], "also those that hold none");
    status.helpers.held.in_force = None;
    let samples = read(&scrape(status).text().unwrap());
    let mut in_force = samples.iter().filter(|sample| sample.name == "skein_helpers_rung_in_force");
    assert!(in_force.all(|sample| sample.value == 0.0));
}

#[test]
fn histograms_add_up() {
    let samples = read(&scrape(SkeinStatusResponse::default()).text().unwrap());
    let wanted = [
        ("unload_seconds", 3.0, 9.902),
        ("helper_zero_seconds", 0.0, 0.0),
        ("store_sync_seconds", 1.0, 0.003),
        ("turn_seconds", 1.0, 70.0),
        ("tool_call_seconds", 2.0, 8000.01),
    ];
    for (name, count, sum) in wanted {
        let of = |end: &str| {
            let all = samples.iter().filter(|sample| sample.name == format!("skein_{name}_{end}"));
            all.collect::<Vec<_>>()
        };
        assert_eq!((of("count")[0].value, of("sum")[0].value), (count, sum), "{name}");
        let buckets = of("bucket");
        assert!(buckets.is_sorted_by(|one, next| one.value <= next.value), "{buckets:?}");
        let last = buckets.last().unwrap();
        assert_eq!((last.labels[0].1.as_str(), last.value, last.kind.as_str()), ("+Inf", count, "histogram"));
        let bounds: Vec<f64> =
            buckets.iter().map(|sample| sample.labels[0].1.replace("+Inf", "inf").parse().unwrap()).collect();
        assert!(bounds.is_sorted() && bounds[0] == 0.0001, "{bounds:?}");
    }
    let up_to = |bound: &str| {
        let is =
            |sample: &&Sample| sample.name == "skein_unload_seconds_bucket" && sample.labels[0].1 == bound;
        samples.iter().find(is).unwrap().value
    };
    assert_eq!((up_to("0.005"), up_to("1.0"), up_to("5.0")), (1.0, 2.0, 2.0));
}

#[test]
fn requests_are_counted_in_the_lane_of_their_method() {
    let samples = read(&scrape(SkeinStatusResponse::default()).text().unwrap());
    let sums = samples.iter().filter(|sample| sample.name == "skein_request_seconds_sum");
    let sums: Vec<(&str, f64)> = sums.map(|sample| (sample.labels[0].1.as_str(), sample.value)).collect();
    assert_eq!(sums, [("inline", 0.003), ("store", 0.007), ("thread", 0.011), ("helper", 0.015)]);
}

#[test]
fn the_text_is_called_what_its_reader_knows() {
    let mut headers = HeaderMap::new();
    assert_eq!(kind(&headers), PLAIN);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    assert_eq!(kind(&headers), PLAIN);
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    headers.insert(header::ACCEPT, HeaderValue::from_static(prometheus));
    assert_eq!(kind(&headers), OPEN_METRICS);
}
