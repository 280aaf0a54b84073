//! One stream on one connection: what everything that reads and writes it stands on, and gives up
//! when it is no more.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::client::PublishError;
use async_nats::jetstream::{self, Context, ErrorCode, context, stream};
use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::link::{Connection, Link, too_old};
use super::options::ANSWER;
use super::subject;
use crate::broker::sync::Sender;
use crate::broker::{FromBackbone, SharedTopics};

/// How often a stream is looked at that was there, and one that was not.
const LOOK: Duration = Duration::from_secs(10);
const LOOK_FOR: Duration = Duration::from_millis(500);
/// Before a place that has failed is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// A look that was asked for is at least so long after the one before.
const APART: Duration = Duration::from_millis(200);

/// Whether a message is handed to the connection, within some time. A timer is set where the
/// connection has no room for it, and for nothing else.
pub(super) async fn sent(
    published: impl Future<Output = Result<(), PublishError>>,
    patience: Duration,
) -> bool {
    let mut published = pin!(published);
    match published.as_mut().now_or_never() {
        Some(published) => published.is_ok(),
        None => matches!(timeout(patience, published).await, Ok(Ok(()))),
    }
}

/// A stream, as long as it and the connection are the same.
#[derive(Debug)]
pub(super) struct Place {
    /// Which place of this line.
    pub(super) number: u64,
    connection: u64,
    /// The connection.
    pub(super) client: Client,
    /// The way to streams and consumers.
    pub(super) jetstream: Context,
    /// The stream's name.
    pub(super) stream: String,
    /// When the stream was made, which is what tells it from others of its name.
    pub(super) created: String,
    /// Bytes that a message may have, with its headers.
    pub(super) max_payload: usize,
    /// How long repeats are known.
    pub(super) duplicate_window: Duration,
}

impl Place {
    /// Whether the server answers, which it does behind all that was sent before.
    pub(super) async fn answers(&self) -> bool {
        self.info().await.is_ok()
    }

    /// Whether the stream is still the same.
    pub(super) async fn is_there(&self) -> bool {
        let info = self.info().await;
        info.is_ok_and(|info| created(&info) == self.created)
    }

