//! What each user may do.

use babelmq::Format::{Json, Pickle, Xml};

use super::{command, is_not_permitted, logged_in, start, topics, user};
use crate::support::Field::{Bool, Str};
use crate::support::{Client, FORMATS, number};

#[test]
fn a_message_to_a_topic_that_may_not_be_published_to_is_refused_and_the_others_are_not() {
    let (broker, _users) = start(&user("ada", "publish = ['a']\ndeny-publish = ['a/secret']"));
    let mut client = logged_in(&broker, "ada");
    for format in FORMATS {
        // Several of one kind in one read, so that those which look like the one before are there.
        let mut burst = Vec::new();
        for topic in ["a", "a/b", "a/b", "a/secret", "a/b", "b", "b", "a/secret/x", "a"] {
            burst.extend(crate::support::publish(format, topic, &number(format, 1)));
        }
        let before = broker.stats().published;
        client.send_raw(&burst);
        let refused = client.flush(format);
        assert_eq!(topics(&refused), ["a/secret", "b", "b", "a/secret/x"], "{format:?}");
        refused.iter().for_each(|frame| is_not_permitted(frame, "ada", &frame.field("topic")));
        assert_eq!(broker.stats().published - before, 5);
    }
    let held: Vec<String> = broker.list_topics().iter().map(ToString::to_string).collect();
    assert_eq!(held, ["a", "a/b"]);
}

#[test]
fn who_may_not_publish_to_a_topic_may_not_clear_it() {
    let (broker, _users) = start(&user("ada", "publish = ['a']\ndeny-publish = ['a/+/x']"));
    let all = ["a", "a/1/x", "a/2", "b"];
    for topic in all {
        broker.put_topic(topic, &1.into()).unwrap();
    }
    let mut client = logged_in(&broker, "ada");
    command(&mut client, "clear", "b");
    is_not_permitted(&client.next(), "ada", "b");
    command(&mut client, "clear", "a/1/x");
    is_not_permitted(&client.next(), "ada", "a/1/x");
    command(&mut client, "clear", "b/#");
    is_not_permitted(&client.next(), "ada", "b/#");
    // Of a wider filter what may be cleared is.
    command(&mut client, "clear", "#");
    client.is_quiet();
    let held: Vec<String> = broker.list_topics().iter().map(ToString::to_string).collect();
    assert_eq!(held, ["a/1/x", "b"]);
}

#[test]
fn a_wider_subscription_delivers_what_may_be_seen_and_says_that_it_is_limited() {
    let rules = "subscribe = ['a', 'b/{user}']\ndeny-subscribe = ['a/secret']";
    for overflow in ["disconnect", "drop-oldest", "latest"] {
        let (broker, _users) = start(&user("ada", rules));
        for topic in ["a", "a/secret", "a/1", "b/ada", "b/bob", "c"] {
            broker.put_topic(topic, &1.into()).unwrap();
        }
        let mut client = logged_in(&broker, "ada");
        let subscribe = [("command", Str("subscribe")), ("overflow", Str(overflow))];
        let asked = [&subscribe[..], &[("topic", Str("#")), ("cleared", Bool(true))]].concat();
        client.command(Json, &asked);
        let mut stored = Vec::new();
        let subscribed = loop {
            let frame = client.next();
            if frame.field("command") == "subscribed" {
                break frame;
            }
            stored.push(frame);
        };
        assert_eq!(topics(&stored), ["a", "a/1", "b/ada"]);
        let (topic, values) = (("topic", "#"), ("values", "3"));
        subscribed.says(&[("command", "subscribed"), topic, values, ("limited", "true")]);
        // Live messages, of one batch and of several; and notices.
        let seen = ["a", "a/2", "b/ada/x", "a/1"];
        for topic in ["a", "a/secret/x", "a/2", "b/bob", "b/ada/x", "c", "a/1", "a/secret"] {
            broker.put_topic(topic, &2.into()).unwrap();
        }
        assert_eq!(topics(&client.flush(Json)), seen, "{overflow}");
        let mut publisher = Vec::new();
        for topic in ["a", "a/secret/x", "a/2", "b/bob", "b/ada/x", "c", "a/1", "a/secret"] {
            publisher.extend(crate::support::publish(Pickle, topic, &number(Pickle, 3)));
        }
        assert_eq!(broker.list_subscriptions("a/secret").unwrap(), []);
        assert_eq!(broker.list_subscriptions("a/2").unwrap().len(), 1);
        for topic in ["a/secret", "a/1", "c"] {
            assert!(broker.clear_topic(topic).unwrap());
        }
        let notices = client.flush(Json);
        assert_eq!(topics(&notices), ["a/1"], "{overflow}");
        assert_eq!(notices[0].field("command"), "cleared");
    }
}

