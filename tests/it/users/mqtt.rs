//! Users of MQTT: CONNECT logs in.

use std::time::{Duration, Instant};

use babelmq::{ListenUrl, QueueLimits};

use super::{Users, user};
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, packet, text};
use crate::support::process::until;

const NOT_AUTHORIZED: u8 = 0x87;
const QUOTA: u8 = 0x97;

#[test]
fn who_logs_in_may_do_what_its_user_may() {
    let users = Users::new(&format!(
        "{}\n[[user]]\nname = 'ci'\ntoken-sha256 = {:?}\nroles = ['ada']\n",
        user("ada", "publish = ['t/#']\nsubscribe = ['t/#']"),
        super::TOKEN
    ));
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]));
    for (version, refused, wrong) in [(V3_1_1, 5, 4), (V5, NOT_AUTHORIZED, 0x86)] {
        let mut stranger = Mqtt::dial(&broker, version);
        assert_eq!(stranger.ask(&Hello::new(version, "stranger")).body[1], refused);
        assert_eq!(stranger.next(), None);
        let mut liar = Mqtt::dial(&broker, version);
        let hello = Hello { user: Some(("ada", "wrong")), ..Hello::new(version, "liar") };
        assert_eq!(liar.ask(&hello).body[1], wrong);
        // Without a name of a user, the password is a token.
        for (name, password) in [("ada", "secret"), ("", "token")] {
            let hello = Hello { user: Some((name, password)), ..Hello::new(version, "sensor") };
            let (mut sensor, _) = Mqtt::hello(&broker, &hello);
            assert_eq!(sensor.subscribe("t/x", 1), 1);
            sensor.publish("t/x", b"1", 0, false, 0);
            assert_eq!(sensor.plain_message(), ("t/x".into(), b"1".to_vec()));
            if version == V5 {
                assert_eq!(sensor.subscribe("other", 1), NOT_AUTHORIZED);
                sensor.publish("other", b"1", 1, false, 7);
                let puback = sensor.read();
                assert_eq!((puback.kind(), puback.body[2]), ("PUBACK", NOT_AUTHORIZED));
            } else {
                assert_eq!(sensor.subscribe("other", 1), 0x80);
            }
            sensor.disconnect();
        }
    }
}

/// Two users never share a session, whatever their clients call themselves.
#[test]
fn a_session_is_its_users_alone() {
    let both = ["ada", "bob"].map(|name| user(name, "publish = ['#']\nsubscribe = ['#']"));
    let users = Users::new(&both.concat());
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]));
    let hello = |name| Hello { user: Some((name, "secret")), ..Hello::new(V5, "same").staying() };
    let (mut ada, _) = Mqtt::hello(&broker, &hello("ada"));
    let (mut bob, is_present) = Mqtt::hello(&broker, &hello("bob"));
    assert!(!is_present);
    ada.ping();
    bob.ping();
    ada.disconnect();
    let (_ada, is_present) = Mqtt::hello(&broker, &hello("ada"));
    assert!(is_present);
}

/// What a user has lost while away is not there when the user is again: another session begins.
#[test]
fn a_session_ends_with_its_user() {
    let ada = user("ada", "publish = ['#']\nsubscribe = ['#']");
    let users = Users::new(&format!("{ada}{}", user("bob", "publish = ['#']")));
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]));
    let hello = Hello { user: Some(("ada", "secret")), ..Hello::new(V5, "sensor").staying() };
    let (mut sensor, _) = Mqtt::hello(&broker, &hello);
    sensor.subscribe("t", 1);
    sensor.disconnect();
    users.write(&user("bob", "publish = ['#']"));
    broker.reload_users().unwrap();
    assert_eq!(broker.list_subscriptions("t").unwrap(), []);
    users.write(&ada);
    broker.reload_users().unwrap();
    for is_there in [false, true] {
        let (mut sensor, is_present) = Mqtt::hello(&broker, &hello);
        assert_eq!(is_present, is_there);
        sensor.subscribe("t", 1);
        sensor.publish("t", b"1", 0, false, 0);
        assert_eq!(sensor.plain_message().1, b"1");
        sensor.disconnect();
    }
}

/// A right that is lost is no answer to a message that has the number of a SUBSCRIBE of before.
#[test]
fn a_lost_subscription_is_no_refusal_of_a_message() {
    let both = user("ada", "publish = ['#']\nsubscribe = ['#']");
    let users = Users::new(&both);
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]));
    let hello = Hello { user: Some(("ada", "secret")), ..Hello::new(V5, "sensor") };
    let (mut sensor, _) = Mqtt::hello(&broker, &hello);
    assert_eq!(sensor.subscribe("t/#", 1), 1);
    assert_eq!(sensor.subscribe("u/#", 1), 1);
    users.write(&user("ada", "publish = ['#']\nsubscribe = ['u/#']"));
    broker.reload_users().unwrap();
    // The number that `subscribe` has used.
    sensor.publish("t/x", b"1", 1, false, 9);
    let puback = sensor.read();
    assert_eq!((puback.kind(), &puback.body[..]), ("PUBACK", &[0, 9][..]));
    sensor.publish("u/x", b"1", 0, false, 0);
    assert_eq!(sensor.plain_message().0, "u/x");
    // What was lost can be had again, and is new then.
    users.write(&both);
    broker.reload_users().unwrap();
    sensor.publish("t/x", b"last", 0, true, 0);
    // Retain Handling 1: last values where the subscription is new.
    assert_eq!(sensor.subscribe("t/#", 0x11), 1);
    assert_eq!(sensor.plain_message().1, b"last");
}

