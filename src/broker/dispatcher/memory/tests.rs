//! Whatever the store does and however slow it is: what it holds is what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::broker::persist::{
    Change, Expires, Fsync, Kept, Next, Store, StoreError, StoreWriter, Ticket,
};
use crate::broker::retained::{Clock, Expiries, Hands, StoreLimits};
use crate::broker::{Dispatcher, Event, Query, Subtree};
use crate::codec::{Batch, BatchEntry, Document, Part, Payload, PayloadSpan};
use crate::protocol::{EXPIRY_COST, ErrorCode, Format, Limits, TOPIC_COST, Topic, TopicFilter};

type Disk = BTreeMap<Topic, u64>;

/// A store whose disk can be looked at, and be made to fail.
#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    disk: Disk,
    written: Option<Disk>,
    /// Of 100 operations, so many fail.
    failures: usize,
    random: Random,
    /// The longest handover.
    longest: usize,
}

impl Scripted {
    fn operate(&self, act: impl FnOnce(&mut Script)) -> Result<(), StoreError> {
        let mut script = self.0.lock();
        if script.random.below(100) < script.failures {
            script.written = None;
            return Err(StoreError::new("no"));
        }
        act(&mut script);
        Ok(())
    }
}

impl Store for Scripted {
    fn load(&mut self, _: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.operate(|script| {
            script.longest = script.longest.max(changes.len());
            let mut written = script.written.take().unwrap_or_else(|| script.disk.clone());
            for change in changes {
                match change {
                    Change::Keep { stored, .. } => {
                        let number =
                            str::from_utf8(stored.payload().source()).unwrap().parse().unwrap();
                        written.insert(stored.topic().to_topic(), number);
                    }
                    Change::Forget(topic) => drop(written.remove(topic)),
                }
            }
            script.written = Some(written);
        })
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.operate(|script| script.disk = script.written.take().unwrap())
    }
}

#[derive(Debug)]
struct Random(u64);

impl Default for Random {
    fn default() -> Random {
        Random(1)
    }
}

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % end
    }
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

fn message(topic: &Topic, text: &str) -> Batch {
    let payload = Payload::copy(text.as_bytes(), Format::Json, &Part::Value(0..text.len()));
    Batch::of_payload(topic.clone(), payload, (true, None), Limits::default())
}

fn publish(dispatcher: &mut Dispatcher, topic: &Topic, number: u64) -> Result<(), ErrorCode> {
    let refused = dispatcher.publish(Box::new(message(topic, &number.to_string())), true);
    refused.into_iter().next().map_or(Ok(()), |(_, refusal)| Err(refusal.code))
}

fn keep_in(store: &Scripted, fsync: Fsync, interval: Duration) -> (Dispatcher, StoreWriter) {
    let mut dispatcher = Dispatcher::new(StoreLimits::default(), 1);
    let store_writer =
        dispatcher.keep_in(Box::new(store.clone()), fsync, interval).unwrap().unwrap();
    (dispatcher, store_writer)
}

/// What one topic held, one after the other: numbers of messages, or nothing. None of what is on
/// the disk may be older than what was seen there before.
struct History {
    states: Vec<Option<u64>>,
    at: Vec<Instant>,
    seen: usize,
}

impl History {
    fn look(&mut self, found: Option<u64>) {
        let later = self.states[self.seen..].iter().position(|state| *state == found);
        self.seen +=
            later.unwrap_or_else(|| panic!("{found:?} after {:?}", self.states[self.seen]));
    }

    /// Whether what is found is as it was then, or as it was later.
    fn reaches(&self, then: usize, found: Option<u64>) -> bool {
        self.states[then..].contains(&found)
    }
}

struct Trial {
    dispatcher: Dispatcher,
    store_writer: StoreWriter,
    store: Scripted,
    topics: BTreeMap<Topic, History>,
    /// The tickets that wait for the store, and how many states each topic had had by then.
    tickets: Vec<(Option<Ticket>, BTreeMap<Topic, usize>)>,
    now: Instant,
    number: u64,
}

