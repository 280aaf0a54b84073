//! What rights cost: babelmq that has more of them to look at beside babelmq that has fewer.

use std::sync::Arc;

use anyhow::{Result, bail};

use super::measure::Figures;
use super::{Rights, Scale};
use crate::load::flow::{self, Content, Flow, Measured};
use crate::load::{guesses, round_trip};
use crate::payload::Payload;
use crate::systems::Programs;
use crate::wire::{Babelmq, Member, Wire};

/// Filters in each list of a role.
const RULES: usize = 100;
const ROOT: &str = "bench/flow";
const EVERYTHING: &str = "publish = [\"#\"]\nsubscribe = [\"#\"]\n";

/// Rules of all kinds, of which the last allows what is measured, and a few are about its
/// neighbours.
fn rules() -> String {
    let near = ["bench/{user}", "bench/+/alarms", "bench/users/{user}-inbox", ROOT];
    let far = (near.len()..RULES).map(|number| match number % 3 {
        0 => format!("plant/{number}"),
        1 => format!("plant/{number}/+/state"),
        _ => format!("people/{number}/{{user}}"),
    });
    let filters = far.chain(near.map(str::to_owned)).map(|filter| format!("\"{filter}\""));
    let filters = filters.collect::<Vec<_>>().join(", ");
    format!("publish = [{filters}]\nsubscribe = [{filters}]\n")
}

/// A broker with one user, to whom both ends belong; without users, if there is no role.
fn run(
    programs: &Programs,
    role: Option<(&str, bool)>,
    topics: usize,
    scale: Scale,
) -> Result<Measured> {
    let (running, wire): (_, Arc<dyn Wire>) = match role {
        None => (programs.start_babelmq(&[])?, Arc::new(Babelmq::json())),
        Some((role, is_limited)) => {
            let users = programs.users(role)?;
            let running = programs.start_babelmq(&["--users", &users.file])?;
            (running, Arc::new(Member { token: users.token, is_limited }))
        }
    };
    let payload = Payload::of_size(128)?;
    let flow = Flow {
        content: Content::Alike { topics: topics_below(topics), payload },
        publishers: 1,
        producer: wire.clone(),
        consumers: vec![wire],
        pace: None,
    };
    flow::measure(&running, flow, scale.time)
}

fn topics_below(count: usize) -> Vec<String> {
    if count == 1 {
        vec![ROOT.to_owned()]
    } else {
        (0..count).map(|number| format!("{ROOT}/sensor-{number}")).collect()
    }
}

/// Each twice, so that what changes with time changes both: without, with, with, without.
pub(super) fn measure(
    programs: &Programs,
    rights: Rights,
    topics: usize,
    scale: Scale,
) -> Result<Figures> {
    let many = rules();
    let limited = format!("{EVERYTHING}deny-subscribe = [\"{ROOT}/secret\"]\n");
    let (fewer, more) = match rights {
        Rights::Rules => (None, (many.as_str(), false)),
        Rights::Limited => (Some((EVERYTHING, false)), (limited.as_str(), true)),
    };
    let of = |role| run(programs, role, topics, scale);
    let (before, first) = (of(fewer)?, of(Some(more))?);
    let (second, after) = (of(Some(more))?, of(fewer)?);
    let mean = |figure: fn(&Measured) -> f64, one, other| (figure(one) + figure(other)) / 2.0;
    let rate = |one, other| mean(|measured| measured.deliveries_per_second, one, other);
    let processor = |one, other| mean(|measured| measured.processor_per_delivery, one, other);
    Ok(vec![
        ("rate", rate(&first, &second)),
        ("share", rate(&first, &second) / rate(&before, &after)),
        ("processor", processor(&first, &second) / processor(&before, &after)),
    ])
}

/// A round trip of somebody who has logged in, before and beside wrong passwords.
pub(super) fn guesses(programs: &Programs, scale: Scale) -> Result<Figures> {
    let users = programs.users(EVERYTHING)?;
    let running = programs.start_babelmq(&["--users", &users.file])?;
    let wire: Arc<dyn Wire> = Arc::new(Member { token: users.token, is_limited: false });
    let payload = Payload::of_size(128)?;
    let trip = || round_trip::measure(&running, &wire, &payload, None, scale.time);
    let before = trip()?;
    let ((beside, load, login), guessed) = guesses::beside(&running, || {
        let (used, start) = (running.used()?, std::time::Instant::now());
        let beside = trip()?;
        let load = (running.used()? - used) / start.elapsed().as_nanos() as f64 * 100.0;
        Ok((beside, load, guesses::log_in_elsewhere(&running)?))
    })?;
    if guessed.made < guesses::RATE * 0.9 {
        bail!("only {:.0} passwords a second were tried", guessed.made);
    }
    Ok(vec![
        ("p50", beside.p50),
        ("p99", beside.p99),
        ("p50-before", before.p50),
        ("p99-before", before.p99),
        ("made", guessed.made),
        ("answered", guessed.answered),
        ("load", load),
        ("login", login * 1000.0),
    ])
}
