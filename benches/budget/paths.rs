//! The paths that are counted.

use babelmq::Format;
use babelmq::codec::Dialect;

use crate::streams::{self, Sample};

/// Messages that a producer sends at once; of long ones, fewer.
const AT_ONCE: usize = 200;
const LONG_AT_ONCE: usize = 50;

/// What a producer sends.
#[derive(Clone, Copy)]
pub(crate) enum Payload {
    /// A file of `benches/data`, or a name that [`Path::bodies`] knows.
    Named(&'static str),
    Sample(&'static Sample),
}

/// A path through the broker.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    pub(crate) name: &'static str,
    pub(crate) format: Format,
    payload: Payload,
    topics: usize,
    pub(crate) consumers: usize,
    /// What they want, in turn.
    pub(crate) dialects: &'static [Dialect],
    /// Whether each message comes in a read of its own.
    pub(crate) alone: bool,
    /// Whether producer and consumers are users, with a hundred rules in their role and one branch
    /// that they may not see.
    pub(crate) rules: bool,
}

const fn path(
    name: &'static str,
    format: Format,
    payload: &'static str,
    dialects: &'static [Dialect],
) -> Path {
    let payload = Payload::Named(payload);
    Path {
        name,
        format,
        payload,
        topics: 1,
        consumers: dialects.len(),
        dialects,
        alone: false,
        rules: false,
    }
}

const EVERY_FORMAT: &[Dialect] = &[Dialect::Json, Dialect::Xml, Dialect::Pickle];

const PATHS: &[Path] = &[
    path("envelope only", Format::Json, "one digit", &[Dialect::Json]),
    path("JSON, 16 bytes", Format::Json, "16 bytes", &[Dialect::Json]),
    path("JSON, 128 bytes", Format::Json, "128 bytes", &[Dialect::Json]),
    path("JSON, 1 KiB", Format::Json, "1 KiB", &[Dialect::Json]),
    Path {
        alone: true,
        ..path("JSON, 128 bytes, one a read", Format::Json, "128 bytes", &[Dialect::Json])
    },
    Path {
        topics: 50,
        ..path("JSON, 128 bytes, 50 topics", Format::Json, "128 bytes", &[Dialect::Json])
    },
    Path {
        rules: true,
        ..path("JSON, 128 bytes, 100 rules", Format::Json, "128 bytes", &[Dialect::Json])
    },
    Path {
        rules: true,
        alone: true,
        ..path(
            "JSON, 128 bytes, one a read, 100 rules",
            Format::Json,
            "128 bytes",
            &[Dialect::Json],
        )
    },
    Path {
        rules: true,
        topics: 50,
        ..path("JSON, 128 bytes, 50 topics, 100 rules", Format::Json, "128 bytes", &[Dialect::Json])
    },
    Path {
        consumers: 8,
        ..path("JSON, 128 bytes, 8 consumers", Format::Json, "128 bytes", &[Dialect::Json])
    },
    path("JSON to pickle, 128 bytes", Format::Json, "128 bytes", &[Dialect::Pickle]),
    path("pickle to JSON, 128 bytes", Format::Pickle, "small.pickle", &[Dialect::Json]),
    path("pickle to all, 128 bytes", Format::Pickle, "small.pickle", EVERY_FORMAT),
    path("pickle to JSON, record", Format::Pickle, "record.pickle", &[Dialect::Json]),
    path("pickle to JSON, types", Format::Pickle, "types.pickle", &[Dialect::Json]),
    path("pickle to JSON, texts", Format::Pickle, "texts.pickle", &[Dialect::Json]),
    path("JSON to XML, record", Format::Json, "record.json", &[Dialect::Xml]),
    path("XML to JSON, record", Format::Xml, "record.xml", &[Dialect::Json]),
];

/// All paths: those of one record, and those of streams.
pub(crate) fn all() -> Result<Vec<Path>, String> {
    Ok(PATHS.iter().copied().chain(streams::paths()?).collect())
}

impl Path {
    /// Of a sample.
    pub(crate) fn of_sample(
        name: &'static str,
        sample: &'static Sample,
        format: Format,
        dialects: &'static [Dialect],
    ) -> Path {
        Path { payload: Payload::Sample(sample), ..path(name, format, "", dialects) }
    }

    pub(crate) fn sample(&self) -> Option<&'static Sample> {
        match self.payload {
            Payload::Sample(sample) => Some(sample),
            Payload::Named(_) => None,
        }
    }

    /// What a producer sends at once.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        let name = match self.payload {
            Payload::Sample(sample) => return sample.bodies(self.format),
            Payload::Named(name) => name,
        };
        let message = match name {
            "one digit" => "1".to_owned(),
            "16 bytes" => r#"{"id":100000000}"#.to_owned(),
            "128 bytes" => {
                let note = "lorem ipsum dolor sit amet lorem ipsum dolor sit am";
                format!(
                    r#"{{"sensor":"roof-07","id":48213,"celsius":21.5,"ok":true,"unit":"C","note":"{note}"}}"#
                )
            }
            "1 KiB" => {
                let reading = |at: u64| {
                    format!(r#"{{"at":{},"celsius":21.5,"ok":true}}"#, 1_700_000_000 + at)
                };
                let readings: Vec<String> = (0..12).map(reading).collect();
                let note = "lorem ipsum dolor sit amet ".repeat(17);
                format!(
                    r#"{{"sensor":"roof-07","readings":[{}],"note":"{note}"}}"#,
                    readings.join(",")
                )
            }
            "small.pickle" => {
                return vec![include_bytes!("../data/small.pickle").to_vec(); AT_ONCE];
            }
            "record.pickle" => {
                return vec![include_bytes!("../data/record.pickle").to_vec(); LONG_AT_ONCE];
            }
            "types.pickle" => {
                return vec![include_bytes!("../data/types.pickle").to_vec(); AT_ONCE];
            }
            "texts.pickle" => {
                return vec![include_bytes!("../data/texts.pickle").to_vec(); AT_ONCE];
            }
            "record.json" => {
                return vec![include_bytes!("../data/record.json").to_vec(); LONG_AT_ONCE];
            }
            _ => return vec![include_bytes!("../data/record.xml").to_vec(); LONG_AT_ONCE],
        };
        let topic = |index: usize| match self.topics {
            1 => "bench/flow".to_owned(),
            topics => format!("bench/flow/{}", index % topics),
        };
        let body = |index| {
            format!(r#"{{"command":"publish","topic":"{}","message":{message}}}"#, topic(index))
        };
        (0..AT_ONCE).map(|index| body(index).into_bytes()).collect()
    }
}
