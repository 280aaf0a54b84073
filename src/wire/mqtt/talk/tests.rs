//! The talk with a client whose connection ends between a question and its answer.

use super::super::wanted;
use super::*;
use crate::broker::Stored;
use crate::protocol::{ErrorCode, Refusal, Token};
use crate::wire::write_batch::WriteBatch;

fn manner() -> Manner {
    Manner {
        version: Version::V5,
        dialect: Dialect::Json,
        windows: (10, 10),
        limit: usize::MAX,
        wants_reasons: false,
        limits: Limits::default(),
        takes_all: true,
        wall_clock: || 0,
    }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// Publishes a message, and gives whether it is new.
fn publish(talk: &mut Talk, qos: Qos, number: u16) -> Arrived {
    let arrived = talk.publish(qos, id(number)).unwrap();
    talk.answer_later(vec![Answer { id: id(number), qos, refused: None }]);
    arrived
}

/// The bytes that something writes.
fn written(write: impl FnOnce(&mut WriteBatch)) -> Vec<u8> {
    let mut gathered = WriteBatch::default();
    write(&mut gathered);
    gathered.own
}

fn full() -> Refusal {
    Refusal::new(ErrorCode::StoreFull, "full")
}

#[test]
fn messages_of_a_connection_that_has_ended_are_not_answered() {
    let mut talk = Talk::new(&manner(), Claim::nothing());
    assert_eq!(publish(&mut talk, Qos::AtLeastOnce, 5), Arrived::New);
    assert_eq!(publish(&mut talk, Qos::ExactlyOnce, 6), Arrived::New);
    talk.resume(&manner(), 0);
    assert_eq!(publish(&mut talk, Qos::AtLeastOnce, 5), Arrived::New);
    assert_eq!(publish(&mut talk, Qos::ExactlyOnce, 6), Arrived::Again);
    for _ in 0..2 {
        assert_eq!(written(|out| talk.pong(None, out)), b"", "that was before");
    }
    assert_eq!(written(|out| talk.pong(None, out)), [0x40, 2, 0, 5]);
    assert_eq!(written(|out| talk.pong(None, out)), [0x50, 2, 0, 6]);
    assert_eq!(written(|out| talk.pong(None, out)), b"");
}

/// A message of QoS 2 that was refused is none that the broker has, whenever its client hears so.
#[test]
fn a_refusal_outlives_its_connection() {
    let mut talk = Talk::new(&manner(), Claim::nothing());
    // It is sent again before the refusal is known.
    publish(&mut talk, Qos::ExactlyOnce, 7);
    talk.resume(&manner(), 0);
    assert_eq!(publish(&mut talk, Qos::ExactlyOnce, 7), Arrived::Again);
    assert_eq!(written(|out| talk.refuse(Token(7), full(), out)), b"");
    assert_eq!(written(|out| talk.pong(None, out)), b"");
    assert_eq!(written(|out| talk.pong(None, out)), [0x50, 3, 0, 7, Reason::QUOTA.0]);
    // And afterwards.
    publish(&mut talk, Qos::ExactlyOnce, 8);
    talk.resume(&manner(), 0);
    talk.refuse(Token(8), full(), &mut WriteBatch::default());
    assert_eq!(written(|out| talk.pong(None, out)), b"");
    assert_eq!(publish(&mut talk, Qos::ExactlyOnce, 8), Arrived::New);
}

#[test]
fn questions_of_a_connection_that_has_ended_are_not_answered() {
    let mut talk = Talk::new(&manner(), Claim::nothing());
    let granted = Granted {
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        identifier: None,
    };
    let ask = |talk: &mut Talk, number, filter: &str| {
        let wanted = wanted(filter, &Limits::default()).unwrap();
        let filter = wanted.filter.clone();
        talk.grant(Subscribed { filter, group: None, granted, durable: None });
        let mut question = Question::new(id(number), true);
        question.ask(wanted, Reason(1), false);
        talk.ask(question);
    };
    ask(&mut talk, 3, "a");
    talk.resume(&manner(), 0);
    ask(&mut talk, 4, "b");
    assert_eq!(written(|out| talk.done(out)), b"", "that was before");
    assert_eq!(written(|out| talk.done(out)), [0x90, 4, 0, 4, 0, 1]);
}

/// Last values wait for the window as messages do, and what they take is given back with the last.
#[test]
fn last_values_wait_for_their_turn() {
    let mut talk = Talk::new(&Manner { windows: (1, 10), ..manner() }, Claim::nothing());
    let filter = TopicFilter::parse("#").unwrap().below(false);
    let granted = Granted {
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        identifier: None,
    };
    talk.grant(Subscribed { filter, group: None, granted, durable: None });
    let value = |name: &str| {
        let payload = crate::codec::Payload::of_value(name, &1.into(), &Limits::default()).unwrap();
        let topic = crate::protocol::Topic::parse(name).unwrap();
        Stored::new(topic.name(), payload.borrow(), 0)
    };
    talk.deliver_values(vec![value("a"), value("b")], Held::Charge(Charge::default()));
    let mut gathered = WriteBatch::default();
    assert_eq!(talk.go_on(&mut gathered, 0, Tenths::default()), Next::Nothing);
    let ack = |talk: &mut Talk, number| {
        talk.ack(&Ack::new(Kind::Puback, id(number), Reason::SUCCESS)).unwrap().is_some()
    };
    assert!(!talk.has_news(), "the client is to answer first");
    assert!(!ack(&mut talk, 1), "there is another");
    assert!(talk.has_news());
    assert_eq!(talk.go_on(&mut gathered, 0, Tenths::default()), Next::Nothing);
    assert!(gathered.charges.is_empty());
    assert!(ack(&mut talk, 2));
}

/// Where a second SUBSCRIBE of a filter is refused, the first holds.
#[test]
fn what_was_granted_stays_where_more_is_refused() {
    let mut talk = Talk::new(&manner(), Claim::nothing());
    let filter = TopicFilter::parse("a/#").unwrap();
    let granted =
        |qos| Granted { qos, no_local: false, retain_as_published: false, identifier: None };
    let one = |qos| {
        let (filter, granted) = (filter.clone(), granted(qos));
        Subscribed { filter, group: None, granted, durable: None }
    };
    for (number, qos) in [(1, Qos::AtLeastOnce), (2, Qos::ExactlyOnce)] {
        let before = talk.grant(one(qos));
        let mut question = Question::new(id(number), true);
        let wanted = Wanted { group: None, filter: filter.clone() };
        question.ask(wanted, Reason(qos.byte()), false);
        question.pending().for_each(|pending| pending.before = before.clone());
        talk.ask(question);
    }
    let suback = written(|out| talk.done(out));
    assert_eq!(suback, [0x90, 4, 0, 1, 0, 1]);
    let refusal = Refusal::new(ErrorCode::TooManySubscriptions, "full").about("a/#");
    let suback = written(|out| talk.refuse(Token(2), refusal, out));
    assert_eq!(suback, [0x90, 4, 0, 2, 0, 0x97]);
    assert_eq!(talk.subscriptions(), [one(Qos::AtLeastOnce)]);
}

/// A talk that rests forgets nothing that is still to be done, and takes no memory for what is
/// done: not even where it is only looked at.
#[test]
fn where_nothing_goes_on_nothing_is_kept() {
    let mut talk = Talk::new(&manner(), Claim::nothing());
    let look = |talk: &mut Talk| {
        assert!(!talk.has_news() && !talk.is_too_much() && !talk.take_stale());
        assert_eq!((talk.take_sent(), talk.take_failed()), ([0; 3], 0));
        assert!(talk.saved().is_none() && talk.take_refused().is_empty());
        let mut gathered = WriteBatch::default();
        assert_eq!(talk.go_on(&mut gathered, 0, Tenths::default()), Next::Nothing);
        assert_eq!(written(|out| talk.pong(None, out)), b"");
        assert_eq!(written(|out| talk.done(out)), b"");
        assert!(talk.going.made().is_none());
    };
    look(&mut talk);
    publish(&mut talk, Qos::AtLeastOnce, 5);
    talk.rest();
    assert_eq!(written(|out| talk.pong(None, out)), [0x40, 2, 0, 5]);
    talk.ping();
    talk.rest();
    assert!(talk.has_news());
    let ping = written(|out| {
        let _ = talk.go_on(out, 0, Tenths::default());
    });
    assert_eq!(ping, [0xd0, 0]);
    talk.rest();
    look(&mut talk);
    talk.resume(&manner(), 1);
    talk.rest();
    assert!(talk.take_stale());
    talk.rest();
    look(&mut talk);
}
