//! Bodies of answers, none of them longer than a line of a helper on stdio may be.

use std::io;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use rmcp::model::ServerJsonRpcMessage;
use rmcp::transport::streamable_http_client::SseError;
use skein_base::web::{self, root};
use sse_stream::Sse;

use crate::mcp::Line;
use crate::mcp::http::fault::Fault;
use crate::mcp::stdio::message::{self, Message};
use crate::policy;

/// A body whole, at most `limit` bytes of it.
///
/// # Errors
/// [`Fault::TooLong`], or what the connection said.
pub(crate) async fn whole(
    mut response: reqwest::Response,
    limit: usize,
    origin: &str,
    line: &Line,
) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Fault::of(&error, origin))? {
        line.note_activity();
        if body.len() + chunk.len() > limit {
            return Err(Fault::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Events of a stream. One that is too long ends it, and so do several in a row that are no messages of MCP: whoever waits for the
/// answer in it would wait for ever. Fewer are passed over, as some servers send a word to keep a stream alive. `noted` hears what is
/// wrong, and `None` at each event that is in order.
pub(crate) fn events<E: std::error::Error + Send + Sync + 'static>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    noted: impl Fn(Option<String>) + Send + 'static,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let bytes = bytes.map(|chunk| chunk.map_err(io::Error::other));
    let too_long = || io::Error::other(Fault::TooLong);
    let events = web::events::events(bytes, policy::HELPER_LONGEST_LINE, too_long);
    let mut garbage = 0;
    let events = events.filter_map(move |event| {
        let checked = match event.map(check) {
            Ok(Ok(event)) => {
                if event.data.is_some() || event.id.is_some() {
                    garbage = 0;
                    noted(None);
                }
                Some(Ok(event))
            }
            Ok(Err(wrong)) => {
                garbage += 1;
                if garbage == 1 {
                    noted(Some(wrong.to_string()));
                }
                (garbage >= policy::HELPER_HTTP_GARBAGE).then(|| Err(SseError::Body(Box::new(wrong))))
            }
            Err(error) => {
                noted(Some(root(&error)));
                Some(Err(error))
            }
        };
        std::future::ready(checked)
    });
    events.boxed()
}

/// The event as it goes on: rmcp waits as briefly as a server tells it to.
fn check(mut event: Sse) -> Result<Sse, Fault> {
    let least = u64::try_from(policy::HELPER_HTTP_RETRY_FIRST.as_millis()).unwrap_or(u64::MAX);
    event.retry = event.retry.map(|retry| retry.max(least));
    let is_message = matches!(event.event.as_deref(), None | Some("" | "message"));
    let data = event.data.as_deref().map(str::trim).filter(|data| is_message && !data.is_empty());
    match data {
        Some(data) if !is_known(data) => {
            let shown: String = data.chars().take(policy::HELPER_GARBAGE_SHOWN).collect();
            Err(Fault::NotMcp { what: format!("it sent {shown:?} as an event") })
        }
        _ => Ok(event),
    }
}

/// A message, or one for nobody, such as a notification that nobody knows.
fn is_known(data: &str) -> bool {
    serde_json::from_str::<ServerJsonRpcMessage>(data).is_ok()
        || message::parse(data.as_bytes()) == Ok(Message::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(chunks: Vec<Bytes>) -> Vec<Result<Sse, SseError>> {
        let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, io::Error>));
        events(chunks, |_| ()).collect().await
    }

    #[tokio::test]
    async fn an_event_that_never_ends_is_given_up() {
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        let mut chunks = vec![Bytes::from_static(b"data: ")];
        chunks.extend(std::iter::repeat_n(chunk, 17));
        let read = read(chunks).await;
        let [Err(error), ..] = &read[..] else { panic!("{read:?}") };
        assert!(root(error).contains("longer than"), "{error}");
    }

    #[tokio::test]
    async fn many_events_and_comments_are_no_long_one() {
        let mut chunks = vec![];
        for _ in 0..20 {
            chunks.push(Bytes::from(format!(": {}\r\n\r\n", "c".repeat(1 << 20))));
            chunks.push(Bytes::from("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/new\"}\r\n\r\n"));
        }
        let read = read(chunks).await;
        assert_eq!(
            read.iter().filter(|event| event.as_ref().is_ok_and(|event| event.data.is_some())).count(),
            20
        );
        assert!(read.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn an_answer_to_nobody_ends_no_stream() {
        let events = ["{\"jsonrpc\":\"2.0\",\"id\":1.5,\"result\":{}}", "{\"id\":null,\"result\":{}}"];
        let chunks = events.map(|event| Bytes::from(format!("data: {event}\n\n"))).to_vec();
        assert!(read(chunks).await.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn lines_that_end_no_event_add_up() {
        let line = Bytes::from(format!("data: {}\r\n", "x".repeat(1 << 20)));
        let read = read(std::iter::repeat_n(line, 17).collect()).await;
        assert!(read[0].is_err(), "{}", read.len());
    }

    #[tokio::test]
    async fn a_word_that_keeps_a_stream_alive_is_passed_over() {
        let answer = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
        let keeps = "data: keepalive\n\n";
        let chunks = [keeps, answer, keeps, keeps, answer].map(Bytes::from).to_vec();
        let read = read(chunks).await;
        let came: Vec<&str> = read.iter().filter_map(|event| event.as_ref().ok()?.data.as_deref()).collect();
        assert_eq!((came.len(), read.iter().all(Result::is_ok)), (2, true), "{read:?}");
    }

    #[tokio::test]
    async fn garbage_ends_the_stream_and_a_short_pause_is_made_longer() {
        let read =
            read(vec![Bytes::from("retry: 0\ndata:\n\n"), Bytes::from("data: <html>\n\n".repeat(4))]).await;
        let least = u64::try_from(policy::HELPER_HTTP_RETRY_FIRST.as_millis()).expect("short");
        assert_eq!(read[0].as_ref().expect("an event").retry, Some(least));
        assert!(root(read[1].as_ref().expect_err("garbage")).contains("<html>"));
    }
}
