//! A page of the topics that hold a value.

use super::response::Response;
use crate::protocol::{Topic, Value};

/// The topics of a sorted list that come behind one, and where the next page begins.
pub(crate) fn page_of_topics(topics: &[Topic], after: Option<&str>, limit: usize) -> Response {
    let first = after.map_or(0, |after| topics.partition_point(|topic| topic.as_str() <= after));
    let rest = &topics[first..];
    let page = &rest[..limit.min(rest.len())];
    let name = |topic: &Topic| Value::Str(topic.as_str().to_owned());
    let next = page.last().filter(|_| rest.len() > limit).map(|last| ("next", name(last)));
    let list = ("topics", Value::List(page.iter().map(name).collect()));
    Response::of_json([list].into_iter().chain(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let topics: Vec<Topic> =
            ["/a", "/b", "/c"].iter().map(|topic| Topic::parse(topic).unwrap()).collect();
        for (after, limit, expected) in [
            (None, 2, r#"{"topics":["/a","/b"],"next":"/b"}"#),
            (Some("/b"), 2, r#"{"topics":["/c"]}"#),
            (Some("/aa"), 1, r#"{"topics":["/b"],"next":"/b"}"#),
            (Some("/z"), 1, r#"{"topics":[]}"#),
            (None, 3, r#"{"topics":["/a","/b","/c"]}"#),
        ] {
            let response = page_of_topics(&topics, after, limit);
            assert_eq!(std::str::from_utf8(response.body()).unwrap(), expected);
        }
    }
}
