//! The arguments that `serve` has, and those that several commands have, with their help.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::backbone_files::BackboneFiles;
use super::failure::Failure;
use super::logging::LogSettings;
use crate::backbone::{Jetstream, JetstreamOptions};
use crate::broker::{
    Backbone, Fsync, NoBackbone, QueueLimits, SharedTopics, StoreLimits, StreamDefinition, Subtree,
};
use crate::protocol::{
    ClassPattern, Format, Limits, MAX_DEPTH, MAX_INT_DIGITS, MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS,
    MAXIMUM_DECODED_SIZE, MAXIMUM_MAX_ENCODED, MAXIMUM_MAX_FRAME, PickleClasses, Start, Topic,
    TopicFilter, WhenFull,
};
use crate::transport::{ClientAuth, Config, ListenUrl, TlsFiles, UserFrom};

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless the environment's NO_COLOR says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// A TOML file with settings: each option below that names a variable of the environment is a
    /// key, as in `max-frame = "1MiB"`. A flag comes before the environment, that before the file.
    #[arg(long, value_name = "FILE", env = "BABELMQ_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,

    /// Test the configuration and end.
    #[arg(long)]
    pub(super) check: bool,

    #[command(flatten)]
    pub(super) logging: LogSettings,

    /// Where to listen: tcp://127.0.0.1:5000, for which 127.0.0.1:5000 is short and where port 0
    /// takes any that is free, or all addresses of a name, localhost:5000; tls://127.0.0.1:5000 for
    /// clients that speak TLS, with --tls-cert and --tls-key; unix:/run/babelmq.sock, or with
    /// other permissions than 660 unix:/run/babelmq.sock?mode=600; http://127.0.0.1:8080, or
    /// https://, for HTTP, WebSocket and the page that shows the broker; or mqtt://127.0.0.1:1883,
    /// or mqtts://, for MQTT 3.1.1 and 5, where ?format=json, xml, pickle, text or bytes says what
    /// payloads are.
    /// It can be given more than once; in the environment several are separated by commas.
    #[arg(
        long,
        value_name = "URL",
        default_value = "127.0.0.1:5000",
        env = "BABELMQ_LISTEN",
        value_delimiter = ','
    )]
    listen: Vec<ListenUrl>,

    /// The certificate for tls://, https:// and mqtts:// listeners, in PEM, and behind it those
    /// that lead to one that clients know. SIGHUP reads it again, and its key.
    #[arg(long, value_name = "FILE", env = "BABELMQ_TLS_CERT")]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate, in PEM, without a password; in the file of the
    /// certificate where it is not given.
    #[arg(long, value_name = "FILE", env = "BABELMQ_TLS_KEY")]
    tls_key: Option<PathBuf>,

    /// The authorities that sign clients' certificates, in PEM; with --tls-client-auth. SIGHUP
    /// reads it again.
    #[arg(long, value_name = "FILE", env = "BABELMQ_TLS_CLIENT_CA")]
    tls_client_ca: Option<PathBuf>,

    /// Whether clients of tls:// listeners show a certificate that one of --tls-client-ca has
    /// signed: none is asked for (off), those who have none are let in (optional), or they are not
    /// (required).
    #[arg(
        long, value_name = "WHEN", value_parser = client_auth(), default_value = "off",
        env = "BABELMQ_TLS_CLIENT_AUTH",
    )]
    tls_client_auth: ClientAuth,

    /// A list of revoked certificates of clients, in PEM and of version 2; where there is one,
    /// there must be one of each authority on the way to a client's certificate. SIGHUP reads it
    /// again. It can be given more than once; in the environment several are separated by commas.
    #[arg(long, value_name = "FILE", env = "BABELMQ_TLS_CRL", value_delimiter = ',')]
    tls_crl: Vec<PathBuf>,

    /// Which name in a client's certificate is the user's: none, its common name (cn), its first
    /// DNS name (dns), or its first URI (uri).
    #[arg(
        long, value_name = "NAME", value_parser = user_from(), default_value = "none",
        env = "BABELMQ_TLS_USER_FROM",
    )]
    tls_user_from: UserFrom,

    /// The file that says who may connect and what they may do, as docs/users.md describes it
    /// (`babelmq passwd` makes an entry). Without one everybody may do everything. SIGHUP reads it
    /// again.
    #[arg(long, value_name = "FILE", env = "BABELMQ_USERS")]
    users: Option<PathBuf>,

    /// Time to log in, where one has to.
    #[arg(
        long, value_name = "TIME", default_value = "10s", value_parser = time,
        env = "BABELMQ_LOGIN_TIMEOUT",
    )]
    login_timeout: Duration,

    /// Listen beyond this machine though there are no users, or no TLS: anybody may do everything,
    /// or read what is sent.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false",
        env = "BABELMQ_ALLOW_ANONYMOUS",
    )]
    allow_anonymous: bool,

    /// An origin, besides the broker's own, whose pages may use it over http:// and https://, as
    /// browsers spell it: https://example.org. It can be given more than once; in the environment
    /// several are separated by commas.
    #[allow(rustdoc::bare_urls, reason = "it is what the command's help says")]
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "BABELMQ_HTTP_ORIGIN",
        value_delimiter = ',',
        value_parser = http_origin
    )]
    http_origin: Vec<String>,

    /// Memory that the broker may use, as in 512MiB, all in all; three quarters of what the machine
    /// or its control group has where it is not given. What one message may be is cut to what fits.
    #[arg(long, value_name = "SIZE", value_parser = size, env = "BABELMQ_MEMORY")]
    memory: Option<usize>,

    /// The largest message body to accept, as in 512KiB or 16MiB; at most 256MiB.
    #[arg(
        long, value_name = "SIZE", default_value = "16MiB", value_parser = frame_size,
        env = "BABELMQ_MAX_FRAME",
    )]
    max_frame: u32,

    /// What one message may decode to; 16 times --max-frame where it is not given, at most 512MiB.
    #[arg(long, value_name = "SIZE", value_parser = size, env = "BABELMQ_MAX_DECODED")]
    max_decoded: Option<usize>,

    /// The longest frame that a message may become in any format, as in 64MiB; at most 1GiB.
    /// Clients have a limit of their own for what they read: 64MiB in Python, where nothing else is
    /// said (max_frame).
    #[arg(
        long, value_name = "SIZE", default_value = "64MiB", value_parser = encoded_size,
        env = "BABELMQ_MAX_ENCODED",
    )]
    max_encoded: u32,

    /// How deep containers may nest in a message; at most 128.
    #[arg(
        long, value_name = "N", default_value_t = MAX_DEPTH, value_parser = at_most(MAX_DEPTH),
        env = "BABELMQ_MAX_DEPTH",
    )]
    max_depth: usize,

    /// Digits that an int may have; at most 4300.
    #[arg(
        long, value_name = "N", default_value_t = MAX_INT_DIGITS,
        value_parser = at_most(MAX_INT_DIGITS), env = "BABELMQ_MAX_INT_DIGITS",
    )]
    max_int_digits: usize,

    /// Bytes that a topic may have; at most 1024.
    #[arg(
        long, value_name = "N", default_value_t = MAX_TOPIC_BYTES,
        value_parser = at_most(MAX_TOPIC_BYTES), env = "BABELMQ_MAX_TOPIC_BYTES",
    )]
    max_topic_bytes: usize,

    /// Segments that a topic may have; at most 64.
    #[arg(
        long, value_name = "N", default_value_t = MAX_TOPIC_SEGMENTS,
        value_parser = at_most(MAX_TOPIC_SEGMENTS), env = "BABELMQ_MAX_TOPIC_SEGMENTS",
    )]
    max_topic_segments: usize,

    /// Classes of your own whose objects are read from pickles as the dicts of their fields, as
    /// app.models.Order, or all of a module, as 'app.models.*'. Nothing is imported or called. It
    /// can be given more than once; in the environment several are separated by commas.
    #[arg(long, value_name = "CLASS", env = "BABELMQ_PICKLE_CLASS", value_delimiter = ',')]
    pickle_class: Vec<ClassPattern>,

    /// How many clients may be connected at the same time.
    #[arg(
        long, value_name = "N", default_value_t = Config::default().max_connections,
        env = "BABELMQ_MAX_CONNECTIONS",
    )]
    max_connections: usize,

    /// How many of them from one address; all where it is not given.
    #[arg(long, value_name = "N", env = "BABELMQ_MAX_CONNECTIONS_PER_ADDRESS")]
    max_connections_per_address: Option<usize>,

    /// How many subscriptions one connection may have.
    #[arg(
        long, value_name = "N", default_value_t = Config::default().max_subscriptions,
        env = "BABELMQ_MAX_SUBSCRIPTIONS",
    )]
    max_subscriptions: usize,

    /// Messages that may wait for one client; a subscription may ask for fewer.
    #[arg(
        long, value_name = "N", default_value_t = QueueLimits::default().messages,
        env = "BABELMQ_QUEUE_MESSAGES",
    )]
    queue_messages: usize,

    /// Bytes of memory that the messages waiting for one client may take.
    #[arg(
        long, value_name = "SIZE", default_value = "64MiB", value_parser = size,
        env = "BABELMQ_QUEUE_BYTES",
    )]
    queue_bytes: usize,

    /// Topics whose last value is remembered.
    #[arg(
        long, value_name = "N", default_value_t = StoreLimits::default().values,
        env = "BABELMQ_STORED_VALUES",
    )]
    stored_values: usize,

    /// Bytes that are remembered: payloads, and for each topic its name and 128 bytes.
    #[arg(
        long, value_name = "SIZE", default_value = "4GiB", value_parser = size,
        env = "BABELMQ_STORED_BYTES",
    )]
    stored_bytes: usize,

    /// A directory to keep last values in; without one they are in memory only and end with the
    /// broker.
    #[arg(long, value_name = "DIR", env = "BABELMQ_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,

    /// When last values are on the disk: before a ping is answered, once an interval, or when the
    /// system sees fit.
    #[arg(
        long, value_name = "WHEN", value_parser = fsync(), default_value = "interval",
        env = "BABELMQ_FSYNC",
    )]
    fsync: Fsync,

    /// The interval: what a crash may cost.
    #[arg(
        long, value_name = "TIME", default_value = "1s", value_parser = time,
        env = "BABELMQ_FSYNC_INTERVAL",
    )]
    fsync_interval: Duration,

    /// A rule for a topic and all below it, as in sensors:values=1000,bytes=1MiB,ttl=1h: how much
    /// is remembered there, and for how long. Of several, each limits, and the last one that says
    /// how long decides.
    #[arg(long, value_name = "TOPIC:RULE", value_parser = subtree, env = "BABELMQ_SUBTREE")]
    subtree: Vec<Subtree>,

    /// A stream, as in orders:filter=orders/#,age=7d,bytes=10GiB,messages=1000000,full=refuse: it
    /// keeps every message that its filter covers, for consumers that may miss none. It needs
    /// --data-dir. What is full drops its oldest, or refuses.
    #[arg(long, value_name = "NAME:RULE", value_parser = stream, env = "BABELMQ_STREAM")]
    stream: Vec<StreamDefinition>,

    /// The servers of NATS JetStream by which --shared topics are shared with other brokers, as in
    /// nats://a:4222,nats://b:4222; tls:// encrypts, and a user and a password may be in front of
    /// the host.
    #[arg(
        long, value_name = "URLS", value_parser = JetstreamOptions::new, env = "BABELMQ_BACKBONE",
        hide_env_values = true,
    )]
    backbone: Option<JetstreamOptions>,

    #[command(flatten)]
    backbone_files: BackboneFiles,

    /// Topics that this broker shares with others in front of the same --backbone, as in orders/#,
    /// or NAME=orders/# where their stream there is to be called NAME. It can be given more than
    /// once; in the environment several are separated by commas.
    #[arg(long, value_name = "FILTER", env = "BABELMQ_SHARED", value_delimiter = ',')]
    shared: Vec<SharedTopics>,

    /// Time that what is published to shared topics waits for a backbone that does not answer,
    /// before it is refused.
    #[arg(
        long, value_name = "TIME", default_value = "10s", value_parser = time,
        env = "BABELMQ_BACKBONE_WAIT",
    )]
    backbone_wait: Duration,

    /// Time to finish a frame that was begun, as in 10s or 500ms.
    #[arg(
        long, value_name = "TIME", default_value = "10s", value_parser = time,
        env = "BABELMQ_FRAME_TIMEOUT",
    )]
    frame_timeout: Duration,

    /// Time in which a client must take some of what is written to it.
    #[arg(
        long, value_name = "TIME", default_value = "30s", value_parser = time,
        env = "BABELMQ_WRITE_TIMEOUT",
    )]
    write_timeout: Duration,

    /// Idle time after which the system asks whether a client is still there; 0s never asks.
    #[arg(
        long, value_name = "TIME", default_value = "60s", value_parser = time_or_none,
        env = "BABELMQ_KEEPALIVE",
    )]
    keepalive: Duration,

    /// Time without an answer after which a broker that stops waits no longer for a disk.
    #[arg(
        long, value_name = "TIME", default_value = "30s", value_parser = time,
        env = "BABELMQ_STOP_TIMEOUT",
    )]
    stop_timeout: Duration,
}

