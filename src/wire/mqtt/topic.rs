//! Topics and filters of MQTT as topics and filters of the broker.

use std::sync::Arc;

use crate::protocol::{
    Limits, Refusal, TopicFilter, TopicName, check_topic_limits, check_writable,
};

use super::reason::Reason;

/// A topic or filter that the broker does not have. The connection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRefused {
    /// [`Reason::TOPIC_NAME`] or [`Reason::TOPIC_FILTER`].
    pub reason: Reason,
    /// What is wrong with it, for the reason string and the log.
    pub words: String,
}

impl TopicRefused {
    fn name(refusal: Refusal) -> TopicRefused {
        TopicRefused { reason: Reason::TOPIC_NAME, words: refusal.reason.clone() }
    }

    fn filter(refusal: Refusal) -> TopicRefused {
        TopicRefused { reason: Reason::TOPIC_FILTER, words: refusal.reason.clone() }
    }
}

/// The topic that a client of MQTT publishes to. It is the same text: `a` and `/a` are two topics
/// here as there.
///
/// # Errors
/// It breaks the rules of the broker's topics: a segment is empty (`a//b`, `a/`, but not `/a`), it
/// is too long or has too many segments, has a control character, or begins with `$`.
///
/// ```
/// # use babelmq::internals::mqtt::topic_name;
/// # use babelmq::protocol::Limits;
/// assert_eq!(topic_name("/a/b", &Limits::default()).map(|name| name.as_str()), Ok("/a/b"));
/// let refused = topic_name("a//b", &Limits::default()).unwrap_err();
/// assert_eq!(refused.words, "topic \"a//b\": it has an empty segment (\"//\")");
/// ```
pub fn topic_name<'a>(text: &'a str, limits: &Limits) -> Result<TopicName<'a>, TopicRefused> {
    check_writable(text)
        .and_then(|()| check_topic_limits(text, limits))
        .and_then(|()| TopicName::parse(text))
        .map_err(TopicRefused::name)
}

/// A filter of MQTT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name of the group, where the subscription is shared: all that was asked for, because
    /// groups of the same name with other filters are others.
    pub group: Option<Arc<str>>,
    /// What it matches: as many segments as it has, and a trailing `#` all below.
    pub filter: TopicFilter,
}

impl Wanted {
    /// What the broker calls it: the filter, or the name of the group.
    pub fn as_str(&self) -> &str {
        self.group.as_deref().unwrap_or(self.filter.as_str())
    }
}

/// The filter that a client of MQTT means, and the group of a shared one
/// (`$share/GROUP/FILTER`; MQTT 5, 4.8.2).
///
/// # Errors
/// It breaks the rules of the broker's filters, which are those of MQTT, and in which no segment is
/// empty but the first. Or it is shared, and its group or its filter is missing, or its group has a
/// wildcard or a control character, or all of it is longer than a topic may be.
///
/// ```
/// # use babelmq::internals::mqtt::wanted;
/// # use babelmq::protocol::{Limits, Topic};
/// let wanted = wanted("$share/workers/jobs/+", &Limits::default()).unwrap();
/// assert_eq!(wanted.group.as_deref(), Some("$share/workers/jobs/+"));
/// assert!(wanted.filter.matches(&Topic::parse("jobs/print")?));
/// assert!(!wanted.filter.matches(&Topic::parse("jobs/print/done")?));
/// # Ok::<(), babelmq::Refusal>(())
/// ```
pub fn wanted(text: &str, limits: &Limits) -> Result<Wanted, TopicRefused> {
    let (group, filter) = match text.split_once('/') {
        Some(("$share", rest)) => {
            let (group, filter) = rest.split_once('/').unwrap_or((rest, ""));
            let is_name = !group.is_empty()
                && text.len() <= limits.topic_bytes
                && !group
                    .contains(|letter: char| matches!(letter, '+' | '#') || letter.is_control());
            if !is_name || filter.is_empty() {
                let words = "a shared subscription is $share/GROUP/FILTER, and its group is a name \
                             without wildcards and control characters; all of it is no longer \
                             than a topic may be";
                let reason = Reason::TOPIC_FILTER;
                return Err(TopicRefused { reason, words: words.to_owned() });
            }
            (Some(text.into()), filter)
        }
        _ if text == "$share" => return wanted("$share/", limits),
        _ => (None, text),
    };
    let filter = check_topic_limits(filter, limits).and_then(|()| TopicFilter::parse(filter));
    let filter = filter.map_err(TopicRefused::filter)?.below(false);
    Ok(Wanted { group, filter })
}
