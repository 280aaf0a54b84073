//! Publishes in JSON that are like one before, all but the payload and perhaps the topic.
//!
//! A producer spells its messages alike. The bytes around the payload were read in full once; where
//! the same bytes stand there again they say the same again, so comparing them is enough. The
//! payload itself is judged as ever.

use std::ops::Range;

use crate::json;
use crate::protocol::Limits;

/// Bytes around a payload that are remembered at most: a topic of any length, and what else a
/// program says with it.
pub(crate) const MOST_REMEMBERED: usize = 4 << 10;

/// The bytes around the payload of a publish that was read in full.
#[derive(Debug, Default)]
pub struct EnvelopeCache {
    /// From the start of the body to the payload; empty while nothing is known.
    before: Vec<u8>,
    /// From the payload to the end of the body.
    after: Vec<u8>,
    /// Where the topic lies in `before`, if it does, spelled without escapes.
    topic: Option<Range<usize>>,
}

/// A publish that was recognised.
#[derive(Debug, PartialEq, Eq)]
pub struct EnvelopeMatch<'a> {
    /// The topic, where it is another one than that of the publish before. Not judged yet.
    pub topic: Option<&'a str>,
    /// Where the payload lies. It was judged, and no decoding is needed for that.
    pub message: Range<usize>,
}

impl EnvelopeCache {
    /// Remembers what is around the payload of a body that was accepted: a publish to `topic`, its
    /// payload at `message`. Returns false, and remembers nothing, where that is longer than it is
    /// worth: every connection remembers one.
    pub fn learn(
        &mut self,
        source: &[u8],
        body: Range<usize>,
        message: Range<usize>,
        topic: &str,
    ) -> bool {
        if body.len() - message.len() > MOST_REMEMBERED {
            *self = EnvelopeCache::default();
            return false;
        }
        self.before.clear();
        self.before.extend_from_slice(&source[body.start..message.start]);
        self.after.clear();
        self.after.extend_from_slice(&source[message.end..body.end]);
        // A topic without escapes was borrowed from the source, and its address says where it lies.
        let start = topic.as_ptr().addr().checked_sub(source[body.start..].as_ptr().addr());
        self.topic = start.map(|start| start..start.saturating_add(topic.len())).filter(|range| {
            range.end < self.before.len() && self.before[range.clone()] == *topic.as_bytes()
        });
        true
    }

