//! A start tag: which place the element has in its parent, and how it is to be read.

use std::mem;

use super::{Kind, Open, Reading};
use crate::class_name::is_class_name;
use crate::node::NamedType;
use crate::protocol::{ErrorCode, MAX_DEPTH};
use crate::xml::body::Root;
use crate::xml::fault::{Fault, shown};
use crate::xml::named;
use crate::xml::tag::{self, Attribute};
use crate::xml::text::Span;
use crate::xml::typed::{self, Scalar, Type};
use crate::{Node, Size, Text};

impl Reading<'_, '_> {
    pub(super) fn start(&mut self, inner: Span, begins: usize) -> Result<(), Fault> {
        let mut attributes = mem::take(&mut self.attributes);
        let opened = tag::parse(self.source, inner, &mut attributes)
            .map_err(|fault| match self.stack.is_empty() && self.root == Root::Body {
                true => fault,
                // Only the body has fields; twice the same attribute elsewhere is a fault of the
                // XML.
                false => Fault { code: ErrorCode::MalformedXml, ..fault },
            })
            .and_then(|name| self.open(name, &mut attributes, begins));
        self.attributes = attributes;
        opened
    }

    /// Opens an element in the place that its parent has for it.
    fn open(
        &mut self,
        name: Span,
        attributes: &mut [Attribute],
        begins: usize,
    ) -> Result<(), Fault> {
        let source = self.source;
        let prefixes = self.scope.depth();
        let Some(parent) = self.stack.last_mut() else {
            if self.is_root_complete {
                return Err(Fault::malformed(
                    begins,
                    format!(
                        "a second root element, <{}>; a body is one element",
                        shown(name.of(source))
                    ),
                ));
            }
            if self.root == Root::Body {
                return self.envelope(name, attributes, begins);
            }
            self.scope.enter(source, name, attributes)?;
            let open = Open { prefixes, ..self.unread(name, begins, 1) };
            return self
                .value(open, attributes, false)
                .map_err(|fault| fault.within(begins, name.of(source)));
        };
        parent.items += 1;
        let parent = *parent;
        if parent.kind == Kind::Envelope && name.of(source) == b"message" {
            self.is_scoped = true;
        }
        if self.is_scoped {
            self.scope.enter(source, name, attributes)?;
            self.look_at_name(name.of(source));
            for attribute in attributes.iter() {
                self.look_at_name(attribute.name.of(source));
            }
        }
        let mut open = Open { prefixes, ..self.unread(name, begins, parent.depth + 1) };
        let mut is_document = false;
        match parent.kind {
            Kind::Envelope => {
                if !self.fields.insert(name.of(source)) {
                    return Err(Fault::new(
                        ErrorCode::DuplicateField,
                        begins,
                        format!("the field {:?} is given twice", shown(name.of(source))),
                    ));
                }
                self.push_text(name.text())?;
            }
            Kind::Plain { document } => {
                is_document = document;
                if parent.items == 1 {
                    self.begin_dict(parent)?;
                }
                self.push_text(name.text())?;
            }
            Kind::Sequence => {}
            Kind::Dict | Kind::Object => {
                self.key(name, attributes)
                    .map_err(|fault| fault.within(begins, name.of(source)))?;
            }
            Kind::Map if name.of(source) == b"entry" => {
                self.refuse_others(attributes).map_err(|fault| fault.within(begins, b"entry"))?;
                open.kind = Kind::Entry;
                open.depth = parent.depth;
                self.stack.push(open);
                return Ok(());
            }
            Kind::Entry if parent.items == 1 && name.of(source) == b"key" => {}
            Kind::Entry if parent.items == 2 && name.of(source) == b"value" => {}
            Kind::Scalar(_) | Kind::Map | Kind::Entry => return Err(self.misplaced(parent, open)),
        }
        self.value(open, attributes, is_document)
            .map_err(|fault| fault.within(begins, name.of(source)))
    }

    fn unread(&self, name: Span, begins: usize, depth: usize) -> Open {
        Open {
            kind: Kind::Plain { document: false },
            name,
            begins,
            node: self.document.len(),
            items: 0,
            depth,
            pieces: self.pieces.len(),
            prefixes: 0,
        }
    }

    #[cold]
    fn misplaced(&self, parent: Open, child: Open) -> Fault {
        let takes = match parent.kind {
            Kind::Map => {
                "a type=\"map\" takes elements <entry>, each of a <key> and a <value>".to_owned()
            }
            Kind::Entry => "an <entry> of a map takes a <key> and then a <value>".to_owned(),
            Kind::Scalar(scalar) => format!("a type=\"{}\" takes text only", scalar.word()),
            _ => "text is expected".to_owned(),
        };
        let what = format!(
            "<{}> in <{}>: {takes}",
            shown(child.name.of(self.source)),
            shown(parent.name.of(self.source))
        );
        Fault::new(ErrorCode::InvalidTag, child.begins, what)
    }

