//! Bad input, each a row of a table: what it is, and what must come of it. One broker gets all of
//! it, one row after the other, and serves a bystander before, during and after each.
#![cfg(all(feature = "broker", feature = "middleware"))]

mod frames;
mod json;
mod pickle;
mod row;
mod topics;
mod xml;

use babelmq::BrokerHandle;
use babelmq::Format::{self, Json, Pickle};

use crate::support::Field::Str;
use crate::support::{Client, FORMATS, Frame, number, start};
use row::{Outcome, Row, TARGET};

/// What the bystander uses.
const BYSTANDER: &str = "/bystander";
/// What is stored under [`TARGET`] throughout.
const STORED: i64 = 4_711;

#[test]
fn every_row_has_its_outcome_and_a_bystander_is_served_throughout() {
    let subjects = [
        ("frames", frames::rows()),
        ("JSON", json::rows()),
        ("XML", xml::rows()),
        ("pickle", pickle::rows()),
        ("topics", topics::rows()),
    ];
    for (subject, rows) in &subjects {
        println!("{subject}: {} inputs", rows.len());
    }
    let rows: Vec<Row> = subjects.into_iter().flat_map(|(_, rows)| rows).collect();
    let broker = start();
    let mut table = Table::new(&broker);
    for row in &rows {
        table.check(row);
    }
    table.finish();
    let stats = broker.stats();
    assert_eq!((stats.panics, stats.encoding_failures), (0, 0));
    let accepted = rows.iter().filter(|row| matches!(row.outcome, Outcome::Delivered(_))).count();
    let unfinished = rows.iter().filter(|row| row.outcome == Outcome::Unfinished).count();
    assert_eq!(stats.refused as usize, rows.len() - accepted - unfinished);
    println!("{} inputs, {accepted} of them accepted", rows.len());
    assert!(rows.len() > 3_000, "{}: a part of the table is gone", rows.len());
}

/// A broker, who sends the rows, and who must not notice.
struct Table<'a> {
    broker: &'a BrokerHandle,
    /// Sends the rows; a new one where a row ended its connection.
    offender: Client,
    publisher: Client,
    /// In every format, subscribed to everything: what they get is all that is delivered.
    bystanders: Vec<Client>,
    published: i64,
    /// Rows that had another outcome, and which.
    wrong: Vec<String>,
}

impl Table<'_> {
    fn new(broker: &BrokerHandle) -> Table<'_> {
        let mut publisher = Client::connect(broker);
        publisher.publish(Json, TARGET, &number(Json, STORED));
        publisher.flush(Json);
        let bystanders = FORMATS.into_iter().map(|format| {
            let mut bystander = Client::connect(broker);
            assert_eq!(bystander.subscribe(format, "#").len(), 1);
            bystander
        });
        let bystanders = bystanders.collect();
        Table {
            broker,
            offender: Client::connect(broker),
            publisher,
            bystanders,
            published: 0,
            wrong: Vec::new(),
        }
    }

    fn check(&mut self, row: &Row) {
        let name = &row.name;
        self.serves(name);
        let (first, second) = row.bytes.split_at(row.bytes.len() / 2);
        if !first.is_empty() {
            // A fatal one may end the connection before all of it is sent, and says so all the
            // same.
            let _ = self.offender.try_send_raw(first);
        }
        if row.outcome != Outcome::Unfinished || !second.is_empty() {
            self.serves(name);
        }
        let _ = self.offender.try_send_raw(second);
        match &row.outcome {
            Outcome::Refused(format, code) => {
                self.publish_one();
                let error = self.answer(*format, name);
                self.judge(&error, row, code, false);
                self.receive_one(name);
            }
            Outcome::RefusedSomehow(format) => {
                self.publish_one();
                let error = self.answer(*format, name);
                error.refuses(&error.field("code"), false);
                self.receive_one(name);
            }
            Outcome::Fatal(format, code) => {
                let error = self.offender.next();
                assert_eq!(error.format, *format, "{name}");
                self.judge(&error, row, code, true);
                self.offender.ends();
                self.offender = Client::connect(self.broker);
            }
            Outcome::Unfinished => {
                self.offender.finish_sending();
                self.offender.ends();
                self.offender = Client::connect(self.broker);
            }
            Outcome::Delivered(repr) => {
                assert_eq!(self.offender.flush(Json), [], "{name}");
                for bystander in &mut self.bystanders {
                    let delivered = bystander.next();
                    delivered.is_about(TARGET, name);
                    let message = delivered.message();
                    if delivered.format == Pickle && message != *repr {
                        self.wrong.push(format!("{name}: {message}, and not {repr}"));
                    }
                }
                self.publisher.publish(Json, TARGET, &number(Json, STORED));
                for bystander in &mut self.bystanders {
                    assert_eq!(bystander.next().number(), STORED, "{name}");
                }
            }
        }
        self.serves(name);
        self.nothing_else_is_stored(name);
    }

    /// What the offender is told about a frame, and nothing more until it asks again.
    fn answer(&mut self, format: Format, name: &str) -> Frame {
        let mut answers = self.offender.flush(format);
        assert_eq!(answers.len(), 1, "{name}: answers before the pong: {answers:?}");
        let answer = answers.remove(0);
        assert_eq!(answer.format, format, "{name}");
        answer
    }

    fn judge(&mut self, error: &Frame, row: &Row, code: &str, fatal: bool) {
        let fields = error.fields();
        let [found, reason] =
            ["code", "reason"].map(|name| fields.get(name).map_or("", String::as_str));
        if found != code || !reason.contains(&row.named) {
            self.wrong
                .push(format!("{}: {found}, and not {code} {}: {reason}", row.name, row.named));
        }
        error.refuses(found, fatal);
        let length = error.body.len();
        assert!(length < 10_000, "{}: an answer of {length} bytes", row.name);
    }

    /// The bystanders get what is published, in order, each once, and nothing else.
    fn serves(&mut self, name: &str) {
        self.publish_one();
        self.receive_one(name);
    }

    fn publish_one(&mut self) {
        self.published += 1;
        self.publisher.publish(Json, BYSTANDER, &number(Json, self.published));
    }

    fn receive_one(&mut self, name: &str) {
        for bystander in &mut self.bystanders {
            let delivered = bystander.next();
            delivered.is_about(BYSTANDER, name);
            assert_eq!(delivered.number(), self.published, "{name}");
        }
    }

    fn nothing_else_is_stored(&mut self, name: &str) {
        self.publisher.command(Json, &[("command", Str("get")), ("topic", Str(TARGET))]);
        self.publisher.command(Json, &[("command", Str("list"))]);
        assert_eq!(self.publisher.next().number(), STORED, "{name}: the last value stays");
        assert_eq!(self.publisher.next().field("topics"), r#"["/bystander","/t"]"#, "{name}");
    }

    fn finish(mut self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        self.offender.is_quiet();
        self.publisher.is_quiet();
        self.bystanders.iter_mut().for_each(Client::is_quiet);
    }
}

impl Frame {
    fn is_about(&self, topic: &str, name: &str) {
        let fields = self.fields();
        assert_eq!(fields["command"], "publish", "{name}: {fields:?}");
        assert_eq!(fields["topic"], topic, "{name}: {fields:?}");
    }
}
