//! Requests over a real connection: which are made again, when, and what is said of those that are not.

use std::ffi::OsString;

use serde_json::{Value, json};
use skein_base::masks::Secrets;
use skein_base::tasks::Tasks;
use tokio::task::JoinHandle;

use super::server::{Reply, Seen, Server};
use super::*;
use crate::openai_chat;

const KEY: &str = "sk-test-0123456789abcdef";

fn environment(name: &str) -> Option<OsString> {
    (name == "TEST_KEY").then(|| KEY.into())
}

const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const END: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn whole() -> Reply {
    Reply::events(&format!("{HELLO}{END}"))
}

fn refusal(status: &str, headers: &str, message: &str) -> Reply {
    let headers = format!("content-type: application/json\r\n{headers}");
    Reply::with(status, &headers, &json!({ "error": { "message": message } }).to_string())
}

/// An answer on its way.
pub(super) struct Asked {
    pub server: Server,
    events: mpsc::Receiver<ModelEvent>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), ProviderError>>,
}

impl Asked {
    async fn of(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(replies, |_| {}).await
    }

    pub(super) async fn with(
        replies: impl IntoIterator<Item = Reply>,
        change: impl FnOnce(&mut ProviderSpec),
    ) -> Self {
        let server = Server::start(replies).await;
        let mut spec = ProviderSpec::new("test", &server.base_url, WireApi::Chat);
        spec.env_key = Some("TEST_KEY".to_owned());
        change(&mut spec);
        let provider = HttpProvider::new(spec, environment);
        let (given, events) = mpsc::channel(64);
        let cancel = CancellationToken::new();
        let prompt = Prompt { history: Vec::new(), ..prompt("a-model", json!({})) };
        let cancelled = cancel.clone();
        let task =
            Tasks::new().spawn("answer", async move { provider.answer(prompt, given, cancelled).await });
        Self { server, events, cancel, task }
    }

    async fn next(&mut self) -> ModelEvent {
        self.events.recv().await.expect("an event")
    }

    /// The error of the next event, which says that the answer begins anew.
    async fn again(&mut self) -> ProviderError {
        let event = self.next().await;
        let ModelEvent::Again(error) = event else { panic!("{event:?}") };
        error
    }

    /// Waits for the end, letting all waits pass.
    pub(super) async fn end(mut self) -> (Vec<ModelEvent>, Result<(), ProviderError>) {
        let mut events = Vec::new();
        while let Some(event) = self.events.recv().await {
            if matches!(event, ModelEvent::Again(_)) {
                pass(policy::MODEL_RETRY_AFTER_MOST + policy::MODEL_RATE_MOST).await;
            }
            events.push(event);
        }
        (events, self.task.await.unwrap())
    }

    async fn error(self) -> ProviderError {
        self.end().await.1.expect_err("an error")
    }
}

