//! Files that are refused: with which words, and where.

use crate::access::{MAX_USERS_FILE, Policy, UsersError};

fn refused(text: &str) -> UsersError {
    Policy::parse(text).map(drop).expect_err(text)
}

#[test]
fn every_mistake_is_found_where_it_is_and_says_what_to_do() {
    let long = format!("[[user]]\nname = '{}'\ncertificate = true", "x".repeat(256));
    let many = format!("[[user]]\nname = 'anonymous'\nroles = [{}]\n[role.r]", "'r',".repeat(65));
    for (text, line, column, parts) in [
        ("[user", 1, 6, &["this is no TOML"][..]),
        ("a = 1\na = 2", 2, 1, &["TOML", "duplicate"]),
        ("users = []", 1, 1, &["\"users\"", "[[user]]", "[role.NAME]"]),
        ("user = 5", 1, 8, &["[[user]]"]),
        ("user = ['ada']", 1, 9, &["[[user]]"]),
        ("[user]\nname = 'ada'", 1, 1, &["[[user]]"]),
        ("role = 'x'", 1, 8, &["[role.NAME]"]),
        ("role.x = 'y'", 1, 10, &["[role.NAME]"]),
        ("[[user]]\ncertificate = true", 1, 1, &["no name", "name = "]),
        ("[[user]]\nname = 5\ncertificate = true", 2, 8, &["name is a string"]),
        ("[[user]]\nname = ''\ncertificate = true", 2, 8, &["empty"]),
        ("[[user]]\nname = \"a\\nb\"\ncertificate = true", 2, 8, &["control character"]),
        (&long, 2, 8, &["255 bytes", "256"]),
        ("[[user]]\nname = 'ada'", 2, 8, &["\"ada\" cannot log in", "babelmq passwd"]),
        ("[[user]]\nname = 'ada'\ncertificate = false", 2, 8, &["cannot log in"]),
        (
            "[[user]]\nname = 'ada'\npasswrd = 'x'\ncertificate = true",
            3,
            1,
            &["\"passwrd\"", "password"],
        ),
        ("[[user]]\nname = 'ada'\npassword = 'hunter2'", 3, 12, &["no hash", "babelmq passwd"]),
        ("[[user]]\nname = 'ada'\npassword = 5", 3, 12, &["password is a string"]),
        (
            "[[user]]\nname = 'ada'\npassword = '$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$\
             CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'",
            3,
            12,
            &["m=4194304", "absurd", "1048576"],
        ),
        ("[[user]]\nname = 'ada'\ntoken-sha256 = 'ab'", 3, 16, &["64 hexadecimal", "--token"]),
        ("[[user]]\nname = 'ada'\ncertificate = 'yes'", 3, 15, &["true or false"]),
        (
            "[[user]]\nname = 'ada'\ncertificate = true\ntoken-sha256 = \
             'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'",
            2,
            8,
            &["several ways"],
        ),
        ("[[user]]\nname = 'anonymous'\ncertificate = true", 2, 8, &["not logged in"]),
        (
            "[[user]]\nname = 'a'\ncertificate = true\n[[user]]\nname = 'a'\ncertificate = true",
            5,
            8,
            &["two users \"a\"", "line 2"],
        ),
        ("[[user]]\nname = 'anonymous'\nroles = ['x']", 3, 10, &["no role \"x\"", "[role.x]"]),
        ("[[user]]\nname = 'anonymous'\nroles = 'x'", 3, 9, &["list of strings"]),
        ("[[user]]\nname = 'anonymous'\nroles = [1]", 3, 10, &["each item of roles"]),
        (&many, 3, 266, &["over 64 roles"]),
        ("[role.x]\npublsh = []", 2, 1, &["\"publsh\"", "deny-publish"]),
        ("[role.x]\npublish = 'a'", 2, 11, &["publish is a list"]),
        ("[role.x]\npublish = ['ü', 'a//b']", 2, 17, &["\"a//b\"", "no filter", "empty segment"]),
        ("[role.x]\nsubscribe = ['a/#/b']", 2, 14, &["last segment"]),
        ("[role.x]\ndeny-publish = ['a+']", 2, 17, &["whole segment"]),
        ("[role.x]\ndeny-subscribe = ['']", 2, 19, &["empty"]),
        ("[role.x]\npublish = ['a/{usr}']", 2, 12, &["\"a/{usr}\"", "{user} alone"]),
        ("[role.x]\nstats = 1", 2, 9, &["stats is true or false"]),
        ("[role.x]\nadmin = 'no'", 2, 9, &["admin is true or false"]),
        ("[role.x]\nconnections = 0", 2, 15, &["from 1 on"]),
        ("[role.x]\nmessages-per-second = -1", 2, 23, &["from 1 on"]),
        ("[role.x]\nbytes-per-second = '1MiB'", 2, 20, &["whole number"]),
        ("[role.x]\nconnections = 1.5", 2, 15, &["whole number"]),
        (
            "[[user]]\nname = 'a/b'\ncertificate = true\nroles = ['x']\n[role.x]\n\
             publish = ['{user}']",
            4,
            10,
            &["\"x\"", "{user}", "\"a/b\""],
        ),
    ] {
        let error = refused(text);
        let [mistake] = error.mistakes() else { panic!("{text}\n{error}") };
        for part in parts {
            assert!(mistake.what.contains(part), "{text}\nno {part:?} in: {error}");
        }
        assert_eq!((mistake.line, mistake.column), (line, column), "{text}\n{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_in_its_order() {
    let error = refused(
        "[[user]]\nname = 'ada'\nroles = ['x']\n[[user]]\n[role.y]\nstats = 2\npublish = ['+a']\n",
    );
    let lines: Vec<usize> = error.mistakes().iter().map(|mistake| mistake.line).collect();
    assert_eq!((lines, error.more()), (vec![2, 3, 4, 6, 7], 0), "{error}");
}

/// Nested as deep as a file can be, it is refused by a count and not by the end of the stack.
#[test]
fn a_file_cannot_nest_without_end() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("a = {}{}", open.repeat(100_000), close.repeat(100_000));
        assert!(refused(&text).to_string().contains("this is no TOML"), "{open}");
        assert!(refused(&text[..100_000]).to_string().contains("this is no TOML"), "{open}");
    }
    assert!(Policy::parse(&format!("{}b = 1", "[a.a]\n".repeat(10))).is_err());
}

#[test]
fn a_token_belongs_to_one_user() {
    let user = |name| format!("[[user]]\nname = '{name}'\ntoken-sha256 = '{}'\n", "ab".repeat(32));
    let error = refused(&(user("one") + &user("two")));
    assert!(error.to_string().contains("\"two\" has the token of the user on line 2"), "{error}");
}

#[test]
fn a_name_that_stands_in_no_topic_is_good_where_no_filter_has_it() {
    for name in ["a/b", "+", "#", "CN=oslo,O=met", "ü"] {
        let file = format!(
            "[[user]]\nname = '{name}'\ncertificate = true\nroles = ['x']\n\
             [role.x]\npublish = ['a']\n"
        );
        assert!(Policy::parse(&file).is_ok(), "{name}");
    }
}

#[test]
fn a_file_has_a_size() {
    let fits = format!("#{}", " ".repeat(MAX_USERS_FILE - 1));
    assert!(Policy::parse(&fits).is_ok());
    let error = refused(&(fits + " "));
    assert!(error.to_string().contains("16777217 bytes long; the limit is 16777216"), "{error}");
}