impl Serve {
    /// Looks whether settings are there that mean nothing without others.
    pub(super) fn check_together(&self) -> Result<(), Failure> {
        let of_tls = [
            (self.tls_key.is_some(), "--tls-key"),
            (self.tls_client_ca.is_some(), "--tls-client-ca"),
            (self.tls_client_auth != ClientAuth::Off, "--tls-client-auth"),
            (!self.tls_crl.is_empty(), "--tls-crl"),
            (self.tls_user_from != UserFrom::None, "--tls-user-from"),
        ];
        match of_tls.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, given)) if self.tls_cert.is_none() => {
                Err(Failure::Usage(format!("{given} means nothing by itself: add --tls-cert")))
            }
            _ if !self.stream.is_empty() && self.data_dir.is_none() => {
                Err(Failure::Usage("--stream keeps messages on a disk: add --data-dir".to_owned()))
            }
            _ if self.backbone.is_none() && !self.shared.is_empty() => {
                Err(Failure::Usage("--shared needs servers to share by: add --backbone".to_owned()))
            }
            _ if self.backbone.is_some() && self.shared.is_empty() => {
                let reason = "--backbone shares nothing by itself: add --shared, as in 'orders/#'";
                Err(Failure::Usage(reason.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// What topics are shared by.
    pub(super) fn backbone(&self) -> Box<dyn Backbone> {
        match &self.backbone {
            None => Box::new(NoBackbone),
            Some(options) => Box::new(Jetstream::new(self.backbone_files.of(options))),
        }
    }

    /// What the arguments come to.
    pub(super) fn config(&self) -> Config {
        let of_frame = Limits::with_max_frame(self.max_frame);
        Config {
            listeners: self.listen.clone(),
            tls: self.tls_cert.clone().map(|cert| {
                TlsFiles::new(cert.clone(), self.tls_key.clone().unwrap_or(cert))
                    .client_ca(self.tls_client_ca.clone())
                    .client_auth(self.tls_client_auth)
                    .crls(self.tls_crl.clone())
                    .user_from(self.tls_user_from)
            }),
            users: self.users.clone(),
            login_timeout: self.login_timeout,
            allow_anonymous: self.allow_anonymous,
            http_origins: self.http_origin.clone(),
            memory: self.memory,
            limits: of_frame
                .decoded_size(
                    self.max_decoded.unwrap_or(of_frame.decoded_size).min(MAXIMUM_DECODED_SIZE),
                )
                .max_encoded(self.max_encoded)
                .depth(self.max_depth)
                .int_digits(self.max_int_digits)
                .topic_bytes(self.max_topic_bytes)
                .topic_segments(self.max_topic_segments)
                .pickle_classes(PickleClasses::listed(self.pickle_class.clone())),
            queue: QueueLimits { messages: self.queue_messages, bytes: self.queue_bytes },
            store: StoreLimits { values: self.stored_values, bytes: self.stored_bytes },
            subtrees: self.subtree.clone(),
            streams: self.stream.clone(),
            shared: self.shared.clone(),
            backbone_wait: self.backbone_wait,
            fsync: self.fsync,
            fsync_interval: self.fsync_interval,
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address.unwrap_or(usize::MAX),
            max_subscriptions: self.max_subscriptions,
            frame_timeout: self.frame_timeout,
            write_timeout: self.write_timeout,
            keepalive: (!self.keepalive.is_zero()).then_some(self.keepalive),
            stop_timeout: self.stop_timeout,
        }
    }
}

/// Reads an origin (RFC 6454 §6.2).
fn http_origin(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']) => {
            Ok(text.to_owned())
        }
        _ => Err("an origin is a scheme, a host and perhaps a port, as in https://example.org"),
    }
}