impl Trial {
    fn change(&mut self, index: usize, publishes: bool) {
        let (topic, history) = self.topics.iter_mut().nth(index).unwrap();
        self.number += 1;
        let (topic, number) = (topic.clone(), self.number);
        self.dispatcher.noting(|dispatcher| {
            if publishes {
                publish(dispatcher, &topic, number).unwrap();
            } else {
                dispatcher.clear(&topic);
            }
        });
        history.states.push(publishes.then_some(number));
        history.at.push(Instant::now());
    }

    /// Holds the disk to everything that was promised of it.
    fn judge(&mut self) {
        let disk = self.store.0.lock().disk.clone();
        for (topic, history) in &mut self.topics {
            history.look(disk.get(topic).copied());
        }
        let since = self.dispatcher.checkpointer.as_ref().unwrap().unsaved_since();
        for (topic, history) in &self.topics {
            let saved = history.at.iter().rposition(|at| since.is_none_or(|since| *at < since));
            let found = disk.get(topic).copied();
            assert!(
                history.reaches(saved.unwrap_or(0), found),
                "{topic}: {found:?} is said to be all that is older"
            );
        }
        for (ticket, reached) in
            self.tickets.extract_if(.., |(ticket, _)| ticket.as_ref().is_none_or(Ticket::is_ready))
        {
            if ticket.is_none_or(|ticket| ticket.wait().is_ok()) {
                for (topic, then) in reached {
                    let found = disk.get(&topic).copied();
                    assert!(
                        self.topics[&topic].reaches(then, found),
                        "{topic}: {found:?} was confirmed"
                    );
                }
            }
        }
    }
}

/// Random changes, pings, steps, failures, and a store that is sometimes quick and sometimes slow.
#[test]
fn what_is_confirmed_is_in_the_store_and_nothing_gets_older() {
    const TOPICS: usize = 30;
    let mut longest = 0;
    for seed in 1..=100 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed << 20));
        let store = Scripted::default();
        store.0.lock().random = Random(seed);
        let fsync = if seed % 2 == 0 { Fsync::Always } else { Fsync::Interval };
        let (dispatcher, store_writer) = keep_in(&store, fsync, Duration::from_secs(1));
        let began = Instant::now();
        let history = || History { states: vec![None], at: vec![began], seen: 0 };
        let topics = (0..TOPICS).map(|n| (topic(&format!("t/{n}")), history())).collect();
        let mut trial = Trial {
            dispatcher,
            store_writer,
            store,
            topics,
            tickets: Vec::new(),
            now: began,
            number: 0,
        };
        let (steps, turns) = (1 + random.below(8), 1 + random.below(8));
        for _ in 0..400 {
            match random.below(20) {
                0..8 => trial.change(random.below(TOPICS), true),
                8..11 => trial.change(random.below(TOPICS), false),
                11 => {
                    let reached = trial
                        .topics
                        .iter()
                        .map(|(topic, history)| (topic.clone(), history.states.len() - 1));
                    let reached = reached.collect();
                    trial.tickets.push((trial.dispatcher.ticket(), reached));
                }
                12 => trial.store.0.lock().failures = random.below(3) * 20,
                13 => trial.now += Duration::from_secs(2),
                14..17 => (0..steps).for_each(|_| trial.dispatcher.record_at(|| trial.now)),
                _ => (0..turns).for_each(|_| trial.store_writer.try_turn()),
            }
            trial.judge();
        }
        trial.store.0.lock().failures = 0;
        while trial.dispatcher.ticket().is_some() {
            trial.now += Duration::from_secs(2);
            trial.dispatcher.record_at(|| trial.now);
            trial.store_writer.try_turn();
            trial.judge();
        }
        assert_eq!(trial.dispatcher.unsaved(), (Duration::ZERO, 0), "seed {seed}");
        // What comes at the end is written before the end.
        (0..10).for_each(|_| trial.change(random.below(TOPICS), random.below(3) > 0));
        thread::scope(|scope| {
            scope.spawn(|| trial.store_writer.run());
            trial.dispatcher.finish_recording();
        });
        let script = trial.store.0.lock();
        for (topic, history) in &trial.topics {
            assert_eq!(
                script.disk.get(topic).copied(),
                *history.states.last().unwrap(),
                "seed {seed}"
            );
        }
        longest = longest.max(script.longest);
    }
    assert!(longest > 1);
}

