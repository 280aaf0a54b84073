//! The streams of shared topics, looked at and made: what `babelmq backbone` does. It waits.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::{self, Context, ErrorCode, context, stream};
use tokio::time::timeout;

use super::link;
use super::options::{JetstreamOptions, PATIENCE};
use super::place::words;
use super::subject;
use super::thread::runtime;
use crate::broker::SharedTopics;
use crate::protocol::WhenFull;

/// How long repeats must be known: what brokers promise for an id.
const DUPLICATES: Duration = Duration::from_secs(120);

/// How a stream of shared topics is to be. What is not said may be anything, and of a stream that
/// is made is NATS's default: one replica, and no limits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WantedStream {
    /// On how many servers.
    pub(crate) replicas: Option<usize>,
    /// How long it keeps a message.
    pub(crate) age: Option<Duration>,
    /// How many bytes it keeps.
    pub(crate) bytes: Option<u64>,
    /// How many messages it keeps.
    pub(crate) messages: Option<u64>,
    /// How many of one topic.
    pub(crate) per_topic: Option<u64>,
    /// What happens when that is too much.
    pub(crate) full: Option<WhenFull>,
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(crate) struct ServerFacts {
    /// Its address.
    pub(crate) server: String,
    /// Its version.
    pub(crate) version: String,
    /// Bytes that a message may have.
    pub(crate) max_payload: usize,
    /// The name of its cluster, if it is in one.
    pub(crate) cluster: Option<String>,
    /// Why topics cannot be shared by it, if they cannot.
    pub(crate) lacks: Option<String>,
}

/// What was found of a stream, or made of it.
#[derive(Clone, Debug)]
pub(crate) struct StreamFacts {
    /// Its name.
    pub(crate) stream: String,
    /// Whether it is there, or what was done.
    pub(crate) state: StreamState,
    /// Messages and bytes that it has.
    pub(crate) kept: (u64, u64),
    /// Which server leads, and how the others stand.
    pub(crate) replicas: String,
    /// What is not as it is wanted.
    pub(crate) differs: Vec<Difference>,
}

/// Whether a stream is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// It is not.
    Missing,
    /// It is.
    There,
    /// It was made.
    Made,
    /// It was changed.
    Changed,
}

/// A setting that is not as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Its name.
    pub(crate) setting: &'static str,
    /// What it is.
    pub(crate) is: String,
    /// What it is to be.
    pub(crate) wanted: String,
}

/// Looks at the streams of these topics, and with `make` makes them as they are wanted.
///
/// # Errors
/// Where no server answers, or one refuses what is asked of it: in its own words.
pub(crate) fn look(
    options: &JetstreamOptions,
    topics: &[SharedTopics],
    wanted: WantedStream,
    make: bool,
) -> Result<(ServerFacts, Vec<StreamFacts>), String> {
    let login = options.read()?;
    let runtime = runtime().map_err(|error| format!("nothing can be waited for: {error}"))?;
    let found = runtime.block_on(async {
        let (server, client) = link::once(&login).await?;
        let jetstream = jetstream::new(client.clone());
        let facts = facts(&server, &client, &jetstream).await?;
        let mut streams = Vec::new();
        if facts.lacks.is_none() {
            for topics in topics {
                streams.push(one(&jetstream, topics, &wanted, make).await?);
            }
        }
        Ok((facts, streams))
    });
    runtime.shutdown_background();
    found
}

/// What a server can do.
async fn facts(server: &str, client: &Client, jetstream: &Context) -> Result<ServerFacts, String> {
    let info = client.server_info();
    let account = timeout(PATIENCE, jetstream.query_account()).await;
    let lacks = if let Some(lacks) = link::too_old(client) {
        Some(lacks)
    } else {
        match account {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                Some(format!("it has no JetStream for this account: {}", words(&error)))
            }
            Err(_) => Some("it does not answer for JetStream".to_owned()),
        }
    };
    Ok(ServerFacts {
        server: server.to_owned(),
        version: info.version,
        max_payload: info.max_payload,
        cluster: info.cluster,
        lacks,
    })
}