/// Reads one of the formats, for the help and the shells' completion as well.
pub(super) fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

pub(super) fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text).map_err(|refusal| refusal.reason.clone())
}

/// A topic, or a filter with a wildcard.
pub(super) fn topic_or_wildcard(text: &str) -> Result<TopicFilter, String> {
    if !text.contains(['+', '#']) {
        topic(text)?;
    }
    filter(text)
}

pub(super) fn filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::parse(text).map_err(|refusal| refusal.reason.clone())
}

/// Seconds, with a fraction if need be.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "a number of seconds, such as 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn frame_size(text: &str) -> Result<u32, String> {
    match size(text).map(u32::try_from)? {
        Ok(size) if (1..=MAXIMUM_MAX_FRAME).contains(&size) => Ok(size),
        _ => Err(format!("it must be from 1B to {}MiB", MAXIMUM_MAX_FRAME >> 20)),
    }
}

fn encoded_size(text: &str) -> Result<u32, String> {
    match size(text).map(u32::try_from)? {
        Ok(size) if (1..=MAXIMUM_MAX_ENCODED).contains(&size) => Ok(size),
        _ => Err(format!("it must be from 1B to {}MiB", MAXIMUM_MAX_ENCODED >> 20)),
    }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let size: ByteSize = text.parse()?;
    match usize::try_from(size.as_u64()) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err("it must be at least 1B".into()),
    }
}

