//! Cases by hand: shares, and limits that random schedules do not come to.

use std::time::Duration;

use super::super::*;
use crate::protocol::{TopicFilter, TopicName};

fn settings() -> ConsumerSettings {
    ConsumerSettings::new(TopicFilter::parse("#").unwrap())
}

fn blind(settings: ConsumerSettings) -> Consumer {
    let mut consumer = Consumer::new(settings, 1);
    consumer.set_covers_all(true);
    consumer
}

fn assign(consumer: &mut Consumer, now: u64, end: u64) -> Vec<(u64, u64, u64, u32)> {
    let mut given = Vec::new();
    consumer.expire(now);
    while consumer.assign(now, end, &mut Blind, 1000, &mut given) {}
    given.iter().map(|part| (part.member.0, part.from, part.to, part.attempt)).collect()
}

#[test]
fn a_few_messages_are_shared_by_all_who_are_idle() {
    let mut consumer = blind(settings());
    (0..4).for_each(|member| consumer.join(MemberId(member), 256));
    let given = assign(&mut consumer, 0, 11);
    assert_eq!(given, [(0, 1, 3, 1), (1, 4, 6, 1), (2, 7, 9, 1), (3, 10, 10, 1)]);
    let mut members = Vec::new();
    for end in 12..20 {
        members.extend(assign(&mut consumer, 0, end).iter().map(|part| part.0));
    }
    assert_eq!(members, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn many_messages_are_dealt_in_long_ranges_up_to_the_windows() {
    let mut consumer = blind(settings());
    (0..2).for_each(|member| consumer.join(MemberId(member), 100));
    let given = assign(&mut consumer, 0, 10_000_001);
    assert!(given.iter().all(|part| part.2 - part.1 == 24), "{given:?}");
    assert_eq!(given.len(), 8);
    let report = consumer.report(10_000_001);
    assert_eq!((report.floor, report.next, report.outstanding), (0, 201, 200));
    assert_eq!(report.pending, 10_000_000);
    assert!(consumer.memory() < 4096, "{} bytes", consumer.memory());
}

#[test]
fn where_too_many_wait_no_new_ones_are_given() {
    let mut consumer = blind(ConsumerSettings { window: 10, max_deliver: 9, ..settings() });
    consumer.join(MemberId(0), 10);
    let mut given = 0;
    loop {
        let parts = assign(&mut consumer, 0, 100_000);
        if parts.is_empty() {
            break;
        }
        for seq in parts.iter().flat_map(|part| part.1..=part.2) {
            given += 1;
            assert!(consumer.nak(seq, Some(Duration::from_secs(3600)), 0));
        }
    }
    assert!((1024..1034).contains(&given), "{given} were given");
    assert_eq!(consumer.next_due(), Some(3_600_000));
    assert_eq!(assign(&mut consumer, 3_600_000, 100_000), [(0, 1, 10, 2)]);
}

#[test]
fn what_a_large_window_had_is_given_to_small_ones_bit_by_bit() {
    let mut consumer = blind(settings());
    consumer.join(MemberId(0), 100);
    assert_eq!(assign(&mut consumer, 0, 101), [(0, 1, 100, 1)]);
    consumer.leave(MemberId(0), 0);
    consumer.join(MemberId(1), 3);
    consumer.join(MemberId(2), 2);
    assert_eq!(assign(&mut consumer, 0, 101).iter().map(|part| part.2).max(), Some(5));
    let report = consumer.report(101);
    assert_eq!((report.outstanding, report.redelivered, report.pending), (5, 5, 100));
}

#[test]
fn times_beyond_all_bounds_do_no_harm() {
    let ack_wait = Duration::MAX;
    let backoff = vec![Duration::MAX];
    let mut consumer = blind(ConsumerSettings { ack_wait, backoff, ..settings() });
    consumer.join(MemberId(0), 0);
    assert_eq!(assign(&mut consumer, u64::MAX - 1, 3), [(0, 1, 1, 1)]);
    assert!(consumer.touch(1, u64::MAX - 1));
    assert!(consumer.nak(1, None, u64::MAX - 1));
    assert_eq!(consumer.next_due(), Some(u64::MAX));
    assert_eq!(consumer.pass_over(1, u64::MAX), u64::MAX);
    consumer.trimmed(u64::MAX);
    assert_eq!(consumer.next_due(), None);
    assert!(!consumer.retry(0) && !consumer.retry(u64::MAX));
    assert_eq!(assign(&mut consumer, u64::MAX, u64::MAX), []);
}

#[test]
fn an_expiry_of_very_many_is_done_in_pieces() {
    let mut consumer = blind(settings());
    consumer.join(MemberId(0), 20_000);
    assign(&mut consumer, 0, 20_001);
    (1..20_000).step_by(2).for_each(|seq| assert!(consumer.ack(seq)));
    let mut calls = 0;
    while consumer.next_due().is_some_and(|due| due <= 30_000) {
        consumer.expire(30_000);
        calls += 1;
    }
    assert_eq!(calls, 3);
    let report = consumer.report(20_001);
    assert_eq!((report.outstanding, report.pending), (0, 10_000));
}

#[test]
fn times_that_mean_nothing_any_more_are_forgotten() {
    let mut consumer = blind(settings());
    consumer.join(MemberId(0), 256);
    assign(&mut consumer, 0, 257);
    assert!(consumer.nak(256, Some(Duration::from_secs(3600)), 0));
    for now in 0..100_000 {
        assert!(consumer.touch(1 + now % 255, now));
    }
    assert!(consumer.timers.len() < 1024, "{} times", consumer.timers.len());
    assert!(consumer.memory() < 200_000, "{} bytes", consumer.memory());
    (1..256).for_each(|seq| assert!(consumer.ack(seq)));
    assert_eq!(consumer.next_due(), Some(3_600_000), "what waits is not forgotten with them");
}

/// A log in which one topic is in the way of others.
struct Two;

impl Look for Two {
    fn look(&mut self, seq: u64) -> Sight<'_> {
        Sight::Message(TopicName::judged(if seq < 5 { "slow" } else { "quick" }))
    }
}

#[test]
fn a_topic_that_waits_does_not_hold_up_others() {
    let mut consumer = Consumer::new(ConsumerSettings { order: Order::ByTopic, ..settings() }, 1);
    consumer.join(MemberId(0), 1);
    let mut given = Vec::new();
    consumer.assign(0, 2, &mut Two, 100, &mut given);
    consumer.nak(1, Some(Duration::from_millis(10)), 0);
    given.clear();
    consumer.assign(0, 7, &mut Two, 100, &mut given);
    assert_eq!(given, [Assignment { member: MemberId(0), from: 5, to: 5, attempt: 1 }]);
    assert!(consumer.ack(5));
    given.clear();
    consumer.expire(10);
    consumer.assign(10, 7, &mut Two, 100, &mut given);
    assert_eq!(given, [Assignment { member: MemberId(0), from: 1, to: 1, attempt: 2 }]);
    assert!(!consumer.ack(2), "it was not delivered yet");
}
