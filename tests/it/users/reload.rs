//! Users and rights that change while clients are connected.

use std::sync::atomic::{AtomicBool, Ordering};

use babelmq::Format::Json;
use babelmq::UsersFileError;

use super::{BETTER, Users, command, is_not_permitted, log_in, logged_in, start, topics, user};
use crate::support::{Client, number};

#[test]
fn who_lost_a_right_is_told_and_who_keeps_theirs_notices_nothing() {
    let keeps = user("bob", "publish = ['#']\nsubscribe = ['#']");
    let (broker, users) =
        start(&format!("{}{keeps}", user("ada", "publish = ['#']\nsubscribe = ['a', 'b', 'c']")));
    let (mut ada, mut bob) = (logged_in(&broker, "ada"), logged_in(&broker, "bob"));
    for filter in ["a", "b", "c"] {
        ada.subscribe(Json, filter);
    }
    bob.subscribe(Json, "#");
    let after = "publish = ['p']\nsubscribe = ['a', 'c']\ndeny-subscribe = ['c/secret']";
    users.write(&format!("{}{keeps}", user("ada", after)));
    broker.reload_users().unwrap();
    is_not_permitted(&ada.next(), "ada", "b");
    for topic in ["a/1", "b/1", "c/1", "c/secret"] {
        broker.put_topic(topic, &1.into()).unwrap();
    }
    assert_eq!(topics(&ada.flush(Json)), ["a/1", "c/1"]);
    assert_eq!(topics(&bob.flush(Json)), ["a/1", "b/1", "c/1", "c/secret"]);
    ada.publish(Json, "a", b"1");
    is_not_permitted(&ada.next(), "ada", "a");
    ada.publish(Json, "p", b"1");
    ada.is_quiet();
    // What comes back is not subscribed to again by itself, and a part that was left out is whole.
    users.write(&format!("{}{keeps}", user("ada", "subscribe = ['a', 'b', 'c']")));
    broker.reload_users().unwrap();
    for topic in ["a/1", "b/1", "c/secret"] {
        broker.put_topic(topic, &2.into()).unwrap();
    }
    assert_eq!(topics(&ada.flush(Json)), ["a/1", "c/secret"]);
}

#[test]
fn a_user_that_there_is_no_more_or_that_has_another_password_is_logged_out() {
    let bob = user("bob", "subscribe = ['#']");
    let ada = user("ada", "publish = ['#']\nsubscribe = ['#']");
    let (broker, users) = start(&format!("{ada}{bob}"));
    let mut gone = logged_in(&broker, "ada");
    let mut producer = logged_in(&broker, "ada");
    let mut stays = logged_in(&broker, "bob");
    gone.subscribe(Json, "#");
    users.write(&bob);
    broker.reload_users().unwrap();
    for client in [&mut gone, &mut producer] {
        let refusal = client.next();
        refusal.refuses("login-required", true);
        assert!(refusal.field("reason").contains("user \"ada\" is not in the users file"));
        client.ends();
    }
    let mut client = Client::connect(&broker);
    log_in(&mut client, Json, "ada", "secret");
    client.next().refuses("login-failed", true);
    stays.is_quiet();
    users.write(&bob.replace(super::SECRET, BETTER));
    broker.reload_users().unwrap();
    stays.next().refuses("login-required", true);
    stays.ends();
    // A password that was verified is not remembered beyond the file that it was of.
    let mut client = Client::connect(&broker);
    log_in(&mut client, Json, "bob", "secret");
    client.next().refuses("login-failed", true);
    let mut client = Client::connect(&broker);
    log_in(&mut client, Json, "bob", "better");
    assert_eq!(client.next().field("user"), "bob");
}

/// A session that has never been answered hears of it when it sends something.
#[test]
fn a_producer_that_was_never_answered_is_logged_out_too() {
    let file = "[[user]]\nname = 'anonymous'\nroles = ['g']\n[role.g]\npublish = ['#']\n";
    let (broker, users) = start(file);
    let mut client = Client::connect(&broker);
    client.publish(Json, "a", b"1");
    crate::support::process::until("the message is there", || {
        broker.get_topic("a").unwrap().is_some()
    });
    users.write(&user("ada", ""));
    broker.reload_users().unwrap();
    client.publish(Json, "a", b"2");
    client.next().refuses("login-required", true);
    client.ends();
    assert_eq!(broker.get_topic("a").unwrap(), Some(1.into()));
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let (broker, users) = start(&user("ada", "publish = ['#']\nsubscribe = ['#']"));
    let mut client = logged_in(&broker, "ada");
    client.subscribe(Json, "a");
    users.write("[role.guest]\nsubscribe = ['a//b']\npublsh = []\n");
    let error = broker.reload_users().unwrap_err();
    assert!(matches!(error, UsersFileError::Mistakes { .. }));
    let said = error.to_string();
    let places: Vec<bool> =
        ["users.toml:2:14: ", "users.toml:3:1: "].map(|at| said.contains(at)).into();
    assert_eq!(places, [true, true], "{said}");
    // One that is being written has nothing yet.
    users.write("");
    let error = broker.reload_users().unwrap_err();
    assert!(error.to_string().contains("it has no [[user]]"), "{error}");
    std::fs::remove_file(&users.0).unwrap();
    assert!(matches!(broker.reload_users().unwrap_err(), UsersFileError::Unreadable { .. }));
    client.publish(Json, "a", b"1");
    assert_eq!(topics(&client.flush(Json)), ["a"]);
    logged_in(&broker, "ada");
}

