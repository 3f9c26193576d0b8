//! Requests under way on one line, in both directions: which answers are waited for, which requests were given up before
//! they were written, how many the helper may ask at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rmcp::model::{ClientRequest, GetMeta, JsonRpcRequest, ProgressToken, RequestId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::mcp::progress::Progress;
use crate::policy;
use crate::process::input::{Closed, HelperInput};

/// Requests of ours that wait for their answer.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    requests: HashMap<RequestId, OutstandingRequest>,
    /// Where progress goes. Its token is that of a request above.
    progress: HashMap<ProgressToken, mpsc::Sender<String>>,
}

#[derive(Debug)]
struct OutstandingRequest {
    sending: Arc<Sending>,
    token: Option<ProgressToken>,
}

/// How far a request is on its way to the helper.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// Whether it is among what will be written.
    queued: Mutex<bool>,
    given_up: CancellationToken,
}

/// How a message of ours goes out.
#[derive(Debug)]
pub(crate) enum SendWhen {
    /// It waits for room.
    Waits,
    /// It waits for room unless it is given up meanwhile.
    Request(Arc<Sending>),
    /// It answers a request of the helper, which is over then.
    Answer(Option<OwnedSemaphorePermit>),
    /// It is left out when there is no room.
    Notice,
    /// Nobody needs it.
    Never,
}

impl Outstanding {
    /// A request goes out.
    pub(crate) fn ask(&mut self, request: &JsonRpcRequest<ClientRequest>) -> SendWhen {
        let mut token = None;
        if let ClientRequest::CallToolRequest(call) = &request.request
            && let Some(Progress(sink)) = call.extensions.get()
            && let Some(own) = request.request.get_meta().get_progress_token()
        {
            self.progress.insert(own.clone(), sink.clone());
            token = Some(own);
        }
        let sending = Arc::new(Sending::default());
        self.requests.insert(request.id.clone(), OutstandingRequest { sending: Arc::clone(&sending), token });
        SendWhen::Request(sending)
    }

    /// The answer with this id has come; `false` when nobody waits for it.
    pub(crate) fn answered(&mut self, id: &RequestId) -> bool {
        self.take(id).is_some()
    }

    /// Nobody waits for this one any more. The helper is told of it only where it may know of the request.
    pub(crate) fn give_up(&mut self, id: &RequestId) -> SendWhen {
        let Some(request) = self.take(id) else { return SendWhen::Never };
        request.sending.given_up.cancel();
        let queued = request.sending.queued.lock().unwrap_or_else(PoisonError::into_inner);
        if *queued { SendWhen::Notice } else { SendWhen::Never }
    }

    /// A call tells how far it is; `false` when nobody listens. Progress that nobody takes in time is out of date.
    pub(crate) fn progress(&self, token: &ProgressToken, words: impl FnOnce() -> String) -> bool {
        let Some(sink) = self.progress.get(token) else { return false };
        match sink.try_reserve() {
            Ok(place) => {
                place.send(words());
                true
            }
            Err(_) => false,
        }
    }

    fn take(&mut self, id: &RequestId) -> Option<OutstandingRequest> {
        let request = self.requests.remove(id)?;
        if let Some(token) = &request.token {
            self.progress.remove(token);
        }
        Some(request)
    }
}

impl SendWhen {
    /// Sends the message when its turn has come.
    pub(crate) async fn take(self, input: &HelperInput, bytes: Bytes) -> Result<(), Closed> {
        match self {
            Self::Waits => input.send(bytes).await,
            Self::Request(sending) => sending.send(input, bytes).await,
            Self::Answer(slot) => {
                let sent = input.send(bytes).await;
                drop(slot);
                sent
            }
            Self::Notice => {
                if !input.notify(bytes) {
                    tracing::debug!(
                        "a helper that does not read missed the notification of a cancelled call"
                    );
                }
                Ok(())
            }
            Self::Never => Ok(()),
        }
    }
}