/// A disk that hangs: nothing is taken.
fn hanging() -> (Dispatcher, StoreWriter, Scripted) {
    let store = Scripted::default();
    let (mut dispatcher, store_writer) = keep_in(&store, Fsync::Always, Duration::ZERO);
    for number in 0.. {
        publish(&mut dispatcher, &topic("t"), number).unwrap();
        dispatcher.record();
        if store_writer.handovers().is_full() {
            break;
        }
    }
    (dispatcher, store_writer, store)
}

#[test]
fn topics_that_a_hanging_disk_has_not_forgotten_are_bounded() {
    let (mut dispatcher, mut store_writer, store) = hanging();
    dispatcher.checkpointer.as_mut().unwrap().bound_clears(10_000);
    let refused = (0..10_000_u64).find_map(|number| {
        let topic = topic(&format!("{number:0100}"));
        let refused = publish(&mut dispatcher, &topic, number).err();
        dispatcher.clear(&topic);
        dispatcher.record();
        refused.map(|code| (code, number))
    });
    let (code, count) = refused.unwrap();
    assert_eq!((code, count), (ErrorCode::StoreFull, 10_000_u64.div_ceil(100 + 128)));
    assert_eq!(dispatcher.stats().unsaved_clears, count);
    assert_eq!(dispatcher.stats().store_refused, 1);
    // One that holds a value may go on, and so may what is not to be remembered.
    publish(&mut dispatcher, &topic("t"), 7).unwrap();
    // As soon as the disk is there again, so is the room.
    while dispatcher.ticket().is_some() {
        store_writer.try_turn();
        dispatcher.record();
    }
    publish(&mut dispatcher, &topic("new"), 8).unwrap();
    assert_eq!(dispatcher.stats().unsaved_clears, 0);
    let disk: BTreeSet<Topic> = store.0.lock().disk.keys().cloned().collect();
    assert_eq!(disk, BTreeSet::from([topic("t")]));
}

#[test]
fn what_is_handed_over_is_bounded_in_bytes() {
    let (mut dispatcher, mut store_writer, store) = hanging();
    while dispatcher.ticket().is_some() {
        store_writer.try_turn();
        dispatcher.record();
    }
    store.0.lock().longest = 0;
    for name in ["a", "b", "c"] {
        dispatcher.publish(Box::new(message(&topic(name), &"7".repeat(3 << 20))), true);
    }
    dispatcher.record();
    let handover = store_writer.handovers().try_recv().unwrap();
    assert_eq!((handover.changes.len(), handover.last), (2, false), "no more than is over 4 MiB");
}

#[test]
fn expired_values_of_a_subtree_are_taken_off_the_disk() {
    let store = Scripted::default();
    let (dispatcher, mut store_writer) = keep_in(&store, Fsync::Always, Duration::ZERO);
    let rule = |filter: &str, ttl| Subtree {
        filter: TopicFilter::parse(filter).unwrap(),
        values: None,
        bytes: None,
        ttl: Some(std::time::Duration::from_secs(ttl)),
    };
    let mut dispatcher = dispatcher.with_subtrees(vec![rule("s", 1_000), rule("s/short", 1)]);
    for (number, name) in ["s", "s/short", "s/short/er", "other"].into_iter().enumerate() {
        publish(&mut dispatcher, &topic(name), number as u64).unwrap();
    }
    let mut save = |dispatcher: &mut Dispatcher| {
        while dispatcher.ticket().is_some() {
            dispatcher.record();
            store_writer.try_turn();
        }
        store.0.lock().disk.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(save(&mut dispatcher), ["other", "s", "s/short", "s/short/er"]);
    let end = Instant::now() + Duration::from_secs(20);
    while dispatcher.stats().expired < 2 && Instant::now() < end {
        dispatcher.expire();
    }
    assert_eq!(save(&mut dispatcher), ["other", "s"]);
    let (asker, answer) = crate::broker::sync::unbounded();
    dispatcher.step(Event::Query(Query::Saved(asker)));
    assert!(answer.recv().unwrap().is_none(), "there is nothing to wait for");
}

/// Where what is to be in a backup cannot be written, there is an answer all the same; and a store
/// may make none.
#[test]
fn a_backup_that_cannot_be_made_is_answered() {
    let store = Scripted::default();
    let (mut dispatcher, mut store_writer) =
        keep_in(&store, Fsync::Interval, Duration::from_secs(1_000));
    publish(&mut dispatcher, &topic("t"), 1).unwrap();
    let mut now = Instant::now();
    let mut ask = |failures| {
        store.0.lock().failures = failures;
        let made = dispatcher.checkpointer.as_mut().unwrap().back_up().unwrap();
        assert!(dispatcher.checkpointer.as_mut().unwrap().back_up().is_none(), "one at a time");
        // It does not wait for the interval, only for the next try where one has failed.
        for _ in 0..3 {
            now += Duration::from_secs(2);
            dispatcher.record_at(|| now);
            store_writer.try_turn();
        }
        let refusal = made.wait().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::StorageFailed);
        refusal.reason.clone()
    };
    assert!(ask(0).contains("makes no backups"));
    assert_eq!(ask(100), ask(100), "also while it fails");
    let made = dispatcher.checkpointer.as_mut().unwrap().back_up().unwrap();
    dispatcher.finish_recording();
    assert!(made.wait().unwrap_err().reason.contains("stopping"));
}