async fn one(
    jetstream: &Context,
    topics: &SharedTopics,
    wanted: &WantedStream,
    make: bool,
) -> Result<StreamFacts, String> {
    let name = &topics.stream;
    if subject::of_filter(&topics.filter).iter().any(|subject| subject.starts_with(['*', '>'])) {
        return Err(format!(
            "topics of every first segment cannot be shared ({}): NATS answers on such subjects \
             itself, and keeps none of them; share topics by their first segments, as in orders/#",
            topics.filter
        ));
    }
    let refused = |what: &str, error: &(dyn std::error::Error + 'static)| {
        format!("the stream {name} cannot be {what}: {}", words(error))
    };
    let found = match jetstream.get_stream(name).await {
        Ok(found) => Some(found.cached_info().clone()),
        Err(error) => match error.kind() {
            context::GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                None
            }
            _ => return Err(refused("looked at", &error)),
        },
    };
    let Some(info) = found else {
        let fresh = stream::Config {
            name: name.clone(),
            description: Some(format!("topics that babelmq brokers share: {}", topics.filter)),
            num_replicas: 1,
            max_messages: -1,
            max_bytes: -1,
            max_messages_per_subject: -1,
            ..stream::Config::default()
        };
        let config = as_wanted(&fresh, topics, wanted);
        if !make {
            let differs = Vec::new();
            let (kept, replicas, state) = ((0, 0), String::new(), StreamState::Missing);
            return Ok(StreamFacts { stream: name.clone(), state, kept, replicas, differs });
        }
        let made = jetstream.create_stream(config).await;
        let made = made.map_err(|error| refused("made", &error))?;
        return Ok(told(made.cached_info(), topics, wanted, StreamState::Made));
    };
    let facts = told(&info, topics, wanted, StreamState::There);
    if !make || facts.differs.is_empty() {
        return Ok(facts);
    }
    let config = as_wanted(&info.config, topics, wanted);
    let changed = jetstream.update_stream(config).await;
    let changed = changed.map_err(|error| refused("changed", &error))?;
    Ok(told(&changed, topics, wanted, StreamState::Changed))
}

fn told(
    info: &stream::Info,
    topics: &SharedTopics,
    wanted: &WantedStream,
    state: StreamState,
) -> StreamFacts {
    StreamFacts {
        stream: topics.stream.clone(),
        state,
        kept: (info.state.messages, info.state.bytes),
        replicas: replicas(info),
        differs: differences(&info.config, &as_wanted(&info.config, topics, wanted)),
    }
}

/// The same configuration, with what is wanted in place of what is not.
fn as_wanted(has: &stream::Config, topics: &SharedTopics, wanted: &WantedStream) -> stream::Config {
    let number = |number: Option<u64>, has: i64| {
        number.map_or(has, |number| i64::try_from(number).unwrap_or(i64::MAX))
    };
    let mut subjects = subject::of_filter(&topics.filter);
    // One that keeps more is as good.
    if subjects.iter().all(|wanted| has.subjects.iter().any(|has| subject::covers(has, wanted))) {
        subjects.clone_from(&has.subjects);
    }
    stream::Config {
        subjects,
        retention: stream::RetentionPolicy::Limits,
        storage: stream::StorageType::File,
        num_replicas: wanted.replicas.unwrap_or(has.num_replicas),
        max_age: wanted.age.unwrap_or(has.max_age),
        max_bytes: number(wanted.bytes, has.max_bytes),
        max_messages: number(wanted.messages, has.max_messages),
        max_messages_per_subject: number(wanted.per_topic, has.max_messages_per_subject),
        discard: match wanted.full {
            None => has.discard,
            Some(WhenFull::DropOldest) => stream::DiscardPolicy::Old,
            Some(WhenFull::Refuse) => stream::DiscardPolicy::New,
        },
        duplicate_window: has.duplicate_window.max(DUPLICATES),
        max_message_size: -1,
        no_ack: false,
        allow_direct: true,
        ..has.clone()
    }
}

