//! Which of a session's subscriptions streams keep, and the session that goes on with them.

use std::sync::Arc;
use std::time::Duration;

use super::super::Session;
use super::Known;
use crate::broker::sync::{Mutex, Sender, bounded};
use crate::broker::{ClientId, Control, Event, Query, Step};
use crate::protocol::{DurableRequest, Overflow, Qos, Start, Token, TopicFilter};
use crate::transport::mqtt::{Lasting, forget, new_consumer};
use crate::wire::MqttFormat;
use crate::wire::mqtt::{Durable, Subscribed, Talk};

/// Subscriptions of one session that streams keep; each is a consumer.
const MOST_DURABLE: usize = 64;
/// Messages of one that may be on their way to the client.
pub(super) const MOST_OUTSTANDING: u16 = 256;
/// How long a client may take to acknowledge a message, that is, for as long as it is connected:
/// none is sent twice on one connection (MQTT 5, 4.4).
const ACK_WAIT: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What decides whether a stream keeps a subscription.
pub(super) struct Keeping<'a> {
    pub(super) client: ClientId,
    /// The session; `None` where it ends with its connection.
    pub(super) session: Option<&'a str>,
    pub(super) talk: &'a Mutex<Talk>,
    /// Messages that may be on their way to the client.
    pub(super) window: u16,
    pub(super) events: &'a Sender<Event>,
}

/// Whether a stream may keep what is asked for. It does not know who has published a message, and
/// whether that was to be the last value; and a message that a client has half may not be known any
/// more after a restart, so QoS 2 is for memory. What a stream `keeps` already stays there,
/// whatever QoS is asked for: what waits there would be lost. What a group shares is given to one
/// of those who are there.
fn may_be_kept(subscribed: &Subscribed, keeps: bool) -> bool {
    let granted = &subscribed.granted;
    (keeps || granted.qos == Qos::AtLeastOnce)
        && !granted.no_local
        && !granted.retain_as_published
        && subscribed.group.is_none()
}

impl Keeping<'_> {
    /// For each of these the stream that keeps its messages, if one does.
    pub(super) fn streams_for<'a>(
        &self,
        wanted: impl Iterator<Item = &'a Subscribed> + Clone,
    ) -> Vec<Option<Arc<str>>> {
        let stream = |it: &Subscribed| {
            self.talk.lock().durable(&it.filter).map(|durable| durable.stream.clone())
        };
        let may_be =
            |it: &Subscribed| self.session.is_some() && may_be_kept(it, stream(it).is_some());
        let of_streams = wanted.clone().filter(|it| may_be(it));
        let filters: Vec<_> = of_streams.map(|it| (it.filter.clone(), stream(it))).collect();
        let mut found = Vec::new();
        if !filters.is_empty() {
            let (reply, answer) = bounded(1);
            let query = Query::Consumable(self.client, filters, reply);
            let _ = self.events.send(Event::Query(query));
            found = answer.recv().unwrap_or_default();
        }
        let mut found = found.into_iter();
        wanted.map(|it| if may_be(it) { found.next().flatten() } else { None }).collect()
    }

    /// The consumer of a stream for a subscription: the one that it has, or a new one.
    pub(super) fn consumer(&self, subscribed: &Subscribed, stream: Arc<str>) -> Option<Durable> {
        let talk = self.talk.lock();
        match talk.durable(&subscribed.filter) {
            Some(durable) if durable.stream == stream => Some(durable.clone()),
            // What waits for it there would be lost.
            None if talk.waits_in_memory(&subscribed.filter) => None,
            _ if talk.count_durable() >= MOST_DURABLE => None,
            _ => new_consumer(self.session?, stream),
        }
    }
}

/// Ends what a stream keeps for a filter.
pub(super) fn leaving(filter: TopicFilter, durable: &Durable) -> Control {
    let (stream, consumer) = (Some((*durable.stream).into()), Some((*durable.consumer).into()));
    Control::Leave { filter, stream, consumer }
}

