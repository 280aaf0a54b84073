//! Every limit, its unit, and why it is there.

use std::time::Duration;

use super::PickleClasses;

/// How deep containers may nest inside one message. A list of lists of lists is 3 deep, a number 0.
///
/// Python's own pickler and `json` stop near 1,000; real messages stay below 20. A bound that every
/// format's reader can hold means that a message accepted once is readable everywhere.
pub const MAX_DEPTH: usize = 128;

/// Decimal digits in one integer, the sign not counted: CPython's
/// `sys.int_info.default_max_str_digits`.
pub const MAX_INT_DIGITS: usize = 4_300;

/// Bytes in a topic or a topic filter, as UTF-8.
pub const MAX_TOPIC_BYTES: usize = 1_024;

/// Segments in a topic or a topic filter, the empty one before a leading `/` not counted.
pub const MAX_TOPIC_SEGMENTS: usize = 64;

/// The largest frame limit that may be configured, in bytes of body.
pub const MAXIMUM_MAX_FRAME: u32 = 256 << 20;

/// The largest body of a frame that a message may become, in bytes: what clients take where they
/// are told nothing else.
pub const DEFAULT_MAX_ENCODED: u32 = 64 << 20;

/// The most that [`max_encoded`](field@Limits::max_encoded) may be configured to, in bytes. A
/// frame's length can say up to 4 GiB, and a reader of what arrives keeps positions in 31 bits.
pub const MAXIMUM_MAX_ENCODED: u32 = 1 << 30;

/// The largest decoded-size budget that may be configured, in bytes; see [`MAXIMUM_MAX_FRAME`].
pub const MAXIMUM_DECODED_SIZE: usize = 512 << 20;

/// The cost of one value in the decoded-size budget, in bytes, before the bytes of its text.
pub const NODE_SIZE: usize = 16;

/// Bytes that a payload may decode to for each byte that was sent; see [`Limits::decoded_budget`].
///
/// A list that holds one list of a thousand floats a thousand times is a pickle of 10 KB and
/// decodes to 16 MB. More than that is known from attacks alone.
pub const DECODED_PER_BYTE: usize = 2_048;

/// Bytes that a payload may decode to however short it is.
pub const DECODED_FLOOR: usize = 256 << 10;

/// Bytes in the longest frame that a message may become, for each byte of its own; see
/// [`Limits::encoded_budget`].
pub const ENCODED_PER_BYTE: usize = 3_072;

/// Bytes in the longest frame that a message may become, however short it is.
pub const ENCODED_FLOOR: usize = 2 << 20;

/// Bytes that a payload without shared references decodes to at most, for each byte that was sent:
/// no format spells a value in less than a byte, and none a text in less than it has, Latin-1 in
/// old pickles and wide integers included.
const PLAIN_PER_BYTE: usize = NODE_SIZE + 1;

/// Connections at the same time: what this class of machine is known to carry.
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// Subscriptions of one connection. Each costs the broker memory and every publish to its topic a
/// step, and no program is known to need more.
pub const DEFAULT_MAX_SUBSCRIPTIONS: usize = 65_536;

/// Sets of places at which the subscriptions of one connection may have their `+`.
///
/// A topic matches at most one filter of each, however many there are. Without this bound it could
/// match a number that doubles with each segment: every mixture of `a` and `+` matches `a/a/a/…`.
pub const MAX_PATTERNS: usize = 256;

/// Such sets of places that the subscriptions of all connections have together.
///
/// A topic whose routes are not known is held against each, some 50 ns, whether it matches or not.
/// A connection may be the first to use [`MAX_PATTERNS`] of them while there are all, and fewer the
/// fewer are left: a quarter as many where half are left. Those that somebody uses already cost no
/// more for another.
pub const MAX_SHAPES_OF_BROKER: usize = 4_096;

/// Messages that may wait for one subscriber: a second of a busy stream.
pub const DEFAULT_QUEUE_MESSAGES: usize = 262_144;

/// Bytes of memory that the messages waiting for one subscriber may keep alive: as in NATS.
pub const DEFAULT_QUEUE_BYTES: usize = 64 << 20;

/// Last values that are remembered. A topic costs about 140 bytes beside its payload and its name,
/// so this is some gigabytes.
pub const DEFAULT_STORED_VALUES: usize = 10_000_000;

/// Bytes that a topic costs beside its name and its payload, about. Every topic above it costs as
/// much, if nothing else is below that one: one of 1,024 bytes in 64 segments costs 41 KB in all.
pub const TOPIC_COST: usize = 128;

/// Bytes that a topic costs more while its value has a time to live, beside its name once more.
pub const EXPIRY_COST: usize = 160;

/// Bytes of memory for topics that were cleared and that a disk may still have; where it hangs, no
/// topic more comes to hold a value then.
pub const MAX_UNSAVED_CLEARS: usize = 64 << 20;

/// The cost of such a topic, beside its name.
pub const UNSAVED_CLEAR: usize = 128;

/// Bytes of the last values that are remembered: payloads, and what their topics cost.
pub const DEFAULT_STORED_BYTES: usize = 4 << 30;

