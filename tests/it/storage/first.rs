//! The first start of a data directory, and what becomes of one whose file is lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use babelmq::Format::Json;

use super::{babelmq, run, scratch, serve};
use crate::support::Client;
use crate::support::served::Served;

const FILE: &str = "last-values.redb";
const MARKER: &str = "babelmq.directory";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A directory with one value, and the path as an argument.
fn with_a_value(name: &str) -> PathBuf {
    let directory = scratch(name);
    let broker = serve(&directory, &[]);
    let mut client = Client::to(broker.address);
    client.publish(Json, "a", b"1");
    client.flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    directory
}

/// Every command that opens the directory refuses it, and says what was lost and what to do.
#[track_caller]
fn is_refused(directory: &Path, what: &str) {
    let path = directory.to_str().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", path];
    let topics = ["topics", "--data-dir", path];
    let all: [&[&str]; 6] = [
        &serve,
        &["export", path],
        &["export", "--damaged", path],
        &["import", path],
        &["compact", path],
        &topics,
    ];
    for arguments in all {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        for part in [what, FILE, MARKER, "restore it from a backup", "to begin with nothing"] {
            // What `compact` needs first is the length of the file.
            let says = stderr.contains(part) || arguments[0] == "compact" && stderr.contains(FILE);
            assert!(says, "no {part:?} in {arguments:?}: {stderr}");
        }
    }
}

#[test]
fn a_file_of_no_bytes_is_no_first_start() {
    let directory = with_a_value("no-bytes");
    fs::write(directory.join(FILE), "").unwrap();
    is_refused(&directory, "is empty (0 bytes)");
    assert_eq!(fs::metadata(directory.join(FILE)).unwrap().len(), 0, "it is left as it is");
    // A broker of before has left no marker.
    fs::remove_file(directory.join(MARKER)).unwrap();
    is_refused(&directory, "is empty (0 bytes)");
}

#[test]
fn a_file_that_is_lost_is_no_first_start_until_the_marker_is_removed() {
    let directory = with_a_value("lost");
    fs::remove_file(directory.join(FILE)).unwrap();
    is_refused(&directory, "is missing");
    assert!(!directory.join(FILE).exists());
    fs::remove_file(directory.join(MARKER)).unwrap();
    let broker = serve(&directory, &[]);
    assert_eq!(Client::to(broker.address).subscribe(Json, "#").len(), 0);
}

#[test]
fn a_directory_of_before_gets_its_marker() {
    let directory = with_a_value("before");
    fs::remove_file(directory.join(MARKER)).unwrap();
    let broker = serve(&directory, &[]);
    assert_eq!(Client::to(broker.address).subscribe(Json, "#").len(), 1);
    assert!(directory.join(MARKER).exists());
}

/// A broker with another umask, started in a directory's parent.
fn serve_with_umask(umask: &str, directory: &Path) -> Served {
    let script = format!(
        "umask {umask}; exec {} serve --listen 127.0.0.1:0 --data-dir {}",
        env!("CARGO_BIN_EXE_babelmq"),
        directory.display()
    );
    Served::start(Command::new("bash").args(["-c", &script]))
}

#[test]
fn what_is_kept_is_for_its_owner_whatever_the_umask() {
    for umask in ["000", "022", "077", "0177"] {
        let above = scratch(&format!("umask-{umask}")).join("above");
        let directory = above.join("data");
        let broker = serve_with_umask(umask, &directory);
        let mut client = Client::to(broker.address);
        client.publish(Json, "a", b"1");
        client.flush(Json);
        assert_eq!((mode(&above), mode(&directory)), (0o700, 0o700), "umask {umask}");
        let mut files = 0;
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            // Streams have a folder.
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "umask {umask}: {}", path.display());
            files += 1;
        }
        assert!(files >= 2, "{files}");
    }
}

#[test]
fn a_directory_that_others_can_look_into_is_accepted_and_said() {
    let directory = scratch("wide");
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let mut broker = serve(&directory, &[]);
    let said = broker.log().find(|line| line.contains("mode 755")).unwrap();
    assert!(said.contains("chmod 700"), "{said}");
    assert_eq!(mode(&directory), 0o755, "it is left as it is");
}

/// The answer to a ping.
fn ping(client: &mut Client) -> crate::support::Frame {
    client.command(Json, &[("command", crate::support::Field::Str("ping"))]);
    client.next()
}

#[test]
fn a_directory_that_is_deleted_or_replaced_under_a_broker_confirms_nothing() {
    for replaced in [false, true] {
        let directory = scratch(&format!("gone-{replaced}")).join("data");
        let mut broker = serve(&directory, &["--fsync", "always"]);
        let mut client = Client::to(broker.address);
        client.publish(Json, "a", b"1");
        assert_eq!(ping(&mut client).field("command"), "pong");
        let away = directory.with_file_name("away");
        fs::rename(&directory, &away).unwrap();
        if replaced {
            fs::create_dir(&directory).unwrap();
            fs::copy(away.join(FILE), directory.join(FILE)).unwrap();
        }
        client.publish(Json, "b", b"2");
        let refused = ping(&mut client);
        refused.refuses("storage-failed", false);
        let reason = refused.field("reason");
        assert!(reason.contains("deleted or replaced under the broker"), "{reason}");
        let said = broker.log().find(|line| line.contains("cannot write to")).unwrap();
        assert!(said.contains("deleted or replaced under the broker"), "{said}");
        // Nothing more is confirmed, even where nothing more is published.
        ping(&mut client).refuses("storage-failed", false);
        // It is put back, and nothing is missing.
        if replaced {
            fs::remove_dir_all(&directory).unwrap();
        }
        fs::rename(&away, &directory).unwrap();
        while ping(&mut client).field("command") != "pong" {}
        broker.signal("KILL");
        drop(broker);
        assert_eq!(Client::to(serve(&directory, &[]).address).subscribe(Json, "#").len(), 2);
    }
}

/// Killed at any moment of its first start, a broker leaves what the next start accepts.
#[test]
fn a_first_start_that_is_killed_leaves_nothing_half_made() {
    let scratch = scratch("killed-first");
    for kill in 0..60 {
        let directory = scratch.join(kill.to_string());
        let path = directory.to_str().unwrap();
        let mut first = babelmq(&["serve", "--listen", "127.0.0.1:0", "--data-dir", path]);
        let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment of the kill is what is tried; nothing is waited for.
        thread::sleep(Duration::from_micros(kill * 333));
        first.kill().unwrap();
        first.wait().unwrap();
        let broker = serve(&directory, &[]);
        let mut client = Client::to(broker.address);
        client.publish(Json, "a", b"1");
        client.flush(Json);
        broker.signal("TERM");
        assert_eq!(broker.end().0, Some(0), "kill {kill}");
        assert!(!directory.join(format!("{FILE}.new")).exists(), "what was left is cleared away");
    }
}

#[test]
fn a_file_that_was_being_made_is_begun_again() {
    let directory = scratch("half-made");
    for bytes in [&b""[..], b"half of a file"] {
        fs::write(directory.join(format!("{FILE}.new")), bytes).unwrap();
        let broker = serve(&directory, &[]);
        assert_eq!(Client::to(broker.address).subscribe(Json, "#").len(), 0);
        assert!(!directory.join(format!("{FILE}.new")).exists());
    }
}
