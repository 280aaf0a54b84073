//! A broker, a producer that pickles real weather, and a JSON, an XML and a pickle consumer: what
//! was pushed, and the same message as each of the three received it. What is shown of a consumer
//! is the body of its frame, and nothing but a socket is used to receive it.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use babelmq::{Broker, Config, Format, PickleQueue};

const SUBSCRIBE: [(Format, &[u8]); 3] = [
    (Format::Json, br#"{"command": "subscribe", "topic": "/weather"}"#),
    (Format::Xml, br#"<frame command="subscribe" topic="/weather"/>"#),
    // What pickle.dumps({"command": "subscribe", "topic": "/weather"}, 0) writes.
    (Format::Pickle, b"(dp0\nVcommand\np1\nVsubscribe\np2\nsVtopic\np3\nV/weather\np4\ns."),
];

const DATA: &str = include_str!("data/weather-nyc-2013.ndjson");

fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::start(Config::listening_on(([127, 0, 0, 1], 0)))?;
    println!("a broker listens on {}", broker.local_addr());

    let mut consumers = Vec::new();
    for (format, body) in SUBSCRIBE {
        let mut consumer = TcpStream::connect(broker.local_addr())?;
        send(&mut consumer, format, body)?;
        // The broker answers when the subscription is in place.
        receive(&mut consumer)?;
        consumers.push((format, consumer));
    }

    for line in DATA.lines().take(2) {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let topic = line["topic"].as_str().unwrap_or_default();
        println!("\n\x1b[1mpushed to {topic}\x1b[0m, pickled\n{}", line["message"]);
        let mut producer = PickleQueue::builder(topic).address(broker.local_addr()).producer()?;
        producer.push(&line["message"])?;
        producer.flush()?;
        for (format, consumer) in &mut consumers {
            let body = receive(consumer)?;
            println!("\n\x1b[1mcame as {format}\x1b[0m, {} bytes", body.len());
            match format {
                Format::Pickle => println!("{}", body.escape_ascii()),
                _ => println!("{}", String::from_utf8_lossy(&body)),
            }
        }
    }
    broker.shutdown();
    Ok(())
}

fn send(socket: &mut TcpStream, format: Format, body: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![format.byte()];
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body);
    socket.write_all(&frame)
}

fn receive(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; 5];
    socket.read_exact(&mut header)?;
    let [_format, length @ ..] = header;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut body)?;
    Ok(body)
}
