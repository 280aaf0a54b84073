//! The streams that shared topics need, from a shell.

use super::run;
use crate::support::authority::Authority;
use crate::support::nats::NatsServer;

/// What a command ends with and prints, each line with single spaces.
fn backbone(server: &NatsServer, words: &str) -> (Option<i32>, Vec<String>) {
    let url = server.url();
    let shared = ["--backbone", &url, "--shared", "orders/#", "--shared", "eu=/plant/+"];
    let all: Vec<&str> = ["backbone"].into_iter().chain(words.split(' ')).chain(shared).collect();
    let (code, stdout, stderr) = run(&all);
    assert_eq!(stderr, "", "{words}");
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (code, stdout.lines().map(squeezed).collect())
}

#[test]
fn streams_are_made_once_and_differ_until_they_are_changed() {
    let server = NatsServer::start();
    let (code, lines) = backbone(&server, "check");
    let head = ["server version max payload cluster state"];
    let titles = "stream state messages bytes replicas";
    assert_eq!((code, &lines[..1]), (Some(2), &head.map(str::to_owned)[..]));
    assert!(lines[1].starts_with(&server.url()) && lines[1].ends_with(" 1.00 MiB good"));
    assert_eq!(lines[2..], [titles, "orders missing 0 0 B", "eu missing 0 0 B"]);

    let (code, lines) = backbone(&server, "create --age 7d --bytes 1GiB");
    assert_eq!(
        (code, &lines[2..]),
        (Some(0), &rows(&["orders made 0 0 B 1", "eu made 0 0 B 1"])[..])
    );
    let good = rows(&["orders good 0 0 B 1", "eu good 0 0 B 1"]);
    // What is not said stays.
    for words in ["create", "check", "check --age 7d", "create --replicas 1"] {
        let (code, lines) = backbone(&server, words);
        assert_eq!((code, &lines[2..]), (Some(0), &good[..]), "{words}");
    }
    let (code, lines) =
        backbone(&server, "check --age 1h --messages 7 --full refuse --per-topic 1");
    assert_eq!((code, lines[3].as_str()), (Some(2), "orders differs 0 0 B 1"));
    assert_eq!(
        lines[5..10],
        [
            "stream differs is wanted",
            "orders max-age 7d 1h",
            "orders max-msgs no limit 7",
            "orders max-msgs-per-subject no limit 1",
            "orders discard old new",
        ]
    );
    let (code, lines) = backbone(&server, "create --age 1h --messages 7 --full refuse");
    assert_eq!((code, lines[3].as_str(), lines.len()), (Some(0), "orders changed 0 0 B 1", 5));
    let wide = run(&["backbone", "create", "--backbone", &server.url(), "--shared", "a=+/x"]);
    assert!(wide.0 == Some(1) && wide.2.contains("as in orders/#"), "{}", wide.2);
    // One server cannot have three replicas, and says so.
    let url = server.url();
    let many = ["--backbone", &url, "--shared", "orders/#", "--replicas", "3"];
    let (code, stdout, stderr) = run(&[&["backbone", "create"], &many[..]].concat());
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("the stream orders cannot be changed") && stderr.contains("replicas"));
}

fn rows(rows: &[&str]) -> Vec<String> {
    let titles = "stream state messages bytes replicas";
    [titles].iter().chain(rows).map(|row| (*row).to_owned()).collect()
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let nobody = "nats://ada:secret@127.0.0.1:1";
    let wanted = ["backbone", "check", "--shared", "orders/#"];
    let (code, stdout, stderr) = run(&[&wanted[..], &["--backbone", nobody]].concat());
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("nats://127.0.0.1:1 (") && !stderr.contains("secret"), "{stderr}");
    assert_eq!(run(&wanted).0, Some(2));
    assert_eq!(run(&[&wanted[..], &["--backbone", "http://a"]].concat()).0, Some(2));
}

#[test]
fn a_server_with_tls_is_known_by_its_authority() {
    let authority = Authority::new();
    let files = authority.issue("nats", &["localhost"]);
    let [cert, key] = [&files.cert, &files.key].map(|path| path.display().to_string());
    let tls = format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}");
    let server = NatsServer::start_with(&[&tls]);
    let ca = authority.ca().display().to_string();
    let url = server.url().replace("127.0.0.1", "localhost");
    let at = |url: &str, ca: &[&str]| {
        let made = ["backbone", "create", "--shared", "orders/#", "--backbone", url];
        run(&[&made[..], ca].concat())
    };
    for url in [&url, &url.replace("nats:", "tls:")] {
        assert_eq!(at(url, &["--backbone-ca", &ca]).0, Some(0));
        // Nobody else has signed it.
        let (code, _, stderr) = at(url, &[]);
        assert!(code == Some(1) && stderr.contains("certificate"), "{stderr}");
    }
    // Who names an authority does not speak in the clear, whatever the server offers.
    let plain = NatsServer::start();
    let (code, _, stderr) = at(&plain.url(), &["--backbone-ca", &ca]);
    assert_eq!(code, Some(1), "{stderr}");
}
