//! Who gets in.

use std::time::{Duration, Instant};

use babelmq::Format::{Json, Xml};
use babelmq::ListenUrl;

use super::{SECRET, TOKEN, Users, command, log_in, logged_in, start, user};
use crate::support::Field::{Int, Str};
use crate::support::{Client, FORMATS, config, number};

fn users() -> String {
    format!(
        "{}\n[[user]]\nname = 'ci'\ntoken-sha256 = {TOKEN:?}\n\
         [[user]]\nname = 'device'\ncertificate = true\n",
        user("ada", "publish = ['#']\nsubscribe = ['#']")
    )
}

#[test]
fn a_password_or_a_token_is_welcome_in_every_format() {
    let (broker, _users) = start(&users());
    let server = env!("CARGO_PKG_VERSION");
    for format in FORMATS {
        let mut client = Client::connect(&broker);
        log_in(&mut client, format, "ada", "secret");
        let welcome = client.next();
        assert_eq!(welcome.format, format);
        welcome.says(&[("command", "welcome"), ("user", "ada"), ("server", server)]);
        client.publish(format, "a", &number(format, 7));
        client.flush(format);
        let mut client = Client::connect(&broker);
        client.command(format, &[("command", Str("login")), ("token", Str("token"))]);
        client.next().says(&[("command", "welcome"), ("user", "ci"), ("server", server)]);
    }
    assert_eq!(broker.get_topic("a").unwrap(), Some(7.into()));
    assert_eq!(broker.stats().logins_failed, 0);
}

