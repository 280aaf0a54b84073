//! The answers to what is asked of the broker by HTTP.

use std::io;
use std::sync::atomic::Ordering;

use super::ask::{no_answer, token};
use super::{Answer, Session, no_memory};
use crate::broker::{Control, Delivery, Step, Use, topic_cost};
use crate::codec::{Batch, Claim, DECODING_FACTOR, Dialect, Document, Payload, json};
use crate::http::{Problem, Publish, Response, limits, page_of_topics, value};
use crate::protocol::{
    ErrorCode, Format, Refusal, Reply, Topic, TopicFilter, check_writable, plain_size,
};
use crate::transport::process::resident_bytes;
use crate::transport::purse::SMALL_BUFFER;
use crate::wire::{List, judge_alone};

impl Session {
    pub(super) fn publish(&mut self, publish: Publish, body: Vec<u8>) -> io::Result<Answer> {
        let Publish { topic, format, retain, ttl, id } = publish;
        let (format, body) = match format {
            Some(format) => (format, body),
            None => match self.plain_text(&body) {
                Ok(text) => (Format::Json, text),
                Err(refusal) => return Ok(Err(refusal.about(topic.as_str()).into())),
            },
        };
        let length = body.len();
        let payload = match self.judge(&topic, format, &body)? {
            Ok(payload) => payload,
            Err(refusal) => return Ok(Err(refusal.about(topic.as_str()).into())),
        };
        drop(body);
        self.purse.note_buffer(self.buffer.size());
        let flight = self.purse.fly(self.recent.get().room(length), &self.events, &self.shared);
        // Behind all that was waited for: who has lost the right meanwhile has lost it here.
        let renewed = self.member.as_mut().map(|member| member.renew(&self.shared.users));
        if let Some(Err(refusal)) = renewed {
            self.forget_sender();
            return Ok(Err(refusal.into()));
        }
        if let Err(refusal) = self.rights().publish(topic.name()) {
            return Ok(Err(refusal.into()));
        }
        let shapes = self.shared.shapes.load(Ordering::Relaxed);
        let cost = length + topic_cost(topic.as_str(), shapes);
        let batch = Batch::of_payload(topic, payload, (retain, ttl), self.shared.config.limits)
            .with_ids(id.map(|id| (0, id)).into_iter().collect())
            .holding(flight, self.purse.workspace());
        let answer = self.ask_and_wait(Step::Publish(Box::new(batch)), cost);
        Ok(answer.map(|()| Response::new(202)))
    }

    /// A text as JSON, in memory that is claimed first.
    fn plain_text(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        if std::str::from_utf8(body).is_err() {
            return Err(Refusal::new(ErrorCode::InvalidValue, "the text is not in UTF-8"));
        }
        let written = |byte: &u8| match byte {
            b'"' | b'\\' => 2,
            0..0x20 => 6,
            _ => 1,
        };
        let length = 2 + body.iter().map(written).sum::<usize>();
        if length > self.shared.config.limits.max_frame as usize {
            let reason =
                format!("the text has {length} bytes in JSON, and a message at most max-frame");
            return Err(Refusal::new(ErrorCode::TooLarge, reason));
        }
        if !self.purse.try_buffer(self.buffer.size() + body.len() + length) {
            return Err(Refusal::new(
                ErrorCode::MemoryFull,
                "the broker has no memory left for this",
            ));
        }
        let mut text = Vec::with_capacity(length);
        json::write_str(body, &mut text);
        Ok(text)
    }

    /// Judges a message; one that is decoded to far more than its length explains needs a permit.
    fn judge(
        &mut self,
        topic: &Topic,
        format: Format,
        body: &[u8],
    ) -> io::Result<Result<Payload, Refusal>> {
        let limits = self.shared.config.limits;
        let workspace = self.purse.workspace();
        let judged = judge_alone(topic, format, body, &limits, &workspace, false);
        let Some(judged) = judged else {
            self.wait_for_permit()?;
            let judged = judge_alone(topic, format, body, &limits, &workspace, true);
            let extra = limits.decoded_budget(body.len());
            self.shared.allowances.spend(self.peer.origin(), body.len(), extra);
            self.recent.get().permit(false);
            self.permit = None;
            let none = || Refusal::new(ErrorCode::TooLarge, "it decodes to too much");
            return Ok(judged.unwrap_or_else(|| Err(none())));
        };
        Ok(judged)
    }

