//! Whom a certificate is for.

use std::fmt;

use rcgen::{
    CertificateParams, DnType, DnValue, Error, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType,
};

use super::name::{ClientName, Host};

#[derive(Debug)]
pub(super) enum Subject {
    /// A broker that is found at these hosts.
    Broker(Vec<Host>),
    Client(ClientName),
}

impl Subject {
    /// The name of the broker's files.
    pub(super) const BROKER: &str = "server";

    /// The name of its files.
    pub(super) fn file(&self) -> &str {
        match self {
            Subject::Broker(_) => Subject::BROKER,
            Subject::Client(name) => name.as_str(),
        }
    }

    /// What the certificate says that it is for.
    pub(super) fn hosts(&self) -> Vec<Host> {
        match self {
            Subject::Broker(hosts) => hosts.clone(),
            Subject::Client(name) => name.as_host().into_iter().collect(),
        }
    }

    /// The common name: of a broker one that a person recognises, for clients look at its hosts.
    pub(super) fn common_name(&self) -> &str {
        match self {
            Subject::Broker(_) => "babelmq broker",
            Subject::Client(name) => name.as_str(),
        }
    }

    /// All that its certificate says but when it is valid.
    pub(super) fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(self.common_name());
        for host in self.hosts() {
            params.subject_alt_names.push(match host {
                Host::Address(address) => SanType::IpAddress(address),
                Host::Name(name) => SanType::DnsName(name.try_into()?),
            });
        }
        // With it goes the identifier of the key, and with the other that of the authority's, which
        // strict clients look for (RFC 5280 §4.2.1.1).
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match self {
            Subject::Broker(_) => ExtendedKeyUsagePurpose::ServerAuth,
            Subject::Client(_) => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        Ok(params)
    }
}

/// A name that has nothing but a common name.
pub(super) fn distinguished_name(common_name: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, DnValue::Utf8String(common_name.into()));
    name
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Broker(hosts) => {
                let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
                write!(f, "the broker at {}", hosts.join(", "))
            }
            Subject::Client(name) => write!(f, "the client {}", name.as_str()),
        }
    }
}