    /// Opens the body and reads its attributes.
    fn envelope(
        &mut self,
        name: Span,
        attributes: &[Attribute],
        begins: usize,
    ) -> Result<(), Fault> {
        let mut open = self.unread(name, begins, 0);
        open.kind = Kind::Envelope;
        open.items = attributes.len() as u32;
        self.push_node(Node::Dict(Size::default()))?;
        for attribute in attributes {
            self.fields.insert(attribute.name.of(self.source));
            self.push_text(attribute.name.text())?;
            self.push_value(*attribute)?;
        }
        self.stack.push(open);
        Ok(())
    }

    /// Writes the key that an element has in a dict.
    fn key(&mut self, name: Span, attributes: &mut [Attribute]) -> Result<(), Fault> {
        let source = self.source;
        let find = |attributes: &[Attribute], wanted: &[u8]| {
            attributes.iter().position(|attribute| attribute.name.of(source) == wanted)
        };
        // For a key that is no name, dicttoxml writes `<key name="…">`.
        if name.of(source) == b"key"
            && let Some(key) = find(attributes, b"name")
        {
            attributes[key].is_used = true;
            return self.push_value(attributes[key]);
        }
        if name.of(source) != b"item" {
            return self.push_text(name.text());
        }
        let Some(key) = find(attributes, b"key") else { return self.push_text(name.text()) };
        attributes[key].is_used = true;
        let key = attributes[key];
        let Some(encoding) = find(attributes, b"key-encoding") else { return self.push_value(key) };
        attributes[encoding].is_used = true;
        self.joined.clear();
        tag::push_value(source, attributes[encoding], &mut self.joined)?;
        if self.joined != b"base64" {
            return Err(typed::invalid("the only key-encoding is base64"));
        }
        self.joined.clear();
        tag::push_value(source, key, &mut self.joined)?;
        let text = typed::base64(&self.joined, self.document)
            .filter(|&text| str::from_utf8(self.document.text(source, text)).is_ok())
            .ok_or_else(|| {
                typed::invalid("key=\"…\" is not the base64 of UTF-8 that key-encoding says it is")
            })?;
        self.push_text(text)
    }

    /// Opens the element as its `type` says.
    fn value(
        &mut self,
        mut open: Open,
        attributes: &mut [Attribute],
        is_document: bool,
    ) -> Result<(), Fault> {
        let type_ = if is_document { None } else { self.take_type(attributes)? };
        let (kind, node) = match type_ {
            None => (Kind::Plain { document: is_document }, Node::None),
            Some(Type::Document) => (Kind::Plain { document: true }, Node::None),
            Some(Type::Scalar(scalar)) => {
                (Kind::Scalar(self.take_encoding(scalar, attributes)?), Node::None)
            }
            Some(Type::List) => (Kind::Sequence, Node::List(Size::default())),
            Some(Type::Tuple) => (Kind::Sequence, Node::Tuple(Size::default())),
            Some(Type::Set) => (Kind::Sequence, Node::Set(Size::default())),
            Some(Type::FrozenSet) => (Kind::Sequence, Node::FrozenSet(Size::default())),
            Some(Type::Dict) => (Kind::Dict, Node::Dict(Size::default())),
            Some(Type::Map) => (Kind::Map, Node::Dict(Size::default())),
            Some(Type::Object) => {
                self.begin_object(attributes)?;
                (Kind::Object, Node::Dict(Size::default()))
            }
        };
        open.kind = kind;
        open.node = self.document.len();
        self.push_node(node)?;
        if kind == Kind::Scalar(Scalar::Ndarray) {
            self.array_head(attributes)?;
        }
        match kind {
            Kind::Plain { .. } => {
                for attribute in attributes.iter().filter(|attribute| !attribute.is_used) {
                    open.items += 1;
                    if open.items == 1 {
                        self.begin_dict(open)?;
                    }
                    let name = attribute.name.of(self.source);
                    let key: Result<Text, Fault> = self.document.own_text(|own| {
                        own.push(b'@');
                        own.extend_from_slice(name);
                        Ok(())
                    });
                    self.push_text(key?)?;
                    self.push_value(*attribute)?;
                }
            }
            Kind::Scalar(_) => self.refuse_others(attributes)?,
            _ => {
                self.refuse_others(attributes)?;
                self.judge_depth(open)?;
            }
        }
        self.stack.push(open);
        Ok(())
    }

    /// What an object has before its state: its type, whose extent is known later, and its class.
    fn begin_object(&mut self, attributes: &mut [Attribute]) -> Result<(), Fault> {
        const WANTED: &str = "type=\"object\" takes class=\"app.models.Order\"; if it is not meant for \
                              the broker, put type=\"document\" on <message>";
        self.take_attribute(b"class", attributes)?.ok_or_else(|| typed::invalid(WANTED))?;
        if !is_class_name(&self.joined) {
            return Err(typed::invalid(WANTED));
        }
        let class = typed::own(self.document, &self.joined)?;
        self.push_node(Node::Named(NamedType::Object, Size::default()))?;
        self.push_text(class)
    }