/// What the dispatcher is asked for; `goes_on` says that it was before.
pub(super) fn subscribing(
    subscribed: &Subscribed,
    goes_on: bool,
    format: MqttFormat,
    values: bool,
    window: u16,
) -> Control {
    let (filter, dialect) = (subscribed.filter.clone(), format.dialect());
    if let Some(group) = subscribed.group.clone() {
        return Control::Join { group, filter, dialect, mark: subscribed.granted.mark() };
    }
    let durable = subscribed.durable.as_ref().map(|durable| {
        Box::new(DurableRequest {
            consumer: Some((*durable.consumer).into()),
            stream: Some((*durable.stream).into()),
            // Where the consumer was lost with the power, what it had waits in the stream.
            start: Some(if goes_on { Start::Time(durable.since) } else { Start::New }),
            window: Some(window.min(MOST_OUTSTANDING).into()),
            ack_wait: Some(ACK_WAIT),
            max_deliver: Some(u32::MAX),
            ..DurableRequest::default()
        })
    });
    Control::Subscribe {
        filter,
        dialect,
        names: None,
        overflow: Overflow::Disconnect,
        queue: None,
        // A last value that is cleared is told by a message of no bytes.
        cleared: true,
        values,
        durable,
    }
}

impl Known {
    /// What streams keep of the session, if they do.
    pub(super) fn lasting(&self) -> Option<Lasting> {
        let (id, seat, talk) = (self.session.clone()?, self.seat.as_ref()?, self.talk.lock());
        if talk.count_durable() == 0 && self.written.is_none() {
            return None;
        }
        let (name, expiry) = (seat.name.clone(), self.expiry);
        Some(Lasting { id, name, expiry, subscriptions: talk.subscriptions() })
    }
}

impl Session {
    /// Writes the session down, or what was written is forgotten, now that it is another one.
    pub(super) fn write_down(&mut self) {
        let config = &self.shared.config;
        let Some(known) = self.mqtt.as_mut().and_then(|mqtt| mqtt.known.as_mut()) else { return };
        let Some(lasting) = known.lasting() else { return };
        if lasting.is_whole() && known.expiry > 0 {
            match lasting.write(&self.events, config) {
                Ok(()) => {
                    known.written = Some(known.expiry);
                    return;
                }
                Err(refusal) => {
                    let client = self.client;
                    tracing::warn!(%client, reason = %refusal, "a session will not be known after \
                    a restart: it could not be written down");
                }
            }
        }
        // What was written is not what there is.
        if known.written.take().is_some() {
            lasting.erase(&self.events, config.fsync);
        }
    }

    /// Lets go of consumers whose subscriptions were refused: nobody reads what they keep.
    pub(super) fn let_go_of_refused(&mut self) {
        let Some(talk) = self.talk() else { return };
        let refused = talk.lock().take_refused();
        if refused.is_empty() {
            return;
        }
        self.write_down();
        let leave = |(filter, durable): &(TopicFilter, Durable)| {
            Step::Control(Token(0), leaving(filter.clone(), durable))
        };
        let steps: Vec<Step> = refused.iter().map(leave).collect();
        let cost = steps.iter().map(Step::cost).sum();
        self.send(steps, cost);
        refused.into_iter().for_each(|(_, durable)| forget(durable, &self.events));
    }

    /// Goes on with what streams keep for the session; and where the broker `knows` nothing of it
    /// any more, with all that its client has subscribed to.
    pub(super) fn subscribe_again(&mut self, is_known: bool) {
        let Some(mqtt) = &self.mqtt else { return };
        let (format, Some(known)) = (mqtt.format, &mqtt.known) else { return };
        let keeping = Keeping {
            client: self.client,
            session: known.session.as_deref(),
            talk: &known.talk,
            window: known.window,
            events: &self.events,
        };
        let subscriptions = known.talk.lock().subscriptions();
        let kept = || subscriptions.iter().filter(|it| it.durable.is_some());
        let mut streams = keeping.streams_for(kept()).into_iter();
        let (mut steps, mut cost, mut left) = (Vec::new(), 0, Vec::new());
        for mut subscribed in subscriptions.iter().cloned() {
            if let Some(durable) = &subscribed.durable {
                if streams.next().flatten().as_ref() != Some(&durable.stream) {
                    // It was removed, or the client may not consume it any more.
                    let mut talk = known.talk.lock();
                    subscribed.durable.iter().for_each(|durable| talk.give_up_of(durable));
                    left.extend(subscribed.durable.take());
                    talk.grant(subscribed.clone());
                }
            } else if is_known {
                continue;
            }
            let control = subscribing(&subscribed, true, format, false, known.window);
            let step = Step::Control(Token(0), control);
            cost += step.cost();
            steps.push(step);
        }
        if !steps.is_empty() {
            self.send(steps, cost);
        }
        let is_as_written = known.written == Some(known.expiry) && left.is_empty();
        left.into_iter().for_each(|durable| forget(durable, &self.events));
        if !is_as_written {
            self.write_down();
        }
    }
}
