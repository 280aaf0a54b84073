//! A password, from wherever it does not show: a terminal that echoes nothing, a pipe, a file.
//! Never from an argument, which every user of the machine can read while the command runs.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::process;
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::failure::Failure;
use super::visible;

/// Bytes that a password may have.
const LONGEST: usize = 1_024;

/// The password in a file, or from standard input, where a person is asked for it twice.
pub(super) fn password(file: Option<&Path>) -> Result<String, Failure> {
    let stdin = io::stdin();
    match file {
        Some(path) => in_file(path, "password"),
        None if stdin.is_terminal() => asked(),
        None => {
            let place = "standard input";
            let read = whole(stdin.lock());
            let read = read.map_err(|error| Failure::File { place: place.into(), error })?;
            judged("password", place, read)
        }
    }
}

/// The password, or what else it is, in a file.
pub(super) fn in_file(path: &Path, what: &str) -> Result<String, Failure> {
    let place = path.display().to_string();
    let read = File::open(path).and_then(whole);
    let read = read.map_err(|error| Failure::File { place: place.clone(), error })?;
    judged(what, &place, read)
}

/// The password of a user, for which a person at a terminal is asked once: the broker knows it.
pub(super) fn of_user(user: &str) -> Result<String, Failure> {
    let silence = Silence::begin().map_err(terminal)?;
    let typed = ask(&format!("Password of {}: ", visible::line(user)))?;
    silence.end();
    judged("password", "the terminal", typed.into_bytes())
}

fn whole(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than may be, and the end of the line.
    from.take(LONGEST as u64 + 3).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text without the end of its line.
fn judged(what: &str, place: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    let wrong = |why: &str| Err(Failure::Usage(format!("the {what} from {place} {why}")));
    let Ok(mut text) = String::from_utf8(bytes) else { return wrong("is not UTF-8") };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return wrong("is empty");
    }
    if text.len() > LONGEST {
        return wrong("is longer than 1024 bytes");
    }
    if text.chars().any(char::is_control) {
        return wrong("has a second line or another control character");
    }
    Ok(text)
}

fn asked() -> Result<String, Failure> {
    let silence = Silence::begin().map_err(terminal)?;
    let first = ask("Password: ")?;
    let second = ask("The same again: ")?;
    silence.end();
    if first == second {
        judged("password", "the terminal", first.into_bytes())
    } else {
        Err(Failure::Usage("the two passwords are not the same; nothing was made".into()))
    }
}

fn ask(prompt: &str) -> Result<String, Failure> {
    // Standard output is for the entry.
    eprint!("{prompt}");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(terminal)?;
    // The terminal does not show that the key was pressed.
    eprintln!();
    Ok(line)
}

fn terminal(error: io::Error) -> Failure {
    Failure::File { place: "the terminal".into(), error }
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silence {
    before: Termios,
    signals: signal_hook::iterator::Handle,
}

impl Silence {
    fn begin() -> io::Result<Silence> {
        let before = tcgetattr(io::stdin())?;
        // A person who gives up leaves a terminal that shows what is typed.
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let (handle, restored) = (signals.handle(), before.clone());
        thread::Builder::new().spawn(move || {
            if let Some(signal) = signals.forever().next() {
                restore(&restored);
                eprintln!();
                process::exit(128 + signal);
            }
        })?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Silence { before, signals: handle })
    }

    /// Ends it now.
    fn end(self) {}
}

impl Drop for Silence {
    fn drop(&mut self) {
        restore(&self.before);
        self.signals.close();
    }
}

fn restore(terminal: &Termios) {
    // There is nobody to tell where the terminal is gone.
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
}
