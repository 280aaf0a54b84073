//! `passwd` and `allowed`: a users file is made and asked.

use std::fs;

use babelmq::Format::Json;

use super::terminal::Terminal;
use super::{Served, check, fails, run, run_with, scratch};
use crate::support::Client;

const ROLES: &str = "[role.r]\npublish = ['a/{user}']\nsubscribe = ['a', 'b']\n\
                     deny-subscribe = ['a/secret']\n";

#[test]
fn an_entry_has_the_hash_of_a_password_that_came_by_a_pipe_or_a_file() {
    let folder = scratch("passwd");
    let secret = folder.join("secret");
    fs::write(&secret, "pässword 1\n").unwrap();
    let secret = secret.to_str().unwrap();
    let from_file = run(&["passwd", "ada", "--role", "r", "--password-file", secret]);
    for input in ["pässword 1", "pässword 1\r\n"] {
        let piped = run_with(&["passwd", "ada", "--role", "r"], input.as_bytes());
        for (code, entry, said) in [&piped, &from_file] {
            assert_eq!((*code, said.as_str()), (Some(0), ""));
            assert!(entry.starts_with(
                "[[user]]\nname = \"ada\"\npassword = \"$argon2id$v=19$m=19456,t=2,p=1$"
            ));
            assert!(entry.ends_with("\"\nroles = [\"r\"]\n"), "{entry}");
            let policy = babelmq::access::Policy::parse(&(entry.clone() + ROLES)).unwrap();
            assert!(policy.user_with_password("ada", "pässword 1").is_some());
            assert!(policy.user_with_password("ada", "pässword 1\n").is_none());
        }
        assert_ne!(piped.1, from_file.1, "a salt is new each time");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_token_is_shown_once_and_its_hash_is_in_the_entry() {
    let (code, entry, said) = run(&["passwd", "ci", "--token"]);
    let token = said.trim_end().strip_prefix("the token of ci, which is shown only now: ").unwrap();
    assert_eq!((code, token.len()), (Some(0), 64));
    assert!(!entry.contains(token) && entry.ends_with("roles = []\n"), "{entry}");
    let policy = babelmq::access::Policy::parse(&entry).unwrap();
    assert_eq!(policy.user_with_token(token).map(|user| user.name()), Some("ci"));
    assert_ne!(run(&["passwd", "ci", "--token"]).2, said);
}

#[test]
fn what_is_no_password_makes_no_entry() {
    fails(&["passwd", "ada"], "", 2, &["standard input", "empty"]);
    fails(&["passwd", "ada"], "\n", 2, &["empty"]);
    fails(&["passwd", "ada"], "one\ntwo\n", 2, &["second line"]);
    fails(&["passwd", "ada"], &"x".repeat(1_025), 2, &["longer than 1024"]);
    fails(&["passwd", "ada", "--password-file", "/no/file"], "", 1, &["/no/file"]);
    for name in ["", "anonymous", "a\tb"] {
        assert_eq!(run_with(&["passwd", name], b"secret").0, Some(2), "{name:?}");
    }
    // A password is no argument.
    assert_eq!(run(&["passwd", "ada", "secret"]).0, Some(2));
}

#[test]
fn a_terminal_is_asked_twice_and_shows_nothing_of_it() {
    for (again, expected) in [("s3cret\n", Some(0)), ("secret\n", Some(2))] {
        let mut terminal = Terminal::run(&["passwd", "ada"]);
        terminal.shows("Password:");
        terminal.press("s3cret\n");
        terminal.shows("again:");
        terminal.press(again);
        let (said, code) = terminal.end();
        assert_eq!(code, expected, "{said}");
        assert!(!said.contains("s3cret") && !said.contains("secret"), "{said}");
        assert_eq!(said.contains("[[user]]"), expected == Some(0), "{said}");
    }
}

#[test]
fn a_person_who_gives_up_ends_it_by_a_key() {
    let mut terminal = Terminal::run(&["passwd", "ada"]);
    terminal.shows("Password:");
    terminal.press("s3cr\u{3}");
    let (said, code) = terminal.end();
    assert_eq!((code, said.contains("s3cr")), (Some(130), false), "{said}");
}

#[test]
fn allowed_says_which_rule_decides_and_its_code_says_it_to_scripts() {
    let folder = scratch("allowed");
    let path = folder.join("users.toml");
    fs::write(&path, format!("[[user]]\nname = 'u'\ncertificate = true\nroles = ['r']\n{ROLES}"))
        .unwrap();
    let file = path.to_str().unwrap();
    let ask = |user, right, what| run(&["allowed", file, "--user", user, right, what]);
    for (right, what, code, said) in [
        ("--publish", "a/u/x", 0, "allowed: role \"r\", publish \"a/{user}\" (line 6)\n"),
        ("--publish", "a/v", 1, "not allowed: no rule of the user's roles allows it\n"),
        ("--subscribe", "b/+", 0, "allowed: role \"r\", subscribe \"b\" (line 7)\n"),
        (
            "--subscribe",
            "a",
            0,
            "limited: role \"r\", subscribe \"a\" (line 7), without role \"r\", deny-subscribe \
             \"a/secret\" (line 8)\n",
        ),
        ("--subscribe", "+/x", 0, "limited: to role \"r\", subscribe \"a\" (line 7)\n"),
        (
            "--subscribe",
            "a/secret/#",
            1,
            "not allowed: role \"r\", deny-subscribe \"a/secret\" (line 8)\n",
        ),
        ("--subscribe", "/", 1, "not allowed: no rule of the user's roles allows it\n"),
    ] {
        assert_eq!(ask("u", right, what), (Some(code), said.to_owned(), String::new()), "{what}");
    }
    fails(&["allowed", file, "--user", "v", "--publish", "a"], "", 2, &["no user \"v\""]);
    fails(&["allowed", "/no/file", "--user", "v", "--publish", "a"], "", 2, &["/no/file"]);
    assert_eq!(ask("u", "--publish", "a/+").0, Some(2));
    assert_eq!(run(&["allowed", file, "--user", "u"]).0, Some(2));

    fs::write(&path, "[role.r]\npublsh = []\nadmin = 1\n").unwrap();
    let (code, out, said) = ask("u", "--publish", "a");
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(said.starts_with(&format!("babelmq: {file}:2:1: a role has no \"publsh\"")), "{said}");
    assert!(said.contains(&format!("\n{file}:3:9: admin is true or false")), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_user_without_a_login_is_asked_about_as_any_other() {
    let folder = scratch("anonymous");
    let path = folder.join("users.toml");
    fs::write(&path, "[[user]]\nname = 'anonymous'\nroles = ['g']\n[role.g]\nsubscribe = ['#']\n")
        .unwrap();
    check(
        &["allowed", path.to_str().unwrap(), "--user", "anonymous", "--subscribe", "#"],
        "",
        "allowed: role \"g\", subscribe \"#\" (line 5)\n",
    );
    fs::remove_dir_all(folder).unwrap();
}

/// Monitoring has no password, and need not.
#[test]
fn a_broker_that_wants_a_login_is_well() {
    let folder = scratch("check-users");
    let file = folder.join("users.toml");
    fs::write(&file, "[[user]]\nname = 'u'\ncertificate = true\nroles = []\n").unwrap();
    let broker = Served::start(&["--users", file.to_str().unwrap()]);
    let (code, said, error) = run(&broker.at("check", &[]));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{said}");
    assert!(said.starts_with("OK: the broker on "), "{said}");
    // It was no login all the same.
    assert_ne!(run(&broker.at("get", &["a"])).0, Some(0));
    drop(broker);
    fs::remove_dir_all(folder).unwrap();
}

/// The fields of the log's lines about users, whose names programs rely on.
#[test]
fn who_came_and_what_they_may_is_in_the_log() {
    let folder = scratch("audit");
    let file = folder.join("users.toml");
    let hash = "$argon2id$v=19$m=8,t=1,p=1$CQkJCQkJCQkJCQkJCQkJCQ$\
                v7unw+/+0CHtZEInTOV8NnoB2Z/ChF6eWBlT9bluIY0";
    let users = |role: &str| {
        format!("[[user]]\nname = 'ada'\npassword = {hash:?}\nroles = ['r']\n[role.r]\n{role}\n")
    };
    fs::write(&file, users("subscribe = ['a', 'b']")).unwrap();
    let path = file.to_str().unwrap();
    let mut served = Served::start(&["--users", path, "--log-format", "json"]);
    let mut said = served.log();
    let mut log = String::new();
    let mut read_until = |words: &str| {
        while !log.contains(words) {
            log += &(said.next().unwrap_or_else(|| panic!("no {words} in {log}")) + "\n");
        }
        log.clone()
    };
    let log_in = |password: &str| {
        let mut client = Client::to(served.address);
        let login = format!(r#"{{"command":"login","user":"ada","password":"{password}"}}"#);
        client.send(Json, login.as_bytes());
        (client.next().field("command"), client)
    };
    assert_eq!(log_in("hunter2").0, "error");
    let (welcome, mut client) = log_in("secret");
    assert_eq!(welcome, "welcome");
    let peer = client.local_addr().to_string();
    client.subscribe(Json, "b");
    client.publish(Json, "c", b"1");
    client.next().refuses("not-permitted", false);
    // A file with a mistake first, which changes nothing.
    fs::write(&file, users("subscribe = ['a'")).unwrap();
    served.signal("HUP");
    read_until("going on with the users as they were");
    client.is_quiet();
    fs::write(&file, users("subscribe = ['a']")).unwrap();
    served.signal("HUP");
    let lost = client.next();
    lost.refuses("not-permitted", false);
    assert_eq!(lost.field("topic"), "b");
    let log = read_until("right-lost");
    assert!(!log.contains("hunter2") && !log.contains("\"secret\""), "{log}");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |field: &str, value: &str| {
        let found = lines.iter().find(|line| line[field] == value);
        found.unwrap_or_else(|| panic!("no {field} {value} in {log}"))
    };
    let says = |line: &serde_json::Value, fields: &[(&str, &str)]| {
        for (name, value) in fields {
            assert_eq!(line[name], *value, "{line}");
        }
    };
    let failed = line("event", "login-failed");
    says(failed, &[("target", "babelmq::audit"), ("user", "ada"), ("by", "password")]);
    assert!(failed["reason"].as_str().unwrap().contains("another password"));
    let here = [("client", "2"), ("peer", &*peer)];
    says(line("event", "login"), &[("user", "ada"), ("by", "password")]);
    says(line("event", "login"), &here);
    says(line("code", "not-permitted"), &[("topic", "c")]);
    says(line("code", "not-permitted"), &here);
    says(line("event", "users"), &[("users", path)]);
    says(line("event", "right-lost"), &[("user", "ada"), ("topic", "b")]);
    says(line("event", "right-lost"), &here);
    let wrong = line("message", "going on with the users as they were");
    assert!(wrong["error"].as_str().unwrap().contains("users.toml:"), "{wrong}");
    fs::remove_dir_all(folder).unwrap();
}
