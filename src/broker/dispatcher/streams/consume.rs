//! Subscriptions of streams: a consumer's members, and those that follow.

use std::sync::Arc;

use super::super::subscribe::How;
use super::Dispatcher;
use crate::access::Right;
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::delivery::Delivery;
use crate::broker::event::Settle;
use crate::broker::memory::Use;
use crate::broker::rights::Scope;
use crate::broker::streams::{
    Feed, Join, LastMessages, MAX_CONSUMERS, MemberId, NewFeed, Reach, What, check_name,
};
use crate::broker::sync::bounded;
use crate::codec::{Claim, Dialect};
use crate::protocol::{
    DEFAULT_WINDOW, DurableRequest, ErrorCode, Refusal, Reply, Token, Topic, TopicFilter,
};

/// Bytes that a subscription of a stream takes, and each message that its client has not settled.
const SUBSCRIPTION: usize = 1_024;
const OUTSTANDING: usize = 128;
/// Consumers of a stream beyond which no session of MQTT gets another: those that programs name
/// have room, and a client whose messages wait in memory is better off than one that is refused.
const MOST_OF_SESSIONS: usize = MAX_CONSUMERS / 4 * 3;

/// A subscription of a stream that a connection has.
#[derive(Debug)]
pub(in crate::broker::dispatcher) struct Consuming {
    /// The stream's place.
    place: u32,
    member: MemberId,
    feed: Arc<Feed>,
    /// Memory for what may be outstanding.
    _claim: Claim,
}

impl Consuming {
    /// Whether it is of the stream at this place.
    pub(super) fn is_of(&self, place: u32) -> bool {
        self.place == place
    }

    /// What its writer reads.
    pub(in crate::broker::dispatcher) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Ends it without a word to the stream. Returns its filter.
    pub(super) fn end(self) -> TopicFilter {
        self.feed.end();
        self.feed.filter.clone()
    }
}

impl Dispatcher {
    /// Begins a subscription of a stream. Its thread answers.
    pub(in crate::broker::dispatcher) fn consume(
        &mut self,
        slot: Slot,
        filter: TopicFilter,
        wanted: DurableRequest,
        how: How,
    ) {
        let How { dialect, names, token, values, .. } = how;
        let about = (&filter, dialect, token);
        let scope = match self.try_to_consume(slot, about, wanted) {
            Ok(scope) => scope,
            Err(refusal) => return self.reply(slot, token, Reply::Error(refusal)),
        };
        if let Some(names) = names {
            self.send(slot, Delivery::Names(names));
        }
        if values && let Some(begin) = self.beginning(slot, &scope, about, true) {
            self.begin_with(slot, &scope, about, begin);
        }
    }

    /// For each filter the stream that a connection may consume it from.
    pub(in crate::broker::dispatcher) fn consumable(
        &self,
        client: ClientId,
        filters: &[(TopicFilter, Option<Arc<str>>)],
    ) -> Vec<Option<Arc<str>>> {
        let one = |(filter, own): &(TopicFilter, Option<Arc<str>>)| {
            let slot = *self.by_id.get(&client)?;
            let scope = self.rights(slot).scope(Right::Subscribe, "consume", filter.clone());
            scope.ok().filter(|scope| scope.limit().is_none())?;
            let covering = |name| self.streams.covering(filter, name).ok();
            if let Some(own) = own.as_ref().filter(|own| covering(Some(&***own)).is_some()) {
                return Some(own.clone());
            }
            let stream = self.streams.all.get(covering(None)? as usize)?.as_ref()?;
            // A session of MQTT is this broker's, and a consumer of the backbone nobody's.
            let has_room = !stream.is_shared() && stream.state.consumers() < MOST_OF_SESSIONS;
            has_room.then(|| stream.state.name().clone())
        };
        filters.iter().map(one).collect()
    }

