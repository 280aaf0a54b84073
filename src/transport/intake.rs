//! Frames to steps: every frame of a read is decoded and judged here, in its session's thread.

use std::mem;

use crate::broker::{Control, Step};
use crate::codec::pickle::{KnownPickle, RecognisedPickle};
use crate::codec::{
    Ahead, Asked, Batch, Dialect, Document, KnownEnvelope, Mark, Message, Node, Part, Published, Recognised,
    Request, Spares, read_request,
};
use crate::protocol::{
    Format, FrameFault, HEADER_LEN, Limits, Refusal, Topic, TopicFilter, check_topic_limits, frame_at,
};

/// How many of the topics before are compared with a message's topic before it is parsed anew.
const RECENT: usize = 8;

/// Bytes of decoded payloads that a batch carries. Small frames can decode to much, and one read can bring many of them;
/// what is beyond this is decoded again by the writer that needs it.
const MAX_DECODED: usize = 4 << 20;

/// After a message that could not be written ahead, so many batches are left to the writers.
const PAUSE: u32 = 64;

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
    /// The deliveries of the batch's messages, as long as each was written while it was judged.
    ahead: Option<Ahead>,
    steps: Vec<Step>,
    refused: usize,
}

/// What a session remembers of the frames before, so that it reads the next ones faster.
#[derive(Debug, Default)]
pub struct Recent {
    /// The topics of the batch that is being gathered, those of the one before first.
    topics: Vec<Topic>,
    /// The publish in JSON that was read in full last.
    known: KnownEnvelope,
    /// What it asked for; `None` when there is nothing to compare with.
    like: Option<Like>,
    /// Memory for batches, and how many messages the one before had.
    spares: Spares,
    messages: usize,
    /// The same for pickles.
    known_pickle: KnownPickle,
    like_pickle: Option<Like>,
    /// The dispatcher says here what is wanted of this session's messages.
    asked: Asked,
    /// Batches for which nothing is written ahead.
    pause: u32,
}

