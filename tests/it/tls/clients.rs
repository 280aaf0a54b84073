//! Certificates of clients: whom the broker lets in, and which broker its clients trust.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use babelmq::{Broker, BrokerHandle, ClientAuth, ListenUrl, StartError, TlsFiles, UserFrom};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Certificate, Client, PING, PONG, connect, frame};
use crate::support::config;

/// Signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that an authority has signed, and its key, in PEM.
#[derive(Clone)]
struct Signed {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Signed { cert, key: key.serialize_pem() }
    }

    /// A list on which certificates of these numbers are.
    fn list(&self, revoked: &[u64]) -> String {
        let revoked_certs = revoked.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A folder with a broker's certificate, and the authority of its clients.
struct World {
    broker: Certificate,
    clients: Authority,
}

impl World {
    fn new() -> World {
        let world = World { broker: Certificate::new(), clients: Authority::new("of clients") };
        fs::write(world.file("clients.crt"), &world.clients.pem).unwrap();
        fs::write(world.file("clients.crl"), world.clients.list(&[])).unwrap();
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.broker.0.join(name)
    }

    fn files(&self, client_auth: ClientAuth) -> TlsFiles {
        let files = self.broker.files().client_auth(client_auth);
        files.client_ca(self.file("clients.crt")).crls([self.file("clients.crl")])
    }

    fn start(&self, client_auth: ClientAuth) -> BrokerHandle {
        self.broker.start(|config| config.tls(self.files(client_auth)))
    }

    /// What a client gets for a ping, which shows `own` and trusts `roots`.
    fn ping(
        &self,
        broker: &BrokerHandle,
        own: Option<&Signed>,
        roots: &str,
        host: &str,
    ) -> io::Result<Vec<u8>> {
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_slice(roots.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusted);
        let config = match own {
            Some(Signed { cert, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, connect(broker));
        stream.write_all(&frame(PING))?;
        let mut pong = vec![0; frame(PONG).len()];
        stream.read_exact(&mut pong)?;
        Ok(pong)
    }

    /// The same of a client that trusts this broker.
    fn show(&self, broker: &BrokerHandle, own: Option<&Signed>) -> io::Result<Vec<u8>> {
        let roots = fs::read_to_string(self.broker.files().cert).unwrap();
        self.ping(broker, own, &roots, "localhost")
    }
}

#[track_caller]
fn assert_refused(answer: io::Result<Vec<u8>>, why: &str) {
    let error = answer.unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn only_clients_with_a_certificate_that_is_trusted_are_let_in() {
    let world = World::new();
    let broker = world.start(ClientAuth::Required);
    let good = world.clients.sign("ada", |params| {
        params.serial_number = Some(SerialNumber::from(7));
    });
    let pong = world.show(&broker, Some(&good)).unwrap();
    assert_eq!(pong, frame(PONG));
    assert_refused(world.show(&broker, None), "CertificateRequired");
    let stranger = Authority::new("of nobody").sign("ada", |_| {});
    assert_refused(world.show(&broker, Some(&stranger)), "UnknownCA");
    // An authority of the same name, which is another.
    let liar = Authority::new("of clients").sign("ada", |_| {});
    assert_refused(world.show(&broker, Some(&liar)), "alert");
    let old = world.clients.sign("ada", |params| params.not_after = date_time_ymd(2020, 1, 1));
    assert_refused(world.show(&broker, Some(&old)), "CertificateExpired");
    let early = world.clients.sign("ada", |params| params.not_before = date_time_ymd(2120, 1, 1));
    assert_refused(world.show(&broker, Some(&early)), "CertificateExpired");
    // A client hears of it before it is counted.
    while broker.stats().failed_handshakes < 5 {
        std::thread::yield_now();
    }

    // It is revoked, and another is not.
    let other = world.clients.sign("bob", |params| {
        params.serial_number = Some(SerialNumber::from(8));
    });
    fs::write(world.file("clients.crl"), world.clients.list(&[6, 7])).unwrap();
    broker.reload_certificates().unwrap();
    assert_refused(world.show(&broker, Some(&good)), "CertificateRevoked");
    assert!(world.show(&broker, Some(&other)).is_ok());

    // A mistake changes nothing.
    fs::write(world.file("clients.crl"), "none").unwrap();
    let error = broker.reload_certificates().unwrap_err().to_string();
    assert!(error.contains("revoked certificates from") && error.contains("crl"), "{error}");
    assert_refused(world.show(&broker, Some(&good)), "CertificateRevoked");
    assert!(world.show(&broker, Some(&other)).is_ok());
}

#[test]
fn where_certificates_are_optional_only_bad_ones_are_refused() {
    let world = World::new();
    let broker = world.start(ClientAuth::Optional);
    assert!(world.show(&broker, None).is_ok());
    assert!(world.show(&broker, Some(&world.clients.sign("ada", |_| {}))).is_ok());
    let stranger = Authority::new("of nobody").sign("ada", |_| {});
    assert_refused(world.show(&broker, Some(&stranger)), "UnknownCA");
}

#[test]
fn where_they_are_off_none_is_asked_for() {
    let world = World::new();
    let broker = world.broker.start(|config| config);
    let stranger = Authority::new("of nobody").sign("ada", |_| {});
    assert!(world.show(&broker, Some(&stranger)).is_ok());
}

/// What the broker cannot do anything about: it goes on, and counts them.
#[test]
fn clients_do_not_talk_to_a_broker_that_they_do_not_trust() {
    let world = World::new();
    let authority = Authority::new("of brokers");
    let start = |signed: &Signed| {
        fs::write(world.broker.files().cert, &signed.cert).unwrap();
        fs::write(world.broker.files().key, &signed.key).unwrap();
        world.broker.start(|config| config)
    };
    let broker = start(&authority.sign("broker", |_| {}));
    let other = Authority::new("of others");
    assert_refused(world.ping(&broker, None, &other.pem, "localhost"), "UnknownIssuer");
    let elsewhere = world.ping(&broker, None, &authority.pem, "elsewhere.example");
    assert_refused(elsewhere, "elsewhere.example");
    while broker.stats().failed_handshakes < 2 {
        std::thread::yield_now();
    }
    assert!(world.ping(&broker, None, &authority.pem, "localhost").is_ok());
    let day = date_time_ymd(2020, 1, 1);
    let old = start(&authority.sign("broker", |params| params.not_after = day));
    assert_eq!(old.stats().certificate_expires, 1_577_836_800);
    assert_refused(world.ping(&old, None, &authority.pem, "localhost"), "xpired");
}

#[test]
fn settings_that_mean_nothing_by_themselves_say_what_to_add() {
    let world = World::new();
    let files = || world.broker.files();
    let error = |files: TlsFiles| {
        let url: ListenUrl = "tls://127.0.0.1:0".parse().unwrap();
        let error = Broker::start(config().listeners([url]).tls(files)).unwrap_err();
        assert!(matches!(error, StartError::Tls(_)), "{error:?}");
        error.to_string()
    };
    for (files, parts) in [
        (files().client_auth(ClientAuth::Required), ["--tls-client-auth ", "add --tls-client-ca"]),
        (files().client_auth(ClientAuth::Optional), ["--tls-client-auth ", "add --tls-client-ca"]),
        (
            files().client_ca(world.file("clients.crt")),
            ["--tls-client-ca ", "add --tls-client-auth optional, or required"],
        ),
        (files().crls(["x.crl"]), ["--tls-crl ", "add --tls-client-auth optional"]),
        (files().user_from(UserFrom::Dns), ["--tls-user-from ", "add --tls-client-auth"]),
        (
            files().client_auth(ClientAuth::Required).client_ca(files().key),
            ["cannot read a certificate from", "b.key"],
        ),
        (
            world.files(ClientAuth::Required).crls([world.file("clients.crt")]),
            ["cannot read a list of revoked certificates from", "clients.crt"],
        ),
    ] {
        let error = error(files);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    // A list of version 1, which openssl makes where nothing else is said.
    let old = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
    fs::write(world.file("clients.crl"), old).unwrap();
    let error = error(world.files(ClientAuth::Required));
    assert!(error.contains("clients.crl cannot be used") && error.contains("version 2"), "{error}");
}

#[test]
fn python_and_openssl_show_certificates() {
    let world = World::new();
    let broker = world.start(ClientAuth::Required);
    let own = world.clients.sign("ada", |_| {});
    fs::write(world.file("ada.crt"), &own.cert).unwrap();
    fs::write(world.file("ada.key"), &own.key).unwrap();
    let (ca, address) = (world.broker.files().cert, broker.local_addr());
    let program = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
if len(sys.argv) > 3:
    context.load_cert_chain(sys.argv[3], sys.argv[4])
with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as plain:
    with context.wrap_socket(plain, server_hostname='localhost') as line:
        line.sendall(b'\\0\\0\\0\\0\\x12{\"command\":\"ping\"}')
        print(line.recv(100).decode())
";
    let python = |files: &[PathBuf]| {
        let mut command = Command::new("python3");
        command.args(["-c", program]).arg(&ca).arg(address.port().to_string()).args(files);
        command.output().unwrap()
    };
    let output = python(&[world.file("ada.crt"), world.file("ada.key")]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("pong"), "{output:?}");
    let output = python(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("certificate required") && !output.status.success(), "{output:?}");

    for (version, shows) in [("-tls1_2", true), ("-tls1_3", true), ("-tls1_2", false)] {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address.to_string(), version, "-CAfile"]);
        command.arg(&ca);
        if shows {
            command.arg("-cert").arg(world.file("ada.crt"));
            command.arg("-key").arg(world.file("ada.key"));
        }
        // Its end of the input ends it; without a certificate, the broker's alert.
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(!said.contains("alert"), shows, "{version}: {said}");
    }
    let mut client = Client(world.broker.connect(&broker).0);
    assert!(client.0.write_all(&frame(PING)).and_then(|()| client.0.read(&mut [0])).is_err());
}
