//! `babelmq backup`: a copy of a running broker's values.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use babelmq::Format::{Json, Pickle, Xml};

use super::{Served, babelmq, run, scratch, serve};
use crate::support::process::until;
use crate::support::{Client, Field};

/// Topics that each producer writes to in turn.
const TOPICS: i64 = 200;

fn backup(broker: SocketAddr, from: &Path, to: &Path) -> (Option<i32>, String, String) {
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    run(&["backup", to, "--data-dir", from, "--address", &broker.to_string()])
}

/// The files of a directory that are values or a backup of them, sorted.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.contains(".redb"));
    names.sort();
    names
}

fn exported(directory: &Path) -> Vec<serde_json::Value> {
    let (code, lines, stderr) = run(&["export", directory.to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{}", directory.display());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The value of a message with this number: what is torn is seen.
fn numbered(number: i64) -> String {
    format!("\"{number} {}\"", "x".repeat((number % 1_000) as usize))
}

#[test]
fn a_backup_holds_whatever_was_confirmed_before_it_was_asked_for() {
    let directory = scratch("backup");
    let live = directory.join("live");
    let broker = serve(&live, &[]);
    let mut client = Client::to(broker.address);
    client.publish(Xml, "stable/b", b"<message><order id='5'/></message>");
    client.publish(Pickle, "stable/a", b"K\x07");
    client.command(
        Json,
        &[
            ("command", Field::Str("publish")),
            ("topic", Field::Str("stable/ttl")),
            ("message", Field::Raw(b"{ \"x\": 1.50 }")),
            ("ttl", Field::Int(10_000)),
        ],
    );
    client.publish(Json, "cleared", b"1");
    client.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str("cleared"))]);
    client.flush(Json);
    let stop = AtomicBool::new(false);
    let confirmed = [AtomicI64::new(-1), AtomicI64::new(-1)];
    let mut backups = Vec::new();
    thread::scope(|scope| {
        for (producer, confirmed) in confirmed.iter().enumerate() {
            let (stop, mut client) = (&stop, Client::to(broker.address));
            scope.spawn(move || {
                for number in 0.. {
                    let topic = format!("p{producer}/{}", number % TOPICS);
                    client.publish(Json, &topic, numbered(number).as_bytes());
                    if number % 20 == 19 {
                        client.flush(Json);
                        confirmed.store(number, Ordering::SeqCst);
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
            });
        }
        for turn in 0..4 {
            let before: Vec<i64> =
                confirmed.iter().map(|last| last.load(Ordering::SeqCst)).collect();
            let to = directory.join(format!("backup-{turn}"));
            let done = backup(broker.address, &live, &to);
            backups.push((to, before, done));
            let reached = |last: &AtomicI64| last.load(Ordering::SeqCst) > TOPICS * (turn + 1);
            until("they go on", || confirmed.iter().all(reached));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(files(&live), ["last-values.redb"], "nothing is left behind");
    for (to, before, done) in &backups {
        assert_eq!(*done, (Some(0), String::new(), String::new()));
        assert_eq!(files(to), ["last-values.redb"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(to), mode(&to.join("last-values.redb"))), (0o700, 0o600));
        let mut values: BTreeMap<String, i64> = BTreeMap::new();
        let lines = exported(to);
        for line in &lines {
            let topic = line["topic"].as_str().unwrap();
            if topic.starts_with('p') {
                let payload = line["payload"].as_str().unwrap();
                let number = payload[1..].split(' ').next().unwrap().parse().unwrap();
                assert_eq!(payload, numbered(number), "torn");
                values.insert(topic.to_owned(), number);
            }
        }
        for (producer, last) in before.iter().enumerate() {
            for number in (0..=*last).rev().take(TOPICS as usize) {
                let found = values.get(&format!("p{producer}/{}", number % TOPICS));
                assert!(
                    found.is_some_and(|found| *found >= number),
                    "{number} was confirmed: {found:?}"
                );
            }
        }
        let stable: Vec<&serde_json::Value> =
            lines.iter().filter(|line| !line["topic"].as_str().unwrap().starts_with('p')).collect();
        assert_eq!(stable.len(), 3);
        assert_eq!(stable[0]["payload"], "<message><order id='5'/></message>");
        assert_eq!((&stable[1]["format"], &stable[1]["body"]), (&"pickle".into(), &true.into()));
        assert_eq!(stable[2]["payload"], "{ \"x\": 1.50 }");
        assert!(
            stable[2]["expires"].is_u64() && stable[2]["ttl_ms"].as_u64().unwrap() <= 10_000_000
        );
        let copy = serve(to, &[]);
        assert_eq!(
            Client::to(copy.address).subscribe(Json, "#").len(),
            lines.len(),
            "a broker serves it"
        );
    }
    // The last one holds all that two producers wrote by then; the first may have come before they
    // began.
    assert!(backups.last().is_some_and(|(_, before, _)| before.iter().all(|last| *last >= TOPICS)));
}

#[test]
fn a_backup_that_cannot_be_made_says_why_and_leaves_nothing() {
    let directory = scratch("no-backup");
    let (live, to) = (directory.join("live"), directory.join("to"));
    let memory = Served::start(&mut babelmq(&["serve", "--listen", "127.0.0.1:0"]));
    let (code, _, stderr) = backup(memory.address, &live, &to);
    assert!(code == Some(5) && stderr.contains("in memory only"), "{stderr}");

    let broker = serve(&live, &[]);
    let mut client = Client::to(broker.address);
    client.publish(Json, "t", b"1");
    client.flush(Json);
    let (code, _, stderr) = backup(broker.address, &directory, &to);
    assert!(code == Some(1) && stderr.contains("its data directory?"), "{stderr}");
    assert_eq!(files(&to), [""; 0]);
    // One that nobody took away does not stay when the next is made.
    assert_eq!(backup(broker.address, &live, &to).0, Some(0));
    assert_eq!(files(&live), ["last-values.redb"]);
    let (code, _, stderr) = backup(broker.address, &live, &to);
    assert!(code == Some(1) && stderr.contains("is there already"), "{stderr}");
    assert_eq!(exported(&to).len(), 1);
    let (code, _, stderr) =
        run(&["backup", to.to_str().unwrap(), "--data-dir", "x", "--address", "127.0.0.1:1"]);
    assert!(code == Some(1) && stderr.contains("is there already"), "{stderr}");
}
