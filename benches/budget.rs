//! How many instructions a message may cost on its way through the broker: `make budget`.
//!
//! Each path runs under valgrind's callgrind, and the instructions of a message are compared with
//! what `benches/budget.txt` says. They do not depend on what else the machine does. A path is what
//! a session, the dispatcher and the writers do, one after the other, without sockets and threads.
//!
//! ```text
//! make budget                  # fails where a path takes over 5 % more than the budget
//! make budget UPDATE=1         # writes what is measured into the budget
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::process::{Command, ExitCode};

use babelmq::broker::{
    ClientId, Control, Delivery, Dispatcher, Event, Inbox, QueueLimits, Queued, Step, StoreLimits,
    outbox,
};
use babelmq::codec::{BufferPool, Dialect, Workspace};
use babelmq::internals::{Recent, take_in};
use babelmq::protocol::{FrameBuffer, HEADER_LEN, Header, Overflow, Token};
use babelmq::{Format, Limits, TopicFilter};

/// What a path may take over its budget, in parts of it: less than this comes and goes with the
/// compiler's mood.
const TOLERANCE: f64 = 0.05;
/// Messages that a producer sends at once; of long ones, fewer.
const AT_ONCE: usize = 200;
const LONG_AT_ONCE: usize = 50;
/// How often it sends them before the measurement, while buffers grow and topics become known, and
/// in it.
const WARM_UP: usize = 6;
const TIMES: usize = 5;

/// A path through the broker.
struct Path {
    name: &'static str,
    format: Format,
    payload: &'static str,
    topics: usize,
    consumers: usize,
    /// What they want, in turn.
    dialects: &'static [Dialect],
    /// Whether each message comes in a read of its own.
    alone: bool,
}

const fn path(
    name: &'static str,
    format: Format,
    payload: &'static str,
    dialects: &'static [Dialect],
) -> Path {
    Path { name, format, payload, topics: 1, consumers: dialects.len(), dialects, alone: false }
}

const EVERY_FORMAT: &[Dialect] = &[Dialect::Json, Dialect::Xml, Dialect::Pickle];

/// The payloads are files of `benches/data`, or names that [`Path::bodies`] knows.
const PATHS: &[Path] = &[
    path("envelope only", Format::Json, "one digit", &[Dialect::Json]),
    path("JSON, 16 bytes", Format::Json, "16 bytes", &[Dialect::Json]),
    path("JSON, 128 bytes", Format::Json, "128 bytes", &[Dialect::Json]),
    path("JSON, 1 KiB", Format::Json, "1 KiB", &[Dialect::Json]),
    Path {
        alone: true,
        ..path("JSON, 128 bytes, one a read", Format::Json, "128 bytes", &[Dialect::Json])
    },
    Path {
        topics: 50,
        ..path("JSON, 128 bytes, 50 topics", Format::Json, "128 bytes", &[Dialect::Json])
    },
    Path {
        consumers: 8,
        ..path("JSON, 128 bytes, 8 consumers", Format::Json, "128 bytes", &[Dialect::Json])
    },
    path("JSON to pickle, 128 bytes", Format::Json, "128 bytes", &[Dialect::Pickle]),
    path("pickle to JSON, 128 bytes", Format::Pickle, "small.pickle", &[Dialect::Json]),
    path("pickle to all, 128 bytes", Format::Pickle, "small.pickle", EVERY_FORMAT),
    path("pickle to JSON, record", Format::Pickle, "record.pickle", &[Dialect::Json]),
    path("JSON to XML, record", Format::Json, "record.json", &[Dialect::Xml]),
    path("XML to JSON, record", Format::Xml, "record.xml", &[Dialect::Json]),
];

