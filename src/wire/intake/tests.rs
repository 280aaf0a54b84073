//! However frames are read, each says the same.

use super::*;
use crate::access::{ANONYMOUS, Policy};
use crate::broker::Settle;
use crate::codec::json::{self, Tags};
use crate::codec::{Content, Dialect, Wanted, pickle, xml};
use crate::protocol::{Header, Settlement};

fn frame(format: Format, body: &str) -> Vec<u8> {
    let header = Header { format, length: body.len() as u32 }.to_bytes();
    [&header, body.as_bytes()].concat()
}

/// What the frames came to, in words: each message with its topic, payload, options and frame.
fn said(taken: Taken) -> Vec<String> {
    let mut said = Vec::new();
    for step in taken.steps {
        let batch = match step {
            Step::Publish(batch) => batch,
            // Those that come together are gathered.
            Step::Settle(settle) => {
                let Settle { stream, consumer, token, what } = *settle;
                let each = what.iter();
                said.extend(each.map(|it| format!("{stream:?} {consumer:?} {token:?} {it:?}")));
                continue;
            }
            step => {
                said.push(format!("{step:?}"));
                continue;
            }
        };
        for (index, published) in batch.messages().iter().enumerate() {
            let topic = batch.topics().get(published.topic());
            let payload = String::from_utf8_lossy(&batch.bytes()[published.part().range().clone()]);
            let frame = published.verbatim().map(|frame| batch.bytes()[frame].to_vec());
            let value = published.document().map(|root| {
                let mut value = Vec::new();
                json::encode(batch.document().view(batch.bytes(), root), Tags::Exact, &mut value);
                String::from_utf8_lossy(&value).into_owned()
            });
            said.push(format!(
                "{topic} {:?} {payload} {} {frame:?} {value:?} {:?}",
                published.format(),
                published.retain(),
                batch.id(index),
            ));
        }
    }
    said
}

/// Publishes as picklers write them, and others.
fn pickles(round: usize, topic: &str) -> Vec<Vec<u8>> {
    let string = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes(), b"\x94"].concat();
    let envelope = |before: &[u8], payload: &[u8], after: &[u8]| {
        let inside = [b"}\x94(", before, &string("message"), payload, after, b"u."].concat();
        let length = (inside.len() as u64).to_le_bytes();
        let body = [b"\x80\x04\x95", &length[..], &inside].concat();
        [&Header { format: Format::Pickle, length: body.len() as u32 }.to_bytes(), &*body].concat()
    };
    let command = [string("command"), string("publish")].concat();
    let to = |topic: &str| [string("topic"), string(topic)].concat();
    let usual = [&*command, &to(topic)].concat();
    let number = [b'K', round as u8];
    let mut bodies = vec![
        envelope(&usual, &number, b""),
        envelope(&usual, b"]\x94(K\x01\x8c\x03abc\x94h\x07e", b""),
    ];
    bodies.push(match round % 10 {
        // What was memoised before the payload, a second value, one that takes what is not its own,
        // none.
        0 => envelope(&usual, b"h\x01", b""),
        1 => envelope(&usual, b"K\x01", &[&string("retain"), &b"\x89"[..]].concat()),
        2 => envelope(&usual, b"K\x01u}(K\x02K\x03", b""),
        3 => envelope(&usual, b"", b""),
        4 => envelope(&command, b"K\x01", &to(topic)),
        5 => envelope(&[&*command, &to("a//b")].concat(), &number, b""),
        6 => envelope(&[&*command, &to(topic), &string("retain"), b"\x89"].concat(), &number, b""),
        7 => envelope(&usual, b"cposix\nsystem\n", b""),
        8 => envelope(&usual, b"K\x01.", b""),
        _ => envelope(&usual, b"K\x010K\x02", b""),
    });
    bodies
}

