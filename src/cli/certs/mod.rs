//! `babelmq certs`: a private authority, and certificates of it for a broker and its clients.

mod authority;
mod name;
mod output;
mod pair;
mod subject;
mod time;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::Failure;
use authority::Authority;
use name::{ClientName, Host};
use output::Unplaced;
use pair::{Found, Pair};
use subject::Subject;

/// Hosts that every broker's certificate is for.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The port that the printed command lines have.
const PORT: u16 = 5_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory for the files; it is made where there is none.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A name or an IP address that clients connect to, beside localhost, 127.0.0.1 and ::1. It can
    /// be given more than once.
    #[arg(long = "host", value_name = "NAME_OR_IP", value_parser = name::host)]
    hosts: Vec<Host>,
    /// Make a certificate for a client of this name too. It can be given more than once.
    #[arg(long = "client", value_name = "NAME", value_parser = name::client)]
    clients: Vec<ClientName>,
    /// Days for which the certificates of the broker and of clients are valid, and at most as long
    /// as the authority, which has ten years.
    #[arg(long, value_name = "DAYS", default_value_t = 397)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// Make those anew that end within so many days, for a command that runs every week.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    renew: Option<u32>,
    /// Make the certificates of the broker and of the clients that are named anew where they are
    /// there already. The authority stays.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let folder = &args.directory;
    fs::create_dir_all(folder)
        .map_err(|error| Failure::File { place: folder.display().to_string(), error })?;
    let mut report = Vec::new();
    let mut unplaced = Vec::new();

    let pair = Pair::new(folder, "ca");
    let (authority, is_new) = match pair.read()? {
        Some(found) => (Authority::found(&pair, &found)?, false),
        None => (Authority::generate()?, true),
    };
    if is_new {
        unplaced.extend(pair.write(authority.cert(), authority.key(), false)?);
    }
    report.push(line(is_new, &pair, "the authority, which clients trust", authority.until()));

    let hosts: Vec<Host> = LOOPBACK.into_iter().flat_map(name::host).collect();
    let hosts = hosts.into_iter().chain(args.hosts.iter().cloned());
    let subjects = [Subject::Broker(hosts.collect())].into_iter();
    for subject in subjects.chain(args.clients.iter().cloned().map(Subject::Client)) {
        let pair = Pair::new(folder, subject.file());
        let found = pair.read()?;
        let kept = match &found {
            Some(found) if !args.force => kept(&authority, &subject, (&pair, found), args.renew)?,
            _ => None,
        };
        let (is_new, until) = match kept {
            Some(until) => (false, until),
            None => {
                let issued = authority.issue(&subject, args.days)?;
                unplaced.extend(pair.write(&issued.cert, &issued.key, found.is_some())?);
                (true, issued.until)
            }
        };
        report.push(line(is_new, &pair, &subject.to_string(), until));
    }

    unplaced.into_iter().try_for_each(Unplaced::place)?;
    output::settle(folder)?;
    report.extend(usage(args));
    Ok(io::stdout().lock().write_all(report.concat().as_bytes())?)
}

/// Until when a pair that is there can be used for what is asked for; nothing where it is to be
/// renewed.
fn kept(
    authority: &Authority,
    subject: &Subject,
    (pair, found): (&Pair, &Found),
    renew: Option<u32>,
) -> Result<Option<Duration>, Failure> {
    let unusable = |why: String| {
        let path = pair.cert.display();
        Failure::Other(format!("{path} is there and {why}; --force makes another one"))
    };
    let until = authority.judge(subject, found).map_err(unusable)?;
    let left = until.saturating_sub(time::now());
    match renew {
        Some(days) if left <= time::DAY * days => Ok(None),
        None if left.is_zero() => Err(unusable(format!("has ended on {}", time::day(until)))),
        _ => Ok(Some(until)),
    }
}

fn line(is_new: bool, pair: &Pair, what: &str, until: Duration) -> String {
    let verb = if is_new { "made" } else { "kept" };
    let (cert, key) = (pair.cert.display(), pair.key.display());
    format!("{verb} {cert} and {key}: {what}, until {}\n", time::day(until))
}

/// The command lines that use the files.
fn usage(args: &Args) -> Vec<String> {
    let quoted = |path: &Path| {
        let path = path.display().to_string();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        if path.bytes().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
    };
    let server = Pair::new(&args.directory, Subject::BROKER);
    let host = args.hosts.iter().find_map(Host::in_url);
    let listen = host.clone().unwrap_or_else(|| "127.0.0.1".into());
    let host = host.unwrap_or_else(|| "localhost".into());
    let mut lines = vec![
        "\nThe broker:\n".to_owned(),
        format!(
            "  babelmq serve --listen tls://{listen}:{PORT} --tls-cert {} --tls-key {}\n",
            quoted(&server.cert),
            quoted(&server.key)
        ),
        "What its clients have in their environment:\n".to_owned(),
    ];
    let authority = Pair::new(&args.directory, "ca");
    let all =
        format!("BABELMQ_ADDR=babelmqs://{host}:{PORT} BABELMQ_CA={}", { quoted(&authority.cert) });
    lines.push(format!("  {all}\n"));
    for client in &args.clients {
        let pair = Pair::new(&args.directory, client.as_str());
        let (cert, key) = (quoted(&pair.cert), quoted(&pair.key));
        lines.push(format!("  {all} BABELMQ_CERT={cert} BABELMQ_KEY={key}\n"));
    }
    lines
}
