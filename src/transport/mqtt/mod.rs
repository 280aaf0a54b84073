//! Sessions of MQTT clients beyond their connections: who has which, and those whose clients are
//! away.

mod kept;
mod places;
mod sessions;
pub(super) mod sys_topics;

pub(super) use kept::{DelayedWill, Kept};
pub(super) use places::SessionName;
pub(super) use sessions::{Seat, Sessions};
