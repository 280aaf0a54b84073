//! The attacks, each as small as it was found.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::bystander::subscribes;
use super::crowd::{Plan, Reading, Target, crowd};
use super::inputs::{control, deep, floats, frame, json, narrow, never, pickle, shared, xml};
use super::loris::heads;

/// A kind of attack.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// In these numbers.
    pub(super) connections: &'static [usize],
    /// Before the bystander is there.
    pub(super) prepare: fn(&Target) -> Result<()>,
    /// Returns when the attack is over, with what else was seen.
    pub(super) run: fn(&Target, usize) -> Result<String>,
}

macro_rules! attacks {
    ($($name:literal $title:literal $connections:expr, $prepare:expr, $run:expr;)*) => {
        pub(super) const ATTACKS: &[Kind] = &[$(
            Kind { name: $name, title: $title, connections: &$connections, prepare: $prepare, run: $run },
        )*];
    };
}

attacks! {
    "none" "nobody attacks: what the machine itself does" [0], nothing, rest;
    "busy" "nobody attacks, but as many pairs of threads write to each other: what the machine \
    does then" [100], nothing, busy;
    "walks" "A1: unread lists over 200,000 topics that are all published \
    again" [1, 20], many_topics, walks;
    "shared" "A2: gets of a short pickle that shares, \
    unread" [4, 100], store_shared, gets_unread::<MANY>;
    "shared-slow" "A2: the same, read by a byte in 5 s" [4, 100], store_shared, gets_slow::<MANY>;
    "control" "A2: gets of the longest text of control characters that is \
    taken" [4, 100], store_control, gets_unread::<FEW>;
    "floats" "A2: gets of the widest list of floats that is taken, by a byte in 5 \
    s" [4, 100], store_floats, gets_slow::<FEW>;
    "pinned" "each unread get holds another version of a large value" [50], nothing, pinned;
    "retained" "A3: is a parent of what is stored still readable by a default \
    client" [1], store_shared, retained;
    "decode" "A4: pickles of 362 bytes that decode to as much as they \
    may" [60, 1000], nothing, decode;
    "decode-again" "A4: the same, each on a connection of its \
    own" [60, 1000], nothing, decode_again;
    "patterns" "A5: 256 patterns each that never match" [20, 200], nothing, patterns;
    "unfinished" "A6: frames of 16 MiB that never end" [60, 200, 2000], nothing, unfinished;
    "heads" "slow-loris: heads of HTTP requests that get a byte in a \
    second" [1_000], store_one, heads;
    "deep" "A7: new topics of 64 segments" [1], nothing, deep_topics;
    "stats" "A7: stats unread" [8, 100], many_topics, stats;
    "lists" "A7: lists, subscribes and cancels of 200,000 topics, \
    unread" [8, 100], many_topics, lists;
    "subscribes" "snapshots of 200,000 topics in XML, read by a byte now and \
    then" [8, 100], many_topics, subscribe_slow;
    "slow" "consumers that read nothing or little, of every kind of queue" [500], nothing, slow;
    "xml" "large XML documents for readers in every format" [40], nothing, xml_flood;
    "pings" "pings with ids of 1,024 bytes, unread" [8, 100], nothing, pings;
    "errors" "refusals, unread" [8, 100], nothing, errors;
    "churn" "connections that come, ask and go" [200], many_topics, churn;
    "overlap" "60 subscriptions each, with a queue of its own, all of one \
    topic" [40], nothing, overlap;
    "mixture" "lists, gets, pickles, frames, slow consumers and pings at \
    once" [120], mixture_before, mixture;
}

const TOPICS: usize = 200_000;

fn nothing(_: &Target) -> Result<()> {
    Ok(())
}

fn rest(target: &Target, _: usize) -> Result<String> {
    thread::sleep(target.left());
    Ok(String::new())
}

fn busy(target: &Target, pairs: usize) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let page = vec![0; 50 << 10];
    thread::scope(|scope| {
        for _ in 0..pairs {
            let mut writer = TcpStream::connect(listener.local_addr()?)?;
            let (mut reader, _) = listener.accept()?;
            scope.spawn(|| {
                while target.goes_on() && writer.write_all(&page).is_ok() {}
                drop(writer);
            });
            scope.spawn(move || io::copy(&mut reader, &mut io::sink()));
        }
        Ok(String::new())
    })
}

