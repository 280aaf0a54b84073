//! Frames in pieces, in heaps, and not at all.
#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::{Broker, Limits};

use crate::support::Field::{Bool, Raw, Str};
use crate::support::line::over_every_line;
use crate::support::{self, Client, FORMATS, Frame, body, config, frame, number, publish, start};

over_every_line! {
    frames_are_read_byte_by_byte,
    a_thousand_frames_in_one_write_arrive_in_order,
    requests_in_one_write_are_answered_in_order,
    half_a_frame_waits_for_its_rest_while_others_are_served,
    a_client_that_goes_in_the_middle_of_a_frame_leaves_nothing,
    a_client_that_stops_sending_still_gets_its_answers,
    empty_bodies_are_refused_and_the_next_frame_is_read,
    a_frame_of_just_the_limit_passes,
    a_large_message_crosses_in_every_direction,
}

fn frames_are_read_byte_by_byte() {
    let broker = start();
    let mut client = Client::connect(&broker);
    client.subscribe(Json, "/t");
    for format in FORMATS {
        let mut bytes = publish(format, "/t", &number(format, 5));
        bytes.extend(frame(format.byte(), &body(format, &[("command", Str("ping"))])));
        // Without delay each byte is a segment of its own.
        for byte in bytes {
            client.send_raw(&[byte]);
        }
        assert_eq!(client.next().number(), 5);
        client.next().says(&[("command", "pong")]);
    }
}

fn a_thousand_frames_in_one_write_arrive_in_order() {
    let broker = start();
    for out in FORMATS {
        let mut consumer = Client::connect(&broker);
        consumer.subscribe(out, "/t");
        let mut producer = Client::connect(&broker);
        // All formats and several topics mixed, not stored, so that the next consumer starts
        // afresh.
        let mut bytes = Vec::new();
        for count in 0..1_000 {
            let format = FORMATS[count as usize % 3];
            let topic = format!("/t/{}", count % 7);
            let payload = number(format, count);
            let fields = [
                ("command", Str("publish")),
                ("topic", Str(&topic)),
                ("retain", Bool(false)),
                ("message", Raw(&payload)),
            ];
            bytes.extend(frame(format.byte(), &body(format, &fields)));
        }
        producer.send_raw(&bytes);
        for count in 0..1_000 {
            let delivered = consumer.next();
            assert_eq!((delivered.format, delivered.number()), (out, count));
            assert_eq!(delivered.field("topic"), format!("/t/{}", count % 7));
        }
        consumer.is_quiet();
    }
}

fn requests_in_one_write_are_answered_in_order() {
    let broker = start();
    let mut client = Client::connect(&broker);
    let mut bytes = Vec::new();
    for (format, command) in [
        (Json, "subscribe"),
        (Xml, "get"),
        (Pickle, "what"),
        (Json, "list"),
        (Xml, "ping"),
        (Pickle, "cancel"),
    ] {
        bytes.extend(frame(
            format.byte(),
            &body(format, &[("command", Str(command)), ("topic", Str("t"))]),
        ));
        bytes.extend(publish(Json, "t", b"1"));
    }
    client.send_raw(&bytes);
    let answers: Vec<(u8, String)> = (0..11)
        .map(|_| client.next())
        .map(|answer| (answer.format.byte(), answer.field("command")))
        .collect();
    let expected = [
        (0, "subscribed"),
        (0, "publish"),
        (1, "value"),
        (0, "publish"),
        (2, "error"),
        (0, "publish"),
        (0, "topics"),
        (0, "publish"),
        (1, "pong"),
        (0, "publish"),
        (2, "cancelled"),
    ];
    assert_eq!(answers, expected.map(|(format, command)| (format, command.to_owned())));
    client.is_quiet();
}

fn half_a_frame_waits_for_its_rest_while_others_are_served() {
    let broker = start();
    let whole = publish(Json, "/t", b"\"late\"");
    let mut halves: Vec<(Client, usize)> = (0..whole.len())
        .map(|cut| {
            let mut client = Client::connect(&broker);
            client.send_raw(&whole[..cut]);
            (client, cut)
        })
        .collect();
    let mut consumer = Client::connect(&broker);
    consumer.subscribe(Json, "/t");
    let mut producer = Client::connect(&broker);
    for count in 0..100 {
        producer.publish(Json, "/t", &number(Json, count));
        assert_eq!(consumer.next().number(), count);
    }
    consumer.is_quiet();
    for (client, cut) in &mut halves {
        client.send_raw(&whole[*cut..]);
        assert_eq!(consumer.next().message(), "\"late\"", "cut at {cut}");
    }
}

fn a_client_that_goes_in_the_middle_of_a_frame_leaves_nothing() {
    let broker = start();
    let mut consumer = Client::connect(&broker);
    consumer.subscribe(Json, "#");
    let whole = publish(Json, "/t", b"1");
    for cut in [1, 4, 5, 6, whole.len() - 1] {
        let mut client = Client::connect(&broker);
        client.send_raw(&whole);
        client.send_raw(&whole[..cut]);
        client.finish_sending();
        client.ends();
        assert_eq!(consumer.next().number(), 1, "the whole frame before is routed, cut at {cut}");
        consumer.is_quiet();
    }
}

fn a_client_that_stops_sending_still_gets_its_answers() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for format in FORMATS {
        client.publish(format, "/t", &number(format, 3));
    }
    client.command(Json, &[("command", Str("get")), ("topic", Str("/t"))]);
    client.command(Xml, &[("command", Str("ping"))]);
    client.finish_sending();
    assert_eq!(client.next().number(), 3);
    client.next().says(&[("command", "pong")]);
    client.ends();
}

fn empty_bodies_are_refused_and_the_next_frame_is_read() {
    let broker = start();
    let mut client = Client::connect(&broker);
    client.send_raw(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    for code in ["malformed-json", "malformed-xml", "malformed-pickle"] {
        client.next().refuses(code, false);
    }
    client.is_quiet();
}

fn a_frame_of_just_the_limit_passes() {
    const LIMIT: usize = 1 << 16;
    let config = config().limits(Limits::with_max_frame(LIMIT as u32));
    let broker = Broker::start(config).unwrap();
    for format in FORMATS {
        let mut client = Client::connect(&broker);
        client.subscribe(format, "/t");
        let text = |length| support::text(format, &"x".repeat(length));
        let around = publish(format, "/t", &text(0)).len() - 5;
        let payload = text(LIMIT - around);
        assert_eq!(publish(format, "/t", &payload).len(), LIMIT + 5);
        client.publish(format, "/t", &payload);
        assert_eq!(client.next().body.len() / 1_000, LIMIT / 1_000, "{format}");
        client.publish(format, "/t", &text(LIMIT - around + 1));
        client.next().refuses("frame-too-large", true);
        client.ends();
    }
}

fn a_large_message_crosses_in_every_direction() {
    let broker = start();
    let mut consumers: Vec<Client> = FORMATS
        .iter()
        .map(|format| {
            let mut client = Client::connect(&broker);
            client.subscribe(*format, "/t");
            client
        })
        .collect();
    let text: String = ('a'..='z').cycle().take(9 << 20).collect();
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "/t", format!("\"{text}\"").as_bytes());
    let delivered: Vec<Frame> = consumers.iter_mut().map(Client::next).collect();
    assert!(delivered[0].message() == format!("\"{text}\""));
    assert!(delivered[1].message() == format!("<message type=\"str\">{text}</message>"));
    assert!(delivered[2].message() == format!("\"{text}\""));
}
