//! `skein threads list` and `search`: threads as lines.

use clap::Args;
use skein_base::clock::{Clock, WallMs};
use skein_protocol::methods::ThreadSearch;
use skein_protocol::thread::{
    Thread, ThreadActiveFlag, ThreadSearchParams, ThreadSearchResult, ThreadStatus,
};

use super::super::conversation::view::cut;
use super::super::out::one_line;
use super::super::outputs::{HitsOutcome, ThreadsOutcome};
use super::super::session::HomeClient;
use super::super::{print_json, print_line};
use super::{ThreadsHome, find, with_home};

/// The fewest characters of a shown id.
const SHORT_ID: usize = 8;
/// The longest name in a line, in characters.
const NAME: usize = 48;

#[derive(Debug, Clone, Args)]
pub(super) struct ListThreads {
    /// List archived threads.
    #[arg(long)]
    archived: bool,
    /// The most threads.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    target: ThreadsHome,
}

#[derive(Debug, Args)]
pub(super) struct SearchThreads {
    /// The text to find; case is ignored.
    text: String,
    /// Search archived threads.
    #[arg(long)]
    archived: bool,
    /// The most threads.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    target: ThreadsHome,
}

impl ListThreads {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let limit = self.limit.max(1);
        let listed = async |home: &mut _| find::page_through(home, self.archived, limit, |_| true).await;
        let threads = with_home(&self.target, listed).await?;
        if self.target.json {
            return print_json(&ThreadsOutcome { data: &threads });
        }
        if threads.is_empty() {
            return print_line(if self.archived {
                "no archived threads"
            } else {
                "no threads yet: skein chat begins one"
            });
        }
        let now = Clock.wall();
        for line in lines(&threads, now, !self.archived) {
            print_line(&line)?;
        }
        Ok(())
    }
}

impl SearchThreads {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let found = self.found().await?;
        if self.target.json {
            return print_json(&HitsOutcome { data: &found });
        }
        if found.is_empty() {
            return print_line(&format!("no thread has {:?} in its name or a message", self.text));
        }
        for hit in found {
            print_line(&format!("{}  {}", hit.thread.id, cut(&name(&hit.thread), NAME)))?;
            print_line(&format!("    {}", cut(&one_line(&hit.snippet), NAME + SHORT_ID)))?;
        }
        Ok(())
    }

    /// The threads with the text, once the server knows all threads.
    async fn found(&self) -> anyhow::Result<Vec<ThreadSearchResult>> {
        let page = async |home: &mut HomeClient, cursor| {
            let params = ThreadSearchParams {
                archived: Some(self.archived),
                cursor,
                search_term: self.text.clone(),
                ..ThreadSearchParams::default()
            };
            let read = home.call::<ThreadSearch>(&params).await?;
            Ok(find::ReadPage::of(read.data, read.next_cursor, read.skein.map(|skein| skein.indexing)))
        };
        let limit = self.limit.max(1);
        with_home(&self.target, async |home| find::whole(home, limit, page, |_| true).await).await
    }
}

/// A line for each thread: its number, the shortest unique beginning of its id, its age, state and name.
fn lines(threads: &[Thread], now: WallMs, are_numbered: bool) -> Vec<String> {
    let length = unique(threads);
    let line = |(at, thread): (usize, &Thread)| {
        let id: String = thread.id.to_string().chars().take(length).collect();
        let number = if are_numbered { format!("{:<4}", format!("@{}", at + 1)) } else { String::new() };
        let (age, state) = (age(now, thread.updated_at), state(&thread.status));
        format!("{number}{id}  {age:>5}  {state}{}", cut(&name(thread), NAME))
    };
    threads.iter().enumerate().map(line).collect()
}

/// The length of ids that tells these threads apart.
fn unique(threads: &[Thread]) -> usize {
    let mut ids: Vec<String> = threads.iter().map(|thread| thread.id.to_string()).collect();
    ids.sort_unstable();
    let common = |pair: &[String]| match pair {
        [one, other] => one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count() + 1,
        _ => 0,
    };
    ids.windows(2).map(common).max().unwrap_or_default().max(SHORT_ID)
}

