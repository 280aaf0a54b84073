//! The `babelmq` command as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A broker that runs as a process of its own; killed where a test fails.
pub struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
    /// Where it listens besides.
    pub others: Vec<SocketAddr>,
}

impl Served {
    /// Runs a command that ends up being `babelmq serve`, and waits until it listens.
    pub fn start(command: &mut Command) -> Served {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let listeners = line.strip_prefix("babelmq listening on ").unwrap_or_default().trim_end();
        let listeners = listeners.split(", ").map(|url| {
            let address = url.split_once("://").map_or(url, |(_, address)| address);
            address.parse().unwrap_or_else(|_| panic!("{line:?}"))
        });
        let mut others: Vec<SocketAddr> = listeners.collect();
        let address = others.remove(0);
        Served { child, stdout, address, others }
    }

    pub fn id(&self) -> String {
        self.child.id().to_string()
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.id()]).status().unwrap().success());
    }

    /// What it logs, line by line, as it comes. Only once, and then there is none left for
    /// [`end`](Self::end).
    pub fn log(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.child.stderr.take().unwrap()).lines().map(Result::unwrap)
    }

    /// Waits for the end; returns the exit code and what was printed after the first line.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let (mut rest, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).unwrap();
        if let Some(mut log) = self.child.stderr.take() {
            log.read_to_string(&mut stderr).unwrap();
        }
        (self.child.wait().unwrap().code(), rest, stderr)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