const START: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;

/// A dispatcher whose clocks a test sets.
fn by_clocks() -> (Dispatcher, Arc<Mutex<Hands>>) {
    let hands = Arc::new(Mutex::new(Hands { steady: 5, wall: START }));
    let mut dispatcher = Dispatcher::new(StoreLimits::default(), 1);
    dispatcher.expiries = Expiries::by(Clock::Set(hands.clone()));
    (dispatcher, hands)
}

fn publish_for(dispatcher: &mut Dispatcher, name: &str, seconds: u32) {
    let topic = topic(name);
    let before = dispatcher.tree.get(&topic).map(|stored| stored.weight());
    dispatcher.publish(Box::new(message(&topic, "1")), true);
    dispatcher.note_stored(topic.name(), Some(seconds), before.or(Some(1)), 1);
}

fn held(dispatcher: &mut Dispatcher) -> Vec<&'static str> {
    dispatcher.expire();
    ["a", "b", "c"].into_iter().filter(|name| dispatcher.tree.get(&topic(name)).is_some()).collect()
}

#[test]
fn a_wall_clock_that_is_set_changes_nothing_while_the_broker_runs() {
    for wall in [0, START - HOUR, START + HOUR, u64::MAX] {
        let (mut dispatcher, hands) = by_clocks();
        publish_for(&mut dispatcher, "a", 10);
        publish_for(&mut dispatcher, "b", 20);
        hands.lock().wall = wall;
        publish_for(&mut dispatcher, "c", 30);
        assert_eq!(held(&mut dispatcher), ["a", "b", "c"], "at {wall}");
        hands.lock().steady += 9_999;
        assert_eq!(held(&mut dispatcher), ["a", "b", "c"], "at {wall}");
        hands.lock().steady += 1;
        assert_eq!(held(&mut dispatcher), ["b", "c"], "at {wall}");
        hands.lock().steady += 20_000;
        assert_eq!(held(&mut dispatcher), [""; 0], "at {wall}");
    }
}

/// A store that gives back what it was given.
#[derive(Clone, Debug, Default)]
struct Returning(Arc<Mutex<BTreeMap<Topic, Kept>>>);

