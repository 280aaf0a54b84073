//! Topics and filters of MQTT are those of the broker, or refused.

use super::*;
use crate::protocol::{Limits, Topic};

#[test]
fn a_topic_is_the_same_text_here_and_there() {
    let limits = Limits::default();
    for good in ["a", "/a", "a/b/c", "/", " ", "a b", "ü", "a/$b"] {
        let name = topic_name(good, &limits);
        match good {
            "/" => assert_eq!(name.unwrap_err().reason, Reason::TOPIC_NAME),
            _ => assert_eq!(name.map(|name| name.as_str()), Ok(good)),
        }
    }
    let long = "x".repeat(1025);
    let deep = ["a"; 65].join("/");
    for (bad, words) in [
        ("a//b", "empty segment"),
        ("a/", "ends with"),
        ("//", "ends with"),
        ("//a", "empty segment"),
        ("", "empty"),
        ("a\u{1}", "control character"),
        ("$SYS/x", "broker's own"),
        ("$share/g/x", "broker's own"),
        ("a/+", "wildcards"),
        (&long, "1025 bytes"),
        (&deep, "65 segments"),
    ] {
        let refused = topic_name(bad, &limits).unwrap_err();
        assert_eq!(refused.reason, Reason::TOPIC_NAME, "{bad}");
        assert!(refused.words.contains(words), "{}", refused.words);
    }
}

#[test]
fn a_filter_matches_as_mqtt_has_it() {
    for (filter, topic, expected) in [
        ("a", "a", true),
        ("a", "a/b", false),
        ("a", "/a", false),
        ("/a", "/a", true),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("+", "/a", false),
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("#", "a/b/c", true),
        ("#", "$SYS/uptime", false),
        ("+/uptime", "$SYS/uptime", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("$SYS/+", "$SYS/uptime", true),
        ("$share/group/a/+", "a/b", true),
        ("$share/group/#", "$SYS/uptime", false),
        ("$share/group//a", "/a", true),
    ] {
        let wanted = wanted(filter, &Limits::default()).unwrap();
        let topic = Topic::parse(topic).unwrap();
        assert_eq!(wanted.filter.matches(&topic), expected, "{filter} {topic}");
        assert_eq!(wanted.group.is_some(), filter.starts_with("$share"));
    }
}

#[test]
fn a_filter_that_the_broker_does_not_have_is_refused() {
    for bad in [
        "",
        "a//b",
        "a/",
        "a/#/b",
        "a#",
        "a+/b",
        "\u{1}",
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        "$share/a#/a",
        "$share/g/a//b",
    ] {
        let refused = wanted(bad, &Limits::default()).unwrap_err();
        assert_eq!(refused.reason, Reason::TOPIC_FILTER, "{bad}");
        assert!(!refused.words.is_empty());
    }
    assert_eq!(wanted("$shared/g", &Limits::default()).unwrap().group, None);
}
