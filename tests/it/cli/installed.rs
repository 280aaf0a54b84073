//! Being installed: the manual, the shells' completion, `make install`, the service, the images.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::{Served, babelmq, run, scratch};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const COMMANDS: [&str; 21] = [
    "serve",
    "config",
    "pub",
    "sub",
    "get",
    "topics",
    "clear",
    "stream",
    "consumer",
    "dead",
    "backbone",
    "check",
    "top",
    "bench",
    "convert",
    "certs",
    "passwd",
    "allowed",
    "completions",
    "manual",
    "help",
];

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = run(&["completions", shell]);
        assert_eq!(code, Some(0));
        for word in COMMANDS.iter().chain(&["max-frame", "overflow"]) {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    // What bash gets is something that bash can read.
    let (_, script, _) = run(&["completions", "bash"]);
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

/// A line of roff as it is read.
fn plain(line: &str) -> String {
    line.replace("\\-", "-")
        .replace("\\(aq", "'")
        .replace("\\*(Aq", "'")
        .replace("\\&", "")
        .replace("\\\\", "\\")
}

#[test]
fn the_manual_has_every_option_and_its_examples_are_run() {
    let (code, page, _) = run(&["manual"]);
    assert_eq!(code, Some(0));
    let text: String = page.lines().map(|line| plain(line) + "\n").collect();
    for command in &COMMANDS[..20] {
        assert!(text.contains(&format!("babelmq {command}")), "no {command}");
        let (_, help, _) = run(&[command, "--help"]);
        let options =
            help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
        for option in options.map(|word| word.trim_end_matches([',', '.', ';', ')', '`'])) {
            let option = option.split('[').next().unwrap();
            assert!(option == "--help" || text.contains(option), "{command}: no {option}");
        }
    }
    for code in 0..8 {
        assert!(page.contains(&format!("\\fB{code}\\fR")), "no exit code {code}");
    }

    let broker = Served::start(&[]);
    let folder = scratch("manual");
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_babelmq")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let (_, examples) = text.split_once(".SH EXAMPLES\n").unwrap();
    let blocks: Vec<&str> =
        examples.split(".nf\n").skip(1).map(|rest| rest.split(".fi").next().unwrap()).collect();
    assert!(blocks.len() >= 5, "{examples}");
    for block in blocks {
        let (command, printed) = block.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(&folder);
        let output = shell
            .env("PATH", &path)
            .env("BABELMQ_ADDR", &broker.text)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), printed, "{command}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// What a release says of its commit: by the build script itself, run where there is a repository
/// and where there is none.
#[test]
fn a_release_knows_its_commit_if_anybody_does() {
    let folder = scratch("version");
    let script = folder.join("build-script");
    let mut rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()));
    rustc.args(["--edition", "2024", "-o"]).arg(&script).arg(root().join("build.rs"));
    assert!(rustc.status().unwrap().success());
    let watched = RefCell::new(Vec::new());
    let says = |directory: &Path, profile: &str, path: Option<&str>| {
        let mut build = Command::new(&script);
        build.current_dir(directory).env("PROFILE", profile);
        if let Some(path) = path {
            build.env("PATH", path);
        }
        let printed = String::from_utf8(build.output().unwrap().stdout).unwrap();
        let files =
            printed.lines().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="));
        let files: Vec<_> =
            files.filter(|file| *file != "build.rs").map(|file| directory.join(file)).collect();
        // Cargo builds everything anew each time where a file that it is to watch is missing.
        for file in &files {
            assert!(file.exists(), "{} is watched and does not exist", file.display());
        }
        *watched.borrow_mut() = files;
        printed
            .lines()
            .find_map(|line| line.strip_prefix("cargo::rustc-env=BABELMQ_COMMIT="))
            .unwrap()
            .to_owned()
    };
    // When what is watched was changed last, as cargo sees it.
    let changed = || newest(&watched.borrow()).unwrap();
    assert_eq!(says(&folder, "release", None), "", "no repository");
    fs::write(
        folder.join(".cargo_vcs_info.json"),
        "{\n \"git\": {\n \"sha1\": \"0123456789abcdef\"\n }\n}",
    )
    .unwrap();
    assert_eq!(says(&folder, "release", None), " (012345678)", "a package from the registry");
    fs::remove_file(folder.join(".cargo_vcs_info.json")).unwrap();
    let git = |arguments: &[&str]| {
        let identity =
            ["-c", "user.name=t", "-c", "user.email=t@t.invalid", "-c", "commit.gpgsign=false"];
        let done = Command::new("git")
            .current_dir(&folder)
            .args(identity)
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    assert_eq!(says(&folder, "release", None), "", "nothing was committed");
    git(&["commit", "--quiet", "--allow-empty", "--message", "one"]);
    let commit = git(&["log", "-1", "--format=%h %cs"]);
    assert_eq!(says(&folder, "release", None), format!(" ({})", commit.trim()));
    assert_eq!(
        says(&folder, "debug", None),
        "",
        "a build for development would have to be made anew each time"
    );
    assert_eq!(says(&folder, "release", Some("/nowhere")), "", "no git");

    let worktree = folder.join("worktree");
    git(&["worktree", "add", "--quiet", "worktree"]);
    git(&["pack-refs", "--all"]);
    let logs = [folder.join(".git/logs/HEAD"), folder.join(".git/worktrees/worktree/logs/HEAD")];
    for with_logs in [true, false] {
        if !with_logs {
            git(&["config", "core.logAllRefUpdates", "false"]);
            logs.iter().for_each(|log| fs::remove_file(log).unwrap());
        }
        for directory in [&folder, &worktree] {
            let commit = says(directory, "release", None);
            assert!(commit.starts_with(" ("), "{commit}");
            let before = changed();
            let at = directory.to_str().unwrap();
            git(&["-C", at, "commit", "--quiet", "--allow-empty", "--message", "more"]);
            assert!(changed() > before, "a commit is not noticed: {:?}", watched.borrow());
            assert_ne!(says(directory, "release", None), commit);
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

/// The latest change of the files and of all that is in the directories.
fn newest(paths: &[PathBuf]) -> Option<SystemTime> {
    let mut newest = None;
    let mut paths = paths.to_vec();
    while let Some(path) = paths.pop() {
        newest = newest.max(Some(fs::metadata(&path).unwrap().modified().unwrap()));
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    newest
}

/// A service manager for one process: what it was told.
fn told(socket: &UnixDatagram) -> String {
    let mut message = [0; 1_024];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn a_service_manager_is_told_and_asks() {
    let folder = scratch("notify");
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let mut command = babelmq(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000").stderr(Stdio::null());
    let mut served = command.spawn().unwrap();
    assert!(told(&socket).starts_with("READY=1\nSTATUS=listening on 127.0.0.1:"));
    for _ in 0..3 {
        assert_eq!(told(&socket), "WATCHDOG=1");
    }
    let signal = |name: &str| {
        let id = served.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    };
    let until = |beginning: &str| loop {
        let message = told(&socket);
        if message != "WATCHDOG=1" {
            assert!(message.starts_with(beginning), "{message}");
            return;
        }
    };
    signal("HUP");
    until("RELOADING=1\nMONOTONIC_USEC=");
    until("READY=1");
    signal("TERM");
    until("STOPPING=1");
    assert_eq!(served.wait().unwrap().code(), Some(0));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_unit_runs_what_is_installed_and_may_do_little() {
    let unit = read("packaging/babelmq.service");
    let directives: Vec<(&str, &str)> =
        unit.lines().filter_map(|line| line.split_once('=')).collect();
    let of =
        |name: &str| directives.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    assert_eq!(of("Type"), Some("notify"));
    assert!(of("WatchdogSec").is_some());
    for (name, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateDevices", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("CapabilityBoundingSet", ""),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("SystemCallFilter", "@system-service"),
    ] {
        assert_eq!(of(name), Some(value), "{name}");
    }
    // Its command line is one that the command takes.
    let start: Vec<&str> = of("ExecStart").unwrap().split_whitespace().collect();
    assert_eq!(start[0], "/usr/bin/babelmq");
    let config = root().join("packaging/babelmq.toml");
    let arguments = start[1..]
        .iter()
        .map(|word| word.replace("/etc/babelmq/babelmq.toml", config.to_str().unwrap()));
    let arguments: Vec<String> = arguments.chain(["--check".into()]).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    super::check(&arguments, "", "the configuration is good\n");
}

#[test]
fn make_install_puts_everything_in_its_place_and_make_uninstall_takes_it_away() {
    let folder = scratch("install");
    let make = |target: &str| {
        let mut make = Command::new("make");
        make.current_dir(root()).args(["--no-print-directory", target, "PREFIX=/usr"]);
        make.arg(format!("DESTDIR={}", folder.display()));
        make.arg(format!("BABELMQ={}", env!("CARGO_BIN_EXE_babelmq")));
        let output = make.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    make("install");
    let binary = folder.join("usr/bin/babelmq");
    assert_eq!(fs::metadata(&binary).unwrap().permissions().mode() & 0o777, 0o755);
    let version = Command::new(&binary).arg("--version").output().unwrap();
    assert!(version.stdout.starts_with(b"babelmq "));
    let installed = [
        "usr/share/man/man1/babelmq.1",
        "usr/share/bash-completion/completions/babelmq",
        "usr/share/zsh/site-functions/_babelmq",
        "usr/share/fish/vendor_completions.d/babelmq.fish",
        "usr/lib/systemd/system/babelmq.service",
        "etc/babelmq/babelmq.toml",
    ];
    for file in installed {
        let metadata =
            fs::metadata(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(metadata.len() > 100 && metadata.permissions().mode() & 0o777 == 0o644, "{file}");
    }
    // A configuration that is there already is the administrator's.
    let config = folder.join("etc/babelmq/babelmq.toml");
    fs::write(&config, "log = \"warn\"\n").unwrap();
    make("install");
    assert_eq!(fs::read_to_string(&config).unwrap(), "log = \"warn\"\n");
    make("uninstall");
    assert!(!binary.exists());
    for file in &installed[..5] {
        assert!(!folder.join(file).exists(), "{file}");
    }
    assert!(config.exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_configuration_that_is_shipped_listens_on_this_machine_and_is_else_all_defaults() {
    let shipped = read("packaging/babelmq.toml");
    let keys = |text: &str| -> Vec<String> {
        let settings =
            text.lines().filter_map(|line| line.trim_start_matches("# ").split_once(" ="));
        settings.map(|(key, _)| key.to_owned()).collect()
    };
    let (_, printed, _) = run(&["config"]);
    assert_eq!(keys(&shipped), keys(&printed), "every setting, in the order of babelmq config");
    // Nothing is set but where to listen, and other machines reach neither of these.
    let set: Vec<&str> =
        shipped.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let socket = "unix:/run/babelmq/babelmq.sock?mode=666";
    assert_eq!(set, [format!("listen = [\"127.0.0.1:5000\", \"{socket}\"]")]);
    assert!(read("packaging/babelmq.service").contains("\nRuntimeDirectory=babelmq\n"));
    let folder = scratch("shipped");
    let uncommented: String = shipped
        .lines()
        .filter(|line| line.contains(" = ") && !line.starts_with("##"))
        // The check reads certificates and users, and here there are none.
        .filter(|line| !line.starts_with("# tls-") && !line.starts_with("# users "))
        .map(|line| line.trim_start_matches("# ").to_owned() + "\n")
        .collect();
    let file = folder.join("all.toml");
    fs::write(&file, uncommented).unwrap();
    super::check(
        &["serve", "--check", "--config", file.to_str().unwrap()],
        "",
        "the configuration is good\n",
    );
    fs::remove_dir_all(folder).unwrap();
}

/// No machine that runs the tests has to be able to build it, so its steps are looked at.
#[test]
fn the_image_is_built_from_what_is_here_and_holds_the_broker_alone() {
    let file = read("Dockerfile");
    let joined = file.replace("\\\n", " ");
    let steps: Vec<(&str, &str)> = joined
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let of = |name: &str| {
        steps
            .iter()
            .filter(|(found, _)| *found == name)
            .map(|(_, rest)| rest.trim())
            .collect::<Vec<_>>()
    };
    let from = of("FROM");
    assert_eq!(from.len(), 2, "one stage that builds, one that runs");
    assert!(from[0].ends_with(" AS build") && from[1] == "scratch", "{from:?}");
    let wanted = read("Cargo.toml");
    let rust = wanted
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .unwrap()
        .trim_end_matches('"');
    assert!(from[0].starts_with(&format!("rust:{rust}")), "{} and rust-version {rust}", from[0]);
    // All that is copied out of the tree is there.
    for copied in of("COPY").iter().filter(|copied| !copied.starts_with("--from")) {
        let words: Vec<&str> = copied.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(root().join(source).exists(), "{source} is not in the repository");
        }
    }
    assert!(
        of("RUN")
            .iter()
            .any(|run| run.contains("cargo build --release --locked") && run.contains("musl"))
    );
    assert_eq!(of("USER"), ["65534:65534"]);
    assert_eq!(of("EXPOSE"), ["5000"]);
    // What it starts is a command line that the command takes.
    let started: Vec<String> = serde_json::from_str(of("ENTRYPOINT")[0]).unwrap();
    let options: Vec<String> = serde_json::from_str(of("CMD")[0]).unwrap();
    assert_eq!(started, ["/babelmq"]);
    let environment: Vec<(&str, &str)> =
        of("ENV")[0].split(' ').filter_map(|pair| pair.split_once('=')).collect();
    let environment_of = |name: &str| {
        environment.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| *value)
    };
    // Other machines reach TLS and users alone.
    let listen = environment_of("BABELMQ_LISTEN");
    assert_eq!(listen, "tls://0.0.0.0:5000,127.0.0.1:5001");
    assert_eq!(environment_of("BABELMQ_DATA_DIR"), "/data");
    assert_eq!(environment_of("BABELMQ_USERS"), "/data/users.toml");
    assert!(!file.to_ascii_lowercase().contains("anonymous"));
    assert_eq!(of("VOLUME"), ["/data"]);
    // The check reads the files, so here they lie in another folder.
    let folder = scratch("image");
    let made = Command::new(env!("CARGO_BIN_EXE_babelmq"))
        .args(["certs", folder.join("tls").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(folder.join("users.toml"), "[[user]]\nname = 'anonymous'\n").unwrap();
    let data = folder.to_str().unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_babelmq"))
        .args(options)
        .arg("--check")
        .envs(environment.iter().map(|(name, value)| (*name, value.replace("/data", data))))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let health: Vec<String> =
        serde_json::from_str(of("HEALTHCHECK")[0].split_once("CMD ").unwrap().1).unwrap();
    assert_eq!(health, ["/babelmq", "check", "--address", "127.0.0.1:5001"]);
}

#[test]
fn the_debian_package_lists_what_make_install_makes() {
    let manifest = read("Cargo.toml");
    let (_, package) = manifest.split_once("[package.metadata.deb]").unwrap();
    let package = package.split("\n[").next().unwrap();
    for file in ["usr/bin/", "usr/share/man/man1/babelmq.1", "etc/babelmq/babelmq.toml"] {
        assert!(package.contains(file), "{file}");
    }
    // The unit is found where the scripts would be.
    assert!(package.contains("maintainer-scripts = \"packaging\""));
    assert!(package.contains("unit-name = \"babelmq\", enable = true, start = true"));
    assert!(package.contains("conf-files = [\"/etc/babelmq/babelmq.toml\"]"));
    for line in package.lines().filter(|line| line.trim_start().starts_with("[\"")) {
        let source = line.split('"').nth(1).unwrap();
        let made = source.starts_with("target/");
        assert!(made || root().join(source).exists(), "{source} is not in the repository");
    }
}
