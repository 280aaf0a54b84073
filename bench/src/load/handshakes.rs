//! Connections that begin and end: whole handshakes, without resumption, and nothing else.

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

use crate::net::{PATIENCE, Stream, begin};
use crate::systems::Running;
use crate::wire::Wire;

/// Clients at the same time.
pub(crate) const CLIENTS: usize = 8;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Handshakes a second.
    pub(crate) rate: f64,
    /// Nanoseconds of the broker's processor time for each.
    pub(crate) processor: f64,
}

pub(crate) fn measure(running: &Running, wire: &dyn Wire, time: Duration) -> Result<Measured> {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = || -> Result<()> {
        while !stop.load(Ordering::SeqCst) {
            let connected = connect(running, wire);
            if connected.is_err() {
                stop.store(true, Ordering::SeqCst);
            }
            connected?;
            done.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        // The clock is what is measured with: nothing is waited for here.
        thread::sleep(running.warm_up);
        let counts = || Ok::<_, anyhow::Error>((done.load(Ordering::SeqCst), running.used()?));
        let (before, start) = (counts(), Instant::now());
        thread::sleep(time);
        let (after, seconds) = (counts(), start.elapsed().as_secs_f64());
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap_or_else(|_| Err(anyhow!("a client panicked")))?;
        }
        let (before, after) = (before?, after?);
        let handshakes = (after.0 - before.0) as f64;
        Ok(Measured {
            rate: handshakes / seconds,
            processor: (after.1 - before.1) / handshakes.max(1.0),
        })
    })
}

/// Shakes hands, says that nothing follows, and waits for the end: so the broker has taken in the
/// client's last word too.
fn connect(running: &Running, wire: &dyn Wire) -> Result<()> {
    let Stream::Tls(mut sealed) = begin(&running.endpoint, wire)? else {
        bail!("there is no handshake without TLS");
    };
    // So many connections that end in order would each hold a port for a minute.
    socket2::SockRef::from(sealed.socket()).set_linger(Some(Duration::ZERO))?;
    sealed.end()?;
    let start = Instant::now();
    let mut socket = sealed.socket();
    let mut rest = [0; 1024];
    while !is_end(&socket.read(&mut rest)) {
        ensure!(start.elapsed() < PATIENCE, "the broker did not end a connection");
    }
    Ok(())
}

/// Whether nothing follows. A reset is an end, too.
fn is_end(read: &io::Result<usize>) -> bool {
    match read {
        Ok(count) => *count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}
