//! What brokers that share topics promise, held to what their clients have seen: a function of
//! histories, which knows no broker.

mod faults;

use std::collections::{BTreeMap, HashMap, HashSet};

/// Something that a client did or saw. A history has the events of all clients in an order that
/// could have been: what is sent is noted before, and what is received is noted behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A producer is about to publish a number, which no other has; maybe not for the first time.
    Sent { connection: u64, number: i64, topic: String },
    /// A pong has confirmed it.
    Confirmed { number: i64 },
    /// A subscriber has these last values.
    Subscribed {
        connection: u64,
        values: BTreeMap<String, i64>,
        /// Its broker was killed once, and may have written down newer values than how far it was.
        may_be_newer: bool,
    },
    /// It was given a message.
    Heard { connection: u64, topic: String, number: i64 },
    /// A member of a consumer was given a message, at a time in milliseconds.
    Delivered(Delivery),
    /// A pong has confirmed an acknowledgement.
    Settled { consumer: String, seq: u64, time: u64 },
    /// One that follows from the first message on, behind what it has read on whichever connection,
    /// was given a message.
    Followed { follower: usize, seq: u64, topic: String, number: i64 },
}

/// A message that a member was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) consumer: String,
    pub(super) connection: u64,
    pub(super) seq: u64,
    pub(super) topic: String,
    pub(super) number: i64,
    pub(super) attempt: u64,
    pub(super) time: u64,
}

/// A message as the stream has it in the end: its topic and number, or that the topic is cleared.
pub(super) type Kept = (String, Option<i64>);

/// What there is when it is quiet.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    /// The stream, from its first message on.
    pub(super) stream: Vec<Kept>,
    /// The last values of each broker.
    pub(super) values: Vec<BTreeMap<String, i64>>,
    /// Subscribers that are still there.
    pub(super) present: HashSet<u64>,
    /// Consumers that have nothing left to be done.
    pub(super) consumers: Vec<String>,
}

/// What was counted in a history that is as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) confirmed: usize,
    pub(super) kept: usize,
    pub(super) subscribers: usize,
    pub(super) heard: usize,
    pub(super) delivered: usize,
    pub(super) settled: usize,
    pub(super) followed: usize,
}

/// Two servers may each give a message to a member while one of them is being asked to give it to
/// nobody; later than this, in milliseconds, it was not told.
const OVERLAP: u64 = 5_000;

/// Holds a history to the promises.
///
/// # Errors
/// What is broken, in the words of a person.
pub(super) fn check(history: &[Event], ending: &Ending) -> Result<Counts, String> {
    let mut seen = Seen::new(ending);
    for (at, event) in history.iter().enumerate() {
        seen.take(event).map_err(|wrong| format!("event {at}, {event:?}: {wrong}"))?;
    }
    seen.check_the_stream()?;
    seen.check_order_of_producers()?;
    for (connection, subscriber) in &seen.subscribers {
        let is_present = ending.present.contains(connection);
        seen.check_subscriber(subscriber, is_present)
            .map_err(|wrong| format!("subscriber {connection}: {wrong}"))?;
    }
    for (follower, read) in &seen.followed {
        if let Some(missed) = seen.next_of_follower(read.last) {
            return Err(format!("follower {follower} never got message {missed}"));
        }
    }
    for consumer in &ending.consumers {
        seen.check_nothing_is_lost(consumer)?;
    }
    let last = seen.values_after(ending.stream.len());
    for (broker, values) in ending.values.iter().enumerate() {
        if *values != last {
            let wrong = format!("has {values:?}, and the stream {last:?}");
            return Err(format!("broker {broker} {wrong}"));
        }
    }
    Ok(Counts {
        confirmed: seen.confirmed.len(),
        kept: ending.stream.len(),
        subscribers: seen.subscribers.len(),
        heard: seen.subscribers.values().map(|subscriber| subscriber.heard.len()).sum(),
        delivered: seen.delivered.len(),
        settled: seen.settled.len(),
        followed: seen.followed.values().map(|read| read.count).sum(),
    })
}

/// A subscriber, on one connection.
#[derive(Debug, Default)]
struct Subscriber {
    values: BTreeMap<String, i64>,
    may_be_newer: bool,
    heard: Vec<(String, i64)>,
}

/// How far one is that follows: the last message that it was given, and how many these were.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    last: u64,
    count: usize,
}

