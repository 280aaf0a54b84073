//! Why a request is not done, as the client is told (RFC 9457).

use super::response::{Response, json};
use crate::protocol::{ErrorCode, Refusal, Value};

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: u16,
    detail: String,
    code: Option<ErrorCode>,
    topic: Option<String>,
    fields: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem of HTTP itself: what is wrong, and what to do.
    pub(crate) fn new(status: u16, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), code: None, topic: None, fields: Vec::new() }
    }

    /// The same with a field in the head of the answer.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Problem {
        self.fields.push((name, value.into()));
        self
    }

    /// Its status.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The answer that says so, as `application/problem+json`.
    pub(crate) fn response(self) -> Response {
        let Problem { status, detail, code, topic, fields } = self;
        let text = |text: &str| Value::Str(text.to_owned());
        let mut said = vec![
            ("type", text("about:blank")),
            ("title", text(super::response::reason(status))),
            ("status", Value::Int(status.into())),
            ("detail", Value::Str(detail)),
        ];
        said.extend(code.map(|code| ("code", text(code.as_str()))));
        said.extend(topic.map(|topic| ("topic", Value::Str(topic))));
        let mut response = Response::new(status).with_body("application/problem+json", json(said));
        for (name, value) in fields {
            response = response.with(name, value);
        }
        if status == 401 {
            response = response
                .with("WWW-Authenticate", "Basic realm=\"babelmq\", charset=\"UTF-8\"")
                .with("WWW-Authenticate", "Bearer realm=\"babelmq\"");
        }
        response
    }
}

/// The broker's word, with the status that fits it best.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem {
            status: status(refusal.code),
            detail: refusal.reason.clone(),
            code: Some(refusal.code),
            topic: refusal.topic.clone(),
            fields: Vec::new(),
        }
    }
}

fn status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::LoginRequired | ErrorCode::LoginFailed => 401,
        ErrorCode::NotPermitted => 403,
        ErrorCode::NoStream | ErrorCode::NoConsumer => 404,
        ErrorCode::FrameTimeout => 408,
        ErrorCode::FrameTooLarge | ErrorCode::TooLarge => 413,
        ErrorCode::TooManyConnections
        | ErrorCode::TooManySubscriptions
        | ErrorCode::SlowConsumer => 429,
        ErrorCode::MemoryFull | ErrorCode::BackboneUnavailable => 503,
        ErrorCode::StoreFull
        | ErrorCode::StreamFull
        | ErrorCode::StorageFailed
        | ErrorCode::Damaged => 507,
        ErrorCode::TooDeep
        | ErrorCode::TooManyDigits
        | ErrorCode::InvalidValue
        | ErrorCode::Unhashable
        | ErrorCode::Cycle
        | ErrorCode::InvalidTag
        | ErrorCode::InvalidPickle
        | ErrorCode::ForbiddenPickle
        | ErrorCode::ForbiddenXml => 422,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_failure_of_the_client_or_of_the_broker() {
        for code in ErrorCode::ALL {
            assert!((400..600).contains(&status(code)), "{code}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_brokers_words() {
        let refusal = Refusal::new(ErrorCode::NotPermitted, "no \"way\"").about("/a");
        let response = Problem::from(refusal).response();
        assert_eq!(
            std::str::from_utf8(response.body()).unwrap(),
            r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"no \"way\"","#
                .to_owned()
                + r#""code":"not-permitted","topic":"/a"}"#
        );
    }
}
