//! Clients in Python that lose their connection beside those in Rust: processes that say what they
//! know, which is judged here.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use crate::support::Client;
use babelmq::Format::Json;

const TOPIC: &str = "/python";
const FORMATS: [&str; 3] = ["json", "xml", "pickle"];
/// What a producer pushes last.
const END: i64 = -1;

/// Numbers that came one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: i64,
    last: i64,
    /// Whether the first was a stored value: the subscription was made then, perhaps anew.
    stored: bool,
}

/// What one process said.
#[derive(Default)]
struct Said {
    /// First and last of the numbers of each flush.
    confirmed: Vec<(i64, i64)>,
    doubtful: usize,
    pulled: HashMap<String, Vec<Run>>,
    ended: Vec<String>,
}

/// The processes, one for each format, and a subscriber whose connection stays.
pub struct Clients {
    children: Vec<(Child, JoinHandle<Said>)>,
    sober: JoinHandle<HashMap<String, Vec<Run>>>,
}

/// Starts them, by the Python that `SOAK_PYTHON` names; without it there are none.
pub fn start(way: SocketAddr, broker: SocketAddr) -> Option<Clients> {
    let python = std::env::var_os("SOAK_PYTHON");
    if python.is_none() {
        println!("soak: no clients in Python, because SOAK_PYTHON names none");
    }
    let python = python?;
    let mut sober = Client::to(broker);
    sober.subscribe(Json, TOPIC);
    let sober = thread::spawn(move || watch(sober));
    let root = env!("CARGO_MANIFEST_DIR");
    let children = FORMATS.iter().enumerate().map(|(number, format)| {
        let mut child = Command::new(&python)
            .arg(format!("{root}/tests/alone/soak/cut.py"))
            .args([format, TOPIC, &number.to_string(), &FORMATS.len().to_string()])
            .arg(way.to_string())
            .env("PYTHONPATH", format!("{root}/clients/python/src"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = thread::spawn(move || {
            let mut said = Said::default();
            lines.for_each(|line| said.take(&line.unwrap()));
            said
        });
        (child, said)
    });
    Some(Clients { children: children.collect(), sober })
}

impl Said {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| -> i64 { words[at].parse().unwrap() };
        match words[0] {
            "confirmed" => self.confirmed.push((number(1), number(2))),
            "doubtful" => self.doubtful += 1,
            "pulled" => {
                let run = Run { first: number(2), last: number(3), stored: number(4) == 1 };
                self.pulled.entry(words[1].to_owned()).or_default().push(run);
            }
            "ended" => self.ended.push(words[1].to_owned()),
            _ => panic!("{line}"),
        }
    }
}

/// What a subscriber sees that never loses its connection.
fn watch(mut sober: Client) -> HashMap<String, Vec<Run>> {
    let (mut seen, mut ended) = (HashMap::<String, Vec<Run>>::new(), 0);
    while ended < FORMATS.len() {
        let frame = sober.next();
        let number: i64 = frame.message().parse().unwrap();
        let runs = seen.entry(frame.field("topic")).or_default();
        match runs.last_mut() {
            Some(run) if number == run.last + 1 && number > 0 => run.last = number,
            _ => runs.push(Run { first: number, last: number, stored: false }),
        }
        // A producer whose last flush was lost says it again.
        let is_first_end = number == END && runs.iter().filter(|run| run.first == END).count() == 1;
        ended += usize::from(is_first_end);
    }
    seen
}

impl Clients {
    /// Lets them come to their end. What was confirmed was seen by everybody, in order, but for
    /// what a consumer missed while it had no connection.
    pub fn judge(self) {
        let mut said = Vec::new();
        for (mut child, lines) in self.children {
            // The end of its input is what it waits for. All are told before one is waited for.
            drop(child.stdin.take());
            said.push((child, lines));
        }
        let said: Vec<Said> = said
            .into_iter()
            .zip(FORMATS)
            .map(|((mut child, lines), format)| {
                let said = lines.join().unwrap();
                assert!(child.wait().unwrap().success(), "the clients in {format} are dead");
                let mut ended = said.ended.clone();
                ended.sort();
                assert_eq!(ended, ["consumer", "producer"], "{format}");
                said
            })
            .collect();
        let seen = self.sober.join().unwrap();
        for (number, format) in FORMATS.iter().enumerate() {
            let (topic, producer) = (format!("{TOPIC}/{number}"), &said[number]);
            let confirmed = &producer.confirmed;
            let count: i64 = confirmed.iter().map(|(first, last)| last - first + 1).sum();
            println!(
                "soak: Python in {format}: {count} confirmed, {} batches in doubt",
                producer.doubtful
            );
            assert!(count > 0 && producer.doubtful > 0, "nothing was tried in {format}");
            judge(&seen[&topic], confirmed, "the sober subscriber");
            for (consumer, format) in said.iter().zip(FORMATS) {
                let runs = &consumer.pulled[&topic];
                judge(runs, confirmed, format);
                let came_back = runs.iter().filter(|run| run.stored).count();
                assert!(came_back > 1, "the consumer in {format} was never cut off");
            }
        }
    }
}

/// Whether all that was confirmed was seen, in order and once, but for what a new subscription
/// explains: what was missed before it, and its stored value, which may have been seen.
fn judge(runs: &[Run], confirmed: &[(i64, i64)], who: &str) {
    // The confirmed number that was seen last, the place of its flush, and whether the subscription
    // was made anew since.
    let (mut seen, mut at, mut is_anew) = (END, 0, false);
    for run in runs {
        is_anew |= run.stored;
        if run.first == END {
            continue;
        }
        while at > 0 && confirmed[at - 1].1 >= run.first {
            at -= 1;
        }
        while let Some((first, last)) = confirmed.get(at).filter(|(first, _)| *first <= run.last) {
            let (first, last) = (run.first.max(*first), run.last.min(*last));
            at += 1;
            if first > last {
                continue;
            }
            let is_again = first == seen && run.stored && first == run.first;
            assert!(first > seen || is_again, "{who} saw {first} after {seen}: {run:?}");
            let missed = missing(confirmed, seen, first);
            assert!(missed.is_none() || is_anew, "{who} missed {missed:?} before {first}");
            (seen, is_anew) = (last, false);
        }
    }
    let missed = missing(confirmed, seen, i64::MAX);
    assert!(missed.is_none() || is_anew, "{who} missed {missed:?} at the end");
}

/// A number that was confirmed and is between these.
fn missing(confirmed: &[(i64, i64)], after: i64, before: i64) -> Option<i64> {
    let place = confirmed.partition_point(|(_, last)| *last <= after);
    let next = confirmed.get(place)?.0.max(after + 1);
    (next < before).then_some(next)
}
