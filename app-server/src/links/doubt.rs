//! A server that does not reach the database asks the others whether they do. While nobody does, each of them keeps its threads: an outage of
//! the database unloads none.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use skein_base::clock::Clock;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Links;
use crate::policy;
use crate::thread::Context;

/// Asks the others while this server is in doubt, until `stop`.
pub(crate) async fn run(context: Arc<Context>, links: Arc<Links>, stop: CancellationToken) {
    while let Some(members) = stop.run_until_cancelled(links.place.in_doubt()).await {
        // One that is new has a link here, and reached the database when it came.
        let others = context.subscribers.linked_nodes().into_iter().chain(members).collect();
        stop.run_until_cancelled(ask(&links, others)).await;
        stop.run_until_cancelled(sleep(policy::SILENCE_PAUSE)).await;
    }
}

/// Keeps the threads if no other server has reached the database.
async fn ask(links: &Links, others: HashSet<Uuid>) {
    let asked = Clock.now();
    let answers = join_all(others.into_iter().map(|node| links.questions.silence(node))).await;
    if let Some(began) = silent_since(answers, Clock.now()) {
        links.place.share_doubt(began, asked);
    }
}

/// Since when all of those that were asked are silent, by their answers that are there now. The inner one is `None` if there are none. `None`
/// if one has not answered: it may have reached the database.
fn silent_since(answers: Vec<Option<Duration>>, now: Instant) -> Option<Option<Instant>> {
    let silences = answers.into_iter().collect::<Option<Vec<Duration>>>()?;
    Some(silences.into_iter().min().map(|shortest| now.checked_sub(shortest).unwrap_or(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn servers_are_silent_since_the_last_of_them_was_not_and_one_without_an_answer_is_not_silent() {
        let now = Clock.now();
        assert_eq!(silent_since(vec![Some(3 * S), Some(S), Some(2 * S)], now), Some(Some(now - S)));
        assert_eq!(silent_since(vec![Some(3 * S), None], now), None);
        assert_eq!(silent_since(Vec::new(), now), Some(None));
    }
}
