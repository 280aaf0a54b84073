//! Text to topics and filters, and which topics a filter matches.

use std::collections::HashSet;

use babelmq::protocol::{MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS, check_writable};
use babelmq::{Topic, TopicFilter};

use crate::{Bound, linear};

/// A topic is copied once; a refusal shows 80 characters of it, each escaped.
const BOUND: Bound = Bound { base: 8 << 10, per_byte: 8 };

/// The input is a filter, a newline, a topic.
pub fn topic(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (filter, topic) = text.split_once('\n').unwrap_or((text, text));
    let parsed_filter = linear("filter", filter.len(), BOUND, || TopicFilter::parse(filter));
    let parsed_topic = linear("topic", topic.len(), BOUND, || Topic::parse(topic));
    assert_eq!(parsed_filter.is_ok(), is_filter(filter), "{filter:?}: {parsed_filter:?}");
    assert_eq!(parsed_topic.is_ok(), is_topic(topic), "{topic:?}: {parsed_topic:?}");
    if let Ok(filter) = &parsed_filter
        && !filter.as_str().ends_with(['/', '#'])
        && let Ok(same) = TopicFilter::parse(&format!("{filter}/#"))
    {
        assert_eq!(*filter, same);
        let mut set = HashSet::from([filter]);
        assert!(!set.insert(&same), "two equal filters hash differently");
    }
    let (Ok(filter), Ok(topic)) = (parsed_filter, parsed_topic) else { return };
    let is_matched = is_matched(filter.as_str(), topic.as_str());
    assert_eq!(filter.matches(&topic), is_matched, "{filter:?} {topic:?}");
    let depth = |text: &str| text.split('/').count();
    let is_as_deep = depth(filter.as_str()) == depth(topic.as_str()) && filter.as_str() != "/";
    let is_subtree = filter.as_str().ends_with('#');
    let alone = filter.clone().below(false);
    let is_matched_alone = is_matched && (is_as_deep || is_subtree);
    assert_eq!(alone.matches(&topic), is_matched_alone, "{alone:?} {topic:?}");
    assert_eq!(alone == filter, is_subtree);
    assert_eq!(check_writable(topic.as_str()).is_err(), topic.as_str().starts_with('$'));
    let itself = TopicFilter::parse(topic.as_str()).expect("a topic is a filter");
    assert!(itself.matches(&topic) && itself.below(false).matches(&topic));
}

// The rules as docs/protocol.md puts them.

fn segments(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

fn is_spelled_right(text: &str) -> bool {
    let mut segments = segments(text);
    if segments.len() > 1 && segments[0].is_empty() {
        segments.remove(0);
    }
    text.len() <= MAX_TOPIC_BYTES
        && segments.len() <= MAX_TOPIC_SEGMENTS
        && segments.iter().all(|segment| !segment.is_empty())
        && !text.chars().any(char::is_control)
}

fn is_topic(text: &str) -> bool {
    is_spelled_right(text) && !text.contains('+') && !text.contains('#')
}

fn is_filter(text: &str) -> bool {
    let segments = segments(text);
    let wild = |segment: &&&str| segment.contains('+') || segment.contains('#');
    text == "/"
        || is_spelled_right(text)
            && segments.iter().filter(wild).all(|&segment| segment == "+" || segment == "#")
            && segments.iter().rev().skip(1).all(|&segment| segment != "#")
}

fn is_matched(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut wanted = segments(filter);
    if wanted.last() == Some(&"#") || filter == "/" {
        wanted.pop();
    }
    let topic = segments(topic);
    wanted.len() <= topic.len()
        && wanted.iter().zip(topic).all(|(&wanted, is)| wanted == "+" || wanted == is)
}
