//! How many instructions a message may cost on its way through the broker: `make budget`.
//!
//! Each path runs under valgrind's callgrind, and the instructions of a message are compared with
//! what `benches/budget.txt` says. They do not depend on what else the machine does. A path is what
//! a session, the dispatcher and the writers do, one after the other, without sockets and threads.
//!
//! What people send is not one record: of samples of streams (`benches/data/streams`, which
//! `bench/streams` makes) the instructions for each byte are told as well. And a message costs
//! about as much for each byte however it looks: of the variants of one record in a direction, none
//! may cost over 3 times as much as another for each byte, and one object of 76 keys not over 1.3
//! times as much as four of 19. Where one does today, `benches/budget.txt` says how many times, and
//! it may not become more.
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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use babelmq::access::{ANONYMOUS, Policy};
use babelmq::broker::{
    ClientId, Control, Delivery, Dispatcher, Event, Inbox, QueueLimits, Queued, Rights, Step,
    StoreLimits, outbox,
};
use babelmq::codec::{BufferPool, Workspace};
use babelmq::internals::{Recent, take_in};
use babelmq::protocol::{FrameBuffer, HEADER_LEN, Header, Overflow, Token};
use babelmq::{Limits, TopicFilter};

#[path = "budget/paths.rs"]
mod paths;
#[path = "budget/streams.rs"]
mod streams;

use paths::Path;

/// What a path may take over its budget, in parts of it: less than this comes and goes with the
/// compiler's mood.
const TOLERANCE: f64 = 0.05;
/// How often it sends them before the measurement, while buffers grow and topics become known, and
/// in it.
const WARM_UP: usize = 6;
const TIMES: usize = 5;
/// How often a path that seems over its budget is counted at most. The hash of keys has another
/// seed in each process, and an unlucky one costs a path of many keys 7 %: the least count holds.
const COUNTS: usize = 4;

/// A broker without threads.
struct Broker {
    dispatcher: Dispatcher,
    inboxes: Vec<Inbox>,
    recent: Recent,
    buffer: FrameBuffer,
}

/// A user with a hundred rules about others than the topics of the paths, and one about those.
fn users() -> String {
    let rules: String = (0..100).map(|rule| format!("'plant/{rule}/+/celsius', ")).collect();
    format!(
        "[[user]]\nname = 'anonymous'\nroles = ['all']\n\
         [role.all]\npublish = [{rules} 'bench']\nsubscribe = [{rules} 'bench']\n\
         deny-publish = ['bench/secret']\ndeny-subscribe = ['bench/secret']\n"
    )
}

impl Broker {
    fn with_consumers(of: &Path) -> Option<Broker> {
        let policy = if of.rules { Some(Policy::parse(&users()).ok()?) } else { None };
        let user = policy.as_ref().and_then(|policy| policy.user(ANONYMOUS)).cloned();
        let rights = || user.clone().map_or(Rights::Everything, Rights::Of);
        let mut dispatcher =
            Dispatcher::new(StoreLimits::default(), usize::MAX).with_policy(policy);
        let mut inboxes = Vec::new();
        for client in 1..=of.consumers {
            let client = ClientId(client as u64);
            let (outbox, inbox) = outbox(QueueLimits::default());
            dispatcher.step(Event::Attach {
                client,
                peer: SocketAddr::from(([127, 0, 0, 1], 1)).into(),
                rights: rights(),
                outbox,
            });
            let filter = if of.sample().is_some() { "#" } else { "bench" };
            let filter = TopicFilter::parse(filter).ok()?;
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
                    values: true,
                    durable: None,
                },
            );
            dispatcher.step(Event::Steps {
                client,
                steps: vec![subscribe],
                queued: Queued::nothing(),
            });
            inboxes.push(inbox);
        }
        let mut recent = Recent::new(BufferPool::new(), Workspace::default());
        recent.have_rights(rights());
        Some(Broker { dispatcher, inboxes, recent, buffer: FrameBuffer::new() })
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

fn run_named(name: &str) -> Result<(), String> {
    match paths::all()?.iter().find(|path| path.name == name) {
        Some(path) if run(path) => Ok(()),
        Some(_) => Err("not every message arrived".to_owned()),
        None => Err(format!("there is no path {name:?}")),
    }
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

/// The instructions of a message on each path; as many at once as there are processors.
fn count_all(paths: &[Path], budget: &BTreeMap<&str, f64>) -> Result<Vec<f64>, String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(vec![0.0; paths.len()]);
    let work = || -> Result<(), String> {
        while let Some((index, path)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, paths.get(at)?)))
        {
            let most = budget.get(path.name).map(|planned| planned * (1.0 + TOLERANCE));
            let mut now = count(path)?.round();
            for _ in 1..COUNTS {
                if most.is_some_and(|most| now > most) {
                    now = now.min(count(path)?.round());
                }
            }
            counts.lock().unwrap_or_else(PoisonError::into_inner)[index] = now;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        })
    })?;
    Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner))
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
    println!("{:36} {:>9} {:>9}", "instructions of a message", "budget", "now");
    let paths = paths::all()?;
    let counts = count_all(&paths, &budget)?;
    for (path, &now) in paths.iter().zip(&counts) {
        let each = streams::each_byte(path, now);
        let each = each.map_or_else(String::new, |each| format!("{each:.1} a byte"));
        lines.push_str(format!("{} = {now}  # {each}", path.name).trim_end_matches("  # "));
        lines.push('\n');
        let Some(&planned) = budget.get(path.name) else {
            println!("{:36} {:>9} {now:>9} {:>10} {each:>14}", path.name, "-", "");
            over.push(format!("{:?} has no budget yet", path.name));
            continue;
        };
        let change = now / planned - 1.0;
        let name = path.name;
        println!("{name:36} {planned:>9} {now:>9} {:>+8.1} % {each:>14}", change * 100.0);
        if change > TOLERANCE {
            over.push(format!("{:?} takes {now} instructions; its budget is {planned}", path.name));
        }
    }
    for spread in streams::spreads(&paths, &counts) {
        println!("{spread}");
        lines.push_str(&spread.line());
        let planned = budget.get(spread.name.as_str()).copied().unwrap_or_default();
        if spread.times > spread.most_times.max(planned * (1.0 + TOLERANCE)) {
            over.push(spread.to_string());
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
        ["run", name] => run_named(name),
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
