//! Messages of MQTT to batches: neighbours are one.

use super::{Publish, Reason};
use crate::broker::{EVENT_COST, Step, fanout_cost, guessed_cost, wall_clock};
use crate::codec::{
    Batch, BatchEntry, Document, PayloadSpan, RawFormat, judge_raw, properties_cost,
};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, Token, Topic};
use crate::wire::alone::judge_alone;
use crate::wire::batch_topics::BatchTopics;
use crate::wire::intake::{no_memory_to_decode, usual_size};
use crate::wire::mqtt_format::MqttFormat;
use crate::wire::recent::{BATCH, Recent};

/// Bytes of decoded payloads that a batch carries.
const MAX_DECODED: usize = 4 << 20;

/// What becomes of messages, in their order.
#[derive(Debug)]
pub(crate) struct Publishes<'a> {
    limits: Limits,
    format: MqttFormat,
    recent: &'a mut Recent,
    bytes: Vec<u8>,
    document: Document,
    topics: BatchTopics,
    messages: Vec<BatchEntry>,
    /// What publishers want passed on with messages, with their indices.
    properties: Vec<(u32, Box<[u8]>)>,
    /// Bytes of properties that are paid for.
    paid: usize,
    /// The same of what is decoded.
    paid_document: usize,
    steps: Vec<Step>,
    cost: usize,
    each: usize,
    /// Bytes that a message may have been decoded to beyond what its length explains.
    extra: usize,
}

/// Why a message is not published.
#[derive(Debug)]
pub(crate) enum NotPublished {
    /// Its sender is told.
    Refused(Reason, Refusal),
    /// It decodes to far more than its length explains, and there was no permit for that.
    NeedsPermit,
}

/// The steps that messages come to.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) steps: Vec<Step>,
    /// The cost of the steps to the dispatcher.
    pub(crate) cost: usize,
    /// Bytes that a message may have been decoded to beyond what its length explains.
    pub(crate) extra: usize,
}

