//! Every `console` block of the documents is run, in order, and prints what is printed there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Served, run, scratch};

/// A command line, and what it prints.
struct Example {
    line: usize,
    command: String,
    printed: String,
}

fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (number, line) in document.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(command), _) => {
                    examples.push(Example {
                        line: number + 1,
                        command: command.into(),
                        printed: String::new(),
                    });
                }
                (None, Some(example)) => example.printed += &format!("{line}\n"),
                (None, None) => panic!("line {}: a block begins without a command", number + 1),
            },
        }
    }
    examples
}

fn check(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join(name)).unwrap();
    let examples = examples(&document);
    assert!(!examples.is_empty(), "{name} has no examples");
    let broker = Served::start(&[]);
    let folder = scratch(&name.replace('/', "-"));
    let bin = Path::new(env!("CARGO_BIN_EXE_babelmq")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for Example { line, command, printed } in examples {
        let mut shell = Command::new("sh");
        // What is said on standard error stands among the rest, as it does on a terminal.
        shell.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(&folder);
        shell.env("PATH", &path).env("BABELMQ_ADDR", &broker.text).stdin(Stdio::null());
        let output = shell.output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!(found, printed, "{name}, line {line}: {command}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_examples_of_the_readme_are_what_happens() {
    check("README.md");
}

#[test]
fn the_examples_of_the_manual_are_what_happens() {
    check("docs/command.md");
}

#[test]
fn the_examples_about_users_are_what_happens() {
    check("docs/users.md");
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command.md")).unwrap();
    let (_, help, _) = run(&["--help"]);
    let (_, listed) = help.split_once("Exit codes:\n").unwrap();
    let listed: Vec<&str> = listed.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(listed.len(), 9, "{help}");
    for line in listed {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(document.contains(&format!("| {code} | {meaning} |")), "{line}");
    }
}
