//! `babelmq serve`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Command;

use babelmq::Format::Json;

use super::{Served, babelmq, run};
use crate::support::{Client, number};

#[test]
fn one_line_says_where_and_a_signal_ends_it_with_what_was_accepted_written_out() {
    for signal in ["TERM", "INT"] {
        let served = Served::start(&[]);
        assert_ne!(served.address.port(), 0);
        let mut consumer = Client::to(served.address);
        consumer.subscribe(Json, "/t");
        let mut producer = Client::to(served.address);
        let filler = format!("\"{}\"", "x".repeat(10_000));
        for count in 0..500 {
            producer.publish(Json, "/t", &number(Json, count));
            producer.publish(Json, "/t/filler", filler.as_bytes());
        }
        producer.flush(Json);
        // 5 MB of it are on their way, and the consumer has read nothing yet.
        served.signal(signal);
        for count in 0..500 {
            assert_eq!(consumer.next().number(), count);
            assert_eq!(consumer.next().message().len(), filler.len());
        }
        consumer.ends();
        producer.ends();
        let (code, rest, log) = served.end();
        assert_eq!((code, rest.as_str()), (Some(0), ""), "{log}");
    }
}

#[test]
fn a_signal_comes_when_nobody_is_connected() {
    let served = Served::start(&[]);
    served.signal("TERM");
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn the_limits_are_those_of_the_command_line() {
    let served = Served::start(&["--max-frame", "1KiB", "--max-connections", "1"]);
    let mut client = Client::to(served.address);
    client.is_quiet();
    let mut second = Client::to(served.address);
    second.next().refuses("too-many-connections", true);
    second.ends();
    client.send(Json, &[b' '; 1_025]);
    client.next().refuses("frame-too-large", true);
    client.ends();
    served.signal("INT");
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn an_address_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = run(&["serve", "--listen", &address]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&address) && stderr.contains("in use"), "{stderr}");
}

#[test]
fn several_listeners_are_given_by_flags_the_environment_or_the_file() {
    let folder = super::scratch("listeners");
    let socket = std::env::temp_dir().join(format!("babelmq-cli-{}.sock", std::process::id()));
    let unix = format!("unix:{}", socket.display());
    let first = "tcp://127.0.0.1:0";
    let file = folder.join("b.toml");
    std::fs::write(&file, format!("listen = [{first:?}, {unix:?}]\n")).unwrap();
    let mut flags = babelmq(&["serve", "--listen", first, "--listen", &unix]);
    let mut environment = babelmq(&["serve"]);
    environment.env("BABELMQ_LISTEN", format!("{first},{unix}"));
    let mut file = babelmq(&["serve", "--config", file.to_str().unwrap()]);
    for command in [&mut flags, &mut environment, &mut file] {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listening =
            line.strip_prefix("babelmq listening on ").and_then(|rest| rest.strip_suffix('\n'));
        let (tcp, rest) = listening.unwrap().split_once(", ").unwrap();
        assert_eq!(rest, unix, "{line}");
        Client::to(tcp.parse().unwrap()).is_quiet();
        Client::of_unix(&socket).is_quiet();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!socket.exists(), "the socket goes with the broker");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_broker_that_speaks_http_says_where_its_page_is() {
    let served = Served::start(&["--listen", "http://127.0.0.1:0"]);
    served.signal("TERM");
    let (code, rest, log) = served.end();
    assert_eq!(code, Some(0));
    let page = rest.strip_prefix("babelmq page at http://127.0.0.1:");
    let port = page.and_then(|rest| rest.strip_suffix("/\n"));
    assert!(port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)), "{rest:?}");
    let line = format!("{}\n", rest.trim().trim_start_matches("babelmq "));
    assert!(log.contains(&line), "{log}");

    // One that is no address to go to is told as one that is; several are one line.
    let everywhere = ["serve", "--allow-anonymous", "--listen", "http://0.0.0.0:0"];
    let options = [&everywhere[..], &["--listen", "http://127.0.0.1:0"]].concat();
    let mut child = babelmq(&options).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let line = lines.next().unwrap().unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (first, second) = line.split_once("/, ").unwrap();
    assert!(first.starts_with("babelmq page at http://localhost:"), "{line}");
    assert!(second.starts_with("http://127.0.0.1:") && second.ends_with('/'), "{line}");
}

#[test]
fn wrong_arguments_are_refused_with_a_reason() {
    for arguments in [
        &[][..],
        &["what"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--listen", "127.0.0.1:99999"],
        &["serve", "--listen", "ftp://127.0.0.1:0"],
        &["serve", "--listen", "unix:relative.sock"],
        &["serve", "--max-frame", "0"],
        &["serve", "--max-frame", "1TiB"],
        &["serve", "--max-connections", "-1"],
        &["serve", "--nope"],
        &["serve", "more"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let (code, stdout, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("serve"), "{stdout}");
    let (code, stdout, _) = run(&["serve", "--help"]);
    assert_eq!(code, Some(0));
    for option in ["--listen", "--max-frame", "--max-connections", "127.0.0.1:5000", "16MiB"] {
        assert!(stdout.contains(option), "{option} in {stdout}");
    }
    let (code, stdout, _) = run(&["--version"]);
    // A release says which commit it was built from as well.
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with(concat!("babelmq ", env!("CARGO_PKG_VERSION"))), "{stdout}");
}
