//! Queues and clients in Rust over TLS: to a broker that speaks it, and to servers that the test is
//! itself, so that they can do what a broker does not.
#![cfg(all(feature = "broker", feature = "tls"))]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use babelmq::{
    Arrival, Broker, BrokerHandle, Client, ConnectionEvent, Format, Json, JsonQueue, ListenUrl,
    Pickle, Queue, QueueBuilder, QueueError, Subscribe, TlsFiles, TopicFilter, Value, Wire, Xml,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned, version};

use crate::support::authority::Authority;
use crate::support::process::until;
use crate::support::proxy::Proxy;
use crate::support::{self, PATIENCE, config};

const SHORT: Duration = Duration::from_millis(50);

fn start_at(address: SocketAddr, files: &TlsFiles) -> BrokerHandle {
    let url: ListenUrl = format!("tls://{address}").parse().unwrap();
    let mut broker = None;
    // The one before may be about to let the address go.
    until("the address is free", || {
        broker = Broker::start(config().listeners([url.clone()]).tls(files.clone())).ok();
        broker.is_some()
    });
    broker.unwrap()
}

fn start(files: &TlsFiles) -> BrokerHandle {
    start_at(([127, 0, 0, 1], 0).into(), files)
}

fn url(address: SocketAddr) -> String {
    format!("babelmqs://localhost:{}", address.port())
}

fn at<W: Wire>(authority: &Authority, address: SocketAddr) -> QueueBuilder<W> {
    Queue::builder("/t").address(url(address)).ca(authority.ca()).timeout(PATIENCE)
}

fn pulled<W: Wire>(queue: &mut Queue<W>) -> Value {
    queue.pull_timeout(PATIENCE).unwrap().1
}

#[track_caller]
fn is_certificate<T>(result: Result<T, QueueError>, says: &str) {
    match result.err() {
        Some(QueueError::Certificate(said)) => assert!(said.contains(says), "{said}"),
        other => panic!("{other:?} instead of {says:?}"),
    }
}

#[test]
fn messages_of_any_length_pass_in_every_format() {
    fn check<W: Wire>(authority: &Authority, broker: &BrokerHandle) {
        let mut consumer =
            at::<W>(authority, broker.local_addr()).retained(false).consumer().unwrap();
        let mut producer = at::<W>(authority, broker.local_addr()).producer().unwrap();
        let long = "x".repeat(3 << 20);
        for number in 0..2_000 {
            producer.push(&number).unwrap();
        }
        producer.push(&long).unwrap();
        producer.push(&"last").unwrap();
        producer.flush().unwrap();
        for number in 0..2_000 {
            assert_eq!(pulled(&mut consumer).as_i64(), Some(number));
        }
        assert!(pulled(&mut consumer).as_str() == Some(&long));
        assert_eq!(pulled(&mut consumer).as_str(), Some("last"));
    }
    let authority = Authority::new();
    let broker = start(&authority.issue("broker", &["localhost"]));
    check::<Json>(&authority, &broker);
    check::<Xml>(&authority, &broker);
    check::<Pickle>(&authority, &broker);
}

#[test]
fn a_client_has_all_formats_on_one_connection() {
    let authority = Authority::new();
    let broker = start(&authority.issue("broker", &["localhost", "127.0.0.1"]));
    broker.put_topic("/t", &1.into()).unwrap();
    let address = format!("babelmqs://{}", broker.local_addr());
    let client = Client::builder().address(address).ca(authority.ca()).timeout(PATIENCE);
    let mut client = client.connect().unwrap();
    for format in Format::ALL {
        client.subscribe(&TopicFilter::parse("/t").unwrap(), format, Subscribe::default()).unwrap();
        let Some(Arrival::Delivery { message, .. }) = client.next(None).unwrap() else { panic!() };
        assert_eq!(message.value().unwrap().as_i64(), Some(1));
        let Some(Arrival::Subscribed { limited, .. }) = client.next(None).unwrap() else {
            panic!()
        };
        assert!(!limited);
    }
    client.flush().unwrap();
}

/// More than the buffers of the two ends of a connection can hold.
#[test]
fn a_queue_that_pushes_a_lot_to_itself_does_not_block() {
    const LARGE: usize = 1 << 20;
    let authority = Authority::new();
    let broker = start(&authority.issue("broker", &["localhost"]));
    let mut queue = at::<Json>(&authority, broker.local_addr()).consumer().unwrap();
    let large = "x".repeat(LARGE);
    (0..30).for_each(|_| queue.push(&large).unwrap());
    queue.flush().unwrap();
    (0..30).for_each(|_| assert!(pulled(&mut queue).as_str() == Some(&large)));
}