/// Reads what happens to a message for which a stream has no room.
pub(super) fn when_full() -> impl TypedValueParser<Value = WhenFull> {
    PossibleValuesParser::new(WhenFull::ALL.map(WhenFull::as_str))
        .try_map(|word| WhenFull::from_word(&word).ok_or("no such way"))
}

/// Reads where a consumer begins.
pub(super) fn start(text: &str) -> Result<Start, String> {
    let number = text.parse().ok().filter(|seq| *seq > 0).map(Start::Seq);
    number.or_else(|| Start::from_word(text)).ok_or_else(|| {
        "it is new, all, last, the number of a message from 1 on, or a time as in \
         2026-11-29T17:00:00Z"
            .to_owned()
    })
}

fn fsync() -> impl TypedValueParser<Value = Fsync> {
    PossibleValuesParser::new(["always", "interval", "never"]).map(|word| match word.as_str() {
        "always" => Fsync::Always,
        "never" => Fsync::Never,
        _ => Fsync::Interval,
    })
}

fn client_auth() -> impl TypedValueParser<Value = ClientAuth> {
    PossibleValuesParser::new(["off", "optional", "required"]).map(|word| match word.as_str() {
        "optional" => ClientAuth::Optional,
        "required" => ClientAuth::Required,
        _ => ClientAuth::Off,
    })
}