/// Nothing is delivered that was published after the reload was confirmed, and everything that
/// anybody else is due.
#[test]
fn rights_that_change_in_the_middle_of_a_flood() {
    let keeps = user("bob", "publish = ['#']\nsubscribe = ['#']");
    let both = format!("{}{keeps}", user("ada", "subscribe = ['#']"));
    let less = format!("{}{keeps}", user("ada", "subscribe = ['#']\ndeny-subscribe = ['secret']"));
    let (broker, users) = start(&both);
    let mut ada = logged_in(&broker, "ada");
    let mut bob = logged_in(&broker, "bob");
    ada.subscribe(Json, "#");
    bob.subscribe(Json, "secret");
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let mut publisher = logged_in(&broker, "bob");
        let flood = scope.spawn({
            let stop = &stop;
            move || {
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    for topic in ["secret", "open"] {
                        publisher.publish(Json, topic, &number(Json, sent));
                    }
                    sent += 1;
                    if sent % 64 == 0 {
                        publisher.is_quiet();
                    }
                }
                publisher.is_quiet();
                sent
            }
        });
        let reading = scope.spawn(|| {
            for round in 0..10 {
                // Marks in the order of the dispatcher: what comes between them was published then.
                users.write(&less);
                broker.reload_users().unwrap();
                broker.put_topic("mark", &(2 * round).into()).unwrap();
                std::thread::yield_now();
                broker.put_topic("mark", &(2 * round + 1).into()).unwrap();
                users.write(&both);
                broker.reload_users().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        let (mut marks, mut open) = (0, 0);
        while marks < 20 {
            let frame = ada.next();
            match frame.field("topic").as_str() {
                "mark" => {
                    assert_eq!(frame.number(), marks);
                    marks += 1;
                }
                "open" => {
                    assert_eq!(frame.number(), open, "nothing that may be seen is missing");
                    open += 1;
                }
                _ => assert_eq!(marks % 2, 0, "a message that was not to be seen"),
            }
        }
        reading.join().unwrap();
        let sent = flood.join().unwrap();
        let rest = ada.flush(Json);
        open += rest.iter().filter(|frame| frame.field("topic") == "open").count() as i64;
        assert_eq!(open, sent);
        sent
    });
    assert_eq!(bob.flush(Json).len() as i64, sent, "who keeps the right gets everything");
}

/// The connection has asked for a snapshot and a list of many values, and reads them only after its
/// rights were taken.
#[test]
fn rights_that_change_in_the_middle_of_a_snapshot_and_of_a_list() {
    const VALUES: usize = 20_000;
    let all = user("ada", "subscribe = ['#']");
    let (broker, users) = start(&all);
    let long = "x".repeat(1_000);
    for number in 0..VALUES {
        let topic = if number % 2 == 0 { "open" } else { "secret" };
        broker.put_topic(&format!("{topic}/{number}"), &long.as_str().into()).unwrap();
    }
    let mut client = logged_in(&broker, "ada");
    command(&mut client, "subscribe", "#");
    command(&mut client, "list", "#");
    let mut seen = [0, 0];
    let mut count = |frame: &crate::support::Frame| {
        seen[usize::from(frame.field("topic").starts_with("secret"))] += 1;
    };
    count(&client.next());
    // Twenty megabytes do not fit the sockets and the two pieces that a snapshot is ahead.
    users.write(&all.replace("['#']", "['#']\ndeny-subscribe = ['secret']"));
    broker.reload_users().unwrap();
    let list = loop {
        let frame = client.next();
        match frame.field("command").as_str() {
            "topics" => break frame.text().to_owned(),
            "publish" => count(&frame),
            _ => {}
        }
    };
    assert_eq!(seen[0], VALUES / 2);
    assert!(seen[1] < VALUES / 2, "all secrets were told");
    assert_eq!((list.matches("open/").count(), list.matches("secret/").count()), (VALUES / 2, 0));
}

#[test]
fn a_clear_that_is_under_way_keeps_to_the_rights_as_they_are_then() {
    const VALUES: usize = 50_000;
    let all = user("ada", "publish = ['#']");
    let users = Users::new(&all);
    let broker = users.start(|config| config);
    for number in 0..VALUES {
        broker.put_topic(&format!("t/{number}"), &1.into()).unwrap();
    }
    let mut client = logged_in(&broker, "ada");
    users.write(&all.replace("['#']", "['#']\ndeny-publish = ['t/49999']"));
    command(&mut client, "clear", "#");
    broker.reload_users().unwrap();
    client.is_quiet();
    // Whether the last was cleared depends on which came first; all others were.
    assert!(broker.list_topics().len() <= 1);
    broker.put_topic("t/49999", &1.into()).unwrap();
    command(&mut client, "clear", "#");
    client.is_quiet();
    assert_eq!(broker.list_topics().len(), 1);
}
