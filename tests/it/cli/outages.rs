//! Commands whose broker is not there yet, goes away, or says nothing any more.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use babelmq::{Broker, BrokerHandle, Config};

use super::{babelmq, fails};
use crate::support::process::until;
use crate::support::proxy::Proxy;
use crate::support::start;

/// A broker at an address that another had.
pub(super) fn start_at(address: SocketAddr) -> BrokerHandle {
    let mut broker = None;
    until("the address is free", || {
        broker = Broker::start(Config::listening_on(address)).ok();
        broker.is_some()
    });
    broker.unwrap()
}

/// `babelmq sub /t`, line by line.
struct Sub {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Sub {
    fn of(address: SocketAddr, options: &[&str]) -> Sub {
        let address = address.to_string();
        let arguments = [&["sub", "/t", "--address", &address], options].concat();
        let mut child = babelmq(&arguments).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Sub { child, stdout, stderr }
    }

    #[track_caller]
    fn prints(&mut self, expected: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{expected}\n"));
    }

    #[track_caller]
    fn says(&mut self, part: &str) {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        assert!(line.starts_with("babelmq: ") && line.contains(part), "no {part:?} in {line:?}");
    }

    /// Waits for the end, to which nothing is said.
    #[track_caller]
    fn ends(mut self, code: i32) {
        let mut said = String::new();
        self.stderr.read_line(&mut said).unwrap();
        assert_eq!((self.child.wait().unwrap().code(), &*said), (Some(code), ""));
    }
}

impl Drop for Sub {
    fn drop(&mut self) {
        // It has ended already, unless it was not to or the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sub_goes_on_when_its_broker_was_restarted() {
    let broker = start();
    let address = broker.local_addr();
    broker.put_topic("/t", &1.into()).unwrap();
    let mut sub = Sub::of(address, &["-n", "3"]);
    sub.prints("/t 1");
    broker.shutdown();
    sub.says("ended; waiting for the broker");
    let broker = start_at(address);
    // Only now, so that attempts have failed, of which nothing is said.
    sub.says("is there again");
    broker.put_topic("/t", &2.into()).unwrap();
    sub.prints("/t 2");
    broker.put_topic("/t", &3.into()).unwrap();
    sub.prints("/t 3");
    sub.ends(0);
}

#[test]
fn sub_ends_with_its_connection_where_it_is_told_to() {
    let broker = start();
    let address = broker.local_addr();
    broker.put_topic("/t", &1.into()).unwrap();
    let mut once = Sub::of(address, &["--once"]);
    let mut impatient = Sub::of(address, &["-w", "0.2"]);
    let mut unsatisfied = Sub::of(address, &["-w", "0.2", "-n", "2"]);
    for sub in [&mut once, &mut impatient, &mut unsatisfied] {
        sub.prints("/t 1");
    }
    broker.shutdown();
    once.says("ended before everything was done");
    once.ends(7);
    // What nobody publishes does not come either while there is no broker. (It may have ended
    // before.)
    assert_eq!(impatient.child.wait().unwrap().code(), Some(0));
    assert_eq!(unsatisfied.child.wait().unwrap().code(), Some(6));
}

#[test]
fn sub_notices_a_connection_on_which_nothing_comes_any_more() {
    let broker = start();
    let proxy = Proxy::to(broker.local_addr());
    broker.put_topic("/t", &1.into()).unwrap();
    let mut sub = Sub::of(proxy.address, &["--keepalive", "0.1", "--timeout", "0.3"]);
    sub.prints("/t 1");
    proxy.stall();
    broker.put_topic("/t", &2.into()).unwrap();
    sub.prints("/t 2");
    sub.says("ended; waiting for the broker");
    sub.says("is there again");
}

#[test]
fn commands_wait_for_a_broker_that_is_not_there_yet() {
    let address = start().local_addr();
    let text = address.to_string();
    fails(
        &["get", "/t", "--wait-for-broker", "0.1", "--address", &text],
        "",
        3,
        &["nothing listens"],
    );
    let commands = [
        &["sub", "/t", "-n", "1"][..],
        &["pub", "/t", "1"],
        &["topics"],
        &["clear", "/u"],
        &["check"],
        &["top", "--json"],
        &["bench", "-n", "10"],
    ];
    let waiting: Vec<Child> = commands
        .iter()
        .map(|command| {
            let arguments = [*command, &["--wait-for-broker", "20", "--address", &text]].concat();
            babelmq(&arguments).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let broker = start_at(address);
    for (command, child) in commands.iter().zip(waiting) {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}");
    }
    assert!(broker.stats().published >= 11);
}
