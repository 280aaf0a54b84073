//! The log: what bears a client's id, how much of a flood is logged, and what SIGHUP does.

use std::fs;
use std::io::{BufRead, BufReader};

use babelmq::Format::Json;
use serde_json::Value;

use super::{Served, scratch};
use crate::support::Client;

fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn every_line_of_a_connection_bears_its_id() {
    let served = Served::start(&["--log", "debug", "--log-format", "json"]);
    let mut client = Client::to(served.address);
    let peer = client.local_addr().to_string();
    client.send(Json, b"{}");
    client.next();
    client.send_raw(b"\xffxxxxxxx");
    client.next();
    client.ends();
    drop(client);
    served.signal("TERM");
    let (_, _, log) = served.end();
    let of_client: Vec<String> = lines(&log)
        .iter()
        .filter(|line| line["client"] == "1" && line["peer"] == peer.as_str())
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect();
    for message in ["connected", "message refused", "connection refused", "disconnected"] {
        assert!(of_client.iter().any(|found| found == message), "no {message:?} in {log}");
    }
    let refused =
        lines(&log).into_iter().find(|line| line["message"] == "message refused").unwrap();
    assert_eq!(
        (refused["code"].as_str(), refused["level"].as_str()),
        (Some("missing-field"), Some("INFO"))
    );
}

/// A log is read on terminals: what a client says can neither hide in it nor turn a line around.
#[test]
fn nothing_that_a_client_says_is_hidden_in_the_log() {
    let topic = "/\u{202e}a//\u{200b}";
    for format in ["json", "text"] {
        let served = Served::start(&["--log-format", format]);
        let mut client = Client::to(served.address);
        client.send(Json, format!(r#"{{"command":"get","topic":"{topic}"}}"#).as_bytes());
        client.next();
        drop(client);
        served.signal("TERM");
        let (_, _, log) = served.end();
        assert!(log.contains("invalid-topic") && log.is_ascii(), "{log}");
        if format == "json" {
            let refused =
                lines(&log).into_iter().find(|line| line["message"] == "message refused").unwrap();
            assert_eq!(refused["topic"], topic);
        }
    }
}

#[test]
fn a_flood_of_refusals_is_a_few_lines() {
    let served = Served::start(&["--log-format", "json"]);
    let mut client = Client::to(served.address);
    for _ in 0..500 {
        client.send(Json, b"{}");
    }
    client.flush(Json);
    drop(client);
    served.signal("TERM");
    let (_, _, log) = served.end();
    let count =
        |message: &str| lines(&log).iter().filter(|line| line["message"] == message).count();
    let (logged, rest) =
        (count("message refused"), count("more messages refused than are logged one by one"));
    // It may take longer than a second on a busy machine, and then there are a few more.
    assert!((3..100).contains(&logged) && rest >= 1, "{log}");
    let unlogged: u64 = lines(&log).iter().filter_map(|line| line["messages"].as_u64()).sum();
    assert_eq!(logged as u64 + unlogged, 500);
}

#[test]
fn sighup_opens_the_log_anew_and_reads_the_configuration_again() {
    let folder = scratch("sighup");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (config, log) = (path("b.toml"), path("b.log"));
    fs::write(&config, format!("log-file = {log:?}\nlog-format = \"json\"\nlog = \"info\"\n"))
        .unwrap();
    let served = Served::start(&["--config", &config]);
    fs::rename(&log, path("old.log")).unwrap();
    fs::write(
        &config,
        format!("log-file = {log:?}\nlog-format = \"json\"\nlog = \"debug\"\nmax-frame = 5\n"),
    )
    .unwrap();
    served.signal("HUP");
    // Until it has been read, what is logged goes to the file before.
    let mut new = loop {
        match fs::File::open(&log) {
            Ok(file) => break BufReader::new(file),
            Err(_) => Client::to(served.address).is_quiet(),
        }
    };
    let mut said = |message: &str| {
        let mut line = String::new();
        loop {
            match new.read_line(&mut line).unwrap() {
                // Something happens that is logged, and time passes.
                0 => Client::to(served.address).is_quiet(),
                _ if line.contains(message) => return,
                _ => line.clear(),
            }
        }
    };
    said("everything else that was changed takes effect after a restart");
    said("connected");
    // A configuration that is wrong changes nothing; the log is opened anew, and that is said there.
    fs::write(&config, "nonsense = 1\n").unwrap();
    fs::rename(&log, path("new.log")).unwrap();
    served.signal("HUP");
    while fs::read_to_string(&log).map_or(true, |log| !log.contains("the configuration is wrong")) {
        Client::to(served.address).is_quiet();
    }
    Client::to(served.address).is_quiet();
    served.signal("TERM");
    let (code, _, stderr) = served.end();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let old = fs::read_to_string(path("old.log")).unwrap();
    assert!(old.contains("listening on") && !old.contains("stopping"), "{old}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_log_that_cannot_be_written_is_said() {
    super::fails(&["serve", "--log-file", "/nowhere/b.log"], "", 1, &["the log /nowhere/b.log"]);
    let (code, _, stderr) = super::run(&["serve", "--log", "=="]);
    assert_eq!(code, Some(2), "{stderr}");
}
