//! The fields of a message body, whatever its format.

mod streams;

use std::borrow::Cow;

use super::dialect::Dialect;
use super::payload_span::{Part, PayloadSpan};
use super::request::{ControlRequest, Credentials, Request};
use crate::protocol::{Command, ErrorCode, Format, Id, Overflow, Refusal, ScalarType};
use crate::xml::PlainNames;
use crate::{Document, Node};
use streams::Rare;

/// Bytes in the `id` of a ping.
const MAX_ID_BYTES: usize = 1_024;

/// The fields that a publish needs, and the only ones that a frame has that is passed on as it
/// came: `command`, `topic` and `message`.
const PUBLISH_FIELDS: u32 = 3;

/// The one list of names: what is added here is known everywhere.
macro_rules! names {
    ($($name:ident $text:literal),* $(,)?) => {
        /// The fields that the broker knows; all others are ignored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Name {
            $($name),*
        }

        impl Name {
            #[cfg(test)]
            const ALL: &[Name] = &[$(Name::$name),*];

            pub(crate) fn from_bytes(name: &[u8]) -> Option<Name> {
                Some(match name {
                    $(_ if name == $text.as_bytes() => Name::$name,)*
                    _ => return None,
                })
            }

            fn as_str(self) -> &'static str {
                match self {
                    $(Name::$name => $text),*
                }
            }
        }
    };
}

names! {
    Command "command",
    Topic "topic",
    Message "message",
    Retain "retain",
    Ttl "ttl",
    Exact "exact",
    Overflow "overflow",
    Queue "queue",
    Id "id",
    Cleared "cleared",
    Plain "plain",
    Root "root",
    Item "item",
    User "user",
    Password "password",
    Token "token",
    Stream "stream",
    Consumer "consumer",
    Start "start",
    Window "window",
    AckWait "ack-wait",
    MaxDeliver "max-deliver",
    Backoff "backoff",
    Order "order",
    Seq "seq",
    Upto "upto",
    Delay "delay",
    Reason "reason",
    Last "last",
    Age "age",
    Bytes "bytes",
    Messages "messages",
    Full "full",
    Below "below",
}

