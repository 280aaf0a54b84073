//! Sessions of MQTT clients beyond their connections: who has which, and those whose clients are
//! away.

mod kept;
mod lasting;
mod places;
mod restore;
mod session_name;
mod sessions;
pub(super) mod sys_topics;

pub(super) use kept::{Absent, DelayedWill, Kept, Stored, end_of, waited_until};
pub(super) use lasting::{Lasting, forget, new_consumer, unheard_of};
pub(super) use restore::restore;
pub(super) use session_name::SessionName;
pub(super) use sessions::{Seat, Sessions};
