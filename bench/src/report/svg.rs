//! A chart: the throughput rows, each with bars of its own scale.

use super::{Report, number};
use crate::systems::System;
use crate::workloads::Better;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 150.0;
const BARS: f64 = 560.0;
const BAR: f64 = 15.0;
const GAP: f64 = 4.0;
const TOP: f64 = 64.0;

fn colour(system: System) -> &'static str {
    match system {
        System::Babelmq => "#d9480f",
        System::Nats => "#2f6f9f",
        System::DebianNats => "#4b83b0",
        System::Redis => "#5f8fb4",
        System::Mosquitto => "#90b4ce",
        System::Relay => "#c8ccd0",
        System::Cpython => "#9a8fb8",
        System::Orjson => "#7c6fa6",
        System::ActiveMq => "#a8a86b",
        System::JetStream => "#2f6f9f",
        System::RedisStreams => "#5f8fb4",
        System::Beanstalkd => "#a8a86b",
    }
}

pub(super) fn write(report: &Report<'_>) -> String {
    let mut body = String::new();
    let mut y = TOP;
    // Streams are too many for a chart.
    for workload in report.workloads.iter().filter(|workload| workload.stream().is_none()) {
        let Some(row) =
            workload.rows.iter().find(|row| row.better == Better::More && row.metric == "rate")
        else {
            continue;
        };
        let median = |system: &System| {
            Some((*system, report.results.median(workload.name, row.metric, *system)?))
        };
        let mut bars: Vec<(System, f64)> = report.systems.iter().filter_map(median).collect();
        // Alone it compares with nothing.
        if bars.len() < 2 {
            continue;
        }
        bars.sort_by(|a, b| b.1.total_cmp(&a.1));
        let most = bars[0].1.max(f64::MIN_POSITIVE);
        body += &format!("<text x=\"16\" y=\"{y}\" class=\"title\">{}</text>\n", workload.title);
        y += 8.0;
        for (system, figure) in bars {
            let (width, middle) = (figure / most * BARS, y + BAR - 3.5);
            let weight = if system == System::Babelmq { " class=\"ours\"" } else { "" };
            body += &format!(
                "<text x=\"{LABELS}\" y=\"{middle}\" text-anchor=\"end\"{weight}>{}</text>\
                 <rect x=\"{}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" \
                 fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{middle}\"{weight}>{}</text>\n",
                system.title(),
                LABELS + 8.0,
                colour(system),
                LABELS + 14.0 + width,
                number(figure)
            );
            y += BAR + GAP;
        }
        y += 24.0;
    }
    let height = y.max(TOP + 20.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"Deliveries per second of babelmq and its \
         peers\">\n\
         <style>text{{font:12px \
         system-ui,sans-serif;fill:#333}}.title{{font-weight:600;font-size:13px}}\
         .ours{{font-weight:600;fill:#d9480f}}.head{{font-weight:600;font-size:16px}}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"28\" class=\"head\">Deliveries per second, each row on its own scale; \
         longer is better</text>\n\
         {body}</svg>\n"
    )
}
