//! The settings of one provider over HTTP, and the built-in ones.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skein_base::masks::{Secrets, shown_url};

use crate::policy;

/// A provider of the settings (`[model_providers.NAME]`).
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSpec {
    /// The key in the settings, which `model_provider` takes.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The address before the interface's paths, such as `https://api.example.org/v1`.
    pub base_url: String,
    /// The environment variable that holds the key. `None`: no key.
    pub env_key: Option<String>,
    /// How to get a key.
    pub env_key_instructions: Option<String>,
    /// The wire interface.
    pub wire_api: WireApi,
    /// Query parameters of each request.
    pub query_params: Secrets,
    /// Headers of each request.
    pub http_headers: Secrets,
    /// Headers whose values come from environment variables.
    pub env_http_headers: BTreeMap<String, String>,
    /// How often to retry a request without an answer.
    pub request_max_retries: u32,
    /// How often to retry an answer that broke off.
    pub stream_max_retries: u32,
    /// How long a stream may be silent.
    pub stream_idle_timeout: Duration,
    /// The most tokens of an answer. `None`: the provider's limit.
    pub max_output_tokens: Option<u32>,
    /// The most tools of a request. `None`: the interface's limit.
    pub max_tools: Option<u32>,
    /// Names of its models, for lists.
    pub models: Vec<String>,
    /// Whether the settings mention it. The model lists of the others are not fetched.
    pub named: bool,
}

impl fmt::Debug for ProviderSpec {
    /// Omits possible secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSpec")
            .field("id", &self.id)
            .field("base_url", &shown_url(&self.base_url))
            .finish_non_exhaustive()
    }
}

/// The wire interface of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WireApi {
    /// OpenAI's Responses.
    Responses,
    /// OpenAI's Chat Completions, also spoken by many others.
    Chat,
    /// Anthropic's Messages.
    Anthropic,
}

pub(crate) const OPENAI: &str = "https://api.openai.com/v1";

impl ProviderSpec {
    /// A provider at `base_url`, without a key.
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

    /// The built-in providers, by name.
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

    /// The most tools of a request; `None` is no bound.
    pub fn most_tools(&self) -> Option<u32> {
        self.max_tools.or(match self.wire_api {
            WireApi::Responses | WireApi::Chat => Some(policy::MODEL_TOOLS),
            WireApi::Anthropic => None,
        })
    }

    /// Whether the settings give it headers, which may hold its key.
    pub fn has_headers(&self) -> bool {
        !self.env_http_headers.is_empty() || !self.http_headers.0.is_empty()
    }

    /// Whether it runs on this machine.
    pub fn is_local(&self) -> bool {
        let url = reqwest::Url::parse(&self.base_url).ok();
        let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Whether it is OpenAI itself, which accepts more than compatible servers.
    pub fn is_openai(&self) -> bool {
        let url = reqwest::Url::parse(&self.base_url);
        url.is_ok_and(|url| url.host_str() == Some("api.openai.com"))
    }
}
