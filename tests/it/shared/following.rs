//! Reading a shared stream without acknowledgements: each message once, in the order of the stream.

use std::path::Path;
use std::time::Duration;

use babelmq::Format::{Json, Pickle};
use babelmq::broker::{SharedContent, SharedMessage, Use};
use babelmq::{BrokerHandle, Topic};

use super::{publish, scratch, sharing, start, start_with};
use crate::support::Field::{Int, Str};
use crate::support::backbone::LocalBackbone;
use crate::support::process::until;
use crate::support::{Client, Frame, claimed};

/// Follows a topic; returns what that is answered.
#[track_caller]
pub(super) fn follow(client: &mut Client, topic: &str, start: &str) -> Frame {
    let start = start.parse().map_or(Str(start), Int);
    client.command(Json, &[("command", Str("subscribe")), ("topic", Str(topic)), ("start", start)]);
    client.next()
}

/// How many messages there are to follow, and the number of the first.
#[track_caller]
pub(super) fn begins(client: &mut Client, topic: &str, start: &str) -> (String, String) {
    let answer = follow(client, topic, start);
    assert_eq!(answer.field("command"), "subscribed", "{:?}", answer.fields());
    assert!(!answer.fields().contains_key("consumer"));
    assert_eq!((answer.field("stream"), answer.field("values")), ("orders".into(), "0".into()));
    (answer.field("pending"), answer.field("next"))
}

/// The number in the stream and the number that it says, of the next message.
#[track_caller]
pub(super) fn read(client: &mut Client) -> (i64, i64) {
    let frame = client.next();
    let fields = frame.fields();
    assert_eq!((&*fields["command"], &*fields["stream"]), ("publish", "orders"), "{fields:?}");
    assert!(!fields.contains_key("consumer") && !fields.contains_key("attempt"), "{fields:?}");
    (fields["seq"].parse().unwrap(), frame.number())
}

fn expect(pending: &str, next: &str) -> (String, String) {
    (pending.to_owned(), next.to_owned())
}

#[test]
fn what_is_kept_is_read_and_then_what_is_new() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let mut producers = [&one, &other].map(Client::connect);
    for value in 1..=4 {
        let topic = format!("orders/{}", value % 2);
        publish(&mut producers[value as usize % 2], Json, &topic, 10 * value);
    }
    let mut clients = [&one, &other, &other, &one].map(Client::connect);
    let [all, some, last, new] = &mut clients;
    follow(all, "orders", "all").says(&[
        ("command", "subscribed"),
        ("topic", "orders"),
        ("values", "0"),
        ("stream", "orders"),
        ("pending", "4"),
        ("next", "1"),
    ]);
    assert_eq!(begins(some, "orders", "2"), expect("3", "2"));
    assert_eq!(begins(last, "orders", "last"), expect("2", "3"));
    assert_eq!(begins(new, "orders/1", "new"), expect("0", "5"));
    publish(&mut producers[1], Json, "orders/1", 50);
    publish(&mut producers[0], Pickle, "orders/0", 60);
    publish(&mut producers[1], Json, "orders/1", 70);
    for (client, seqs) in clients.iter_mut().zip([
        &[1, 2, 3, 4, 5, 6, 7][..],
        &[2, 3, 4, 5, 6, 7],
        &[3, 4, 5, 6, 7],
        &[5, 7],
    ]) {
        let expected: Vec<_> = seqs.iter().map(|seq| (*seq, 10 * seq)).collect();
        let got: Vec<_> = seqs.iter().map(|_| read(client)).collect();
        assert_eq!(got, expected);
        client.is_quiet();
    }
    until("nothing is left of it", || backbone.followers() == (4, 0));
}

#[test]
fn a_connection_may_have_other_subscriptions_beside_it() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut client = Client::connect(&broker);
    client.subscribe(Json, "orders");
    super::consumers::consume(&mut client, 10);
    begins(&mut client, "orders", "all");
    publish(&mut Client::connect(&broker), Json, "orders/1", 7);
    let mut ways: Vec<_> = (0..3)
        .map(|_| {
            let frame = client.next();
            assert_eq!(frame.number(), 7);
            let fields = frame.fields();
            (fields.get("stream").cloned(), fields.get("consumer").cloned())
        })
        .collect();
    ways.sort();
    let orders = Some("orders".to_owned());
    assert_eq!(ways, [(None, None), (orders.clone(), None), (orders, Some("billing".into()))]);
    // What one is done with, the others are not.
    client.command(Json, &[("command", Str("nak")), ("seq", Int(1))]);
    assert_eq!(client.next().field("attempt"), "2");
}

