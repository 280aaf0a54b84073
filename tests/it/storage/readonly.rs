//! A data directory that becomes read-only. A user's permissions do not stop root, so it is a mount
//! that says no.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use babelmq::Format::Json;

use super::directory::serve_limited;
use super::{run, scratch, serve};
use crate::support::{Client, Field};

/// A file system over a directory, and what lies over it. It is gone when this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where this user may not mount.
    fn new(arguments: &[&str], directory: &Path) -> Option<Mounted> {
        let mounted = Command::new("mount").args(arguments).arg(directory).output();
        match mounted {
            Ok(done) if done.status.success() => Some(Mounted(directory.to_owned())),
            other => {
                eprintln!("not tried, since nothing can be mounted: {other:?}");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(&self.0).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What still reads there goes on, and nobody else comes in.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn ping(client: &mut Client) -> crate::support::Frame {
    client.command(Json, &[("command", Field::Str("ping"))]);
    client.next()
}

/// The limit of a process for its files stands for a disk that fails: the broker has to open its
/// file anew then.
fn limit(broker: &str, bytes: &str) {
    let done =
        Command::new("prlimit").args(["--pid", broker, &format!("--fsize={bytes}")]).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_directory_that_is_read_only_is_said_at_the_start_and_can_be_read() {
    let directory = scratch("read-only");
    let Some(mounted) = Mounted::new(&["-t", "tmpfs", "tmpfs"], &directory) else { return };
    let path = directory.to_str().unwrap();
    let broker = serve(&directory, &[]);
    Client::to(broker.address).publish(Json, "t", b"1");
    Client::to(broker.address).flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    mounted.remount("remount,ro");
    let fresh = directory.join("fresh");
    for data_dir in [path, fresh.to_str().unwrap()] {
        let (code, stdout, stderr) =
            run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        for part in [data_dir, "Read-only file system"] {
            assert!(stderr.contains(part), "no {part:?} in {stderr}");
        }
    }
    for arguments in [
        &["export", path] as &[&str],
        &["export", "--damaged", path],
        &["topics", "--data-dir", path],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert!(code == Some(0) && stdout.contains('t'), "{arguments:?}: {stderr}");
    }
    mounted.remount("remount,rw");
    let broker = serve(&directory, &[]);
    assert_eq!(Client::to(broker.address).subscribe(Json, "t").len(), 1);
}

/// The broker goes on through the file that it has open; where it has to open it anew and cannot,
/// it says so, goes on from memory, and writes everything when it can.
#[test]
fn a_directory_that_becomes_read_only_under_a_broker_costs_nothing() {
    let directory = scratch("becomes-read-only");
    let Some(_tmpfs) = Mounted::new(&["-t", "tmpfs", "tmpfs"], &directory) else { return };
    let mut broker = serve_limited(&directory, "unlimited");
    let mut client = Client::to(broker.address);
    client.publish(Json, "before", b"1");
    client.flush(Json);
    let path = directory.to_str().unwrap();
    let over = Mounted::new(&["--bind", path], &directory).unwrap();
    over.remount("remount,bind,ro");
    assert!(fs::write(directory.join("x"), "").is_err(), "it is read-only");

    client.publish(Json, "open", b"2");
    assert_eq!(ping(&mut client).field("command"), "pong", "it is in the file that is open");
    client.command(Json, &[("command", Field::Str("backup"))]);
    let refused = client.next();
    refused.refuses("storage-failed", false);
    assert!(
        refused.field("reason").contains("Read-only file system"),
        "{}",
        refused.field("reason")
    );

    limit(&broker.id(), "4096:unlimited");
    client.publish(Json, "during", b"3");
    ping(&mut client).refuses("storage-failed", false);
    limit(&broker.id(), "unlimited:unlimited");
    let refused = loop {
        let answer = ping(&mut client);
        answer.refuses("storage-failed", false);
        if answer.field("reason").contains("Read-only file system") {
            break answer;
        }
    };
    assert!(
        refused.field("reason").contains("must be able to write there"),
        "{}",
        refused.field("reason")
    );
    assert_eq!(client.subscribe(Json, "#").len(), 3, "it serves from memory");
    let said = broker.log().find(|line| line.contains("going on from memory")).unwrap();
    assert!(said.contains("last-values.redb"), "{said}");

    drop(over);
    while ping(&mut client).field("command") != "pong" {}
    broker.signal("KILL");
    drop(broker);
    let broker = serve(&directory, &[]);
    assert_eq!(Client::to(broker.address).subscribe(Json, "#").len(), 3);
}
