//! `certs`: what it makes is taken by OpenSSL, Python and rustls, and nothing is lost by it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::{fails, run, scratch};

/// A folder with a directory of certificates in it, which is removed with it.
struct Made {
    folder: PathBuf,
}

impl Made {
    fn new(name: &str) -> Made {
        Made { folder: scratch(&format!("certs-{name}")) }
    }

    fn tls(&self) -> PathBuf {
        self.folder.join("tls")
    }

    fn file(&self, name: &str) -> String {
        self.tls().join(name).to_str().unwrap().to_owned()
    }

    fn arguments<'a>(tls: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["certs", tls], more].concat()
    }

    /// Runs the command; returns what it says.
    fn make(&self, more: &[&str]) -> String {
        let (code, said, error) = run(&Made::arguments(self.tls().to_str().unwrap(), more));
        assert_eq!((code, error.as_str()), (Some(0), ""));
        said
    }

    /// Fails unless the command says these parts and leaves everything as it is.
    #[track_caller]
    fn refuses(&self, more: &[&str], parts: &[&str]) {
        let before = self.all();
        fails(&Made::arguments(self.tls().to_str().unwrap(), more), "", 1, parts);
        assert!(self.all() == before, "something has changed");
    }

    fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let Ok(files) = fs::read_dir(self.tls()) else { return BTreeMap::new() };
        let file = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let paths = files.map(|entry| entry.unwrap().path());
        paths.map(|path| (file(&path), fs::read(path).unwrap())).collect()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[track_caller]
fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (said, error) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {said}{error}");
    said.into_owned()
}

fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments);
    command
}

#[test]
fn openssl_takes_them_for_what_they_are_for() {
    let made = Made::new("openssl");
    made.make(&["--host", "*.example.org", "--client", "ada", "--client", "Ada L"]);
    let ca = made.file("ca.crt");
    let verify = |purpose: &str, more: &[&str], file: &str| {
        openssl(&["verify", "-x509_strict", "-CAfile", &ca, "-purpose", purpose])
            .args(more)
            .arg(made.file(file))
            .output()
            .unwrap()
            .status
            .success()
    };
    for host in ["localhost", "a.example.org"] {
        assert!(verify("sslserver", &["-verify_hostname", host], "server.crt"), "{host}");
    }
    for address in ["127.0.0.1", "::1"] {
        assert!(verify("sslserver", &["-verify_ip", address], "server.crt"), "{address}");
    }
    assert!(!verify("sslserver", &["-verify_hostname", "example.org"], "server.crt"));
    assert!(!verify("sslclient", &[], "server.crt"));
    for client in ["ada.crt", "Ada L.crt"] {
        assert!(verify("sslclient", &[], client) && !verify("sslserver", &[], client), "{client}");
    }
    let (ada, other) = (made.file("ada.crt"), made.file("Ada L.crt"));
    let shown =
        done(&mut openssl(&["x509", "-noout", "-text", "-nameopt", "RFC2253", "-in", &ada]));
    assert!(shown.contains("Subject: CN=ada\n") && shown.contains("DNS:ada\n"), "{shown}");
    let shown =
        done(&mut openssl(&["x509", "-noout", "-text", "-nameopt", "RFC2253", "-in", &other]));
    assert!(shown.contains("Subject: CN=Ada L\n") && !shown.contains("DNS:"), "{shown}");
    // About as long as is said: the last day is not over, and no other one comes.
    for (file, days) in [("server.crt", 397), ("ada.crt", 397), ("ca.crt", 3_652)] {
        let ends_within = |days: u32| {
            let seconds = (days * 86_400).to_string();
            let file = made.file(file);
            !openssl(&["x509", "-noout", "-checkend", &seconds, "-in", &file])
                .output()
                .unwrap()
                .status
                .success()
        };
        assert!(!ends_within(days - 1) && ends_within(days + 1), "{file}");
    }
}

#[test]
fn python_takes_them_where_it_is_strict() {
    let made = Made::new("python");
    made.make(&["--client", "ada"]);
    let program = "
import os, ssl, sys
os.chdir(sys.argv[1])
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain('server.crt', 'server.key')
server.verify_mode = ssl.CERT_REQUIRED
client = ssl.create_default_context(cafile='ca.crt')
client.load_cert_chain('ada.crt', 'ada.key')
server.load_verify_locations('ca.crt')
for context in (server, client):
    context.verify_flags |= ssl.VERIFY_X509_STRICT
for host in ('localhost', '127.0.0.1', '::1'):
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(here, there, server_hostname=host)]
    ends += [server.wrap_bio(there, here, server_side=True)]
    for end in ends * 3:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
    print(ends[1].getpeercert()['subject'], ends[0].version())
