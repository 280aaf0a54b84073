//! Who connects: users of the file, how they log in, and how many connections they have.
//!
//! Sessions ask here; the dispatcher has the policy too, and is told when it changes.

mod file;
mod hashing;
mod seats;

pub use file::UsersFileError;
pub(crate) use file::load_users;
pub(super) use seats::Seat;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::log_limit::LogLimit;
use super::priority::at_lowest;
use crate::access::{ANONYMOUS, GrantLimits, KEY_BYTES, Policy, User, VerifiedLogins};
use crate::broker::sync::{Instant, Mutex};
use crate::broker::{Memory, Origin, Rights, Use};
use crate::codec::Credentials;
use crate::protocol::{ErrorCode, Refusal};
use hashing::Hashing;
use seats::Seats;

/// What the log calls lines about who came and what they may.
pub(super) const AUDIT: &str = "babelmq::audit";

/// The users of a broker, if it has any.
#[derive(Debug)]
pub(super) struct Users {
    /// How often the policy has changed.
    version: AtomicU64,
    inner: Mutex<Inner>,
    /// Held while it changes.
    reloading: Mutex<()>,
    hashing: Arc<Hashing>,
    seats: Arc<Seats>,
    failures: Mutex<LogLimit>,
    memory: Memory,
}

#[derive(Debug)]
struct Inner {
    policy: Option<Policy>,
    /// What it was read from.
    text: String,
    /// Of this policy.
    verified: VerifiedLogins,
}

/// Somebody who has a connection.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) rights: Rights,
    /// The version of the policy that they are of.
    version: u64,
    /// None where the broker has no users, and for who has not logged in.
    seat: Option<Seat>,
}

impl Users {
    /// The users of a file, of which the text is given too; `None` where everybody may do
    /// everything.
    pub(super) fn new(users: Option<(Policy, String)>, memory: Memory) -> Users {
        let (policy, text) = users.unzip();
        let mut key = [0; KEY_BYTES];
        // Without random bytes there is no TLS and no password either: nobody could log in.
        let verified = getrandom::fill(&mut key).map(|()| VerifiedLogins::new(key));
        let verified = verified.unwrap_or_else(|_| VerifiedLogins::new(key));
        Users {
            version: AtomicU64::new(0),
            inner: Mutex::new(Inner { policy, text: text.unwrap_or_default(), verified }),
            reloading: Mutex::default(),
            hashing: Arc::default(),
            seats: Arc::default(),
            failures: Mutex::default(),
            memory,
        }
    }

    /// Keeps other changes of the policy away for as long as it is held.
    pub(super) fn reloading(&self) -> impl Sized {
        self.reloading.lock()
    }

    /// Whether the policy was read from this text.
    pub(super) fn is_of(&self, text: &str) -> bool {
        self.inner.lock().text == text
    }