    /// What there is to be said of the stream.
    ///
    /// # Errors
    /// The server's words, or that it does not answer.
    pub(super) async fn info(&self) -> Result<stream::Info, String> {
        let stream = self.jetstream.get_stream_no_info(&self.stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let info = timeout(ANSWER, stream.get_info()).await;
        info.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
    }
}

/// When a stream was made, in nanoseconds since 1970.
pub(super) fn created(info: &stream::Info) -> String {
    info.created.unix_timestamp_nanos().to_string()
}

/// Where a line's stream is, if there is one.
pub(super) type At = watch::Receiver<Option<Arc<Place>>>;

/// Waits until there is a place; `None` when the line is over.
pub(super) async fn there(at: &mut At) -> Option<Arc<Place>> {
    let found = at.wait_for(Option::is_some).await.ok()?;
    found.clone()
}

/// Waits until a place is no more.
pub(super) async fn gone(at: &mut At, place: &Place) {
    let other = |now: &Option<Arc<Place>>| now.as_ref().map(|now| now.number) != Some(place.number);
    let _ = at.wait_for(other).await;
}

/// Has a place looked at that has failed somebody, and gives it a moment before it is tried again.
pub(super) async fn doubt(at: &mut At, place: &Place, doubts: &Notify) {
    doubts.notify_one();
    tokio::select! {
        () = gone(at, place) => {}
        () = sleep(PAUSE) => {}
    }
}

/// Looks after a line's stream, and says what is known of it; it ends when nobody wants to know.
/// `doubts` asks it to look again.
pub(super) async fn watch(
    topics: SharedTopics,
    mut link: watch::Receiver<Link>,
    doubts: Arc<Notify>,
    at: watch::Sender<Option<Arc<Place>>>,
    said: Sender<FromBackbone>,
) {
    let mut said_last: Option<Arc<str>> = None;
    let mut number = 0;
    loop {
        let now = link.borrow_and_update().clone();
        let found = match &now {
            Link::Begun => match link.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Link::Down(reason) => Err(reason.clone()),
            Link::Up(connection) => tokio::select! {
                found = look_well(&topics, connection) => found.map_err(Arc::from),
                _ = link.changed() => continue,
                () = at.closed() => return,
            },
        };
        let is_there = found.is_ok();
        match found {
            Ok(mut place) => {
                let is_same = at.borrow().as_ref().is_some_and(|before| {
                    (before.connection, &before.created, before.max_payload)
                        == (place.connection, &place.created, place.max_payload)
                        && before.duplicate_window == place.duplicate_window
                });
                if !is_same {
                    number += 1;
                    place.number = number;
                    let max_payload = place.max_payload;
                    said_last = None;
                    let _ = said.send(FromBackbone::Connected { max_payload });
                    at.send_replace(Some(Arc::new(place)));
                }
            }
            Err(reason) => {
                at.send_if_modified(|place| place.take().is_some());
                if said_last.as_ref() != Some(&reason) {
                    let reason = said_last.insert(reason).to_string();
                    tracing::warn!(stream = %topics.stream, reason, "shared topics wait");
                    let _ = said.send(FromBackbone::Unavailable { reason });
                }
            }
        }
        let earliest = Instant::now() + APART;
        let pause = if is_there { LOOK } else { LOOK_FOR };
        tokio::select! {
            changed = link.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = doubts.notified() => {}
            () = sleep(pause), if matches!(now, Link::Up(_)) => {}
            () = at.closed() => return,
        }
        tokio::time::sleep_until(earliest).await;
    }
}

/// The same as [`look`], which is tried again where there is no answer: a server that has much to
/// do is there.
async fn look_well(topics: &SharedTopics, connection: &Connection) -> Result<Place, String> {
    match look(topics, connection).await {
        Err(NotFound { reason: _, is_silence: true }) => look(topics, connection).await,
        found => found,
    }
    .map_err(|missing| missing.reason)
}

/// Why a stream cannot be had.
#[derive(Debug)]
pub(super) struct NotFound {
    reason: String,
    is_silence: bool,
}

impl From<String> for NotFound {
    fn from(reason: String) -> NotFound {
        NotFound { reason, is_silence: false }
    }
}

/// The stream of these topics, on this connection.
///
/// # Errors
/// Why there is none that fits.
pub(super) async fn look(
    topics: &SharedTopics,
    connection: &Connection,
) -> Result<Place, NotFound> {
    let Connection { number, client, server } = connection;
    if let Some(lacks) = too_old(client) {
        return Err(format!("topics are not shared by {server}: {lacks}").into());
    }
    let jetstream = jetstream::new(client.clone());
    let stream = &topics.stream;
    let asked = timeout(ANSWER, jetstream.get_stream(stream)).await;
    let found = match asked {
        Err(_) => {
            let reason = format!("{server} does not answer");
            return Err(NotFound { reason, is_silence: true });
        }
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(missing(topics, server, &error).into()),
    };
    let info = found.cached_info();
    fitting(topics, server, &info.config)?;
    let server_takes = client.server_info().max_payload;
    let stream_takes = usize::try_from(info.config.max_message_size).ok().filter(|size| *size > 0);
    Ok(Place {
        number: 0,
        connection: *number,
        client: client.clone(),
        stream: stream.clone(),
        created: created(info),
        max_payload: stream_takes.unwrap_or(usize::MAX).min(server_takes),
        duplicate_window: info.config.duplicate_window,
        jetstream,
    })
}

/// Why there is no stream.
fn missing(topics: &SharedTopics, server: &str, error: &context::GetStreamError) -> String {
    let SharedTopics { stream, .. } = topics;
    match error.kind() {
        context::GetStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            format!(
                "there is no stream {stream} at {server}; this makes it: babelmq backbone create \
                 --backbone {server} --shared '{topics}'"
            )
        }
        context::GetStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT =>
        {
            format!("{server} has no JetStream for this account: {error}")
        }
        context::GetStreamErrorKind::JetStream(error) => {
            format!("{server} says of the stream {stream}: {error}")
        }
        _ => format!(
            "{server} does not say whether there is a stream {stream} ({}); it may run without \
             JetStream, or its cluster without a leader",
            words(error)
        ),
    }
}

/// What an error says, and what it comes from.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    words
}

/// Whether a stream can be the one of these topics.
fn fitting(topics: &SharedTopics, server: &str, config: &stream::Config) -> Result<(), String> {
    let SharedTopics { stream, .. } = topics;
    let wanted = subject::of_filter(&topics.filter);
    let lacks = wanted
        .iter()
        .find(|wanted| !config.subjects.iter().any(|has| subject::covers(has, wanted)));
    let reason = if let Some(lacks) = lacks {
        format!("keeps {}, and not {lacks}", config.subjects.join(", "))
    } else if config.no_ack {
        "confirms no message (no_ack)".to_owned()
    } else if config.retention != stream::RetentionPolicy::Limits {
        format!("drops what its consumers have had (retention {:?})", config.retention)
    } else if config.sealed {
        "is sealed".to_owned()
    } else {
        return Ok(());
    };
    Err(format!(
        "the stream {stream} at {server} {reason}; this says what differs: babelmq backbone check \
         --backbone {server} --shared '{topics}'"
    ))
}