/// The value of a field other than `message`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Str(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A date and time, as `isoformat()` writes it.
    Datetime(Box<str>),
    /// The first values of a list, one more than a field may have.
    List(Box<[Field<'a>]>),
    /// Something that no field can be, in words.
    Other(&'static str),
}

impl<'a> Field<'a> {
    /// A string that the reader has checked to be UTF-8.
    pub(crate) fn from_utf8(text: Cow<'a, [u8]>) -> Field<'a> {
        let text = match text {
            Cow::Borrowed(text) => str::from_utf8(text).ok().map(Cow::Borrowed),
            Cow::Owned(text) => String::from_utf8(text).ok().map(Cow::Owned),
        };
        text.map_or(Field::Other("a string that is not UTF-8"), Field::Str)
    }

    fn from_node(source: &'a [u8], document: &Document, node: Node) -> Field<'a> {
        match node {
            Node::Str(text) => Field::from_utf8(document.text_of_source(source, text)),
            Node::Bool(truth) => Field::Bool(truth),
            Node::Int(number) => Field::Int(number),
            Node::Float(number) => Field::Float(number),
            other => Field::Other(other.type_name()),
        }
    }

    /// The value of the field `name`, whose nodes begin at `at`.
    pub(crate) fn from_nodes(
        source: &'a [u8],
        document: &Document,
        name: Name,
        at: usize,
    ) -> Field<'a> {
        let node = document.nodes()[at];
        match (name, node) {
            (Name::Backoff, Node::List(_) | Node::Tuple(_)) => streams::list(source, document, at),
            (Name::Start, Node::Typed(ScalarType::Datetime, text)) => {
                match Field::from_utf8(document.text_of_source(source, text)) {
                    Field::Str(text) => Field::Datetime(text.into()),
                    other => other,
                }
            }
            _ => Field::from_node(source, document, node),
        }
    }

    /// Whether the field `name` is more than a scalar, so that it is decoded.
    pub(crate) fn is_decoded(name: Name) -> bool {
        matches!(name, Name::Backoff | Name::Start)
    }

    fn kind(&self) -> &'static str {
        match self {
            Field::Str(_) => "a string",
            Field::Bool(_) => "a boolean",
            Field::Int(_) => "an integer",
            Field::Float(_) => "a number with a fraction or an exponent",
            Field::Datetime(_) => "a datetime",
            Field::List(_) => "a list",
            Field::Other(kind) => kind,
        }
    }
}

/// A message body, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    command: Option<Field<'a>>,
    topic: Option<Field<'a>>,
    retain: Option<Field<'a>>,
    ttl: Option<Field<'a>>,
    exact: Option<Field<'a>>,
    overflow: Option<Field<'a>>,
    queue: Option<Field<'a>>,
    id: Option<Field<'a>>,
    cleared: Option<Field<'a>>,
    plain: Option<Field<'a>>,
    root: Option<Field<'a>>,
    item: Option<Field<'a>>,
    user: Option<Field<'a>>,
    password: Option<Field<'a>>,
    token: Option<Field<'a>>,
    /// Those that few requests have.
    rare: Rare<'a>,
    below: Option<Field<'a>>,
    message: Option<PayloadSpan>,
    /// How many fields the body has, whatever they are called.
    count: u32,
}

impl<'a> Fields<'a> {
    /// Takes a field.
    ///
    /// # Errors
    /// [`ErrorCode::DuplicateField`] where it was taken before.
    pub(crate) fn set(&mut self, name: Name, value: Field<'a>) -> Result<(), Refusal> {
        self.count += 1;
        let slot = match name {
            Name::Command => &mut self.command,
            Name::Topic => &mut self.topic,
            Name::Retain => &mut self.retain,
            Name::Ttl => &mut self.ttl,
            Name::Exact => &mut self.exact,
            Name::Overflow => &mut self.overflow,
            Name::Queue => &mut self.queue,
            Name::Id => &mut self.id,
            Name::Cleared => &mut self.cleared,
            Name::Plain => &mut self.plain,
            Name::Root => &mut self.root,
            Name::Item => &mut self.item,
            Name::User => &mut self.user,
            Name::Password => &mut self.password,
            Name::Token => &mut self.token,
            Name::Below => &mut self.below,
            Name::Message => return Ok(()),
            name => return self.rare.set(name, value),
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(twice(name)),
        }
    }

    /// Takes the `message` field.
    ///
    /// # Errors
    /// [`ErrorCode::DuplicateField`] where it was taken before.
    pub(crate) fn set_message(&mut self, message: PayloadSpan) -> Result<(), Refusal> {
        self.count += 1;
        match self.message.replace(message) {
            None => Ok(()),
            Some(_) => Err(twice(Name::Message)),
        }
    }

    /// Passes over a field that is not the broker's.
    pub(crate) fn pass_over(&mut self) {
        self.count += 1;
    }

    /// The fields of a body that was decoded as a whole, its root a dict with string keys.
    pub(super) fn from_document(
        source: &'a [u8],
        document: &Document,
        root: usize,
        part: Part,
    ) -> Result<Fields<'a>, Refusal> {
        let mut fields = Fields::default();
        let nodes = document.nodes();
        let end = root + nodes[root].nodes();
        let mut at = root + 1;
        while at < end {
            let Node::Str(key) = nodes[at] else { break };
            let value = at + 1;
            at = value + nodes[value].nodes();
            match Name::from_bytes(document.text(source, key)) {
                Some(Name::Message) => {
                    fields
                        .set_message(PayloadSpan { part: part.clone(), document: Some(value) })?;
                }
                Some(name) => fields.set(name, Field::from_nodes(source, document, name, value))?,
                None => fields.pass_over(),
            }
        }
        Ok(fields)
    }

    pub(super) fn request(self, format: Format) -> Result<Request<'a>, Refusal> {
        let topic = match &self.topic {
            Some(Field::Str(topic)) => Some(topic.clone().into_owned()),
            _ => None,
        };
        self.into_request(format).map_err(|refusal| match topic {
            Some(topic) => refusal.about(topic),
            None => refusal,
        })
    }

    fn into_request(mut self, format: Format) -> Result<Request<'a>, Refusal> {
        let Some(word) = optional_str(Name::Command, self.command)? else {
            return Err(Refusal::new(
                ErrorCode::MissingField,
                "the message has no field \"command\"; see docs/protocol.md for the commands",
            ));
        };
        let Some(command) = Command::from_word(&word) else {
            return Err(unknown_command(&word));
        };
        let is_xml = format == Format::Xml;
        // Only JSON has one way to say it; an XML frame may be called anything and hold comments. A
        // publish needs its three fields, and none comes twice: where there are three, there is no
        // other.
        let verbatim = format == Format::Json && self.count == PUBLISH_FIELDS;
        let topic = optional_str(Name::Topic, self.topic)?;
        let needed = |topic: Option<Cow<'a, str>>| topic.ok_or_else(|| missing("topic", command));
        Ok(Request::Control(match command {
            Command::Publish => {
                return Ok(Request::Publish {
                    topic: needed(topic)?,
                    message: self.message.ok_or_else(|| missing("message", command))?,
                    retain: optional_bool(Name::Retain, self.retain, is_xml)?.unwrap_or(true),
                    ttl: positive(Name::Ttl, "of seconds", self.ttl, is_xml)?,
                    verbatim,
                    id: streams::publish_id(self.id)?,
                });
            }
            Command::Subscribe => ControlRequest::Subscribe {
                durable: streams::durable(&mut self.rare, is_xml)?,
                topic: needed(topic)?,
                dialect: dialect(format, self.exact, self.plain)?,
                names: names(self.root, self.item)?,
                overflow: overflow(self.overflow)?,
                queue: positive(Name::Queue, "of messages", self.queue, is_xml)?,
                cleared: optional_bool(Name::Cleared, self.cleared, is_xml)?.unwrap_or(false),
                below: optional_bool(Name::Below, self.below, is_xml)?.unwrap_or(true),
            },
            Command::Cancel => {
                let (stream, consumer) = streams::names(&mut self.rare)?;
                ControlRequest::Cancel { topic: needed(topic)?, stream, consumer }
            }
            Command::List => ControlRequest::List { topic },
            Command::Get => ControlRequest::Get {
                topic: needed(topic)?,
                dialect: dialect(format, self.exact, None)?,
                last: streams::last(&mut self.rare, is_xml)?,
            },
            Command::Clear => ControlRequest::Clear { topic: needed(topic)? },
            Command::Ping => ControlRequest::Ping { id: id(self.id)? },
            Command::Stats => ControlRequest::Stats,
            Command::Backup => ControlRequest::Backup,
            Command::Login => {
                ControlRequest::Login(credentials(self.user, self.password, self.token)?)
            }
            Command::Ack | Command::Nak | Command::Touch | Command::Reject => {
                streams::settle(command, self.rare, is_xml)?
            }
            Command::Streams
            | Command::Consumers
            | Command::AddStream
            | Command::RemoveStream
            | Command::ResetConsumer
            | Command::RemoveConsumer
            | Command::Retry
            | Command::Delete => ControlRequest::Admin(Box::new(streams::administer(
                command, topic, self.rare, is_xml,
            )?)),
        }))
    }
}

