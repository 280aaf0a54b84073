//! Requests of HTTP, one after the other on each connection.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use hdrhistogram::Histogram;

use super::crowd::Crowd;
use super::topics;
use crate::net::{PATIENCE, await_answer, open, ping};
use crate::payload::Payload;
use crate::systems::Running;
use crate::wire::{Role, Wire};

/// Requests that are not counted, at the beginning of a connection.
const WARM_UP: usize = 200;
/// Who is connected, and which topics hold a value, while `/metrics` is asked for.
const CLIENTS: usize = 1_000;
const TOPICS: usize = 100_000;

/// What requests of one kind came to; times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// In a second.
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Nanoseconds of the broker's processor time for each.
    pub(crate) processor: f64,
    /// Of the last answer.
    pub(crate) bytes: usize,
}

/// Publishes from so many connections.
pub(crate) fn publish(
    running: &Running,
    payload: &Payload,
    connections: usize,
    time: Duration,
) -> Result<Measured> {
    let mut request = format!(
        "POST /api/v1/publish?topic=bench/flow HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        payload.json.len()
    )
    .into_bytes();
    request.extend(&payload.json);
    measure(running, &request, connections, time)
}

/// Asks for `/metrics` while many are connected and many topics hold a value.
pub(crate) fn scrape(running: &Running, wire: &Arc<dyn Wire>, time: Duration) -> Result<Measured> {
    let mut publisher = open(&running.endpoint, wire.as_ref(), Role::Publisher)?;
    let payload = Payload::of_size(64)?;
    for from in (0..TOPICS).step_by(100) {
        publisher.write_all(&topics::prepare(wire.as_ref(), &payload, from..from + 100))?;
    }
    ping(&mut publisher, wire.as_ref())?;
    let crowd = Crowd::gather(running, wire.as_ref(), CLIENTS)?;
    let measured = measure(running, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 1, time)?;
    drop(crowd);
    Ok(measured)
}

fn measure(
    running: &Running,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> Result<Measured> {
    let stop = AtomicBool::new(false);
    let client = || -> Result<(Histogram<u64>, usize)> {
        let mut client = Client::connect(running)?;
        for _ in 0..WARM_UP {
            client.ask(request)?;
        }
        let mut times = Histogram::<u64>::new(3)?;
        let mut bytes = 0;
        while !stop.load(Ordering::Relaxed) {
            let start = Instant::now();
            bytes = client.ask(request)?;
            times.record(start.elapsed().as_nanos() as u64)?;
        }
        Ok((times, bytes))
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        // The clock is what is measured with: nothing is waited for here.
        let (before, start) = (running.used(), Instant::now());
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let mut all = Histogram::<u64>::new(3)?;
        let mut bytes = 0;
        for client in clients {
            let ended = client.join().unwrap_or_else(|_| Err(anyhow!("a client panicked")));
            let (times, last) = ended?;
            all.add(times)?;
            bytes = last;
        }
        let seconds = start.elapsed().as_secs_f64();
        let processor = running.used()? - before?;
        let warm_up = (WARM_UP * connections) as f64;
        let requests = all.len() as f64 + warm_up;
        let at = |quantile| all.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Measured {
            rate: requests / seconds,
            p50: at(0.5),
            p99: at(0.99),
            processor: processor / requests,
            bytes,
        })
    })
}

/// A connection that asks.
struct Client(TcpStream);

impl Client {
    fn connect(running: &Running) -> Result<Client> {
        let socket = TcpStream::connect_timeout(&running.endpoint.address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Client(socket))
    }

    /// Sends a request, and waits for its answer. Returns the bytes of what was answered.
    fn ask(&mut self, request: &[u8]) -> Result<usize> {
        self.0.write_all(request)?;
        let answer = await_answer(&mut self.0, |answer| {
            body(answer).is_some_and(|(at, length)| answer.len() >= at + length)
        })?;
        let (at, length) = body(&answer).context("no head")?;
        let is_taken = answer.starts_with(b"HTTP/1.1 20") && answer.len() == at + length;
        ensure!(is_taken, "{}", String::from_utf8_lossy(&answer));
        Ok(length)
    }
}

/// Where the body of an answer begins, and how long it is.
fn body(answer: &[u8]) -> Option<(usize, usize)> {
    const END: &[u8] = b"\r\n\r\n";
    const LENGTH: &[u8] = b"content-length:";
    let end = memchr::memmem::find(answer, END)?;
    let lines = answer[..end].split(|byte| *byte == b'\n');
    let mut length = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(LENGTH.len())?;
        let value = str::from_utf8(value).ok()?.trim();
        name.eq_ignore_ascii_case(LENGTH).then(|| value.parse().ok()).flatten()
    });
    Some((end + END.len(), length.next_back().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_answers() {
        assert_eq!(body(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n"), None);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nDate: x\r\n\r\nabc";
        assert_eq!(body(answer), Some((answer.len() - 3, 12)));
    }
}