/// What a publish asked for besides its payload.
#[derive(Clone, Copy, Debug)]
struct Like {
    /// Index in [`Recent::topics`].
    topic: u32,
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
        ahead: recent.ahead(region.len()),
        recent,
        messages: Vec::new(),
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
        let is_like_the_last = match format {
            Format::Json => self.like_the_last(at, end),
            Format::Pickle => self.like_the_last_pickle(at, end),
            Format::Xml => false,
        };
        if is_like_the_last {
            return;
        }
        let source = &self.region[self.start..];
        let frame = at - self.start..end - self.start;
        let body = frame.start + HEADER_LEN..frame.end;
        let (mark, first) = (self.document.mark(), self.document.len());
        let request = read_request(source, format, body.clone(), &mut self.document, &self.limits);
        let control = match request {
            Ok(Request::Publish { topic, mut message, retain, ttl, verbatim }) => match self.topic(&topic) {
                Ok(index) => {
                    self.decoded += message.document.map_or(0, |root| self.document.value_size(root));
                    let fields = match self.document.nodes().get(first) {
                        Some(Node::Dict(size)) => size.items as usize,
                        _ => 0,
                    };
                    let like = Some(Like { topic: index, retain, ttl, verbatim });
                    match (format, &message.part) {
                        (Format::Json, Part::Value(value)) => {
                            self.recent.known.learn(source, body, value.clone(), &topic);
                            self.recent.like = like;
                        }
                        (Format::Pickle, _) => {
                            self.recent.known_pickle.learn(&source[body], fields);
                            self.recent.like_pickle = like;
                        }
                        _ => {}
                    }
                    message.document = self.keep(mark, message.document);
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
        let Some(mut like) = self.recent.like else { return false };
        let source = &self.region[self.start..];
        let frame = at - self.start..end - self.start;
        let body = frame.start + HEADER_LEN..frame.end;
        let known = &self.recent.known;
        let mut recognised = None;
        if let Some(ahead) = &mut self.ahead {
            let last_topic = self.recent.topics[like.topic as usize].as_str();
            recognised = known.recognise_with(source, body.clone(), |topic, start| {
                let topic = topic.unwrap_or(last_topic);
                ahead.write(topic, source, body.clone(), start, &self.limits)
            });
        }
        if recognised.is_none() {
            // From here on the batch's deliveries are its writers' matter.
            if self.ahead.take().is_some() {
                self.recent.pause = PAUSE;
            }
            recognised = known.recognise(source, body, &self.limits);
        }
        let Some(Recognised { topic, message }) = recognised else { return false };
        if let Some(topic) = topic {
            // A topic that is not one is refused by the full reading.
            let Ok(index) = self.topic(topic) else {
                self.ahead = None;
                return false;
            };
            like.topic = index;
        }
        let message = Message { part: Part::Value(message), document: None };
        let verbatim = like.verbatim.then_some(frame);
        self.push(Published::new(like.topic, Format::Json, &message, like.retain, like.ttl, verbatim));
        if let Some(ahead) = &mut self.ahead {
            ahead.keep();
        }
        true
    }

    /// The same for a pickle, whose payload is decoded.
    #[inline]
    fn like_the_last_pickle(&mut self, at: usize, end: usize) -> bool {
        let Some(mut like) = self.recent.like_pickle else { return false };
        let source = &self.region[self.start..];
        let body = at - self.start + HEADER_LEN..end - self.start;
        let mark = self.document.mark();
        let known = &self.recent.known_pickle;
        let Some(RecognisedPickle { topic, root, size }) =
            known.recognise(source, body.clone(), &mut self.document, &self.limits)
        else {
            return false;
        };
        if let Some(topic) = topic {
            let Ok(index) = self.topic(topic) else {
                self.document.truncate(mark);
                return false;
            };
            like.topic = index;
        }
        self.decoded += size;
        let message = Message { part: Part::Body(body), document: self.keep(mark, Some(root)) };
        self.push(Published::new(like.topic, Format::Pickle, &message, like.retain, like.ttl, None));
        true
    }

    #[inline]
    fn push(&mut self, published: Published) {
        if self.messages.capacity() == 0 {
            self.messages = self.recent.spares.messages(self.recent.messages);
        }
        self.messages.push(published);
    }

    /// Keeps what was decoded since `mark`, unless the batch carries enough already.
    #[inline]
    fn keep(&mut self, mark: Mark, root: Option<usize>) -> Option<usize> {
        if self.document.weight() <= MAX_DECODED {
            return root;
        }
        self.document.truncate(mark);
        None
    }

    /// The index of a topic in the batch's list.
    fn topic(&mut self, text: &str) -> Result<u32, Refusal> {
        let topics = &mut self.recent.topics;
        let recent = topics.len().saturating_sub(RECENT);
        let known = topics[recent..].iter().rposition(|topic| topic.as_str() == text);
        let index = match known {
            Some(index) => recent + index,
            None => {
                check_topic_limits(text, &self.limits)?;
                topics.push(Topic::parse(text)?);
                topics.len() - 1
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
        self.recent.messages = messages.len();
        let region = &self.region[self.start..end];
        let mut bytes = self.recent.spares.bytes(region.len());
        bytes.extend_from_slice(region);
        let topics = self.recent.topics.clone();
        self.recent.forget_old_topics();
        let decoded = mem::take(&mut self.decoded);
        let (asked, ahead) = (self.recent.asked.clone(), self.ahead.take());
        let batch = Batch::new(bytes, document, topics, messages, self.limits)
            .decoding_to(decoded)
            .of_session(asked, ahead)
            .returning_to(&self.recent.spares);
        self.steps.push(Step::Publish(Box::new(batch)));
    }
}

impl Recent {
    /// Nothing yet, and where memory for batches comes from.
    pub fn new(spares: Spares) -> Recent {
        Recent { spares, ..Recent::default() }
    }

    /// What is written ahead of a batch of so many bytes.
    fn ahead(&mut self, bytes: usize) -> Option<Ahead> {
        if self.like.is_none() || self.pause > 0 {
            self.pause = self.pause.saturating_sub(1);
            return None;
        }
        Ahead::begin(&self.asked, &self.spares, bytes)
    }

    /// Keeps as many topics as are looked at.
    fn forget_old_topics(&mut self) {
        let old = self.topics.len().saturating_sub(RECENT);
        self.topics.drain(..old);
        for like in [&mut self.like, &mut self.like_pickle] {
            *like = like.and_then(|like| Some(Like { topic: like.topic.checked_sub(old as u32)?, ..like }));
        }
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
        Request::Stats => Control::Stats { format },
        // A publish is a message of a batch and never comes here.
        Request::Publish { topic, .. } => Control::Clear { topic: one(&topic)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json;
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
                let topic = &batch.topics()[published.topic()];
                let payload = String::from_utf8_lossy(&batch.bytes()[published.part().range().clone()]);
                let frame = published.verbatim().map(|frame| batch.bytes()[frame].to_vec());
                let value = published.document().map(|root| {
                    let mut value = Vec::new();
                    json::encode(batch.document().view(batch.bytes(), root), true, &mut value);
                    String::from_utf8_lossy(&value).into_owned()
                });
                let (format, retain) = (published.format(), published.retain());
                said.push(format!("{topic} {format:?} {payload} {retain} {frame:?} {value:?}"));
            }
        }
        said
    }

    /// Publishes as picklers write them, and others.
    fn pickles(round: usize, topic: &str) -> Vec<Vec<u8>> {
        let string = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes(), b"\x94"].concat();
        let envelope = |before: &[u8], payload: &[u8], after: &[u8]| {
            let inside = [b"}\x94(", before, &string("message"), payload, after, b"u."].concat();
            let length = (inside.len() as u64).to_le_bytes();
            let body = [b"\x80\x04\x95", &length[..], &inside].concat();
            [&Header { format: Format::Pickle, length: body.len() as u32 }.to_bytes(), &*body].concat()
        };
        let command = [string("command"), string("publish")].concat();
        let to = |topic: &str| [string("topic"), string(topic)].concat();
        let usual = [&*command, &to(topic)].concat();
        let number = [b'K', round as u8];
        let mut bodies =
            vec![envelope(&usual, &number, b""), envelope(&usual, b"]\x94(K\x01\x8c\x03abc\x94h\x07e", b"")];
        bodies.push(match round % 10 {
            // What was memoised before the payload, a second value, one that takes what is not its own, none.
            0 => envelope(&usual, b"h\x01", b""),
            1 => envelope(&usual, b"K\x01", &[&string("retain"), &b"\x89"[..]].concat()),
            2 => envelope(&usual, b"K\x01u}(K\x02K\x03", b""),
            3 => envelope(&usual, b"", b""),
            4 => envelope(&command, b"K\x01", &to(topic)),
            5 => envelope(&[&*command, &to("a//b")].concat(), &number, b""),
            6 => envelope(&[&*command, &to(topic), &string("retain"), b"\x89"].concat(), &number, b""),
            7 => envelope(&usual, b"cposix\nsystem\n", b""),
            8 => envelope(&usual, b"K\x01.", b""),
            _ => envelope(&usual, b"K\x010K\x02", b""),
        });
        bodies
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
            frames.extend(pickles(round, &topic));
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
            for (together, alone) in together.iter().zip(&alone) {
                assert_eq!(together, alone, "{at_once} at once");
            }
            assert_eq!(together.len(), alone.len());
            assert!(recent.topics.len() <= RECENT);
        }
    }
}
