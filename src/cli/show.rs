//! Messages as they are printed.

use std::io::Write;

use super::args::Color;
use super::failure::Failure;
use super::visible::{self, Place};
use super::{color, pretty};
use crate::codec::Dialect;
use crate::codec::Message;
use crate::protocol::{Format, Refusal, Topic};

/// How messages are to be printed.
#[derive(Debug, clap::Args)]
pub(super) struct Style {
    /// Print the bytes of each payload and nothing else: of pickles, the pickles.
    #[arg(long, conflicts_with_all = ["pretty", "template"])]
    raw: bool,
    /// Print each payload on as many lines as it takes to read it.
    #[arg(long, conflicts_with = "template")]
    pretty: bool,
    /// Print each message so: {topic}, {value}, {format}, {retained}, and \n, \t, {{, }}.
    #[arg(long, value_name = "TEXT", value_parser = template)]
    template: Option<Template>,
}

/// A template, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    Value,
    Format,
    Retained,
}

/// Prints messages.
pub(super) struct Show {
    how: How,
    color: bool,
    place: Place,
}

enum How {
    Raw,
    Template(Template),
    /// The topic on a line of its own, the value below it.
    Pretty,
}

impl How {
    fn template(&self) -> Option<&Template> {
        match self {
            How::Template(template) => Some(template),
            How::Raw | How::Pretty => None,
        }
    }
}

impl Style {
    /// A printer of messages; `line` is the template where none was given.
    pub(super) fn show(&self, line: &str, color: Color) -> Result<Show, Failure> {
        let how = match &self.template {
            Some(template) => How::Template(template.clone()),
            None if self.raw => How::Raw,
            None if self.pretty => How::Pretty,
            None => How::Template(template(line).map_err(Failure::Usage)?),
        };
        Ok(Show { how, color: color.on_stdout(), place: Place::of_stdout() })
    }
}

impl Show {
    /// Prints a message.
    pub(super) fn message(
        &self,
        out: &mut impl Write,
        topic: Option<&Topic>,
        message: &Message,
        retained: bool,
    ) -> Result<(), Failure> {
        if matches!(self.how, How::Raw) {
            out.write_all(message.bytes())?;
            // Pickles say where they end; everything else is a line.
            if message.format() != Format::Pickle {
                out.write_all(b"\n")?;
            }
            return Ok(());
        }
        let value = |pretty: bool| self.value(message, pretty);
        self.print(out, topic, value, message.format(), retained)
    }

    /// Prints that a topic holds no value any more: the word in the place of a value is one that no
    /// value is spelled as.
    pub(super) fn cleared(
        &self,
        out: &mut impl Write,
        topic: &Topic,
        format: Format,
    ) -> Result<(), Failure> {
        self.print(out, Some(topic), |_| Ok("cleared".into()), format, false)
    }

    /// Prints text, where `value` is told whether it may have several lines.
    fn print(
        &self,
        out: &mut impl Write,
        topic: Option<&Topic>,
        value: impl Fn(bool) -> Result<String, Failure>,
        format: Format,
        retained: bool,
    ) -> Result<(), Failure> {
        let Some(Template(pieces)) = self.how.template() else {
            if let Some(topic) = topic {
                writeln!(out, "{}", self.topic(topic))?;
            }
            return Ok(writeln!(out, "{}", value(true)?)?);
        };
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.write_all(text.as_bytes())?,
                Piece::Topic => {
                    if let Some(topic) = topic {
                        write!(out, "{}", self.topic(topic))?;
                    }
                }
                Piece::Value => write!(out, "{}", value(false)?)?,
                Piece::Format => write!(out, "{format}")?,
                Piece::Retained => write!(out, "{retained}")?,
            }
        }
        Ok(out.write_all(b"\n")?)
    }

    pub(super) fn topic(&self, topic: &Topic) -> String {
        self.name(color::TOPIC, topic.as_str())
    }

    /// A topic or a part of one, as it is to be printed.
    pub(super) fn name(&self, style: anstyle::Style, name: &str) -> String {
        let name = if self.place == Place::Terminal { visible::line(name) } else { name.into() };
        if self.color { color::styled(style, &name) } else { name.into_owned() }
    }

    /// The payload as a text of one line, or with `pretty` of many.
    pub(super) fn value(&self, message: &Message, pretty: bool) -> Result<String, Failure> {
        let unreadable =
            |refusal: Refusal| Failure::Payload { place: "a message: ".into(), refusal };
        let line = one_line(message, self.place).map_err(unreadable)?;
        let line = visible::payload(&line, message.format(), self.place);
        Ok(match (message.format(), pretty, self.color) {
            (Format::Xml, true, true) => color::xml(&pretty::xml(&line)),
            (Format::Xml, true, false) => pretty::xml(&line),
            (Format::Xml, false, true) => color::xml(&line),
            (_, true, true) => color::data(&pretty::data(&line)),
            (_, true, false) => pretty::data(&line),
            (_, false, true) => color::data(&line),
            _ => line.into_owned(),
        })
    }
}

