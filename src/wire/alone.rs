//! A message that comes by itself, without a frame around it.

use super::intake::{no_memory_to_decode, usual_size};
use crate::codec::{Payload, Workspace};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, Topic};

/// Judges a message, in memory of `workspace`; `None` where it decodes to far more than its length
/// explains, and there is no `permit` for that.
pub(crate) fn judge_alone(
    topic: &Topic,
    format: Format,
    message: &[u8],
    limits: &Limits,
    workspace: &Workspace,
    permit: bool,
) -> Option<Result<Payload, Refusal>> {
    let most = limits.decoded_budget(message.len());
    let budget = if permit { most } else { usual_size(message.len()).min(most) };
    let Some(_claim) = workspace.claim(budget) else { return Some(Err(no_memory_to_decode())) };
    match Payload::parse(topic.as_str(), format, message, &limits.decoded_size(budget)) {
        Err(refusal) if refusal.code == ErrorCode::TooLarge && budget < most => None,
        judged => Some(judged),
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    fn judge(format: Format, message: &[u8], permit: bool) -> Option<Result<Payload, ErrorCode>> {
        let topic = Topic::parse("/a").unwrap();
        let workspace = Workspace::default();
        let judged = judge_alone(&topic, format, message, &Limits::default(), &workspace, permit);
        judged.map(|judged| judged.map_err(|refusal| refusal.code))
    }

    #[test]
    fn a_message_is_judged_as_in_a_frame() {
        let json = judge(Format::Json, b"\xef\xbb\xbf {\"a\": 1} \n", false).unwrap().unwrap();
        assert_eq!(json.source(), b"{\"a\": 1}");
        let xml = judge(Format::Xml, b"<?xml version='1.0'?>\n<order id='7'/>", false);
        let xml = xml.unwrap().unwrap();
        assert_eq!(xml.source(), b"<message type=\"document\"><order id='7'/></message>");
        for (format, message, code) in [
            (Format::Json, &b"{\"a\": 1}, \"topic\": \"/b\""[..], ErrorCode::MalformedJson),
            (Format::Json, b"", ErrorCode::MalformedJson),
            (Format::Xml, b"<a/><b/>", ErrorCode::MalformedXml),
            (Format::Xml, b"<a/><a/>", ErrorCode::MalformedXml),
            (Format::Xml, b"</message><topic>/b</topic><message>", ErrorCode::MalformedXml),
            (Format::Xml, b"<!DOCTYPE a><a/>", ErrorCode::ForbiddenXml),
            (Format::Pickle, b"cos\nsystem\n(S'id'\ntR.", ErrorCode::ForbiddenPickle),
            (Format::Pickle, b"\x80\x04K\x01", ErrorCode::MalformedPickle),
        ] {
            let judged = judge(format, message, false).unwrap();
            assert_eq!(judged, Err(code), "{}", message.escape_ascii());
        }
    }

    /// The bytes of a stranger's pickle are never passed on.
    #[test]
    fn a_pickle_is_written_anew() {
        let pickle = b"(lp0\nI1\na.";
        let judged = judge(Format::Pickle, pickle, false).unwrap().unwrap();
        assert!(judged.source().starts_with(b"\x80"), "{}", judged.source().escape_ascii());
    }

    #[test]
    fn what_expands_needs_a_permit() {
        let mut value = [b"(", &b"N".repeat(100)[..], b"t\x94"].concat();
        for memo in 0..2_u8 {
            let again = [b'h', memo].repeat(9);
            value = [b"(", &value[..], &again, b"t\x94"].concat();
        }
        let pickle = [b"\x80\x04", &value[..], b"."].concat();
        assert_eq!(judge(Format::Pickle, &pickle, false), None);
        assert!(judge(Format::Pickle, &pickle, true).unwrap().is_ok());
    }
}
