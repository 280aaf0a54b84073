//! What notes look like, and what is said of damaged ones.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use crate::protocol::TopicFilter;

fn consumer() -> Consumer {
    let settings = ConsumerSettings {
        backoff: vec![Duration::from_millis(1500), Duration::from_secs(60)],
        order: Order::ByTopic,
        ..ConsumerSettings::new(TopicFilter::parse("orders/+/new").unwrap())
    };
    Consumer::starting_with(settings, &[3, 4, 9, 1000], 1001)
}

fn taken(consumer: &mut Consumer) -> Vec<Vec<u8>> {
    let mut notes = Vec::new();
    consumer.take_notes(&mut notes);
    notes
}

fn restore(notes: &[Vec<u8>], log_next: u64) -> Result<Option<Consumer>, String> {
    Consumer::restore(notes.iter().map(Vec::as_slice), log_next)
}

#[test]
fn a_consumer_begins_with_its_first_notes_and_not_before() {
    let mut consumer = consumer();
    let notes = taken(&mut consumer);
    assert_eq!(notes.len(), 2);
    assert!(restore(&notes[..1], 1001).unwrap().is_none());
    assert!(restore(&[], 1001).unwrap().is_none());
    let restored = restore(&notes, 1001).unwrap().unwrap();
    assert_eq!(restored.settings(), consumer.settings());
    let gaps: Vec<_> = restored.ahead.gaps().iter().collect();
    assert_eq!(gaps, [(3, 4), (9, 9), (1000, 1000)]);
    assert_eq!(restored.report(1001).pending, 4);
    assert!(taken(&mut consumer).is_empty());
}

#[test]
fn a_filter_means_after_a_restart_what_it_meant_before() {
    for (filter, below) in [("a/b", false), ("a/b", true), ("a/#", false), ("+", false)] {
        let filter = TopicFilter::parse(filter).unwrap().below(below);
        let mut consumer = Consumer::new(ConsumerSettings::new(filter.clone()), 1);
        let restored = restore(&taken(&mut consumer), 1).unwrap().unwrap();
        assert_eq!(restored.settings().filter, filter);
    }
}

#[test]
fn many_acks_are_few_bytes() {
    let settings = ConsumerSettings::new(TopicFilter::parse("#").unwrap());
    let mut consumer = Consumer::new(settings, 1);
    consumer.set_covers_all(true);
    consumer.join(MemberId(0), 60_000);
    taken(&mut consumer);
    consumer.assign(0, 60_001, &mut Blind, 60_000, &mut Vec::new());
    (1..=60_000).rev().for_each(|seq| assert!(consumer.ack(seq)));
    assert_eq!(taken(&mut consumer), [[1, 4, 1, 0xdf, 0xd4, 3]]);
}

/// They are written when they are as many as are gathered at most, and not forgotten.
#[test]
fn acks_that_lie_apart_are_all_noted_however_many() {
    const ALL: u64 = 150_000;
    let mut consumer = Consumer::new(ConsumerSettings::new(TopicFilter::parse("#").unwrap()), 1);
    consumer.set_covers_all(true);
    consumer.join(MemberId(0), u32::MAX);
    consumer.assign(0, ALL + 1, &mut Blind, ALL as usize, &mut Vec::new());
    (1..=ALL).step_by(2).for_each(|seq| assert!(consumer.ack(seq)));
    let restored = restore(&taken(&mut consumer), ALL + 1).unwrap().unwrap();
    assert_eq!(restored.report(ALL + 1).pending, ALL / 2);
}

#[test]
fn a_retry_is_noted_behind_the_ack_that_it_undoes() {
    let mut consumer = Consumer::new(ConsumerSettings::new(TopicFilter::parse("#").unwrap()), 1);
    consumer.set_covers_all(true);
    consumer.join(MemberId(0), 10);
    consumer.assign(0, 4, &mut Blind, 10, &mut Vec::new());
    assert!(consumer.ack(2) && consumer.retry(2) && !consumer.retry(2));
    let restored = restore(&taken(&mut consumer), 4).unwrap().unwrap();
    assert_eq!(restored.report(4).pending, 3);
}

