//! A flag comes before the environment, that before the file, that before the default.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Served, babelmq, fails, run, scratch};

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What `babelmq config` says of one setting, without the space between the value and where it came
/// from.
#[track_caller]
fn effective(printed: &str, key: &str) -> String {
    let line =
        printed.lines().find(|line| line.trim_start_matches("# ").split(' ').next() == Some(key));
    let line = line.unwrap_or_else(|| panic!("no {key} in {printed}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_value_says_where_it_came_from() {
    let folder = scratch("config_origins");
    let file = write(
        &folder,
        "b.toml",
        "# ours\nmax-frame = \"1MiB\"\nmax-depth = 0x10\nlog = \"warn\"\nqueue-bytes = \"2MiB\"\n",
    );
    let mut command = babelmq(&["config", "--config", &file, "--max-depth", "20"]);
    command.env("BABELMQ_LOG", "debug").env("BABELMQ_LISTEN", "127.0.0.1:7000");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(effective(&printed, "max-depth"), "max-depth = 20 # --max-depth");
    assert_eq!(effective(&printed, "log"), "log = \"debug\" # environment, BABELMQ_LOG");
    assert_eq!(
        effective(&printed, "listen"),
        "listen = \"127.0.0.1:7000\" # environment, BABELMQ_LISTEN"
    );
    assert_eq!(effective(&printed, "max-frame"), format!("max-frame = \"1MiB\" # {file}, line 2"));
    assert_eq!(
        effective(&printed, "queue-bytes"),
        format!("queue-bytes = \"2MiB\" # {file}, line 5")
    );
    assert_eq!(effective(&printed, "keepalive"), "keepalive = \"60s\" # default");
    assert_eq!(effective(&printed, "max-decoded"), "# max-decoded = # not set");

    // What was printed is a file that says the same.
    let again = write(&folder, "again.toml", &printed);
    let (code, second, stderr) = run(&["config", "--config", &again]);
    assert_eq!(code, Some(0), "{stderr}");
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.rsplit_once(" # ").unwrap().0.trim_end().to_owned()).collect()
    };
    assert_eq!(values(&second), values(&printed));
    // Every option of serve that the environment can set is a setting, and no other.
    let (_, help, _) = run(&["serve", "--help"]);
    let in_help = help.matches("[env: BABELMQ_").count() - 1;
    assert_eq!(printed.lines().count(), in_help, "all but --config itself");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_file_may_be_named_by_the_environment_and_is_served() {
    let folder = scratch("config_served");
    let file = write(&folder, "b.toml", "listen = \"127.0.0.1:0\"\nmax-frame = 1024\n");
    let served = Served::start(&["--config", &file]);
    let long = format!("\"{}\"", "x".repeat(2_000));
    fails(&served.at("pub", &["/t", &long]), "", 5, &["frame-too-large", "1024"]);
    let output = babelmq(&["config"]).env("BABELMQ_CONFIG", &file).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(effective(&printed, "max-frame"), format!("max-frame = 1024 # {file}, line 2"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_wrong_in_a_file_has_a_line_and_a_column() {
    let folder = scratch("config_wrong");
    let check = |text: &str, parts: &[&str]| {
        let file = write(&folder, "b.toml", text);
        for command in [&["serve", "--check"][..], &["serve"], &["config"]] {
            let arguments = [command, &["--config", &file]].concat();
            fails(&arguments, "", 2, &[&[file.as_str()], parts].concat());
        }
    };
    check("log = \"info\"\nmax-frames = 1\n", &[":2:1:", "\"max-frames\"", "is it \"max-frame\"?"]);
    check("  max_frame = 1\n", &[":1:3:", "is it \"max-frame\"?"]);
    check("qwertz = 1\n", &[":1:1:", "there are", "max-frame"]);
    check("max-frame = \"1TiB\"\n", &[":1:13:", "max-frame = \"1TiB\"", "256MiB"]);
    check("log-format = \"xml\"\n", &[":1:14:", "text, json"]);
    check("max-frame = { is = 1 }\n", &[":1:13:", "a string, a number or a boolean"]);
    check("[max-frame]\n", &[":1:"]);
    check("max-frame = 1\nmax-frame = 2\n", &[":2:", "duplicate"]);
    check("max-frame = \n", &[":1:"]);
    check("log = \"info\nmax-frame = 1\n", &[":1:"]);
    check("config = \"other.toml\"\n", &[":1:1:", "\"config\""]);
    let none: PathBuf = folder.join("none.toml");
    fails(&["serve", "--config", none.to_str().unwrap()], "", 2, &["none.toml"]);
    let good = write(&folder, "good.toml", "max-frame = 1\n");
    super::check(&["serve", "--check", "--config", &good], "", "the configuration is good\n");
    fs::remove_dir_all(folder).unwrap();
}
