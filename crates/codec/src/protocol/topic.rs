//! Topics and topic filters, parsed once and compared segment by segment.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{ErrorCode, Limits, MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS, Refusal};

/// The name of a topic: segments separated by `/`, exactly as spelled. `/temp` and `temp` are two
/// topics.
///
/// Cloning one is cheap: clones share their text.
///
/// ```
/// use babelmq_codec::{ErrorCode, protocol::Topic};
///
/// let topic = Topic::parse("/weather/oslo")?;
/// assert_eq!(topic.segments().collect::<Vec<_>>(), ["", "weather", "oslo"]);
/// assert_eq!(Topic::parse("/weather/+").unwrap_err().code, ErrorCode::InvalidTopic);
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Reads a topic that something can be published to.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidTopic`] for an empty topic, an empty segment (except the one before a
    /// leading `/`), a trailing `/`, a control character, a wildcard, or a topic over
    /// [`MAX_TOPIC_BYTES`] or [`MAX_TOPIC_SEGMENTS`].
    pub fn parse(text: &str) -> Result<Topic, Refusal> {
        TopicName::parse(text).map(TopicName::to_topic)
    }

    /// Its name, borrowed.
    pub fn name(&self) -> TopicName<'_> {
        TopicName(&self.0)
    }

    /// The topic as it was spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments; a leading `/` makes the first one empty.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The name of a topic that lies somewhere else: with others of a batch, or beside a stored value.
/// It was judged as [`Topic::parse`] judges it.
///
/// ```
/// use babelmq_codec::protocol::{Topic, TopicName};
///
/// let name = TopicName::parse("weather/oslo")?;
/// assert_eq!(name.as_str(), "weather/oslo");
/// assert_eq!(name.to_topic(), Topic::parse("weather/oslo")?);
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Reads the name of a topic that something can be published to.
    ///
    /// # Errors
    /// As for [`Topic::parse`].
    pub fn parse(text: &'a str) -> Result<TopicName<'a>, Refusal> {
        if is_plain(text.as_bytes()) {
            return Ok(TopicName(text));
        }
        check(text)?;
        if text == "/" {
            return Err(invalid(text, "\"/\" can be subscribed to, but not published to"));
        }
        if text.contains(['+', '#']) {
            return Err(invalid(
                text,
                "\"+\" and \"#\" are wildcards; they stand only in a subscription",
            ));
        }
        Ok(TopicName(text))
    }

    /// A name that was a [`TopicName`] before it was put where it is now.
    #[doc(hidden)]
    pub fn judged(text: &'a str) -> TopicName<'a> {
        TopicName(text)
    }

    /// The name as it was spelled.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether the topic is the broker's own: its first segment begins with `$`. No wildcard stands
    /// for such a segment, and no client publishes there: see [`check_writable`].
    ///
    /// ```
    /// use babelmq_codec::protocol::TopicName;
    ///
    /// assert!(TopicName::parse("$SYS/uptime")?.is_brokers());
    /// assert!(!TopicName::parse("/$SYS")?.is_brokers());
    /// # Ok::<(), babelmq_codec::Refusal>(())
    /// ```
    pub fn is_brokers(self) -> bool {
        is_brokers(self.0)
    }

    /// The segments; a leading `/` makes the first one empty.
    pub fn segments(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/')
    }

    /// The topic, with a text of its own.
    pub fn to_topic(self) -> Topic {
        Topic(self.0.into())
    }
}

impl<'a> From<&'a Topic> for TopicName<'a> {
    fn from(topic: &'a Topic) -> TopicName<'a> {
        topic.name()
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The topics of a subscription: one with all of its descendants, or [without](Self::below) them. A
/// segment `+` stands for any one segment; a last segment `#` means the same as leaving it out, and
/// `#` alone means every topic. Neither stands for a first segment that begins with `$`: topics of
/// [the broker's own](TopicName::is_brokers) are matched by filters that name that segment.
///
/// Two filters are equal when they mean the same: `a` and `a/#` are.
///
/// ```
/// use babelmq_codec::protocol::{Topic, TopicFilter};
///
/// let filter = TopicFilter::parse("weather/+/wind")?;
/// assert!(filter.matches(&Topic::parse("weather/oslo/wind/speed")?));
/// assert!(!filter.matches(&Topic::parse("weather/oslo")?));
/// assert_eq!(TopicFilter::parse("weather")?, TopicFilter::parse("weather/#")?);
///
/// let lost = Topic::parse("$dead/orders")?;
/// assert!(TopicFilter::parse("$dead")?.matches(&lost));
/// assert!(!TopicFilter::parse("#")?.matches(&lost));
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone)]
pub struct TopicFilter {
    /// As the client spelled it, for the answers to that client.
    text: Arc<str>,
    /// How many bytes of `text` matter: all but a trailing `#`, `/#` or lone `/`.
    meaning: u16,
    /// Whether topics with more segments match as well.
    below: bool,
}

// A text is never longer.
const _: () = assert!(MAX_TOPIC_BYTES <= u16::MAX as usize);

impl TopicFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidTopic`] as for [`Topic::parse`], and for a `+` or `#` that is only part
    /// of a segment, or a `#` that is not the last one.
    pub fn parse(text: &str) -> Result<TopicFilter, Refusal> {
        check(text)?;
        let mut segments = text.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segment.len() > 1 && segment.contains(['+', '#']) {
                return Err(invalid(text, "a wildcard must be a whole segment, as in \"a/+/b\""));
            }
            if segment == "#" && segments.peek().is_some() {
                return Err(invalid(text, "\"#\" can only be the last segment"));
            }
        }
        let meaning = match text.strip_suffix('#') {
            Some(rest) => rest.len(),
            None => text.len(),
        };
        Ok(TopicFilter { text: text.into(), meaning: meaning as u16, below: true })
    }

    /// Says whether the topics below those with its segments match as well, as they do if nothing
    /// is said. Without them it means what a filter of MQTT does: as many segments as it has, and a
    /// trailing `#` gives the subtree back. Without them `/` matches nothing.
    ///
    /// ```
    /// use babelmq_codec::protocol::{Topic, TopicFilter};
    ///
    /// let cities = TopicFilter::parse("weather/+")?.below(false);
    /// assert!(cities.matches(&Topic::parse("weather/oslo")?));
    /// assert!(!cities.matches(&Topic::parse("weather/oslo/wind")?));
    /// let all = TopicFilter::parse("weather/#")?;
    /// assert_eq!(all.clone().below(false), all);
    /// # Ok::<(), babelmq_codec::Refusal>(())
    /// ```
    #[must_use]
    pub fn below(self, below: bool) -> TopicFilter {
        TopicFilter { below: below || self.text.ends_with('#'), ..self }
    }

    /// Whether topics with more segments than it has match as well.
    pub fn reaches_below(&self) -> bool {
        self.below
    }

    /// The filter as it was spelled.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments that a topic must begin with, or have where nothing
    /// [below](Self::reaches_below) matches. None at all for `#`; one empty one for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        let meaning = &self.text[..self.meaning.into()];
        let all = meaning.is_empty();
        meaning.strip_suffix('/').unwrap_or(meaning).split('/').filter(move |_| !all)
    }

    /// Whether the filter contains a `+`.
    pub fn has_wildcard(&self) -> bool {
        self.segments().any(|segment| segment == "+")
    }

    /// How many segments it has, which of them are `+`, and whether what is below matches as well.
    pub fn shape(&self) -> Shape {
        let (mut places, mut next) = (0, 1);
        for segment in self.segments() {
            places |= if segment == "+" { next } else { 0 };
            next <<= 1;
        }
        Shape(places | next | if self.below { 0 } else { Shape::ALONE })
    }

    /// Whether the filter matches `topic`.
    pub fn matches<'a>(&self, topic: impl Into<TopicName<'a>>) -> bool {
        let topic = topic.into();
        let mut of_topic = topic.segments();
        self.segments()
            .all(|wanted| of_topic.next().is_some_and(|is| wanted == "+" || wanted == is))
            && (self.below || of_topic.next().is_none())
            && !(topic.is_brokers() && self.text.starts_with(['+', '#']))
    }
}

