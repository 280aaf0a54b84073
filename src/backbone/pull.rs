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
    /// How many messages it may still bring; none where it is over.
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
        if std::mem::take(&mut self.is_refused) {
            sleep(PAUSE).await;
        }
        self.request += 1;
        self.left = messages;
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
        if status == StatusCode::OK {
            self.left = self.left.saturating_sub(1);
            self.left_bytes = self.left_bytes.map(|left| left.saturating_sub(message.length));
            if self.left_bytes == Some(0) {
                // The server (2.15 too) ends a request that is filled to the byte, and says nothing.
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
        self.left = 0;
        self.is_refused = self.is_bare && status.as_u16() == 409;
        let words = message.description.as_deref().unwrap_or_default();
        tracing::trace!(%status, words, "a request is over");
        Some(match status.as_u16() {
            503 => Pulled::Lost,
            409 if words.eq_ignore_ascii_case("consumer deleted") => Pulled::Gone,
            // Said of the next message too, behind others that had room.
            409 if self.is_bare && words.to_ascii_lowercase().contains("maxbytes") => {
                Pulled::TooLarge
            }
            _ => Pulled::Over,
        })
    }
}
