//! Samples of streams, and what their messages cost for each byte.

use std::fmt;
use std::fs;
use std::path::Path as FilePath;

use babelmq::Format;
use babelmq::codec::Dialect;

use crate::paths::Path;

/// How many times as much as another variant one may cost for each byte.
const SPREAD: f64 = 3.0;
/// The same for one object of 76 keys and four of 19, which are as many bytes.
const WIDE: f64 = 1.3;
const ONE_OR_FOUR: [&str; 2] = ["one-of-76", "four-of-19"];
/// Bytes of messages that a producer sends at once.
const AT_ONCE: usize = 32 << 10;
/// A variant of so few bytes costs mostly what any message does.
const SHORT: f64 = 200.0;

const SMALL: &[&str] = &["gps", "flights", "earthquakes", "webhooks"];
/// One record, spelled and shaped otherwise.
const VARIANTS: &[&str] = &[
    "plain",
    "spaced",
    "indented",
    "escapes",
    "non-ascii",
    "non-ascii-escaped",
    "envelopes",
    "keys-20",
    "keys-40",
    "keys-80",
    "keys-500",
    "depth-5",
    "depth-60",
    "numbers",
    "one-of-76",
    "four-of-19",
];

type Direction = (&'static str, Format, &'static [Dialect]);

const DIRECTIONS: [Direction; 7] = [
    ("JSON to JSON", Format::Json, &[Dialect::Json]),
    ("JSON to XML", Format::Json, &[Dialect::Xml]),
    ("pickle to JSON", Format::Pickle, &[Dialect::Json]),
    ("XML to JSON", Format::Xml, &[Dialect::Json]),
    ("JSON to pickle", Format::Json, &[Dialect::Pickle]),
    ("pickle to XML", Format::Pickle, &[Dialect::Xml]),
    ("pickle to pickle", Format::Pickle, &[Dialect::Pickle]),
];
/// So many of them for variants: each reader, and two of the writers.
const OF_VARIANTS: usize = 4;

/// The first messages of a stream. Their fields are those of `bench/streams/spelling.py`.
pub(crate) struct Sample {
    messages: Vec<[Vec<u8>; 9]>,
}

impl Sample {
    fn load(name: &str) -> Option<Sample> {
        let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("benches/data/streams");
        let bytes = fs::read(folder.join(format!("{name}.stream"))).ok()?;
        let (mut rest, mut messages) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let mut fields: [Vec<u8>; 9] = Default::default();
            for field in &mut fields {
                let (length, behind) = rest.split_first_chunk()?;
                let (text, behind) =
                    behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                (*field, rest) = (text.to_vec(), behind);
            }
            messages.push(fields);
        }
        Some(Sample { messages })
    }

    /// What a producer sends at once: the messages in turn.
    pub(crate) fn bodies(&self, format: Format) -> Vec<Vec<u8>> {
        let body =
            |[_, json, _, xml, before, behind, pickle, start, end]: &[Vec<u8>; 9]| match format {
                Format::Json => [before.as_slice(), json, behind].concat(),
                Format::Xml => [start.as_slice(), xml, end].concat(),
                Format::Pickle => pickle.clone(),
            };
        let once: Vec<Vec<u8>> = self.messages.iter().map(body).collect();
        let bytes: usize = once.iter().map(Vec::len).sum();
        let times = (AT_ONCE / bytes.max(1)).max(1);
        once.iter().cycle().take(times * once.len()).cloned().collect()
    }

    /// Bytes of a payload, in the mean.
    fn bytes(&self, format: Format) -> f64 {
        let payload = |[_, json, pickle, xml, ..]: &[Vec<u8>; 9]| match format {
            Format::Json => json.len(),
            Format::Xml => xml.len(),
            Format::Pickle => pickle.len(),
        };
        self.messages.iter().map(payload).sum::<usize>() as f64 / self.messages.len() as f64
    }
}

/// The paths of all samples.
pub(crate) fn paths() -> Result<Vec<Path>, String> {
    let small = SMALL.iter().map(|name| (*name, DIRECTIONS.len()));
    let variants = VARIANTS.iter().map(|name| (*name, OF_VARIANTS));
    let mut paths = Vec::new();
    for (name, directions) in small.chain(variants) {
        let sample = Sample::load(name);
        let sample = sample.ok_or_else(|| format!("there is no sample of {name}"))?;
        // They last as long as the program.
        let sample: &'static Sample = Box::leak(Box::new(sample));
        for (title, format, dialects) in &DIRECTIONS[..directions] {
            let name = format!("{title}, {name}").leak();
            paths.push(Path::of_sample(name, sample, *format, dialects));
        }
    }
    Ok(paths)
}

/// The instructions for each byte, on a path of a sample.
pub(crate) fn each_byte(path: &Path, instructions: f64) -> Option<f64> {
    Some(instructions / path.sample()?.bytes(path.format))
}

/// How far messages of one kind are apart in a direction.
pub(crate) struct Spread {
    pub(crate) name: String,
    pub(crate) times: f64,
    /// What is wanted at most.
    pub(crate) most_times: f64,
    least: (&'static str, f64),
    most: (&'static str, f64),
}

impl Spread {
    /// In the budget, where it is more than it should be.
    pub(crate) fn line(&self) -> String {
        let Spread { name, times, most_times, .. } = self;
        if times > most_times {
            format!("{name} = {times:.2}  # times; {most_times} at most are wanted\n")
        } else {
            String::new()
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((least, few), (most, many)) = (self.least, self.most);
        write!(
            f,
            "{}: {:.2} times: {few:.1} a byte for {least:?}, {many:.1} for {most:?}",
            self.name, self.times
        )
    }
}

/// Of the variants of one record, and of wide objects, in each direction of variants.
pub(crate) fn spreads(paths: &[Path], counts: &[f64]) -> Vec<Spread> {
    let mut spreads = Vec::new();
    for (title, ..) in &DIRECTIONS[..OF_VARIANTS] {
        let of_variant = |variant: &str| {
            let name = format!("{title}, {variant}");
            let at = paths.iter().position(|path| path.name == name)?;
            let is_long = paths[at].sample()?.bytes(Format::Json) >= SHORT;
            let each = each_byte(&paths[at], counts[at])?;
            is_long.then_some((paths[at].name, each))
        };
        let mut spread = |kind: &str, variants: &[&str], most_times| {
            let of_all = variants.iter().filter_map(|variant| of_variant(variant));
            let mut sorted: Vec<(&'static str, f64)> = of_all.collect();
            sorted.sort_by(|one, other| one.1.total_cmp(&other.1));
            if let [least, .., most] = *sorted.as_slice() {
                let (name, times) = (format!("{kind}, {title}"), most.1 / least.1);
                spreads.push(Spread { name, times, most_times, least, most });
            }
        };
        spread("variants", VARIANTS, SPREAD);
        spread("wide objects", &ONE_OR_FOUR, WIDE);
    }
    spreads
}
