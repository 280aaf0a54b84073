//! Queues and clients in Rust that log in. The broker is the test itself, so that it can say what
//! it likes.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use babelmq::Format::{Json as InJson, Pickle as InPickle, Xml as InXml};
use babelmq::{
    Arrival, Client, ConnectionEvent, ErrorCode, Format, Json, JsonQueue, Pickle, Queue,
    QueueBuilder, QueueError, Subscribe, TopicFilter, Wire, Xml,
};

use crate::support::process::until;
use crate::support::{self, Field, PATIENCE};

const SHORT: Duration = Duration::from_millis(50);

/// A listener, and what a thread makes of its connections.
fn serve<T: Send + 'static>(
    script: impl FnOnce(&TcpListener) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || script(&listener)))
}

fn accept(listener: &TcpListener) -> support::Client {
    support::Client::of(listener.accept().unwrap().0)
}

/// Whether nobody has asked for another connection.
fn is_alone(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Takes the login of Ada, in this format.
#[track_caller]
fn login(peer: &mut support::Client, format: Format) {
    let frame = peer.next();
    assert_eq!(frame.format, format);
    frame.says(&[("command", "login"), ("user", "ada"), ("password", "s3cret")]);
}

fn welcome(peer: &mut support::Client, format: Format) {
    let fields = [("command", "welcome"), ("user", "ada"), ("server", "0.1.0")];
    peer.command(format, &fields.map(|(name, text)| (name, Field::Str(text))));
}

fn refuse(peer: &mut support::Client, format: Format, code: &str, topic: Option<&str>) {
    let text = |name, text| (name, Field::Str(text));
    let mut fields = vec![
        text("command", "error"),
        text("code", code),
        text("reason", "that is why"),
        ("fatal", Field::Bool(topic.is_none())),
    ];
    fields.extend(topic.map(|topic| text("topic", topic)));
    peer.command(format, &fields);
}

fn subscribed(peer: &mut support::Client, format: Format, limited: bool) {
    assert_eq!(peer.next().field("command"), "subscribe");
    let mut fields = vec![
        ("command", Field::Str("subscribed")),
        ("topic", Field::Str("/t")),
        ("values", Field::Int(0)),
    ];
    fields.extend(limited.then_some(("limited", Field::Bool(true))));
    peer.command(format, &fields);
}

fn ada<W: Wire>(address: SocketAddr) -> QueueBuilder<W> {
    Queue::builder("/t").address(address).user("ada").password("s3cret").timeout(PATIENCE)
}

fn nobody(address: SocketAddr) -> QueueBuilder<Json> {
    JsonQueue::builder("/t").address(address).timeout(PATIENCE)
}

#[track_caller]
fn is_not_let_in<T>(result: Result<T, QueueError>, code: &str) {
    match result.err() {
        Some(error @ QueueError::LoginFailed(_)) => {
            let said = error.to_string();
            assert!(said.contains("does not let this client in: "), "{said}");
            assert!(said.contains(&format!("{code}: that is why")), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
        other => panic!("{other:?} instead of {code}"),
    }
}

#[test]
fn a_login_is_the_first_frame_and_its_answer_is_waited_for() {
    fn check<W: Wire>() {
        let (address, served) = serve(|listener| {
            let mut peer = accept(listener);
            login(&mut peer, W::FORMAT);
            welcome(&mut peer, W::FORMAT);
            subscribed(&mut peer, W::FORMAT, false);
            // The next one is not welcome, and has said nothing else by then.
            let mut peer = accept(listener);
            login(&mut peer, W::FORMAT);
            refuse(&mut peer, W::FORMAT, "login-failed", None);
            peer.finish_sending();
            peer.ends();
        });
        let mut queue = ada::<W>(address).consumer().unwrap();
        assert!(!queue.is_limited());
        is_not_let_in(ada::<W>(address).consumer(), "login-failed");
        served.join().unwrap();
        assert!(queue.pull_timeout(SHORT).is_err());
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_client_logs_in_and_by_a_token_too() {
    let (address, served) = serve(|listener| {
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        welcome(&mut peer, InJson);
        assert_eq!(peer.next().field("command"), "ping");
        peer.send(InJson, br#"{"command":"pong","id":1}"#);
        let mut peer = accept(listener);
        peer.next().says(&[("command", "login"), ("token", "t0ken")]);
        welcome(&mut peer, InJson);
    });
    let client = || Client::builder().address(address).timeout(PATIENCE);
    client().user("ada").password("s3cret").connect().unwrap().flush().unwrap();
    client().token("t0ken").connect().unwrap();
    served.join().unwrap();
}

#[test]
fn a_login_may_stand_in_the_address_and_needs_no_tls_on_a_unix_socket() {
    let (address, served) = serve(|listener| {
        let mut peer = accept(listener);
        login(&mut peer, InXml);
        welcome(&mut peer, InXml);
    });
    let url = format!("babelmq://ada:s3cret@{address}");
    Queue::<Xml>::builder("/t").address(&url).timeout(PATIENCE).producer().unwrap();
    served.join().unwrap();

    let path = std::env::temp_dir().join(format!("babelmq-login-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let served = thread::spawn(move || {
        let stream = std::os::fd::OwnedFd::from(listener.accept().unwrap().0);
        let mut peer = support::Client::of_descriptor(stream);
        login(&mut peer, InPickle);
        welcome(&mut peer, InPickle);
        assert_eq!(peer.next().field("command"), "publish");
    });
    let queue = Queue::<Pickle>::builder("/t").address(format!("unix:{}", path.display()));
    let mut queue = queue.user("ada").password("s3cret").timeout(PATIENCE).producer().unwrap();
    queue.push(&1).unwrap();
    served.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn every_connection_begins_with_the_login() {
    fn check<W: Wire>() {
        let (address, served) = serve(|listener| {
            for number in 0..3 {
                let mut peer = accept(listener);
                login(&mut peer, W::FORMAT);
                welcome(&mut peer, W::FORMAT);
                subscribed(&mut peer, W::FORMAT, false);
                let message = support::number(W::FORMAT, number);
                peer.publish(W::FORMAT, "/t", &message);
            }
        });
        let mut queue = ada::<W>(address).consumer().unwrap();
        for number in 0..3 {
            assert_eq!(queue.pull_timeout(PATIENCE).unwrap().1.as_i64(), Some(number));
        }
        served.join().unwrap();
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_login_that_failed_is_not_tried_again() {
    let (address, served) = serve(|listener| {
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        refuse(&mut peer, InJson, "login-failed", None);
        peer.finish_sending();
        peer.ends();
        is_alone(listener)
    });
    // However long it might be waited for.
    is_not_let_in(ada::<Json>(address).wait(PATIENCE * 100).producer(), "login-failed");
    assert!(served.join().unwrap());
}

#[test]
fn a_login_that_fails_when_the_connection_is_made_again_is_the_end() {
    let (address, served) = serve(|listener| {
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        welcome(&mut peer, InJson);
        subscribed(&mut peer, InJson, false);
        peer.publish(InJson, "/t", b"1");
        drop(peer);
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        refuse(&mut peer, InJson, "login-failed", None);
        peer.finish_sending();
        peer.ends();
        listener.try_clone().unwrap()
    });
    let (tell, told) = channel();
    let mut queue = ada::<Json>(address)
        .on_connection(move |event| drop(tell.send(event.clone())))
        .consumer()
        .unwrap();
    assert_eq!(queue.pull_timeout(PATIENCE).unwrap().1.as_i64(), Some(1));
    for _ in 0..2 {
        is_not_let_in(queue.pull_timeout(PATIENCE), "login-failed");
        is_not_let_in(queue.push(&1), "login-failed");
        is_not_let_in(queue.flush(), "login-failed");
        is_not_let_in(queue.topics(), "login-failed");
    }
    assert!(is_alone(&served.join().unwrap()));
    let events: Vec<ConnectionEvent> = told.try_iter().collect();
    let [ConnectionEvent::Connected, ConnectionEvent::Lost { .. }, ended] = &*events else {
        panic!("{events:?}");
    };
    assert!(matches!(ended, ConnectionEvent::Ended { .. }), "{ended:?}");
    assert!(ended.to_string().contains("any more: the broker does not let this client in"));
}

#[test]
fn who_has_not_logged_in_is_told_to() {
    let (address, served) = serve(|listener| {
        for _ in 0..3 {
            let mut peer = accept(listener);
            peer.next();
            refuse(&mut peer, InJson, "login-required", None);
            peer.finish_sending();
            while peer.next_or_end().is_some() {}
        }
        is_alone(listener)
    });
    is_not_let_in(nobody(address).wait(PATIENCE).consumer(), "login-required");
    let mut producer = nobody(address).producer().unwrap();
    let pushed = producer.push(&1).and_then(|()| producer.flush());
    let said = format!("{}", pushed.as_ref().unwrap_err());
    assert!(said.contains("say who this is with user and password, with token"), "{said}");
    is_not_let_in(pushed, "login-required");
    is_not_let_in(producer.push(&2), "login-required");
    is_not_let_in(producer.flush(), "login-required");
    let mut client = Client::builder().address(address).timeout(PATIENCE).connect().unwrap();
    is_not_let_in(client.flush(), "login-required");
    drop(client);
    assert!(served.join().unwrap());
}

#[test]
fn what_is_not_permitted_is_refused_and_the_connection_goes_on() {
    let (address, served) = serve(|listener| {
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        welcome(&mut peer, InJson);
        assert_eq!(peer.next().field("command"), "publish");
        refuse(&mut peer, InJson, "not-permitted", Some("/t"));
        let ping = peer.next();
        peer.send(InJson, format!(r#"{{"command":"pong","id":{}}}"#, ping.field("id")).as_bytes());
        assert_eq!(peer.next().field("command"), "subscribe");
        refuse(&mut peer, InJson, "not-permitted", Some("/t"));
        peer.next();
    });
    let mut queue = ada::<Json>(address).producer().unwrap();
    queue.push(&1).unwrap();
    for refused in [queue.flush(), queue.subscribe_to("/t")] {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::NotPermitted), "{error}");
        let QueueError::Refused(refused) = error else { panic!("{error}") };
        assert_eq!((refused.topic.as_deref(), refused.fatal), (Some("/t"), false));
    }
    drop(queue);
    served.join().unwrap();
}

#[test]
fn a_subscription_that_is_allowed_in_part_says_so() {
    fn check<W: Wire>() {
        let (address, served) = serve(|listener| {
            for limited in [true, false] {
                let mut peer = accept(listener);
                subscribed(&mut peer, W::FORMAT, limited);
                let mut peer = accept(listener);
                subscribed(&mut peer, W::FORMAT, limited);
            }
        });
        for limited in [true, false] {
            let queue = Queue::<W>::builder("/t").address(address).timeout(PATIENCE);
            assert_eq!(queue.consumer().unwrap().is_limited(), limited, "{}", W::FORMAT);
            let client = Client::builder().address(address).timeout(PATIENCE);
            let mut client = client.connect().unwrap();
            let filter = TopicFilter::parse("/t").unwrap();
            client.subscribe(&filter, W::FORMAT, Subscribe::default()).unwrap();
            match client.next(None).unwrap() {
                Some(Arrival::Subscribed { limited: said, .. }) => assert_eq!(said, limited),
                other => panic!("{other:?}"),
            }
        }
        served.join().unwrap();
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

/// An older broker knows no login, and a full one has no room.
#[test]
fn any_other_answer_to_a_login_is_what_it_says() {
    let (address, served) = serve(|listener| {
        for code in ["unknown-command", "too-many-connections"] {
            let mut peer = accept(listener);
            login(&mut peer, InJson);
            refuse(&mut peer, InJson, code, None);
        }
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        peer.publish(InJson, "/t", b"1");
        let mut peer = accept(listener);
        login(&mut peer, InJson);
    });
    for code in [ErrorCode::UnknownCommand, ErrorCode::TooManyConnections] {
        match ada::<Json>(address).producer() {
            Err(QueueError::Refused(refused)) => assert!(refused.is(code), "{refused}"),
            other => panic!("{other:?}"),
        }
    }
    match ada::<Json>(address).producer() {
        Err(QueueError::Protocol(said)) => assert!(said.contains("before a login"), "{said}"),
        other => panic!("{other:?}"),
    }
    let ended = ada::<Json>(address).producer();
    assert!(matches!(ended, Err(QueueError::Connection(_))), "{ended:?}");
    served.join().unwrap();
    let nothing = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = ada::<Json>(nothing.local_addr().unwrap()).timeout(SHORT).producer();
    assert!(matches!(silent, Err(QueueError::TimedOut)), "{silent:?}");
}

/// The login belongs to the queue, and not to the call that began it.
#[test]
fn a_login_goes_on_over_calls_of_little_patience() {
    let (tell, told) = channel();
    let (address, served) = serve(move |listener| {
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        welcome(&mut peer, InJson);
        subscribed(&mut peer, InJson, false);
        drop(peer);
        let mut peer = accept(listener);
        login(&mut peer, InJson);
        told.recv().unwrap();
        welcome(&mut peer, InJson);
        subscribed(&mut peer, InJson, false);
        peer.publish(InJson, "/t", b"1");
        let alone = is_alone(listener);
        (peer, alone)
    });
    let mut queue = ada::<Json>(address).consumer().unwrap();
    let mut impatient = 0;
    until("it is there again", || match queue.pull_timeout(Duration::from_millis(1)) {
        Ok((_, value)) => value.as_i64() == Some(1),
        Err(error) => {
            assert!(matches!(error, QueueError::TimedOut), "{error}");
            impatient += 1;
            if impatient == 200 {
                tell.send(()).unwrap();
            }
            false
        }
    });
    assert!(served.join().unwrap().1);
}

#[test]
fn a_login_that_would_cross_a_network_in_plain_is_not_sent() {
    // Every address of this machine, and none that is its own alone.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = format!("0.0.0.0:{port}");
    let queue = || JsonQueue::builder("/t").address(&address).token("s3cret").timeout(PATIENCE);
    match queue().wait(PATIENCE * 100).producer() {
        Err(QueueError::Options(said)) => {
            assert!(said.contains(&format!("the address is babelmqs://{address}")), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
        other => panic!("{other:?}"),
    }
    assert!(is_alone(&listener));
    listener.set_nonblocking(false).unwrap();
    let served = thread::spawn(move || {
        let mut peer = accept(&listener);
        peer.next().says(&[("command", "login"), ("token", "s3cret")]);
        welcome(&mut peer, InJson);
    });
    queue().allow_plain_login(true).producer().unwrap();
    served.join().unwrap();
    // A name that stands for this machine.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let served = thread::spawn(move || {
        let mut peer = accept(&listener);
        peer.next();
        welcome(&mut peer, InJson);
    });
    JsonQueue::builder("/t").address(address).token("s3cret").timeout(PATIENCE).producer().unwrap();
    served.join().unwrap();
}

#[test]
fn nothing_that_is_printed_shows_a_password() {
    let queue = JsonQueue::builder("/t").address("babelmq://ada:s3cret@h").password("s3cret");
    let queue = queue.token("s3cret");
    let client = Client::builder().address("s3cret@h").password("s3cret").token("s3cret");
    for printed in [format!("{queue:?}"), format!("{client:?}")] {
        assert!(printed.contains("@h") && !printed.contains("s3cret"), "{printed}");
    }
    let error = queue.producer().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    let error = client.connect().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}
