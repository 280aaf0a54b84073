//! A broker whose clients speak TLS: their end of it is rustls, OpenSSL and Python's.
#![cfg(feature = "broker")]

mod attacks;
mod clients;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use babelmq::{Broker, BrokerHandle, Config, ListenUrl, StartError, TlsError, TlsFiles};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};

use crate::support::{PATIENCE, config};

const HEADER: usize = 5;

/// A certificate in a folder of its own.
struct Certificate(PathBuf);

impl Certificate {
    fn new() -> Certificate {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let certificate = Certificate(folder);
        certificate.renew();
        certificate
    }

    /// Writes another one for the same name.
    fn renew(&self) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.files().cert, cert.pem()).unwrap();
        fs::write(self.files().key, signing_key.serialize_pem()).unwrap();
    }

    fn files(&self) -> TlsFiles {
        TlsFiles::new(self.0.join("b.crt"), self.0.join("b.key"))
    }

    fn start(&self, change: impl FnOnce(Config) -> Config) -> BrokerHandle {
        let listeners: [ListenUrl; 2] =
            ["tls://127.0.0.1:0", "tcp://127.0.0.1:0"].map(|url| url.parse().unwrap());
        Broker::start(change(config().listeners(listeners).tls(self.files()))).unwrap()
    }

    /// A client's end, which trusts this certificate as it is now.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.files().cert).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(Arc::new(config), name).unwrap()
    }

    fn connect(&self, broker: &BrokerHandle) -> Client {
        self.connect_with(broker, &[&version::TLS13])
    }

    fn connect_with(
        &self,
        broker: &BrokerHandle,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Client {
        Client(StreamOwned::new(self.client(versions), connect(broker)))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn connect(broker: &BrokerHandle) -> TcpStream {
    let stream = TcpStream::connect(broker.local_addr()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    fn send(&mut self, body: &str) {
        self.0.write_all(&frame(body)).unwrap();
        self.0.flush().unwrap();
    }

    /// The body of the next frame; none at an end that the broker has announced.
    fn next(&mut self) -> Option<String> {
        let mut header = [0; HEADER];
        match self.0.read(&mut header).unwrap() {
            0 => return None,
            count => self.0.read_exact(&mut header[count..]).unwrap(),
        }
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).unwrap();
        Some(String::from_utf8(body).unwrap())
    }

    #[track_caller]
    fn expect(&mut self, part: &str) {
        let body = self.next().unwrap();
        assert!(body.contains(part), "{body}");
    }

    fn subscribe(&mut self) {
        self.send(r#"{"command":"subscribe","topic":"t"}"#);
        self.expect("subscribed");
    }
}

fn frame(body: &str) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body.as_bytes());
    frame
}

fn publish(message: &str) -> String {
    format!(r#"{{"command":"publish","topic":"t","message":{message}}}"#)
}

const PING: &str = r#"{"command":"ping"}"#;
const PONG: &str = r#"{"command":"pong"}"#;

#[test]
fn messages_pass_in_both_versions() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    for version in [&version::TLS12, &version::TLS13] {
        let mut reader = certificate.connect_with(&broker, &[version]);
        let mut producer = certificate.connect_with(&broker, &[version]);
        reader.send(r#"{"command":"subscribe","topic":"t"}"#);
        while !reader.next().unwrap().contains("subscribed") {}
        let long = format!("\"{}\"", "x".repeat(2 << 20));
        let many = (0..2_000).map(|number| number.to_string());
        let messages: Vec<String> =
            many.chain([long, "[1,{\"a\":null}]".to_owned()]).map(|text| publish(&text)).collect();
        // All in one write: the records hold parts of frames, and many frames.
        let all: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        producer.0.write_all(&all).unwrap();
        producer.send(PING);
        for message in &messages {
            assert!(reader.next().unwrap() == *message, "{:.60}", message);
        }
        producer.expect("pong");
        assert_eq!(reader.0.conn.protocol_version(), Some(version.version));
    }
}

/// Moves what both ends of a connection say, the client's in pieces of `size` bytes.
fn exchange(connection: &mut ClientConnection, stream: &mut TcpStream, size: usize) {
    let mut sealed = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut sealed).unwrap();
    }
    for piece in sealed.chunks(size) {
        stream.write_all(piece).unwrap();
    }
}

