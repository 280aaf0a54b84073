//! Three servers of NATS that are one cluster, so that each stream is on all of them.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::nats::NatsServer;
use super::plain_nats::PlainNats;

/// What an election and what is caught up with may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module. A server that is not there is `None` for who asks, and stays where it was.
pub struct Cluster {
    pub servers: Vec<NatsServer>,
    /// Which of them do not answer, because they were told not to.
    away: HashSet<usize>,
}

impl Cluster {
    /// Three servers that have found each other.
    pub fn start() -> Cluster {
        let ports: Vec<u16> = {
            // All are taken before one is given back.
            let taken: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            taken.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
        };
        let routes: Vec<String> =
            ports.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        let servers = (0..3).map(|at| {
            NatsServer::start_with(&[
                &format!("server_name: s{at}"),
                "cluster: {",
                "  name: tests",
                // Brokers go through proxies, and are not to hear of another way.
                "  no_advertise: true",
                &format!("  listen: \"127.0.0.1:{}\"", ports[at]),
                &format!("  routes: [{}]", routes.join(", ")),
                "}",
            ])
        });
        Cluster { servers: servers.collect(), away: HashSet::new() }
    }

    /// Where they listen, as a broker is told it.
    pub fn urls(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// Asks servers that are there, until one has an answer that is one.
    pub fn until<T>(
        &self,
        what: &str,
        mut ask: impl FnMut(&mut PlainNats) -> std::io::Result<Option<T>>,
    ) -> T {
        let (end, mut last) = (Instant::now() + PATIENCE, String::new());
        loop {
            for (at, server) in self.servers.iter().enumerate() {
                if self.away.contains(&at) {
                    continue;
                }
                let asked = PlainNats::connect(&server.url()).and_then(|mut it| ask(&mut it));
                match asked {
                    Ok(Some(found)) => return found,
                    Ok(None) => {}
                    Err(error) => last = error.to_string(),
                }
            }
            assert!(Instant::now() < end, "waited in vain: {what} ({last})");
            std::thread::yield_now();
        }
    }

    /// Makes a stream on all of them, as soon as they have agreed on who decides.
    pub fn make(&self, stream: &str, subjects: &[&str]) {
        self.until("a stream", |nats| {
            nats.make(stream, subjects, json!({"num_replicas": 3})).map(Some)
        });
    }

    /// What is said of a stream.
    fn info(&self, stream: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |nats| {
            let info = nats.ask(&format!("STREAM.INFO.{stream}"), &Value::Null)?;
            Ok(is(&info).then_some(info))
        })
    }

    /// The server that leads a stream: one that is there.
    pub fn leader(&self, stream: &str) -> usize {
        let found = |info: &Value| {
            let name = info["cluster"]["leader"].as_str()?;
            let at = name.strip_prefix('s')?.parse::<usize>().ok()?;
            (!self.away.contains(&at)).then_some(at)
        };
        let info = self.info(stream, "a leader", |info| found(info).is_some());
        found(&info).unwrap()
    }

    /// Waits until all servers have all of a stream.
    pub fn until_whole(&self, stream: &str) {
        self.info(stream, "all servers have all of it", |info| {
            let replicas = info["cluster"]["replicas"].as_array();
            replicas.is_some_and(|replicas| {
                replicas.len() == 2 && replicas.iter().all(|replica| replica["current"] == true)
            })
        });
    }

    /// Kills a server (SIGKILL).
    pub fn kill(&mut self, at: usize) {
        self.away.insert(at);
        self.servers[at].kill();
    }

    /// Stops a server (SIGTERM), which gives up what it leads before it ends.
    pub fn stop(&mut self, at: usize) {
        self.away.insert(at);
        self.servers[at].stop();
    }

    /// Starts a server again, with what it had.
    pub fn start_again(&mut self, at: usize) {
        self.servers[at].start_again();
        self.away.remove(&at);
    }

    /// A server does nothing from here on (SIGSTOP).
    pub fn freeze(&mut self, at: usize) {
        self.away.insert(at);
        self.servers[at].freeze();
    }

    /// It goes on (SIGCONT).
    pub fn thaw(&mut self, at: usize) {
        self.servers[at].thaw();
        self.away.remove(&at);
    }
}
