//! The address of a database: a URI of PostgreSQL (libpq). Pure.

use std::net::IpAddr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use crate::policy;

/// The name by which the database shows our connections.
const APPLICATION: &str = "skein";

/// Why an address leads to no database.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not one.
    #[error("this is no address of a PostgreSQL database: {0}")]
    Syntax(#[source] tokio_postgres::Error),
    /// Nothing on the way would encrypt the history.
    #[error(
        "{0} is another machine, and connections to databases have no TLS yet: use a socket, such as \
         postgres:///skein?host=/run/postgresql, or a tunnel that ends at 127.0.0.1"
    )]
    Remote(String),
}

/// The way to the database at `url`, whose password may stand apart.
///
/// # Errors
/// [`AddressError`]
pub fn config_of(url: &str, password: Option<&str>) -> Result<Config, AddressError> {
    let mut config: Config = url.parse().map_err(AddressError::Syntax)?;
    let remote = config.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(name) if !is_loopback(name) => Some(name.clone()),
        Host::Tcp(_) | Host::Unix(_) => None,
    });
    let elsewhere = config.get_hostaddrs().iter().find(|ip| !ip.to_canonical().is_loopback());
    if let Some(host) =
        elsewhere.map(IpAddr::to_string).or(remote.filter(|_| config.get_hostaddrs().is_empty()))
    {
        return Err(AddressError::Remote(host));
    }
    if let Some(password) = password {
        config.password(password);
    }
    config.application_name(APPLICATION);
    config.connect_timeout(policy::CONNECT);
    config.target_session_attrs(TargetSessionAttrs::Any);
    Ok(config)
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_need_no_tls() {
        for good in [
            "postgres:///skein?host=/run/postgresql",
            "postgresql://skein@127.0.0.1:5433/skein",
            "postgres://skein@[::1]/skein",
            "postgres://localhost/skein",
            "postgres://db/skein?hostaddr=127.0.0.1",
        ] {
            assert!(config_of(good, None).is_ok(), "{good}");
        }
        for bad in [
            "postgres://db.example.org/skein",
            "postgres://10.0.0.1/skein",
            "postgres://127.0.0.1,10.0.0.1/skein",
            "postgres://localhost/skein?hostaddr=10.0.0.1",
        ] {
            assert!(matches!(config_of(bad, None), Err(AddressError::Remote(_))), "{bad}");
        }
        assert!(matches!(config_of("postgres://h:port/skein", None), Err(AddressError::Syntax(_))));
    }

    #[test]
    fn a_password_that_stands_apart_wins() {
        let config = config_of("postgres://skein:a%40b@localhost/skein", None).unwrap();
        assert_eq!(config.get_password(), Some(&b"a@b"[..]));
        let config = config_of("postgres://skein:a@localhost/skein", Some("b c")).unwrap();
        assert_eq!(config.get_password(), Some(&b"b c"[..]));
        assert_eq!(config.get_application_name(), Some("skein"));
    }
}
