//! Texts and bytes by themselves, as MQTT brings them, in a data directory: what is written there,
//! what a broker makes of it, and what it writes again.

use std::fs;

use babelmq::Format::{Json, Pickle, Xml};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{run, scratch, serve};
use crate::support::{Client, Field, python};

/// Texts, and what each becomes in JSON, XML (without the name of the element) and Python.
fn texts() -> Vec<(String, String, String, String)> {
    let long = "h\u{e9}".repeat(350_000);
    let row = |text: &str, json: &str, xml: &str, repr: &str| {
        (text.to_owned(), json.to_owned(), xml.to_owned(), repr.to_owned())
    };
    vec![
        row("", r#""""#, r#" type="str">"#, r#""""#),
        row("21.5", r#""21.5""#, r#" type="str">21.5"#, r#""21.5""#),
        row(" a\n", r#"" a\n""#, " type=\"str\"> a\n", r#"" a\n""#),
        row("\0", r#""\u0000""#, r#" type="str" encoding="base64">AA=="#, r#""\u0000""#),
        row("\u{ffff}", "\"\u{ffff}\"", r#" type="str" encoding="base64">77+/"#, "\"\u{ffff}\""),
        row("</m>\"", r#""</m>\"""#, " type=\"str\">&lt;/m&gt;\"", r#""</m>\"""#),
        row(
            &long,
            &format!("\"{long}\""),
            &format!(" type=\"str\">{long}"),
            &format!("\"{long}\""),
        ),
    ]
}

#[test]
fn texts_and_bytes_are_kept_as_they_came_and_delivered_in_every_format() {
    let directory = scratch("raw");
    let (from, copy) = (directory.join("from"), directory.join("copy"));
    let mut lines = String::new();
    for (number, (text, ..)) in texts().iter().enumerate() {
        let text = serde_json::to_string(text).unwrap();
        let said = [
            "",
            r#""qos":0,"#,
            r#""qos":1,"properties":"JgABYQABYg==","#,
            r#""qos":2,"#,
            r#""properties":"AA==","#,
        ][number % 5];
        lines += &format!(
            "{{\"topic\":\"text/{number}\",\"format\":\"text\",{said}\"payload\":{text}}}\n"
        );
    }
    let all: Vec<u8> = (0..=u8::MAX).collect();
    for (number, bytes) in [&b""[..], b"text", &all].iter().enumerate() {
        let base64 = STANDARD.encode(bytes);
        lines += &format!(
            "{{\"topic\":\"bytes/{number}\",\"format\":\"bytes\",\"qos\":1,\"base64\":\"{base64}\"}}\n"
        );
    }
    // Beside what is in a format, too.
    lines += r#"{"topic":"json","format":"json","qos":2,"properties":"AQI=","payload":" [1] "}"#;
    lines += "\n";
    let file = directory.join("x.ndjson");
    fs::write(&file, &lines).unwrap();
    let (path, file) = (from.to_str().unwrap(), file.to_str().unwrap());
    assert_eq!(run(&["import", path, file]), (Some(0), String::new(), String::new()));
    assert_eq!(run(&["export", path]).1, lines);

    let broker = serve(&from, &[]);
    let mut client = Client::to(broker.address);
    let mut get = |format, topic: &str| {
        client.command(format, &[("command", Field::Str("get")), ("topic", Field::Str(topic))]);
        let answer = client.next();
        answer.says(&[("command", "value"), ("topic", topic)]);
        answer
    };
    for (number, (_, json, xml, repr)) in texts().iter().enumerate() {
        let topic = format!("text/{number}");
        assert_eq!(get(Json, &topic).message(), *json);
        assert_eq!(get(Xml, &topic).message(), format!("<message{xml}</message>"));
        let pickled = get(Pickle, &topic);
        python::only_data_opcodes(&pickled.body);
        assert_eq!(pickled.message(), *repr);
    }
    for (number, bytes) in [&b""[..], b"text", &all].into_iter().enumerate() {
        let (topic, base64) = (format!("bytes/{number}"), STANDARD.encode(bytes));
        assert_eq!(get(Json, &topic).message(), format!("{{\"$bytes\":\"{base64}\"}}"));
        let expected = format!("<message type=\"bytes\">{base64}</message>");
        assert_eq!(get(Xml, &topic).message(), expected);
        let pickled = get(Pickle, &topic);
        python::only_data_opcodes(&pickled.body);
        let value = serde_pickle::Value::Bytes(bytes.to_vec());
        assert_eq!(pickled.message(), python::repr(&value));
    }
    let json = get(Json, "json");
    assert!(json.text().ends_with("\"message\": [1] }"), "as it came: {}", json.text());

    // What the broker has in memory is all of it.
    let to = broker.address.to_string();
    let copy = copy.to_str().unwrap();
    assert_eq!(run(&["backup", copy, "--data-dir", path, "--address", &to]).0, Some(0));
    assert_eq!(run(&["export", copy]).1, lines);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    assert_eq!(run(&["export", path]).1, lines);
    let (_, listed, _) = run(&["topics", "--data-dir", path, "--values", "bytes"]);
    assert!(listed.contains("bytes/1 {\"$bytes\":\"dGV4dA==\"}"), "{listed}");
}

#[test]
fn what_is_no_text_and_no_qos_is_not_imported() {
    let directory = scratch("raw-wrong");
    for (line, part) in [
        (r#"{"topic":"a","format":"text","base64":"/w=="}"#, "UTF-8"),
        (r#"{"topic":"a","format":"text","body":true,"payload":"a"}"#, "text"),
        (r#"{"topic":"a","format":"bytes","qos":3,"payload":"a"}"#, "qos"),
        (r#"{"topic":"a","format":"bytes","properties":"?","payload":"a"}"#, "properties"),
    ] {
        let (file, to) = (directory.join("x"), directory.join("to"));
        fs::write(&file, line).unwrap();
        let (code, _, stderr) = run(&["import", to.to_str().unwrap(), file.to_str().unwrap()]);
        assert!(code == Some(1) && stderr.contains(part), "no {part:?} in {stderr}");
    }
}
