//! The commands that talk to a broker, through pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use babelmq::Format::{Json, Pickle, Xml};

use super::{Served, babelmq, check, fails, run, run_with, scratch};
use crate::support::process::until;
use crate::support::{Client, number};

const RECORD: &str = r#"{"temp": 21.50, "tags": ["a", null]}"#;

#[test]
fn what_is_published_is_there_in_every_format() {
    let broker = Served::start(&[]);
    check(&broker.at("pub", &["/weather/oslo", RECORD]), "", "");
    check(
        &broker.at(
            "pub",
            &["/weather/rome", "it's \u{201c}warm\u{201d}", "--string", "--format", "pickle"],
        ),
        "",
        "",
    );
    check(&broker.at("pub", &["/weather/rome/at", "-5", "--format", "xml"]), "", "");
    check(&broker.at("get", &["/weather/oslo"]), "", &format!("{RECORD}\n"));
    check(
        &broker.at("get", &["/weather/oslo", "--format", "xml"]),
        "",
        "<message type=\"dict\"><temp type=\"float\">21.5</temp>\
         <tags type=\"list\"><item type=\"str\">a</item><item \
         type=\"null\"></item></tags></message>\n",
    );
    check(
        &broker.at("get", &["/weather/oslo", "-f", "pickle"]),
        "",
        "{\"temp\": 21.5, \"tags\": [\"a\", None]}\n",
    );
    check(
        &broker.at("get", &["/weather/oslo", "--pretty"]),
        "",
        "{\n  \"temp\": 21.50,\n  \"tags\": [\n    \"a\",\n    null\n  ]\n}\n",
    );
    check(&broker.at("get", &["/weather/rome"]), "", "\"it's \u{201c}warm\u{201d}\"\n");
    check(&broker.at("topics", &[]), "", "/weather/oslo\n/weather/rome\n/weather/rome/at\n");
    check(&broker.at("topics", &["/weather/rome"]), "", "/weather/rome\n/weather/rome/at\n");
    check(
        &broker.at("topics", &["--values", "/weather/+/at", "--template", "{topic}\\t{value}"]),
        "",
        "/weather/rome/at\t-5\n",
    );
    let tree = "/weather\n├── oslo  {\"temp\": 21.50, \"tags\": [\"a\", null]}\n└── \
    rome  \"it's \u{201c}warm\u{201d}\"\n    └── at  -5\n";
    check(&broker.at("topics", &["--tree", "--values"]), "", tree);
    check(&broker.at("clear", &["/weather/rome", "/weather/rome/at"]), "", "");
    check(&broker.at("topics", &["--tree"]), "", "/weather\n└── oslo\n");
    fails(
        &broker.at("get", &["/weather/rome"]),
        "",
        1,
        &["/weather/rome holds no value", "babelmq topics"],
    );
}

#[test]
fn words_that_are_no_json_are_a_string_and_json_with_a_mistake_is_none() {
    let broker = Served::start(&[]);
    let (code, _, stderr) = run(&broker.at("pub", &["/a", "hello, world"]));
    assert_eq!(code, Some(0));
    assert!(stderr.contains("published as a string"), "{stderr}");
    check(&broker.at("get", &["/a"]), "", "\"hello, world\"\n");
    check(&broker.at("pub", &["/a", "true"]), "", "");
    check(&broker.at("get", &["/a"]), "", "true\n");
    fails(&broker.at("pub", &["/a", "{\"temp\": 21.5"]), "", 4, &["malformed-json", "--string"]);
}

