//! An end tag: the element's content is there, and its node can be written.

use super::{Kind, Open, Reading};
use crate::node::NamedType;
use crate::xml::fault::Fault;
use crate::xml::text::Content;
use crate::xml::typed::Scalar;
use crate::xml::{named, plain, typed};
use crate::{Node, Size, keys};

impl Reading<'_, '_> {
    /// Completes the innermost element, which ends before `end`.
    pub(super) fn end(&mut self, end: usize) -> Result<(), Fault> {
        let Some(open) = self.stack.pop() else {
            return Err(Fault::malformed(end, "an end tag without its start tag"));
        };
        self.complete(open)
            .map_err(|fault| fault.within(open.begins, open.name.of(self.source)))?;
        self.pieces.truncate(open.pieces);
        self.scope.leave(open.prefixes);
        match self.stack.last() {
            None => self.is_root_complete = true,
            Some(Open { kind: Kind::Envelope, .. }) => {
                self.is_scoped = false;
                if open.name.of(self.source) == b"message" {
                    self.message = Some(open.begins..end);
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Writes the node of an element now that all of its content is there.
    fn complete(&mut self, open: Open) -> Result<(), Fault> {
        let Reading { source, document, budget, .. } = self;
        let nodes = (document.len() - open.node).saturating_sub(1) as u32;
        let size = Size::new(open.items, nodes);
        match open.kind {
            Kind::Envelope => document.nodes_mut()[open.node] = Node::Dict(size),
            Kind::Plain { .. } => return self.complete_plain(open),
            Kind::Scalar(Scalar::Ndarray) => {
                let content = Content::join(&self.pieces[open.pieces..], source, &mut self.joined);
                let text = content.bytes(source);
                named::read_array(text, source, open.node, document, budget)?;
            }
            Kind::Scalar(scalar) => {
                let content = Content::join(&self.pieces[open.pieces..], source, &mut self.joined);
                let node = scalar.read(content, source, document, budget)?;
                document.nodes_mut()[open.node] = node;
            }
            Kind::Sequence => match &mut document.nodes_mut()[open.node] {
                Node::List(of) | Node::Tuple(of) => *of = size,
                _ => keys::settle(document, source, open.node, budget)?,
            },
            Kind::Dict | Kind::Map => keys::settle(document, source, open.node, budget)?,
            Kind::Object => {
                keys::settle(document, source, open.node, budget)?;
                let at = open.node - 2;
                let size = Size::new(2, (document.len() - at - 1) as u32);
                document.nodes_mut()[at] = Node::Named(NamedType::Object, size);
            }
            Kind::Entry if open.items == 2 => {}
            Kind::Entry => {
                return Err(typed::invalid("an entry of a map takes a <key> and a <value>"));
            }
        }
        Ok(())
    }

    fn complete_plain(&mut self, open: Open) -> Result<(), Fault> {
        let source = self.source;
        let content =
            Content::join(&self.pieces[open.pieces..], source, &mut self.joined).strip(source);
        let text = match content {
            Content::Source(span) if span.len() > 0 => Some(span.text()),
            Content::Joined(joined) if !joined.is_empty() => {
                Some(typed::own(self.document, joined)?)
            }
            _ => None,
        };
        if open.items == 0 {
            if let Some(text) = text {
                self.budget.bytes(text.len())?;
                self.document.nodes_mut()[open.node] = Node::Str(text);
            }
            return Ok(());
        }
        let mut items = open.items;
        if let Some(text) = text {
            let key = match self.text_key {
                Some(key) => key,
                None => *self.text_key.insert(typed::own(self.document, b"#text")?),
            };
            self.push_text(key)?;
            self.push_text(text)?;
            items += 1;
        }
        self.has_repeats |= plain::close(self.document, source, open.node, items);
        Ok(())
    }
}
