//! Frames to steps: every frame of a read is decoded and judged here, in its session's thread.

use std::mem;

use crate::broker::{Control, Step};
use crate::codec::{
    Batch, Dialect, Document, KnownEnvelope, Message, Part, Published, Recognised, Request, Spares, Topics,
    read_request,
};
use crate::protocol::{
    Format, FrameFault, HEADER_LEN, Limits, Refusal, Topic, TopicFilter, TopicName, check_topic_limits,
    frame_at,
};

/// Topics of a batch that are remembered, each at a place that its last bytes choose, so that those which take turns stand in
/// the batch once.
const SEEN: usize = 64;

/// Bytes of decoded payloads that a batch carries. Small frames can decode to much, and one read can bring many of them;
/// what is beyond this is decoded again by the writer that needs it.
const MAX_DECODED: usize = 4 << 20;

/// The steps that a read brought, in order.
pub(super) struct Intake<'a> {
    region: &'a [u8],
    limits: Limits,
    /// Where the batch that is being gathered begins in `region`.
    start: usize,
    document: Document,
    /// Bytes of all values that were decoded for the batch, those included that it does not carry.
    decoded: usize,
    recent: &'a mut Recent,
    messages: Vec<Published>,
    topics: Topics,
    /// Indices of topics that the batch has named, counted from 1.
    seen: [u32; SEEN],
    steps: Vec<Step>,
    refused: usize,
}

/// What a session remembers of the frames before, so that it reads the next ones faster.
#[derive(Debug, Default)]
pub struct Recent {
    /// The publish in JSON that was read in full last.
    known: KnownEnvelope,
    /// What it asked for; `None` when there is nothing to compare with.
    like: Option<Like>,
    /// The topic that it named.
    topic: String,
    /// Memory for batches, and how many messages the one before had.
    spares: Spares,
    messages: usize,
}

/// What a publish asked for besides its payload.
#[derive(Clone, Copy, Debug)]
struct Like {
    /// The index of its topic in the batch that is being gathered, if that has named it.
    topic: Option<u32>,
    retain: bool,
    ttl: Option<u32>,
    verbatim: bool,
}

/// What a region of frames came to.
pub struct Taken {
    /// What is to be done, in the order in which it came.
    pub steps: Vec<Step>,
    /// Whether there is a step that is answered.
    pub needs_answer: bool,
    /// How many frames were refused.
    pub refused: usize,
    /// How many bytes were whole frames.
    pub whole: usize,
    /// What ends the stream of frames behind them.
    pub fault: Option<FrameFault>,
}