impl<'a> Publishes<'a> {
    /// Nothing is published yet. What the client may do, and what was claimed for its messages, is
    /// in `recent`.
    pub(crate) fn new(limits: Limits, format: MqttFormat, recent: &'a mut Recent) -> Publishes<'a> {
        Publishes {
            limits,
            format,
            each: recent.asked.each().unwrap_or_else(|| guessed_cost(recent.connections)),
            recent,
            bytes: Vec::new(),
            document: Document::new(),
            topics: BatchTopics::default(),
            messages: Vec::new(),
            properties: Vec::new(),
            paid: 0,
            paid_document: 0,
            steps: Vec::new(),
            cost: 0,
            extra: 0,
        }
    }

    /// Whether what was taken is enough for one event.
    pub(crate) fn is_enough(&self) -> bool {
        self.cost > EVENT_COST || self.extra > 0 || self.document.weight() > MAX_DECODED
    }

    /// Publishes a message to the topic that it names, or that its alias stands for.
    ///
    /// # Errors
    /// Why not; nothing of it is left then.
    pub(crate) fn publish(
        &mut self,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Result<(), NotPublished> {
        let refused =
            |refusal: Refusal| NotPublished::Refused(reason_of(refusal.code), refusal.about(topic));
        let index =
            self.topics.index(topic, self.recent, &self.limits, &mut self.cost).map_err(refused)?;
        if publish.retain && publish.payload.is_empty() {
            // MQTT 5, 3.3.1.3: the topic has no last value any more.
            self.finish_batch();
            let topic = Topic::parse(topic).map_err(refused)?;
            let step = Step::Clear(topic);
            self.cost += step.cost();
            self.steps.push(step);
            return Ok(());
        }
        if self.recent.permit {
            // There is a permit for one message, and it is the next.
            self.extra += self.limits.decoded_budget(publish.payload.len());
        }
        let (format, span) = self.judge(publish, topic).map_err(|wrong| match wrong {
            NotPublished::Refused(reason, refusal) => {
                NotPublished::Refused(reason, refusal.about(topic))
            }
            NotPublished::NeedsPermit => NotPublished::NeedsPermit,
        })?;
        let over_at = publish.content.expiry.map(second_in);
        // A document in XML is kept as an element that every reader of a frame understands. A
        // pickle of a stranger is never passed on as it came.
        let spelled = self.bytes.get(span.part.range().clone());
        let is_other = format == Format::Xml && spelled != Some(publish.payload);
        let original = is_other.then_some(publish.payload);
        let properties = publish.content.properties.to_keep(over_at, original);
        if !properties.is_empty() {
            self.keep_properties(&properties).map_err(refused)?;
        }
        if self.messages.capacity() == 0 {
            self.messages = self.recent.spares.messages(self.recent.messages);
        }
        // A value of no seconds is over at once.
        let ttl = publish.content.expiry.map(|seconds| seconds.max(1));
        let token = Token(publish.id.map_or(0, |id| id.get()));
        let entry = BatchEntry::new(index, format, &span, publish.retain, ttl, None)
            .answered_with(token)
            .with_qos(Some(publish.qos));
        self.messages.push(if self.extra > 0 { entry.expanding() } else { entry });
        self.cost += self.each + publish.payload.len();
        Ok(())
    }

    /// Judges a payload, and copies it into the batch.
    fn judge(
        &mut self,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Result<(Format, PayloadSpan), NotPublished> {
        let raw = match format_of(publish, self.format) {
            MqttFormat::Auto => RawFormat::Auto,
            MqttFormat::Json => RawFormat::Json,
            MqttFormat::Text => RawFormat::Text,
            MqttFormat::Bytes => RawFormat::Bytes,
            MqttFormat::Xml => return self.judge_written(Format::Xml, publish, topic),
            MqttFormat::Pickle => return self.judge_written(Format::Pickle, publish, topic),
        };
        if self.bytes.capacity() == 0 {
            self.bytes = self.recent.spares.bytes(publish.payload.len());
        }
        let (length, permit) = (publish.payload.len(), self.recent.permit);
        let most = self.limits.decoded_budget(length);
        let budget = if permit { most } else { usual_size(length).min(most) };
        let claim = self.recent.workspace.claim(budget);
        let refused = |refusal: Refusal| NotPublished::Refused(reason_of(refusal.code), refusal);
        let _claim = claim.ok_or_else(|| refused(no_memory_to_decode()))?;
        let (start, mark) = (self.bytes.len(), self.document.mark());
        self.bytes.extend_from_slice(publish.payload);
        let range = start..self.bytes.len();
        let limits = self.limits.decoded_size(budget);
        let judged = judge_raw(topic, &self.bytes, range, raw, &mut self.document, &limits);
        match judged {
            Ok((format, span)) => {
                let document = span.document.filter(|_| !permit && self.pay_for_document());
                if document.is_none() {
                    self.document.truncate(mark);
                }
                Ok((format, PayloadSpan { document, ..span }))
            }
            Err(refusal) => {
                self.bytes.truncate(start);
                if refusal.code == ErrorCode::TooLarge && budget < most {
                    return Err(NotPublished::NeedsPermit);
                }
                Err(refused(refusal))
            }
        }
    }

    /// Claims memory for what is decoded and goes with the batch, if there is some.
    fn pay_for_document(&mut self) -> bool {
        let weight = self.document.weight();
        let more = weight.saturating_sub(self.paid_document);
        let flight = &mut self.recent.flight;
        let has_paid =
            weight <= MAX_DECODED && (more == 0 || flight.try_grow_to(flight.bytes() + more));
        if has_paid {
            self.paid_document = weight;
        }
        has_paid
    }

    /// The same for what is read in full, and perhaps written anew.
    fn judge_written(
        &mut self,
        format: Format,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Result<(Format, PayloadSpan), NotPublished> {
        let refused = |refusal: Refusal| NotPublished::Refused(reason_of(refusal.code), refusal);
        let name = Topic::parse(topic).map_err(refused)?;
        let (payload, permit) = (publish.payload, self.recent.permit);
        let workspace = &self.recent.workspace;
        let judged = judge_alone(&name, format, payload, &self.limits, workspace, permit);
        let payload = judged.ok_or(NotPublished::NeedsPermit)?.map_err(refused)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload.source());
        let part = payload.encoding().part(start..self.bytes.len());
        Ok((payload.format(), PayloadSpan { part, document: None }))
    }

    /// Takes what is passed on with the next message, in memory that is claimed for it.
    fn keep_properties(&mut self, properties: &[u8]) -> Result<(), Refusal> {
        let cost = properties_cost(properties);
        let flight = &mut self.recent.flight;
        if !flight.try_grow_to(flight.bytes() + cost) {
            return Err(no_memory_to_decode());
        }
        self.paid += cost;
        self.properties.push((self.messages.len() as u32, properties.into()));
        Ok(())
    }

    /// Adds a step that comes behind all that was published.
    pub(crate) fn then(&mut self, step: Step) {
        self.finish_batch();
        self.cost += step.cost();
        self.steps.push(step);
    }

    fn finish_batch(&mut self) {
        let topics = self.topics.take();
        if self.messages.is_empty() {
            self.bytes.clear();
            return;
        }
        let messages = std::mem::take(&mut self.messages);
        self.recent.messages = messages.len();
        let bytes = std::mem::take(&mut self.bytes);
        let document = std::mem::take(&mut self.document);
        self.cost += fanout_cost(self.recent.asked.fanout());
        let asked = self.recent.asked.clone();
        let paid = std::mem::take(&mut self.paid) + std::mem::take(&mut self.paid_document);
        let claim = self.recent.flight.split(BATCH + asked.room(bytes.len()) + paid);
        let mut batch = Batch::new(bytes, document, topics, messages, self.limits);
        if !self.properties.is_empty() {
            batch = batch.with_properties(std::mem::take(&mut self.properties));
        }
        let batch = batch
            .of_session(asked, None)
            .returning_to(&self.recent.spares)
            .holding(claim, self.recent.workspace.clone());
        self.steps.push(Step::Publish(Box::new(batch)));
    }

    /// The steps that all of it comes to.
    pub(crate) fn finish(mut self) -> Published {
        self.finish_batch();
        Published { steps: self.steps, cost: self.cost, extra: self.extra }
    }
}

/// The first second since 1970 that begins when so many are over.
fn second_in(seconds: u32) -> u32 {
    let at = (wall_clock() + u64::from(seconds) * 1_000).div_ceil(1_000);
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What a payload is: as its content type says, if that is one that is known here, and else as the
/// listener's payloads are.
fn format_of(publish: &Publish<'_>, format: MqttFormat) -> MqttFormat {
    let Some(media) = publish.content.content_type else { return format };
    let media = media.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| media.eq_ignore_ascii_case(name);
    let ends_with = |suffix: &str| {
        let end = media.len().checked_sub(suffix.len()).and_then(|at| media.get(at..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    if is("application/json") || ends_with("+json") {
        MqttFormat::Json
    } else if is("application/xml") || is("text/xml") || ends_with("+xml") {
        MqttFormat::Xml
    } else if is("application/x-python-pickle") || is("application/python-pickle") {
        MqttFormat::Pickle
    } else if is("text/plain") {
        MqttFormat::Text
    } else if is("application/octet-stream") {
        MqttFormat::Bytes
    } else {
        format
    }
}

/// The reason of MQTT 5 for a message that is refused.
pub(crate) fn reason_of(code: ErrorCode) -> Reason {
    match code {
        ErrorCode::InvalidTopic => Reason::TOPIC_NAME,
        ErrorCode::NotPermitted | ErrorCode::LoginRequired => Reason::NOT_AUTHORIZED,
        ErrorCode::StoreFull
        | ErrorCode::StreamFull
        | ErrorCode::MemoryFull
        | ErrorCode::TooLarge
        | ErrorCode::TooManySubscriptions => Reason::QUOTA,
        ErrorCode::MalformedJson
        | ErrorCode::MalformedXml
        | ErrorCode::MalformedPickle
        | ErrorCode::ForbiddenXml
        | ErrorCode::ForbiddenPickle
        | ErrorCode::TooDeep
        | ErrorCode::TooManyDigits
        | ErrorCode::InvalidTag
        | ErrorCode::InvalidPickle
        | ErrorCode::Unhashable
        | ErrorCode::Cycle
        | ErrorCode::InvalidValue => Reason::PAYLOAD_FORMAT,
        _ => Reason::IMPLEMENTATION,
    }
}
