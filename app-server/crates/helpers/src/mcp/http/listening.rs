//! The stream on which a helper over HTTP tells by itself what changes. It is asked for again for as long as the helper is in use:
//! a call ends with its stream, but nobody waits for this one, so nobody would notice that it is gone.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rmcp::transport::streamable_http_client::SseError;
use skein_base::clock::Clock;
use sse_stream::Sse;
use tokio::time::Instant;

use crate::policy;

/// Events of a helper.
pub(crate) type Events = BoxStream<'static, Result<Sse, SseError>>;

/// The notification of a helper that may have changed its tools while nobody heard it. The tools are listed again with it.
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoStream {
    /// Another try may succeed.
    Yet,
    /// The helper has forgotten the session; the next request begins another one, and with it another stream.
    Forgotten,
    /// The helper gives none, or nobody wants one any more.
    Never,
}

/// The events of `first` and of all streams after it, which `ask` begins; it gets the id of the last event. Behind each gap stands
/// a notification that tools have changed: what the helper has sent meanwhile may be lost.
pub(crate) fn listening<A, F>(first: Option<Events>, ask: A) -> Events
where
    A: FnMut(Option<String>) -> F + Send + 'static,
    F: Future<Output = Result<Events, NoStream>> + Send + 'static,
{
    let since = Clock.now();
    let state = Listening {
        ask,
        events: first,
        since,
        last: None,
        least: Duration::ZERO,
        tries: 0,
        forgotten: false,
    };
    let next = |mut state: Listening<A>| async move { state.next().await.map(|event| (Ok(event), state)) };
    stream::unfold(state, next).boxed()
}

struct Listening<A> {
    ask: A,
    events: Option<Events>,
    /// When this stream began.
    since: Instant,
    /// The id of the last event.
    last: Option<String>,
    /// The least that the helper wants us to wait.
    least: Duration,
    /// Times that a stream was asked for since one lasted.
    tries: u32,
    /// The list of tools was asked for since the helper has forgotten the session.
    forgotten: bool,
}

impl<A, F> Listening<A>
where
    A: FnMut(Option<String>) -> F,
    F: Future<Output = Result<Events, NoStream>>,
{
    async fn next(&mut self) -> Option<Sse> {
        loop {
            if let Some(event) = self.event().await {
                return Some(event);
            }
            tokio::time::sleep(self.pause()).await;
            self.tries = self.tries.saturating_add(1);
            match (self.ask)(self.last.clone()).await {
                Ok(events) => {
                    (self.events, self.since, self.forgotten) = (Some(events), Clock.now(), false);
                    return Some(changed());
                }
                // The request for the tools notices that, too.
                Err(NoStream::Forgotten) if !self.forgotten => {
                    self.forgotten = true;
                    return Some(changed());
                }
                Err(NoStream::Forgotten | NoStream::Yet) => {}
                Err(NoStream::Never) => return None,
            }
        }
    }

    /// The next event of the present stream; none when it is over.
    async fn event(&mut self) -> Option<Sse> {
        match self.events.as_mut()?.next().await {
            Some(Ok(event)) => {
                if event.id.is_some() {
                    self.last.clone_from(&event.id);
                }
                self.least = event.retry.map_or(self.least, Duration::from_millis);
                Some(event)
            }
            // Why it broke is noted by who made it.
            Some(Err(_)) | None => {
                self.events = None;
                if Clock.now() >= self.since + policy::HELPER_HTTP_RETRY_MOST {
                    self.tries = 0;
                }
                None
            }
        }
    }

    fn pause(&self) -> Duration {
        let pause = policy::HELPER_HTTP_RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.tries));
        pause.max(self.least).min(policy::HELPER_HTTP_LISTEN_MOST)
    }
}

fn changed() -> Sse {
    Sse { event: None, data: Some(CHANGED.to_owned()), id: None, retry: None }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    fn event(text: &str) -> Result<Sse, SseError> {
        Ok(Sse { event: None, data: Some(text.to_owned()), id: Some(format!("id of {text}")), retry: None })
    }

    async fn data(events: &mut Events) -> Option<String> {
        events.next().await.map(|event| event.unwrap().data.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_breaks_is_asked_for_until_it_is_there_however_long() {
        let asked = Arc::new(AtomicU32::new(0));
        let seen = Arc::new(Mutex::new(None));
        let (count, last) = (Arc::clone(&asked), Arc::clone(&seen));
        let ask = move |id| {
            *last.lock().unwrap() = id;
            let is_back = count.fetch_add(1, Ordering::Relaxed) == 99;
            std::future::ready(match is_back {
                true => Ok(stream::iter([event("back")]).chain(stream::pending()).boxed()),
                false => Err(NoStream::Yet),
            })
        };
        let began = Clock.now();
        let mut events = listening(Some(stream::iter([event("first")]).boxed()), ask);
        assert_eq!(data(&mut events).await.as_deref(), Some("first"));
        assert_eq!(data(&mut events).await.as_deref(), Some(CHANGED), "the tools are listed again");
        assert_eq!(data(&mut events).await.as_deref(), Some("back"));
        assert_eq!(asked.load(Ordering::Relaxed), 100);
        assert_eq!(seen.lock().unwrap().as_deref(), Some("id of first"));
        let took = Clock.now() - began;
        assert!(took < 100 * policy::HELPER_HTTP_LISTEN_MOST, "{took:?}: it is asked at least once a minute");
        assert!(took > 80 * policy::HELPER_HTTP_LISTEN_MOST, "{took:?}: and not much more often");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_forgotten_is_noticed_once_and_no_stream_at_all_is_an_end() {
        let mut answers = vec![NoStream::Never, NoStream::Forgotten, NoStream::Forgotten, NoStream::Yet];
        let mut events =
            listening(None, move |_| std::future::ready(Err(answers.pop().unwrap_or(NoStream::Never))));
        assert_eq!(data(&mut events).await.as_deref(), Some(CHANGED));
        assert_eq!(data(&mut events).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_lasts_is_asked_for_again_soon() {
        let began = Clock.now();
        let lasts = |_| {
            let minute = tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>());
            std::future::ready(Ok(stream::once(minute).filter_map(|_over| async { None }).boxed()))
        };
        let mut events = listening(None, lasts);
        for _ in 0..10 {
            assert_eq!(data(&mut events).await.as_deref(), Some(CHANGED));
        }
        assert!(Clock.now() - began < Duration::from_secs(9 * 61), "{:?}", Clock.now() - began);
    }
}
