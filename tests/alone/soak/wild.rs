//! Clients that do what comes to their mind: some of it is good, and none of it is finished with
//! care.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use babelmq::Format::{self, Json, Pickle, Xml};
use socket2::{Domain, SockRef, Socket, Type};

use super::Stop;
use super::tally::Tally;
use crate::support::Field::{self, Bool, Int, Raw, Str};
use crate::support::random::Random;
use crate::support::{FORMATS, body, frame, number, python};

const FILTERS: [&str; 8] =
    ["#", "/", "/sober", "/sober/0/1", "/wild", "/wild/+/1", "/wild/3", "/nothing/is/here"];
const PATIENCE: Duration = Duration::from_secs(1);

/// Connects from an address of loopback that is `client`'s alone, so that there are ports enough
/// for all that have just been in use.
pub fn connect(address: SocketAddr, client: u64) -> TcpStream {
    let [_, _, high, low] = (client as u32 + 1).to_be_bytes();
    let from = SocketAddr::from(([127, 1, high, low], 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// Ends a connection as a crash or a cut cable does: with a reset, or as far as the broker knows,
/// not at all.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// One connection after the other. What each does follows from the seed, the client and the
/// connection's number.
pub fn live(address: SocketAddr, seed: u64, client: u64, stop: &Stop, tally: &Tally) {
    for connection in 0.. {
        let mut random = Random::of(seed, client << 20 | connection);
        if stop.rest(Duration::from_millis(random.below(200) as u64)) {
            return;
        }
        tally.connections.add(1);
        let stream = connect(address, client);
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let mut wild = Wild { stream, random, stop, tally };
        // The broker may have had enough at any point, and then there is nobody to say good-bye to.
        if wild.act_for_a_while().is_ok() {
            wild.leave();
        }
    }
}

struct Wild<'a> {
    stream: TcpStream,
    random: Random,
    stop: &'a Stop,
    tally: &'a Tally,
}

impl Wild<'_> {
    fn act_for_a_while(&mut self) -> io::Result<()> {
        for _ in 0..self.random.below(40) {
            if self.stop.is_stopped() {
                break;
            }
            self.tally.acts.add(1);
            match self.random.below(18) {
                0..=4 => self.publish()?,
                5..=6 => self.subscribe()?,
                7 => self.command("cancel")?,
                8 => self.command("list")?,
                9 => self.command("get")?,
                10 => self.clear()?,
                11 => self.command("ping")?,
                12..=13 => self.read()?,
                14 => self.stall(1_500),
                15 => self.settle()?,
                16 => self.consume()?,
                _ => self.garbage()?,
            }
            self.stall(50);
        }
        Ok(())
    }

    fn stall(&mut self, milliseconds: usize) {
        let time = self.random.below(milliseconds);
        self.stop.rest(Duration::from_millis(time as u64));
    }

    fn topic(&mut self) -> String {
        format!("/wild/{}/{}", self.random.below(20), self.random.below(3))
    }

    fn send(&mut self, format: Format, fields: &[(&str, Field<'_>)]) -> io::Result<()> {
        self.stream.write_all(&frame(format.byte(), &body(format, fields)))
    }

    fn publish(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        for _ in 0..=self.random.below(20) {
            bytes.extend(self.publication());
        }
        self.stream.write_all(&bytes)
    }

    /// A whole frame.
    fn publication(&mut self) -> Vec<u8> {
        let format = *self.random.pick(&FORMATS);
        let topic = self.topic();
        let payload = payload(format, &mut self.random);
        let fields = [
            ("command", Str("publish")),
            ("topic", Str(&topic)),
            ("retain", Bool(self.random.one_in(2))),
            ("message", Raw(&payload)),
        ];
        frame(format.byte(), &body(format, &fields))
    }

    fn subscribe(&mut self) -> io::Result<()> {
        let format = *self.random.pick(&FORMATS);
        let filter: &&str = self.random.pick(&FILTERS);
        let mut fields = vec![("command", Str("subscribe")), ("topic", Str(filter))];
        if self.random.one_in(3) {
            fields.push(("exact", Bool(true)));
        }
        if self.random.one_in(2) {
            let policy: &&str = self.random.pick(&["disconnect", "drop-oldest", "latest"]);
            fields.push(("overflow", Str(policy)));
        }
        if self.random.one_in(3) {
            fields.push(("queue", Int(1 + self.random.below(100) as i64)));
        }
        self.send(format, &fields)
    }

    /// What a consumer says, of messages that it may not have.
    fn settle(&mut self) -> io::Result<()> {
        let format = *self.random.pick(&FORMATS);
        let command: &&str = self.random.pick(&["ack", "nak", "touch", "reject"]);
        let field: &&str = self.random.pick(&["seq", "upto"]);
        let mut bytes = Vec::new();
        for _ in 0..=self.random.below(50) {
            let seq = Int(self.random.below(1_000) as i64);
            let fields = [("command", Str(command)), (*field, seq)];
            bytes.extend(frame(format.byte(), &body(format, &fields)));
        }
        self.stream.write_all(&bytes)
    }

    /// A consumer, a follower, or what the last of a stream were.
    fn consume(&mut self) -> io::Result<()> {
        let format = *self.random.pick(&FORMATS);
        let topic = self.topic();
        let (command, field) = *self.random.pick(&[
            ("subscribe", ("consumer", Str("wild"))),
            ("subscribe", ("start", Str("all"))),
            ("get", ("last", Int(10))),
        ]);
        self.send(format, &[("command", Str(command)), ("topic", Str(&topic)), field])
    }

    /// About a topic, or none, or a filter where none may stand.
    fn command(&mut self, command: &'static str) -> io::Result<()> {
        let format = *self.random.pick(&FORMATS);
        let topic = self.topic();
        match self.random.below(3) {
            0 => self.send(format, &[("command", Str(command))]),
            1 => self.send(format, &[("command", Str(command)), ("topic", Str(&topic))]),
            _ => {
                let filter = *self.random.pick(&FILTERS);
                self.send(format, &[("command", Str(command)), ("topic", Str(filter))])
            }
        }
    }

    /// The topics of sober clients stay as they are.
    fn clear(&mut self) -> io::Result<()> {
        let topic = self.topic();
        self.send(Json, &[("command", Str("clear")), ("topic", Str(&topic))])
    }

    /// Some of what is there, and no whole frames.
    fn read(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; 1 + self.random.below(1 << 16)];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn garbage(&mut self) -> io::Result<()> {
        self.tally.garbage.add(1);
        let length = 1 + self.random.below(300);
        let bytes = match self.random.below(4) {
            // Most of these end the connection.
            0 => self.random.bytes(length),
            1 => frame(self.random.below(3) as u8, &self.random.bytes(length)),
            2 => {
                let mut bytes = self.publication();
                for _ in 0..=self.random.below(3) {
                    // The header stays, or it would be the case above.
                    let at = 5 + self.random.below(bytes.len() - 5);
                    bytes[at] = self.random.next() as u8;
                }
                bytes
            }
            _ => {
                let mut bytes = self.publication();
                let cut = 5 + self.random.below(bytes.len() - 5);
                bytes.truncate(cut);
                frame(bytes[0], &bytes[5..])
            }
        };
        self.stream.write_all(&bytes)
    }

    fn leave(mut self) {
        self.tally.vanished.add(1);
        match self.random.below(5) {
            0 => {
                // Half a frame; that it cannot be sent is as good.
                let bytes = self.publication();
                let cut = self.random.below(bytes.len());
                let _ = self.stream.write_all(&bytes[..cut]);
            }
            1 => {
                let bytes = self.publication();
                let cut = self.random.below(bytes.len());
                let _ = self.stream.write_all(&bytes[..cut]);
                reset(self.stream);
            }
            2 => reset(self.stream),
            3 => {
                // It says that it has nothing more to say, and stays a while.
                let _ = self.stream.shutdown(Shutdown::Write);
                self.stall(500);
            }
            _ => {}
        }
    }
}

/// A payload, most of them small.
fn payload(format: Format, random: &mut Random) -> Vec<u8> {
    let length = if random.one_in(50) { random.below(60_000) } else { random.below(200) };
    let text = "x".repeat(length);
    let numbers = 1 + random.below(10);
    match (format, random.below(4)) {
        (_, 0) => number(format, random.next() as i64),
        (Json, 1) => format!("\"{text}\"").into_bytes(),
        (Json, 2) => format!("[{}null]", "1.5,".repeat(numbers)).into_bytes(),
        (Json, _) => format!("{{\"a\":{{\"$set\":[1,{numbers}]}},\"b\":\"{text}\"}}").into_bytes(),
        (Xml, 1) => format!("<message>{text}</message>").into_bytes(),
        (Xml, 2) => {
            format!("<message>{}<b c='&lt;'/></message>", "<a>1</a>".repeat(numbers)).into_bytes()
        }
        (Xml, _) => {
            format!("<message type='bytes'>{}</message>", "AAAA".repeat(length / 4)).into_bytes()
        }
        (Pickle, 1) => python::unicode(&text),
        (Pickle, 2) => [b"(", &b"K\x01N\x86".repeat(numbers)[..], b"t"].concat(),
        (Pickle, _) => [b"}(K\x01", &python::unicode(&text)[..], b"NK\x02u"].concat(),
    }
}
