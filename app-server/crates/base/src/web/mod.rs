//! Outgoing HTTP to helpers and models: builds clients and explains failed requests. `http/` serves HTTP.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, StatusCode, Url};

pub mod events;

/// Options of a client.
#[derive(Debug, Clone, Copy)]
pub struct ClientOptions {
    /// The time limit for a connection, with TLS.
    pub connect: Duration,
    /// The number of redirects that one request follows; only on the same server.
    pub redirects: usize,
}

/// A client for the server of `url`. It follows no redirect to another server, so no header goes there. It uses the
/// environment's proxies, except for this machine.
///
/// # Errors
/// The problem with the address, for the user, without its secrets.
pub fn client(url: &str, manner: ClientOptions) -> Result<Client, String> {
    // A second call finds the same provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Url::parse(url).map_err(|error| format!("its url cannot be read: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("its url begins with {}:, and only http and https can be used", url.scheme()));
    }
    let built = builder(&url, manner).build();
    built.map_err(|error| format!("HTTP cannot be spoken: {}", root(&error)))
}

fn builder(url: &Url, manner: ClientOptions) -> ClientBuilder {
    let mut builder = Client::builder()
        .user_agent(concat!("skein/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(manner.connect)
        .redirect(reqwest::redirect::Policy::custom(move |attempt| redirect(attempt, manner.redirects)));
    if is_here(url) {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // Without the machine's certificates, which are not needed and may be missing.
        builder = builder.tls_certs_only([]);
    }
    builder
}

/// Whether the address is this machine, which needs no proxy.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Follows a redirect only on the same server and with the same request, a few times.
fn redirect(attempt: reqwest::redirect::Attempt<'_>, most: usize) -> reqwest::redirect::Action {
    let stays = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    let whole = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    match stays && whole && attempt.previous().len() <= most {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}

/// Headers that the settings may not name, and their owner in words.
#[derive(Debug, Clone, Copy)]
pub struct Reserved {
    /// The names, in lower case.
    pub names: &'static [&'static str],
    /// The owner.
    pub owner: &'static str,
}

impl Reserved {
    /// Adds a header with a secret value, which the settings have under `key`.
    ///
    /// # Errors
    /// The mistake in the settings, for the user.
    pub fn put(self, headers: &mut HeaderMap, name: &str, value: &str, key: &str) -> Result<(), String> {
        let known =
            HeaderName::try_from(name).map_err(|_| format!("{name:?} of {key} cannot be a header"))?;
        if self.names.contains(&known.as_str()) {
            return Err(format!("{name} of {key} is a header of {}'s own; leave it out", self.owner));
        }
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| format!("the value of {name} of {key} cannot be a header's"))?;
        value.set_sensitive(true);
        headers.insert(known, value);
        Ok(())
    }
}

/// The secrets of a request: values of headers, also without their scheme, and user, password and query values of the
/// address, also in their encoded form.
pub fn secrets<'a>(url: Option<&Url>, headers: impl Iterator<Item = &'a HeaderValue>) -> Vec<String> {
    let values = headers.filter_map(|value| value.to_str().ok());
    let mut secrets: Vec<String> =
        values.flat_map(|value| [value, value.rsplit(' ').next().unwrap_or(value)]).map(Into::into).collect();
    if let Some(url) = url {
        let written = url.query().unwrap_or_default().split('&');
        secrets.extend(written.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        secrets.extend([url.password().unwrap_or_default(), url.username()].map(ToOwned::to_owned));
    }
    secrets
}

/// The innermost cause. Errors above it may have addresses with secret queries.
pub fn root(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// The error of TLS, if the cause is TLS.
pub fn tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(said) = error.downcast_ref() {
            return Some(said);
        }
        // An I/O error names as its source the source of its inner error, and skips that error.
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inside.map(|inside| inside as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// Whether a retry would fail the same way: the error is about their identity, or they speak no TLS.
pub fn is_lasting(said: &rustls::Error) -> bool {
    matches!(
        said,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::InvalidMessage(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType
            | rustls::Error::PeerIncompatible(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_asked_about_at_no_proxy() {
        let here = |url: &str| is_here(&Url::parse(url).expect("an address"));
        assert!(["http://localhost:1/", "http://127.0.0.9/", "https://[::1]:8/"].into_iter().all(here));
        assert!(!["http://10.0.0.1/", "https://localhost.example.org/"].into_iter().any(here));
    }
}
