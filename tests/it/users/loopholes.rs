//! What somebody would try who wants more than the file lets them have.

use babelmq::Format::{Json, Pickle};

use super::{log_in, logged_in, start, user};
use crate::support::Client;
use crate::support::Field::Str;

#[test]
fn a_user_who_logs_in_once_more_has_its_connection_already() {
    let file = user("ada", "publish = ['#']\nconnections = 1");
    let (broker, _users) = start(&file);
    let mut client = logged_in(&broker, "ada");
    for _ in 0..3 {
        log_in(&mut client, Json, "ada", "secret");
        assert_eq!(client.next().field("user"), "ada");
    }
    let mut other = Client::connect(&broker);
    log_in(&mut other, Json, "ada", "secret");
    other.next().refuses("too-many-connections", true);
    assert_eq!(broker.stats().logins_failed, 0, "the password was right");
    drop((client, other));
    crate::support::process::until("the place is free", || broker.stats().open == 0);
    logged_in(&broker, "ada");
}

/// What was sent would be paused for a quarter of an hour.
#[test]
fn a_rate_that_is_lifted_holds_nobody_up_any_more() {
    let slow = user("ada", "publish = ['#']\nmessages-per-second = 1");
    let (broker, users) = start(&slow);
    let mut client = logged_in(&broker, "ada");
    let burst: Vec<u8> = (0..999).flat_map(|_| crate::support::publish(Json, "a", b"1")).collect();
    client.send_raw(&burst);
    crate::support::process::until("the pause has begun", || broker.stats().published > 1);
    users.write(&user("ada", "publish = ['#']"));
    broker.reload_users().unwrap();
    client.is_quiet();
}

/// The same for whoever is not there any more: nobody has told it anything so far.
#[test]
fn who_is_held_up_and_then_logged_out_is_told_at_once() {
    let slow = "[[user]]\nname = 'anonymous'\nroles = ['g']\n\
                [role.g]\npublish = ['#']\nmessages-per-second = 1\n";
    let (broker, users) = start(slow);
    let mut client = Client::connect(&broker);
    let burst: Vec<u8> = (0..999).flat_map(|_| crate::support::publish(Json, "a", b"1")).collect();
    client.send_raw(&burst);
    crate::support::process::until("the pause has begun", || broker.stats().published > 1);
    users.write(&user("ada", ""));
    broker.reload_users().unwrap();
    client.next().refuses("login-required", true);
    client.ends();
}

#[test]
fn counters_name_what_may_be_seen() {
    let file = format!(
        "{}{}{}",
        user("ada", "publish = ['#']\nsubscribe = ['#']"),
        user("monitor", "stats = true\nsubscribe = ['open']"),
        user("root", "admin = true"),
    );
    let (broker, _users) = start(&file);
    let mut ada = logged_in(&broker, "ada");
    for topic in ["open/door", "secret/plan"] {
        ada.publish(Json, topic, b"1");
        assert_eq!(ada.subscribe(Json, topic).len(), 1);
    }
    let asked = |name: &str| {
        let mut client = logged_in(&broker, name);
        client.command(Json, &[("command", Str("stats"))]);
        client.next().text().to_owned()
    };
    let (monitor, root) = (asked("monitor"), asked("root"));
    assert_eq!((monitor.matches("open/door").count(), monitor.contains("secret")), (2, false));
    assert_eq!(root.matches("secret/plan").count(), 2);
    assert!(monitor.contains("\"topics\":2"), "they are counted all the same: {monitor}");
}

/// The message of this pickle is a list of lists that are the same, and so on: 10,000 in 200 bytes.
#[test]
fn what_expands_is_not_read_before_a_login() {
    let (broker, _users) = start(&user("ada", ""));
    let mut pickle = b"\x80\x04}(".to_vec();
    for text in ["command", "publish", "topic", "a", "message"] {
        pickle.extend([0x8c, text.len() as u8]);
        pickle.extend(text.as_bytes());
    }
    // Each list is made, noted, and filled with the list before, which is dropped from the stack.
    pickle.extend(b"]\x94");
    for level in 0..4 {
        pickle.extend(b"0]\x94(");
        (0..10).for_each(|_| pickle.extend([b'h', level]));
        pickle.push(b'e');
    }
    pickle.extend(b"u.");
    let mut client = Client::connect(&broker);
    client.send(Pickle, &pickle);
    let refusal = client.next();
    refusal.refuses("login-required", true);
    let reason = refusal.field("reason");
    assert!(reason.contains("too-large"), "{reason}");
    client.ends();
}
