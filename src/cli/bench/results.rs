//! What a measurement came to, for people and for programs.

use std::io::Write;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Args;
use super::load::{BATCH, Measured};
use super::window::LIMIT;
use crate::cli::failure::Failure;
use crate::cli::quantity::{bytes, count};

const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9)];
/// Characters of the longest bar.
const BAR: f64 = 40.0;

fn per_second(messages: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { messages as f64 / time.as_secs_f64() }
}

/// Writes the results as text.
pub(super) fn text(out: &mut impl Write, args: &Args, measured: &Measured) -> Result<(), Failure> {
    let Measured { published, delivered, publishing, delivering, latency, payload } = measured;
    let rate = per_second(*published, *publishing);
    writeln!(
        out,
        "published  {} messages of {payload} bytes of {} in {:.2} s: {} a second, {} a second",
        count(*published as f64),
        args.from,
        publishing.as_secs_f64(),
        count(rate),
        bytes(rate * *payload as f64)
    )?;
    writeln!(
        out,
        "delivered  {} as {} to {} in {:.2} s: {} a second",
        count(*delivered as f64),
        args.to,
        if args.subs == 1 { "1 subscriber".into() } else { format!("{} subscribers", args.subs) },
        delivering.as_secs_f64(),
        count(per_second(*delivered, *delivering))
    )?;
    writeln!(out, "measured   {}", how(args))?;
    if latency.is_empty() {
        return Ok(());
    }
    let shown =
        PERCENTILES.map(|(name, at)| format!("{name} {}", span(latency.value_at_percentile(at))));
    writeln!(out, "latency    {}, longest {}", shown.join(", "), span(latency.max()))?;
    histogram(out, latency)
}

/// What the numbers are of: other ways to send come to others.
fn how(args: &Args) -> String {
    let publishers =
        if args.pubs == 1 { "1 publisher".into() } else { format!("{} publishers", args.pubs) };
    match args.rate {
        Some(rate) => format!("with {publishers}, {} messages a second", count(rate)),
        None => format!(
            "with {publishers}, up to {BATCH} messages a write and {LIMIT} under way; the latency is \
             that of a full queue (--rate)"
        ),
    }
}

/// A bar for each doubling of the latency.
fn histogram(out: &mut impl Write, latency: &Histogram<u64>) -> Result<(), Failure> {
    let first = latency.min().max(1).next_power_of_two();
    let mut rows = Vec::new();
    let mut from = first / 2;
    while from <= latency.max() {
        rows.push((from, latency.count_between(from, from * 2 - 1)));
        from *= 2;
    }
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    for (from, count) in rows {
        let bar = "█".repeat((count as f64 / most as f64 * BAR).ceil() as usize);
        let share = count as f64 / latency.len() as f64 * 100.0;
        writeln!(out, "  {:>8} to {:>8}  {share:5.1} %  {bar}", span(from), span(from * 2))?;
    }
    Ok(())
}

/// Nanoseconds, for people.
fn span(nanoseconds: u64) -> String {
    match nanoseconds as f64 {
        few if few < 1e6 => format!("{:.0} µs", few / 1e3),
        more if more < 1e9 => format!("{:.2} ms", more / 1e6),
        many => format!("{:.2} s", many / 1e9),
    }
}

/// Writes the results as a JSON object on one line.
pub(super) fn json(out: &mut impl Write, args: &Args, measured: &Measured) -> Result<(), Failure> {
    let Measured { published, delivered, publishing, delivering, latency, payload } = measured;
    let mut times: serde_json::Map<_, _> = PERCENTILES
        .iter()
        .map(|(name, at)| {
            ((*name).to_owned(), serde_json::json!(latency.value_at_percentile(*at) as f64 / 1e3))
        })
        .collect();
    times.insert("mean".into(), serde_json::json!(latency.mean() / 1e3));
    times.insert("max".into(), serde_json::json!(latency.max() as f64 / 1e3));
    let results = serde_json::json!({
        "pubs": args.pubs,
        "subs": args.subs,
        "from": args.from.name(),
        "to": args.to.name(),
        "size": args.size,
        "rate": args.rate,
        "batch": BATCH,
        "window": LIMIT,
        "payload_bytes": payload,
        "published": published,
        "publishing_seconds": publishing.as_secs_f64(),
        "published_per_second": per_second(*published, *publishing),
        "delivered": delivered,
        "delivering_seconds": delivering.as_secs_f64(),
        "delivered_per_second": per_second(*delivered, *delivering),
        "latency_us": times,
    });
    Ok(writeln!(out, "{results}")?)
}
