//! What a line publishes: sent without waiting for each, acknowledged, tried again.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::headers;
use super::place::{At, Place, gone, there};
use super::subject;
use super::window::{ACK_WAIT, Window};
use crate::broker::sync::Sender;
use crate::broker::{FromBackbone, Outgoing};

/// Between two attempts: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What a message costs beside its bytes.
const MESSAGE: usize = 256;

/// A message as it goes to the server.
#[derive(Debug)]
struct Ready {
    subject: Subject,
    headers: HeaderMap,
    payload: Bytes,
    size: usize,
}

/// One line's messages.
pub(super) struct Publisher {
    /// What the ids of its messages begin with.
    name: String,
    at: At,
    doubts: Arc<Notify>,
    said: Sender<FromBackbone>,
    mail: mpsc::UnboundedReceiver<Outgoing>,
    window: Window<Ready>,
    pause: Duration,
    /// Nothing more comes.
    is_over: bool,
}

impl Publisher {
    /// A publisher of what comes by `mail`.
    pub(super) fn new(
        name: String,
        at: At,
        doubts: Arc<Notify>,
        said: Sender<FromBackbone>,
        mail: mpsc::UnboundedReceiver<Outgoing>,
    ) -> Publisher {
        let window = Window::default();
        Publisher { name, at, doubts, said, mail, window, pause: PAUSE, is_over: false }
    }

    /// Publishes until nothing more comes and all is said.
    pub(super) async fn run(mut self) {
        while !self.is_done() {
            let place = tokio::select! {
                place = there(&mut self.at) => place,
                message = self.mail.recv(), if !self.is_over => {
                    self.take(message);
                    continue;
                }
            };
            let Some(place) = place else { return };
            self.attend(&place).await;
            self.window.disconnect();
            // A connection that is lost is there a moment longer than what it is good for.
            let mut at = self.at.clone();
            tokio::select! {
                () = gone(&mut at, &place) => {}
                () = sleep(PAUSE) => {}
            }
        }
    }

    fn is_done(&self) -> bool {
        self.is_over && self.window.is_empty()
    }

    /// Publishes on one connection, as long as it lasts.
    async fn attend(&mut self, place: &Arc<Place>) {
        let inbox = place.client.new_inbox();
        let Ok(mut answers) = place.client.subscribe(format!("{inbox}.*.*")).await else { return };
        while !self.is_done() {
            if self.window.is_to_retry() && !self.retry(place).await {
                return;
            }
            self.send(place, &inbox).await;
            let due = self.window.due();
            let mut at = self.at.clone();
            tokio::select! {
                biased;
                () = gone(&mut at, place) => return,
                answer = answers.next() => match answer {
                    Some(answer) => self.take_answers(answer, &mut answers),
                    None => return,
                },
                message = self.mail.recv(), if !self.is_over => self.take(message),
                () = until(due) => self.window.expire(Instant::now()),
            }
        }
    }

    /// Takes what is there to be published.
    fn take(&mut self, first: Option<Outgoing>) {
        let Some(first) = first else {
            self.is_over = true;
            return;
        };
        self.prepare(first);
        while let Ok(message) = self.mail.try_recv() {
            self.prepare(message);
        }
    }

    fn prepare(&mut self, message: Outgoing) {
        let Outgoing { number, id, message } = message;
        let id = match id {
            Some(id) => headers::id_of_publisher(&id),
            None => format!("{}-{number}", self.name),
        };
        let topic = message.topic;
        let ready = match subject::of_topic(&topic) {
            None => Err("topics that begin with \"$\" are each broker's own".to_owned()),
            Some(subject) => headers::write(message.content, &id).map(|outbound| Ready {
                subject: subject.into(),
                size: outbound.size(),
                headers: outbound.headers,
                payload: outbound.payload.into(),
            }),
        };
        match ready {
            Ok(ready) => {
                let bytes = ready.size + ready.subject.len() + MESSAGE;
                self.window.push(number, ready, bytes);
            }
            Err(reason) => self.refuse(number, format!("{topic} is not shared: {reason}")),
        }
    }

