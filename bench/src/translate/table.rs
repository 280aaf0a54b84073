//! What the bare loop measured, as tables.

use super::cpython::Library;
use super::{Contender, StreamMeasured};
use crate::direction::Direction;
use crate::report::number;
use crate::results::median;
use crate::stream::Group;
use crate::wire::Format;

pub(super) fn write(all: &[StreamMeasured]) -> String {
    let mut out = String::from(
        "| stream | bytes | direction | codec, messages/s | MB/s | session, messages/s | MB/s | \
         × CPython, orjson | × CPython, standard |\n|---|--:|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for stream in all {
        Direction::ALL.iter().for_each(|direction| out += &line(stream, *direction));
    }
    out +=
        "\n| stream | bytes | judge alone, GB/s | left to the full reading |\n|---|--:|--:|--:|\n";
    for stream in all {
        let judged = median(stream.judged.iter().copied()).unwrap_or_default() / 1e9;
        let (name, bytes) = (&stream.entry.name, stream.lengths[0]);
        let unusual = stream.unusual * 100.0;
        out += &format!("| {name} | {bytes:.0} | {judged:.2} | {unusual:.0} % |\n");
    }
    out + &wide(all) + &goals(all)
}

/// What of the goals is reached; what was not measured is left out.
fn goals(all: &[StreamMeasured]) -> String {
    let mut out = String::from("\n| goal | at the worst | |\n|---|--:|---|\n");
    let mut goal = |text: &str, worst: Option<f64>, is_met: fn(f64) -> bool| {
        if let Some(worst) = worst {
            let met = if is_met(worst) { "met" } else { "**not met**" };
            out += &format!("| {text} | {worst:.2} | {met} |\n");
        }
    };
    for direction in
        Direction::ALL.into_iter().filter(|direction| direction.to_string() != "json-json")
    {
        let small = all.iter().filter(|stream| stream.entry.group == Group::Small);
        let ratios = small.filter_map(|stream| {
            stream.ratio(direction, Contender::Session, orjson_or_pickle(direction))
        });
        let text = format!("{}: 3 × CPython, each small stream", direction.title());
        goal(&text, ratios.reduce(f64::min), |worst| worst >= 3.0);
    }
    let webhooks = all.iter().find(|stream| stream.entry.name == "webhooks");
    let judged = webhooks.and_then(|stream| median(stream.judged.iter().copied()));
    let judged = judged.map(|judged| judged / 1e9);
    goal("judge alone: 1.5 GB/s of webhook events", judged, |worst| worst >= 1.5);
    let wide = Direction::ALL.into_iter().filter_map(|direction| wide_ratio(all, direction));
    let text = "wide objects: within 1.3 ×, each direction";
    goal(text, wide.map(|(_, session)| session).reduce(f64::max), |worst| worst <= 1.3);
    out
}

/// With JSON, orjson and pickle; without, pickle alone.
fn orjson_or_pickle(direction: Direction) -> Contender {
    let has_json = direction.from == Format::Json || direction.to == Format::Json;
    Contender::Cpython(if has_json { Library::Orjson } else { Library::Standard })
}

/// How many times as long one wide object takes as four: the codec, and a session.
fn wide_ratio(all: &[StreamMeasured], direction: Direction) -> Option<(f64, f64)> {
    let mut wide = all.iter().filter(|stream| stream.entry.group == Group::Wide);
    let (one, four) = (wide.next()?, wide.next()?);
    let ratio =
        |contender| Some(four.median(direction, contender)? / one.median(direction, contender)?);
    Some((ratio(Contender::Codec)?, ratio(Contender::Session)?))
}

fn line(stream: &StreamMeasured, direction: Direction) -> String {
    let Some(codec) = stream.median(direction, Contender::Codec) else { return String::new() };
    let session = stream.median(direction, Contender::Session).unwrap_or_default();
    let length = stream.lengths[usize::from(direction.from.byte())];
    let standard = Contender::Cpython(Library::Standard);
    let orjson = orjson_or_pickle(direction);
    let times = |other| {
        let ratio = stream.ratio(direction, Contender::Session, other);
        ratio.map_or_else(String::new, |ratio| format!("{} ×", number(ratio)))
    };
    format!(
        "| {} | {length:.0} | {} | {} | {:.0} | {} | {:.0} | {} | {} |\n",
        stream.entry.name,
        direction.title(),
        number(codec),
        codec * length / 1e6,
        number(session),
        session * length / 1e6,
        times(orjson),
        times(standard),
    )
}

/// How wide objects compare.
fn wide(all: &[StreamMeasured]) -> String {
    let ratios: Vec<(Direction, (f64, f64))> = Direction::ALL
        .into_iter()
        .filter_map(|direction| Some((direction, wide_ratio(all, direction)?)))
        .collect();
    if ratios.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "\n| direction | an object of 76 keys takes so many times as long as four of 19: codec \
         | session |\n|---|--:|--:|\n",
    );
    for (direction, (codec, session)) in ratios {
        out += &format!("| {} | {codec:.2} | {session:.2} |\n", direction.title());
    }
    out
}