impl Sending {
    async fn send(&self, input: &HelperInput, bytes: Bytes) -> Result<(), Closed> {
        let place = tokio::select! {
            biased;
            () = self.given_up.cancelled() => return Ok(()),
            place = input.room_for(bytes.len()) => place?,
        };
        // A cancellation meanwhile waits here, and then knows that the helper needs a notification.
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.given_up.is_cancelled() {
            place.take(bytes);
            *queued = true;
        }
        Ok(())
    }
}

/// Requests of the helper that have no answer yet.
#[derive(Debug)]
pub(crate) struct HelperRequests {
    slots: Arc<Semaphore>,
    open: HashMap<RequestId, OwnedSemaphorePermit>,
}

impl Default for HelperRequests {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(policy::HELPER_REQUESTS)), open: HashMap::new() }
    }
}

impl HelperRequests {
    /// The helper asks.
    ///
    /// # Errors
    /// Why it may not, for the helper.
    pub(crate) fn admit(&mut self, id: &RequestId) -> Result<(), String> {
        if self.open.contains_key(id) {
            return Err(format!("a request with the id {id} has no answer yet"));
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| {
            format!("{} requests have no answer yet; ask again after one of them", policy::HELPER_REQUESTS)
        })?;
        self.open.insert(id.clone(), slot);
        Ok(())
    }

    /// The helper does not want the answer any more; `false` when there is no such request.
    pub(crate) fn withdrawn(&mut self, id: &RequestId) -> bool {
        self.open.remove(id).is_some()
    }

    /// An answer goes out.
    pub(crate) fn answered(&mut self, id: Option<&RequestId>) -> SendWhen {
        SendWhen::Answer(id.and_then(|id| self.open.remove(id)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use rmcp::model::{ClientRequest, NumberOrString, PingRequest};

    use super::*;
    use crate::process::input::input;

    fn ping(number: i64) -> JsonRpcRequest<ClientRequest> {
        let request = ClientRequest::PingRequest(PingRequest::default());
        JsonRpcRequest::new(NumberOrString::Number(number), request)
    }

    #[tokio::test]
    async fn a_request_given_up_before_it_was_written_is_never_written() {
        let (queue, mut end) = input();
        let mut outstanding = Outstanding::default();
        queue.send(vec![b'x'; policy::HELPER_INPUT_BYTES].into()).await.unwrap();
        let turn = outstanding.ask(&ping(1));
        let mut sent = std::pin::pin!(turn.take(&queue, Bytes::from_static(b"ping")));
        assert!(poll!(sent.as_mut()).is_pending());
        assert!(matches!(outstanding.give_up(&NumberOrString::Number(1)), SendWhen::Never));
        sent.await.unwrap();
        drop(end.next().await);
        let turn = outstanding.ask(&ping(2));
        turn.take(&queue, Bytes::from_static(b"second")).await.unwrap();
        assert_eq!(end.next().await.unwrap().bytes, "second");
        assert!(matches!(outstanding.give_up(&NumberOrString::Number(2)), SendWhen::Notice));
        assert!(!outstanding.answered(&NumberOrString::Number(2)), "nobody waits for it any more");
    }

    #[test]
    fn what_a_helper_asks_is_bounded_until_it_is_answered_or_withdrawn() {
        let mut asked = HelperRequests::default();
        let most = i64::try_from(policy::HELPER_REQUESTS).unwrap();
        for number in 0..most {
            asked.admit(&NumberOrString::Number(number)).unwrap();
        }
        assert!(asked.admit(&NumberOrString::Number(0)).unwrap_err().contains("the id 0"));
        let one_more = NumberOrString::Number(most);
        assert!(asked.admit(&one_more).unwrap_err().contains("ask again"));
        drop(asked.answered(Some(&NumberOrString::Number(0))));
        asked.admit(&one_more).unwrap();
        assert!(asked.withdrawn(&one_more) && !asked.withdrawn(&one_more));
        asked.admit(&one_more).unwrap();
    }
}