fn user_from() -> impl TypedValueParser<Value = UserFrom> {
    PossibleValuesParser::new(["none", "cn", "dns", "uri"]).map(|word| match word.as_str() {
        "cn" => UserFrom::CommonName,
        "dns" => UserFrom::Dns,
        "uri" => UserFrom::Uri,
        _ => UserFrom::None,
    })
}

/// A topic may hold anything, so the rule is what follows the last colon.
fn subtree(text: &str) -> Result<Subtree, String> {
    const FORM: &str = "a rule is spelled as in sensors:values=1000,bytes=1MiB,ttl=1h";
    let (topics, rule) = text.rsplit_once(':').ok_or(FORM)?;
    let mut subtree = Subtree::new(filter(topics)?);
    for part in rule.split(',') {
        match part.split_once('=') {
            Some(("values", number)) => {
                subtree.values =
                    Some(number.parse().map_err(|_| format!("{number:?} is no number of values"))?);
            }
            Some(("bytes", bytes)) => subtree.bytes = Some(size(bytes)?),
            Some(("ttl", span)) => subtree.ttl = Some(ttl(span)?),
            _ => return Err(format!("{part:?} says nothing; {FORM}")),
        }
    }
    Ok(subtree)
}

/// A stream's name has no colon, and its filter may have one.
pub(super) fn stream(text: &str) -> Result<StreamDefinition, String> {
    const FORM: &str =
        "a stream is spelled as in orders:filter=orders/#,age=7d,bytes=10GiB,messages=1000000";
    let (name, rules) = text.split_once(':').ok_or(FORM)?;
    // A filter may hold a comma, so it ends where another rule begins.
    let rules = rules.strip_prefix("filter=").ok_or(FORM)?;
    let is_rule = |part: &str| {
        matches!(part.split_once('='), Some(("age" | "bytes" | "messages" | "full", _)))
    };
    let parts: Vec<&str> = rules.split(',').collect();
    let first_rule = parts.iter().position(|part| is_rule(part)).unwrap_or(parts.len());
    let mut stream = StreamDefinition::new(name, filter(&parts[..first_rule].join(","))?)?;
    if name.starts_with('$') && name != "$dead" {
        return Err(format!("the stream {name} is the broker's own: names with \"$\" are"));
    }
    for part in &parts[first_rule..] {
        match part.split_once('=') {
            Some(("age", span)) => stream.age = Some(ttl(span)?),
            Some(("bytes", bytes)) => stream.bytes = Some(size(bytes)? as u64),
            Some(("messages", number)) => {
                let number = number.parse::<u64>().ok().filter(|number| *number > 0);
                stream.messages = Some(number.ok_or(format!("{part:?} is no number"))?);
            }
            Some(("full", word)) => {
                stream.full = WhenFull::from_word(word)
                    .ok_or(format!("{word:?} is neither drop-oldest nor refuse"))?;
            }
            _ => return Err(format!("{part:?} says nothing; {FORM}")),
        }
    }
    Ok(stream)
}

