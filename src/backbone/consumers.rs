//! The consumers of a stream: durable ones made, found, compared, removed, told of; and those
//! of one that follows.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{
    self, AckPolicy, DeliverPolicy, FromConsumer, PullConsumer, pull,
};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::{ConsumerErrorKind, Stream};
use futures_util::TryStreamExt;
use tokio::time::timeout;

use super::options::PATIENCE;
use super::place::{Place, words};
use super::subject;
use crate::broker::{JoinShared, JoinedShared, SharedConsumer, SharedReport};
use crate::protocol::{Start, TopicFilter};

/// Requests of members that may wait at a consumer.
const WAITING: i64 = 8_192;
/// A consumer of one that follows, which nobody asks, is forgotten by the server after so long.
const IDLE: Duration = Duration::from_secs(120);

/// Why there is no consumer.
#[derive(Debug)]
pub(super) enum NoConsumer {
    /// There will be none, and why.
    Never(String),
    /// There is none now.
    NotNow(String),
}

impl NoConsumer {
    fn not_now(error: &(dyn std::error::Error + 'static)) -> NoConsumer {
        NoConsumer::NotNow(words(error))
    }
}

/// The durable consumer of a name that a member wants, made where it is not there; `start` is where
/// it then begins. A second value says where it is.
pub(super) async fn join(
    place: &Place,
    name: &str,
    wanted: &JoinShared,
    start: Start,
) -> Result<(PullConsumer, JoinedShared), NoConsumer> {
    let stream = stream(place).await.map_err(NoConsumer::NotNow)?;
    let named = subject::of_name(name);
    let subjects = subject::of_filter(&wanted.filter);
    match stream.consumer_info(&named).await {
        Ok(info) => {
            compare(name, wanted, &info.config, &subjects).map_err(NoConsumer::Never)?;
            if info.config.ack_wait == wanted.ack_wait {
                return found(place, info);
            }
            // All else stays as it is.
            let config = consumer::Config { ack_wait: wanted.ack_wait, ..info.config };
            made(place, &stream, name, config).await
        }
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
            let config = config(wanted, &named, policy(start));
            made(place, &stream, name, config).await
        }
        Err(error) => Err(NoConsumer::not_now(&error)),
    }
}

/// A consumer for one that follows, which says by itself what it has read. It is forgotten when
/// nobody asks it. A second value says where it begins.
pub(super) async fn follow(
    place: &Place,
    name: &str,
    filter: &TopicFilter,
    policy: DeliverPolicy,
) -> Result<(PullConsumer, JoinedShared), NoConsumer> {
    let stream = stream(place).await.map_err(NoConsumer::NotNow)?;
    let config = with_subjects(
        consumer::Config {
            name: Some(name.to_owned()),
            description: Some("what a client of a babelmq broker follows".to_owned()),
            deliver_policy: policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: IDLE,
            memory_storage: true,
            num_replicas: 1,
            ..consumer::Config::default()
        },
        filter,
    );
    made(place, &stream, name, config).await
}

/// Forgets the consumer of one that follows, if that is done at once: otherwise the server does,
/// later.
pub(super) async fn forget(place: &Place, name: &str) {
    let forgotten = place.jetstream.delete_consumer_from_stream(name, &place.stream);
    let _ = timeout(PATIENCE, forgotten).await;
}

/// Whether the consumer of a member is still there.
pub(super) async fn is_there(place: &Place, name: &str) -> Result<bool, String> {
    let stream = stream(place).await?;
    match stream.consumer_info(subject::of_name(name)).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(false),
        Err(error) => Err(words(&error)),
    }
}

/// Forgets a consumer. Returns whether it was there.
///
/// # Errors
/// Why it could not be forgotten.
pub(super) async fn remove(place: &Place, name: &str) -> Result<bool, String> {
    let stream = stream(place).await?;
    match stream.delete_consumer(&subject::of_name(name)).await {
        Ok(status) => Ok(status.success),
        Err(error) => match error.kind() {
            ConsumerErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND =>
            {
                Ok(false)
            }
            _ => Err(words(&error)),
        },
    }
}

/// What there is to be said of the stream and its durable consumers.
///
/// # Errors
/// Where the server does not say it.
pub(super) async fn report(place: &Place) -> Result<SharedReport, String> {
    let state = place.info().await?.state;
    let stream = stream(place).await?;
    let asked = timeout(PATIENCE, stream.consumers().try_collect::<Vec<_>>()).await;
    let infos = asked.map_err(|_| "no answer".to_owned())?.map_err(|error| words(&error))?;
    let durable = infos.into_iter().filter(|info| info.config.durable_name.is_some());
    let mut consumers: Vec<SharedConsumer> = durable.map(told).collect();
    consumers.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(SharedReport {
        messages: state.messages,
        bytes: state.bytes,
        first: state.first_sequence,
        next: state.last_sequence + 1,
        consumers,
    })
}

