//! Whether one filter matches all that another one does.

use crate::protocol::TopicFilter;

/// Whether every topic that `narrow` matches is matched by `wide`.
pub(in crate::broker) fn covers(wide: &TopicFilter, narrow: &TopicFilter) -> bool {
    // No wildcard stands for what is the broker's own.
    if narrow.as_str().starts_with('$') && !wide.as_str().starts_with('$') {
        return false;
    }
    if narrow.reaches_below() && !wide.reaches_below() {
        return false;
    }
    let mut narrower = narrow.segments();
    let begins_alike = wide
        .segments()
        .all(|wanted| narrower.next().is_some_and(|is| wanted == "+" || wanted == is));
    begins_alike && (wide.reaches_below() || narrower.next().is_none())
}

/// Whether some topic is matched by both filters.
pub(in crate::broker) fn overlap(one: &TopicFilter, other: &TopicFilter) -> bool {
    // No wildcard stands for what is the broker's own.
    let is_own = |filter: &TopicFilter| filter.as_str().starts_with('$');
    if is_own(one) != is_own(other) {
        return false;
    }
    let (mut of_one, mut of_other) = (one.segments(), other.segments());
    loop {
        match (of_one.next(), of_other.next()) {
            (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
            (Some(_), Some(_)) => return false,
            (None, None) => return true,
            (None, Some(_)) => return one.reaches_below(),
            (Some(_), None) => return other.reaches_below(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_overlap_where_a_topic_is_both_s() {
        let overlap = |one: &str, other: &str| {
            let parse = |filter: &str| match filter.strip_suffix('!') {
                Some(filter) => TopicFilter::parse(filter).unwrap().below(false),
                None => TopicFilter::parse(filter).unwrap(),
            };
            let (one, other) = (parse(one), parse(other));
            let overlaps = super::overlap(&one, &other);
            assert_eq!(super::overlap(&other, &one), overlaps, "{one} {other}");
            overlaps
        };
        for (one, other) in [
            ("#", "a"),
            ("a", "a/b"),
            ("+/b", "a/+"),
            ("a/+/c", "a/b"),
            ("a!", "a"),
            ("$x", "$x/y"),
        ] {
            assert!(overlap(one, other), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("a/b", "a/c"), ("a!", "a/b"), ("#", "$x"), ("/a", "a")] {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_filter_covers_what_is_narrower() {
        let covers = |wide: &str, narrow: &str| {
            super::covers(&TopicFilter::parse(wide).unwrap(), &TopicFilter::parse(narrow).unwrap())
        };
        for (wide, narrow) in [
            ("#", "a"),
            ("#", "#"),
            ("#", "+/b"),
            ("a", "a/#"),
            ("a/#", "a"),
            ("a", "a/b"),
            ("+/b", "a/b"),
            ("+/b", "+/b/c"),
            ("a/+", "a/+"),
            ("/a", "/a/b"),
            ("$dead", "$dead/x"),
        ] {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
        for (wide, narrow) in [
            ("a", "#"),
            ("a", "b"),
            ("a/b", "a/+"),
            ("a/b", "a"),
            ("+/b", "a/c"),
            ("a", "/a"),
            ("#", "$dead/x"),
            ("+", "$dead"),
            ("$dead/x", "$dead"),
        ] {
            assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
        }
        let exactly = |filter: &str| TopicFilter::parse(filter).unwrap().below(false);
        let below = |filter: &str| TopicFilter::parse(filter).unwrap();
        assert!(super::covers(&below("a"), &exactly("a/b")));
        assert!(super::covers(&exactly("a/+"), &exactly("a/b")));
        assert!(!super::covers(&exactly("a"), &below("a")));
        assert!(!super::covers(&exactly("a"), &exactly("a/b")));
    }
}
