//! Every `console` block of the documents is run, in order, and prints what is printed there.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Served, run, scratch};

/// A command line and what it prints, or a program in Python, which prints nothing.
struct Example {
    line: usize,
    is_python: bool,
    text: String,
    printed: String,
}

/// What goes on when its command line is done: one that ends in `&`, and goes on printing.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut block = None;
    for (number, line) in document.lines().enumerate() {
        let example = |is_python, text: &str| {
            let (text, printed) = (text.into(), String::new());
            Example { line: number + 1, is_python, text, printed }
        };
        match (block, line.strip_prefix("```"), line.strip_prefix("$ ")) {
            (None, Some(kind), _) => {
                block = Some(kind);
                if kind == "python" {
                    examples.push(example(true, ""));
                }
            }
            (Some(_), Some(_), _) => block = None,
            (Some("console"), None, Some(command)) => examples.push(example(false, command)),
            (Some("console"), None, None) => match examples.last_mut() {
                Some(example) => example.printed += &format!("{line}\n"),
                None => panic!("line {}: a block begins without a command", number + 1),
            },
            (Some("python"), None, _) => {
                examples.iter_mut().last().unwrap().text += &format!("{line}\n");
            }
            _ => {}
        }
    }
    examples
}

/// Whether this is what is printed, where `…` stands for anything.
fn is_said(found: &str, printed: &str) -> bool {
    let mut pieces = printed.split('…');
    let mut rest = found.strip_prefix(pieces.next().unwrap());
    for piece in pieces {
        rest = rest.and_then(|rest| rest.split_once(piece)).map(|(_, after)| after);
    }
    rest == Some("")
}

fn check(name: &str) {
    let broker = Served::start(&[]);
    check_at(name, &[], &broker.text, |example| !example.is_python);
}

/// Runs the examples with a broker at this address. Where they name one of `ports`, another one is
/// meant, which is free here.
fn check_at(name: &str, ports: &[&str], address: &str, wanted: fn(&Example) -> bool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut document = fs::read_to_string(root.join(name)).unwrap();
    let free: Vec<TcpListener> =
        ports.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    for (port, free) in ports.iter().zip(free) {
        document = document.replace(port, &free.local_addr().unwrap().port().to_string());
    }
    let examples: Vec<Example> = examples(&document).into_iter().filter(wanted).collect();
    assert!(!examples.is_empty(), "{name} has no examples");
    let folder = scratch(&name.replace('/', "-"));
    // On a terminal curl shows no progress.
    fs::write(folder.join(".curlrc"), "silent\nnoproxy = \"*\"\n").unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_babelmq")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut running = Vec::new();
    for Example { line, is_python, text, printed } in examples {
        let mut shell = Command::new(if is_python { "python3" } else { "sh" });
        shell.current_dir(&folder).env("PATH", &path).env("BABELMQ_ADDR", address);
        shell.env("CURL_HOME", &folder);
        shell.stdin(Stdio::null()).stdout(Stdio::piped());
        let found = if is_python {
            shell.env("PYTHONPATH", root.join("clients/python/src")).args(["-c", &text]);
            let output = shell.output().unwrap();
            assert!(output.status.success(), "{name}, line {line}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        } else if let Some(command) = text.strip_suffix(" &") {
            let mut child = shell.args(["-c", &format!("exec {command}")]).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            running.push(Background(child));
            lines.take(printed.lines().count()).map(|line| line.unwrap() + "\n").collect()
        } else {
            // What is said on standard error stands among the rest, as it does on a terminal.
            let output = shell.args(["-c", &format!("exec 2>&1; {text}")]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        if !is_said(&found, &printed) {
            assert_eq!(found, printed, "{name}, line {line}: {text}");
        }
    }
    drop(running);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_examples_of_the_readme_are_what_happens() {
    check("README.md");
}

#[test]
fn the_examples_of_the_manual_are_what_happens() {
    check("docs/command.md");
}

#[test]
fn the_examples_about_users_are_what_happens() {
    check("docs/users.md");
}

#[test]
fn the_examples_about_security_are_what_happens() {
    check_at("docs/security.md", &["5000"], "127.0.0.1:1", |_| true);
}

#[test]
fn the_examples_about_http_are_what_happens() {
    check_at("docs/http.md", &["8080", "8090", "8443"], "127.0.0.1:1", |_| true);
}

#[test]
fn the_examples_about_mqtt_are_what_happens() {
    let is_there = Command::new("mosquitto_sub").arg("--help").output();
    let needed = "the examples of docs/mqtt.md need mosquitto_pub and mosquitto_sub, which \
                  clients/install-mosquitto-clients.sh installs from Debian";
    assert!(is_there.is_ok(), "{needed}");
    check_at("docs/mqtt.md", &["5000", "1883"], "127.0.0.1:1", |_| true);
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command.md")).unwrap();
    let (_, help, _) = run(&["--help"]);
    let (_, listed) = help.split_once("Exit codes:\n").unwrap();
    let listed: Vec<&str> = listed.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(listed.len(), 9, "{help}");
    for line in listed {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(document.contains(&format!("| {code} | {meaning} |")), "{line}");
    }
}