/// The payload as text without a line break: JSON and XML as they came, if they came so; a pickle
/// as Python shows what is in it. XML with line breaks, or with characters that are to be escaped,
/// which may stand where they cannot be, is written anew.
fn one_line(message: &Message, place: Place) -> Result<String, Refusal> {
    let text = || String::from_utf8_lossy(message.bytes()).into_owned();
    Ok(match message.format() {
        Format::Pickle => message.value()?.to_string(),
        // JSON has line breaks between tokens only.
        Format::Json => text().replace(['\n', '\r'], " "),
        Format::Xml
            if message.bytes().contains(&b'\n') || visible::needs_escapes(&text(), place) =>
        {
            let again = Message::of_value(&message.value()?, Dialect::Xml)?;
            String::from_utf8_lossy(again.bytes()).replace('\n', "&#10;")
        }
        Format::Xml => text(),
    })
}

fn template(text: &str) -> Result<Template, String> {
    const NAMES: &str =
        "{topic}, {value}, {format} and {retained}; a brace by itself is written {{ or }}";
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (taken, piece) = match first {
            '{' if rest.starts_with("{{") => (2, Err('{')),
            '}' if rest.starts_with("}}") => (2, Err('}')),
            '{' => {
                let end =
                    rest.find('}').ok_or(format!("a brace is not closed; there are {NAMES}"))?;
                let piece = match &rest[1..end] {
                    "topic" => Piece::Topic,
                    "value" => Piece::Value,
                    "format" => Piece::Format,
                    "retained" => Piece::Retained,
                    other => return Err(format!("there is no {{{other}}}; there are {NAMES}")),
                };
                (end + 1, Ok(piece))
            }
            '}' => return Err(format!("a brace is not opened; there are {NAMES}")),
            '\\' if rest.starts_with("\\n") => (2, Err('\n')),
            '\\' if rest.starts_with("\\t") => (2, Err('\t')),
            other => (other.len_utf8(), Err(other)),
        };
        rest = &rest[taken..];
        match piece {
            Err(character) => plain.push(character),
            Ok(piece) => {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(piece);
            }
        }
    }
    pieces.push(Piece::Text(plain));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(Template(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_the_topic_and_the_value() {
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(template("{topic} {value}").unwrap().0, [Piece::Topic, text(" "), Piece::Value]);
        assert_eq!(template("{{\\t}}").unwrap().0, [text("{\t}")]);
        for bad in ["{", "}", "{x}", "{topic"] {
            assert!(template(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn xml_on_one_line_means_the_same() {
        let lines = Message::parse(
            Format::Xml,
            b"<message type=\"dict\">\n  <a type=\"str\">x\ny</a>\n</message>",
        )
        .unwrap();
        let line = one_line(&lines, Place::Pipe).unwrap();
        assert_eq!(line, "<message type=\"dict\"><a type=\"str\">x&#10;y</a></message>");
        let again = Message::parse(Format::Xml, line.as_bytes()).unwrap();
        assert_eq!(again.value(), lines.value());
    }
}
