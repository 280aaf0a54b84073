//! Three servers, three brokers and eighteen clients, and all that can happen to them: a checker
//! reads what all clients have seen. `ROUNDS` and `SEED` make a soak of it (`make soak-backbone`);
//! `FAULT` is a word of those that are to happen, where not all are.

mod brokers;
mod clients;
mod shared;

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use babelmq::Format::Json;

use self::brokers::Brokers;
use self::clients::{Producer, consume, follow, subscribe};
use self::shared::{EndOf, Shared};
use super::checker::{Ending, Kept, check};
use crate::support::cluster::Cluster;
use crate::support::process::until;
use crate::support::random::Random;
use crate::support::{Client, FORMATS, number};

const BROKERS: usize = 3;
const PRODUCERS: usize = 6;
const SUBSCRIBERS: usize = 6;
/// Which consumer each member is of, and at which broker.
const MEMBERS: [(&str, usize); 4] = [("billing", 0), ("billing", 1), ("audit", 1), ("audit", 2)];

/// Those that follow, each at a broker: the second is killed.
const FOLLOWERS: usize = 2;

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The server that leads the stream is killed, and comes back.
    KillLeader,
    /// It ends in order.
    StopLeader,
    /// It hangs, until all brokers have found another one.
    FreezeLeader,
    /// Two servers are gone, and nothing can be confirmed.
    LoseQuorum,
    KillBroker(usize),
    StopBroker(usize),
    CutLinks(usize),
    StallLinks(usize),
    /// A broker reaches no server.
    PartBroker(usize),
}

use Fault::*;

/// The first broker stays, whatever happens to its links.
const FAULTS: [Fault; 9] = [
    KillLeader,
    FreezeLeader,
    StopLeader,
    LoseQuorum,
    KillBroker(1),
    StopBroker(2),
    CutLinks(0),
    StallLinks(1),
    PartBroker(0),
];

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

#[test]
fn three_brokers_before_three_servers_keep_their_promises() {
    let (seed, rounds) = (setting("SEED", 1), setting("ROUNDS", 1));
    let mut cluster = Cluster::start();
    cluster.make("orders", &["orders", "orders.>"]);
    let shared = Shared::new(BROKERS);
    let mut brokers = Brokers::start("cluster", &cluster, BROKERS, &shared);
    let mut ending = Ending::default();
    thread::scope(|scope| {
        let shared = &shared;
        let _end = EndOf(shared);
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|name| Producer::new(name, Random::of(seed, name as u64)))
            .map(|producer| scope.spawn(move || producer.work(shared)))
            .collect();
        for at in 0..SUBSCRIBERS {
            let format = FORMATS[(at + at / BROKERS) % FORMATS.len()];
            scope.spawn(move || subscribe(shared, at % BROKERS, format));
        }
        for (at, (consumer, broker)) in MEMBERS.into_iter().enumerate() {
            let random = Random::of(seed, 100 + at as u64);
            scope.spawn(move || consume(shared, consumer, broker, random));
        }
        for at in 0..FOLLOWERS {
            scope.spawn(move || follow(shared, at));
        }
        shared.until_all_confirm("the beginning");
        let mut random = Random::of(seed, 1_000);
        for _ in 0..rounds {
            let only = std::env::var("FAULT").unwrap_or_default();
            let faults = shuffled(&mut random);
            for fault in faults.into_iter().filter(|fault| format!("{fault:?}").contains(&only)) {
                let begin = Instant::now();
                happen(fault, &mut cluster, &mut brokers, shared);
                eprintln!("cluster: {fault:?} took {:?}", begin.elapsed());
            }
        }
        shared.finish();
        for producer in producers {
            producer.join().unwrap();
        }
        finish(&brokers, shared);
        ending = quiet(&cluster, &brokers);
        ending.present = shared.end();
    });
    let (refusals, time, history) = (shared.refusals(), shared.time(), shared.history());
    match check(&history, &ending) {
        Ok(counts) => eprintln!(
            "cluster: {rounds} rounds, seed {seed}, {time} ms, {refusals} refusals: {counts:?}"
        ),
        Err(wrong) => panic!("seed {seed}, {rounds} rounds: {wrong}"),
    }
}

fn shuffled(random: &mut Random) -> Vec<Fault> {
    let mut faults = FAULTS.to_vec();
    for at in (1..faults.len()).rev() {
        faults.swap(at, random.below(at + 1));
    }
    faults
}

