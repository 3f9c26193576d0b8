//! The figures of a benchmark, and their tables.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::homes::Disk;
use super::homes::Place;

/// All figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Each home, the empty one first.
    pub homes: Vec<HomeFigures>,
    /// Synced appends, by number of writing threads.
    pub appends: Vec<Appends>,
}

/// The figures of one home.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HomeFigures {
    /// Name of the size, or `empty`.
    pub name: String,
    /// Number of threads made.
    pub threads: u64,
    /// Number of records made.
    pub events: u64,
    /// Disk usage of the rollouts.
    pub rollouts: Disk,
    /// Disk usage of the complete index.
    pub index: Disk,
    /// Time to build a complete index from nothing, ms; absent if the limit came first.
    pub index_made_ms: Option<f64>,
    /// Starts after an orderly stop.
    pub starts: Starts,
    /// Starts after a kill in the middle of a turn.
    pub starts_after_kill: Starts,
    /// The server's own report on its index.
    pub index_status: Option<Value>,
    /// Time of each list page, ms.
    pub list_page_ms: Vec<f64>,
    /// Resumes of the longest thread.
    pub resume: Option<Resume>,
}

/// Starts of one home.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Starts {
    /// Time from the start of the program to the answer to `initialize`, ms.
    pub answer_ms: Vec<f64>,
    /// Time to the first page of threads, ms.
    pub page_ms: Vec<f64>,
    /// Resident memory at that time, bytes.
    pub resident: Vec<u64>,
}

/// Cold resumes of the longest thread of a home.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resume {
    /// Length of its rollout, bytes.
    pub bytes: u64,
    /// Whether the answers have no turns, because the server refused an answer with turns.
    pub without_turns: bool,
    /// Time to the answer, ms.
    pub resume_ms: Vec<f64>,
    /// Growth of the server's resident memory, bytes.
    pub grown: Vec<u64>,
    /// Time of a page of its newest turns, ms.
    pub turns_ms: Vec<f64>,
    /// Error that ended the measurement.
    pub failed: Option<String>,
}

/// Synced appends of several threads at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Appends {
    /// Number of writing threads.
    pub writers: usize,
    /// Length of each line, bytes; 200 of them are text.
    pub line_bytes: u64,
    /// Appends of the store with `Keep::Power`, per second.
    pub store_per_second: Vec<f64>,
    /// Synced writes of plain files, per second.
    pub disk_per_second: Vec<f64>,
}

impl HomeFigures {
    pub(super) fn new(place: &Place) -> Self {
        let (threads, events) = place.summary.as_ref().map_or((0, 0), |made| (made.threads, made.events));
        Self { name: place.name.to_owned(), threads, events, ..Self::default() }
    }
}

/// The value below which `part` of all values lie (0.5 is the median); `None` without values.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    #[expect(clippy::cast_precision_loss, reason = "lists of a benchmark are short")]
    let place = (part * last as f64).round() as usize;
    sorted.get(place).copied()
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

fn median_bytes(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// A figure, or a dash if it is missing.
pub(super) fn figure(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(
        || "–".to_owned(),
        |value| {
            let digits = usize::from(value < 100.0);
            format!("{value:.digits$}{unit}")
        },
    )
}

fn megabytes(bytes: Option<u64>) -> String {
    figure(bytes.map(|bytes| bytes as f64 / 1e6), " MB")
}

fn ratio(one: Option<f64>, other: Option<f64>) -> String {
    let ratio = one.zip(other).map(|(one, other)| one / other);
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}

impl fmt::Display for Report {
    /// Tables in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.starts()?)?;
        f.write_str(&self.reads()?)?;
        f.write_str(&self.disk()?)?;
        f.write_str(&self.appends()?)
    }
}

impl Report {
    fn starts(&self) -> Result<String, fmt::Error> {
        let mut text = "| home | first answer | × empty | first page | × empty | after kill -9: first answer | × empty | \
                        first page | × empty | resident |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
        let empty = self.homes.first().cloned().unwrap_or_default();
        for home in &self.homes {
            write!(text, "| {} ", home.name)?;
            for (starts, base) in
                [(&home.starts, &empty.starts), (&home.starts_after_kill, &empty.starts_after_kill)]
            {
                let [answer, page] = [median(&starts.answer_ms), median(&starts.page_ms)];
                let [to_answer, to_page] =
                    [ratio(answer, median(&base.answer_ms)), ratio(page, median(&base.page_ms))];
                let [answer, page] = [figure(answer, " ms"), figure(page, " ms")];
                write!(text, "| {answer} | {to_answer} | {page} | {to_page} ")?;
            }
            writeln!(text, "| {} |", megabytes(median_bytes(&home.starts_after_kill.resident)))?;
        }
        text.push('\n');
        Ok(text)
    }

    fn reads(&self) -> Result<String, fmt::Error> {
        let mut text = "| home | list page p50 | p99 | longest thread | cold resume | memory it takes | page of turns |\n\
                        | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
        for home in self.homes.iter().skip(1) {
            let list = [0.5, 0.99].map(|part| figure(quantile(&home.list_page_ms, part), " ms"));
            let resume = home.resume.clone().unwrap_or_default();
            let how = match (&resume.failed, resume.without_turns) {
                (Some(_), _) => " (failed)",
                (None, true) => " (without turns)",
                (None, false) => "",
            };
            writeln!(
                text,
                "| {} | {} | {} | {} | {}{how} | {} | {} |",
                home.name,
                list[0],
                list[1],
                megabytes(Some(resume.bytes)),
                figure(median(&resume.resume_ms), " ms"),
                megabytes(median_bytes(&resume.grown)),
                figure(median(&resume.turns_ms), " ms"),
            )?;
        }
        text.push('\n');
        Ok(text)
    }

    fn disk(&self) -> Result<String, fmt::Error> {
        let mut text = "| home | threads | events | rollouts | on disk | bytes on disk for an event | index | for a thread | \
                        index from nothing |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
        for home in self.homes.iter().skip(1) {
            let each = |bytes: u64, of: u64| (of > 0).then(|| bytes as f64 / of as f64);
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                home.name,
                home.threads,
                home.events,
                megabytes(Some(home.rollouts.bytes)),
                megabytes(Some(home.rollouts.allocated)),
                figure(each(home.rollouts.allocated, home.events), ""),
                megabytes(Some(home.index.bytes)),
                figure(each(home.index.bytes, home.threads), " bytes"),
                figure(home.index_made_ms.map(|took| took / 1000.0), " s"),
            )?;
        }
        text.push('\n');
        Ok(text)
    }

    fn appends(&self) -> Result<String, fmt::Error> {
        let mut text =
            "| threads that append | appends/s, each synced | syncs/s of plain files | store / disk |\n\
                        | --- | --- | --- | --- |\n"
                .to_owned();
        for appends in &self.appends {
            let [store, disk] = [median(&appends.store_per_second), median(&appends.disk_per_second)];
            let of_disk = ratio(store, disk);
            writeln!(
                text,
                "| {} | {} | {} | {of_disk} |",
                appends.writers,
                figure(store, ""),
                figure(disk, "")
            )?;
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(quantile(&values, 0.5), Some(3.0));
        assert_eq!(quantile(&values, 0.99), Some(5.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_missing_figure_is_a_dash() {
        let homes = vec![HomeFigures { name: "empty".to_owned(), ..HomeFigures::default() }];
        let text = Report { homes, ..Report::default() }.to_string();
        assert!(text.contains("| empty | – | – |"), "{text}");
    }
}
