//! Bytes of a connection to requests of HTTP.

use babelmq::internals::{Request, Requests};
use babelmq::protocol::Limits;

use crate::{Bound, linear};

/// A head is parsed anew with each read until it is whole, and bodies are copied as they grow.
const BOUND: Bound = Bound { base: 64 << 10, per_byte: 400 };

/// Longer streams meet the limits of a head earlier when they come in pieces, and then another word
/// may be said of them.
const LONGEST: usize = 4 << 10;

/// Small, so that a short input can pass it.
const MAX_FRAME: u32 = 1_000;

/// The input is two bytes that say how the stream is cut, and the stream. However it is cut, the
/// requests are the same, and where one ends is where a reader that is written down again finds it.
pub fn http(input: &[u8]) {
    let [cut, more, stream @ ..] = input else { return };
    let stream = &stream[..stream.len().min(LONGEST)];
    let whole = linear("requests", stream.len(), BOUND, || read([stream]));
    let mut state = u32::from(u16::from_be_bytes([*cut, *more]));
    let mut left = stream;
    let pieces = std::iter::from_fn(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = ((state >> 24) as usize % 64 + 1).min(left.len());
        let (piece, rest) = left.split_at(length);
        left = rest;
        (length > 0).then_some(piece)
    });
    let in_pieces = read(pieces);
    assert_eq!(in_pieces.read, whole.read);
    assert_eq!(in_pieces.refused, whole.refused);
    let mut begin = 0;
    for request in &whole.read {
        is_framed(request, begin, stream);
        let Some(end) = request.end else { return };
        begin = end;
    }
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Requests {
    let mut requests = Requests::new(Limits::with_max_frame(MAX_FRAME));
    pieces.into_iter().for_each(|piece| requests.take(piece));
    requests
}

/// Refuses a request that does not end where its lines say.
fn is_framed(request: &Request, begin: usize, stream: &[u8]) {
    let Request { head_end, end, method, target, body, .. } = request;
    let head = &stream[begin..*head_end];
    // Empty lines may come first.
    let blank = head.iter().take_while(|byte| b"\r\n".contains(byte)).count();
    let head = &head[blank..];
    assert!(head.ends_with(b"\r\n\r\n"), "{}", head.escape_ascii());
    let lines = &head[..head.len() - 2];
    assert!(!lines.windows(4).any(|four| four == b"\r\n\r\n"), "{}", head.escape_ascii());
    let mut lines = lines.split(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or_default();
        assert!(!line.contains(&b'\r'), "{}", head.escape_ascii());
        line
    });
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with(method.as_bytes()), "{}", head.escape_ascii());
    assert!(target.0.starts_with('/') || target.0 == "*", "{target:?}");
    let (mut length, mut is_chunked) = (None, false);
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.unwrap_or_else(|| panic!("{} is no field", line.escape_ascii()));
        let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
        match &name[..] {
            b"content-length" => {
                let value = str::from_utf8(value).unwrap();
                for value in value.split(',') {
                    let value: u64 = value.trim().parse().unwrap();
                    assert!(length.is_none_or(|other| other == value), "two lengths");
                    length = Some(value);
                }
            }
            b"transfer-encoding" => {
                let value = value.to_ascii_lowercase();
                let value = String::from_utf8_lossy(&value).replace([',', ' ', '\t'], "");
                is_chunked |= !value.is_empty();
                assert!(["", "chunked"].contains(&&*value), "{value:?}");
            }
            _ => {}
        }
    }
    assert!(!is_chunked || length.is_none(), "a body that is framed twice");
    let Some(end) = *end else { return };
    let sent = &stream[*head_end..end];
    if is_chunked {
        assert_eq!(dechunked(sent), *body, "{}", sent.escape_ascii());
    } else {
        assert_eq!((sent.len() as u64, sent), (length.unwrap_or(0), &body[..]));
    }
}

/// What chunks hold, which are all that there is.
fn dechunked(mut sent: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let size = line(&mut sent);
        let size = size.split([';', ' ', '\t']).next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        content.extend_from_slice(&sent[..size]);
        sent = &sent[size..];
        assert_eq!(line(&mut sent), "");
    }
    while !line(&mut sent).is_empty() {}
    assert!(sent.is_empty());
    content
}

/// Takes a line.
fn line(sent: &mut &[u8]) -> String {
    let end = sent.iter().position(|byte| *byte == b'\n').unwrap();
    let line = String::from_utf8_lossy(sent[..end].strip_suffix(b"\r").unwrap()).into_owned();
    *sent = &sent[end + 1..];
    line
}
