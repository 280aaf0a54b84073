//! TLS as a client has it: whom it trusts, who it is, and why a connection did not come about.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

use super::address::Place;
use super::error::{NoTls, QueueError};

/// What connections with TLS need.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    pub(super) config: Arc<ClientConfig>,
    /// Whose certificate it has to be.
    pub(super) name: ServerName<'static>,
}

impl Trust {
    /// Reads the files: the CAs to trust in the place of the system's, and a client certificate
    /// with its key.
    ///
    /// # Errors
    /// [`QueueError::Options`] for files that cannot be used.
    pub(super) fn new(
        host: &str,
        ca: Option<&Path>,
        client: Option<(&Path, &Path)>,
    ) -> Result<Trust, QueueError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            QueueError::Options(format!("{host:?} is not a name that a certificate can have"))
        })?;
        let roots = Arc::new(ca.map_or_else(system, authorities)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| QueueError::Options(error.to_string()))?
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let (chain, private) = identity(cert, key)?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| unusable(cert, key, &error.to_string()))?
            }
        };
        Ok(Trust { config: Arc::new(config), name })
    }
}

/// The CAs that the system trusts, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn system() -> Result<RootCertStore, QueueError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that nobody understands any more is no reason to trust none.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map_or("there are none".to_owned(), ToString::to_string);
    Err(QueueError::Options(format!(
        "the system's CA certificates cannot be used: {why}; name those to trust with ca or \
         BABELMQ_CA"
    )))
}

fn authorities(path: &Path) -> Result<RootCertStore, QueueError> {
    let unusable = |why: String| {
        QueueError::Options(format!(
            "the CA certificates in {path:?} (ca or BABELMQ_CA) cannot be used: {why}; it is a \
             file of certificates in PEM"
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path).map_err(unusable)? {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    Ok(roots)
}

/// The certificates in a file, one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

fn identity(
    cert: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), QueueError> {
    let chain = certificates(cert).map_err(|why| unusable(cert, key, &why))?;
    let text = fs::read(key).map_err(|error| unusable(cert, key, &error.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let is_encrypted = memchr::memmem::find(&text, b"ENCRYPTED").is_some();
        let why = match is_encrypted {
            true => "the key is encrypted, and nobody is asked for its password".to_owned(),
            false => format!("no key: {error}"),
        };
        unusable(cert, key, &why)
    })?;
    Ok((chain, private))
}

fn unusable(cert: &Path, key: &Path, why: &str) -> QueueError {
    QueueError::Options(format!(
        "the client certificate {cert:?} with the key {key:?} (cert and key, or BABELMQ_CERT and \
         BABELMQ_KEY) cannot be used: {why}; both are files in PEM, and the key is the \
         certificate's"
    ))
}

/// Why a connection that somebody has accepted is none with TLS.
pub(super) fn failure(place: &Place, error: io::Error) -> QueueError {
    if let Some(verdict) = certificate(place, &error) {
        return verdict;
    }
    let kind = error.kind();
    let is_refusal = matches!(cause(&error), Some(Error::AlertReceived(_)));
    let advice = if is_refusal {
        "it refuses this client; it may ask for a client certificate, cert and key, or for \
         another version of TLS than 1.2 and 1.3"
            .to_owned()
    } else {
        let plain = place.to_string().replace("babelmqs:", "babelmq:");
        let mut advice =
            format!("does it speak TLS there, 1.2 or 1.3? without TLS the address is {plain}");
        if is_end(kind) {
            advice += "; or it asks for a client certificate, cert and key";
        }
        advice
    };
    let reason =
        if is_end(kind) { "it closed the connection".to_owned() } else { error.to_string() };
    let said = format!("no TLS connection came about ({reason}); {advice}");
    let source = io::Error::new(kind, NoTls(said));
    QueueError::Connect { address: place.to_string(), source }
}

/// Whether it is a certificate that one end does not accept. With TLS 1.3 a broker says that of the
/// client's after the handshake.
pub(super) fn certificate(place: &Place, error: &io::Error) -> Option<QueueError> {
    use AlertDescription as Alert;
    match cause(error)? {
        Error::InvalidCertificate(why) => Some(QueueError::Certificate(format!(
            "the certificate of {place} does not verify: {}",
            of_broker(place, why)
        ))),
        error @ Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => Some(QueueError::Certificate(format!(
            "{place} does not accept this client's certificate, or that it has none ({error}); \
             cert and key, or BABELMQ_CERT and BABELMQ_KEY, name one of a CA that it trusts"
        ))),
        _ => None,
    }
}

/// What is wrong with a broker's certificate, and what to do.
fn of_broker(place: &Place, error: &CertificateError) -> String {
    let host = match place {
        Place::Tcp { host, .. } => host.as_str(),
        Place::Unix(_) => "",
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; it has to be renewed there, unless this machine's clock is wrong"
                .into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "it is not for {host:?}; use an address that the certificate names, or one that \
                 names {host:?}"
            )
        }
        // A CA of the same name as a trusted one signs with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its CA is not trusted; if that is your own, name the CA's certificate with ca or \
             BABELMQ_CA"
                .into()
        }
        other => format!("{other}; it, or its CA's, has to be made anew"),
    }
}

fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the other end has closed the connection.
fn is_end(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}
