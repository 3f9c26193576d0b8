//! The address of a database: a URI of PostgreSQL (libpq). A socket and this machine need no TLS; the way to any other
//! machine has it, and the database has to prove its name.

use std::fmt;
use std::net::IpAddr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::policy;
use crate::tls::{self, DbTlsError, TlsParameters, VERIFY_FULL};

/// The name by which the database shows our connections.
const APPLICATION: &str = "skein";
const DISABLE: &str = "disable";

/// The way to one database.
#[derive(Clone)]
pub struct DbAddress {
    /// Where it is, and who connects.
    pub(crate) config: Config,
    /// The TLS of a connection that has it.
    pub(crate) tls: MakeRustlsConnect,
}

/// Why an address leads to no database.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not one.
    #[error("this is no address of a PostgreSQL database: {0}")]
    Syntax(#[source] tokio_postgres::Error),
    /// A mode that lets others on the way read along or answer.
    #[error(
        "sslmode={0} does not check whether the database is the right one: write sslmode=verify-full, or \
         sslmode=disable for a socket or a port of this machine"
    )]
    Mode(String),
    /// Nothing on the way would encrypt the history.
    #[error("{0} is another machine, and sslmode=disable would send everything in the clear: remove sslmode")]
    Remote(String),
    /// A socket has no TLS.
    #[error("a socket has no TLS: remove sslmode, or write the name of the database's machine")]
    Socket,
    /// The certificate could not be compared with anything.
    #[error(
        "hostaddr={0} has no name that the certificate should show: write the machine's name as host, too"
    )]
    Nameless(IpAddr),
    /// The certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] DbTlsError),
}

impl DbAddress {
    /// The way to the database at `url`, whose password may stand apart. Reads the files of certificates that the address
    /// names: `sslrootcert`, `sslcert` and `sslkey`. Blocks.
    ///
    /// # Errors
    /// [`AddressError`]
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self, AddressError> {
        let (url, parameters) = TlsParameters::split(url);
        let mut config: Config = url.parse().map_err(AddressError::Syntax)?;
        if let Some(password) = password {
            config.password(password);
        }
        config.application_name(APPLICATION);
        config.connect_timeout(policy::CONNECT);
        config.target_session_attrs(TargetSessionAttrs::Any);
        if !has_tls(&config, parameters.mode.as_deref())? {
            return Self::without_tls(config);
        }
        config.ssl_mode(SslMode::Require);
        Ok(Self { config, tls: tls::connector(&parameters)? })
    }

    /// The way to a database on this machine.
    ///
    /// # Errors
    /// [`AddressError::Tls`]
    pub(crate) fn without_tls(mut config: Config) -> Result<Self, AddressError> {
        config.ssl_mode(SslMode::Disable);
        Ok(Self { config, tls: tls::unused()? })
    }
}

/// Without its password.
impl fmt::Debug for DbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbAddress").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Whether connections have TLS.
fn has_tls(config: &Config, mode: Option<&str>) -> Result<bool, AddressError> {
    let remote = remote_of(config);
    match (mode, remote) {
        (Some(DISABLE), Some(host)) => Err(AddressError::Remote(host)),
        (None | Some(DISABLE), None) => Ok(false),
        (None | Some(VERIFY_FULL), _) => {
            if config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_))) {
                return Err(AddressError::Socket);
            }
            match config.get_hostaddrs().first() {
                Some(address) if config.get_hosts().is_empty() => Err(AddressError::Nameless(*address)),
                Some(_) | None => Ok(true),
            }
        }
        (Some(mode), _) => Err(AddressError::Mode(mode.to_owned())),
    }
}

/// The first host on another machine. The address of a host wins over its name.
fn remote_of(config: &Config) -> Option<String> {
    if let Some(away) = config.get_hostaddrs().iter().find(|ip| !ip.to_canonical().is_loopback()) {
        return Some(away.to_string());
    }
    let named = config.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(name) if !is_loopback(name) => Some(name.clone()),
        Host::Tcp(_) | Host::Unix(_) => None,
    });
    named.filter(|_| config.get_hostaddrs().is_empty())
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(url: &str) -> Result<SslMode, AddressError> {
        let (url, parameters) = TlsParameters::split(url);
        let config: Config = url.parse().map_err(AddressError::Syntax)?;
        let has_tls = has_tls(&config, parameters.mode.as_deref())?;
        Ok(if has_tls { SslMode::Require } else { SslMode::Disable })
    }

    #[test]
    fn only_addresses_of_this_machine_need_no_tls() {
        for here in [
            "postgres:///skein?host=/run/postgresql",
            "postgresql://skein@127.0.0.1:5433/skein",
            "postgres://skein@[::1]/skein",
            "postgres://localhost/skein",
            "postgres://db/skein?hostaddr=127.0.0.1",
            "postgres://127.0.0.1/skein?sslmode=disable",
            "postgres://127.0.0.1/skein?sslmode=disable&sslrootcert=/etc/ca.pem",
        ] {
            assert_eq!(mode_of(here).ok(), Some(SslMode::Disable), "{here}");
        }
        for away in [
            "postgres://db.example.org/skein",
            "postgres://10.0.0.1/skein",
            "postgres://127.0.0.1,10.0.0.1/skein",
            "postgres://localhost/skein?hostaddr=10.0.0.1",
            "postgres://db.example.org/skein?sslmode=verify-full&connect_timeout=2",
            "postgres://127.0.0.1/skein?sslmode=verify-full",
            "postgres://127.0.0.1/skein?sslrootcert=/etc/ca.pem",
            "postgres://127.0.0.1/skein?sslrootcert=system",
        ] {
            assert_eq!(mode_of(away).ok(), Some(SslMode::Require), "{away}");
        }
    }

    #[test]
    fn less_than_a_proven_name_is_refused() {
        for mode in ["prefer", "require", "allow", "verify-ca", "", "verify-full%00"] {
            for host in ["db.example.org", "127.0.0.1"] {
                let refused = mode_of(&format!("postgres://{host}/skein?sslmode={mode}"));
                assert!(matches!(refused, Err(AddressError::Mode(_))), "{host} {mode}: {refused:?}");
            }
        }
        let refused = mode_of("postgres://db.example.org/skein?sslmode=disable");
        assert!(matches!(refused, Err(AddressError::Remote(_))), "{refused:?}");
        let refused = mode_of("postgres:///skein?host=/run/postgresql&sslmode=verify-full");
        assert!(matches!(refused, Err(AddressError::Socket)), "{refused:?}");
        let refused = mode_of("postgres:///skein?hostaddr=10.0.0.1");
        assert!(matches!(refused, Err(AddressError::Nameless(_))), "{refused:?}");
        assert!(matches!(mode_of("postgres://h:port/skein"), Err(AddressError::Syntax(_))));
    }

    #[test]
    fn a_password_that_stands_apart_wins() {
        let config = DbAddress::parse("postgres://skein:a%40b@localhost/skein", None).unwrap().config;
        assert_eq!(config.get_password(), Some(&b"a@b"[..]));
        let address = DbAddress::parse("postgres://skein:a@localhost/skein", Some("b c")).unwrap();
        assert_eq!(address.config.get_password(), Some(&b"b c"[..]));
        assert_eq!(address.config.get_application_name(), Some("skein"));
        assert!(!format!("{address:?}").contains("b c"), "it is shown");
    }
}
