//! What can be the matter with a data directory: a clear message, and nothing on the disk is made
//! worse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use babelmq::Format::Json;

use super::{run, scratch, serve, setting};
use crate::support::random::Random;
use crate::support::served::Served;
use crate::support::{Client, Field};

const VALUES: usize = 2_000;

fn file(directory: &Path) -> PathBuf {
    directory.join("last-values.redb")
}

/// A directory with values, and the bytes of its file.
fn filled(name: &str) -> (PathBuf, Vec<u8>) {
    let directory = scratch(name);
    let broker = serve(&directory, &[]);
    let mut client = Client::to(broker.address);
    for n in 0..VALUES {
        client.publish(Json, &format!("t/{n}"), format!("\"{n} {}\"", "x".repeat(100)).as_bytes());
    }
    client.flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    let bytes = fs::read(file(&directory)).unwrap();
    (directory, bytes)
}

/// What `serve` says that does not start: the last line.
#[track_caller]
fn does_not_start(directory: &Path, parts: &[&str]) {
    let (code, stdout, stderr) =
        run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", directory.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    let said = stderr.lines().last().unwrap_or_default();
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {stderr}");
    }
}

#[test]
fn one_directory_belongs_to_one_broker() {
    let (directory, _) = filled("in-use");
    let broker = serve(&directory, &[]);
    does_not_start(&directory, &["in use by another broker", "last-values.redb"]);
    let (code, _, stderr) = run(&["export", directory.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("in use by another broker"), "{stderr}");
    assert!(stderr.contains("`babelmq backup DIR --data-dir"), "what to do: {stderr}");
    let mut client = Client::to(broker.address);
    client.publish(Json, "t/0", b"1");
    client.flush(Json);
    assert_eq!(client.subscribe(Json, "t").len(), VALUES);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_said_at_the_start() {
    // Not even root can write here.
    does_not_start(Path::new("/sys/babelmq"), &["cannot make the data directory /sys/babelmq"]);
    let directory = scratch("a-file");
    fs::write(directory.join("x"), "").unwrap();
    does_not_start(&directory.join("x"), &["cannot make the data directory"]);
    fs::create_dir(file(&directory)).unwrap();
    does_not_start(&directory, &["cannot open", "last-values.redb"]);
}

#[test]
fn a_file_that_is_cut_short_is_left_as_it_is() {
    let (directory, bytes) = filled("cut");
    for part in [1, 2, 3] {
        let cut = &bytes[..bytes.len() * part / 4];
        fs::write(file(&directory), cut).unwrap();
        does_not_start(
            &directory,
            &["is damaged", "nothing in it was changed", "export --damaged"],
        );
        assert!(fs::read(file(&directory)).unwrap() == cut);
    }
    fs::write(file(&directory), "this is no database").unwrap();
    does_not_start(&directory, &["is damaged"]);
}

/// Wherever a byte is flipped: the broker serves nothing but what was published, or does not start
/// and leaves the file alone.
#[test]
fn flipped_bytes_are_found() {
    let (directory, bytes) = filled("flipped");
    let mut random = Random::new(setting("SEED", 1));
    let mut refused = 0;
    for _ in 0..setting("FLIPS", 15) {
        let mut flipped = bytes.clone();
        for _ in 0..=random.below(3) {
            flipped[random.below(bytes.len())] ^= 1 << random.below(8);
        }
        fs::write(file(&directory), &flipped).unwrap();
        let (code, exported, stderr) = run(&["export", directory.to_str().unwrap()]);
        assert!(fs::read(file(&directory)).unwrap() == flipped, "reading changes nothing");
        let (_, salvaged, _) = run(&["export", "--damaged", directory.to_str().unwrap()]);
        for line in exported.lines().chain(salvaged.lines()) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let n = value["topic"].as_str().unwrap().strip_prefix("t/").unwrap();
            assert_eq!(value["payload"], format!("\"{n} {}\"", "x".repeat(100)));
        }
        if code == Some(0) {
            assert_eq!(exported.lines().count(), VALUES);
        } else {
            refused += 1;
            assert!(stderr.contains("damaged"), "{stderr}");
            assert!(!stderr.contains("panicked"), "{stderr}");
            does_not_start(&directory, &["damaged"]);
            assert!(fs::read(file(&directory)).unwrap() == flipped, "nothing was changed");
        }
    }
    assert!(refused > 0, "most of the file is in use");
}

#[test]
fn the_values_of_a_damaged_file_that_can_be_read_are_saved() {
    let (directory, mut bytes) = filled("saved");
    // A byte in the middle of a payload.
    let needle = b"\"1234 xxxx";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at + 20] = b'y';
    fs::write(file(&directory), &bytes).unwrap();
    does_not_start(&directory, &["is damaged"]);
    let (code, lines, stderr) = run(&["export", "--damaged", directory.to_str().unwrap()]);
    assert_eq!((code, lines.lines().count()), (Some(1), VALUES - 1), "{stderr}");
    assert!(stderr.contains("the value of \"t/1234\" is damaged"), "{stderr}");
    let (saved, other) = (directory.join("saved.ndjson"), directory.join("other"));
    fs::write(&saved, lines).unwrap();
    let (code, _, stderr) = run(&["import", other.to_str().unwrap(), saved.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stderr}");
    let broker = serve(&other, &[]);
    assert_eq!(Client::to(broker.address).subscribe(Json, "t").len(), VALUES - 1);
}

/// A broker whose files may have so many KiB, and that is told so as it would be told of a full
/// disk.
pub fn serve_limited(directory: &Path, limit: &str) -> Served {
    let script = format!(
        "trap '' XFSZ; ulimit -S -f {limit}; exec {} serve --listen 127.0.0.1:0 --fsync always \
         --data-dir {}",
        env!("CARGO_BIN_EXE_babelmq"),
        directory.display()
    );
    Served::start(Command::new("bash").args(["-c", &script]))
}

/// A file that may not grow is what a full disk is to a program: the write fails.
#[test]
fn a_full_disk_costs_nothing_but_what_is_new() {
    let (directory, _) = filled("full");
    let limit = fs::metadata(file(&directory)).unwrap().len() / 1_024 + 64;
    let mut broker = serve_limited(&directory, &limit.to_string());
    let mut client = Client::to(broker.address);
    let large = format!("\"{}\"", "y".repeat(50_000));
    let refused = (0..1_000).find_map(|n| {
        client.publish(Json, &format!("new/{n}"), large.as_bytes());
        client.command(Json, &[("command", Field::Str("ping"))]);
        let answer = client.next();
        (answer.field("command") == "error").then_some((n, answer))
    });
    let (count, refused) = refused.expect("the disk is full before long");
    refused.refuses("storage-failed", false);
    assert!(
        refused.field("reason").contains("lost if the broker stops now"),
        "{}",
        refused.field("reason")
    );
    // It goes on from memory, and says so once.
    assert_eq!(client.subscribe(Json, "new").len(), count + 1);
    let said = broker.log().find(|line| line.contains("cannot write to")).unwrap();
    assert!(said.contains("going on from memory"), "{said}");
    broker.signal("KILL");
    drop(broker);
    // What was confirmed is there, and the old values are.
    let broker = serve(&directory, &["--fsync", "always"]);
    let mut client = Client::to(broker.address);
    assert_eq!(client.subscribe(Json, "t").len(), VALUES);
    let new = client.subscribe(Json, "new").len();
    assert!(new >= count && new <= count + 1, "{new} of {count}");
}

/// As soon as there is room again everything is written, what was cleared meanwhile as well.
#[test]
fn when_there_is_room_again_nothing_is_missing() {
    let (directory, _) = filled("room-again");
    let broker = serve_limited(&directory, "unlimited");
    let mut client = Client::to(broker.address);
    client.publish(Json, "before", b"1");
    client.flush(Json);
    // The file's limit is the process's own, and can be changed while it runs.
    let limit = |bytes: &str| {
        let done = Command::new("prlimit")
            .args(["--pid", &broker.id(), &format!("--fsize={bytes}")])
            .status();
        assert!(done.unwrap().success());
    };
    limit("4096:unlimited");
    client.publish(Json, "during", b"2");
    client.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str("t/7"))]);
    client.command(Json, &[("command", Field::Str("ping"))]);
    client.next().refuses("storage-failed", false);
    limit("unlimited:unlimited");
    loop {
        client.command(Json, &[("command", Field::Str("ping"))]);
        if client.next().field("command") == "pong" {
            break;
        }
    }
    broker.signal("KILL");
    drop(broker);
    let broker = serve(&directory, &[]);
    let mut client = Client::to(broker.address);
    assert_eq!(client.subscribe(Json, "t").len(), VALUES - 1);
    assert_eq!(
        (client.subscribe(Json, "before").len(), client.subscribe(Json, "during").len()),
        (1, 1)
    );
}