#[test]
fn an_outage_and_a_stream_that_is_made_anew_lose_nothing() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let (mut producer, mut client) = (Client::connect(&broker), Client::connect(&broker));
    publish(&mut producer, Json, "orders/1", 1);
    begins(&mut client, "orders", "all");
    assert_eq!(read(&mut client), (1, 1));
    backbone.go_down();
    client.is_quiet();
    // One that begins now waits, and not for ever.
    let mut late = Client::connect(&broker);
    follow(&mut late, "orders", "all").refuses("backbone-unavailable", false);
    backbone.come_up();
    until("it is back", || follow(&mut late, "orders", "new").field("command") == "subscribed");
    publish(&mut producer, Json, "orders/1", 2);
    assert_eq!(read(&mut client), (2, 2));
    backbone.begin_anew();
    publish(&mut producer, Json, "orders/1", 3);
    publish(&mut producer, Json, "orders/1", 4);
    assert_eq!((read(&mut client), read(&mut client)), ((1, 3), (2, 4)));
    assert_eq!((read(&mut late), read(&mut late), read(&mut late)), ((2, 2), (1, 3), (2, 4)));
    until("nothing is left", || backbone.followers() == (2, 0));
}

/// What waits for a client has the numbers of other messages in a stream that was made anew.
#[test]
fn messages_of_two_streams_are_told_apart() {
    let backbone = LocalBackbone::default();
    let broker = start_with(&backbone, sharing().write_timeout(Duration::from_secs(60)));
    let mut client = Client::connect(&broker);
    client.subscribe(Json, "weather");
    begins(&mut client, "orders/1", "all");
    let mut other = Client::connect(&broker);
    begins(&mut other, "orders/2", "all");
    // More than sockets hold: its writer waits.
    let mut producer = Client::connect(&broker);
    let text = format!("\"{}\"", "x".repeat(1_000_000));
    for _ in 0..20 {
        publish_text(&mut producer, "weather", &text);
    }
    for value in 11..=15 {
        publish(&mut producer, Json, "orders/1", value);
    }
    backbone.begin_anew();
    // It takes the place of one that is not of its topic.
    publish(&mut producer, Json, "orders/2", 21);
    assert_eq!(read(&mut other), (1, 21));
    publish(&mut producer, Json, "orders/1", 22);
    publish(&mut producer, Json, "orders/1", 23);
    for _ in 0..20 {
        assert_eq!(client.next().field("topic"), "weather");
    }
    let got: Vec<_> = (0..4).map(|_| read(&mut client)).collect();
    assert_eq!(got, [(4, 14), (5, 15), (2, 22), (3, 23)]);
    client.is_quiet();
    until("nothing is left", || backbone.followers() == (2, 0));
}

fn publish_text(client: &mut Client, topic: &str, text: &str) {
    client.publish(Json, topic, text.as_bytes());
    client.is_quiet();
}

#[test]
fn what_is_no_message_here_is_passed_over() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut client = Client::connect(&broker);
    begins(&mut client, "orders", "all");
    let topic = || Topic::parse("orders/1").unwrap();
    backbone.publish(SharedMessage { topic: topic(), content: SharedContent::Cleared });
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 1);
    let mut broken = backbone.messages().pop().unwrap().message;
    if let SharedContent::Payload(payload) = &mut broken.content {
        payload.bytes = b"{".to_vec();
    }
    backbone.publish(broken);
    publish(&mut producer, Json, "orders/1", 2);
    assert_eq!((read(&mut client), read(&mut client)), ((2, 1), (4, 2)));
    client.is_quiet();
    until("they take no room", || backbone.followers() == (1, 0));
}

/// As much memory as one that follows claims, and what it may be given of the backbone.
const CLAIMED: u64 = (2 << 20) + (8 << 10);
const MOST: usize = 1 << 20;

#[test]
fn one_that_is_slow_holds_back_only_itself() {
    let backbone = LocalBackbone::default();
    let broker = start_with(&backbone, sharing().write_timeout(Duration::from_secs(60)));
    let before = claimed(&broker, Use::Streams);
    let (mut slow, mut quick) = (Client::connect(&broker), Client::connect(&broker));
    begins(&mut slow, "orders", "all");
    begins(&mut quick, "orders", "all");
    assert_eq!(claimed(&broker, Use::Streams), before + 2 * CLAIMED);
    let mut producer = Client::connect(&broker);
    let text = format!("\"{}\"", "x".repeat(100_000));
    // More than sockets hold.
    for seq in 1..=150 {
        producer.publish(Json, "orders/1", text.as_bytes());
        assert_eq!(quick.next().field("seq"), seq.to_string());
    }
    let most = MOST + text.len() + 512;
    until("the quick one has nothing", || backbone.followers().1 < most);
    assert!(backbone.followers().1 >= MOST);
    assert_eq!(claimed(&broker, Use::Streams), before + 2 * CLAIMED);
    for seq in 1..=150 {
        assert_eq!(slow.next().field("seq"), seq.to_string());
    }
    slow.is_quiet();
    until("nothing is left", || backbone.followers() == (2, 0));
}

/// A follower that has as much as it may have, and nobody reads it.
fn full(broker: &BrokerHandle, backbone: &LocalBackbone) -> Client {
    let mut client = Client::connect(broker);
    begins(&mut client, "orders", "all");
    until("it has as much as it may", || backbone.followers().1 >= MOST);
    client
}

