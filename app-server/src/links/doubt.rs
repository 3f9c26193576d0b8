//! A server that does not reach the database asks the others whether they do. While nobody does, each of them keeps its threads: an outage of
//! the database unloads none.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use skein_base::clock::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
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

/// Keeps the threads if no other server has reached the database. One that does not answer may have.
async fn ask(links: &Links, others: HashSet<Uuid>) {
    let asked = Clock.now();
    let answers = join_all(others.into_iter().map(|node| links.questions.ask(node))).await;
    let now = Clock.now();
    let Some(silences) = answers.into_iter().collect::<Option<Vec<Duration>>>() else { return };
    let began = silences.into_iter().min().map(|shortest| now.checked_sub(shortest).unwrap_or(now));
    links.place.share_doubt(began, asked);
}