fn optional_str<'a>(name: Name, field: Option<Field<'a>>) -> Result<Option<Cow<'a, str>>, Refusal> {
    match field {
        None => Ok(None),
        Some(Field::Str(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(name, "must be a string", &other)),
    }
}

fn optional_bool(
    name: Name,
    field: Option<Field<'_>>,
    is_xml: bool,
) -> Result<Option<bool>, Refusal> {
    let Some(field) = field else { return Ok(None) };
    match truth(&field, is_xml) {
        None => Err(invalid(name, "must be true or false", &field)),
        truth => Ok(truth),
    }
}

fn truth(field: &Field<'_>, is_xml: bool) -> Option<bool> {
    match field {
        Field::Bool(truth) => Some(*truth),
        Field::Str(text) if is_xml && text == "true" => Some(true),
        Field::Str(text) if is_xml && text == "false" => Some(false),
        _ => None,
    }
}

/// The dialect of a subscription or an answer: `plain` means something in XML alone, and `exact` in
/// JSON and pickle.
fn dialect(
    format: Format,
    exact: Option<Field<'_>>,
    plain: Option<Field<'_>>,
) -> Result<Dialect, Refusal> {
    let is_xml = format == Format::Xml;
    let is_plain = optional_bool(Name::Plain, plain, is_xml)?.unwrap_or(false);
    let exact = match exact {
        None => Dialect::Json,
        Some(Field::Str(word)) if word == "js" => Dialect::JsJson,
        Some(found) => match truth(&found, is_xml) {
            Some(true) => Dialect::ExactJson,
            Some(false) => Dialect::Json,
            None => return Err(invalid(Name::Exact, "must be true, false or \"js\"", &found)),
        },
    };
    Ok(match format {
        Format::Json => exact,
        Format::Xml if is_plain => Dialect::PlainXml,
        Format::Xml => Dialect::Xml,
        Format::Pickle if exact == Dialect::Json => Dialect::Pickle,
        Format::Pickle => Dialect::ExactPickle,
    })
}

