//! A server that does not reach the database asks the others whether they do. While nobody does, each of them keeps its threads: an outage of
//! the database unloads none.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use skein_base::clock::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Links;
use crate::policy;
use crate::thread::Context;

/// A question to another server: how long it has not reached the database.
pub(super) type SilenceQuestion = oneshot::Sender<Duration>;

/// The ways of these questions, by the servers that are observed.
#[derive(Debug, Default)]
pub(super) struct SilenceQuestions(Mutex<HashMap<Uuid, mpsc::Sender<SilenceQuestion>>>);

impl SilenceQuestions {
    /// A server is observed. Its observer takes the questions to it.
    pub(super) fn open(&self, node: Uuid) -> mpsc::Receiver<SilenceQuestion> {
        let (questions, asked) = mpsc::channel(1);
        self.lock().insert(node, questions);
        asked
    }

    /// It is not observed any more.
    pub(super) fn close(&self, node: Uuid) {
        self.lock().remove(&node);
    }

    /// Asks a server. `None` if it does not answer in time.
    async fn ask(&self, node: Uuid) -> Option<Duration> {
        let questions = self.lock().get(&node).cloned()?;
        let (question, answer) = oneshot::channel();
        let answered = async {
            questions.send(question).await.ok()?;
            answer.await.ok()
        };
        timeout(policy::SILENCE_ANSWER, answered).await.ok()?
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, mpsc::Sender<SilenceQuestion>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    let answers = join_all(others.into_iter().map(|node| links.questions.ask(node))).await;
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

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_not_observed_or_does_not_answer_in_time_gives_no_answer() {
        let (questions, node) = (SilenceQuestions::default(), Uuid::from_u128(1));
        assert_eq!(questions.ask(node).await, None);
        let mut asked = questions.open(node);
        assert_eq!(questions.ask(node).await, None, "nobody takes the question");
        let answers = async {
            while let Some(question) = asked.recv().await {
                // That of before has no asker any more.
                if question.send(2 * S).is_ok() {
                    return;
                }
            }
        };
        let (answer, ()) = tokio::join!(questions.ask(node), answers);
        assert_eq!(answer, Some(2 * S));
        questions.close(node);
        assert_eq!(questions.ask(node).await, None);
    }
}
