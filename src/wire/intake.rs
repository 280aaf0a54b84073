//! Frames to steps: every frame of a read is decoded and judged here, in its session's thread.

mod control;
mod settling;

use std::mem;
use std::ops::Range;

use memchr::memmem;

use self::control::control;
use super::batch_topics::BatchTopics;
use super::frames::token_of;
use super::recent::{BATCH, Like, Recent};
use crate::broker::{Control, EVENT_COST, Rights, Step, fanout_cost, guessed_cost};
use crate::codec::pickle::PickleMatch;
use crate::codec::{
    Batch, BatchEntry, Claim, ControlRequest, Credentials, Document, EagerEncoding, EnvelopeMatch,
    Mark, Node, Part, PayloadSpan, Request, id_cost, read_request,
};
use crate::protocol::{
    Command, ErrorCode, Format, FrameFault, HEADER_LEN, Limits, Refusal, Token, TopicName,
    frame_at, plain_size,
};

/// Bytes of decoded payloads that a batch carries. Small frames can decode to much, and one read
/// can bring many of them; what is beyond this is decoded again by the writer that needs it.
const MAX_DECODED: usize = 4 << 20;

/// A pickle may take so many times as much memory to be read as its value takes, and is none that
/// expands.
const USUAL_TIMES: usize = 3;
/// However short a message is, it may decode to so much.
const USUAL: usize = 16 << 10;

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
    /// The same for the batches before it.
    decoded_before: usize,
    recent: &'a mut Recent,
    messages: Vec<BatchEntry>,
    /// What publishers call messages, with their indices.
    ids: Vec<(u32, Box<str>)>,
    topics: BatchTopics,
    /// Bytes of what is decoded that are paid for, and of the names of messages.
    paid: usize,
    paid_ids: usize,
    /// The deliveries of the batch's messages, as long as each was written while it was judged.
    ahead: Option<EagerEncoding>,
    steps: Vec<Step>,
    refused: usize,
    /// Memory to decode in.
    claim: Claim,
    /// Bytes that the message that was read last was decoded to, and whether they are more than its
    /// length explains.
    size: usize,
    expands: bool,
    /// Bytes that messages decoded to beyond what their lengths explain.
    extra: usize,
    /// What the dispatcher will have to do, its bytes apart.
    cost: usize,
    /// What it has to do for each message, beyond its bytes.
    each: usize,
    /// The frames that were taken are enough for one event.
    is_enough: bool,
    /// The last of them is one of these.
    login: Option<Login>,
    is_last: bool,
}

/// What a client shows to log in, and what the answer brings back.
#[derive(Debug)]
pub struct Login {
    /// What the answer brings back.
    pub token: Token,
    /// What it shows.
    pub credentials: Credentials<'static>,
}

/// The outcome of a region of frames.
pub struct Taken {
    /// The steps to be taken, in the order in which they came.
    pub steps: Vec<Step>,
    /// Whether there is a step that is answered.
    pub needs_answer: bool,
    /// How many frames were refused.
    pub refused: usize,
    /// How many bytes were taken, all of them whole frames.
    pub whole: usize,
    /// The cost of the steps to the dispatcher.
    pub cost: usize,
    /// Whether there may be more whole frames behind them: what was taken is enough for one event.
    pub more: bool,
    /// The login that is the last of them.
    pub login: Option<Login>,
    /// Whether the last of them was refused so that the connection ends.
    pub is_last: bool,
    /// Whether the next frame decodes to far more than its length explains, and there was no permit
    /// for that.
    pub needs_permit: bool,
    /// Bytes that messages decoded to beyond what their lengths explain.
    pub extra: usize,
    /// The fault that ends the stream of frames behind them.
    pub fault: Option<FrameFault>,
}

impl Taken {
    /// Nothing, and nothing more: the connection ends.
    pub fn last() -> Taken {
        Taken {
            steps: Vec::new(),
            needs_answer: false,
            refused: 0,
            whole: 0,
            cost: 0,
            more: false,
            login: None,
            is_last: true,
            needs_permit: false,
            extra: 0,
            fault: None,
        }
    }
}

