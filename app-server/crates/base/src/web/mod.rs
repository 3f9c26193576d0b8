//! HTTP as the server asks it of others, helpers and models: how a client is made, and what became of a request. What is
//! served over HTTP is `http/`.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, StatusCode, Url};

pub mod events;

/// How a client asks.
#[derive(Debug, Clone, Copy)]
pub struct ClientOptions {
    /// How long a connection, with TLS, may take.
    pub connect: Duration,
    /// Redirects that are followed for one request; only on the same server.
    pub redirects: usize,
}

/// A client for `url`, and for no other server: a redirect to another one is not followed, so that no header goes there.
/// Proxies are those of the environment, but none for this machine.
///
/// # Errors
/// What is wrong with the address, for the user, without its secrets.
pub fn client(url: &str, manner: ClientOptions) -> Result<Client, String> {
    // The second time it is there already, and the same.
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
        // Without the certificates of the machine, which are not needed, and may not be there.
        builder = builder.tls_certs_only([]);
    }
    builder
}

/// Whether it is this machine, which no proxy is to be asked about.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Followed only on the same server and with the same request, a few times.
fn redirect(attempt: reqwest::redirect::Attempt<'_>, most: usize) -> reqwest::redirect::Action {
    let stays = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    let whole = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    match stays && whole && attempt.previous().len() <= most {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}

/// What caused it all. The addresses of requests, whose queries may be secret, are in the errors above it.
#[must_use]
pub fn root(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// What TLS said, where it was TLS.
#[must_use]
pub fn tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(said) = error.downcast_ref() {
            return Some(said);
        }
        // An error of I/O names as its source not what it is made of, but the source of that.
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inside.map(|inside| inside as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// Whether another try would hear the same: it is about who they are, or they speak no TLS.
#[must_use]
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