    /// Recognises a publish; `None` for everything that is to be read in full.
    #[inline]
    pub fn recognise<'a>(
        &self,
        source: &'a [u8],
        body: Range<usize>,
        limits: &Limits,
    ) -> Option<EnvelopeMatch<'a>> {
        let judge = |_: Option<&str>, start| json::plain_value(source, body.clone(), start, limits);
        self.recognise_with(source, body.clone(), judge)
    }

    /// The same with another way to judge: `judge` is told the topic, where it is another one, and
    /// where the payload begins, and says where it ends.
    #[inline]
    pub fn recognise_with<'a>(
        &self,
        source: &'a [u8],
        body: Range<usize>,
        judge: impl FnOnce(Option<&str>, usize) -> Option<usize>,
    ) -> Option<EnvelopeMatch<'a>> {
        if self.before.is_empty() {
            return None;
        }
        let text = &source[body.clone()];
        let (topic, start) = if text.starts_with(&self.before) {
            (None, self.before.len())
        } else {
            let (topic, start) = self.other_topic(text)?;
            (Some(topic), start)
        };
        let start = body.start + start;
        let end = judge(topic, start)?;
        (source[end..body.end] == *self.after)
            .then_some(EnvelopeMatch { topic, message: start..end })
    }

    /// The topic of a body that differs in it, and where its payload begins.
    fn other_topic<'a>(&self, text: &'a [u8]) -> Option<(&'a str, usize)> {
        let known = self.topic.clone()?;
        let rest = text.strip_prefix(&self.before[..known.start])?;
        let (topic, rest) = rest.split_at(json::literal_length(rest));
        let rest = rest.strip_prefix(&self.before[known.end..])?;
        Some((str::from_utf8(topic).ok()?, text.len() - rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::protocol::{Format, MAX_DEPTH, MAX_INT_DIGITS};
    use crate::{Document, Part, PayloadSpan, Request, read_request};

    /// Bodies that a producer may send; not all of them can be learned from.
    const BODIES: &[&str] = &[
        r#"{"command":"publish","topic":"a/b","message":{"x":[1,-2.5e3,"y",true,null],"z":{}}}"#,
        r#"{"command": "publish", "topic": "a/b", "message": [0.5, "\u00fc\\", false]}"#,
        r#" {"message":"ü","topic":"b","command":"publish","retain":false,"more":{"message":1}} "#,
        r#"{"topic":"topic","other":"topic","command":"publish","message":{"$set":[1]}}"#,
        r#"{"x":1,"topic":"\u0078","command":"publish","message":-0}"#,
        r#"{"message":12345678901234567890,"message_":0,"command":"publish","topic":""}"#,
        r#"{"command":"publish","topic":"/a","message":"a long text that is longer than any word"}"#,
    ];

    /// What is put into them; `[` stands for many.
    const PIECES: &[&str] = &[
        "",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\t",
        "\u{1f}",
        "\u{7f}",
        "ü",
        "0",
        "1",
        "-",
        ".",
        "e",
        "E+5",
        "e99",
        "e400",
        "$",
        "\"$a\":",
        "\"k\":",
        "true",
        "null",
        "\\n",
        "\\ud800",
        "/",
        "#",
        "\"topic\":\"t\",",
        "]]]]]]]]",
        "99999999999999999999999999999999999999999999999999",
    ];

    /// How a body is read: the topic, where the payload lies, whether it is retained, whether it is
    /// verbatim.
    fn read(body: &[u8], limits: &Limits) -> Option<(String, Range<usize>, bool, bool)> {
        match read_request(body, Format::Json, 0..body.len(), &mut Document::new(), limits).ok()? {
            Request::Publish {
                topic,
                message: PayloadSpan { part: Part::Value(range), document: None },
                retain,
                ttl: None,
                verbatim,
                id: None,
            } => Some((topic.into_owned(), range, retain, verbatim)),
            _ => None,
        }
    }

    fn learned(body: &[u8]) -> EnvelopeCache {
        let mut known = EnvelopeCache::default();
        let limits = Limits::default();
        let request =
            read_request(body, Format::Json, 0..body.len(), &mut Document::new(), &limits);
        if let Ok(Request::Publish {
            topic,
            message: PayloadSpan { part: Part::Value(range), .. },
            ..
        }) = request
        {
            known.learn(body, 0..body.len(), range, &topic);
        }
        known
    }

    /// Every connection remembers an envelope, so a long one would be multiplied by connections.
    #[test]
    fn what_is_long_around_a_payload_is_not_remembered() {
        for (length, is_remembered) in [(100, true), (MOST_REMEMBERED, false), (1 << 20, false)] {
            let long = "x".repeat(length);
            let body =
                format!(r#"{{"command":"publish","topic":"t","message":1,"other":"{long}"}}"#);
            let known = learned(body.as_bytes());
            assert_eq!(known.before.is_empty(), !is_remembered, "{length}");
            assert!(
                known.before.capacity() + known.after.capacity() <= 2 * MOST_REMEMBERED,
                "{length}"
            );
            let recognised = known.recognise(body.as_bytes(), 0..body.len(), &Limits::default());
            assert_eq!(recognised.is_some(), is_remembered, "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The short way never accepts what the full reading refuses, and never understands it
        /// differently.
        #[test]
        fn what_is_recognised_is_what_would_have_been_read(
            body in 0..BODIES.len(),
            changes in prop::collection::vec((any::<Index>(), 0..3_usize, 0..PIECES.len()), 0..4),
            deep in 1..150_usize,
            decoded_size in prop_oneof![3 => Just(usize::MAX), 1 => 0..2_000_usize],
            max_encoded in prop_oneof![3 => Just(u32::MAX), 1 => 8_192..10_000_u32],
            depth in prop_oneof![3 => Just(MAX_DEPTH), 1 => 0..4_usize],
            int_digits in prop_oneof![3 => Just(MAX_INT_DIGITS), 1 => 0..4_usize],
        ) {
            let original = BODIES[body].as_bytes();
            let mut changed = original.to_vec();
            for (at, removed, piece) in changes {
                let at = at.index(changed.len());
                let end = (at + removed).min(changed.len());
                let times = if PIECES[piece] == "[" { deep } else { 1 };
                changed.splice(at..end, PIECES[piece].repeat(times).into_bytes());
            }
            let limits = Limits { decoded_size, max_encoded, depth, int_digits, ..Limits::default() };
            let known = learned(original);
            if let Some(EnvelopeMatch { topic, message }) = known.recognise(&changed, 0..changed.len(), &limits) {
                let full = read(&changed, &limits);
                prop_assert!(full.is_some(), "accepted {:?}", String::from_utf8_lossy(&changed));
                let (full_topic, range, retain, verbatim) = full.unwrap();
                prop_assert_eq!(message, range);
                match read(original, &Limits::default()) {
                    Some((known_topic, _, known_retain, known_verbatim)) => {
                        prop_assert_eq!(topic.map_or(known_topic, str::to_owned), full_topic);
                        prop_assert_eq!((known_retain, known_verbatim), (retain, verbatim));
                    }
                    // What was learned from needed decoding.
                    None => prop_assert_eq!((topic.unwrap_or("topic"), true), (&*full_topic, retain)),
                }
            }
        }
    }

    #[track_caller]
    fn check(learned_from: &str, body: &str, expected: Option<(Option<&str>, &str)>) {
        let known = learned(learned_from.as_bytes());
        let found = known.recognise(body.as_bytes(), 0..body.len(), &Limits::default());
        assert_eq!(found.map(|found| (found.topic, &body[found.message])), expected, "{body}");
    }

    #[test]
    fn the_usual_publishes_are_recognised() {
        let first = r#"{"command":"publish","topic":"a","message":1}"#;
        check(
            first,
            r#"{"command":"publish","topic":"a","message":{"b":[2]}}"#,
            Some((None, r#"{"b":[2]}"#)),
        );
        check(
            first,
            r#"{"command":"publish","topic":"b/c","message":[]}"#,
            Some((Some("b/c"), "[]")),
        );
        check(
            first,
            r#"{"command":"publish","topic":"ü","message":"ü"}"#,
            Some((Some("ü"), r#""ü""#)),
        );
        check(
            first,
            r#"{"command":"publish","topic":"a","message":"\n\u00fc"}"#,
            Some((None, r#""\n\u00fc""#)),
        );
        check(first, r#"{"command":"publish","topic":"a","message":1 }"#, None);
        check(first, r#"{"command":"publish","topic":"a","message": 1}"#, None);
        check(first, r#"{"command":"publish","topic":"a","message":1,"retain":false}"#, None);
        check(first, r#"{"command":"publish","topic":"a","message":}"#, None);
        check(first, r#"{"command":"publish","topic":"a","message":{"$int":"1"}}"#, None);
        check(first, r#"{"command":"publish","topic":"\u0061","message":1}"#, None);
        check("[1]", "[1]", None);
    }

    #[test]
    fn only_the_topic_itself_may_differ() {
        // Another string may say what the topic says with escapes.
        let escaped = r#"{"x":1,"topic":"\u0078","command":"publish","message":1}"#;
        check(escaped, r#"{"y":1,"topic":"\u0078","command":"publish","message":1}"#, None);
        check(
            escaped,
            r#"{"x":1,"topic":"\u0078","command":"publish","message":2}"#,
            Some((None, "2")),
        );
        // Behind the payload, another topic is another envelope.
        let behind = r#"{"command":"publish","message":1,"topic":"a"}"#;
        check(behind, r#"{"command":"publish","message":2,"topic":"a"}"#, Some((None, "2")));
        check(behind, r#"{"command":"publish","message":2,"topic":"b"}"#, None);
    }
}