/// Decodes the whole frames that `region` begins with.
pub fn take_in(region: &[u8], limits: Limits, recent: &mut Recent) -> Taken {
    let mut intake = Intake {
        region,
        limits,
        start: 0,
        document: Document::new(),
        decoded: 0,
        recent,
        messages: Vec::new(),
        topics: Topics::default(),
        seen: [0; SEEN],
        steps: Vec::new(),
        refused: 0,
    };
    let mut whole = 0;
    let fault = loop {
        match frame_at(region, whole, limits.max_frame) {
            Ok(Some((header, body))) => {
                intake.frame(header.format, whole, body.end);
                whole = body.end;
            }
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
    };
    intake.finish_batch(whole);
    let needs_answer = intake
        .steps
        .iter()
        .any(|step| matches!(step, Step::Control(control) if !matches!(control, Control::Clear { .. })));
    Taken { steps: intake.steps, needs_answer, refused: intake.refused, whole, fault }
}

impl Intake<'_> {
    fn frame(&mut self, format: Format, at: usize, end: usize) {
        if format == Format::Json && self.like_the_last(at, end) {
            return;
        }
        let source = &self.region[self.start..];
        let frame = at - self.start..end - self.start;
        let body = frame.start + HEADER_LEN..frame.end;
        let mark = self.document.mark();
        let request = read_request(source, format, body.clone(), &mut self.document, &self.limits);
        let control = match request {
            Ok(Request::Publish { topic, mut message, retain, ttl, verbatim }) => match self.topic(&topic) {
                Ok(index) => {
                    self.decoded += message.document.map_or(0, |root| self.document.value_size(root));
                    if self.document.weight() > MAX_DECODED {
                        self.document.truncate(mark);
                        message.document = None;
                    }
                    if let (Format::Json, Part::Value(value)) = (format, &message.part) {
                        self.recent.known.learn(source, body, value.clone(), &topic);
                        self.recent.like = Some(Like { topic: Some(index), retain, ttl, verbatim });
                        self.recent.topic.clear();
                        self.recent.topic.push_str(&topic);
                    }
                    let verbatim = verbatim.then_some(frame);
                    self.push(Published::new(index, format, &message, retain, ttl, verbatim));
                    return;
                }
                Err(refusal) => Err(refusal.about(topic)),
            },
            Ok(other) => control(other, format, &self.limits),
            Err(refusal) => Err(refusal),
        };
        let control = control.unwrap_or_else(|refusal| {
            self.refused += 1;
            Control::Refuse { refusal, format }
        });
        self.finish_batch(at);
        self.start = end;
        self.steps.push(Step::Control(control));
    }

    /// Takes a frame that differs from the last publish in nothing but its payload and perhaps its topic; returns whether
    /// it is one.
    #[inline]
    fn like_the_last(&mut self, at: usize, end: usize) -> bool {
        let Some(like) = self.recent.like else { return false };
        let source = &self.region[self.start..];
        let frame = at - self.start..end - self.start;
        let body = frame.start + HEADER_LEN..frame.end;
        let Some(Recognised { topic, message }) = self.recent.known.recognise(source, body, &self.limits)
        else {
            return false;
        };
        let topic = match (topic, like.topic) {
            // A topic that is not one is refused by the full reading.
            (Some(topic), _) => self.topic(topic).ok(),
            (None, Some(index)) => Some(index),
            (None, None) => {
                let index = self.topics.push(TopicName::judged(&self.recent.topic));
                self.recent.like = Some(Like { topic: Some(index), ..like });
                Some(index)
            }
        };
        let Some(topic) = topic else { return false };
        let message = Message { part: Part::Value(message), document: None };
        let verbatim = like.verbatim.then_some(frame);
        self.push(Published::new(topic, Format::Json, &message, like.retain, like.ttl, verbatim));
        true
    }

    #[inline]
    fn push(&mut self, published: Published) {
        if self.messages.capacity() == 0 {
            self.messages = self.recent.spares.messages(self.recent.messages);
        }
        self.messages.push(published);
    }

    /// The index of a topic among the batch's.
    fn topic(&mut self, text: &str) -> Result<u32, Refusal> {
        let seen = &mut self.seen[place(text)];
        if let Some(index) = seen.checked_sub(1)
            && self.topics.get(index as usize).as_str() == text
        {
            return Ok(index);
        }
        check_topic_limits(text, &self.limits)?;
        let index = self.topics.push(TopicName::parse(text)?);
        *seen = index + 1;
        Ok(index)
    }

    /// Ends the batch before `end`, if there is one.
    fn finish_batch(&mut self, end: usize) {
        let document = mem::take(&mut self.document);
        if self.messages.is_empty() {
            return;
        }
        let messages = mem::take(&mut self.messages);
        self.recent.messages = messages.len();
        let region = &self.region[self.start..end];
        let mut bytes = self.recent.spares.bytes(region.len());
        bytes.extend_from_slice(region);
        let topics = mem::take(&mut self.topics);
        self.seen = [0; SEEN];
        self.recent.like = self.recent.like.map(|like| Like { topic: None, ..like });
        let decoded = mem::take(&mut self.decoded);
        let batch = Batch::new(bytes, document, topics, messages, self.limits)
            .decoding_to(decoded)
            .returning_to(&self.recent.spares);
        self.steps.push(Step::Publish(Box::new(batch)));
    }
}

impl Recent {
    /// Nothing yet, and where memory for batches comes from.
    pub fn new(spares: Spares) -> Recent {
        Recent { spares, ..Recent::default() }
    }
}

