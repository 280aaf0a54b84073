//! What attackers send.

/// A frame around a body.
pub(super) fn frame(format: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![format];
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

pub(super) fn json(body: &str) -> Vec<u8> {
    frame(0, body.as_bytes())
}

pub(super) fn xml(body: &str) -> Vec<u8> {
    frame(1, body.as_bytes())
}

/// A `publish` in pickle; `message` is its opcodes.
pub(super) fn pickle(topic: &str, retain: bool, message: &[u8]) -> Vec<u8> {
    let mut body = b"\x80\x02}(".to_vec();
    let text = |body: &mut Vec<u8>, text: &str| {
        body.push(b'X');
        body.extend((text.len() as u32).to_le_bytes());
        body.extend(text.as_bytes());
    };
    for (name, value) in [("command", "publish"), ("topic", topic)] {
        text(&mut body, name);
        text(&mut body, value);
    }
    text(&mut body, "retain");
    body.push(if retain { 0x88 } else { 0x89 });
    text(&mut body, "message");
    body.extend(message);
    body.extend(b"u.");
    frame(2, &body)
}

/// Opcodes of a list of lists of … of one text of U+0001: levels deep, each so wide, each part
/// shared.
pub(super) fn shared(levels: u8, width: usize, text: usize) -> Vec<u8> {
    let mut out = control(text);
    out.extend([b'q', 0]);
    for level in 0..levels {
        let mut list = b"](".to_vec();
        list.extend(out);
        for _ in 1..width {
            list.extend([b'h', level]);
        }
        list.extend([b'e', b'q', level + 1]);
        out = list;
    }
    out
}

/// Opcodes of a text of U+0001, which JSON spells with six bytes each.
pub(super) fn control(length: usize) -> Vec<u8> {
    let mut out = vec![b'X'];
    out.extend((length as u32).to_le_bytes());
    out.extend(vec![1; length]);
    out
}

/// Opcodes of a list of floats with many digits, of about so many bytes.
pub(super) fn floats(length: usize) -> Vec<u8> {
    let mut out = b"](".to_vec();
    for _ in 0..length / 9 {
        out.push(b'G');
        out.extend((-1.234_567_890_123_456_7e-300_f64).to_be_bytes());
    }
    out.push(b'e');
    out
}

/// A topic of 64 segments, about 1,000 bytes.
pub(super) fn deep(number: usize) -> String {
    let mut topic = format!("deep{number:011}");
    for segment in 1..64 {
        topic.push_str(&format!("/{number:09}{segment:05}"));
    }
    topic
}

/// A filter of 64 segments that matches all of [`narrow`] but the last: some `+`, chosen by number.
pub(super) fn never(number: u64) -> String {
    // Weyl steps spread well enough.
    let bits = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut filter: String =
        (0..63).map(|bit| if bits >> bit & 1 == 0 { "+/" } else { "s/" }).collect();
    filter.push_str("never");
    filter
}

/// What [`never`] does not match.
pub(super) fn narrow(number: usize) -> String {
    "s/".repeat(63) + &number.to_string()
}
