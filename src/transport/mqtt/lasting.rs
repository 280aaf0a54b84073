//! A session that outlives the process: the streams that keep its messages know how far its client
//! is, and a topic of the broker's own says which subscriptions it has.

use std::sync::Arc;

use super::session_name::SessionName;
use crate::broker::sync::{Sender, bounded};
use crate::broker::{Event, Fsync, Query, wall_clock};
use crate::codec::{Batch, Document, Payload, to_value};
use crate::protocol::{Limits, Qos, Refusal, Topic, TopicFilter, Value};
use crate::transport::config::Config;
use crate::wire::mqtt::{Durable, Granted, Subscribed};

/// Where sessions are written down, below which each has a topic.
pub(super) const SESSIONS: &str = "$mqtt/sessions";
/// What the names of their consumers begin with.
pub(super) const CONSUMER: &str = "$mqtt-";

/// Subscriptions that a session may have and be written down, which is done whenever they change.
const MOST_WRITTEN: usize = 256;

/// What is written down of a session.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Lasting {
    /// Its topic's last segment. No two sessions ever have the same, of one client neither.
    pub(in crate::transport) id: Arc<str>,
    pub(in crate::transport) name: SessionName,
    /// Seconds for which it outlives a connection.
    pub(in crate::transport) expiry: u32,
    pub(in crate::transport) subscriptions: Vec<Subscribed>,
}

/// Letters that no other session, or consumer, has.
pub(in crate::transport) fn unheard_of() -> Option<Arc<str>> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:016x}", u64::from_le_bytes(bytes)).into())
}

/// A new consumer of a stream for a session.
pub(in crate::transport) fn new_consumer(session: &str, stream: Arc<str>) -> Option<Durable> {
    let consumer = format!("{CONSUMER}{session}-{}", unheard_of()?).into();
    Some(Durable { stream, consumer, since: wall_clock() })
}

impl Lasting {
    fn topic(&self) -> Result<Topic, Refusal> {
        Topic::parse(&format!("{SESSIONS}/{}", self.id))
    }

    /// Whether it is written down: nothing is lost with the process but messages of QoS 0, for
    /// streams keep all others.
    pub(in crate::transport) fn is_whole(&self) -> bool {
        let is_kept = |it: &Subscribed| it.durable.is_some() || it.granted.qos == Qos::AtMostOnce;
        self.subscriptions.len() <= MOST_WRITTEN
            && self.subscriptions.iter().all(is_kept)
            && self.subscriptions.iter().any(|it| it.durable.is_some())
    }

    /// Writes it down: on the disk, where everything is confirmed by that.
    ///
    /// # Errors
    /// Why it is not.
    pub(in crate::transport) fn write(
        &self,
        events: &Sender<Event>,
        config: &Config,
    ) -> Result<(), Refusal> {
        let limits = config.limits;
        let topic = self.topic()?;
        let payload = Payload::of_value(topic.as_str(), &self.to_value(), &limits)?;
        let batch = Box::new(Batch::of_payload(topic, payload, (true, None), limits));
        let (reply, answer) = bounded(1);
        let _ = events.send(Event::Query(Query::Put(batch, reply)));
        answer.recv().unwrap_or(Ok(()))?;
        saved(events, config.fsync)
    }

    /// Forgets what was written: on the disk as well, where everything is confirmed by that. The
    /// session would be there again with what it has lost.
    pub(in crate::transport) fn erase(&self, events: &Sender<Event>, fsync: Fsync) {
        if let Ok(topic) = self.topic() {
            let (reply, _) = bounded(1);
            let _ = events.send(Event::Query(Query::Clear(topic, reply)));
            // A disk that takes nothing has said so.
            let _ = saved(events, fsync);
        }
    }

    /// Ends the session: nothing of it is left.
    pub(in crate::transport) fn end(self, events: &Sender<Event>) {
        // Whoever ends it waits for no disk: what is there again has lost nothing.
        self.erase(events, Fsync::Never);
        for durable in self.subscriptions.into_iter().filter_map(|it| it.durable) {
            forget(durable, events);
        }
    }

