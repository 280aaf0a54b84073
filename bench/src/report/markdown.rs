//! The results as Markdown.

use super::{Report, goal_text, mqtt, number, streams, title};
use crate::kept::{WINDOW, WRITE};
use crate::systems::{
    Sync, System, jetstream_configuration, mosquitto_configuration, mosquitto_mqtt_configuration,
    nats_configuration, nats_mqtt_configuration,
};
use crate::window::{LIMIT, LIMIT_BYTES};
use crate::workloads::Better;

pub(super) fn write(report: &Report<'_>) -> String {
    let name = report.name();
    let (title, target) = match name {
        "tls" => ("TLS and users, beside peers", "bench-tls"),
        "web" => ("WebSocket and HTTP, beside NATS", "bench-web"),
        "streams" => ("Streams, beside JetStream, Redis Streams and beanstalkd", "bench-streams"),
        "mqtt" => ("MQTT, beside Mosquitto and NATS", "bench-mqtt"),
        _ => ("babelmq beside its peers", "bench-peers"),
    };
    let mut out = format!(
        "# {title}\n\nWritten by `make {target}`; do not edit.\n\n![The throughput rows as a \
         chart]({name}.svg)\n\n"
    );
    ratios(report, &mut out);
    figures(report, &mut out);
    out += &streams::write(report);
    failures(report, &mut out);
    method(report, &mut out);
    out
}

/// Ratios first: they mean the most on another machine.
fn ratios(report: &Report<'_>, out: &mut String) {
    let others: Vec<System> =
        report.systems.iter().copied().filter(|system| *system != System::Babelmq).collect();
    out.push_str("## How many times the others' figures babelmq's are\n\n");
    out.push_str(
        "Where less is better (times, memory) a smaller ratio is better; such rows say so.\n\n| \
         workload |",
    );
    others.iter().for_each(|other| *out += &format!(" vs {} |", other.title()));
    out.push_str(" goal | |\n|---|");
    others.iter().for_each(|_| out.push_str("--:|"));
    out.push_str("---|---|\n");
    for workload in report.workloads.iter().filter(|workload| workload.stream().is_none()) {
        for row in workload.rows {
            let ratio = |other: &System| {
                report.results.ratio(workload.name, row.metric, System::Babelmq, *other)
            };
            let cells: Vec<Option<f64>> = others.iter().map(ratio).collect();
            // What has no goal is in the other table.
            if row.goals.is_empty() {
                continue;
            }
            *out += &format!(
                "| {}{} |",
                title(workload, row),
                match row.better {
                    Better::More => "",
                    Better::Less => " (less is better)",
                }
            );
            for cell in cells {
                *out += &cell.map_or(" |".to_owned(), |ratio| format!(" {} × |", number(ratio)));
            }
            let goals: Vec<String> = row.goals.iter().map(|goal| goal_text(row, *goal)).collect();
            let met = row.goals.iter().map(|goal| {
                match report.results.is_met(workload.name, row, *goal) {
                    Some(true) => "met",
                    Some(false) => "**not met**",
                    None => "not measured",
                }
            });
            let met: Vec<&str> = met.collect();
            *out += &format!(" {} | {} |\n", goals.join("; "), met.join("; "));
        }
    }
    out.push('\n');
}

fn figures(report: &Report<'_>, out: &mut String) {
    out.push_str("## Figures\n\n");
    *out += &format!(
        "Each is the median of {} interleaved rounds, with the least and the most.\n\n",
        report.rounds
    );
    out.push_str("| workload | unit |");
    report.systems.iter().for_each(|system| *out += &format!(" {} |", system.title()));
    out.push_str("\n|---|---|");
    report.systems.iter().for_each(|_| out.push_str("--:|"));
    out.push('\n');
    for workload in report.workloads.iter().filter(|workload| workload.stream().is_none()) {
        for row in workload.rows {
            *out += &format!("| {} | {} |", title(workload, row), row.unit);
            for system in report.systems {
                let all =
                    report.results.of(workload.name, row.metric, *system).iter().flatten().copied();
                let (least, most) =
                    (all.clone().fold(f64::MAX, f64::min), all.fold(f64::MIN, f64::max));
                *out += &match report.results.median(workload.name, row.metric, *system) {
                    Some(median) => {
                        format!(" {} ({}…{}) |", number(median), number(least), number(most))
                    }
                    None if report.results.failures.contains_key(&(workload.name, *system)) => {
                        " failed |".to_owned()
                    }
                    None => " |".to_owned(),
                };
            }
            out.push('\n');
        }
    }
    out.push('\n');
}

