//! Users files for babelmq.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Programs, System};

/// Who logs in with a password, and the password.
pub(crate) const WITH_PASSWORD: (&str, &str) = ("ada", "correct horse battery staple");

/// A users file.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    pub(crate) file: String,
    /// Of the one user who has a token.
    pub(crate) token: String,
}

impl Programs {
    /// Writes a users file with two users, one with a token and one with a password, whose role has
    /// these lines.
    pub(crate) fn users(&self, role: &str) -> Result<Users> {
        let (mut entries, told) = self.passwd(&["bench", "--token", "--role", "bench"], "")?;
        let token = told.trim().rsplit(' ').next().context("no token")?.to_owned();
        let (user, password) = WITH_PASSWORD;
        entries += &self.passwd(&[user, "--role", "bench"], password)?.0;
        entries += "\n[role.bench]\n";
        entries += role;
        let file = self.scratch.join("users.toml");
        fs::write(&file, entries)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
        Ok(Users { file: file.display().to_string(), token })
    }

    /// An entry, and what is said beside it.
    fn passwd(&self, arguments: &[&str], password: &str) -> Result<(String, String)> {
        let mut child = Command::new(self.find(System::Babelmq)?)
            .arg("passwd")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no input")?.write_all(password.as_bytes())?;
        let output = child.wait_with_output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "babelmq passwd: {told}");
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), told))
    }
}
