//! What a consumer tells the thread that runs it.

/// The number of a member, unique among those of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub u64);

/// Messages that a member is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Whose they are.
    pub member: MemberId,
    /// The number of the first.
    pub from: u64,
    /// The number of the last; all between are meant too.
    pub to: u64,
    /// Which attempt this is for each of them, from 1 on.
    pub attempt: u32,
}

/// Why a message is not delivered any more although it was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyDead {
    /// It was delivered as often as it may be.
    Exhausted,
    /// A member rejected it, with this reason, which may be empty.
    Rejected(String),
}

/// A message that is to become a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Its number.
    pub seq: u64,
    /// How many times it was delivered.
    pub attempts: u32,
    /// Why.
    pub why: WhyDead,
}

/// How far a consumer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerReport {
    /// Everything up to this number is settled.
    pub floor: u64,
    /// The number of the first message that was never looked at.
    pub next: u64,
    /// Messages that members have and have not settled.
    pub outstanding: u64,
    /// Messages that are not settled, outstanding ones among them. Those that the filter will not
    /// match count as long as nobody has looked.
    pub pending: u64,
    /// Deliveries that were not the first of their message, since the broker started.
    pub redelivered: u64,
    /// Messages that became dead letters, since the broker started.
    pub dead: u64,
    /// Members.
    pub members: usize,
}