fn failures(report: &Report<'_>, out: &mut String) {
    let absent = report
        .versions
        .iter()
        .filter_map(|(system, version)| Some((system, version.as_ref().err()?)));
    let mut lines: Vec<String> =
        absent.map(|(system, why)| format!("- {} is absent: {why}\n", system.title())).collect();
    for ((workload, system), why) in &report.results.failures {
        lines.push(format!("- `{workload}` of {}: {why}\n", system.title()));
    }
    if !lines.is_empty() {
        *out += &format!("## What could not be measured\n\n{}\n", lines.concat());
    }
}

const PAYLOADS: &str = "\
Payloads are small records; their size is that of their compact JSON, which is what the peers \
carry, byte for byte. babelmq carries them inside its envelope, judges every one, and keeps each \
topic's last value (its default). The bare relay copies bytes and parses nothing. Redis publishes \
with its replies switched off. The CPython translator and NATS, where they stand in the \
translation rows, carry the payload alone. Memory is the growth of the resident set; a thread's \
stack in the kernel is counted as 16 KiB.\n\n";

const STREAMS: &str = "\
The messages of a stream lie in as many topics as they name, in their order, again and again; the \
subscriber takes all of them. What babelmq translates, CPython spelled: pickles as `pickle.dumps` \
of protocol 5 does, XML as babelmq's Python client. Peers carry the payload in the producer's \
format. A measurement of a stream takes half the time. \
ActiveMQ Classic translates maps, `jms-map-xml` to `jms-map-json` and back, over STOMP; what it \
is given is the same flat message as XStream spells it, and it has 3 s to warm up. GPS points, \
flights, earthquakes and webhook events are generated, with lengths, fields and topics like those \
of real ones; `bench/streams` makes them.\n\n";

const TLS: &str = "\
With TLS the generator's end is rustls for every broker, with TLS 1.3, TLS_AES_128_GCM_SHA256 and \
X25519 and nothing else, and all have one certificate, of a P-256 key, made by `babelmq certs`. \
The generator checks it, and never resumes a session. NATS begins TLS after its line of INFO. For \
handshakes, 8 clients connect, shake hands, say `close_notify`, wait for the broker's end, and do \
so again; on two cores they take more of the processors than the broker, so the broker's processor \
time is the figure to compare. Idle subscribers are 1,000, looked at 6 s after they came.\n\n";

const USERS: &str = "\
Rows about users are babelmq's alone, on plain TCP: both ends log in with a token. A broker whose \
role has 100 filters to publish and 100 to subscribe, of which the last one allows what is \
measured, stands beside a broker without users; a role with a denied branch, in which nothing is \
published, beside a role without. Each round measures without, with, with, and without. Wrong \
passwords come from 127.0.0.1, each on a connection of its own; the right one, from 127.0.0.2, is \
tried once at the end, and had not been before.\n\n";

const WEB: &str = "\
By WebSocket every write of the generator's is one binary message, masked with a key that is not \
zero, and in it is the protocol of plain TCP: babelmq's by its subprotocol `babelmq`, and NATS's. \
The generator takes frames off where they lie. *Of what it is over plain TCP* is to the system's \
own figure over TCP, measured around it: plain, WebSocket, WebSocket, plain, each on a broker of \
its own; the other two figures are means of the two in the middle. Requests of HTTP are babelmq's \
alone: each client has one connection, sends a `POST /api/v1/publish` of 128 bytes of JSON, and \
the next when it has the answer, which comes when the message is routed; nobody subscribes. \
`/metrics` is asked for again and again on one connection.\n\n";

/// Of what is kept: nothing of it is measured as the others are.
fn streams_that_are_kept(report: &Report<'_>, out: &mut String) {
    *out += &format!(
        "One load generator drives all systems: raw sockets on loopback, a thread for each \
         direction of a connection, messages of 128 bytes prepared before. Every measurement has \
         a freshly started system in an empty folder on the disk, and is made in {} rounds over \
         all systems, whose order turns from round to round; ratios are medians of the ratios \
         within a round.\n\n\
         *On the disk* is babelmq's `--fsync always`, JetStream's `sync_interval: always`, Redis' \
         `appendfsync always` and beanstalkd's `-f 0`; all other rows have `--fsync interval` (1 \
         s), JetStream's default (2 minutes), `appendfsync everysec` and `-f 1000`.\n\n\
         Producers write up to {WRITE} messages at a time and have at most {WINDOW} that are not \
         confirmed: babelmq's writes end with a `ping`, whose `pong` confirms all before it; \
         JetStream answers each message with a PubAck, Redis each `XADD`, beanstalkd each `put`, \
         and nobody waits for one before the next. What is confirmed on the disk \
         is counted until the last confirmation. After {} s of it the stream is asked how many \
         messages it has, which must be as many as were confirmed.\n\n\
         Consumers read what was published before, {} messages; the clock runs from the first \
         request until the last acknowledgement is taken in. That each message came once is \
         checked by the sum of their numbers, and that all are acknowledged by asking the system. \
         At most {WINDOW} are delivered to a member of babelmq's and not acknowledged; JetStream's \
         consumer is pulled from, {} messages at a time, of which the next are asked for when \
         half have come; Redis is asked with `XREADGROUP COUNT 1024`, beanstalkd with 256 \
         `reserve` behind one another. *Many at once* is one command for what a read brought: \
         `ack` with `upto`, JetStream's policy `all`, `XACK` with many; beanstalkd has a `delete` \
         for each. *One by one* is `ack` with `seq`, `explicit`, an `XACK` for each. Members that \
         share have JetStream's `explicit` in both rows, as its `all` would acknowledge what \
         others have. A replay is a follower, a pull consumer with the policy `none`, and `XREAD`; \
         what JetStream and Redis keep are the producer's bytes, and only babelmq translates. \
         End to end is from the write to the delivery; confirmation and acknowledgement are made \
         beside it.\n\n\
         Topics that no stream keeps are measured without a stream, with, with, and without, each \
         with a data directory. The long stream has {} GiB of messages of 1 KiB; the system has \
         forgotten its files (`posix_fadvise`) before each start, of which there is one after a \
         kill amid publishing and three after an orderly end (`SIGTERM`), of which the middle one \
         counts.\n\n",
        report.rounds,
        report.seconds,
        number(report.seconds * 1e6),
        WINDOW / 2,
        report.gib,
    );
}

