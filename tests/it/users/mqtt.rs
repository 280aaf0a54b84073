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