fn differences(has: &stream::Config, wanted: &stream::Config) -> Vec<Difference> {
    let limit = |number: i64| match number {
        ..=0 => "no limit".to_owned(),
        number => number.to_string(),
    };
    let time = |time: Duration| match time {
        Duration::ZERO => "no limit".to_owned(),
        time => humantime(time),
    };
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let told = |config: &stream::Config| {
        [
            ("subjects", config.subjects.join(", ")),
            ("retention", format!("{:?}", config.retention).to_lowercase()),
            ("storage", format!("{:?}", config.storage).to_lowercase()),
            ("replicas", config.num_replicas.max(1).to_string()),
            ("max-age", time(config.max_age)),
            ("max-bytes", limit(config.max_bytes)),
            ("max-msgs", limit(config.max_messages)),
            ("max-msgs-per-subject", limit(config.max_messages_per_subject)),
            ("discard", format!("{:?}", config.discard).to_lowercase()),
            ("duplicate-window", time(config.duplicate_window)),
            ("max-msg-size", limit(config.max_message_size.into())),
            ("no-ack", yes(config.no_ack)),
            ("allow-direct", yes(config.allow_direct)),
        ]
    };
    let pairs = told(has).into_iter().zip(told(wanted));
    let differing = pairs.filter(|((_, is), (_, wanted))| is != wanted);
    differing.map(|((setting, is), (_, wanted))| Difference { setting, is, wanted }).collect()
}

/// A time as people write it.
fn humantime(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let whole = units.iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    match whole.filter(|_| time.subsec_nanos() == 0) {
        Some((name, unit)) => format!("{}{name}", seconds / unit),
        None => format!("{}s", time.as_secs_f64()),
    }
}

/// Which server leads a stream, and how the others stand.
fn replicas(info: &stream::Info) -> String {
    // A server by itself is a leader too.
    let is_cluster = |cluster: &&stream::ClusterInfo| cluster.name.is_some();
    let Some(cluster) = info.cluster.as_ref().filter(is_cluster) else { return "1".to_owned() };
    let mut told = vec![match &cluster.leader {
        Some(leader) => format!("{leader} leads"),
        None => "no leader".to_owned(),
    }];
    told.extend(cluster.replicas.iter().map(|peer| {
        let lag = peer.lag.filter(|lag| *lag > 0).map(|lag| format!(" by {lag}"));
        let state = match (peer.offline, peer.current) {
            (true, _) => "is offline".to_owned(),
            (false, false) => format!("is behind{}", lag.unwrap_or_default()),
            (false, true) => "has all".to_owned(),
        };
        format!("{} {state}", peer.name)
    }));
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_people_write_them() {
        for (time, expected) in [
            (Duration::from_secs(7 * 86_400), "7d"),
            (Duration::from_secs(120), "2m"),
            (Duration::from_secs(61), "61s"),
            (Duration::from_millis(1_500), "1.5s"),
        ] {
            assert_eq!(humantime(time), expected);
        }
    }

    #[test]
    fn what_is_said_is_compared_and_what_must_be() {
        let topics: SharedTopics = "orders/#".parse().unwrap();
        let has = stream::Config {
            subjects: vec!["orders".to_owned()],
            max_age: Duration::from_secs(60),
            max_bytes: -1,
            max_messages: -1,
            max_message_size: -1,
            storage: stream::StorageType::Memory,
            duplicate_window: DUPLICATES,
            allow_direct: true,
            ..stream::Config::default()
        };
        let differs = |wanted: WantedStream| {
            differences(&has, &as_wanted(&has, &topics, &wanted))
                .into_iter()
                .map(|differs| format!("{}: {} {}", differs.setting, differs.is, differs.wanted))
                .collect::<Vec<_>>()
        };
        let always = ["subjects: orders orders, orders.>", "storage: memory file"];
        assert_eq!(differs(WantedStream::default()), always);
        let wanted = WantedStream {
            replicas: Some(3),
            age: Some(Duration::from_secs(3_600)),
            bytes: Some(1 << 30),
            messages: Some(7),
            per_topic: Some(1),
            full: Some(WhenFull::Refuse),
        };
        let more = [
            "replicas: 1 3",
            "max-age: 1m 1h",
            "max-bytes: no limit 1073741824",
            "max-msgs: no limit 7",
            "max-msgs-per-subject: no limit 1",
            "discard: old new",
        ];
        assert_eq!(differs(wanted), [&always[..], &more[..]].concat());
        // A stream that keeps more keeps these too.
        let wide = stream::Config { subjects: vec![">".to_owned()], ..has.clone() };
        assert_eq!(as_wanted(&wide, &topics, &wanted).subjects, [">"]);
    }
}
