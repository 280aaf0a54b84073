//! What the bare loop measured, as tables.

use super::cpython::Library;
use super::{Contender, StreamMeasured};
use crate::direction::Direction;
use crate::report::number;
use crate::results::median;
use crate::stream::Group;

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
    out + &wide(all)
}

fn line(stream: &StreamMeasured, direction: Direction) -> String {
    let Some(codec) = stream.median(direction, Contender::Codec) else { return String::new() };
    let session = stream.median(direction, Contender::Session).unwrap_or_default();
    let length = stream.lengths[usize::from(direction.from.byte())];
    let standard = Contender::Cpython(Library::Standard);
    let orjson = match Contender::Cpython(Library::Orjson) {
        // Without JSON it is no other program.
        _ if !direction.to_string().contains("json") => standard,
        orjson => orjson,
    };
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

/// How many times as long the one of the two wide streams takes that takes longer.
fn wide(all: &[StreamMeasured]) -> String {
    let wide: Vec<&StreamMeasured> =
        all.iter().filter(|stream| stream.entry.group == Group::Wide).collect();
    let [one, four] = wide.as_slice() else { return String::new() };
    let mut out = format!(
        "\n| direction | {} takes so many times as long as {}: codec | session |\n|---|--:|--:|\n",
        one.entry.name, four.entry.name
    );
    for direction in Direction::ALL {
        let ratio = |contender| {
            Some(four.median(direction, contender)? / one.median(direction, contender)?)
        };
        if let (Some(codec), Some(session)) = (ratio(Contender::Codec), ratio(Contender::Session)) {
            out += &format!("| {} | {codec:.2} | {session:.2} |\n", direction.title());
        }
    }
    out
}
