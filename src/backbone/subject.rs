//! Topics as subjects of NATS, and back.
//!
//! A segment is a token. What NATS cannot carry in one is percent-encoded; so is the empty segment
//! in front of a leading `/`, as `%2F`, which no segment is otherwise.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::protocol::{Topic, TopicFilter};

/// The token of the segment in front of a leading `/`.
const ROOT: &str = "%2F";

/// What divides and matches tokens, and the sign that says so; what is not visible besides. All
/// that is not ASCII goes as it is.
const NOT_IN_A_TOKEN: &[char] = &['%', '.', '*', '>', ' '];
/// What a name of a consumer cannot have, which is a token and a file's name at the server.
const NOT_IN_A_NAME: &[char] = &['%', '.', '*', '>', ' ', '/', '\\'];

/// The subject of a topic; `None` for topics of each broker's own, which are not shared.
pub(super) fn of_topic(topic: &Topic) -> Option<String> {
    (!topic.name().is_brokers()).then(|| joined(topic.segments()))
}

/// The topic that a subject stands for; `None` where it is none that [`of_topic`] gives.
pub(super) fn to_topic(subject: &str) -> Option<Topic> {
    let topic = Topic::parse(&decoded(subject)?).ok()?;
    (of_topic(&topic)? == subject).then_some(topic)
}

/// The subjects of the topics that a filter matches.
pub(super) fn of_filter(filter: &TopicFilter) -> Vec<String> {
    let own = joined(filter.segments());
    match (own.is_empty(), filter.reaches_below()) {
        (true, _) => vec![">".to_owned()],
        (false, false) => vec![own],
        (false, true) => {
            let below = format!("{own}.>");
            vec![own, below]
        }
    }
}

/// The filter that means as much as these subjects, if one does.
pub(super) fn to_filter(subjects: &[String]) -> Option<TopicFilter> {
    let own = subjects.iter().min_by_key(|subject| subject.len())?;
    let text = match own.as_str() {
        ">" => "#".to_owned(),
        ROOT => "/".to_owned(),
        own => decoded(own)?,
    };
    let filter = TopicFilter::parse(&text).ok()?;
    let both = [filter.clone(), filter.below(false)];
    both.into_iter().find(|filter| same(&of_filter(filter), subjects))
}

/// Whether two lists have the same subjects.
pub(super) fn same(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|subject| other.contains(subject))
}

/// Whether a subject with wildcards matches everything that another one does.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    let mut of_narrow = narrow.split('.');
    for token in wide.split('.') {
        match (token, of_narrow.next()) {
            (">", Some(_)) => return true,
            ("*", Some(narrow)) if narrow != ">" => {}
            (wide, Some(narrow)) if wide == narrow => {}
            _ => return false,
        }
    }
    of_narrow.next().is_none()
}

/// A consumer's name as NATS takes it.
pub(super) fn of_name(name: &str) -> String {
    let mut encoded = String::new();
    encode(name, NOT_IN_A_NAME, &mut encoded);
    encoded
}

/// What [`of_name`] was given; a name that it does not give is itself.
pub(super) fn to_name(name: &str) -> String {
    let decoded = percent_decode_str(name).decode_utf8_lossy();
    if of_name(&decoded) == name { decoded.into_owned() } else { name.to_owned() }
}

fn joined<'a>(segments: impl Iterator<Item = &'a str>) -> String {
    let mut subject = String::new();
    for (at, segment) in segments.enumerate() {
        if at > 0 {
            subject.push('.');
        }
        match segment {
            "" => subject.push_str(ROOT),
            // Of a filter; no topic has such a segment.
            "+" => subject.push('*'),
            segment => encode(segment, NOT_IN_A_TOKEN, &mut subject),
        }
    }
    subject
}

fn encode(text: &str, without: &[char], to: &mut String) {
    for letter in text.chars() {
        if letter.is_control() || without.contains(&letter) {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                to.push_str(percent_encoding::percent_encode_byte(byte));
            }
        } else {
            to.push(letter);
        }
    }
}