/// At which of how many segments a filter has a `+`, and whether what is below matches as well. A
/// topic matches at most one filter of a shape.
///
/// Of two shapes the less specific one is the lesser: the one with fewer segments, of two that have
/// as many the one that has a `+` where they differ first, and of two that have none there the one
/// that what is below matches as well.
///
/// ```
/// use babelmq_codec::protocol::TopicFilter;
///
/// let shape = TopicFilter::parse("weather/+/wind")?.shape();
/// assert_eq!((shape.depth(), shape.wildcards()), (3, 0b010));
/// assert_eq!(shape, TopicFilter::parse("a/+/b")?.shape());
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape(
    /// A bit for each segment, the lowest for the first, one more above them all that says how many
    /// there are, and [`Shape::ALONE`].
    u128,
);

impl Shape {
    /// The bit of a filter that nothing below matches.
    const ALONE: u128 = 1 << (u128::BITS - 1);

    /// How many segments there are; at most one more than [`MAX_TOPIC_SEGMENTS`].
    pub fn depth(self) -> usize {
        (self.0 & !Shape::ALONE).ilog2() as usize
    }

    /// A bit for each segment that is a `+`, the lowest for the first.
    pub fn wildcards(self) -> u128 {
        self.0 & !Shape::ALONE & !(1 << self.depth())
    }

