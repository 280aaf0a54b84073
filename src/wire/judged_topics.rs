//! Topics that a session judged in earlier reads: to repeat them costs a comparison.

use std::ops::Range;

/// Places for topics.
pub(super) const PLACES: usize = 256;
/// Bytes of text that are remembered.
const TEXT: usize = 4 << 10;

/// Topics that are well formed, within the limits, and that the client may publish to: of bounded
/// memory, and the exact text decides.
///
/// The memory is a part of what each connection that is not idle takes, and is made by the first
/// topic.
#[derive(Debug, Default)]
pub(super) struct JudgedTopics {
    /// The bytes in `text` of the topic at each place.
    places: Option<Box<[Range<u16>; PLACES]>>,
    text: String,
}

impl JudgedTopics {
    /// Whether a topic is one of them, remembered at one of its places.
    #[inline]
    pub(super) fn has(&self, topic: &str, at: [usize; 2]) -> bool {
        let Some(places) = &self.places else { return false };
        at.iter().any(|place| {
            let Range { start, end } = places[*place];
            // No topic is empty, and a place may be.
            start < end && self.text.get(start.into()..end.into()) == Some(topic)
        })
    }

    /// Remembers a topic that was judged, and forgets all others where there is no room for it.
    pub(super) fn note(&mut self, topic: &str, at: [usize; 2]) {
        if topic.len() > TEXT / 4 {
            return;
        }
        if self.text.len() + topic.len() > TEXT {
            self.forget();
        }
        if self.text.capacity() == 0 {
            self.text.reserve_exact(TEXT);
        }
        let places = self.places.get_or_insert_with(|| Box::new([const { 0..0 }; PLACES]));
        let place = if places[at[0]].is_empty() { at[0] } else { at[1] };
        let start = self.text.len();
        self.text.push_str(topic);
        // Both are below TEXT.
        places[place] = start as u16..self.text.len() as u16;
    }

    /// Forgets all of them: what they were judged by has changed.
    pub(super) fn forget(&mut self) {
        self.text.clear();
        if let Some(places) = &mut self.places {
            places.fill(0..0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_text_decides() {
        let mut judged = JudgedTopics::default();
        assert!(!judged.has("a", [1, 0]) && !judged.has("", [1, 0]));
        judged.note("a/b", [1, 0]);
        judged.note("a/c", [1, 0]);
        assert!(judged.has("a/b", [1, 0]) && judged.has("a/c", [1, 0]));
        for other in ["a", "a/", "a/bb", "b", "", "a/b/c"] {
            assert!(!judged.has(other, [1, 0]), "{other}");
        }
        assert!(!judged.has("a/b", [2, 3]) && !judged.has("", [2, 3]));
        judged.forget();
        assert!(!judged.has("a/b", [1, 0]));
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut judged = JudgedTopics::default();
        for number in 0..10_000 {
            let topic = format!("topic/{number}");
            let place = number % PLACES;
            judged.note(&topic, [place, place ^ 1]);
            assert!(judged.has(&topic, [place, place ^ 1]));
            assert_eq!(judged.text.capacity(), TEXT);
        }
        let long = "x".repeat(TEXT);
        judged.note(&long, [0, 1]);
        assert!(!judged.has(&long, [0, 1]));
    }
}
