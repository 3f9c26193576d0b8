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
use skein_protocol::turn::CodexErrorInfo;
use sse_stream::Sse;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::spec::{ProviderSpec, WireApi};
use super::{
    ListedModel, ModelEvent, Prompt, Provider, ProviderError, Reasoning, anthropic, openai_chat,
    openai_responses,
};
use crate::clock::Clock;
use crate::helpers::{HttpSpec, shown_url};
use crate::policy;
use crate::web::events::{SseError, events};

pub mod about;
pub mod fault;
pub mod form;
mod link;
mod list;
mod retry;
pub mod said;
pub mod talk;
#[cfg(test)]
pub(crate) mod tests;

use fault::{Fault, Who};
use form::{Flow, StreamReader, WireForm, Wrong};
use link::Link;
pub use link::Variable;
use retry::{Phase, Retries};
use said::Said;

/// A provider over HTTP, as the settings describe it. The client is made by the first question, and kept.
pub struct HttpProvider {
    spec: ProviderSpec,
    form: &'static dyn WireForm,
    variable: Variable,
    link: OnceLock<Result<Arc<Link>, ProviderError>>,
}

impl HttpProvider {
    /// Nothing is asked yet. `variable` reads the environment.
    #[must_use]
    pub fn new(spec: ProviderSpec, variable: Variable) -> Self {
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

    fn who(&self, model: &str) -> Who {
        let origin = HttpSpec { url: self.spec.base_url.clone(), ..HttpSpec::default() }.origin();
        Who {
            id: self.spec.id.clone(),
            origin,
            model: model.to_owned(),
            env_key: self.spec.env_key.clone(),
            max_output_tokens: self.spec.max_output_tokens,
        }
    }

    /// The error without secrets, whoever said them, and with the way out behind a word of any length.
    fn error(link: &Link, fault: &Fault, who: &Who, again: u32) -> ProviderError {
        fault.clone().shown(|said| link.shown(said)).told(who, again)
    }

    /// Asks until there is an answer, or no use in asking again.
    async fn ask(&self, prompt: &Prompt, given: &mpsc::Sender<ModelEvent>) -> Result<(), ProviderError> {
        let (link, who) = (self.link()?, self.who(&prompt.model));
        let body = Bytes::from(self.form.request(prompt, &self.spec).to_string());
        let mut retries = Retries::new(self.spec.request_max_retries, self.spec.stream_max_retries);
        loop {
            let (phase, fault) = match self.attempt(&link, body.clone(), given).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let Some(wait) = fault.wait(phase, &mut retries) else {
                return Err(Self::error(&link, &fault, &who, retries.done()));
            };
            let error = Self::error(&link, &fault, &who, 0);
            tracing::info!(provider = self.spec.id, error = error.message, ?wait, "a model is asked again");
            if given.send(ModelEvent::Again(error)).await.is_err() {
                return Ok(());
            }
            tokio::time::sleep(wait).await;
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
        let response =
            head(link, self.form.path(), body, idle).await.map_err(|fault| (Phase::Request, fault))?;
        let stream = chunks(response, idle);
        read(stream, self.form.reader(Clock.new_id()), given).await.map_err(|fault| (Phase::Stream, fault))
    }
}

/// The answer's head, when it is a stream of events.
async fn head(link: &Link, path: &str, body: Bytes, idle: Duration) -> Result<Response, Fault> {
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
        return Ok(response);
    }
    let kind = kind.to_owned();
    let body = beginning(response).await;
    match serde_json::from_slice::<serde_json::Value>(&body) {
        // Servers between us and the model put errors into answers that are called a success.
        Ok(value) => {
            let detail = || value.get("detail").map(|_| Said::of(&value));
            match Said::in_place_of_answer(&value).or_else(detail) {
                Some(said) => Err(Fault::Refused { said, wait: None }),
                None => Err(Fault::NoEvents(format!("{kind}: {value}"))),
            }
        }
        Err(_) => Err(Fault::NoEvents(format!("{kind}: {}", String::from_utf8_lossy(&body)))),
    }
}

async fn refused(response: Response, status: StatusCode) -> Fault {
    let wait = retry::retry_after(response.headers(), Clock.wall());
    // AWS says in a header what is wrong, and where that is described.
    let kind = response.headers().get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(':').next()).map(str::to_ascii_lowercase);
    let mut said = Said::of_body(status.as_u16(), &beginning(response).await);
    said.words.extend(kind);
    Fault::Refused { said, wait }
}

/// So much of a body as an error may take.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let whole = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > policy::MODEL_ERROR_BYTES {
                break;
            }
        }
    };
    // What has come by then has to do.
    timeout(policy::MODEL_ERROR_PATIENCE, whole).await.ok();
    body.truncate(policy::MODEL_ERROR_BYTES);
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
pub async fn read(
    bytes: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static,
    mut reader: Box<dyn StreamReader>,
    given: &mpsc::Sender<ModelEvent>,
) -> Result<(), Fault> {
    let mut events =
        std::pin::pin!(events(bytes, policy::MODEL_EVENT_BYTES, || Fault::Wrong(Wrong::TooLong)));
    let mut told = 0;
    loop {
        let mut out = Vec::new();
        let heard = match events.next().await {
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
    }
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

    async fn models(&self) -> Result<Option<Vec<ListedModel>>, ProviderError> {
        let link = self.link()?;
        let listed = timeout(policy::MODEL_LIST_PATIENCE, list::fetch(&link)).await;
        let listed = listed.unwrap_or(Err(Fault::Silent(policy::MODEL_LIST_PATIENCE)));
        listed.map(Some).map_err(|fault| Self::error(&link, &fault, &self.who("?"), 0))
    }
}