#[test]
fn a_file_is_published_in_the_format_that_it_has() {
    let broker = Served::start(&[]);
    let folder = scratch("pub-file");
    // The format in which it was published is the one that passes it on as it was spelled.
    let order = "<order id='5'><sku>X1</sku></order>";
    for (name, options) in [("doc.xml", &[][..]), ("doc", &[]), ("doc.xml", &["--format", "json"])]
    {
        let file = folder.join(name);
        std::fs::write(&file, order).unwrap();
        let arguments = [&["/o", "--file", file.to_str().unwrap()], options].concat();
        check(&broker.at("pub", &arguments), "", "");
        let (_, xml, _) = run(&broker.at("get", &["/o", "--format", "xml"]));
        assert_eq!(xml.contains(order), options.is_empty(), "{name} {options:?}: {xml}");
        let json = "{\"order\":{\"@id\":\"5\",\"sku\":\"X1\"}}\n";
        check(&broker.at("get", &["/o"]), "", json);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn topics_of_any_spelling_make_a_tree() {
    let broker = Served::start(&[]);
    for topic in ["é/x", "a", "/a/b/c", "/é"] {
        check(&broker.at("pub", &[topic, "1"]), "", "");
    }
    check(&broker.at("topics", &["--tree"]), "", "/a\n└── b\n    └── c\n/é\na\né\n└── x\n");
}

#[test]
fn a_value_is_forgotten_after_its_time_to_live() {
    let broker = Served::start(&[]);
    check(&broker.at("pub", &["/t/short", "1", "--ttl", "1s"]), "", "");
    check(&broker.at("pub", &["/t/long", "-", "--ttl", "1h 30s", "--format", "xml"]), "1\n2\n", "");
    until("it is forgotten", || run(&broker.at("topics", &[])).1 == "/t/long\n");
    for (ttl, part) in [("1500ms", "whole seconds"), ("0s", "more than nothing"), ("x", "10s")] {
        let (code, _, stderr) = run(&broker.at("pub", &["/t", "1", "--ttl", ttl]));
        assert!(code == Some(2) && stderr.contains(part), "{stderr}");
    }
    assert_eq!(run(&broker.at("pub", &["/t", "1", "--ttl", "1s", "--no-retain"])).0, Some(2));
}

#[test]
fn lines_and_files_are_published() {
    let broker = Served::start(&[]);
    let mut consumer = Client::to(broker.address);
    consumer.subscribe(Json, "#");
    let said = |consumer: &mut Client, topic: &str, expected: &[&str]| {
        for message in expected {
            let frame = consumer.next();
            assert_eq!(
                (frame.field("topic").as_str(), frame.message().as_str()),
                (topic, *message)
            );
        }
        consumer.is_quiet();
    };
    check(&broker.at("pub", &["/t", "-"]), "1\n\n[2]\r\n\"three\"", "");
    said(&mut consumer, "/t", &["1", "[2]", "\"three\""]);
    // Without a message, standard input is read all the same.
    check(&broker.at("pub", &["/t", "--string", "--no-retain"]), "one\n\n{\n", "");
    said(&mut consumer, "/t", &["\"one\"", "\"\"", "\"{\""]);
    check(&broker.at("pub", &["/t", "7", "--count", "3", "--rate", "10000"]), "", "");
    said(&mut consumer, "/t", &["7", "7", "7"]);
    check(&broker.at("pub", &["/t", "--count", "2"]), "1\n2\n3\n", "");
    said(&mut consumer, "/t", &["1", "2"]);

    let folder = scratch("lines_and_files");
    let file = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let lines = file(
        "a.ndjson",
        b"{\"topic\":\"/x\",\"message\":1.50}\n{\"topic\":\"/x\",\"message\":null}\n",
    );
    check(&broker.at("pub", &["--file", &lines]), "", "");
    said(&mut consumer, "/x", &["1.50", "null"]);
    check(&broker.at("pub", &["/y", "--file", &lines, "--count", "1"]), "", "");
    said(&mut consumer, "/y", &["{\"topic\":\"/x\",\"message\":1.50}"]);
    let pickles = file("a.pkl", b"\x80\x04K\x01.\x80\x04]\x94(K\x02Ne.");
    check(&broker.at("pub", &["/y", "--file", &pickles, "--format", "pickle"]), "", "");
    said(&mut consumer, "/y", &["1", "[2,null]"]);
    let document =
        file("a.xml", b"<?xml version=\"1.0\"?>\n<order id=\"5\"><sku>X1</sku></order>\n");
    check(&broker.at("pub", &["/y", "--file", &document, "--format", "xml"]), "", "");
    said(&mut consumer, "/y", &["{\"order\":{\"@id\":\"5\",\"sku\":\"X1\"}}"]);

    let bad = file("b.ndjson", b"1\n{]\n3\n");
    fails(&broker.at("pub", &["/z", "--file", &bad]), "", 4, &["b.ndjson, line 2: malformed-json"]);
    said(&mut consumer, "/z", &["1"]);
    fails(&broker.at("pub", &["--file", &bad]), "", 2, &["line 1", "\"topic\""]);
    fails(
        &broker.at("pub", &["/z", "--file", &folder.join("none.xml").to_string_lossy()]),
        "",
        1,
        &["none.xml"],
    );
    fails(&broker.at("pub", &["/z", "--file", &folder.to_string_lossy()]), "", 2, &[".ndjson"]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_argument_cannot_reach_out_of_its_message() {
    let broker = Served::start(&[]);
    fails(&broker.at("pub", &["/t", "1,\"topic\":\"/u\""]), "", 4, &["malformed-json", "--string"]);
    check(&broker.at("topics", &[]), "", "");
}

#[test]
fn sub_prints_stored_values_and_then_what_comes() {
    let broker = Served::start(&[]);
    check(&broker.at("pub", &["/t/a", "[1, 2]"]), "", "");
    let mut producer = Client::to(broker.address);
    let arguments = broker
        .at("sub", &["/t", "/u", "-n", "3", "--template", "{retained} {format} {topic} {value}"]);
    let mut child = babelmq(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The line is there before the next message is: nothing is held back.
    assert_eq!(lines.next().unwrap(), "true json /t/a [1, 2]");
    producer.publish(Pickle, "/u", &number(Pickle, 5));
    assert_eq!(lines.next().unwrap(), "false json /u 5");
    producer.publish(Xml, "/t", b"<message>a\nb</message>");
    assert_eq!(lines.next().unwrap(), "false json /t \"a\\nb\"");
    assert_eq!(lines.next(), None);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    check(
        &broker.at("sub", &["/t", "--retained-only", "-f", "xml"]),
        "",
        concat!(
            "/t/a <message type=\"list\"><item type=\"int\">1</item><item \
             type=\"int\">2</item></message>\n",
            "/t <message type=\"str\">a&#10;b</message>\n",
        ),
    );
    check(&broker.at("sub", &["/nothing", "--retained-only"]), "", "");
    check(&broker.at("sub", &["/t/a", "-n", "1", "--pretty"]), "", "/t/a\n[\n  1,\n  2\n]\n");
    let (code, raw, _) = run(&broker.at("sub", &["/t/a", "-n", "1", "--raw"]));
    assert_eq!((code, raw.as_str()), (Some(0), "[1, 2]\n"));
    let raw =
        babelmq(&broker.at("sub", &["/t/a", "-n", "1", "--raw", "-f", "pickle"])).output().unwrap();
    assert_eq!(run_with(&["convert", "--from", "pickle"], &raw.stdout).1, "[1,2]\n");
}

#[test]
fn exactness_is_asked_for() {
    let broker = Served::start(&[]);
    let mut producer = Client::to(broker.address);
    producer.publish(Pickle, "/t", b"K\x01\x85");
    producer.flush(Json);
    check(&broker.at("sub", &["/t", "-n", "1"]), "", "/t [1]\n");
    check(&broker.at("sub", &["--exact", "/t", "-n", "1"]), "", "/t {\"$tuple\":[1]}\n");
    check(&broker.at("pub", &["/js", "9007199254740993"]), "", "");
    check(&broker.at("sub", &["/js", "-n", "1", "--exact"]), "", "/js 9007199254740993\n");
    let tagged = "/js {\"$int\":\"9007199254740993\"}\n";
    check(&broker.at("sub", &["--exact=js", "/js", "-n", "1"]), "", tagged);
}

#[test]
fn xml_may_come_without_types() {
    let broker = Served::start(&[]);
    check(&broker.at("pub", &["/t", "{\"o\": {\"@id\": 5, \"n\": [1, true]}}"]), "", "");
    check(
        &broker.at("sub", &["/t", "-n", "1", "-f", "xml", "--plain"]),
        "",
        "/t <message><o id=\"5\"><n>1</n><n>true</n></o></message>\n",
    );
    check(&broker.at("pub", &["/t", "[1]"]), "", "");
    let names = ["/t", "-n", "1", "-f", "xml", "--plain", "--root", "r", "--item", "i"];
    check(&broker.at("sub", &names), "", "/t <message><r><i>1</i></r></message>\n");
    let (code, _, said) = run(&broker.at("sub", &["/t", "--root", "r"]));
    assert!(code == Some(2) && said.contains("--plain"), "{said}");
}

#[test]
fn sub_says_what_was_cleared_and_clear_takes_a_filter() {
    let broker = Served::start(&[]);
    for (style, expected) in [
        (&[][..], "/t/a \"cleared\"\n/t/b 1\n/t/a cleared\n/t/b cleared\n"),
        (&["--pretty"], "/t/a\n\"cleared\"\n/t/b\n1\n/t/a\ncleared\n/t/b\ncleared\n"),
        (
            &["--template", "{value} {retained} {topic} {format}"],
            "\"cleared\" true /t/a json\n1 true /t/b json\n\
             cleared false /t/a json\ncleared false /t/b json\n",
        ),
    ] {
        check(&broker.at("pub", &["/t/a", "cleared", "--string"]), "", "");
        check(&broker.at("pub", &["/t/b", "1"]), "", "");
        let arguments = [&["/t", "--cleared", "-n", "4"], style].concat();
        let mut child = babelmq(&broker.at("sub", &arguments)).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        out.read_line(&mut printed).unwrap();
        check(&broker.at("clear", &["/+/a", "/t/b/#"]), "", "");
        out.read_to_string(&mut printed).unwrap();
        assert_eq!((child.wait().unwrap().code(), printed.as_str()), (Some(0), expected));
    }
    check(&broker.at("topics", &[]), "", "");
    for (command, arguments, expected) in [
        ("sub", &["/t", "--cleared", "--raw"][..], "--raw"),
        ("clear", &["a/#/b"], "a/#/b"),
        ("clear", &["/"], "'/'"),
    ] {
        let (code, _, said) = run(&broker.at(command, arguments));
        assert!(code == Some(2) && said.contains(expected), "{said}");
    }
}

#[test]
fn sub_ends_with_the_pipe_it_writes_to() {
    let broker = Served::start(&[]);
    check(&broker.at("pub", &["/t", "1"]), "", "");
    let mut child = babelmq(&broker.at("sub", &["/t"])).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    // No message comes that could fail to be written.
    drop(lines);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn sub_does_not_wait_for_ever() {
    let broker = Served::start(&[]);
    fails(&broker.at("sub", &["/t", "-w", "0.05"]), "", 6, &["nothing came within 0.05 s"]);
    check(&broker.at("pub", &["/t", "1"]), "", "");
    check(&broker.at("sub", &["/t", "-w", "0.05"]), "", "/t 1\n");
    let (code, printed, _) = run(&broker.at("sub", &["/t", "-w", "0.05", "-n", "2"]));
    assert_eq!((code, printed.as_str()), (Some(6), "/t 1\n"));
}

#[test]
fn each_failure_has_its_code_and_says_what_to_do() {
    // Nothing listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for command in
        [&["pub", "/t", "1"][..], &["sub", "/t"], &["get", "/t"], &["topics"], &["clear", "/t"]]
    {
        let arguments = [command, &["--address", &free]].concat();
        fails(&arguments, "", 3, &["nothing listens on", &free, "babelmq serve"]);
    }
    // Something listens and does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for command in
        [&["pub", "/t", "1"][..], &["sub", "/t"], &["get", "/t"], &["topics", "--values"]]
    {
        let arguments = [command, &["--address", &address, "--timeout", "0.05"]].concat();
        fails(&arguments, "", 6, &["does not answer", "--timeout"]);
    }
    drop(silent);
    // Something else answers.
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        let mut connection = web.accept().unwrap().0;
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        connection.read_to_end(&mut Vec::new()).unwrap();
    });
    fails(&["get", "/t", "--address", &address], "", 4, &["no babelmq broker"]);
    serving.join().unwrap();
    // The connection ends.
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closing.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || drop(closing.accept().unwrap()));
    fails(&["get", "/t", "--address", &address], "", 7, &["ended before"]);
    serving.join().unwrap();

    // The broker refuses.
    let broker = Served::start(&["--max-frame", "1KiB"]);
    let long = format!("\"{}\"", "x".repeat(2_000));
    fails(&broker.at("pub", &["/t", &long]), "", 5, &["frame-too-large", "1024"]);
    let full = Served::start(&["--max-connections", "1"]);
    let mut occupied = Client::to(full.address);
    occupied.is_quiet();
    for format in ["json", "xml", "pickle"] {
        fails(&full.at("get", &["/t", "--format", format]), "", 5, &["too-many-connections"]);
    }
    // What cannot be a topic or a format.
    for arguments in [
        &["pub", "a//b", "1"][..],
        &["pub", "a/+", "1"],
        &["sub"],
        &["sub", "a/#/b"],
        &["sub", "a", "--template", "{nothing}"],
        &["sub", "a", "--overflow", "explode"],
        &["get", "a", "--format", "yaml"],
        &["get", "#"],
        &["pub", "a", "1", "--rate", "0"],
        &["sub", "a", "-w", "soon"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
    }
}

#[test]
fn check_is_for_monitoring() {
    let broker = Served::start(&[]);
    let (code, stdout, stderr) = run(&broker.at("check", &[]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(
        stdout.starts_with("OK: the broker on 127.0.0.1:") && stdout.lines().count() == 1,
        "{stdout}"
    );
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, stdout, stderr) = run(&["check", "--address", &free]);
    assert_eq!((code, stderr.as_str()), (Some(2), ""));
    assert!(
        stdout.starts_with("CRITICAL: nothing listens") && stdout.lines().count() == 1,
        "{stdout}"
    );
}

#[test]
fn the_address_may_stand_in_the_environment() {
    let broker = Served::start(&[]);
    let mut command = babelmq(&["pub", "/t", "1"]);
    command.env("BABELMQ_ADDR", &broker.text).stdin(Stdio::null());
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    check(&broker.at("get", &["/t"]), "", "1\n");
}