    /// Whether topics with more segments match as well.
    pub fn reaches_below(self) -> bool {
        self.0 & Shape::ALONE == 0
    }

    /// Whether any segment is a `+`.
    pub fn has_wildcard(self) -> bool {
        self.wildcards() != 0
    }
}

impl Ord for Shape {
    fn cmp(&self, other: &Shape) -> Ordering {
        let first_first = |shape: &Shape| shape.wildcards().reverse_bits();
        self.depth()
            .cmp(&other.depth())
            .then_with(|| first_first(other).cmp(&first_first(self)))
            .then_with(|| other.reaches_below().cmp(&self.reaches_below()))
    }
}

impl PartialOrd for Shape {
    fn partial_cmp(&self, other: &Shape) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for TopicFilter {
    fn eq(&self, other: &TopicFilter) -> bool {
        self.below == other.below && self.segments().eq(other.segments())
    }
}

impl Eq for TopicFilter {}

/// As [`PartialEq`] has it: however the end of the filter is spelled.
impl Hash for TopicFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.below.hash(state);
        self.segments().for_each(|segment| segment.hash(state));
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alone = if self.below { "" } else { " and nothing below" };
        write!(f, "{:?}{alone}", &*self.text)
    }
}

/// Whether a topic, or what a filter names, is [the broker's own](TopicName::is_brokers); as well
/// from its first segment alone. The one place that says which those are.
pub fn is_brokers(topic: &str) -> bool {
    topic.as_bytes().first() == Some(&b'$')
}

/// Refuses what no client may publish to or clear, as a topic or as a filter: the topics of [the
/// broker's own](TopicName::is_brokers). It is asked where clients' requests come in. Past that, a
/// message is the broker's, and may go there.
///
/// ```
/// use babelmq_codec::{ErrorCode, protocol::check_writable};
///
/// assert_eq!(check_writable("weather/$x"), Ok(()));
/// assert_eq!(check_writable("$dead/#").unwrap_err().code, ErrorCode::InvalidTopic);
/// ```
///
/// # Errors
/// [`ErrorCode::InvalidTopic`].
pub fn check_writable(topic: &str) -> Result<(), Refusal> {
    if is_brokers(topic) {
        return Err(invalid(
            topic,
            "a first segment that begins with \"$\" is the broker's own; clients subscribe to such \
             topics, but neither publish there nor clear them",
        ));
    }
    Ok(())
}

/// Holds a topic or a filter to limits that are tighter than those that all topics keep.
///
/// # Errors
/// [`ErrorCode::InvalidTopic`].
pub fn check_topic_limits(text: &str, limits: &Limits) -> Result<(), Refusal> {
    let Limits { topic_bytes, topic_segments, .. } = *limits;
    if text.len() <= topic_bytes && topic_segments >= MAX_TOPIC_SEGMENTS {
        return Ok(());
    }
    if text.len() > topic_bytes {
        return Err(invalid(
            text,
            format!("it is {} bytes long; this broker's limit is {topic_bytes}", text.len()),
        ));
    }
    let segments = text.strip_prefix('/').unwrap_or(text).split('/').count();
    if segments > topic_segments {
        return Err(invalid(
            text,
            format!("it has {segments} segments; this broker's limit is {topic_segments}"),
        ));
    }
    Ok(())
}

const SLASH: u8 = 1;
const OTHER: u8 = 2;

