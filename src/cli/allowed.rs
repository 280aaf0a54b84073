//! `babelmq allowed`: what a users file lets a user do, without a broker.

use std::io::{self, Write};
use std::path::PathBuf;

use super::args::{filter, topic};
use super::failure::Failure;
use super::visible;
use crate::access::{Explanation, Reach, Right};
use crate::protocol::{Topic, TopicFilter};
use crate::transport::load_users;

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
    // Exit code 1 is an answer here, so a file that cannot be read is wrong as an argument.
    let (policy, _) = load_users(&args.file).map_err(|error| Failure::Usage(error.to_string()))?;
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

fn say(Explanation { reach, allow, deny, .. }: &Explanation) -> String {
    match (reach, allow, deny) {
        (Reach::All, Some(allow), _) => format!("allowed: {allow}"),
        (Reach::Some, Some(allow), Some(deny)) => format!("limited: {allow}, without {deny}"),
        (Reach::Some, Some(allow), None) => format!("limited: to {allow}"),
        (_, Some(_), Some(deny)) => format!("not allowed: {deny}"),
        _ => "not allowed: no rule of the user's roles allows it".into(),
    }
}
