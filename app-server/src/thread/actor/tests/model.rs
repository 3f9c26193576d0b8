//! A model on strings: the test decides on its text and its end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use skein_provider::echo::Echo;
use skein_provider::{Content, Entry, ModelEvent, Prompt, Provider, ProviderError, ToolChoice};

pub(super) const NAME: &str = "puppet";
/// Input that makes the turn wait for strings. The echo answers any other input.
pub(super) const PUPPET: &str = "/puppet";
/// Input that makes the turn panic.
pub(super) const PANIC: &str = "/panic";

#[derive(Default)]
pub(crate) struct Puppet {
    asked: Mutex<VecDeque<Strings>>,
    new: Notify,
}

impl Puppet {
    /// Waits for the next request for an answer.
    pub(crate) async fn next(&self) -> Strings {
        loop {
            if let Some(strings) = self.asked().pop_front() {
                return strings;
            }
            self.new.notified().await;
        }
    }

    /// The next request for an answer, if there is one.
    pub(crate) fn try_next(&self) -> Option<Strings> {
        self.asked().pop_front()
    }

    fn asked(&self) -> MutexGuard<'_, VecDeque<Strings>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One answer of the model, under the test's control. A dropped answer fails.
pub(crate) struct Strings {
    events: mpsc::Sender<ModelEvent>,
    end: oneshot::Sender<()>,
}

impl Strings {
    /// Sends the next delta. Waits while the turn has no room.
    pub(crate) async fn say(&self, text: &str) {
        self.events.send(ModelEvent::TextDelta(text.to_owned())).await.unwrap();
    }

    pub(crate) async fn ask(&self, text: &str) {
        self.events.send(ModelEvent::Question(text.to_owned())).await.unwrap();
    }

    /// Sends the next delta or question, unless the turn is over or has no room.
    pub(crate) fn try_send(&self, event: ModelEvent) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// Whether the turn is over.
    pub(crate) fn is_cut(&self) -> bool {
        self.events.is_closed()
    }

    /// Ends the answer, if the turn still waits for it.
    pub(crate) fn end_if_wanted(self) {
        drop(self.events);
        self.end.send(()).ok();
    }

    /// Ends the answer.
    pub(crate) fn end(self) {
        drop(self.events);
        self.end.send(()).unwrap();
    }
}

#[async_trait]
impl Provider for Puppet {
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError> {
        let text = prompt.last_words();
        match text.as_str() {
            PANIC => panic!("as the test wants"),
            PUPPET if prompt.last_results().is_empty() => {
                let (strings, pulled) = mpsc::channel(1);
                let (end, ended) = oneshot::channel();
                self.asked().push_back(Strings { events: strings, end });
                self.new.notify_one();
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => Ok(()),
                    () = pass_on(pulled, events) => {
                        ended.await.map_err(|_| ProviderError::new("strings cut"))
                    }
                }
            }
            _ => Echo::default().answer(prompt, events, cancel).await,
        }
    }

    fn reads_context(&self) -> bool {
        false
    }
}

/// The name of the provider below.
pub(super) const LISTENER: &str = "listener";

/// A model that records its requests. It gives the prepared answers, and then those of the echo.
#[derive(Default)]
pub(crate) struct Listener {
    asked: Mutex<Vec<Prompt>>,
    answers: Mutex<VecDeque<(Scripted, Then)>>,
    /// The prepared answer to requests without tools, which ask for a summary.
    summary: Mutex<Option<String>>,
    /// The bytes of text from which on it refuses a request, and the error.
    refuses: Mutex<Option<(usize, ProviderError)>>,
    hangs: Notify,
    goes_on: Notify,
}

/// The end of a prepared answer.
#[derive(Debug, Clone, PartialEq)]
enum Then {
    End,
    Fail(ProviderError),
    /// Nothing, until it is cut off or resumed.
    Hang,
}

/// A prepared answer.
pub(super) type Scripted = Result<Vec<ModelEvent>, ProviderError>;

impl Listener {
    /// Prepares an answer, behind the earlier ones.
    pub(crate) fn will_say(&self, answer: Scripted) {
        self.will(answer, Then::End);
    }

    /// Prepares an answer without an end.
    pub(crate) fn will_hang_after(&self, answer: Vec<ModelEvent>) {
        self.will(Ok(answer), Then::Hang);
    }

    fn will(&self, answer: Scripted, then: Then) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back((answer, then));
    }

    /// Prepares an answer that ends with an error.
    pub(crate) fn will_fail_after(&self, answer: Vec<ModelEvent>, error: ProviderError) {
        self.will(Ok(answer), Then::Fail(error));
    }

    /// Prepares the answer to requests for a summary.
    pub(crate) fn say_of_summaries(&self, text: &str) {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    /// Refuses requests from this number of bytes of text on.
    pub(crate) fn will_refuse_above(&self, bytes: usize, error: ProviderError) {
        *self.refuses.lock().unwrap_or_else(PoisonError::into_inner) = Some((bytes, error));
    }

    pub(crate) fn all_asked(&self) -> Vec<Prompt> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the answer that hangs.
    pub(crate) fn resume_hanging(&self) {
        self.goes_on.notify_one();
    }

    /// Waits until an answer hangs.
    pub(crate) async fn hangs(&self) {
        self.hangs.notified().await;
    }

    pub(crate) fn last_asked(&self) -> Prompt {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().expect("it was asked")
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[async_trait]
impl Provider for Listener {
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(prompt.clone());
        let refuses = self.refuses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, error)) = refuses.filter(|(most, _)| text_of(&prompt.history) > *most) {
            return Err(error);
        }
        let summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(summary) = summary.filter(|_| prompt.tool_choice == ToolChoice::None) {
            events.send(ModelEvent::TextDelta(summary)).await.ok();
            return Ok(());
        }
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((answer, then)) = answer else {
            return Echo::default().answer(prompt, events, cancel).await;
        };
        for event in answer? {
            events.send(event).await.ok();
        }
        match then {
            Then::End => {}
            Then::Fail(error) => return Err(error),
            Then::Hang => {
                self.hangs.notify_one();
                cancel.run_until_cancelled(self.goes_on.notified()).await;
            }
        }
        Ok(())
    }
}

fn text_of(history: &[Entry]) -> usize {
    let of = |content: &[Content]| content.iter().filter_map(Content::as_text).map(str::len).sum();
    let bytes = |entry: &Entry| match entry {
        Entry::User(content) => of(content),
        Entry::Developer(text) => text.len(),
        Entry::Assistant(answer) => answer.text.len(),
        Entry::Result(result) => of(&result.content),
        Entry::Reasoning(_) | Entry::Call(_) => 0,
    };
    history.iter().map(bytes).sum()
}

async fn pass_on(mut pulled: mpsc::Receiver<ModelEvent>, events: mpsc::Sender<ModelEvent>) {
    while let Some(event) = pulled.recv().await {
        events.send(event).await.unwrap();
    }
}
