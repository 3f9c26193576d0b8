//!
//! Models over HTTP: one transport for all interfaces. It sends requests, reads streams, retries, and words errors.
//! Only the [`WireForm`] knows the meaning of requests and events.
//! || A stream is alive while bytes arrive, keep-alives included; an answer may take any time. Dropping or cancelling
//! an answer closes its connection.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use skein_base::clock::Clock;
use skein_base::masks::{origin, shown_url};
use skein_base::web::events::{SseError, events};
use skein_protocol::turn::CodexErrorInfo;
use sse_stream::Sse;
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::spec::{ProviderSpec, WireApi};
use super::{
    ListedModel, ModelEvent, Prompt, Provider, ProviderError, Reasoning, anthropic, openai_chat,
    openai_responses,
};
use crate::policy;

mod endpoint;
pub(crate) mod error;
pub mod form;
pub(crate) mod ids;
pub(crate) mod kind;
mod list;
#[cfg(any(test, feature = "testing"))]
pub mod played;
pub(crate) mod report;
mod retry;
pub mod steps;
#[cfg(test)]
pub(crate) mod tests;

use endpoint::Endpoint;
pub(crate) use endpoint::ReadVariable;
use error::{AskedModel, ModelError};
use form::{Flow, StreamError, StreamReader, WireForm};
use kind::ErrorKind;
use report::ErrorReport;
use retry::{Retries, RetryPhase};

/// A provider over HTTP. The first request creates the client.
pub(crate) struct HttpProvider {
    spec: ProviderSpec,
    form: &'static dyn WireForm,
    variable: ReadVariable,
    endpoint: OnceLock<Result<Arc<Endpoint>, ProviderError>>,
}

impl HttpProvider {
    /// Sends nothing yet. `variable` reads the environment.
    pub(crate) fn new(spec: ProviderSpec, variable: ReadVariable) -> Self {
        let form: &'static dyn WireForm = match spec.wire_api {
            WireApi::Responses => &openai_responses::ResponsesApi,
            WireApi::Chat => &openai_chat::ChatApi,
            WireApi::Anthropic => &anthropic::MessagesApi,
        };
        Self { spec, form, variable, endpoint: OnceLock::new() }
    }

    fn endpoint(&self) -> Result<Arc<Endpoint>, ProviderError> {
        self.endpoint
            .get_or_init(|| Endpoint::new(&self.spec, self.form, self.variable).map(Arc::new))
            .clone()
    }

    fn asked_model(&self, model: &str, wanted_output: Option<u32>) -> AskedModel {
        let origin = origin(&self.spec.base_url);
        AskedModel {
            id: self.spec.id.clone(),
            origin,
            model: model.to_owned(),
            env_key: self.spec.env_key.clone(),
            max_output_tokens: wanted_output.or(self.spec.max_output_tokens),
        }
    }

    /// Asks until there is an answer, or no retry left.
    async fn ask(&self, prompt: &Prompt, given: &mpsc::Sender<ModelEvent>) -> Result<(), ProviderError> {
        let (endpoint, asked) =
            (self.endpoint()?, self.asked_model(&prompt.model, prompt.settings.wanted_output));
        let body = Bytes::from(self.form.request(prompt, &self.spec).to_string());
        let mut retries = Retries::new(self.spec.request_max_retries, self.spec.stream_max_retries);
        loop {
            let (phase, error) = match self.attempt(&endpoint, body.clone(), given).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let error = error.shown(|report| endpoint.shown(report));
            let Some(retry) = error.retry(phase, &mut retries) else {
                return Err(error.for_user(&asked, retries.done()));
            };
            let error = error.reconnecting(&asked, &retry);
            tracing::info!(provider = self.spec.id, error = error.details, wait = ?retry.wait, "a model is asked again");
            if given.send(ModelEvent::Again(error)).await.is_err() {
                return Ok(());
            }
            tokio::time::sleep(retry.wait).await;
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        given: &mpsc::Sender<ModelEvent>,
    ) -> Result<(), (RetryPhase, ModelError)> {
        let idle = self.spec.stream_idle_timeout;
        let head = head(endpoint, self.form.path(), body, idle)
            .await
            .map_err(|error| (RetryPhase::Request, error))?;
        let reader = self.form.reader(Clock.new_id());
        let outcome = match head {
            AnswerHead::Stream(response) => read(chunks(response, idle), reader, given).await,
            AnswerHead::Whole(body) => read_whole(&body, reader, given).await,
        };
        outcome.map_err(|error| (RetryPhase::Stream, error))
    }
}

