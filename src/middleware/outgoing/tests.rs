//! What the system takes in part is gone on with where it ended, in the middle of a record too.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::event::PollFlags;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::Outgoing;
use crate::middleware::line::tls::Handshake;
use crate::middleware::line::{self, Reader, Writer};
use crate::middleware::patience::{Patience, wait};

/// More than the buffers of the two ends of a connection hold.
const MUCH: usize = 40 << 20;

fn patience() -> Patience {
    Patience::new(Some(Duration::from_secs(20)))
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The two ends of a client with TLS, and its server.
fn sealed() -> (Reader, Writer, StreamOwned<ServerConnection, TcpStream>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = sockets();
    let server = ServerConnection::new(Arc::new(server)).unwrap();
    let serving = thread::spawn(move || {
        let mut far = StreamOwned::new(server, far);
        far.conn.complete_io(&mut far.sock).unwrap();
        far
    });
    let name = ServerName::try_from("localhost").unwrap();
    let mut handshake = Handshake::new(near, Arc::new(client), name).unwrap();
    while !handshake.advance().unwrap() {
        wait(handshake.socket(), handshake.flags(), patience()).unwrap();
    }
    let (reader, writer) = handshake.ends();
    (reader, writer, serving.join().unwrap())
}

/// Sends much to who takes nothing until the system takes no more, and then the rest.
fn check(reader: &Reader, writer: Writer, mut far: impl Read + Send + 'static) {
    let sent: Vec<u8> = (0..MUCH).map(|at| (at % 251) as u8).collect();
    let out = Outgoing::new(writer);
    out.send(&sent).unwrap();
    assert!(!out.write().unwrap(), "the system holds all of it");
    let before = out.taken();
    assert!(before > 0 && before < MUCH as u64, "{before}");
    let reading = thread::spawn(move || {
        let mut taken = vec![0; MUCH];
        far.read_exact(&mut taken).map(|()| taken)
    });
    while !out.write().unwrap() {
        assert!(!wait(reader.socket(), PollFlags::OUT, patience()).unwrap().is_empty());
    }
    // Now all of it is with the system.
    assert!(reading.join().unwrap().unwrap() == sent);
    assert!(out.taken() >= MUCH as u64);
    assert_eq!(out.tick(), (false, false));
}

#[test]
fn plain_text_goes_on_where_it_ended() {
    let (near, far) = sockets();
    let (reader, writer) = line::plain(near);
    check(&reader, writer, far);
}

#[test]
fn records_go_on_where_they_ended() {
    let (reader, writer, far) = sealed();
    far.sock.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    check(&reader, writer, far);
}

/// What is sealed and not sent is not with the system, though nothing else waits.
#[test]
fn the_rest_of_a_record_waits_like_everything_else() {
    let (_reader, writer, _far) = sealed();
    let out = Outgoing::new(writer);
    let mut pieces = 0;
    loop {
        // One record and a bit, so that it is sealed as a whole.
        out.send(&[0; 20 << 10]).unwrap();
        pieces += 1;
        if !out.write().unwrap() {
            break;
        }
        assert!(pieces * (20 << 10) < MUCH);
    }
    let waiting = out.lock();
    assert_eq!(waiting.bytes.len(), waiting.written);
    assert!(!waiting.writer.is_settled());
    drop(waiting);
    assert_eq!(out.tick(), (true, false), "the thread of the tail looks again");
}

/// An end within what was begun is no end that was meant.
#[test]
fn the_end_is_announced_only_behind_everything_else() {
    let (_reader, writer, mut far) = sealed();
    let out = Outgoing::new(writer);
    out.send(&vec![0; MUCH]).unwrap();
    out.end();
    drop((_reader, out));
    far.sock.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let end = std::io::copy(&mut far, &mut std::io::sink()).map_err(|error| error.kind());
    assert!(matches!(end, Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)), "{end:?}");
}
