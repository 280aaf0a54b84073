//! Those who do no harm: one that publishes, one that listens, and newcomers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::crowd::Target;
use super::inputs::json;
use super::until;

/// A newcomer comes this often.
const NEWCOMER: Duration = Duration::from_millis(500);
/// Whoever waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// As much as a client takes for a frame by default.
const CLIENT_LIMIT: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Seen {
    /// Sorted.
    latencies: Vec<Duration>,
    pub(super) lost: u64,
    /// A connection was, by the broker.
    pub(super) ended: bool,
    pub(super) newcomers: usize,
    pub(super) failed: usize,
    /// Why the first of them did.
    pub(super) failure: Option<String>,
    pub(super) slowest_newcomer: Duration,
}

impl Seen {
    pub(super) fn quantile(&self, quantile: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * quantile).ceil() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Watches for a period. What was published in it is waited for afterwards.
pub(super) fn watch(target: &Target, rate: u32, period: Duration) -> Seen {
    let mut seen = Seen::default();
    let Ok((mut producer, mut consumer)) = begin(target) else {
        seen.ended = true;
        return seen;
    };
    let start = Instant::now();
    let published = AtomicU64::new(0);
    thread::scope(|scope| {
        let publishing = scope.spawn(|| -> Result<()> {
            for number in 0.. {
                let at = Duration::from_secs(1) * number / rate;
                if at >= period || target.stop.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(until(start + at));
                // The time it should have been sent: a producer that is held up delays what
                // follows, too.
                let micros = at.as_micros();
                let body = format!(
                    r#"{{"command":"publish","topic":"bystander/x","retain":false,"message":[{number},{micros}]}}"#
                );
                published.fetch_add(1, Ordering::Relaxed);
                producer.write_all(&json(&body))?;
            }
            producer.write_all(&json(r#"{"command":"publish","topic":"bystander/x","retain":false,"message":"end"}"#))?;
            Ok(())
        });
        let newcomers = scope.spawn(|| {
            let mut each = Vec::new();
            while start.elapsed() < period && !target.stop.load(Ordering::Relaxed) {
                let came = Instant::now();
                each.push(newcomer(target).map(|()| came.elapsed()));
                thread::sleep(until(came + NEWCOMER));
            }
            each
        });
        let mut next = 0;
        loop {
            match message(&mut consumer) {
                Ok(body) if body.contains(r#""end""#) => break,
                Ok(body) => match numbers(&body) {
                    Some((number, micros)) if number == next => {
                        next += 1;
                        seen.latencies
                            .push(start.elapsed().saturating_sub(Duration::from_micros(micros)));
                    }
                    _ => break,
                },
                Err(_) => {
                    seen.ended = true;
                    break;
                }
            }
        }
        seen.ended |= !matches!(publishing.join(), Ok(Ok(())));
        seen.lost = published.load(Ordering::Relaxed) - next;
        for outcome in newcomers.join().unwrap_or_default() {
            seen.newcomers += 1;
            match outcome {
                Ok(took) => seen.slowest_newcomer = seen.slowest_newcomer.max(took),
                // A broker that is gone fails whoever comes; that is said elsewhere.
                Err(_) if seen.ended => {}
                Err(error) => {
                    seen.failed += 1;
                    seen.failure.get_or_insert(format!("a newcomer failed: {error:#}"));
                }
            }
        }
    });
    seen.latencies.sort_unstable();
    seen
}

/// What a consumer of a topic with the client's default limit meets, in a format: the values, or
/// what stops it.
pub(super) fn subscribes(target: &Target, topic: &str, format: u8) -> Result<()> {
    let mut stream = connect(target)?;
    let body = match format {
        0 => format!(r#"{{"command":"subscribe","topic":"{topic}"}}"#),
        _ => format!(r#"<f command="subscribe" topic="{topic}"/>"#),
    };
    stream.write_all(&super::inputs::frame(format, body.as_bytes()))?;
    while !message(&mut stream)?.contains("subscribed") {}
    Ok(())
}

fn begin(target: &Target) -> Result<(TcpStream, TcpStream)> {
    let mut producer = connect(target)?;
    producer.write_all(&json(r#"{"command":"publish","topic":"newcomer/small/x","message":1}"#))?;
    producer.write_all(&json(r#"{"command":"ping"}"#))?;
    message(&mut producer)?;
    let mut consumer = connect(target)?;
    consumer.write_all(&json(r#"{"command":"subscribe","topic":"bystander"}"#))?;
    message(&mut consumer)?;
    Ok((producer, consumer))
}

/// Connects, reads what is small and leaves.
fn newcomer(target: &Target) -> Result<()> {
    let mut stream = connect(target)?;
    let questions = [
        (r#"{"command":"subscribe","topic":"newcomer/small"}"#, r#""subscribed""#),
        (r#"{"command":"get","topic":"newcomer/small/x"}"#, r#""message":1"#),
        (r#"{"command":"list","topic":"newcomer/small"}"#, r#"["newcomer/small/x"]"#),
    ];
    for (question, answer) in questions {
        stream.write_all(&json(question))?;
        loop {
            let body = message(&mut stream)?;
            ensure!(!body.contains(r#""error""#), "{body}");
            if body.contains(answer) {
                break;
            }
        }
    }
    Ok(())
}

fn connect(target: &Target) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target.address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The body of the next frame.
fn message(stream: &mut TcpStream) -> Result<String> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if length > CLIENT_LIMIT {
        bail!("a frame of {length} bytes, more than a client takes");
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    String::from_utf8(body).context("a body")
}

/// What the bystander's message says.
fn numbers(body: &str) -> Option<(u64, u64)> {
    let (_, list) = body.split_once(r#""message":["#)?;
    let (number, micros) = list.strip_suffix("]}")?.split_once(',')?;
    Some((number.parse().ok()?, micros.parse().ok()?))
}
