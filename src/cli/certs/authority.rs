//! The authority: a certificate that is its own issuer, and the key that signs others.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, Error, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::name::Host;
use super::pair::{Found, Pair};
use super::subject::{Subject, distinguished_name};
use super::time::{DAY, day, now};
use crate::cli::failure::Failure;

/// How long an authority is valid.
const TEN_YEARS: Duration = Duration::from_secs(3_652 * 86_400);
/// How much earlier than now validity begins: clocks differ.
const SKEW: Duration = Duration::from_secs(3_600);

/// Who signs.
pub(super) struct Authority {
    cert: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
    /// Its certificates that clients do not have: none where it is a root.
    chain: String,
    not_before: Duration,
    not_after: Duration,
}

/// A certificate with those behind it that lead to the authority, and its key, in PEM.
pub(super) struct Issued {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) until: Duration,
}

impl Authority {
    /// A new one.
    pub(super) fn generate() -> Result<Authority, Failure> {
        let key = KeyPair::generate().map_err(failed)?;
        let (not_before, not_after) = (now().saturating_sub(SKEW), now() + TEN_YEARS);
        let mut params = CertificateParams::default();
        // Two authorities that are called the same are one to some clients.
        let number: String =
            params.key_identifier(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name = distinguished_name(&format!("babelmq authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(1970, 1, 1) + not_before;
        params.not_after = date_time_ymd(1970, 1, 1) + not_after;
        let cert = params.self_signed(&key).map_err(failed)?.pem();
        let (text, chain) = (key.serialize_pem(), String::new());
        let issuer = Issuer::new(params, key);
        Ok(Authority { cert, key: text, issuer, chain, not_before, not_after })
    }

    /// The one that lies there, whoever made it.
    pub(super) fn found(pair: &Pair, found: &Found) -> Result<Authority, Failure> {
        let (cert_path, key_path) = (pair.cert.display(), pair.key.display());
        let unusable = |why: &str| Failure::Other(format!("{cert_path} {why}"));
        let key = KeyPair::from_pem(&found.key).map_err(|error| {
            Failure::Other(format!(
                "{key_path} cannot be used: {error}; it is to be a private key in PEM (PKCS #8), \
                 without a password"
            ))
        })?;
        let ders = certificates(&found.cert).ok_or_else(|| unusable("is no certificate in PEM"))?;
        let certs: Option<Vec<_>> = ders.iter().map(|der| read(der)).collect();
        let certs = certs.filter(|certs| !certs.is_empty());
        let certs = certs.ok_or_else(|| unusable("is no certificate in PEM"))?;
        let cert = &certs[0];
        let may_sign = cert
            .key_usage()
            .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
        if !cert.is_ca() || !may_sign {
            return Err(unusable("is not the certificate of an authority"));
        }
        if cert.public_key().raw != key.subject_public_key_info() {
            return Err(unusable(&format!("does not belong to the key in {key_path}")));
        }
        let (not_before, not_after) = validity(cert);
        if not_before > now() || not_after < now() {
            return Err(unusable(&format!(
                "is valid from {} to {} only; remove it and {key_path} to make another one, which \
                 clients then need",
                day(not_before),
                day(not_after)
            )));
        }
        let chain = ders.iter().zip(&certs).filter(|(_, cert)| !is_root(cert));
        let chain = chain.map(|(der, _)| pem(der)).collect();
        let issuer = Issuer::from_ca_cert_der(&ders[0], key)
            .map_err(|error| unusable(&format!("cannot sign: {error}")))?;
        let (cert, key) = (found.cert.clone(), found.key.clone());
        Ok(Authority { cert, key, issuer, chain, not_before, not_after })
    }

    pub(super) fn cert(&self) -> &str {
        &self.cert
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Until when it is valid.
    pub(super) fn until(&self) -> Duration {
        self.not_after
    }

    /// Signs a certificate with a new key, for some days but not for longer than this is valid.
    pub(super) fn issue(&self, subject: &Subject, days: u32) -> Result<Issued, Failure> {
        let key = KeyPair::generate().map_err(failed)?;
        let not_after = self.not_after.min(now() + DAY * days);
        let mut params = subject.params().map_err(failed)?;
        params.not_before =
            date_time_ymd(1970, 1, 1) + self.not_before.max(now().saturating_sub(SKEW));
        params.not_after = date_time_ymd(1970, 1, 1) + not_after;
        let cert = params.signed_by(&key, &self.issuer).map_err(failed)?;
        if !read(cert.der()).is_some_and(|cert| self.has_signed(&cert)) {
            // A name can be written in more than one way, and only one is read back the same.
            return Err(Failure::Other(
                "the name of the authority is written in a way that cannot be repeated; use one \
                 that this command makes"
                    .into(),
            ));
        }
        let cert = cert.pem() + &self.chain;
        Ok(Issued { cert, key: key.serialize_pem(), until: not_after })
    }

    /// Until when a certificate that is there is what would be made, though that may be over; or
    /// why it is not.
    pub(super) fn judge(&self, subject: &Subject, found: &Found) -> Result<Duration, String> {
        let ders = certificates(&found.cert).ok_or("is no certificate in PEM")?;
        let der = ders.first().ok_or("is no certificate in PEM")?;
        let cert = read(der).ok_or("is no certificate in PEM")?;
        let key =
            KeyPair::from_pem(&found.key).map_err(|error| format!("its key is none: {error}"))?;
        if cert.public_key().raw != key.subject_public_key_info() {
            return Err("does not belong to the key beside it".into());
        }
        if !self.has_signed(&cert) {
            return Err("is not of this authority".into());
        }
        let (not_before, not_after) = validity(&cert);
        if not_before > now() {
            return Err(format!("is not valid before {}", day(not_before)));
        }
        let named = named(&cert);
        match subject.hosts().iter().find(|host| !named.contains(host)) {
            Some(host) => Err(format!("is not for {host}")),
            None => Ok(not_after),
        }
    }

    fn has_signed(&self, cert: &X509Certificate<'_>) -> bool {
        let own = certificates(&self.cert).unwrap_or_default();
        own.first().and_then(|der| read(der)).is_some_and(|own| {
            cert.issuer().as_raw() == own.subject().as_raw()
                && cert.verify_signature(Some(own.public_key())).is_ok()
        })
    }
}

/// The certificates of a text in PEM.
fn certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().ok()
}

fn read<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().map(|(_, cert)| cert)
}

fn is_root(cert: &X509Certificate<'_>) -> bool {
    cert.issuer().as_raw() == cert.subject().as_raw()
}

/// The hosts that a certificate is for.
fn named(cert: &X509Certificate<'_>) -> Vec<Host> {
    let names = cert.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let host = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(Host::Name(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| Host::Address(bytes.into()));
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Host::Address(bytes.into())))
                .ok()
        }
        _ => None,
    };
    names.filter_map(host).collect()
}

/// The first and the last time at which it is valid.
fn validity(cert: &X509Certificate<'_>) -> (Duration, Duration) {
    let time = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let validity = cert.validity();
    (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()))
}

fn pem(der: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn failed(error: Error) -> Failure {
    Failure::Other(format!("no certificate was made: {error}"))
}
