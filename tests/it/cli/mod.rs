//! The `babelmq` command as it is run by a person or a service manager.
#![cfg(all(feature = "cli", feature = "middleware"))]

mod backbone;
mod certificates;
mod certs;
mod client;
mod config;
mod convert;
mod examples;
mod installed;
mod login;
mod logs;
mod outages;
mod serve;
mod streams;
mod terminal;
mod users;
mod watch;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn babelmq(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_babelmq"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // What the developer has set is not what is tested.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BABELMQ_") {
            command.env_remove(name);
        }
    }
    command
}

/// A broker that runs as a process of its own; killed where a test fails.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    /// The same as an argument.
    text: String,
}

impl Served {
    fn start(options: &[&str]) -> Served {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], options].concat();
        let mut child = babelmq(&arguments).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let listening =
            line.strip_prefix("babelmq listening on ").and_then(|rest| rest.strip_suffix('\n'));
        // The first is the one of these options.
        let address = listening.and_then(|listening| listening.split(", ").next());
        let address =
            address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
        Served { child, stdout, address, text: address.to_string() }
    }

    /// What it logs, line by line, as it comes.
    fn log(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.child.stderr.take().unwrap()).lines().map(Result::unwrap)
    }

    /// Arguments for a command that talks to this broker.
    fn at<'a>(&'a self, command: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        [&[command, "--address", &self.text], arguments].concat()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the end; returns the exit code and what was printed after the first line.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut rest, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
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

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    run_with(arguments, b"")
}

/// Runs a command that is given something to read.
fn run_with(arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = babelmq(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A command that ends before it has read everything is no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Fails unless the command does this and says nothing else.
#[track_caller]
fn check(arguments: &[&str], input: &str, expected: &str) {
    let (code, stdout, stderr) = run_with(arguments, input.as_bytes());
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), expected, ""), "{arguments:?}");
}

/// Fails unless the command ends with this code, one line on standard error, and that line says all
/// of `parts`.
#[track_caller]
fn fails(arguments: &[&str], input: &str, code: i32, parts: &[&str]) {
    let (found, stdout, stderr) = run_with(arguments, input.as_bytes());
    assert_eq!((found, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("babelmq: "), "{arguments:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{arguments:?}: no {part:?} in {stderr}");
    }
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
}

/// A folder of its own for a test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What a failed run left behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
