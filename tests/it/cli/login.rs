//! The commands with addresses that are URLs, with TLS, and with a login.
#![cfg(feature = "tls")]

use std::fs;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use babelmq::Format::Json;
use babelmq::{Broker, ListenUrl};

use super::terminal::Terminal;
use super::{Served, babelmq, fails, run, scratch};
use crate::support::authority::Authority;
use crate::support::{self, Client, config};

/// A broker that takes one login and answers one ping, or says this and ends.
fn fake(refusal: Option<&'static str>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let mut peer = Client::of(listener.accept().unwrap().0);
        let login = peer.next().text().to_owned();
        if let Some(code) = refusal {
            let said = format!(
                r#"{{"command":"error","code":"{code}","reason":"that is why","fatal":true}}"#
            );
            peer.send(Json, said.as_bytes());
            peer.finish_sending();
            while peer.next_or_end().is_some() {}
            return login;
        }
        peer.send(Json, br#"{"command":"welcome","user":"ada","server":"0.1.0"}"#);
        while let Some(frame) = peer.next_or_end() {
            if frame.field("command") == "ping" {
                peer.send(Json, br#"{"command":"pong","id":1}"#);
            }
        }
        login
    });
    (address, served)
}

const ADA: &str = r#"{"command":"login","user":"ada","password":"s3cret"}"#;
const TOKEN: &str = r#"{"command":"login","token":"s3cret"}"#;

/// The login that `check` sends with these arguments and these variables.
fn logged_in(
    arguments: &[&str],
    variables: &[(&str, &str)],
    address_in: fn(&str) -> String,
) -> String {
    let (address, served) = fake(None);
    let address = address_in(&address);
    let mut command = babelmq(&[&["check"], arguments].concat());
    command.env("BABELMQ_ADDR", &address);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("OK: ") && !said.contains("s3cret"), "{said}");
    served.join().unwrap()
}

