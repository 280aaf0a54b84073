//! Entries of topic filters, found by the topics that they match.
//!
//! All filters of one shape, with their `+` at the same places of as many segments and about what
//! is below or not, match a topic if the same of its segments are theirs. So for each shape that is
//! in use there is one key to look for: the sum of what each of those segments adds to it, which is
//! the sum of the first segments without those at the places of a `+`. A lookup takes each segment
//! of the topic once, and then a step for each shape, however many filters there are and whether
//! they match or not.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use crate::protocol::{MAX_TOPIC_SEGMENTS, Shape, TopicFilter, TopicName};

/// Segments of the longest filter: the empty one before a leading `/` is one more.
const DEEPEST: usize = MAX_TOPIC_SEGMENTS + 1;

/// A `T` for each of some filters. Filters that mean the same are one.
#[derive(Debug)]
pub(crate) struct FilterMap<T> {
    entries: HashMap<u64, Box<Entry<T>>, BuildHasherDefault<AsItIs>>,
    /// The shapes of the filters, the least specific first: the shorter ones, and of two that are
    /// as long the one that has a `+` where they differ first; see [`Shape`].
    shapes: Vec<LiveShape>,
    keys: Keys,
}

#[derive(Debug)]
struct Entry<T> {
    filter: TopicFilter,
    shape: Shape,
    value: T,
    /// Another filter that has the same key by chance.
    next: Option<Box<Entry<T>>>,
}

#[derive(Debug)]
struct LiveShape {
    shape: Shape,
    /// What the shape itself adds to a key.
    key: u64,
    /// Filters that have it.
    filters: usize,
}

/// How keys are made. Clients choose topics and filters, so it is seeded.
#[derive(Debug)]
struct Keys {
    hasher: RandomState,
    /// Makes the same segment at another place something else.
    multiplier: u64,
}

/// What the segments of a topic add to a key.
struct Sums {
    /// Each one.
    of: [u64; DEEPEST],
    /// The first so many together.
    first: [u64; DEEPEST + 1],
    /// How many were looked at.
    count: usize,
}

/// A key is random in all its bits.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

impl Keys {
    fn new() -> Keys {
        let hasher = RandomState::new();
        // Neither it nor the difference of two of its powers may be a multiple of a large power of
        // two.
        let multiplier = hasher.hash_one("multiplier") << 3 | 5;
        Keys { hasher, multiplier }
    }

    fn of_shape(&self, shape: Shape) -> u64 {
        self.hasher.hash_one(shape)
    }

    fn of_filter(&self, filter: &TopicFilter, shape: Shape) -> u64 {
        let (mut key, mut power) = (self.of_shape(shape), 1_u64);
        for segment in filter.segments() {
            if segment != "+" {
                key = key.wrapping_add(self.hasher.hash_one(segment).wrapping_mul(power));
            }
            power = power.wrapping_mul(self.multiplier);
        }
        key
    }

    /// What the first segments of a topic add, no more of them than `deepest`.
    fn sums(&self, topic: TopicName<'_>, deepest: usize) -> Sums {
        let mut sums = Sums { of: [0; DEEPEST], first: [0; DEEPEST + 1], count: 0 };
        let (mut sum, mut power) = (0_u64, 1_u64);
        let places = sums.of.iter_mut().zip(&mut sums.first[1..]).take(deepest);
        for (segment, (of, first)) in topic.segments().zip(places) {
            *of = self.hasher.hash_one(segment).wrapping_mul(power);
            sum = sum.wrapping_add(*of);
            *first = sum;
            power = power.wrapping_mul(self.multiplier);
            sums.count += 1;
        }
        sums
    }
}

impl Sums {
    /// What the segments of a topic add that a filter of this shape names. The topic must be deep
    /// enough for it.
    fn named_by(&self, shape: Shape) -> u64 {
        let mut sum = self.first[shape.depth()];
        let places = shape.wildcards();
        let mut most = places as u64;
        while most != 0 {
            sum = sum.wrapping_sub(self.of[most.trailing_zeros() as usize]);
            most &= most - 1;
        }
        if places >> u64::BITS & 1 == 1 {
            sum.wrapping_sub(self.of[u64::BITS as usize])
        } else {
            sum
        }
    }
}

impl<T> Default for FilterMap<T> {
    fn default() -> FilterMap<T> {
        FilterMap { entries: HashMap::default(), shapes: Vec::new(), keys: Keys::new() }
    }
}

impl<T> FilterMap<T> {
    /// Shapes of the filters in it: the steps of a lookup.
    pub(in crate::broker) fn shapes(&self) -> usize {
        self.shapes.len()
    }

