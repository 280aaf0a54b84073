//! The certificate of the broker and its key, and what those of clients are held to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::expiry::Expiry;
use super::x509::{UserFrom, end_of, end_of_list};

/// Where the certificate of a broker lies, for its `tls://` listeners, and what it asks of those of
/// its clients. Each field but the first two has a method of its name that sets it.
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
    /// The authorities that sign clients' certificates, in PEM. Default: none.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates. Default [`ClientAuth::Off`].
    pub client_auth: ClientAuth,
    /// Lists of revoked certificates in PEM: one of each authority on the way to a client's
    /// certificate, but for none at all. Default: none.
    pub crls: Vec<PathBuf>,
    /// Which name in a client's certificate is the user's. Default [`UserFrom::None`].
    pub user_from: UserFrom,
}

/// Whether clients show certificates in their handshakes.
///
/// ```
/// use babelmq::{Broker, ClientAuth, Config, TlsFiles};
///
/// let files = TlsFiles::new("b.crt", "b.key").client_auth(ClientAuth::Required);
/// let error = Broker::start(Config::default().tls(files)).unwrap_err();
/// assert!(error.to_string().contains("--tls-client-ca"), "nobody is trusted");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked, and let in without one; one that is not trusted is refused.
    Optional,
    /// Without one there is no connection.
    Required,
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
        /// A certificate, a private key, or a list of revoked certificates.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
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
    /// A certificate cannot be one of an authority.
    #[non_exhaustive]
    #[error("a certificate of {} cannot be used as an authority's: {source}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// A list of revoked certificates cannot be used.
    #[non_exhaustive]
    #[error(
        "the list of revoked certificates of {} cannot be used: {source} (it must be of version \
         2, and not indirect or for some reasons only)",
        path.display()
    )]
    Revoked {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: VerifierBuilderError,
    },
    /// A listener speaks TLS, and there is no certificate.
    #[error("a tls:// listener needs a certificate: add --tls-cert and --tls-key")]
    Missing,
    /// A setting means nothing without another.
    #[non_exhaustive]
    #[error("{given} means nothing by itself: add {missing}")]
    Incomplete {
        /// The setting.
        given: &'static str,
        /// The other.
        missing: &'static str,
    },
}

/// What the files hold.
#[derive(Debug)]
pub(super) struct Certificates {
    /// What connections are sealed with.
    pub(super) server: Arc<ServerConfig>,
    pub(super) user_from: UserFrom,
    /// When the broker's certificate ends, where that can be read.
    pub(super) expiry: Option<Expiry>,
}

impl TlsFiles {
    /// A certificate and its private key.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> TlsFiles {
        TlsFiles {
            cert: cert.into(),
            key: key.into(),
            client_ca: None,
            client_auth: ClientAuth::Off,
            crls: Vec::new(),
            user_from: UserFrom::None,
        }
    }

    /// Trusts certificates of clients that these authorities have signed.
    #[must_use]
    pub fn client_ca(self, file: impl Into<Option<PathBuf>>) -> TlsFiles {
        TlsFiles { client_ca: file.into(), ..self }
    }

    /// Says whether clients show certificates.
    #[must_use]
    pub fn client_auth(self, client_auth: ClientAuth) -> TlsFiles {
        TlsFiles { client_auth, ..self }
    }

    /// Refuses the certificates that are on these lists.
    #[must_use]
    pub fn crls(self, files: impl IntoIterator<Item = impl Into<PathBuf>>) -> TlsFiles {
        TlsFiles { crls: files.into_iter().map(Into::into).collect(), ..self }
    }

    /// Says which name in a client's certificate is the user's.
    #[must_use]
    pub fn user_from(self, user_from: UserFrom) -> TlsFiles {
        TlsFiles { user_from, ..self }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn load(&self) -> Result<Arc<Certificates>, TlsError> {
        self.check()?;
        let chain = all_of::<CertificateDer<'_>>("a certificate", &self.cert)?;
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(failed("a private key", &self.key))?;
        let end = chain.first().and_then(|certificate| end_of(certificate));
        let verifier = self.client_ca.as_deref().map(|file| self.verifier(file)).transpose()?;
        let server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                match verifier {
                    Some(verifier) => builder.with_client_cert_verifier(verifier),
                    None => builder.with_no_client_auth(),
                }
                .with_single_cert(chain, key)
            })
            .map(|config| Arc::new(without_sessions(config)))
            .map_err(|source| {
                let (cert, key) = (self.cert.clone(), self.key.clone());
                TlsError::Pair { cert, key, source }
            })?;
        let expiry = end.map(|end| Expiry { file: self.cert.clone(), end });
        Ok(Arc::new(Certificates { server, user_from: self.user_from, expiry }))
    }

    /// Looks whether all is there that what is there needs.
    fn check(&self) -> Result<(), TlsError> {
        const AUTH: &str = "--tls-client-auth optional, or required";
        let is_off = self.client_auth == ClientAuth::Off;
        for (is_given, given, is_missing, missing) in [
            (!is_off, "--tls-client-auth", self.client_ca.is_none(), "--tls-client-ca"),
            (self.client_ca.is_some(), "--tls-client-ca", is_off, AUTH),
            (!self.crls.is_empty(), "--tls-crl", is_off, AUTH),
            (self.user_from != UserFrom::None, "--tls-user-from", is_off, AUTH),
        ] {
            if is_given && is_missing {
                return Err(TlsError::Incomplete { given, missing });
            }
        }
        Ok(())
    }

    /// What clients' certificates are held to.
    fn verifier(&self, authorities: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in all_of::<CertificateDer<'_>>("a certificate", authorities)? {
            roots
                .add(certificate)
                .map_err(|source| TlsError::Authority { path: authorities.to_owned(), source })?;
        }
        let roots = Arc::new(roots);
        let builder = || WebPkiClientVerifier::builder_with_provider(roots.clone(), provider());
        let mut crls = Vec::new();
        for file in &self.crls {
            let read =
                all_of::<CertificateRevocationListDer<'_>>("a list of revoked certificates", file)?;
            // By themselves, so that the error names the file.
            builder()
                .with_crls(read.clone())
                .build()
                .map_err(|source| TlsError::Revoked { path: file.clone(), source })?;
            read.iter().for_each(|list| warn_of_old(file, list));
            crls.extend(read);
        }
        let builder = match self.client_auth {
            ClientAuth::Required => builder(),
            ClientAuth::Off | ClientAuth::Optional => builder().allow_unauthenticated(),
        };
        builder
            .with_crls(crls)
            .build()
            .map_err(|source| TlsError::Revoked { path: authorities.to_owned(), source })
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> TlsError {
    let path = path.to_owned();
    move |source| TlsError::File { what, path, source }
}

/// All that a file has of a kind, at least one.
fn all_of<T: PemObject>(what: &'static str, file: &Path) -> Result<Vec<T>, TlsError> {
    let all = T::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(failed(what, file))?;
    if all.is_empty() { Err(failed(what, file)(pem::Error::NoItemsFound)) } else { Ok(all) }
}

/// A list that is older than it should be is better than none.
fn warn_of_old(file: &Path, list: &[u8]) {
    let Some(end) = end_of_list(list) else { return };
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    if end.at < now {
        tracing::warn!(
            file = %file.display(), end = end.text, "there should be a newer list of revoked \
            certificates; going on with this one"
        );
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