    /// Has these users from now on.
    pub(super) fn replace(&self, policy: Policy, text: String) {
        let mut inner = self.inner.lock();
        (inner.policy, inner.text) = (Some(policy), text);
        inner.verified.forget();
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Counts a login that failed. Where the log is to say so, returns how many before it were not
    /// said.
    pub(super) fn note_failure(&self) -> Option<u64> {
        self.failures.lock().note(Instant::now())
    }

    /// Whether somebody who does not log in may do something.
    pub(super) fn trust_strangers(&self) -> bool {
        let inner = self.inner.lock();
        inner.policy.as_ref().is_none_or(|policy| policy.user(ANONYMOUS).is_some())
    }

    fn policy(&self) -> Option<Policy> {
        self.inner.lock().policy.clone()
    }

    /// Whoever has connected: the user that the system or a certificate says it is, if that is one
    /// who logs in so, or else one who has not logged in.
    ///
    /// # Errors
    /// [`ErrorCode::TooManyConnections`] where the user has as many as it may.
    pub(super) fn meet(&self, certified: Option<&str>) -> Result<Member, Refusal> {
        let version = self.version.load(Ordering::Acquire);
        let Some(policy) = self.policy() else {
            return Ok(Member { rights: Rights::Everything, version, seat: None });
        };
        let certified = certified.and_then(|name| policy.user(name));
        let user = certified.filter(|user| user.has_certificate());
        match user.or_else(|| policy.user(ANONYMOUS)) {
            Some(user) => self.seat(user.clone(), version),
            None => Ok(Member { rights: Rights::Nothing, version, seat: None }),
        }
    }

    fn seat(&self, user: Arc<User>, version: u64) -> Result<Member, Refusal> {
        let seat = self.seats.take(&user.shared_name(), user.grant().limits()).map_err(|most| {
            let name = user.name();
            let reason = format!(
                "user {name:?} has {most} connections, as many as it may; close one that is not \
                 needed"
            );
            Refusal::new(ErrorCode::TooManyConnections, reason)
        })?;
        Ok(Member { rights: Rights::Of(user), version, seat: Some(seat) })
    }

    /// The user that these credentials are of; `None` where the broker has no users. What the
    /// client was `before` gives its seat to the same user.
    ///
    /// # Errors
    /// [`ErrorCode::LoginFailed`], and [`ErrorCode::TooManyConnections`] where the user has as many
    /// as it may.
    pub(super) fn log_in(
        &self,
        credentials: &Credentials<'_>,
        origin: Origin,
        patience: Duration,
        before: &mut Option<Member>,
    ) -> Result<Option<Member>, Refusal> {
        let version = self.version.load(Ordering::Acquire);
        let Some(policy) = self.policy() else { return Ok(None) };
        let user = match credentials {
            Credentials::Token(token) => policy.user_with_token(token).cloned(),
            Credentials::Password { user, password } => {
                self.verify(&policy, version, (user, password), (origin, patience))?
            }
        };
        let Some(user) = user else {
            let reason = match credentials {
                Credentials::Token(_) => "no user has this token",
                Credentials::Password { .. } => {
                    "there is no such user, or it has another password, or logs in another way"
                }
            };
            return Err(Refusal::new(ErrorCode::LoginFailed, reason));
        };
        // Who logs in once more has its seat already.
        let seat =
            before.as_mut().and_then(|member| member.seat.take_if(|seat| seat.is_of(user.name())));
        match seat {
            None => self.seat(user, version).map(Some),
            seat => Ok(Some(Member { rights: Rights::Of(user), version, seat })),
        }
    }

    fn verify(
        &self,
        policy: &Policy,
        version: u64,
        (name, password): (&str, &str),
        (origin, patience): (Origin, Duration),
    ) -> Result<Option<Arc<User>>, Refusal> {
        if self.inner.lock().verified.knows(name, password) {
            return Ok(policy.user(name).cloned());
        }
        let Some(_turn) = self.hashing.turn(origin, patience) else {
            let reason = "too many logins wait for their turn; try again later";
            return Err(Refusal::new(ErrorCode::LoginFailed, reason));
        };
        let account = self.memory.of(Use::Decoding).account();
        let _claim = account.charge(policy.memory_to_verify(name));
        let user = at_lowest(|| policy.user_with_password(name, password).cloned());
        if user.is_some() {
            let mut inner = self.inner.lock();
            // The password may have been changed meanwhile.
            if self.version.load(Ordering::Acquire) == version {
                inner.verified.remember(name, password);
            }
        }
        Ok(user)
    }
}

impl Member {
    /// Whether nothing but a login is taken.
    pub(super) fn awaits_login(&self) -> bool {
        matches!(self.rights, Rights::Nothing)
    }

    /// Looks whether the policy has changed, and if so, what that means here. Returns whether the
    /// rights are others.
    ///
    /// # Errors
    /// [`ErrorCode::LoginRequired`] where there is no such user any more.
    #[inline]
    pub(super) fn renew(&mut self, users: &Users) -> Result<bool, Refusal> {
        if self.version == users.version.load(Ordering::Acquire) {
            return Ok(false);
        }
        self.renew_rights(users).map(|()| true)
    }

    #[cold]
    fn renew_rights(&mut self, users: &Users) -> Result<(), Refusal> {
        self.version = users.version.load(Ordering::Acquire);
        let (Some(policy), Rights::Of(user)) = (users.policy(), &self.rights) else {
            return Ok(());
        };
        let Some(same) = policy.same_user(user) else {
            let reason = format!(
                "user {:?} is not in the users file any more, or logs in another way; log in again",
                user.name()
            );
            return Err(Refusal::new(ErrorCode::LoginRequired, reason));
        };
        self.rights = Rights::Of(same.clone());
        Ok(())
    }

    /// The seat and the limits of a user with a rate.
    fn rated(&self) -> Option<(&Seat, GrantLimits)> {
        let limits = self.rights.user()?.grant().limits();
        let has_rate = limits.messages_per_second.is_some() || limits.bytes_per_second.is_some();
        self.seat.as_ref().filter(|_| has_rate).map(|seat| (seat, limits))
    }

    /// Whether what is sent has to be noted.
    pub(super) fn has_rates(&self) -> bool {
        self.rated().is_some()
    }

    /// Notes what was sent. Returns how long nothing more is to be read, for the rates of the user.
    pub(super) fn spend(&self, messages: usize, bytes: usize) -> Duration {
        let rated = self.rated();
        rated.map_or(Duration::ZERO, |(seat, limits)| seat.spend(limits, messages, bytes))
    }
}
