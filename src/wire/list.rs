//! The answer to a `list` of many topics, while it is put together.
//!
//! It comes in the order of publication and is told in the order of the names, so it has to be
//! whole before it is written. Memory for it is claimed as it grows. Where there is none, the rest
//! is let by and the answer says so.

use super::frames::format_of;
use crate::broker::Piece;
use crate::codec::{Account, Claim};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, Reply, Token, Topic};

/// Bytes of memory that a topic takes beyond its name: its counters, the allocator's own, its place
/// in the list.
const EACH: usize = 48;
/// Bytes around the topics in a frame.
const AROUND: usize = 256;

/// Topics that were listed so far.
#[derive(Debug)]
pub(crate) struct List {
    token: Token,
    most: usize,
    topics: Vec<Topic>,
    /// Bytes of their names.
    names: usize,
    /// Bytes that the answer has at most.
    encoded: usize,
    memory: Claim,
    /// Whether the last of them was there.
    is_whole: bool,
    refused: Option<Refusal>,
}

/// A list that is whole, or why there is none.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) token: Token,
    pub(crate) reply: Reply,
    /// Bytes that it takes at most when it is written.
    pub(crate) encoded: usize,
    /// Memory for the topics and for writing them.
    pub(crate) memory: Claim,
}

impl List {
    /// An empty list. Memory for it comes from `account`.
    pub(crate) fn new(token: Token, limits: &Limits, account: &Account) -> List {
        let (most, memory) = (limits.max_encoded as usize, account.charge(0));
        let (topics, names, encoded) = (Vec::new(), 0, AROUND);
        List { token, most, topics, names, encoded, memory, is_whole: false, refused: None }
    }

    /// Adds the topics of some values.
    pub(crate) fn add(&mut self, piece: &Piece) {
        self.is_whole = piece.last;
        let names = || piece.values.iter().map(|stored| stored.topic());
        if self.refused.is_some() {
            return;
        }
        self.names += names().map(|name| EACH + name.as_str().len()).sum::<usize>();
        let format = format_of(self.token);
        self.encoded += names().map(|name| most_encoded(format, name.as_str())).sum::<usize>();
        if self.encoded > self.most {
            let reason = format!(
                "the list of these topics is longer than the {} bytes that an answer may have \
                 (max-encoded); list a subtree",
                self.most
            );
            self.refuse(Refusal::new(ErrorCode::TooLarge, reason));
        } else if self.memory.try_grow_to(self.names + self.encoded) {
            self.topics.extend(names().map(|name| name.to_topic()));
        } else {
            let reason = "the broker has no memory left for the list of these topics; list a \
            subtree, or ask again later";
            self.refuse(Refusal::new(ErrorCode::MemoryFull, reason));
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refused = Some(refusal);
        self.topics = Vec::new();
        self.encoded = AROUND;
        self.memory.shrink_to(0);
    }

    /// The answer; none if the connection was cut off before.
    pub(crate) fn finish(mut self) -> Option<Listed> {
        if !self.is_whole {
            return None;
        }
        self.topics.sort_unstable();
        let List { token, topics, encoded, memory, refused, .. } = self;
        let reply = refused.map_or(Reply::Topics { topics }, Reply::Error);
        Some(Listed { token, reply, encoded, memory })
    }
}

/// Bytes that a topic takes at most in a list.
fn most_encoded(format: Format, name: &str) -> usize {
    let special = |of: &[u8]| name.bytes().filter(|byte| of.contains(byte)).count();
    match format {
        Format::Json => name.len() + "\"\",".len() + special(b"\"\\"),
        Format::Xml => name.len() + "<item></item>".len() + special(b"&<>\"'") * 5,
        // An opcode, four bytes of length, and one for its place among what was seen.
        Format::Pickle => name.len() + 6,
    }
}