/// The kind of each byte of a name: part of a segment (0), a slash, or something that [`check`] has
/// to look at.
const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        kinds[byte as usize] = match byte {
            b'/' => SLASH,
            b'+' | b'#' => OTHER,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// Whether a text is the name of a topic as they usually are, seen in one look at each byte. Where
/// it is not, it may be one all the same.
fn is_plain(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > MAX_TOPIC_BYTES {
        return false;
    }
    let (mut odd, mut slashes, mut before) = (0, 0_usize, 0);
    for byte in text {
        let kind = KINDS[*byte as usize];
        odd |= (kind & OTHER) | (kind & before);
        slashes += usize::from(kind);
        before = kind;
    }
    odd == 0 && before != SLASH && slashes < MAX_TOPIC_SEGMENTS
}

/// The rules for topics and filters alike.
fn check(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(invalid(text, "a topic cannot be empty"));
    }
    if text.len() > MAX_TOPIC_BYTES {
        return Err(invalid(
            text,
            format!("it is {} bytes long; the limit is {MAX_TOPIC_BYTES}", text.len()),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(text, "it contains a control character"));
    }
    if text == "/" {
        return Ok(());
    }
    if text.ends_with('/') {
        return Err(invalid(text, "it ends with \"/\"; leave the last \"/\" out"));
    }
    let below_root = text.strip_prefix('/').unwrap_or(text);
    if below_root.split('/').any(str::is_empty) {
        return Err(invalid(text, "it has an empty segment (\"//\")"));
    }
    let segments = below_root.split('/').count();
    if segments > MAX_TOPIC_SEGMENTS {
        return Err(invalid(
            text,
            format!("it has {segments} segments; the limit is {MAX_TOPIC_SEGMENTS}"),
        ));
    }
    Ok(())
}

fn invalid(text: &str, why: impl fmt::Display) -> Refusal {
    let shown: String = text.chars().take(80).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    Refusal::new(ErrorCode::InvalidTopic, format!("topic {shown:?}{cut}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_the_rules_or_is_refused() {
        let long = "x".repeat(MAX_TOPIC_BYTES + 1);
        let deep = vec!["a"; MAX_TOPIC_SEGMENTS + 1].join("/");
        for good in [
            "a",
            "/a",
            "a/b",
            "/weather/temp",
            "ü/漢",
            " ",
            &long[1..],
            &deep[2..],
            "a b",
            ".",
            "$SYS",
        ] {
            assert_eq!(Topic::parse(good).map(|topic| topic.to_string()), Ok(good.to_owned()));
            assert!(!is_plain(good.as_bytes()) || check(good).is_ok(), "{good:?}");
        }
        assert!(
            ["a", "/a", "/weather/temp", "$SYS", "a b"]
                .iter()
                .all(|name| is_plain(name.as_bytes()))
        );
        for bad in [
            "", "/", "//", "a/", "/a/", "a//b", "//a", "a\0", "\u{85}", "+", "#", "a/#", "a+b",
            &long, &deep,
        ] {
            let refused = Topic::parse(bad).map(drop).map_err(|refusal| refusal.code);
            assert_eq!(refused, Err(ErrorCode::InvalidTopic), "{bad:?}");
            assert!(!is_plain(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn a_filter_matches_what_its_wildcards_say() {
        for bad in ["", "//", "a/", "a/#/b", "#/a", "a+/b", "a/b#", "##", "++", "a//#", "\n"] {
            let refused = TopicFilter::parse(bad).map(drop).map_err(|refusal| refusal.code);
            assert_eq!(refused, Err(ErrorCode::InvalidTopic), "{bad:?}");
        }
        let check = |filter: &str, topic: &str, expected: bool| {
            let filter = TopicFilter::parse(filter).unwrap();
            assert_eq!(filter.matches(&Topic::parse(topic).unwrap()), expected, "{filter} {topic}");
        };
        check("/weather", "/weather", true);
        check("/weather", "/weather/temperature/celsius", true);
        check("/weather", "/weather2", false);
        check("/we", "/weather", false);
        check("/weather", "weather", false);
        check("/weather/a", "/weather", false);
        check("/", "/weather", true);
        check("/", "weather", false);
        check("#", "weather", true);
        check("#", "/weather", true);
        check("/#", "/weather", true);
        check("/#", "weather", false);
        check("a/#", "a", true);
        check("a/#", "a/b/c", true);
        check("a/#", "ab", false);
        check("+", "a/b", true);
        check("+", "/a", true);
        check("a/+/c", "a/b/c/d", true);
        check("a/+/c", "a/b/x", false);
        check("a/+", "a", false);
        check("/+/b", "/a/b", true);
        let alone = |filter: &str, topic: &str, expected: bool| {
            let filter = TopicFilter::parse(filter).unwrap().below(false);
            assert_eq!(filter.matches(&Topic::parse(topic).unwrap()), expected, "{filter} {topic}");
        };
        alone("a", "a", true);
        alone("a", "a/b", false);
        alone("a/#", "a", true);
        alone("a/#", "a/b/c", true);
        alone("#", "a/b", true);
        alone("+", "a", true);
        alone("+", "/a", false);
        alone("/+", "/a", true);
        alone("a/+", "a", false);
        alone("a/+", "a/b", true);
        alone("a/+", "a/b/c", false);
        alone("/", "/a", false);
    }

    #[test]
    fn a_wildcard_stands_for_no_first_segment_with_a_dollar() {
        for (filter, expected) in [
            ("#", false),
            ("+", false),
            ("+/x", false),
            ("+/#", false),
            ("/", false),
            ("$dead", true),
            ("$dead/#", true),
            ("$dead/+", true),
            ("$dead/x", true),
            ("$dead/y", false),
            ("$SYS", false),
        ] {
            let filter = TopicFilter::parse(filter).unwrap();
            let topic = Topic::parse("$dead/x").unwrap();
            assert_eq!(filter.matches(&topic), expected, "{filter}");
        }
        for (filter, topic) in [("#", "a/$x"), ("a/+", "a/$x"), ("/+", "/$x"), ("+", "a$")] {
            let (filter, topic) = (TopicFilter::parse(filter), Topic::parse(topic).unwrap());
            assert!(filter.unwrap().matches(&topic), "{topic}");
            assert_eq!(check_writable(topic.as_str()), Ok(()));
        }
        for text in ["$", "$SYS", "$dead/x", "$dead/#", "$dead/+"] {
            assert_eq!(check_writable(text).unwrap_err().code, ErrorCode::InvalidTopic, "{text}");
        }
    }

    #[test]
    fn a_shape_is_where_the_wildcards_stand_in_how_many_segments() {
        let shape = |text: &str| TopicFilter::parse(text).unwrap().shape();
        let of = |text| (shape(text).depth(), shape(text).wildcards());
        assert_eq!((of("#"), of("/"), of("a"), of("/a")), ((0, 0), (1, 0), (1, 0), (2, 0)));
        assert_eq!((of("+"), of("a/+/b/+/#")), ((1, 1), (4, 0b1010)));
        assert_eq!(shape("a/+"), shape("b/+/#"));
        assert!(shape("a/+").has_wildcard() && !shape("a/b").has_wildcard());
        let longest = ["+"; MAX_TOPIC_SEGMENTS].join("/");
        assert_eq!(of(&format!("/{longest}")), (MAX_TOPIC_SEGMENTS + 1, u128::from(u64::MAX) << 1));
        let order = ["#", "+", "a", "+/+", "+/a", "a/+", "a/a", "+/a/a", "a/+/+", &longest];
        assert!(order.is_sorted_by(|one, next| shape(one) < shape(next)));
        let alone = |text: &str| TopicFilter::parse(text).unwrap().below(false).shape();
        let of_alone = |text| (alone(text).depth(), alone(text).wildcards());
        assert_eq!((of_alone("a/+"), of_alone("#")), ((2, 0b10), (0, 0)));
        assert!(shape("a/+").reaches_below() && !alone("a/+").reaches_below());
        assert_eq!(alone(&longest).depth(), MAX_TOPIC_SEGMENTS);
        assert!(shape("a/+") < alone("a/+") && alone("a/+") < shape("a/a"));
        assert!(alone("a") < shape("+/+") && alone("#") == shape("#"));
    }

    #[test]
    fn filters_that_mean_the_same_are_equal() {
        let filter = |text| TopicFilter::parse(text).unwrap();
        assert_eq!(filter("a"), filter("a/#"));
        assert_eq!(filter("/"), filter("/#"));
        assert_ne!(filter("#"), filter("/#"));
        assert_ne!(filter("a"), filter("/a"));
        assert_eq!(filter("a/#").as_str(), "a/#");
        assert!(filter("a/+").has_wildcard());
        assert!(!filter("a").has_wildcard());
        assert_ne!(filter("a"), filter("a").below(false));
        assert_eq!(filter("a").below(false).below(true), filter("a"));
        assert_eq!(filter("a/#").below(false), filter("a"));
    }
}
