//! The certificate of the broker, and the keys that go with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

/// Where the certificate of a broker lies, for its `tls://` listeners.
///
/// ```
/// use babelmq::{Broker, Config, TlsFiles};
///
/// let files = TlsFiles::new("no.crt", "no.key");
/// let error = Broker::start(Config::default().tls(files)).unwrap_err();
/// assert!(error.to_string().contains("no.crt"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate in PEM, and behind it those that lead to one that clients know.
    pub cert: PathBuf,
    /// Its private key in PEM (PKCS #8, PKCS #1 or SEC 1), without a password.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
///
/// ```
/// use std::error::Error;
/// use babelmq::{Broker, Config, StartError, TlsFiles};
///
/// let files = TlsFiles::new("no.crt", "no.key");
/// let error = Broker::start(Config::default().tls(files)).unwrap_err();
/// assert!(matches!(error, StartError::Tls(_)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is no PEM of what is looked for.
    #[non_exhaustive]
    #[error("cannot read {what} from {}: {source}", path.display())]
    File {
        /// A certificate, or a private key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The two do not belong together, or cannot be used.
    #[non_exhaustive]
    #[error(
        "the certificate of {} and the private key of {} cannot be used: {source}; do they belong \
         together?",
        cert.display(), key.display()
    )]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// A listener speaks TLS, and there is no certificate.
    #[error("a tls:// listener needs a certificate: add --tls-cert and --tls-key")]
    Missing,
}

impl TlsFiles {
    /// A certificate and its private key.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> TlsFiles {
        TlsFiles { cert: cert.into(), key: key.into() }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::File { what, path, source }
        };
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(failed("a certificate", &self.cert))?;
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(failed("a private key", &self.key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map(|config| Arc::new(without_sessions(config)))
            .map_err(|source| {
                let (cert, key) = (self.cert.clone(), self.key.clone());
                TlsError::Pair { cert, key, source }
            })
    }
}

/// Each connection begins with a whole handshake. A ticket that a client does not read would turn
/// its end into a reset, which destroys what it sent last; and who resumes a session shows no
/// certificate again, though it may be revoked by then.
fn without_sessions(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}