    pub(super) fn value(
        &mut self,
        topic: Topic,
        wanted: (&[&'static str], bool),
    ) -> io::Result<Answer> {
        let missing = Problem::new(404, format!("{:?} holds no value", topic.as_str()));
        let get = Control::Get { topic, dialect: Dialect::Json, last: None };
        self.ask(vec![Step::Control(token(), get)], 0);
        let stored = match self.next_answer() {
            Ok(Delivery::Value { stored, .. }) => stored,
            Ok(_) => return Ok(Err(missing)),
            Err(problem) => return Ok(Err(problem)),
        };
        let limits = self.shared.config.limits;
        let length = stored.weight();
        for decoded in [plain_size(length), limits.decoded_budget(length), usize::MAX] {
            let bytes = decoded.saturating_mul(DECODING_FACTOR + 1);
            let Some(claim) = self.claim_to_write(bytes) else { return Ok(Err(no_memory())) };
            match value(&stored, wanted, &mut Document::new(), (&limits, decoded)) {
                Err(refusal) if refusal.code == ErrorCode::TooLarge && decoded < usize::MAX => {}
                Err(refusal) => return Ok(Err(refusal.into())),
                Ok(response) => return Ok(Ok(self.holding(claim, response))),
            }
        }
        Ok(Err(no_memory()))
    }

    /// An answer whose memory is held until it is written.
    pub(super) fn holding(&mut self, mut claim: Claim, response: Response) -> Response {
        claim.shrink_to(response.body().len());
        self.hold(claim);
        response
    }

    /// Claims memory for an answer while it is made; a short one is part of what each connection
    /// takes.
    pub(super) fn claim_to_write(&self, bytes: usize) -> Option<Claim> {
        if bytes <= SMALL_BUFFER {
            return Some(Claim::nothing());
        }
        let account = self.shared.memory.of(Use::Writing).account();
        // More than half of the share might be waited for for ever.
        let bytes = bytes.min(account.share().limit() / 2);
        account.claim(bytes, self.shared.config.write_timeout)
    }

    pub(super) fn clear(&mut self, text: &str) -> io::Result<Answer> {
        let step = if text.contains(['+', '#']) {
            let filter = TopicFilter::parse(text);
            let filter = filter.and_then(|filter| check_writable(text).map(|()| filter));
            filter.map(|filter| Step::Control(token(), Control::ClearBelow { filter }))
        } else {
            Topic::parse(text).and_then(|topic| {
                check_writable(text)?;
                self.rights().publish(topic.name())?;
                Ok(Step::Clear(topic))
            })
        };
        let step = match step {
            Ok(step) => step,
            Err(refusal) => return Ok(Err(refusal.about(text).into())),
        };
        let shapes = self.shared.shapes.load(Ordering::Relaxed);
        let cleared = self.ask_and_wait(step, topic_cost(text, shapes));
        if self.has_rates() {
            self.keep_to_rates(1, 0)?;
        }
        Ok(cleared.map(|()| Response::new(204)))
    }

    pub(super) fn topics(
        &mut self,
        filter: TopicFilter,
        after: Option<&str>,
        limit: usize,
    ) -> io::Result<Answer> {
        self.ask(vec![Step::Control(token(), Control::List { filter })], 0);
        let delivery = match self.next_answer() {
            Ok(delivery) => delivery,
            Err(problem) => return Ok(Err(problem)),
        };
        let account = self.shared.memory.of(Use::Writing).account();
        let (reply, _memory) = match delivery {
            Delivery::Reply { reply, .. } => (Some(reply), Claim::nothing()),
            Delivery::Topics { pieces, token } => {
                let mut list = List::new(token, &self.shared.config.limits, &account);
                while let Ok(piece) = pieces.recv() {
                    list.add(&piece);
                }
                let listed = list.finish();
                listed.map_or((None, Claim::nothing()), |it| (Some(it.reply), it.memory))
            }
            _ => (None, Claim::nothing()),
        };
        Ok(match reply {
            Some(Reply::Topics { topics }) => Ok(page_of_topics(&topics, after, limit)),
            Some(Reply::Error(refusal)) => Err(refusal.into()),
            _ => {
                self.stop_asking();
                Err(Problem::new(503, "the list was not finished; ask again"))
            }
        })
    }

    pub(super) fn stats(&mut self) -> io::Result<Answer> {
        self.ask(vec![Step::Control(token(), Control::Stats)], 0);
        Ok(match self.next_answer() {
            Ok(Delivery::Report { report, .. }) => {
                let stats = report.complete(&self.shared.counters, resident_bytes(), |client| {
                    self.shared.mqtt.report(client)
                });
                Ok(Response::of_value(&stats))
            }
            Ok(_) => Err(no_answer()),
            Err(problem) => Err(problem),
        })
    }

    pub(super) fn limits_of_broker(&self) -> Response {
        let config = &self.shared.config;
        let others = [
            ("connections", config.max_connections),
            ("subscriptions", config.max_subscriptions),
            ("queue_messages", config.queue.messages),
            ("queue_bytes", config.queue.bytes),
            ("stored_values", config.store.values),
            ("stored_bytes", config.store.bytes),
        ];
        limits(&config.limits, &others)
    }
}
