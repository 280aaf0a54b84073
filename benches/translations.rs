//! Every translation, many times over, for a profiler that counts instructions and so does not mind
//! what else the machine does:
//!
//! ```text
//! cargo bench --bench translations --no-run
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured*' \
//!     target/release/deps/translations-… record pickle json 1000
//! ```
//!
//! The instructions between two runs with different counts, divided by the difference, are those of
//! one message: reading and judging it, and writing its delivery, in batches as a session would
//! make them.

use std::hint::black_box;

use babelmq::codec::{Batch, BatchEntry, Dialect, Document, Request, Wanted, read_request};
use babelmq::protocol::{HEADER_LEN, Header, Topic};
use babelmq::{Format, Limits};

/// Messages in a batch.
const BATCH: usize = 64;

fn body(name: &str, format: Format) -> &'static [u8] {
    match (name, format) {
        ("small", Format::Json) => include_bytes!("data/small.json"),
        ("small", Format::Xml) => include_bytes!("data/small.xml"),
        ("small", Format::Pickle) => include_bytes!("data/small.pickle"),
        (_, Format::Json) => include_bytes!("data/record.json"),
        (_, Format::Xml) => include_bytes!("data/record.xml"),
        (_, Format::Pickle) => include_bytes!("data/record.pickle"),
    }
}

fn frames(format: Format, body: &[u8]) -> Vec<u8> {
    let header = Header { format, length: body.len() as u32 }.to_bytes();
    [&header, body].concat().repeat(BATCH)
}

/// A batch of the frames, as a session makes it.
fn read(region: &[u8], format: Format, body_len: usize, topics: &[Topic]) -> Batch {
    let limits = Limits::default();
    let mut document = Document::new();
    let mut messages = Vec::new();
    for start in (0..region.len()).step_by(HEADER_LEN + body_len) {
        let body = start + HEADER_LEN..start + HEADER_LEN + body_len;
        let request = read_request(region, format, body, &mut document, &limits);
        if let Ok(Request::Publish { message, retain, verbatim, .. }) = request {
            let verbatim = verbatim.then_some(start..start + HEADER_LEN + body_len);
            messages.push(BatchEntry::new(0, format, &message, retain, None, verbatim));
        }
    }
    Batch::new(region.to_vec(), document, topics.iter().cloned().collect(), messages, limits)
}

#[inline(never)]
fn measured(
    region: &[u8],
    format: Format,
    body_len: usize,
    dialects: &[Dialect],
    batches: usize,
) -> usize {
    let topics = [Topic::parse("bench/flow").unwrap_or_else(|_| std::process::exit(2))];
    let mut written = 0;
    for _ in 0..batches {
        let mut batch = read(black_box(region), format, body_len, &topics);
        for &dialect in dialects {
            batch.want(dialect, Wanted::All);
        }
        for &dialect in dialects {
            let run = batch.run(dialect);
            written += batch.run_bytes(run).len();
        }
    }
    written
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, from, to, count] = arguments.as_slice() else {
        eprintln!(
            "translations (small|record) FROM TO[,TO…] BATCHES, of formats json, xml, pickle; \
             {BATCH} messages a batch"
        );
        return;
    };
    let format = |name: &str| {
        Format::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    };
    let dialects: Vec<Dialect> =
        to.split(',').filter_map(format).map(|format| Dialect::new(format, false)).collect();
    let (Some(from), Ok(batches)) = (format(from), count.parse()) else { return };
    let body = body(name, from);
    let written = measured(&frames(from, body), from, body.len(), &dialects, batches);
    println!("{} bytes a message", written / (batches * BATCH).max(1));
}
