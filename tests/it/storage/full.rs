//! A disk that is full: what was cleared gets room, and a stop that cannot save says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use babelmq::Format::Json;

use super::{run, scratch, serve};
use crate::support::process::until;
use crate::support::served::Served;
use crate::support::{Client, Field};

/// A file system of its own with so many MiB.
struct Disk(PathBuf);

impl Disk {
    /// None where nothing can be mounted.
    fn mounted(name: &str, mebibytes: u32) -> Option<Disk> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{name}"));
        // What a failed run left behind.
        let _ = Command::new("umount").arg(&path).stderr(Stdio::null()).status();
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={mebibytes}m,mode=700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Disk(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What a broker logs, as it comes.
#[derive(Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn of(broker: &mut Served) -> Log {
        let log = Log::default();
        let (lines, text) = (broker.log(), log.0.clone());
        thread::spawn(move || {
            lines.for_each(|line| {
                let mut text = text.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            });
        });
        log
    }

    fn says(&self, what: &str) {
        until(what, || self.0.lock().unwrap().contains(what));
    }
}

/// Where a test fails, what the broker said says why.
impl Drop for Log {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0.lock().unwrap());
        }
    }
}

fn clear(client: &mut Client, topic: &str) {
    client.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str(topic))]);
}

/// A broker whose files may have so many KiB, and that is told so as it would be told of a full
/// disk.
fn serve_limited(directory: &Path, kibibytes: u64, options: &str) -> Served {
    let script = format!(
        "trap '' XFSZ; ulimit -S -f {kibibytes}; exec {} serve --listen 127.0.0.1:0 {options} \
         --data-dir {}",
        env!("CARGO_BIN_EXE_babelmq"),
        directory.display()
    );
    Served::start(Command::new("bash").args(["-c", &script]))
}

/// A broker on a disk of 14 MiB; or, where nothing can be mounted, one whose files may have 10 MiB.
struct Small {
    broker: Served,
    log: Log,
    directory: PathBuf,
    disk: Option<Disk>,
}

impl Small {
    fn serve(name: &str, options: &[&str]) -> Small {
        let disk = Disk::mounted(name, 14);
        let directory = disk.as_ref().map_or_else(|| scratch(name), |disk| disk.0.join("data"));
        let mut broker = match &disk {
            Some(_) => serve(&directory, options),
            None => serve_limited(&directory, 10 << 10, &options.join(" ")),
        };
        Small { log: Log::of(&mut broker), broker, directory, disk }
    }

    /// Enough has been freed. A limit of each file is no disk that is shared with what is kept
    /// aside: it is lifted.
    fn has_room(&self) {
        if self.disk.is_none() {
            let limit = ["--pid", &self.broker.id(), "--fsize=unlimited"];
            assert!(Command::new("prlimit").args(limit).status().unwrap().success());
        }
    }

    /// Stops the broker, and starts it again.
    fn again(self) -> (Served, Option<Disk>) {
        self.broker.signal("TERM");
        assert_eq!(self.broker.end().0, Some(0));
        (serve(&self.directory, &[]), self.disk)
    }
}

/// A disk that the broker has filled itself, with values of so many bytes, serves again when they
/// are cleared.
fn recovers(name: &str, options: &[&str], bytes: usize) {
    let small = Small::serve(name, options);
    let mut client = Client::to(small.broker.address);
    client.publish(Json, "kept", b"1");
    client.publish(Json, "cleared", b"1");
    let count = (20 << 20) / bytes;
    let value = format!("\"{}\"", "x".repeat(bytes));
    for n in 0..count {
        client.publish(Json, &format!("t/{n}"), value.as_bytes());
        if n % 256 == 0 {
            client.command(Json, &[("command", Field::Str("ping"))]);
            client.next();
        }
    }
    small.log.says("cannot write to");
    client.publish(Json, "kept", b"2");
    clear(&mut client, "cleared");
    for n in 0..count {
        clear(&mut client, &format!("t/{n}"));
    }
    client.publish(Json, "new", b"3");
    small.has_room();
    small.log.says("can be written to again");
    let reserve = small.directory.join("reserve");
    let (broker, _disk) = small.again();
    let mut client = Client::to(broker.address);
    let found: Vec<_> = client
        .subscribe(Json, "#")
        .iter()
        .map(|value| (value.field("topic"), value.message()))
        .collect();
    assert_eq!(found, [("kept".into(), "2".into()), ("new".into(), "3".into())]);
    assert!(reserve.exists(), "space is kept aside for the next time as well");
}

#[test]
fn a_disk_that_the_broker_filled_is_used_again_when_topics_are_cleared_always() {
    recovers("recovers-always", &["--fsync", "always"], 10_000);
}

#[test]
fn a_disk_that_the_broker_filled_is_used_again_when_topics_are_cleared_interval() {
    recovers("recovers-interval", &["--fsync-interval", "100ms"], 10_000);
}

#[test]
fn a_disk_that_the_broker_filled_is_used_again_when_topics_are_cleared_never() {
    recovers("recovers-never", &["--fsync", "never", "--fsync-interval", "100ms"], 10_000);
}

#[test]
fn a_disk_that_the_broker_filled_with_large_values_is_used_again() {
    recovers("recovers-large", &["--fsync-interval", "100ms"], 1_000_000);
}

#[test]
fn a_disk_that_the_broker_filled_with_small_values_is_used_again() {
    recovers("recovers-small", &["--fsync-interval", "100ms"], 200);
}

#[test]
fn a_disk_that_the_broker_filled_with_values_larger_than_what_is_kept_aside_is_used_again() {
    recovers("recovers-larger", &["--fsync-interval", "100ms"], 5_000_000);
}