/// Decodes the whole frames that `region` begins with.
pub fn take_in(region: &[u8], limits: Limits, recent: &mut Recent) -> Taken {
    let mut intake = Intake {
        region,
        limits,
        start: 0,
        document: Document::with_nodes(recent.nodes, &recent.spares),
        decoded: 0,
        decoded_before: 0,
        ahead: recent.ahead(region.len()),
        each: recent.asked.each().unwrap_or_else(|| guessed_cost(recent.connections)),
        recent,
        messages: Vec::new(),
        ids: Vec::new(),
        topics: BatchTopics::default(),
        paid: 0,
        paid_ids: 0,
        steps: Vec::new(),
        refused: 0,
        claim: Claim::nothing(),
        size: 0,
        expands: false,
        extra: 0,
        cost: 0,
        is_enough: false,
        login: None,
        is_last: false,
    };
    let (mut whole, mut more, mut needs_permit) = (0, false, false);
    let fault = loop {
        if intake.is_enough {
            more = !intake.is_last;
            break None;
        }
        match frame_at(region, whole, limits.max_frame) {
            Ok(Some((header, body))) => {
                let is_taken = intake.recent.settles
                    && intake.quick_ack(header.format, whole, body.end)
                    || match header.format {
                        Format::Json => intake.like_the_last(whole, body.end),
                        Format::Pickle => intake.like_the_last_pickle(whole, body.end),
                        Format::Xml => false,
                    };
                if !is_taken && !intake.frame(header.format, whole, body.end) {
                    needs_permit = true;
                    break None;
                }
                whole = body.end;
            }
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
    };
    intake.finish_batch(whole);
    let needs_answer =
        intake.steps.iter().any(|step| matches!(step, Step::Control(..) | Step::Settle(_)));
    let Intake { steps, refused, extra, cost, login, is_last, .. } = intake;
    let cost = cost + whole;
    Taken {
        steps,
        needs_answer,
        refused,
        whole,
        cost,
        more,
        login,
        is_last,
        needs_permit,
        extra,
        fault,
    }
}

impl<'a> Intake<'a> {
    /// Reads a body in memory that is claimed first: as much as its length explains, and more only
    /// where that is not enough and there is a permit for it; `None` where there is none.
    fn read(
        &mut self,
        source: &'a [u8],
        format: Format,
        body: Range<usize>,
    ) -> Option<Result<Request<'a>, Refusal>> {
        let most = self.limits.decoded_budget(body.len());
        let usual = usual_size(body.len()).min(most);
        // No login takes more, and strangers are not waited for.
        let budget = if matches!(self.recent.rights, Rights::Nothing) { usual } else { most };
        self.expands = false;
        if let Err(refusal) = self.claim(usual) {
            return Some(Err(refusal));
        }
        let limits = self.limits.decoded_size(usual);
        match read_request(source, format, body.clone(), &mut self.document, &limits) {
            Err(refusal) if refusal.code == ErrorCode::TooLarge && budget > usual => {}
            other => {
                self.size = self.decoded_by(&other);
                self.expands = self.size > plain_size(body.len());
                return Some(other);
            }
        }
        if !self.recent.permit {
            return None;
        }
        if let Err(refusal) = self.claim(budget) {
            return Some(Err(refusal));
        }
        let request = read_request(source, format, body.clone(), &mut self.document, &self.limits);
        self.size = self.decoded_by(&request);
        self.expands = self.size > plain_size(body.len());
        if request.is_err() {
            // It was decoded all the same.
            self.decoded_before += budget;
            self.extra += budget;
        }
        self.extra += self.size.saturating_sub(usual);
        Some(request)
    }

    /// Bytes that the payload of a request was decoded to.
    fn decoded_by(&self, request: &Result<Request<'_>, Refusal>) -> usize {
        match request {
            Ok(Request::Publish { message, .. }) => {
                message.document.map_or(0, |root| self.document.value_size(root))
            }
            _ => 0,
        }
    }

    /// Claims memory to decode so many bytes in.
    fn claim(&mut self, decoded: usize) -> Result<(), Refusal> {
        if decoded > self.claim.bytes() {
            // A session that holds memory does not wait for more.
            self.claim = Claim::nothing();
            self.claim = self.recent.workspace.claim(decoded).ok_or_else(no_memory_to_decode)?;
        }
        Ok(())
    }

    /// Notes whether what was taken is enough for one event. (Its bytes apart: a read has a quarter
    /// of a megabyte.)
    #[inline]
    fn note_enough(&mut self) {
        self.is_enough |=
            self.decoded_before + self.decoded > MAX_DECODED || self.cost > EVENT_COST;
    }

    /// Reads a frame in full, unless it needs a permit that is not there; returns whether it has.
    #[inline(never)]
    fn frame(&mut self, format: Format, at: usize, end: usize) -> bool {
        let region = self.region;
        let source = &region[self.start..];
        let frame = at - self.start..end - self.start;
        let body = frame.start + HEADER_LEN..frame.end;
        let (mark, first) = (self.document.mark(), self.document.len());
        let Some(request) = self.read(source, format, body.clone()) else { return false };
        let step = match request {
            Ok(Request::Control(ControlRequest::Login(credentials))) => {
                let login =
                    Login { token: token_of(format), credentials: credentials.into_owned() };
                self.finish_batch(at);
                self.start = end;
                // What follows may depend on it.
                (self.login, self.is_enough) = (Some(login), true);
                return true;
            }
            request if matches!(self.recent.rights, Rights::Nothing) => {
                (self.is_last, self.is_enough) = (true, true);
                Err(login_required(request.err()))
            }
            Err(refusal) if may_be_login(&source[body.clone()]) => Err(without_content(refusal)),
            Ok(Request::Publish { topic, mut message, retain, ttl, verbatim, id }) => match self
                .topic(&topic)
                .and_then(|index| self.note_id(id.as_deref()).map(|()| index))
            {
                Ok(index) => {
                    if self.expands {
                        self.decoded_before += self.size;
                    } else {
                        self.decoded += self.size;
                    }
                    self.note_enough();
                    let fields = match self.document.nodes().get(first) {
                        Some(Node::Dict(size)) => size.items as usize,
                        _ => 0,
                    };
                    let like = Some(Like { topic: Some(index), retain, ttl, verbatim });
                    match (format, &message.part) {
                        // Another message has another name.
                        _ if id.is_some() => {}
                        (Format::Json, Part::Value(value)) => {
                            let is_known =
                                self.recent.known.learn(source, body, value.clone(), &topic);
                            self.recent.like = like.filter(|_| is_known);
                            self.recent.topic.clear();
                            self.recent.topic.push_str(&topic);
                        }
                        (Format::Pickle, _) => {
                            self.recent.known_pickle.learn(&source[body], fields);
                            self.recent.like_pickle = like;
                            self.recent.topic_of_pickle.clear();
                            self.recent.topic_of_pickle.push_str(&topic);
                        }
                        _ => {}
                    }
                    if self.expands {
                        self.document.truncate(mark);
                    } else {
                        message.document = self.keep(mark, message.document);
                    }
                    let verbatim = verbatim.then_some(frame);
                    let published = BatchEntry::new(index, format, &message, retain, ttl, verbatim)
                        .answered_with(token_of(format));
                    self.push(if self.expands { published.expanding() } else { published });
                    return true;
                }
                Err(refusal) => Err(refusal.about(topic)),
            },
            Ok(Request::Control(ControlRequest::Settle { stream, consumer, what })) => {
                match self.settle_named(at..end, (stream, consumer), token_of(format), what) {
                    Ok(()) => return true,
                    Err(refusal) => Err(refusal),
                }
            }
            Ok(Request::Control(request)) => {
                control(request, format, &self.limits, &self.recent.rights)
            }
            Err(refusal) => Err(refusal),
        };
        let step = step.unwrap_or_else(|refusal| {
            self.refused += 1;
            Step::Control(token_of(format), Control::Refuse { refusal })
        });
        self.finish_batch(at);
        self.start = end;
        self.cost += step.cost();
        self.note_enough();
        self.steps.push(step);
        true
    }

    /// Takes what a publisher calls the next message, in memory that is claimed for it.
    #[inline]
    fn note_id(&mut self, id: Option<&str>) -> Result<(), Refusal> {
        match id {
            None => Ok(()),
            Some(id) => self.keep_id(id),
        }
    }

    #[cold]
    fn keep_id(&mut self, id: &str) -> Result<(), Refusal> {
        let cost = id_cost(id);
        let flight = &mut self.recent.flight;
        if !flight.try_grow_to(flight.bytes() + cost) {
            return Err(no_memory_to_decode());
        }
        self.paid_ids += cost;
        self.ids.push((self.messages.len() as u32, id.into()));
        Ok(())
    }

    /// Takes a frame that differs from the last publish in nothing but its payload and perhaps its
    /// topic; returns whether it is one.
    // It is in the loop of the usual message: a call of it is 20 instructions of 550.
    #[inline(always)]
    fn like_the_last(&mut self, at: usize, end: usize) -> bool {
        let Some(like) = self.recent.like else { return false };
        let source = &self.region[self.start..];
        let frame = at - self.start..end - self.start;
        let body = frame.start + HEADER_LEN..frame.end;
        let known = &self.recent.known;
        let mut recognised = None;
        if let Some(ahead) = &mut self.ahead {
            let last_topic = self.recent.topic.as_str();
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
        let Some(EnvelopeMatch { topic, message }) = recognised else { return false };
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
        let Some(topic) = topic else {
            self.ahead = None;
            return false;
        };
        let message = PayloadSpan { part: Part::Value(message), document: None };
        let verbatim = like.verbatim.then_some(frame);
        let entry = BatchEntry::new(topic, Format::Json, &message, like.retain, like.ttl, verbatim);
        self.push(entry.answered_with(token_of(Format::Json)));
        if let Some(ahead) = &mut self.ahead {
            ahead.keep();
        }
        true
    }

    /// The same for a pickle, whose payload is decoded.
    #[inline]
    fn like_the_last_pickle(&mut self, at: usize, end: usize) -> bool {
        let Some(like) = self.recent.like_pickle else { return false };
        let source = &self.region[self.start..];
        let body = at - self.start + HEADER_LEN..end - self.start;
        let mark = self.document.mark();
        let known = &self.recent.known_pickle;
        let plain = self.limits.decoded_size(plain_size(body.len()).min(self.limits.decoded_size));
        let Some(PickleMatch { topic, root, size }) =
            known.recognise(source, body.clone(), &mut self.document, &plain)
        else {
            return false;
        };
        let topic = match (topic, like.topic) {
            (Some(topic), _) => self.topic(topic).ok(),
            (None, Some(index)) => Some(index),
            (None, None) => {
                let index = self.topics.push(TopicName::judged(&self.recent.topic_of_pickle));
                self.recent.like_pickle = Some(Like { topic: Some(index), ..like });
                Some(index)
            }
        };
        let Some(topic) = topic else {
            self.document.truncate(mark);
            return false;
        };
        self.decoded += size;
        self.note_enough();
        let message = PayloadSpan { part: Part::Body(body), document: self.keep(mark, Some(root)) };
        let entry = BatchEntry::new(topic, Format::Pickle, &message, like.retain, like.ttl, None);
        self.push(entry.answered_with(token_of(Format::Pickle)));
        true
    }

    /// Keeps what was decoded since `mark`, unless the batch carries enough already.
    #[inline]
    fn keep(&mut self, mark: Mark, root: Option<usize>) -> Option<usize> {
        let weight = self.document.weight();
        if weight <= MAX_DECODED && (weight <= self.paid || self.pay(weight)) {
            return root;
        }
        self.document.truncate(mark);
        None
    }

    /// Claims memory for what is decoded and goes with the batch, if there is some.
    #[cold]
    fn pay(&mut self, weight: usize) -> bool {
        /// It is paid for in steps.
        const STEP: usize = 64 << 10;
        let paid = weight.next_multiple_of(STEP);
        let flight = &mut self.recent.flight;
        let has_paid = flight.try_grow_to(flight.bytes() + paid - self.paid);
        if has_paid {
            self.paid = paid;
        }
        has_paid
    }

    #[inline]
    fn push(&mut self, published: BatchEntry) {
        if self.messages.capacity() == 0 {
            self.messages = self.recent.spares.messages(self.recent.messages);
        }
        self.messages.push(published);
        if self.each > 0 {
            self.cost += self.each;
            self.note_enough();
        }
    }

    /// The index of a topic among the batch's.
    #[inline]
    fn topic(&mut self, text: &str) -> Result<u32, Refusal> {
        let Intake { topics, recent, limits, cost, .. } = self;
        let index = topics.index(text, recent, limits, cost)?;
        self.note_enough();
        Ok(index)
    }

    /// Ends the batch before `end`, if there is one.
    fn finish_batch(&mut self, end: usize) {
        let document = mem::take(&mut self.document);
        if self.messages.is_empty() {
            return;
        }
        self.recent.nodes = document.len();
        let messages = mem::take(&mut self.messages);
        self.recent.messages = messages.len();
        let region = &self.region[self.start..end];
        let mut bytes = self.recent.spares.bytes(region.len());
        bytes.extend_from_slice(region);
        let topics = self.topics.take();
        for like in [&mut self.recent.like, &mut self.recent.like_pickle].into_iter().flatten() {
            like.topic = None;
        }
        let decoded = mem::take(&mut self.decoded);
        self.cost += fanout_cost(self.recent.asked.fanout());
        self.decoded_before += decoded;
        let (asked, ahead) = (self.recent.asked.clone(), self.ahead.take());
        let paid = mem::take(&mut self.paid) + mem::take(&mut self.paid_ids);
        let claim = self.recent.flight.split(BATCH + asked.room(bytes.len()) + paid);
        let mut batch = Batch::new(bytes, document, topics, messages, self.limits);
        if !self.ids.is_empty() {
            // A batch is long, and most have none: it is not moved for nothing.
            batch = batch.with_ids(mem::take(&mut self.ids));
        }
        let batch = batch
            .decoding_to(decoded)
            .of_session(asked, ahead)
            .returning_to(&self.recent.spares)
            .holding(claim, self.recent.workspace.clone());
        self.steps.push(Step::Publish(Box::new(batch)));
    }
}

/// Bytes that a message of a length is read to, if it is none that expands.
pub(super) fn usual_size(length: usize) -> usize {
    (USUAL_TIMES * plain_size(length)).max(USUAL)
}

#[cold]
pub(super) fn no_memory_to_decode() -> Refusal {
    let reason =
        "the broker has no memory left to decode a message as long as this; send it again later";
    Refusal::new(ErrorCode::MemoryFull, reason)
}

/// The refusal of all that comes before a login.
#[cold]
fn login_required(found: Option<Refusal>) -> Refusal {
    let found = found.map(|refusal| {
        let refusal = without_content(refusal);
        format!(" (this frame cannot be read: {refusal})")
    });
    let reason = format!("log in before anything else{}", found.unwrap_or_default());
    Refusal::new(ErrorCode::LoginRequired, reason)
}

/// Whether what could not be read may be a login.
fn may_be_login(body: &[u8]) -> bool {
    let has = |word: &str| memmem::find(body, word.as_bytes()).is_some();
    has(Command::Login.as_str()) && (has("password") || has("token"))
}

/// The refusal of a login that cannot be read. It goes to the log as well: what is wrong with
/// fields is said by their names, but of a body that cannot be read, and of a command that there is
/// not, a part is shown, and the part may be a secret.
#[cold]
fn without_content(refusal: Refusal) -> Refusal {
    match refusal.code {
        ErrorCode::MissingField | ErrorCode::InvalidField | ErrorCode::DuplicateField => refusal,
        code => Refusal::new(code, "what is wrong is not shown, because it may hold a secret"),
    }
}

#[cfg(test)]
mod tests;