/// Time to finish a frame that was begun, as far as the broker waits for its bytes. A client that
/// sends a byte now and then holds a thread and a buffer, and this is how long it can.
pub const DEFAULT_FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which a client must have logged in, where it has to.
pub const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Time in which a client must take some of what is written to it. One that takes nothing for so
/// long is gone or stuck.
pub const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time without a byte after which the system asks the peer whether it is still there, every
/// [`KEEPALIVE_INTERVAL`]; after [`KEEPALIVE_PROBES`] questions without an answer the connection is
/// over. Nothing else ends an idle connection.
pub const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(60);

/// Time between two questions of the keepalive, where the time before the first is not shorter.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Questions of the keepalive before a peer is given up.
pub const KEEPALIVE_PROBES: u32 = 3;

/// Time between two writes of last values to the disk: what a crash may cost.
pub const DEFAULT_FSYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Time without an answer after which a broker that stops waits no longer for a disk: longer than
/// one takes that is only slow, and shorter than service managers wait.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that what is published to shared topics waits for a backbone that does not answer.
pub const DEFAULT_BACKBONE_WAIT: Duration = Duration::from_secs(10);

/// The limits of messages that a deployment may choose.
///
/// ```
/// use babelmq_codec::Limits;
///
/// let limits = Limits::with_max_frame(1 << 20).depth(16).int_digits(100);
/// assert_eq!((limits.max_frame, limits.decoded_size), (1 << 20, 16 << 20));
/// assert_eq!(limits.depth, 16);
/// // What is the most of every broker cannot be exceeded.
/// assert_eq!(limits.topic_bytes(1 << 20).topic_bytes, 1_024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in the body of one received frame. Default 16 MiB.
    pub max_frame: u32,
    /// Bytes that one payload may take when decoded: [`NODE_SIZE`] for each value and the bytes of
    /// its text, shared references counted as often as they are referred to. Default 16 ×
    /// `max_frame`; `usize::MAX` is no limit. A payload of some length may take less, see
    /// [`decoded_budget`](Self::decoded_budget).
    pub decoded_size: usize,
    /// Bytes in the body of the longest frame that a message may become, whatever the format of its
    /// reader: that of a retained delivery. Default [`DEFAULT_MAX_ENCODED`], at most
    /// [`MAXIMUM_MAX_ENCODED`]; `u32::MAX` is no limit.
    pub max_encoded: u32,
    /// Containers inside each other. Default, and at most, [`MAX_DEPTH`].
    pub depth: usize,
    /// Decimal digits in one integer. Default, and at most, [`MAX_INT_DIGITS`].
    pub int_digits: usize,
    /// Bytes in a topic or a topic filter. Default, and at most, [`MAX_TOPIC_BYTES`].
    pub topic_bytes: usize,
    /// Segments in a topic or a topic filter. Default, and at most, [`MAX_TOPIC_SEGMENTS`].
    pub topic_segments: usize,
    /// Classes of people's own whose objects are read from pickles, as data. Default none.
    pub pickle_classes: PickleClasses,
}

impl Limits {
    /// No limits but those that every format's reader has: for what was judged before.
    pub const NONE: Limits = Limits {
        max_frame: u32::MAX,
        decoded_size: usize::MAX,
        max_encoded: u32::MAX,
        depth: MAX_DEPTH,
        int_digits: MAX_INT_DIGITS,
        topic_bytes: MAX_TOPIC_BYTES,
        topic_segments: MAX_TOPIC_SEGMENTS,
        pickle_classes: PickleClasses::ANY,
    };

    /// Limits that follow from a frame limit, as the command line sets it; `max_frame` is in bytes
    /// and is cut to [`MAXIMUM_MAX_FRAME`].
    pub fn with_max_frame(max_frame: u32) -> Limits {
        let max_frame = max_frame.min(MAXIMUM_MAX_FRAME);
        let decoded_size = (max_frame as usize).saturating_mul(16).min(MAXIMUM_DECODED_SIZE);
        Limits {
            max_frame,
            decoded_size,
            max_encoded: DEFAULT_MAX_ENCODED,
            pickle_classes: PickleClasses::NONE,
            ..Limits::NONE
        }
    }

    /// Takes frames of so many bytes, at most [`MAXIMUM_MAX_FRAME`]. The limit of what a payload
    /// may decode to stays as it is; [`with_max_frame`](Self::with_max_frame) has it follow.
    #[inline]
    #[must_use]
    pub fn max_frame(self, bytes: u32) -> Limits {
        Limits { max_frame: bytes.min(MAXIMUM_MAX_FRAME), ..self }
    }

    /// Takes payloads that decode to so many bytes.
    #[inline]
    #[must_use]
    pub fn decoded_size(self, bytes: usize) -> Limits {
        Limits { decoded_size: bytes, ..self }
    }

    /// Takes what becomes frames of so many bytes, at most [`MAXIMUM_MAX_ENCODED`].
    #[inline]
    #[must_use]
    pub fn max_encoded(self, bytes: u32) -> Limits {
        Limits { max_encoded: bytes.min(MAXIMUM_MAX_ENCODED), ..self }
    }