#[test]
fn many_threads_have_connections_at_the_same_time() {
    const THREADS: i64 = 8;
    const EACH: i64 = 500;
    let authority = Authority::new();
    let broker = start(&authority.issue("broker", &["localhost"]));
    let mut consumer = at::<Pickle>(&authority, broker.local_addr()).consumer().unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let builder = at::<Json>(&authority, broker.local_addr());
            scope.spawn(move || {
                let mut producer = builder.producer().unwrap();
                // Some in bursts, the end of which is another thread's to write.
                (0..EACH).for_each(|each| producer.push(&(number * EACH + each)).unwrap());
                producer.flush().unwrap();
            });
        }
        let mut found: Vec<i64> =
            (0..THREADS * EACH).map(|_| pulled(&mut consumer).as_i64().unwrap()).collect();
        found.sort_unstable();
        assert!(found.into_iter().eq(0..THREADS * EACH));
    });
}

/// What waits for its neighbours is written by another thread, though the program does nothing.
#[test]
fn the_end_of_a_burst_is_sealed_too() {
    let authority = Authority::new();
    let broker = start(&authority.issue("broker", &["localhost"]));
    let mut consumer = at::<Json>(&authority, broker.local_addr()).consumer().unwrap();
    let mut producer = at::<Json>(&authority, broker.local_addr()).producer().unwrap();
    for number in 0..100 {
        producer.push(&number).unwrap();
    }
    for number in 0..100 {
        assert_eq!(pulled(&mut consumer).as_i64(), Some(number));
    }
    drop(producer);
}

#[test]
fn a_connection_that_is_lost_is_made_again() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    let broker = start(&files);
    let address = broker.local_addr();
    let proxy = Proxy::to(address);
    let mut queue = at::<Json>(&authority, proxy.address).consumer().unwrap();
    // Without a word, and then with a close_notify.
    proxy.cut();
    broker.put_topic("/t", &1.into()).unwrap();
    assert_eq!(pulled(&mut queue).as_i64(), Some(1));
    broker.shutdown();
    let broker = start_at(address, &files);
    broker.put_topic("/t", &2.into()).unwrap();
    assert_eq!(pulled(&mut queue).as_i64(), Some(2));
    queue.push(&3).unwrap();
    queue.flush().unwrap();
    assert_eq!(pulled(&mut queue).as_i64(), Some(3));
}

#[test]
fn a_certificate_that_does_not_verify_is_said_at_once() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (good, bad) = (authority.issue("good", &["localhost"]), authority.ca());
    for (files, ca, says) in [
        (good, other.ca(), "its CA is not trusted; if that is your own, name the CA's"),
        (authority.issue("name", &["example.org"]), bad.clone(), "it is not for \"localhost\""),
        (authority.issue_expired("old"), bad.clone(), "it has expired; it has to be renewed"),
        (authority.issue_early("new"), bad, "it is not valid yet; is this machine's clock right?"),
    ] {
        let broker = start(&files);
        let address = url(broker.local_addr());
        let says = format!("the certificate of {address} does not verify: {says}");
        // However long it might be waited for.
        let queue = at::<Json>(&authority, broker.local_addr()).ca(&ca).wait(PATIENCE * 100);
        is_certificate(queue.clone().producer(), &says);
        is_certificate(queue.consumer(), &says);
        let client = Client::builder().address(address).ca(ca).timeout(PATIENCE);
        is_certificate(client.wait(PATIENCE * 100).connect(), &says);
        assert_eq!(broker.stats().published, 0);
    }
}

