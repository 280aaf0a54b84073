//! Clients of MQTT that come and go in every way, while others publish and the broker restarts:
//! what was confirmed comes to every session that had subscribed to it, in its order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use babelmq::{BrokerHandle, ListenUrl};

use super::{orders, scratch, start_with};
use crate::support::config;
use crate::support::mqtt::{Hello, Message, Mqtt, Packet, V3_1_1, V5};
use crate::support::random::Random;

const TOPICS: [&str; 4] = ["orders/1/a", "orders/1/b", "orders/2/a", "orders/2/b"];
/// Filters, and which of the topics each matches.
const FILTERS: [(&str, [bool; 4]); 5] = [
    ("orders/#", [true, true, true, true]),
    ("orders/+/a", [true, false, true, false]),
    ("orders/1/#", [true, true, false, false]),
    ("orders/1/a", [true, false, false, false]),
    ("orders/2/b", [false, false, false, true]),
];
/// Receive Maximum of each client.
const WINDOWS: [u8; 4] = [1, 3, 20, 200];
/// What is done in one run.
const STEPS: usize = 400;

fn start(folder: &Path) -> BrokerHandle {
    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    start_with(folder, config().listeners(urls).streams(vec![orders()]))
}

/// A message of a subscription: its identifier, the topic, and its number there.
type Which = (u32, usize, u64);

/// One client, and what it has to get.
struct Churner {
    name: String,
    properties: [u8; 8],
    line: Option<Mqtt>,
    is_known: bool,
    /// By the filter the identifier of its subscription.
    subscribed: BTreeMap<usize, u32>,
    /// By identifier and topic the number of the next message that is new.
    next: BTreeMap<(u32, usize), u64>,
    /// What came on this connection, and was not acknowledged.
    open: Vec<(u16, Which)>,
    seen: BTreeSet<Which>,
    /// What was acknowledged, and what of that the broker surely knows.
    acked: Vec<Which>,
    settled: BTreeSet<Which>,
    identifiers: u32,
}

impl Churner {
    fn new(place: usize) -> Churner {
        Churner {
            name: format!("churner {place}"),
            properties: [17, 0, 0, 0xff, 0xff, 33, 0, WINDOWS[place % WINDOWS.len()]],
            line: None,
            is_known: false,
            subscribed: BTreeMap::new(),
            next: BTreeMap::new(),
            open: Vec::new(),
            seen: BTreeSet::new(),
            acked: Vec::new(),
            settled: BTreeSet::new(),
            identifiers: 0,
        }
    }

    /// Connects, where it is connected already by a second connection.
    fn connect(&mut self, broker: &BrokerHandle) {
        let properties = &self.properties;
        let hello = Hello { clean: false, properties, ..Hello::new(V5, &self.name) };
        let (line, is_present) = Mqtt::hello(broker, &hello);
        assert_eq!(is_present, self.is_known, "{}: the session", self.name);
        self.is_known = true;
        self.line = Some(line);
        self.open.clear();
        self.seen.clear();
        self.acked.clear();
    }

    fn take(&mut self, message: &Message) {
        let identifier = match message.properties[..] {
            [11, low, ..] if low < 0x80 => u32::from(low),
            [11, low, high, ..] => u32::from(low & 0x7f) | u32::from(high) << 7,
            _ => panic!("{message:?}"),
        };
        let topic = TOPICS.iter().position(|topic| *topic == message.topic).unwrap();
        let number: u64 = String::from_utf8_lossy(&message.payload).parse().unwrap();
        let which = (identifier, topic, number);
        let name = &self.name;
        assert_eq!(message.qos, 1, "{name}: {which:?}");
        assert!(self.seen.insert(which), "{name}: {which:?} came twice on one connection");
        assert!(!self.settled.contains(&which), "{name}: {which:?} was acknowledged before");
        self.open.push((message.id, which));
        // Of a subscription that has ended, what was on its way may come again.
        let Some(next) = self.next.get_mut(&(identifier, topic)) else { return };
        assert!(number <= *next, "{name}: {which:?} came, and {next} did not");
        *next = (*next).max(number + 1);
    }

    /// Takes packets up to the first of this kind.
    fn read_to(&mut self, kind: &str) -> Packet {
        loop {
            let line = self.line.as_mut().unwrap();
            let packet = line.read();
            if packet.kind() == kind {
                return packet;
            }
            let message = line.message_in(&packet);
            self.take(&message);
        }
    }

