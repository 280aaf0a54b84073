//! Numbers of topics.

use super::super::Aliases;
use crate::protocol::MAX_TOPIC_BYTES;
use crate::wire::mqtt::{Content, Publish, Qos, Reason};

fn publish(topic: &str, alias: Option<u16>) -> Publish<'_> {
    let (qos, content) = (Qos::AtMostOnce, Content::default());
    Publish { dup: false, qos, retain: false, topic, id: None, alias, content, payload: b"" }
}

#[test]
fn a_number_stands_for_the_topic_that_it_came_with_last() {
    let mut aliases = Aliases::new(2);
    let mut topic = |topic: &str, alias| {
        aliases.topic(&publish(topic, alias)).map(str::to_owned).map_err(|fault| fault.reason)
    };
    assert_eq!(topic("a", None), Ok("a".to_owned()));
    assert_eq!(topic("", Some(1)), Err(Reason::PROTOCOL_ERROR));
    assert_eq!(topic("b", Some(2)), Ok("b".to_owned()));
    assert_eq!(topic("", Some(1)), Err(Reason::PROTOCOL_ERROR));
    assert_eq!(topic("", Some(2)), Ok("b".to_owned()));
    assert_eq!(topic("c/d", Some(2)), Ok("c/d".to_owned()));
    assert_eq!(topic("", Some(2)), Ok("c/d".to_owned()));
    assert_eq!(topic("a", Some(3)), Err(Reason::TOPIC_ALIAS));
    assert_eq!(topic("", Some(3)), Err(Reason::TOPIC_ALIAS));
    let mut none = Aliases::new(0);
    assert_eq!(none.topic(&publish("a", Some(1))).unwrap_err().reason, Reason::TOPIC_ALIAS);
}

#[test]
fn the_memory_of_topics_is_counted_and_bounded() {
    let mut aliases = Aliases::new(10);
    assert_eq!(aliases.bytes(), 0);
    let longest = "x".repeat(MAX_TOPIC_BYTES);
    let longer = "x".repeat(MAX_TOPIC_BYTES + 1);
    let slots = |aliases: &Aliases| aliases.topics.capacity() * size_of::<Box<str>>();
    aliases.topic(&publish("abc", Some(1))).unwrap();
    assert_eq!(aliases.bytes(), slots(&aliases) + 3);
    aliases.topic(&publish("ab", Some(1))).unwrap();
    assert_eq!(aliases.bytes(), slots(&aliases) + 2);
    // Any order of numbers, and any topic, takes no more than was claimed.
    for alias in [10, 3, 7, 1, 2, 4, 5, 6, 8, 9] {
        aliases.topic(&publish(&longest, Some(alias))).unwrap();
        assert!(aliases.bytes() <= Aliases::most_bytes(10), "{}", aliases.bytes());
    }
    assert_eq!(aliases.bytes(), Aliases::most_bytes(10));
    assert_eq!(aliases.topic(&publish(&longer, Some(3))), Ok(&*longer));
    assert_eq!(aliases.bytes(), Aliases::most_bytes(10) - MAX_TOPIC_BYTES);
    assert_eq!(aliases.topic(&publish("", Some(3))).unwrap_err().reason, Reason::PROTOCOL_ERROR);
}
