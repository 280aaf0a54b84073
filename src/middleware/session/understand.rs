//! What the broker says, and whom it concerns.

use super::{Arrived, Kept, Session, State, Subscription};
use crate::middleware::connection::Frame;
use crate::middleware::error::{QueueError, Refused};
use crate::middleware::origin::Origin;
use crate::middleware::settler::Settler;
use crate::middleware::wire::sealed::Sealed;
use crate::middleware::wire::{Incoming, Json, Wire};
use crate::protocol::{ErrorCode, Format, Topic};

impl<W: Wire> Session<W> {
    pub(super) fn understand(&mut self, Frame { format, body }: Frame) -> Result<(), QueueError> {
        if format != W::FORMAT {
            return self.understand_foreign(format, body);
        }
        let mut incoming = W::read(body)?;
        let origin = Origin::of(&mut incoming)?;
        let Incoming { command, topic, message, topics, id, code, reason, fatal, .. } = incoming;
        match (&*command, topic, message, topics, code) {
            ("publish", Some(topic), Some(message), ..) => {
                let (topic, retained) = (from_broker(&topic)?, incoming.retained);
                if retained {
                    let _ = self.reached(State::Stored, |_| true);
                }
                if let Some(origin) = &origin {
                    self.see(origin);
                }
                if self.to.retained || !retained {
                    let settler = self.settler.clone();
                    let arrived = Arrived { topic, message, retained, origin, settler };
                    self.kept.push_back(Kept::Delivery(arrived));
                }
            }
            ("value", Some(topic), Some(message), ..) => {
                let (topic, settler) = (from_broker(&topic)?, Settler::default());
                let arrived = Arrived { topic, message, retained: false, origin, settler };
                self.last.found.push(arrived);
            }
            ("values", ..) => self.last.is_all = true,
            ("subscribed", Some(filter), ..) => {
                let limited = incoming.limited;
                self.begin_following(incoming.next);
                if let Some(one) = self.reached(State::Live, |of| *of == filter) {
                    one.limited = limited;
                }
            }
            ("cleared", Some(topic), ..) => {
                self.kept.push_back(Kept::Cleared(from_broker(&topic)?))
            }
            ("dropped", ..) => self.dropped += incoming.count,
            ("cancelled", ..) => {}
            ("pong", ..) => {
                self.answers.ping = id.and_then(|id| id.parse().ok()).unwrap_or(self.answers.ping);
                self.answers.unsaved = None;
                if let Some(kept) = &mut self.kept_frames {
                    kept.confirm(self.answers.ping);
                }
            }
            ("topics", _, _, Some(topics), _) => self.listed(&topics)?,
            ("error", topic, _, _, Some(code)) => {
                let refused = Refused { code, reason: reason.unwrap_or_default(), topic, fatal };
                if refused.is_of_ping() {
                    // It is the answer to a ping, in the place of a pong.
                    self.answers.ping += 1;
                    self.answers.unsaved = Some(refused);
                } else {
                    self.on_refused(refused);
                }
            }
            _ => {
                return Err(QueueError::Protocol(format!(
                    "a {command:?} message that lacks a field, or is unknown"
                )));
            }
        }
        Ok(())
    }

    /// A frame in a format that this queue does not speak: the broker says in JSON what it says
    /// before it knows the client's format, that it has too many connections.
    fn understand_foreign(&mut self, format: Format, body: Vec<u8>) -> Result<(), QueueError> {
        if format == Format::Json
            && let Incoming { topic, code: Some(code), reason, fatal, .. } = Json::read(body)?
        {
            let reason = reason.unwrap_or_default();
            self.on_refused(Refused { code, reason, topic, fatal });
            return Ok(());
        }
        Err(QueueError::foreign(format, W::FORMAT))
    }

    /// The first subscription that is not live yet, and that `of` knows by its filter, has come so
    /// far.
    fn reached(&mut self, state: State, of: impl Fn(&String) -> bool) -> Option<&mut Subscription> {
        let not_live = |one: &&mut Subscription| one.state != State::Live && of(&one.filter);
        let one = self.subscriptions.iter_mut().find(not_live)?;
        one.state = state;
        Some(one)
    }

    pub(super) fn on_refused(&mut self, refused: Refused) {
        // The connection ends with it, and the next would come to no more.
        let ended = QueueError::from(refused.clone()).finally();
        if ended.is_some() {
            self.ended = ended;
            return;
        }
        // A broker that has no room when its clients come back has it later.
        let may_pass =
            [ErrorCode::TooManyConnections, ErrorCode::TooManySubscriptions, ErrorCode::MemoryFull];
        let may_pass = may_pass.into_iter().any(|code| refused.is(code));
        let is_again = self.established && !self.subscribing;
        let is_asked = |one: &Subscription| {
            one.state == State::Asked && refused.topic.as_deref() == Some(&one.filter)
        };
        if is_again && self.subscriptions.iter().any(is_asked) {
            // The next connection asks again, after its pause.
            self.useless = Some(refused.clone());
            if may_pass {
                return;
            }
        }
        let is_passing = [ErrorCode::TooManyConnections, ErrorCode::Disconnected];
        if self.established && is_passing.into_iter().any(|code| refused.is(code)) {
            return;
        }
        self.refused.push_back(refused);
    }
}

pub(in crate::middleware) fn from_broker(topic: &str) -> Result<Topic, QueueError> {
    Topic::parse(topic).map_err(|refusal| QueueError::Protocol(refusal.reason.clone()))
}
