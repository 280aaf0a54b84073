//! What a stream promises, held to what its clients have seen: a function of their histories, which
//! knows no broker.

mod faults;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Something that a client did or saw. A history has the events of all clients in an order that
/// could have been: what is sent is noted before, and what is received is noted behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A producer is about to publish a message, which no other has; maybe not for the first time.
    Sent { producer: u64, number: u64, topic: String },
    /// A pong has confirmed it.
    Confirmed { producer: u64, number: u64 },
    /// A member of a consumer was given a message.
    Delivered(Delivery),
    /// A member is about to settle it: with an acknowledgement, or for a dead letter.
    Settled { consumer: String, connection: u64, seq: u64, rejects: bool },
    /// A pong has confirmed that.
    SettledForGood { consumer: String, connection: u64, seq: u64, rejects: bool },
    /// The dead letter of a message was read.
    Buried { consumer: String, seq: u64 },
    /// The broker was killed, and starts again. No client has a connection from before.
    Restarted,
}

/// A message that a member was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) consumer: String,
    /// Of the member; each has another, over all runs.
    pub(super) connection: u64,
    pub(super) seq: u64,
    pub(super) topic: String,
    pub(super) attempt: u64,
    /// Whose message it is, and which.
    pub(super) producer: u64,
    pub(super) number: u64,
}

/// What is promised besides.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    /// Consumers that get everything.
    pub(super) consumers: Vec<String>,
    /// Those of them that get the messages of a topic one after the other.
    pub(super) ordered: Vec<String>,
    /// An attempt from the second on is known after a restart.
    pub(super) attempts_outlive: bool,
}

/// What was counted in a history that is as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) confirmed: usize,
    pub(super) kept: usize,
    pub(super) delivered: usize,
    pub(super) settled: usize,
    pub(super) buried: usize,
}

/// Holds a history to the promises, once all consumers have settled everything.
///
/// # Errors
/// What is broken, in the words of a person.
pub(super) fn check(history: &[Event], promises: &Promises) -> Result<Counts, String> {
    let outlive = promises.attempts_outlive;
    let mut seen = Seen { attempts_outlive: outlive, ..Seen::default() };
    for (at, event) in history.iter().enumerate() {
        seen.take(event).map_err(|wrong| format!("event {at}, {event:?}: {wrong}"))?;
    }
    seen.check_seqs()?;
    seen.check_order_of_producers()?;
    seen.check_order_of_members(&promises.ordered)?;
    seen.check_order_of_topics(&promises.ordered)?;
    for consumer in &promises.consumers {
        seen.check_nothing_is_lost(consumer)?;
    }
    seen.check_burials()?;
    Ok(Counts {
        confirmed: seen.confirmed.len(),
        kept: seen.kept.len(),
        delivered: seen.delivered.len(),
        settled: seen.settled.len(),
        buried: seen.buried.len(),
    })
}

/// A message, by its producer and number.
type Message = (u64, u64);

#[derive(Default)]
struct Seen {
    attempts_outlive: bool,
    run: usize,
    sent: HashMap<Message, String>,
    /// The order in which each producer first sent its messages.
    order: BTreeMap<u64, Vec<u64>>,
    confirmed: HashSet<Message>,
    kept: BTreeMap<u64, (Message, String)>,
    places: HashMap<Message, u64>,
    /// With the run in which it was.
    delivered: Vec<(usize, Delivery)>,
    attempts: HashMap<(String, u64), (usize, u64)>,
    got: HashSet<(u64, u64)>,
    said: HashSet<(u64, u64)>,
    settled: HashMap<(String, u64), (usize, u64)>,
    rejected: BTreeSet<(String, u64)>,
    buried: BTreeSet<(String, u64)>,
    may_be_buried: HashSet<(String, u64)>,
}

