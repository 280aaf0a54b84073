//! `babelmq passwd`: an entry for a users file. No file is written: who has the file puts it in.

use std::io::{self, Write};
use std::path::PathBuf;

use super::failure::Failure;
use super::secret;
use crate::access::{PasswordHash, Policy, SALT_BYTES, TokenHash};

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name of the user.
    #[arg(value_parser = name)]
    name: String,
    /// A role of the user. It can be given more than once.
    #[arg(long = "role", value_name = "ROLE", value_parser = role)]
    roles: Vec<String>,
    /// Read the password from a file, as one line, instead of asking for it or reading it from
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    password_file: Option<PathBuf>,
    /// Make a token in the place of a password. It is printed this once, on standard error; the
    /// entry holds its hash.
    #[arg(long)]
    token: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let credential = if args.token {
        let token: String =
            random::<TOKEN_BYTES>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("the token of {}, which is shown only now: {token}", args.name);
        format!("token-sha256 = \"{}\"", TokenHash::of(&token))
    } else {
        let password = secret::password(args.password_file.as_deref())?;
        let hash = PasswordHash::new(&password, random::<SALT_BYTES>()?)
            .ok_or_else(|| Failure::Other("there is no memory to hash a password".into()))?;
        format!("password = \"{hash}\"")
    };
    Ok(io::stdout().lock().write_all(entry(&args.name, &credential, &args.roles).as_bytes())?)
}

fn entry(name: &str, credential: &str, roles: &[String]) -> String {
    let roles: Vec<String> = roles.iter().map(|role| quoted(role)).collect();
    let (name, roles) = (quoted(name), roles.join(", "));
    format!("[[user]]\nname = {name}\n{credential}\nroles = [{roles}]\n")
}

/// A text without control characters as a TOML string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The name of a user who can log in, as a users file takes it.
fn name(text: &str) -> Result<String, String> {
    let file = format!("[[user]]\nname = {}\ncertificate = true\n", quoted(text));
    if text.chars().any(char::is_control) {
        return Err("a name has no control characters".into());
    }
    match Policy::parse(&file) {
        Ok(_) => Ok(text.into()),
        Err(error) => {
            Err(error.mistakes().first().map(|first| first.what.clone()).unwrap_or_default())
        }
    }
}

fn role(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("the name of a role has no control characters".into());
    }
    Ok(text.into())
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Failure::Other(format!("the system gives no random bytes: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_whatever_the_names_are() {
        let roles = ["a\"b\\".to_owned(), "ü c".to_owned()];
        let text = entry("o\"\\brien", "certificate = true", &roles)
            + "[role.'a\"b\\']\nstats = true\n[role.'ü c']\nadmin = true\n";
        let policy = Policy::parse(&text).unwrap();
        let grant = policy.user("o\"\\brien").unwrap().grant().clone();
        assert!(grant.stats() && grant.admin());
        assert!(name("a\nb").is_err() && name("").is_err() && name("anonymous").is_err());
    }
}
