//! How much processor time a byte that was sent can cost: `make amplification`.
//!
//! A message is taken in, and written in all four dialects, as a broker does for the first reader
//! of each. What that takes for each byte of its frame is compared with plain records of JSON.
//! Shapes that are refused cost only what refusing takes.

#![allow(clippy::expect_used, clippy::panic, reason = "whoever runs it reads what went wrong")]

mod shapes;

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use babelmq::codec::{
    Content, Dialect, Document, Part, PayloadSpan, PlainNames, Request, decode_part, read_request,
    write_delivery,
};
use babelmq::protocol::HEADER_LEN;
use babelmq::{Format, Limits};
use rustix::time::{ClockId, clock_gettime};

use self::shapes::{Shape, records, shapes};

/// Processor time that a shape is measured for, at least.
const ENOUGH: Duration = Duration::from_millis(40);

/// What no message may cost, in times of plain records.
const GOAL: f64 = 1_000.0;

/// What a batch carries decoded; more is decoded again for each dialect.
const MAX_DECODED: usize = 4 << 20;

struct Row {
    name: String,
    format: Format,
    bytes: usize,
    /// How it was refused.
    refused: Option<&'static str>,
    nanoseconds: f64,
}

fn main() {
    let limits = Limits::default();
    let plain: f64 = {
        let rows: Vec<Row> = records().into_iter().map(|shape| measure(shape, &limits)).collect();
        rows.iter().map(|row| row.nanoseconds).sum::<f64>() / rows.len() as f64
    };
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let chosen =
        |shape: &Shape| only.as_ref().is_none_or(|only| shape.name.contains(only.as_str()));
    let mut rows: Vec<Row> =
        shapes().into_iter().filter(chosen).map(|shape| measure(shape, &limits)).collect();
    rows.sort_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds));
    let table = table(&rows, plain);
    println!("{table}");
    if only.is_none() && std::env::args().any(|argument| argument == "--write") {
        std::fs::write("docs/performance/amplification.md", table)
            .expect("the table can be written");
    }
}

fn table(rows: &[Row], plain: f64) -> String {
    let mut table = format!(
        "# What a byte can cost\n\nWritten by `make amplification`: processor time for taking a \
         message in and writing it in every dialect, for each byte of its frame, as a multiple of \
         what plain JSON records of 128 to 300 bytes \
         take ({plain:.1} ns a byte on the machine that wrote this). The goal is {GOAL:.0} at \
         most. The worst come last.\n\n\
         | shape | format | bytes | outcome | ns a byte | times |\n|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let outcome = row.refused.unwrap_or("accepted");
        let _ = writeln!(
            table,
            "| {} | {} | {} | {outcome} | {:.1} | {:.1} |",
            row.name,
            row.format,
            row.bytes,
            row.nanoseconds,
            row.nanoseconds / plain
        );
    }
    table
}

fn measure(shape: Shape, limits: &Limits) -> Row {
    let body = shape.body();
    let refused = once(shape.format, &body, limits);
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let (begin, mut times) = (now(), 0);
        let spent = loop {
            once(shape.format, &body, limits);
            times += 1;
            let spent = now() - begin;
            if spent >= ENOUGH / 3 {
                break spent;
            }
        };
        best = best.min(spent.as_nanos() as f64 / f64::from(times));
    }
    let bytes = body.len() + HEADER_LEN;
    Row { name: shape.name, format: shape.format, bytes, refused, nanoseconds: best / bytes as f64 }
}

/// Takes a body in and writes what it publishes in every dialect. Says how it was refused, if it
/// was.
fn once(format: Format, body: &[u8], limits: &Limits) -> Option<&'static str> {
    let mut document = Document::new();
    let request = read_request(black_box(body), format, 0..body.len(), &mut document, limits);
    let (topic, message) = match request {
        Ok(Request::Publish { topic, message, .. }) => (topic, message),
        Ok(_) => return Some("no publish"),
        Err(refusal) => return Some(refusal.code.as_str()),
    };
    let PayloadSpan { part, document: root } = message;
    let kept = root.filter(|&root| document.value_size(root) <= MAX_DECODED);
    for dialect in Dialect::ALL {
        let mut out = Vec::new();
        let mut scratch = Document::new();
        let content = match (&part, kept) {
            (Part::Value(range), _) if dialect.passes_on_payload(format, &body[range.clone()]) => {
                Content::Published(&body[range.clone()])
            }
            (_, Some(root)) => Content::Decoded(document.view(body, root)),
            _ => match decode_part(body, format, &part, &mut scratch, limits) {
                Ok(root) => Content::Decoded(scratch.view(body, root)),
                Err(refusal) => panic!("accepted, and then {refusal}"),
            },
        };
        let dialect = match content {
            Content::Decoded(view) => {
                dialect.fitting(view, &PlainNames::default(), limits.max_encoded)
            }
            Content::Published(_) => dialect,
        };
        write_delivery(&mut out, dialect, &topic, content, false);
        black_box(&out);
    }
    None
}

/// The time of the processor that this thread has had.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