struct Seen<'a> {
    ending: &'a Ending,
    /// Where each number is in the stream.
    places: HashMap<i64, usize>,
    sent: HashMap<i64, String>,
    /// What each connection sent, and how often each number was.
    order: BTreeMap<u64, Vec<i64>>,
    times: HashMap<i64, usize>,
    confirmed: HashSet<i64>,
    subscribers: BTreeMap<u64, Subscriber>,
    delivered: HashSet<(String, i64)>,
    /// The last of each message on each connection.
    attempts: HashMap<(u64, u64), u64>,
    settled: HashMap<(String, u64), u64>,
    followed: BTreeMap<usize, Read>,
}

impl Seen<'_> {
    fn new(ending: &Ending) -> Seen<'_> {
        let numbers = ending.stream.iter().enumerate();
        Seen {
            ending,
            places: numbers.filter_map(|(at, (_, number))| Some(((*number)?, at))).collect(),
            sent: HashMap::new(),
            order: BTreeMap::new(),
            times: HashMap::new(),
            confirmed: HashSet::new(),
            subscribers: BTreeMap::new(),
            delivered: HashSet::new(),
            attempts: HashMap::new(),
            settled: HashMap::new(),
            followed: BTreeMap::new(),
        }
    }

    fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Sent { connection, number, topic } => {
                let before = self.sent.insert(*number, topic.clone());
                if before.is_some_and(|before| before != *topic) {
                    return Err("it was sent elsewhere before".to_owned());
                }
                *self.times.entry(*number).or_default() += 1;
                self.order.entry(*connection).or_default().push(*number);
            }
            Event::Confirmed { number } => {
                if !self.places.contains_key(number) {
                    return Err("it is not in the stream".to_owned());
                }
                self.confirmed.insert(*number);
            }
            Event::Subscribed { connection, values, may_be_newer } => {
                let (values, may_be_newer) = (values.clone(), *may_be_newer);
                let subscriber = Subscriber { values, may_be_newer, heard: Vec::new() };
                self.subscribers.insert(*connection, subscriber);
            }
            Event::Heard { connection, topic, number } => {
                let subscriber = self.subscribers.get_mut(connection);
                let subscriber = subscriber.ok_or("it has not subscribed")?;
                subscriber.heard.push((topic.clone(), *number));
            }
            Event::Delivered(delivery) => self.deliver(delivery)?,
            Event::Settled { consumer, seq, time } => {
                self.settled.entry((consumer.clone(), *seq)).or_insert(*time);
            }
            Event::Followed { follower, seq, topic, number } => {
                let Read { last, count } = self.followed.get(follower).copied().unwrap_or_default();
                let next = self.next_of_follower(last);
                if next != Some(*seq) {
                    return Err(format!("it follows, and {next:?} was to come"));
                }
                let kept = self.kept(*seq);
                if kept != Some(&(topic.clone(), Some(*number))) {
                    return Err(format!("the stream has {kept:?}"));
                }
                self.followed.insert(*follower, Read { last: *seq, count: count + 1 });
            }
        }
        Ok(())
    }

    /// A message of the stream.
    fn kept(&self, seq: u64) -> Option<&Kept> {
        usize::try_from(seq - 1).ok().and_then(|at| self.ending.stream.get(at))
    }

    /// The message that comes behind one, for whoever follows: that a topic is cleared is none.
    fn next_of_follower(&self, last: u64) -> Option<u64> {
        let mut next = (last + 1..).zip(self.ending.stream.iter().skip(last as usize));
        next.find(|(_, (_, number))| number.is_some()).map(|(seq, _)| seq)
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), String> {
        let Delivery { consumer, connection, seq, topic, number, attempt, time } = delivery;
        let kept = self.kept(*seq);
        if kept != Some(&(topic.clone(), Some(*number))) {
            return Err(format!("the stream has {kept:?}"));
        }
        let place = (consumer.clone(), *seq);
        if let Some(settled) = self.settled.get(&place)
            && *time > settled + OVERLAP
        {
            return Err(format!("it was settled for good at {settled}"));
        }
        // What one member has before it another may say later.
        let before = self.attempts.insert((*connection, *seq), *attempt).unwrap_or(0);
        if *attempt <= before {
            return Err(format!("attempt {before} came before"));
        }
        self.delivered.insert((consumer.clone(), *number));
        Ok(())
    }

    /// Whether everything in the stream was published to its topic, and is there once.
    fn check_the_stream(&self) -> Result<(), String> {
        let mut once = HashSet::new();
        for (at, (topic, number)) in self.ending.stream.iter().enumerate() {
            let Some(number) = number else { continue };
            if self.sent.get(number) != Some(topic) {
                return Err(format!(
                    "{number} of {topic} is message {at}, and was never sent there"
                ));
            }
            if !once.insert(number) {
                return Err(format!("{number} is in the stream twice"));
            }
        }
        Ok(())
    }

    /// Whether what each connection published to a topic stands in its order, unless it was sent
    /// again.
    fn check_order_of_producers(&self) -> Result<(), String> {
        for (connection, numbers) in &self.order {
            let mut last: HashMap<&str, usize> = HashMap::new();
            for number in numbers.iter().filter(|number| self.times[number] == 1) {
                let Some(place) = self.places.get(number) else { continue };
                if let Some(before) = last.insert(&self.sent[number], *place)
                    && before >= *place
                {
                    return Err(format!(
                        "connection {connection} sent {number}, message {place}, behind message \
                         {before}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The last values behind so many messages of the stream.
    fn values_after(&self, count: usize) -> BTreeMap<String, i64> {
        let mut values = BTreeMap::new();
        self.ending.stream[..count].iter().for_each(|kept| apply(&mut values, kept));
        values
    }

    /// Whether a subscriber has heard everything from some message on, once, in the order of the
    /// stream, and begun with the values that there were before.
    fn check_subscriber(&self, subscriber: &Subscriber, is_present: bool) -> Result<(), String> {
        let stream = &self.ending.stream;
        let Some((_, first)) = subscriber.heard.first() else {
            let mut values = BTreeMap::new();
            let places = 0..=stream.len();
            let fits = places.into_iter().any(|place| {
                place.checked_sub(1).into_iter().for_each(|at| apply(&mut values, &stream[at]));
                (!is_present || place == stream.len()) && self.begins(subscriber, &values, place)
            });
            return if fits {
                Ok(())
            } else {
                Err(format!("its values were never those: {subscriber:?}"))
            };
        };
        let place = *self.places.get(first).ok_or_else(|| format!("nobody stored {first}"))?;
        // Its values are those before the message, or before topics that were cleared just there.
        let before = stream[..place].iter().rposition(|(_, number)| number.is_some());
        let earliest = before.map_or(0, |at| at + 1);
        let mut values = self.values_after(earliest);
        let mut fits = self.begins(subscriber, &values, earliest);
        for (at, kept) in stream.iter().enumerate().take(place).skip(earliest) {
            apply(&mut values, kept);
            fits |= self.begins(subscriber, &values, at + 1);
        }
        if !fits {
            return Err(format!(
                "it began with {:?} before {first}, and the values were {values:?}",
                subscriber.values
            ));
        }
        let expected = stream[place..].iter().filter(|(_, number)| number.is_some());
        let mut expected = expected.map(|(topic, number)| (topic, number.unwrap()));
        for (topic, number) in &subscriber.heard {
            let next = expected.next();
            if next != Some((topic, *number)) {
                return Err(format!("it heard {number} of {topic}, and {next:?} was to come"));
            }
        }
        match expected.next() {
            Some(missing) if is_present => Err(format!("it never heard {missing:?}")),
            _ => Ok(()),
        }
    }

    /// Whether a subscriber may have begun at a place, where the values were these.
    fn begins(&self, has: &Subscriber, values: &BTreeMap<String, i64>, place: usize) -> bool {
        if !has.may_be_newer {
            return has.values == *values;
        }
        let is_newer = |number: &i64| self.places.get(number).is_some_and(|at| *at >= place);
        let is_cleared = |topic: &String| {
            let later = &self.ending.stream[place..];
            later.iter().any(|(of, number)| of == topic && number.is_none())
        };
        has.values.iter().all(|(topic, has)| values.get(topic) == Some(has) || is_newer(has))
            && values.keys().all(|topic| has.values.contains_key(topic) || is_cleared(topic))
    }

    fn check_nothing_is_lost(&self, consumer: &str) -> Result<(), String> {
        for (topic, number) in &self.ending.stream {
            if let Some(number) = number
                && !self.delivered.contains(&(consumer.to_owned(), *number))
            {
                return Err(format!("{consumer} never got {number} of {topic}"));
            }
        }
        Ok(())
    }
}

fn apply(values: &mut BTreeMap<String, i64>, (topic, number): &Kept) {
    match number {
        Some(number) => values.insert(topic.clone(), *number),
        None => values.remove(topic),
    };
}