/// The names of elements in plain XML, where there are some.
fn names(root: Option<Field<'_>>, item: Option<Field<'_>>) -> Result<Option<PlainNames>, Refusal> {
    let (root, item) = (optional_str(Name::Root, root)?, optional_str(Name::Item, item)?);
    if root.is_none() && item.is_none() {
        return Ok(None);
    }
    let none = |name: &Option<Cow<'_, str>>| {
        name.as_deref().is_some_and(|name| PlainNames::new(Some(name), None).is_none())
    };
    PlainNames::new(root.as_deref(), item.as_deref()).map(Some).ok_or_else(|| {
        let name = if none(&root) { Name::Root } else { Name::Item };
        let wanted =
            "must be an XML name without a colon that does not begin with xml, of 64 bytes at most";
        let found = [root, item].into_iter().find(none).flatten().unwrap_or_default();
        invalid(name, wanted, &Field::Str(found))
    })
}

/// What a login shows: a user and a password, or a token.
fn credentials<'a>(
    user: Option<Field<'a>>,
    password: Option<Field<'a>>,
    token: Option<Field<'a>>,
) -> Result<Credentials<'a>, Refusal> {
    // What a secret is instead of a string may be a part of one.
    let secret = |name: Name, field: Option<Field<'a>>| match field {
        None => Ok(None),
        Some(Field::Str(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::new(
            ErrorCode::InvalidField,
            format!("field {:?} must be a string", name.as_str()),
        )),
    };
    let user = optional_str(Name::User, user)?;
    match (user, secret(Name::Password, password)?, secret(Name::Token, token)?) {
        (Some(user), Some(password), None) => Ok(Credentials::Password { user, password }),
        (None, None, Some(token)) => Ok(Credentials::Token(token)),
        (Some(_), None, None) => Err(missing("password", Command::Login)),
        (None, Some(_), None) => Err(missing("user", Command::Login)),
        _ => Err(Refusal::new(
            ErrorCode::InvalidField,
            "a \"login\" has a \"user\" and a \"password\", or a \"token\" and neither of them",
        )),
    }
}

fn overflow(field: Option<Field<'_>>) -> Result<Overflow, Refusal> {
    let Some(word) = optional_str(Name::Overflow, field)? else { return Ok(Overflow::default()) };
    Overflow::from_word(&word).ok_or_else(|| {
        let words: Vec<&str> = Overflow::ALL.iter().map(|policy| policy.as_str()).collect();
        Refusal::new(
            ErrorCode::InvalidField,
            format!("field \"overflow\" is {:?}; it can be {}", shown(&word), words.join(", ")),
        )
    })
}