fn told(info: consumer::Info) -> SharedConsumer {
    SharedConsumer {
        name: subject::to_name(&info.name),
        filter: subject::to_filter(&subjects(&info.config)),
        floor: info.ack_floor.stream_sequence,
        delivered: info.delivered.stream_sequence,
        outstanding: info.num_ack_pending as u64,
        pending: info.num_pending,
        redelivered: info.num_redelivered as u64,
        ack_wait: info.config.ack_wait,
    }
}

async fn stream(place: &Place) -> Result<Stream<()>, String> {
    place.jetstream.get_stream_no_info(&place.stream).await.map_err(|error| words(&error))
}

async fn made(
    place: &Place,
    stream: &Stream<()>,
    name: &str,
    config: consumer::Config,
) -> Result<(PullConsumer, JoinedShared), NoConsumer> {
    let config = pull::Config::try_from_consumer_config(config);
    let config = config.map_err(|error| NoConsumer::Never(error.to_string()))?;
    match stream.create_consumer(config).await {
        Ok(made) => found(place, made.cached_info().clone()),
        Err(error) => Err(match error.kind() {
            // Its own words: they name the limit, or what does not go together.
            ConsumerErrorKind::JetStream(error) if (400..500).contains(&error.code()) => {
                NoConsumer::Never(format!(
                    "NATS refuses the consumer {name} of the stream {}: {error}",
                    place.stream
                ))
            }
            _ => NoConsumer::not_now(&error),
        }),
    }
}

fn found(place: &Place, info: consumer::Info) -> Result<(PullConsumer, JoinedShared), NoConsumer> {
    let next = info.delivered.stream_sequence + 1;
    let at = JoinedShared { pending: info.num_pending, next };
    let config = pull::Config::try_from_consumer_config(info.config.clone());
    let config = config.map_err(|error| NoConsumer::Never(error.to_string()))?;
    Ok((PullConsumer::new(config, info, place.jetstream.clone()), at))
}

/// Whether a consumer that is there is what a member wants.
fn compare(
    name: &str,
    wanted: &JoinShared,
    has: &consumer::Config,
    wanted_subjects: &[String],
) -> Result<(), String> {
    let subjects = subjects(has);
    if !subject::same(&subjects, wanted_subjects) {
        let of = match subject::to_filter(&subjects) {
            Some(filter) if filter.reaches_below() => format!("the filter {filter}"),
            Some(filter) => format!("the filter {filter} and nothing below"),
            None if subjects.is_empty() => "all that the stream keeps".to_owned(),
            None => format!("the subjects {}", subjects.join(", ")),
        };
        return Err(format!(
            "the consumer {name} is there already, with {of} and not {}; take another name, or \
             forget it",
            wanted.filter
        ));
    }
    if has.ack_policy != AckPolicy::Explicit || has.deliver_subject.is_some() {
        return Err(format!(
            "the consumer {name} is there already, and no program of this broker's made it: it is \
             {}; take another name, or forget it",
            match has.deliver_subject {
                Some(_) => "pushed to a subject".to_owned(),
                None => format!("acknowledged by the policy {:?}", has.ack_policy),
            }
        ));
    }
    Ok(())
}

fn subjects(config: &consumer::Config) -> Vec<String> {
    match config.filter_subject.as_str() {
        "" => config.filter_subjects.clone(),
        subject => vec![subject.to_owned()],
    }
}

fn config(wanted: &JoinShared, name: &str, deliver_policy: DeliverPolicy) -> consumer::Config {
    let config = consumer::Config {
        durable_name: Some(name.to_owned()),
        name: Some(name.to_owned()),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: wanted.ack_wait,
        max_deliver: -1,
        // Each member asks for as much as its own window has room for.
        max_ack_pending: -1,
        max_waiting: WAITING,
        ..consumer::Config::default()
    };
    with_subjects(config, &wanted.filter)
}

fn with_subjects(mut config: consumer::Config, filter: &TopicFilter) -> consumer::Config {
    let mut subjects = subject::of_filter(filter);
    match subjects.len() {
        1 => config.filter_subject = subjects.remove(0),
        _ => config.filter_subjects = subjects,
    }
    config
}

pub(super) fn policy(start: Start) -> DeliverPolicy {
    match start {
        Start::New => DeliverPolicy::New,
        Start::All => DeliverPolicy::All,
        Start::Last => DeliverPolicy::LastPerSubject,
        Start::Seq(seq) => DeliverPolicy::ByStartSequence { start_sequence: seq.max(1) },
        Start::Time(time) => {
            match async_nats::datetime::from_nanos(i128::from(time) * 1_000_000) {
                Ok(start_time) => DeliverPolicy::ByStartTime { start_time },
                // Later than a calendar has years for.
                Err(_) => DeliverPolicy::New,
            }
        }
    }
}