#[test]
fn one_that_leaves_gives_everything_back() {
    let backbone = LocalBackbone::default();
    let broker = start_with(&backbone, sharing().write_timeout(Duration::from_secs(60)));
    let before = claimed(&broker, Use::Streams);
    let mut producer = Client::connect(&broker);
    let text = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..150 {
        publish_text(&mut producer, "orders/1", &text);
    }
    let is_over = || backbone.followers() == (0, 0) && claimed(&broker, Use::Streams) == before;
    // It is let go with a connection,
    drop(full(&broker, &backbone));
    until("it is over with its connection", is_over);
    // by a word,
    let mut client = full(&broker, &backbone);
    client.command(Json, &[("command", Str("cancel")), ("topic", Str("orders"))]);
    until("it is over by a cancel", is_over);
    // and by another in its place.
    let mut client = full(&broker, &backbone);
    client.command(
        Json,
        &[("command", Str("subscribe")), ("topic", Str("orders")), ("start", Str("new"))],
    );
    until("another has its place", || backbone.followers() == (1, 0));
    assert_eq!(claimed(&broker, Use::Streams), before + CLAIMED);
    broker.shutdown();
    until("it is over with its broker", || backbone.followers() == (0, 0));
}

#[test]
fn one_without_memory_is_refused() {
    let backbone = LocalBackbone::default();
    let broker = start_with(&backbone, sharing().memory(512 << 20));
    let mut others: Vec<_> = (0..5).map(|_| Client::connect(&broker)).collect();
    for other in &mut others {
        begins(other, "orders", "all");
    }
    let mut second = Client::connect(&broker);
    let refused = follow(&mut second, "orders", "all");
    refused.refuses("too-many-subscriptions", false);
    let reason = refused.field("reason");
    assert!(reason.contains("more memory") && reason.contains(&CLAIMED.to_string()), "{reason}");
    drop(others.pop());
    until("there is room for it", || {
        follow(&mut second, "orders", "all").field("command") == "subscribed"
    });
}

/// Where larger messages may come than before, they find memory too.
#[test]
fn what_messages_may_be_is_claimed() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let before = claimed(&broker, Use::Streams);
    let mut client = Client::connect(&broker);
    begins(&mut client, "orders", "all");
    backbone.go_down();
    backbone.take_at_most(3 << 20);
    backbone.come_up();
    until("it has more", || claimed(&broker, Use::Streams) == before + CLAIMED + (2 << 20));
    let mut producer = Client::connect(&broker);
    let text = format!("\"{}\"", "x".repeat(2_500_000));
    producer.publish(Json, "orders/1", text.as_bytes());
    assert_eq!(client.next().message(), text);
}

fn with_users(folder: &Path, subscribe: &str) -> std::path::PathBuf {
    let file = folder.join("users.toml");
    let role = format!("[role.r]\npublish = ['#']\nsubscribe = [{subscribe}]\n");
    let text = format!("[[user]]\nname = 'anonymous'\nroles = ['r']\n{role}");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn one_sees_what_it_may_see() {
    let (backbone, folder) = (LocalBackbone::default(), scratch("follow-users"));
    let config = sharing().users(with_users(&folder, "'orders/1', 'orders/2'"));
    let broker = start_with(&backbone, config);
    let before = claimed(&broker, Use::Streams);
    let mut client = Client::connect(&broker);
    follow(&mut client, "weather", "all").refuses("not-permitted", false);
    assert_eq!(follow(&mut client, "orders", "all").field("limited"), "true");
    let mut producer = Client::connect(&broker);
    let mut round = |client: &mut Client, seqs: &[i64]| {
        for topic in 1..=3 {
            publish(&mut producer, Json, &format!("orders/{topic}"), topic);
        }
        for seq in seqs {
            assert_eq!(read(client).0, *seq);
        }
        client.is_quiet();
        until("what it may not see takes no room", || backbone.followers().1 == 0);
    };
    round(&mut client, &[1, 2]);
    with_users(&folder, "'orders/2'");
    broker.reload_users().unwrap();
    round(&mut client, &[5]);
    with_users(&folder, "'weather'");
    broker.reload_users().unwrap();
    client.next().refuses("not-permitted", false);
    until("it follows no more", || backbone.followers() == (0, 0));
    assert_eq!(claimed(&broker, Use::Streams), before);
}

#[test]
fn the_last_messages_of_a_topic_are_not_had() {
    let broker = start(&LocalBackbone::default());
    let mut client = Client::connect(&broker);
    publish(&mut client, Json, "orders/1", 1);
    let get = [("command", Str("get")), ("topic", Str("orders/1")), ("last", Int(2))];
    client.command(Json, &get);
    let refused = client.next();
    refused.refuses("no-stream", false);
    let reason = refused.field("reason");
    assert!(reason.contains("NATS cannot read the messages of a topic backwards"), "{reason}");
}