#[test]
fn a_user_has_so_many_connections_of_mqtt_too() {
    let users = Users::new(&user("ada", "publish = ['#']\nconnections = 2"));
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners(["127.0.0.1:0".parse().unwrap(), url]));
    let ask = |version, client| {
        let mut mqtt = Mqtt::dial(&broker, version);
        let hello = Hello { user: Some(("ada", "secret")), ..Hello::new(version, client) };
        let connack = mqtt.ask(&hello);
        assert_eq!(connack.kind(), "CONNACK");
        (mqtt, connack.body[1])
    };
    // Those of other protocols count as well.
    let _native = super::logged_in(&broker, "ada");
    let (first, refused) = ask(V5, "first");
    assert_eq!(refused, 0);
    for (version, refused) in [(V3_1_1, 3), (V5, QUOTA)] {
        let (mut third, code) = ask(version, "third");
        assert_eq!((code, third.next()), (refused, None), "{version}");
    }
    first.disconnect();
    until("another may be there", || ask(V5, "fourth").1 == 0);
}

/// A client that has lost its network is not kept out by the connection that it has lost.
#[test]
fn a_user_takes_its_own_session_over_with_its_last_connection() {
    let users = Users::new(&user("ada", "publish = ['#']\nconnections = 1"));
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]));
    let ask = |client, password| {
        let mut mqtt = Mqtt::dial(&broker, V5);
        let hello = Hello { user: Some(("ada", password)), ..Hello::new(V5, client).staying() };
        let connack = mqtt.ask(&hello);
        assert_eq!(connack.kind(), "CONNACK");
        (mqtt, connack.body[0], connack.body[1])
    };
    let (mut first, _, accepted) = ask("phone", "secret");
    assert_eq!(accepted, 0);
    assert_eq!(ask("other", "secret").2, 0x97, "it has a connection");
    assert_eq!(ask("phone", "wrong").2, 0x86);
    first.ping();
    for _ in 0..10 {
        let (second, is_present, accepted) = ask("phone", "secret");
        assert_eq!((is_present, accepted), (1, 0));
        assert_eq!(first.read().body[0], 0x8e);
        first = second;
    }
    first.ping();
}

#[test]
fn who_sends_more_than_its_rate_by_mqtt_is_read_more_slowly_and_loses_nothing() {
    for (limit, payload) in [("messages-per-second = 100", 1), ("bytes-per-second = 20_000", 193)] {
        let users = Users::new(&user("ada", &format!("publish = ['#']\n{limit}")));
        let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
        let broker = users.start(|config| config.listeners([url]));
        let hello = Hello { user: Some(("ada", "secret")), ..Hello::new(V5, "sensor") };
        let (mut sensor, _) = Mqtt::hello(&broker, &hello);
        // A packet of so many bytes and seven more.
        let one = packet(0x30, &[&text("t")[..], &[0], &vec![b'x'; payload]].concat());
        let began = Instant::now();
        sensor.send(&one.repeat(150));
        until("all are published", || broker.stats().published == 150);
        // What is free is a second's, and the pause for the rest comes before the next read.
        sensor.ping();
        assert!(began.elapsed() >= Duration::from_millis(400), "{limit}: {:?}", began.elapsed());
    }
}

/// Rights are those of the user, whatever is asked for in whichever way.
#[test]
fn what_a_user_may_not_do_is_not_authorized() {
    let role = "publish = ['mine/#']\nsubscribe = ['mine/#', 'theirs']";
    let users = Users::new(&user("ada", role));
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]));
    let hello = |version| Hello { user: Some(("ada", "secret")), ..Hello::new(version, "sensor") };
    let (mut sensor, _) = Mqtt::hello(&broker, &hello(V5));
    for filter in ["other", "other/#", "others/+"] {
        assert_eq!(sensor.subscribe(filter, 1), NOT_AUTHORIZED, "{filter}");
    }
    for filter in ["mine/x", "mine/#", "theirs", "#"] {
        assert_eq!(sensor.subscribe(filter, 1), 1, "{filter}");
    }
    // A message, a last value that is cleared, and one of QoS 2.
    for (topic, payload, qos, retain) in
        [("theirs", &b"1"[..], 1, false), ("theirs", b"", 1, true), ("other", b"1", 2, false)]
    {
        sensor.publish(topic, payload, qos, retain, 7);
        let answer = sensor.read();
        let kind = if qos == 1 { "PUBACK" } else { "PUBREC" };
        assert_eq!((answer.kind(), answer.body[2]), (kind, NOT_AUTHORIZED), "{topic}");
    }
    // Of QoS 0 nothing is answered; it goes to nobody.
    sensor.publish("theirs", b"1", 0, true, 0);
    sensor.publish("mine/x", b"2", 0, false, 0);
    assert_eq!(sensor.plain_message(), ("mine/x".into(), b"2".to_vec()));
    assert_eq!(broker.get_topic("theirs").unwrap(), None);
    // MQTT 3.1.1 has no word for it: what may not be published goes to nobody (3.3.5).
    drop(sensor);
    let (mut old, _) = Mqtt::hello(&broker, &hello(V3_1_1));
    assert_eq!((old.subscribe("other", 1), old.subscribe("theirs", 1)), (0x80, 1));
    old.publish("theirs", b"1", 1, true, 7);
    let puback = old.read();
    assert_eq!((puback.kind(), &puback.body[..]), ("PUBACK", &[0, 7][..]));
    old.ping();
    assert_eq!(broker.get_topic("theirs").unwrap(), None);
}