/// An answer with a success status.
enum AnswerHead {
    Stream(Response),
    /// A whole answer, from a server that does not stream.
    Whole(Value),
}

/// Sends the request; reads the body unless it is a stream.
async fn head(
    endpoint: &Endpoint,
    path: &str,
    body: Bytes,
    idle: Duration,
) -> Result<AnswerHead, ModelError> {
    let sent = timeout(idle, endpoint.post(path, body).send()).await.map_err(|_| ModelError::Silent(idle))?;
    let response = sent.map_err(|error| ModelError::of(&error))?;
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        return Err(ModelError::Moved(shown_url(to)));
    }
    if !status.is_success() {
        return Err(refused(response, status).await);
    }
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("text/event-stream");
    if kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream") {
        return Ok(AnswerHead::Stream(response));
    }
    let kind = kind.to_owned();
    let (most, patience) = match kind.contains("json") {
        true => (policy::MODEL_EVENT_BYTES, idle),
        false => (policy::MODEL_ERROR_BYTES, policy::MODEL_ERROR_PATIENCE),
    };
    let body = beginning(response, most, patience).await;
    match serde_json::from_slice::<Value>(&body) {
        // Servers in between put errors into answers with a success status.
        Ok(value) => {
            let detail = || value.get("detail").map(|_| ErrorReport::of(&value));
            match ErrorReport::in_place_of_answer(&value).or_else(detail) {
                Some(report) => Err(ModelError::Refused { report, wait: None }),
                None if value.is_object() => Ok(AnswerHead::Whole(value)),
                None => Err(no_events(&kind, &body)),
            }
        }
        Err(_) => Err(no_events(&kind, &body)),
    }
}

async fn refused(response: Response, status: StatusCode) -> ModelError {
    let now = Clock.wall();
    let (wait, reset) = (retry::retry_after(response.headers(), now), retry::reset(response.headers(), now));
    // AWS puts the error type, and a link, into a header.
    let kind = response.headers().get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(':').next()).map(str::to_ascii_lowercase);
    let body = beginning(response, policy::MODEL_ERROR_BYTES, policy::MODEL_ERROR_PATIENCE).await;
    let mut report = ErrorReport::of_body(status.as_u16(), &body);
    report.words.extend(kind);
    // Headers name the reset of the whole limit, so they come last.
    let wait =
        wait.or_else(|| report.asked()).or_else(|| reset.filter(|_| report.about() == ErrorKind::Rate));
    ModelError::Refused { report, wait }
}

fn no_events(kind: &str, body: &[u8]) -> ModelError {
    let body = &body[..body.len().min(policy::MODEL_ERROR_BYTES)];
    ModelError::NoEvents(format!("{kind}: {}", String::from_utf8_lossy(body)))
}

/// As much of a body as arrives in time, up to `most` bytes.
async fn beginning(mut response: Response, most: usize, patience: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let whole = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                break;
            }
        }
    };
    // A late body is read as far as it came.
    timeout(patience, whole).await.ok();
    body.truncate(most);
    body
}

/// The chunks of a body; an error after `idle` without one.
fn chunks(
    response: Response,
    idle: Duration,
) -> impl Stream<Item = Result<Bytes, ModelError>> + Send + 'static {
    stream::unfold(response, move |mut response| async move {
        let chunk = match timeout(idle, response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk?),
            Ok(Err(error)) => Err(ModelError::of(&error)),
            Err(_) => Err(ModelError::Silent(idle)),
        };
        Some((chunk, response))
    })
}

/// Reads an answer to its end.
///
/// # Errors
/// The answer ended early.
pub(crate) async fn read(
    bytes: impl Stream<Item = Result<Bytes, ModelError>> + Send + 'static,
    mut reader: Box<dyn StreamReader>,
    given: &mpsc::Sender<ModelEvent>,
) -> Result<(), ModelError> {
    let mut events =
        std::pin::pin!(events(bytes, policy::MODEL_EVENT_BYTES, || ModelError::Stream(StreamError::TooLong)));
    let mut emitted = 0;
    // The deadline of the final event.
    let mut until = None;
    loop {
        let mut out = Vec::new();
        let next = match until {
            Some(until) => timeout_at(until, events.next()).await.unwrap_or(None),
            None => events.next().await,
        };
        let outcome = match next {
            Some(event) => read_event(event, reader.as_mut(), &mut out),
            None => Err(ModelError::Cut),
        };
        let outcome = match outcome {
            // Some servers leave out the final event, or do not close.
            Err(cut @ (ModelError::Cut | ModelError::Broke(_) | ModelError::Silent(_))) => {
                match reader.cut(&mut out) {
                    Ok(true) => Ok(Flow::Over),
                    Ok(false) => Err(cut),
                    Err(wrong) => Err(wrong.into()),
                }
            }
            outcome => outcome,
        };
        emitted += out.iter().map(size).sum::<usize>();
        if emitted > policy::MODEL_ANSWER_BYTES {
            return Err(ModelError::Stream(StreamError::TooLong));
        }
        if !emit(out, given).await {
            return Ok(());
        }
        if outcome? == Flow::Over {
            return Ok(());
        }
        if until.is_none() && reader.is_finished() {
            until = Some(Clock.now() + policy::MODEL_LAST_WORD);
        }
    }
}