impl Store for Returning {
    fn load(&mut self, take: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        self.0.lock().values().cloned().for_each(take);
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::Keep { stored, expires } => {
                    let (topic, payload) =
                        (stored.topic().to_topic(), stored.payload().to_payload());
                    let kept = Kept {
                        topic: topic.clone(),
                        payload,
                        published: stored.published(),
                        expires: *expires,
                    };
                    self.0.lock().insert(topic, kept);
                }
                Change::Forget(topic) => drop(self.0.lock().remove(topic)),
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What is left after a restart, so long after the values were stored for 10 s, 20 s and an hour,
/// and so many milliseconds after the restart.
fn left_after_a_restart(wall: u64, after: u64) -> Vec<&'static str> {
    let store = Returning::default();
    let (mut dispatcher, hands) = by_clocks();
    let mut store_writer = dispatcher
        .keep_in(Box::new(store.clone()), Fsync::Always, Duration::ZERO)
        .unwrap()
        .unwrap();
    for (name, seconds) in [("a", 10), ("b", 20), ("c", 3_600)] {
        publish_for(&mut dispatcher, name, seconds);
    }
    // A second has gone by that the wall clock does not show: what the values have left is what
    // counts.
    *hands.lock() = Hands { steady: 5 + 1_000, wall: START };
    while dispatcher.ticket().is_some() {
        dispatcher.record();
        store_writer.try_turn();
    }
    let (mut dispatcher, hands) = by_clocks();
    *hands.lock() = Hands { steady: 700, wall };
    dispatcher.keep_in(Box::new(store), Fsync::Always, Duration::ZERO).unwrap();
    hands.lock().steady += after;
    held(&mut dispatcher)
}

#[test]
fn after_a_restart_the_wall_clock_decides_and_never_for_longer_than_the_time_to_live() {
    assert_eq!(left_after_a_restart(START, 0), ["a", "b", "c"]);
    assert_eq!(left_after_a_restart(START, 8_999), ["a", "b", "c"]);
    assert_eq!(left_after_a_restart(START, 9_000), ["b", "c"]);
    // A stop counts.
    assert_eq!(left_after_a_restart(START + 9_000, 0), ["b", "c"]);
    assert_eq!(left_after_a_restart(START + 9_000, 10_000), ["c"]);
    assert_eq!(left_after_a_restart(START + 2 * HOUR, 0), [""; 0]);
    // A clock that was set back meanwhile makes nothing live longer than it was meant to.
    for wall in [0, START - HOUR, START - 1] {
        assert_eq!(left_after_a_restart(wall, 8_999), ["a", "b", "c"]);
        assert_eq!(left_after_a_restart(wall, 9_000), ["b", "c"]);
        assert_eq!(left_after_a_restart(wall, HOUR), [""; 0]);
    }
}

#[test]
fn a_value_of_an_older_version_lives_until_the_time_that_it_was_stored_with() {
    let store = Returning::default();
    let payload = Payload::copy(b"1", Format::Json, &Part::Value(0..1));
    let expires = Some(Expires { at: START + 5_000, ttl: None });
    let kept = Kept { topic: topic("a"), payload, published: 1, expires };
    store.0.lock().insert(topic("a"), kept);
    let (mut dispatcher, hands) = by_clocks();
    dispatcher.keep_in(Box::new(store), Fsync::Always, Duration::ZERO).unwrap();
    hands.lock().steady += 4_999;
    assert_eq!(held(&mut dispatcher), ["a"]);
    hands.lock().steady += 1;
    assert_eq!(held(&mut dispatcher), [""; 0]);
}

/// What a stop could not save is counted: the values that are not on the disk, and the clears.
#[test]
fn a_stop_that_cannot_save_says_how_much_is_lost() {
    let store = Scripted::default();
    let (mut dispatcher, store_writer) = keep_in(&store, Fsync::Interval, Duration::ZERO);
    let ending = dispatcher.ending();
    thread::scope(|scope| {
        scope.spawn(|| store_writer.run());
        for number in 0..20 {
            publish(&mut dispatcher, &topic(&format!("t/{number}")), number).unwrap();
        }
        let ticket = dispatcher.ticket().unwrap();
        while !ticket.is_ready() {
            dispatcher.record();
        }
        store.0.lock().failures = 100;
        for number in 0..7 {
            // Twice, which is one value.
            publish(&mut dispatcher, &topic(&format!("t/{number}")), 100 + number).unwrap();
            publish(&mut dispatcher, &topic(&format!("t/{number}")), 200 + number).unwrap();
        }
        for number in 10..13 {
            dispatcher.clear(&topic(&format!("t/{number}")));
        }
        dispatcher.finish_recording();
        drop(dispatcher);
    });
    let unsaved = ending.saved(None).unwrap_err();
    assert_eq!((unsaved.values, unsaved.clears, unsaved.reason.as_str()), (7, 3, "no"));
    assert_eq!(store.0.lock().disk.get(&topic("t/11")), Some(&11));
}

/// A store that fails when the broker stops, and not twice, has everything.
#[test]
fn a_stop_tries_again() {
    let store = Scripted::default();
    let (mut dispatcher, mut store_writer) = keep_in(&store, Fsync::Interval, Duration::ZERO);
    publish(&mut dispatcher, &topic("t"), 5).unwrap();
    store.0.lock().failures = 100;
    dispatcher.record();
    store_writer.try_turn();
    store.0.lock().failures = 0;
    let ending = dispatcher.ending();
    thread::scope(|scope| {
        scope.spawn(|| store_writer.run());
        dispatcher.finish_recording();
        drop(dispatcher);
    });
    assert_eq!(ending.saved(None), Ok(()));
    assert_eq!(store.0.lock().disk.get(&topic("t")), Some(&5));
}

/// No client publishes any more, and what was handed over fails: it is tried again all the same.
#[test]
fn a_failure_is_noticed_when_nothing_else_happens() {
    let store = Scripted::default();
    let (mut dispatcher, mut store_writer) = keep_in(&store, Fsync::Interval, Duration::ZERO);
    publish(&mut dispatcher, &topic("t"), 5).unwrap();
    let next =
        |dispatcher: &Dispatcher| dispatcher.checkpointer.as_ref().unwrap().next(&dispatcher.tree);
    while matches!(next(&dispatcher), Next::Step) || store_writer.handovers().is_empty() {
        dispatcher.record();
    }
    assert!(matches!(next(&dispatcher), Next::At(_)), "it has not come to the store yet");
    store.0.lock().failures = 100;
    store_writer.try_turn();
    assert_ne!(next(&dispatcher), Next::Nothing);
    store.0.lock().failures = 0;
    let later = Instant::now() + Duration::from_secs(10);
    dispatcher.record_at(|| later);
    dispatcher.record_at(|| later + Duration::from_secs(10));
    store_writer.try_turn();
    assert_eq!(store.0.lock().disk.get(&topic("t")), Some(&5));
    assert_eq!(next(&dispatcher), Next::Nothing);
}

fn publish_to_live(
    dispatcher: &mut Dispatcher,
    name: &str,
    ttl: Option<u32>,
) -> Result<(), ErrorCode> {
    let message = PayloadSpan { part: Part::Value(0..1), document: None };
    let published = BatchEntry::new(0, Format::Json, &message, true, ttl, None);
    let topics = [topic(name)].into_iter().collect();
    let batch =
        Batch::new(b"1".to_vec(), Document::new(), topics, vec![published], Limits::default());
    let refused = dispatcher.publish(Box::new(batch), true);
    refused.into_iter().next().map_or(Ok(()), |(_, refusal)| Err(refusal.code))
}

#[test]
fn when_a_value_expires_is_remembered_within_the_limit_of_the_store() {
    let bytes = 10_000;
    let limits = StoreLimits { bytes, ..StoreLimits::default() };
    let mut dispatcher = Dispatcher::new(limits, 1);
    let name = |number: usize| format!("{number:03}");
    let mut stored = 0;
    while publish_to_live(&mut dispatcher, &name(stored), Some(60)).is_ok() {
        stored += 1;
    }
    let each = TOPIC_COST + 3 + 1 + EXPIRY_COST + 3;
    assert_eq!(stored, bytes / each);
    assert_eq!(dispatcher.stats().stored_cost, (stored * each) as u64);
    // What expires already may go on doing so, and what does not may not begin when there is no
    // room for that.
    assert_eq!(publish_to_live(&mut dispatcher, &name(0), Some(90)), Ok(()));
    assert_eq!(publish_to_live(&mut dispatcher, &name(0), None), Ok(()));
    for new in ["one", "two", "six"] {
        assert_eq!(publish_to_live(&mut dispatcher, new, None), Ok(()));
    }
    assert_eq!(publish_to_live(&mut dispatcher, &name(0), Some(60)), Err(ErrorCode::StoreFull));
    for number in 0..stored {
        dispatcher.clear(&topic(&name(number)));
    }
    assert_eq!(dispatcher.stats().stored_cost, 3 * (TOPIC_COST + 3 + 1) as u64);
    assert_eq!(dispatcher.expiries.cost(), 0);
}
