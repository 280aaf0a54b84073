//! Sessions that were there before the broker: they are known again before anybody connects.

use std::collections::HashSet;
use std::sync::Arc;

use super::kept::{Stored, waited_until};
use super::lasting::{CONSUMER, Lasting, SESSIONS};
use super::sessions::Sessions;
use crate::broker::sync::{Sender, bounded};
use crate::broker::{Event, Query};
use crate::protocol::{Limits, Topic, TopicFilter};

/// Takes in the sessions that are written down, and forgets consumers that none of them has: those
/// of sessions that would have ended with the process.
pub(in crate::transport) fn restore(sessions: &Sessions, events: &Sender<Event>, limits: Limits) {
    let ask = |topic: Topic| answer(events, |reply| Query::Get(topic, reply)).flatten();
    let Ok(filter) = TopicFilter::parse(SESSIONS) else { return };
    let topics = answer(events, |reply| Query::Topics(filter, reply)).unwrap_or_default();
    let (mut known, mut names) = (HashSet::new(), HashSet::new());
    let mut left_alone = Vec::new();
    for topic in topics {
        let id = topic.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        let Some(payload) = ask(topic.clone()) else { continue };
        let Some(lasting) = Lasting::read(&id, &payload, &limits) else {
            tracing::warn!(%topic, "a session of an MQTT client is not understood, and left alone");
            left_alone.push(format!("{CONSUMER}{id}-"));
            continue;
        };
        if !names.insert(lasting.name.clone()) {
            // The broker ended between the end of one and the beginning of the other.
            tracing::warn!(%topic, "an MQTT client has two sessions; this one is forgotten");
            lasting.end(events);
            continue;
        }
        // The client may have been away for long; nobody knows.
        let consumers = lasting.subscriptions.iter().filter_map(|it| it.durable.as_ref());
        known.extend(consumers.map(|it| it.consumer.clone()));
        let until = waited_until(lasting.expiry);
        sessions.restore(Stored { lasting, until, events: events.clone() });
    }
    let asked = answer(events, Query::Consumers).unwrap_or_default();
    for asked in asked {
        // One whose thread waits for a disk keeps them until the next start.
        let consumers = asked.wait().map(|report| report.consumers).unwrap_or_default();
        let own = consumers.into_iter().filter(|entry| entry.name.starts_with(CONSUMER));
        let is_of_none = |name: &Arc<str>| {
            !known.contains(name) && !left_alone.iter().any(|session| name.starts_with(session))
        };
        for consumer in own.map(|entry| entry.name).filter(is_of_none) {
            let stream = asked.stream().into();
            let _ = events.send(Event::Query(Query::Forget { stream, consumer }));
        }
    }
}

fn answer<T>(events: &Sender<Event>, query: impl FnOnce(Sender<T>) -> Query) -> Option<T> {
    let (reply, answer) = bounded(1);
    events.send(Event::Query(query(reply))).ok()?;
    answer.recv().ok()
}
