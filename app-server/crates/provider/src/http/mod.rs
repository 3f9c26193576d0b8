//! Models over HTTP: one transport for all interfaces. It asks, reads the stream of the answer, asks again when that may help,
//! and says in words what went wrong. Knows nothing of what requests and events mean: a [`WireForm`] does.
//!
//! A stream is alive while bytes come, keep-alives among them; how long an answer takes is nobody's business. Whoever drops the
//! future of an answer, or cancels it, drops its connection.

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

pub(crate) mod about;
pub(crate) mod fault;
pub mod form;
pub(crate) mod ids;
mod link;
mod list;
#[cfg(any(test, feature = "testing"))]
pub mod played;
mod retry;
pub(crate) mod said;
pub mod talk;
#[cfg(test)]
pub(crate) mod tests;

use about::About;
use fault::{Fault, Who};
use form::{Flow, StreamReader, WireForm, Wrong};
use link::Link;
pub(crate) use link::Variable;
use retry::{Phase, Retries};
use said::Said;

/// A provider over HTTP, as the settings describe it. The client is made by the first question, and kept.
pub(crate) struct HttpProvider {
    spec: ProviderSpec,
    form: &'static dyn WireForm,
    variable: Variable,
    link: OnceLock<Result<Arc<Link>, ProviderError>>,
}

impl HttpProvider {
    /// Nothing is asked yet. `variable` reads the environment.
    #[must_use]
    pub(crate) fn new(spec: ProviderSpec, variable: Variable) -> Self {
        let form: &'static dyn WireForm = match spec.wire_api {
            WireApi::Responses => &openai_responses::Responses,
            WireApi::Chat => &openai_chat::Chat,
            WireApi::Anthropic => &anthropic::Messages,
        };
        Self { spec, form, variable, link: OnceLock::new() }
    }

    fn link(&self) -> Result<Arc<Link>, ProviderError> {
        self.link.get_or_init(|| Link::new(&self.spec, self.form, self.variable).map(Arc::new)).clone()
    }

    fn who(&self, model: &str, wanted_output: Option<u32>) -> Who {
        let origin = origin(&self.spec.base_url);
        Who {
            id: self.spec.id.clone(),
            origin,
            model: model.to_owned(),
            env_key: self.spec.env_key.clone(),
            max_output_tokens: wanted_output.or(self.spec.max_output_tokens),
        }
    }

    /// Asks until there is an answer, or no use in asking again.
    async fn ask(&self, prompt: &Prompt, given: &mpsc::Sender<ModelEvent>) -> Result<(), ProviderError> {
        let (link, who) = (self.link()?, self.who(&prompt.model, prompt.settings.wanted_output));
        let body = Bytes::from(self.form.request(prompt, &self.spec).to_string());
        let mut retries = Retries::new(self.spec.request_max_retries, self.spec.stream_max_retries);
        loop {
            let (phase, fault) = match self.attempt(&link, body.clone(), given).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let fault = fault.shown(|said| link.shown(said));
            let Some(retry) = fault.retry(phase, &mut retries) else {
                return Err(fault.told(&who, retries.done()));
            };
            let error = fault.reconnecting(&who, &retry);
            tracing::info!(provider = self.spec.id, error = error.details, wait = ?retry.wait, "a model is asked again");
            if given.send(ModelEvent::Again(error)).await.is_err() {
                return Ok(());
            }
            tokio::time::sleep(retry.wait).await;
        }
    }

    /// Asks once.
    async fn attempt(
        &self,
        link: &Link,
        body: Bytes,
        given: &mpsc::Sender<ModelEvent>,
    ) -> Result<(), (Phase, Fault)> {
        let idle = self.spec.stream_idle_timeout;
        let head = head(link, self.form.path(), body, idle).await.map_err(|fault| (Phase::Request, fault))?;
        let reader = self.form.reader(Clock.new_id());
        let heard = match head {
            Head::Stream(response) => read(chunks(response, idle), reader, given).await,
            Head::Whole(body) => read_whole(&body, reader, given).await,
        };
        heard.map_err(|fault| (Phase::Stream, fault))
    }
}

/// An answer that is called a success.
enum Head {
    /// A stream of events.
    Stream(Response),
    /// All of it, from a server that makes no stream of it.
    Whole(Value),
}

/// The answer's head, and its body when it is no stream of events.
async fn head(link: &Link, path: &str, body: Bytes, idle: Duration) -> Result<Head, Fault> {
    let sent = timeout(idle, link.post(path, body).send()).await.map_err(|_| Fault::Silent(idle))?;
    let response = sent.map_err(|error| Fault::of(&error))?;
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        return Err(Fault::Moved(shown_url(to)));
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
        return Ok(Head::Stream(response));
    }
    let kind = kind.to_owned();
    let (most, patience) = match kind.contains("json") {
        true => (policy::MODEL_EVENT_BYTES, idle),
        false => (policy::MODEL_ERROR_BYTES, policy::MODEL_ERROR_PATIENCE),
    };
    let body = beginning(response, most, patience).await;
    match serde_json::from_slice::<Value>(&body) {
        // Servers between us and the model put errors into answers that are called a success.
        Ok(value) => {
            let detail = || value.get("detail").map(|_| Said::of(&value));
            match Said::in_place_of_answer(&value).or_else(detail) {
                Some(said) => Err(Fault::Refused { said, wait: None }),
                None if value.is_object() => Ok(Head::Whole(value)),
                None => Err(no_events(&kind, &body)),
            }
        }
        Err(_) => Err(no_events(&kind, &body)),
    }
}