#[test]
fn a_login_comes_from_a_file_or_the_environment() {
    let folder = scratch("login");
    let file = folder.join("secret");
    fs::write(&file, "s3cret\n").unwrap();
    let file = file.to_str().unwrap();
    let plain = |address: &str| address.to_owned();
    let (user, password) = (("BABELMQ_USER", "ada"), ("BABELMQ_PASSWORD", "s3cret"));
    let token = ("BABELMQ_TOKEN", "s3cret");
    let named = ["--user", "ada", "--password-file", file];
    assert_eq!(logged_in(&named, &[], plain), ADA);
    assert_eq!(logged_in(&["--token-file", file], &[], plain), TOKEN);
    assert_eq!(logged_in(&["--token-file", file], &[user, password], plain), TOKEN);
    assert_eq!(logged_in(&["--user", "ada"], &[password, token], plain), ADA);
    assert_eq!(logged_in(&[], &[user, password], plain), ADA);
    assert_eq!(logged_in(&[], &[token], plain), TOKEN);
    let with_user = |address: &str| format!("babelmq://ada@{address}");
    assert_eq!(logged_in(&["--password-file", file], &[], with_user), ADA);
    assert_eq!(logged_in(&[], &[password], with_user), ADA);
    let with_all = |address: &str| format!("babelmq://ada:s3cret@{address}");
    assert_eq!(logged_in(&[], &[token], with_all), ADA);
    // For an address that is an argument as well.
    let (address, served) = fake(None);
    let address = format!("babelmq://ada@{address}");
    let mut command = babelmq(&["check", "--addr", &address]);
    assert!(command.env(password.0, password.1).status().unwrap().success());
    assert_eq!(served.join().unwrap(), ADA);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_password_is_no_argument() {
    for command in [&["get", "/t"][..], &["pub", "/t", "1"], &["sub", "/t"], &["check"]] {
        for address in ["babelmqs://ada:s3cret@broker.example", "ada:s3cret@h", "x://a:s3cret@h"] {
            let (code, stdout, stderr) = run(&[command, &["--address", address]].concat());
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
            assert!(!stderr.contains("s3cret"), "{stderr}");
            for way in ["BABELMQ_PASSWORD", "--password-file", "BABELMQ_ADDR"] {
                assert!(stderr.contains(way), "{stderr}");
            }
        }
    }
    assert_eq!(run(&["check", "--password", "s3cret"]).0, Some(2));
}

#[test]
fn what_cannot_be_is_said_before_anybody_is_asked() {
    let folder = scratch("login-wrong");
    let (secret, empty) = (folder.join("secret"), folder.join("empty"));
    fs::write(&secret, "s3cret").unwrap();
    fs::write(&empty, "").unwrap();
    let (secret, empty) = (secret.to_str().unwrap(), empty.to_str().unwrap());
    for (arguments, code, parts) in [
        (&["--user", "ada"][..], 2, &["\"ada\" has no password", "BABELMQ_PASSWORD"][..]),
        (&["--password-file", secret], 2, &["a password needs its user"]),
        (&["--user", "ada", "--password-file", empty], 2, &["the password from", "is empty"]),
        (&["--token-file", empty], 2, &["the token from", "is empty"]),
        (&["--token-file", "/no/file"], 1, &["/no/file"]),
        (
            &["--address", "babelmq://192.0.2.1", "--token-file", secret],
            2,
            &["would cross the network in plain", "babelmqs://192.0.2.1"],
        ),
        (&["--address", "nowhere"], 2, &["\"nowhere\" is not an address"]),
        (&["--address", "tls://h:1"], 2, &["the scheme \"tls\" is unknown", "babelmqs://"]),
        (&["--address", "h:1", "--ca", "ca.pem"], 2, &["ca is for TLS", "babelmqs://h:1"]),
        (&["--address", "babelmqs://h:1", "--ca", "/no/ca.pem"], 2, &["/no/ca.pem"]),
    ] {
        fails(&[&["get", "/t"], arguments].concat(), "", code, parts);
    }
    assert_eq!(run(&["get", "/t", "--user", "ada", "--token-file", secret]).0, Some(2));
    let mut command = babelmq(&["get", "/t"]);
    let output = command.env("BABELMQ_ADDR", "babelmq://ada:s3cret@h/x").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("BABELMQ_ADDR: ") && !said.contains("s3cret"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_person_is_asked_for_the_password() {
    let (address, served) = fake(None);
    let address = format!("babelmq://ada@{address}");
    let mut terminal = Terminal::run(&["check", "--address", &address]);
    terminal.shows("Password of ada: ");
    terminal.press("s3cret\n");
    let (said, code) = terminal.end();
    assert!(said.contains("OK: ") && !said.contains("s3cret"), "{said}");
    assert_eq!((code, served.join().unwrap().as_str()), (Some(0), ADA));
}

#[test]
fn a_login_that_is_refused_has_a_code_of_its_own() {
    let folder = scratch("login-refused");
    let file = folder.join("secret");
    fs::write(&file, "s3cret").unwrap();
    let file = file.to_str().unwrap();
    for command in [&["get", "/t"][..], &["pub", "/t", "1"], &["sub", "/t"], &["topics"]] {
        let (address, served) = fake(Some("login-failed"));
        let login = ["--address", &address, "--user", "ada", "--password-file", file];
        let parts = ["does not let this client in: login-failed: that is why", &address];
        fails(&[command, &login].concat(), "", 5, &parts);
        assert_eq!(served.join().unwrap(), ADA);
        let (address, served) = fake(Some("login-required"));
        let parts = ["login-required: that is why", "--token-file", "BABELMQ_USER"];
        fails(&[command, &["--address", &address]].concat(), "", 5, &parts);
        served.join().unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_may_be_seen_in_part_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let mut peer = Client::of(listener.accept().unwrap().0);
        peer.next();
        peer.send(Json, br#"{"command":"subscribed","topic":"/t","values":0,"limited":true}"#);
        peer.publish(Json, "/t", b"1");
        peer.next_or_end()
    });
    let (code, stdout, stderr) = run(&["sub", "/t", "-n", "1", "--address", &address]);
    assert_eq!((code, stdout.as_str()), (Some(0), "/t 1\n"));
    assert_eq!(stderr, "babelmq: only a part of /t may be seen, and comes\n");
    served.join().unwrap();
}

#[test]
fn addresses_are_urls() {
    let broker = Served::start(&[]);
    let url = format!("babelmq://{}", broker.text);
    assert_eq!(run(&["pub", "/t", "1", "--address", &url]).0, Some(0));
    let (_, printed, _) = run(&["get", "/t", "-a", &url]);
    assert_eq!(printed, "1\n");
    let place = std::env::temp_dir().join(format!("babelmq-url-{}.sock", std::process::id()));
    let listener: ListenUrl = format!("unix:{}", place.display()).parse().unwrap();
    let broker = Broker::start(config().listeners([listener])).unwrap();
    broker.put_topic("/t", &2.into()).unwrap();
    let (_, printed, _) = run(&["get", "/t", "--address", &format!("unix:{}", place.display())]);
    assert_eq!(printed, "2\n");
    broker.shutdown();
}

#[test]
fn commands_talk_to_a_broker_with_tls() {
    let authority = Authority::new();
    let files = authority.issue("broker", &["localhost"]);
    let listener: ListenUrl = "tls://127.0.0.1:0".parse().unwrap();
    let broker = Broker::start(config().listeners([listener]).tls(files)).unwrap();
    let address = format!("babelmqs://localhost:{}", broker.local_addr().port());
    let ca = authority.ca();
    let ca = ca.to_str().unwrap();
    let at = ["--address", &address, "--ca", ca];
    let with = |arguments: &[&str]| run(&[arguments, &at[..]].concat());
    assert_eq!(with(&["pub", "/t", "{\"a\": 1}"]).0, Some(0));
    assert_eq!(with(&["get", "/t"]).1, "{\"a\": 1}\n");
    assert_eq!(with(&["topics", "--values"]).1, "/t {\"a\": 1}\n");
    assert_eq!(with(&["sub", "/t", "-n", "1"]).1, "/t {\"a\": 1}\n");
    assert_eq!(with(&["bench", "-n", "1000", "--pubs", "2", "--subs", "2"]).0, Some(0));
    assert!(with(&["top", "--json"]).1.contains("\"published\""));
    assert_eq!(with(&["clear", "/t"]).0, Some(0));
    assert!(with(&["check"]).1.starts_with(&format!("OK: the broker on {address} answers")));
    // The CA from the environment, or in the place of the system's.
    for variable in ["BABELMQ_CA", "SSL_CERT_FILE"] {
        let mut command = babelmq(&["check"]);
        command.env("BABELMQ_ADDR", &address).env(variable, ca);
        assert!(command.status().unwrap().success(), "{variable}");
    }
    let parts = ["the certificate of babelmqs://localhost", "its CA is not trusted"];
    fails(&["get", "/t", "--address", &address], "", 3, &parts);
    let plain = support::start();
    let address = format!("babelmqs://{}", plain.local_addr());
    let parts =
        [&*address, "no TLS connection came about", "without TLS the address is babelmq://"];
    fails(&["get", "/t", "--address", &address, "--ca", ca], "", 3, &parts);
}
