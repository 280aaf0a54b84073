//! Who a session's client is: at first, after a login, and when the users change.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Session;
use crate::access::ANONYMOUS;
use crate::broker::sync::{Instant, thread};
use crate::broker::{Control, Counters, Peer, Rights, Step};
use crate::codec::Credentials;
use crate::protocol::{ErrorCode, Format, Refusal};
use crate::transport::users::{AUDIT, Member};
use crate::wire::{Login, format_of};

/// How long somebody who could not log in waits for the answer.
const FAILED: Duration = Duration::from_secs(1);
/// Characters of a name that was tried which the log shows.
const LONGEST_NAME: usize = 255;
/// How often a session that reads nothing looks whether its client is still there.
const TICK: Duration = Duration::from_millis(100);

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    On,
    /// The client was told why it does not.
    NoFurther,
}

impl Session {
    /// Finds out who has connected.
    pub(super) fn identify(&mut self) -> io::Result<Goes> {
        let (certified, by) = match self.peer {
            Peer::Unix { user, .. } => (name_of(user), "unix"),
            Peer::Tcp(_) => (self.incoming.certificate_name().map(str::to_owned), "certificate"),
        };
        match self.shared.users.meet(certified.as_deref()) {
            Ok(member) => {
                if let Some(user) = member.rights.user().filter(|user| user.name() != ANONYMOUS) {
                    let (client, peer, user) = (self.client, self.peer, user.name());
                    tracing::info!(
                        target: AUDIT, event = "login", %client, %peer, user, by,
                        "logged in"
                    );
                }
                self.become_member(member);
                Ok(Goes::On)
            }
            Err(refusal) => {
                self.refuse(refusal, Format::Json)?;
                Ok(Goes::NoFurther)
            }
        }
    }

    pub(super) fn become_member(&mut self, member: Member) {
        self.recent.have_rights(member.rights.clone());
        self.member = Some(member);
    }

    /// Whether nothing but a login is taken.
    pub(super) fn awaits_login(&self) -> bool {
        self.member.as_ref().is_some_and(Member::awaits_login)
    }

    /// When something has to be done for it whatever its client does: the client must have logged
    /// in by then, or is not waited for any more, or is to hear something.
    pub(in crate::transport) fn due(&self) -> Option<Instant> {
        match self.http {
            Some(_) => self.idle_until(),
            None if self.mqtt.is_some() => self.silent_until(),
            None => self.must_log_in_until().or_else(|| self.incoming.due()),
        }
    }

    /// When its client must have logged in, if it must.
    pub(super) fn must_log_in_until(&self) -> Option<Instant> {
        self.log_in_until.filter(|_| self.awaits_login())
    }

    /// Tells a client that has not logged in in time.
    pub(super) fn refuse_stranger(&mut self) -> io::Result<()> {
        let timeout = self.shared.config.login_timeout;
        let reason = format!("nobody has logged in here for {timeout:?}; log in first");
        self.refuse(Refusal::new(ErrorCode::LoginRequired, reason), Format::Json)
    }

    /// Holds the client to the users as they are now.
    #[inline]
    pub(super) fn renew_rights(&mut self) -> io::Result<Goes> {
        let Some(member) = &mut self.member else { return Ok(Goes::On) };
        match member.renew(&self.shared.users) {
            Ok(false) => Ok(Goes::On),
            Ok(true) => {
                self.recent.have_rights(member.rights.clone());
                Ok(Goes::On)
            }
            Err(refusal) if self.mqtt.is_some() => {
                self.refuse_mqtt(&refusal);
                Ok(Goes::NoFurther)
            }
            Err(refusal) => {
                self.refuse(refusal, Format::Json)?;
                Ok(Goes::NoFurther)
            }
        }
    }

