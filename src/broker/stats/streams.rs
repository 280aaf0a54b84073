//! What monitors are told of streams and consumers: a part of a number for each.

use super::Stats;
use super::metric::{Number, Sample};
use crate::broker::shared::SharedNumbers;

/// Consumers that monitors are told of at most, those of the first streams by name: each is a
/// series of a metric, and more than so many are too many for those who keep them.
pub const CONSUMERS_TOLD: usize = 10_000;

/// The states that a stream may be in.
const STATES: [&str; 4] = ["ok", "full", "failing", "silent"];

/// What there is to be said of a stream at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamNumbers {
    /// Its name.
    pub stream: String,
    /// Messages that it keeps.
    pub messages: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The number of the first message that it keeps.
    pub first: u64,
    /// The number that the next will have.
    pub next: u64,
    /// Messages that cannot be read.
    pub damaged: u64,
    /// The state that it is in, in a word.
    pub state: &'static str,
    /// How it stands with the backbone, if it is a stream of that.
    pub shared: Option<SharedNumbers>,
    /// Its consumers, by name; `None` where its thread has not said.
    pub consumers: Option<Vec<ConsumerNumbers>>,
}

/// The same of a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerNumbers {
    /// Its name.
    pub consumer: String,
    /// Messages that are not settled.
    pub lag: u64,
    /// Those of them that members have.
    pub outstanding: u64,
    /// Members.
    pub members: u64,
    /// Deliveries that were not the first of their message.
    pub redelivered: u64,
    /// Messages that became dead letters.
    pub dead: u64,
}

impl Stats {
    fn of_streams(&self, number: impl Fn(&StreamNumbers) -> Option<u64>) -> Vec<Sample> {
        let sample = |stream: &StreamNumbers| {
            let labels = vec![stream.stream.clone().into()];
            Some(Sample { labels, number: Number::Whole(number(stream)?) })
        };
        self.streams.iter().filter_map(sample).collect()
    }

    fn of_consumers(&self, number: impl Fn(&ConsumerNumbers) -> u64) -> Vec<Sample> {
        let pairs = self.streams.iter().flat_map(|stream| {
            stream.consumers.iter().flatten().map(move |consumer| (stream, consumer))
        });
        let sample = |(stream, consumer): (&StreamNumbers, &ConsumerNumbers)| Sample {
            labels: vec![stream.stream.clone().into(), consumer.consumer.clone().into()],
            number: Number::Whole(number(consumer)),
        };
        pairs.take(CONSUMERS_TOLD).map(sample).collect()
    }

    fn of_shared(&self, number: impl Fn(&SharedNumbers) -> u64) -> Vec<Sample> {
        self.of_streams(|stream| stream.shared.as_ref().map(&number))
    }

    pub(super) fn shared_connected(&self) -> Vec<Sample> {
        self.of_shared(|shared| shared.is_connected.into())
    }

    pub(super) fn shared_reconnects(&self) -> Vec<Sample> {
        self.of_shared(|shared| shared.reconnects)
    }

    pub(super) fn shared_lag(&self) -> Vec<Sample> {
        self.of_shared(|shared| shared.lag)
    }

    pub(super) fn shared_unconfirmed(&self) -> Vec<Sample> {
        self.of_shared(|shared| shared.unconfirmed)
    }

    pub(super) fn shared_rejected(&self) -> Vec<Sample> {
        self.of_shared(|shared| shared.rejected)
    }

    pub(super) fn shared_refused(&self) -> Vec<Sample> {
        self.of_shared(|shared| shared.refused)
    }

    pub(super) fn stream_messages(&self) -> Vec<Sample> {
        self.of_streams(|stream| Some(stream.messages))
    }

    pub(super) fn stream_bytes(&self) -> Vec<Sample> {
        self.of_streams(|stream| Some(stream.bytes))
    }

    pub(super) fn stream_first(&self) -> Vec<Sample> {
        self.of_streams(|stream| Some(stream.first))
    }

    pub(super) fn stream_next(&self) -> Vec<Sample> {
        self.of_streams(|stream| Some(stream.next))
    }

    pub(super) fn stream_damaged(&self) -> Vec<Sample> {
        self.of_streams(|stream| Some(stream.damaged))
    }

    pub(super) fn stream_state(&self) -> Vec<Sample> {
        let sample = |stream: &StreamNumbers, state: &'static str| Sample {
            labels: vec![stream.stream.clone().into(), state.into()],
            number: Number::Whole(u64::from(state == stream.state)),
        };
        let samples = |stream| STATES.into_iter().map(move |state| sample(stream, state));
        self.streams.iter().flat_map(samples).collect()
    }

    pub(super) fn stream_consumers(&self) -> Vec<Sample> {
        self.of_streams(|stream| stream.consumers.as_ref().map(|all| all.len() as u64))
    }

    pub(super) fn consumer_lag(&self) -> Vec<Sample> {
        self.of_consumers(|consumer| consumer.lag)
    }

    pub(super) fn consumer_outstanding(&self) -> Vec<Sample> {
        self.of_consumers(|consumer| consumer.outstanding)
    }

    pub(super) fn consumer_members(&self) -> Vec<Sample> {
        self.of_consumers(|consumer| consumer.members)
    }

    pub(super) fn consumer_redelivered(&self) -> Vec<Sample> {
        self.of_consumers(|consumer| consumer.redelivered)
    }

    pub(super) fn consumer_dead(&self) -> Vec<Sample> {
        self.of_consumers(|consumer| consumer.dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_consumers_are_told_and_all_are_counted() {
        let consumers = |count: usize| {
            let consumer = |number: usize| ConsumerNumbers {
                consumer: number.to_string(),
                ..ConsumerNumbers::default()
            };
            Some((0..count).map(consumer).collect())
        };
        let stream = |name: &str, consumers| StreamNumbers {
            stream: name.to_owned(),
            consumers,
            ..StreamNumbers::default()
        };
        let streams = vec![
            stream("a", consumers(CONSUMERS_TOLD - 1)),
            stream("b", None),
            stream("c", consumers(2)),
        ];
        let stats = Stats { streams, ..Stats::default() };
        let told = stats.consumer_lag();
        assert_eq!(told.len(), CONSUMERS_TOLD);
        assert_eq!(told.last().unwrap().labels, ["c", "0"]);
        let counted = stats.stream_consumers();
        let counted: Vec<_> = counted.iter().map(|it| (&*it.labels[0], it.number)).collect();
        let whole = |count: usize| Number::Whole(count as u64);
        assert_eq!(counted, [("a", whole(CONSUMERS_TOLD - 1)), ("c", whole(2))]);
    }
}
