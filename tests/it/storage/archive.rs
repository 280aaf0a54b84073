//! `babelmq export`, `import` and `topics --data-dir`: a data directory without a broker.

use std::fs;

use babelmq::Format::{Json, Pickle, Xml};

use super::{run, scratch, serve};
use crate::support::{Client, Field};

#[test]
fn what_is_exported_is_imported_as_it_was_published() {
    let directory = scratch("archive");
    let (from, to) = (directory.join("from"), directory.join("to"));
    let broker = serve(&from, &[]);
    let mut client = Client::to(broker.address);
    client.publish(Xml, "b", b"<message><order id='5'/></message>");
    client.publish(Pickle, "a", b"K\x07");
    client.publish(Json, "c/d", b"{ \"x\": \"\\u00e9\" }");
    client.flush(Json);
    let before = client.subscribe(Json, "#");
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));

    let from = from.to_str().unwrap();
    let (code, lines, stderr) = run(&["export", from]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let topics: Vec<String> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["topic"]
                .as_str()
                .unwrap()
                .into()
        })
        .collect();
    assert_eq!(topics, ["b", "a", "c/d"], "in the order of publication");
    assert!(lines.contains(r#""payload":"{ \"x\": \"\\u00e9\" }""#), "{lines}");

    let file = directory.join("x.ndjson");
    fs::write(&file, &lines).unwrap();
    let (to, file) = (to.to_str().unwrap(), file.to_str().unwrap());
    assert_eq!(run(&["import", to, file]).0, Some(0));
    assert_eq!(run(&["export", to]).1, lines);
    let (_, listed, _) = run(&["topics", "--data-dir", to, "--values"]);
    assert_eq!(listed, "a 7\nb {\"order\":{\"@id\":\"5\"}}\nc/d { \"x\": \"\\u00e9\" }\n");
    assert_eq!(run(&["topics", "--data-dir", to, "c"]).1, "c/d\n");

    let broker = serve(to.as_ref(), &[]);
    assert_eq!(Client::to(broker.address).subscribe(Json, "#"), before);
}

#[test]
fn a_file_that_is_compacted_is_shorter_and_holds_the_same() {
    let directory = scratch("compact");
    let path = directory.to_str().unwrap();
    let file = directory.join("last-values.redb");
    let length = || fs::metadata(&file).unwrap().len();
    let (code, _, stderr) = run(&["compact", path]);
    assert!(code == Some(1) && stderr.contains("last-values.redb"), "{stderr}");
    assert!(!file.exists(), "what is not there is not made");

    let broker = serve(&directory, &[]);
    let (code, _, stderr) = run(&["compact", path]);
    assert!(code == Some(1) && stderr.contains("in use by another broker"), "{stderr}");
    let mut client = Client::to(broker.address);
    let large = format!("\"{}\"", "x".repeat(2_000));
    for n in 0..2_000 {
        client.publish(Json, &format!("t/{n}"), large.as_bytes());
    }
    client.flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    let broker = serve(&directory, &[]);
    let mut client = Client::to(broker.address);
    for n in (0..2_000).filter(|n| n % 10 > 0) {
        let topic = format!("t/{n}");
        client.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str(&topic))]);
    }
    client.flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    let (before, values) = (length(), run(&["export", path]).1);
    assert_eq!(values.lines().count(), 200);
    assert_eq!(run(&["compact", path]), (Some(0), String::new(), String::new()));
    assert!(length() < before / 2, "{before} to {}", length());
    assert_eq!(run(&["export", path]).1, values);
    assert_eq!(Client::to(serve(&directory, &[]).address).subscribe(Json, "t").len(), 200);
}

#[test]
fn a_line_that_is_no_value_imports_nothing() {
    let directory = scratch("archive-wrong");
    let good = r#"{"topic":"a","format":"json","payload":"1"}"#;
    for (line, part) in [
        (r#"{"topic":"a","format":"json","payload":"1 2"}"#, "malformed-json"),
        (r#"{"topic":"a","format":"pickle","base64":"Y3Bvc2l4CnN5c3RlbQou"}"#, "posix.system"),
        (r#"{"topic":"a//b","format":"json","payload":"1"}"#, "empty"),
        (r#"{"topic":"a","format":"yaml","payload":"1"}"#, "yaml"),
        (r#"{"topic":"a","format":"json"}"#, "payload"),
        ("x", "line 2"),
    ] {
        let (file, to) = (directory.join("x"), directory.join("to"));
        fs::write(&file, format!("{good}\n{line}\n")).unwrap();
        let (code, _, stderr) = run(&["import", to.to_str().unwrap(), file.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{stderr}");
        for part in [part, "line 2", "nothing was imported"] {
            assert!(stderr.contains(part), "no {part:?} in {stderr}");
        }
        assert_eq!(run(&["export", to.to_str().unwrap()]).1, "");
    }
}