    /// Does what a login asks for. A wrong one is answered after a second.
    pub(super) fn log_in(&mut self, login: &Login) -> io::Result<Goes> {
        let Login { token, credentials } = login;
        let mut before = self.member.take();
        let verified = self.verify(credentials, &mut before);
        self.member = before;
        match verified? {
            Ok(member) => {
                let user = member.as_ref().and_then(|member| member.rights.user()).cloned();
                if let Some(member) = member {
                    self.become_member(member);
                }
                self.attach()?;
                self.send(vec![Step::Control(*token, Control::Welcome { user })], 0);
                Ok(Goes::On)
            }
            Err(refusal) => {
                self.refuse(refusal, format_of(*token))?;
                Ok(Goes::NoFurther)
            }
        }
    }

    /// Whose credentials these are; `None` where there are no users. What the client was `before`
    /// may give its seat. A wrong login takes a second.
    ///
    /// # Errors
    /// When the client is gone meanwhile.
    pub(super) fn verify(
        &mut self,
        credentials: &Credentials<'_>,
        before: &mut Option<Member>,
    ) -> io::Result<Result<Option<Member>, Refusal>> {
        let patience = self.shared.config.login_timeout;
        let origin = self.peer.origin();
        let outcome = self.shared.users.log_in(credentials, origin, patience, before);
        let (client, peer) = (self.client, self.peer);
        let (tried, by) = match credentials {
            Credentials::Password { user, .. } => (Some(&**user), "password"),
            Credentials::Token(_) => (None, "token"),
        };
        match outcome {
            Ok(member) => {
                if let Some(user) = member.as_ref().and_then(|member| member.rights.user()) {
                    tracing::info!(
                        target: AUDIT, event = "login", %client, %peer, user = user.name(), by,
                        "logged in"
                    );
                }
                Ok(Ok(member))
            }
            Err(refusal) => {
                // One whose user has as many connections as it may was not wrong.
                if refusal.code == ErrorCode::LoginFailed {
                    Counters::add(&self.shared.counters.logins_failed, 1);
                }
                if let Some(before) = self.shared.users.note_failure() {
                    if before > 0 {
                        tracing::info!(
                            target: AUDIT, event = "logins-failed", logins = before,
                            "more logins failed than are logged one by one"
                        );
                    }
                    // The name is what was tried, and may be a password in the wrong place; but
                    // without it nobody could tell an attack from a slip.
                    let user =
                        tried.map(|name| name.chars().take(LONGEST_NAME).collect::<String>());
                    tracing::info!(
                        target: AUDIT, event = "login-failed", %client, %peer, user, by,
                        reason = refusal.reason, "login failed"
                    );
                }
                if !self.incoming.discard_for(FAILED) {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                Ok(Err(refusal))
            }
        }
    }

    /// Whether what is sent has to be noted.
    pub(super) fn has_rates(&self) -> bool {
        self.member.as_ref().is_some_and(Member::has_rates)
    }

    /// Reads nothing for as long as the rates of the user say, for what was taken. That may be so
    /// long that the rates, or the user, are others before it is over.
    pub(super) fn keep_to_rates(&mut self, messages: usize, bytes: usize) -> io::Result<Goes> {
        let spend = |session: &Session, messages, bytes| {
            session.member.as_ref().map_or(Duration::ZERO, |member| member.spend(messages, bytes))
        };
        let mut pause = spend(self, messages, bytes);
        while !pause.is_zero() && !self.shared.stopping.load(Ordering::Acquire) {
            if self.line.is_gone(self.purse.is_crowded()) {
                break;
            }
            thread::park_timeout(pause.min(TICK));
            // Of HTTP each request is judged when it comes.
            if self.http.is_none() && self.renew_rights()? == Goes::NoFurther {
                return Ok(Goes::NoFurther);
            }
            pause = spend(self, 0, 0);
        }
        Ok(Goes::On)
    }

    /// What the client may do.
    pub(super) fn rights(&self) -> Rights {
        self.member.as_ref().map_or(Rights::Nothing, |member| member.rights.clone())
    }
}

/// The name of a user of this machine, or the number where it has none.
fn name_of(user: u32) -> Option<String> {
    let found = nix::unistd::User::from_uid(user.into());
    Some(found.ok().flatten().map_or_else(|| user.to_string(), |user| user.name))
}
