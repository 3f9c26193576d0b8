//! Connections over TLS to a real PostgreSQL.

use std::fs;
use std::net::Ipv4Addr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::address::{AddressError, DbAddress};
use crate::connection::Link;
use crate::failure::DbFailure;
use crate::testing::{TestCertificates, TestCluster, TestDatabase};
use crate::{database, schema};

/// The name in the certificate of the database. Nothing resolves it: addresses name the machine beside it.
const NAME: &str = "db.example.org";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of this authority and its key, as PEM.
fn certified(by: &Authority, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    change(&mut params);
    (params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

struct TlsScene {
    cluster: TestCluster,
    at: TestDatabase,
    files: TempDir,
    clients: Authority,
}

impl TlsScene {
    async fn start() -> Self {
        Self::with(|_params| {}).await
    }

    /// A database whose certificate has this difference.
    async fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (roots, clients) = (authority(), authority());
        let (certificate, key) = certified(&roots, change);
        let cluster = TestCluster::with_tls(&TestCertificates { certificate, key, clients: clients.pem() });
        let at = cluster.database().await;
        let role = "create role person login password 'secret'; create role certified login;
          grant select on all tables in schema public to person, certified";
        cluster.run(&at.name, role).await;
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("roots.pem"), roots.pem()).unwrap();
        Self { cluster, at, files, clients }
    }

    fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        let (port, name) = (self.cluster.port(), &self.at.name);
        let roots = self.files.path().join("roots.pem");
        format!(
            "postgres://{user}@{host}:{port}/{name}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}{parameters}",
            roots.display()
        )
    }

    async fn refusal(&self, host: &str) -> String {
        let address = DbAddress::parse(&self.url("person", host, ""), Some("secret")).unwrap();
        match Link::connect(&address).await.map(drop).unwrap_err() {
            DbFailure::Refused { reason, .. } => reason,
            unknown @ DbFailure::Unknown(_) => panic!("{unknown:?}"),
        }
    }
}

#[tokio::test]
async fn a_password_goes_over_tls_and_is_bound_to_it() {
    let scene = TlsScene::start().await;
    let url = scene.url("person", NAME, "&channel_binding=require");
    let address = DbAddress::parse(&url, Some("secret")).unwrap();
    let mut link = Link::connect(&address).await.unwrap();
    let rows = link.read("select version from pg_stat_ssl where pid = pg_backend_pid() and ssl", &[]).await;
    assert_eq!(rows.unwrap()[0].get::<_, String>(0), "TLSv1.3");
    database::Database::open(address.clone()).await.unwrap();
    assert!(matches!(schema::init(&address).await, Ok(schema::InitOutcome::Already(_))));
}

#[tokio::test]
async fn a_database_that_does_not_prove_its_name_is_refused() {
    let scene = TlsScene::start().await;
    let reason = scene.refusal("other.example.org").await;
    assert!(
        reason.contains("does not prove that it is the right one (certificate not valid for name"),
        "{reason}"
    );
    fs::write(scene.files.path().join("roots.pem"), authority().pem()).unwrap();
    let reason = scene.refusal(NAME).await;
    assert!(reason.contains("does not prove that it is the right one"), "{reason}");
    assert!(reason.contains("sslrootcert"), "{reason}");
}

/// The database answers `N` to the request for TLS (PostgreSQL, "SSL Session Encryption").
#[tokio::test]
async fn a_database_without_tls_gets_no_word() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = port.local_addr().unwrap().port();
    let url = format!("postgres://person@{NAME}:{at}/skein?hostaddr=127.0.0.1&sslmode=verify-full");
    let roots = tempfile::NamedTempFile::new().unwrap();
    fs::write(&roots, authority().pem()).unwrap();
    let address = DbAddress::parse(&format!("{url}&sslrootcert={}", roots.path().display()), None).unwrap();
    let refuses = async {
        let (mut socket, _from) = port.accept().await.unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).await.unwrap();
        socket.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let (connected, said) = tokio::join!(Link::connect(&address), refuses);
    assert!(connected.map(drop).unwrap_err().reason().contains("does not support TLS"));
    assert_eq!(said, b"", "the name of the person, or of the database");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let scene = TlsScene::with(|params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let reason = scene.await.refusal(NAME).await;
    assert!(reason.contains("expired") && reason.contains("renew its certificate"), "{reason}");
}

