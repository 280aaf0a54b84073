//! Sober clients that read too slowly for what comes, and would rather lose messages than be cut
//! off. What they lose they are told.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::Stop;
use super::tally::Tally;
use crate::support::Field::{Int, Str};
use crate::support::random::Random;
use crate::support::{Client, FORMATS, text};

/// Large messages, so that what the sockets hold is not enough for a dawdler's rest.
const MESSAGE: usize = 48 << 10;
const TOPIC: &str = "/bulk";
/// What the last message of all says.
const END: &str = "end";

/// Produces and dawdles until it is the end.
pub fn run(address: SocketAddr, seed: u64, stop: &Stop, tally: &Tally) {
    thread::scope(|scope| {
        let random = |client| Random::of(seed, 3_u64 << 40 | client);
        for (overflow, client) in ["drop-oldest", "latest"].into_iter().zip(1..) {
            let mut random = random(client);
            let mut client = Client::to(address);
            let options =
                [("overflow", Str(overflow)), ("queue", Int(1 + random.below(20) as i64))];
            assert_eq!(client.subscribe_with(*random.pick(&FORMATS), TOPIC, &options), []);
            tally.connections.add(1);
            scope.spawn(move || dawdle(client, random, overflow == "drop-oldest", stop, tally));
        }
        tally.connections.add(1);
        produce(address, random(0), stop);
    });
}

/// Publishes numbered messages, and one at the end that says so.
fn produce(address: SocketAddr, mut random: Random, stop: &Stop) {
    let mut client = Client::to(address);
    let padding = "x".repeat(MESSAGE);
    let mut published = 0_u64;
    while !stop.rest(Duration::from_millis(random.below(40) as u64)) {
        for _ in 0..=random.below(10) {
            let format = *random.pick(&FORMATS);
            client.publish(format, TOPIC, &text(format, &format!("{published}{padding}")));
            published += 1;
        }
        assert_eq!(client.flush(FORMATS[0]), []);
    }
    client.publish(FORMATS[0], TOPIC, &text(FORMATS[0], END));
    assert_eq!(client.flush(FORMATS[0]), []);
}

/// Reads now and then. Without `told`, what a newer message replaced is not reported.
fn dawdle(mut client: Client, mut random: Random, told: bool, stop: &Stop, tally: &Tally) {
    let mut next = 0;
    loop {
        if random.one_in(40) {
            stop.rest(Duration::from_millis(random.below(2_500) as u64));
        }
        let frame = client.next();
        if frame.field("command") == "dropped" {
            assert!(told, "of one topic a newer message just replaces the older");
            let count: u64 = frame.field("count").parse().unwrap();
            tally.dropped.add(count);
            // It stands where they would have come.
            next += count;
            continue;
        }
        let said = frame.message();
        let said =
            said.trim_start_matches("<message type=\"str\">").trim_start_matches("<message>");
        let said = said.trim_start_matches('"');
        if said.starts_with(END) {
            client.is_quiet();
            return;
        }
        let digits = said.find('x').map(|end| &said[..end]);
        let number: u64 = digits.unwrap().parse().unwrap();
        if number < next {
            tally.duplicates.add(1);
        } else if told {
            tally.lost.add(number - next);
        }
        next = number + 1;
    }
}