/// Frames of many kinds.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for round in 0..40 {
        // More topics than are remembered, in two rhythms.
        let topic = ["a", "b", "a"][round % 3].repeat(1 + round % 11);
        let publish = |rest: &str| {
            frame(Format::Json, &format!(r#"{{"command":"publish","topic":"{topic}",{rest}}}"#))
        };
        frames.push(publish(&format!(r#""message":{round}"#)));
        frames.push(publish(&format!(r#""message":[{round}]"#)));
        // A message of each name is another.
        frames.push(publish(&format!(r#""id":"x{}","message":1"#, round / 2)));
        frames.push(publish(&format!(r#""message":1,"id":"y{}""#, round / 2)));
        for seq in [round, 2 * round] {
            frames.push(frame(Format::Json, &format!(r#"{{"command":"ack","seq":{seq}}}"#)));
            frames.push(frame(Format::Xml, &format!("<frame command=\"ack\" seq=\"{seq}\"/>")));
        }
        match round % 4 {
            0 => frames.push(frame(Format::Json, r#"{"command":"nak","seq":1,"delay":0.5}"#)),
            1 => frames.push(frame(Format::Json, r#"{"command":"ack","seq":1,"stream":"a b"}"#)),
            2 => frames.push(frame(Format::Json, r#"{"command":"ack","seq":7,"consumer":"c"}"#)),
            _ => {}
        }
        match round % 8 {
            1 => frames.push(publish(&format!(r#""retain":false,"message":{round}"#))),
            2 => frames.push(publish(r#""message":{"$set":[1]}"#)),
            3 => frames.push(publish(r#""message":[1,}"#)),
            4 => frames.push(frame(Format::Json, r#"{"command":"ping"}"#)),
            5 => frames.push(frame(
                Format::Xml,
                r#"<f command="publish" topic="x"><message>1</message></f>"#,
            )),
            6 => frames
                .push(frame(Format::Json, r#"{"command":"publish","topic":"a//b","message":1}"#)),
            7 => frames.push(publish(&format!(r#""message":{round},"more":1"#))),
            _ => {}
        }
        frames.extend(pickles(round, &topic));
    }
    frames
}

/// However the frames are read, and whatever came before them, each says the same.
#[test]
fn what_came_before_changes_nothing() {
    let frames = frames();
    let alone: Vec<String> = frames
        .iter()
        .flat_map(|frame| said(take_in(frame, Limits::default(), &mut Recent::default())))
        .collect();
    assert!(alone.len() > 100);
    for at_once in [1, 2, 3, 7, 50, frames.len()] {
        let mut recent = Recent::default();
        let together: Vec<String> = frames
            .chunks(at_once)
            .flat_map(|frames| said(take_in(&frames.concat(), Limits::default(), &mut recent)))
            .collect();
        for (together, alone) in together.iter().zip(&alone) {
            assert_eq!(together, alone, "{at_once} at once");
        }
        assert_eq!(together.len(), alone.len());
    }
}

/// What neighbours say is one step, and what stands between them keeps its place.
#[test]
fn neighbouring_acks_are_gathered() {
    let ack = |rest: &str| frame(Format::Json, &format!(r#"{{"command":"ack",{rest}}}"#));
    let publish = frame(Format::Json, r#"{"command":"publish","topic":"a","message":1}"#);
    let region = [
        ack(r#""seq":1"#),
        ack(r#""seq":2"#),
        ack(r#""upto":4"#),
        ack(r#""seq":5,"consumer":"c""#),
        ack(r#""seq":6,"consumer":"c""#),
        ack(r#""seq":7,"consumer":"d""#),
        publish.clone(),
        publish,
        ack(r#""seq":8,"consumer":"d""#),
        frame(Format::Xml, r#"<f command="ack" seq="9" consumer="d"/>"#),
    ];
    let taken = take_in(&region.concat(), Limits::default(), &mut Recent::default());
    assert!(taken.needs_answer && taken.refused == 0);
    let steps: Vec<String> = taken
        .steps
        .iter()
        .map(|step| match step {
            Step::Settle(settle) => {
                let consumer = settle.consumer.as_deref().unwrap_or_default();
                format!("{consumer} {:?}", settle.what)
            }
            Step::Publish(batch) => format!("{} messages", batch.messages().len()),
            step => format!("{step:?}"),
        })
        .collect();
    let of = |consumer: &str, what: &[Settlement]| format!("{consumer} {what:?}");
    let one = |seq| Settlement::Ack { seq };
    let expected = [
        of("", &[one(1), one(2), Settlement::AckUpto { seq: 4 }]),
        of("c", &[one(5), one(6)]),
        of("d", &[one(7)]),
        "2 messages".to_owned(),
        of("d", &[one(8)]),
        of("d", &[one(9)]),
    ];
    assert_eq!(steps, expected);
}

/// Of strangers nothing is taken, however it is spelled.
#[test]
fn a_stranger_settles_nothing() {
    let ack = frame(Format::Json, r#"{"command":"ack","seq":1}"#);
    let mut recent = Recent::default();
    take_in(&ack, Limits::default(), &mut recent);
    recent.have_rights(Rights::Nothing);
    let taken = take_in(&ack, Limits::default(), &mut recent);
    assert!(taken.is_last && taken.refused == 1);
    assert!(matches!(&taken.steps[..], [Step::Control(..)]));
}

/// Each payload lies in each run where the batch says: what another envelope is put around is what
/// a broker would have said without one.
#[test]
fn a_run_knows_where_each_payload_lies() {
    let topics = ["a", "a&b", "a\u{1}b", &"long".repeat(100)];
    let mut frames = frames();
    for topic in topics {
        let xml = topic.replace('&', "&amp;");
        frames.push(frame(Format::Xml, &format!(
            r#"<f command="publish" topic="{xml}"><message type="list"><item>x</item></message></f>"#
        )));
        let json = topic.replace('\u{1}', "\\u0001");
        for rest in [r#""message":{"a":"\u00e9"}"#, r#""message":[1], "retain": false"#] {
            let body = format!(r#"{{"command":"publish","topic":"{json}", {rest}}}"#);
            frames.push(frame(Format::Json, &body));
        }
        frames.extend(pickles(0, topic));
    }
    let mut payloads = 0;
    for at_once in [1, 7, frames.len()] {
        let mut recent = Recent::default();
        for frames in frames.chunks(at_once) {
            let taken = take_in(&frames.concat(), Limits::default(), &mut recent);
            for step in taken.steps {
                let Step::Publish(mut batch) = step else { continue };
                Dialect::ALL.into_iter().for_each(|dialect| batch.want(dialect, Wanted::All));
                batch.settle(1, 0);
                for dialect in Dialect::ALL {
                    let run = batch.run(dialect);
                    for index in 0..batch.messages().len() {
                        let found = &batch.run_bytes(run)[batch.payload_in(run, dialect, index)];
                        assert_eq!(said_alone(dialect, found), expected(&batch, index, dialect));
                        payloads += 1;
                    }
                }
            }
        }
    }
    assert!(payloads > 1_000, "{payloads}");
}

/// A payload of a run as a whole message.
fn said_alone(dialect: Dialect, payload: &[u8]) -> Vec<u8> {
    match dialect {
        Dialect::Pickle | Dialect::ExactPickle => [b"\x80\x04", payload, b"."].concat(),
        _ => payload.to_vec(),
    }
}

/// What a broker says of a message to whoever asks in `dialect`.
fn expected(batch: &Batch, index: usize, dialect: Dialect) -> Vec<u8> {
    let payload = batch.payload(index);
    if let Some(Content::Published(bytes)) = payload.as_it_came(dialect) {
        return bytes.to_vec();
    }
    let mut document = Document::new();
    let root = payload.decode_within(&mut document, &Limits::default(), usize::MAX).unwrap();
    let view = document.view(payload.source(), root);
    let mut bytes = Vec::new();
    match dialect {
        Dialect::Json => json::encode(view, Tags::Needed, &mut bytes),
        Dialect::ExactJson => json::encode(view, Tags::Exact, &mut bytes),
        Dialect::JsJson => json::encode(view, Tags::Js, &mut bytes),
        Dialect::Xml => xml::encode(view, &mut bytes),
        Dialect::PlainXml => {
            xml::encode_plain(view, &xml::PlainNames::default(), &mut bytes);
        }
        Dialect::Pickle | Dialect::ExactPickle => {
            let classes = match dialect {
                Dialect::ExactPickle => pickle::Classes::Listed,
                _ => pickle::Classes::None,
            };
            bytes.extend_from_slice(b"\x80\x04");
            pickle::encode(view, classes, &mut bytes);
            bytes.push(b'.');
        }
    }
    bytes
}

/// Payloads that are put together at random.
const ROUNDS: usize = 300;

/// What a session writes ahead is what the writers would have written.
#[test]
fn deliveries_written_ahead_are_the_same() {
    let publish = |topic: &str, payload: &str| {
        frame(
            Format::Json,
            &format!(r#"{{"command":"publish","topic":"{topic}","message":{payload}}}"#),
        )
    };
    let mut frames = Vec::new();
    for round in 0..60 {
        let topic = ["a", "b/c", "a"][round % 3];
        frames.push(publish(
            topic,
            &format!(r#"{{"n":{round},"text":"x & y","list":[{round}.50,-1.5,true,null]}}"#),
        ));
    }
    let usual = frames;
    let mut streams = vec![usual.clone()];
    for payload in [
        "-0",
        r#"{"a":1,"a":2}"#,
        r#""\u00e9""#,
        r#"{"$set":[1]}"#,
        "[1,]",
        "01",
        r#"{"a" : [ ] }"#,
        "1e400",
        "\"ü\"",
        "{1:2}",
        "[1}",
        "tru",
        "1.",
        "[[1]",
        r#"{"a":1]"#,
        r#"{"a"}"#,
        r#"{"":"","x y":1,"item":2}"#,
        "1e5",
        "\"\t\"",
        "nulL",
        "--1",
    ] {
        // The fifth of the second batch: each is met while deliveries are written ahead.
        streams.push([&usual[..9], &[publish("a", payload)]].concat());
    }
    streams.push([&usual[..9], &[publish("a//b", "1")]].concat());
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\"a\"",
        "\"a\":",
        "\"item\":1",
        "0",
        "-",
        "1",
        ".5",
        "e3",
        "\"x<&>'\"",
        "\\n",
        "\"ü\"",
        "null",
        "true",
        "[1,2]",
        "{\"k k\":[]}",
        "\"$int\":\"1\"",
        "\"0123456789abcdef0\"",
        "12345678901234567890",
        "-0.0",
        "1e22",
        "\"",
        "\"\"",
        "\"xmlns\":0",
        "\"a\":{\"b\":[[],{}]}",
        "\"\u{7f}\u{ffff}\"",
        "]]>",
    ];
    let mut random = 1_u64;
    let mut below = |end: usize| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % end
    };
    for _ in 0..ROUNDS {
        let inside: String = (0..1 + below(5)).map(|_| pieces[below(pieces.len())]).collect();
        let payload = match below(4) {
            0 => inside,
            1 => format!("[{inside}]"),
            2 => format!("{{\"b\":{inside}}}"),
            _ => format!("{{\"b\":[{inside},1.50],\"c\":\"d\"}}"),
        };
        streams.push([&usual[..9], &[publish("a", &payload)]].concat());
    }
    let mut written_ahead = 0;
    for dialect in [Dialect::Xml, Dialect::Pickle, Dialect::ExactPickle] {
        let mut deliveries = |frames: &[Vec<u8>],
                              at_once: usize,
                              recent: &mut dyn FnMut() -> Recent| {
            let (mut said, mut kept) = (Vec::new(), recent());
            for frames in frames.chunks(at_once) {
                for step in take_in(&frames.concat(), Limits::default(), &mut kept).steps {
                    let Step::Publish(mut batch) = step else {
                        said.push(format!("{step:?}").into_bytes());
                        continue;
                    };
                    written_ahead += usize::from(format!("{batch:?}").contains("ahead: Some"));
                    batch.want(dialect, Wanted::All);
                    batch.settle(1, 0);
                    let run = batch.run(dialect);
                    let frames = (0..batch.messages().len()).map(|index| batch.frame(run, index));
                    said.extend(frames.map(|frame| batch.run_bytes(run)[frame].to_vec()));
                }
                // A session that has never seen a batch has nothing to compare with.
                if at_once == 1 {
                    kept = recent();
                }
            }
            said
        };
        for (frames, at_once) in streams.iter().flat_map(|frames| [(frames, 5), (frames, 7)]) {
            let alone = deliveries(frames, 1, &mut Recent::default);
            let mut told = Some(Recent::default());
            let together = deliveries(frames, at_once, &mut || told.take().unwrap_or_default());
            for (together, alone) in together.iter().zip(&alone) {
                assert_eq!(together.escape_ascii().to_string(), alone.escape_ascii().to_string());
            }
            assert_eq!(together.len(), alone.len());
        }
    }
    assert!(written_ahead > 20, "only {written_ahead} batches were written ahead");
}

/// Refused frames cost nothing, and that made the region go on.
#[test]
fn a_stranger_is_refused_once_and_nothing_behind_is_read() {
    let refused = frame(Format::Json, r#"{"command":"ping","id":1}"#);
    let login = frame(Format::Json, r#"{"command":"login","token":"t"}"#);
    for behind in [&refused, &login] {
        let mut stranger = Recent::default();
        stranger.have_rights(Rights::Nothing);
        let taken = take_in(&[&refused[..], behind].concat(), Limits::default(), &mut stranger);
        assert_eq!((taken.whole, taken.steps.len(), taken.refused), (refused.len(), 1, 1));
        assert!(taken.is_last && !taken.more && taken.login.is_none());
    }
}

/// No login decodes to far more than its length explains, so there is nothing to wait for.
#[test]
fn a_stranger_takes_no_permit() {
    let mut value = [b"(", &b"N".repeat(100)[..], b"t\x94"].concat();
    for memo in 0..3_u8 {
        let again = [b'h', memo].repeat(9);
        value = [b"(", &value[..], &again, b"t\x94"].concat();
    }
    let body = [b"\x80\x04}(\x8c\x07message", &value[..], b"u."].concat();
    let header = Header { format: Format::Pickle, length: body.len() as u32 }.to_bytes();
    let region = [&header[..], &body].concat();
    for (rights, needs) in [(Rights::Everything, true), (Rights::Nothing, false)] {
        let mut recent = Recent::default();
        recent.have_rights(rights);
        let taken = take_in(&region, Limits::default(), &mut recent);
        assert_eq!((taken.needs_permit, taken.is_last), (needs, !needs));
    }
}

/// A topic is judged anew when the client has other rights.
#[test]
fn a_topic_that_was_judged_is_judged_again_by_other_rights() {
    let user = |rules: &str| {
        let file = format!("[[user]]\nname = 'anonymous'\nroles = ['r']\n[role.r]\n{rules}\n");
        Rights::Of(Policy::parse(&file).unwrap().user(ANONYMOUS).unwrap().clone())
    };
    let one = frame(Format::Json, r#"{"command":"publish","topic":"a/b","message":1}"#);
    let other = frame(Format::Json, r#"{"command":"publish","topic":"a/c","message":1}"#);
    let region = [&one[..], &other].concat();
    let mut recent = Recent::default();
    for (rules, refused) in [
        ("publish = ['a']", 0),
        ("publish = ['a']\ndeny-publish = ['a/b']", 1),
        ("publish = ['q']", 2),
        ("publish = ['a/b']", 1),
    ] {
        recent.have_rights(user(rules));
        for _ in 0..3 {
            let taken = take_in(&region, Limits::default(), &mut recent);
            assert_eq!((taken.whole, taken.refused), (region.len(), refused), "{rules}");
        }
    }
}

/// All topics that differed in their last bytes alone were at one place, and each was read in full
/// every time.
#[test]
fn topics_that_differ_in_their_last_bytes_have_places_of_their_own() {
    for stem in ["bench/flow/", "/", "", "sensor/celsius/00"] {
        let mut places: Vec<usize> = (0..50)
            .map(|number| crate::wire::batch_topics::place(&format!("{stem}{number}")))
            .collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 35, "{stem}: {} places", places.len());
    }
}
