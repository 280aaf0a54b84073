//! Packets as they come, and what they come to.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::Session;
use super::super::login::Goes;
use super::keeping::Keeping;
use super::subscribe::{Then, subscribe, unsubscribe};
use crate::broker::sync::Mutex;
use crate::broker::{Charge, Control, Counters, MqttWay, Step};
use crate::codec::Claim;
use crate::protocol::{Refusal, Token};
use crate::transport::mqtt::forget;
use crate::transport::priority::{CROWD, give_way};
use crate::wire::mqtt::{
    Aliases, Answer, Arrived, Fault, NotPublished, Packet, Publish, Published, Publishes, Qos,
    Reason, Talk, packet_at,
};

/// Messages of QoS 2 that a client may make a session remember without more memory for it, and what
/// all that it can may take.
const FEW_UNRELEASED: usize = 1_024;
const UNRELEASED_BYTES: usize = 512 << 10;
/// Bytes that it may make the session remember otherwise.
const FEW_REMEMBERED: usize = 4 << 10;
/// Messages that are answered by one question to the dispatcher.
const ANSWERS_TOGETHER: usize = 4_096;
/// Aliases that a client may use for topics.
pub(super) const ALIASES: u16 = 32;

/// What was taken of what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// All whole packets.
    Everything,
    /// Some; there may be more.
    Some,
    /// The last that the client sends.
    Last,
}

/// What a region of packets came to.
#[derive(Default)]
struct Region {
    /// Bytes that were taken.
    taken: usize,
    answers: Vec<Answer>,
    /// Messages, by their QoS.
    messages: [usize; 3],
    charges: Vec<Charge>,
    refused: Vec<Refusal>,
    fault: Option<Fault>,
    is_last: bool,
    needs_permit: bool,
    subscriptions: Then,
}

impl Session {
    /// Takes whole packets out of the buffer, and sends what they come to.
    pub(super) fn take_packets(&mut self) -> io::Result<Took> {
        if self.known().is_none() {
            return self.take_connect();
        }
        let buffer = mem::take(&mut self.buffer);
        let took = self.take_region(buffer.bytes());
        self.buffer = buffer;
        let (taken, took) = took?;
        self.buffer.take(taken);
        Ok(took)
    }

    fn take_region(&mut self, region: &[u8]) -> io::Result<(usize, Took)> {
        let Some(known) = self.known() else { return Ok((0, Took::Last)) };
        let (version, talk) = (known.version, known.talk.clone());
        let (limits, most) = (self.shared.config.limits, self.most_of_packet());
        // Nothing is claimed for what is not there as a whole.
        match packet_at(region, 0, Some(version), most) {
            Ok(None) => return Ok((0, Took::Everything)),
            Ok(Some(_)) => {}
            Err(fault) => {
                self.find_fault(&fault);
                return Ok((0, Took::Last));
            }
        }
        give_way(region.len(), self.shared.awake.load(Ordering::Relaxed) > CROWD);
        let room = self.recent.get().room(region.len());
        let flight = self.purse.fly(room, &self.events, &self.shared);
        self.recent.get().hold(flight);
        let [shapes, open] =
            [self.shared.shapes.load(Ordering::Relaxed), self.shared.counters.open()];
        self.recent.get().note_audience(shapes, open);
        // Behind all that was waited for: who has lost a right meanwhile has lost it here.
        if self.renew_rights()? == Goes::NoFurther {
            return Ok((0, Took::Last));
        }
        let Some(mqtt) = &mut self.mqtt else { return Ok((0, Took::Last)) };
        let format = mqtt.format;
        let Some(known) = &mut mqtt.known else { return Ok((0, Took::Last)) };
        let mut publishes = Publishes::new(limits, format, self.recent.get());
        let mut found = Region::default();
        loop {
            let (packet, end) = match packet_at(region, found.taken, Some(version), most) {
                Ok(Some((packet, end))) => (packet, end),
                Ok(None) => break,
                Err(fault) => {
                    found.fault = Some(fault);
                    break;
                }
            };
            // Of a message.
            let qos = match &packet {
                Packet::Publish(publish) => Some(publish.qos),
                _ => None,
            };
            let taken = match packet {
                Packet::Publish(publish) => {
                    take_publish(&publish, &mut known.aliases, &talk, &mut publishes, &mut found)
                }
                Packet::Ack(ack) => talk.lock().ack(&ack).map(|charge| {
                    found.charges.extend(charge);
                }),
                Packet::Pingreq => {
                    talk.lock().ping();
                    Ok(())
                }
                Packet::Subscribe(it) => {
                    let keeping = Keeping {
                        client: self.client,
                        session: known.session.as_deref(),
                        talk: &talk,
                        window: known.window,
                        events: &self.events,
                    };
                    let then = &mut found.subscriptions;
                    subscribe(&it, format, &limits, &keeping, &mut publishes, then)
                }
                Packet::Unsubscribe(it) => {
                    unsubscribe(&it, &limits, &talk, &mut publishes, &mut found.subscriptions)
                }
                Packet::Disconnect(goodbye) => {
                    found.is_last = true;
                    known.say_goodbye(&goodbye)
                }
                // A second one is a fault, which was found before.
                Packet::Connect(_) => Ok(()),
            };
            if let Err(fault) = taken {
                found.fault = Some(fault);
                break;
            }
            if found.needs_permit {
                break;
            }
            found.taken = end;
            if let Some(qos) = qos {
                found.messages[usize::from(qos.byte())] += 1;
            }
            let is_much = match qos.is_some() {
                true => found.answers.len() >= ANSWERS_TOGETHER,
                false => talk.lock().is_too_much(),
            };
            if found.is_last || is_much || publishes.is_enough() {
                break;
            }
        }
        let Region { answers, .. } = &mut found;
        if !answers.is_empty() {
            // What it is asked is answered when all before is done.
            talk.lock().answer_later(mem::take(answers));
            publishes.then(Step::Control(Token(0), Control::Ping { id: None }));
        }
        let published = publishes.finish();
        self.recent.get().hold(Claim::nothing());
        self.recent.get().permit(false);
        self.permit = None;
        self.conclude(found, published)
    }

