//! The headers of requests to a helper over HTTP, the secrets in them, and advice for refused credentials.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::spec::HttpSpec;

/// Headers that are the protocol's own.
const OURS: [&str; 8] = [
    "accept",
    "content-type",
    "content-length",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "transfer-encoding",
];

/// The headers of every request.
///
/// # Errors
/// The mistake in the settings, for the user.
pub(crate) fn headers(spec: &HttpSpec) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &spec.http_headers.0 {
        put(&mut headers, name, value, "http_headers")?;
    }
    for (name, variable) in &spec.env_http_headers {
        if let Ok(value) = std::env::var(variable) {
            put(&mut headers, name, &value, "env_http_headers")?;
        }
    }
    let token = spec.bearer_token_env_var.as_ref().and_then(|name| std::env::var(name).ok());
    if let Some(token) = token.filter(|token| !token.trim().is_empty()) {
        put(
            &mut headers,
            AUTHORIZATION.as_str(),
            &format!("Bearer {}", token.trim()),
            "bearer_token_env_var",
        )?;
    }
    Ok(headers)
}

fn put(headers: &mut HeaderMap, name: &str, value: &str, key: &str) -> Result<(), String> {
    let known = HeaderName::try_from(name).map_err(|_| format!("{name:?} of {key} cannot be a header"))?;
    if OURS.contains(&known.as_str()) {
        return Err(format!("{name} of {key} is a header of the protocol's own; leave it out"));
    }
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| format!("the value of {name} of {key} cannot be a header's"))?;
    value.set_sensitive(true);
    headers.insert(known, value);
    Ok(())
}

/// Secrets that must not be shown if a server repeats them: values of headers, also without their scheme, and user, password and query
/// values of the address, also in their encoded form.
pub(crate) fn secrets(spec: &HttpSpec, headers: &HeaderMap) -> Vec<String> {
    let values = headers.iter().filter_map(|(_, value)| value.to_str().ok());
    let mut secrets: Vec<String> =
        values.flat_map(|value| [value, value.rsplit(' ').next().unwrap_or(value)]).map(Into::into).collect();
    if let Ok(url) = reqwest::Url::parse(&spec.url) {
        let written = url.query().unwrap_or_default().split('&');
        secrets.extend(written.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        secrets.extend([url.password().unwrap_or_default(), url.username()].map(ToOwned::to_owned));
    }
    secrets
}

/// Advice for refused credentials.
pub(crate) fn credentials(spec: &HttpSpec) -> String {
    let missing = |name: &str, key: &str| match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => {
            Some(format!("{name} ({key}) is empty in the server's environment"))
        }
        Ok(_) => None,
        Err(_) => Some(format!("{name} ({key}) is not set in the server's environment")),
    };
    if let Some(path) = &spec.bearer_token_file {
        return format!("it does not take the token in {} (bearer_token_file)", path.display());
    }
    let token = spec.bearer_token_env_var.as_deref();
    let named = token.and_then(|name| missing(name, "bearer_token_env_var"));
    let named = named.or_else(|| {
        spec.env_http_headers.values().find_map(|variable| missing(variable, "env_http_headers"))
    });
    named.unwrap_or_else(|| match token {
        Some(name) => format!("it does not take the token in {name} (bearer_token_env_var)"),
        None if spec.http_headers.0.is_empty() && spec.env_http_headers.is_empty() => {
            "it wants a token; name the variable of the server's environment that has it by bearer_token_env_var, or a file by bearer_token_file".to_owned()
        }
        None => "it does not take what http_headers and env_http_headers say".to_owned(),
    })
}
