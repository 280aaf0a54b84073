//! Queues and clients of the library that log in.

use std::fs;

use babelmq::{
    Client, ClientAuth, ErrorCode, Format, Json, ListenUrl, Message, Pickle, Publish, Queue,
    QueueBuilder, QueueError, TlsFiles, Topic, UserFrom, Wire, Xml,
};

use rcgen::DnType;

use super::{BETTER, SECRET, TOKEN, Users, start, user};
use crate::support::PATIENCE;
use crate::support::authority::Authority;

fn users() -> String {
    let ada = user("ada", "publish = ['#']\nsubscribe = ['#']\ndeny-subscribe = ['b']");
    format!("{ada}\n[[user]]\nname = 'ci'\ntoken-sha256 = {TOKEN:?}\nroles = ['ada']\n")
}

fn at<W: Wire>(broker: &babelmq::BrokerHandle, topic: &str) -> QueueBuilder<W> {
    Queue::builder(topic).address(broker.local_addr()).timeout(PATIENCE)
}

#[test]
fn a_queue_logs_in_in_every_format_and_knows_what_is_kept_from_it() {
    fn check<W: Wire>() {
        let (broker, _users) = start(&users());
        let queue = |topic| at::<W>(&broker, topic).user("ada").password("secret");
        let mut consumer = queue("a").consumer().unwrap();
        assert!(!consumer.is_limited());
        assert!(queue("#").consumer().unwrap().is_limited());
        let mut producer = at::<W>(&broker, "a").token("token").producer().unwrap();
        producer.push(&7).unwrap();
        producer.flush().unwrap();
        assert_eq!(consumer.pull_timeout(PATIENCE).unwrap().1.as_i64(), Some(7));
        let refused = queue("b").consumer().unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::NotPermitted), "{refused}");
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn who_is_not_let_in_is_told_so() {
    let (broker, _users) = start(&users());
    let wrong = at::<Pickle>(&broker, "a").user("ada").password("Secret").wait(PATIENCE);
    let error = wrong.producer().unwrap_err();
    assert!(matches!(error, QueueError::LoginFailed(_)), "{error:?}");
    assert_eq!(error.code(), Some(ErrorCode::LoginFailed));
    assert!(!format!("{error} {error:?}").contains("Secret"), "{error:?}");
    assert_eq!(broker.stats().logins_failed, 1);
    let error = at::<Xml>(&broker, "a").wait(PATIENCE).consumer().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::LoginRequired), "{error:?}");
    let mut client = Client::builder().address(broker.local_addr()).timeout(PATIENCE);
    client = client.user("ada").password("secret");
    let mut client = client.connect().unwrap();
    let message = Message::parse(Format::Json, b"1").unwrap();
    client.publish(&Topic::parse("a").unwrap(), &message, Publish::default()).unwrap();
    client.flush().unwrap();
}

/// A broker without users takes whoever says who he is.
#[test]
fn a_broker_without_users_takes_every_login() {
    let broker = crate::support::start();
    let mut queue = at::<Json>(&broker, "a").user("ada").password("any").producer().unwrap();
    queue.push(&1).unwrap();
    queue.flush().unwrap();
}

#[test]
fn a_password_that_is_another_when_the_connection_is_made_again_is_the_end() {
    let (broker, file) = start(&users());
    let mut queue = at::<Json>(&broker, "a").user("ada").password("secret").consumer().unwrap();
    let changed = fs::read_to_string(&file.0).unwrap().replace(SECRET, BETTER);
    file.write(&changed);
    let address = broker.local_addr();
    broker.shutdown();
    let broker = file.start(|config| config.listeners([address]));
    for _ in 0..2 {
        let error = queue.pull_timeout(PATIENCE).unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::LoginFailed), "{error:?}");
    }
    assert_eq!(broker.stats().logins_failed, 1);
}

/// A certificate logs its user in, without a word from the client; one that names nobody does not.
#[test]
fn the_name_in_a_certificate_is_the_user() {
    let authority = Authority::new();
    let server = authority
        .issue("broker", &["localhost"])
        .client_ca(authority.ca())
        .client_auth(ClientAuth::Optional)
        .user_from(UserFrom::CommonName);
    let rules = "roles = ['r']\n[role.r]\npublish = ['oslo']\nsubscribe = ['oslo']\n";
    let device = format!("[[user]]\nname = 'oslo'\ncertificate = true\n{rules}");
    let users = Users::new(&format!("{device}{}", user("rome", "publish = ['#']")));
    let url: ListenUrl = "tls://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]).tls(server));
    let of = |name: &str| {
        authority.issue_with(name, &[], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
        })
    };
    let queue = |topic, name: Option<&str>| {
        let address = format!("babelmqs://localhost:{}", broker.local_addr().port());
        let queue = at::<Json>(&broker, topic).address(address).ca(authority.ca());
        match name.map(of) {
            Some(TlsFiles { cert, key, .. }) => queue.cert(cert).key(key),
            None => queue,
        }
    };
    let mut consumer = queue("oslo", Some("oslo")).consumer().unwrap();
    let mut producer = queue("oslo", Some("oslo")).producer().unwrap();
    producer.push(&7).unwrap();
    assert_eq!(consumer.pull_timeout(PATIENCE).unwrap().1.as_i64(), Some(7));
    // Rome has a password, and nobody is called like the third.
    for name in [Some("rome"), Some("nobody"), None] {
        let error = queue("oslo", name).consumer().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::LoginRequired), "{name:?}: {error:?}");
    }
    let mut producer = queue("rome", None).user("rome").password("secret").producer().unwrap();
    producer.push(&8).unwrap();
    producer.flush().unwrap();
    // Who shows a certificate no more once it is taken from the user is out.
    users.write(&user("rome", "publish = ['#']"));
    broker.reload_users().unwrap();
    let error = consumer.pull_timeout(PATIENCE).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::LoginRequired), "{error:?}");
}
