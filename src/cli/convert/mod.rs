//! `babelmq convert`: the broker's translation without a broker.

mod effects;
mod explain;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::args::format;
use super::failure::Failure;
use super::input::{Input, Item, Kind};
use super::pretty;
use super::visible::{self, Place};
use crate::codec::Message;
use crate::protocol::{ClassPattern, ErrorCode, Format, PickleClasses};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file; `-`, or nothing, for standard input.
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,
    /// What it is in. Left out, the name of the file says it: .json, .ndjson, .xml, .pkl.
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    from: Option<Format>,
    /// What it is to become.
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = format())]
    to: Format,
    /// Every line is a message.
    #[arg(long)]
    lines: bool,
    /// Tag what JSON cannot tell apart: tuples, frozensets, large integers, keys that are no
    /// strings. In a pickle, keep the classes of dates, exact numbers, UUIDs and arrays.
    #[arg(long)]
    exact: bool,
    /// Put every element on a line of its own.
    #[arg(long)]
    pretty: bool,
    /// Say type by type what becomes what, instead.
    #[arg(long)]
    explain: bool,
    /// Classes of your own whose objects are read from pickles as the dicts of their fields, as
    /// app.models.Order, or all of a module, as 'app.models.*'. Nothing is imported or called. It
    /// can be given more than once.
    #[arg(long, value_name = "CLASS")]
    pickle_class: Vec<ClassPattern>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let input = Input::open(&args.file, kind(args)?)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut found = explain::Found::default();
    let classes = PickleClasses::listed(args.pickle_class.clone());
    for item in input {
        let item = item?;
        let converted = item.message_with_classes(classes).and_then(|message| {
            if args.explain {
                let value = message.value();
                found.add(&value.map_err(|refusal| refused(&item, refusal))?);
                return Ok(());
            }
            let translated = message.translate(args.to, args.exact);
            write(&mut out, &translated.map_err(|refusal| refused(&item, refusal))?, args.pretty)
        });
        if let Err(failure) = converted {
            // What was good before it is not lost.
            out.flush()?;
            warn(&item, &failure);
            return Err(failure);
        }
    }
    if args.explain {
        found.write(&mut out, args.to, args.exact)?;
    }
    Ok(out.flush()?)
}

fn refused(item: &Item, refusal: crate::protocol::Refusal) -> Failure {
    Failure::Payload { place: item.place.clone(), refusal }
}

fn kind(args: &Args) -> Result<Kind, Failure> {
    let named = Kind::of(&args.file).filter(|kind| *kind != Kind::Strings);
    match (args.from, named) {
        (Some(Format::Pickle), _) => Ok(Kind::Whole(Format::Pickle)),
        (Some(format), _) if args.lines => Ok(Kind::Lines(format)),
        (Some(format), Some(Kind::Lines(named))) if format == named => Ok(Kind::Lines(format)),
        (Some(format), _) => Ok(Kind::Whole(format)),
        (None, Some(Kind::Whole(format))) if args.lines && format != Format::Pickle => {
            Ok(Kind::Lines(format))
        }
        (None, Some(kind)) => Ok(kind),
        (None, None) => {
            let what = if args.file == Path::new("-") {
                "standard input".into()
            } else {
                args.file.display().to_string()
            };
            Err(Failure::Usage(format!(
                "what is {what} in? Say --from json, --from xml or --from pickle"
            )))
        }
    }
}

fn write(out: &mut impl Write, message: &Message, pretty: bool) -> Result<(), Failure> {
    if message.format() == Format::Pickle {
        return Ok(out.write_all(message.bytes())?);
    }
    let text = String::from_utf8_lossy(message.bytes());
    let text = match (pretty, message.format()) {
        (true, Format::Json) => pretty::data(&text).into(),
        (true, Format::Xml) => pretty::xml(&text).into(),
        _ => text,
    };
    let text = match Place::of_stdout() {
        // What a program reads is the translation itself.
        Place::Pipe => text,
        Place::Terminal => {
            visible::payload(&text, message.format(), Place::Terminal).into_owned().into()
        }
    };
    out.write_all(text.as_bytes())?;
    Ok(out.write_all(b"\n")?)
}

/// Says what the pickle would have done in Python, before its refusal is reported.
fn warn(item: &Item, failure: &Failure) {
    let Failure::Payload { place, refusal } = failure else { return };
    if refusal.code != ErrorCode::ForbiddenPickle {
        return;
    }
    let effects = effects::of(&item.bytes);
    if !effects.is_empty() {
        eprintln!("{}Python, unpickling this,", visible::line(place));
        for deed in effects {
            eprintln!("  would {deed}");
        }
        eprintln!("Nothing of it was done here.");
    }
}
