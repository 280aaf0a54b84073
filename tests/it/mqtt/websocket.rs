//! MQTT over WebSocket (MQTT 5, 6).

use std::net::TcpStream;

use babelmq::Config;

use super::start_with;
use crate::support::line::Line;
use crate::support::mqtt::{Mqtt, V3_1_1, packet, text};
use crate::support::websocket::WebSocket;

/// Bytes that come, one after the other.
fn read(socket: &WebSocket, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut read = 0;
    while read < count {
        let more = socket.read(&mut bytes[read..]).unwrap();
        assert!(more > 0, "the connection has ended");
        read += more;
    }
    bytes
}

#[test]
fn packets_lie_in_binary_messages_as_they_like() {
    let broker = start_with(Config::default(), "mqtt://127.0.0.1:0,http://127.0.0.1:0");
    let stream = TcpStream::connect(broker.http_addr()).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let socket = WebSocket::over(Line::plain(stream), "mqtt", b"");
    let connect = packet(0x10, &[&text("MQTT")[..], &[4, 2, 0, 0], &text("page")].concat());
    let subscribe = packet(0x82, &[&[0, 9][..], &text("t"), &[0]].concat());
    // In pieces, and two in one.
    for piece in connect.chunks(3).chain([&[&subscribe[..], &[0xc0, 0]].concat()[..]]) {
        let mut sent = 0;
        while sent < piece.len() {
            sent += socket.write(&piece[sent..]).unwrap();
        }
    }
    assert_eq!(read(&socket, 4), [0x20, 2, 0, 0]);
    let mut answers = read(&socket, 7);
    if answers.starts_with(&[0xd0]) {
        answers.rotate_left(2);
    }
    assert_eq!(answers, [0x90, 3, 0, 9, 0, 0xd0, 0]);
    let mut sensor = Mqtt::connect(&broker, V3_1_1, "sensor");
    sensor.publish("t", b"21.5", 0, false, 0);
    assert_eq!(read(&socket, 9), [0x30, 7, 0, 1, b't', b'2', b'1', b'.', b'5']);
}