    fn try_to_consume(
        &mut self,
        slot: Slot,
        (filter, dialect, token): (&TopicFilter, Dialect, Token),
        wanted: DurableRequest,
    ) -> Result<Scope, Refusal> {
        let right = if wanted.consumer.is_some() { "consume" } else { "subscribe to" };
        let scope = self.rights(slot).scope(Right::Subscribe, right, filter.clone())?;
        // A message that nobody of a consumer may see would wait for ever.
        if wanted.consumer.is_some() && scope.limit().is_some() {
            return Err(only_a_part(filter));
        }
        let place = self.streams.covering(filter, wanted.stream.as_deref())?;
        let consumer = wanted.consumer.as_deref().map(checked).transpose()?;
        let max = self.max_subscriptions;
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return Ok(scope) };
        for ended in client.more.consuming.extract_if(.., |consuming| consuming.feed.has_ended()) {
            client.delivered += ended.feed.delivered();
        }
        let takes_a_place = |it: &Consuming| {
            it.place == place && it.feed.filter == *filter && it.feed.consumer == consumer
        };
        let replaces = client.more.consuming.iter().any(takes_a_place);
        if client.filters.len() + client.more.consuming.len() >= max && !replaces {
            let reason = format!(
                "this connection has {max} subscriptions, as many as it may; cancel some, or use \
                 another connection"
            );
            return Err(
                Refusal::new(ErrorCode::TooManySubscriptions, reason).about(filter.as_str())
            );
        }
        (client.format, client.token) = (dialect.format(), token);
        let id = client.id;
        let window = wanted.window.unwrap_or(DEFAULT_WINDOW) as usize;
        let outstanding = if consumer.is_some() { window * OUTSTANDING } else { 0 };
        let account = self.memory.of(Use::Connections).account();
        let claim = account.try_claim(SUBSCRIPTION + outstanding).ok_or_else(|| {
            let reason = format!(
                "the broker has no memory left for {window} messages that may be outstanding; ask \
                 for a smaller window, or start the broker with more memory"
            );
            Refusal::new(ErrorCode::TooManySubscriptions, reason).about(filter.as_str())
        })?;
        // One subscription takes the place of another that is the same.
        let Some(stream) = self.streams.at(place) else { return Ok(scope) };
        let name = stream.state.name().clone();
        self.leave_streams(slot, |feed| {
            feed.filter == *filter && feed.consumer == consumer && feed.stream == name
        });
        self.streams.members += 1;
        let member = MemberId(self.streams.members);
        let (answer, answered) = bounded(1);
        let Some(stream) = self.streams.at(place) else { return Ok(scope) };
        let feed = Arc::new(Feed::new(NewFeed {
            client: id,
            member,
            consumer: consumer.clone(),
            filter: filter.clone(),
            dialect,
            token,
            limit: scope.limit().cloned(),
            reader: stream.reader.clone(),
            state: stream.state.clone(),
            thread: Box::new(stream.requests.clone()),
        }));
        let (next, op) = (stream.next, stream.op + 1);
        stream.hand_over(match consumer {
            Some(consumer) => What::Join(Box::new(Join {
                consumer,
                member,
                feed: feed.clone(),
                wanted,
                next,
                answer,
            })),
            None => {
                let start = wanted.start.unwrap_or_default();
                What::Follow { feed: feed.clone(), start, next, answer }
            }
        });
        self.touch(slot, place, Reach::All, op);
        if let Some(Some(client)) = self.slots.get_mut(slot as usize) {
            client.more.consuming.push(Consuming { place, member, feed, _claim: claim });
        }
        self.send(slot, Delivery::Answer { answer: answered, token });
        Ok(scope)
    }

    /// Ends those of a connection's subscriptions of streams that are meant.
    pub(in crate::broker::dispatcher) fn leave_streams(
        &mut self,
        slot: Slot,
        is_meant: impl Fn(&Feed) -> bool,
    ) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        if client.more.consuming.is_empty() {
            return;
        }
        let left = client.more.consuming.extract_if(.., |consuming| is_meant(&consuming.feed));
        let left: Vec<Consuming> = left.collect();
        client.delivered += left.iter().map(|consuming| consuming.feed.delivered()).sum::<u64>();
        self.end_consuming(left);
    }

    /// Ends subscriptions of streams.
    pub(in crate::broker::dispatcher) fn end_consuming(&mut self, left: Vec<Consuming>) {
        for Consuming { place, member, feed, .. } in left {
            feed.end();
            if let Some(stream) = self.streams.at(place) {
                stream.hand_over(What::Leave { feed, member });
            }
        }
    }

    /// Judges the subscriptions of streams that a connection has, when its rights have changed.
    pub(in crate::broker::dispatcher) fn judge_streams(&mut self, slot: Slot) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        let feeds: Vec<_> = client.more.consuming.iter().map(|one| one.feed.clone()).collect();
        let rights = self.rights(slot);
        for feed in feeds {
            let filter = feed.filter.clone();
            let scope = rights.scope(Right::Subscribe, "subscribe to", filter.clone());
            let refusal = match scope {
                Ok(scope) if feed.consumer.is_none() => {
                    feed.limit_to(scope.limit().cloned());
                    continue;
                }
                Ok(scope) if scope.limit().is_none() => continue,
                Ok(_) => only_a_part(&filter),
                Err(refusal) => refusal,
            };
            self.leave_streams(slot, |other| std::ptr::eq(other, &*feed));
            self.tell_lost(slot, filter, refusal);
        }
    }

    /// Takes what a client says of messages that were delivered to it.
    pub(in crate::broker::dispatcher) fn settle(&mut self, client: ClientId, settle: Settle) {
        let Some(&slot) = self.by_id.get(&client) else { return };
        let Settle { stream, consumer, token, what } = settle;
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        let mut meant = client.more.consuming.iter().filter(|consuming| {
            let feed = &consuming.feed;
            !feed.has_ended()
                && feed
                    .consumer
                    .as_ref()
                    .is_some_and(|name| consumer.as_deref().is_none_or(|wanted| wanted == &**name))
                && stream.as_deref().is_none_or(|wanted| wanted == &*feed.stream)
        });
        let (code, reason) = match (meant.next(), meant.next()) {
            (Some(Consuming { place, member, .. }), None) => {
                let (place, member) = (*place, *member);
                let Some(stream) = self.streams.at(place) else { return };
                stream.hand_over(What::Settle { member, what });
                let op = stream.op;
                return self.touch(slot, place, Reach::All, op);
            }
            (Some(_), Some(_)) => (
                ErrorCode::MissingField,
                "this connection consumes as more than one consumer; say which with \"consumer\" \
                 and \"stream\"",
            ),
            (None, _) => (
                ErrorCode::NoConsumer,
                "this connection consumes nothing under this name; subscribe with \"consumer\" \
                 first",
            ),
        };
        self.reply(slot, token, Reply::Error(Refusal::new(code, reason)));
    }

    /// Answers with the last messages of a topic that a stream keeps.
    pub(in crate::broker::dispatcher) fn get_last(
        &mut self,
        slot: Slot,
        topic: Topic,
        (dialect, token): (Dialect, Token),
        last: u32,
    ) {
        let reader = self.rights(slot).see(topic.name()).and_then(|()| {
            if self.streams.shares(topic.name()).is_some() {
                let reason = format!(
                    "{topic} is shared with other brokers, and NATS cannot read the messages of a \
                     topic backwards; get it without \"last\", which is the last one, or follow it \
                     (subscribe with \"start\")"
                );
                return Err(Refusal::new(ErrorCode::NoStream, reason).about(topic.as_str()));
            }
            let mut places = Vec::new();
            self.streams
                .filters
                .each_matching(topic.name(), |of_filter| places.extend_from_slice(of_filter));
            let stream = places.first().and_then(|place| self.streams.at(*place));
            let stream = stream.ok_or_else(|| {
                let reason = format!(
                    "no stream keeps {topic}; start the broker with --stream, or add one with \
                     `babelmq stream add`"
                );
                Refusal::new(ErrorCode::NoStream, reason).about(topic.as_str())
            })?;
            Ok((stream.reader.clone(), stream.state.clone()))
        });
        match reader {
            Ok((reader, state)) => {
                let last = LastMessages { reader, state, topic, last, dialect, token };
                self.send(slot, Delivery::Last(Box::new(last)));
            }
            Err(refusal) => self.reply(slot, token, Reply::Error(refusal)),
        }
    }
}

/// Why a client may not consume what it may see a part of.
fn only_a_part(filter: &TopicFilter) -> Refusal {
    let reason = format!(
        "a consumer gets every message of {filter}, and you may not subscribe to all of that; \
         consume a part that you may see, or ask for the right"
    );
    Refusal::new(ErrorCode::NotPermitted, reason).about(filter.as_str())
}

/// The name of a consumer, judged.
fn checked(name: &str) -> Result<Arc<str>, Refusal> {
    check_name("consumer", name)
        .map(|()| name.into())
        .map_err(|reason| Refusal::new(ErrorCode::InvalidField, reason))
}
