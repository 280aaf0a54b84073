//! Brokers as processes of their own, each behind links of its own to the servers.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::shared::Shared;
use crate::shared::scratch;
use crate::support::cluster::Cluster;
use crate::support::process::until;
use crate::support::proxy::Proxy;
use crate::support::served::Served;

/// One broker, and what it had when it was last there.
struct Place {
    served: Option<Served>,
    directory: PathBuf,
    links: Vec<Proxy>,
}

/// All of them.
pub(super) struct Brokers(Vec<Place>);

impl Brokers {
    pub(super) fn start(name: &str, cluster: &Cluster, count: usize, shared: &Shared) -> Brokers {
        let places = (0..count).map(|at| {
            let links = cluster.servers.iter().map(|server| {
                let address = server.url().trim_start_matches("nats://").parse();
                let link = Proxy::to(address.unwrap());
                // Servers that are one behind the other, and not on one machine.
                link.delay(Duration::from_micros(300 * at as u64));
                link
            });
            let links = links.collect();
            Place { served: None, directory: scratch(&format!("{name}-{at}")), links }
        });
        let mut brokers = Brokers(places.collect());
        for at in 0..count {
            brokers.start_again(at, shared);
        }
        brokers
    }

    /// Starts one, where it was, and waits until it has what is shared.
    pub(super) fn start_again(&mut self, at: usize, shared: &Shared) {
        let place = &mut self.0[at];
        let urls = place.links.iter().map(|link| format!("nats://{}", link.address));
        let mut command = Command::new(env!("CARGO_BIN_EXE_babelmq"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0"]);
        command.args(["--backbone", &urls.collect::<Vec<_>>().join(",")]);
        command.args(["--shared", "orders/#", "--backbone-wait", "6s", "--data-dir"]);
        let mut served = Served::start(command.arg(&place.directory));
        let mut log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(place.directory.with_extension("log"))
            .unwrap();
        let lines = served.log();
        std::thread::spawn(move || lines.for_each(|line| writeln!(log, "{line}").unwrap()));
        shared.set_address(at, Some(served.address));
        let http = served.others[0];
        place.served = Some(served);
        until("a broker has what is shared", || ask(http, "/readyz").starts_with("HTTP/1.1 200"));
    }

    /// Ends one, as the system does (SIGTERM) or as it must not be (SIGKILL).
    pub(super) fn end(&mut self, at: usize, signal: &str, shared: &Shared) {
        if signal == "KILL" {
            shared.kills(at);
        }
        shared.set_address(at, None);
        let served = self.0[at].served.take().unwrap();
        served.signal(signal);
        served.end();
    }

    /// Cuts the links of one, and lets it make new ones.
    pub(super) fn cut(&self, at: usize) {
        self.0[at].links.iter().for_each(Proxy::cut);
    }

    /// Loses everything that is on the links of one, and nobody is told.
    pub(super) fn stall(&self, at: usize) {
        self.0[at].links.iter().for_each(Proxy::stall);
    }

    /// Cuts the links of one, and lets it make none.
    pub(super) fn part(&self, at: usize, is_parted: bool) {
        self.0[at].links.iter().for_each(|link| link.close(is_parted));
        self.cut(at);
    }

    pub(super) fn address(&self, at: usize) -> SocketAddr {
        self.0[at].served.as_ref().unwrap().address
    }

    /// A number that is told to monitors.
    pub(super) fn metric(&self, at: usize, name: &str) -> f64 {
        let metrics = ask(self.0[at].served.as_ref().unwrap().others[0], "/metrics");
        let of = metrics.lines().find(|line| line.starts_with(name));
        let of = of.unwrap_or_else(|| panic!("no {name} in {metrics}"));
        of.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// What a broker answers to a GET.
fn ask(http: SocketAddr, path: &str) -> String {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(http).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
