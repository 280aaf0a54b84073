//! Clients of this broker that follow a stream of the backbone: they settle nothing, and a message
//! is let go when it is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SharedThread;
use super::members::{Given, Member, refuse};
use crate::broker::shared::backbone::{
    HowSettled, Incoming, JoinShared, SharedContent, ToBackbone,
};
use crate::broker::shared::held::Held;
use crate::broker::streams::{Answer, ConsumerSettings, Due, Feed};
use crate::broker::sync::{Instant, Mutex};
use crate::codec::Claim;
use crate::protocol::{ErrorCode, Refusal, Start};

/// Bytes of messages that one may have, beside one more.
const BYTES: usize = 1 << 20;
/// What a message may have, as long as no server has said it: what one that is not configured says.
const MAX_PAYLOAD: usize = 1 << 20;
/// What it may have beside that: its topic is not counted.
const LARGER: usize = 8 << 10;

impl SharedThread {
    /// Lets a connection read the stream without acknowledgements.
    pub(super) fn follow(&mut self, feed: Arc<Feed>, start: Start, answer: Answer) {
        let member = feed.member().0;
        if let Some(refusal) = self.unavailable() {
            return refuse(&feed, &answer, refusal);
        }
        // All that it may ever have, so that no message waits for memory.
        let most = self.most_of_follower();
        let Some(claim) = self.account.try_claim(most) else {
            let reason = format!(
                "the broker has no memory left for one that follows the shared stream {}, which \
                 takes {most} bytes; follow it less often, consume it under a name, or start the \
                 broker with more memory",
                self.topics.stream
            );
            let refusal = Refusal::new(ErrorCode::TooManySubscriptions, reason);
            return refuse(&feed, &answer, refusal.about(feed.filter.as_str()));
        };
        let settings = ConsumerSettings::new(feed.filter.clone());
        self.line.send(ToBackbone::Join(Box::new(JoinShared {
            member,
            consumer: None,
            filter: feed.filter.clone(),
            start,
            window: u32::MAX,
            bytes: BYTES,
            ack_wait: settings.ack_wait,
        })));
        self.members.all.insert(
            member,
            Member {
                consumer: None,
                feed,
                settings,
                outstanding: BTreeMap::new(),
                answer: Some((answer, Instant::now())),
                is_leaving: false,
                claim,
            },
        );
    }

    /// Bytes that one that follows may have, as far as is known.
    fn most_of_follower(&self) -> usize {
        let most = self.state.shared().and_then(|shared| shared.max_payload());
        BYTES + most.unwrap_or(MAX_PAYLOAD) + LARGER
    }

    /// Takes what those that follow need more, where messages may be larger than before.
    pub(super) fn claim_for_followers(&mut self) {
        let most = self.most_of_follower();
        for member in self.members.all.values_mut().filter(|member| member.consumer.is_none()) {
            let more = most.saturating_sub(member.claim.bytes());
            member.claim.charge(more);
        }
    }

    /// Gives a message to one that follows.
    pub(super) fn give_to_follower(&mut self, id: u64, message: Incoming) {
        let Incoming { seq, time, id: name, message } = message;
        // That a value is forgotten is no message of a stream.
        let SharedContent::Payload(payload) = message.content else {
            return self.say(id, seq, HowSettled::Ack, 0);
        };
        let topic = message.topic;
        let has = |member: &Member| member.outstanding.contains_key(&seq);
        if self.members.all.get(&id).is_none_or(has) {
            return;
        }
        if !self.held.hold_again(seq) {
            let Some(payload) = self.read(seq, &topic, payload) else {
                return self.say(id, seq, HowSettled::Ack, 0);
            };
            let claim = Mutex::new(Claim::nothing());
            self.held.hold(Held { seq, time, topic, id: name, payload, claim });
        }
        let Some(member) = self.members.all.get_mut(&id) else { return };
        member.outstanding.insert(seq, Given { attempt: 1, until: None, touched: None });
        member.feed.set_outstanding(member.outstanding.len() as u64);
        member.feed.add([Due { from: seq, to: seq, attempt: 1 }]);
        let feed = member.feed.clone();
        self.announce(&feed);
    }
}
