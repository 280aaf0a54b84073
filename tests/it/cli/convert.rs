//! `babelmq convert`: bytes in, bytes out, and no broker.

use super::{babelmq, check, run_with, scratch};

/// What `pickle.dumps({"temp": 21.5, "at": (1, 2), "tags": {"a"}}, 4)` writes.
const RECORD: &[u8] =
    b"\x80\x04}\x94(\x8c\x04temp\x94G@5\x80\0\0\0\0\0\x8c\x02at\x94K\x01K\x02\x86\x94\x8c\x04tags\x94\x8f\x94(\x8c\x01a\x94\x90u.";

#[track_caller]
fn converts(arguments: &[&str], input: &[u8], expected: &[u8]) {
    let arguments = [&["convert"], arguments].concat();
    let (code, stdout, stderr) = run_with(&arguments, input);
    assert_eq!(
        (code, stdout.as_bytes(), stderr.as_str()),
        (Some(0), expected, ""),
        "{arguments:?}"
    );
}

#[test]
fn a_message_is_converted_in_every_direction() {
    let json = br#"{"temp":21.5,"at":[1,2],"tags":{"$set":["a"]}}"#;
    let exact = br#"{"temp":21.5,"at":{"$tuple":[1,2]},"tags":{"$set":["a"]}}"#;
    let xml = b"<message type=\"dict\"><temp type=\"float\">21.5</temp><at type=\"tuple\"><item \
    type=\"int\">1</item>\
                <item type=\"int\">2</item></at><tags type=\"set\"><item \
                type=\"str\">a</item></tags></message>";
    let line = |text: &[u8]| [text, b"\n"].concat();
    converts(&["--from", "pickle"], RECORD, &line(json));
    converts(&["--from", "pickle", "--exact"], RECORD, &line(exact));
    converts(&["--from", "pickle", "--to", "xml"], RECORD, &line(xml));
    converts(&["--from", "xml", "--exact"], xml, &line(exact));
    converts(&["--from", "json", "--to", "xml"], exact, &line(xml));
    converts(&["--from", "json"], b" {\"a\" : 1.50}\n", b"{\"a\" : 1.50}\n");
    let mut back = babelmq(&["convert", "--from", "json", "--to", "pickle"]);
    back.stdin(std::process::Stdio::piped());
    let mut back = back.spawn().unwrap();
    std::io::Write::write_all(&mut back.stdin.take().unwrap(), exact).unwrap();
    let pickled = back.wait_with_output().unwrap().stdout;
    converts(&["--from", "pickle", "--exact", "-"], &pickled, &line(exact));
}

#[test]
fn many_messages_are_converted_one_by_one() {
    converts(&["--from", "pickle"], b"K\x01.]K\x02a.", b"1\n[2]\n");
    converts(
        &["--from", "json", "--lines", "--to", "xml"],
        b"1\n\nnull\n",
        b"<message type=\"int\">1</message>\n<message type=\"null\"></message>\n",
    );
    converts(&["--from", "json", "--pretty"], b"{\"a\":[]}", b"{\n  \"a\": []\n}\n");
}

#[test]
fn names_of_files_say_what_is_in_them() {
    let folder = scratch("names_of_files");
    let file = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let record = file("a.pkl", RECORD);
    check(
        &["convert", &record, "--exact"],
        "",
        "{\"temp\":21.5,\"at\":{\"$tuple\":[1,2]},\"tags\":{\"$set\":[\"a\"]}}\n",
    );
    let lines = file("a.jsonl", b"1\n2\n");
    check(&["convert", &lines, "--to", "json"], "", "1\n2\n");
    check(&["convert", &lines, "--from", "json", "--to", "json"], "", "1\n2\n");
    let unknown = file("a.dat", b"1");
    super::fails(&["convert", &unknown], "", 2, &["a.dat", "--from"]);
    super::fails(&["convert"], "", 2, &["standard input", "--from"]);
    super::fails(&["convert", "nowhere.json"], "", 1, &["nowhere.json"]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_malicious_pickle_says_what_it_would_have_done() {
    let (code, stdout, stderr) =
        run_with(&["convert", "--from", "pickle"], b"K\x01.cposix\nsystem\n(S'rm -rf ~'\ntR.");
    // What was good before it was translated.
    assert_eq!((code, stdout.as_str()), (Some(5), "1\n"));
    assert_eq!(
        stderr.lines().collect::<Vec<_>>()[..4],
        [
            "standard input, pickle 2: Python, unpickling this,",
            "  would import posix.system",
            "  would call posix.system(\"rm -rf ~\")",
            "Nothing of it was done here.",
        ],
        "{stderr}"
    );
    assert!(stderr.contains("babelmq: standard input, pickle 2: forbidden-pickle: "), "{stderr}");
    assert_eq!(stderr.lines().count(), 5, "{stderr}");
}

#[test]
fn what_is_wrong_has_a_place_and_a_code() {
    let fails = super::fails;
    fails(&["convert", "--from", "pickle"], "", 4, &["standard input: malformed-pickle"]);
    fails(&["convert", "--from", "json"], "{", 4, &["malformed-json"]);
    fails(&["convert", "--from", "xml"], "<a>", 4, &["malformed-xml"]);
    fails(&["convert", "--from", "xml"], "<!DOCTYPE a><a/>", 5, &["forbidden-xml"]);
    fails(&["convert", "--from", "json"], &("[".repeat(200) + &"]".repeat(200)), 5, &["too-deep"]);
    fails(&["convert", "--from", "json"], &"9".repeat(5_000), 5, &["too-many-digits"]);
}

#[test]
fn explain_says_type_by_type_what_becomes_what() {
    let (code, stdout, stderr) = run_with(&["convert", "--from", "pickle", "--explain"], RECORD);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(
        stdout.lines().collect::<Vec<_>>(),
        [
            "type   how many  first at   becomes",
            "int    2         $.at[0]    a number",
            "float  1         $.temp     a number",
            "str    1         $.tags[0]  a string",
            "tuple  1         $.at       an array      not to be told from a list; --exact tags it",
            "set    1         $.tags     {\"$set\":[…]}",
            "dict   1         $          an object",
        ]
    );
    let (_, stdout, _) =
        run_with(&["convert", "--from", "json", "--to", "xml", "--explain"], b"[1e400]");
    assert_eq!(stdout, "", "what is refused is not explained away");
    let (_, stdout, _) =
        run_with(&["convert", "--from", "json", "--to", "xml", "--explain"], b"[null]");
    assert!(stdout.contains("type=\"null\""), "{stdout}");
}
