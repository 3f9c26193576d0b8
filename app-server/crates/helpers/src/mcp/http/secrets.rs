//! The headers of requests to a helper over HTTP, the secrets in them, and advice for refused credentials.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use skein_base::web::{self, Reserved};

use crate::spec::HttpSpec;

const RESERVED: Reserved = Reserved {
    names: &[
        "accept",
        "content-type",
        "content-length",
        "host",
        "last-event-id",
        "mcp-protocol-version",
        "mcp-session-id",
        "transfer-encoding",
    ],
    owner: "the protocol",
};

/// The headers of every request.
///
/// # Errors
/// The mistake in the settings, for the user.
pub(crate) fn headers(spec: &HttpSpec) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &spec.http_headers.0 {
        RESERVED.put(&mut headers, name, value, "http_headers")?;
    }
    for (name, variable) in &spec.env_http_headers {
        if let Ok(value) = std::env::var(variable) {
            RESERVED.put(&mut headers, name, &value, "env_http_headers")?;
        }
    }
    let token = spec.bearer_token_env_var.as_ref().and_then(|name| std::env::var(name).ok());
    if let Some(token) = token.filter(|token| !token.trim().is_empty()) {
        RESERVED.put(
            &mut headers,
            AUTHORIZATION.as_str(),
            &format!("Bearer {}", token.trim()),
            "bearer_token_env_var",
        )?;
    }
    Ok(headers)
}

/// Secrets that must not be shown if a server repeats them.
pub(crate) fn secrets(spec: &HttpSpec, headers: &HeaderMap) -> Vec<String> {
    web::secrets(reqwest::Url::parse(&spec.url).ok().as_ref(), headers.values())
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