    fn conclude(&mut self, found: Region, published: Published) -> io::Result<(usize, Took)> {
        self.shared.counters.add_mqtt(MqttWay::In, found.messages);
        for refusal in &found.refused {
            Counters::add(&self.shared.counters.refused, 1);
            self.refusal_log.log_one((self.client, self.peer), refusal, "mqtt");
        }
        if published.extra > 0 {
            self.shared.allowances.spend(self.peer.origin(), found.taken, published.extra);
        }
        self.let_go_of_refused();
        let messages = self.published_in(&published.steps);
        if found.subscriptions.has_changed {
            // A consumer that nothing is written of would be forgotten after a restart.
            self.write_down();
        }
        self.send(published.steps, published.cost);
        for durable in found.subscriptions.left {
            forget(durable, &self.events);
        }
        if let Some(writer) = &self.writer {
            found.charges.into_iter().for_each(|charge| writer.fate.written(charge));
        }
        let mut is_last = found.is_last;
        let is_too_much = self.talk().is_some_and(|talk| talk.lock().is_too_much());
        let unread = is_too_much.then(|| {
            let what = "the client asks, and does not read what it is answered";
            Fault::of(Reason::QUOTA, "packet", what)
        });
        if let Some(fault) = &found.fault.or(unread) {
            self.find_fault(fault);
            is_last = true;
        }
        is_last |= !self.claim_for_memories();
        self.wake_writer();
        is_last |= self.keep_to_rates(messages, found.taken)? == Goes::NoFurther;
        if found.needs_permit && !is_last {
            self.wait_for_permit()?;
            return Ok((found.taken, Took::Some));
        }
        let took = if is_last {
            Took::Last
        } else if found.taken == 0 {
            Took::Everything
        } else {
            Took::Some
        };
        Ok((found.taken, took))
    }

    /// Claims memory for what the client makes the session remember. Returns whether there is some.
    fn claim_for_memories(&mut self) -> bool {
        let Some(known) = self.known() else { return true };
        let (unreleased, remembered) = {
            let talk = known.talk.lock();
            (talk.unreleased(), talk.remembered())
        };
        let of_qos_2 = if unreleased > FEW_UNRELEASED { UNRELEASED_BYTES } else { 0 };
        let needed = known.aliases.bytes() + of_qos_2 + remembered.saturating_sub(FEW_REMEMBERED);
        let more = needed.saturating_sub(known.claimed);
        if more == 0 {
            return true;
        }
        let has_room = self.purse.take_more(more);
        match self.known_mut() {
            Some(known) if has_room => known.claimed = needed,
            _ => {}
        }
        if !has_room {
            self.end_talk(Reason::QUOTA);
        }
        has_room
    }
}

/// Takes a message.
fn take_publish(
    publish: &Publish<'_>,
    aliases: &mut Aliases,
    talk: &Arc<Mutex<Talk>>,
    publishes: &mut Publishes<'_>,
    found: &mut Region,
) -> Result<(), Fault> {
    let topic = aliases.topic(publish)?;
    let (qos, id) = match publish.id {
        None => (Qos::AtMostOnce, None),
        Some(id) => (publish.qos, Some(id)),
    };
    if let Some(id) = id
        && talk.lock().publish(qos, id)? == Arrived::Again
    {
        found.answers.push(Answer { id, qos, refused: None });
        return Ok(());
    }
    let refused = match publishes.publish(publish, topic) {
        Ok(()) => None,
        Err(NotPublished::NeedsPermit) => {
            if let Some(id) = id {
                talk.lock().take_back(qos, id);
            }
            found.needs_permit = true;
            return Ok(());
        }
        Err(NotPublished::Refused(reason, refusal)) => {
            let words = refusal.reason.clone();
            found.refused.push(refusal);
            Some((reason, words))
        }
    };
    if let Some(id) = id {
        found.answers.push(Answer { id, qos, refused });
    }
    Ok(())
}
