//! Wrong passwords, many in a second, from one address.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use socket2::{Domain, Socket, Type};

use crate::net::PATIENCE;
use crate::systems::{Running, WITH_PASSWORD};
use crate::wire::login;

/// Guesses a second.
pub(crate) const RATE: f64 = 1_000.0;
/// Whoever guesses waits for an answer so long; the broker keeps a wrong one back for a second.
const WAIT: Duration = Duration::from_secs(3);
/// The guesses have gone on for so long when something is measured beside them.
const UNDER_WAY: Duration = Duration::from_secs(4);
/// Another address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Guessed {
    /// Guesses that were made, a second.
    pub(crate) made: f64,
    /// Guesses of these that were answered in time.
    pub(crate) answered: f64,
}

/// Does `work` while somebody guesses.
pub(crate) fn beside<T>(
    running: &Running,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Guessed)> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let guesser = scope.spawn(|| guess(running.endpoint.address, &stop));
        thread::sleep(UNDER_WAY);
        let done = work();
        stop.store(true, Ordering::SeqCst);
        let guessed = guesser.join().unwrap_or_else(|_| Err(anyhow!("the guesser panicked")));
        Ok((done?, guessed?))
    })
}

fn guess(address: SocketAddr, stop: &AtomicBool) -> Result<Guessed> {
    let (user, _) = WITH_PASSWORD;
    let mut waiting: VecDeque<(Instant, TcpStream)> = VecDeque::new();
    let (mut made, mut answered) = (0_u64, 0_u64);
    let start = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        while (made as f64) < start.elapsed().as_secs_f64() * RATE {
            let mut stream = TcpStream::connect(address)?;
            // So many connections that end in order would each hold a port for a minute.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            stream.write_all(&login(user, &format!("guess {made}")))?;
            stream.set_nonblocking(true)?;
            waiting.push_back((Instant::now(), stream));
            made += 1;
        }
        while let Some((since, _)) = waiting.front()
            && since.elapsed() > WAIT
            && let Some((_, mut stream)) = waiting.pop_front()
        {
            answered += u64::from(stream.read(&mut [0; 512]).is_ok_and(|count| count > 0));
        }
        thread::sleep(Duration::from_millis(1));
    }
    let seconds = start.elapsed().as_secs_f64();
    // Of those that are not looked at any more, nothing is known.
    let over = made - waiting.len() as u64;
    let share = answered as f64 / over.max(1) as f64;
    let made = made as f64 / seconds;
    Ok(Guessed { made, answered: made * share })
}

/// Seconds that somebody takes to log in with the right password from another address.
pub(crate) fn log_in_elsewhere(running: &Running) -> Result<f64> {
    let (user, password) = WITH_PASSWORD;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((ELSEWHERE, 0)).into())?;
    let start = Instant::now();
    socket.connect(&running.endpoint.address.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&login(user, password))?;
    let mut answer = Vec::new();
    let mut some = [0; 512];
    while memchr::memmem::find(&answer, b"welcome").is_none() {
        let count = match stream.read(&mut some) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        ensure!(count > 0, "no login: {}", String::from_utf8_lossy(&answer));
        answer.extend(&some[..count]);
    }
    Ok(start.elapsed().as_secs_f64())
}