#[test]
fn a_reason_is_cut_between_characters() {
    let mut consumer = Consumer::new(ConsumerSettings::new(TopicFilter::parse("#").unwrap()), 1);
    consumer.set_covers_all(true);
    consumer.join(MemberId(0), 10);
    consumer.assign(0, 2, &mut Blind, 10, &mut Vec::new());
    assert!(consumer.reject(1, &"\u{20ac}".repeat(2000)));
    let why = WhyDead::Rejected("\u{20ac}".repeat(341));
    let dead = [Dead { seq: 1, attempts: 1, why }];
    assert_eq!(consumer.take_dead(), dead);
    let mut restored = restore(&taken(&mut consumer), 2).unwrap().unwrap();
    assert_eq!(restored.take_dead(), dead);
    assert_eq!(restored.report(2).pending, 1);
}

#[test]
fn a_damaged_note_is_an_error_in_words() {
    let whole = taken(&mut consumer());
    let table: &[(&[u8], &str)] = &[
        (&[1], "it ends too early"),
        (&[2, 4], "it is of version 2, and this broker reads 1"),
        (&[1, 99], "its kind is 99, which this broker does not know"),
        (&[1, 4, 0x80], "it ends too early"),
        (&[1, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0], "too large"),
        (&[1, 4, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "too large"),
        (&[1, 5, 2, 1, 0x80, 0x80, 4], "it counts attempts of too many messages"),
        (&[1, 6, 1, 1, 2], "it has 2 for why a message is dead"),
        (&[1, 6, 1, 1, 1, 0xff], "a text in it is not UTF-8"),
        (&[1, 3, 3, b'a'], "it ends in its filter"),
        (&[1, 3, 1, b'a', 1, 1, 0, 1, 0], "it is of a consumer with another filter"),
        (&[1, 3, 1, b'a', 1, 1, 7, 1, 0], "its order is 7, which this broker does not know"),
    ];
    for (note, wrong) in table {
        let error = restore(&[&whole[..], &[note.to_vec()]].concat(), 1001).unwrap_err();
        assert!(error.starts_with("note 3 of those of the consumer is damaged: "), "{error}");
        assert!(error.ends_with(wrong), "{error} for {note:?}");
    }
    let error = restore(&[vec![1, 4, 1, 1]], 1001).unwrap_err();
    assert!(error.contains("before the one with which the consumer begins"), "{error}");
}

/// An empty note stands for notes that cannot be read.
#[test]
fn what_is_missing_is_repeated_and_never_passed_over() {
    let mut consumer = consumer();
    let all = taken(&mut consumer);
    let [staged, begin] = &all[..] else { panic!("{all:?}") };
    let (gap, settled) = (Vec::new(), vec![1, 4, 3, 0]);
    let pending = |notes: &[&Vec<u8>]| {
        let notes: Vec<_> = notes.iter().map(|note| (*note).clone()).collect();
        restore(&notes, 1001).map(|consumer| consumer.unwrap().report(1001).pending)
    };
    assert_eq!(pending(&[staged, begin, &settled]), Ok(3));
    assert_eq!(pending(&[staged, begin, &gap, &settled]), Ok(3));
    assert_eq!(pending(&[&gap, staged, begin]), Ok(4), "it begins behind the gap");
    // Those that wait would be taken for settled.
    for missing in
        [&[&gap, begin, &settled][..], &[begin], &[staged, &gap, begin], &[&gap, &settled]]
    {
        let error = pending(missing).unwrap_err();
        assert!(error.contains("is damaged"), "{error}");
        // What it said when it began anew is all that there is to know.
        let anew = [missing, &[staged, begin, &settled]].concat();
        assert_eq!(pending(&anew), Ok(3));
    }
}

proptest! {
    #[test]
    fn no_note_makes_it_panic(
        notes in prop::collection::vec(
            (0..8u8, prop::collection::vec(any::<u8>(), 0..20)),
            0..8,
        ),
        log_next in prop_oneof![0..2000u64, Just(u64::MAX)],
    ) {
        let mut all = taken(&mut consumer());
        all.extend(notes.into_iter().map(|(kind, rest)| match kind {
            0 => Vec::new(),
            kind => [vec![1, kind], rest].concat(),
        }));
        if let Ok(Some(mut consumer)) = restore(&all, log_next) {
            consumer.join(MemberId(1), 10);
            consumer.assign(0, log_next, &mut Blind, 10, &mut Vec::new());
            consumer.snapshot();
            consumer.report(log_next);
        }
    }
}