    fn to_value(&self) -> Value {
        let subscriptions = self.subscriptions.iter().map(one_to_value).collect();
        dict(vec![
            ("client_id", Value::from(&*self.name.client)),
            ("user", self.name.user.as_deref().map_or(Value::None, Value::from)),
            ("expiry", Value::Int(self.expiry.into())),
            ("subscriptions", Value::List(subscriptions)),
        ])
    }

    /// What was written down under this last segment; `None` where it is not understood.
    pub(super) fn read(id: &str, payload: &Payload, limits: &Limits) -> Option<Lasting> {
        let mut document = Document::new();
        let root = payload.decode(&mut document, limits).ok()?;
        let value = to_value(document.view(payload.source(), root));
        let Some(Value::List(subscriptions)) = value.get("subscriptions") else { return None };
        let user = value.get("user").and_then(Value::as_str).map(Arc::from);
        Some(Lasting {
            id: id.into(),
            name: SessionName { user, client: value.get("client_id")?.as_str()?.into() },
            expiry: u32::try_from(value.get("expiry")?.as_i64()?).ok()?,
            subscriptions: subscriptions.iter().map(one_of_value).collect::<Option<_>>()?,
        })
    }
}

/// Waits until what was handed over is on the disk, where everything is confirmed by that. The
/// disks of streams are nothing to it.
fn saved(events: &Sender<Event>, fsync: Fsync) -> Result<(), Refusal> {
    if fsync != Fsync::Always {
        return Ok(());
    }
    let (reply, answer) = bounded(1);
    let _ = events.send(Event::Query(Query::SavedValues(reply)));
    answer.recv().ok().flatten().map_or(Ok(()), |ticket| ticket.wait())
}

fn dict(fields: Vec<(&str, Value)>) -> Value {
    Value::Dict(fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

fn one_to_value(Subscribed { filter, group, granted, durable }: &Subscribed) -> Value {
    let mut fields = vec![
        ("filter", Value::from(filter.as_str())),
        ("qos", Value::Int(granted.qos.byte().into())),
        ("no_local", Value::Bool(granted.no_local)),
        ("retain_as_published", Value::Bool(granted.retain_as_published)),
    ];
    fields.extend(granted.identifier.map(|it| ("identifier", Value::Int(it.into()))));
    fields.extend(group.as_deref().map(|group| ("group", Value::from(group))));
    if let Some(Durable { stream, consumer, since }) = durable {
        fields.push(("stream", Value::from(&**stream)));
        fields.push(("consumer", Value::from(&**consumer)));
        fields.push(("since", Value::Int(i64::try_from(*since).unwrap_or(i64::MAX))));
    }
    dict(fields)
}

fn one_of_value(value: &Value) -> Option<Subscribed> {
    let number = |name| value.get(name).and_then(Value::as_i64);
    let text = |name| value.get(name).and_then(Value::as_str);
    let flag = |name| value.get(name) == Some(&Value::Bool(true));
    let granted = Granted {
        qos: Qos::from_byte(u8::try_from(number("qos")?).ok()?)?,
        no_local: flag("no_local"),
        retain_as_published: flag("retain_as_published"),
        identifier: number("identifier").and_then(|it| u32::try_from(it).ok()),
    };
    let durable = text("stream").zip(text("consumer")).zip(number("since"));
    let durable = durable.map(|((stream, consumer), since)| Durable {
        stream: stream.into(),
        consumer: consumer.into(),
        since: since.unsigned_abs(),
    });
    let filter = TopicFilter::parse(text("filter")?).ok()?.below(false);
    let group = text("group").map(Arc::from);
    Some(Subscribed { filter, group, granted, durable })
}

/// Forgets a consumer that no subscription has any more.
pub(in crate::transport) fn forget(durable: Durable, events: &Sender<Event>) {
    let Durable { stream, consumer, .. } = durable;
    let _ = events.send(Event::Query(Query::Forget { stream, consumer }));
}
