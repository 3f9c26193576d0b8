//! Questions of this server to those that it observes.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use skein_protocol::ids::ThreadId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::frames::{PeerAnswer, PeerQuestion};
use crate::policy;
use crate::thread::questions::PastAnswer;

/// A question on its way to another server.
#[derive(Debug)]
pub(super) struct AskedPeer {
    pub(super) question: PeerQuestion,
    answer: oneshot::Sender<PeerAnswer>,
}

/// The ways of the questions, by the servers that are observed.
#[derive(Debug, Default)]
pub(super) struct PeerQuestions(Mutex<HashMap<Uuid, mpsc::Sender<AskedPeer>>>);

/// The questions to one server that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct UnansweredQuestions(Vec<AskedPeer>);

impl PeerQuestions {
    /// A server is observed. Its observer takes the questions to it.
    pub(super) fn open(&self, node: Uuid) -> mpsc::Receiver<AskedPeer> {
        let (questions, asked) = mpsc::channel(1);
        self.lock().insert(node, questions);
        asked
    }

    /// It is not observed any more.
    pub(super) fn close(&self, node: Uuid) {
        self.lock().remove(&node);
    }

    /// Whether no server is observed.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How long a server has not reached the database. `None` if it does not answer in time.
    pub(super) async fn silence(&self, node: Uuid) -> Option<Duration> {
        match self.ask(node, PeerQuestion::Silence, policy::SILENCE_ANSWER).await? {
            PeerAnswer::Silence(silent) => Some(silent),
            PeerAnswer::Folder(..) | PeerAnswer::Thread(..) | PeerAnswer::PastAnswer(..) => None,
        }
    }

    /// The servers that say in time that they have a folder.
    pub(super) async fn with_folder(&self, folder: &str) -> Vec<Uuid> {
        self.with(PeerQuestion::Folder(folder.to_owned()), policy::FOLDER_ANSWER).collect().await
    }

    /// The first server that says in time that it has loaded a thread.
    pub(super) async fn with_thread(&self, thread: ThreadId) -> Option<Uuid> {
        let has_it = self.with(PeerQuestion::Thread(thread), policy::FOLDER_ANSWER);
        pin!(has_it).next().await
    }

    /// The first answer to a question of a user that a server says in time that it has taken.
    pub(super) async fn past_answer(&self, question: i64) -> Option<PastAnswer> {
        let answers = self.answers(PeerQuestion::PastAnswer(question), policy::FOLDER_ANSWER);
        let taken = answers.filter_map(async |(_, answer)| match answer {
            PeerAnswer::PastAnswer(_, past) => past,
            PeerAnswer::Silence(_) | PeerAnswer::Folder(..) | PeerAnswer::Thread(..) => None,
        });
        pin!(taken).next().await
    }

    /// The servers that say yes in time, in the order of their answers.
    fn with(&self, question: PeerQuestion, limit: Duration) -> impl Stream<Item = Uuid> + '_ {
        self.answers(question, limit).filter_map(async |(node, answer)| match answer {
            PeerAnswer::Folder(_, is_there) | PeerAnswer::Thread(_, is_there) => is_there.then_some(node),
            PeerAnswer::Silence(_) | PeerAnswer::PastAnswer(..) => None,
        })
    }

    /// The answers of all servers that come in time, in their order.
    fn answers(
        &self,
        question: PeerQuestion,
        limit: Duration,
    ) -> impl Stream<Item = (Uuid, PeerAnswer)> + '_ {
        let nodes: Vec<Uuid> = self.lock().keys().copied().collect();
        let asked = nodes.into_iter().map(move |node| {
            let question = question.clone();
            async move { Some((node, self.ask(node, question, limit).await?)) }
        });
        asked.collect::<FuturesUnordered<_>>().filter_map(std::future::ready)
    }

    async fn ask(&self, node: Uuid, question: PeerQuestion, limit: Duration) -> Option<PeerAnswer> {
        let questions = self.lock().get(&node).cloned()?;
        let (answer, answered) = oneshot::channel();
        let asked = async {
            questions.send(AskedPeer { question, answer }).await.ok()?;
            answered.await.ok()
        };
        timeout(limit, asked).await.ok()?
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, mpsc::Sender<AskedPeer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnansweredQuestions {
    /// A question is sent. One about silence waits for its answer also without an asker: the next answer about silence is older than those
    /// behind it.
    pub(super) fn note(&mut self, asked: AskedPeer) {
        self.0.retain(|before| before.question == PeerQuestion::Silence || !before.answer.is_closed());
        self.0.push(asked);
    }

    /// An answer has come. It is that to the first such question.
    pub(super) fn take(&mut self, answer: PeerAnswer) {
        if let Some(at) = self.0.iter().position(|asked| answer.answers(&asked.question)) {
            // The asker may be gone.
            self.0.remove(at).answer.send(answer).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_not_observed_or_does_not_answer_in_time_gives_no_answer() {
        let (questions, node) = (PeerQuestions::default(), Uuid::from_u128(1));
        assert_eq!(questions.silence(node).await, None);
        let mut asked = questions.open(node);
        assert_eq!(questions.silence(node).await, None, "nobody takes the question");
        let answers = async {
            let mut unanswered = UnansweredQuestions::default();
            for _ in 0..2 {
                if let Some(question) = asked.recv().await {
                    unanswered.note(question);
                }
            }
            // That of before has no asker any more, and its answer comes first.
            for answer in [
                PeerAnswer::Folder("/p".to_owned(), true),
                PeerAnswer::Silence(S),
                PeerAnswer::Silence(2 * S),
            ] {
                unanswered.take(answer);
            }
            unanswered.0.len()
        };
        let (answer, left) = tokio::join!(questions.silence(node), answers);
        assert_eq!((answer, left), (Some(2 * S), 0));
        questions.close(node);
        assert_eq!(questions.silence(node).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_that_have_a_folder_say_so_in_any_order() {
        let (questions, one, two) = (PeerQuestions::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut to_one, mut to_two) = (questions.open(one), questions.open(two));
        let answers = async {
            let mut unanswered = UnansweredQuestions::default();
            for _ in 0..2 {
                if let Some(asked) = to_one.recv().await {
                    unanswered.note(asked);
                }
            }
            for (path, is_there) in [("/q", false), ("/p", true)] {
                unanswered.take(PeerAnswer::Folder(path.to_owned(), is_there));
            }
            // The other one does not answer.
            to_two.recv().await
        };
        let (at_p, at_q, _unanswered) =
            tokio::join!(questions.with_folder("/p"), questions.with_folder("/q"), answers);
        assert_eq!((at_p, at_q), (vec![one], Vec::new()));
    }
}
