//! What is read of a certificate (X.509, RFC 5280): whom it names, and when it ends.
//!
//! Whether it can be trusted is for rustls to say, before anything here is asked.

use x509_cert::Certificate;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};
use x509_cert::time::Time;

/// Bytes that a name may have, as in a users file.
const LONGEST_NAME: usize = 255;

/// Which name in a client's certificate is the user's.
///
/// ```
/// use std::path::PathBuf;
/// use babelmq::{ClientAuth, TlsFiles, UserFrom};
///
/// // Each client has a certificate, and is the user whose name is its common name.
/// let files = TlsFiles::new("broker.crt", "broker.key")
///     .client_ca(PathBuf::from("clients.crt"))
///     .client_auth(ClientAuth::Required)
///     .user_from(UserFrom::CommonName);
/// assert_eq!(files.user_from, UserFrom::CommonName);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserFrom {
    /// None of them: a certificate lets a client in, and does not say which user it is.
    #[default]
    None,
    /// The common name of its subject, if it has exactly one.
    CommonName,
    /// The first DNS name among its subject's alternative names.
    Dns,
    /// The first URI among them, as `spiffe://example.org/sensor`.
    Uri,
}

/// The end of a certificate's validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Seconds since 1970.
    pub(super) at: u64,
    /// The same for people.
    pub(super) text: String,
}

impl End {
    fn new(time: Time) -> End {
        End { at: time.to_unix_duration().as_secs(), text: time.to_string() }
    }
}

/// When a certificate in DER ends, if it can be read.
pub(super) fn end_of(certificate: &[u8]) -> Option<End> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Some(End::new(certificate.tbs_certificate().validity().not_after))
}

/// When there is to be another list of revoked certificates, if this one in DER says so.
pub(super) fn end_of_list(list: &[u8]) -> Option<End> {
    CertificateList::<Rfc5280>::from_der(list).ok()?.tbs_cert_list.next_update.map(End::new)
}

/// The user's name in a certificate in DER. There is none where it has none of that kind, or one
/// that no user can have.
pub(super) fn name_of(certificate: &[u8], from: UserFrom) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let body = certificate.tbs_certificate();
    let name = match from {
        UserFrom::None => None,
        UserFrom::CommonName => {
            let mut all = body.subject().iter().filter(|part| part.oid == COMMON_NAME);
            // Of several, programs do not agree which is meant.
            let (Some(only), None) = (all.next(), all.next()) else { return None };
            Some(DirectoryString::try_from(&only.value).ok()?.value().into_owned())
        }
        UserFrom::Dns | UserFrom::Uri => {
            let (_, SubjectAltName(names)) = body.get_extension().ok()??;
            names.iter().find_map(|name| match (from, name) {
                (UserFrom::Dns, GeneralName::DnsName(name))
                | (UserFrom::Uri, GeneralName::UniformResourceIdentifier(name)) => {
                    Some(name.to_string())
                }
                _ => None,
            })
        }
    };
    name.filter(|name| (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control))
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = Default::default();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn named(kind: DnType, name: &str) -> Vec<u8> {
        made(|params| params.distinguished_name.push(kind, name))
    }

    #[test]
    fn a_name_is_taken_from_where_it_is_wanted() {
        let certificate = made(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "us");
            params.distinguished_name.push(DnType::CommonName, "ada");
            params.subject_alt_names = vec![
                SanType::URI("spiffe://a/b".try_into().unwrap()),
                SanType::DnsName("first.example".try_into().unwrap()),
                SanType::DnsName("second.example".try_into().unwrap()),
                SanType::URI("spiffe://c".try_into().unwrap()),
            ];
        });
        let name = |from| name_of(&certificate, from);
        assert_eq!(name(UserFrom::None), None);
        assert_eq!(name(UserFrom::CommonName).as_deref(), Some("ada"));
        assert_eq!(name(UserFrom::Dns).as_deref(), Some("first.example"));
        assert_eq!(name(UserFrom::Uri).as_deref(), Some("spiffe://a/b"));
    }

    #[test]
    fn what_no_user_can_be_called_is_no_name() {
        let longest = "x".repeat(LONGEST_NAME);
        let certificate = named(DnType::CommonName, &longest);
        assert_eq!(name_of(&certificate, UserFrom::CommonName), Some(longest));
        for bad in ["", "a\nb", "a\0", "a\u{85}", &"x".repeat(LONGEST_NAME + 1)] {
            let certificate = named(DnType::CommonName, bad);
            assert_eq!(name_of(&certificate, UserFrom::CommonName), None, "{bad:?}");
        }
        let certificate = named(DnType::OrganizationName, "us");
        for from in [UserFrom::CommonName, UserFrom::Dns, UserFrom::Uri] {
            assert_eq!(name_of(&certificate, from), None, "{from:?}");
        }
        // A second common name, under the same identifier.
        let twice = made(|params| {
            params.distinguished_name.push(DnType::CommonName, "ada");
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "root");
        });
        assert_eq!(name_of(&twice, UserFrom::CommonName), None);
    }

    #[test]
    fn no_byte_that_is_changed_makes_it_panic() {
        let certificate = made(|params| {
            params.distinguished_name.push(DnType::CommonName, "ada");
            params.subject_alt_names = vec![SanType::URI("spiffe://a".try_into().unwrap())];
        });
        for at in 0..certificate.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = certificate.clone();
                changed[at] = value;
                let _ = end_of(&changed);
                for from in [UserFrom::CommonName, UserFrom::Dns, UserFrom::Uri] {
                    let _ = name_of(&changed, from);
                }
            }
            assert_eq!(end_of(&certificate[..at]), None);
        }
    }

    #[test]
    fn the_end_is_in_seconds_and_in_words() {
        let certificate = made(|params| params.not_after = rcgen::date_time_ymd(2030, 1, 2));
        let end = end_of(&certificate).unwrap();
        assert_eq!((end.at, end.text.as_str()), (1_893_542_400, "2030-01-02T00:00:00Z"));
    }
}
