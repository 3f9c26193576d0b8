//! The benchmarks work and produce every figure. These tests set no limits.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::MultiProgress;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_integration_tests::bench::texts::{self, Messages, Texts};
use skein_integration_tests::bench::{self, Plan, searches};
use skein_integration_tests::fixture::Size;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::paths;
use skein_integration_tests::process::{self, Process, wait_until};
use tokio::process::Command;

#[tokio::test]
async fn the_search_benchmark_produces_every_figure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plan = Plan::new(vec![Size::Tiny], folder.path().join("cache"), paths::skein()?, true);
    let hidden = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
    let figures = searches::run(&plan, Size::Tiny, &hidden).await?;
    let found: Vec<_> = figures.walks.iter().map(|walk| (walk.indexed, walk.threads, walk.whole)).collect();
    let [everywhere, others @ ..] = &found[..] else { panic!("no figures") };
    assert!(everywhere.1 > 10 && everywhere.2, "{figures:?}");
    let rest =
        [(false, 1, true), (false, 0, true), (true, everywhere.1, true), (true, 1, true), (true, 0, true)];
    assert_eq!(others, rest, "the text index finds the same");
    assert!(figures.made_s > 0.0 && figures.disk_bytes > 0 && figures.compared_s > 0.0, "{figures:?}");
    assert!(
        !figures.to_string().contains("NaN") && figures.walks.iter().all(|walk| !walk.others_ms.is_empty())
    );
    assert_eq!(servers(&plan.cache), []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_produces_every_figure_and_leaves_no_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        sizes: vec![Size::Tiny],
        cache: folder.path().join("cache"),
        server: paths::skein()?,
        rounds: 1,
        pages: 3,
        resumes: 1,
        writers: vec![1, 3],
        appending: Duration::from_millis(20),
        index_limit: Duration::from_secs(20),
    };
    let report =
        bench::run(&plan, &MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden())).await?;
    let names: Vec<&str> = report.homes.iter().map(|home| home.name.as_str()).collect();
    assert_eq!(names, ["empty", "tiny"]);
    for home in &report.homes {
        for starts in [&home.starts, &home.starts_after_kill] {
            assert!(starts.answer_ms.len() == 1 && starts.page_ms[0] > starts.answer_ms[0], "{home:?}");
            assert!(starts.resident[0] > 0, "{home:?}");
        }
    }
    let tiny = report.homes.last().context("no home")?;
    assert_eq!((tiny.threads, tiny.rollouts.files, tiny.list_page_ms.len()), (20, 20, 3));
    assert!(tiny.index.bytes > 0 && tiny.index_made_ms.is_some());
    let resume = tiny.resume.as_ref().context("no thread was resumed")?;
    assert_eq!((&resume.failed, resume.resume_ms.len(), resume.turns_ms.len()), (&None, 1, 1));
    for (appends, writers) in report.appends.iter().zip([1, 3]) {
        assert_eq!(appends.writers, writers);
        let rates = appends.store_per_second.iter().chain(&appends.disk_per_second);
        assert!(rates.clone().count() > 1 && rates.clone().all(|rate| *rate > 0.0), "{appends:?}");
    }
    let table = report.to_string();
    assert!(table.contains("| tiny | 20 | 600 |") && !table.contains('–'), "{table}");
    let messages = Messages { count: 2, bytes: 300 << 10 };
    let Texts(forms) = texts::measure(&plan, messages).await?;
    let [lines, beside] = forms.as_slice() else { anyhow::bail!("{forms:?}") };
    assert!(lines.rollout.bytes > 3 * 600_000 && lines.blobs.files == 0, "{lines:?}");
    assert!(beside.rollout.bytes < 50_000 && beside.blobs.files == 2, "{beside:?}");
    assert!([lines, beside].iter().all(|form| form.resume.resume_ms.len() == 1), "{forms:?}");
    // A second run uses the home of the first.
    let again = Plan { rounds: 0, resumes: 0, writers: Vec::new(), ..plan.clone() };
    let made = std::fs::metadata(plan.cache.join("tiny.json"))?.modified()?;
    bench::run(&again, &MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden())).await?;
    assert_eq!(std::fs::metadata(plan.cache.join("tiny.json"))?.modified()?, made);
    assert_eq!(servers(&plan.cache), []);
    Ok(())
}

#[tokio::test]
async fn a_terminated_benchmark_stops_its_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut bench = Command::new(paths::bench_store()?)
        .args(["--sizes", "tiny", "--cache"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let serves = || (!servers(folder.path()).is_empty()).then_some(());
    wait_until("a server of the benchmark", PATIENCE, serves).await?;
    let pid = bench.id().context("the benchmark has ended")?;
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM)?;
    let ended = tokio::time::timeout(PATIENCE, bench.wait()).await;
    assert_eq!(ended.context("the benchmark has not ended")??.code(), Some(1));
    wait_until("no server", PATIENCE, || servers(folder.path()).is_empty().then_some(())).await
}

/// Servers of homes in this folder. The benchmark itself is named `bench-store`.
fn servers(folder: &Path) -> Vec<Process> {
    let folder = folder.to_string_lossy();
    let serves = |process: &Process| {
        process.command.iter().any(|word| word == "serve")
            && process.command.iter().any(|word| word.starts_with(&*folder))
    };
    process::all().into_iter().filter(serves).collect()
}