";
    let said = done(Command::new("python3").args(["-c", program]).arg(made.tls()));
    assert_eq!(said, "((('commonName', 'ada'),),) TLSv1.3\n".repeat(3));
}

#[test]
fn rustls_takes_them_at_both_ends() {
    let made = Made::new("rustls");
    made.make(&["--client", "ada", "--host", "broker.example.org"]);
    let certs = |name: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(made.file(name)).unwrap().map(Result::unwrap).collect()
    };
    let key = |name: &str| PrivateKeyDer::from_pem_file(made.file(name)).unwrap();
    // PKCS #8 is what every library reads.
    assert!(matches!(key("server.key"), PrivateKeyDer::Pkcs8(_)));
    let mut roots = RootCertStore::empty();
    roots.add(certs("ca.crt").remove(0)).unwrap();
    let roots = Arc::new(roots);
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certs("server.crt"), key("server.key"))
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certs("ada.crt"), key("ada.key"))
        .unwrap();
    let (server, client) = (Arc::new(server), Arc::new(client));
    for host in ["localhost", "127.0.0.1", "::1", "broker.example.org"] {
        let name = ServerName::try_from(host).unwrap();
        let mut client = ClientConnection::new(client.clone(), name).unwrap();
        let mut server = ServerConnection::new(server.clone()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        assert_eq!(server.peer_certificates().unwrap(), certs("ada.crt"), "{host}");
    }
}

#[test]
fn keys_are_their_owners_alone_whatever_the_umask_is() {
    let made = Made::new("modes");
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" certs \"$1\" --client ada"]);
    done(command.arg(env!("CARGO_BIN_EXE_babelmq")).arg(made.tls()));
    let names: Vec<String> = made.all().into_keys().collect();
    let expected = ["ada.crt", "ada.key", "ca.crt", "ca.key", "server.crt", "server.key"];
    assert_eq!(names, expected, "and nothing unfinished");
    for name in names {
        let mode = fs::metadata(made.file(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if name.ends_with(".key") { 0o600 } else { 0o644 }, "{name}");
    }
}

#[test]
fn what_is_there_is_kept_and_only_force_makes_it_anew() {
    let made = Made::new("kept");
    let said = made.make(&["--host", "a.example", "--client", "ada"]);
    assert_eq!(said.matches("made ").count(), 3, "{said}");
    let first = made.all();
    let said = made.make(&["--host", "A.example", "--client", "ada"]);
    assert_eq!((said.matches("kept ").count(), said.matches("made ").count()), (3, 0), "{said}");
    assert!(made.all() == first);

    let said = made.make(&["--client", "bob"]);
    assert_eq!((said.matches("kept ").count(), said.matches("made ").count()), (2, 1), "{said}");
    made.refuses(&["--host", "b.example"], &["server.crt", "not for b.example", "--force"]);
    let before = made.all();
    made.make(&["--host", "b.example", "--force"]);
    for (name, bytes) in made.all() {
        assert_eq!(bytes != before[&name], name.starts_with("server."), "{name}");
    }

    // What is wrong with a later one is found before an earlier one is written.
    fs::copy(made.file("ada.key"), made.file("bob.key")).unwrap();
    fs::remove_file(made.file("server.crt")).unwrap();
    fs::remove_file(made.file("server.key")).unwrap();
    made.refuses(&["--client", "bob"], &["bob.crt", "does not belong to the key"]);
    fs::remove_file(made.file("bob.key")).unwrap();
    made.refuses(&["--client", "bob"], &["bob.crt is there and ", "bob.key is not"]);
    made.make(&[]);
    fs::remove_file(made.file("ca.key")).unwrap();
    made.refuses(&[], &["ca.crt is there and ", "ca.key is not"]);
    fs::remove_file(made.file("ca.crt")).unwrap();
    made.refuses(&[], &["server.crt", "not of this authority", "--force"]);
    fs::write(made.file("ca.crt"), "none").unwrap();
    fs::write(made.file("ca.key"), "none").unwrap();
    made.refuses(&["--force"], &["ca.key cannot be used"]);
}

