//! What a connection sends before it has logged in.

use babelmq::ErrorCode;
use babelmq::broker::{Control, Rights, Step};
use babelmq::codec::{Credentials, Document};
use babelmq::internals::{Recent, Taken, take_in};
use babelmq::protocol::{Format, HEADER_LEN, Header, Limits, frame_at};
use serde_json::{Map, Value};

use crate::{Bound, linear};

/// Bytes that a frame may have before a login.
const MAX_FRAME: u32 = 4 << 10;

/// As for a body, whatever its format.
const BOUND: Bound = crate::pickle::DECODE;

/// What nothing may repeat, of letters and digits that no user here has, and so many bytes of it
/// that are no accident.
const SECRET: &str = "XQ7ZK2VW9JT4RM8LC3YB6HD1NF5PG0SA";
const PART: usize = 8;

/// The input is two bytes, and the stream of a connection that awaits a login. The bytes say how a
/// login that is good but for one byte is spoiled; the beginning of the stream is its user.
pub fn login(input: &[u8]) {
    let [how, place, stream @ ..] = input else { return };
    let taken = linear("first frames", stream.len(), BOUND, || first_frames(stream));
    match frame_at(stream, 0, MAX_FRAME) {
        Ok(None) => assert!(is_nothing(&taken) && taken.fault.is_none()),
        Err(fault) => {
            assert!(is_nothing(&taken));
            assert_eq!(taken.fault, Some(fault));
        }
        Ok(Some((header, body))) => {
            only_a_login(&taken, body.end);
            if let Some(login) = &taken.login {
                unseen(&login.credentials);
                if header.format == Format::Json {
                    as_serde_reads_it(&login.credentials, &stream[body.clone()]);
                }
            }
            // What has not arrived yet is waited for, and what follows waits.
            assert!(is_nothing(&first_frames(&stream[..body.end - 1])));
            let alone = first_frames(&stream[..body.end]);
            assert_eq!(alone.login.is_some(), taken.login.is_some());
        }
    }
    spoiled(*how, *place, stream);
}

fn first_frames(stream: &[u8]) -> Taken {
    let mut recent = Recent::default();
    recent.have_rights(Rights::Nothing);
    take_in(stream, Limits::default().max_frame(MAX_FRAME), &mut recent)
}

fn is_nothing(taken: &Taken) -> bool {
    let Taken { steps, login, is_last, .. } = taken;
    steps.is_empty() && taken.whole == 0 && login.is_none() && !is_last && !taken.needs_permit
}

/// The first frame is a login, or else it is refused and is the last.
fn only_a_login(taken: &Taken, end: usize) {
    assert!(!taken.needs_permit, "who has not logged in takes memory for what expands");
    assert_eq!((taken.whole, taken.fault), (end, None));
    assert_ne!(taken.login.is_some(), taken.is_last);
    assert_eq!(taken.refused, usize::from(taken.is_last));
    match &taken.steps[..] {
        [] => assert!(taken.login.is_some()),
        [Step::Control(_, Control::Refuse { refusal })] => {
            assert!(taken.is_last && refusal.code == ErrorCode::LoginRequired, "{refusal:?}");
            assert!(refusal.code.is_fatal());
        }
        steps => panic!("before a login: {steps:?}"),
    }
}

/// Refuses credentials that show more of themselves than a name.
fn unseen(credentials: &Credentials<'_>) {
    let other = match credentials {
        Credentials::Password { user, .. } => {
            Credentials::Password { user: user.clone(), password: "another".into() }
        }
        Credentials::Token(_) => Credentials::Token("another".into()),
    };
    assert_eq!(format!("{credentials:?}"), format!("{other:?}"));
}

/// Refuses credentials that another reader does not find in the same body.
fn as_serde_reads_it(credentials: &Credentials<'_>, body: &[u8]) {
    // It refuses some numbers, and what nests as deep as may be.
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else { return };
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    assert_eq!(field("command"), Some("login"));
    let found = match credentials {
        Credentials::Password { user, password } => [Some(&**user), Some(&**password), None],
        Credentials::Token(token) => [None, None, Some(&**token)],
    };
    assert_eq!(found, ["user", "password", "token"].map(field));
}

/// A login with one byte changed, put in, taken out, or its end missing, repeats nothing of its
/// secret where it is refused, and shows nothing of it where it is not.
fn spoiled(how: u8, place: u8, stream: &[u8]) {
    let [byte, high, user @ ..] = stream else { return };
    let mut user = String::from_utf8_lossy(&user[..user.len().min(64)]).into_owned();
    user.retain(|character| !character.is_ascii_uppercase() && !character.is_ascii_digit());
    let (format, with_token) = (how % 3, how & 0x40 != 0);
    let fields: &[(&str, &str)] = match with_token {
        true => &[("command", "login"), ("token", SECRET)],
        false => &[("command", "login"), ("user", &user), ("password", SECRET)],
    };
    let Some(format) = Format::from_byte(format) else { return };
    let mut body = written(format, fields);
    let at = usize::from(u16::from_be_bytes([*high, place])) % body.len();
    match how / 3 % 5 {
        0 => body[at] = *byte,
        1 => body.insert(at, *byte),
        2 => drop(body.remove(at)),
        3 => body.truncate(at),
        _ => {}
    }
    let header = Header { format, length: body.len() as u32 };
    let taken = first_frames(&[&header.to_bytes()[..], &body].concat());
    only_a_login(&taken, HEADER_LEN + body.len());
    let said = format!("{:?} {:?}", taken.steps, taken.login);
    for start in 0..=SECRET.len() - PART {
        let part = &SECRET[start..start + PART];
        assert!(!said.contains(part), "{}: {said}", body.escape_ascii());
    }
    if how / 3 % 5 == 4 && is_plain(&user) {
        assert!(taken.login.is_some(), "{}: {said}", body.escape_ascii());
        let mut document = Document::new();
        let all = 0..body.len();
        let read = babelmq::codec::read_request(&body, format, all, &mut document, &Limits::NONE);
        assert!(!format!("{read:?}").contains(SECRET));
    }
}

/// Whether a text is one in every format, and needs no escape: what is empty in XML is no text.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn written(format: Format, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        Format::Json => {
            let fields = fields.iter().map(|&(name, text)| (name.into(), text.into()));
            return Value::Object(fields.collect()).to_string().into();
        }
        Format::Xml => {
            out.extend_from_slice(b"<frame>");
            for (name, text) in fields {
                let text = text.replace('&', "&amp;").replace('<', "&lt;");
                out.extend_from_slice(format!("<{name}>{text}</{name}>").as_bytes());
            }
            out.extend_from_slice(b"</frame>");
        }
        Format::Pickle => {
            out.extend_from_slice(b"\x80\x02}(");
            for text in fields.iter().flat_map(|&(name, text)| [name, text]) {
                out.push(b'X');
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            out.extend_from_slice(b"u.");
        }
    }
    out
}
