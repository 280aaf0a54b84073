//! The place of a message in the stream that keeps it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::QueueError;
use super::wire::Incoming;
use crate::protocol::Start;

/// The place of a message in the stream that keeps it: what a consumer settles it by.
///
/// ```no_run
/// use babelmq::{Arrival, Client, Format, Subscribe, TopicFilter};
///
/// let mut client = Client::connect("127.0.0.1:5000", std::time::Duration::from_secs(10))?;
/// let how = Subscribe::default().consumer("billing");
/// client.subscribe(&TopicFilter::parse("orders")?, Format::Json, how)?;
/// while let Some(arrival) = client.next(None)? {
///     if let Arrival::Delivery { message, origin: Some(origin), .. } = arrival {
///         println!("{} of {}: {:?}", origin.seq, origin.stream, message);
///         client.ack(&origin)?;
///     }
/// }
/// # Ok::<(), babelmq::QueueError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The stream.
    pub stream: String,
    /// The consumer to which it was delivered; `None` for a follower, who settles nothing.
    pub consumer: Option<String>,
    /// Its number in the stream: from 1 on, in the order of publication.
    pub seq: u64,
    /// When it was published, by the broker's clock, to the millisecond.
    pub time: SystemTime,
    /// How often it has been delivered to the consumer, with this time: from 1 on.
    pub attempt: u32,
}

impl Origin {
    /// Takes what a message says of its stream; `None` where it is of none.
    pub(super) fn of<M>(incoming: &mut Incoming<M>) -> Result<Option<Origin>, QueueError> {
        let (Some(stream), seq @ 1..) = (incoming.stream.take(), incoming.seq) else {
            return Ok(None);
        };
        let time = incoming.time.take().unwrap_or_default();
        let Some(Start::Time(milliseconds)) = Start::from_word(&time) else {
            let wrong = format!("a message of the stream {stream} with the time {time:?}");
            return Err(QueueError::Protocol(wrong));
        };
        Ok(Some(Origin {
            stream,
            consumer: incoming.consumer.take(),
            seq,
            time: UNIX_EPOCH + Duration::from_millis(milliseconds),
            attempt: u32::try_from(incoming.attempt).unwrap_or(u32::MAX).max(1),
        }))
    }
}