/// The stop comes before the store has had time to try again.
#[test]
fn a_full_disk_is_cleared_by_a_broker_that_stops_at_once() {
    let small = Small::serve("stops", &["--fsync-interval", "100ms"]);
    let mut client = Client::to(small.broker.address);
    let value = format!("\"{}\"", "x".repeat(10_000));
    for n in 0..2_000 {
        client.publish(Json, &format!("t/{n}"), value.as_bytes());
    }
    client.flush(Json);
    small.log.says("cannot write to");
    for n in 0..2_000 {
        clear(&mut client, &format!("t/{n}"));
    }
    client.flush(Json);
    small.has_room();
    let (broker, _disk) = small.again();
    assert_eq!(Client::to(broker.address).subscribe(Json, "#").len(), 0);
}

/// Values that are shortened free space as those do that are cleared, and a part of them is enough.
#[test]
fn a_full_disk_takes_shorter_values_and_needs_no_more_than_room() {
    let small = Small::serve("shorter", &["--fsync-interval", "100ms"]);
    let mut client = Client::to(small.broker.address);
    let value = format!("\"{}\"", "x".repeat(10_000));
    let count = 1_200;
    for n in 0..count {
        client.publish(Json, &format!("t/{n}"), value.as_bytes());
    }
    client.flush(Json);
    small.log.says("cannot write to");
    for n in 0..count {
        match n % 4 {
            0 => client.publish(Json, &format!("t/{n}"), b"1"),
            3 => {}
            _ => clear(&mut client, &format!("t/{n}")),
        }
    }
    small.has_room();
    small.log.says("can be written to again");
    let (broker, _disk) = small.again();
    let found = Client::to(broker.address).subscribe(Json, "t");
    let short = found.iter().filter(|value| value.message() == "1").count();
    assert_eq!((short, found.len()), (count / 4, count / 2));
}

/// What could not be saved is counted when the broker stops, and the exit code says that there was
/// something.
#[test]
fn a_stop_that_cannot_save_says_what_is_lost() {
    let directory = scratch("stop-unsaved");
    let broker = serve_limited(&directory, u64::MAX >> 20, "--fsync always");
    let mut client = Client::to(broker.address);
    for n in 0..5 {
        client.publish(Json, &format!("t/{n}"), b"1");
    }
    client.flush(Json);
    let limit = ["--pid", &broker.id(), "--fsize=4096:unlimited"];
    assert!(Command::new("prlimit").args(limit).status().unwrap().success());
    for n in 0..3 {
        client.publish(Json, &format!("t/{n}"), b"2");
    }
    clear(&mut client, "t/3");
    client.command(Json, &[("command", Field::Str("ping"))]);
    client.next().refuses("storage-failed", false);
    broker.signal("TERM");
    let (code, _, stderr) = broker.end();
    assert_eq!(code, Some(8), "{stderr}");
    let said = stderr.lines().last().unwrap();
    for part in
        ["babelmq: ", "3 values and 1 clear were not saved, and are lost", "cannot write to"]
    {
        assert!(said.contains(part), "no {part:?} in {stderr}");
    }
    let logged =
        stderr.lines().filter(|line| line.contains("3 values and 1 clear were not saved")).count();
    assert_eq!(logged, 2, "in the log, and at the end: {stderr}");
    // What was there before still is.
    let broker = serve(&directory, &[]);
    let found = Client::to(broker.address).subscribe(Json, "t");
    assert_eq!(found.iter().map(|value| value.message()).collect::<Vec<_>>(), ["1"; 5]);
}

/// A disk without room for a file: nothing is made of it, and when there is room the next start
/// makes it.
#[test]
fn a_first_start_on_a_full_disk_leaves_nothing_half_made() {
    let disk = Disk::mounted("first", 4);
    let (scratch, full) = (scratch("first-full"), disk.as_ref().map(|disk| disk.0.join("filler")));
    let directory = disk.as_ref().map_or(scratch.join("data"), |disk| disk.0.join("data"));
    let path = directory.to_str().unwrap();
    let lines = scratch.join("x.ndjson");
    let value = "x".repeat(200_000);
    let line = |n: u32| {
        format!("{{\"topic\":\"t/{n}\",\"format\":\"json\",\"payload\":\"\\\"{value}\\\"\"}}\n")
    };
    fs::write(&lines, (0..40).map(line).collect::<String>()).unwrap();
    // So many KiB are free; and in the place of a disk, so long may a file become.
    for free in [0, 4, 8, 100, 1_000, 2_000] {
        if let Some(filler) = &full {
            let size = (4 << 20) - (free << 10);
            // As much of it as fits: the file system has its own needs.
            let _ = fs::write(filler, vec![0; size]);
        }
        let lines = lines.to_str().unwrap();
        for command in ["serve", "import"] {
            let command = match command {
                "import" => format!("import {path} {lines}"),
                // It cannot listen there, so that one that could start ends as well.
                _ => {
                    format!("serve --listen tcp://192.0.2.1:1 --allow-anonymous --data-dir {path}")
                }
            };
            let limit = if disk.is_some() { "unlimited".to_owned() } else { free.to_string() };
            let script = format!(
                "trap '' XFSZ; ulimit -f {limit}; exec {} {command}",
                env!("CARGO_BIN_EXE_babelmq")
            );
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(1),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(!directory.join("last-values.redb.new").exists(), "{free}: {command}");
        }
        if let Some(filler) = &full {
            fs::remove_file(filler).unwrap();
        }
        let broker = serve(&directory, &[]);
        assert_eq!(Client::to(broker.address).subscribe(Json, "#").len(), 0);
        broker.signal("TERM");
        assert_eq!(broker.end().0, Some(0));
        assert_eq!(run(&["export", path]), (Some(0), String::new(), String::new()));
        fs::remove_dir_all(&directory).unwrap();
    }
}
