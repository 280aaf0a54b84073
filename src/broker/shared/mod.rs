//! Topics that several brokers share: a backbone puts their messages into one order and keeps them,
//! and each broker delivers what comes back from it.
//!
//! A message's way: the dispatcher hands it to the [`thread`](self::thread) of its stream, which
//! gives it to the [`backbone`](self::backbone) and says when that has it; what comes back, from
//! whichever broker, is [read](self::content) there and goes to the dispatcher as
//! [`Arrival`]. Messages for members of durable consumers are [held](self::held) until their
//! writers have read them.

mod arrival;
mod backbone;
mod content;
mod definition;
mod held;
mod open;
mod position;
mod status;
mod thread;

pub(in crate::broker) use arrival::{Arrival, ArrivalStep};
pub use backbone::{
    Arrived, BESIDE_FOLLOWED, Backbone, BackboneLine, FromBackbone, HowSettled, Incoming,
    JoinShared, JoinedShared, NoBackbone, Outgoing, Position, Room, SharedConsumer, SharedContent,
    SharedMessage, SharedPayload, SharedPlan, SharedReport, ToBackbone,
};
pub(in crate::broker) use content::{BESIDE, CLEARED};
pub use definition::SharedTopics;
pub(in crate::broker) use open::NewShared;
pub use open::Shared;
pub use status::SharedNumbers;
pub(in crate::broker) use status::SharedStatus;
