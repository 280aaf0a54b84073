//! A broker with a budget of memory, attacked beside a bystander who must not lose a thing. `make
//! attack` measures the same attacks, and more of them, for longer.
#![cfg(all(feature = "cli", target_os = "linux"))]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use babelmq::Format::{Json, Pickle, Xml};

use crate::support::Field::{Raw, Str};
use crate::support::process::memory;
use crate::support::served::Served;
use crate::support::{PATIENCE, body, frame, publish};

/// What the broker is given.
const BUDGET: u64 = 512 << 20;
/// What it may take beyond that: the program itself, stacks, and what the allocator has not given
/// back.
const SLACK: u64 = 64 << 20;

fn broker() -> Served {
    let mut command = Command::new(env!("CARGO_BIN_EXE_babelmq"));
    // What the developer has set is not what is tested.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BABELMQ_") {
            command.env_remove(name);
        }
    }
    Served::start(command.args(["serve", "--listen", "127.0.0.1:0", "--memory", "512MiB"]))
}

fn ask(command: &str, topic: &str) -> Vec<u8> {
    frame(Json.byte(), &body(Json, &[("command", Str(command)), ("topic", Str(topic))]))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The body of the next frame.
fn receive(stream: &mut TcpStream) -> String {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let mut body = vec![0; u32::from_be_bytes(header[1..].try_into().unwrap()) as usize];
    stream.read_exact(&mut body).unwrap();
    // A refusal of a pickle is a pickle, and its words can be read all the same.
    String::from_utf8_lossy(&body).into_owned()
}

/// Sends and reads until a ping is answered. Returns how many frames came before that.
fn settle(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.write_all(bytes).unwrap();
    stream.write_all(&ask("ping", "")).unwrap();
    (0..).find(|_| receive(stream).contains(r#""pong""#)).unwrap()
}

/// One who publishes a little and one who listens, there before the attack and after it.
struct Bystander {
    producer: TcpStream,
    consumer: TcpStream,
    next: u32,
}

impl Bystander {
    fn new(address: SocketAddr) -> Bystander {
        let mut consumer = connect(address);
        consumer.write_all(&ask("subscribe", "bystander")).unwrap();
        assert!(receive(&mut consumer).contains("subscribed"));
        Bystander { producer: connect(address), consumer, next: 0 }
    }

    /// Every message arrives, in order, on the connections of the beginning.
    fn goes_on(&mut self) {
        for _ in 0..20 {
            let number = self.next.to_string();
            self.producer.write_all(&publish(Json, "bystander/x", number.as_bytes())).unwrap();
            let expected =
                format!(r#"{{"command":"publish","topic":"bystander/x","message":{number}}}"#);
            assert_eq!(receive(&mut self.consumer), expected);
            self.next += 1;
        }
    }
}

/// Runs an attack beside a bystander, and looks at what the broker took.
fn withstands(attack: impl FnOnce(SocketAddr, &mut dyn FnMut())) {
    let mut served = broker();
    let log = served.log();
    // A log that nobody reads would stop the broker.
    let reader = thread::spawn(move || log.count());
    let mut bystander = Bystander::new(served.address);
    bystander.goes_on();
    attack(served.address, &mut || bystander.goes_on());
    bystander.goes_on();
    // A newcomer is served as well.
    let mut newcomer = connect(served.address);
    newcomer.write_all(&ask("get", "bystander/x")).unwrap();
    assert!(receive(&mut newcomer).contains("\"value\""));
    let most = memory(&served.id(), "VmHWM");
    assert!(most < BUDGET + SLACK, "it took {} MiB", most >> 20);
    served.signal("TERM");
    assert_eq!(served.end().0, Some(0));
    reader.join().unwrap();
}

/// Opcodes of a list of lists of … of one text of U+0001: each level so wide, each part shared.
fn shared(levels: u8, width: usize, text: usize) -> Vec<u8> {
    let mut out = b"X".to_vec();
    out.extend(u32::try_from(text).unwrap().to_le_bytes());
    out.extend(vec![1; text]);
    out.extend([b'q', 0]);
    for level in 0..levels {
        let mut list = b"](".to_vec();
        list.extend(out);
        list.extend([b'h', level].repeat(width - 1));
        list.extend([b'e', b'q', level + 1]);
        out = list;
    }
    out
}

/// A1: unread lists of many topics, while all of them are published again.
#[test]
fn lists_that_nobody_reads_keep_within_the_memory() {
    withstands(|address, beside| {
        let mut producer = connect(address);
        let all: Vec<u8> =
            (0..30_000).flat_map(|number| publish(Json, &format!("many/{number}"), b"1")).collect();
        settle(&mut producer, &all);
        let mut attackers: Vec<TcpStream> = (0..16).map(|_| connect(address)).collect();
        for attacker in &mut attackers {
            attacker.write_all(&ask("list", "many").repeat(60)).unwrap();
        }
        settle(&mut producer, &all);
        beside();
    });
}

/// A2: answers that are a million times as long as what they answer, unread, in each text format.
#[test]
fn answers_that_nobody_reads_keep_within_the_memory() {
    withstands(|address, beside| {
        let mut producer = connect(address);
        // The first one stays where the second is not taken.
        for width in [5, 22] {
            settle(&mut producer, &publish(Pickle, "big/x", &shared(4, width, 1000)));
        }
        let xml = frame(Xml.byte(), br#"<f command="get" topic="big/x"/>"#);
        let mut attackers: Vec<TcpStream> = (0..4).map(|_| connect(address)).collect();
        for (number, attacker) in attackers.iter_mut().enumerate() {
            let question = if number % 2 == 0 { ask("get", "big/x") } else { xml.clone() };
            attacker.write_all(&question.repeat(60)).unwrap();
        }
        // One byte of each answer says that it is being written.
        for attacker in &mut attackers {
            let _ = attacker.read_exact(&mut [0]);
        }
        beside();
    });
}

/// A4: pickles of 362 bytes that decode to as much as they may.
#[test]
fn pickles_that_decode_to_much_keep_within_the_memory() {
    withstands(|address, beside| {
        let fields = [
            ("command", Str("publish")),
            ("topic", Str("bomb")),
            ("message", Raw(&shared(5, 22, 20))),
        ];
        let bomb = frame(Pickle.byte(), &body(Pickle, &fields));
        let mut attackers: Vec<TcpStream> = (0..60).map(|_| connect(address)).collect();
        for attacker in &mut attackers {
            attacker.write_all(&bomb.repeat(4)).unwrap();
        }
        beside();
        for attacker in &mut attackers {
            settle(attacker, &[]);
        }
    });
}

/// A6: frames that are begun and never finished, 16 MiB each, three times as much as the broker
/// has.
#[test]
fn frames_that_are_never_finished_keep_within_the_memory() {
    withstands(|address, beside| {
        let mut begun = frame(Json.byte(), &vec![b' '; 16 << 20]);
        begun.truncate(15 << 20);
        thread::scope(|scope| {
            let attackers: Vec<_> = (0..100)
                .map(|_| {
                    scope.spawn(|| {
                        let mut attacker = connect(address);
                        // The broker may cut it, or read no more of it: then this is how long it is
                        // tried.
                        attacker.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
                        let _ = attacker.write_all(&begun);
                        attacker
                    })
                })
                .collect();
            let held: Vec<TcpStream> =
                attackers.into_iter().map(|attacker| attacker.join().unwrap()).collect();
            beside();
            drop(held);
        });
    });
}