    fn ping(&mut self) {
        self.line.as_mut().unwrap().send(&[0xc0, 0]);
        self.read_to("PINGRESP");
        self.settled.extend(self.acked.drain(..));
    }

    /// Acknowledges the first so many.
    fn ack(&mut self, many: usize) {
        for (id, which) in self.open.drain(..many.min(self.open.len())) {
            self.line.as_mut().unwrap().ack(0x40, id);
            self.acked.push(which);
        }
    }

    fn subscribe(&mut self, filter: usize, published: &[u64; 4]) {
        let (text, matches) = FILTERS[filter];
        let identifier = *self.subscribed.entry(filter).or_insert_with(|| {
            self.identifiers += 1;
            for topic in (0..4).filter(|topic| matches[*topic]) {
                self.next.insert((self.identifiers, topic), published[topic]);
            }
            self.identifiers
        });
        let properties = match identifier {
            0..0x80 => vec![11, identifier as u8],
            _ => vec![11, identifier as u8 | 0x80, (identifier >> 7) as u8],
        };
        self.line.as_mut().unwrap().ask_for(text, 1, &properties);
        assert_eq!(self.read_to("SUBACK").body.last(), Some(&1));
    }

    fn unsubscribe(&mut self, filter: usize) {
        let Some(identifier) = self.subscribed.remove(&filter) else { return };
        self.line.as_mut().unwrap().ask_to_end(FILTERS[filter].0);
        assert_eq!(self.read_to("UNSUBACK").body.last(), Some(&0));
        self.next.retain(|(of, _), _| *of != identifier);
    }

    /// Takes and acknowledges all that there is for it.
    fn finish(&mut self, published: &[u64; 4]) {
        self.ack(usize::MAX);
        while self.next.iter().any(|((_, topic), next)| *next < published[*topic]) {
            let line = self.line.as_mut().unwrap();
            let message = line.message();
            self.take(&message);
            self.ack(usize::MAX);
        }
        self.ping();
    }
}

/// Does so many things by chance, and then sees that nothing is missing.
fn churn(seed: u64) {
    let folder = scratch(&format!("mqtt-churn-{seed}"));
    let mut random = Random::new(seed);
    let mut broker = start(&folder);
    let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
    let mut published = [0; 4];
    let mut churners: Vec<Churner> = (0..WINDOWS.len()).map(Churner::new).collect();
    for _ in 0..STEPS {
        if random.one_in(60) {
            if random.one_in(2) {
                churners.iter_mut().for_each(|churner| churner.line = None);
            }
            broker.shutdown();
            for churner in &mut churners {
                churner.line = None;
                // A session that has nothing on a stream ends with the broker.
                churner.is_known &= !churner.subscribed.is_empty();
            }
            broker = start(&folder);
            publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
        }
        let churner = random.below(churners.len());
        let churner = &mut churners[churner];
        match random.below(12) {
            0..4 => {
                for _ in 0..random.below(20) {
                    let topic = random.below(4);
                    let number = published[topic].to_string();
                    publisher.publish(TOPICS[topic], number.as_bytes(), 1, false, 1);
                    assert_eq!(publisher.read().kind(), "PUBACK");
                    published[topic] += 1;
                }
            }
            // At once, or when what is there was taken.
            4 => churner.connect(&broker),
            _ if churner.line.is_none() => {
                churner.connect(&broker);
                if random.one_in(2)
                    && let Some(filter) = churner.subscribed.keys().next()
                {
                    churner.subscribe(*filter, &published);
                }
            }
            5 => churner.line = None,
            6 => churner.line.take().unwrap().send(&[0xe0, 0]),
            7 => churner.subscribe(random.below(FILTERS.len()), &published),
            8 => churner.unsubscribe(random.below(FILTERS.len())),
            9 => churner.ack(random.below(30)),
            _ => churner.ping(),
        }
    }
    for churner in &mut churners {
        if churner.line.is_none() {
            churner.connect(&broker);
        }
        churner.finish(&published);
    }
}

#[test]
fn what_was_confirmed_comes_to_every_session() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    match seed {
        Some(seed) => churn(seed),
        None => (1..4).for_each(churn),
    }
}