#[test]
fn clients_of_different_users_see_different_parts_of_one_batch() {
    let file = format!(
        "{}{}{}{}",
        user("ada", "subscribe = ['+/x']"),
        user("bob", "subscribe = ['#']\ndeny-subscribe = ['1/x', '3']"),
        user("eve", "subscribe = ['#']"),
        user("pub", "publish = ['#']"),
    );
    let (broker, _users) = start(&file);
    let subscribe = |name: &str, format, filter: &str| {
        let mut client = logged_in(&broker, name);
        client.command(format, &[("command", Str("subscribe")), ("topic", Str(filter))]);
        assert_eq!(client.next().field("command"), "subscribed");
        client
    };
    let mut clients = [
        (subscribe("ada", Json, "#"), vec!["1/x", "2/x", "3/x"]),
        (subscribe("ada", Xml, "#"), vec!["1/x", "2/x", "3/x"]),
        (subscribe("bob", Pickle, "#"), vec!["1", "2", "2/x"]),
        (subscribe("eve", Json, "#"), vec!["1", "1/x", "2", "2/x", "3", "3/x"]),
        (subscribe("bob", Json, "+"), vec!["1", "2", "2/x"]),
    ];
    let mut publisher = logged_in(&broker, "pub");
    // Twice, so that ways which were remembered are gone again.
    for _ in 0..2 {
        let all = ["1", "1/x", "2", "2/x", "3", "3/x"];
        let burst: Vec<u8> =
            all.iter().flat_map(|topic| crate::support::publish(Json, topic, b"1")).collect();
        publisher.send_raw(&burst);
        publisher.is_quiet();
        for (client, expected) in &mut clients {
            assert_eq!(topics(&client.flush(Json)), *expected);
        }
    }
}

#[test]
fn of_overlapping_subscriptions_the_one_that_is_allowed_delivers() {
    let (broker, _users) =
        start(&user("ada", "subscribe = ['a']\ndeny-subscribe = ['a/b/secret']"));
    let mut client = logged_in(&broker, "ada");
    for (format, filter) in [(Json, "a"), (Xml, "a/b"), (Pickle, "a/+/c")] {
        client.command(format, &[("command", Str("subscribe")), ("topic", Str(filter))]);
        assert_eq!(client.next().field("command"), "subscribed");
    }
    for topic in ["a/b/secret", "a/b/secret/c", "a/b", "a/x", "a/b/c"] {
        broker.put_topic(topic, &1.into()).unwrap();
    }
    let delivered: Vec<_> =
        client.flush(Json).iter().map(|frame| (frame.field("topic"), frame.format)).collect();
    let expected = [("a/b", Xml), ("a/x", Json), ("a/b/c", Pickle)];
    assert_eq!(delivered, expected.map(|(topic, format)| (topic.to_owned(), format)));
}

#[test]
fn what_could_never_be_seen_is_refused_and_the_connection_goes_on() {
    let file = user("ada", "publish = ['#']\nsubscribe = ['a']\ndeny-subscribe = ['a/b']");
    let (broker, _users) = start(&file);
    broker.put_topic("a/b", &1.into()).unwrap();
    let mut client = logged_in(&broker, "ada");
    for word in ["subscribe", "list"] {
        for filter in ["b", "a/b", "a/b/+", "/a"] {
            command(&mut client, word, filter);
            is_not_permitted(&client.next(), "ada", filter);
        }
    }
    for topic in ["a/b", "b"] {
        command(&mut client, "get", topic);
        is_not_permitted(&client.next(), "ada", topic);
    }
    client.is_quiet();
    assert_eq!(broker.stats().subscriptions, 0);
    command(&mut client, "get", "a");
    client.next().says(&[("command", "value"), ("topic", "a")]);
}