#[tokio::test]
async fn a_database_knows_a_server_by_its_certificate() {
    let scene = TlsScene::start().await;
    let without = DbAddress::parse(&scene.url("certified", NAME, ""), None).unwrap();
    assert!(Link::connect(&without).await.is_err(), "it has no certificate");
    let (certificate, key) = certified(&scene.clients, |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "certified");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let (cert, private) = (scene.files.path().join("cert.pem"), scene.files.path().join("key.pem"));
    fs::write(&cert, certificate).unwrap();
    fs::write(&private, key).unwrap();
    let own = format!("&sslcert={}&sslkey={}", cert.display(), private.display());
    let with = DbAddress::parse(&scene.url("certified", NAME, &own), None).unwrap();
    Link::connect(&with).await.unwrap();
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_parameter() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("empty"), "").unwrap();
    fs::write(path("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let (certificate, key) = certified(&authority(), |_params| {});
    fs::write(path("cert"), certificate).unwrap();
    fs::write(path("key"), &key).unwrap();
    let sealed = key
        .replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE")
        .replace("END PRIVATE", "END ENCRYPTED PRIVATE");
    fs::write(path("sealed"), sealed).unwrap();
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(path("other"), other).unwrap();
    for (parameters, error) in [
        ("sslrootcert=@none", "sslrootcert: @none cannot be read"),
        ("sslrootcert=@.", "sslrootcert: @. cannot be read"),
        ("sslrootcert=@empty", "sslrootcert: @empty has no certificate"),
        ("sslrootcert=@broken", "sslrootcert: @broken has no certificate of an authority"),
        ("sslrootcert=@cert&sslcert=@cert", "belong together"),
        ("sslrootcert=@cert&sslkey=@key", "belong together"),
        ("sslrootcert=@cert&sslcert=@cert&sslkey=@sealed", "sslkey: the private key in @sealed is encrypted"),
        ("sslrootcert=@cert&sslcert=@cert&sslkey=@other", "sslcert and sslkey cannot be used"),
    ] {
        let folder = format!("{}/", dir.path().display());
        let url = format!("postgres://db.example.org/skein?{}", parameters.replace('@', &folder));
        let refused = DbAddress::parse(&url, None).map(drop).unwrap_err();
        assert!(matches!(refused, AddressError::Tls(_)), "{refused:?}");
        assert!(refused.to_string().contains(&error.replace('@', &folder)), "{parameters}: {refused}");
    }
}

#[test]
fn the_parameters_of_tls_leave_an_address() {
    let split = TlsParameters::split;
    let (url, found) =
        split("postgres://h/d?sslmode=verify-full&a=b&sslrootcert=%2Fa%20b&sslkey=/k&sslcert=/c");
    assert_eq!(url, "postgres://h/d?a=b");
    let path = |path: &str| Some(PathBuf::from(path));
    let mode = Some("verify-full".to_owned());
    assert_eq!(found, TlsParameters { mode, roots: path("/a b"), certificate: path("/c"), key: path("/k") });
    let (url, found) = split("postgres://h/d?sslrootcert=system");
    let mode = Some("verify-full".to_owned());
    let machines = TlsParameters { mode, roots: path(SYSTEM), ..TlsParameters::default() };
    assert_eq!((url.as_str(), found), ("postgres://h/d", machines));
    assert_eq!(split("postgres://h/d").0, "postgres://h/d");
}

/// The machine's own certificates, where the address names none.
#[test]
fn without_a_file_the_machines_certificates_are_trusted() {
    match DbAddress::parse("postgres://db.example.org/skein", None) {
        Ok(_) => {}
        Err(error) => {
            assert!(error.to_string().contains("name a file of certificates in sslrootcert"), "{error}")
        }
    }
}
