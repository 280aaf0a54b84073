//! A way to a broker on which things go wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::PATIENCE;

/// Passes connections on to a broker, until it is told not to. It ends with the process.
pub struct Proxy {
    pub address: SocketAddr,
    /// The connections so far.
    connections: Arc<Mutex<Vec<Passing>>>,
    accepted: Receiver<()>,
    /// Whether new connections are hung up on.
    is_closed: Arc<AtomicBool>,
    /// Microseconds that all that comes takes longer.
    delay: Arc<AtomicU64>,
}

struct Passing {
    ends: [TcpStream; 2],
    stalled: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    delay: Arc<AtomicU64>,
}

impl Proxy {
    pub fn to(broker: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (tell, accepted) = channel();
        let theirs = Arc::clone(&connections);
        let (is_closed, delay) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (hangs_up, of_all) = (is_closed.clone(), delay.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if hangs_up.load(Ordering::SeqCst) {
                    continue;
                }
                // A broker that is not there hangs up.
                let Ok(broker) = TcpStream::connect(broker) else { continue };
                let passing = Passing {
                    ends: [client, broker],
                    stalled: Arc::default(),
                    held: Arc::default(),
                    delay: of_all.clone(),
                };
                pump(&passing, 0, 1);
                pump(&passing, 1, 0);
                theirs.lock().unwrap().push(passing);
                if tell.send(()).is_err() {
                    return;
                }
            }
        });
        Proxy { address, connections, accepted, is_closed, delay }
    }

    /// Waits for the next connection.
    pub fn accepted(&self) {
        self.accepted.recv_timeout(PATIENCE).expect("a connection");
    }

    /// From now on nothing gets through on the connections that there are, and nobody is told: as
    /// if a router had forgotten them. New ones are passed on.
    pub fn stall(&self) {
        for passing in self.connections.lock().unwrap().iter() {
            passing.stalled.store(true, Ordering::SeqCst);
        }
    }

    /// From now on nothing is read from the connections that there are, so that their buffers fill.
    /// New ones are passed on.
    pub fn hold(&self) {
        for passing in self.connections.lock().unwrap().iter() {
            passing.held.store(true, Ordering::SeqCst);
        }
    }

    /// Hangs up on new connections, or does not any more.
    pub fn close(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::SeqCst);
    }

    /// All that comes takes so much longer from now on.
    pub fn delay(&self, by: Duration) {
        self.delay.store(by.as_micros() as u64, Ordering::SeqCst);
    }

    /// Ends the connections that there are.
    pub fn cut(&self) {
        for passing in self.connections.lock().unwrap().drain(..) {
            for end in passing.ends {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}

fn pump(passing: &Passing, from: usize, to: usize) {
    let end = |number: usize| passing.ends[number].try_clone().unwrap();
    let (mut from, mut to) = (end(from), end(to));
    let (stalled, held) = (Arc::clone(&passing.stalled), Arc::clone(&passing.held));
    let delay = Arc::clone(&passing.delay);
    to.set_nodelay(true).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count) = from.read(&mut bytes) {
            while held.load(Ordering::SeqCst) {
                thread::park();
            }
            let micros = delay.load(Ordering::SeqCst);
            if micros > 0 {
                thread::sleep(Duration::from_micros(micros));
            }
            let stalled = stalled.load(Ordering::SeqCst);
            if !stalled && (count == 0 || to.write_all(&bytes[..count]).is_err()) {
                let _ = to.shutdown(Shutdown::Both);
            }
            if count == 0 {
                return;
            }
        }
        // It was reset, as that of a process that is killed is.
        if !stalled.load(Ordering::SeqCst) {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
}