impl Seen {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Sent { producer, number, topic } => {
                let before = self.sent.insert((*producer, *number), topic.clone());
                match before {
                    None => self.order.entry(*producer).or_default().push(*number),
                    Some(before) if before != *topic => {
                        return Err(format!("it was sent to {before} before"));
                    }
                    Some(_) => {}
                }
            }
            Event::Confirmed { producer, number } => {
                if !self.sent.contains_key(&(*producer, *number)) {
                    return Err("it was never sent".to_owned());
                }
                self.confirmed.insert((*producer, *number));
            }
            Event::Delivered(delivery) => self.deliver(delivery)?,
            Event::Settled { consumer, connection, seq, rejects } => {
                if !self.got.contains(&(*connection, *seq)) {
                    return Err("it was not delivered there".to_owned());
                }
                self.said.insert((*connection, *seq));
                if *rejects {
                    self.may_be_buried.insert((consumer.clone(), *seq));
                }
            }
            Event::SettledForGood { consumer, connection, seq, rejects } => {
                if !self.said.contains(&(*connection, *seq)) {
                    return Err("nothing was said of it".to_owned());
                }
                self.settled.insert((consumer.clone(), *seq), (self.run, *connection));
                if *rejects {
                    self.rejected.insert((consumer.clone(), *seq));
                }
            }
            Event::Buried { consumer, seq } => {
                if !self.may_be_buried.contains(&(consumer.clone(), *seq)) {
                    return Err("nobody rejected it".to_owned());
                }
                self.buried.insert((consumer.clone(), *seq));
            }
            Event::Restarted => self.run += 1,
        }
        Ok(())
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), String> {
        let Delivery { consumer, connection, seq, topic, attempt, producer, number } = delivery;
        let message = (*producer, *number);
        match self.sent.get(&message) {
            None => return Err("it was never published".to_owned()),
            Some(sent) if sent != topic => return Err(format!("it was published to {sent}")),
            Some(_) => {}
        }
        if let Some((other, _)) = self.kept.get(seq)
            && *other != message
        {
            return Err(format!("its seq is that of {other:?}"));
        }
        if let Some(place) = self.places.get(&message)
            && place != seq
        {
            return Err(format!("it is kept as {place} too"));
        }
        self.kept.insert(*seq, (message, topic.clone()));
        self.places.insert(message, *seq);
        let of_consumer = (consumer.clone(), *seq);
        if let Some((run, by)) = self.settled.get(&of_consumer)
            && (*run < self.run || by == connection)
        {
            return Err(format!("it was settled for good in run {run}, and this is {}", self.run));
        }
        // The first attempt is not written down: it may come again after a kill.
        if let Some((run, before)) = self.attempts.get(&of_consumer)
            && (*run == self.run || (*before > 1 && self.attempts_outlive))
            && attempt <= before
        {
            return Err(format!("attempt {before} came before"));
        }
        self.attempts.insert(of_consumer, (self.run, *attempt));
        self.got.insert((*connection, *seq));
        self.delivered.push((self.run, delivery.clone()));
        Ok(())
    }

    fn check_seqs(&self) -> Result<(), String> {
        match self.kept.keys().zip(1..).find(|(seq, expected)| **seq != *expected) {
            Some((seq, expected)) => Err(format!("{seq} is kept, and there is no {expected}")),
            None => Ok(()),
        }
    }

    /// Whether the messages of each producer to a topic stand in its order.
    fn check_order_of_producers(&self) -> Result<(), String> {
        for (producer, numbers) in &self.order {
            let mut last: HashMap<&str, u64> = HashMap::new();
            for number in numbers {
                let message = (*producer, *number);
                let Some(seq) = self.places.get(&message) else { continue };
                if let Some(before) = last.insert(&self.sent[&message], *seq)
                    && before >= *seq
                {
                    return Err(format!("{message:?} is {seq}, and one sent before it {before}"));
                }
            }
        }
        Ok(())
    }

    /// Whether each member was given its messages in their order, redeliveries aside. Where order
    /// is by topic, one topic does not wait for another.
    fn check_order_of_members(&self, ordered: &[String]) -> Result<(), String> {
        let mut last: HashMap<u64, u64> = HashMap::new();
        for (_, delivery) in &self.delivered {
            let Delivery { consumer, connection, seq, attempt, .. } = delivery;
            if *attempt == 1
                && !ordered.contains(consumer)
                && let Some(before) = last.insert(*connection, *seq)
                && before >= *seq
            {
                return Err(format!("{delivery:?} comes behind {before}"));
            }
        }
        Ok(())
    }

    /// Whether what was first given of a topic in each run comes in order.
    fn check_order_of_topics(&self, ordered: &[String]) -> Result<(), String> {
        let mut last: HashMap<(usize, &str, &str), u64> = HashMap::new();
        let mut given = HashSet::new();
        for (run, delivery) in &self.delivered {
            let Delivery { consumer, seq, topic, .. } = delivery;
            if !ordered.contains(consumer) || !given.insert((*run, consumer, *seq)) {
                continue;
            }
            if let Some(before) = last.insert((*run, consumer, topic), *seq)
                && before > *seq
            {
                return Err(format!("{delivery:?} comes behind {before}"));
            }
        }
        Ok(())
    }

    fn check_nothing_is_lost(&self, consumer: &str) -> Result<(), String> {
        let of_it = self.delivered.iter().filter(|(_, delivery)| delivery.consumer == consumer);
        let got: HashSet<Message> =
            of_it.map(|(_, delivery)| (delivery.producer, delivery.number)).collect();
        let lost: BTreeSet<&Message> =
            self.confirmed.iter().filter(|message| !got.contains(message)).collect();
        if !lost.is_empty() {
            return Err(format!("{consumer} never got what was confirmed: {lost:?}"));
        }
        match self.kept.values().find(|(message, _)| !got.contains(message)) {
            Some(kept) => Err(format!("{consumer} never got {kept:?}, which others got")),
            None => Ok(()),
        }
    }

    fn check_burials(&self) -> Result<(), String> {
        match self.rejected.difference(&self.buried).next() {
            Some(missing) => Err(format!("there is no dead letter of {missing:?}")),
            None => Ok(()),
        }
    }
}