/// What waits for a client, and what it subscribes to, is bounded as for everybody.
#[test]
fn queues_and_subscriptions_are_bounded_for_clients_of_mqtt() {
    let users = Users::new(&user("ada", "publish = ['#']\nsubscribe = ['#']"));
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| {
        let queue = QueueLimits::default().messages(10);
        config.listeners([url]).max_subscriptions(3).queue(queue)
    });
    let hello = |client, properties| Hello {
        user: Some(("ada", "secret")),
        properties,
        ..Hello::new(V5, client)
    };
    // Receive Maximum.
    let (mut slow, _) = Mqtt::hello(&broker, &hello("slow", &[33, 0, 1]));
    for (filter, granted) in [("a", 1), ("b", 1), ("c", 1), ("d", QUOTA)] {
        assert_eq!(slow.subscribe(filter, 1), granted, "{filter}");
    }
    let (mut publisher, _) = Mqtt::hello(&broker, &hello("publisher", &[]));
    for id in 1..=20 {
        publisher.publish("a", b"1", 1, false, id);
        assert_eq!(publisher.read().body[..], [0, id as u8]);
    }
    slow.message();
    let last = slow.read();
    assert_eq!((last.kind(), last.body[0]), ("DISCONNECT", QUOTA));
    assert_eq!(slow.next(), None);
    assert_eq!(broker.stats().slow_consumers, 1);
}

/// A group is of all users of the broker, and each member gets what its user may see.
#[test]
fn a_group_is_of_all_users_and_each_gets_what_it_may_see() {
    let all = user("ada", "publish = ['#']\nsubscribe = ['#']");
    let some = |sees: &str| format!("{all}{}", user("bob", &format!("subscribe = ['{sees}']")));
    let users = Users::new(&some("t/open"));
    let url: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    let broker = users.start(|config| config.listeners([url]));
    let hello = |name| Hello { user: Some((name, "secret")), ..Hello::new(V5, name) };
    let [(mut ada, _), (mut bob, _)] =
        ["ada", "bob"].map(|name| Mqtt::hello(&broker, &hello(name)));
    let shared = "$share/g/t/+";
    assert_eq!((ada.subscribe(shared, 0), bob.subscribe(shared, 0)), (0, 0));
    assert_eq!(bob.subscribe("$share/g/u/+", 0), NOT_AUTHORIZED);
    let members = |topic| broker.list_subscriptions(topic).unwrap().len();
    assert_eq!((members("t/open"), members("t/secret")), (2, 1));
    let publisher = Hello { user: Some(("ada", "secret")), ..Hello::new(V5, "publisher") };
    let (mut publisher, _) = Mqtt::hello(&broker, &publisher);
    for _ in 0..3 {
        publisher.publish("t/secret", b"1", 0, false, 0);
        assert_eq!(ada.plain_message().0, "t/secret");
        // They take turns, whoever is next.
        publisher.publish("t/open", b"1", 0, false, 0);
        publisher.publish("t/open", b"1", 0, false, 0);
        assert_eq!(
            (ada.plain_message().0, bob.plain_message().0),
            ("t/open".into(), "t/open".into())
        );
    }
    // Who loses the right is no member any more, and may be one again.
    users.write(&some("u/#"));
    broker.reload_users().unwrap();
    assert_eq!((members("t/open"), broker.stats().subscriptions), (1, 1));
    for _ in 0..3 {
        publisher.publish("t/open", b"2", 0, false, 0);
        assert_eq!(ada.plain_message().1, b"2");
    }
    users.write(&some("#"));
    broker.reload_users().unwrap();
    assert_eq!(bob.unsubscribe(shared).body.last(), Some(&0x11));
    assert_eq!(bob.subscribe(shared, 0), 0);
    publisher.publish("t/secret", b"3", 0, false, 0);
    publisher.publish("t/secret", b"3", 0, false, 0);
    assert_eq!((ada.plain_message().1, bob.plain_message().1), (b"3".to_vec(), b"3".to_vec()));
}
