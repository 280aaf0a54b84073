//! Slow-loris: many connections whose requests have begun and get on by a byte in a second, so that
//! none of them is silent, and none is done.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use super::crowd::Target;
use super::inputs::json;
use super::until;

/// What each begins with.
const BEGINNING: &[u8] = b"GET /healthz HTTP/1.1\r\nX-Slow: ";
/// Each gets a byte in this time, some of them in each part of it.
const ROUND: Duration = Duration::from_secs(1);
const PARTS: u32 = 100;
/// The attackers' address; everybody else has another, so that a limit of each can be tried.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Whoever waits longer for a connection tries again in the next round.
const CONNECTING: Duration = Duration::from_millis(200);
/// Whoever waits longer for an answer has failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often the bystander asks.
const PACE: Duration = Duration::from_millis(10);

/// Attacks; what a TCP round trip and a GET take is measured before it and in the second half of
/// it.
pub(super) fn heads(target: &Target, connections: usize) -> Result<String> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let period = target.left();
    let mut asking = Asking::new(target)?;
    let before = asking.ask_for(target, period / 5)?;
    let idle = Held::look(target.id)?;
    thread::scope(|scope| -> Result<String> {
        let attack = scope.spawn(|| attack(target, connections));
        thread::sleep(target.left() / 2);
        let held = Held::look(target.id)?;
        let during = asking.ask_for(target, target.left());
        let came_again = attack.join().unwrap_or_default();
        let during = during?;
        Ok(format!(
            "{}; {}; threads {} to {}, resident {} to {} MiB; {came_again} connections came again",
            told("ping", before.pings, during.pings),
            told("GET", before.gets, during.gets),
            idle.threads,
            held.threads,
            idle.resident >> 20,
            held.resident >> 20,
        ))
    })
}

/// Until the attack is over. Returns how many connections took the place of others.
fn attack(target: &Target, connections: usize) -> usize {
    let mut members: Vec<Option<TcpStream>> = (0..connections).map(|_| None).collect();
    let (mut came, mut next) = (0, Instant::now());
    let part = connections.div_ceil(PARTS as usize).max(1);
    while target.goes_on() {
        for some in members.chunks_mut(part) {
            for member in some {
                match member {
                    Some(stream) => match stream.write(b"x") {
                        Ok(count) => target.count(count),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => *member = None,
                    },
                    None => {
                        *member = begin(target.web).ok();
                        came += usize::from(member.is_some());
                    }
                }
            }
            next += ROUND / PARTS;
            thread::sleep(until(next));
            if !target.goes_on() {
                break;
            }
        }
        // What took longer is not made up for.
        next = next.max(Instant::now());
    }
    came.saturating_sub(connections)
}

fn begin(address: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((FROM, 0)).into())?;
    socket.connect_timeout(&address.into(), CONNECTING)?;
    // So many connections that end in order would each hold a port for a minute.
    socket.set_linger(Some(Duration::ZERO))?;
    let mut stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    stream.write_all(BEGINNING)?;
    Ok(stream)
}

/// What the broker's process holds.
struct Held {
    threads: u64,
    resident: u64,
}

impl Held {
    fn look(id: u32) -> Result<Held> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let of = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let first = line.and_then(|line| line.split_whitespace().next());
            Ok(first.with_context(|| format!("no {name} in status"))?.parse()?)
        };
        Ok(Held { threads: of("Threads:")?, resident: of("VmRSS:")? << 10 })
    }
}

/// One that asks by either protocol, on connections that it has.
struct Asking {
    plain: TcpStream,
    web: TcpStream,
}

/// How long answers took; sorted.
struct Times {
    pings: Vec<Duration>,
    gets: Vec<Duration>,
}

impl Asking {
    fn new(target: &Target) -> Result<Asking> {
        let connect = |address| -> Result<TcpStream> {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        Ok(Asking { plain: connect(target.address)?, web: connect(target.web)? })
    }

    fn ask_for(&mut self, target: &Target, time: Duration) -> Result<Times> {
        let ping = json(r#"{"command":"ping"}"#);
        let get = b"GET /api/v1/value?topic=newcomer/small/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let (mut pings, mut gets) = (Vec::new(), Vec::new());
        let end = Instant::now() + time;
        while Instant::now() < end && target.goes_on() {
            pings.push(ask(&mut self.plain, &ping, b"\"pong\"}")?);
            // The answer's body is what the bystander has published.
            gets.push(ask(&mut self.web, get, b"\r\n\r\n1")?);
            thread::sleep(PACE);
        }
        pings.sort_unstable();
        gets.sort_unstable();
        Ok(Times { pings, gets })
    }
}

/// Until an answer ends so.
fn ask(stream: &mut TcpStream, question: &[u8], end: &[u8]) -> Result<Duration> {
    let start = Instant::now();
    stream.write_all(question)?;
    let (mut answer, mut some) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(end) {
        let count = stream.read(&mut some)?;
        ensure!(count > 0, "ended: {}", String::from_utf8_lossy(&answer));
        answer.extend(&some[..count]);
    }
    Ok(start.elapsed())
}

/// Medians and hundredths, before and during the attack.
fn told(what: &str, before: Vec<Duration>, during: Vec<Duration>) -> String {
    let at = |times: &[Duration], quantile: f64| {
        let last = times.len().saturating_sub(1);
        let time = times.get((last as f64 * quantile).ceil() as usize).copied();
        format!("{:.2}", time.unwrap_or_default().as_secs_f64() * 1e3)
    };
    format!(
        "{what} p50 {} to {}, p99 {} to {} ms",
        at(&before, 0.5),
        at(&during, 0.5),
        at(&before, 0.99),
        at(&during, 0.99)
    )
}
