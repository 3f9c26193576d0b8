//! The key of a server among the others of its cluster, and TLS 1.3 (RFC 8446) with it.
//!
//! Each start makes a key, and a certificate that nobody signs. Its SHA-256 stands in the server's row of the database. A server
//! trusts the keys of rows that live and no others, so the right to write to the database is the right to be one of them.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use skein_postgres::node::KeyHash;

/// The name in each certificate. Nobody looks at it.
const NAME: &str = "skein";

/// Why a server has no key.
#[derive(Debug, thiserror::Error)]
pub enum LinkKeyError {
    /// No certificate can be made.
    #[error("no certificate for the links between servers can be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS cannot use it.
    #[error("the certificate for the links between servers cannot be used: {0}")]
    Tls(#[from] Error),
}

/// The key of one start of a server, and those of the others.
pub(crate) struct LinkKey {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    hash: KeyHash,
    trusted: Arc<TrustedKeys>,
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkKey").finish_non_exhaustive()
    }
}

impl LinkKey {
    /// Makes a key.
    ///
    /// # Errors
    /// The libraries refuse: a bug.
    pub(crate) fn make() -> Result<Self, LinkKeyError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
        let der = certificate.der().clone();
        let hash = hash(&der);
        let provider = Arc::new(ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let certified = Arc::new(CertifiedKey::from_der(vec![der], key, &provider)?);
        let trusted =
            Arc::new(TrustedKeys { signatures: Signatures(Arc::clone(&provider)), keys: RwLock::default() });
        Ok(Self { provider, certified, hash, trusted })
    }

    /// The SHA-256 of its certificate.
    pub(crate) fn hash(&self) -> KeyHash {
        self.hash
    }

    /// Trusts these keys and no others. Open links stay.
    pub(crate) fn trust(&self, keys: impl IntoIterator<Item = KeyHash>) {
        *self.trusted.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into_iter().collect();
    }

    /// The settings of a port that takes links.
    ///
    /// # Errors
    /// The library has no TLS 1.3: a bug.
    pub(crate) fn accepting(&self) -> Result<Arc<ServerConfig>, Error> {
        let settings = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?;
        let trusted: Arc<dyn ClientCertVerifier> = Arc::clone(&self.trusted) as _;
        let own = Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)));
        let mut settings = settings.with_client_cert_verifier(trusted).with_cert_resolver(own);
        // A session that is resumed has no certificate to look at, and its server may be dead.
        settings.session_storage = Arc::new(NoServerSessionStorage {});
        settings.send_tls13_tickets = 0;
        Ok(Arc::new(settings))
    }

    /// The settings of a link to the server with this key.
    ///
    /// # Errors
    /// The library has no TLS 1.3: a bug.
    pub(super) fn dialing(&self, to: KeyHash) -> Result<Arc<ClientConfig>, Error> {
        let settings = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?;
        let pinned = Arc::new(PinnedKey { signatures: Signatures(Arc::clone(&self.provider)), key: to });
        let own = Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)));
        let settings = settings.dangerous().with_custom_certificate_verifier(pinned);
        let mut settings = settings.with_client_cert_resolver(own);
        settings.resumption = Resumption::disabled();
        Ok(Arc::new(settings))
    }
}

fn hash(certificate: &CertificateDer<'_>) -> KeyHash {
    Sha256::digest(certificate).into()
}

fn refused() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

/// The signatures of handshakes, which are those of TLS 1.3 alone.
#[derive(Debug)]
struct Signatures(Arc<CryptoProvider>);

/// The keys of the other servers, which may dial.
#[derive(Debug)]
struct TrustedKeys {
    signatures: Signatures,
    keys: RwLock<HashSet<KeyHash>>,
}

/// The key of the one server that is dialed.
#[derive(Debug)]
struct PinnedKey {
    signatures: Signatures,
    key: KeyHash,
}

/// The result of a look at a signature.
type SignatureVerdict = Result<HandshakeSignatureValid, Error>;

impl Signatures {
    fn verify(
        &self,
        message: &[u8],
        by: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> SignatureVerdict {
        verify_tls13_signature(message, by, signature, &self.0.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for TrustedKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.contains(&hash(certificate)) { Ok(ClientCertVerified::assertion()) } else { Err(refused()) }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> SignatureVerdict {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        by: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> SignatureVerdict {
        self.signatures.verify(message, by, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if hash(certificate) == self.key { Ok(ServerCertVerified::assertion()) } else { Err(refused()) }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> SignatureVerdict {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        by: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> SignatureVerdict {
        self.signatures.verify(message, by, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// Whether a server takes a link, and whether the other one takes the server for the one that it dials.
    async fn shakes_hands(server: &LinkKey, dialer: &LinkKey, dialed: KeyHash) -> bool {
        let (near, far) = tokio::io::duplex(1 << 16);
        let acceptor = TlsAcceptor::from(server.accepting().unwrap());
        let connector = TlsConnector::from(dialer.dialing(dialed).unwrap());
        let name = ServerName::try_from(NAME).unwrap();
        let accepts = async {
            let Ok(mut stream) = acceptor.accept(far).await else { return false };
            stream.write_all(b"x").await.is_ok() && stream.flush().await.is_ok()
        };
        let dials = async {
            let Ok(mut stream) = connector.connect(name, near).await else { return false };
            // In TLS 1.3 the one that dials learns of a refusal from its first read.
            stream.read_u8().await.is_ok()
        };
        let (accepted, dialed) = tokio::join!(accepts, dials);
        accepted && dialed
    }

    #[tokio::test]
    async fn two_servers_are_linked_if_each_has_the_key_that_the_other_expects() {
        let (one, two, stranger) =
            (LinkKey::make().unwrap(), LinkKey::make().unwrap(), LinkKey::make().unwrap());
        assert!(!shakes_hands(&one, &two, one.hash()).await, "nobody is trusted yet");
        one.trust([two.hash()]);
        assert!(shakes_hands(&one, &two, one.hash()).await);
        assert!(!shakes_hands(&one, &stranger, one.hash()).await, "a stranger dials");
        assert!(!shakes_hands(&one, &two, stranger.hash()).await, "another server than expected answers");
        one.trust([]);
        assert!(!shakes_hands(&one, &two, one.hash()).await, "its row is dead");
    }
}