/// A queue does not go on asking one that pretends to be its broker.
#[test]
fn a_certificate_that_is_another_when_the_connection_is_made_again_is_the_end() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker = start(&authority.issue("broker", &["localhost"]));
    let address = broker.local_addr();
    let (tell, told) = channel();
    let mut queue = at::<Json>(&authority, address)
        .on_connection(move |event| drop(tell.send(event.clone())))
        .consumer()
        .unwrap();
    queue.push(&1).unwrap();
    queue.flush().unwrap();
    queue.push(&2).unwrap();
    broker.shutdown();
    let pretender = start_at(address, &other.issue("broker", &["localhost"]));
    let mut errors = Vec::new();
    until("it is said", || match queue.pull_timeout(PATIENCE) {
        Ok(_) => false,
        Err(error) => {
            errors.push(error);
            true
        }
    });
    is_certificate::<()>(Err(errors.remove(0)), "its CA is not trusted");
    is_certificate(queue.flush(), "its CA is not trusted");
    is_certificate(queue.push(&3), "its CA is not trusted");
    is_certificate(queue.topics(), "its CA is not trusted");
    let events: Vec<ConnectionEvent> = told.try_iter().collect();
    let ends = events.iter().filter(|event| matches!(event, ConnectionEvent::Ended { .. }));
    assert_eq!(ends.count(), 1, "{events:?}");
    assert_eq!(pretender.stats().published, 0);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (client, other) = (authority.issue("client", &["c"]), authority.issue("other", &["o"]));
    let file = |name: &str, text: &str| {
        let path = authority.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (empty, junk) = (file("empty", ""), file("junk", &BEGIN_AND_END.replace("…", "AAAA")));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE \
                     KEY-----\n";
    let encrypted = file("encrypted", encrypted);
    let queue = || JsonQueue::builder("/t").address("babelmqs://localhost:1").timeout(PATIENCE);
    for (queue, parts) in [
        (queue().ca("/no/where.pem"), ["\"/no/where.pem\" (ca or", "No such file"]),
        (queue().ca(&empty), ["empty\" (ca or BABELMQ_CA)", "holds no certificate"]),
        (queue().ca(&junk), ["junk\" (ca or BABELMQ_CA)", "cannot be used"]),
        (queue().cert("/no/where.pem"), ["client certificate \"/no/where.pem\"", "No such file"]),
        (queue().cert(&client.cert), ["client.crt\" (cert and key", "no key"]),
        (
            queue().cert(&client.cert).key(&other.key),
            ["client.crt\" with the key", "cannot be used"],
        ),
        (queue().cert(&client.cert).key(&encrypted), ["is encrypted", "nobody is asked"]),
        (queue().key(&client.key), ["a key", "needs its certificate"]),
    ] {
        let queue = match parts[0].contains("(ca or") {
            true => queue,
            false => queue.ca(authority.ca()),
        };
        match queue.producer() {
            Err(QueueError::Options(said)) => {
                assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
            }
            other => panic!("{other:?} instead of {parts:?}"),
        }
    }
}

const BEGIN_AND_END: &str = "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n";

// --- servers that the test is itself -------------------------------------------------------------

type Secured = StreamOwned<ServerConnection, TcpStream>;

/// A server that talks to one client as `script` says.
fn serve<T: Send + 'static>(
    config: Arc<ServerConfig>,
    script: impl FnOnce(Secured) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        script(StreamOwned::new(ServerConnection::new(config).unwrap(), stream))
    });
    (address, served)
}

fn next(peer: &mut impl Read) -> String {
    let mut header = [0; 5];
    peer.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let mut body = vec![0; length as usize];
    peer.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn says(peer: &mut impl Write, body: &str) {
    peer.write_all(&support::frame(0, body.as_bytes())).unwrap();
    peer.flush().unwrap();
}

const SUBSCRIBED: &str = r#"{"command":"subscribed","topic":"/t","values":0}"#;

fn publish(message: &str) -> String {
    format!(r#"{{"command":"publish","topic":"/t","message":{message}}}"#)
}

#[test]
fn both_versions_are_spoken_and_the_end_is_announced() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    for version in [&version::TLS12, &version::TLS13] {
        let (address, served) = serve(authority.server(&files, &[version], false), |mut peer| {
            assert!(next(&mut peer).contains("subscribe"));
            says(&mut peer, SUBSCRIBED);
            says(&mut peer, &publish("1"));
            let pushed = next(&mut peer);
            // An end without a close_notify would be an error.
            let end = peer.read(&mut [0]).map_err(|error| error.kind());
            (pushed, end, peer.conn.protocol_version())
        });
        let mut queue = at::<Json>(&authority, address).consumer().unwrap();
        assert_eq!(pulled(&mut queue).as_i64(), Some(1));
        queue.push(&2).unwrap();
        drop(queue);
        let (pushed, end, spoken) = served.join().unwrap();
        assert!(pushed.contains("\"message\":2"), "{pushed}");
        assert_eq!((end, spoken), (Ok(0), Some(version.version)));
    }
}

/// What has arrived and is no whole record yet is waited for, and what can be opened is not.
#[test]
fn records_may_come_in_any_pieces() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    for size in [1, 2, 5, 100] {
        let config = authority.server(&files, &[&version::TLS13], false);
        let (address, served) = serve(config, move |mut peer| {
            next(&mut peer);
            let long = publish(&format!("\"{}\"", "x".repeat(2_000)));
            let frames = [SUBSCRIBED.into(), publish("1"), long, publish("3")];
            for body in frames {
                peer.conn.writer().write_all(&support::frame(0, body.as_bytes())).unwrap();
            }
            let mut sealed = Vec::new();
            while peer.conn.wants_write() {
                peer.conn.write_tls(&mut sealed).unwrap();
            }
            sealed.chunks(size).for_each(|piece| peer.sock.write_all(piece).unwrap());
            peer.read(&mut [0]).unwrap()
        });
        let mut queue = at::<Json>(&authority, address).consumer().unwrap();
        assert_eq!(pulled(&mut queue).as_i64(), Some(1));
        assert_eq!(pulled(&mut queue).as_str().map(str::len), Some(2_000));
        assert_eq!(pulled(&mut queue).as_i64(), Some(3));
        assert!(matches!(queue.pull_timeout(SHORT), Err(QueueError::TimedOut)));
        drop(queue);
        assert_eq!(served.join().unwrap(), 0);
    }
}