fn positive(
    name: Name,
    of: &str,
    field: Option<Field<'_>>,
    is_xml: bool,
) -> Result<Option<u32>, Refusal> {
    let number = match &field {
        None => return Ok(None),
        Some(Field::Int(number)) => u32::try_from(*number).ok(),
        Some(Field::Str(text)) if is_xml => text.parse().ok(),
        Some(_) => None,
    };
    match (number, field) {
        (Some(number), _) if number > 0 => Ok(Some(number)),
        (_, Some(other)) => {
            Err(invalid(name, &format!("must be a number {of}, from 1 to 4294967295"), &other))
        }
        (_, None) => Ok(None),
    }
}

fn id(field: Option<Field<'_>>) -> Result<Option<Id>, Refusal> {
    match field {
        None => Ok(None),
        Some(Field::Str(text)) if text.len() <= MAX_ID_BYTES => {
            Ok(Some(Id::Str(text.into_owned())))
        }
        Some(Field::Str(_)) => Err(Refusal::new(
            ErrorCode::InvalidField,
            format!("field \"id\" is longer than {MAX_ID_BYTES} bytes"),
        )),
        Some(Field::Int(number)) => Ok(Some(Id::Int(number))),
        Some(other) => Err(invalid(Name::Id, "must be a string or an integer of 64 bits", &other)),
    }
}

fn invalid(name: Name, wanted: &str, found: &Field<'_>) -> Refusal {
    let found = match found {
        Field::Str(text) => format!("{:?}", shown(text)),
        Field::Int(number) => number.to_string(),
        Field::Float(number) => number.to_string(),
        Field::Datetime(text) => shown(text),
        other => other.kind().to_owned(),
    };
    Refusal::new(
        ErrorCode::InvalidField,
        format!("field {:?} {wanted}; it is {found}", name.as_str()),
    )
}

fn twice(name: Name) -> Refusal {
    Refusal::new(ErrorCode::DuplicateField, format!("field {:?} is given twice", name.as_str()))
}

pub(super) fn missing(name: &str, command: Command) -> Refusal {
    Refusal::new(
        ErrorCode::MissingField,
        format!("a {:?} message needs a field {name:?}", command.as_str()),
    )
}

fn unknown_command(word: &str) -> Refusal {
    let words: Vec<&str> = Command::ALL.iter().map(|command| command.as_str()).collect();
    Refusal::new(
        ErrorCode::UnknownCommand,
        format!("there is no command {:?}; the commands are {}", shown(word), words.join(", ")),
    )
}

/// As much of a client's text as fits an error message.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Limits;
    use crate::read_request;

    /// Whether a publish with `more` behind its three fields is passed on as it came; `None` where
    /// it is refused.
    fn verbatim(more: &str) -> Option<bool> {
        let body = format!(r#"{{"command":"publish","topic":"t","message":1{more}}}"#);
        let body = body.as_bytes();
        let mut document = Document::new();
        match read_request(body, Format::Json, 0..body.len(), &mut document, &Limits::default()) {
            Ok(Request::Publish { verbatim, .. }) => Some(verbatim),
            _ => None,
        }
    }

    /// A field that is the broker's business is not passed on, and no list has to say so.
    #[test]
    fn every_field_besides_the_three_makes_a_frame_that_is_not_passed_on_as_it_came() {
        let needed = [Name::Command, Name::Topic, Name::Message];
        assert_eq!(needed.len(), PUBLISH_FIELDS as usize);
        assert_eq!(verbatim(""), Some(true));
        assert_eq!(verbatim(r#","nobody's":1"#), Some(false));
        for &name in Name::ALL {
            let text = name.as_str();
            assert_eq!(Name::from_bytes(text.as_bytes()), Some(name));
            // Of each kind that a field can have, one value; some fields refuse some of them.
            let mut taken = ["true", "1", r#""latest""#].iter().filter_map(|value| {
                let verbatim = verbatim(&format!(r#","{text}":{value}"#));
                assert_ne!(verbatim, Some(true), "{text}: {value}");
                verbatim
            });
            assert_eq!(taken.next().is_none(), needed.contains(&name), "{text}");
        }
    }
}
