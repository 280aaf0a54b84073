//! A raw client of MQTT, which knows the packets from the specifications alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use babelmq::BrokerHandle;
use socket2::SockRef;

use super::PATIENCE;

/// Which MQTT is spoken: the protocol level in CONNECT.
pub const V3_1_1: u8 = 4;
pub const V5: u8 = 5;

/// A packet as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub first: u8,
    pub body: Vec<u8>,
}

impl Packet {
    /// Its kind, by the name in the specifications.
    pub fn kind(&self) -> &'static str {
        const KINDS: [&str; 16] = [
            "reserved",
            "CONNECT",
            "CONNACK",
            "PUBLISH",
            "PUBACK",
            "PUBREC",
            "PUBREL",
            "PUBCOMP",
            "SUBSCRIBE",
            "SUBACK",
            "UNSUBSCRIBE",
            "UNSUBACK",
            "PINGREQ",
            "PINGRESP",
            "DISCONNECT",
            "AUTH",
        ];
        KINDS[usize::from(self.first >> 4)]
    }
}

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub id: u16,
    pub properties: Vec<u8>,
}

/// The message of a client that goes without a word.
#[derive(Clone, Default)]
pub struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    pub properties: &'a [u8],
}

/// What a CONNECT asks for.
#[derive(Clone)]
pub struct Hello<'a> {
    pub version: u8,
    pub client: &'a str,
    pub clean: bool,
    pub keep_alive: u16,
    pub user: Option<(&'a str, &'a str)>,
    pub will: Option<Will<'a>>,
    pub properties: &'a [u8],
}

impl<'a> Hello<'a> {
    pub fn new(version: u8, client: &'a str) -> Hello<'a> {
        Hello {
            version,
            client,
            clean: true,
            keep_alive: 0,
            user: None,
            will: None,
            properties: &[],
        }
    }

    /// The session outlives the connection.
    pub fn staying(self) -> Hello<'a> {
        /// Session Expiry Interval, for ever.
        const FOR_EVER: &[u8] = &[17, 0xff, 0xff, 0xff, 0xff];
        let properties = if self.version == V5 { FOR_EVER } else { &[] };
        Hello { clean: false, properties, ..self }
    }

    fn packet(&self) -> Vec<u8> {
        let mut body = text("MQTT");
        let will = self.will.as_ref();
        let will = will.map_or(0, |will| 4 | will.qos << 3 | u8::from(will.retain) << 5);
        let user = if self.user.is_some() { 0xc0 } else { 0 };
        body.extend([self.version, u8::from(self.clean) << 1 | will | user]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.version == V5 {
            body.extend(with_length(self.properties));
        }
        body.extend(text(self.client));
        if let Some(Will { topic, payload, properties, .. }) = self.will {
            if self.version == V5 {
                body.extend(with_length(properties));
            }
            body.extend(text(topic));
            body.extend((payload.len() as u16).to_be_bytes());
            body.extend(payload);
        }
        if let Some((user, password)) = self.user {
            body.extend(text(user));
            body.extend(text(password));
        }
        packet(0x10, &body)
    }
}

/// A packet of this first byte and body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &varint(body.len()), body].concat()
}

/// A text with its length before it.
pub fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn with_length(properties: &[u8]) -> Vec<u8> {
    [&varint(properties.len())[..], properties].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (number % 128) as u8;
        number /= 128;
        out.push(if number > 0 { byte | 0x80 } else { byte });
        if number == 0 {
            return out;
        }
    }
}

fn read_varint(bytes: &[u8]) -> (usize, usize) {
    let (mut number, mut place) = (0, 0);
    loop {
        number |= usize::from(bytes[place] & 0x7f) << (7 * place);
        place += 1;
        if bytes[place - 1] & 0x80 == 0 {
            return (number, place);
        }
    }
}

/// A client of MQTT.
pub struct Mqtt {
    stream: TcpStream,
    version: u8,
}