/// Lets something happen, and be over: brokers go on meanwhile where they can, and afterwards all
/// do.
fn happen(fault: Fault, cluster: &mut Cluster, brokers: &mut Brokers, shared: &Shared) {
    match fault {
        KillLeader | StopLeader | FreezeLeader => {
            cluster.until_whole("orders");
            let leader = cluster.leader("orders");
            match fault {
                KillLeader => cluster.kill(leader),
                StopLeader => cluster.stop(leader),
                _ => cluster.freeze(leader),
            }
            shared.until_all_confirm("two servers are enough");
            match fault {
                FreezeLeader => cluster.thaw(leader),
                _ => cluster.start_again(leader),
            }
        }
        LoseQuorum => {
            cluster.until_whole("orders");
            let leader = cluster.leader("orders");
            let other = (leader + 1) % 3;
            let before = shared.refusals();
            cluster.kill(other);
            cluster.freeze(leader);
            until("publishers are refused", || shared.refusals() > before);
            cluster.thaw(leader);
            cluster.start_again(other);
        }
        KillBroker(at) | StopBroker(at) => {
            let signal = if matches!(fault, KillBroker(_)) { "KILL" } else { "TERM" };
            brokers.end(at, signal, shared);
            shared.until_all_confirm("the other brokers go on");
            brokers.start_again(at, shared);
        }
        CutLinks(at) => brokers.cut(at),
        StallLinks(at) => brokers.stall(at),
        PartBroker(at) => {
            brokers.part(at, true);
            until("it is noticed", || brokers.metric(at, "babelmq_shared_connected") < 0.5);
            brokers.part(at, false);
        }
    }
    shared.until_all_confirm("all go on");
}

/// A last message, and all have it: subscribers and followers, and consumers everything before.
fn finish(brokers: &Brokers, shared: &Shared) {
    const LAST: i64 = 999_999_999;
    let mut client = Client::to(brokers.address(0));
    shared.note(super::checker::Event::Sent {
        connection: 0,
        number: LAST,
        topic: "orders/last".to_owned(),
    });
    client.publish(Json, "orders/last", &number(Json, LAST));
    client.is_quiet();
    shared.until_heard(LAST, SUBSCRIBERS + FOLLOWERS);
    let mut left = String::new();
    let end = Instant::now() + std::time::Duration::from_secs(60);
    loop {
        client.command(Json, &[("command", crate::support::Field::Str("consumers"))]);
        let listed: serde_json::Value = serde_json::from_str(&client.next().message()).unwrap();
        let all = listed.as_array().unwrap();
        if all.len() == 2 && all.iter().all(|one| one["pending"] == 0) {
            return;
        }
        assert!(Instant::now() < end, "consumers have something left: {left}");
        left = listed.to_string();
        shared.pause();
    }
}

/// What the stream has, and what all brokers remember of it.
fn quiet(cluster: &Cluster, brokers: &Brokers) -> Ending {
    cluster.until_whole("orders");
    let kept = cluster.until("the stream", |nats| Ok(Some(nats.kept("orders"))));
    assert!(kept.iter().map(|kept| kept.seq).eq(1..=kept.len() as u64), "numbers have holes");
    let is_clear = |at: usize| kept[at].message.headers.contains_key("Babelmq-Clear");
    // Payloads are in three formats; a consumer of its own reads them all as one.
    let mut audit = Client::to(brokers.address(0));
    use crate::support::Field::{Int, Str};
    let joins = [
        ("command", Str("subscribe")),
        ("topic", Str("orders")),
        ("consumer", Str("last-audit")),
        ("start", Str("all")),
        ("window", Int(1_000)),
    ];
    audit.command(Json, &joins);
    let answer = audit.next();
    assert_eq!(answer.field("command"), "subscribed", "{:?}", answer.fields());
    let mut stream: Vec<Kept> = Vec::new();
    for (at, kept) in kept.iter().enumerate() {
        let subject = kept.message.subject.replace('.', "/");
        if is_clear(at) {
            stream.push((subject, None));
            continue;
        }
        let frame = audit.next();
        let fields = frame.fields();
        assert_eq!((&*fields["seq"], &fields["topic"]), (&*(at + 1).to_string(), &subject));
        audit.command(Json, &[("command", Str("ack")), ("seq", Int(at as i64 + 1))]);
        stream.push((subject, Some(frame.number())));
    }
    let mut last = BTreeMap::new();
    for (topic, value) in &stream {
        match value {
            Some(value) => last.insert(topic.clone(), *value),
            None => last.remove(topic),
        };
    }
    let values = |at: usize| {
        let mut client = Client::to(brokers.address(at));
        let values = client.subscribe(Json, "orders");
        values.iter().map(|frame| (frame.field("topic"), frame.number())).collect()
    };
    let mut ending = Ending { stream, ..Ending::default() };
    // What differs in the end is the checker's to say.
    let end = Instant::now() + std::time::Duration::from_secs(10);
    loop {
        ending.values = (0..BROKERS).map(values).collect();
        if ending.values.iter().all(|values| *values == last) || Instant::now() > end {
            break;
        }
        thread::yield_now();
    }
    ending.consumers = vec!["billing".to_owned(), "audit".to_owned()];
    ending
}