#[test]
fn a_list_names_what_may_be_seen() {
    let (broker, _users) = start(&user("ada", "subscribe = ['a', 'c/+/x']"));
    for topic in ["a", "a/1", "b", "c/1/x", "c/1/y"] {
        broker.put_topic(topic, &1.into()).unwrap();
    }
    let mut client = logged_in(&broker, "ada");
    client.command(Json, &[("command", Str("list"))]);
    assert_eq!(client.next().text(), r#"{"command":"topics","topics":["a","a/1","c/1/x"]}"#);
}

/// What is read in steps, between other events.
#[test]
fn long_answers_hold_what_may_be_seen() {
    const TOPICS: usize = 5_000;
    let rules = "subscribe = ['#']\ndeny-subscribe = ['odd']\npublish = ['odd']";
    let (broker, _users) = start(&user("ada", rules));
    for number in 0..TOPICS {
        let parity = if number % 2 == 1 { "odd" } else { "even" };
        broker.put_topic(&format!("{parity}/{number}"), &1.into()).unwrap();
    }
    let mut client = logged_in(&broker, "ada");
    command(&mut client, "subscribe", "#");
    for number in (0..TOPICS).step_by(2) {
        assert_eq!(client.next().field("topic"), format!("even/{number}"));
    }
    let (topic, values) = (("topic", "#"), ("values", "2500"));
    client.next().says(&[("command", "subscribed"), topic, values, ("limited", "true")]);
    client.command(Json, &[("command", Str("list"))]);
    let list = client.next().text().to_owned();
    assert_eq!((list.matches("even/").count(), list.matches("odd").count()), (TOPICS / 2, 0));
    command(&mut client, "clear", "#");
    client.is_quiet();
    let left = broker.list_topics();
    assert_eq!(left.len(), TOPICS / 2);
    assert!(left.iter().all(|topic| topic.as_str().starts_with("even/")));
}

#[test]
fn counters_and_backups_are_for_whom_the_file_names() {
    let file = format!(
        "{}{}{}",
        user("ada", "publish = ['#']"),
        user("monitor", "stats = true"),
        user("root", "admin = true"),
    );
    let (broker, _users) = start(&file);
    let asked = |name: &str, word: &str| {
        let mut client = logged_in(&broker, name);
        client.command(Json, &[("command", Str(word))]);
        let answer = client.next();
        let fields = answer.fields();
        fields.get("code").unwrap_or(&fields["command"]).clone()
    };
    assert_eq!(asked("ada", "stats"), "not-permitted");
    assert_eq!(asked("monitor", "stats"), "stats");
    assert_eq!(asked("root", "stats"), "stats");
    assert_eq!(asked("monitor", "backup"), "not-permitted");
    // It may ask, and there is no disk.
    assert_eq!(asked("root", "backup"), "storage-failed");
    for word in ["streams", "consumers"] {
        assert_eq!(asked("ada", word), "not-permitted");
        assert_eq!(asked("monitor", word), word);
        assert_eq!(asked("root", word), word);
    }
    // It may ask, and there is no stream.
    for (name, code) in
        [("ada", "not-permitted"), ("monitor", "not-permitted"), ("root", "no-stream")]
    {
        let mut client = logged_in(&broker, name);
        let fields = [("command", Str("remove-stream")), ("stream", Str("orders"))];
        client.command(Json, &fields);
        client.next().refuses(code, false);
    }
}

/// A login that lacks a byte is no login, and is not shown in part by what is said of it.
#[test]
fn a_login_that_cannot_be_read_is_not_repeated() {
    let file = "[[user]]\nname = 'anonymous'\nroles = ['g']\n[role.g]\nsubscribe = ['news']\n";
    let (broker, _users) = start(file);
    let mut client = Client::connect(&broker);
    client.send(Xml, b"<f command=\"login\"><token>SECRET</tokenSECRET</token></f>");
    let refusal = client.next();
    refusal.refuses("malformed-xml", false);
    assert!(!refusal.text().contains("SECRET"), "{}", refusal.text());
    client.send(Json, br#"{"command":"login SECRET","token":1}"#);
    let refusal = client.next();
    refusal.refuses("unknown-command", false);
    assert!(!refusal.text().contains("SECRET"), "{}", refusal.text());
    // What is none is explained as ever.
    client.send(Xml, b"<f command=\"get\" topic=\"news\"></nonsense></f>");
    assert!(client.next().field("reason").contains("nonsense"));
}

#[test]
fn who_has_not_logged_in_is_anonymous_where_the_file_has_that() {
    let file = "[[user]]\nname = 'anonymous'\nroles = ['g']\n[role.g]\nsubscribe = ['news']\n";
    let (broker, _users) = start(file);
    let mut client = Client::connect(&broker);
    assert_eq!(client.subscribe(Json, "news/sports"), []);
    client.publish(Json, "news/sports", b"1");
    is_not_permitted(&client.next(), "anonymous", "news/sports");
}