async fn refused(response: Response, status: StatusCode) -> Fault {
    let now = Clock.wall();
    let (wait, reset) = (retry::retry_after(response.headers(), now), retry::reset(response.headers(), now));
    // AWS says in a header what is wrong, and where that is described.
    let kind = response.headers().get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(':').next()).map(str::to_ascii_lowercase);
    let body = beginning(response, policy::MODEL_ERROR_BYTES, policy::MODEL_ERROR_PATIENCE).await;
    let mut said = Said::of_body(status.as_u16(), &body);
    said.words.extend(kind);
    // Headers say when the whole limit is there again: the last of those who know.
    let wait = wait.or_else(|| said.asked()).or_else(|| reset.filter(|_| said.about() == About::Rate));
    Fault::Refused { said, wait }
}

fn no_events(kind: &str, body: &[u8]) -> Fault {
    let body = &body[..body.len().min(policy::MODEL_ERROR_BYTES)];
    Fault::NoEvents(format!("{kind}: {}", String::from_utf8_lossy(body)))
}

/// The beginning of a body: so much of it as came in time.
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
    // What has come by then has to do.
    timeout(patience, whole).await.ok();
    body.truncate(most);
    body
}

/// The bytes of a body, or that none came for so long.
fn chunks(response: Response, idle: Duration) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
    stream::unfold(response, move |mut response| async move {
        let chunk = match timeout(idle, response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk?),
            Ok(Err(error)) => Err(Fault::of(&error)),
            Err(_) => Err(Fault::Silent(idle)),
        };
        Some((chunk, response))
    })
}

/// Reads an answer to its end.
///
/// # Errors
/// What ended it before.
pub(crate) async fn read(
    bytes: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static,
    mut reader: Box<dyn StreamReader>,
    given: &mpsc::Sender<ModelEvent>,
) -> Result<(), Fault> {
    let mut events =
        std::pin::pin!(events(bytes, policy::MODEL_EVENT_BYTES, || Fault::Wrong(Wrong::TooLong)));
    let mut told = 0;
    // Until when the last word may come.
    let mut until = None;
    loop {
        let mut out = Vec::new();
        let next = match until {
            Some(until) => timeout_at(until, events.next()).await.unwrap_or(None),
            None => events.next().await,
        };
        let heard = match next {
            Some(event) => hear(event, reader.as_mut(), &mut out),
            None => Err(Fault::Cut),
        };
        let heard = match heard {
            // Some servers leave out the last word, or do not close.
            Err(cut @ (Fault::Cut | Fault::Broke(_) | Fault::Silent(_))) => match reader.cut(&mut out) {
                Ok(true) => Ok(Flow::Over),
                Ok(false) => Err(cut),
                Err(wrong) => Err(wrong.into()),
            },
            heard => heard,
        };
        told += out.iter().map(size).sum::<usize>();
        if told > policy::MODEL_ANSWER_BYTES {
            return Err(Fault::Wrong(Wrong::TooLong));
        }
        for event in out {
            if given.send(event).await.is_err() {
                return Ok(());
            }
        }
        if heard? == Flow::Over {
            return Ok(());
        }
        if until.is_none() && reader.is_finished() {
            until = Some(Clock.now() + policy::MODEL_LAST_WORD);
        }
    }
}

/// Reads an answer that came whole.
async fn read_whole(
    body: &Value,
    mut reader: Box<dyn StreamReader>,
    given: &mpsc::Sender<ModelEvent>,
) -> Result<(), Fault> {
    let mut out = Vec::new();
    let heard = reader.whole(body, &mut out);
    for event in out {
        if given.send(event).await.is_err() {
            return Ok(());
        }
    }
    heard.map_err(|wrong| match wrong {
        Wrong::Garbage(what) => Fault::NoEvents(what),
        wrong @ (Wrong::Said(_) | Wrong::TooLong | Wrong::Stopped(_) | Wrong::Cut) => wrong.into(),
    })
}

/// The bytes of what an event says.
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

fn hear(
    event: Result<Sse, SseError>,
    reader: &mut dyn StreamReader,
    out: &mut Vec<ModelEvent>,
) -> Result<Flow, Fault> {
    match event {
        Ok(event) => match event.data.as_deref().map(str::trim).filter(|data| !data.is_empty()) {
            Some(data) => reader.hear(data, out).map_err(Fault::from),
            None => Ok(Flow::On),
        },
        Err(SseError::Body(error)) => Err(match error.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(error) => Fault::Broke(error.to_string()),
        }),
        Err(SseError::Utf8Parse(_)) => Err(Fault::Wrong(Wrong::Garbage("bytes that are no text".to_owned()))),
        // Lines that the standard passes over, too.
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
        let link = self.link()?;
        let listed = timeout(policy::MODEL_LIST_PATIENCE, list::fetch(&link)).await;
        let listed = listed.unwrap_or(Err(Fault::Silent(policy::MODEL_LIST_PATIENCE)));
        listed.map(Some).map_err(|fault| fault.shown(|said| link.shown(said)).told(&self.who("?", None), 0))
    }
}