/// What can be asked for.
fn store_one(target: &Target) -> Result<()> {
    target
        .store([json(r#"{"command":"publish","topic":"newcomer/small/x","message":1}"#)])
        .map(drop)
}

fn small(number: usize) -> Vec<u8> {
    json(&format!(r#"{{"command":"publish","topic":"many/{number}","message":{number}}}"#))
}

fn many_topics(target: &Target) -> Result<()> {
    target.store((0..TOPICS).map(small)).map(drop)
}

/// The same plan for everyone.
fn all(target: &Target, connections: usize, plan: Plan) -> Result<String> {
    crowd(target, &vec![plan; connections]);
    Ok(String::new())
}

fn walks(target: &Target, connections: usize) -> Result<String> {
    let list = json(r#"{"command":"list"}"#).repeat(60);
    thread::scope(|scope| {
        scope.spawn(|| all(target, connections, Plan::new(list, vec![], Reading::Nothing)));
        let start = Instant::now();
        let stored = many_topics(target);
        let took = start.elapsed().as_secs_f64();
        Ok(match stored {
            Ok(()) => format!("all published again in {took:.1} s"),
            Err(error) => format!("publishing all again: {error:#}"),
        })
    })
}

fn store_shared(target: &Target) -> Result<()> {
    // Where it is refused, the most that is taken of its kind.
    for width in (2..=22).rev() {
        if target.store([pickle("big/x", true, &shared(4, width, 1000))])?.is_none() {
            eprintln!("stored: 4 levels × {width}");
            break;
        }
    }
    Ok(())
}

fn store_control(target: &Target) -> Result<()> {
    let length =
        target.store_largest(16_000_000, |length| pickle("big/x", true, &control(length)))?;
    eprintln!("stored: {length} control characters");
    Ok(())
}

fn store_floats(target: &Target) -> Result<()> {
    let length =
        target.store_largest(16_000_000, |length| pickle("big/x", true, &floats(length)))?;
    eprintln!("stored: {length} bytes of floats");
    Ok(())
}

/// Gets in JSON and in XML by turns.
fn gets(connections: usize, each: usize, reading: Reading) -> Vec<Plan> {
    let questions =
        [json(r#"{"command":"get","topic":"big/x"}"#), xml(r#"<f command="get" topic="big/x"/>"#)];
    (0..connections)
        .map(|member| Plan::new(questions[member % 2].repeat(each), vec![], reading))
        .collect()
}

/// What the queue of a connection takes of something short.
const MANY: usize = 60;
/// The same of something long: the queue counts what is stored, and more would end the connection
/// before anything is encoded.
const FEW: usize = 3;

fn gets_unread<const EACH: usize>(target: &Target, connections: usize) -> Result<String> {
    crowd(target, &gets(connections, EACH, Reading::Nothing));
    Ok(String::new())
}

fn gets_slow<const EACH: usize>(target: &Target, connections: usize) -> Result<String> {
    crowd(target, &gets(connections, EACH, Reading::Trickle(Duration::from_secs(5))));
    Ok(String::new())
}

fn pinned(target: &Target, connections: usize) -> Result<String> {
    let plans: Vec<Plan> = (0..connections)
        .map(|member| {
            // Each comes at a time of its own.
            let mut plan = gets(1, 1, Reading::Nothing).remove(0);
            plan.first = json(r#"{"command":"ping"}"#).into();
            plan.again = json(r#"{"command":"get","topic":"big/x"}"#).into();
            plan.pace = Duration::from_millis(20 * (member as u64 % 50 + 1));
            plan
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| crowd(target, &plans));
        target.flood(|number| pickle("big/x", true, &control(8_000_000 + number)));
    });
    Ok(String::new())
}

fn retained(target: &Target, _: usize) -> Result<String> {
    let outcomes =
        [("JSON", 0), ("XML", 1)].map(|(name, format)| match subscribes(target, "big", format) {
            Ok(()) => format!("{name}: readable"),
            Err(error) => format!("{name}: {error:#}"),
        });
    Ok(outcomes.join("; "))
}

/// 362 bytes in all.
fn bomb(number: usize) -> Vec<u8> {
    pickle(&format!("bomb/{}", number % 10), false, &shared(5, 22, 24))
}

fn decode(target: &Target, connections: usize) -> Result<String> {
    let plans: Vec<Plan> = (0..connections)
        .map(|member| Plan::new(vec![], bomb(member), Reading::Everything))
        .collect();
    crowd(target, &plans);
    Ok(String::new())
}

fn decode_again(target: &Target, connections: usize) -> Result<String> {
    let plan = |member| {
        let stays = Duration::from_millis(30);
        Plan { stays, ..Plan::new(bomb(member), vec![], Reading::Everything) }
    };
    crowd(target, &(0..connections).map(plan).collect::<Vec<_>>());
    Ok(String::new())
}

fn patterns(target: &Target, connections: usize) -> Result<String> {
    let plans: Vec<Plan> = (0..connections as u64)
        .map(|member| {
            let each = (0..256).flat_map(|pattern| {
                json(&format!(
                    r#"{{"command":"subscribe","topic":"{}"}}"#,
                    never(member * 256 + pattern)
                ))
            });
            Plan::new(each.collect(), vec![], Reading::Everything)
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| crowd(target, &plans));
        target.flood(|number| {
            json(&format!(r#"{{"command":"publish","topic":"{}","message":1}}"#, narrow(number)))
        });
    });
    Ok(String::new())
}

fn unfinished(target: &Target, connections: usize) -> Result<String> {
    const LENGTH: usize = 16 << 20;
    let mut most = frame(0, &vec![b' '; LENGTH]);
    most.truncate(LENGTH - (64 << 10));
    let plan = Plan::new(most, vec![b' '], Reading::Everything);
    all(target, connections, Plan { pace: Duration::from_millis(500), ..plan })
}

fn deep_topics(target: &Target, _: usize) -> Result<String> {
    let start = Instant::now();
    let publish = |number| {
        json(&format!(r#"{{"command":"publish","topic":"{}","message":1}}"#, deep(number)))
    };
    let outcome = target.store((0..20_000).map(publish));
    let took = start.elapsed().as_secs_f64();
    Ok(match outcome {
        Ok(None) => format!("20,000 in {took:.1} s"),
        Ok(Some(refused)) => {
            format!("refused, after {took:.1} s: {}", refused.get(..120).unwrap_or(&refused))
        }
        Err(error) => format!("{error:#}"),
    })
}

fn stats(target: &Target, connections: usize) -> Result<String> {
    all(target, connections, Plan::new(vec![], json(r#"{"command":"stats"}"#), Reading::Nothing))
}

fn lists(target: &Target, connections: usize) -> Result<String> {
    let words = ["list", "subscribe", "cancel"];
    let each =
        words.iter().flat_map(|word| json(&format!(r#"{{"command":"{word}","topic":"many"}}"#)));
    all(target, connections, Plan::new(vec![], each.collect(), Reading::Nothing))
}

fn subscribe_slow(target: &Target, connections: usize) -> Result<String> {
    let first = xml(r#"<f command="subscribe" topic="many"/>"#);
    let plan = Plan::new(first, vec![], Reading::Trickle(Duration::from_millis(100)));
    thread::scope(|scope| {
        scope.spawn(|| all(target, connections, plan));
        target.flood(|number| small(number % TOPICS));
    });
    Ok(String::new())
}

/// Subscribers of `slow`, in every kind of queue and every format.
fn slow_plans(connections: usize) -> Vec<Plan> {
    let kinds = ["disconnect", "drop-oldest", "latest"];
    (0..connections)
        .map(|member| {
            let kind = kinds[member % kinds.len()];
            let reading =
                [Reading::Nothing, Reading::Trickle(Duration::from_millis(100))][member % 2];
            let first = match member % 4 {
                0 => xml(&format!(r#"<f command="subscribe" topic="slow" overflow="{kind}"/>"#)),
                format => json(&format!(
                    r#"{{"command":"subscribe","topic":"slow","overflow":"{kind}","exact":{}}}"#,
                    format == 1
                )),
            };
            Plan::new(first, vec![], reading)
        })
        .collect()
}

fn slow(target: &Target, connections: usize) -> Result<String> {
    thread::scope(|scope| {
        scope.spawn(|| crowd(target, &slow_plans(connections)));
        let text = "x".repeat(1000);
        target.flood(|number| {
            let topic = number % 5000;
            json(&format!(
                r#"{{"command":"publish","topic":"slow/{topic}","message":["{text}",{number}]}}"#
            ))
        });
    });
    Ok(String::new())
}

fn xml_flood(target: &Target, connections: usize) -> Result<String> {
    let questions = [
        json(r#"{"command":"subscribe","topic":"doc"}"#),
        json(r#"{"command":"subscribe","topic":"doc","exact":true}"#),
        xml(r#"<f command="subscribe" topic="doc"/>"#),
    ];
    let plans: Vec<Plan> = (0..connections)
        .map(|member| Plan::new(questions[member % 3].clone(), vec![], Reading::Everything))
        .collect();
    let items = "<item a=\"1\"><name>text &amp; more</name></item>".repeat(20_000);
    let document = xml(&format!(
        r#"<f command="publish" topic="doc/x" retain="false"><message><doc>{items}</doc></message></f>"#
    ));
    thread::scope(|scope| {
        scope.spawn(|| crowd(target, &plans));
        target.flood(|_| document.clone());
    });
    Ok(String::new())
}

fn ping() -> Vec<u8> {
    json(&format!(r#"{{"command":"ping","id":"{}"}}"#, "i".repeat(1024)))
}

fn pings(target: &Target, connections: usize) -> Result<String> {
    all(target, connections, Plan::new(vec![], ping().repeat(50), Reading::Nothing))
}

fn errors(target: &Target, connections: usize) -> Result<String> {
    let long = "t/".repeat(500);
    let wrong = json(&format!(r#"{{"command":"get","topic":"{long}"}}"#)).repeat(50);
    all(target, connections, Plan::new(vec![], wrong, Reading::Nothing))
}

fn churn(target: &Target, connections: usize) -> Result<String> {
    let questions = json(r#"{"command":"subscribe","topic":"many"}"#);
    let plan = Plan::new(questions, vec![], Reading::Nothing);
    all(target, connections, Plan { stays: Duration::from_millis(20), ..plan })
}

fn overlap(target: &Target, connections: usize) -> Result<String> {
    let first: Vec<u8> = (0..60)
        .flat_map(|depth| {
            let topic = "s/".repeat(depth) + "s";
            json(&format!(
                r#"{{"command":"subscribe","topic":"{topic}","overflow":"drop-oldest"}}"#
            ))
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| all(target, connections, Plan::new(first, vec![], Reading::Nothing)));
        let text = "x".repeat(10_000);
        target.flood(|number| {
            json(&format!(
                r#"{{"command":"publish","topic":"{}","message":"{text}"}}"#,
                narrow(number % 10)
            ))
        });
    });
    Ok(String::new())
}

fn mixture_before(target: &Target) -> Result<()> {
    many_topics(target)?;
    store_shared(target)
}

fn mixture(target: &Target, connections: usize) -> Result<String> {
    let each = connections.div_ceil(6);
    let list = Plan::new(json(r#"{"command":"list"}"#).repeat(60), vec![], Reading::Nothing);
    let mut plans = vec![list; each];
    plans.extend(gets(each, 60, Reading::Trickle(Duration::from_secs(5))));
    plans.extend((0..each).map(|member| Plan::new(vec![], bomb(member), Reading::Everything)));
    let begun = frame(0, &vec![b' '; 16 << 20])[..8 << 20].to_vec();
    plans.extend(vec![Plan::new(begun, vec![], Reading::Everything); each]);
    plans.extend(slow_plans(each));
    plans.extend(vec![Plan::new(vec![], ping().repeat(50), Reading::Nothing); each]);
    thread::scope(|scope| {
        scope.spawn(|| crowd(target, &plans));
        scope.spawn(|| target.flood(|number| small(number % TOPICS)));
        let text = "x".repeat(1000);
        target.flood(|_| {
            json(&format!(r#"{{"command":"publish","topic":"slow/x","message":"{text}"}}"#))
        });
    });
    Ok(String::new())
}