    /// Takes so many containers inside each other, at most [`MAX_DEPTH`].
    #[inline]
    #[must_use]
    pub fn depth(self, containers: usize) -> Limits {
        Limits { depth: containers.min(MAX_DEPTH), ..self }
    }

    /// Takes integers of so many digits, at most [`MAX_INT_DIGITS`].
    #[inline]
    #[must_use]
    pub fn int_digits(self, digits: usize) -> Limits {
        Limits { int_digits: digits.min(MAX_INT_DIGITS), ..self }
    }

    /// Reads objects of these classes from pickles.
    #[inline]
    #[must_use]
    pub fn pickle_classes(self, classes: PickleClasses) -> Limits {
        Limits { pickle_classes: classes, ..self }
    }

    /// Takes topics of so many bytes, at most [`MAX_TOPIC_BYTES`].
    #[inline]
    #[must_use]
    pub fn topic_bytes(self, bytes: usize) -> Limits {
        Limits { topic_bytes: bytes.min(MAX_TOPIC_BYTES), ..self }
    }

    /// Takes topics of so many segments, at most [`MAX_TOPIC_SEGMENTS`].
    #[inline]
    #[must_use]
    pub fn topic_segments(self, segments: usize) -> Limits {
        Limits { topic_segments: segments.min(MAX_TOPIC_SEGMENTS), ..self }
    }

    /// Bytes that a payload may decode to when the body of its frame has `len` bytes:
    /// [`DECODED_PER_BYTE`] for each of them, [`DECODED_FLOOR`] at least,
    /// [`decoded_size`](field@Self::decoded_size) at most.
    ///
    /// Decoding holds at once at most twice this, or twice the [`plain_size`] where that is more,
    /// and 1 MiB: the values themselves, and as much again for what a reader needs on the way.
    #[inline]
    pub fn decoded_budget(&self, len: usize) -> usize {
        if self.decoded_size == usize::MAX {
            return usize::MAX;
        }
        len.saturating_mul(DECODED_PER_BYTE).max(DECODED_FLOOR).min(self.decoded_size)
    }
}

impl Limits {
    /// Bytes in the body of the longest frame that a message of `len` bytes may become:
    /// [`ENCODED_PER_BYTE`] for each of them, [`ENCODED_FLOOR`] at least,
    /// [`max_encoded`](field@Self::max_encoded) at most. Only pickles that share references come
    /// near.
    #[inline]
    pub fn encoded_budget(&self, len: usize) -> usize {
        if self.max_encoded == u32::MAX {
            return usize::MAX;
        }
        len.saturating_mul(ENCODED_PER_BYTE).max(ENCODED_FLOOR).min(self.max_encoded as usize)
    }
}

/// Bytes that a payload decodes to at most when the body of its frame has `len` bytes and it shares
/// no references: 17 for each. A pickle that shares may decode to more, and so may keys that are
/// costly to compare.
#[inline]
pub const fn plain_size(len: usize) -> usize {
    len.saturating_mul(PLAIN_PER_BYTE)
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::with_max_frame(16 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_more_than_every_reader_holds() {
        let most = Limits::default()
            .max_frame(u32::MAX)
            .max_encoded(u32::MAX)
            .depth(usize::MAX)
            .int_digits(usize::MAX)
            .topic_bytes(usize::MAX)
            .topic_segments(usize::MAX);
        let Limits { max_frame, max_encoded, .. } = most;
        assert_eq!((max_frame, max_encoded), (MAXIMUM_MAX_FRAME, MAXIMUM_MAX_ENCODED));
        assert_eq!(
            most.max_frame(0).max_encoded(0),
            Limits { max_frame: 0, max_encoded: 0, ..most }
        );
        assert_eq!(most, Limits { max_frame, max_encoded, ..Limits::default() });
    }

    #[test]
    fn a_budget_grows_with_what_was_sent() {
        let limits = Limits::default();
        assert_eq!(limits.decoded_budget(0), 256 << 10);
        assert_eq!(limits.decoded_budget(128), 256 << 10);
        assert_eq!(limits.decoded_budget(10_000), 20_480_000);
        assert_eq!(limits.decoded_budget(16 << 20), 256 << 20);
        assert_eq!(limits.decoded_budget(usize::MAX), 256 << 20);
        let tighter = Limits { decoded_size: 1_000, ..limits };
        assert_eq!(tighter.decoded_budget(10_000), 1_000);
        assert_eq!(Limits::NONE.decoded_budget(1), usize::MAX);
        assert_eq!(limits.encoded_budget(1), 2 << 20);
        assert_eq!(limits.encoded_budget(1 << 12), 12 << 20);
        assert_eq!(limits.encoded_budget(1 << 20), 64 << 20);
        assert_eq!(Limits::NONE.encoded_budget(1), usize::MAX);
        assert!(plain_size(1 << 20) < limits.decoded_budget(1 << 20));
    }
}