/// Returns false after the end of the turn.
async fn emit(events: Vec<ModelEvent>, given: &mpsc::Sender<ModelEvent>) -> bool {
    for event in events {
        if given.send(event).await.is_err() {
            return false;
        }
    }
    true
}

/// Reads a whole answer.
async fn read_whole(
    body: &Value,
    mut reader: Box<dyn StreamReader>,
    given: &mpsc::Sender<ModelEvent>,
) -> Result<(), ModelError> {
    let mut out = Vec::new();
    let outcome = reader.whole(body, &mut out);
    if !emit(out, given).await {
        return Ok(());
    }
    outcome.map_err(|wrong| match wrong {
        StreamError::Garbage(what) => ModelError::NoEvents(what),
        wrong @ (StreamError::Reported(_)
        | StreamError::TooLong
        | StreamError::Stopped(_)
        | StreamError::Cut) => wrong.into(),
    })
}

/// The size of an event's text, in bytes.
fn size(event: &ModelEvent) -> usize {
    match event {
        ModelEvent::TextDelta(text)
        | ModelEvent::ReasoningDelta { text, .. }
        | ModelEvent::Question(text) => text.len(),
        ModelEvent::Message(message) => message.text.len(),
        ModelEvent::Reasoning(Reasoning { summary, content, own_form }) => {
            let own_form = own_form.as_ref().map_or(0, |own| own.to_string().len());
            own_form + summary.iter().chain(content).map(String::len).sum::<usize>()
        }
        ModelEvent::ToolCall(call) => call.arguments.len(),
        ModelEvent::MessageStarted(_) | ModelEvent::Usage(_) | ModelEvent::Again(_) => 0,
    }
}

fn read_event(
    event: Result<Sse, SseError>,
    reader: &mut dyn StreamReader,
    out: &mut Vec<ModelEvent>,
) -> Result<Flow, ModelError> {
    match event {
        Ok(event) => match event.data.as_deref().map(str::trim).filter(|data| !data.is_empty()) {
            Some(data) => reader.read_event(data, out).map_err(ModelError::from),
            None => Ok(Flow::On),
        },
        Err(SseError::Body(error)) => Err(match error.downcast::<ModelError>() {
            Ok(error) => *error,
            Err(error) => ModelError::Broke(error.to_string()),
        }),
        Err(SseError::Utf8Parse(_)) => {
            Err(ModelError::Stream(StreamError::Garbage("bytes that are no text".to_owned())))
        }
        // The standard skips such lines, too.
        Err(
            SseError::InvalidLine
            | SseError::DuplicatedEventLine
            | SseError::DuplicatedIdLine
            | SseError::DuplicatedRetry
            | SseError::IntParse(_),
        ) => Ok(Flow::On),
    }
}

#[async_trait]
impl Provider for HttpProvider {
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError> {
        if prompt.model == policy::DEFAULT_MODEL {
            let id = &self.spec.id;
            let message = format!(
                "model provider {id} was named without a model; choose one of its models, or set model = \"...\" in config.toml"
            );
            return Err(ProviderError {
                info: Some(CodexErrorInfo::ModelNotFound),
                ..ProviderError::new(message)
            });
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(()),
            answered = self.ask(&prompt, &events) => answered,
        }
    }

    fn most_tools(&self) -> Option<usize> {
        self.spec.most_tools().map(|most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    async fn models(&self) -> Result<Option<Vec<ListedModel>>, ProviderError> {
        let endpoint = self.endpoint()?;
        let listed = timeout(policy::MODEL_LIST_PATIENCE, list::fetch(&endpoint)).await;
        let listed = listed.unwrap_or(Err(ModelError::Silent(policy::MODEL_LIST_PATIENCE)));
        listed.map(Some).map_err(|error| {
            error.shown(|report| endpoint.shown(report)).for_user(&self.asked_model("?", None), 0)
        })
    }
}
