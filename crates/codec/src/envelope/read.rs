//! A client's request, read and held to all limits.

use std::ops::Range;

use super::decode::decode_request;
use super::longest::hold_to_max_encoded;
use super::request::Request;
use super::tighter::hold_to_tighter_limits;
use crate::Document;
use crate::protocol::{Format, Limits, Refusal};

/// Reads a message body. A payload in JSON is decoded only where judging it needs that; the other
/// formats have no other way to judge.
///
/// # Errors
/// The first fault of the body, with the topic where it could be read. `document` is then as it
/// was.
pub fn read_request<'a>(
    source: &'a [u8],
    format: Format,
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Request<'a>, Refusal> {
    let mark = document.mark();
    let len = body.len();
    let request = decode_request(source, format, body, document, limits);
    let request = request.and_then(|request| {
        if let Request::Publish { topic, message, .. } = &request {
            hold_to_tighter_limits(source, format, message, document, limits)
                .and_then(|()| {
                    hold_to_max_encoded(source, format, len, topic, message, document, limits)
                })
                .map_err(|refusal| refusal.about(topic.as_ref()))?;
        }
        Ok(request)
    });
    if request.is_err() {
        document.truncate(mark);
    }
    request
}
