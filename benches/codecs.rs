//! How long reading and writing one message takes, in each format: `cargo bench`.

#![allow(missing_docs, reason = "criterion's macros write functions without")]

use std::hint::black_box;

use babelmq::codec::{Content, Dialect, Document, json, pickle, read_request, write_delivery, xml};
use babelmq::protocol::HEADER_LEN;
use babelmq::{Format, Limits};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The first record of `examples/data/weather-nyc-2013.ndjson`.
const RECORD: &[u8] = br#"{"origin":"EWR","year":2013,"month":1,"day":1,"hour":1,"temp":39.02,"dewp":26.06,"humid":59.37,"wind_dir":270,"wind_speed":10.357019999999999,"wind_gust":null,"precip":0,"pressure":1012,"visib":10,"time_hour":"2013-01-01T06:00:00Z"}"#;

fn decoded() -> (Document, usize) {
    let mut document = Document::new();
    let root = json::decode(RECORD, 0..RECORD.len(), &mut document, &Limits::default())
        .unwrap_or_default();
    (document, root)
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("read and judge a weather record");
    for format in Format::ALL {
        let (document, root) = decoded();
        let mut frame = Vec::new();
        let content = Content::Decoded(document.view(RECORD, root));
        write_delivery(&mut frame, Dialect::new(format, false), "/weather/EWR", content, false);
        let body = frame.split_off(HEADER_LEN);
        let mut document = Document::new();
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format.name(), |b| {
            b.iter(|| {
                document.clear();
                let range = 0..body.len();
                read_request(black_box(&body), format, range, &mut document, &Limits::default())
                    .is_ok()
            });
        });
    }
}

fn writing(c: &mut Criterion) {
    let (document, root) = decoded();
    let view = document.view(RECORD, root);
    let mut group = c.benchmark_group("write a weather record");
    let mut out = Vec::new();
    for format in Format::ALL {
        group.bench_function(format.name(), |b| {
            b.iter(|| {
                out.clear();
                match format {
                    Format::Json => json::encode(black_box(view), json::Tags::Needed, &mut out),
                    Format::Xml => xml::encode(black_box(view), &mut out),
                    Format::Pickle => {
                        pickle::encode(black_box(view), pickle::Classes::None, &mut out);
                    }
                }
            });
        });
    }
}

criterion_group!(benches, reading, writing);
criterion_main!(benches);
