//! Answers behind which something else than HTTP is spoken: frames of ours, in messages of
//! WebSocket or in events. The session goes on as any other.

use std::io;
use std::time::Duration;

use super::ask::{PATIENCE, no_answer, token};
use super::{Answer, Session, no_memory};
use crate::broker::{Charge, Control, Delivery, Step};
use crate::http::{Handshake, Head, Problem, Response, Spoken, Subprotocol, Watch};
use crate::transport::line::UNFRAMED;
use crate::wire::MqttFormat;

/// How often a stream of events has a comment: proxies give up what is silent for half a minute. No
/// more seldom than twice the time after which a silence in a frame is one.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// What is spoken behind an answer.
pub(super) enum Upgrade {
    WebSocket(Spoken),
    /// Events, of which this is the first.
    Events(Box<(Delivery, Charge)>),
}

impl Session {
    /// The answer to the handshake of a WebSocket. A client that does not log in by it does so in
    /// its first frame, as a page in a browser can.
    pub(super) fn open_websocket(
        &mut self,
        head: &Head,
        handshake: &Handshake,
    ) -> io::Result<Answer> {
        if head.field("authorization").is_none() {
            self.forget_sender();
        } else if let Err(problem) = self.identify_sender(head)? {
            return Ok(Err(problem));
        }
        if !self.purse.take_more(UNFRAMED) {
            return Ok(Err(no_memory()));
        }
        self.upgrade_to(Upgrade::WebSocket(handshake.spoken));
        Ok(Ok(handshake.response()))
    }

    /// The answer to somebody who wants to see what is published as it comes.
    pub(super) fn open_events(&mut self, head: &Head, watch: Watch) -> io::Result<Answer> {
        // What proxies hold back comes too late.
        let answer = Response::new(200).open("text/event-stream").with("X-Accel-Buffering", "no");
        if head.method == "HEAD" {
            return Ok(Ok(answer));
        }
        let Watch { filter, dialect, overflow, queue, cleared, follow } = watch;
        let subscribe = Control::Subscribe {
            filter,
            dialect,
            names: None,
            overflow,
            queue,
            cleared,
            values: follow.is_none(),
            durable: follow.map(Box::new),
        };
        self.ask(vec![Step::Control(token(), subscribe)], 0);
        // A subscription that is refused is no stream.
        let first = match self.next_delivery().and_then(answered) {
            Ok(first) => first,
            Err(problem) => {
                self.stop_asking();
                return Ok(Err(problem));
            }
        };
        if !self.purse.take_more(UNFRAMED) {
            self.stop_asking();
            return Ok(Err(no_memory()));
        }
        self.upgrade_to(Upgrade::Events(Box::new(first)));
        Ok(Ok(answer))
    }

    fn upgrade_to(&mut self, upgrade: Upgrade) {
        if let Some(http) = &mut self.http {
            http.upgrade = Some(upgrade);
        }
    }

    /// Goes on as the answer has said. Returns whether it has said something.
    pub(super) fn upgrade(&mut self) -> io::Result<bool> {
        let Some(http) = &mut self.http else { return Ok(false) };
        match http.upgrade.take() {
            None => return Ok(false),
            Some(Upgrade::WebSocket(spoken)) => {
                self.stop_asking();
                self.http = None;
                let subprotocol = match spoken {
                    Spoken::Own(subprotocol) => {
                        self.shared.connections.speak(self.client, "websocket");
                        subprotocol
                    }
                    Spoken::Mqtt => {
                        self.shared.connections.speak(self.client, "mqtt");
                        self.speak_mqtt(MqttFormat::Auto);
                        Subprotocol::Native
                    }
                };
                if let Some(outgoing) = &mut self.outgoing {
                    self.incoming.become_websocket(outgoing, subprotocol, &mut self.buffer);
                }
            }
            Some(Upgrade::Events(first)) => {
                let asking = http.asking.take();
                self.http = None;
                self.shared.connections.speak(self.client, "sse");
                if let Some(outgoing) = &mut self.outgoing {
                    let every = COMMENT_EVERY.min(2 * self.shared.config.frame_timeout);
                    self.incoming.become_events(outgoing, every);
                }
                // Nothing that follows is a request.
                self.buffer.take(self.buffer.bytes().len());
                self.buffer.release();
                if let Some((inbox, fate)) = asking {
                    self.start_writer(inbox, fate, Some(*first))?;
                }
            }
        }
        self.purse.note_buffer(0);
        Ok(true)
    }
}

/// The same first delivery, when the thread of a stream that has to answer has done so.
fn answered((first, charge): (Delivery, Charge)) -> Result<(Delivery, Charge), Problem> {
    let Delivery::Answer { answer, token } = first else { return Ok((first, charge)) };
    let reply = answer.recv_timeout(PATIENCE).map_err(|_| no_answer())??;
    Ok((Delivery::Reply { reply, token }, charge))
}