#[test]
fn what_follows_a_login_in_the_same_write_is_done_after_it() {
    let (broker, _users) = start(&users());
    let mut frames = Vec::new();
    let login = br#"{"command":"login","user":"ada","password":"secret"}"#;
    frames.extend(crate::support::frame(0, login));
    frames.extend(crate::support::publish(Json, "a", b"1"));
    frames.extend(crate::support::frame(0, br#"{"command":"subscribe","topic":"a"}"#));
    let mut client = Client::connect(&broker);
    client.send_raw(&frames);
    let said: Vec<String> = (0..3).map(|_| client.next().field("command")).collect();
    assert_eq!(said, ["welcome", "publish", "subscribed"]);
}

#[test]
fn who_logs_in_wrongly_is_told_after_a_second_and_no_more() {
    let (broker, _users) = start(&users());
    let wrong: [&[(&str, crate::support::Field<'_>)]; 6] = [
        &[("user", Str("ada")), ("password", Str("Secret"))],
        &[("user", Str("eve")), ("password", Str("secret"))],
        &[("user", Str("ada")), ("password", Str(""))],
        // Others log in in another way.
        &[("user", Str("ci")), ("password", Str("token"))],
        &[("user", Str("device")), ("password", Str(""))],
        &[("token", Str("secret"))],
    ];
    let answered = |fields: &[(&str, crate::support::Field<'_>)]| {
        let mut client = Client::connect(&broker);
        let began = Instant::now();
        client.command(Json, &[&[("command", Str("login"))], fields].concat());
        let refusal = client.next();
        assert!(began.elapsed() >= Duration::from_secs(1), "it costs a second to guess");
        refusal.refuses("login-failed", true);
        let reason = refusal.field("reason");
        assert!(!reason.contains("ecret") && !reason.contains("ada"), "{reason}");
        client.ends();
    };
    std::thread::scope(|scope| {
        for fields in wrong {
            scope.spawn(move || answered(fields));
        }
    });
    assert_eq!(broker.stats().logins_failed, wrong.len() as u64);
}

#[test]
fn before_a_login_nothing_else_is_taken() {
    let (broker, _users) = start(&users());
    for format in FORMATS {
        for word in ["publish", "subscribe", "list", "get", "clear", "ping", "stats", "backup"] {
            let mut client = Client::connect(&broker);
            let fields = [("command", Str(word)), ("topic", Str("a")), ("message", Str("1"))];
            let count = if word == "publish" { 3 } else { 2 };
            client.command(format, &fields[..count]);
            let refusal = client.next();
            assert_eq!(refusal.format, format);
            refusal.refuses("login-required", true);
            client.ends();
        }
    }
    // Once, however much comes at once.
    let mut client = Client::connect(&broker);
    client.send_raw(&crate::support::publish(Json, "a", b"1").repeat(3));
    client.next().refuses("login-required", true);
    client.ends();
    assert_eq!((broker.list_topics(), broker.stats().refused), (vec![], 25));
    // What cannot be read is none either, and says why.
    let mut client = Client::connect(&broker);
    client.send(Json, br#"{"command":"login","user":"ada"}"#);
    let refusal = client.next();
    refusal.refuses("login-required", true);
    assert!(refusal.field("reason").contains("\"password\""), "{}", refusal.field("reason"));
    client.ends();
}

#[test]
fn a_secret_is_not_repeated_where_it_is_wrong_or_cannot_be_read() {
    let (broker, _users) = start(&users());
    let mut client = Client::connect(&broker);
    let fields = [("command", Str("login")), ("user", Str("ada")), ("password", Int(271_828))];
    client.command(Json, &fields);
    let reason = client.next().field("reason");
    assert!(reason.contains("\"password\" must be a string") && !reason.contains("271828"));
    // One that stands where a name is expected, because a byte is missing.
    let mut client = Client::connect(&broker);
    client.send(Xml, b"<f><command>login</command><tokenhunter2</token></f>");
    let reason = client.next().field("reason");
    assert!(reason.contains("malformed-xml") && !reason.contains("hunter2"), "{reason}");
    // One that a command has swallowed, because a length is wrong.
    let mut client = Client::connect(&broker);
    client.send(Json, br#"{"command":"login ada hunter2"}"#);
    let reason = client.next().field("reason");
    assert!(reason.contains("unknown-command") && !reason.contains("hunter2"), "{reason}");
}

#[test]
fn before_a_login_frames_are_short() {
    let (broker, _users) = start(&users());
    let mut client = Client::connect(&broker);
    // Its header is enough.
    client.send_raw(&[0, 0, 0, 0x10, 1]);
    let refusal = client.next();
    refusal.refuses("login-required", true);
    assert!(refusal.field("reason").contains("4096"), "{}", refusal.field("reason"));
    client.ends();
    let padding = " ".repeat(4_000);
    let login = format!(r#"{{"command":"login","user":"ada","password":"secret"{padding}}}"#);
    let mut client = Client::connect(&broker);
    client.send(Json, login.as_bytes());
    assert_eq!(client.next().field("command"), "welcome");
    // And behind it as long as ever.
    client.publish(Json, "a", format!("\"{}\"", "x".repeat(100_000)).as_bytes());
    client.is_quiet();
}

#[test]
fn who_does_not_log_in_in_time_is_told() {
    let users = Users::new(&users());
    let broker = users.start(|config| config.login_timeout(Duration::from_millis(200)));
    let mut silent = Client::connect(&broker);
    let mut slow = Client::connect(&broker);
    slow.send_raw(&[0, 0, 0]);
    for client in [&mut silent, &mut slow] {
        let refusal = client.next();
        refusal.refuses("login-required", true);
        assert!(refusal.field("reason").contains("200ms"), "{}", refusal.field("reason"));
        client.ends();
    }
    // Who has is not asked again, however long it is silent.
    let mut client = logged_in(&broker, "ada");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = Client::connect(&broker);
            other.next().refuses("login-required", true);
        });
    });
    client.is_quiet();
}

#[test]
fn a_client_can_become_another_user() {
    let file = format!(
        "{}{}[[user]]\nname = 'anonymous'\nroles = ['guest']\n[role.guest]\nsubscribe = ['c']\n",
        user("ada", "publish = ['a']\nsubscribe = ['a', 'c']"),
        user("bob", "publish = ['b']\nsubscribe = ['b']"),
    );
    let (broker, _users) = start(&file);
    let mut client = Client::connect(&broker);
    assert_eq!(client.subscribe(Json, "c"), []);
    command(&mut client, "get", "a");
    super::is_not_permitted(&client.next(), "anonymous", "a");
    log_in(&mut client, Json, "ada", "secret");
    assert_eq!(client.next().field("command"), "welcome");
    client.publish(Json, "a", b"1");
    client.publish(Json, "b", b"1");
    super::is_not_permitted(&client.next(), "ada", "b");
    assert_eq!(client.subscribe(Json, "a").len(), 1);
    log_in(&mut client, Json, "bob", "secret");
    assert_eq!(client.next().field("user"), "bob");
    // What bob may not see has ended, in whatever order.
    let mut ended = [client.next(), client.next()].map(|frame| {
        frame.refuses("not-permitted", false);
        frame.field("topic")
    });
    ended.sort_unstable();
    assert_eq!(ended, ["a", "c"]);
    client.publish(Json, "b", b"2");
    client.publish(Json, "a", b"2");
    super::is_not_permitted(&client.next(), "bob", "a");
    broker.put_topic("a", &3.into()).unwrap();
    broker.put_topic("c", &3.into()).unwrap();
    client.is_quiet();
}

#[test]
fn a_user_has_so_many_connections() {
    let (broker, _users) = start(&user("ada", "publish = ['#']\nconnections = 2"));
    let first = logged_in(&broker, "ada");
    let _second = logged_in(&broker, "ada");
    let mut third = Client::connect(&broker);
    log_in(&mut third, Json, "ada", "secret");
    let refusal = third.next();
    refusal.refuses("too-many-connections", true);
    assert!(refusal.field("reason").contains("user \"ada\" has 2 connections"));
    third.ends();
    drop(first);
    // The broker hears of the end some time later.
    loop {
        let mut client = Client::connect(&broker);
        log_in(&mut client, Json, "ada", "secret");
        if client.next().field("command") == "welcome" {
            break;
        }
    }
}

#[test]
fn who_sends_more_than_its_rate_is_read_more_slowly_and_loses_nothing() {
    let file = user("ada", "publish = ['#']\nmessages-per-second = 100");
    let (broker, _users) = start(&file);
    let mut client = logged_in(&broker, "ada");
    let burst: Vec<u8> = (0..150).flat_map(|_| crate::support::publish(Json, "a", b"1")).collect();
    let began = Instant::now();
    client.send_raw(&burst);
    crate::support::process::until("all are published", || broker.stats().published == 150);
    // 100 are free, and the pause for the rest comes before the next read: that of the ping.
    client.is_quiet();
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
}

#[test]
fn the_user_of_a_unix_socket_is_whom_the_system_names() {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    let name = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let users = Users::new(&format!(
        "[[user]]\nname = {name:?}\ncertificate = true\nroles = ['r']\n\
         [role.r]\npublish = ['#']\n{}",
        user("ada", "subscribe = ['#']")
    ));
    let socket = users.0.with_file_name("b.sock");
    let url: ListenUrl = format!("unix:{}", socket.display()).parse().unwrap();
    let broker = users.start(|_| config().users(&users.0).listeners([url]));
    let mut client = Client::of_unix(&socket);
    client.publish(Json, "a", b"1");
    client.is_quiet();
    assert_eq!(broker.get_topic("a").unwrap(), Some(1.into()));
    // It may log in as somebody else all the same.
    log_in(&mut client, Json, "ada", "secret");
    assert_eq!(client.next().field("user"), "ada");
    assert_eq!(client.subscribe(Json, "a").len(), 1);
}

#[test]
fn where_there_are_no_users_everybody_is_welcome() {
    let broker = crate::support::start();
    let mut client = Client::connect(&broker);
    client.publish(Json, "a", b"1");
    log_in(&mut client, Json, "ada", "whatever");
    let server = env!("CARGO_PKG_VERSION");
    client.next().says(&[("command", "welcome"), ("user", "anonymous"), ("server", server)]);
    command(&mut client, "get", "a");
    assert_eq!(client.next().message(), "1");
}

/// Many guesses from one address do not hold up a login from another.
#[test]
fn guesses_of_one_address_wait_behind_each_other() {
    const GUESSES: usize = 40;
    // As expensive as they are made: 19 MiB and two passes.
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$CQkJCQkJCQkJCQkJCQkJCQ$\
                v7unw+/+0CHtZEInTOV8NnoB2Z/ChF6eWBlT9bluIY0";
    let users = Users::new(&format!(
        "[[user]]\nname = 'ada'\npassword = {SECRET:?}\n\
         [[user]]\nname = 'eve'\npassword = {hash:?}\n"
    ));
    let socket = users.0.with_file_name("b.sock");
    let unix: ListenUrl = format!("unix:{}", socket.display()).parse().unwrap();
    let tcp: ListenUrl = "127.0.0.1:0".parse().unwrap();
    let broker = users.start(|_| config().users(&users.0).listeners([tcp, unix]));
    let mut guessing: Vec<Client> = (0..GUESSES).map(|_| Client::connect(&broker)).collect();
    for client in &mut guessing {
        log_in(client, Json, "eve", "guess");
    }
    let mut client = Client::of_unix(&socket);
    log_in(&mut client, Json, "ada", "secret");
    assert_eq!(client.next().field("command"), "welcome");
    assert!(broker.stats().logins_failed < GUESSES as u64, "it did not wait for all of them");
    for client in &mut guessing {
        client.next().refuses("login-failed", true);
    }
}
