//! `docs/metrics.md`, the rules and the dashboard name metrics: those that there are.
//!
//! `UPDATE=1 cargo test --test it the_metrics` writes the table of the document.
#![cfg(feature = "broker")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use babelmq::broker::{METRICS, Metric, MetricKind, SCRAPED, Unit};

const BEGIN: &str = "| name | type | labels | unit | what it says |\n|---|---|---|---|---|\n";

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn document() -> String {
    fs::read_to_string(file("docs/metrics.md")).unwrap()
}

/// The document before the table, the table without its head, and what follows.
fn parts(document: &str) -> [&str; 3] {
    let (before, rest) = document.split_once(BEGIN).expect("the head of the table");
    let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
    [before, &rest[..end], &rest[end..]]
}

/// The cells of the table, without the backquotes around a cell.
pub fn rows() -> Vec<Vec<String>> {
    let document = document();
    let [_, table, _] = parts(&document);
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let row = |row: &str| row.trim_matches('|').split('|').map(cell).collect();
    table.lines().map(row).collect()
}

fn row(metric: &Metric) -> String {
    let unit = match metric.unit {
        Unit::Milliseconds => "seconds",
        unit => unit.name(),
    };
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let Metric { prometheus, kind, help, .. } = metric;
    format!("| `{prometheus}` | {} | {} | {unit} | {help} |\n", kind.name(), labels.join(", "))
}

fn all() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(SCRAPED)
}

#[test]
fn the_metrics_are_those_of_the_table() {
    let expected: String = all().map(row).collect();
    let document = document();
    let [before, found, after] = parts(&document);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file("docs/metrics.md"), [before, BEGIN, &expected, after].concat()).unwrap();
        return;
    }
    assert_eq!(found, expected);
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_of_name(c));
    words.filter(|word| word.starts_with("babelmq_") || word.starts_with("process_")).collect()
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for metric in all() {
        known.insert(metric.prometheus.to_owned());
        if metric.kind == MetricKind::Histogram {
            known
                .extend(["bucket", "sum", "count"].map(|of| format!("{}_{of}", metric.prometheus)));
        }
    }
    for path in ["packaging/prometheus/alerts.yml", "packaging/grafana/babelmq.json"] {
        let text = fs::read_to_string(file(path)).unwrap();
        let names = named(&text);
        assert!(names.len() > 8, "{path} names only {names:?}");
        for name in names {
            assert!(known.contains(name), "{path} names {name}, which no broker tells");
        }
    }
}

#[test]
fn the_dashboard_is_json_with_a_query_in_each_panel() {
    let text = fs::read_to_string(file("packaging/grafana/babelmq.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 8);
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has the id of another");
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        let queries = targets.iter().map(|target| target["expr"].as_str().unwrap());
        for query in queries {
            assert!(!named(query).is_empty(), "{title} asks for no metric: {query}");
            let is_closed = query.matches('(').count() == query.matches(')').count();
            assert!(is_closed && query.contains("$instance"), "{title}: {query}");
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
    }
}

#[test]
fn each_rule_says_what_to_look_at_and_the_document_knows_it() {
    let rules = fs::read_to_string(file("packaging/prometheus/alerts.yml")).unwrap();
    let document = document();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in &alerts {
        assert!(document.contains(&format!("`{alert}`")), "docs/metrics.md lacks {alert}");
    }
    for part in ["expr:", "severity:", "summary:", "description:"] {
        assert_eq!(rules.matches(part).count(), alerts.len(), "{part} for each");
    }
}