/// Either end may ask for new keys at any time; the other changes its own too.
#[test]
fn keys_change_while_messages_pass() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    let config = authority.server(&files, &[&version::TLS13], false);
    let (address, served) = serve(config, |mut peer| {
        next(&mut peer);
        says(&mut peer, SUBSCRIBED);
        for number in 0..50 {
            peer.conn.refresh_traffic_keys().unwrap();
            says(&mut peer, &publish(&format!("[{number},\"{}\"]", "x".repeat(20_000))));
            assert!(next(&mut peer).contains(&format!("\"message\":{number}")));
        }
    });
    let mut queue = at::<Json>(&authority, address).consumer().unwrap();
    for number in 0..50 {
        let Value::List(items) = pulled(&mut queue) else { panic!() };
        assert_eq!(items[0].as_i64(), Some(number));
        queue.push(&number).unwrap();
    }
    served.join().unwrap();
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    let client = authority.issue("client", &["client"]);
    let both = authority.folder().join("both.pem");
    let pem = |path| std::fs::read_to_string(path).unwrap();
    std::fs::write(&both, pem(&client.cert) + &pem(&client.key)).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        for in_one_file in [false, true] {
            let config = authority.server(&files, &[version], true);
            let (address, served) = serve(config, |mut peer| {
                next(&mut peer);
                says(&mut peer, SUBSCRIBED);
                peer.conn.peer_certificates().map(<[_]>::len)
            });
            let builder = at::<Json>(&authority, address);
            let queue = match in_one_file {
                true => builder.cert(&both),
                false => builder.cert(&client.cert).key(&client.key),
            };
            queue.consumer().unwrap();
            assert_eq!(served.join().unwrap(), Some(1));
        }
    }
}

/// The alert of a server that does not accept a client; then it reads what comes, because a close
/// with something unread might take the alert back.
fn refuse(mut peer: Secured) -> bool {
    let refused = peer.conn.complete_io(&mut peer.sock).is_err();
    while peer.conn.wants_write() {
        peer.conn.write_tls(&mut peer.sock).unwrap();
    }
    peer.sock.shutdown(Shutdown::Write).unwrap();
    let _ = std::io::copy(&mut peer.sock, &mut std::io::sink());
    refused
}

