//! The counters as Prometheus reads them: its text format, version 0.0.4.
//!
//! What there is, is said by the table of `broker::stats` alone. No label names a topic or a client,
//! so the text is as long for a million of them as for one: some kilobytes, and a line for each
//! listener.

use std::fmt::{self, Write};
use std::time::Duration;

use super::response::Response;
use crate::broker::{Durations, Metric, Sample, Samples, Stats};

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer to a scrape.
pub(crate) fn metrics(stats: &Stats) -> Response {
    Response::new(200).with_body(MEDIA_TYPE, text(stats).into_bytes())
}

/// All metrics that there is something to be said of.
fn text(stats: &Stats) -> String {
    let mut text = String::with_capacity(16 << 10);
    for (metric, samples) in stats.samples() {
        // A string takes whatever is written.
        let _ = family(&mut text, metric, &samples);
    }
    text
}

fn family(text: &mut String, metric: &Metric, samples: &Samples) -> fmt::Result {
    let name = metric.prometheus;
    if matches!(samples, Samples::Numbers(numbers) if numbers.is_empty()) {
        return Ok(());
    }
    writeln!(text, "# HELP {name} {}", escaped(metric.help, false))?;
    writeln!(text, "# TYPE {name} {}", metric.kind.name())?;
    match samples {
        Samples::Numbers(samples) => {
            for Sample { labels, number } in samples {
                text.push_str(name);
                let mut before = '{';
                for (label, value) in metric.labels.iter().zip(labels) {
                    write!(text, "{before}{label}=\"{}\"", escaped(value, true))?;
                    before = ',';
                }
                let end = if before == ',' { "}" } else { "" };
                writeln!(text, "{end} {number}")?;
            }
        }
        Samples::Histogram(Durations { at_most, count, sum }) => {
            for (bound, count) in at_most {
                writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", seconds(*bound))?;
            }
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
            writeln!(text, "{name}_sum {}", seconds(*sum))?;
            writeln!(text, "{name}_count {count}")?;
        }
    }
    Ok(())
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// A text as a label's value, or in a comment.
fn escaped(text: &str, in_quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if in_quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::broker::{Counters, METRICS, MetricKind, SCRAPED, Unit};
    use crate::protocol::Format;

    fn counted(counters: &Counters) -> Stats {
        let mut stats = Stats::default();
        counters.fill(&mut stats);
        stats
    }

    /// The lines of one metric.
    fn lines_of(text: &str, name: &str) -> Vec<String> {
        let is_its = |line: &&str| line.starts_with(name);
        text.lines().filter(is_its).map(str::to_owned).collect()
    }

    #[test]
    fn a_family_is_written_as_the_format_has_it() {
        let counters = Counters::default();
        Counters::add(&counters.bytes_in, 5);
        let text = text(&counted(&counters));
        let expected = "# HELP babelmq_bytes_received_total Bytes received.\n\
                        # TYPE babelmq_bytes_received_total counter\n\
                        babelmq_bytes_received_total 5\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
        assert!(text.contains("babelmq_build_info{version=\""), "{text}");
    }

    #[test]
    fn names_say_the_kind_and_the_base_unit() {
        let mut names = std::collections::HashSet::new();
        for metric in METRICS.iter().chain(SCRAPED) {
            let name = metric.prometheus;
            assert!(names.insert(name), "{name} is there twice");
            assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
            assert!(name.starts_with("babelmq_") || name.starts_with("process_"), "{name}");
            let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.bytes().all(is_letter), "{name}");
            let base = match metric.unit {
                Unit::Bytes => Some("_bytes"),
                Unit::Seconds | Unit::Milliseconds => Some("_seconds"),
                _ => None,
            };
            let stem = name.trim_end_matches("_total");
            if let Some(base) = base {
                assert!(stem.contains(base), "{name} does not say its unit");
            }
        }
        // A counter `x_total` and a gauge `x` are one family to OpenMetrics.
        for name in &names {
            assert!(!names.contains(name.trim_end_matches("_total")) || !name.ends_with("_total"));
        }
    }

    #[test]
    fn what_may_be_anything_is_escaped() {
        let url = "unix:/run/a \"b\"\\c\nd.sock".to_owned();
        let counters = Counters::of_listeners([url, "tcp://127.0.0.1:5000".to_owned()]);
        counters.listeners[1].1.store(3, Ordering::Relaxed);
        let text = text(&counted(&counters));
        let expected = [
            "babelmq_connections{listener=\"unix:/run/a \\\"b\\\"\\\\c\\nd.sock\"} 0",
            "babelmq_connections{listener=\"tcp://127.0.0.1:5000\"} 3",
        ];
        assert_eq!(lines_of(&text, "babelmq_connections{"), expected);
        assert_eq!(escaped("a \"b\"\\\n", false), "a \"b\"\\\\\\n", "in a comment");
    }

    #[test]
    fn a_number_with_labels_is_the_sum_of_its_parts() {
        let counters = Counters::default();
        counters.add_translated([1, 0, 2], Format::Xml);
        counters.add_translated([0, 4, 0], Format::Json);
        let stats = counted(&counters);
        assert_eq!(stats.translated, 7);
        let text = text(&stats);
        let lines = lines_of(&text, "babelmq_messages_translated_total{");
        assert_eq!(lines.len(), 9, "one for each pair, so that a rate begins at 0");
        for (from, to, count) in [("json", "xml", 1), ("pickle", "xml", 2), ("xml", "json", 4)] {
            let line =
                format!("babelmq_messages_translated_total{{from=\"{from}\",to=\"{to}\"}} {count}");
            assert!(lines.contains(&line), "{lines:?}");
        }
    }

    #[test]
    fn what_there_is_not_is_not_told() {
        let counters = Counters::default();
        let before = text(&counted(&counters));
        for name in ["babelmq_certificate_expiry", "process_", "babelmq_connections{"] {
            assert!(!before.contains(name), "{before}");
        }
        counters.certificate_expires.store(4_102_444_800, Ordering::Relaxed);
        let after = text(&counted(&counters));
        assert!(after.contains("babelmq_certificate_expiry_timestamp_seconds 4102444800\n"));
    }

    #[test]
    fn a_histogram_is_cumulative_and_in_seconds() {
        let counters = Counters::default();
        for micros in [200, 200, 900, 10_000_000] {
            counters.fsync.add(Duration::from_micros(micros));
        }
        let lines = lines_of(&text(&counted(&counters)), "babelmq_fsync_seconds");
        assert_eq!(lines[0], "babelmq_fsync_seconds_bucket{le=\"0.0001\"} 0");
        assert_eq!(lines[1], "babelmq_fsync_seconds_bucket{le=\"0.00025\"} 2");
        assert_eq!(lines[3], "babelmq_fsync_seconds_bucket{le=\"0.001\"} 3");
        let end = [
            "babelmq_fsync_seconds_bucket{le=\"5\"} 3",
            "babelmq_fsync_seconds_bucket{le=\"+Inf\"} 4",
            "babelmq_fsync_seconds_sum 10.0013",
            "babelmq_fsync_seconds_count 4",
        ];
        assert_eq!(lines[lines.len() - 4..], end);
    }
}
