//! Which topics brokers share, and what the stream is called that keeps them.

use std::fmt;
use std::str::FromStr;

use crate::broker::streams::check_name;
use crate::protocol::TopicFilter;

/// Topics that several brokers share.
///
/// ```
/// use babelmq::SharedTopics;
///
/// let orders: SharedTopics = "orders/#".parse()?;
/// assert_eq!((orders.stream.as_str(), orders.filter.as_str()), ("orders", "orders/#"));
/// let named: SharedTopics = "eu-orders=orders/eu/#".parse()?;
/// assert_eq!(named.stream, "eu-orders");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedTopics {
    /// The name of the stream that keeps them, at the backbone and for clients: letters, digits,
    /// `-` and `_`.
    pub stream: String,
    /// Which topics.
    pub filter: TopicFilter,
}

impl SharedTopics {
    /// Topics in a stream of this name.
    ///
    /// # Errors
    /// Words that say what a name may be, or a filter, where this is none.
    pub fn new(stream: &str, filter: TopicFilter) -> Result<SharedTopics, String> {
        check_name("stream", stream)?;
        // NATS: "Stream names cannot contain whitespace, `.`, `*`, `>` …".
        if stream.contains(['.', '$']) {
            return Err(format!(
                "the stream of shared topics is one of NATS, whose name has no \".\" and no \"$\"; \
                 this is {stream:?}"
            ));
        }
        if filter.as_str().starts_with('$') {
            return Err(format!(
                "topics that begin with \"$\" are each broker's own and not shared; this is \
                 {filter}"
            ));
        }
        Ok(SharedTopics { stream: stream.to_owned(), filter })
    }
}

/// `FILTER`, or `NAME=FILTER`. The name that a filter has by itself is that of its segments, `any`
/// for `+` and `all` for all topics.
impl FromStr for SharedTopics {
    type Err = String;

    fn from_str(text: &str) -> Result<SharedTopics, String> {
        let (name, filter) = match text.split_once('=') {
            Some((name, filter)) => (Some(name), filter),
            None => (None, text),
        };
        let parsed = TopicFilter::parse(filter).map_err(|refusal| refusal.reason.clone())?;
        match name {
            Some(name) => SharedTopics::new(name, parsed),
            None => SharedTopics::new(&own_name(filter), parsed)
                .map_err(|error| format!("{error}; give the stream a name: NAME={filter}")),
        }
    }
}

/// The name of a filter whose stream was given none.
fn own_name(filter: &str) -> String {
    let segments = filter.split('/').filter(|segment| !segment.is_empty() && *segment != "#");
    let words: Vec<&str> =
        segments.map(|segment| if segment == "+" { "any" } else { segment }).collect();
    if words.is_empty() { "all".to_owned() } else { words.join("-") }
}

/// As it is given to `--shared`.
impl fmt::Display for SharedTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.stream, self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_its_stream_where_nothing_else_does() {
        let named = |text: &str| text.parse::<SharedTopics>().map(|topics| topics.to_string());
        for (text, expected) in [
            ("orders/#", "orders=orders/#"),
            ("/plant/+/temp", "plant-any-temp=/plant/+/temp"),
            ("#", "all=#"),
            ("o_1=orders/eu/#", "o_1=orders/eu/#"),
        ] {
            assert_eq!(named(text).as_deref(), Ok(expected));
        }
        for text in ["a.b/#", "x.y=a/#", "=a", "o=$SYS/#", "$x/#", "o=", "a/#/b"] {
            assert!(named(text).is_err(), "{text}");
        }
        assert!(named("a b/#").unwrap_err().contains("NAME=a b/#"));
    }
}
