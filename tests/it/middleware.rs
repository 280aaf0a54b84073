//! The queues, as programs use them.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use babelmq::{
    Arrival, BrokerHandle, Client, ErrorCode, Exact, Format, Json, JsonQueue, Pickle, PickleQueue,
    Queue, QueueError, Subscribe, Topic, TopicFilter, Value, Wire, Xml, XmlQueue,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::support::{self, PATIENCE, start};

fn producer<W: Wire>(broker: &BrokerHandle, topic: &str) -> Queue<W> {
    Queue::builder(topic).address(broker.local_addr()).timeout(PATIENCE).producer().unwrap()
}

fn consumer<W: Wire>(broker: &BrokerHandle, topic: &str) -> Queue<W> {
    Queue::builder(topic).address(broker.local_addr()).timeout(PATIENCE).consumer().unwrap()
}

/// Pulling without end would hang where it should fail.
fn pull<W: Wire>(queue: &mut Queue<W>) -> (String, Value) {
    let (topic, value) = queue.pull_timeout(PATIENCE).unwrap();
    (topic.to_string(), value)
}

/// Pushes `sent` in each format and pulls `expected` in each.
#[track_caller]
fn check<S: Serialize, T: DeserializeOwned + PartialEq + Debug>(sent: &S, expected: &T) {
    let broker = start();
    let mut json: JsonQueue = consumer(&broker, "/t");
    let mut exact =
        JsonQueue::builder("/t").address(broker.local_addr()).exact(true).consumer().unwrap();
    let mut xml: XmlQueue = consumer(&broker, "/t");
    let mut pickle: PickleQueue = consumer(&broker, "/t");
    let mut receive = |from: &str| {
        let typed = |result: Result<(Topic, T), QueueError>, to: &str| match result {
            Ok((topic, value)) => {
                assert_eq!(topic.as_str(), "/t/x");
                assert_eq!(&value, expected, "{from} to {to}");
            }
            Err(error) => panic!("{from} to {to}: {error}"),
        };
        typed(json.pull_as(), "json");
        typed(exact.pull_as(), "exact json");
        typed(xml.pull_as(), "xml");
        typed(pickle.pull_as(), "pickle");
    };
    let mut queue: JsonQueue = producer(&broker, "/t/x");
    queue.push(sent).unwrap();
    queue.flush().unwrap();
    receive("json");
    let mut queue: XmlQueue = producer(&broker, "/t/x");
    queue.push(sent).unwrap();
    queue.flush().unwrap();
    receive("xml");
    let mut queue: PickleQueue = producer(&broker, "/t/x");
    queue.push(sent).unwrap();
    queue.flush().unwrap();
    receive("pickle");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Weather {
    place: String,
    temperature: f64,
    rain: Option<f64>,
    wind: Option<Wind>,
    station: u64,
    tags: Vec<String>,
    sunny: bool,
    position: (f64, f64),
    #[serde(rename = "a b")]
    spaced: i8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wind {
    direction: Direction,
    speed: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Direction {
    North,
    Degrees(u16),
    Between(u16, u16),
    Gust { from: u16 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(i32);

fn weather(direction: Direction) -> Weather {
    Weather {
        place: "Köln <&> \"x\"\r\n\0\u{ffff}".into(),
        temperature: 21.0,
        rain: None,
        wind: Some(Wind { direction, speed: 0.1 }),
        station: u64::MAX,
        tags: vec![String::new(), "true".into(), "21".into()],
        sunny: true,
        position: (50.9, -1e-7),
        spaced: -8,
    }
}

#[test]
fn structs_arrive_unchanged_in_nine_directions() {
    use Direction::{Between, Degrees, Gust, North};
    for direction in [North, Degrees(90), Between(10, 20), Gust { from: 5 }] {
        let weather = weather(direction);
        check(&weather, &weather);
    }
}

#[test]
fn every_kind_of_type_arrives_unchanged_in_nine_directions() {
    check(&true, &true);
    check(&i64::MIN, &i64::MIN);
    check(&u64::MAX, &u64::MAX);
    check(&1.0_f64, &1.0_f64);
    check(&f64::INFINITY, &f64::INFINITY);
    check(&'ß', &'ß');
    check(&"", &String::new());
    check(&(), &());
    check(&None::<i32>, &None::<i32>);
    check(&Some(5), &Some(5));
    check(&(1, "a", 2.5), &(1, "a".to_owned(), 2.5));
    check(&Vec::<i32>::new(), &Vec::<i32>::new());
    check(&vec![vec![1], vec![]], &vec![vec![1], vec![]]);
    check(&BTreeSet::from([1, 2]), &BTreeSet::from([1, 2]));
    check(&BTreeMap::from([("k".to_owned(), 1)]), &BTreeMap::from([("k".to_owned(), 1)]));
    check(&BTreeMap::<String, i32>::new(), &BTreeMap::<String, i32>::new());
    check(&Nothing, &Nothing);
    check(&Wrapped(5), &Wrapped(5));
    check(
        &serde_json::json!({"a": [1, null, {"b": "c"}]}),
        &serde_json::json!({"a": [1, null, {"b": "c"}]}),
    );
}

/// `{"command":"publish","topic":"/t","message":null}` was taken for a frame without a message, and
/// the queue broke.
#[test]
fn regression_a_json_queue_pulls_null() {
    let broker = start();
    broker.put_topic("/t", &Value::None).unwrap();
    let mut queue: JsonQueue = consumer(&broker, "/t");
    broker.put_topic("/t", &1.into()).unwrap();
    assert_eq!(pull(&mut queue).1, Value::None);
    assert_eq!(pull(&mut queue).1, 1.into());
}

/// A key that was a number became a string on its way through JSON, and no number again.
#[test]
fn regression_maps_keep_keys_that_are_no_strings() {
    let numbers = BTreeMap::from([(1_u32, "a".to_owned()), (20, "b".to_owned())]);
    check(&numbers, &numbers);
    let truths = BTreeMap::from([(true, 1), (false, 0)]);
    check(&truths, &truths);
    let negative = BTreeMap::from([(-5_i64, 1)]);
    check(&negative, &negative);
}

#[test]
fn wide_integers_arrive_unchanged() {
    let queue = |broker: &BrokerHandle| consumer::<babelmq::Json>(broker, "/t");
    let broker = start();
    let mut consumer = queue(&broker);
    producer::<babelmq::Json>(&broker, "/t").push(&u128::MAX).unwrap();
    assert_eq!(consumer.pull_as::<u128>().unwrap().1, u128::MAX);
    producer::<Xml>(&broker, "/t").push(&i128::MIN).unwrap();
    assert_eq!(consumer.pull_as::<i128>().unwrap().1, i128::MIN);
}

/// A JSON consumer found `{"$int":"9223372036854775808"}` where Python had pushed a number.
#[test]
fn regression_push_value_writes_wide_integers_as_numbers() {
    let broker = start();
    let mut consumer = support::Client::connect(&broker);
    consumer.subscribe(babelmq::Format::Json, "/t");
    let value = Value::Tuple(vec![Value::parse_int("9223372036854775808").unwrap()]);
    producer::<babelmq::Json>(&broker, "/t").push_value(&value).unwrap();
    assert_eq!(consumer.next().message(), r#"{"$tuple":[9223372036854775808]}"#);
}

#[test]
fn a_nan_and_bytes_from_a_json_producer_are_not_lost() {
    #[derive(Serialize)]
    struct Bytes<'a>(#[serde(serialize_with = "as_bytes")] &'a [u8]);
    fn as_bytes<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }
    let broker = start();
    let mut json: JsonQueue = consumer(&broker, "/t");
    let mut xml: XmlQueue = consumer(&broker, "/t");
    let mut pickle: PickleQueue = consumer(&broker, "/t");
    let mut queue: JsonQueue = producer(&broker, "/t");
    queue.push(&(f64::NAN, f64::NEG_INFINITY)).unwrap();
    queue.push(&Bytes(&[0, 255])).unwrap();
    assert!(json.pull_as::<(f64, f64)>().unwrap().1.0.is_nan());
    assert!(xml.pull_as::<(f64, f64)>().unwrap().1.0.is_nan());
    let (_, (nan, infinite)) = pickle.pull_as::<(f64, f64)>().unwrap();
    assert!(nan.is_nan() && infinite == f64::NEG_INFINITY);
    for value in [pull(&mut json).1, pull(&mut xml).1, pull(&mut pickle).1] {
        assert_eq!(value, Value::Bytes(vec![0, 255]));
    }
}

#[test]
fn push_value_is_exact_in_every_format() {
    let broker = start();
    let value = Value::Dict(vec![
        ("t".into(), Value::Tuple(vec![1.into(), 2.5.into(), Value::None, true.into()])),
        ("b c".into(), Value::Set(vec!["x\r\n\0".into()])),
        (7.into(), Value::FrozenSet(vec![Value::Bytes(vec![1, 2])])),
        (Value::Tuple(vec![]), Value::List(vec![Value::parse_int(&"9".repeat(50)).unwrap()])),
        ("$int".into(), Value::Dict(vec![("$int".into(), "5".into())])),
    ]);
    let mut exact =
        JsonQueue::builder("/t").address(broker.local_addr()).exact(true).consumer().unwrap();
    let mut xml: XmlQueue = consumer(&broker, "/t");
    let mut pickle: PickleQueue = consumer(&broker, "/t");
    producer::<babelmq::Json>(&broker, "/t/j").push_value(&value).unwrap();
    producer::<Xml>(&broker, "/t/x").push_value(&value).unwrap();
    producer::<Pickle>(&broker, "/t/p").push_value(&value).unwrap();
    for _ in 0..3 {
        assert_eq!(pull(&mut exact).1, value);
        assert_eq!(pull(&mut xml).1, value);
        assert_eq!(pull(&mut pickle).1, value);
    }
}

#[test]
fn a_consumer_has_the_stored_values_first_and_a_producer_sends_nothing_by_itself() {
    let broker = start();
    let mut queue: PickleQueue = producer(&broker, "/t/a");
    assert_eq!((queue.topic(), broker.stats().bytes_in), ("/t/a", 0));
    queue.push(&1).unwrap();
    queue.push(&2).unwrap();
    queue.flush().unwrap();
    let mut consumer: XmlQueue = consumer(&broker, "/t");
    queue.push(&3).unwrap();
    let pulled: Vec<_> = consumer.iter().take(2).map(|pulled| pulled.unwrap().1).collect();
    assert_eq!(pulled, [2.into(), 3.into()]);
    let by_reference: Vec<_> = {
        queue.push(&4).unwrap();
        (&mut consumer).into_iter().take(1).map(|pulled| pulled.unwrap().0.to_string()).collect()
    };
    assert_eq!(by_reference, ["/t/a"]);
}

#[test]
fn a_pull_that_times_out_says_so_and_the_next_one_works() {
    let broker = start();
    let mut queue: JsonQueue = consumer(&broker, "/t");
    for _ in 0..2 {
        let timed_out = queue.pull_timeout(Duration::from_millis(20));
        assert!(matches!(timed_out, Err(QueueError::TimedOut)), "{timed_out:?}");
    }
    broker.put_topic("/t", &1.into()).unwrap();
    assert_eq!(pull(&mut queue), ("/t".into(), 1.into()));
}

#[test]
fn a_message_of_another_type_is_an_error_and_not_pulled_again() {
    let broker = start();
    let mut queue: PickleQueue = consumer(&broker, "/t");
    broker.put_topic("/t", &"text".into()).unwrap();
    broker.put_topic("/t", &2.into()).unwrap();
    assert!(matches!(queue.pull_as::<i32>(), Err(QueueError::Type(_))));
    assert_eq!(queue.pull_as::<i32>().unwrap().1, 2);
}

#[test]
fn flush_reports_what_was_refused_and_the_queue_goes_on() {
    fn check<W: Wire>(broker: &BrokerHandle) {
        let mut queue: Queue<W> = producer(broker, "/t");
        let deep = (0..129).fold(Value::None, |inner, _| Value::List(vec![inner]));
        let large = "x".repeat(70_000);
        // Either side may be the one that refuses it.
        let pushed = queue.push_value(&deep);
        let refused = match pushed {
            Ok(()) => queue.flush().unwrap_err(),
            Err(error) => error,
        };
        match &refused {
            QueueError::Refused(refused) => {
                assert!(refused.is(ErrorCode::TooDeep) && !refused.fatal, "{refused:?}");
                assert_eq!(refused.code, "too-deep");
            }
            QueueError::Invalid(refusal) => assert_eq!(refusal.code, ErrorCode::TooDeep),
            other => panic!("{other}"),
        }
        queue.push(&1).unwrap();
        queue.flush().unwrap();
        // A budget that only the broker knows.
        queue.push(&large).unwrap();
        let Err(QueueError::Refused(refused)) = queue.flush() else {
            panic!("{} not refused", W::FORMAT)
        };
        assert!(refused.is(ErrorCode::TooLarge), "{refused}");
        assert!(refused.reason.len() > 10 && !refused.fatal);
        queue.push(&2).unwrap();
        queue.flush().unwrap();
        // At the latest the push after the error has come says it.
        queue.push(&large).unwrap();
        let mut pushes = 0;
        let refused = loop {
            match queue.push(&3) {
                Ok(()) => pushes += 1,
                Err(error) => break error,
            }
            assert!(pushes < 100_000, "never told");
        };
        assert!(
            matches!(&refused, QueueError::Refused(refused) if refused.is(ErrorCode::TooLarge)),
            "{refused}"
        );
        queue.flush().unwrap();
    }
    let limits = babelmq::Limits::with_max_frame(1 << 20).decoded_size(60_000);
    let broker = babelmq::Broker::start(support::config().limits(limits)).unwrap();
    check::<babelmq::Json>(&broker);
    check::<Xml>(&broker);
    check::<Pickle>(&broker);
    assert!(broker.stats().refused >= 6);
}

#[test]
fn a_fatal_refusal_says_why_before_the_end() {
    let limits = babelmq::Limits::with_max_frame(1_000);
    let broker = babelmq::Broker::start(support::config().limits(limits)).unwrap();
    let mut queue: XmlQueue = producer(&broker, "/t");
    queue.push(&"x".repeat(1_000)).unwrap();
    let Err(QueueError::Refused(refused)) = queue.flush() else { panic!("not refused") };
    assert!(refused.is(ErrorCode::FrameTooLarge) && refused.fatal, "{refused:?}");
    // It is not tried again, and the queue goes on with another connection.
    queue.push(&1).unwrap();
    queue.flush().unwrap();
    assert_eq!((broker.stats().published, broker.stats().connections), (1, 2));
}

#[test]
fn topics_are_judged_before_anything_is_sent() {
    let broker = start();
    for topic in ["", "a//b", "/t/", "a+"] {
        let builder = || JsonQueue::builder(topic).address(broker.local_addr());
        for refused in [builder().producer(), builder().consumer()] {
            let Err(QueueError::Invalid(refusal)) = refused else { panic!("{topic:?}") };
            assert_eq!(refusal.code, ErrorCode::InvalidTopic);
        }
    }
    assert!(JsonQueue::builder("#").address(broker.local_addr()).producer().is_err());
    assert!(JsonQueue::builder("#").address(broker.local_addr()).consumer().is_ok());
}

#[test]
fn topics_wait_or_come_through_pull() {
    let broker = start();
    for topic in ["b", "/t", "a"] {
        broker.put_topic(topic, &1.into()).unwrap();
    }
    let mut queue: PickleQueue = consumer(&broker, "/t");
    let (tell, told) = mpsc::channel();
    queue.list_topics(move |topics| tell.send(topics).unwrap()).unwrap();
    assert!(told.try_recv().is_err(), "not before a pull");
    assert_eq!(pull(&mut queue).1, 1.into());
    // What the queue itself pushes comes back after the answer to what it asked before.
    queue.push(&2).unwrap();
    assert_eq!(pull(&mut queue).1, 2.into());
    broker.put_topic("/t/x", &3.into()).unwrap();
    let names: Vec<String> = told.try_recv().unwrap().iter().map(Topic::to_string).collect();
    assert_eq!(names, ["/t", "a", "b"]);
    let names: Vec<String> = queue.topics().unwrap().iter().map(Topic::to_string).collect();
    assert_eq!(names, ["/t", "/t/x", "a", "b"]);
    assert_eq!(consumer::<Xml>(&broker, "u").topics().unwrap().len(), 4);
}

#[test]
fn after_cancel_only_what_came_before_can_be_pulled() {
    let broker = start();
    let mut queue: JsonQueue = consumer(&broker, "/t");
    broker.put_topic("/t", &1.into()).unwrap();
    queue.cancel().unwrap();
    broker.put_topic("/t", &2.into()).unwrap();
    queue.flush().unwrap();
    assert_eq!(pull(&mut queue).1, 1.into());
    assert!(matches!(queue.pull(), Err(QueueError::NotSubscribed)));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "order")]
struct Order {
    #[serde(rename = "@id")]
    id: u32,
    sku: Vec<String>,
}

#[test]
fn documents_become_structs_and_back() {
    let broker = start();
    let mut xml: XmlQueue = consumer(&broker, "/t");
    let mut json: JsonQueue = consumer(&broker, "/t");
    let order = Order { id: 5, sku: vec!["X1".into(), "<Y2>".into()] };
    producer::<Xml>(&broker, "/t").push_document(&order).unwrap();
    let (topic, pulled) = xml.pull_document::<Order>().unwrap();
    assert_eq!((topic.as_str(), pulled), ("/t", order));
    let expected = serde_json::json!({"order": {"@id": "5", "sku": ["X1", "<Y2>"]}});
    assert_eq!(json.pull_as::<serde_json::Value>().unwrap().1, expected);
}

#[test]
fn a_plain_document_is_taken_out_of_the_message() {
    let broker = start();
    let queue = XmlQueue::builder("/t").address(broker.local_addr());
    let mut plain = queue.clone().plain(true).consumer().unwrap();
    let mut named = queue.plain(true).root("order").consumer().unwrap();
    let order = Order { id: 5, sku: vec!["X1".into(), "<Y2>".into()] };
    let fields = serde_json::json!({"@id": 5, "sku": ["X1", "<Y2>"]});
    let mut producer = producer::<Json>(&broker, "/t");
    producer.push(&serde_json::json!({"order": fields})).unwrap();
    assert_eq!(plain.pull_document::<Order>().unwrap().1, order);
    assert_eq!(named.pull_document::<Order>().unwrap().1, order);
    // What is not one element of its own gets a root, or has none but the message itself.
    producer.push(&fields).unwrap();
    assert_eq!(plain.pull_document::<Order>().unwrap().1, order);
    assert_eq!(named.pull_document::<Order>().unwrap().1, order);
    // The spelling of another producer.
    let other = b"<message type = 'document' ><!-- c --><order id='5'><sku>X1</sku>\
        <sku>&lt;Y2></sku></order>\n</message >";
    support::Client::connect(&broker).publish(Format::Xml, "/t", other);
    assert_eq!(plain.pull_document::<Order>().unwrap().1, order);
}

#[test]
fn values_and_documents_are_pushed_to_other_topics() {
    let broker = start();
    let pair = Value::Tuple(vec![1.into(), 2.into()]);
    let order = Order { id: 5, sku: vec!["X1".into()] };
    let mut pickle: PickleQueue = consumer(&broker, "/other");
    let mut producer = producer::<Xml>(&broker, "/t");
    producer.push_value_to("/other/pair", &pair).unwrap();
    producer.push_document_to("/other/order", &order).unwrap();
    assert_eq!(pull(&mut pickle), ("/other/pair".into(), pair.clone()));
    assert_eq!(pull(&mut pickle).0, "/other/order");
    assert_eq!(consumer::<Xml>(&broker, "/other/order").pull_document::<Order>().unwrap().1, order);
    for pushed in [producer.push_value_to("a//b", &pair), producer.push_document_to("#", &order)] {
        assert!(matches!(pushed, Err(QueueError::Invalid(_))), "{pushed:?}");
    }
}

#[test]
fn a_queue_that_asks_is_told_what_was_cleared() {
    fn check<W: Wire>() {
        let broker = start();
        let queue = Queue::<W>::builder("/t").address(broker.local_addr()).timeout(PATIENCE);
        let mut told = queue.clone().cleared(true).consumer().unwrap();
        let mut passes = queue.clone().cleared(true).consumer().unwrap();
        let mut other = queue.consumer().unwrap();
        broker.put_topic("/t/a", &1.into()).unwrap();
        broker.clear_topic("/t/a").unwrap();
        broker.put_topic("/t/a", &2.into()).unwrap();
        let mut said = Vec::new();
        for _ in 0..3 {
            let message = told.pull_message_timeout(PATIENCE).unwrap();
            assert_eq!((message.topic.as_str(), message.retained), ("/t/a", false));
            said.push((message.cleared, message.value));
        }
        assert_eq!(said, [(false, 1.into()), (true, Value::None), (false, 2.into())]);
        // Whoever pulls values pulls values.
        assert_eq!([pull(&mut passes).1, pull(&mut passes).1], [1.into(), 2.into()]);
        let values = [(); 2].map(|()| other.pull_message_timeout(PATIENCE).unwrap().value);
        assert_eq!(values, [1.into(), 2.into()]);
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_queue_that_pushes_a_lot_to_itself_does_not_block() {
    const MESSAGES: i64 = 60;
    let broker = start();
    let mut queue: JsonQueue = consumer(&broker, "/t");
    let text = "x".repeat(1 << 20);
    for count in 0..MESSAGES {
        // 60 MiB there and back, and nothing is pulled meanwhile.
        queue.push(&(count, &text)).unwrap();
    }
    for count in 0..MESSAGES {
        let (_, (number, back)) = queue.pull_as::<(i64, String)>().unwrap();
        assert_eq!((number, back.len()), (count, text.len()));
    }
    queue.flush().unwrap();
}

#[test]
fn a_broker_that_is_gone_is_an_error_where_patience_ends() {
    let broker = start();
    let short = Duration::from_millis(50);
    let queue = || Queue::<Xml>::builder("/t").address(broker.local_addr()).timeout(short);
    let mut queues: Vec<XmlQueue> = (0..3).map(|_| queue().consumer().unwrap()).collect();
    // Of another topic: the consumers would pull it.
    let mut pushed: XmlQueue =
        Queue::builder("/u").address(broker.local_addr()).timeout(short).producer().unwrap();
    pushed.push(&1).unwrap();
    broker.shutdown();
    assert!(matches!(queues[0].pull_timeout(short), Err(QueueError::TimedOut)));
    assert!(matches!(queues[1].flush(), Err(QueueError::TimedOut)));
    assert!(matches!(queues[2].push(&1), Err(QueueError::TimedOut)));
    assert!(matches!(pushed.flush(), Err(QueueError::Lost)));
    assert!(matches!(pushed.flush(), Err(QueueError::TimedOut)));
}

#[test]
fn a_broker_that_is_not_there_or_does_not_answer_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let short = Duration::from_millis(50);
    // It accepts, as the system does for it, and never answers.
    let silent = JsonQueue::builder("/t").address(address).timeout(short).consumer();
    assert!(matches!(silent, Err(QueueError::TimedOut)), "{silent:?}");
    let mut silent = JsonQueue::builder("/t").address(address).timeout(short).producer().unwrap();
    assert!(matches!(silent.flush(), Err(QueueError::TimedOut)));
    assert!(matches!(silent.topics(), Err(QueueError::TimedOut)));
    drop((silent, listener));
    let refused = JsonQueue::builder("/t").address(address).producer().unwrap_err();
    assert!(matches!(&refused, QueueError::Connect { .. }), "{refused}");
    assert!(refused.to_string().contains(&address.to_string()), "{refused}");
    assert!(matches!(
        JsonQueue::builder("/t").address("no port").producer(),
        Err(QueueError::Options(_))
    ));
}

/// The environment belongs to the whole process, so this test runs itself again as a child.
#[test]
fn the_address_comes_from_the_environment() {
    if let Ok(topic) = std::env::var("BABELMQ_TEST_CHILD") {
        let mut queue = PickleQueue::producer(topic).unwrap();
        queue.push("from the child").unwrap();
        queue.flush().unwrap();
        return;
    }
    let broker = start();
    let mut queue: JsonQueue = consumer(&broker, "/env");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "middleware::the_address_comes_from_the_environment"])
        .env("BABELMQ_TEST_CHILD", "/env/child")
        .env("BABELMQ_ADDR", broker.local_addr().to_string())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(pull(&mut queue), ("/env/child".into(), "from the child".into()));
}

/// An attribute cannot hold this topic, so it comes as an element; see the same regression in
/// `messages.rs`.
#[test]
fn regression_an_xml_queue_gets_a_topic_that_no_attribute_can_carry() {
    let broker = start();
    let mut queue: XmlQueue = consumer(&broker, "#");
    broker.put_topic("t\u{ffff}", &1.into()).unwrap();
    assert_eq!(pull(&mut queue), ("t\u{ffff}".into(), 1.into()));
    assert_eq!(queue.topics().unwrap()[0].as_str(), "t\u{ffff}");
}

#[test]
fn ints_that_javascript_cannot_hold_are_tagged_and_still_ints() {
    let broker = start();
    let large = 9_007_199_254_740_993_i64;
    broker.put_topic("/t", &large.into()).unwrap();
    let builder = JsonQueue::builder("/t").address(broker.local_addr()).timeout(PATIENCE);
    let mut queue = builder.exact(Exact::Js).consumer().unwrap();
    assert_eq!(pull(&mut queue), ("/t".into(), large.into()));

    let mut client = Client::connect(&broker.local_addr().to_string(), PATIENCE).unwrap();
    let filter = TopicFilter::parse("/t").unwrap();
    for (exact, expected) in [
        (Exact::No, "9007199254740993"),
        (Exact::Tagged, "9007199254740993"),
        (Exact::Js, r#"{"$int":"9007199254740993"}"#),
    ] {
        client.subscribe(&filter, Format::Json, Subscribe::default().exact(exact)).unwrap();
        let Some(Arrival::Delivery { message, .. }) = client.next(None).unwrap() else { panic!() };
        assert_eq!(String::from_utf8_lossy(message.bytes()), expected);
        assert!(matches!(client.next(None).unwrap(), Some(Arrival::Subscribed { .. })));
    }
}

#[test]
fn xml_without_types_is_text_below_names_of_a_consumers_own() {
    let broker = start();
    broker.put_topic("/t", &Value::List(vec![1.into(), true.into()])).unwrap();
    let builder = XmlQueue::builder("/t").address(broker.local_addr()).timeout(PATIENCE);
    let mut queue = builder.plain(true).root("data").item("row").consumer().unwrap();
    let (_, value) = pull(&mut queue);
    let rows = value.get("data").and_then(|data| data.get("row"));
    assert_eq!(rows, Some(&Value::List(vec!["1".into(), "true".into()])), "{value}");
    let refused = XmlQueue::builder("/t").address(broker.local_addr()).plain(true).root("a b");
    assert!(matches!(refused.consumer(), Err(QueueError::Refused(_))));
}

#[test]
fn a_client_clears_what_a_filter_names_and_is_told() {
    let broker = start();
    let address = broker.local_addr().to_string();
    for format in Format::ALL {
        for topic in ["a", "a/b", "b"] {
            broker.put_topic(topic, &1.into()).unwrap();
        }
        let mut client = Client::connect(&address, PATIENCE).unwrap();
        let all = TopicFilter::parse("#").unwrap();
        client.subscribe(&all, format, Subscribe::default().cleared(true)).unwrap();
        client.clear_matching(&TopicFilter::parse("a").unwrap()).unwrap();
        assert_eq!(client.topics(&all).unwrap().len(), 2, "of a topic it is that alone");
        client.clear_matching(&TopicFilter::parse("a/#").unwrap()).unwrap();
        client.clear(&Topic::parse("b").unwrap()).unwrap();
        assert_eq!(client.topics(&all).unwrap(), []);
        let mut cleared = Vec::new();
        while let Some(arrival) = client.next_waiting().unwrap() {
            if let Arrival::Cleared { topic, .. } = arrival {
                cleared.push(topic.to_string());
            }
        }
        assert_eq!(cleared, ["a", "a/b", "b"], "{format}");
    }
}
