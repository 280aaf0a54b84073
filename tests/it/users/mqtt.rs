//! Users of MQTT: CONNECT logs in.

use babelmq::ListenUrl;

use super::{Users, user};
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5};

const NOT_AUTHORIZED: u8 = 0x87;

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