/// Where a topic is remembered: topics that take turns mostly differ in their last bytes.
fn place(topic: &str) -> usize {
    let last = topic.as_bytes().last_chunk().map_or_else(
        || topic.bytes().fold(0, |word, byte| word << 8 | u64::from(byte)),
        |last| u64::from_le_bytes(*last),
    );
    (last.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % SEEN
}

/// The control that a request asks for, its topic judged.
fn control(request: Request<'_>, format: Format, limits: &Limits) -> Result<Control, Refusal> {
    let filter = |topic: &str| {
        let judged = check_topic_limits(topic, limits).and_then(|()| TopicFilter::parse(topic));
        judged.map_err(|refusal| refusal.about(topic))
    };
    let one = |topic: &str| {
        let judged = check_topic_limits(topic, limits).and_then(|()| Topic::parse(topic));
        judged.map_err(|refusal| refusal.about(topic))
    };
    Ok(match request {
        Request::Subscribe { topic, exact, overflow, queue } => {
            let dialect = Dialect::new(format, exact);
            Control::Subscribe { filter: filter(&topic)?, dialect, overflow, queue }
        }
        Request::Cancel { topic } => Control::Cancel { filter: filter(&topic)?, format },
        Request::List { topic } => Control::List { filter: filter(topic.as_deref().unwrap_or("#"))?, format },
        Request::Get { topic } => Control::Get { topic: one(&topic)?, format },
        Request::Clear { topic } => Control::Clear { topic: one(&topic)? },
        Request::Ping { id } => Control::Ping { id, format },
        Request::Stats => Control::Stats { format },
        // A publish is a message of a batch and never comes here.
        Request::Publish { topic, .. } => Control::Clear { topic: one(&topic)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Header;

    fn frame(format: Format, body: &str) -> Vec<u8> {
        let header = Header { format, length: body.len() as u32 }.to_bytes();
        [&header, body.as_bytes()].concat()
    }

    /// What the frames came to, in words: each message with its topic, payload, options and frame.
    fn said(taken: Taken) -> Vec<String> {
        let mut said = Vec::new();
        for step in taken.steps {
            let Step::Publish(batch) = step else {
                said.push(format!("{step:?}"));
                continue;
            };
            for published in batch.messages() {
                let topic = batch.topics().get(published.topic());
                let payload = String::from_utf8_lossy(&batch.bytes()[published.part().range().clone()]);
                let frame = published.verbatim().map(|frame| batch.bytes()[frame].to_vec());
                said.push(format!(
                    "{topic} {:?} {payload} {} {frame:?} {}",
                    published.format(),
                    published.retain(),
                    published.document().is_some()
                ));
            }
        }
        said
    }

    /// However the frames are read, and whatever came before them, each says the same.
    #[test]
    fn what_came_before_changes_nothing() {
        let mut frames = Vec::new();
        for round in 0..40 {
            // More topics than are remembered, in two rhythms.
            let topic = ["a", "b", "a"][round % 3].repeat(1 + round % 11);
            let publish = |rest: &str| {
                frame(Format::Json, &format!(r#"{{"command":"publish","topic":"{topic}",{rest}}}"#))
            };
            frames.push(publish(&format!(r#""message":{round}"#)));
            frames.push(publish(&format!(r#""message":[{round}]"#)));
            match round % 8 {
                1 => frames.push(publish(&format!(r#""retain":false,"message":{round}"#))),
                2 => frames.push(publish(r#""message":{"$set":[1]}"#)),
                3 => frames.push(publish(r#""message":[1,}"#)),
                4 => frames.push(frame(Format::Json, r#"{"command":"ping"}"#)),
                5 => frames
                    .push(frame(Format::Xml, r#"<f command="publish" topic="x"><message>1</message></f>"#)),
                6 => frames.push(frame(Format::Json, r#"{"command":"publish","topic":"a//b","message":1}"#)),
                7 => frames.push(publish(&format!(r#""message":{round},"more":1"#))),
                _ => {}
            }
        }
        let alone: Vec<String> = frames
            .iter()
            .flat_map(|frame| said(take_in(frame, Limits::default(), &mut Recent::default())))
            .collect();
        assert!(alone.len() > 100);
        for at_once in [1, 2, 3, 7, 50, frames.len()] {
            let mut recent = Recent::default();
            let together: Vec<String> = frames
                .chunks(at_once)
                .flat_map(|frames| said(take_in(&frames.concat(), Limits::default(), &mut recent)))
                .collect();
            assert_eq!(together, alone, "{at_once} at once");
        }
    }
}
