//! Several brokers, clients and outages by chance, and a checker of what everybody has seen.

use std::collections::{BTreeMap, HashMap, HashSet};

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::{BrokerHandle, Value};

use super::{delivery, scratch, start_in};
use crate::support::Field::Str;
use crate::support::backbone::LocalBackbone;
use crate::support::process::until;
use crate::support::random::Random;
use crate::support::{Client, number};

const BROKERS: usize = 3;
const TOPICS: usize = 4;

/// A producer, and what it knows.
struct Producer {
    client: Client,
    /// What it has published since its last pong, and what a pong has confirmed.
    unconfirmed: Vec<(String, i64)>,
    confirmed: Vec<(String, i64)>,
}

impl Producer {
    /// Asks for a confirmation, and takes what is refused meanwhile.
    fn ask(&mut self) {
        self.client.command(Json, &[("command", Str("ping"))]);
        loop {
            let answer = self.client.next();
            let fields = answer.fields();
            match &*fields["command"] {
                "pong" => {
                    self.confirmed.append(&mut self.unconfirmed);
                    return;
                }
                "error" if fields.contains_key("topic") => {
                    // The first that is not confirmed of this topic; which one, nobody says.
                    self.unconfirmed.retain(|(topic, _)| *topic != fields["topic"]);
                }
                // Some of it is not known to be there.
                "error" => {
                    self.unconfirmed.clear();
                    return;
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn confirmed_messages_reach_everybody_once_and_in_one_order() {
    for seed in 0..4 {
        run(seed);
    }
}

fn run(seed: u64) {
    let (mut random, backbone) = (Random::new(seed), LocalBackbone::default());
    let folders: Vec<_> =
        (0..BROKERS).map(|broker| scratch(&format!("histories-{seed}-{broker}"))).collect();
    let mut brokers: Vec<Option<BrokerHandle>> =
        folders.iter().map(|folder| Some(start_in(folder, &backbone))).collect();
    let connect = |brokers: &[Option<BrokerHandle>], at: usize| {
        Client::connect(brokers[at].as_ref().unwrap())
    };
    let producer = |client| Producer { client, unconfirmed: vec![], confirmed: vec![] };
    let mut producers: Vec<Producer> =
        (0..BROKERS).map(|at| producer(connect(&brokers, at))).collect();
    // The first broker stays, and so does its subscriber.
    let mut steady = connect(&brokers, 0);
    steady.subscribe(Json, "orders");
    let (mut value, mut is_down) = (0, false);
    for _ in 0..150 {
        let at = random.below(BROKERS);
        match random.below(20) {
            0 => {
                backbone.go_down();
                is_down = true;
            }
            1..=3 => {
                backbone.come_up();
                is_down = false;
            }
            4 if at > 0 => {
                producers[at].unconfirmed.clear();
                // What was not confirmed may be lost.
                let _ = brokers[at].take().unwrap().close();
                brokers[at] = Some(start_in(&folders[at], &backbone));
                producers[at].client = connect(&brokers, at);
            }
            5..=8 => producers[at].ask(),
            _ => {
                value += 1;
                let topic = format!("orders/{}", random.below(TOPICS));
                let format = [Json, Xml, Pickle][random.below(3)];
                let of = &mut producers[at];
                of.client.publish(format, &topic, &number(format, value));
                of.unconfirmed.push((topic, value));
            }
        }
    }
    if is_down {
        backbone.come_up();
    }
    for producer in &mut producers {
        producer.ask();
    }
    let last = backbone.messages().len() as u64;
    for broker in brokers.iter().flatten() {
        until("everything has arrived", || {
            let shared = &broker.shared_topics()[0];
            shared.applied == last && shared.unconfirmed == 0
        });
    }
    // What the steady subscriber has seen is what the backbone has, in its order.
    let mut seen = Vec::new();
    let expected: Vec<i64> = (0..last)
        .map(|_| {
            seen.push(delivery(&mut steady));
            seen.last().unwrap().1
        })
        .collect();
    steady.is_quiet();
    let once: HashSet<i64> = expected.iter().copied().collect();
    assert_eq!(once.len(), expected.len(), "seed {seed}: nothing comes twice");
    for producer in &producers {
        let mut before: HashMap<&str, usize> = HashMap::new();
        for (topic, value) in &producer.confirmed {
            let place = expected.iter().position(|seen| seen == value);
            let place = place.unwrap_or_else(|| panic!("seed {seed}: {value} was confirmed"));
            let before = before.entry(topic).or_insert(0);
            assert!(*before <= place, "seed {seed}: {value} of {topic} changed places");
            *before = place;
        }
    }
    // And all remember the same.
    let mut values: BTreeMap<String, i64> = BTreeMap::new();
    values.extend(seen);
    for (at, broker) in brokers.iter().flatten().enumerate() {
        for (topic, value) in &values {
            let found = broker.get_topic(topic).unwrap();
            assert_eq!(found, Some(Value::Int(*value)), "seed {seed}: {topic} at broker {at}");
        }
    }
}
