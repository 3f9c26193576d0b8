//! The connection settings of one provider: client, address, headers, and the secrets among them.

use std::ffi::OsString;
use std::fmt;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::{Client, RequestBuilder, Url};
use skein_base::masks::{Hidden, MASK, shown_url};
use skein_base::web::{self, ClientOptions, Reserved};
use skein_protocol::turn::CodexErrorInfo;

use super::form::WireForm;
use crate::spec::ProviderSpec;
use crate::{ProviderError, policy};

const RESERVED: Reserved = Reserved {
    names: &["accept", "content-type", "content-length", "host", "transfer-encoding"],
    owner: "the transport",
};
/// A key that a provider quotes with stars in the middle is recognised by this many first characters.
const BEGINNING: usize = 6;

/// Reads a variable of the environment.
pub(crate) type ReadVariable = fn(&str) -> Option<OsString>;

pub(crate) struct Endpoint {
    client: Client,
    base: Url,
    headers: HeaderMap,
    hidden: Hidden,
    beginnings: Vec<String>,
}

impl fmt::Debug for Endpoint {
    /// Omits possible secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("base", &shown_url(self.base.as_str())).finish_non_exhaustive()
    }
}

impl Endpoint {
    ///
    /// # Errors
    /// The settings are wrong, or a variable is missing; the text is for the user.
    pub(crate) fn new(
        spec: &ProviderSpec,
        form: &dyn WireForm,
        variable: ReadVariable,
    ) -> Result<Self, ProviderError> {
        let wrong = |what: String| {
            let message = format!("model provider {} cannot be used: {what}", spec.id);
            ProviderError { info: Some(CodexErrorInfo::BadRequest), ..ProviderError::new(message) }
        };
        let key = key(spec, variable)?;
        let headers = headers(spec, form, key.as_deref(), variable).map_err(wrong)?;
        let manner = ClientOptions { connect: policy::MODEL_CONNECT, redirects: policy::MODEL_REDIRECTS };
        let client = web::client(&spec.base_url, manner).map_err(wrong)?;
        let mut base = Url::parse(&spec.base_url)
            .map_err(|error| wrong(format!("its base_url cannot be read: {error}")))?;
        if !spec.query_params.0.is_empty() {
            base.query_pairs_mut().extend_pairs(&spec.query_params.0);
        }
        let secrets = secrets(spec, &base, &headers);
        let beginnings = secrets.iter().filter(|secret| secret.len() >= 3 * BEGINNING);
        let beginnings =
            beginnings.filter_map(|secret| secret.get(..BEGINNING)).map(ToOwned::to_owned).collect();
        Ok(Self { client, base, headers, hidden: Hidden::new(secrets), beginnings })
    }

    pub(crate) fn post(&self, path: &str, body: Bytes) -> RequestBuilder {
        let request = self.client.post(self.url(path)).headers(self.headers.clone()).body(body);
        request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "text/event-stream, application/json")
    }

    /// A request without a body, with one query pair.
    pub(crate) fn get(&self, path: &str, pair: (&str, &str)) -> RequestBuilder {
        let mut url = self.url(path);
        url.query_pairs_mut().append_pair(pair.0, pair.1);
        self.client.get(url).headers(self.headers.clone()).header(ACCEPT, "application/json")
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// A provider's text without secrets, cut to a readable length.
    pub(crate) fn shown(&self, text: &str) -> String {
        let line = text.split_whitespace().map(|word| self.masked(word)).collect::<Vec<_>>().join(" ");
        let line = self.hidden.text(&line);
        line.chars().take(policy::MODEL_ERROR_SHOWN).collect()
    }

    /// Masks a rejected key that the provider quotes with stars in the middle.
    fn masked<'a>(&self, word: &'a str) -> &'a str {
        let shows = |beginning: &String| word.contains(beginning.as_str()) && word.contains("**");
        if self.beginnings.iter().any(shows) { MASK } else { word }
    }
}

fn key(spec: &ProviderSpec, variable: ReadVariable) -> Result<Option<String>, ProviderError> {
    let Some(name) = &spec.env_key else { return Ok(None) };
    let key = variable(name).map(|key| key.to_string_lossy().trim().to_owned()).filter(|key| !key.is_empty());
    if key.is_some() {
        return Ok(key);
    }
    let how = spec.env_key_instructions.as_deref().map(|how| format!(" ({how})")).unwrap_or_default();
    let message = format!(
        "model provider {} needs a key: {name} is not set in the server's environment; set it{how} and start the server again",
        spec.id
    );
    Err(ProviderError { info: Some(CodexErrorInfo::Unauthorized), ..ProviderError::new(message) })
}

/// The settings' headers win over the form's own.
fn headers(
    spec: &ProviderSpec,
    form: &dyn WireForm,
    key: Option<&str>,
    variable: ReadVariable,
) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in form.own_headers() {
        RESERVED.put(&mut headers, name, value, "wire_api")?;
    }
    if let Some(key) = key {
        let (name, value) = form.key_header(key);
        RESERVED.put(&mut headers, name, &value, "env_key")?;
    }
    for (name, value) in &spec.http_headers.0 {
        RESERVED.put(&mut headers, name, value, "http_headers")?;
    }
    for (name, from) in &spec.env_http_headers {
        if let Some(value) = variable(from).filter(|value| !value.is_empty()) {
            RESERVED.put(&mut headers, name, &value.to_string_lossy(), "env_http_headers")?;
        }
    }
    Ok(headers)
}

/// Values that must not be shown when a provider quotes them: header values without their scheme, query values, user
/// and password.
fn secrets(spec: &ProviderSpec, base: &Url, headers: &HeaderMap) -> Vec<String> {
    let own = |name: &HeaderName| name.as_str() == "anthropic-version";
    let values = headers.iter().filter(|(name, _)| !own(name)).map(|(_, value)| value);
    let mut secrets = web::secrets(Some(base), values);
    secrets.extend(spec.query_params.0.values().cloned());
    secrets
}
