//! Servers of NATS with JetStream, each of one test: on loopback, with a directory of its own, and
//! ended with the test. `clients/install-nats-server.sh` puts the program in place.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

/// A server of NATS.
pub struct NatsServer {
    process: Child,
    port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
}

impl NatsServer {
    /// A server that has nothing yet.
    pub fn start() -> NatsServer {
        NatsServer::start_with(&[])
    }

    /// The same, with a configuration: each of these is a line of it.
    pub fn start_with(configuration: &[&str]) -> NatsServer {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("babelmq-nats-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("nats.conf");
        fs::write(&file, configuration.join("\n")).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let store = directory.join("store");
        let arguments = ["-js", "-sd", &text(&store), "-c", &text(&file)].map(str::to_owned);
        let (process, port) = run(&arguments, -1);
        NatsServer { process, port, directory, arguments: arguments.into() }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A directory that is removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops it (SIGTERM), and waits until it has written everything.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.process.wait().unwrap();
    }

    /// Starts it again, where it was, with what it had.
    pub fn start_again(&mut self) {
        (self.process, self.port) = run(&self.arguments, self.port.into());
    }

    /// It does nothing from here on (SIGSTOP): none of its threads is on its way any more.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let threads = PathBuf::from(format!("/proc/{}/task", self.process.id()));
        let is_stopped = |thread: &Path| {
            let stat = fs::read_to_string(thread.join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('T'))
        };
        while !fs::read_dir(&threads).unwrap().all(|thread| is_stopped(&thread.unwrap().path())) {
            std::thread::yield_now();
        }
    }

    /// It goes on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs it, at this port or, with -1, at one that is free, until it is ready.
fn run(arguments: &[String], port: i32) -> (Child, u16) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/nats-server");
    let mut command = Command::new(&program);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]).args(arguments);
    let mut process = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; see clients", program.display()));
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let port = ready(&mut log);
    // Nothing reads what a server says later, and it must not wait for that.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (process, port)
}

/// Waits for the line that says so, and returns the port that an earlier one has.
fn ready(log: &mut BufReader<ChildStderr>) -> u16 {
    let (mut said, mut port) = (String::new(), None);
    for line in log.lines() {
        let line = line.unwrap();
        if line.contains("Listening for client connections on") {
            port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok());
        }
        if line.contains("Server is ready") {
            return port.unwrap_or_else(|| panic!("no port in {said}"));
        }
        said += &line;
        said.push('\n');
    }
    panic!("nats-server did not start:\n{said}");
}