fn method(report: &Report<'_>, out: &mut String) {
    if report.name() == "streams" {
        out.push_str("## How\n\n");
        streams_that_are_kept(report, out);
    } else {
        method_of_flows(report, out);
    }
    about(report, out);
}

fn method_of_flows(report: &Report<'_>, out: &mut String) {
    *out += &format!(
        "## How\n\n\
         One load generator drives all systems: raw sockets on loopback, a thread per connection, \
         messages prepared \
         before and written up to 32 KiB (256 messages) at a time, 64 KiB read at a time, and at \
         most {LIMIT} messages or {} MiB published and not yet received by the slowest \
         subscriber, so that nobody drops; that all arrived is checked after each measurement. \
         Messages are counted where they are received, by the protocol's own framing. Every \
         measurement has a freshly started broker with its durability off, lasts {} s after a \
         warm-up, and is made \
         in {} rounds over all systems, whose order turns from round to round. Ratios are medians \
         of the ratios within \
         a round.\n\n",
        LIMIT_BYTES >> 20,
        report.seconds,
        report.rounds,
    );
    if report.name() != "mqtt" {
        out.push_str(PAYLOADS);
    }
    if report.name() == "peers" {
        *out += &format!(
            "The round trip under load has a second flow beside it, of half of the messages per \
             second that NATS carried from 1 to 1 just before: the same for every broker, and \
             where one cannot carry it, what it can. In this run the crowd had {} subscribers and {} \
             topics held a value.\n\n",
            report.crowd, report.topics
        );
    }
    if report.workloads.iter().any(|workload| workload.stream().is_some()) {
        out.push_str(STREAMS);
    }
    if report.is_sealed() {
        out.push_str(TLS);
    }
    if report.workloads.iter().any(|workload| workload.has_users()) {
        out.push_str(USERS);
    }
    if report.workloads.iter().any(|workload| workload.is_web()) {
        out.push_str(WEB);
    }
    if report.workloads.iter().any(|workload| workload.is_mqtt()) {
        mqtt::write(out);
    }
    if report.workloads.iter().any(|workload| workload.is_kept()) {
        streams_that_are_kept(report, out);
    }
}

/// The machine, and how the systems are started.
fn about(report: &Report<'_>, out: &mut String) {
    *out += &format!(
        "- Machine: {}\n- babelmq at `{}`\n- Called as `{}`\n",
        report.host.describe(),
        report.host.commit,
        report.call
    );
    for (system, version) in report.versions {
        if let Ok(version) = version {
            *out += &format!("- {}: {version}", system.title());
            if let Some((_, line)) = report.command_lines.iter().find(|(of, _)| of == system) {
                *out += &format!(", as `{line}`");
            }
            out.push('\n');
        }
    }
    let folder = report.is_sealed().then_some("FOLDER");
    let configurations = match report.name() {
        "web" => vec![("NATS", nats_configuration("PORT"))],
        "streams" => vec![("JetStream", jetstream_configuration("PORT", "DATA", Sync::Always))],
        "mqtt" => vec![
            ("Mosquitto", mosquitto_mqtt_configuration("PORT")),
            ("NATS", nats_mqtt_configuration("PORT", "DATA")),
        ],
        _ => vec![("Mosquitto", mosquitto_configuration("PORT", folder))],
    };
    for (of, configuration) in configurations {
        *out += &format!("\n{of}'s configuration:\n\n```\n{configuration}```\n");
    }
}
