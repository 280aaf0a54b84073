//! What a session remembers of the frames before, so that it reads the next ones faster.

use super::judged_topics::JudgedTopics;
use crate::broker::Rights;
use crate::codec::pickle::PickleCache;
use crate::codec::{BufferPool, Claim, DialectHint, EagerEncoding, EnvelopeCache, Workspace};

/// Bytes that a batch takes beside its messages, about.
pub(super) const BATCH: usize = 1 << 10;

/// What a session remembers of the frames before, so that it reads the next ones faster.
#[derive(Debug, Default)]
pub struct Recent {
    /// What the client may do.
    pub(super) rights: Rights,
    /// Topics that it may publish to.
    pub(super) judged: JudgedTopics,
    /// The publish in JSON that was read in full last.
    pub(super) known: EnvelopeCache,
    /// What it asked for; `None` when there is nothing to compare with.
    pub(super) like: Option<Like>,
    /// The topic that it named.
    pub(super) topic: String,
    /// The same for pickles.
    pub(super) known_pickle: PickleCache,
    pub(super) like_pickle: Option<Like>,
    pub(super) topic_of_pickle: String,
    /// The dispatcher says here what is wanted of this session's messages.
    pub(super) asked: DialectHint,
    /// Batches for which nothing is written ahead.
    pub(super) pause: u32,
    /// Where memory to decode in comes from.
    pub(super) workspace: Workspace,
    /// The memory that was claimed for the messages of the next event.
    pub(super) flight: Claim,
    /// Whether messages may decode to far more than their lengths explain.
    pub(super) permit: bool,
    /// Whether the client has settled messages of a stream, so that it will again.
    pub(super) settles: bool,
    /// Shapes of filters that there are, and connections.
    pub(super) shapes: usize,
    pub(super) connections: usize,
    /// Memory for batches, and how many messages and nodes the one before had.
    pub(super) spares: BufferPool,
    pub(super) messages: usize,
    pub(super) nodes: usize,
}

/// The options of a publish.
#[derive(Clone, Copy, Debug)]
pub(super) struct Like {
    /// The index of its topic in the batch that is being gathered, if that has named it.
    pub(super) topic: Option<u32>,
    pub(super) retain: bool,
    pub(super) ttl: Option<u32>,
    pub(super) verbatim: bool,
}

impl Recent {
    /// Nothing yet, and where memory for batches and to decode in comes from.
    pub fn new(spares: BufferPool, workspace: Workspace) -> Recent {
        Recent { spares, workspace, ..Recent::default() }
    }

    /// Says what the client may do from here on.
    pub fn have_rights(&mut self, rights: Rights) {
        self.rights = rights;
        // The topics that are remembered were judged by other rights.
        (self.like, self.like_pickle) = (None, None);
        self.judged.forget();
    }

    /// Gives back memory that is soon filled again.
    pub fn release(&mut self) {
        self.judged = JudgedTopics::default();
    }

    /// Bytes of memory that the messages in so many bytes will take on their way.
    #[inline]
    pub fn room(&self, bytes: usize) -> usize {
        BATCH + self.asked.room(bytes)
    }

    /// Says how many shapes of filters there are, and connections.
    #[inline]
    pub fn note_audience(&mut self, shapes: usize, connections: usize) {
        (self.shapes, self.connections) = (shapes, connections);
    }

    /// Says whether messages of the next event may decode to far more than their lengths explain.
    #[inline]
    pub fn permit(&mut self, permit: bool) {
        self.permit = permit;
    }

    /// Says what was claimed for the messages of the next event.
    #[inline]
    pub fn hold(&mut self, flight: Claim) {
        self.flight = flight;
    }

    /// What is written ahead of a batch of so many bytes.
    #[inline]
    pub(super) fn ahead(&mut self, bytes: usize) -> Option<EagerEncoding> {
        if self.like.is_none() || self.pause > 0 {
            self.pause = self.pause.saturating_sub(1);
            return None;
        }
        EagerEncoding::begin(&self.asked, &self.spares, bytes)
    }
}
