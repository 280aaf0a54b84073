//! Frames to steps: every frame of a read is decoded and judged here, in its session's thread.

use std::mem;

use crate::broker::{Control, Step};
use crate::codec::{
    Batch, Dialect, Document, KnownEnvelope, Message, Part, Published, Recognised, Request, read_request,
};
use crate::protocol::{Format, HEADER_LEN, Header, Limits, Refusal, Topic, TopicFilter, check_topic_limits};

/// How many of the topics before are compared with a message's topic before it is parsed anew.
const RECENT: usize = 8;

/// Bytes of decoded payloads that a batch carries. Small frames can decode to much, and one read can bring many of them;
/// what is beyond this is decoded again by the writer that needs it.
const MAX_DECODED: usize = 4 << 20;

/// The steps that a read brought, in order.
pub(super) struct Intake<'a> {
    /// Whole frames and nothing else.
    region: &'a [u8],
    limits: Limits,
    /// Where the batch that is being gathered begins in `region`.
    start: usize,
    document: Document,
    topics: Vec<Topic>,
    /// The publish in JSON that was read in full last.
    known: KnownEnvelope,
    /// What it asked for, its topic an index that holds for this batch; `None` when there is nothing to compare with.
    like: Option<Like>,
    messages: Vec<Published>,
    steps: Vec<Step>,
    refused: usize,
}

/// What a publish asked for besides its payload.
#[derive(Clone, Copy)]
struct Like {
    topic: u32,
    retain: bool,
    ttl: Option<u32>,
    verbatim: bool,
}

/// What a region of frames came to.
pub(super) struct Taken {
    pub steps: Vec<Step>,
    /// Whether there is a step that is answered.
    pub needs_answer: bool,
    pub refused: usize,
}

/// Decodes a region of whole frames, their headers judged already. `recent` are topics of reads before; it is
/// brought up to date.
pub(super) fn take_in(region: &[u8], limits: Limits, recent: &mut Vec<Topic>) -> Taken {
    let mut intake = Intake {
        region,
        limits,
        start: 0,
        document: Document::new(),
        topics: mem::take(recent),
        known: KnownEnvelope::default(),
        like: None,
        messages: Vec::new(),
        steps: Vec::new(),
        refused: 0,
    };
    let mut at = 0;
    while let Some(header) = region[at..].first_chunk::<HEADER_LEN>() {
        let Ok(header) = Header::parse(*header, u32::MAX) else { break };
        let end = at + HEADER_LEN + header.length as usize;
        intake.frame(header.format, at, end);
        at = end;
    }
    intake.finish_batch(at);
    recent.extend(intake.topics.drain(..).rev().take(RECENT));
    recent.reverse();
    let needs_answer = intake
        .steps
        .iter()
        .any(|step| matches!(step, Step::Control(control) if !matches!(control, Control::Clear { .. })));
    Taken { steps: intake.steps, needs_answer, refused: intake.refused }
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
                    if self.document.weight() > MAX_DECODED {
                        self.document.truncate(mark);
                        message.document = None;
                    }
                    if let (Format::Json, Part::Value(value)) = (format, &message.part) {
                        self.known.learn(source, body, value.clone(), &topic);
                        self.like = Some(Like { topic: index, retain, ttl, verbatim });
                    }
                    let verbatim = verbatim.then_some(frame);
                    self.messages.push(Published { topic: index, format, message, retain, ttl, verbatim });
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
        let Some(mut like) = self.like else { return false };
        let source = &self.region[self.start..];
        let frame = at - self.start..end - self.start;
        let body = frame.start + HEADER_LEN..frame.end;
        let Some(Recognised { topic, message }) = self.known.recognise(source, body, &self.limits) else {
            return false;
        };
        if let Some(topic) = topic {
            // A topic that is not one is refused by the full reading.
            let Ok(index) = self.topic(topic) else { return false };
            like.topic = index;
        }
        self.messages.push(Published {
            topic: like.topic,
            format: Format::Json,
            message: Message { part: Part::Value(message), document: None },
            retain: like.retain,
            ttl: like.ttl,
            verbatim: like.verbatim.then_some(frame),
        });
        true
    }

    /// The index of a topic in the batch's list.
    fn topic(&mut self, text: &str) -> Result<u32, Refusal> {
        let recent = self.topics.len().saturating_sub(RECENT);
        let known = self.topics[recent..].iter().rposition(|topic| topic.as_str() == text);
        let index = match known {
            Some(index) => recent + index,
            None => {
                check_topic_limits(text, &self.limits)?;
                self.topics.push(Topic::parse(text)?);
                self.topics.len() - 1
            }
        };
        Ok(index as u32)
    }

    /// Ends the batch before `end`, if there is one.
    fn finish_batch(&mut self, end: usize) {
        let document = mem::take(&mut self.document);
        if self.messages.is_empty() {
            return;
        }
        let messages = mem::take(&mut self.messages);
        let bytes = self.region[self.start..end].to_vec();
        let topics = self.topics.clone();
        let recent = self.topics.len().saturating_sub(RECENT);
        self.topics.drain(..recent);
        // The indices of the next batch are others.
        self.like = None;
        let batch = Batch::new(bytes, document, topics, messages, self.limits);
        self.steps.push(Step::Publish(Box::new(batch)));
    }
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
        // A publish is a message of a batch and never comes here.
        Request::Publish { topic, .. } => Control::Clear { topic: one(&topic)? },
    })
}
