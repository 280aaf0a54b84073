//! Messages of a consumer, asked for so many at a time.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::jetstream::consumer::{DeliverPolicy, PullConsumer};
use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, timeout_at};

use super::place::Place;

/// How long a request waits at the server, and how often that gives a sign of life meanwhile.
const EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(3);
/// A server that has said nothing for so long has lost the request.
const SILENCE: Duration = Duration::from_secs(8);
/// After a request that was turned away, as where too many wait already.
const PAUSE: Duration = Duration::from_millis(50);

/// What a message may have beside its payload and its headers.
pub(super) const LARGER: usize = 8 << 10;

/// What the subjects begin with on which messages of consumers are settled.
const SETTLED_AT: &str = "$JS.ACK.";
/// How many messages a request will not bring.
const PENDING: &str = "Nats-Pending-Messages";

/// What came.
#[derive(Debug)]
pub(super) enum Pulled {
    /// A message of the consumer.
    Message(Box<Message>),
    /// The request is over; another one may be made.
    Over,
    /// The next message is larger than all that was asked for.
    TooLarge,
    /// The consumer is not there.
    Gone,
    /// The server is silent, or nobody answers for the consumer.
    Lost,
}

/// Requests to a consumer, one at a time, and what comes of them.
#[derive(Debug)]
pub(super) struct Pull {
    consumer: PullConsumer,
    inbox: String,
    messages: Subscriber,
    /// The number of the last request.
    request: u64,
    /// How many messages it asked for, and may still bring; none where it is over.
    asked: usize,
    left: usize,
    /// How many bytes of messages it may still bring, as the server counts them; `None` where that
    /// is not bounded.
    left_bytes: Option<usize>,
    /// Whether it has brought none yet.
    is_bare: bool,
    /// Whether it was turned away.
    is_refused: bool,
    heard: Instant,
}

impl Pull {
    /// The messages of a consumer; nothing is asked for yet.
    ///
    /// # Errors
    /// Where the connection is lost.
    pub(super) async fn new(place: &Place, consumer: PullConsumer) -> Result<Pull, String> {
        let inbox = place.client.new_inbox();
        let messages = place.client.subscribe(format!("{inbox}.*")).await;
        let messages = messages.map_err(|error| error.to_string())?;
        Ok(Pull {
            consumer,
            inbox,
            messages,
            request: 0,
            asked: 0,
            left: 0,
            left_bytes: None,
            is_bare: true,
            is_refused: false,
            heard: Instant::now(),
        })
    }

    /// Whether the consumer begins with each topic's last message.
    pub(super) fn is_of_last_values(&self) -> bool {
        let policy = &self.consumer.cached_info().config.deliver_policy;
        matches!(policy, DeliverPolicy::LastPerSubject)
    }

    /// Whether nothing is asked for.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Asks for so many messages, of so many bytes together; 0 bytes are any number.
    pub(super) async fn ask(&mut self, messages: usize, bytes: usize) {
        // One that others have made may answer no request for more.
        let config = &self.consumer.cached_info().config;
        let bounded = |wanted: usize, most: i64| match usize::try_from(most) {
            Ok(most) if most > 0 => wanted.min(most),
            _ => wanted,
        };
        let (messages, bytes) =
            (bounded(messages, config.max_batch), bounded(bytes, config.max_bytes));
        if std::mem::take(&mut self.is_refused) {
            sleep(PAUSE).await;
        }
        self.request += 1;
        (self.asked, self.left) = (messages, messages);
        self.left_bytes = (bytes > 0).then_some(bytes);
        self.is_bare = true;
        self.heard = Instant::now();
        let batch = BatchConfig {
            batch: messages,
            expires: Some(EXPIRES),
            max_bytes: bytes,
            idle_heartbeat: HEARTBEAT,
            ..BatchConfig::default()
        };
        let inbox = format!("{}.{}", self.inbox, self.request);
        // A connection that is lost is silent.
        let _ = self.consumer.request_batch(batch, inbox.into()).await;
    }

    /// Waits for what comes next. It loses nothing when it is given up.
    pub(super) async fn next(&mut self) -> Pulled {
        loop {
            let next = self.messages.next();
            let message = match self.left {
                0 => next.await,
                _ => match timeout_at(self.heard + SILENCE, next).await {
                    Ok(message) => message,
                    Err(_) => return Pulled::Lost,
                },
            };
            let Some(message) = message else { return Pulled::Lost };
            if let Some(pulled) = self.take(message) {
                return pulled;
            }
        }
    }

    /// What is there already.
    pub(super) fn ready(&mut self) -> Option<Pulled> {
        loop {
            let message = self.messages.next().now_or_never()??;
            if let Some(pulled) = self.take(message) {
                return Some(pulled);
            }
        }
    }

    /// Takes no more: what is on its way still comes, and then [`Pulled::Lost`].
    pub(super) async fn stop(&mut self) {
        self.left = self.left.max(1);
        self.heard = Instant::now();
        let _ = self.messages.drain().await;
    }

    fn take(&mut self, message: Message) -> Option<Pulled> {
        self.heard = Instant::now();
        let status = message.status.unwrap_or(StatusCode::OK);
        // What others have published may look as if the server said it.
        let is_message = message.reply.as_ref().is_some_and(|reply| reply.starts_with(SETTLED_AT));
        if status == StatusCode::OK || is_message {
            self.left = self.left.saturating_sub(1);
            self.left_bytes = self.left_bytes.map(|left| left.saturating_sub(message.length));
            if self.left_bytes == Some(0) {
                // The server (2.15 too) ends a request that is filled to the byte without a word.
                self.left = 0;
            }
            self.is_bare = false;
            return Some(Pulled::Message(Box::new(message)));
        }
        if status == StatusCode::IDLE_HEARTBEAT {
            return None;
        }
        // What is said of a request that is over already says nothing of this one.
        let of = message.subject.as_str().rsplit('.').next()?.parse::<u64>().ok()?;
        if of != self.request {
            return None;
        }
        let words = message.description.as_deref().unwrap_or_default();
        let words = words.to_ascii_lowercase();
        let is_over_bytes = words.contains("maxbytes");
        let mut is_bare = self.is_bare;
        if status.as_u16() == 409 && (is_over_bytes || words.contains("batch completed")) {
            // Those of a stream with replicas may come behind this, when all have agreed on them:
            // it says how many will not.
            let missing = pending_of(&message).unwrap_or(self.left);
            is_bare = missing == self.asked;
            self.left = self.left.saturating_sub(missing);
            if self.left > 0 {
                return None;
            }
        }
        self.left = 0;
        self.is_refused = is_bare && status.as_u16() == 409;
        tracing::trace!(%status, words, "a request is over");
        Some(match status.as_u16() {
            503 => Pulled::Lost,
            409 if words == "consumer deleted" => Pulled::Gone,
            // Said of the next message too, behind others that had room.
            409 if is_bare && is_over_bytes => Pulled::TooLarge,
            _ => Pulled::Over,
        })
    }
}

fn pending_of(status: &Message) -> Option<usize> {
    status.headers.as_ref()?.get(PENDING)?.as_str().trim().parse().ok()
}