fn decoded(subject: &str) -> Option<String> {
    let mut text = String::new();
    for (at, token) in subject.split('.').enumerate() {
        if at > 0 {
            text.push('/');
        }
        match token {
            ROOT if at == 0 => {}
            "*" => text.push('+'),
            token => {
                let segment: Cow<'_, str> = percent_decode_str(token).decode_utf8().ok()?;
                text.push_str(&segment);
            }
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text).unwrap()
    }

    #[test]
    fn segments_are_tokens() {
        for (topic, subject) in [
            ("orders/eu/7", "orders.eu.7"),
            ("/plant/a b", "%2F.plant.a%20b"),
            ("a.b/100%/*x/>", "a%2Eb.100%25.%2Ax.%3E"),
            ("%2F/ü/日本", "%252F.ü.日本"),
            ("x/$y", "x.$y"),
        ] {
            let topic = Topic::parse(topic).unwrap();
            assert_eq!(of_topic(&topic).as_deref(), Some(subject));
            assert_eq!(to_topic(subject), Some(topic));
        }
        assert_eq!(of_topic(&Topic::parse("$SYS/x").unwrap()), None);
    }

    #[test]
    fn only_what_a_topic_is_written_as_is_one() {
        // Another spelling of the same bytes would be a topic with two orders.
        let strange = [
            "a%62", "a.%2f", "a%2eb", "%61", "a.*", "a.>", "a..b", ".a", "a.", "", "%", "a%zz",
            "a%FF", "$x.y", "a%2Fb", "b.%2F", "a+b", "%2B", "a%00",
        ];
        for subject in strange {
            assert_eq!(to_topic(subject), None, "{subject}");
        }
    }

    #[test]
    fn a_filter_is_one_subject_or_two() {
        for (text, subjects) in [
            ("orders/#", &["orders", "orders.>"][..]),
            ("orders", &["orders", "orders.>"]),
            ("/plant/+/temp", &["%2F.plant.*.temp", "%2F.plant.*.temp.>"]),
            ("+", &["*", "*.>"]),
            ("/", &["%2F", "%2F.>"]),
            ("#", &[">"]),
        ] {
            assert_eq!(of_filter(&filter(text)), subjects, "{text}");
            let back = to_filter(&of_filter(&filter(text)));
            assert_eq!(back, Some(filter(text)), "{text}");
        }
        let alone = filter("a/+").below(false);
        assert_eq!(of_filter(&alone), ["a.*"]);
        assert_eq!(to_filter(&["a.*".to_owned()]), Some(alone));
        // Only what is below, or what two filters match together, is no filter.
        assert_eq!(to_filter(&["a.>".to_owned()]), None);
        assert_eq!(to_filter(&["a".to_owned(), "b.>".to_owned()]), None);
        assert_eq!(to_filter(&[]), None);
    }

    #[test]
    fn a_stream_may_have_more_subjects_than_are_shared() {
        for (wide, narrow, expected) in [
            ("a.>", "a.>", true),
            ("a.>", "a.b.>", true),
            ("a.*", "a.b", true),
            (">", "a", true),
            ("*.>", "a.>", true),
            ("a.>", "a", false),
            ("a.*", "a.>", false),
            ("a.b", "a.*", false),
            ("a", "a.b", false),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn names_of_consumers_are_tokens() {
        for (name, expected) in [("billing.eu-1", "billing%2Eeu-1"), ("a/b c", "a%2Fb%20c")] {
            assert_eq!(of_name(name), expected);
            assert_eq!(to_name(expected), name);
        }
        assert_eq!(to_name("of%another"), "of%another");
    }

    /// Topics that can be shared.
    const TOPICS: &str = "/?[^/$\\p{Cc}#+][^/\\p{Cc}#+]{0,8}(/[^/\\p{Cc}#+]{1,8}){0,5}";

    proptest! {
        #[test]
        fn every_topic_comes_back(text in TOPICS) {
            let topic = Topic::parse(&text).unwrap();
            let subject = of_topic(&topic).unwrap();
            let bad = |byte: u8| byte <= b' ' || byte == 0x7f || b"*>".contains(&byte);
            prop_assert!(!subject.bytes().any(bad), "{}", subject);
            prop_assert!(subject.split('.').all(|token| !token.is_empty()));
            prop_assert_eq!(to_topic(&subject), Some(topic));
        }

        /// Whatever a stranger publishes to is a topic's one subject, or no topic.
        #[test]
        fn every_subject_is_one_topic_or_none(subject in "[a%.*>+#/$2Ff ü]{0,12}") {
            if let Some(topic) = to_topic(&subject) {
                prop_assert_eq!(of_topic(&topic), Some(subject));
            }
        }
    }
}