#[test]
fn what_ends_soon_is_renewed_where_that_is_wanted() {
    let made = Made::new("renew");
    made.make(&["--days", "20", "--client", "ada"]);
    let first = made.all();
    made.make(&["--renew", "19", "--client", "ada"]);
    assert!(made.all() == first);
    let said = made.make(&["--renew", "20"]);
    assert!(said.contains("made ") && said.contains("kept "), "{said}");
    for (name, bytes) in made.all() {
        assert_eq!(bytes != first[&name], name.starts_with("server."), "{name}");
    }
    // What has ended is for the administrator to see, unless it was to be renewed.
    let key = KeyPair::from_pem(&fs::read_to_string(made.file("ca.key")).unwrap()).unwrap();
    let issuer = fs::read_to_string(made.file("ca.crt")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&issuer, key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut ended = params(-9..-1);
    ended.is_ca = IsCa::ExplicitNoCa;
    ended.subject_alt_names.push(rcgen::SanType::DnsName("ada".try_into().unwrap()));
    fs::write(made.file("ada.crt"), ended.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    fs::write(made.file("ada.key"), key.serialize_pem()).unwrap();
    made.refuses(&["--client", "ada"], &["ada.crt", "has ended on", "--force"]);
    let said = made.make(&["--client", "ada", "--renew", "1"]);
    assert_eq!(said.matches("made ").count(), 1, "{said}");
}

/// An authority that another program has made, valid for some days.
fn authority(
    days: std::ops::Range<i64>,
    change: impl FnOnce(&mut CertificateParams),
) -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(days);
    change(&mut params);
    (params.self_signed(&key).unwrap().pem(), key)
}

fn params(days: std::ops::Range<i64>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "Société");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let of = |days: i64| {
        rcgen::date_time_ymd(1970, 1, 1)
            + std::time::Duration::from_secs(
                now.as_secs().checked_add_signed(days * 86_400).unwrap(),
            )
    };
    (params.not_before, params.not_after) = (of(days.start), of(days.end));
    params
}

#[test]
fn an_authority_that_is_there_signs_if_it_can() {
    let made = Made::new("authority");
    fs::create_dir_all(made.tls()).unwrap();
    let put = |(cert, key): (String, KeyPair)| {
        fs::write(made.file("ca.crt"), cert).unwrap();
        fs::write(made.file("ca.key"), key.serialize_pem()).unwrap();
    };
    put(authority(-10..-1, |_| {}));
    made.refuses(&[], &["ca.crt is valid from", "only"]);
    put(authority(1..10, |_| {}));
    made.refuses(&[], &["ca.crt is valid from", "only"]);
    put(authority(-1..10, |params| params.is_ca = IsCa::ExplicitNoCa));
    made.refuses(&[], &["not the certificate of an authority"]);
    put(authority(-1..10, |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]));
    made.refuses(&[], &["not the certificate of an authority"]);
    put((authority(-1..10, |_| {}).0, KeyPair::generate().unwrap()));
    made.refuses(&[], &["does not belong to the key"]);

    put(authority(-1..10, |_| {}));
    made.make(&[]);
    let (ca, server) = (made.file("ca.crt"), made.file("server.crt"));
    done(&mut openssl(&["verify", "-CAfile", &ca, "-purpose", "sslserver", &server]));
    // Not for longer than the authority.
    let ends = openssl(&["x509", "-noout", "-checkend", "864000", "-in", &server]).status();
    assert!(!ends.unwrap().success());
}

#[test]
fn what_clients_do_not_have_goes_along_with_the_certificate() {
    let made = Made::new("chain");
    fs::create_dir_all(made.tls()).unwrap();
    let root_key = KeyPair::generate().unwrap();
    let mut root = params(-1..100);
    root.distinguished_name.push(DnType::CommonName, "root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let between = params(-1..100).signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    fs::write(made.file("ca.crt"), between.pem() + &root_pem).unwrap();
    fs::write(made.file("ca.key"), key.serialize_pem()).unwrap();
    made.make(&[]);
    let chain = fs::read_to_string(made.file("server.crt")).unwrap();
    assert!(chain.ends_with(&between.pem()) && !chain.contains(&root_pem), "{chain}");
    let root = made.folder.join("root.crt");
    fs::write(&root, root_pem).unwrap();
    let (root, server) = (root.to_str().unwrap(), made.file("server.crt"));
    done(&mut openssl(&["verify", "-CAfile", root, "-untrusted", &server, &server]));
}

#[test]
fn what_is_printed_is_what_serve_takes() {
    let made = Made::new("printed");
    let said = made.make(&["--host", "*.example.org", "--host", "127.0.0.1", "--client", "Ada L"]);
    let serve = said.lines().find_map(|line| line.trim().strip_prefix("babelmq ")).unwrap();
    let serve: Vec<&str> = serve.split(' ').chain(["--check"]).collect();
    super::check(&serve, "", "the configuration is good\n");
    assert!(said.contains("BABELMQ_ADDR=babelmqs://127.0.0.1:5000 "), "{said}");
    assert!(said.contains("/Ada L.crt' BABELMQ_KEY='"), "{said}");
    for (arguments, part) in [
        (["--host", "a:5000"], "no port"),
        (["--client", "ca"], "files of others"),
        (["--days", "0"], "0 is not in"),
    ] {
        let (code, _, error) = run(&Made::arguments(&made.file("x"), &arguments));
        assert!(code == Some(2) && error.contains(part), "{error}");
    }
}
