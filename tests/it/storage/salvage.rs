//! What a copy of a live directory, and a damaged file, still give: `babelmq export --damaged`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use babelmq::Format::Json;

use super::{run, scratch, serve, setting};
use crate::support::Client;
use crate::support::process::until;
use crate::support::random::Random;

/// Values that nobody touches while the others are written.
const STABLE: usize = 1_500;

pub fn file(directory: &Path) -> PathBuf {
    directory.join("last-values.redb")
}

/// The payloads by topic, and what was said of them.
pub fn salvaged(directory: &Path) -> (BTreeMap<String, String>, String) {
    let (code, lines, stderr) = run(&["export", "--damaged", directory.to_str().unwrap()]);
    assert!(code == Some(0) || code == Some(1), "{code:?} {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let mut values = BTreeMap::new();
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        assert_eq!(values.insert(text("topic"), text("payload")), None, "each topic once");
    }
    (values, stderr)
}

/// The payload of a stable value.
fn stable(n: usize) -> String {
    format!("\"{n} {}\"", "s".repeat(n % 300))
}

/// Copies the file, in pieces between which the broker commits.
fn copy_slowly(from: &Path, to: &Path, commits: &AtomicU64) {
    fs::create_dir(to).unwrap();
    let (mut from, mut to) =
        (fs::File::open(file(from)).unwrap(), fs::File::create(file(to)).unwrap());
    let mut piece = vec![0; 128 << 10];
    loop {
        let before = commits.load(Ordering::Relaxed);
        match from.read(&mut piece).unwrap() {
            0 => return,
            read => to.write_all(&piece[..read]).unwrap(),
        }
        until("a commit", || commits.load(Ordering::Relaxed) > before);
    }
}

/// Publishes all the time while copies are made of the broker's directory, and looks what of them
/// comes back.
fn copies_of_a_live_directory(
    name: &str,
    topic: impl Fn(usize) -> String + Sync,
    copies: u64,
    copy: impl Fn(&Path, &Path, &AtomicU64),
) {
    let directory = scratch(name);
    let (from, to) = (directory.join("live"), directory.join("copy"));
    let broker = serve(&from, &["--fsync", "always"]);
    let mut client = Client::to(broker.address);
    for n in 0..STABLE {
        client.publish(Json, &format!("s/{n}"), stable(n).as_bytes());
    }
    client.flush(Json);
    let (stop, published, commits) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut unreadable = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::to(broker.address);
            let mut random = Random::new(setting("SEED", 1));
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..50 {
                    let number = published.fetch_add(1, Ordering::Relaxed);
                    client.publish(
                        Json,
                        &topic(random.below(STABLE)),
                        number.to_string().as_bytes(),
                    );
                }
                client.flush(Json);
                commits.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stop = OnDrop(&stop);
        for _ in 0..setting("COPIES", copies) {
            let _ = fs::remove_dir_all(&to);
            copy(&from, &to, &commits);
            let end = published.load(Ordering::Relaxed);
            unreadable += usize::from(run(&["export", to.to_str().unwrap()]).0 != Some(0));
            let (values, stderr) = salvaged(&to);
            let back = (0..STABLE).filter(|n| values.contains_key(&format!("s/{n}"))).count();
            assert!(back >= STABLE * 99 / 100, "{back} of {STABLE}; {stderr}");
            for (topic, payload) in &values {
                match topic.strip_prefix("s/").filter(|n| !n.contains('/')) {
                    Some(n) => assert_eq!(*payload, stable(n.parse().unwrap())),
                    None => assert!(payload.parse::<u64>().unwrap() < end, "{topic} {payload}"),
                }
            }
        }
    });
    eprintln!("{name}: {unreadable} copies of {copies} cannot be read without --damaged");
}

/// Ends the publisher, also where something is wrong.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nearly_everything_comes_back_from_a_copy_of_a_live_directory() {
    // Among the stable ones, so that their pages are written anew all the time.
    copies_of_a_live_directory(
        "copied",
        |n| format!("s/{n}/new"),
        20,
        |from, to, _| {
            let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
            assert!(copied.success());
        },
    );
}

#[test]
fn what_nobody_writes_comes_back_from_a_copy_that_takes_as_long_as_many_commits() {
    copies_of_a_live_directory("copied-slowly", |n| format!("other/{n}"), 5, copy_slowly);
}
