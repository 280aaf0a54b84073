//! Users and what they may: a file of rules, read into a policy that does not change any more.
//!
//! The room names `protocol` alone. It opens no file and no socket, starts no thread, and reads no
//! clock: a file comes in as its text, the random bytes of a salt as bytes.
//!
//! ```
//! use babelmq::TopicFilter;
//! use babelmq::access::{Policy, Reach};
//! use babelmq::protocol::TopicName;
//!
//! let policy = Policy::parse(
//!     r#"
//!     [[user]]
//!     name = "oslo"
//!     certificate = true
//!     roles = ["sensor"]
//!
//!     [role.sensor]
//!     publish = ["weather/{user}"]
//!     subscribe = ["alarms"]
//!     "#,
//! )?;
//! let grant = policy.user("oslo").map(|user| user.grant()).ok_or("no such user")?;
//! assert!(grant.may_publish(TopicName::parse("weather/oslo/wind")?));
//! assert!(!grant.may_publish(TopicName::parse("weather/rome")?));
//! assert_eq!(grant.reach(&TopicFilter::parse("#")?), Reach::Some);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod asked;
mod constant_time;
mod fields;
mod grant;
mod limits;
mod mistakes;
mod password;
mod policy;
mod reach;
mod read;
mod role;
mod template;
mod token;
mod trie;
mod user;
mod verified;

#[cfg(test)]
mod tests;

pub use grant::{Explanation, Grant, RuleName};
pub use limits::GrantLimits;
pub use mistakes::{Mistake, UsersError};
pub use password::{PasswordHash, SALT_BYTES};
pub use policy::{ANONYMOUS, MAX_USERS_FILE, Policy};
pub use reach::Reach;
pub use role::Right;
pub use token::TokenHash;
pub use user::User;
pub use verified::{KEY_BYTES, VerifiedLogins};