    /// Sends as much as may be on its way.
    async fn send(&mut self, place: &Place, inbox: &str) {
        while let Some((number, attempt, ready)) = self.window.send(Instant::now()) {
            if ready.size > place.max_payload {
                let reason = format!(
                    "with its headers it is {} bytes, and NATS takes {} (max_payload of the \
                     server, or max_msg_size of the stream {})",
                    ready.size, place.max_payload, place.stream
                );
                self.refuse(number, reason);
                continue;
            }
            let published = place.client.publish_with_reply_and_headers(
                ready.subject.clone(),
                format!("{inbox}.{number}.{attempt}"),
                ready.headers.clone(),
                ready.payload.clone(),
            );
            if !matches!(timeout(ACK_WAIT, published).await, Ok(Ok(()))) {
                // It was not even handed to the connection.
                self.window.fail(number, attempt);
            }
        }
    }

    /// Begins anew after a failure. Returns whether the place is still there.
    async fn retry(&mut self, place: &Arc<Place>) -> bool {
        let mut at = self.at.clone();
        let checked = async {
            sleep(self.pause).await;
            // The answer comes behind everything that was sent: what is sent again does not meet
            // what was sent before on the way.
            while !place.answers().await {
                self.doubts.notify_one();
                sleep(self.pause).await;
            }
        };
        tokio::select! {
            biased;
            () = gone(&mut at, place) => return false,
            () = checked => {}
        }
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        let window = place.duplicate_window;
        for (number, since) in self.window.retry(Instant::now(), window) {
            let reason = format!(
                "it is in doubt whether NATS has stored it: it was sent {} s ago, no \
                 acknowledgement came, and the stream {} knows repeats for {} s only, so it is not \
                 sent again",
                since.as_secs(),
                place.stream,
                window.as_secs()
            );
            self.refuse(number, reason);
        }
        true
    }

    fn take_answers(&mut self, first: Message, answers: &mut Subscriber) {
        self.take_answer(&first);
        while let Some(Some(answer)) = answers.next().now_or_never() {
            self.take_answer(&answer);
        }
    }

    fn take_answer(&mut self, answer: &Message) {
        let mut tokens = answer.subject.as_str().rsplit('.');
        let mut token = || tokens.next()?.parse::<u64>().ok();
        let (Some(attempt), Some(number)) = (token(), token()) else { return };
        match verdict(answer) {
            Verdict::Stored => {
                self.pause = PAUSE;
                if self.window.finish(number) {
                    let _ = self.said.send(FromBackbone::Stored { number });
                }
            }
            Verdict::Refused(reason) => {
                if self.window.finish(number) {
                    let _ = self.said.send(FromBackbone::Refused { number, reason });
                }
            }
            Verdict::Failed(reason) => {
                tracing::debug!(number, reason, "a message is sent again");
                self.window.fail(number, u32::try_from(attempt).unwrap_or(u32::MAX));
                // The stream may be gone.
                self.doubts.notify_one();
            }
        }
    }

    fn refuse(&mut self, number: u64, reason: String) {
        self.window.finish(number);
        let _ = self.said.send(FromBackbone::Refused { number, reason });
    }
}

/// What an answer says of a message.
enum Verdict {
    Stored,
    Refused(String),
    /// It is not stored now, and may be later.
    Failed(String),
}

fn verdict(answer: &Message) -> Verdict {
    if let Some(status) = answer.status.filter(|status| *status != StatusCode::OK) {
        return Verdict::Failed(format!("no stream takes it (status {status})"));
    }
    match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
        Ok(Response::Ok(_)) => Verdict::Stored,
        Ok(Response::Err { error }) => {
            let words = error.to_string();
            // A stream that is full is refused with a code that stands for failures of its disk
            // too. What is wrong with a message by itself is a wrong request; other codes are said
            // of what may pass, as that a message with this id is about to be stored.
            let is_full = words.starts_with("maximum ");
            if is_full || error.code() == 400 {
                Verdict::Refused(format!("NATS refuses it: {words}"))
            } else {
                Verdict::Failed(words)
            }
        }
        Err(error) => Verdict::Failed(format!("an answer that is none: {error}")),
    }
}

/// Sleeps until then; for ever where there is no such time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