/// Lets time pass, without a wait for what the network does.
async fn pass(time: Duration) {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_request_has_the_key_and_the_headers_and_the_answer_is_streamed() {
    let mut asked = Asked::with([whole()], |spec| {
        spec.http_headers = Secrets([("X-Own".to_owned(), "own".to_owned())].into());
        spec.env_http_headers =
            [("X-Key".to_owned(), "TEST_KEY".to_owned()), ("X-No".to_owned(), "NO".to_owned())].into();
        spec.query_params = Secrets([("version".to_owned(), "1 2".to_owned())].into());
    })
    .await;
    let request = asked.server.request().await;
    let has = |text: &str| assert!(request.contains(text), "{text}: {request}");
    has("POST /v1/chat/completions?version=1+2 HTTP/1.1");
    has(&format!("authorization: Bearer {KEY}"));
    has(&format!("x-key: {KEY}"));
    has("x-own: own");
    assert!(!request.contains("x-no"));
    assert_eq!(asked.end().await, (vec![text("Hello")], Ok(())));
}

#[tokio::test]
async fn without_its_key_nobody_is_asked() {
    let instructions = Some("see example.org/keys".to_owned());
    let mut asked = Asked::with([], |spec| {
        spec.env_key = Some("OTHER_KEY".to_owned());
        spec.env_key_instructions = instructions;
    })
    .await;
    assert!(asked.server.is_quiet());
    let error = asked.error().await;
    assert!(
        error.message.contains("OTHER_KEY is not set") && error.message.contains("example.org/keys"),
        "{error}"
    );
    assert_eq!(error.info, Some(CodexErrorInfo::Unauthorized));
}

#[tokio::test]
async fn temporary_errors_are_retried_and_others_reported_at_once() {
    for status in ["500 Oops", "429 Slow", "503 Busy", "529 Over", "408 Late", "409 Locked"] {
        let (events, result) = Asked::of([refusal(status, "", "not now"), whole()]).await.end().await;
        assert!(
            matches!(&events[..], [ModelEvent::Again(_), ModelEvent::TextDelta(_)]),
            "{status}: {events:?}"
        );
        assert_eq!(result, Ok(()));
    }
    for (status, info, says) in [
        ("400 Bad", CodexErrorInfo::BadRequest, "refused the request (400): no"),
        ("401 Who", CodexErrorInfo::Unauthorized, "the key in TEST_KEY was refused (401)"),
        ("403 No", CodexErrorInfo::HttpConnectionFailed { http_status_code: Some(403) }, "may use a-model"),
        ("413 Big", CodexErrorInfo::ContextWindowExceeded, "too long for a-model"),
        ("402 Pay", CodexErrorInfo::UsageLimitExceeded, "used up"),
        ("404 What", CodexErrorInfo::BadRequest, "base_url and wire_api"),
        ("422 Odd", CodexErrorInfo::BadRequest, "(422)"),
    ] {
        let (events, result) = Asked::of([refusal(status, "", "no")]).await.end().await;
        let error = result.expect_err(status);
        assert_eq!((events, &error.info), (vec![], &Some(info)), "{status}");
        assert!(error.message.contains(says), "{error}");
        assert!(error.details.is_some_and(|details| details.contains("no")));
    }
}

#[tokio::test]
async fn the_wait_that_a_provider_wants_is_kept() {
    let mut asked = Asked::of([refusal("429 Slow", "retry-after: 7\r\n", "slow"), whole()]).await;
    asked.server.request().await;
    let error = asked.again().await;
    assert_eq!(error.info, Some(CodexErrorInfo::RateLimitExceeded));
    pass(Duration::from_millis(6_900)).await;
    pass(Duration::ZERO).await;
    assert!(asked.server.is_quiet(), "too early");
    pass(Duration::from_secs(2)).await;
    asked.server.request().await;
    assert_eq!(asked.end().await, (vec![text("Hello")], Ok(())));
    // One that is too long is told.
    let error = Asked::of([refusal("429 Slow", "retry-after: 7200\r\n", "slow")]).await.error().await;
    assert!(error.message.contains("try again in 2 h"), "{error}");
    assert!(!error.message.contains("tried again"), "{error}");
    // One that stands in words, too.
    let error = Asked::of([refusal("429 Slow", "", "Please try again in 7200s.")]).await.error().await;
    assert!(error.message.contains("try again in 2 h"), "{error}");
}

#[tokio::test]
async fn a_retry_uses_the_peers_words_and_names_the_wait_for_a_limit() {
    let refusals = ["500 Oops", "429 Slow", "503 Busy"].map(|status| refusal(status, "", "not now"));
    let (events, _) = Asked::of(refusals.into_iter().chain([whole()])).await.end().await;
    let [ModelEvent::Again(failed), ModelEvent::Again(limited), ModelEvent::Again(loaded), _] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(failed.message, "Reconnecting... 1/9");
    assert!(failed.wait.is_some_and(|wait| wait <= policy::MODEL_RETRY_FIRST * 2), "{failed:?}");
    let http_status_code = Some(500);
    assert_eq!(failed.info, Some(CodexErrorInfo::ResponseStreamDisconnected { http_status_code }));
    assert!(failed.details.as_ref().is_some_and(|details| details.contains("(500): not now")), "{failed:?}");
    let waits = |seconds: u8| format!("Reconnecting... 2/4 (waiting {seconds} s for the rate limit)");
    assert!([1, 2].map(waits).contains(&limited.message), "{limited:?}");
    assert_eq!(limited.info, Some(CodexErrorInfo::RateLimitExceeded));
    assert_eq!(loaded.message, "Reconnecting... 3/9");
    assert_eq!(loaded.info, Some(CodexErrorInfo::ServerOverloaded));
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_waited_for() {
    let headers = "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 40s\r\n";
    let mut asked = Asked::of([refusal("429 Slow", headers, "slow"), whole()]).await;
    asked.server.request().await;
    let error = asked.again().await;
    assert!(error.message.contains("(waiting 40 s for the rate limit)"), "{error}");
    pass(Duration::from_millis(39_900)).await;
    pass(Duration::ZERO).await;
    assert!(asked.server.is_quiet(), "too early");
    pass(Duration::from_secs(2)).await;
    asked.server.request().await;
    assert_eq!(asked.end().await, (vec![text("Hello")], Ok(())));
}

#[tokio::test]
async fn tries_come_to_an_end() {
    let refusals = std::iter::repeat_n(refusal("502 Bad", "", "gone"), 3);
    // As with the peer, a server that fails is asked by both limits.
    let limits = |spec: &mut ProviderSpec| (spec.request_max_retries, spec.stream_max_retries) = (0, 2);
    let asked = Asked::with(refusals, limits).await;
    let (events, result) = asked.end().await;
    assert_eq!(events.len(), 2);
    let error = result.expect_err("an end");
    assert_eq!(
        error.info,
        Some(CodexErrorInfo::ResponseTooManyFailedAttempts { http_status_code: Some(502) })
    );
    assert!(error.message.contains("tried again 2 times"), "{error}");
    let asked = Asked::with([Reply::events(HELLO)], |spec| spec.stream_max_retries = 0).await;
    let error = asked.error().await;
    assert_eq!(error.info, Some(CodexErrorInfo::ResponseStreamDisconnected { http_status_code: None }));
}

#[tokio::test]
async fn a_stream_that_breaks_begins_anew() {
    let garbage = Reply::events(&format!("{HELLO}data: {{\n\n"));
    let cut = Reply::with("200 OK", "content-type: text/event-stream\r\ncontent-length: 5000\r\n", HELLO);
    let told = json!({ "error": { "message": "sorry", "type": "server_error" } });
    let told = Reply::events(&format!("{HELLO}data: {told}\n\n"));
    for broken in [Reply::events(HELLO), cut, garbage, told] {
        let (events, result) = Asked::of([broken, whole()]).await.end().await;
        let [ModelEvent::TextDelta(_), ModelEvent::Again(_), ModelEvent::TextDelta(_)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(result, Ok(()));
    }
}

#[tokio::test]
async fn a_stream_that_is_silent_is_given_up_and_one_that_lives_is_not() {
    let silent = Reply::events(HELLO).hold();
    let mut asked = Asked::of([silent, whole()]).await;
    asked.server.request().await;
    assert_eq!(asked.next().await, text("Hello"));
    pass(policy::MODEL_STREAM_IDLE + Duration::from_millis(1)).await;
    let error = asked.again().await;
    assert!(error.details.is_some_and(|details| details.contains("has sent nothing for 5 min")));
    assert_eq!(asked.server.next().await, Seen::Closed);
    assert_eq!(asked.end().await, (vec![text("Hello")], Ok(())));
    // Where the head does not come, too.
    let nothing = Reply::with("100 Continue", "", "").hold();
    let mut asked = Asked::of([nothing, whole()]).await;
    asked.server.request().await;
    pass(policy::MODEL_STREAM_IDLE + Duration::from_millis(1)).await;
    asked.again().await;
    asked.cancel.cancel();
}

#[tokio::test]
async fn a_server_that_does_not_close_ends_its_answer_all_the_same() {
    let end = END.replace("data: [DONE]\n\n", "");
    let anthropic = "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"Hello\"}}\n\n\
        data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    for (api, stream) in
        [(WireApi::Chat, format!("{HELLO}{end}")), (WireApi::Anthropic, anthropic.to_owned())]
    {
        let reply = Reply::events(&stream).hold();
        let mut asked = Asked::with([reply], |spec| spec.wire_api = api).await;
        assert_eq!(asked.next().await, text("Hello"));
        pass(policy::MODEL_LAST_WORD + Duration::from_millis(1)).await;
        assert_eq!(asked.end().await, (vec![], Ok(())));
    }
}

#[tokio::test]
async fn whoever_cancels_or_goes_closes_the_connection() {
    let mut asked = Asked::of([Reply::events(HELLO).hold()]).await;
    asked.server.request().await;
    asked.next().await;
    asked.cancel.cancel();
    assert_eq!(asked.server.next().await, Seen::Closed);
    assert_eq!(asked.task.await.unwrap(), Ok(()));
    let mut asked = Asked::of([Reply::events(HELLO).hold()]).await;
    asked.server.request().await;
    asked.next().await;
    asked.task.abort();
    assert_eq!(asked.server.next().await, Seen::Closed);
    // Before the head, too, and while it waits to ask again.
    let mut asked = Asked::of([Reply::with("100 Continue", "", "").hold()]).await;
    asked.server.request().await;
    asked.cancel.cancel();
    assert_eq!(asked.server.next().await, Seen::Closed);
    let mut asked = Asked::of([refusal("503 Busy", "retry-after: 60\r\n", "busy")]).await;
    asked.again().await;
    asked.cancel.cancel();
    assert_eq!(asked.task.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn nobody_else_is_sent_the_key() {
    let other = Server::start([whole()]).await;
    let to = format!("location: {}/chat/completions?key=s3cret\r\n", other.base_url);
    let error = Asked::of([Reply::with("307 Moved", &to, "")]).await.error().await;
    assert!(error.message.contains("redirects to") && !error.message.contains("s3cret"), "{error}");
    let mut other = other;
    assert!(other.is_quiet());
}

#[tokio::test]
async fn what_a_provider_says_back_has_no_key_in_it() {
    for said in [
        format!("bad key {KEY}."),
        "Incorrect API key: sk-tes**********cdef".to_owned(),
        "own-s3cret".to_owned(),
    ] {
        let asked = Asked::with([refusal("401 Who", "", &said)], |spec| {
            spec.http_headers = Secrets([("X-Own".to_owned(), "Token own-s3cret".to_owned())].into());
        });
        let shown = format!("{:?}", asked.await.error().await);
        for secret in [KEY, "sk-tes", "cdef", "s3cret"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("***"), "{shown}");
    }
}

#[test]
fn what_is_known_of_the_way_to_a_provider_is_shown_without_keys() {
    let mut spec =
        ProviderSpec::new("x", "http://me:s3cret-word@127.0.0.1/v1?key=s3cret-query", WireApi::Chat);
    spec.env_key = Some("TEST_KEY".to_owned());
    let link = Endpoint::new(&spec, &openai_chat::ChatApi, environment).unwrap();
    let shown = format!("{link:?}");
    for secret in [&KEY[..6], "s3cret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("127.0.0.1/v1"), "{shown}");
}

#[tokio::test]
async fn a_long_word_of_a_provider_does_not_hide_the_way_out_nor_a_key_at_its_cut() {
    let said = format!("{}{KEY} and more", "x ".repeat(policy::MODEL_ERROR_SHOWN / 2 - 6));
    let error = Asked::of([refusal("401 Who", "", &said)]).await.error().await;
    assert!(error.message.ends_with("to a key that is valid there"), "{error}");
    let long = format!("{}the maximum context length is passed", "x ".repeat(policy::MODEL_ERROR_SHOWN));
    let error = Asked::of([refusal("400 Bad", "", &long)]).await.error().await;
    assert_eq!(
        error.info,
        Some(CodexErrorInfo::ContextWindowExceeded),
        "its meaning stands behind what is shown"
    );
    assert!(!format!("{error:?}").contains(&KEY[..8]), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_reported() {
    let page = Reply::with("200 OK", "content-type: text/html\r\n", "<html>hello</html>");
    let error = Asked::of([page]).await.error().await;
    assert!(error.message.contains("no stream of events"), "{error}");
    assert!(error.details.is_some_and(|details| details.contains("text/html")));
    let hidden = Reply::with(
        "200 OK",
        "content-type: application/json\r\n",
        "{\"error\":{\"code\":\"context_length_exceeded\"}}",
    );
    assert_eq!(Asked::of([hidden]).await.error().await.info, Some(CodexErrorInfo::ContextWindowExceeded));
    let listed = "[{\"error\":{\"code\":400,\"message\":\"no such word\",\"status\":\"INVALID_ARGUMENT\"}}]";
    for status in ["200 OK", "400 Bad"] {
        let listed = Reply::with(status, "content-type: application/json\r\n", listed);
        let error = Asked::of([listed]).await.error().await;
        assert!(error.message.contains("no such word"), "{error}");
        assert_eq!(error.info, Some(CodexErrorInfo::BadRequest));
    }
    let asked = Asked::with([], |spec| {
        spec.base_url = "http://127.0.0.1:9/v1".to_owned();
        (spec.request_max_retries, spec.stream_max_retries) = (1, 0);
    });
    let error = asked.await.error().await;
    assert_eq!(error.info, Some(CodexErrorInfo::HttpConnectionFailed { http_status_code: None }));
    assert!(
        error.message.contains("http://127.0.0.1:9") && error.message.contains("tried again once"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_taken_by_every_interface() {
    let chat = json!({
        "object": "chat.completion",
        "choices": [{ "message": { "content": "Hello", "reasoning_content": "hm" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 2 },
    });
    let item = json!({ "type": "message", "content": [{ "type": "output_text", "text": "Hello" }] });
    let responses = json!({ "object": "response", "status": "completed", "output": [item] });
    let block = json!({ "type": "text", "text": "Hello" });
    let messages = json!({ "type": "message", "content": [block], "stop_reason": "end_turn" });
    for (api, body) in
        [(WireApi::Chat, chat), (WireApi::Responses, responses), (WireApi::Anthropic, messages)]
    {
        let reply = Reply::with("200 OK", "content-type: application/json\r\n", &body.to_string());
        let (events, result) = Asked::with([reply], |spec| spec.wire_api = api).await.end().await;
        assert_eq!(result, Ok(()), "{body}");
        let says = [text("Hello"), ModelEvent::Message("Hello".into())];
        assert!(events.iter().any(|event| says.contains(event)), "{events:?}");
        let thinks = events.iter().any(|event| matches!(event, ModelEvent::Reasoning(_)));
        assert_eq!(thinks, api == WireApi::Chat, "{events:?}");
    }
    // One that is no answer, and one that is not all of it.
    let other = Reply::with("200 OK", "content-type: application/json\r\n", "{\"object\":\"list\"}");
    for api in [WireApi::Chat, WireApi::Responses, WireApi::Anthropic] {
        let error = Asked::with([other.clone()], |spec| spec.wire_api = api).await.error().await;
        assert!(error.message.contains("no stream of events"), "{error}");
    }
    let half = json!({ "choices": [{ "message": { "content": "Hel" }, "finish_reason": "length" }] });
    let half = Reply::with("200 OK", "content-type: application/json\r\n", &half.to_string());
    assert!(Asked::of([half]).await.error().await.message.contains("cut off"));
}

#[tokio::test]
async fn an_event_that_never_ends_is_given_up() {
    let bytes = stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 1 << 20])));
    let (given, _events) = mpsc::channel(1);
    let reader = openai_chat::ChatApi.reader(Uuid::nil());
    let result =
        super::super::read(stream::iter([Ok(Bytes::from_static(b"data: "))]).chain(bytes), reader, &given)
            .await;
    assert_eq!(result, Err(ModelError::Stream(StreamError::TooLong)));
}

#[tokio::test]
async fn models_are_listed() {
    let list = json!({ "data": [{ "id": "one" }, { "id": "two" }] }).to_string();
    let mut server =
        Server::start([Reply::with("200 OK", "content-type: application/json\r\n", &list)]).await;
    let mut spec = ProviderSpec::new("test", &server.base_url, WireApi::Anthropic);
    spec.env_key = Some("TEST_KEY".to_owned());
    let models = HttpProvider::new(spec, environment).models().await.unwrap().unwrap();
    assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    let request = server.request().await;
    assert!(
        request.contains("GET /v1/models?limit=1000") && request.contains(&format!("x-api-key: {KEY}")),
        "{request}"
    );
    assert!(request.contains("anthropic-version: 2023-06-01"), "{request}");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up() {
    let long = "x".repeat(1 << 20);
    let call = |at: usize| json!({ "index": at, "id": format!("{at}"), "function": { "arguments": long } });
    let text = |_: usize| json!({ "content": long });
    let called = |at: usize| json!({ "tool_calls": [call(at)] });
    // Told, and held back.
    for (delta, count) in [(&text as &(dyn Fn(usize) -> Value + Sync), 16), (&called, 0)] {
        let event = |at: usize| format!("data: {}\n\n", json!({ "choices": [{ "delta": delta(at) }] }));
        let pieces: Vec<_> = (0..20).map(|at| Ok(Bytes::from(event(at)))).collect();
        let (given, mut events) = mpsc::channel(64);
        let result =
            super::super::read(stream::iter(pieces), openai_chat::ChatApi.reader(Uuid::nil()), &given).await;
        assert_eq!(result, Err(ModelError::Stream(StreamError::TooLong)));
        assert_eq!(std::iter::from_fn(|| events.try_recv().ok()).count(), count);
    }
}
