//! `babelmq allowed`: what a users file lets a user do, without a broker.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::args::{filter, topic};
use super::failure::Failure;
use super::visible;
use crate::access::{Explanation, MAX_USERS_FILE, Policy, Reach, Right};
use crate::protocol::{Topic, TopicFilter};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The users file.
    file: PathBuf,
    /// The user; anonymous is who has not logged in.
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Asked {
    /// Whether the user may publish to this topic, and clear it.
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    publish: Option<Topic>,
    /// Whether the user may subscribe to this, and list it. A subscription of which a part is
    /// allowed is limited to that part.
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    subscribe: Option<TopicFilter>,
}

/// The answer that it is not allowed.
const NOT_ALLOWED: u8 = 1;

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let policy = read(&args.file)?;
    let Some(user) = policy.user(&args.user) else {
        let (name, file) = (&args.user, args.file.display());
        return Err(Failure::Usage(format!("{file} has no user {name:?}")));
    };
    let explanation = match &args.asked {
        Asked { publish: Some(topic), .. } => user.grant().explain(Right::Publish, topic.name()),
        Asked { subscribe: Some(filter), .. } => {
            user.grant().explain_filter(Right::Subscribe, filter)
        }
        // The arguments have one of them.
        Asked { .. } => return Err(Failure::Usage("say --publish or --subscribe".into())),
    };
    let line = say(&explanation);
    writeln!(io::stdout(), "{}", visible::line(&line))?;
    match explanation.reach {
        Reach::Nothing => Err(Failure::Said(NOT_ALLOWED)),
        Reach::All | Reach::Some => Ok(()),
    }
}

/// The policy in a file. Exit code 1 is an answer here, so a file that cannot be read is wrong as
/// an argument.
fn read(path: &Path) -> Result<Policy, Failure> {
    let place = path.display();
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::Usage(format!("cannot read the users file {place}: {error}"))
    };
    let mut bytes = Vec::new();
    let most = MAX_USERS_FILE as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&error))?;
    if bytes.len() > MAX_USERS_FILE {
        return Err(unreadable(&format!("it is longer than {MAX_USERS_FILE} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| unreadable(&error))?;
    Policy::parse(&text).map_err(|error| {
        let mut lines: Vec<String> = error
            .mistakes()
            .iter()
            .map(|mistake| format!("{place}:{}:{}: {}", mistake.line, mistake.column, mistake.what))
            .collect();
        if error.more() > 0 {
            lines.push(format!("and {} more", error.more()));
        }
        Failure::Usage(lines.join("\n"))
    })
}

fn say(Explanation { reach, allow, deny, .. }: &Explanation) -> String {
    match (reach, allow, deny) {
        (Reach::All, Some(allow), _) => format!("allowed: {allow}"),
        (Reach::Some, Some(allow), Some(deny)) => format!("limited: {allow}, without {deny}"),
        (Reach::Some, Some(allow), None) => format!("limited: to {allow}"),
        (_, Some(_), Some(deny)) => format!("not allowed: {deny}"),
        _ => "not allowed: no rule of the user's roles allows it".into(),
    }
}
