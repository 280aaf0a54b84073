//! Who a client is: the `login` frame, with which a connection begins, and its answer.

use super::connection::Frame;
use super::error::{QueueError, Refused};
use super::secret::Secret;
use super::wire::sealed::Sealed;
use super::wire::{Incoming, Json, Pickle, Xml, write_command};
use crate::codec::FrameField;
use crate::protocol::{Format, HEADER_LEN};

/// Bytes of body that a broker takes before it knows who somebody is.
const LONGEST: usize = 4 << 10;

/// Whom to log in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Password { user: String, password: Secret },
    Token(Secret),
}

impl Login {
    /// The `login` frame.
    ///
    /// # Errors
    /// [`QueueError::Options`] for one that no broker takes.
    pub(super) fn frame(&self, format: Format) -> Result<Vec<u8>, QueueError> {
        let mut frame = Vec::new();
        let text = |name, text| (name, FrameField::Str(text));
        let fields = match self {
            Login::Password { user, password } => {
                vec![text("user", user), text("password", password.reveal())]
            }
            Login::Token(token) => vec![text("token", token.reveal())],
        };
        write_command(format, "login", &fields, &mut frame);
        if frame.len() > HEADER_LEN + LONGEST {
            return Err(QueueError::Options(format!(
                "the login is longer than {LONGEST} bytes, and no broker takes one that is; is the \
                 password or the token a whole file?"
            )));
        }
        Ok(frame)
    }
}

/// Reads the answer to a login.
///
/// # Errors
/// Why this client is not let in.
pub(super) fn read_welcome(Frame { format, body }: Frame) -> Result<(), QueueError> {
    match format {
        Format::Json => welcome(Json::read(body)?),
        Format::Xml => welcome(Xml::read(body)?),
        Format::Pickle => welcome(Pickle::read(body)?),
    }
}

fn welcome<M>(incoming: Incoming<M>) -> Result<(), QueueError> {
    let Incoming { command, topic, code, reason, fatal, .. } = incoming;
    match (&*command, code) {
        ("welcome", _) => Ok(()),
        ("error", Some(code)) => {
            Err(Refused { code, reason: reason.unwrap_or_default(), topic, fatal }.into())
        }
        _ => {
            Err(QueueError::Protocol(format!("a {command:?} message, before a login was answered")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Document, json, pickle, to_value, xml};
    use crate::protocol::{Limits, Value};

    /// What a broker reads of a frame.
    fn fields(format: Format, frame: &[u8]) -> Value {
        let (body, mut document) = (&frame[HEADER_LEN..], Document::new());
        let (whole, limits) = (0..body.len(), Limits::NONE);
        let root = match format {
            Format::Json => json::decode(body, whole, &mut document, &limits).unwrap(),
            Format::Xml => xml::decode_body(body, whole, &mut document, &limits).unwrap().root,
            Format::Pickle => pickle::decode_body(body, whole, &mut document, &limits).unwrap(),
        };
        to_value(document.view(body, root))
    }

    #[test]
    fn a_login_says_what_it_was_given_in_every_format() {
        let password = "\"\\ <&>]]>'\u{1}\t\u{7f}ü€\u{1f600}";
        let secret = || Secret::new(password.into());
        let named = Login::Password { user: "o'b <&\"".into(), password: secret() };
        for format in Format::ALL {
            let read = fields(format, &named.frame(format).unwrap());
            let field = |name: &str| read.get(name).and_then(Value::as_str);
            assert_eq!(field("command"), Some("login"), "{format}");
            assert_eq!(field("user"), Some("o'b <&\""), "{format}");
            assert_eq!(field("password"), Some(password), "{format}");
            let read = fields(format, &Login::Token(secret()).frame(format).unwrap());
            assert_eq!(read.get("token").and_then(Value::as_str), Some(password), "{format}");
            assert_eq!(read.get("user"), None, "{format}");
        }
        assert!(!format!("{named:?}").contains('€'), "{named:?}");
    }

    #[test]
    fn a_login_that_no_broker_takes_is_not_sent() {
        let of = |length| Login::Token(Secret::new("x".repeat(length))).frame(Format::Json);
        let most = LONGEST - r#"{"command":"login","token":""}"#.len();
        assert!(of(most).is_ok());
        let error = of(most + 1).unwrap_err();
        assert!(matches!(&error, QueueError::Options(said) if said.contains("4096 bytes")));
        assert!(!error.to_string().contains("xx"), "{error}");
    }
}