/// The name of a thread, or its first words.
pub(in crate::cli) fn name(thread: &Thread) -> String {
    let name = thread.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| thread.preview.clone());
    let line = name.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(no name)");
    one_line(line).into_owned()
}

/// A word for a thread that does something.
pub(in crate::cli) fn state(status: &ThreadStatus) -> &'static str {
    match status {
        ThreadStatus::NotLoaded | ThreadStatus::Idle => "",
        ThreadStatus::SystemError => "[failed] ",
        ThreadStatus::Active { active_flags } => {
            let waits = active_flags.iter().any(|flag| match flag {
                ThreadActiveFlag::WaitingOnApproval | ThreadActiveFlag::WaitingOnUserInput => true,
            });
            if waits { "[needs you] " } else { "[working] " }
        }
    }
}

/// The time since a moment in Unix seconds, in its largest unit.
pub(in crate::cli) fn age(now: WallMs, then: i64) -> String {
    let seconds = (now.0 / 1000 - then).max(0);
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => "now".to_owned(),
        (0, 0, minutes) => format!("{minutes}min"),
        (0, hours, _) => format!("{hours}h"),
        (days, _, _) => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::net::UnixListener;

    use super::super::super::tests::serve_link;
    use super::*;

    #[tokio::test]
    async fn a_search_goes_on_until_the_server_knows_all_threads() {
        let home = tempfile::tempdir().unwrap();
        // Another process seems to serve the home.
        let lock = std::fs::File::create(home.path().join("lock")).unwrap();
        lock.lock().unwrap();
        let listener = UnixListener::bind(home.path().join("control.sock")).unwrap();
        let id = "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b";
        let hit =
            json!({"thread": Thread::new(id.parse().unwrap(), "/", "echo", 1000), "snippet": "the word"});
        let answer = |id: u64, hits: &[&Value], skein: Value| {
            vec![json!({"id": id, "result": {"data": hits, "nextCursor": null, "skein": skein}})]
        };
        let part = json!({"indexing": {"done": 1, "total": 3}});
        let script =
            vec![vec![json!({"id": 1, "result": {}})], answer(2, &[], part), answer(3, &[&hit], Value::Null)];
        let server = async { serve_link(listener.accept().await.unwrap().0, script).await };
        let target = ThreadsHome { home: Some(home.path().to_owned()), json: true };
        let search = SearchThreads { text: "word".to_owned(), archived: false, limit: 20, target };
        let ((), found) = tokio::join!(server, search.found());
        let ids: Vec<String> = found.unwrap().iter().map(|hit| hit.thread.id.to_string()).collect();
        assert_eq!(ids, [id]);
    }

    #[test]
    fn a_line_shows_the_shortest_id_the_age_and_a_harmless_name() {
        let thread = |id: &str, name: &str, status| Thread {
            name: Some(name.to_owned()),
            status,
            ..Thread::new(id.parse().unwrap(), "/", "echo", 1000)
        };
        let threads = [
            thread("0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b", "one\u{1b}]0;x\u{7}", ThreadStatus::Idle),
            thread(
                "0199a8f0-5b1e-7c53-b0a5-6f0a3d1c2e4c",
                "two",
                ThreadStatus::Active { active_flags: vec![] },
            ),
        ];
        assert_eq!(
            lines(&threads, WallMs(1_000_000 + 7_200_000), true),
            ["@1  0199a8f0-5b0     2h  one\\u001b]0;x\\u0007", "@2  0199a8f0-5b1     2h  [working] two"]
        );
        let flags = vec![ThreadActiveFlag::WaitingOnApproval];
        assert_eq!(state(&ThreadStatus::Active { active_flags: flags }), "[needs you] ");
        assert_eq!(
            (age(WallMs(0), 5), age(WallMs(90_000_000_000), 0)),
            ("now".to_owned(), "1041d".to_owned())
        );
    }
}