/// A time to live.
pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_secs(whole_seconds(time(text)?)?.into()))
}

fn whole_seconds(time: Duration) -> Result<u32, String> {
    match u32::try_from(time.as_secs()) {
        Ok(seconds) if seconds > 0 && time.subsec_nanos() == 0 => Ok(seconds),
        _ => Err("a time to live is in whole seconds, from 1 to 4294967295".into()),
    }
}

fn at_most(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("it must be a number from 1 to {most}")),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    match time_or_none(text) {
        Ok(time) if time.is_zero() => Err("it must be more than nothing".into()),
        other => other,
    }
}

fn time_or_none(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a time is spelled as in 10s, 500ms or 2m"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::command::{Cli, Command};

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_may_have_a_fraction_and_no_unit() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "-1", "nan", "inf", "10s", "1e40"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_arguments_that_nobody_gives_are_the_defaults() {
        let cli = Cli::parse_from(["babelmq", "serve"]);
        let Command::Serve(serve) = cli.command else { panic!("{cli:?}") };
        assert_eq!(serve.config(), Config::default());
    }

    #[test]
    fn a_frame_size_has_a_unit_and_bounds() {
        assert_eq!(frame_size("16MiB"), Ok(16 << 20));
        assert_eq!(frame_size("1000"), Ok(1000));
        assert_eq!(frame_size("256MiB"), Ok(256 << 20));
        for bad in ["0", "257MiB", "5GiB", "", "x", "-1"] {
            assert!(frame_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stream_says_what_it_keeps() {
        let stream = stream("orders:filter=a,b/+/#,age=1h,bytes=1KiB,messages=3,full=refuse");
        let stream = stream.unwrap();
        assert_eq!((stream.name.as_str(), stream.filter.as_str()), ("orders", "a,b/+/#"));
        assert_eq!((stream.age, stream.bytes), (Some(Duration::from_secs(3_600)), Some(1_024)));
        assert_eq!((stream.messages, stream.full), (Some(3), WhenFull::Refuse));
        let bad = [
            "orders",
            "orders:age=1h",
            "orders:filter=",
            "a b:filter=x",
            "$own:filter=x",
            "o:filter=x,age=soon",
            "o:filter=x,messages=0",
            "o:filter=x,full=maybe",
            "o:filter=x,bytes=1,y=2",
        ];
        for bad in bad {
            assert!(super::stream(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_for_a_subtree_says_what_it_bounds() {
        let rule = subtree("a:b/+:values=3,bytes=1KiB,ttl=1h").unwrap();
        assert_eq!(
            (rule.filter.as_str(), rule.values, rule.bytes, rule.ttl),
            ("a:b/+", Some(3), Some(1024), Some(Duration::from_secs(3600)))
        );
        for bad in ["a", "a:", "a:b=1", ":ttl=1s", "a:ttl=1ms", "a:values=x", "a//b:values=1"] {
            assert!(subtree(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_nothing() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time_or_none("0s"), Ok(Duration::ZERO));
        for bad in ["0s", "10", "", "x", "-1s"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