#[test]
fn a_client_certificate_that_is_missing_or_unknown_is_said() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = authority.issue("broker", &["localhost"]);
    let foreign = other.issue("client", &["client"]);
    let says = "does not accept this client's certificate, or that it has none";
    let serve = |version| serve(authority.server(&files, &[version], true), refuse);
    for shown in [false, true] {
        let with = |address| match shown {
            true => at::<Json>(&authority, address).cert(&foreign.cert).key(&foreign.key),
            false => at::<Json>(&authority, address),
        };
        // With TLS 1.3 it is said after the handshake.
        let (address, served) = serve(&version::TLS13);
        is_certificate(with(address).wait(PATIENCE).consumer(), says);
        assert!(served.join().unwrap());
        let (address, served) = serve(&version::TLS13);
        let mut producer = with(address).producer().unwrap();
        let pushed = producer.push(&1).and_then(|()| producer.flush());
        is_certificate(pushed, says);
        is_certificate(producer.flush(), says);
        assert!(served.join().unwrap());
        let (address, served) = serve(&version::TLS13);
        let client = Client::builder().address(url(address)).ca(authority.ca()).timeout(PATIENCE);
        let client = if shown { client.cert(&foreign.cert).key(&foreign.key) } else { client };
        is_certificate(client.connect().and_then(|mut client| client.flush()), says);
        assert!(served.join().unwrap());
    }
    let (address, served) = serve(&version::TLS12);
    match at::<Json>(&authority, address).producer() {
        Err(QueueError::Certificate(said)) => assert!(said.contains(says), "{said}"),
        // What rustls says with TLS 1.2 is a handshake failure.
        Err(error @ QueueError::Connect { .. }) => {
            assert!(error.to_string().contains("it may ask for a client certificate"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(served.join().unwrap());
}

// --- the other end speaks something else ---------------------------------------------------------

#[track_caller]
fn cannot_connect<T>(result: Result<T, QueueError>, parts: &[&str]) {
    match result.err() {
        Some(error @ QueueError::Connect { .. }) => {
            let said = error.to_string();
            assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
        }
        other => panic!("{other:?} instead of {parts:?}"),
    }
}

#[test]
fn tls_to_what_does_not_speak_it_says_so() {
    let authority = Authority::new();
    let broker = support::start();
    let address = broker.local_addr();
    let plain = format!("without TLS the address is babelmq://localhost:{}", address.port());
    let parts = ["no TLS connection came about", "does it speak TLS there, 1.2 or 1.3?", &plain];
    cannot_connect(at::<Json>(&authority, address).producer(), &parts);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closing = thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        // With something unread it would be reset.
        let _ = peer.read(&mut [0; 4_096]);
    });
    let parts = ["it closed the connection", "or it asks for a client certificate, cert and key"];
    cannot_connect(at::<Json>(&authority, address).producer(), &parts);
    closing.join().unwrap();
    cannot_connect(at::<Json>(&authority, address).producer(), &["(is it running?)"]);
}

#[test]
fn plain_to_tls_says_what_the_address_would_be() {
    let authority = Authority::new();
    let broker = start(&authority.issue("broker", &["localhost"]));
    let queue = JsonQueue::builder("/t").address(broker.local_addr()).timeout(PATIENCE);
    match queue.consumer() {
        Err(QueueError::Protocol(said)) => {
            assert!(said.contains("its address begins with babelmqs://"), "{said}");
        }
        other => panic!("{other:?}"),
    }
    // Other servers say nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closing = thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        let _ = peer.read(&mut [0; 4_096]);
    });
    match JsonQueue::builder("/t").address(address).timeout(PATIENCE).consumer() {
        Err(error @ QueueError::Connection(_)) => {
            let says = format!("if {address} speaks TLS, its address is babelmqs://{address}");
            assert!(error.to_string().contains(&says), "{error}");
        }
        other => panic!("{other:?}"),
    }
    closing.join().unwrap();
}

#[test]
fn a_handshake_that_does_not_go_on_costs_no_more_than_the_timeout() {
    let authority = Authority::new();
    // It accepts, as the system does for it, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let queue = at::<Json>(&authority, address).timeout(SHORT);
    cannot_connect(queue.producer(), &["no TLS connection came about", "timed out"]);
}

/// The handshake belongs to the queue, and not to the call that began it.
#[test]
fn a_handshake_goes_on_over_calls_of_little_patience() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    let broker = start(&files);
    let address = broker.local_addr();
    let proxy = Proxy::to(address);
    let mut queue = at::<Json>(&authority, proxy.address).consumer().unwrap();
    proxy.accepted();
    proxy.cut();
    broker.put_topic("/t", &1.into()).unwrap();
    until("it is there again", || match queue.pull_timeout(Duration::from_millis(1)) {
        Ok((_, value)) => value.as_i64() == Some(1),
        Err(error) => {
            assert!(matches!(error, QueueError::TimedOut), "{error}");
            false
        }
    });
    proxy.accepted();
}

#[test]
fn an_end_without_a_word_is_an_end_too() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    let config = authority.server(&files, &[&version::TLS13], false);
    let (address, served) = serve(config, |mut peer| {
        next(&mut peer);
        peer.sock.shutdown(Shutdown::Both).unwrap();
    });
    let client = Client::builder().address(url(address)).ca(authority.ca()).timeout(PATIENCE);
    let mut client = client.connect().unwrap();
    let ended = client.flush();
    served.join().unwrap();
    match ended {
        Err(QueueError::Connection(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
        other => panic!("{other:?}"),
    }
}