    /// Whether there is no filter in it.
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// What belongs to a filter.
    pub(crate) fn get_mut(&mut self, filter: &TopicFilter) -> Option<&mut T> {
        let shape = filter.shape();
        let mut at = self.entries.get_mut(&self.keys.of_filter(filter, shape));
        while let Some(entry) = at {
            if entry.is_of(filter, shape) {
                return Some(&mut entry.value);
            }
            at = entry.next.as_mut();
        }
        None
    }

    /// The same, to look at.
    pub(crate) fn get(&self, filter: &TopicFilter) -> Option<&T> {
        let shape = filter.shape();
        let head = self.entries.get(&self.keys.of_filter(filter, shape)).map(|entry| &**entry);
        std::iter::successors(head, |entry| entry.next.as_deref())
            .find(|entry| entry.is_of(filter, shape))
            .map(|entry| &entry.value)
    }

    /// Adds a filter, and what belongs to it. The entry that it had before is gone.
    pub(crate) fn insert(&mut self, filter: TopicFilter, value: T) {
        self.remove(&filter);
        let shape = filter.shape();
        let key = self.keys.of_filter(&filter, shape);
        let next = self.entries.remove(&key);
        self.entries.insert(key, Box::new(Entry { filter, shape, value, next }));
        match self.place_of(shape) {
            Ok(place) => self.shapes[place].filters += 1,
            Err(place) => {
                self.shapes
                    .insert(place, LiveShape { shape, key: self.keys.of_shape(shape), filters: 1 });
            }
        }
    }

    /// Takes a filter out. Returns what belonged to it.
    pub(crate) fn remove(&mut self, filter: &TopicFilter) -> Option<T> {
        let shape = filter.shape();
        let key = self.keys.of_filter(filter, shape);
        let mut chain = self.entries.remove(&key);
        let (mut others, mut removed) = (None, None);
        while let Some(mut entry) = chain {
            chain = entry.next.take();
            if entry.is_of(filter, shape) {
                removed = Some(entry.value);
            } else {
                entry.next = others;
                others = Some(entry);
            }
        }
        if let Some(others) = others {
            self.entries.insert(key, others);
        }
        if removed.is_some()
            && let Ok(place) = self.place_of(shape)
        {
            self.shapes[place].filters -= 1;
            if self.shapes[place].filters == 0 {
                self.shapes.remove(place);
            }
        }
        removed
    }

    /// Each filter, in no order, and what belongs to it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicFilter, &T)> {
        let heads = self.entries.values().map(|entry| &**entry);
        heads
            .flat_map(|head| std::iter::successors(Some(head), |entry| entry.next.as_deref()))
            .map(|entry| (&entry.filter, &entry.value))
    }

    /// Takes what belongs to the filters that match a topic, the least specific first. Returns how
    /// many segments of filters were compared.
    pub(crate) fn each_matching<'a>(
        &'a self,
        topic: TopicName<'_>,
        mut take: impl FnMut(&'a T),
    ) -> usize {
        let Some(deepest) = self.shapes.last() else { return 0 };
        let mut compared = 0;
        let sums = self.keys.sums(topic, deepest.shape.depth());
        for LiveShape { shape, key, .. } in &self.shapes {
            if shape.depth() > sums.count {
                break;
            }
            if shape.depth() < sums.count && !shape.reaches_below() {
                continue;
            }
            let mut at = self.entries.get(&key.wrapping_add(sums.named_by(*shape)));
            while let Some(entry) = at {
                compared += shape.depth();
                if entry.shape == *shape && entry.filter.matches(topic) {
                    take(&entry.value);
                    break;
                }
                at = entry.next.as_ref();
            }
        }
        compared
    }

    fn place_of(&self, shape: Shape) -> Result<usize, usize> {
        self.shapes.binary_search_by(|live| live.shape.cmp(&shape))
    }
}