    /// What an array has behind its node until its text is there: its dtype and its shape.
    fn array_head(&mut self, attributes: &mut [Attribute]) -> Result<(), Fault> {
        const WANTED: &str = "type=\"ndarray\" takes dtype=\"&lt;f8\" shape=\"2 3\"";
        self.take_attribute(b"dtype", attributes)?.ok_or_else(|| typed::invalid(WANTED))?;
        let dtype = typed::own(self.document, &self.joined)?;
        self.push_text(dtype)?;
        self.take_attribute(b"shape", attributes)?.ok_or_else(|| typed::invalid(WANTED))?;
        let shape = named::shape(&self.joined).ok_or_else(|| typed::invalid(WANTED))?;
        let dimensions = shape.len() as u32;
        self.push_node(Node::Tuple(Size::new(dimensions, dimensions)))?;
        for dimension in shape {
            let dimension = i64::try_from(dimension).map_err(|_| typed::invalid(WANTED))?;
            self.push_node(Node::Int(dimension))?;
        }
        Ok(())
    }

    /// Uses up an attribute, whose value is then in `joined`.
    fn take_attribute(
        &mut self,
        name: &[u8],
        attributes: &mut [Attribute],
    ) -> Result<Option<()>, Fault> {
        let source = self.source;
        let found = attributes.iter_mut().find(|attribute| attribute.name.of(source) == name);
        let Some(attribute) = found else { return Ok(None) };
        attribute.is_used = true;
        self.joined.clear();
        tag::push_value(source, *attribute, &mut self.joined)?;
        Ok(Some(()))
    }

    /// The type that the element has; its attribute is used up.
    fn take_type(&mut self, attributes: &mut [Attribute]) -> Result<Option<Type>, Fault> {
        let source = self.source;
        let Some(attribute) =
            attributes.iter_mut().find(|attribute| attribute.name.of(source) == b"type")
        else {
            return Ok(None);
        };
        let named = if attribute.is_literal {
            Type::named(attribute.value.of(source))
        } else {
            self.joined.clear();
            tag::push_value(source, *attribute, &mut self.joined)?;
            Type::named(&self.joined)
        };
        attribute.is_used = named.is_some();
        Ok(named)
    }

    /// The scalar type with what `encoding` says of it.
    fn take_encoding(
        &mut self,
        scalar: Scalar,
        attributes: &mut [Attribute],
    ) -> Result<Scalar, Fault> {
        let source = self.source;
        if !matches!(scalar, Scalar::Str | Scalar::Bytes) {
            return Ok(scalar);
        }
        let Some(encoding) =
            attributes.iter_mut().find(|attribute| attribute.name.of(source) == b"encoding")
        else {
            return Ok(scalar);
        };
        encoding.is_used = true;
        self.joined.clear();
        tag::push_value(source, *encoding, &mut self.joined)?;
        match (self.joined.as_slice(), scalar) {
            (b"base64", Scalar::Str) => Ok(Scalar::EncodedStr),
            (b"base64", _) => Ok(scalar),
            (other, _) => Err(typed::invalid(format!(
                "encoding=\"{}\"; the only encoding is base64",
                shown(other)
            ))),
        }
    }

    /// Refuses what would be lost: attributes of a typed element that are not ours.
    fn refuse_others(&mut self, attributes: &[Attribute]) -> Result<(), Fault> {
        for attribute in attributes.iter().filter(|attribute| !attribute.is_used) {
            let name = attribute.name.of(self.source);
            if name != b"xmlns" && !name.starts_with(b"xmlns:") && !name.starts_with(b"xml:") {
                return Err(typed::invalid(format!(
                    "attribute {:?} has no place in a typed value; if these types are not meant \
                     for the broker, put \
                     type=\"document\" on <message>",
                    shown(name)
                )));
            }
            // It means nothing to the broker, but it is passed on, so its references are judged.
            if !attribute.is_literal {
                self.joined.clear();
                tag::push_value(self.source, *attribute, &mut self.joined)?;
            }
        }
        Ok(())
    }

    fn judge_depth(&self, open: Open) -> Result<(), Fault> {
        if open.depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(Fault::new(
            ErrorCode::TooDeep,
            open.begins,
            format!(
                "<{}>: the message nests deeper than {MAX_DEPTH}",
                shown(open.name.of(self.source))
            ),
        ))
    }

    /// A plain element turns out to be a dict.
    fn begin_dict(&mut self, open: Open) -> Result<(), Fault> {
        self.judge_depth(open)?;
        self.document.nodes_mut()[open.node] = Node::Dict(Size::default());
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Result<(), Fault> {
        self.budget.node(0)?;
        self.document.push(node);
        Ok(())
    }

    /// Appends a string and pays for it.
    pub(super) fn push_text(&mut self, text: Text) -> Result<(), Fault> {
        self.budget.node(text.len())?;
        self.document.push(Node::Str(text));
        Ok(())
    }

    fn push_value(&mut self, attribute: Attribute) -> Result<(), Fault> {
        let text = if attribute.is_literal {
            attribute.value.text()
        } else {
            self.document.own_text(|own| tag::push_value(self.source, attribute, own))?
        };
        self.push_text(text)
    }
}