#[test]
fn a_record_may_come_in_any_pieces() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    for size in [1, 2, 5, 6, 100] {
        let mut connection = certificate.client(&[&version::TLS13]);
        let mut stream = connect(&broker);
        while connection.is_handshaking() {
            exchange(&mut connection, &mut stream, size);
            if connection.is_handshaking() {
                connection.read_tls(&mut stream).unwrap();
                connection.process_new_packets().unwrap();
            }
        }
        for _ in 0..3 {
            connection.writer().write_all(&frame(PING)).unwrap();
        }
        exchange(&mut connection, &mut stream, size);
        let mut read = Vec::new();
        while read.len() < 3 * frame(PONG).len() {
            connection.read_tls(&mut stream).unwrap();
            connection.process_new_packets().unwrap();
            let mut plain = [0; 1_000];
            match connection.reader().read(&mut plain) {
                Ok(count) => read.extend_from_slice(&plain[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert_eq!(read, frame(PONG).repeat(3));
    }
}

/// A client may change its keys at any time, and asks the broker to do so.
#[test]
fn keys_change_while_deliveries_flow() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let (mut reader, mut producer) = (certificate.connect(&broker), certificate.connect(&broker));
    reader.subscribe();
    for number in 0..200 {
        let message = publish(&format!("[{number},\"{}\"]", "x".repeat(5_000)));
        producer.send(&message);
        if number % 3 == 0 {
            producer.0.conn.refresh_traffic_keys().unwrap();
            reader.0.conn.refresh_traffic_keys().unwrap();
            reader.send(PING);
            let mut bodies = [reader.next().unwrap(), reader.next().unwrap()];
            bodies.sort();
            assert!(bodies == [PONG.to_owned(), message], "{number}");
        } else {
            assert!(reader.next().unwrap() == message, "{number}");
        }
    }
}

#[test]
fn who_speaks_plainly_to_tls_or_tls_to_plain_is_told() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let mut plain = connect(&broker);
    plain.write_all(&frame(PING)).unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).unwrap();
    // A fatal alert, in TLS: there is no other language here.
    assert_eq!(answer[..6], [21, 3, 3, 0, 2, 2], "{answer:?}");

    let tcp = broker.listeners().find_map(|url| match url {
        ListenUrl::Tcp(address) => Some(*address),
        _ => None,
    });
    let mut stream = TcpStream::connect(tcp.unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut connection = certificate.client(&[&version::TLS13]);
    exchange(&mut connection, &mut stream, 1_000);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer[HEADER..].to_vec()).unwrap();
    assert!(answer.contains("unknown-format") && answer.contains("TLS"), "{answer}");
}

#[test]
fn a_handshake_that_does_not_go_on_is_ended() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config.frame_timeout(Duration::from_millis(200)));
    let mut connection = certificate.client(&[&version::TLS13]);
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    for sent in [0, 1, 5, hello.len() - 1] {
        let mut stream = connect(&broker);
        stream.write_all(&hello[..sent]).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        // An alert: close_notify.
        assert_eq!(answer, [21, 3, 3, 0, 2, 1, 0], "{sent}");
    }
}

#[test]
fn the_end_is_announced_by_the_broker_and_understood_from_its_clients() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let mut leaving = certificate.connect(&broker);
    leaving.send(PING);
    leaving.expect("pong");
    leaving.0.conn.send_close_notify();
    leaving.0.flush().unwrap();
    // The client's socket stays open: it is the alert that ends the connection.
    assert_eq!(leaving.next(), None);

    let mut staying = certificate.connect(&broker);
    staying.subscribe();
    // One that has nothing to say has only a session.
    let mut silent = certificate.connect(&broker);
    silent.0.conn.complete_io(&mut silent.0.sock).unwrap();
    // A client that ends without the alert is gone like any other.
    let mut rude = certificate.connect(&broker);
    rude.subscribe();
    rude.0.sock.shutdown(Shutdown::Both).unwrap();
    broker.shutdown();
    assert_eq!(staying.next(), None);
    let end = silent.0.read(&mut [0; 10]);
    assert!(end.is_ok_and(|count| count == 0));
}

#[test]
fn a_certificate_is_renewed_without_losing_a_connection() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let mut before = certificate.connect(&broker);
    before.subscribe();
    certificate.renew();
    broker.reload_certificates().unwrap();
    // It trusts nothing but the new one.
    let mut after = certificate.connect(&broker);
    after.send(&publish("1"));
    assert_eq!(before.next(), Some(publish("1")));

    // A mistake changes nothing.
    fs::write(certificate.files().key, "none").unwrap();
    let error = broker.reload_certificates().unwrap_err();
    assert!(matches!(error, TlsError::File { .. }), "{error}");
    let mut later = certificate.connect(&broker);
    later.send(&publish("2"));
    assert_eq!(before.next(), Some(publish("2")));
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let (one, other) = (Certificate::new(), Certificate::new());
    let start = |files: Option<TlsFiles>| {
        let url: ListenUrl = "tls://127.0.0.1:0".parse().unwrap();
        let error = Broker::start(config().listeners([url]).tls(files)).unwrap_err();
        assert!(matches!(error, StartError::Tls(_)), "{error:?}");
        error.to_string()
    };
    let error = start(None);
    assert!(error.contains("--tls-cert and --tls-key"), "{error}");
    let error = start(Some(TlsFiles::new(one.files().cert, other.files().key)));
    assert!(error.contains("do they belong together?"), "{error}");
    let error = start(Some(TlsFiles::new("no/such.crt", one.files().key)));
    assert!(error.contains("no/such.crt"), "{error}");
    let error = start(Some(TlsFiles::new(one.files().key, one.files().key)));
    assert!(error.contains("certificate"), "{error}");
    let error = start(Some(TlsFiles::new(one.files().cert, one.files().cert)));
    assert!(error.contains("a private key"), "{error}");
}

#[test]
fn openssl_and_python_understand_the_broker() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let (address, cert) = (broker.local_addr(), certificate.files().cert);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-servername", "localhost"])
            .args([version, "-connect", &address.to_string(), "-CAfile"])
            .arg(&cert)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(&frame(PING)).unwrap();
        let mut pong = vec![0; frame(PONG).len()];
        child.stdout.take().unwrap().read_exact(&mut pong).unwrap();
        assert_eq!(pong, frame(PONG));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let program = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as plain:
    with context.wrap_socket(plain, server_hostname='localhost') as line:
        line.sendall(b'\\0\\0\\0\\0\\x12{\"command\":\"ping\"}')
        print(line.recv(100).decode(), line.version())
";
    let port = address.port().to_string();
    let output =
        Command::new("python3").args(["-c", program]).arg(cert).arg(port).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(r#"{"command":"pong"} TLSv1.3"#), "{output:?}");
}
