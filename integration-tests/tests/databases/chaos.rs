//! People at three servers of one database, while servers, links and the database fail. `scripts/cluster-chaos` runs it.

mod faults;
mod person;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use skein_integration_tests::chaos::judge::{Anomaly, judge};
use skein_integration_tests::chaos::{Notes, Reading, SentMessage};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::seed::Seed;
use skein_integration_tests::view::{Kind, Window};
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::Thread;
use skein_protocol::turn::{Turn, TurnStatus};
use tokio::sync::watch;

use self::faults::Servers;
use self::person::{Person, messages, messages_of};

const PEOPLE: usize = 12;
const THREADS: usize = 5;
/// Variable with the length of a campaign, seconds.
const SECONDS: &str = "SKEIN_SECONDS";

fn length() -> Result<Duration> {
    let seconds = std::env::var(SECONDS).unwrap_or_else(|_| "30".to_owned());
    Ok(Duration::from_secs(seconds.parse().with_context(|| format!("{SECONDS} is no number"))?))
}

/// Makes the threads. Nobody is subscribed to them.
async fn made(address: &str) -> Result<Vec<ThreadId>> {
    let mut client = Client::ready(address).await?;
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        threads.push(client.start_thread_with("begin").await?);
    }
    client.close().await?;
    Ok(threads)
}

/// The thread as it is when no turn runs. Its open questions are answered.
async fn at_rest(address: &str, thread: ThreadId) -> Result<Thread> {
    let mut window = Window::open(Kind::Numbered, address, thread).await?;
    window.view.is_relayed = true;
    let rests = async {
        while !window.view.is_at_rest() {
            if window.view.open_question().is_some() {
                window.answer("the red one").await?;
            }
            window.receive_one().await?;
        }
        window.client()?.read_thread(thread).await
    };
    tokio::time::timeout(PATIENCE, rests).await.with_context(|| format!("a turn of {thread} runs on"))?
}

/// The sentence about how long people waited for the acknowledgement of a message.
fn waits(notes: &Notes) -> String {
    let waits = notes.sent.iter().filter_map(|sent| Some(sent.acknowledged?.duration_since(sent.asked)));
    let mut waits: Vec<Duration> = waits.collect();
    waits.sort_unstable();
    let [median, most] =
        [waits.get(waits.len() / 2), waits.last()].map(|wait| wait.copied().unwrap_or_default());
    format!("{} messages acknowledged, the median after {median:.0?}, the last after {most:.1?}", waits.len())
}

/// When a message that stands twice was sent, and the turns that have it.
fn evidence<'a>(
    anomalies: &[Anomaly],
    notes: &'a Notes,
    threads: &'a [Thread],
) -> Vec<(&'a SentMessage, Vec<&'a Turn>)> {
    let is_doubled = |id: &str| {
        anomalies.iter().any(|anomaly| matches!(anomaly, Anomaly::Doubled { message, .. } if message == id))
    };
    let turns = || threads.iter().flat_map(|thread| &thread.turns);
    let doubled = notes.sent.iter().filter(|sent| is_doubled(&sent.id));
    let with_turns = doubled.map(|sent| {
        let has_it = |turn: &&Turn| messages_of(turn).any(|id| *id == sent.id);
        (sent, turns().filter(has_it).collect())
    });
    with_turns.collect()
}

#[tokio::test]
#[ignore = "scripts/cluster-chaos runs it: it takes as long as SKEIN_SECONDS says"]
async fn people_get_what_is_promised_while_servers_links_and_the_database_fail() -> Result<()> {
    let mut seed = Seed::from_environment();
    let mut servers = Servers::start(&mut seed).await?;
    let threads = made(servers.address()).await?;
    let (stop, stopped) = watch::channel(false);
    let mut people: Vec<Person> = (0..PEOPLE)
        .map(|number| {
            let addresses = servers.addresses.clone();
            Person::new(number, seed.fork(), addresses, threads.clone(), stopped.clone())
        })
        .collect();

    let (begin, length) = (Instant::now(), length()?);
    let failing = async {
        while begin.elapsed() < length {
            servers.fail(&mut seed).await?;
        }
        servers.until_well().await?;
        stop.send_replace(true);
        anyhow::Ok(())
    };
    let living = try_join_all(people.iter_mut().map(Person::live));
    tokio::try_join!(living, failing)?;

    let mut last = Vec::new();
    for thread in threads {
        last.push(at_rest(servers.address(), thread).await?);
    }
    for shown in join_all(people.iter_mut().map(|person| person.until_same_as(&last))).await {
        shown?;
    }
    let failed = last.iter().flat_map(|thread| &thread.turns).find(|turn| turn.status == TurnStatus::Failed);
    ensure!(failed.is_none(), "a turn has failed: {failed:#?}");
    let (mut notes, mut whole, mut parts, mut gaps) = (Notes::default(), 0, 0, 0);
    for mut person in people {
        let texts = person.texts();
        (whole, parts, gaps) = (whole + texts.whole, parts + texts.parts, gaps + person.gaps());
        notes.add(std::mem::take(&mut person.notes));
    }
    let threads = last;
    let read = |thread: &Thread| Reading {
        thread: thread.id,
        asked: Instant::now(),
        messages: messages(thread),
        is_whole: true,
    };
    let last: Vec<Reading> = threads.iter().map(read).collect();
    let anomalies = judge(&notes, &last);
    eprintln!("{}; faults: {}", waits(&notes), servers.faults());
    eprintln!(
        "{} readings, {} numbered events, {} owners; {whole} texts streamed whole, {parts} in part; {gaps} gaps",
        notes.readings.len(),
        notes.events.len(),
        notes.owners.len()
    );
    ensure!(anomalies.is_empty(), "{anomalies:#?}, {:#?}", evidence(&anomalies, &notes, &threads));
    servers.finish().await
}