impl Path {
    /// What a producer sends at once.
    fn bodies(&self) -> Vec<Vec<u8>> {
        let message = match self.payload {
            "one digit" => "1".to_owned(),
            "16 bytes" => r#"{"id":100000000}"#.to_owned(),
            "128 bytes" => {
                let note = "lorem ipsum dolor sit amet lorem ipsum dolor sit am";
                format!(
                    r#"{{"sensor":"roof-07","id":48213,"celsius":21.5,"ok":true,"unit":"C","note":"{note}"}}"#
                )
            }
            "1 KiB" => {
                let reading = |at: u64| {
                    format!(r#"{{"at":{},"celsius":21.5,"ok":true}}"#, 1_700_000_000 + at)
                };
                let readings: Vec<String> = (0..12).map(reading).collect();
                let note = "lorem ipsum dolor sit amet ".repeat(17);
                format!(
                    r#"{{"sensor":"roof-07","readings":[{}],"note":"{note}"}}"#,
                    readings.join(",")
                )
            }
            "small.pickle" => return vec![include_bytes!("data/small.pickle").to_vec(); AT_ONCE],
            "record.pickle" => {
                return vec![include_bytes!("data/record.pickle").to_vec(); LONG_AT_ONCE];
            }
            "record.json" => {
                return vec![include_bytes!("data/record.json").to_vec(); LONG_AT_ONCE];
            }
            _ => return vec![include_bytes!("data/record.xml").to_vec(); LONG_AT_ONCE],
        };
        let topic = |index: usize| match self.topics {
            1 => "bench/flow".to_owned(),
            topics => format!("bench/flow/{}", index % topics),
        };
        let body = |index| {
            format!(r#"{{"command":"publish","topic":"{}","message":{message}}}"#, topic(index))
        };
        (0..AT_ONCE).map(|index| body(index).into_bytes()).collect()
    }
}

/// A broker without threads.
struct Broker {
    dispatcher: Dispatcher,
    inboxes: Vec<Inbox>,
    recent: Recent,
    buffer: FrameBuffer,
}

impl Broker {
    fn with_consumers(of: &Path) -> Option<Broker> {
        let mut dispatcher = Dispatcher::new(StoreLimits::default(), usize::MAX);
        let mut inboxes = Vec::new();
        for client in 1..=of.consumers {
            let client = ClientId(client as u64);
            let (outbox, inbox) = outbox(QueueLimits::default());
            dispatcher.step(Event::Attach {
                client,
                peer: SocketAddr::from(([127, 0, 0, 1], 1)).into(),
                outbox,
            });
            let filter = TopicFilter::parse("bench").ok()?;
            let (dialect, overflow) =
                (of.dialects[(client.0 as usize - 1) % of.dialects.len()], Overflow::default());
            let subscribe = Step::Control(
                Token::default(),
                Control::Subscribe {
                    filter,
                    dialect,
                    overflow,
                    queue: None,
                    names: None,
                    cleared: false,
                },
            );
            dispatcher.step(Event::Steps {
                client,
                steps: vec![subscribe],
                queued: Queued::nothing(),
            });
            inboxes.push(inbox);
        }
        Some(Broker {
            dispatcher,
            inboxes,
            recent: Recent::new(BufferPool::new(), Workspace::default()),
            buffer: FrameBuffer::new(),
        })
    }

    /// Carries what a producer sent to every consumer; returns how many bytes those get.
    fn carry(&mut self, mut sent: &[u8]) -> usize {
        let mut bytes = 0;
        while self.buffer.read_from(&mut sent).is_ok_and(|count| count > 0) {
            let taken = take_in(self.buffer.bytes(), Limits::default(), &mut self.recent);
            self.buffer.take(taken.whole);
            let (client, queued) = (ClientId(0), Queued::nothing());
            self.dispatcher.step(Event::Steps { client, steps: taken.steps, queued });
            for inbox in &self.inboxes {
                while let Some((delivery, charge)) = inbox.next_waiting() {
                    if let Delivery::Messages { batch, dialect, .. } = &delivery {
                        bytes += black_box(batch.run_bytes(batch.run(*dialect))).len();
                    }
                    inbox.written(charge);
                }
            }
        }
        bytes
    }
}

/// What callgrind counts.
#[inline(never)]
fn measured(broker: &mut Broker, sent: &[Vec<u8>]) -> usize {
    (0..TIMES).flat_map(|_| sent).map(|sent| black_box(broker.carry(sent))).sum()
}

/// Runs a path. Returns whether every consumer was brought something of every message.
fn run(path: &Path) -> bool {
    let Some(mut broker) = Broker::with_consumers(path) else { return false };
    let mut sent = vec![Vec::new()];
    for body in path.bodies() {
        if path.alone {
            sent.push(Vec::new());
        }
        let Some(frames) = sent.last_mut() else { return false };
        frames.extend(Header { format: path.format, length: body.len() as u32 }.to_bytes());
        frames.extend(body);
    }
    for frames in (0..WARM_UP).flat_map(|_| &sent) {
        broker.carry(frames);
    }
    let messages = TIMES * path.bodies().len();
    measured(&mut broker, &sent) > messages * path.consumers * HEADER_LEN
}

/// The instructions of a message on a path.
fn count(path: &Path) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=budget::measured*"])
        .arg(program)
        .args(["run", path.name])
        // A large copy or fill is one instruction on some machines; valgrind would count one for
        // each byte.
        .env(
            "GLIBC_TUNABLES",
            "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000",
        )
        .output()
        .map_err(|error| format!("valgrind cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<f64>().ok());
    match collected {
        Some(collected) if output.status.success() && collected > 0.0 => {
            Ok(collected / (TIMES * path.bodies().len()) as f64)
        }
        _ => Err(format!("{:?} did not run to its end under valgrind:\n{said}", path.name)),
    }
}

/// A budget: a line for each path, `name = instructions`; `#` begins a comment.
fn parse(budget: &str) -> BTreeMap<&str, f64> {
    let lines = budget.lines().filter_map(|line| line.split('#').next()?.split_once('='));
    lines.filter_map(|(name, value)| Some((name.trim(), value.trim().parse().ok()?))).collect()
}

fn check(update: bool) -> Result<(), String> {
    let file = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("benches/budget.txt");
    let written = fs::read_to_string(&file).unwrap_or_default();
    let budget = parse(&written);
    let mut lines = String::from(
        "# Instructions of one message on each path through the broker; see benches/budget.rs.\n\
         # `make budget` holds them to this, `make budget UPDATE=1` writes it anew.\n",
    );
    let mut over = Vec::new();
    println!("{:32} {:>9} {:>9} {:>8}", "instructions of a message", "budget", "now", "");
    for path in PATHS {
        let now = count(path)?.round();
        lines.push_str(&format!("{} = {now}\n", path.name));
        let Some(&planned) = budget.get(path.name) else {
            println!("{:32} {:>9} {now:>9}", path.name, "-");
            over.push(format!("{:?} has no budget yet", path.name));
            continue;
        };
        let change = now / planned - 1.0;
        println!("{:32} {planned:>9} {now:>9} {:>+7.1} %", path.name, change * 100.0);
        if change > TOLERANCE {
            over.push(format!("{:?} takes {now} instructions; its budget is {planned}", path.name));
        }
    }
    if update {
        return fs::write(&file, lines).map_err(|error| format!("{}: {error}", file.display()));
    }
    if over.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}.\nFind out why (callgrind_annotate names the lines), or, if it is worth it, write the \
         new numbers down with \
         `make budget UPDATE=1` and say in the commit what they buy. Another compiler than the one \
         that CI uses may \
         also count otherwise.",
        over.join("\n")
    ))
}

fn main() -> ExitCode {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments.as_slice() {
        ["run", name] => match PATHS.iter().find(|path| path.name == name) {
            Some(path) if run(path) => Ok(()),
            Some(_) => Err("not every message arrived".to_owned()),
            None => Err(format!("there is no path {name:?}")),
        },
        ["update"] => check(true),
        _ => check(false),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("budget: {error}");
            ExitCode::FAILURE
        }
    }
}