impl Mqtt {
    /// Connects, and says nothing yet.
    pub fn dial(broker: &BrokerHandle, version: u8) -> Mqtt {
        let stream = TcpStream::connect(broker.mqtt_addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Mqtt { stream, version }
    }

    /// Connects, and begins a session of its own.
    pub fn connect(broker: &BrokerHandle, version: u8, client: &str) -> Mqtt {
        let (mqtt, is_present) = Mqtt::hello(broker, &Hello::new(version, client));
        assert!(!is_present);
        mqtt
    }

    /// Connects as `hello` says, and tells whether there was a session.
    pub fn hello(broker: &BrokerHandle, hello: &Hello<'_>) -> (Mqtt, bool) {
        let mut mqtt = Mqtt::dial(broker, hello.version);
        let connack = mqtt.ask(hello);
        assert_eq!((connack.kind(), connack.body[1]), ("CONNACK", 0), "{connack:?}");
        (mqtt, connack.body[0] == 1)
    }

    /// Sends a CONNECT, and gives what comes.
    pub fn ask(&mut self, hello: &Hello<'_>) -> Packet {
        self.send(&hello.packet());
        self.read()
    }

    /// Connects as `hello` says, where there may be no broker any more, and goes without a word.
    pub fn ask_in_vain(address: SocketAddr, hello: &Hello<'_>) {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&hello.packet()).and_then(|()| stream.read(&mut [0; 4]));
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Has room for little of what comes.
    pub fn take_little(&self) {
        SockRef::from(&self.stream).set_recv_buffer_size(4 << 10).unwrap();
    }

    /// Does not wait for longer than that until the broker takes what is sent.
    pub fn give_up_writing_after(&self, patience: Duration) {
        self.stream.set_write_timeout(Some(patience)).unwrap();
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next packet.
    pub fn read(&mut self) -> Packet {
        self.next().expect("the connection has ended")
    }

    /// The next packet, or none where the connection has ended.
    pub fn next(&mut self) -> Option<Packet> {
        let mut first = [0];
        match self.stream.read(&mut first) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("nothing came: {error}"),
        }
        let mut length = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            length.push(byte[0]);
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; read_varint(&length).0];
        self.stream.read_exact(&mut body).unwrap();
        Some(Packet { first: first[0], body })
    }

    /// The next packet, which is a message.
    pub fn message(&mut self) -> Message {
        let packet = self.read();
        self.message_in(&packet)
    }

    /// The message that a packet is.
    pub fn message_in(&self, packet: &Packet) -> Message {
        assert_eq!(packet.kind(), "PUBLISH", "{packet:?}");
        let (flags, body) = (packet.first & 0xf, &packet.body);
        let qos = flags >> 1 & 3;
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
        let mut at = 2 + length;
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([body[at], body[at + 1]]);
            at += 2;
        }
        let mut properties = Vec::new();
        if self.version == V5 {
            let (size, taken) = read_varint(&body[at..]);
            properties = body[at + taken..at + taken + size].to_vec();
            at += taken + size;
        }
        let payload = body[at..].to_vec();
        let (dup, retain) = (flags & 8 != 0, flags & 1 != 0);
        Message { topic, payload, dup, qos, retain, id, properties }
    }

    /// The next message, without what only some tests look at.
    pub fn plain_message(&mut self) -> (String, Vec<u8>) {
        let message = self.message();
        (message.topic, message.payload)
    }

    /// Sends a message.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool, id: u16) {
        self.publish_with(topic, payload, (qos, retain, id), &[]);
    }

    /// Sends a message with properties.
    pub fn publish_with(
        &mut self,
        topic: &str,
        payload: &[u8],
        (qos, retain, id): (u8, bool, u16),
        properties: &[u8],
    ) {
        let mut body = text(topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.version == V5 {
            body.extend(with_length(properties));
        }
        body.extend(payload);
        self.send(&packet(0x30 | qos << 1 | u8::from(retain), &body));
    }

    /// Sends PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub fn ack(&mut self, first: u8, id: u16) {
        self.send(&packet(first, &id.to_be_bytes()));
    }

    /// Subscribes with these options, and gives the reason of the answer; messages before it are
    /// given too.
    pub fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_with(filter, options, &[])
    }

    pub fn subscribe_with(&mut self, filter: &str, options: u8, properties: &[u8]) -> u8 {
        self.ask_for(filter, options, properties);
        let packet = self.read();
        assert_eq!(packet.kind(), "SUBACK", "{packet:?}");
        *packet.body.last().unwrap()
    }

    /// Sends a SUBSCRIBE.
    pub fn ask_for(&mut self, filter: &str, options: u8, properties: &[u8]) {
        let mut body = 9_u16.to_be_bytes().to_vec();
        if self.version == V5 {
            body.extend(with_length(properties));
        }
        body.extend(text(filter));
        body.push(options);
        self.send(&packet(0x82, &body));
    }

    /// Unsubscribes, and gives the answer.
    pub fn unsubscribe(&mut self, filter: &str) -> Packet {
        self.ask_to_end(filter);
        self.read()
    }

    /// Sends an UNSUBSCRIBE.
    pub fn ask_to_end(&mut self, filter: &str) {
        let mut body = 10_u16.to_be_bytes().to_vec();
        if self.version == V5 {
            body.push(0);
        }
        body.extend(text(filter));
        self.send(&packet(0xa2, &body));
    }

    /// Waits until the broker has done all that was sent before.
    pub fn ping(&mut self) {
        self.send(&[0xc0, 0]);
        let packet = self.read();
        assert_eq!(packet.kind(), "PINGRESP", "{packet:?}");
    }

    /// Says goodbye.
    pub fn disconnect(mut self) {
        self.send(&[0xe0, 0]);
        assert_eq!(self.next(), None);
    }
}
