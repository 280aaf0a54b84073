//! The judge alone: JSON that is passed on as it came is looked at once, and nothing is kept of it.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use babelmq::Format::Json;
use babelmq::Limits;
use babelmq::codec::{Document, EnvelopeCache, Part, Request, read_request};

use crate::stream::Stream;

#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// Of payloads.
    pub(super) bytes_per_second: f64,
    /// The part of the messages that are read in full, as their JSON is not everyday.
    pub(super) unusual: f64,
}

const ENVELOPE: [&[u8]; 2] = [br#"{"command":"publish","topic":"bench","message":"#, b"}"];

pub(super) fn rate(stream: &Stream, time: Duration) -> Result<Judged> {
    let limits = Limits::default();
    let mut document = Document::new();
    let mut region = Vec::new();
    let bodies: Vec<Range<usize>> = stream
        .payloads(Json)
        .map(|payload| {
            let start = region.len();
            [ENVELOPE[0], payload, ENVELOPE[1]].iter().for_each(|part| region.extend(*part));
            start..region.len()
        })
        .collect();
    let mut known = EnvelopeCache::default();
    let first = bodies.first().context("a stream without messages")?.clone();
    let request = read_request(&region, Json, first.clone(), &mut document, &limits)?;
    let Request::Publish { topic, message, .. } = request else { bail!("no publish") };
    let Part::Value(payload) = message.part else { bail!("no JSON text") };
    known.learn(&region, first, payload, &topic);
    let mut unusual = 0;
    for body in &bodies {
        unusual += usize::from(known.recognise(&region, body.clone(), &limits).is_none());
    }
    let bytes = stream.payloads(Json).map(<[u8]>::len).sum();
    let rate = super::per_second(time, bytes, || {
        let region = black_box(region.as_slice());
        for body in &bodies {
            if black_box(known.recognise(region, body.clone(), &limits)).is_none() {
                document.clear();
                black_box(read_request(region, Json, body.clone(), &mut document, &limits)?);
            }
        }
        Ok(())
    })?;
    Ok(Judged { bytes_per_second: rate, unusual: unusual as f64 / bodies.len() as f64 })
}
