//! What is configured about one provider that is reached over HTTP, and those that are known without a word of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use skein_base::masks::{Secrets, shown_url};

use crate::policy;

/// A provider as the configuration describes it (`[model_providers.NAME]`).
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSpec {
    /// The key in the configuration, which `model_provider` takes.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The address that the paths of its interface follow, as `https://api.example.org/v1`.
    pub base_url: String,
    /// The variable of the server's environment that has the key. None: it wants none.
    pub env_key: Option<String>,
    /// How to get one.
    pub env_key_instructions: Option<String>,
    /// The interface that it has.
    pub wire_api: WireApi,
    /// What is added to each address.
    pub query_params: Secrets,
    /// Headers of each request.
    pub http_headers: Secrets,
    /// Headers by the variable of the server's environment that has their value.
    pub env_http_headers: BTreeMap<String, String>,
    /// How often a request that got no answer is made again.
    pub request_max_retries: u32,
    /// How often an answer that broke off is asked for again.
    pub stream_max_retries: u32,
    /// How long it may show no sign of life.
    pub stream_idle_timeout: Duration,
    /// The most that an answer may take, in tokens. None: what the provider allows.
    pub max_output_tokens: Option<u32>,
    /// The most tools that a request may have. None: what its interface takes.
    pub max_tools: Option<u32>,
    /// Names of its models, for lists.
    pub models: Vec<String>,
    /// Whether the settings have a word of it. Nobody asks the others for their models.
    pub named: bool,
}

impl fmt::Debug for ProviderSpec {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSpec")
            .field("id", &self.id)
            .field("base_url", &shown_url(&self.base_url))
            .finish_non_exhaustive()
    }
}

/// The interface of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireApi {
    /// OpenAI's Responses.
    Responses,
    /// OpenAI's Chat Completions, which many others have, too.
    Chat,
    /// Anthropic's Messages.
    Anthropic,
}

/// The words of `wire_api`.
pub const WIRE_APIS: &[(&str, WireApi)] =
    &[("responses", WireApi::Responses), ("chat", WireApi::Chat), ("anthropic", WireApi::Anthropic)];

/// The address of OpenAI.
pub(crate) const OPENAI: &str = "https://api.openai.com/v1";

impl ProviderSpec {
    /// A provider at `base_url`, without a key.
    #[must_use]
    pub fn new(id: &str, base_url: &str, wire_api: WireApi) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            base_url: base_url.to_owned(),
            env_key: None,
            env_key_instructions: None,
            wire_api,
            query_params: Secrets::default(),
            http_headers: Secrets::default(),
            env_http_headers: BTreeMap::new(),
            request_max_retries: policy::MODEL_REQUEST_RETRIES,
            stream_max_retries: policy::MODEL_STREAM_RETRIES,
            stream_idle_timeout: policy::MODEL_STREAM_IDLE,
            max_output_tokens: None,
            max_tools: None,
            models: Vec::new(),
            named: false,
        }
    }

    /// Those that are known without a word of them in the settings, by name.
    #[must_use]
    pub fn built_in() -> BTreeMap<String, Self> {
        let known = [
            ("openai", "OpenAI", OPENAI, WireApi::Responses, Some("OPENAI_API_KEY")),
            ("openai-chat", "OpenAI (Chat Completions)", OPENAI, WireApi::Chat, Some("OPENAI_API_KEY")),
            (
                "anthropic",
                "Anthropic",
                "https://api.anthropic.com/v1",
                WireApi::Anthropic,
                Some("ANTHROPIC_API_KEY"),
            ),
            ("ollama", "Ollama", "http://127.0.0.1:11434/v1", WireApi::Chat, None),
            ("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1", WireApi::Chat, None),
        ];
        let spec = |(id, name, base_url, wire_api, key): (&str, &str, &str, WireApi, Option<&str>)| {
            let (name, env_key) = (name.to_owned(), key.map(ToOwned::to_owned));
            (id.to_owned(), Self { name, env_key, ..Self::new(id, base_url, wire_api) })
        };
        known.into_iter().map(spec).collect()
    }

    /// The most tools that a request may have; `None` is no bound.
    #[must_use]
    pub fn most_tools(&self) -> Option<u32> {
        self.max_tools.or(match self.wire_api {
            WireApi::Responses | WireApi::Chat => Some(policy::MODEL_TOOLS),
            WireApi::Anthropic => None,
        })
    }

    /// Whether the settings give it headers, which may have its key.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        !self.env_http_headers.is_empty() || !self.http_headers.0.is_empty()
    }

    /// Whether it is OpenAI itself, which knows words that others refuse.
    #[must_use]
    pub fn is_openai(&self) -> bool {
        let url = reqwest::Url::parse(&self.base_url);
        url.is_ok_and(|url| url.host_str() == Some("api.openai.com"))
    }
}
