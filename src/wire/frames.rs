//! Deliveries to frames: each kind in the format or the dialect that its subscriber asked for.
//!
//! A frame's answer is written in the format of its request, so that is what its [`Token`] says.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::write_batch::WriteBatch;
use crate::broker::Selection;
use crate::codec::{
    Batch, Content, Dialect, Frame, PlainNames, Run, View, write_backup, write_reply, write_stats,
    xml,
};
use crate::protocol::{Format, Limits, Reply, Token, Value};

/// What the answer to a frame in this format brings back.
#[inline]
pub(crate) fn token_of(format: Format) -> Token {
    Token(u16::from(format.byte()))
}

/// The format of a frame's answer.
pub(crate) fn format_of(token: Token) -> Format {
    let byte = u8::try_from(token.0).ok();
    byte.and_then(Format::from_byte).unwrap_or(Format::Json)
}

impl WriteBatch {
    /// Adds an answer, or what the broker says of itself.
    pub(crate) fn reply(&mut self, token: Token, reply: &Reply) {
        self.append(|out| write_reply(out, format_of(token), reply));
    }

    /// Adds the answer to a `stats`.
    pub(crate) fn stats(&mut self, token: Token, stats: &Value) {
        self.append(|out| write_stats(out, format_of(token), stats));
    }

    /// Adds the answer to a `backup`: the name of the file.
    pub(crate) fn backup(&mut self, token: Token, name: &str) {
        self.append(|out| write_backup(out, format_of(token), name));
    }

    /// Adds a message that is in no run.
    pub(crate) fn message(
        &mut self,
        frame: Frame,
        dialect: Dialect,
        topic: &str,
        content: Content<'_>,
    ) {
        self.append(|out| frame.write(out, dialect, topic, content));
    }

    /// Adds a message that is in no run and was decoded. Plain XML of it has these names, unless it
    /// is to have types because it would be too long.
    pub(crate) fn value(
        &mut self,
        frame: Frame,
        dialect: Dialect,
        topic: &str,
        view: View<'_>,
        names: &PlainNames,
        limits: &Limits,
    ) {
        let dialect = dialect.fitting(view, names, limits.max_encoded);
        if dialect == Dialect::PlainXml && !names.are_usual() {
            let mut element = Vec::new();
            xml::encode_plain(view, names, &mut element);
            self.message(frame, dialect, topic, Content::Published(&element));
        } else {
            self.message(frame, dialect, topic, Content::Decoded(view));
        }
    }

    /// Adds the messages of a run, up to the first that is in none; returns which that is.
    /// Neighbours are one segment.
    pub(crate) fn messages(
        &mut self,
        (batch, run): (&Arc<Batch>, &Run),
        dialect: Dialect,
        messages: &mut dyn Iterator<Item = usize>,
    ) -> Option<usize> {
        let bytes = batch.run_bytes(run);
        let mut segment: Range<usize> = 0..0;
        let mut apart = None;
        for message in messages {
            let frame = batch.frame(run, message);
            if segment.end == frame.start {
                segment.end = frame.end;
            } else {
                self.share(batch, dialect, bytes, mem::replace(&mut segment, frame));
            }
            if batch.messages()[message].expands() {
                apart = Some(message);
                break;
            }
        }
        self.share(batch, dialect, bytes, segment);
        apart
    }

    /// Adds all messages of a run, where none is in no run.
    pub(crate) fn whole_run(&mut self, (batch, run): (&Arc<Batch>, &Run), dialect: Dialect) {
        let bytes = batch.run_bytes(run);
        self.share(batch, dialect, bytes, 0..bytes.len());
    }
}

/// The messages of a batch that one subscriber gets, without the first `skipped` of them.
pub(crate) fn selected<'a>(
    batch: &'a Batch,
    dialect: Dialect,
    selection: &'a Selection,
    skipped: usize,
) -> Box<dyn Iterator<Item = usize> + 'a> {
    match selection {
        Selection::Whole => Box::new(
            (0..batch.messages().len())
                .filter(move |message| batch.is_wanted(dialect, *message))
                .skip(skipped),
        ),
        Selection::Some(messages) => {
            Box::new(messages.iter().map(|message| *message as usize).skip(skipped))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_format_of_the_frame() {
        for format in Format::ALL {
            assert_eq!(format_of(token_of(format)), format);
        }
        assert_eq!(format_of(Token::default()), Format::Json);
    }
}
