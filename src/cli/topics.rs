//! `babelmq topics`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use super::address::Address;
use super::archive;
use super::args::{Color, filter, format};
use super::color;
use super::failure::Failure;
use super::show::{Show, Style};
use crate::codec::Message;
use crate::middleware::{Arrival, Client, QueueError, Subscribe};
use crate::protocol::{Format, Topic, TopicFilter};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Those at and below this one; `+` and `#` as in a subscription.
    #[arg(
        value_name = "PREFIX", default_value = "#", hide_default_value = true,
        value_parser = filter,
    )]
    prefix: TopicFilter,
    /// Draw them as a tree.
    #[arg(long)]
    tree: bool,
    /// Print the values as well.
    #[arg(long)]
    values: bool,
    /// The format of the values.
    #[arg(long, short, value_name = "FORMAT", default_value = "json", value_parser = format())]
    format: Format,
    #[command(flatten)]
    style: Style,
    /// Those in this data directory, which no broker has open.
    #[arg(long, value_name = "DIR", conflicts_with = "address")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    broker: Address,
}

pub(super) fn run(args: &Args, color: Color) -> Result<(), Failure> {
    let show = args.style.show("{topic} {value}", color)?;
    let topics = match &args.data_dir {
        Some(directory) => {
            archive::topics(directory, &args.prefix, args.values.then_some(args.format))?
        }
        None => of_broker(args)?,
    };
    let mut out = BufWriter::new(io::stdout());
    if args.tree {
        let mut tree = Branch::default();
        for (topic, message) in &topics {
            tree.add(topic, Some(message.as_ref()));
        }
        tree.draw(&mut out, &show, color.on_stdout())?;
    } else {
        for (topic, message) in &topics {
            match message {
                Some(message) => show.message(&mut out, Some(topic), message, true)?,
                None => writeln!(out, "{}", show.topic(topic))?,
            }
        }
    }
    Ok(out.flush()?)
}

fn of_broker(args: &Args) -> Result<BTreeMap<Topic, Option<Message>>, Failure> {
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut client = broker.connect().map_err(&failed)?;
    if args.values {
        return stored(&mut client, args).map_err(failed);
    }
    let topics = client.topics(&args.prefix).map_err(failed)?;
    Ok(topics.into_iter().map(|topic| (topic, None)).collect())
}

/// Topics and values at one moment: what a subscription begins with.
fn stored(
    client: &mut Client,
    args: &Args,
) -> Result<BTreeMap<Topic, Option<Message>>, QueueError> {
    client.subscribe(&args.prefix, args.format, Subscribe::default())?;
    let mut found = BTreeMap::new();
    loop {
        let deadline = Instant::now().checked_add(args.broker.timeout);
        match client.next(deadline)?.ok_or(QueueError::TimedOut)? {
            Arrival::Delivery { topic, message, .. } => drop(found.insert(topic, Some(message))),
            Arrival::Subscribed { .. } => return Ok(found),
            Arrival::Refused(refused) => return Err(QueueError::Refused(refused)),
            _ => {}
        }
    }
}

/// A segment, with what is below it.
#[derive(Default)]
struct Branch<'a> {
    below: BTreeMap<&'a str, Branch<'a>>,
    /// Whether a topic ends here, and its value if that is to be shown.
    topic: Option<Option<&'a Message>>,
}

impl<'a> Branch<'a> {
    fn add(&mut self, topic: &'a Topic, holds: Option<Option<&'a Message>>) {
        // The empty segment before a leading slash is no branch: its children are "/weather".
        let text = topic.as_str();
        let slash = usize::from(text.starts_with('/'));
        let (first, rest) = match text[slash..].find('/') {
            Some(end) => (&text[..slash + end], Some(&text[slash + end + 1..])),
            None => (text, None),
        };
        let mut branch = self.below.entry(first).or_default();
        for segment in rest.into_iter().flat_map(|rest| rest.split('/')) {
            branch = branch.below.entry(segment).or_default();
        }
        branch.topic = holds;
    }

    /// Roots at the margin, everything below with its lines. Depth is bounded by the segments of a
    /// topic.
    fn draw(&self, out: &mut impl Write, show: &Show, color: bool) -> Result<(), Failure> {
        for (name, root) in &self.below {
            root.line(out, show, color, "", "", name)?;
            root.draw_below(out, show, color, "")?;
        }
        Ok(())
    }

    fn draw_below(
        &self,
        out: &mut impl Write,
        show: &Show,
        color: bool,
        indent: &str,
    ) -> Result<(), Failure> {
        for (index, (name, branch)) in self.below.iter().enumerate() {
            let last = index + 1 == self.below.len();
            branch.line(out, show, color, indent, if last { "└── " } else { "├── " }, name)?;
            let indent = format!("{indent}{}", if last { "    " } else { "│   " });
            branch.draw_below(out, show, color, &indent)?;
        }
        Ok(())
    }

    fn line(
        &self,
        out: &mut impl Write,
        show: &Show,
        color: bool,
        indent: &str,
        joint: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let painted =
            |style, text: &str| if color { color::styled(style, text) } else { text.to_owned() };
        let lines = painted(color::FAINT, &format!("{indent}{joint}"));
        let lines = if joint.is_empty() { String::new() } else { lines };
        // A branch that is no topic itself stands back.
        let name = show.name(if self.topic.is_some() { color::TOPIC } else { color::FAINT }, name);
        match self.topic {
            Some(Some(message)) => writeln!(out, "{lines}{name}  {}", show.value(message, false)?)?,
            _ => writeln!(out, "{lines}{name}")?,
        }
        Ok(())
    }
}