impl<T> Entry<T> {
    fn is_of(&self, filter: &TopicFilter, shape: Shape) -> bool {
        self.shape == shape && self.filter == *filter
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Topic;

    /// A map in which all filters of a shape that begin the same have one key.
    fn colliding() -> FilterMap<u32> {
        let mut map = FilterMap::default();
        map.keys.multiplier = 0;
        map
    }

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text).unwrap()
    }

    fn matching(map: &FilterMap<u32>, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        map.each_matching(Topic::parse(topic).unwrap().name(), |number| found.push(*number));
        found
    }

    #[test]
    fn filters_with_one_key_are_told_apart() {
        let mut map = colliding();
        for (number, text) in ["a/b", "a/c", "a/b/#", "a/d"].into_iter().enumerate() {
            map.insert(filter(text), number as u32);
        }
        assert_eq!((map.entries.len(), map.shapes()), (1, 1));
        assert_eq!(
            [matching(&map, "a/b/x"), matching(&map, "a/c"), matching(&map, "a/e")],
            [vec![2], vec![1], vec![]]
        );
        assert_eq!((map.remove(&filter("a/c")), map.remove(&filter("a/c"))), (Some(1), None));
        assert_eq!(
            (map.get_mut(&filter("a/d")).copied(), map.get_mut(&filter("a/c"))),
            (Some(3), None)
        );
        assert_eq!((map.remove(&filter("a/d")), map.remove(&filter("a/b"))), (Some(3), Some(2)));
        assert_eq!((map.entries.len(), map.shapes()), (0, 0));
    }

    #[test]
    fn the_deepest_filter_is_found_and_a_filter_deeper_than_the_topic_is_not() {
        let mut map = FilterMap::default();
        let deepest = |last| format!("/{}/{last}", ["x"; MAX_TOPIC_SEGMENTS - 1].join("/"));
        map.insert(filter(&deepest("+")), 1);
        map.insert(filter(&deepest("y")), 2);
        map.insert(filter(&deepest("z")), 3);
        assert_eq!(matching(&map, &deepest("y")), [1, 2]);
        assert_eq!(matching(&map, &deepest("")[..20]), [0; 0]);
        map.insert(filter(&deepest("+")).below(false), 4);
        map.insert(filter("/x").below(false), 5);
        assert_eq!(matching(&map, &deepest("y")), [1, 4, 2]);
        assert_eq!([matching(&map, "/x"), matching(&map, "/x/x")], [vec![5], vec![]]);
    }

    #[test]
    fn what_is_below_goes_to_the_filters_that_want_it() {
        let mut map = FilterMap::default();
        map.insert(filter("a"), 1);
        map.insert(filter("a").below(false), 2);
        map.insert(filter("+/+").below(false), 3);
        map.insert(filter("+").below(false), 4);
        assert_eq!(map.shapes(), 4);
        let found = ["a", "a/b", "a/b/c", "$dead"].map(|topic| matching(&map, topic));
        assert_eq!(found, [vec![4, 1, 2], vec![1, 3], vec![1], vec![]]);
        assert_eq!(map.remove(&filter("a")), Some(1));
        assert_eq!((matching(&map, "a"), map.shapes()), (vec![4, 2], 3));
    }

    fn filters() -> impl Strategy<Value = TopicFilter> {
        let segment = prop_oneof!["[ab]", Just("+".to_owned()), Just("$a".to_owned())];
        let segments = prop::collection::vec(segment, 0..5).prop_map(|segments| segments.join("/"));
        (segments, "/?", "#?")
            .prop_filter_map("no filter", |(segments, before, after)| {
                let text = format!("{before}{segments}");
                let text = match &*after {
                    "" => text,
                    _ if text.is_empty() || text == "/" => text + "#",
                    _ => text + "/#",
                };
                TopicFilter::parse(&text).is_ok().then_some(text)
            })
            .prop_flat_map(|text| any::<bool>().prop_map(move |below| filter(&text).below(below)))
    }

    proptest! {
        /// The entries that are found are those that match, in the order of how specific it is,
        /// whatever comes and goes and collides.
        #[test]
        fn a_filter_map_finds_what_matches(
            steps in prop::collection::vec(filters(), 0..60),
            topics in prop::collection::vec("(/|[$])?[ab](/[ab]){0,5}", 1..8),
            collides in any::<bool>(),
        ) {
            let mut map = if collides { colliding() } else { FilterMap::default() };
            let mut model: Vec<(TopicFilter, u32)> = Vec::new();
            for (number, filter) in steps.into_iter().enumerate() {
                let number = number as u32;
                match model.iter().position(|(other, _)| *other == filter) {
                    Some(place) => prop_assert_eq!(map.remove(&filter), Some(model.remove(place).1)),
                    None => {
                        map.insert(filter.clone(), number);
                        model.push((filter, number));
                    }
                }
            }
            model.sort_by_key(|(filter, _)| filter.shape());
            for topic in &topics {
                let topic = Topic::parse(topic).unwrap();
                let expected: Vec<u32> =
                    model.iter().filter(|(filter, _)| filter.matches(&topic)).map(|(_, number)| *number).collect();
                prop_assert_eq!(matching(&map, topic.as_str()), expected);
            }
            let mut shapes: Vec<_> = model.iter().map(|(filter, _)| filter.shape()).collect();
            shapes.dedup();
            prop_assert_eq!(map.shapes(), shapes.len());
        }
    }
}
