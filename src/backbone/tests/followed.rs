//! One that follows a stream.

use super::fixture::{Line, Plain, wanted, with_orders};
use crate::broker::{BESIDE_FOLLOWED, HowSettled, JoinShared, JoinedShared, ToBackbone};
use crate::protocol::Start;

const BYTES: usize = 1 << 20;

fn following(member: u64) -> JoinShared {
    JoinShared { consumer: None, window: u32::MAX, bytes: BYTES, ..wanted(member) }
}

/// So many messages, with the room of each given back when no more come: their numbers, and how
/// many came at once, at most.
fn read(line: &mut Line, count: u64) -> (Vec<u64>, usize) {
    let (mut all, mut most) = (Vec::new(), 0);
    while (all.len() as u64) < count {
        let at_once = line.delivered_at_once(1);
        for &(seq, attempt) in &at_once {
            assert_eq!(attempt, 1);
            all.push(seq);
            line.settle(1, seq, HowSettled::Ack, all.len() as u64);
        }
        line.settled_up_to(all.len() as u64);
        most = most.max(at_once.len());
    }
    (all, most)
}

#[test]
fn a_follower_has_as_much_as_it_has_room_for() {
    let (server, plain) = with_orders();
    let mut first = 1;
    for (size, count) in [(1, 4_000), (10_000, 300), (400_000, 10), (800_000, 10)] {
        let text = "x".repeat(size);
        for _ in 0..count {
            plain.publish("orders.1", &[], &text);
        }
        let mut line = Line::open(&server, None);
        let start = Start::Seq(first);
        line.hand(ToBackbone::Join(Box::new(JoinShared { start, ..following(1) })));
        assert_eq!(line.begun(1), Ok(JoinedShared { pending: count, next: first }));
        let (all, most) = read(&mut line, count);
        assert_eq!(all, (first..first + count).collect::<Vec<_>>());
        // And one more, which may be as large as it likes.
        let room = BYTES / (size + BESIDE_FOLLOWED) + 1;
        assert!(most <= room && most > room / 3, "{most} of {size} bytes");
        first += count;
    }
}

#[test]
fn what_a_follower_is_done_with_waits_for_no_server() {
    let (mut server, plain) = with_orders();
    plain.publish("orders.1", &[], "a");
    let mut line = Line::open(&server, None);
    line.hand(ToBackbone::Join(Box::new(following(1))));
    assert_eq!(line.delivered(1), (1, 1, "a".to_owned()));
    server.kill();
    line.unavailable();
    line.settle(1, 1, HowSettled::Ack, 1);
    line.settled_up_to(1);
    server.start_again();
    let plain = Plain::connect(&server);
    plain.publish("orders.1", &[], "b");
    assert_eq!(line.delivered(1), (2, 1, "b".to_owned()));
    // It is one no more.
    line.hand(ToBackbone::Leave { member: 1 });
    line.settle(1, 2, HowSettled::Ack, 2);
    line.settled_up_to(2);
}
