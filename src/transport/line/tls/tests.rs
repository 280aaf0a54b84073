//! A sealed connection by itself, without a broker.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread;

use rcgen::{CertificateParams, CertifiedKey, DnType, KeyPair, SanType};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CipherSuiteCommon, ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    SupportedCipherSuite, SupportedProtocolVersion, Tls12CipherSuite, version,
};

use super::*;

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A key and the certificate of it, which is its own authority.
fn own(change: impl FnOnce(&mut CertificateParams)) -> CertifiedKey<KeyPair> {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

fn parts(own: &CertifiedKey<KeyPair>) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    (vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
}

fn trusted(own: &CertifiedKey<KeyPair>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    roots
}

/// A connection after its handshake: the client's end, and both of the broker's.
fn connected(
    provider: CryptoProvider,
    version: &'static SupportedProtocolVersion,
    client: Option<&CertifiedKey<KeyPair>>,
    user_from: UserFrom,
) -> (Client, Incoming, Outgoing) {
    let server = own(|_| {});
    let (chain, key) = parts(&server);
    let builder = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap();
    let builder = match client {
        Some(client) => {
            let (roots, provider) = (Arc::new(trusted(client)), Arc::new(default_provider()));
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());

    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(trusted(&server));
    let clients = match client.map(parts) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    let socket = listener.accept().unwrap().0;
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(clients), name).unwrap();
    let client = thread::spawn(move || {
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        StreamOwned::new(connection, stream)
    });
    let (_, mut incoming, mut outgoing) = Line::tls(socket.into(), config, user_from).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let handshakes = Handshakes::new();
    assert!(incoming.shake_hands(&mut outgoing, &handshakes, until).unwrap());
    // It is done.
    assert!(!incoming.shake_hands(&mut outgoing, &handshakes, until).unwrap());
    incoming.set_patience(Duration::from_secs(60)).unwrap();
    (client.join().unwrap(), incoming, outgoing)
}

/// What the client's end says of `text`, and before it.
fn sealed(client: &mut Client, text: &[u8]) -> Vec<u8> {
    client.conn.writer().write_all(text).unwrap();
    let mut sealed = Vec::new();
    while client.conn.wants_write() {
        client.conn.write_tls(&mut sealed).unwrap();
    }
    sealed
}

fn read(incoming: &mut Incoming) -> (Arrived, Vec<u8>) {
    let mut buffer = FrameBuffer::new();
    let arrived = incoming.read(&mut buffer, 1 << 16).unwrap();
    (arrived, buffer.bytes().to_vec())
}

#[test]
fn the_name_in_the_certificate_of_a_client_is_known_after_its_handshake() {
    let client = own(|params| {
        params.distinguished_name.push(DnType::CommonName, "ada");
        params.subject_alt_names.push(SanType::URI("spiffe://a/b".try_into().unwrap()));
    });
    for version in [&version::TLS12, &version::TLS13] {
        for (from, name) in [
            (UserFrom::None, None),
            (UserFrom::CommonName, Some("ada")),
            (UserFrom::Dns, Some("localhost")),
            (UserFrom::Uri, Some("spiffe://a/b")),
        ] {
            let (_client, incoming, _) =
                connected(default_provider(), version, Some(&client), from);
            assert_eq!(incoming.certificate_name(), name);
        }
    }
    let (_client, incoming, _) =
        connected(default_provider(), &version::TLS13, None, UserFrom::CommonName);
    assert_eq!(incoming.certificate_name(), None);
}

#[test]
fn a_record_may_be_cut_anywhere() {
    for version in [&version::TLS12, &version::TLS13] {
        let (mut client, mut incoming, _outgoing) =
            connected(default_provider(), version, None, UserFrom::None);
        let mut at = 1;
        loop {
            let record = sealed(&mut client, b"text");
            if at == record.len() {
                break;
            }
            client.sock.write_all(&record[..at]).unwrap();
            assert_eq!(read(&mut incoming).0, Arrived::Progress, "{at}");
            assert!(incoming.is_amid());
            client.sock.write_all(&record[at..]).unwrap();
            assert_eq!(read(&mut incoming), (Arrived::Bytes(4), b"text".to_vec()), "{at}");
            assert!(!incoming.is_amid());
            at += 1;
        }
        assert!(at > HEAD + 4);
    }
}

/// A session reads and answers while its writer is stuck in the middle of a record; the answer (to
/// a change of keys) comes behind that record.
#[test]
fn what_is_read_does_not_wait_for_a_record_that_is_half_sent() {
    let (mut client, mut incoming, mut outgoing) =
        connected(default_provider(), &version::TLS13, None, UserFrom::None);
    let text: Vec<u8> = (0..10_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut rest = &text[..];
    loop {
        let pushed = outgoing.push(&[IoSlice::new(rest)], Wait::No).unwrap();
        rest = &rest[pushed.taken..];
        if pushed.sent == 0 {
            break;
        }
    }
    assert!(!outgoing.is_settled() && !rest.is_empty());
    for number in 0..20 {
        client.conn.refresh_traffic_keys().unwrap();
        let record = sealed(&mut client, &[number]);
        client.sock.write_all(&record).unwrap();
        assert_eq!(read(&mut incoming), (Arrived::Bytes(1), vec![number]));
    }
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        client.read_to_end(&mut received).map(|_| received)
    });
    outgoing.set_tick(Duration::from_secs(60)).unwrap();
    while !rest.is_empty() || !outgoing.is_settled() {
        let pushed = outgoing.push(&[IoSlice::new(rest)], Wait::Tick).unwrap();
        rest = &rest[pushed.taken..];
    }
    outgoing.end();
    assert!(reader.join().unwrap().unwrap() == text);
}

/// The keys of TLS 1.2 do for so many records. Then a write is an error, and not lost.
#[test]
fn nothing_is_taken_for_sent_when_the_keys_are_used_up() {
    const RECORDS: usize = 10;
    let mut provider = default_provider();
    provider.cipher_suites.retain(|suite| matches!(suite, SupportedCipherSuite::Tls12(_)));
    for suite in &mut provider.cipher_suites {
        let SupportedCipherSuite::Tls12(usual) = suite else { continue };
        let short = Tls12CipherSuite {
            common: CipherSuiteCommon {
                suite: usual.common.suite,
                hash_provider: usual.common.hash_provider,
                confidentiality_limit: RECORDS as u64,
            },
            prf_provider: usual.prf_provider,
            kx: usual.kx,
            sign: usual.sign,
            aead_alg: usual.aead_alg,
        };
        *suite = SupportedCipherSuite::Tls12(Box::leak(Box::new(short)));
    }
    let (mut client, _incoming, mut outgoing) =
        connected(provider, &version::TLS12, None, UserFrom::None);
    let mut written: Vec<u8> = Vec::new();
    let error = loop {
        let text = [written.len() as u8; 100];
        match outgoing.push(&[IoSlice::new(&text)], Wait::Tick) {
            Ok(pushed) => written.extend(&text[..pushed.taken]),
            Err(error) => break error,
        }
        assert!(written.len() <= 100 * RECORDS);
    };
    assert!(error.to_string().contains("used up"), "{error}");
    outgoing.end();
    // What was taken arrives, and the end is announced.
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, written);
}
